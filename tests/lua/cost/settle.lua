-- settle: give a lease back and book what was used, once.
--
--   FCALL weir_settle_<v> 1 <base> id sub client model status outcome cooldown_ms cooldown_reason
--         input output cache_read cache_write_5m cache_write_1h duration_ms
--   -> "settled"    the slot is free, all is booked
--   -> "late"       the lease had expired and been swept: booked only
--   -> "duplicate"  settled before (or never heard of): nothing booked, nothing cooled
--
-- A cooldown only ever extends the one that runs. `status`: the upstream's answer, 0 = none.
local OUTCOMES = { ok = true, error = true, cancelled = true }

local function read_request(argv)
    if #argv ~= 14 then
        pool.refuse("ARGV", "14 arguments", tostring(#argv))
    end
    if not OUTCOMES[argv[6]] then
        pool.refuse("outcome", "ok, error or cancelled", argv[6])
    end
    local amount, count_max = pool.amount, pool.COUNT_MAX
    return {
        id = pool.lease_id(argv[1], "id"),
        sub = pool.name(argv[2], "sub"),
        client = pool.name(argv[3], "client"),
        model = pool.name(argv[4], "model"),
        status = pool.integer(argv[5], "status", 0, 999),
        cooldown_ms = amount(argv[7], "cooldown_ms", pool.COOLDOWN_MS_MAX),
        reason = argv[8],
        used = {
            1, argv[6] == "error" and 1 or 0, argv[6] == "cancelled" and 1 or 0,
            amount(argv[9], "input", count_max),
            amount(argv[10], "output", count_max),
            amount(argv[11], "cache_read", count_max),
            amount(argv[12], "cache_write_5m", count_max),
            amount(argv[13], "cache_write_1h", count_max),
            amount(argv[14], "duration_ms", count_max)
        }
    }
end

-- End the hold. False if the id was not held. Whose slot it was is the caller's word: asking the
-- record too would cost every settlement a call, and the caller has it from the grant.
local function release(k, id)
    if redis.call("ZREM", k.leases, id) == 0 then
        return false
    end
    redis.call("HDEL", k.lease, id)
    return true
end

local function settle(keys, argv)
    local k = pool.keys(keys)
    local request = read_request(argv)
    local was_held = release(k, request.id)
    if not was_held and redis.call("ZREM", k.swept, request.id) == 0 then
        return { "duplicate" }
    end
    if request.cooldown_ms > 0 then
        local sub = subscription.get(k, request.sub)
        if sub then
            subscription.cool(k, sub, pool.now_ms() + request.cooldown_ms, request)
            subscription.save(k, sub)
        end
    end
    if was_held then
        subscription.add_active(k, request.sub, -1)
    end
    book.enter(k, request)
    return { was_held and "settled" or "late" }
end

return settle
