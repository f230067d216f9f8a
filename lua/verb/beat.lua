-- beat: a node's second. It is heard of, learns what holds now, and does the pool's chores if
-- nobody has done them in this second: leases of silent holders returned, the open book posted,
-- silent boots forgotten, what a hand has written taken in. So they cost the same on one node and
-- on many.
--
--   -> pairs of word and number:
--      alive           boots heard of in the last 15 s
--      expired         leases returned now          more   1: there is more to do, beat again at
--      once
--      epoch           the pool's                   closed_ms   until admissions begin again, 0 =
--      open
--      generation      of the roster                behind 1: this node's configuration is older
--      differ          1: living nodes have different configurations
--      known           1: this boot has declared its subscriptions in this epoch; 0: declare them
--      reload          when all nodes were last asked to read their configurations again; 0: never
--
-- A node that is alone with its Redis and idle writes nothing, once it has said so.
local FORGOTTEN_AT_ONCE = 16

local function forget_silent(view, now, is_all_posted)
    local k = view.k
    local silent = redis.call("ZRANGEBYSCORE", k.boots, "-inf", now - pool.FORGET_MS, "LIMIT", 0,
        FORGOTTEN_AT_ONCE)
    for _, boot in ipairs(silent) do
        redis.call("ZREM", k.boots, boot)
        redis.call("DEL", roster.boot_key(k, boot))
        pool.event(k, "node forgotten", "boot", boot)
    end
    if roster.retire(view, roster.declared(k), now, is_all_posted) then
        view.is_turning = true
    end
end

local function trim(k, now)
    for _, holder in ipairs(redis.call("ZRANGE", k.swept, 0,
        -(pool.SWEPT_HOLDERS_MAX + 1))) do
        redis.call("DEL", lease.swept_key(k, holder))
    end
    redis.call("ZREMRANGEBYRANK", k.swept, 0, -(pool.SWEPT_HOLDERS_MAX + 1))
    redis.call("ZREMRANGEBYSCORE", k.swept, "-inf", now - pool.SWEPT_S * 1000)
    redis.call("ZREMRANGEBYRANK", k.boots, 0, -(pool.BOOTS_MAX + 1))
end

-- The clock of Redis was set back: what was written before lies too far ahead, and would stay so.
local function pull_back(k, now, lease_ms)
    for _, holder in ipairs(redis.call("ZRANGEBYSCORE", k.holders, "(" .. now + pool.LEASE_MS_MAX,
        "+inf", "LIMIT", 0, pool.REAP_MAX)) do
        redis.call("ZADD", k.holders, now + lease_ms, holder)
    end
    for _, boot in ipairs(redis.call("ZRANGEBYSCORE", k.boots, "(" .. now + pool.FORGET_MS, "+inf",
        "LIMIT", 0, FORGOTTEN_AT_ONCE)) do
        redis.call("ZADD", k.boots, now, boot)
    end
end

local function survey(k, now)
    local alive = redis.call("ZRANGEBYSCORE", k.boots, now - pool.ALIVE_MS, "+inf", "LIMIT", 0,
        pool.BOOTS_MAX)
    local digests, count = {}, 0
    for _, boot in ipairs(alive) do
        local digest = redis.call("HGET", roster.boot_key(k, boot), "digest")
        if digest and not digests[digest] then
            digests[digest], count = true, count + 1
        end
    end
    redis.call("HSET", k.sweeps, "alive", #alive, "differ", count > 1 and 1 or 0)
end

-- `last_ms`: the sweep before. How many leases were returned, and whether there is more to do.
local function sweep(view, r, now, last_ms)
    local k = view.k
    repair.check_usual(k, now)
    slots.forget(view) -- so that a hand's work is read
    view = slots.open(k, r.lease_ms)
    slots.begin(view)
    lease.spared_until(k, now, r.lease_ms)
    pull_back(k, now, r.lease_ms)
    local expired, is_more = lease.reap(view, now, r.lease_ms, pool.REAP_MAX)
    local is_more_to_post = book.post(view, now)
    forget_silent(view, now, not is_more_to_post)
    trim(k, now)
    window.trim(view, now)
    health.trim(view, now)
    queue.tidy(view, now)
    share.trim(view)
    lease.recount(view, math.floor(now / 60000) ~= math.floor(last_ms / 60000))
    if view.is_turning then
        view.is_turning = nil
        roster.turn(view)
    else
        slots.commit(view)
    end
    survey(k, now)
    is_more = is_more or is_more_to_post
    redis.call("HSET", k.sweeps, "last_ms", now, "more", is_more and 1 or 0)
    return expired, is_more
end

local function has_nothing_to_do(view, boot)
    local k = view.k
    return redis.call("ZSCORE", k.boots, boot) and redis.call("ZCARD", k.holders) == 0
        and redis.call("HGET", roster.boot_key(k, boot), "active") == "0"
        and redis.call("EXISTS", k.open, k.posting) == 0 and view.closed == 0
end

local function beat_once(k, r, boot, now)
    redis.call("ZADD", k.boots, now, boot)
    redis.call("HSET", roster.boot_key(k, boot), "version", r.version, "digest", r.digest, "active",
        r.active, "workers", r.workers, "alone", r.alone)
    local reload = r.reloads[1]
    if reload then
        redis.call("HSET", roster.boot_key(k, boot), "reload_asked", reload.asked, "reload_result",
            reload.result, "reload_words", reload.words)
    end
    redis.call("EXPIRE", roster.boot_key(k, boot), pool.BOOT_KEPT_S)
end

local function report(k, view, boot, now, expired, is_more)
    local found = redis.call("HMGET", k.sweeps, "alive", "differ")
    local knows, is_behind = roster.knows(view, boot),
        redis.call("HGET", roster.boot_key(k, boot), "behind") == "1"
    local reply = {}
    for _, pair in ipairs({
        { "alive", pool.count(found[1]) }, { "expired", expired }, { "more", is_more and 1 or 0 },
        { "epoch", view.epoch }, { "closed_ms", math.max(0, view.closed - now) },
        { "generation", view.generation },
        { "behind", (is_behind or roster.unknown_to(view, boot)) and 1 or 0 },
        { "differ", pool.count(found[2]) }, { "known", knows and 1 or 0 },
        { "reload", mend.reload_asked(k) }
    }) do
        reply[#reply + 1] = pair[1]
        reply[#reply + 1] = string.format("%.0f", pair[2])
    end
    return reply
end

local function beat(keys, argv)
    local k, r = pool.keys(keys), calls.beat(argv)
    local view, now = slots.open(k, r.lease_ms), pool.now_ms()
    slots.refuse_older(view)
    local boot, expired, is_more = r.node .. "." .. r.boot, 0, false
    if r.alone == 1 and r.active == 0 and not r.reloads[1] and has_nothing_to_do(view, boot) then
        return report(k, view, boot, now, 0, false)
    end
    epoch.meet(view, r.epoch, r.lease_ms, now)
    beat_once(k, r, boot, now)
    local last = redis.call("HMGET", k.sweeps, "last_ms", "more")
    local last_ms = pool.count(last[1])
    local swept_ms_ago = now - last_ms
    if swept_ms_ago >= pool.SWEEP_EVERY_MS or swept_ms_ago < 0 or last[2] == "1" then
        expired, is_more = sweep(view, r, now, last_ms)
        view = slots.open(k, r.lease_ms)
    end
    epoch.look(view, now)
    return report(k, view, boot, now, expired, is_more)
end

return beat
