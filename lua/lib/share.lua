-- share: what each client has had of the slots, in slot time, so that those who wait get equal
-- parts of them, or parts by their weight.
--
--   weir:{main}:clients   <client> -> "active=3 since=17161203369 served=120345 weight=1"
--                         @        -> "floor=118000"
--
--   active   leases it holds                since   the sum of their beginnings, ms after BASE_MS
--   served   slot time of those that are over, in ms, divided by its weight
--   floor    where the line is: what the client had had that was served from it last. Who comes to
--            it begins no further back, so nobody saves up time by asking for nothing
--
-- What runs counts while it runs: a client's time is `served` and, for each lease, since its
-- beginning. So it does not matter how long a request lasts.
local share = {}

local BASE_MS = 1790000000000 -- so that a sum of thousands of times is still an exact number
local OTHER = "(other)"

-- lines -------------------------------------------------------------------------------------------

local function new(name)
    return { name = name, active = 0, since = 0, served = 0, weight = 1 }
end

local function number(text, least)
    local value = tonumber(text or "")
    return (value and value >= least and value < 2 ^ 53) and value or least
end

local function parse(name, line)
    local fields, c = pool.fields(line), new(name)
    c.active = number(fields.active, 0)
    c.since = c.active > 0 and number(fields.since, 0) or 0
    c.served, c.weight = number(fields.served, 0), number(fields.weight, 1)
    return c
end

local function write(view, c)
    slots.begin(view)
    redis.call("HSET", view.k.clients, c.name, string.format(
        "active=%.0f since=%.0f served=%.0f weight=%.0f", c.active, c.since, c.served, c.weight))
end

-- All of a pool, into a view that is being loaded.
function share.read(view)
    view.clients, view.client_count, view.floor = {}, 0, 0
    for name, line in pairs(pool.hash(view.k.clients)) do
        if name == "@" then
            view.floor = number(pool.fields(line).floor, 0)
        else
            view.clients[name] = parse(name, line)
            view.client_count = view.client_count + 1
        end
    end
end

local function of(view, name)
    local c = view.clients[name]
    if not c then
        if view.client_count >= pool.CLIENTS_MAX and name ~= OTHER then
            return of(view, OTHER)
        end
        c = new(name)
        view.clients[name], view.client_count = c, view.client_count + 1
    end
    return c
end

-- slot time ---------------------------------------------------------------------------------------

local function time_of(c, now)
    return c.served + math.max(0, c.active * (now - BASE_MS) - c.since) / c.weight
end

function share.time(view, name, now)
    return time_of(of(view, name), now)
end

-- It holds a lease more.
function share.take(view, name, now)
    local c = of(view, name)
    c.active, c.since = c.active + 1, c.since + now - BASE_MS
    write(view, c)
end

-- And one less, which it had since then.
function share.give(view, name, since, now)
    local c = of(view, name)
    if c.active == 0 then
        return
    end
    since = math.min(since, now)
    c.active = c.active - 1
    c.since = c.active > 0 and math.max(0, c.since - (since - BASE_MS)) or 0
    c.served = c.served + (now - since) / c.weight
    write(view, c)
end

-- It comes to the line.
function share.come(view, name, weight, now)
    local c = of(view, name)
    if c.weight ~= weight then -- what it has had is worth another time from now on
        c.served = time_of(c, now) - math.max(0, c.active * (now - BASE_MS) - c.since) / weight
        c.weight = weight
    end
    c.served = c.served + math.max(0, view.floor - time_of(c, now))
    write(view, c)
    return time_of(c, now)
end

-- Somebody who had had `time` was served from the line.
function share.raise_floor(view, time)
    if time > view.floor then
        view.floor = time
        redis.call("HSET", view.k.clients, "@", string.format("floor=%.0f", time))
    end
end

-- keeping -----------------------------------------------------------------------------------------

-- One lease more among what is counted.
function share.count(counted, name, since)
    local c = counted[name] or { active = 0, since = 0 }
    counted[name] = c
    c.active, c.since = c.active + 1, c.since + math.max(0, since - BASE_MS)
end

-- As all leases say that were counted.
function share.recount(view, counted)
    local right = {}
    for name, found in pairs(counted) do
        local c = of(view, name) -- several may share one that stands for all others
        local sum = right[c] or { active = 0, since = 0 }
        right[c] = sum
        sum.active, sum.since = sum.active + found.active, sum.since + found.since
    end
    for _, c in pairs(view.clients) do
        local sum = right[c] or { active = 0, since = 0 }
        if c.active ~= sum.active or c.since ~= sum.since then
            c.active, c.since = sum.active, sum.since
            write(view, c)
        end
    end
end

-- With a sweep: idle clients go. While others wait one that has had more than they stays, or it
-- would come back with nothing to its account.
function share.trim(view)
    local gone = {}
    for name, c in pairs(view.clients) do
        if c.active == 0 and (view.waiting == 0 or c.served <= view.floor) and #gone < 1000 then
            gone[#gone + 1] = name
        end
    end
    if #gone > 0 then
        slots.begin(view)
        redis.call("HDEL", view.k.clients, unpack(gone))
        for _, name in ipairs(gone) do
            view.clients[name] = nil
        end
        view.client_count = view.client_count - #gone
    end
end

return share
