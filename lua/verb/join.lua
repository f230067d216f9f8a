-- join: a node's name. Everything a node holds belongs to its boot, so two that bear one name hurt
-- nobody's slots; but people should be able to tell them apart.
--
--   -> joined, the name       (it is the wanted one, or <node>~2 where a living boot bears that)
--   -> wait, ms               ask again then, and say how long you have waited
--
-- Whoever has been heard of since the newcomer began to ask is alive; who has not been heard of for
-- SILENT_MS has lost the name.
local SUFFIXES_MAX = 99

-- Other boots of a name: whether one is alive for certain, and whether one might be.
local function look_at(beats, node, boot, waited_ms, now)
    local is_living, is_doubtful = false, false
    for i = 1, #beats, 2 do
        local of_node, of_boot = string.match(beats[i], "^(.*)%.(%x+)$")
        if of_node == node and of_boot ~= boot then
            local age = math.max(0, now - pool.count(beats[i + 1]))
            is_living = is_living or age + 100 < waited_ms
            is_doubtful = is_doubtful or age < pool.SILENT_MS
        end
    end
    return is_living, is_doubtful
end

local function find_free(beats, r, now)
    for i = 2, SUFFIXES_MAX do
        local node = string.sub(r.node, 1, 124) .. "~" .. i
        local _, is_doubtful = look_at(beats, node, r.boot, 0, now)
        if not is_doubtful then
            return node
        end
    end
    return r.node
end

local function join(keys, argv)
    local k, r = pool.keys(keys), calls.join(argv)
    local view, now = slots.open(k), pool.now_ms()
    slots.refuse_older(view)
    local beats = redis.call("ZRANGE", k.boots, 0, pool.BOOTS_MAX - 1, "WITHSCORES")
    local is_living, is_doubtful = look_at(beats, r.node, r.boot, r.waited_ms, now)
    local name = r.node
    if is_living and r.policy == "take" then
        name = find_free(beats, r, now)
    elseif is_living or is_doubtful then
        return { "wait", "300" }
    end
    local boot = name .. "." .. r.boot
    redis.call("ZADD", k.boots, now, boot)
    redis.call("HSET", roster.boot_key(k, boot), "started_ms", now)
    redis.call("EXPIRE", roster.boot_key(k, boot), pool.BOOT_KEPT_S)
    pool.event(k, "node started", "node", name, "boot", r.boot, "wanted", r.node)
    return { "joined", name }
end

return join
