-- admit: choose a subscription and take one of its slots, in one step.
--
--   -> granted, account, active, max, how
--      how it was chosen: the strategy's name; of headroom also priority (as many free slots as
--      another, lower number) and least-recent (that equal too); spill (session: another one helps
--      out), trial (a person has opened it), repeat (this seq has it already)
--   -> refused, reason, retry_ms, the pool's epoch, what stands in the way of whom (refusal.lua)
--      restoring: Redis lost data, who lives registers and declares first; epoch: the caller knows
--      another one, it must renew first; ended: this seq was held and is over; else the most
--      hopeful reason, in this order: burst, full, cooling, broken, excluded, disabled, none
--   -> queued, and the rest as if refused: it waits in line (queue.lua). Its worker is woken when
--      it has been granted something, and asks again with the same seq; a settlement ends the wait
--
-- A refusal changes no counter and no lease. (When all is full it may return expired leases first,
-- which were nobody's, or be the first to notice that nobody sweeps: see lease.spared_until.)
local REAP_MAX = 16

-- Is it a matter of waiting? What cools for longer than the caller is patient is not.
local function may_wait(view, r, tally)
    return r.wait_ms > 0 and view.waiting < r.queue_max
        and (tally.counts.busy or tally.counts.burst
            or (tally.retry_ms and tally.retry_ms <= r.wait_ms)) and true or false
end

local function wait(view, holder, r, tally, now)
    local reply = refusal.tell(view, r, tally, now)
    if not queue.holds(view, r.holder .. "-" .. r.seq) then
        if not may_wait(view, r, tally) then
            return reply
        end
        queue.enter(view, holder, r, now)
        slots.commit(view)
    end
    reply[1] = "queued"
    return reply
end

-- Those who waited go first; then this one, which may be one of them.
local function try(view, holder, r, now)
    queue.dispatch(view, now)
    local granted, limited = admission.try(view, holder, r, now)
    if granted then
        queue.leave(view, r.holder .. "-" .. r.seq)
    end
    if not view.guard then
        slots.commit(view)
    end
    return granted, limited
end

local function admit(keys, argv)
    local k, r = pool.keys(keys), calls.admit(argv)
    local view, now = slots.open(k, r.lease_ms), pool.now_ms()
    if view.schema > calls.SCHEMA then
        slots.refuse_older(view)
    elseif r.epoch ~= view.epoch then
        return refusal.reply(view, "epoch", 0)
    end
    local holder = lease.holder(view, r.holder, r.link, now + r.lease_ms)
    local closed_ms = view.closed == 0 and 0 or epoch.closed_ms(view, now)
    if closed_ms > 0 then
        return refusal.reply(view, "restoring", closed_ms)
    elseif holder.has_ended
        and redis.call("HEXISTS", lease.swept_key(k, r.holder), r.seq) == 1 then
        return refusal.reply(view, "ended", refusal.RETRY_MS)
    end
    r.unknown = roster.unknown_to(view, holder.boot)
    if r.unknown and r.unknown.is_old then
        -- Its next beat tells it to declare again.
        return refusal.reply(view, "restoring", refusal.RETRY_MS)
    end
    r.barred = admission.union(r.unknown, r.excluded)
    window.weigh(view, now)
    local granted, limited = try(view, holder, r, now)
    if granted then
        return granted
    end
    local tally = refusal.count(view, r, now, limited)
    if tally.counts.busy and lease.reap(view, now, r.lease_ms, REAP_MAX) > 0 then
        slots.commit(view)
        holder = lease.holder(view, r.holder, r.link, now + r.lease_ms)
        granted, limited = try(view, holder, r, now)
        if granted then
            return granted
        end
        tally = refusal.count(view, r, now, limited)
    end
    return wait(view, holder, r, tally, now)
end

return admit
