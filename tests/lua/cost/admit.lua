-- admit: choose a subscription and take one of its slots, in one step.
--
--   FCALL weir_admit_<v> 1 <base> id client model lease_ms excluded
--   -> "granted" subscription active max how
--      how it was chosen: headroom (most free slots), priority (as many free slots as another,
--      lower number), least-recent (that equal too), repeat (this id has it already)
--   -> "refused" reason retry_ms
--      the most hopeful reason, in this order: burst, full, cooling, excluded, disabled, none
--
-- A refusal changes no counter and no lease. (When all is full it may return expired leases first,
-- which were nobody's, or be the first to notice that nobody sweeps: see lease.spared_until.)
local RETRY_MS = 1000 -- when nothing is known to free at a certain time
local REAP_MAX = 16

local HOPE = { burst = 6, full = 5, cooling = 4, excluded = 3, disabled = 2, none = 1 }

-- Least recently used; a time from before the clock was set back counts as long ago.
local function is_longer_idle(sub, other, now)
    local used = sub.used > now and 0 or sub.used
    local other_used = other.used > now and 0 or other.used
    return used < other_used or (used == other_used and sub.name < other.name)
end

-- Strategy headroom: the best of the eligible and what decided; nil if none is eligible. `barred`:
-- names that are not to be taken, or nil. Every admission runs this over all subscriptions: what is
-- asked first is what passes over most of them.
local function choose(subs, now, barred)
    local best, best_free, how = nil, 1, "headroom"
    for i = 1, #subs do
        local sub = subs[i]
        local free = sub.max - sub.active
        if free >= best_free and sub.cooling_until <= now and sub.is_on
            and not (barred and barred[sub.name]) then
            if free > best_free or not best then
                best, best_free, how = sub, free, "headroom"
            elseif sub.priority == best.priority then
                how = "least-recent"
                best = is_longer_idle(sub, best, now) and sub or best
            elseif sub.priority < best.priority then
                best, how = sub, "priority"
            elseif how == "headroom" then
                how = "priority"
            end
        end
    end
    return best, how
end

-- What has reached its burst limit now: name -> ms to wait.
local function find_limited(k, subs, now)
    local limited = {}
    for _, sub in ipairs(subs) do
        local wait_ms = subscription.burst_wait_ms(k, sub, now)
        limited[sub.name] = wait_ms > 0 and wait_ms or nil
    end
    return limited
end

-- choose() among those that have not reached their burst limit. Looks at the limit of the best
-- alone, unless that one is reached.
local function choose_within_burst(k, subs, now, excluded)
    local best, how = choose(subs, now, excluded)
    if not best or subscription.burst_wait_ms(k, best, now) == 0 then
        return best, how, {}
    end
    local limited, barred = find_limited(k, subs, now), {}
    for _, names in ipairs({ limited, excluded or {} }) do
        for name in pairs(names) do
            barred[name] = true
        end
    end
    best, how = choose(subs, now, barred)
    return best, how, limited
end

-- Why one subscription does not take this request, and in how many ms it may take another.
local function explain(sub, now, excluded, limited)
    if not sub.is_on then
        return "disabled", nil
    end
    local reason, wait_ms
    if sub.cooling_until > now then
        reason, wait_ms = "cooling", sub.cooling_until - now
    elseif sub.active >= sub.max then
        reason, wait_ms = "full", RETRY_MS
    elseif limited[sub.name] then
        reason, wait_ms = "burst", limited[sub.name]
    end
    if excluded and excluded[sub.name] then
        reason = "excluded"
    end
    return reason, wait_ms
end

local function explain_all(subs, now, excluded, limited)
    local reason, retry_ms, is_full = "none", nil, false
    for _, sub in ipairs(subs) do
        local why, wait_ms = explain(sub, now, excluded, limited)
        if HOPE[why] > HOPE[reason] then
            reason = why
        end
        if wait_ms and (not retry_ms or wait_ms < retry_ms) then
            retry_ms = wait_ms
        end
        is_full = is_full or why == "full"
    end
    return reason, retry_ms or RETRY_MS, is_full
end

-- An id that is held already keeps what it has: the answer to its first asking was lost.
local function repeat_grant(k, id, expiry)
    local record = redis.call("HGET", k.lease, id)
    if not record then
        return nil
    end
    redis.call("ZADD", k.leases, expiry, id)
    local name = lease.subscription_of(record)
    local sub = subscription.get(k, name) or subscription.new(name)
    return { "granted", name, tostring(sub.active), tostring(sub.max), "repeat" }
end

local function grant(k, request, sub, how, now)
    subscription.burst_note(k, sub, now)
    lease.record(k, request.id, sub.name, request.client, request.model, now)
    sub.line = false
    sub.active = sub.active + 1
    sub.used = now
    subscription.save(k, sub)
    return { "granted", sub.name, tostring(sub.active), tostring(sub.max), how }
end

local function read_excluded(names)
    if names == "" then
        return nil
    end
    local excluded = {}
    for name in string.gmatch(names, "%S+") do
        excluded[name] = true
    end
    return excluded
end

-- A grant of whatever kind, or nil with what an explanation needs. Asking first whether the id is
-- new would cost every admission a call; so the id's own place in `leases` tells.
local function try(k, request, now)
    local subs = subscription.all(k)
    local best, how, limited = choose_within_burst(k, subs, now, request.excluded)
    local expiry = string.format("%d", now + request.lease_ms)
    if best and redis.call("ZADD", k.leases, "NX", expiry, request.id) == 1 then
        return grant(k, request, best, how, now)
    end
    local repeated = repeat_grant(k, request.id, expiry)
    if best and not repeated then -- only a hand can have left an id without a record
        redis.call("ZADD", k.leases, expiry, request.id)
        return grant(k, request, best, how, now)
    end
    return repeated, subs, limited
end

local function admit(keys, argv)
    local k = pool.keys(keys)
    local request = {
        id = pool.lease_id(argv[1], "id"),
        client = pool.name(argv[2], "client"),
        model = pool.name(argv[3], "model"),
        lease_ms = pool.lease_ms(argv[4]),
        excluded = read_excluded(argv[5] or pool.refuse("excluded", "names or an empty string"))
    }
    local now = pool.now_ms()
    local granted, subs, limited = try(k, request, now)
    if granted then
        return granted
    end
    local reason, retry_ms, is_full = explain_all(subs, now, request.excluded, limited)
    if is_full and lease.reap(k, now, request.lease_ms, REAP_MAX) > 0 then
        granted, subs, limited = try(k, request, now)
        if granted then
            return granted
        end
        reason, retry_ms = explain_all(subs, now, request.excluded, limited)
    end
    return { "refused", reason, tostring(retry_ms) }
end

return admit
