-- trial: what a person opens is tried by one request, cluster-wide, before all others may follow.
--
--   weir:{main}:blocks   "<account> <label>" -> "until=... former=... probe=... by=... status=429
--                                                lease=... reason=..."
--     until     when it was opened: for who knows no trials it is simply over
--     former    until when it was closed; "*" as label: to all requests, else to those of the label
--     by, probe the lease that tries it, if one does, and until when that one is waited for
--
-- A failure of the one that tries closes it again as it was; a success ends the trial; what says
-- neither (its caller left) lets another one try. (Of a breaker nothing stands here: one that is
-- broken until now is tried in the same way, see health.lua.)
local trial = {}

trial.PROBE_MS = 30000
trial.ALL = "*"

-- lines -------------------------------------------------------------------------------------------

-- What stands behind a line, to its end: it may look like fields.
function trial.reason(line)
    return string.match(line or "", " reason=(.*)$") or ""
end

function trial.fields(line)
    return pool.fields(string.match(line or "", "^(.-) reason=") or line)
end

-- Of the line of a block; nil if it is none of a trial.
function trial.read(fields, line)
    local former = pool.count(fields.former)
    if former == 0 then
        return nil
    end
    return { opened = pool.count(fields["until"]), former = former, by = fields.by,
        probe = pool.count(fields.probe), status = pool.count(fields.status),
        lease = fields.lease or "-", reason = trial.reason(line) }
end

local function field_of(sub, label)
    return sub.account .. " " .. label
end

local function write(view, sub, label, t)
    local tries = t.by and " probe=" .. pool.digits(t.probe) .. " by=" .. t.by or ""
    slots.begin(view)
    redis.call("HSET", view.k.blocks, field_of(sub, label), "until=" .. pool.digits(t.opened)
        .. " former=" .. pool.digits(t.former) .. tries .. " status=" .. pool.digits(t.status)
        .. " lease=" .. t.lease .. " reason=" .. t.reason)
end

function trial.put(sub, label, t)
    sub.trials = sub.trials or {}
    sub.trials[label] = t
    sub.blocks = sub.blocks or {} -- so that who looks for blocks looks here too
end

-- Until `former` it was closed to requests of the label; `line` told why.
function trial.begin(view, sub, label, former, line, now)
    local fields = trial.fields(line)
    local t = { opened = now, former = former, probe = 0, status = pool.count(fields.status),
        lease = fields.lease or "-", reason = trial.reason(line) }
    write(view, sub, label, t)
    trial.put(sub, label, t)
end

-- It is closed anew, or open for good.
function trial.forget(view, sub, label)
    if sub.trials and sub.trials[label] then
        slots.begin(view)
        sub.trials[label] = nil
        redis.call("HDEL", view.k.blocks, field_of(sub, label))
        local rest
        for other, t in pairs(sub.trials) do
            rest = rest or {}
            rest[other] = t
        end
        sub.trials = rest
    end
end

-- asking ------------------------------------------------------------------------------------------

-- (A time further ahead than a probe takes was written before the clock was set back.)
local function left_ms(t, now)
    local left = t and t.by and t.probe - now or 0
    return left <= trial.PROBE_MS and math.max(0, left) or 0
end

-- In how many ms a request of these labels may be the next to try; 0: now.
function trial.wait_ms(sub, labels, now)
    local wait = left_ms(sub.trials[trial.ALL], now)
    for label in string.gmatch(labels, "%S+") do
        wait = math.max(wait, left_ms(sub.trials[label], now))
    end
    return wait
end

-- Words for people.
function trial.tell(sub, told, now)
    for label, t in pairs(sub.trials or {}) do
        told[#told + 1] = (left_ms(t, now) > 0 and "one request tries it" or "next to be tried")
            .. (label == trial.ALL and "" or " for " .. label)
    end
end

-- who is to be tried first ------------------------------------------------------------------------
-- view.wanted: a list, or nil. It follows from the lines: of a trial, that nobody tries it; of one
-- that is broken, that its last failure is forgotten, which only an opening does.

local function is_untried(sub)
    local h = sub.health
    if h and h.broken > 0 and h.bad == 0 and not h.by then
        return true
    end
    for _, t in pairs(sub.trials or {}) do
        if not t.by then
            return true
        end
    end
    return false
end

function trial.want(view, sub)
    if is_untried(sub) then
        view.wanted = view.wanted or {}
        view.wanted[#view.wanted + 1] = sub
    end
end

function trial.is_wanted_for(sub, labels)
    if sub.health and sub.health.broken > 0 or sub.trials and sub.trials[trial.ALL] then
        return true
    end
    for label in string.gmatch(sub.trials and labels or "", "%S+") do
        if sub.trials[label] then
            return true
        end
    end
    return false
end

-- It is being tried now, or has nothing to be tried any more.
function trial.unwant(view, sub)
    local rest
    for _, other in ipairs(view.wanted or {}) do
        if other ~= sub and not other.is_gone then
            rest = rest or {}
            rest[#rest + 1] = other
        end
    end
    view.wanted = rest
end

-- trying ------------------------------------------------------------------------------------------

local function take(view, sub, label, lease_id, now)
    local t = sub.trials[label]
    if t then
        trial.unwant(view, sub)
        t.by, t.probe = lease_id, now + trial.PROBE_MS
        write(view, sub, label, t)
    end
end

-- A request of these labels is granted.
function trial.note_grant(view, sub, labels, lease_id, now)
    take(view, sub, trial.ALL, lease_id, now)
    for label in string.gmatch(labels, "%S+") do
        take(view, sub, label, lease_id, now)
    end
end

-- The lease is settled. `word`: good, bad, or nil for what says neither. What it tried and failed
-- at: label -> trial, to be closed again.
function trial.conclude(view, sub, lease_id, word)
    local mine, failed = {}, {}
    for label, t in pairs(sub.trials) do
        if t.by == lease_id then
            mine[#mine + 1] = label
        end
    end
    for _, label in ipairs(mine) do
        local t = sub.trials[label]
        if not word then
            t.by, t.probe = nil, 0
            write(view, sub, label, t)
        else
            trial.forget(view, sub, label)
            failed[label] = word == "bad" and t or nil
        end
        if word == "good" then
            pool.event(view.k, "tried and open", "subscription", sub.name, "for", label, "lease",
                lease_id)
        end
    end
    return failed
end

return trial
