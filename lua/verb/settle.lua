-- settle: give a lease back and book what was used, once.
--
--   -> settled     the slot is free, all is booked
--   -> late        the lease had expired and been swept: booked only
--   -> left        it waited, and does so no more
--   -> duplicate   settled before (or never heard of): nothing booked, nothing cooled
--
-- Whose slot it is says the record, not the caller. What follows for the subscription: health.lua.
local function used_by(r)
    return {
        1, r.outcome == "error" and 1 or 0, r.outcome == "cancelled" and 1 or 0, r.input, r.output,
        r.cache_read, r.cache_write_5m, r.cache_write_1h, r.duration_ms, r.output_estimated
    }
end

local function give_up(view, r)
    if not queue.leave(view, r.holder .. "-" .. r.seq) then
        return { "duplicate" }
    end
    slots.commit(view)
    return { "left" }
end

local function settle(keys, argv)
    local k, r = pool.keys(keys), calls.settle(argv)
    local view = slots.open(k)
    local key, word = lease.held_key(k, r.holder), "settled"
    local record = redis.call("HGET", key, r.seq)
    if not record then
        key, word = lease.swept_key(k, r.holder), "late"
        record = redis.call("HGET", key, r.seq)
        if not record then
            return give_up(view, r)
        end
    end
    slots.begin(view)
    local account, client, _, since = lease.read(record)
    local sub = account and lease.subscription_of(view, account)
    if sub then
        health.learn(view, sub, r)
        if r.windows ~= "" then
            local now = pool.now_ms()
            window.learn(view, sub, r.windows, math.max(0, now - r.windows_age_ms), now)
        end
    end
    if sub and r.outcome ~= "unused" then
        book.enter(view, account, client, r.model, used_by(r))
    end
    redis.call("HDEL", key, r.seq) -- last of what may fail: the call can be made again until then
    if sub and word == "settled" then
        local now = pool.now_ms()
        slots.give(view, sub, 1)
        share.give(view, client, since, now)
        repair.spare(queue.dispatch, view, now)
    end
    slots.commit(view)
    return { word }
end

return settle
