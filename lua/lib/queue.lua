-- queue: who waits for a slot, in one line for the whole pool.
--
--   weir:{main}:queue            <holder>-<seq> -> "client=bot model=m class=- since=... until=...
--                                                   tries=0 lease_ms=13500 labels=... excluded=..."
--   weir:{main}:classes          class -> waiters that are alike in what may serve them: accounts
--                                that may not, "" for none
--   weir:{main}:line:<class>     zset: client -> slot time it had when it came, or was looked at
--   weir:{main}:line:<class>:<client>   zset: waiter -> since when
--   weir:{main}:untaken          <holder>-<seq> -> the same record, "granted=..." behind it: what
--                                was granted and not taken yet by its node
--
-- Next is the client that has had least slot time (share.lua), and of its waiters the first that
-- came. Whatever frees a slot grants it in the same call: the waiter gets its lease, as if it had
-- asked now, and its worker is told to ask again (pool.wake). It asks with the same seq and finds
-- what it holds. A grant that nobody asks for within TAKEN_MS goes to the next one.
--
-- A client's slot time rises while it holds leases, so a line's order is put right at its head: the
-- head is looked up anew, and stays it if nobody behind it can have less. What no waiter of a class
-- could be served with is not tried for the others of it; and one call tries LOOKS_MAX at most.
local queue = {}

local LOOKS_MAX = 32
local CLASSES_MAX = 64
local TAKEN_MS = 1000
local TRIES_MAX = 2     -- grants that were not taken
local LATE_MS = 2000    -- after its time a waiter is gone, whatever its node does

local function line_key(k, class)
    return k.base .. ":line:" .. class
end

local function waiters_key(k, class, client)
    return k.base .. ":line:" .. class .. ":" .. client
end

-- For whoever mends the types of keys: check(key) for each sorted set there is.
function queue.each_key(k, check_key)
    for class in pairs(pool.hash(k.classes)) do
        local key = line_key(k, class)
        check_key(key)
        for _, client in ipairs(redis.call("ZRANGE", key, 0, -1)) do
            check_key(waiters_key(k, class, client))
        end
    end
end

-- lines -------------------------------------------------------------------------------------------

-- How many wait, and their classes, into a view that is being loaded.
function queue.read(view)
    view.waiting = redis.call("HLEN", view.k.queue)
    view.classes, view.class_count = {}, 0
    if view.waiting > 0 then
        for class, accounts in pairs(pool.hash(view.k.classes)) do
            view.classes[class] = accounts
            view.class_count = view.class_count + 1
        end
    end
end

