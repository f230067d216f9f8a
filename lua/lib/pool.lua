-- pool: what every function needs first: the keys of a pool, the time, events.
--
-- How lua/ becomes a library: scripts/embed.cmake joins the files in a fixed order. Each file is
-- the body of a function that returns one table, and that table bears the file's name. A file keeps
-- its locals to itself, and sees all others when one of its functions runs; while it is loaded,
-- only those before it.
--
-- The Lua state lives as long as the library is loaded, so tables here may remember: what follows
-- from their key alone (a date, a checked name), each emptied when it has grown to its ceiling; and
-- the lines of a pool, under the one condition that slots.lua explains.
local pool = {}

pool.LEASE_MS = 15000        -- where a call does not say how long its holder's leases live
pool.LEASE_MS_MAX = 60000    -- so an expiry further ahead than this can only come from a clock step
pool.ALIVE_MS = 15000        -- a boot heard of within this counts as alive
pool.SILENT_MS = 3000        -- one not heard of for this long has lost its node's name to who asks
pool.FORGET_MS = 60000       -- one silent for longer is forgotten
pool.BOOT_KEPT_S = 86400     -- what is known of a boot, if none is left to forget it
pool.UNSWEPT_MS = 3000       -- nobody swept for longer: living nodes get time to renew first
pool.SWEEP_EVERY_MS = 900    -- the pool's chores, whoever comes first
pool.SETTLE_DOWN_MS = 3000   -- in a new epoch: time for nodes nobody knows of to come back
pool.BOOTS_MAX = 256
pool.REAP_MAX = 200          -- leases returned in one call
pool.RECOUNT_MAX = 500       -- leases counted anew every second;
pool.THOROUGH_MAX = 5000     -- once a minute so many (some 5 ms);
pool.LEASES_COUNTED_MAX = 20000 -- and so many if a sum is wrong
pool.SWEPT_HOLDERS_MAX = 1000   -- holders whose ended leases are remembered,
pool.SWEPT_S = 86400            -- and for how long
pool.EVENTS_MAX = 1000
pool.CLIENTS_MAX = 1000      -- distinct names in one book; see book.lua for what makes room
pool.MODELS_MAX = 200
pool.SUBSCRIPTIONS_MAX = 500
pool.WORDS_MAX = 500         -- letters that a node says of its reload
pool.OPEN_MAX = 5000         -- lines of the open book
pool.POST_MAX = 200          -- lines posted in one call
pool.DAYS_KEPT = 35
pool.MINUTES_KEPT_S = 48 * 3600

-- keys --------------------------------------------------------------------------------------------

local FIXED_KEYS = {
    "slots", "roster", "holders", "swept", "boots", "restored", "epoch", "cooldowns", "open",
    "posting", "totals", "sweeps", "settings", "events", "blocks", "windows", "history", "notice",
    "queue", "classes", "untaken", "clients", "subs", "nodes", "leases", "lease"
}
local keys_by_base, bases_known = {}, 0

-- The keys of the pool whose base key is KEYS[1]. All of them carry its hash tag, so a pool is one
-- slot of a Redis Cluster.
function pool.keys(keys)
    local base = keys[1]
    local known = keys_by_base[base]
    if known then
        return known
    end
    if #keys ~= 1 or not string.find(base, "^[^{}]+{[^{}]+}$") then
        error(redis.error_reply("ERR weir: KEYS[1]: expected one base key like weir:{main}, got '"
            .. pool.text(tostring(base)) .. "'"))
    end
    known = { base = base }
    for _, name in ipairs(FIXED_KEYS) do
        known[name] = base .. ":" .. name
    end
    if bases_known >= 64 then
        keys_by_base, bases_known = {}, 0
    end
    keys_by_base[base], bases_known = known, bases_known + 1
    return known
end

-- time --------------------------------------------------------------------------------------------

function pool.now_ms()
    local time = redis.call("TIME")
    return time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
end

