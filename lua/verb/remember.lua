-- remember: a node's finished requests, some at a time, for whoever asks later why one went as it
-- did (recall). Sent twice they are kept once. No slot, book or cooldown depends on it.
--
--   -> ok
local function remember(keys, argv)
    local k, r = pool.keys(keys), calls.remember(argv)
    history.add(k, r.max, r.requests, pool.now_ms())
    return { "ok" }
end

return remember
