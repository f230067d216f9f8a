-- roster: which subscriptions there are, with which settings. It belongs to the cluster, not to the
-- node that spoke last.
--
--   weir:{main}:roster   <name> -> "account=3f9a1c20b7d4 max=5 priority=1 burst=10
--                                   edited=1795200000123 state=on paused=0 tier=1"; behind it
--                          " limits=5h:9000:0,7d:8000:9500" if it has ceilings (window.lua)
--
--   account   what slots, cooldowns and leases belong to: a keyed hash of credential and base URL,
--             so a rename keeps them, and a new credential under an old name begins without a block
--   edited    when the configuration was written that set this line: an older one changes nothing
--   state     on | off (by configuration) | leaving (no living node declares it: drains, then goes)
--   paused    1: a person said so (weir_enable)
--
-- Each change is a generation, which the guard tells. What a boot can use stands in its own record
-- (`knows`): it is lent nothing else. A subscription stays as long as one boot that is not
-- forgotten declares it.
local roster = {}

local PATTERN = "^account=([%w-]+) max=(%d+) priority=(%d+) burst=(%d+) edited=(%d+) state=(%a+) "
    .. "paused=([01]) tier=(%d+)$"

local function parse(view, name, line)
    local account, max, priority, burst, edited, state, paused, tier = string.match(line, PATTERN)
    local rest, limits = "", ""
    if not account then
        local fields = pool.fields(line)
        account, max, priority, burst = fields.account, fields.max, fields.priority, fields.burst
        edited, state, paused = fields.edited, fields.state, fields.paused
        tier, limits = fields.tier, fields.limits or ""
        for _, known in ipairs({ "account", "max", "priority", "burst", "edited", "state",
            "paused", "tier", "limits" }) do
            fields[known] = nil
        end
        for key, value in pairs(fields) do
            rest = rest .. " " .. key .. "=" .. value
        end
    end
    if not account or view.by_account[account] then
        return -- says nothing of whose slots it counts, or what another line says already
    end
    local sub = slots.add(view, name, account)
    sub.max, sub.priority, sub.burst = pool.count(max), pool.count(priority), pool.count(burst)
    sub.edited, sub.paused, sub.rest = pool.count(edited), paused == "1" and 1 or 0, rest
    sub.tier = math.max(1, pool.count(tier))
    window.set_limits(sub, limits)
    sub.state = (state == "on" or state == "leaving") and state or "off"
    sub.is_on = sub.state == "on" and sub.paused == 0
end

-- All lines, into a view that is being loaded.
function roster.read(view)
    local flat = redis.call("HGETALL", view.k.roster)
    for i = 1, #flat, 2 do
        parse(view, flat[i], flat[i + 1])
    end
    view.has_roster = true
end

function roster.write(view, sub)
    sub.is_on = sub.state == "on" and sub.paused == 0
    redis.call("HSET", view.k.roster, sub.name, string.format("account=%s max=%d priority=%d "
        .. "burst=%d edited=%.0f state=%s paused=%d tier=%d%s%s", sub.account, sub.max,
        sub.priority, sub.burst, sub.edited, sub.state, sub.paused, sub.tier,
        sub.limits_text ~= "" and " limits=" .. sub.limits_text or "", sub.rest))
end

-- After changes of lines: all that is remembered is read anew, and the nodes hear of it.
function roster.turn(view)
    view.generation = view.generation + 1
    slots.rehead(view)
    slots.commit(view)
    slots.forget(view)
    pool.notice(view.k, "roster generation=" .. view.generation)
end

function roster.boot_key(k, boot)
    return k.base .. ":boot:" .. boot
end

-- What a boot has declared in this epoch; what it did before may be of an older copy. nil: nothing;
-- and whether it ever did.
function roster.knows(view, boot)
    local record = redis.call("HMGET", roster.boot_key(view.k, boot), "knows", "epoch")
    if record[1] and pool.count(record[2]) == view.epoch then
        return record[1], true
    end
    return nil, record[1] and true or false
end

