-- lease: one admitted slot, from its grant to its end; and its holder, one worker of one boot.
--
--   weir:{main}:held:<holder>    hash   <seq> -> "account=3f9a1c20b7d4 sub=alpha client=bot
--                                                 model=m since=1795200000123";  @ -> "link=3"
--   weir:{main}:holders          zset   holder -> until when it need not renew, in ms
--   weir:{main}:swept:<holder>   hash   <seq> -> the record of a lease that expired: a late settle
--                                       books once, and the number is never granted again; 24 h
--   weir:{main}:swept            zset   holder -> when; at most SWEPT_HOLDERS_MAX
--   weir:{main}:sweeps           hash   last_ms, more, alive, differ: the last sweep, what it
--                                       found; grace_until_ms, grace_for: spared_until()
--
-- A holder renews with one expiry, whatever it holds. Its link number fences: a call that was left
-- over in a connection it has given up comes with a lower one, and has no effect any more.
--
-- Invariants: (1) active of a subscription = records in all held:* that name its account; (2) a seq
-- in swept:<holder> is not in held:<holder>; (3) only a holder whose expiry has passed, or that has
-- left, loses a lease it has not settled; (4) active grows beyond max only by restore, or when max
-- is lowered.
local lease = {}

function lease.held_key(k, holder)
    return k.base .. ":held:" .. holder
end

function lease.swept_key(k, holder)
    return k.base .. ":swept:" .. holder
end

function lease.record(sub, client, model, now)
    return "account=" .. sub.account .. " sub=" .. sub.name .. " client=" .. client .. " model="
        .. model .. " since=" .. pool.digits(now)
end

-- account, client, model of a record, and since when it is held; nil if it cannot be read.
function lease.read(record)
    local account, client, model, since = string.match(record,
        "^account=([%w-]+) sub=%S+ client=(%S+) model=(%S+) since=(%d+)$")
    if not account then
        local fields = pool.fields(record)
        account, client, model, since = fields.account, fields.client, fields.model, fields.since
    end
    return account, client or "-", model or "-", pool.count(since)
end

-- The subscription of an account; one that nobody has declared (yet) drains.
function lease.subscription_of(view, account)
    return view.by_account[account] or slots.add(view, view.by_name[account] and account .. "-"
        or account, account)
end

-- holders -----------------------------------------------------------------------------------------

local function look_up(view, name)
    local k = view.k
    local key = lease.held_key(k, name)
    local at = redis.call("HGET", key, "@")
    local holder = {
        name = name, key = key, boot = check.boot_of(name),
        link = pool.count(string.match(at or "", "link=(%d+)")),
        expiry = pool.count(redis.call("ZSCORE", k.holders, name)),
        has_ended = redis.call("EXISTS", lease.swept_key(k, name)) == 1
    }
    if view.holder_count >= 4096 then
        view.holders, view.holder_count = {}, 0
    end
    view.holders[name], view.holder_count = holder, view.holder_count + 1
    return holder
end

-- A holder is listed as long as its link is known: what sweeps the one sweeps the other.
local function raise_link(view, holder, link, expiry)
    if link < holder.link then
        error(redis.error_reply(string.format("STALE weir: link %d of %s was given up, %d is in "
            .. "use", link, holder.name, holder.link)))
    elseif link > holder.link then
        redis.call("HSET", holder.key, "@", string.format("link=%d", link))
        holder.link = link
        lease.extend(view, holder, expiry)
    end
end

function lease.extend(view, holder, expiry)
    redis.call("ZADD", view.k.holders, string.format("%d", expiry), holder.name)
    holder.expiry = expiry
end

-- The holder of a call. Its connection must be its newest. `expiry`: of the holder, if this is the
-- first call over that.
function lease.holder(view, name, link, expiry)
    local holder = view.holders[name] or look_up(view, name)
    if link ~= holder.link then
        raise_link(view, holder, link, expiry)
    end
    return holder
end

