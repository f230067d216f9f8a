-- recall: a finished request by its id or by a provider's. Reads only.
--
--   -> found, its id, its log lines
--   -> none, since when requests are remembered (ms; 0: there are none), how many there are, the
--      time now, and which node gave out the id, if that lives
local function node_of(k, id)
    local boot = string.match(id, "^weir_(%x%x%x%x%x%x%x%x)%-")
    local boots = boot and redis.pcall("ZRANGE", k.boots, 0, pool.BOOTS_MAX - 1) or {}
    for _, each in ipairs(boots) do
        local node, of_node = string.match(each, "^(.*)%.(%x+)$")
        if of_node == boot then
            return node
        end
    end
    return ""
end

local function recall(keys, argv)
    local k, r = pool.keys(keys), calls.recall(argv)
    local id, lines = history.find(k, r.id)
    if id then
        return { "found", id, lines }
    end
    local since, count = history.reach(k)
    local number = "%.0f"
    return { "none", string.format(number, since), string.format(number, count),
        string.format(number, pool.now_ms()), node_of(k, r.id) }
end

return recall
