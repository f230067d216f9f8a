-- strategy: which of those that may take a request gets it. A row for each way of choosing; which
-- one holds is the pool's, so that all nodes choose alike, and from the same current values.
--
--   weir:{main}:settings   configured -> "strategy=headroom session_ms=18000000 edited=1795200"
--                          strategy   -> "name=round-robin since=1795222800123 by=redis-cli": a
--                                        person said so; it holds, whatever is configured
--   weir:{main}:slots      a line may bear
--     pass      how far a subscription has come in taking turns: each grant takes it on by one, or
--               by 20 / tier where tiers weigh. Who has come least far is next
--     session   since when the pool's session is its own
--
-- A row: choose(view, r, now, barred) -> the subscription, how it was chosen; or nil. It may leave
-- in `r` what note() writes down when the request is granted.
local strategy = {}

local TIER_MAX = 20
local PASS_MAX = 1e11 -- up to there a line's 14 digits tell thousandths
local SESSION_MS = 5 * 3600000

-- who may -----------------------------------------------------------------------------------------

-- May one that has marks take this request? `has_passed`: set if one was passed over that would
-- do if there is no other.
local function is_well(sub, r, now)
    if health.wait_ms(sub, r.labels, now) > 0 then
        return false
    elseif not r.takes_poor and (health.is_poor(sub, now) or window.is_shy(sub, r.labels)) then
        r.has_passed = true
        return false
    end
    return true
end

local function is_eligible(sub, r, now, barred)
    return sub.active < sub.max and sub.cooling <= now and sub.is_on
        and not (barred and barred[sub.account])
        and not (health.has_marks(sub) and not is_well(sub, r, now))
end

-- Least recently used; a time from before the clock was set back counts as long ago.
local function is_longer_idle(sub, other, now)
    local used = sub.used > now and 0 or sub.used
    local other_used = other.used > now and 0 or other.used
    return used < other_used or (used == other_used and sub.name < other.name)
end

-- The first of the eligible in the order that `is_before(sub, other, now, floor)` makes.
local function first(view, r, now, barred, is_before, floor)
    local best = nil
    for _, sub in ipairs(view.list) do
        if is_eligible(sub, r, now, barred)
            and (not best or is_before(sub, best, now, floor)) then
            best = sub
        end
    end
    return best
end

-- headroom ----------------------------------------------------------------------------------------

local function score_of(sub, r)
    local share = sub.families and window.share(sub, r.labels) or sub.share
    return (sub.max - sub.active) * share + sub.pace
end

-- Most free slots, each worth what is left of the scarcest window, and a bonus for who is behind an
-- even use of its week. Written out, for every admission of most pools runs this over all
-- subscriptions: what is asked first is what passes over most of them.
local function headroom(view, r, now, barred)
    local subs = view.list
    local best, best_score, how = nil, -math.huge, "headroom"
    for i = 1, #subs do
        local sub = subs[i]
        local score = sub.windows and score_of(sub, r) or sub.max - sub.active
        if score >= best_score and sub.active < sub.max and sub.cooling <= now and sub.is_on
            and not (barred and barred[sub.account])
            and not ((sub.health or sub.blocks or sub.ceiling or sub.families)
                and not is_well(sub, r, now)) then
            if score > best_score or not best then
                best, best_score, how = sub, score, "headroom"
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

-- priority ----------------------------------------------------------------------------------------

local function is_preferred(sub, other, now)
    if sub.priority ~= other.priority then
        return sub.priority < other.priority
    end
    local free, other_free = sub.max - sub.active, other.max - other.active
    return free > other_free or (free == other_free and is_longer_idle(sub, other, now))
end

local function priority(view, r, now, barred)
    return first(view, r, now, barred, is_preferred), "priority"
end

-- drain-soonest -----------------------------------------------------------------------------------

-- What is left of a week expires with it: the one whose week ends first. Who has none that is known
-- comes behind those, by free slots.
local function drain_soonest(view, r, now, barred)
    local best, best_drains = nil, nil
    for _, sub in ipairs(view.list) do
        if is_eligible(sub, r, now, barred) then
            local drains = window.drains(sub, r.labels) or math.huge
            if not best or drains < best_drains
                or (drains == best_drains and is_preferred(sub, best, now)) then
                best, best_drains = sub, drains
            end
        end
    end
    return best, "drain-soonest"