-- One that waits, and so is known.
function lease.known(view, name)
    return view.holders[name] or look_up(view, name)
end

-- Whoever is granted something is good for nearly a lease time from now: a tenth less, so that a
-- holder that admits all the time is written only that often.
function lease.keep_alive(view, holder, now, lease_ms)
    if holder.expiry < now + lease_ms * 0.9 or holder.expiry > now + pool.LEASE_MS_MAX then
        if redis.call("HEXISTS", holder.key, "@") == 0 then
            redis.call("HSET", holder.key, "@", string.format("link=%d", holder.link))
        end
        lease.extend(view, holder, now + lease_ms)
    end
end

-- How many leases it holds.
function lease.count(k, name)
    local fields = redis.call("HLEN", lease.held_key(k, name))
    if fields == 0 then
        return 0
    end
    return fields - redis.call("HEXISTS", lease.held_key(k, name), "@")
end

-- leases ------------------------------------------------------------------------------------------

-- Held from now on, whatever was before; the slot is taken.
function lease.hold(view, holder, seq, wanted, now)
    local sub = lease.subscription_of(view, wanted.account)
    slots.take(view, sub, sub.used)
    share.take(view, wanted.client, now)
    redis.call("HSET", holder.key, seq, lease.record(sub, wanted.client, wanted.model, now))
    if holder.has_ended then
        redis.call("HDEL", lease.swept_key(view.k, holder.name), seq)
    end
end

-- One that nobody has taken, as if it had never been granted. False: it is not held.
function lease.take_back(view, name, seq, now)
    local key = lease.held_key(view.k, name)
    local record = redis.call("HGET", key, seq)
    local account, client, _, since = nil, nil, nil, nil
    if record then
        account, client, _, since = lease.read(record)
    end
    if not account then
        return false
    end
    slots.begin(view)
    redis.call("HDEL", key, seq)
    slots.give(view, lease.subscription_of(view, account), 1)
    share.give(view, client, since, now)
    return true
end

