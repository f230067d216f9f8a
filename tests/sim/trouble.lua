-- trouble: how each kind of entry of a plan is carried out.
local node = require("node")

local trouble = {}

local BASE = "weir:{main}"

local function living(run)
    local found = {}
    for _, each in ipairs(run.nodes) do
        if not each.is_dead then
            found[#found + 1] = each
        end
    end
    return found
end

-- If nobody is left, one begins anew.
local function node_of(run, entry)
    local all = living(run)
    if #all == 0 then
        return run:start("n1", run.config)
    end
    return all[entry.which % #all + 1]
end

local function worker_of(run, entry)
    local one = node_of(run, entry)
    return one and one.workers[entry.how % math.max(1, #one.workers) + 1] or one and one.control
end

local function sub_of(run, entry)
    local subs = run.config.subs
    return subs[entry.which % #subs + 1]
end

-- the network, Redis ------------------------------------------------------------------------------

trouble["cut link"] = function(run, entry)
    worker_of(run, entry).link:fade(entry.ms)
end

trouble["cut node"] = function(run, entry)
    local one = node_of(run, entry)
    for _, each in ipairs(one.workers) do
        each.link:fade(entry.ms)
    end
    one.control.link:fade(entry.ms)
end

-- And what it says first when it is back is half heard.
trouble["isolate"] = function(run, entry)
    local one = node_of(run, entry)
    one:isolate(entry.ms)
    for _, each in ipairs(one.workers) do
        each.link.next_lasts_ms = entry.how % 400
    end
end

trouble["pause"] = function(run, entry)
    run.site:pause(entry.ms)
end

trouble["restart"] = function(run, entry)
    run.site:restart(entry.ms, "all")
end

-- A replica takes over that lagged by some seconds.
trouble["older copy"] = function(run, entry)
    if run.site.state == "up" then
        run.site:save()
        run.world:after(entry.ms / 3, function()
            run.site:restart(entry.how, "older")
        end)
    end
end

-- Half of them right behind a change of the roster, after which the library remembers nothing.
trouble["flush"] = function(run, entry)
    if entry.how % 2 == 0 then
        trouble["enable by hand"](run, entry)
    end
    run.site:flush()
end

trouble["nothing left"] = function(run, entry)
    run.site:restart(entry.ms, "nothing")
end

-- While somebody stands still who should be waited for.
trouble["lose twice"] = function(run, entry)
    node_of(run, entry):stall(entry.ms + 6000)
    run.site:flush()
    run.world:after(entry.ms, function()
        run.site:restart(entry.how, "all")
    end)
end

trouble["full"] = function(run, entry)
    run.site.server.is_full = true
    run.world:after(entry.ms, function()
        run.site.server.is_full = false
    end)
end

-- Whoever was told until when nothing is admitted was told by this clock; so it is not stepped
-- while that is so.
local function step(run, ms)
    local loss = run.judge.loss
    if not loss or run.world.now > loss.at + 20000 then
        run.world.clock_ahead = run.world.clock_ahead + ms
        run.judge:step(ms)
    end
end

trouble["clock ahead"] = function(run, entry)
    step(run, entry.ms)
end

trouble["clock back"] = function(run, entry)
    step(run, -entry.ms)
end

-- nodes ------------------------------------------------------------------------------------------

local function start_in(run, ms, name, config)
    run.world:after(ms, function()
        run:start(name, config)
    end)
end

trouble["stall"] = function(run, entry)
    node_of(run, entry):stall(entry.ms)
end

trouble["kill"] = function(run, entry)
    local one = node_of(run, entry)
    one:kill()
    start_in(run, entry.ms, one.wanted, entry.how % 4 == 0 and one.config or run.config)
end

trouble["kill for good"] = function(run, entry)
    if #living(run) > 1 then
        node_of(run, entry):kill()
    else
        trouble["kill"](run, entry)
    end
end

-- A new boot of the same name is there before the old one has drained.
trouble["roll"] = function(run, entry)
    local one = node_of(run, entry)
    one:leave()
    start_in(run, entry.ms, one.wanted, run.config)
end

trouble["clone"] = function(run, entry)
    if #living(run) < 6 then
        run:start(node_of(run, entry).wanted, run.config)
    end
end

trouble["leave"] = function(run, entry)
    local one = node_of(run, entry)
    one:leave()
    start_in(run, entry.ms, one.wanted .. "-new", run.config)
end

-- configurations ---------------------------------------------------------------------------------

-- A subscription's row: name, account, max, priority, enabled, burst, tier.
local function copy_of(subs)
    local made = {}
    for i, sub in ipairs(subs) do
        made[i] = { unpack(sub) }
    end
    return made
end

local CHANGES = {
    function(subs, one) -- more or fewer slots
        one[3] = (one[3] + 1) % 6 + 1
        return subs
    end,
    function(subs, one, run) -- a new one
        run.accounts = run.accounts + 1
        subs[#subs + 1] = { "s" .. run.accounts, "a" .. run.accounts, one[3], 1, 1, 0, 5 }
        return subs
    end,
    function(subs, one) -- one less
        local kept = {}
        for _, sub in ipairs(subs) do
            if sub ~= one or #subs == 1 then
                kept[#kept + 1] = sub
            end
        end
        return kept
    end,
    function(subs, one, run) -- another name
        run.accounts = run.accounts + 1
        one[1] = "r" .. run.accounts
        return subs
    end,
    function(subs, one) -- two change names
        subs[1][1], one[1] = one[1], subs[1][1]
        return subs
    end,
    function(subs, one, run) -- another credential under that name
        run.accounts = run.accounts + 1
        one[2] = "a" .. run.accounts
        return subs
    end,
    function(subs, one) -- on, off
        one[5] = 1 - one[5]
        return subs
    end,
    function(subs, _, run) -- another strategy
        run.strategies = (run.strategies or 0) + 1
        return subs
    end
}

local function strategy_of(run, number)
    return run.STRATEGIES[number % #run.STRATEGIES + 1]
end

local function change(run, entry)
    local subs = copy_of(run.config.subs)
    local one = subs[entry.which % #subs + 1]
    subs = CHANGES[entry.how % #CHANGES + 1](subs, one, run)
    run.configs = run.configs + 1
    run.config = { edited = run.world:redis_ms(), digest = "d" .. run.configs,
        strategy = strategy_of(run, run.strategies or 0), subs = subs }
end

trouble["reload all"] = function(run, entry)
    change(run, entry)
    local config = run.config
    for i, each in ipairs(living(run)) do
        run.world:after(entry.ms * (i - 1) / 3, node.reload, each, config)
    end
end

trouble["reload one"] = function(run, entry)
    change(run, entry)
    node_of(run, entry):reload(run.config)
end

-- hands ------------------------------------------------------------------------------------------

local function mend(run, verb, ...)
    return run:by_person(verb, { ... })
end

trouble["cool"] = function(run, entry)
    local sub = sub_of(run, entry)
    if mend(run, "cool", sub[1], tostring(entry.ms), "by hand") then
        run:told(sub[1], "cooling", run.world:redis_ms() + entry.ms)
        run.judge:cooled_by_hand(run:account_of(sub[1]) or "")
    end
end

trouble["open"] = function(run, entry)
    local sub = sub_of(run, entry)
    if mend(run, "open", sub[1]) then
        run.judge:opened(run:account_of(sub[1]) or "")
    end
end

trouble["pause by hand"] = function(run, entry)
    local sub = sub_of(run, entry)
    if mend(run, "enable", sub[1], "off") then
        run:told(sub[1], "paused", true)
    end
end

trouble["enable by hand"] = function(run, entry)
    local sub = sub_of(run, entry)
    if mend(run, "enable", sub[1], "on") then
        run:told(sub[1], "paused", nil)
    end
end

trouble["strategy by hand"] = function(run, entry)
    local is_taken_back = entry.how % 3 == 0
    mend(run, "strategy", is_taken_back and "configured" or strategy_of(run, entry.how))
end

trouble["free by hand"] = function(run, entry)
    local each = worker_of(run, entry)
    for seq = each.next_seq, 1, -1 do
        local lease = each.held[tostring(seq)]
        if lease then
            lease.is_gone = true
            mend(run, "free", each.holder .. "-" .. seq)
            return
        end
    end
end

local DAMAGES = {
    function(hand, sub)
        hand("HSET", BASE .. ":slots", sub, "active=99 cooling=0 used=0")
    end,
    function(hand, sub)
        hand("HSET", BASE .. ":slots", sub, "what is this")
    end,
    function(hand, _, holder)
        hand("HSETNX", BASE .. ":held:" .. holder, "1", "no record")
    end,
    function(hand, _, holder)
        hand("HSETNX", BASE .. ":held:" .. holder, "2", "account=nobody client=x model=y")
    end,
    function(hand)
        hand("ZADD", BASE .. ":holders", "0", "nobody")
    end,
    function(hand)
        hand("ZADD", BASE .. ":boots", "1", "nobody")
    end,
    function(hand)
        hand("HSET", BASE .. ":roster", "junk", "max=many")
    end,
    function(hand)
        hand("SET", BASE .. ":cooldowns", "not a hash")
    end,
    function(hand)
        hand("DEL", BASE .. ":settings")
        hand("SET", BASE .. ":settings", "not a hash")
    end,
    function(hand)
        hand("HSET", BASE .. ":settings", "strategy", "name=fastest", "configured", "x=y edited=z")
    end,
    function(hand)
        hand("SET", BASE .. ":cooldowns", "no hash either")
    end,
    function(hand)
        hand("SET", BASE .. ":blocks", "not a hash")
    end,
    function(hand, sub)
        hand("HSET", BASE .. ":slots", sub, "active=0 cooling=0 used=0 broken=many faults=9")
    end,
    function(hand)
        hand("SET", BASE .. ":sweeps", "not a hash")
    end,
    function(hand)
        hand("SET", BASE .. ":swept", "not a sorted set")
    end,
    function(hand)
        hand("SET", BASE .. ":restored", "not a set")
    end,
    function(hand)
        hand("SET", BASE .. ":events", "not a stream")
    end,
    function(hand)
        hand("SET", BASE .. ":epoch", "not a hash")
    end,
    function(hand, _, holder)
        hand("SET", BASE .. ":boot:" .. string.match(holder, "^(.*)%."), "not a hash")
    end,
    function(hand, _, _, account)
        hand("SET", BASE .. ":burst:" .. account, "not a list")
    end
}

trouble["damage"] = function(run, entry)
    if run.site.state == "down" then
        return
    end
    local sub, holder = sub_of(run, entry), worker_of(run, entry).holder
    if not run.site:by_hand("ZSCORE", BASE .. ":holders", holder) then
        return -- what a hand keeps for a holder that is none is nobody's business
    end
    run.judge:damaged()
    run:told(sub[1], "cooling", 0)
    run.judge.blocked = {}
    DAMAGES[entry.how % #DAMAGES + 1](function(...)
        run.site:by_hand(...)
    end, sub[1], holder, sub[2])
    run.judge:note("damage " .. entry.how % #DAMAGES + 1)
end

return trouble
