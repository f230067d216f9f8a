-- health: what closes a subscription beside its slots, and what makes it less liked.
--
--   weir:{main}:slots    a line may bear, if they are not 0:
--     faults, bad        failures of its own in a row; when the last one was. After the first it is
--                        taken only if no other is free, for 5 s, doubling to 60 s
--     broken, trips      until when it takes nothing after FAULTS_MAX failures in a row: 30 s,
--                        doubling to 5 min; then one request at a time tries (probe: until when
--                        that one is waited for, by: its lease), until something succeeds
--     suspect, doubter   when its credential was refused, and to which lease: believed as soon as a
--                        second one hears the same
--     doubted            the label, where such requests were refused and not the credential
--     strikes            cooldowns of no given length in a row: each twice as long
--   weir:{main}:blocks   "<account> <label>" -> "until=... status=429 lease=... reason=...": closed
--                        for requests of that label only: a group of endpoints, a model, a family
--
-- A success takes all of a line's marks away: newer evidence counts more. What a person opens is
-- tried first (trial.lua).
local health = {}

local FAULTS_MAX = 5
local BROKEN_MS, BROKEN_MS_MAX = 30000, 300000
local POOR_MS, POOR_MS_MAX = 5000, 60000
local BELIEF_MS = 300000     -- a suspicion older than this says nothing
local STRIKE_MS_MAX = 300000 -- what repeats is not cooled for longer, unless it is told so
local BLOCKS_MAX = 2000      -- of a pool
local LIFTED_TOLD = 8

local NUMBERS = { "faults", "bad", "broken", "trips", "probe", "suspect", "strikes" }
local WORDS = { "by", "doubter", "doubted" }

-- lines -------------------------------------------------------------------------------------------

-- Out of the fields of a line; what it takes is taken out of them. Nil if there is nothing.
function health.read(fields)
    local h = nil
    for _, name in ipairs(NUMBERS) do
        local value = pool.count(fields[name])
        fields[name] = nil
        if value > 0 then
            h = h or { faults = 0, bad = 0, broken = 0, trips = 0, probe = 0, suspect = 0,
                strikes = 0 }
            h[name] = value
        end
    end
    for _, name in ipairs(WORDS) do
        if h then
            h[name] = fields[name]
        end
        fields[name] = nil
    end
    return h
end

-- As it stands behind a line.
function health.render(h)
    local text = ""
    for _, name in ipairs(NUMBERS) do
        if h[name] > 0 then
            text = text .. " " .. name .. "=" .. pool.digits(h[name])
        end
    end
    for _, name in ipairs(WORDS) do
        if h[name] then
            text = text .. " " .. name .. "=" .. h[name]
        end
    end
    return text
end

local function marks_of(view, sub)
    slots.touch(view, sub)
    sub.health = sub.health or { faults = 0, bad = 0, broken = 0, trips = 0, probe = 0,
        suspect = 0, strikes = 0 }
    return sub.health
end

local function doubled(first, times, max)
    return math.min(max, first * 2 ^ math.min(times - 1, 20))
end

-- asking ------------------------------------------------------------------------------------------

-- May anything but slots and a cooldown stand in the way? If not, nothing below needs to be asked.
function health.has_marks(sub)
    return sub.health or sub.blocks or sub.ceiling or sub.families
end

-- In how many ms a broken subscription may take a request; 0: now, nil: it is not broken.
local function broken_ms(h, now)
    if h.broken == 0 then
        return nil
    end
    return math.max(0, h.broken - now, h.by and h.probe - now or 0)
end

local function blocked_ms(blocks, labels, now)
    local wait = 0
    for label in string.gmatch(labels, "%S+") do
        wait = math.max(wait, (blocks[label] or 0) - now)
    end
    return wait
end