-- Take leases of a holder away. `flat`: seq, record, ... They are remembered for a late settle.
function lease.end_by_force(view, name, flat, now)
    local k, key, freed, kept, seqs = view.k, lease.held_key(view.k, name), {}, {}, {}
    for i = 1, #flat, 2 do
        seqs[#seqs + 1] = flat[i]
        local account, client, _, since = lease.read(flat[i + 1])
        if account then
            kept[#kept + 1] = flat[i]
            kept[#kept + 1] = flat[i + 1]
            freed[account] = (freed[account] or 0) + 1
            share.give(view, client, since, now)
        else
            pool.event(k, "record dropped", "lease", name .. "-" .. flat[i], "record",
                pool.text(flat[i + 1]))
        end
    end
    if #seqs == 0 then
        return 0
    end
    slots.begin(view)
    if #kept > 0 then
        redis.call("HSET", lease.swept_key(k, name), unpack(kept))
        redis.call("EXPIRE", lease.swept_key(k, name), pool.SWEPT_S)
        redis.call("ZADD", k.swept, now, name)
    end
    redis.call("HDEL", key, unpack(seqs))
    for account, count in pairs(freed) do
        slots.give(view, lease.subscription_of(view, account), count)
    end
    view.holders[name] = nil
    return #seqs
end

-- What a holder has ends, as much as fits into one call. How many leases, and whether that was all.
local function end_holder(view, name, now, max)
    local k = view.k
    local flat = pool.some(k, lease.held_key(k, name), max, "@")
    local ended = lease.end_by_force(view, name, flat, now)
    if #flat == 2 * max and lease.count(k, name) > 0 then
        return ended, false
    end
    redis.call("DEL", lease.held_key(k, name))
    redis.call("ZREM", k.holders, name)
    view.holders[name] = nil
    return ended, true
end

-- Until when expired holders are spared. If nobody swept for a while (Redis was away, or all nodes
-- were), that is one more lease time from when it is first noticed, so that living nodes can renew
-- before anyone takes their slots. `grace_for` names the sweep that went before the gap.
function lease.spared_until(k, now, lease_ms)
    local state = redis.call("HMGET", k.sweeps, "last_ms", "grace_until_ms", "grace_for")
    local last, grace_until = pool.count(state[1]), pool.count(state[2])
    if last == 0 then -- nobody ever did, or the record is lost: time is measured from here on
        redis.call("HSET", k.sweeps, "last_ms", now)
    end
    if now - last > pool.UNSWEPT_MS and (not state[3] or pool.count(state[3]) ~= last) then
        redis.call("HSET", k.sweeps, "grace_until_ms", now + lease_ms, "grace_for", last)
        return now + lease_ms
    end
    if grace_until > now + pool.LEASE_MS_MAX then
        return now -- written before the clock was set back
    end
    return grace_until
end

-- Return the leases of holders that have expired, about `max`; the caller commits. How many, and
-- whether there are more. A holder that has left (its expiry is 0) is not spared.
function lease.reap(view, now, lease_ms, max)
    local k, ended, first = view.k, 0, nil
    local upto = lease.spared_until(k, now, lease_ms) > now and 0 or now
    for _, name in ipairs(redis.call("ZRANGEBYSCORE", k.holders, "-inf", upto, "LIMIT", 0, 16)) do
        local count, is_all = end_holder(view, name, now, max - ended)
        first = first or (count > 0 and name)
        ended = ended + count
        if not is_all or ended >= max then
            break
        end
    end
    if ended > 0 then
        pool.event(k, "leases expired", "count", ended, "first", first)
    end
    return ended, redis.call("ZCOUNT", k.holders, "-inf", upto) > 0
end

-- Holders of a boot are done with: the next reap takes what they left.
function lease.release_boot(k, boot, workers)
    for worker = 0, workers - 1 do
        redis.call("ZADD", k.holders, "XX", 0, boot .. "." .. worker)
    end
end

-- recount -----------------------------------------------------------------------------------------

local function count_holder(view, name, held, clients)
    local k = view.k
    local flat = redis.call("HGETALL", lease.held_key(k, name))
    for i = 1, #flat, 2 do
        if flat[i] ~= "@" then
            local account, client, _, since = lease.read(flat[i + 1])
            if account then
                held[account] = (held[account] or 0) + 1
                share.count(clients, client, since)
            else
                redis.call("HDEL", lease.held_key(k, name), flat[i])
                pool.event(k, "record dropped", "lease", name .. "-" .. flat[i], "record",
                    pool.text(flat[i + 1]))
            end
        end
    end
end

-- Make invariant 1 true again after a hand has broken it. Every count is compared as long as there
-- are few leases; if there are many only their sum, and each if that is wrong or, up to
-- THOROUGH_MAX leases, if the caller says so.
function lease.recount(view, is_thorough)
    local k, leases, active, held, clients = view.k, 0, 0, {}, {}
    local holders = redis.call("ZRANGE", k.holders, 0, -1)
    for _, name in ipairs(holders) do
        leases = leases + lease.count(k, name)
    end
    for _, sub in ipairs(view.list) do
        active = active + sub.active
    end
    local is_cheap = leases <= (is_thorough and pool.THOROUGH_MAX or pool.RECOUNT_MAX)
    if leases > pool.LEASES_COUNTED_MAX or (not is_cheap and leases == active) then
        return
    end
    for _, name in ipairs(holders) do
        count_holder(view, name, held, clients)
    end
    share.recount(view, clients)
    local wrong = nil
    for account in pairs(held) do
        lease.subscription_of(view, account)
    end
    for _, sub in ipairs(view.list) do
        local right = held[sub.account] or 0
        if sub.active ~= right then
            wrong = wrong or sub.name
            slots.set(view, sub, right)
        end
    end
    if wrong then
        pool.event(k, "slots recounted", "first", wrong, "active", active, "leases", leases)
    end
end

return lease
