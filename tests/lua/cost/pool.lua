-- pool: what every function needs first: the keys of a pool, the time, checked arguments, events.
--
-- How lua/ becomes a library: scripts/embed.cmake joins the files in a fixed order. Each file is
-- the body of a function that returns one table, and that table bears the file's name, so a file
-- sees the ones before it and keeps its own locals to itself.
--
-- The Lua state lives as long as the library is loaded, so tables here may remember. They remember
-- only what follows from their key alone (a date, a parsed line), never the state of a pool: that
-- is read from Redis in every call. Each such table is emptied when it has grown to its ceiling.
local pool = {}

pool.LEASE_MS_MIN = 50
pool.LEASE_MS_MAX = 60000    -- so an expiry further ahead than this can only come from a clock step
pool.ALIVE_MS = 15000        -- a node heard of within this counts as alive
pool.FORGET_MS = 60000       -- a node silent for longer is forgotten
pool.NODE_KEPT_S = 86400     -- what is known of a node, if none is left to forget it
pool.UNSWEPT_MS = 3000       -- nobody swept for longer: living nodes get time to renew first
pool.SUBSCRIPTIONS_MAX = 500
pool.NODES_MAX = 256
pool.RENEW_MAX = 256
pool.REAP_MAX = 200          -- expired leases returned in one call
pool.LEASES_COUNTED_MAX = 20000
pool.SWEPT_MAX = 50000       -- swept leases remembered,
pool.SWEPT_MS = 86400000     -- and for how long
pool.EVENTS_MAX = 1000
pool.CLIENTS_MAX = 1000      -- distinct names in one book; all further ones are "(other)"
pool.MODELS_MAX = 200
pool.OPEN_MAX = 5000          -- lines of the open book
pool.DAYS_KEPT_S = 35 * 86400
pool.MINUTES_KEPT_S = 48 * 3600
pool.BURST_MAX = 1000000
pool.COOLDOWN_MS_MAX = 31 * 86400000
pool.COUNT_MAX = 1000000000000 -- one settlement's number of tokens or ms; more is cut

-- keys --------------------------------------------------------------------------------------------

local FIXED_KEYS = {
    "subs", "leases", "lease", "swept", "nodes", "cooldowns", "open", "totals", "sweeps",
    "events"
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
        pool.refuse("KEYS[1]", "one base key like weir:{main}", tostring(base))
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

function pool.node_key(k, node)
    return k.base .. ":node:" .. node
end

-- time --------------------------------------------------------------------------------------------

function pool.now_ms()
    local time = redis.call("TIME")
    return time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
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

-- checked arguments -------------------------------------------------------------------------------

-- End the call with an error that names the argument. Nothing may have been written before.
function pool.refuse(argument, expected, got)
    error(redis.error_reply(string.format("ERR weir: %s: expected %s, got '%s'", argument, expected,
        pool.text(got or "nothing"))))
end

local good_names, good_names_known = {}, 0

-- A cleaned name. Most come again and again, so the good ones are remembered.
function pool.name(value, argument)
    if good_names[value or ""] then
        return value
    end
    if not value or #value > 128 or not string.find(value, "^[%w._:@-]+$") then
        pool.refuse(argument, "1 to 128 of A-Z a-z 0-9 . _ : @ -", value)
    end
    if good_names_known >= 4096 then
        good_names, good_names_known = {}, 0
    end
    good_names[value], good_names_known = true, good_names_known + 1
    return value
end

-- Only the characters of an id are checked: its form <node>.<boot>.<seq> matters where a node's
-- former leases are looked for, and what has not that form is not found there.
function pool.lease_id(value, argument)
    if not value or #value > 200 or not string.find(value, "^[%w._:@-]+$") then
        pool.refuse(argument, "a lease id <node>.<boot>.<seq>", value)
    end
    return value
end

function pool.boot(value, argument)
    if not value or not string.find(value, "^%x%x%x%x%x%x%x%x$") then
        pool.refuse(argument, "8 hex digits", value)
    end
    return value
end

function pool.integer(value, argument, min, max)
    local number = tonumber(value)
    if not number or not (number >= min and number <= max) or number % 1 ~= 0 then
        pool.refuse(argument, string.format("an integer from %.0f to %.0f", min, max), value)
    end
    return number
end

-- A number that has come from an upstream: too large is no reason to lose a settlement.
function pool.amount(value, argument, ceiling)
    return math.min(pool.integer(value, argument, 0, 2 ^ 64), ceiling)
end

function pool.lease_ms(value)
    return pool.integer(value, "lease_ms", pool.LEASE_MS_MIN, pool.LEASE_MS_MAX)
end

-- Text that is only shown: never refused, but on one line and short.
function pool.text(value)
    return (string.gsub(string.sub(value or "", 1, 128), "[%c%z]", " "))
end

-- HGETALL as a table.
function pool.hash(key)
    local flat, fields = redis.call("HGETALL", key), {}
    for i = 1, #flat, 2 do
        fields[flat[i]] = flat[i + 1]
    end
    return fields
end

-- What an operator wants to find again later. `...` are field, value pairs.
function pool.event(k, what, ...)
    redis.call("XADD", k.events, "MAXLEN", "~", pool.EVENTS_MAX, "*", "event", what, ...)
end

return pool