end

-- turns -------------------------------------------------------------------------------------------
-- Stride scheduling (Waldspurger and Weihl, 1995): of those that can always be taken each gets
-- exactly its share of a cycle, evenly spread.

local function one(_)
    return 1
end

local function by_tier(sub)
    return math.floor(TIER_MAX * 1000 / sub.tier + 0.5) / 1000
end

local STEPS = {
    ["least-requests"] = one, ["round-robin"] = one,
    ["weighted"] = by_tier, ["weighted-round-robin"] = by_tier
}

local function is_behind(sub, other, _, floor)
    local pass = math.max(sub.pass or 0, floor)
    local other_pass = math.max(other.pass or 0, floor)
    return pass < other_pass or (pass == other_pass and sub.name < other.name)
end

-- Where the last turn was taken: who could take none until now does not catch up.
local function last_turn(view, step)
    local floor = 0
    for _, sub in ipairs(view.list) do
        floor = sub.pass and math.max(floor, sub.pass - step(sub)) or floor
    end
    return floor
end

-- Everybody catches up.
local function start()
    return 0
end

local function turns(word, floor_of)
    local step = STEPS[word]
    return function(view, r, now, barred)
        local floor = floor_of(view, step)
        local best = first(view, r, now, barred, is_behind, floor)
        r.next_pass = best and math.max(best.pass or 0, floor) + step(best)
        return best, word
    end
end

-- session -----------------------------------------------------------------------------------------

local function owner_of_session(view)
    local owner = nil
    for _, sub in ipairs(view.list) do
        if sub.session and (not owner or sub.session > owner.session) then
            owner = sub
        end
    end
    return owner
end

local function is_next(sub, other, now)
    if sub.priority ~= other.priority then
        return sub.priority < other.priority
    end
    return is_longer_idle(sub, other, now)
end

-- One subscription from its first request for session_ms, or until it takes nothing; then the next
-- one. Another that only helps out (this one is full, or closed to this request alone) does not get
-- the session.
local function session(view, r, now, barred)
    local owner = owner_of_session(view)
    if owner and is_eligible(owner, r, now, barred) and now - owner.session < view.session_ms
        and now >= owner.session then
        return owner, "session"
    end
    local is_over = not owner or now - owner.session >= view.session_ms or now < owner.session
        or owner.cooling > now or not owner.is_on or health.wait_ms(owner, "", now) > 0
    local others = barred
    if owner and is_over then
        others = { [owner.account] = true }
        for account in pairs(barred or {}) do
            others[account] = true
        end
    end
    local best = first(view, r, now, others, is_next)
        or first(view, r, now, barred, is_next) -- nobody else: the same once more
    r.begins_session = best and is_over
    return best, r.begins_session and "session" or "spill"
end

-- rows --------------------------------------------------------------------------------------------

local ROWS = {
    ["headroom"] = headroom,
    ["priority"] = priority,
    ["session"] = session,
    ["drain-soonest"] = drain_soonest,
    ["least-requests"] = turns("least-requests", start),
    ["round-robin"] = turns("round-robin", last_turn),
    ["weighted"] = turns("weighted", start),
    ["weighted-round-robin"] = turns("weighted-round-robin", last_turn)
}

-- nil: none is eligible. `barred`: accounts that are not to be taken, or nil.
function strategy.choose(view, r, now, barred)
    r.next_pass, r.begins_session = nil, nil
    return view.choose(view, r, now, barred)
end

-- So that none ever comes to where numbers are no longer exact: all go back alike.
local function go_back(view)
    for _, sub in ipairs(view.list) do
        if sub.pass then
            slots.touch(view, sub)
            sub.pass = math.max(0, sub.pass - PASS_MAX / 2)
        end
    end
end

-- The request that choose() was asked for got `sub`, which is about to be written.
function strategy.note(view, sub, r, now)
    sub.pass = r.next_pass or sub.pass
    if sub.pass and sub.pass > PASS_MAX then
        go_back(view)
    end
    if r.begins_session then
        for _, other in ipairs(view.list) do
            if other.session and other ~= sub then
                slots.touch(view, other)
                other.session = nil
            end
        end
        sub.session = now
    end
