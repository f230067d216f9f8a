-- admission: a request gets a slot of the subscription that the strategy chooses; or none.
--
-- `r`: holder, seq, client, model, lease_ms, labels; unknown, excluded, barred: sets of accounts,
-- or nil.
local admission = {}

function admission.union(a, b)
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
    best, how = strategy.choose(view, r, now, admission.union(limited, barred))
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

-- A seq that is held already keeps what it has: the answer to its first asking was lost, or it was
-- granted while it waited.
local function repeat_grant(view, holder, r, now)
    local record = redis.call("HGET", holder.key, r.seq)
    local account = record and lease.read(record)
    if not account then
        return nil
    end
    queue.taken(view, r.holder .. "-" .. r.seq)
    lease.keep_alive(view, holder, now, r.lease_ms)
    local sub = view.by_account[account] or { active = 0, max = 0 }
    return { "granted", account, tostring(sub.active), tostring(sub.max), "repeat" }
end

local function grant(view, holder, r, sub, how, now)
    slots.burst_note(view, sub, now)
    strategy.note(view, sub, r, now)
    health.note_grant(view, sub, r, now)
    slots.take(view, sub, now)
    share.take(view, r.client, now)
    lease.keep_alive(view, holder, now, r.lease_ms)
    return { "granted", sub.account, pool.digits(sub.active), pool.digits(sub.max), how }
end

-- A grant of whatever kind, or nil with what an explanation needs; the caller commits. Asking first
-- whether the seq is new would cost every admission a call; so writing its record tells.
function admission.try(view, holder, r, now)
    local best, how, limited = choose_best(view, r, now)
    if not best then
        return repeat_grant(view, holder, r, now), limited
    end
    local guard = view.guard
    slots.begin(view)
    if redis.call("HSETNX", holder.key, r.seq, lease.record(best, r.client, r.model, now)) == 1 then
        return grant(view, holder, r, best, how, now)
    end
    view.guard = guard -- nothing was written
    return repeat_grant(view, holder, r, now), limited
end

return admission
