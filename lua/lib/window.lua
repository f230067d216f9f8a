-- window: how much of its quotas a subscription has used, as its provider said last; and the
-- ceilings up to which its owner lets us go.
--
--   weir:{main}:windows   "<account> <window>" -> "used=4200 reset=1795240000000
--                                                  seen=1795222800123"
--
--   window   a length of time: 5h, 7d. With a kind behind a dot (1m.requests) it is one of several
--            as long; with a family behind _ (7d_opus) it is that family of models' alone
--   used     in ten-thousandths; above 10000 is grace
--   reset    ms, when it begins anew; 0: nobody said, then it is over a length after `seen`
--   seen     ms, when the answer came that said so. What is older never replaces what is newer,
--            whichever is booked first; a time to come is from before the clock was set back
--
-- A ceiling (`limits` of a roster line: "5h:9000:0,7d:8000:9500", window:soft:hard) is reached when
-- a window has used so much. Beyond the soft one others are preferred, beyond the hard one nothing
-- is taken until the window begins anew; of a family, by its requests alone.
--
-- What the choice needs of all that is weighed once a second, and when something is learnt:
--   share      of the scarcest window, what is left of it, 0 to 1
--   pace       how far it is behind (above 0: has more left than) an even use of its week, -5 to 7
--   drains     when the week that has something left begins anew; nil: not known, or nothing left
--   ceiling    { shut = ms, is_shy = true } as far as either holds, or nil
--   families   family -> { share, drains, shut, is_shy }, or nil
local window = {}

local UNIT_MS = { s = 1000, m = 60000, h = 3600000, d = 86400000, w = 604800000 }
local FULL = 10000
local WEIGHED_MS = 1000
local WINDOWS_MAX = 16      -- of an account
local LONG_MS = 86400000    -- what is longer than a day is worth draining
local PACE_MAX, LATE_MS, LATE_BONUS = 5, 12 * 3600000, 2

-- names -------------------------------------------------------------------------------------------

local shapes, shapes_count = {}, 0

-- How long a window is, and whose: a family's, or (nil) everybody's. Nil for what is no window.
local function shape_of(name)
    local shape = shapes[name]
    if shape == nil then
        local count, unit, rest = string.match(name, "^(%d%d?%d?)([smhdw])(.*)$")
        shape = count and { ms = count * UNIT_MS[unit], family = string.match(rest, "^[_-](.+)$") }
            or false
        if shapes_count >= 256 then
            shapes, shapes_count = {}, 0
        end
        shapes[name], shapes_count = shape, shapes_count + 1
    end
    return shape
end

-- No window begins anew later than its length from when that was said: what says so is mistaken,
-- and must close nothing for longer.
local function bounded(shape, w)
    if w.reset > w.seen + shape.ms then
        w.reset = w.seen + shape.ms
    end
    return w
end

local function is_live(shape, w, now)
    if w.reset > 0 then
        return w.reset > now
    end
    return now - w.seen < shape.ms and w.seen <= now
end

-- weighing ----------------------------------------------------------------------------------------

-- What a week has left beyond an even use of it, in tens of points of percent; and more for what is
-- nearly over and hardly used.
local function pace_of(shape, w, now)
    local left_ms = math.min(w.reset - now, shape.ms)
    local expected = 1 - left_ms / shape.ms
    local pace = (expected - w.used / FULL) * 10
    pace = math.max(-PACE_MAX, math.min(PACE_MAX, pace))
    return (left_ms < LATE_MS and w.used < FULL / 2) and pace + LATE_BONUS or pace
end

local function weigh_one(scale, name, shape, w, limits, now)
    scale.share = math.min(scale.share, math.max(0, 1 - w.used / FULL))
    local limit = limits and limits[name]
    if limit and limit.soft > 0 and w.used >= limit.soft then
        scale.is_shy = true
    end
    if limit and limit.hard > 0 and w.used >= limit.hard then
        scale.shut = math.max(scale.shut or 0, w.reset > 0 and w.reset or w.seen + shape.ms)
        scale.by = name
    end
    if shape.ms > LONG_MS and w.reset > 0 and shape.ms > (scale.longest or 0) then
        scale.longest = shape.ms
        scale.drains = w.used < FULL and w.reset or nil
        scale.pace = pace_of(shape, w, now)
    end
end

local function weigh(sub, now)
    local whole, families = { share = 1 }, nil
    for name, w in pairs(sub.windows or {}) do
        local shape = shape_of(name)
        if shape and is_live(shape, w, now) then
            local scale = whole
            if shape.family then
                families = families or {}
                scale = families[shape.family] or { share = 1 }
                families[shape.family] = scale
            end
            weigh_one(scale, name, shape, w, sub.limits, now)
        end
    end
    sub.share, sub.pace, sub.drains = whole.share, whole.pace or 0, whole.drains
    sub.ceiling = (whole.shut or whole.is_shy) and whole or nil
    sub.families = families
end

-- Before a choice: what has been weighed too long ago is weighed again.
function window.weigh(view, now)
    if now < view.weigh_at and now >= view.weigh_at - WEIGHED_MS then
        return
    end
    view.weigh_at = now + WEIGHED_MS
    for _, sub in ipairs(view.list) do
        if sub.windows then
            weigh(sub, now)
        end
    end
end

-- asking ------------------------------------------------------------------------------------------

-- The model of a request, out of its labels.
local function model_of(labels)
    return string.match(labels, "model:(%S+)") or ""
end

-- The family's scale that a request is weighed on as well, or nil.
local function family_of(sub, labels)
    local model = model_of(labels)
    for family, scale in pairs(sub.families) do
        if string.find(model, family, 1, true) then
            return scale
        end
    end