local function listed(set)
    local names = {}
    for name in pairs(set or {}) do
        names[#names + 1] = name
    end
    table.sort(names)
    return table.concat(names, ",")
end

local function record_of(w)
    return string.format("client=%s model=%s class=%s since=%.0f until=%.0f tries=%.0f "
        .. "lease_ms=%.0f labels=%s excluded=%s", w.client, w.model, w.class, w.since, w.ends,
        w.tries, w.lease_ms, (string.gsub(w.labels, " ", ",")), listed(w.excluded))
end

-- A waiter as its record has it, ready to be admitted; nil if that cannot be read.
local function parse(id, record)
    local f = pool.fields(record)
    local holder, seq = string.match(id, "^(.+)%-(%d+)$")
    if not holder or not f.client or not f.class then
        return nil
    end
    local w = {
        id = id, holder = holder, seq = seq, client = f.client, model = f.model or "-",
        class = f.class, since = pool.count(f.since), ends = pool.count(f["until"]),
        tries = pool.count(f.tries), lease_ms = math.max(50, pool.count(f.lease_ms)),
        labels = (string.gsub(f.labels or "", ",", " "))
    }
    for account in string.gmatch(f.excluded or "", "[^,]+") do
        w.excluded = w.excluded or {}
        w.excluded[account] = true
    end
    return w
end

-- Does its node still wait? Its holder has a time, which it renews.
local function is_alive(view, w, now)
    return w.ends + LATE_MS >= now
        and pool.count(redis.call("ZSCORE", view.k.holders, w.holder)) > now
end

-- Nobody waits: in a new epoch all ask again, and what an older copy has is of another time.
function queue.clear(view)
    local k = view.k
    for class in pairs(pool.hash(k.classes)) do
        for _, client in ipairs(redis.call("ZRANGE", line_key(k, class), 0, -1)) do
            redis.call("DEL", waiters_key(k, class, client))
        end
        redis.call("DEL", line_key(k, class))
    end
    redis.call("DEL", k.queue, k.classes, k.untaken)
    view.waiting, view.classes, view.class_count = 0, {}, 0
end

-- in and out --------------------------------------------------------------------------------------

-- What cannot serve it, whatever frees: a name for that.
local function class_of(view, w, now)
    local accounts = {}
    for _, sub in ipairs(view.list) do
        if (w.barred and w.barred[sub.account])
            or (health.has_marks(sub) and health.wait_ms(sub, w.labels, now) > 0) then
            accounts[#accounts + 1] = sub.account
        end
    end
    table.sort(accounts)
    local text = table.concat(accounts, ",")
    if text == "" or view.class_count >= CLASSES_MAX then
        return "-", "" -- at worst looked at more often than it need be
    end
    for class, others in pairs(view.classes) do
        if others == text then
            return class, text
        end
    end
    local number = 1
    while view.classes[tostring(number)] do
        number = number + 1
    end
    return tostring(number), text
end

local function put(view, w, text, time)
    local k = view.k
    slots.begin(view)
    if not view.classes[w.class] then
        view.classes[w.class], view.class_count = text, view.class_count + 1
        redis.call("HSET", k.classes, w.class, text)
    end
    redis.call("ZADD", line_key(k, w.class), "NX", time, w.client)
    redis.call("ZADD", waiters_key(k, w.class, w.client), w.since, w.id)
    redis.call("HSET", k.queue, w.id, record_of(w))
    view.waiting = view.waiting + 1
end

local function forget_class(view, class)
    if view.classes[class] and redis.call("EXISTS", line_key(view.k, class)) == 0 then
        redis.call("HDEL", view.k.classes, class)
        view.classes[class], view.class_count = nil, view.class_count - 1
    end
end

local function take_out(view, w)
    local k = view.k
    local key = waiters_key(k, w.class, w.client)
    slots.begin(view)
    redis.call("ZREM", key, w.id)
    if redis.call("EXISTS", key) == 0 then
        redis.call("ZREM", line_key(k, w.class), w.client)
        forget_class(view, w.class)
    end
    if redis.call("HDEL", k.queue, w.id) == 1 then
        view.waiting = math.max(0, view.waiting - 1)
    end
end

function queue.holds(view, id)
    return view.waiting > 0 and redis.call("HEXISTS", view.k.queue, id) == 1
end

-- A request that may wait comes to the line, as its client's last.
function queue.enter(view, holder, r, now)
    local w = {
        id = r.holder .. "-" .. r.seq, client = r.client, model = r.model, since = now,
        ends = now + r.wait_ms, tries = 0, lease_ms = r.lease_ms, labels = r.labels,
        excluded = r.excluded, barred = r.barred
    }
    local text
    w.class, text = class_of(view, w, now)
    put(view, w, text, share.come(view, r.client, r.weight, now))
    lease.keep_alive(view, holder, now, r.lease_ms)
end

-- True if it was there.
function queue.leave(view, id)
    local record = view.waiting > 0 and redis.call("HGET", view.k.queue, id)
    local w = record and parse(id, record)
    if not w then
        return false
    end
    take_out(view, w)
    return true
end

-- granting ----------------------------------------------------------------------------------------

-- The client that is next in a class, and its slot time; nil if there is none.
local function head_of(view, class, now)
    local key = line_key(view.k, class)
    for _ = 1, LOOKS_MAX do
        local two = redis.call("ZRANGE", key, 0, 1, "WITHSCORES")
        if not two[1] then
            return nil
        end
        local time = share.time(view, two[1], now)
        if not two[4] or time <= tonumber(two[4]) then
            return two[1], time
        end
        slots.begin(view)
        redis.call("ZADD", key, time, two[1])
    end
    local first = redis.call("ZRANGE", key, 0, 0)[1]
    return first, share.time(view, first, now)
end

-- Of all classes that are not closed.
local function find_next(view, closed, now)
    local class, client, least
    for name in pairs(view.classes) do
        if not closed[name] then
            local first, time = head_of(view, name, now)
            if not first then
                closed[name] = true
            elseif not least or time < least then
                class, client, least = name, first, time
            end
        end
    end
    return class, client, least
end

-- The client's first waiter that still waits; nil: it has none, and is out of the line.
local function first_of(view, class, client, now)
    local k = view.k
    local id = redis.call("ZRANGE", waiters_key(k, class, client), 0, 0)[1]
    local record = id and redis.call("HGET", k.queue, id)
    local w = record and parse(id, record)
    if w and w.class == class and w.client == client and is_alive(view, w, now) then
        return w
    end
    slots.begin(view)
    if w and w.class == class and w.client == client then
        take_out(view, w)
    elseif id then
        redis.call("ZREM", waiters_key(k, class, client), id)
    else
        redis.call("ZREM", line_key(k, class), client)
        forget_class(view, class)
    end
end

local function grant(view, w, now)
    w.unknown = roster.unknown_to(view, check.boot_of(w.holder))
    if w.unknown and w.unknown.is_old then
        return false
    end
    w.barred = admission.union(w.unknown, w.excluded)
    local holder = lease.known(view, w.holder)
    if not admission.try(view, holder, w, now) then
        return false
    end
    take_out(view, w)
    redis.call("HSET", view.k.untaken, w.id, record_of(w) .. string.format(" granted=%.0f", now))
    pool.wake(view.k, w.holder, w.seq)
    return true
end

local function is_any_free(view, now)
    for _, sub in ipairs(view.list) do
        if sub.active < sub.max and sub.is_on and sub.cooling <= now
            and slots.burst_wait_ms(view, sub, now) == 0 then
            return true
        end
    end
    return false
end

-- Grant what is free to who is next; the caller commits. What found nobody is not looked at again
-- before something has been given back (slots.give), or a second is over.
function queue.dispatch(view, now)
    if view.waiting == 0 or view.is_stuck or view.closed > now or not is_any_free(view, now) then
        return
    end
    window.weigh(view, now)
    local closed = {}
    for _ = 1, LOOKS_MAX do
        local class, client, time = find_next(view, closed, now)
        if not class then
            view.is_stuck = true
            return
        end
        local w = first_of(view, class, client, now)
        if w and grant(view, w, now) then
            share.raise_floor(view, time)
            if not is_any_free(view, now) then
                return
            end
        elseif w then
            local right, text = class_of(view, w, now)
            if right == class then
                closed[class] = true
            else -- what may serve it has changed since it came
                take_out(view, w)
                w.class = right
                put(view, w, text, time)
            end
        end
    end
end

function queue.is_untaken(view, id)
    return redis.call("HEXISTS", view.k.untaken, id) == 1
end

-- What a worker has asked for again is taken.
function queue.taken(view, id)
    redis.call("HDEL", view.k.untaken, id)
end

-- keeping -----------------------------------------------------------------------------------------

-- Nobody has taken it: it goes back to its place, unless that has happened too often. Then nobody
-- is there.
local function put_back(view, w, now)
    if not lease.take_back(view, w.holder, w.seq, now) then
        return -- taken and over, or given up
    end
    w.tries = w.tries + 1
    pool.event(view.k, "grant not taken", "lease", w.id, "tries", w.tries)
    if w.tries < TRIES_MAX and is_alive(view, w, now) then
        local text
        w.unknown = roster.unknown_to(view, check.boot_of(w.holder))
        w.barred = admission.union(w.unknown, w.excluded)
        w.class, text = class_of(view, w, now)
        put(view, w, text, share.time(view, w.client, now))
    end
end

local function tidy_untaken(view, now)
    for id, record in pairs(pool.hash(view.k.untaken)) do
        local w, granted = parse(id, record), pool.count(pool.fields(record).granted)
        if not w or now - granted >= TAKEN_MS or granted > now then
            slots.begin(view)
            redis.call("HDEL", view.k.untaken, id)
            if w then
                put_back(view, w, now)
            end
        end
    end
end

-- With a sweep: grants that nobody took go on, waiters whose nodes are gone go.
function queue.tidy(view, now)
    local k = view.k
    tidy_untaken(view, now)
    if view.waiting == 0 then
        return
    end
    for id, record in pairs(pool.hash(k.queue)) do
        local w = parse(id, record)
        if not w then
            slots.begin(view)
            redis.call("HDEL", k.queue, id)
            view.waiting = math.max(0, view.waiting - 1)
        elseif not is_alive(view, w, now) then
            take_out(view, w)
        end
    end
    view.is_stuck = false
    queue.dispatch(view, now)
end

return queue