-- In how many ms a subscription that has marks may take a request of these labels, and why not now;
-- 0: now.
function health.wait_ms(sub, labels, now)
    local wait = sub.health and broken_ms(sub.health, now) or 0
    if wait > 0 then
        return wait, "broken"
    end
    wait = sub.blocks and blocked_ms(sub.blocks, labels, now) or 0
    wait = sub.trials and math.max(wait, trial.wait_ms(sub, labels, now)) or wait
    local ceiling = (sub.ceiling or sub.families) and window.wait_ms(sub, labels, now) or 0
    if ceiling > wait then
        return ceiling, "ceiling"
    end
    return wait, "cooling"
end

-- The label that closes it longest to a request of these, or nil.
function health.closing_label(sub, labels, now)
    local longest, closing = now, nil
    for label in string.gmatch(sub.blocks and labels or "", "%S+") do
        if (sub.blocks[label] or 0) > longest then
            longest, closing = sub.blocks[label], label
        end
    end
    return closing
end

-- Taken only if no other is free?
function health.is_poor(sub, now)
    local h = sub.health
    return h and h.faults > 0 and now >= h.bad
        and now < h.bad + doubled(POOR_MS, h.faults, POOR_MS_MAX)
end

-- A request is granted: if the subscription is broken or opened by hand, it is the one that tries.
function health.note_grant(view, sub, r, now)
    local h = sub.health
    if h and h.broken > 0 then
        slots.touch(view, sub)
        h.probe, h.by = now + trial.PROBE_MS, r.holder .. "-" .. r.seq
        trial.unwant(view, sub)
    end
    if sub.trials then
        trial.note_grant(view, sub, r.labels, r.holder .. "-" .. r.seq, now)
    end
end