-- Numbers as text: what comes again and again (counts, and the time of one call) is made once.
local texts, texts_known = {}, 0

function pool.digits(number)
    local text = texts[number]
    if not text then
        if texts_known >= 4096 then
            texts, texts_known = {}, 0
        end
        text = string.format("%d", number)
        texts[number], texts_known = text, texts_known + 1
    end
    return text
end

local dates, dates_known = {}, 0

-- The UTC date of a day counted from 1970-01-01, as 2026-11-21. The year is taken to begin in
-- March, so that the leap day is its last.
function pool.date(day)
    if dates[day] then
        return dates[day]
    end
    local floor = math.floor
    local shifted = day + 719468
    local era = floor(shifted / 146097)
    local of_era = shifted - era * 146097
    local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524)
        - floor(of_era / 146096)) / 365)
    local of_year = of_era - (365 * year + floor(year / 4) - floor(year / 100))
    local month = floor((5 * of_year + 2) / 153)
    local of_month = of_year - floor((153 * month + 2) / 5) + 1
    month = month < 10 and month + 3 or month - 9
    year = year + era * 400 + (month <= 2 and 1 or 0)
    if dates_known >= 64 then
        dates, dates_known = {}, 0
    end
    local date = string.format("%04d-%02d-%02d", year, month, of_month)
    dates[day], dates_known = date, dates_known + 1
    return date
end

function pool.day(now)
    return math.floor(now / 86400000)
end

-- the rest ----------------------------------------------------------------------------------------

-- Text that is only shown: never refused, but on one line and short.
function pool.text(value, max)
    return (string.gsub(string.sub(value or "", 1, max or 128), "[%c%z]", " "))
end

-- HGETALL as a table.
function pool.hash(key)
    local flat, fields = redis.call("HGETALL", key), {}
    for i = 1, #flat, 2 do
        fields[flat[i]] = flat[i + 1]
    end
    return fields
end

-- About `max` fields of a hash that has many, and their values, without those that `skip` names;
-- all if there are fewer. (A scan may find nothing for a while where much was deleted, and a thing
-- twice.)
function pool.some(k, key, max, skip)
    local flat, seen, cursor = {}, {}, "0"
    repeat
        local reply = redis.call("HSCAN", key, cursor, "COUNT", max)
        local found = reply[2]
        cursor = reply[1]
        for i = 1, #found, 2 do
            if found[i] ~= skip and not seen[found[i]] and #flat < 2 * max then
                seen[found[i]] = true
                flat[#flat + 1] = found[i]
                flat[#flat + 1] = found[i + 1]
            end
        end
    until cursor == "0" or #flat >= 2 * max
    return flat
end

-- A record of key=value, one space between, as a table.
function pool.fields(line)
    local fields = {}
    for key, value in string.gmatch(line or "", "(%w[%w_]*)=(%S*)") do
        fields[key] = value
    end
    return fields
end

-- A number of a record that anyone may have written: whole, not negative, of 14 digits at most.
function pool.count(text)
    local number = tonumber(text)
    return (number and number > 0) and math.floor(math.min(number, 99999999999999)) or 0
end

-- What an operator wants to find again later. `...` are field, value pairs.
function pool.event(k, what, ...)
    redis.call("XADD", k.events, "MAXLEN", "~", pool.EVENTS_MAX, "*", "event", what, ...)
end

-- Tell the worker that waits to ask again: it has been granted something. A node that does not hear
-- of it is told again, a second later (queue.lua).
function pool.wake(k, holder, seq)
    local boot, worker = string.match(holder, "%.(%x+)%.(%d+)$")
    redis.pcall("SPUBLISH", k.base .. ":wake:" .. boot, "wake seq=" .. seq .. " worker=" .. worker)
end

-- Tell all nodes at once. One that misses it learns the same from its next beat, so that a Redis
-- user who may not publish (its ACL has no such channel) breaks nothing off in the middle.
function pool.notice(k, text)
    redis.pcall("SPUBLISH", k.notice, text)
end


return pool
