-- epoch: what happens when Redis has lost data.
--
--   weir:{main}:epoch      hash   began_ms, why (new | emptied | server changed), until_ms; waits:
--                                 the boots that lived then
--   weir:{main}:restored   set    holders that have registered in it
--
-- An epoch's name is the time at which it began. In a new one nothing is admitted (`closed` in the
-- guard says until when) before whoever lives has registered what it runs, or one lease time has
-- passed:
--   new              nobody has used this pool as far as anyone knows: open at once. If a node
--                    comes that knew another epoch, data was lost after all: closed
--   emptied          this library knew the pool and finds nothing: closed for a lease time
--   server changed   a restart or a failover, perhaps from an older copy: open as soon as all boots
--                    that lived according to it have registered, and those it may not know of have
--                    had SETTLE_DOWN_MS; at once, if the only one is alone with its Redis
local epoch = {}

-- What 0.1 kept in this pool. Its books are of the same form and stay; its nodes do not count slots
-- as we do, so they must be gone before we begin, and find a closed door later.
local function end_first_version(k, now)
    if redis.call("TYPE", k.subs)["ok"] == "string" then
        return
    end
    local last = redis.pcall("ZRANGE", k.nodes, "-1", "-1", "WITHSCORES")
    if type(last) == "table" and last[2] and now - last[2] < pool.ALIVE_MS then
        error(redis.error_reply("ERR weir: a node of version 0.1 (" .. last[1] .. ") still uses "
            .. "this pool: stop all of them first, or give this version another pool (redis.pool)"))
    end
    redis.call("DEL", k.subs, k.nodes, k.leases, k.lease, k.swept)
    redis.call("SET", k.subs, "this pool has schema " .. calls.SCHEMA .. "; weir 0.1 cannot use it")
end

-- Boots that lived when the newest of them was last heard of; nil if none is known.
local function living_boots(k)
    local beats = redis.call("ZRANGE", k.boots, 0, pool.BOOTS_MAX - 1, "WITHSCORES")
    local newest, boots = pool.count(beats[#beats]), {}
    for i = 1, #beats, 2 do
        if pool.count(beats[i + 1]) >= newest - pool.ALIVE_MS then
            boots[#boots + 1] = beats[i]
        end
    end
    return #boots > 0 and table.concat(boots, " ") or nil
end

-- Whose registration opens a new epoch, one space between; nil: only time does. If the epoch before
-- had not opened yet, those it waited for are still waited for; what it did not know, we do not.
local function whom_to_wait_for(view, why, now)
    if why ~= "server changed" then
        return nil
    end
    local boots = living_boots(view.k)
    if view.closed <= now then
        return boots
    end
    local former = redis.call("HGET", view.k.epoch, "waits")
    return former and boots and former .. " " .. boots
end

function epoch.begin(view, why, lease_ms)
    local k, now = view.k, pool.now_ms()
    if why == "new" then
        end_first_version(k, now)
    end
    local waits = whom_to_wait_for(view, why, now)
    slots.begin(view)
    view.epoch = math.max(now, view.epoch + 1)
    view.closed = why == "new" and 0 or now + lease_ms
    view.generation = view.generation + 1
    queue.clear(view)
    redis.call("DEL", k.restored)
    redis.call("DEL", k.epoch)
    redis.call("HSET", k.epoch, "began_ms", now, "why", why, "until_ms", view.closed)
    if waits then
        redis.call("HSET", k.epoch, "waits", waits)
    end
    pool.event(k, "epoch began", "epoch", view.epoch, "why", why, "until_ms", view.closed)
    pool.notice(k, "epoch id=" .. string.format("%.0f", view.epoch))
    slots.rehead(view)
    slots.commit(view)
end

local function set_closed(view, until_ms)
    slots.begin(view)
    view.closed = until_ms
    redis.call("HSET", view.k.epoch, "until_ms", until_ms)
    slots.rehead(view)
    slots.commit(view)
end

-- Somebody who knew another epoch: so this pool was not new, it had lost everything.
function epoch.meet(view, known, lease_ms, now)
    if known ~= 0 and known ~= view.epoch and view.closed == 0
        and now < view.epoch + lease_ms
        and redis.call("HGET", view.k.epoch, "why") == "new" then
        redis.call("HSET", view.k.epoch, "why", "emptied")
        set_closed(view, view.epoch + lease_ms)
        pool.event(view.k, "epoch closed", "epoch", view.epoch, "known", known)
    end
end

-- Have all registered that lived when the data were written? And is there nobody but a node that is
-- alone with its Redis? A boot without a record has left, or its successor said that it is gone.
local function are_all_registered(k)
    local waits, registered = redis.call("HGET", k.epoch, "waits"), {}
    if not waits then
        return false
    end
    for _, holder in ipairs(redis.call("SMEMBERS", k.restored)) do
        registered[holder] = true
    end
    for boot in string.gmatch(waits, "%S+") do
        local workers = redis.call("HGET", k.base .. ":boot:" .. boot, "workers")
        for worker = 0, pool.count(workers) - 1 do
            if not registered[boot .. "." .. worker] then
                return false
            end
        end
    end
    local is_alone = true
    for _, boot in ipairs(redis.call("ZRANGE", k.boots, 0, pool.BOOTS_MAX - 1)) do
        is_alone = is_alone and redis.call("HGET", k.base .. ":boot:" .. boot, "alone") == "1"
    end
    return true, is_alone
end

-- May admissions begin again? In how many ms if not.
function epoch.closed_ms(view, now)
    if view.closed == 0 then
        return 0
    elseif view.closed <= now then
        set_closed(view, 0)
        return 0
    elseif view.closed > now + pool.LEASE_MS_MAX then -- the clock was set back since
        set_closed(view, now + pool.LEASE_MS)
    end
    return view.closed - now
end

-- A holder has registered, or time has passed.
function epoch.look(view, now)
    if epoch.closed_ms(view, now) == 0
        or redis.call("HGET", view.k.epoch, "why") ~= "server changed" then
        return
    end
    local is_complete, is_alone = are_all_registered(view.k)
    if is_complete and (is_alone or now >= view.epoch + pool.SETTLE_DOWN_MS) then
        set_closed(view, 0)
        pool.event(view.k, "epoch opened", "epoch", view.epoch)
    end
end

function epoch.register(view, holder, now)
    if view.closed > now then
        redis.call("SADD", view.k.restored, holder)
        epoch.look(view, now)
    end
end

return epoch