-- What is held against a subscription, for people; "" if nothing is.
function health.tell(sub, now)
    local h, told = sub.health, {}
    if h and h.broken > 0 and h.broken <= now then
        told[1] = now < h.probe and "broken, one request tries it" or "broken, next to be tried"
    elseif h and h.broken > 0 then
        told[1] = string.format("broken %ds", math.ceil(math.max(0, h.broken - now) / 1000))
    elseif h and h.faults > 0 then
        told[1] = string.format("%d failed in a row", h.faults)
    end
    trial.tell(sub, told, now)
    window.tell(sub, told, now)
    local labels = {}
    for label, until_ms in pairs(sub.blocks or {}) do
        if until_ms > now then
            labels[#labels + 1] = string.format("not for %s %ds", label,
                math.ceil((until_ms - now) / 1000))
        end
    end
    table.sort(labels)
    for i = 1, math.min(#labels, 4) do
        told[#told + 1] = labels[i]
    end
    return table.concat(told, ", ")
end

-- learning ----------------------------------------------------------------------------------------

local function succeed(view, sub)
    if not sub.health then
        return
    elseif sub.health.broken > 0 then
        pool.event(view.k, "breaker closed", "subscription", sub.name)
    end
    slots.touch(view, sub)
    sub.health = nil
end

local function fail(view, sub, cause, now)
    local h = marks_of(view, sub)
    h.faults, h.bad = h.faults + 1, now
    if h.faults >= FAULTS_MAX and h.broken <= now then
        h.trips = h.trips + 1
        h.broken, h.probe, h.by = now + doubled(BROKEN_MS, h.trips, BROKEN_MS_MAX), 0, nil
        pool.event(view.k, "breaker opened", "subscription", sub.name, "faults", h.faults,
            "until_ms", h.broken, "status", cause.status, "reason", pool.text(cause.reason),
            "lease", cause.lease)
    end
end

-- Its credential was refused; or, with a label, such requests are. True if that is to be believed.
-- The lesser doubt says nothing of the subscription, and takes no greater one's place.
local function suspect(view, sub, label, cause, now)
    local h = marks_of(view, sub)
    local is_fresh = h.suspect > 0 and now - h.suspect < BELIEF_MS
    local is_known = is_fresh and h.doubted == label and h.doubter ~= cause.lease
    if label and is_fresh and not h.doubted then
        return false
    end
    h.suspect, h.doubter, h.doubted = now, cause.lease, label
    if not label then
        h.faults, h.bad = math.max(1, h.faults), now
    end
    if not is_known then
        pool.event(view.k, label and "doubted" or "credential doubted", "subscription", sub.name,
            "for", label or "all", "status", cause.status, "lease", cause.lease)
    end
    return is_known
end

local function strike(view, sub, ms)
    local h = marks_of(view, sub)
    h.strikes = h.strikes + 1
    return doubled(ms, h.strikes, math.max(ms, STRIKE_MS_MAX))
end

local function block(view, sub, label, until_ms, cause)
    local k, blocks = view.k, sub.blocks or {}
    if (blocks[label] or 0) >= until_ms
        or (not blocks[label] and redis.call("HLEN", k.blocks) >= BLOCKS_MAX) then
        return
    end
    slots.begin(view)
    trial.forget(view, sub, label)
    blocks[label] = until_ms
    sub.blocks = blocks
    local reason = pool.text(cause.reason)
    redis.call("HSET", k.blocks, sub.account .. " " .. label, "until=" .. pool.digits(until_ms)
        .. " status=" .. cause.status .. " lease=" .. cause.lease .. " reason=" .. reason)
    pool.event(k, "blocked", "subscription", sub.name, "for", label, "reason", reason, "status",
        cause.status, "until_ms", until_ms, "lease", cause.lease)
end

local function cool(view, sub, r, cause, now)
    local ms = r.cooldown_kind == "default" and strike(view, sub, r.cooldown_ms) or r.cooldown_ms
    local until_ms = now + ms
    if r.scope ~= "" then
        block(view, sub, r.scope, until_ms, cause)
    elseif until_ms > sub.cooling then
        trial.forget(view, sub, trial.ALL)
        slots.cool(view, sub, until_ms, cause)
    end
end

-- What was tried and has failed is closed again, as it was; for the rest the failure is one like
-- any other.
local function close_again(view, sub, failed, lease_id, now)
    for label, t in pairs(failed) do
        local cause = { reason = t.reason, status = t.status, lease = lease_id }
        if t.former > now and label ~= trial.ALL then
            block(view, sub, label, t.former, cause)
        elseif t.former > math.max(now, sub.cooling) then
            slots.cool(view, sub, t.former, cause)
        end
    end
end

local function conclude_trial(view, sub, r, lease_id, now)
    local is_bad = r.health == "bad" or r.health == "suspect" or r.cooldown_ms > 0
    local word = is_bad and "bad" or r.health == "good" and "good" or nil
    close_again(view, sub, trial.conclude(view, sub, lease_id, word), lease_id, now)
end

-- What a settlement tells. A cooldown only ever extends the one that runs.
function health.learn(view, sub, r)
    local h = sub.health
    if not h and not sub.trials
        and (r.health == "none" and r.cooldown_ms == 0 or r.health == "good") then
        return
    end
    local now = pool.now_ms()
    local cause = { reason = r.cooldown_reason, status = r.status,
        lease = r.holder .. "-" .. r.seq }
    local is_believed = true
    if h and h.by == cause.lease then
        slots.touch(view, sub)
        h.probe, h.by = 0, nil -- whatever came of it
    end
    if sub.trials then
        conclude_trial(view, sub, r, cause.lease, now)
    end
    if r.health == "good" then
        succeed(view, sub)
    elseif r.health == "bad" then
        fail(view, sub, cause, now)
    elseif r.health == "suspect" then
        is_believed = suspect(view, sub, r.scope ~= "" and r.scope or nil, cause, now)
    end
    if r.cooldown_ms > 0 and is_believed then
        cool(view, sub, r, cause, now)
    end
end

-- by hand -----------------------------------------------------------------------------------------

local function seconds(ms)
    return string.format("%ds", math.ceil(math.max(0, ms) / 1000))
end

-- Its cooldown and its blocks become trials. What was lifted goes into `lifted`, in words.
local function lift_closed(view, sub, lifted, now)
    local k = view.k
    if sub.cooling > now then
        local line = redis.call("HGET", k.cooldowns, sub.name)
        lifted[1] = "cooldown " .. seconds(sub.cooling - now) .. " (" .. trial.reason(line) .. ")"
        trial.begin(view, sub, trial.ALL, sub.cooling, line, now)
    end
    sub.cooling = 0
    redis.call("HDEL", k.cooldowns, sub.name)
    for label, until_ms in pairs(sub.blocks or {}) do
        if until_ms > now then
            local line = redis.call("HGET", k.blocks, sub.account .. " " .. label)
            lifted[#lifted + 1] = "not for " .. label .. " " .. seconds(until_ms - now)
            trial.begin(view, sub, label, until_ms, line, now)
        end
    end
    sub.blocks = sub.trials and {} or nil
end

-- One that is broken is tried at once, and what a failure then leads to is twice as long; where
-- something else is tried, the strikes so far count on in the same way.
local function lift_marks(sub, h, lifted, now)
    if h.suspect > 0 and now - h.suspect < BELIEF_MS then
        lifted[#lifted + 1] = h.doubted and "doubted for " .. h.doubted or "credential doubted"
    end
    h.suspect, h.doubter, h.doubted, h.bad = 0, nil, nil, 0
    if h.broken > now then
        lifted[#lifted + 1] = "broken " .. seconds(h.broken - now)
        h.broken = now
    end
    if h.broken > 0 then
        return h
    elseif h.faults > 0 then
        lifted[#lifted + 1] = string.format("%d failed in a row", h.faults)
    end
    h.faults = 0
    return sub.trials and h.strikes > 0 and h or nil
end

-- A person says: try it now. What was lifted, in words; "" if nothing was closed.
function health.lift(view, sub, now)
    local lifted = {}
    slots.touch(view, sub)
    lift_closed(view, sub, lifted, now)
    if sub.health then
        sub.health = lift_marks(sub, sub.health, lifted, now)
    end
    trial.unwant(view, sub)
    trial.want(view, sub)
    table.sort(lifted)
    return table.concat(lifted, ", ", 1, math.min(#lifted, LIFTED_TOLD))
end

-- blocks ------------------------------------------------------------------------------------------

-- All of a pool, into a view that is being loaded.
function health.read_blocks(view)
    for _, sub in ipairs(view.list) do
        sub.blocks, sub.trials = nil, nil
    end
    for field, line in pairs(pool.hash(view.k.blocks)) do
        local account, label = string.match(field, "^(%S+) (%S+)$")
        local sub = account and view.by_account[account]
        if sub then
            local fields = trial.fields(line)
            local t = trial.read(fields, line)
            sub.blocks = sub.blocks or {}
            if t then
                trial.put(sub, label, t)
            else
                sub.blocks[label] = pool.count(fields["until"])
            end
        end
    end
    view.wanted = nil
    for _, sub in ipairs(view.list) do
        if sub.health or sub.trials then
            trial.want(view, sub)
        end
    end
end

-- What lies further ahead than it ever can was written before the clock was set back.
local function pull_back(view, sub, h, now)
    if h.broken > now + BROKEN_MS_MAX or h.probe > now + trial.PROBE_MS or h.suspect > now then
        slots.touch(view, sub)
        h.broken = math.min(h.broken, now + BROKEN_MS_MAX)
        h.probe = math.min(h.probe, now + trial.PROBE_MS)
        h.suspect = math.min(h.suspect, now)
    end
end

-- With a sweep: what is over goes, so that a clock that is set back does not bring it back.
function health.trim(view, now)
    for _, sub in ipairs(view.list) do
        if sub.health then
            pull_back(view, sub, sub.health, now)
        end
        if sub.cooling > 0 and sub.cooling <= now then
            slots.touch(view, sub)
            sub.cooling = 0
            redis.call("HDEL", view.k.cooldowns, sub.name)
        end
    end
    for field, line in pairs(pool.hash(view.k.blocks)) do
        local account, fields = string.match(field, "^(%S+) "), trial.fields(line)
        local until_ms = math.max(pool.count(fields["until"]), pool.count(fields.former))
        if until_ms <= now or not view.by_account[account or ""] then
            slots.begin(view)
            redis.call("HDEL", view.k.blocks, field)
        end
    end
    health.read_blocks(view)
end

return health
