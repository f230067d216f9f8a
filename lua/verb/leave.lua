-- leave: a node's clean end. What its holders have left is returned by the next sweep, at once.
--
--   -> ok
local function leave(keys, argv)
    local k, r = pool.keys(keys), calls.leave(argv)
    local boot = r.node .. "." .. r.boot
    local workers = pool.count(redis.call("HGET", roster.boot_key(k, boot), "workers"))
    slots.open(k)
    lease.release_boot(k, boot, math.min(workers, 1024))
    redis.call("ZREM", k.boots, boot)
    redis.call("DEL", roster.boot_key(k, boot))
    pool.event(k, "node left", "node", r.node, "boot", r.boot)
    return { "ok" }
end

return leave
