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
--
-- A refusal changes no counter and no lease. (When all is full it may return expired leases first,
-- which were nobody's, or be the first to notice that nobody sweeps: see lease.spared_until.)
local REAP_MAX = 16

local function union(a, b)
    if not a or not b then
        return a or b
    end
    local both = {}
    for account in pairs(a) do
        both[account] = true
    end
    for account in pairs(b) do
        both[account] = true
    end
    return both
end

-- The strategy's choice among those that have not reached their burst limit. Looks at the limit of
-- the best alone, unless that one is reached.
local function choose_within_burst(view, r, now, barred)
    local best, how = strategy.choose(view, r, now, barred)
    if not best or slots.burst_wait_ms(view, best, now) == 0 then
        return best, how, {}
    end
    local limited = slots.at_burst(view, now)
    best, how = strategy.choose(view, r, now, union(limited, barred))
    return best, how, limited
end

-- One that a person has opened and that this request can try; nil: none.
local function choose_wanted(view, r, now)
    for _, sub in ipairs(view.wanted) do
        if sub.is_on and not sub.is_gone and sub.active < sub.max and sub.cooling <= now
            and not (r.barred and r.barred[sub.account]) and trial.is_wanted_for(sub, r.labels)
            and health.wait_ms(sub, r.labels, now) == 0
            and slots.burst_wait_ms(view, sub, now) == 0 then
            return sub
        end
    end
end

-- Those that a person wants to be tried come first, those that have just failed last.
local function choose_best(view, r, now)
    r.next_pass, r.begins_session = nil, nil
    local wanted = view.wanted and choose_wanted(view, r, now)
    if wanted then
        return wanted, "trial", {}
    end
    r.takes_poor, r.has_passed = false, false
    local best, how, limited = choose_within_burst(view, r, now, r.barred)
    if not best and r.has_passed then
        r.takes_poor = true
        best, how, limited = choose_within_burst(view, r, now, r.barred)
    end
    return best, how, limited
end

-- A seq that is held already keeps what it has: the answer to its first asking was lost.
local function repeat_grant(view, holder, r)
    local record = redis.call("HGET", holder.key, r.seq)
    local account = record and lease.read(record)
    if not account then
        return nil
    end
    local sub = view.by_account[account] or { active = 0, max = 0 }
    return { "granted", account, tostring(sub.active), tostring(sub.max), "repeat" }
end

local function grant(view, holder, r, sub, how, now)
    slots.burst_note(view, sub, now)
    strategy.note(view, sub, r, now)
    health.note_grant(view, sub, r, now)
    slots.take(view, sub, now)
    lease.keep_alive(view, holder, now, r.lease_ms)
    slots.commit(view)
    return { "granted", sub.account, pool.digits(sub.active), pool.digits(sub.max), how }
end

-- A grant of whatever kind, or nil with what an explanation needs. Asking first whether the seq is
-- new would cost every admission a call; so writing its record tells.
local function try(view, holder, r, now)
    local best, how, limited = choose_best(view, r, now)
    if not best then
        return repeat_grant(view, holder, r), limited
    end
    local guard = view.guard
    slots.begin(view)
    if redis.call("HSETNX", holder.key, r.seq, lease.record(best, r.client, r.model, now)) == 1 then
        return grant(view, holder, r, best, how, now)
    end
    view.guard = guard -- nothing was written
    return repeat_grant(view, holder, r), limited
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
    r.barred = union(r.unknown, r.excluded)
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
    return refusal.tell(view, r, tally, now)
end

return admit