end

-- The scale on which such a request reaches a hard ceiling for longest, or nil.
local function shutting(sub, labels)
    local whole = sub.ceiling and sub.ceiling.shut and sub.ceiling or nil
    local family = sub.families and family_of(sub, labels)
    if family and family.shut and (not whole or family.shut > whole.shut) then
        return family
    end
    return whole
end

-- In how many ms no hard ceiling is reached; 0: none is.
function window.wait_ms(sub, labels, now)
    local scale = shutting(sub, labels)
    return scale and math.max(0, scale.shut - now) or 0
end

-- The window that is at its ceiling.
function window.reached(sub, labels)
    local scale = shutting(sub, labels)
    return scale and scale.by or ""
end

-- Is a soft ceiling reached?
function window.is_shy(sub, labels)
    local family = sub.families and family_of(sub, labels)
    return (sub.ceiling and sub.ceiling.is_shy) or (family and family.is_shy)
end

-- What is left of the scarcest window for such a request.
function window.share(sub, labels)
    local family = sub.families and family_of(sub, labels)
    return family and math.min(family.share, sub.share) or sub.share
end

-- When what is left of its week expires, for such a request; nil: nothing is known to.
function window.drains(sub, labels)
    local family = sub.families and family_of(sub, labels)
    return family and family.drains or sub.drains
end

-- Live windows, by name: a list of { name, used, reset, seen }.
function window.list(sub, now)
    local list = {}
    for name, w in pairs(sub.windows or {}) do
        local shape = shape_of(name)
        if shape and is_live(shape, w, now) then
            list[#list + 1] = { name = name, used = w.used, reset = w.reset, seen = w.seen }
        end
    end
    table.sort(list, function(a, b)
        return a.name < b.name
    end)
    return list
end

local function tell_scale(scale, told, now)
    if scale.shut and scale.shut > now then
        told[#told + 1] = string.format("%s at its ceiling %ds", scale.by,
            math.ceil((scale.shut - now) / 1000))
    elseif scale.is_shy then
        told[#told + 1] = "others first: near its ceiling"
    end
end

-- Ceilings that are reached, in words.
function window.tell(sub, told, now)
    tell_scale(sub.ceiling or {}, told, now)
    for _, scale in pairs(sub.families or {}) do
        tell_scale(scale, told, now)
    end
end

-- learning ----------------------------------------------------------------------------------------

local function count_of(windows)
    local count = 0
    for _ in pairs(windows) do
        count = count + 1
    end
    return count
end

local function put(view, sub, name, w)
    sub.windows = sub.windows or {}
    if not sub.windows[name] and count_of(sub.windows) >= WINDOWS_MAX then
        return
    end
    slots.begin(view)
    sub.windows[name] = w
    redis.call("HSET", view.k.windows, sub.account .. " " .. name, string.format(
        "used=%.0f reset=%.0f seen=%.0f", w.used, w.reset, w.seen))
end

-- `told`: "5h:4200:1795240000 7d:...", window:used:reset in seconds, as it was at `seen`. The same
-- once more costs nothing, until what has no reset would be over.
function window.learn(view, sub, told, seen, now)
    if told == sub.told and seen < sub.told_until then
        return
    end
    local again = math.huge
    for name, used, reset in string.gmatch(told, "([%w_.-]+):(%d+):(%d+)") do
        local shape, known = shape_of(name), sub.windows and sub.windows[name]
        if shape and (not known or seen >= known.seen or known.seen > now) then
            put(view, sub, name, bounded(shape, { used = pool.count(used),
                reset = pool.count(reset) * 1000, seen = seen }))
            again = reset == "0" and math.min(again, seen + shape.ms / 2) or again
        end
    end
    sub.told, sub.told_until = told, again
    view.weigh_at = 0
end

-- lines -------------------------------------------------------------------------------------------

-- All of a pool, into a view that is being loaded.
function window.read(view)
    for _, sub in ipairs(view.list) do
        sub.windows, sub.told, sub.ceiling, sub.families = nil, nil, nil, nil
        sub.share, sub.pace, sub.drains = 1, 0, nil
    end
    view.weigh_at = 0
    for field, line in pairs(pool.hash(view.k.windows)) do
        local account, name = string.match(field, "^(%S+) (%S+)$")
        local sub = account and view.by_account[account]
        local shape = sub and shape_of(name)
        if shape then
            local fields = pool.fields(line)
            sub.windows = sub.windows or {}
            sub.windows[name] = bounded(shape, { used = pool.count(fields.used),
                reset = pool.count(fields.reset), seen = pool.count(fields.seen) })
        end
    end
end

-- With a sweep: what is over goes, and what belongs to nobody.
function window.trim(view, now)
    for field, line in pairs(pool.hash(view.k.windows)) do
        local account, name = string.match(field, "^(%S+) (%S+)$")
        local shape, fields = name and shape_of(name), pool.fields(line)
        local w = { reset = pool.count(fields.reset), seen = pool.count(fields.seen) }
        if not shape or not view.by_account[account] or not is_live(shape, w, now) then
            slots.begin(view)
            redis.call("HDEL", view.k.windows, field)
        end
    end
end

-- ceilings ----------------------------------------------------------------------------------------

-- As a roster line or a declaration has them.
function window.set_limits(sub, text)
    sub.limits_text, sub.limits = text, nil
    for name, soft, hard in string.gmatch(text, "([%w_.-]+):(%d+):(%d+)") do
        sub.limits = sub.limits or {}
        sub.limits[name] = { soft = pool.count(soft), hard = pool.count(hard) }
    end
end

return window
