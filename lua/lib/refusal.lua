-- refusal: why nothing is lent, said truly: of every candidate what stands in its way, counted.
--
--   -> refused, reason, retry_ms, epoch, <field>, <value>, ...
--      reason      the most hopeful one there is, a word: burst, full, cooling, broken, excluded,
--                  disabled, none
--      retry_ms    the earliest time at which anything is known to become free
--      candidates  subscriptions that the asking node knows; each counts once below:
--      <word>      how many of them; fields that are 0 are left out
--                    limited   cools, until a time that somebody named or by hand
--                    refused   cools, because its credential or its credit was refused
--                    closed    closed to requests like this one: their model, their group of paths
--                    ceiling   has used as much of a window as its owner allows
--                    broken    rests after failures in a row
--                    burst     has had all it may have in this second
--                    busy      has no free slot
--                    tried     excluded: this request has been there
--                    disabled  off, paused, or leaving
--      <word>_ms   until the first of them is over; of those that end by themselves
--      limited_why, closed_why   of that one: what the provider said
--      closed_for  of that one: the label
--      ceiling_of  of that one: the window
--
-- A reader skips fields it does not know.
local refusal = {}

refusal.RETRY_MS = 1000 -- when nothing is known to free at a certain time

local HOPE = { burst = 7, full = 6, cooling = 5, broken = 4, excluded = 3, disabled = 2, none = 1 }
local WORDS = {
    "limited", "refused", "closed", "ceiling", "broken", "burst", "busy", "tried", "disabled"
}
local REASONS = {
    limited = "cooling", refused = "cooling", closed = "cooling", broken = "broken",
    ceiling = "cooling", burst = "burst", busy = "full", disabled = "disabled"
}

-- What made it cool; read once as long as that cooldown runs.
local function cause_of(view, sub)
    local cause = sub.cause
    if not cause or cause.until_ms ~= sub.cooling then
        local line = redis.call("HGET", view.k.cooldowns, sub.name)
        local fields = trial.fields(line)
        local status = pool.count(fields.status)
        cause = { until_ms = sub.cooling, why = status > 0 and trial.reason(line) or "by hand",
            is_refusal = status >= 400 and status < 500 and status ~= 429 }
        sub.cause = cause
    end
    return cause
end

local function word_of_ill(view, sub, illness, now)
    if sub.cooling > now then
        return cause_of(view, sub).is_refusal and "refused" or "limited"
    elseif illness == "broken" or illness == "ceiling" then
        return illness
    end
    return (sub.trials and sub.trials[trial.ALL]) and "limited" or "closed"
end

-- What stands in the way of one, and in how many ms that may be over. Nothing for one that the
-- asking node does not know.
local function explain(view, sub, r, now, limited)
    local ill_ms, illness = 0, nil
    if r.unknown and r.unknown[sub.account] then
        return nil
    elseif not sub.is_on then
        return "disabled", nil
    elseif health.has_marks(sub) then
        ill_ms, illness = health.wait_ms(sub, r.labels, now)
    end
    ill_ms = math.max(ill_ms, sub.cooling - now)
    if ill_ms > 0 then
        return word_of_ill(view, sub, illness, now), ill_ms
    elseif sub.active < sub.max and limited[sub.account] then
        return "burst", limited[sub.account]
    end
    return "busy", refusal.RETRY_MS
end

-- What holds back the slots of one that lends nothing, whoever asks.
local function cause_of_hold(view, sub, word, now)
    local h = sub.health
    if not sub.is_on then
        return sub.paused == 1 and "paused" or sub.state == "leaving" and "leaving" or "disabled"
    elseif view.closed > now then
        return "restoring"
    elseif sub.cooling > now then
        return "cooling"
    elseif word == "burst" or word == "closed" or word == "ceiling" then
        return word
    end
    return h and h.broken > now and "broken" or "trial" -- and then one request tries it just now
end

-- Why slots may be free and yet no request's of any kind.
refusal.HOLDS = {
    "cooling", "ceiling", "broken", "burst", "trial", "restoring", "paused", "disabled", "leaving"
}

