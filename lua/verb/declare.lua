-- declare: which subscriptions a node knows, and how its configuration sets them.
--
--   -> ok, the roster's generation, 1 if this node is behind: a later written configuration holds
--      for what it declares, or it lacks something that the pool has
--
-- What is named is added, or set if this configuration was written no earlier than the one that set
-- it last; active, cooldown and totals stay. What is not named stays as long as another boot
-- declares it. A node that is alone with its Redis is followed by nobody: whatever former boots
-- left is returned by the next sweep.
local function set(sub, row, r)
    local state = row.enabled == 1 and "on" or "off"
    local is_same = sub.max == row.max and sub.priority == row.priority and sub.burst == row.burst
        and sub.tier == row.tier and sub.limits_text == row.limits and sub.state == state
        and sub.name == row.name
    local has_changed = not is_same or sub.edited ~= r.edited_ms
    sub.max, sub.priority, sub.burst, sub.tier = row.max, row.priority, row.burst, row.tier
    window.set_limits(sub, row.limits)
    sub.state, sub.edited = state, r.edited_ms
    return has_changed, is_same
end

local function differs(sub, row)
    return sub.max ~= row.max or sub.priority ~= row.priority or sub.burst ~= row.burst
        or sub.tier ~= row.tier or sub.limits_text ~= row.limits
        or (sub.state == "on") ~= (row.enabled == 1) or sub.name ~= row.name
end

-- A name for the moment; roster.rename() finds the one to keep.
local function add(view, row)
    local name = row.name
    if view.by_name[name] then
        name = string.sub(row.name, 1, 110) .. "~" .. row.account
    end
    return slots.add(view, name, row.account)
end

local function tell(view, sub, is_new)
    pool.event(view.k, is_new and "subscription added" or "subscription changed", "subscription",
        sub.name, "account", sub.account, "max", sub.max, "state", sub.state, "priority",
        sub.priority, "burst", sub.burst, "tier", sub.tier, "limits", sub.limits_text)
end

-- One row. Whether the roster changed, whether this node is behind.
local function apply(view, r, row, declared, wanted)
    local sub = view.by_account[row.account]
    local is_new = sub == nil
    if not is_new and r.edited_ms < sub.edited and declared[row.account]
        and sub.state ~= "leaving" then
        return false, differs(sub, row)
    end
    if is_new then
        sub = add(view, row)
        strategy.welcome(view, sub)
    end
    wanted[row.account] = row.name
    local has_changed, is_same = set(sub, row, r)
    if has_changed then
        roster.write(view, sub)
    end
    if not is_same then
        tell(view, sub, is_new)
    end
    return has_changed or is_new, false
end

local function know(view, boot, rows, r, now)
    local k, accounts = view.k, {}
    for i, row in ipairs(rows) do
        accounts[i] = row.account
    end
    redis.call("HSET", roster.boot_key(k, boot), "knows", table.concat(accounts, " "), "edited",
        string.format("%.0f", r.edited_ms), "alone", r.alone, "epoch",
        string.format("%.0f", view.epoch))
    redis.call("HSETNX", roster.boot_key(k, boot), "started_ms", now) -- it need not have joined
    redis.call("EXPIRE", roster.boot_key(k, boot), pool.BOOT_KEPT_S)
    redis.call("ZADD", k.boots, "NX", now, boot)
end

-- Everybody else in this Redis is a former boot.
local function end_others(k, boot)
    for _, other in ipairs(redis.call("ZRANGE", k.boots, 0, -1)) do
        if other ~= boot then
            redis.call("ZREM", k.boots, other)
            redis.call("DEL", roster.boot_key(k, other))
        end
    end
    for _, holder in ipairs(redis.call("ZRANGE", k.holders, 0, -1)) do
        if check.boot_of(holder) ~= boot then
            redis.call("ZADD", k.holders, 0, holder)
        end
    end
end

local function declare(keys, argv)
    local k, r = pool.keys(keys), calls.declare(argv)
    local view, now = slots.open(k), pool.now_ms()
    slots.refuse_older(view)
    local boot, wanted, has_changed, is_behind = r.node .. "." .. r.boot, {}, false, false
    if r.alone == 1 then
        end_others(k, boot)
    end
    redis.call("HDEL", roster.boot_key(k, boot), "knows")
    local declared = roster.declared(k)
    slots.begin(view)
    for _, row in ipairs(r.subscriptions) do
        local did_change, is_older = apply(view, r, row, declared, wanted)
        has_changed, is_behind = has_changed or did_change, is_behind or is_older
        declared[row.account] = (declared[row.account] or 0) + 1
    end
    local did_change, is_older = strategy.configure(view, r, now)
    has_changed, is_behind = has_changed or did_change, is_behind or is_older
    know(view, boot, r.subscriptions, r, now)
    has_changed = roster.rename(view, wanted) or has_changed
    has_changed = roster.retire(view, declared, now, false) or has_changed
    is_behind = is_behind or roster.unknown_to(view, boot) ~= nil
    if has_changed then
        roster.turn(view)
    else
        slots.commit(view)
        slots.forget(view)
    end
    redis.call("HSET", roster.boot_key(k, boot), "behind", is_behind and 1 or 0)
    return { "ok", tostring(view.generation), is_behind and "1" or "0" }
end

return declare
