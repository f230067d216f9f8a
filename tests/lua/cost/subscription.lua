-- subscription: one line of the `subs` hash, and the times its burst limit needs.
--
--   weir:{main}:subs   name -> "active=2 max=5 state=on priority=1 burst=10 cooling_until=0
--                               used=1795222800123"
--
--   active         leases held (what counts; `leases` has as many members for this subscription)
--   state          on | off (disabled by config) | leaving (no longer declared: drains, then goes)
--   cooling_until  ms; in the past or 0: not cooling
--   used           ms of the last admission, 0 = never
--
-- A line written as above is read by one pattern; any other order or set of fields (a hand's edit,
-- a later version's addition) is read field by field, unknown fields are kept at the end, and
-- missing numbers are 0: a bad line costs its own subscription, never the pool.
--
-- Parsing is the dearest part of a choice, so a parsed line is kept beside the line it came from
-- and used again if Redis still holds that very line (strings are interned: one comparison).
local subscription = {}

local PATTERN = "^active=(%d+) max=(%d+) state=(%a+) priority=(%d+) burst=(%d+) "
    .. "cooling_until=(%d+) used=(%d+)$"

local NUMBER_MAX = 99999999999999 -- Lua 5.1 writes no more digits than these

local parsed, parsed_count = {}, 0

-- The middle of the line, which only a declaration changes, is made once.
local function set_fixed(sub)
    sub.is_on = sub.state == "on"
    sub.fixed = string.format(" max=%d state=%s priority=%d burst=%d cooling_until=", sub.max,
        sub.state, sub.priority, sub.burst)
    return sub
end

local function parse_fields(name, line)
    local fields, extra = {}, ""
    for key, value in string.gmatch(line, "(%w[%w_]*)=(%S*)") do
        fields[key] = value
    end
    local function take(key)
        local number = tonumber(fields[key])
        fields[key] = nil
        return (number and number > 0) and math.floor(math.min(number, NUMBER_MAX)) or 0
    end
    local sub = {
        name = name, state = fields.state == "on" and "on"
            or fields.state == "leaving" and "leaving" or "off",
        active = take("active"), max = take("max"), priority = take("priority"),
        burst = take("burst"), cooling_until = take("cooling_until"), used = take("used")
    }
    fields.state = nil
    for key, value in pairs(fields) do
        extra = extra .. " " .. key .. "=" .. value
    end
    sub.extra = extra
    return sub
end

-- The subscription of a line just read from Redis. nil if there is no line.
function subscription.read(name, line)
    if not line then
        return nil
    end
    local known = parsed[name]
    if known and known.line == line then
        return known
    end
    local active, max, state, priority, burst, cooling_until, used = string.match(line, PATTERN)
    local sub
    if active and #cooling_until <= 14 then
        sub = {
            name = name, active = active + 0, max = max + 0, state = state,
            priority = priority + 0, burst = burst + 0, cooling_until = cooling_until + 0,
            used = used + 0, extra = ""
        }
    else
        sub = parse_fields(name, line)
    end
    set_fixed(sub).line = line
    if not known then
        if parsed_count >= 4096 then
            parsed, parsed_count = {}, 0
        end
        parsed_count = parsed_count + 1
    end
    parsed[name] = sub
    return sub
end

-- All subscriptions, in no order. The list takes the place of the reply it is made from.
function subscription.all(k)
    local list = redis.call("HGETALL", k.subs)
    local count = #list / 2
    for i = 1, count do
        local name, line = list[2 * i - 1], list[2 * i]
        local sub = parsed[name]
        if not sub or sub.line ~= line then
            sub = subscription.read(name, line)
        end
        list[i] = sub
    end
    for i = count + 1, 2 * count do
        list[i] = nil
    end
    return list
end

function subscription.new(name)
    return {
        name = name, active = 0, max = 0, state = "leaving", priority = 0, burst = 0,
        cooling_until = 0, used = 0, extra = ""
    }
end

function subscription.get(k, name)
    return subscription.read(name, redis.call("HGET", k.subs, name))
end

-- What a declaration may change: max, state, priority, burst. `line` is unset while what is parsed
-- differs from what is stored.
function subscription.configure(sub, declared)
    sub.line = false
    sub.max, sub.state = declared.max, declared.state
    sub.priority, sub.burst = declared.priority, declared.burst
    set_fixed(sub)
end

-- Write a changed subscription. Its counters are changed by the caller, after `sub.line = false`,
-- so that a call that fails in between leaves nothing remembered. One that leaves goes when idle.
function subscription.save(k, sub)
    if sub.state == "leaving" and sub.active <= 0 then
        redis.call("HDEL", k.subs, sub.name)
        redis.call("HDEL", k.cooldowns, sub.name)
        redis.call("DEL", subscription.burst_key(k, sub))
        pool.event(k, "subscription removed", "subscription", sub.name)
        return
    end
    if not sub.fixed then
        set_fixed(sub)
    end
    local line = string.format("active=%d%s%d used=%d%s", sub.active, sub.fixed, sub.cooling_until,
        sub.used, sub.extra)
    redis.call("HSET", k.subs, sub.name, line)
    sub.line = line
end

-- Slots given back or taken outside an admission.
function subscription.add_active(k, name, delta)
    local sub = subscription.get(k, name)
    if not sub then
        if delta <= 0 then
            return nil
        end
        sub = subscription.new(name)
    end
    sub.line = false
    sub.active = math.max(0, sub.active + delta)
    subscription.save(k, sub)
    return sub
end

-- A cooldown only ever gets longer. The caller saves. `cause`: reason, status and id of the lease.
function subscription.cool(k, sub, until_ms, cause)
    if until_ms <= sub.cooling_until then
        return
    end
    local reason = pool.text(cause.reason)
    sub.line = false
    sub.cooling_until = until_ms
    redis.call("HSET", k.cooldowns, sub.name, "until=" .. until_ms .. " status=" .. cause.status
        .. " lease=" .. cause.id .. " reason=" .. reason)
    pool.event(k, "cooldown", "subscription", sub.name, "reason", reason, "status", cause.status,
        "until_ms", until_ms, "lease", cause.id)
end

-- burst -------------------------------------------------------------------------------------------
-- The times of the last `burst` admissions, newest first, in a list a subscription. Whole ms: two
-- whose difference is 1001 are surely more than a second apart, two whose difference is 1000 not.

local SECOND_MS = 1001

function subscription.burst_key(k, sub)
    return k.base .. ":burst:" .. sub.name
end

-- How long until one more admission fits into the sliding second; 0 = now. A time further ahead
-- than a second was written before the clock was set back, and says nothing.
function subscription.burst_wait_ms(k, sub, now)
    if sub.burst == 0 or now - sub.used >= SECOND_MS then
        return 0
    end
    local oldest = redis.call("LINDEX", subscription.burst_key(k, sub), sub.burst - 1)
    if not oldest then
        return 0
    end
    local wait = oldest + SECOND_MS - now
    return (wait > 0 and wait <= 2 * SECOND_MS) and wait or 0
end

-- The list is cut at every 64th entry only: to what the limit needs, and by half if that is more
-- than a second old.
function subscription.burst_note(k, sub, now)
    if sub.burst == 0 then
        return
    end
    local key = subscription.burst_key(k, sub)
    local length = redis.call("LPUSH", key, now)
    if length % 64 == 0 then
        local is_half_old = now - redis.call("LINDEX", key, length / 2) >= SECOND_MS
        local keep = math.min(sub.burst, is_half_old and length / 2 or length)
        redis.call("LTRIM", key, 0, keep - 1)
    end
end

return subscription
