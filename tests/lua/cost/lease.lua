-- lease: one admitted slot, from its grant to its end.
--
--   weir:{main}:leases    zset   id -> expiry in ms
--   weir:{main}:lease     hash   id -> "<subscription> <client> <model> <admitted at, ms>"
--   weir:{main}:swept     zset   id of a lease that expired -> when swept; a late settle books once
--   weir:{main}:sweeps    hash   last_ms: the last sweep; grace_until_ms, grace_for: spared_until()
--
-- Invariants (docs/redis-keys.md has the transitions):
--   (1) an id is in `leases` iff it is in `lease`: it is held
--   (2) active of a subscription = number of held leases that name it
--   (3) a held id is not in `swept`
--   (4) active grows beyond max only by restore, or when max is lowered
local lease = {}

function lease.subscription_of(record)
    return string.match(record, "^%S+")
end

-- Write down who holds an id; the caller sets its expiry and counts it.
function lease.record(k, id, sub, client, model, now)
    redis.call("HSET", k.lease, id, string.format("%s %s %s %d", sub, client, model, now))
end

-- End leases by force: they are forgotten as held, counted out and remembered as swept.
function lease.sweep_out(k, ids, now)
    if #ids == 0 then
        return
    end
    local records = redis.call("HMGET", k.lease, unpack(ids))
    local freed, remember = {}, {}
    for i, id in ipairs(ids) do
        remember[#remember + 1] = now
        remember[#remember + 1] = id
        if records[i] then
            local name = lease.subscription_of(records[i])
            freed[name] = (freed[name] or 0) + 1
        end
    end
    redis.call("ZREM", k.leases, unpack(ids))
    redis.call("HDEL", k.lease, unpack(ids))
    redis.call("ZADD", k.swept, unpack(remember))
    for name, count in pairs(freed) do
        subscription.add_active(k, name, -count)
    end
end

-- Until when expired leases are spared. If nobody swept for a while (Redis was away, or all nodes
-- were), that is one more lease time from when it is first noticed, so that living nodes can renew
-- before anyone takes their slots. `grace_for` names the sweep that went before the gap.
function lease.spared_until(k, now, lease_ms)
    local state = redis.call("HMGET", k.sweeps, "last_ms", "grace_until_ms", "grace_for")
    local last, grace_until = tonumber(state[1]) or 0, tonumber(state[2]) or 0
    if now - last > pool.UNSWEPT_MS and tonumber(state[3]) ~= last then
        redis.call("HSET", k.sweeps, "grace_until_ms", now + lease_ms, "grace_for", last)
        return now + lease_ms
    end
    if grace_until > now + pool.LEASE_MS_MAX then
        return now -- written before the clock was set back
    end
    return grace_until
end

-- Return leases that have expired, at most `max`. How many were.
function lease.reap(k, now, lease_ms, max)
    local ids = redis.call("ZRANGEBYSCORE", k.leases, "-inf", now, "LIMIT", 0, max)
    if #ids == 0 or lease.spared_until(k, now, lease_ms) > now then
        return 0
    end
    lease.sweep_out(k, ids, now)
    pool.event(k, "leases expired", "count", #ids, "first", ids[1])
    return #ids
end

-- What former boots of a node left. Reads every lease once, at most LEASES_COUNTED_MAX of them;
-- what is beyond expires by itself. How many were dropped.
function lease.drop_node(k, node, boot, now)
    local dropped, first = 0, 0
    while first < pool.LEASES_COUNTED_MAX do
        local page = redis.call("ZRANGE", k.leases, first, first + pool.REAP_MAX - 1)
        local former = {}
        for _, id in ipairs(page) do
            local of_node, of_boot = string.match(id, "^(.*)%.(%x+)%.[%d-]+$")
            if of_node == node and of_boot ~= boot then
                former[#former + 1] = id
            end
        end
        lease.sweep_out(k, former, now)
        dropped = dropped + #former
        first = first + #page - #former
        if #page < pool.REAP_MAX then
            break
        end
    end
    return dropped
end

-- Make invariants 1 and 2 true again after a hand has broken them: an id in only one of `leases`
-- and `lease` is dropped, and every subscription is counted anew. `subs`: all there are.
function lease.recount(k, subs)
    local held = {}
    for id, record in pairs(pool.hash(k.lease)) do
        if redis.call("ZSCORE", k.leases, id) then
            local name = lease.subscription_of(record) or ""
            held[name] = (held[name] or 0) + 1
        else
            redis.call("HDEL", k.lease, id)
        end
    end
    for _, id in ipairs(redis.call("ZRANGE", k.leases, 0, pool.LEASES_COUNTED_MAX - 1)) do
        if redis.call("HEXISTS", k.lease, id) == 0 then
            redis.call("ZREM", k.leases, id)
        end
    end
    for _, sub in ipairs(subs) do
        subscription.add_active(k, sub.name, (held[sub.name] or 0) - sub.active)
        held[sub.name] = nil
    end
    for name, count in pairs(held) do
        subscription.add_active(k, name, count)
    end
end

return lease
