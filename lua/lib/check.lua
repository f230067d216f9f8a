-- check: arguments. What stands in calls.def is read by these; a wrong one ends the call with an
-- error that names it, before anything is written.
local check = {}

-- Which of the rows is read: `what` they are and its number; nil: none is. A name for each that is
-- only wanted where one is refused would cost more than reading it.
local what_rows, row

function check.at_row(what, number)
    what_rows, row = what, number
end

function check.refuse(argument, expected, got)
    if row then
        argument, row = what_rows .. " " .. row .. " " .. argument, nil
    end
    error(redis.error_reply(string.format("ERR weir: %s: expected %s, got '%s'", argument, expected,
        pool.text(got or "nothing"))))
end

function check.count(got, expected)
    if got ~= expected then
        check.refuse("ARGV", expected .. " arguments", tostring(got))
    end
end

-- Arguments that repeat: `got` of them, `width` a row.
function check.rows(got, width, max, what)
    if got < 0 or got % width ~= 0 or got / width > max then
        check.refuse(what, string.format("at most %d rows of %d arguments", max, width),
            tostring(got))
    end
end

-- Names and the like come again and again, so the good ones are remembered.
local good, good_count = {}, 0

local function remember(value)
    if good_count >= 8192 then
        good, good_count = {}, 0
    end
    good[value], good_count = true, good_count + 1
end

-- One that will hardly come again, such as a request's.
function check.id(value, argument)
    if not value or #value > 128 or not string.find(value, "^[%w._:@~-]+$") then
        check.refuse(argument, "1 to 128 of A-Z a-z 0-9 . _ : @ ~ -", value)
    end
    return value
end

-- A cleaned name.
function check.name(value, argument)
    if good[value or ""] then
        return value
    end
    remember(check.id(value, argument))
    return value
end

local boots, boots_count = {}, 0

-- <node>.<boot>.<worker>, remembered with its boot.
function check.holder(value, argument)
    if boots[value or ""] then
        return value
    end
    local boot = value and #value <= 160
        and string.match(value, "^([%w._:@~-]+%.%x%x%x%x%x%x%x%x)%.%d+$")
    if not boot then
        check.refuse(argument, "<node>.<boot>.<worker>", value)
    end
    if boots_count >= 4096 then
        boots, boots_count = {}, 0
    end
    boots[value], boots_count = boot, boots_count + 1
    return value
end

-- <node>.<boot> of a checked holder.
function check.boot_of(holder)
    return boots[holder] or string.match(holder, "^(.*)%.%d+$")
end

-- A lease as people see it: its holder and number.
function check.lease(value, argument)
    local holder, seq = string.match(value or "", "^(.+)%-(%d+)$")
    if not holder or not string.find(holder, "%.%x%x%x%x%x%x%x%x%.%d+$") then
        check.refuse(argument, "a lease <node>.<boot>.<worker>-<seq>", value)
    end
    return { holder = check.holder(holder, argument), seq = seq }
end

function check.boot(value, argument)
    if not value or not string.find(value, "^%x%x%x%x%x%x%x%x$") then
        check.refuse(argument, "8 hex digits", value)
    end
    return value
end

function check.account(value, argument)
    if good[value or ""] then
        return value
    end
    if not value or not string.find(value, "^[%w-]+$") or #value > 20 then
        check.refuse(argument, "an account, 12 hex digits", value)
    end
    remember(value)
    return value
end

-- Accounts as a set; nil if there are none.
function check.accounts(value, argument)
    if value == "" then
        return nil
    elseif not value or #value > 16384 then
        check.refuse(argument, "accounts or an empty string", value)
    end
    local set = {}
    for account in string.gmatch(value, "%S+") do
        set[account] = true
    end
    return set
end

-- Such ids as a list, at most `max` of them.
function check.ids(value, argument, max)
    local list = {}
    for id in string.gmatch(value or "", "%S+") do
        if #list == max then
            check.refuse(argument, "at most " .. max .. " ids, one space between", value)
        end
        list[#list + 1] = check.id(id, argument)
    end
    return list
end

-- Text as it is, at most `max` bytes.
function check.lines(value, argument, max)
    if not value or #value > max then
        check.refuse(argument, "at most " .. max .. " bytes", value)
    end
    return value
end

-- Labels of a request, one space between; or one, or none.
function check.labels(value, argument)
    if value == "" or good[value or ""] then
        return value
    end
    if not value or #value > 512 or not string.find(value, "^[%w._:@~ -]+$") then
        check.refuse(argument, "labels of A-Z a-z 0-9 . _ : @ ~ - or an empty string", value)
    end
    remember(value)
    return value
end

-- What an answer said of quotas: not looked at any closer here, for it is nearly always what is
-- known already (window.lua).
function check.windows(value, argument)
    if value == "" then
        return value
    elseif not value or #value > 512 or not string.find(value, "^[%w_.: -]*$") then
        check.refuse(argument, "windows like 5h:4200:1795240000 or an empty string", value)
    end
    return value
end

-- Ceilings of a subscription.
function check.limits(value, argument)
    if not value or #value > 512 or not string.find(value, "^[%w_.:,-]*$") then
        check.refuse(argument, "limits like 5h:9000:0,7d:8000:9500 or an empty string", value)
    end
    return value
end

function check.integer(value, argument, min, max)
    local number = tonumber(value)
    if not number or not (number >= min and number <= max) or number % 1 ~= 0 then
        check.refuse(argument, string.format("an integer from %.0f to %.0f", min, max), value)
    end
    return number
end

-- A lease's number, as text: it is only compared, and made a number it would have to be made text
-- again for every key.
function check.seq(value, argument)
    if not value or #value > 14 or not string.find(value, "^[1-9]%d*$") then
        check.refuse(argument, "an integer from 1 to 99999999999999", value)
    end
    return value
end

-- A number that has come from a provider: too large is no reason to lose a settlement.
function check.amount(value, argument, ceiling)
    if value == "0" then
        return 0
    end
    return math.min(check.integer(value, argument, 0, 2 ^ 64), ceiling)
end

-- `words`: a set.
function check.word(value, argument, words)
    if not value or not words[value] then
        local list = {}
        for word in pairs(words) do
            list[#list + 1] = word
        end
        table.sort(list)
        check.refuse(argument, "one of " .. table.concat(list, ", "), value)
    end
    return value
end

function check.text(value, argument)
    if not value then
        check.refuse(argument, "a text", value)
    end
    return pool.text(value)
end

-- A longer one.
function check.words(value, argument)
    if not value then
        check.refuse(argument, "words", value)
    end
    return pool.text(value, pool.WORDS_MAX)
end

return check
