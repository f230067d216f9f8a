-- sweep: a node's second. Heartbeat, expired leases returned, silent nodes forgotten, the open book
-- posted, memories trimmed.
--
--   FCALL weir_sweep_<v> 1 <base> node boot version digest active lease_ms
--   -> alive expired is_taken is_differing subscriptions
--      (is_taken: 1 if another process bears this node's id and has been heard of within ALIVE_MS;
--      is_differing: 1 if living nodes have different configurations; 0 subscriptions: the pool was
--      wiped, and wants to be declared again)
--
--   weir:{main}:nodes         zset   node id -> last heartbeat in ms
--   weir:{main}:node:<id>     hash   boot, former (boots), version, digest, active, started_ms
local sweep = {}

local FORMER_BOOTS_MAX = 8
local FORGOTTEN_AT_ONCE = 16

-- Is `boot` one that this node id bore before the present one?
function sweep.is_former(record, boot)
    return string.find(" " .. (record.former or "") .. " ", " " .. boot .. " ", 1, true) ~= nil
end

-- This boot is the node's from now on. What its former boots left is dropped, as if it had expired.
-- How many leases that were.
function sweep.take_over(k, node, record, boot, now)
    local dropped = lease.drop_node(k, node, boot, now)
    local former = {}
    for other in string.gmatch((record.boot or "") .. " " .. (record.former or ""), "%S+") do
        if other ~= boot and #former < FORMER_BOOTS_MAX then
            former[#former + 1] = other
        end
    end
    redis.call("HSET", pool.node_key(k, node), "boot", boot, "former", table.concat(former, " "),
        "started_ms", now, "heard_ms", now)
    pool.event(k, "node started", "node", node, "boot", boot, "dropped", dropped)
    return dropped
end

-- Is another process that bears this node's id alive? A boot that has not been heard of for a while
-- loses the id to the one that asks.
function sweep.is_taken(record, boot, now)
    if not record.boot or record.boot == boot then
        return false
    end
    local silent_ms = now - (tonumber(record.heard_ms) or 0)
    return silent_ms >= 0 and silent_ms < pool.ALIVE_MS
end

local function beat(k, request, now)
    local key = pool.node_key(k, request.node)
    local record = pool.hash(key)
    redis.call("ZADD", k.nodes, now, request.node)
    if sweep.is_taken(record, request.boot, now) then
        return true
    end
    if record.boot ~= request.boot then
        sweep.take_over(k, request.node, record, request.boot, now)
    end
    redis.call("HSET", key, "version", request.version, "digest", request.digest, "active",
        request.active, "heard_ms", now)
    redis.call("EXPIRE", key, pool.NODE_KEPT_S)
    return false
end

local function forget_silent(k, now)
    local silent = redis.call("ZRANGEBYSCORE", k.nodes, "-inf", now - pool.FORGET_MS, "LIMIT", 0,
        FORGOTTEN_AT_ONCE)
    for _, node in ipairs(silent) do
        redis.call("ZREM", k.nodes, node)
        redis.call("DEL", pool.node_key(k, node))
        pool.event(k, "node forgotten", "node", node)
    end
end

local function trim(k, now)
    redis.call("ZREMRANGEBYSCORE", k.swept, "-inf", now - pool.SWEPT_MS)
    redis.call("ZREMRANGEBYRANK", k.swept, 0, -(pool.SWEPT_MAX + 1))
    redis.call("ZREMRANGEBYRANK", k.nodes, 0, -(pool.NODES_MAX + 1))
end

-- The clock of Redis was set back: what was written before lies too far ahead, and would stay so.
local function pull_back(k, now, lease_ms)
    local ahead = redis.call("ZRANGEBYSCORE", k.leases, "(" .. now + pool.LEASE_MS_MAX, "+inf",
        "LIMIT", 0, pool.REAP_MAX)
    for _, id in ipairs(ahead) do
        redis.call("ZADD", k.leases, now + lease_ms, id)
    end
    for _, node in ipairs(redis.call("ZRANGEBYSCORE", k.nodes, "(" .. now + pool.FORGET_MS, "+inf",
        "LIMIT", 0, FORGOTTEN_AT_ONCE)) do
        redis.call("ZADD", k.nodes, now, node)
    end
end

-- If the count of slots is not the count of leases, someone has worked on them by hand: count anew.
local function recount(k)
    local subs, active = subscription.all(k), 0
    for _, sub in ipairs(subs) do
        active = active + sub.active
    end
    local held = redis.call("HLEN", k.lease)
    if active == held and held == redis.call("ZCARD", k.leases)
        or held > pool.LEASES_COUNTED_MAX then
        return
    end
    lease.recount(k, subs)
    pool.event(k, "slots recounted", "active", active, "leases", held)
end

local function survey(k, now)
    local alive, digests, count = redis.call("ZRANGEBYSCORE", k.nodes, now - pool.ALIVE_MS, "+inf",
        "LIMIT", 0, pool.NODES_MAX), {}, 0
    for _, node in ipairs(alive) do
        local digest = redis.call("HGET", pool.node_key(k, node), "digest")
        if digest and not digests[digest] then
            digests[digest], count = true, count + 1
        end
    end
    return #alive, count > 1
end

function sweep.call(keys, argv)
    local k = pool.keys(keys)
    local request = {
        node = pool.name(argv[1], "node"),
        boot = pool.boot(argv[2], "boot"),
        version = pool.text(argv[3]),
        digest = pool.text(argv[4]),
        active = pool.amount(argv[5], "active", pool.COUNT_MAX),
        lease_ms = pool.lease_ms(argv[6])
    }
    local now = pool.now_ms()
    local is_taken = beat(k, request, now)
    lease.spared_until(k, now, request.lease_ms)
    pull_back(k, now, request.lease_ms)
    local expired = lease.reap(k, now, request.lease_ms, pool.REAP_MAX)
    redis.call("HSET", k.sweeps, "last_ms", now)
    book.post(k, now)
    forget_silent(k, now)
    trim(k, now)
    recount(k)
    local alive, is_differing = survey(k, now)
    return {
        tostring(alive), tostring(expired), is_taken and "1" or "0", is_differing and "1" or "0",
        tostring(redis.call("HLEN", k.subs))
    }
end

return sweep