-- What a boot must not be lent, as a set of accounts; nil if it knows all there are. `is_old` in
-- it: it has declared something, but not in this epoch.
function roster.unknown_to(view, boot)
    local unknown = view.unknown[boot]
    if unknown == nil then
        unknown = false
        local knows = {}
        local line, has_declared = roster.knows(view, boot)
        for account in string.gmatch(line or "", "%S+") do
            knows[account] = true
        end
        for _, sub in ipairs(view.list) do
            if not knows[sub.account] then
                unknown = unknown or {}
                unknown[sub.account] = true
            end
        end
        if not line and has_declared then
            unknown = unknown or {}
            unknown.is_old = true
        end
        view.unknown[boot] = unknown
    end
    return unknown or nil
end

-- Accounts that some boot declares which is not forgotten.
function roster.declared(k)
    local declared = {}
    for _, boot in ipairs(redis.call("ZRANGE", k.boots, 0, pool.BOOTS_MAX - 1)) do
        local knows = redis.call("HGET", roster.boot_key(k, boot), "knows")
        for account in string.gmatch(knows or "", "%S+") do
            declared[account] = (declared[account] or 0) + 1
        end
    end
    return declared
end

local function remove(view, sub)
    local k = view.k
    redis.call("HDEL", k.slots, sub.name)
    redis.call("HDEL", k.roster, sub.name)
    redis.call("HDEL", k.cooldowns, sub.name)
    redis.call("DEL", slots.burst_key(k, sub))
    sub.is_gone = true
    pool.event(k, "subscription removed", "subscription", sub.name)
end

-- What nobody declares any more takes nothing, and goes once it is idle and cooled down, and all
-- that it used is posted (`may_go`): books call it by its name. True if something changed: then the
-- caller turns the roster.
function roster.retire(view, declared, now, may_go)
    local has_changed = false
    for _, sub in ipairs(view.list) do
        if not declared[sub.account] then
            if may_go and sub.active <= 0 and sub.cooling <= now then
                slots.begin(view)
                remove(view, sub)
                has_changed = true
            elseif sub.state ~= "leaving" then
                slots.begin(view)
                sub.state = "leaving"
                roster.write(view, sub)
                has_changed = true
            end
        end
    end
    return has_changed
end

-- names -------------------------------------------------------------------------------------------

-- What books call it: a name is told apart only among those that are there at the same time.
function roster.plain(name)
    return (string.gsub(name, "~%x%x%x%x$", ""))
end

-- Names wanted, account -> name, become names given: of two that want one name the later written
-- configuration's has it, the other is told apart by its account.
local function settle_names(view, wanted)
    local owner = {}
    for _, sub in ipairs(view.list) do
        local name = wanted[sub.account] or sub.name
        local other = owner[name]
        local is_stronger = not other or (wanted[sub.account] and not wanted[other.account])
            or ((wanted[sub.account] ~= nil) == (wanted[other.account] ~= nil)
                and sub.edited > other.edited)
        if is_stronger then
            owner[name] = sub
        end
    end
    local given = {}
    for _, sub in ipairs(view.list) do
        local name = wanted[sub.account] or sub.name
        if owner[name] ~= sub then
            name = string.sub(roster.plain(name), 1, 123) .. "~" .. string.sub(sub.account, 1, 4)
        end
        given[sub] = name
    end
    return given
end

-- Move what stands under names: all old ones are taken out before new ones are put in, for two may
-- change places.
function roster.rename(view, wanted)
    local k, moved, cooldowns = view.k, {}, {}
    for sub, name in pairs(settle_names(view, wanted)) do
        if name ~= sub.name then
            moved[#moved + 1] = { sub = sub, old = sub.name, new = name }
        end
    end
    if #moved == 0 then
        return false
    end
    table.sort(moved, function(a, b)
        return a.old < b.old
    end)
    for i, move in ipairs(moved) do
        cooldowns[i] = redis.call("HGET", k.cooldowns, move.old)
        redis.call("HDEL", k.slots, move.old)
        redis.call("HDEL", k.roster, move.old)
        redis.call("HDEL", k.cooldowns, move.old)
    end
    for i, move in ipairs(moved) do
        slots.touch(view, move.sub)
        move.sub.name = move.new
        roster.write(view, move.sub)
        if cooldowns[i] then
            redis.call("HSET", k.cooldowns, move.new, cooldowns[i])
        end
        pool.event(k, "subscription renamed", "subscription", move.new, "was", move.old)
    end
    book.rename(k, moved)
    return true
end

return roster
