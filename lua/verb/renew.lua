-- renew: keep what a holder has; after a new connection, an outage or in a new epoch, say what that
-- is.
--
--   -> kept | differs | epoch, the pool's epoch, leases held in Redis, and the seqs that are lost
--
-- Without a list one expiry is moved, whatever the holder has, and only the number is compared:
-- `count` leases, and `open` questions on their way that may have become leases already. If it does
-- not fit the answer is `differs`, and the list is wanted; if the holder knows another epoch,
-- `epoch`, and the list with that one.
--
-- With a list: what is missing is taken again, in mode renew (this node stood still meanwhile) if
-- its subscription has a free slot, else it is lost, nothing more may flow for it; in mode restore
-- (Redis could not be reached, or has lost it) always, for these requests are running: over the cap
-- nothing is admitted, so it drains. `only`: between from and to there is nothing else of this
-- holder; what is found there all the same ends as if it had expired, unless it was granted to one
-- that waits and has not heard of it yet.
local function may_take(view, mode, account)
    local sub = view.by_account[account]
    return mode == "restore" or (sub ~= nil and sub.active < sub.max)
end

local function take_list(view, holder, r, now)
    local seqs, lost, first = {}, {}, nil
    for i, row in ipairs(r.leases) do
        seqs[i] = row.seq
    end
    local records = redis.call("HMGET", holder.key, unpack(seqs))
    local taken = {}
    for i, row in ipairs(r.leases) do
        if not records[i] and not taken[seqs[i]] then
            if may_take(view, r.mode, row.account) then
                slots.begin(view)
                lease.hold(view, holder, seqs[i], row, now)
                taken[seqs[i]], first = true, first or seqs[i]
            else
                lost[#lost + 1] = seqs[i]
            end
        end
    end
    if first then
        pool.event(view.k, "leases taken again", "mode", r.mode, "first",
            holder.name .. "-" .. first)
    end
    return lost, seqs
end

local function drop_others(view, holder, r, seqs, now)
    local is_listed, flat = {}, {}
    for _, seq in ipairs(seqs) do
        is_listed[seq] = true
    end
    for seq, record in pairs(pool.hash(holder.key)) do
        local number = tonumber(seq)
        if number and number >= r.from and number <= r.to and not is_listed[seq]
            and not queue.is_untaken(view, holder.name .. "-" .. seq)
            and #flat < 2 * pool.REAP_MAX then -- the rest with the next renewal
            flat[#flat + 1] = seq
            flat[#flat + 1] = record
        end
    end
    if #flat > 0 then
        pool.event(view.k, "leases nobody holds", "count", #flat / 2, "first",
            holder.name .. "-" .. flat[1])
        lease.end_by_force(view, holder.name, flat, now)
    end
end

local function answer(view, word, held, lost)
    local reply = { word, string.format("%.0f", view.epoch), tostring(held) }
    for i, seq in ipairs(lost or {}) do
        reply[3 + i] = seq
    end
    return reply
end

local function renew(keys, argv)
    local k, r = pool.keys(keys), calls.renew(argv)
    local view, now = slots.open(k, r.lease_ms), pool.now_ms()
    local holder = lease.holder(view, r.holder, r.link, now + r.lease_ms)
    epoch.meet(view, r.epoch, r.lease_ms, now)
    if r.epoch ~= view.epoch then
        return answer(view, "epoch", lease.count(k, r.holder))
    end
    local lost = nil
    if #r.leases > 0 or r.only == 1 then
        local seqs = {}
        if #r.leases > 0 then
            lost, seqs = take_list(view, holder, r, now)
        end
        if r.only == 1 then
            drop_others(view, holder, r, seqs, now)
        end
    end
    local held = lease.count(k, r.holder)
    local fits = held >= r.count and held <= r.count + r.open
    if r.count > 0 or held > 0 or r.open > 0 then
        if redis.call("HEXISTS", holder.key, "@") == 0 then
            redis.call("HSET", holder.key, "@", string.format("link=%d", r.link))
        end
        lease.extend(view, holder, now + r.lease_ms)
    end
    if not view.guard then
        slots.commit(view)
    end
    if #r.leases == 0 and r.only == 0 and fits then
        epoch.register(view, r.holder, now)
    end
    return answer(view, fits and "kept" or "differs", held, lost)
end

return renew