end

-- A new one begins where turns are taken: it has nothing to catch up with, as others may have.
function strategy.welcome(view, sub)
    local least = nil
    for _, other in ipairs(view.list) do
        if other ~= sub and other.pass then
            least = math.min(least or other.pass, other.pass)
        end
    end
    if least and STEPS[view.strategy] then
        slots.touch(view, sub)
        sub.pass = math.max(least, last_turn(view, STEPS[view.strategy]))
    end
end

-- lines -------------------------------------------------------------------------------------------

-- Out of the fields of a line; what it takes is taken out of them.
function strategy.read_line(sub, fields)
    sub.pass = fields.pass
        and math.min(PASS_MAX, tonumber(string.match(fields.pass, "^[%d.]+$")) or 0)
    sub.session = fields.session and pool.count(fields.session)
    fields.pass, fields.session = nil, nil
end

function strategy.render(sub)
    return (sub.pass and string.format(" pass=%.14g", sub.pass) or "")
        .. (sub.session and string.format(" session=%.0f", sub.session) or "")
end

-- settings ----------------------------------------------------------------------------------------

-- What holds, into a view that is being loaded.
function strategy.read(view)
    local lines = redis.call("HMGET", view.k.settings, "configured", "strategy")
    local configured, said = pool.fields(lines[1] or ""), pool.fields(lines[2] or "")
    view.configured = ROWS[configured.strategy] and configured.strategy or "headroom"
    view.said = ROWS[said.name] and said.name or nil
    view.strategy = view.said or view.configured
    view.choose = ROWS[view.strategy]
    view.edited = pool.count(configured.edited)
    view.session_ms = configured.session_ms and pool.count(configured.session_ms) or SESSION_MS
end

-- Turns and sessions mean nothing to another strategy.
local function change(view, now, was, by)
    view.choose = ROWS[view.strategy]
    if view.strategy == was then
        return
    end
    for _, sub in ipairs(view.list) do
        if sub.pass or sub.session then
            slots.touch(view, sub)
            sub.pass, sub.session = nil, nil
        end
    end
    pool.event(view.k, "strategy changed", "strategy", view.strategy, "was", was, "by", by)
end

-- Does somebody alive have the configuration that holds? What nobody has any more is taken over by
-- whoever comes, as old as it may be.
local function is_held(view, own)
    for _, boot in ipairs(redis.call("ZRANGE", view.k.boots, 0, pool.BOOTS_MAX - 1)) do
        local edited = redis.call("HGET", roster.boot_key(view.k, boot), "edited")
        if boot ~= own and edited and pool.count(edited) >= view.edited then
            return true
        end
    end
    return false
end

-- What a node's configuration says; the later written one holds. True if something changed: then
-- the caller turns the roster. And whether this node is behind.
function strategy.configure(view, r, now)
    local is_same = view.configured == r.strategy and view.session_ms == r.session_ms
    if r.edited_ms < view.edited and is_held(view, r.node .. "." .. r.boot) then
        return false, not is_same
    elseif is_same and r.edited_ms == view.edited then
        return false, false
    end
    local was = view.strategy
    view.configured, view.session_ms, view.edited = r.strategy, r.session_ms, r.edited_ms
    view.strategy = view.said or view.configured
    slots.begin(view)
    redis.call("HSET", view.k.settings, "configured", string.format(
        "strategy=%s session_ms=%.0f edited=%.0f", r.strategy, r.session_ms, r.edited_ms))
    change(view, now, was, "configuration of " .. r.node)
    return not is_same, false
end

-- What a person says; "configured": nothing any more.
function strategy.say(view, name, by, now)
    local was = view.strategy
    slots.begin(view)
    if name == "configured" then
        view.said = nil
        redis.call("HDEL", view.k.settings, "strategy")
    else
        view.said = name
        redis.call("HSET", view.k.settings, "strategy", string.format("name=%s since=%.0f by=%s",
            name, now, (string.gsub(pool.text(by), "%s", "_"))))
    end
    view.strategy = view.said or view.configured
    change(view, now, was, by)
end

return strategy
