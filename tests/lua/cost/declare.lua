-- declare: make the subscriptions of a configuration known.
--
--   FCALL weir_declare_<v> 1 <base> node boot count
--         { name max_concurrent priority enabled burst_limit } count times
--   -> "ok" dropped   (leases)
--
-- What is named is added or updated; active, cooldown and totals stay. What is not named takes
-- nothing more and goes once idle. The last declaration holds for all nodes.
--
-- At a node's start (its boot is new to this node id) the leases its former boots left are dropped
-- at once, as if they had expired; never those of other nodes. A boot that has been replaced drops
-- nothing.
local ARGUMENTS_EACH = 5

local function read_subscription(argv, first, index)
    local argument = "subscription " .. index .. " "
    return {
        name = pool.name(argv[first], argument .. "name"),
        max = pool.integer(argv[first + 1], argument .. "max_concurrent", 0, 1000000),
        priority = pool.integer(argv[first + 2], argument .. "priority", 0, 1000000),
        state = pool.integer(argv[first + 3], argument .. "enabled", 0, 1) == 1 and "on" or "off",
        burst = pool.integer(argv[first + 4], argument .. "burst_limit", 0, pool.BURST_MAX)
    }
end

local function read_request(argv)
    local request = { node = pool.name(argv[1], "node"), boot = pool.boot(argv[2], "boot"),
        declared = {}, is_named = {} }
    local count = pool.integer(argv[3], "count", 0, pool.SUBSCRIPTIONS_MAX)
    if #argv ~= 3 + count * ARGUMENTS_EACH then
        pool.refuse("ARGV", string.format("%d arguments for count %d", 3 + count * ARGUMENTS_EACH,
            count), tostring(#argv))
    end
    for i = 1, count do
        local declared = read_subscription(argv, 4 + (i - 1) * ARGUMENTS_EACH, i)
        if request.is_named[declared.name] then
            pool.refuse("subscription " .. i .. " name", "a name not yet given", declared.name)
        end
        request.declared[i], request.is_named[declared.name] = declared, true
    end
    return request
end

local function apply(k, declared)
    local stored = subscription.get(k, declared.name)
    local sub = stored or subscription.new(declared.name)
    if stored and sub.max == declared.max and sub.state == declared.state
        and sub.priority == declared.priority and sub.burst == declared.burst then
        return
    end
    subscription.configure(sub, declared)
    subscription.save(k, sub)
    pool.event(k, stored and "subscription changed" or "subscription added", "subscription",
        sub.name, "max", sub.max, "state", sub.state, "priority", sub.priority, "burst", sub.burst)
end

local function retire_unnamed(k, is_named)
    for _, sub in ipairs(subscription.all(k)) do
        if not is_named[sub.name] then
            if sub.state ~= "leaving" or sub.active == 0 then
                subscription.configure(sub, { max = sub.max, state = "leaving",
                    priority = sub.priority, burst = sub.burst })
                subscription.save(k, sub)
            end
        end
    end
end

local function drop_former(k, request, now)
    local record = pool.hash(pool.node_key(k, request.node))
    if record.boot == request.boot or sweep.is_former(record, request.boot) then
        return 0
    end
    redis.call("ZADD", k.nodes, now, request.node)
    return sweep.take_over(k, request.node, record, request.boot, now)
end

local function declare(keys, argv)
    local k = pool.keys(keys)
    local request = read_request(argv)
    local dropped = drop_former(k, request, pool.now_ms())
    for _, declared in ipairs(request.declared) do
        apply(k, declared)
    end
    retire_unnamed(k, request.is_named)
    return { "ok", tostring(dropped) }
end

return declare
