-- mend: cool, open, enable, free, strategy, reload: what a person mends or sets, by redis-cli or
-- through a node. Each is written down in `events`.
--
--   redis-cli FCALL weir_cool   1 'weir:{main}' alpha 600000 'maintenance at the provider'
--   redis-cli FCALL weir_open   1 'weir:{main}' alpha [who]
--   redis-cli FCALL weir_enable 1 'weir:{main}' alpha off
--   redis-cli FCALL weir_free   1 'weir:{main}' weir-1.5f3a91c0.0-6
--   redis-cli FCALL weir_strategy 1 'weir:{main}' round-robin [who]
--   redis-cli FCALL weir_reload 1 'weir:{main}' all [who]
local mend = {}

local NAMES_TOLD = 20

local function names_of(view)
    local names = {}
    for i, sub in ipairs(view.list) do
        names[i] = sub.name
    end
    table.sort(names)
    local more = #names > NAMES_TOLD and ", ..." or ""
    return #names == 0 and "none"
        or table.concat(names, ", ", 1, math.min(#names, NAMES_TOLD)) .. more
end

local function find(view, name)
    local sub = view.by_name[name]
    if not sub then
        check.refuse("name", "a subscription of this pool (" .. names_of(view) .. ")", name)
    end
    return sub
end

-- -> ok, until when (ms). It replaces the cooldown that runs.
function mend.cool(keys, argv)
    local k, r = pool.keys(keys), calls.cool(argv)
    local view = slots.open(k)
    local sub, until_ms = find(view, r.name), pool.now_ms() + r.cooldown_ms
    trial.forget(view, sub, trial.ALL)
    slots.cool(view, sub, until_ms, { reason = r.reason, status = 0, lease = "-" })
    slots.commit(view)
    return { "ok", string.format("%.0f", until_ms) }
end

-- -> ok, how many ms of cooldown were left, what was lifted in words ("": nothing was closed)
--
-- Whatever closed it is over, for one request: that tries, and if it fails all is as it was.
function mend.open(keys, argv)
    local k, r = pool.keys(keys), calls.open(argv)
    local view, now = slots.open(k), pool.now_ms()
    local sub = find(view, r.name)
    local left_ms = math.max(0, sub.cooling - now)
    local lifted = health.lift(view, sub, now)
    pool.event(k, "opened by hand", "subscription", sub.name, "left_ms", left_ms, "lifted",
        lifted == "" and "nothing" or lifted, "by", r.by[1] and r.by[1].who or "redis-cli")
    slots.commit(view)
    return { "ok", string.format("%.0f", left_ms), lifted }
end

-- -> ok, on or off
function mend.enable(keys, argv)
    local k, r = pool.keys(keys), calls.enable(argv)
    local view = slots.open(k)
    local sub = find(view, r.name)
    slots.begin(view)
    sub.paused = r.is_on == "on" and 0 or 1
    roster.write(view, sub)
    pool.event(k, sub.paused == 1 and "paused by hand" or "enabled by hand", "subscription",
        sub.name)
    roster.turn(view)
    return { "ok", r.is_on }
end

-- -> ok, leases freed (0: nobody holds it). What it used is booked if its node settles it later.
function mend.free(keys, argv)
    local k, r = pool.keys(keys), calls.free(argv)
    local view, holder, seq = slots.open(k), r.lease.holder, r.lease.seq
    local record = redis.call("HGET", lease.held_key(k, holder), seq)
    local freed = 0
    if record then
        slots.begin(view)
        freed = lease.end_by_force(view, holder, { seq, record }, pool.now_ms())
        pool.event(k, "freed by hand", "lease", holder .. "-" .. seq, "record", pool.text(record))
        slots.commit(view)
    end
    return { "ok", tostring(freed) }
end

-- -> ok, the strategy that holds now, the one that held until now. It holds until another one is
-- said, whatever is configured; "configured" leaves it to the configuration again.
function mend.strategy(keys, argv)
    local k, r = pool.keys(keys), calls.strategy(argv)
    local view = slots.open(k)
    local was = view.strategy
    strategy.say(view, r.strategy, r.by[1] and r.by[1].who or "redis-cli", pool.now_ms())
    local holds = view.strategy
    roster.turn(view)
    return { "ok", holds, was }
end

-- When all nodes were last asked to read their configurations again; 0: never.
function mend.reload_asked(k)
    return pool.count(redis.call("HGET", k.settings, "reload"))
end

-- -> ok, when it was asked (ms): that also tells it from all others. Each node hears of it with its
-- next beat, and tells there what came of it.
function mend.reload(keys, argv)
    local k, r = pool.keys(keys), calls.reload(argv)
    local asked = math.max(pool.now_ms(), mend.reload_asked(k) + 1)
    redis.call("HSET", k.settings, "reload", string.format("%.0f", asked))
    pool.event(k, "reload asked", "by", r.by[1] and r.by[1].who or "redis-cli")
    pool.notice(k, string.format("reload asked=%.0f", asked))
    return { "ok", string.format("%.0f", asked) }
end

return mend
