-- slots: who has how many, and the one door through which a count changes.
--
--   weir:{main}:slots   <name> -> "active=2 cooling=0 used=1795222800123"
--                       @      -> the guard: "schema=2 epoch=1795222790000 closed=0 generation=3
--                                             server=5f3a91c0 lib=ab12cd34 turn=118"
--
--   active    leases held (as many records name this subscription's account)
--   cooling   ms; in the past or 0: not cooling          used   ms of the last admission, 0 = never
--   and what health.lua marks an ailing one with, and what the strategy remembers (strategy.lua)
--
-- Settings stand apart, in the roster (roster.lua), so mending one cannot break the other.
--
-- The guard makes reading cheap. Every write of a line rewrites it in the same HSET, one turn on. A
-- call that finds the guard this very library wrote last, on this very server, knows that nothing
-- has changed since, so that all it remembers of the pool (a "view") is true, and reads nothing
-- else. Before a view's first change the guard is forgotten and only set again by the last write:
-- a call that fails half-way leaves a view that the next one reads anew. The sweep forgets it every
-- second, so that what a hand has written is seen.
--
-- The guard also tells when Redis has lost data: it is gone (flushed), or was written by another
-- server process (restarted, failed over; perhaps from an older copy). Then a new epoch begins, in
-- which nothing is admitted until whoever lives has registered again (epoch.lua).
local slots = {}

local views, views_count = {}, 0
local server -- of this process: the first 8 digits of its run id

local function own_server()
    if not server then
        local info = redis.pcall("INFO", "server")
        server = type(info) == "string" and string.match(info, "run_id:(%x%x%x%x%x%x%x%x)")
            or "unknown"
    end
    return server
end

-- lines -------------------------------------------------------------------------------------------

local COUNTS = "^active=(%d+) cooling=(%d+) used=(%d+)$"

-- Whatever a hand has made of a line costs this subscription at most: what is missing counts as 0,
-- what is unknown is kept.
local function parse_counts(sub, line)
    local active, cooling, used = string.match(line, COUNTS)
    sub.extra, sub.health, sub.pass, sub.session = "", nil, nil, nil
    if not active or #active > 9 or #cooling > 14 or #used > 14 then
        local fields = pool.fields(line)
        active, cooling, used = fields.active, fields.cooling, fields.used
        fields.active, fields.cooling, fields.used = nil, nil, nil
        sub.health = health.read(fields)
        strategy.read_line(sub, fields)
        for key, value in pairs(fields) do
            sub.extra = sub.extra .. " " .. key .. "=" .. value
        end
    end
    sub.active, sub.cooling, sub.used = pool.count(active), pool.count(cooling), pool.count(used)
    sub.line = line
end

local function render(sub)
    local digits = pool.digits
    return "active=" .. digits(sub.active) .. " cooling=" .. digits(sub.cooling) .. " used="
        .. digits(sub.used) .. (sub.health and health.render(sub.health) or "")
        .. ((sub.pass or sub.session) and strategy.render(sub) or "") .. sub.extra
end

-- the guard ---------------------------------------------------------------------------------------

local function head_of(view)
    return "schema=" .. view.schema .. " epoch=" .. view.epoch .. " closed=" .. view.closed
        .. " generation=" .. view.generation .. " server=" .. own_server() .. " lib=" .. VERSION
        .. " turn="
end

-- What the guard says, into the view. False if there is none to speak of.
local function take_guard(view, guard)
    local fields = pool.fields(guard or "")
    if not fields.epoch or not fields.turn then
        return false
    end
    view.schema = math.max(pool.count(fields.schema), calls.SCHEMA)
    view.epoch, view.closed = pool.count(fields.epoch), pool.count(fields.closed)
    view.generation, view.turn = pool.count(fields.generation), pool.count(fields.turn)
    view.server = fields.server
    return true
end

-- views -------------------------------------------------------------------------------------------

local function new_view(k)
    return {
        k = k, list = {}, by_name = {}, by_account = {}, holders = {}, holder_count = 0,
        unknown = {}, open = {}, open_count = 0, epoch = 0, closed = 0, generation = 0, turn = 0,
        schema = calls.SCHEMA, guard = false, weigh_at = 0, clients = {}, client_count = 0,
        floor = 0, waiting = 0, classes = {}, class_count = 0
    }
end

local function blank(name, account)
    return {
        name = name, account = account, max = 0, priority = 0, burst = 0, edited = 0,
        state = "leaving", paused = 0, tier = 1, rest = "", active = 0, cooling = 0, used = 0,
        extra = "", line = false, is_on = false, share = 1, pace = 0, limits_text = ""
    }
end

function slots.add(view, name, account)
    local sub = blank(name, account)
    view.list[#view.list + 1] = sub
    view.by_name[name], view.by_account[account] = sub, sub
    return sub
end

-- A line without settings: they were removed by hand, or Redis has lost them. It drains.
local function read_counts(view)
    local flat = redis.call("HGETALL", view.k.slots)
    local lines = {}
    for i = 1, #flat, 2 do
        if flat[i] ~= "@" then
            lines[flat[i]] = flat[i + 1]
        end
    end
    for _, sub in ipairs(view.list) do
        local line = lines[sub.name]
        if not line then
            sub.active, sub.cooling, sub.used, sub.extra, sub.line = 0, 0, 0, "", false
            sub.health, sub.pass, sub.session = nil, nil, nil
        elseif sub.line ~= line then
            parse_counts(sub, line)
        end
        lines[sub.name] = nil
    end
    for name, line in pairs(lines) do
        parse_counts(slots.add(view, name, view.by_account[name] and name .. "-" or name), line)
    end
end

local function forget_details(view)
    view.holders, view.holder_count, view.unknown = {}, 0, {}
    view.open, view.open_count, view.dirty, view.more = {}, 0, nil, nil
end

local function remember(k, view)
    if not views[k.base] then
        if views_count >= 64 then
            views, views_count = {}, 0
        end
        views_count = views_count + 1
    end
    views[k.base] = view
end

local function load(k, guard, is_reading, lease_ms)
    local old = views[k.base]
    local view = new_view(k)
    local is_there = take_guard(view, guard)
    if old and old.has_roster and is_there and old.generation == view.generation then
        old.schema, old.epoch, old.closed, old.turn, old.server = view.schema, view.epoch,
            view.closed, view.turn, view.server
        view = old
        forget_details(view)
    else
        roster.read(view)
        strategy.read(view)
    end
    read_counts(view)
    window.read(view)
    share.read(view)
    queue.read(view)
    health.read_blocks(view)
    if is_reading then
        return view
    end
    view.head = head_of(view)
    if not is_there then
        epoch.begin(view, old and "emptied" or "new", lease_ms)
    elseif view.server ~= own_server() then
        epoch.begin(view, "server changed", lease_ms)
    end
    view.guard = view.guard or guard
    remember(k, view)
    return view
end

-- The pool as it is now. `lease_ms`: for how long a holder that nobody hears of may still run.
function slots.open(k, lease_ms)
    local guard = redis.call("HGET", k.slots, "@")
    local view = views[k.base]
    if view and guard and guard == view.guard then
        return view
    end
    if view then
        view.guard = false
    end
    return load(k, guard, false, lease_ms or pool.LEASE_MS)
end

-- The same for those who may not write.
function slots.look(k)
    local guard = redis.call("HGET", k.slots, "@")
    local view = views[k.base]
    if view and guard and guard == view.guard then
        return view
    end
    local kept = views[k.base]
    views[k.base] = nil
    view = load(k, guard, true, 0)
    views[k.base] = kept
    return view
end

-- A pool of a later schema lets an older node end what it runs, and nothing else.
function slots.refuse_older(view)
    if view.schema > calls.SCHEMA then
        error(redis.error_reply(string.format("SCHEMA weir: this pool has schema %d, this node "
            .. "speaks %d: it is too old, upgrade it", view.schema, calls.SCHEMA)))
    end
end

function slots.forget(view)
    view.guard, view.has_roster = false, false
end

-- changes -----------------------------------------------------------------------------------------

-- Before anything is written: what is remembered is not to be trusted until commit().
function slots.begin(view)
    view.guard = false
end

-- `sub` is about to change; commit() writes it.
function slots.touch(view, sub)
    view.guard = false
    sub.line = false
    if not view.dirty then
        view.dirty = sub
    elseif view.dirty ~= sub then
        view.more = view.more or {}
        view.more[sub] = true
    end
end

-- The only two writers of a count.
function slots.take(view, sub, now)
    slots.touch(view, sub)
    sub.active = sub.active + 1
    sub.used = now
end

function slots.give(view, sub, count)
    slots.touch(view, sub)
    view.is_stuck = false
    sub.active = math.max(0, sub.active - count)
end

-- And what recount() found.
function slots.set(view, sub, active)
    slots.touch(view, sub)
    sub.active = active
end

local function commit_many(view, guard)
    local pairs_of = { "@", guard }
    view.more[view.dirty] = true
    for sub in pairs(view.more) do
        if not sub.is_gone then
            sub.line = render(sub)
            pairs_of[#pairs_of + 1] = sub.name
            pairs_of[#pairs_of + 1] = sub.line
        end
    end
    redis.call("HSET", view.k.slots, unpack(pairs_of))
end

-- The last write of a call that changed anything.
function slots.commit(view)
    view.turn = view.turn + 1
    local guard, sub = view.head .. view.turn, view.dirty
    if view.more then
        commit_many(view, guard)
    elseif sub and not sub.is_gone then
        local line = render(sub)
        redis.call("HSET", view.k.slots, sub.name, line, "@", guard)
        sub.line = line
    else
        redis.call("HSET", view.k.slots, "@", guard)
    end
    view.dirty, view.more = nil, nil
    view.guard = guard
end

-- After a change of what the guard says: epoch, closed, generation.
function slots.rehead(view)
    view.guard = false
    view.head = head_of(view)
end

-- cooldowns ---------------------------------------------------------------------------------------

-- Until `until_ms`, whatever was before. `cause`: reason, status, lease.
function slots.cool(view, sub, until_ms, cause)
    local reason = pool.text(cause.reason)
    slots.touch(view, sub)
    sub.cooling = until_ms
    redis.call("HSET", view.k.cooldowns, sub.name, "until=" .. until_ms .. " status="
        .. cause.status .. " lease=" .. cause.lease .. " reason=" .. reason)
    pool.event(view.k, "cooldown", "subscription", sub.name, "reason", reason, "status",
        cause.status, "until_ms", until_ms, "lease", cause.lease)
end

-- burst -------------------------------------------------------------------------------------------
-- The times of the last `burst` admissions, newest first, in a list an account. Whole ms: two whose
-- difference is 1001 are surely more than a second apart, two whose difference is 1000 not.

local SECOND_MS = 1001

function slots.burst_key(k, sub)
    return k.base .. ":burst:" .. sub.account
end

-- How long until one more admission fits into the sliding second; 0 = now. A time further ahead
-- than a second was written before the clock was set back, and says nothing.
function slots.burst_wait_ms(view, sub, now)
    if sub.burst == 0 or now - sub.used >= SECOND_MS then
        return 0
    end
    local oldest = redis.call("LINDEX", slots.burst_key(view.k, sub), sub.burst - 1)
    if not oldest then
        return 0
    end
    local wait = pool.count(oldest) + SECOND_MS - now
    return (wait > 0 and wait <= 2 * SECOND_MS) and wait or 0
end

-- What has reached its burst limit now: account -> ms to wait.
function slots.at_burst(view, now)
    local limited = {}
    for _, sub in ipairs(view.list) do
        local wait_ms = slots.burst_wait_ms(view, sub, now)
        limited[sub.account] = wait_ms > 0 and wait_ms or nil
    end
    return limited
end

-- The list is cut at every 64th entry only: to what the limit needs, and by half if that is more
-- than a second old.
function slots.burst_note(view, sub, now)
    if sub.burst == 0 then
        return
    end
    local key = slots.burst_key(view.k, sub)
    local length = redis.call("LPUSH", key, now)
    if length % 64 == 0 then
        local is_half_old = now - pool.count(redis.call("LINDEX", key, length / 2)) >= SECOND_MS
        local keep = math.min(sub.burst, is_half_old and length / 2 or length)
        redis.call("LTRIM", key, 0, keep - 1)
    end
end

return slots