-- Slots that a request of these labels would get now, and what holds back the other free ones, if
-- any are: a word of the above, or "closed" to these labels. Of what is on trial one request at a
-- time is let in. `limited`: those at their burst limit.
function refusal.free_now(view, sub, labels, now, limited)
    local free = math.max(0, sub.max - sub.active)
    if free == 0 then
        return 0, nil
    end
    local word = explain(view, sub, { labels = labels }, now, limited)
    if word ~= "busy" or view.closed > now then
        return 0, cause_of_hold(view, sub, word, now)
    end
    local available = trial.is_wanted_for(sub, labels) and 1 or free
    return available, available < free and "trial" or nil
end

local function note(tally, word, wait_ms, sub)
    tally.counts[word] = (tally.counts[word] or 0) + 1
    if wait_ms and (not tally.waits[word] or wait_ms < tally.waits[word]) then
        tally.waits[word], tally.first[word] = wait_ms, sub
    end
    if wait_ms and (not tally.retry_ms or wait_ms < tally.retry_ms) then
        tally.retry_ms = wait_ms
    end
end

-- All of them; `limited`: account -> ms, those at their burst limit.
function refusal.count(view, r, now, limited)
    local tally = { counts = {}, waits = {}, first = {}, candidates = 0, reason = "none" }
    for _, sub in ipairs(view.list) do
        local word, wait_ms = explain(view, sub, r, now, limited)
        local reason = REASONS[word] or "none"
        if r.excluded and r.excluded[sub.account] and word and word ~= "disabled" then
            reason = "excluded"
            word = (word == "busy" or word == "burst" or word == "broken") and "tried" or word
        end
        if word then
            tally.candidates = tally.candidates + 1
            note(tally, word, wait_ms, sub)
        end
        if HOPE[reason] > HOPE[tally.reason] then
            tally.reason = reason
        end
    end
    return tally
end

local function add(reply, field, value)
    reply[#reply + 1] = field
    reply[#reply + 1] = value
end

local function add_whys(reply, view, r, tally, now)
    local limited, closed, full = tally.first.limited, tally.first.closed, tally.first.ceiling
    if limited and limited.cooling > now then
        add(reply, "limited_why", cause_of(view, limited).why)
    end
    local label = closed and health.closing_label(closed, r.labels, now)
    if label then
        local line = redis.call("HGET", view.k.blocks, closed.account .. " " .. label)
        add(reply, "closed_why", trial.reason(line))
        add(reply, "closed_for", label)
    end
    if full then
        add(reply, "ceiling_of", window.reached(full, r.labels))
    end
end

function refusal.reply(view, reason, retry_ms)
    return { "refused", reason, string.format("%.0f", retry_ms), string.format("%.0f", view.epoch) }
end

-- The reply that tells a tally.
function refusal.tell(view, r, tally, now)
    local reply = refusal.reply(view, tally.reason, tally.retry_ms or refusal.RETRY_MS)
    reply[5], reply[6] = "candidates", pool.digits(tally.candidates)
    for _, word in ipairs(WORDS) do
        local count, wait_ms = tally.counts[word], tally.waits[word]
        if count then
            add(reply, word, pool.digits(count))
        end
        if wait_ms then
            add(reply, word .. "_ms", string.format("%.0f", wait_ms))
        end
    end
    add_whys(reply, view, r, tally, now)
    return reply
end

-- What a request of these labels would get now: so many slots are free to it; and if none is, the
-- reply it would hear.
function refusal.foresee(view, labels, now, limited)
    local free = 0
    for _, sub in ipairs(view.list) do
        free = free + (refusal.free_now(view, sub, labels, now, limited))
    end
    if free > 0 then
        return free, nil
    elseif view.closed > now then
        return 0, refusal.reply(view, "restoring", view.closed - now)
    end
    local r = { labels = labels }
    return 0, refusal.tell(view, r, refusal.count(view, r, now, limited), now)
end

return refusal
