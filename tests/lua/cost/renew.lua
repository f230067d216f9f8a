-- renew: keep the leases of a worker, all in one call.
--
--   FCALL weir_renew_<v> 1 <base> lease_ms mode "id sub client model" ...     (at most 256)
--   -> the ids that are lost; nothing more may flow for them
--
-- mode renew: what is held gets a new expiry; what is not (it was swept while this node stood
-- still) is taken again if its subscription has a free slot, else lost.
-- mode restore: Redis could not be reached; what is not held is held again unconditionally, for
-- these requests are running. Over the cap nothing is admitted, so it drains.
-- A node never asks for what it has settled: it renews and settles over one connection, in order.
-- (A renewal left over in a connection that broke can bring an id back for one lease time at most.)
local function read_wanted(text, index)
    local id, sub, client, model = string.match(text, "^(%S+) (%S+) (%S+) (%S+)$")
    local argument = "lease " .. index
    if not id then
        pool.refuse(argument, "'id sub client model'", text)
    end
    return {
        id = pool.lease_id(id, argument),
        sub = pool.name(sub, argument),
        client = pool.name(client, argument),
        model = pool.name(model, argument)
    }
end

local function read_request(argv)
    local request = { lease_ms = pool.lease_ms(argv[1]), mode = argv[2], wanted = {}, ids = {} }
    if request.mode ~= "renew" and request.mode ~= "restore" then
        pool.refuse("mode", "renew or restore", request.mode)
    end
    if #argv - 2 > pool.RENEW_MAX then
        pool.refuse("leases", "at most " .. pool.RENEW_MAX, tostring(#argv - 2))
    end
    for i = 3, #argv do
        local wanted = read_wanted(argv[i], i - 2)
        request.wanted[i - 2], request.ids[i - 2] = wanted, wanted.id
    end
    return request
end

local function may_take_again(k, mode, wanted)
    local sub = subscription.get(k, wanted.sub)
    return mode == "restore" or (sub and sub.active < sub.max)
end

local function take_again(k, wanted, expiry, now)
    redis.call("ZADD", k.leases, expiry, wanted.id)
    lease.record(k, wanted.id, wanted.sub, wanted.client, wanted.model, now)
    redis.call("ZREM", k.swept, wanted.id)
    subscription.add_active(k, wanted.sub, 1)
end

local function extend(k, request, records, expiry)
    local members = {}
    for i, id in ipairs(request.ids) do
        if records[i] then
            members[#members + 1] = expiry
            members[#members + 1] = id
        end
    end
    if #members > 0 then
        redis.call("ZADD", k.leases, unpack(members))
    end
end

local function renew(keys, argv)
    local k = pool.keys(keys)
    local request = read_request(argv)
    local lost = {}
    if #request.ids == 0 then
        return lost
    end
    local now = pool.now_ms()
    local expiry = now + request.lease_ms
    local records = redis.call("HMGET", k.lease, unpack(request.ids))
    extend(k, request, records, expiry)
    local taken, first = {}, nil
    for i, wanted in ipairs(request.wanted) do
        if not records[i] and not taken[wanted.id] then
            if may_take_again(k, request.mode, wanted) then
                take_again(k, wanted, expiry, now)
                taken[wanted.id], first = true, first or wanted.id
            else
                lost[#lost + 1] = wanted.id
            end
        end
    end
    if first then
        pool.event(k, "leases taken again", "mode", request.mode, "first", first)
    end
    return lost
end

return renew
