-- run: one world from its seed to its verdict: nodes, callers, trouble, calm, and at the end
-- silence, in which nothing may be left.
local line = require("line")
local history = require("history")
local holdings = require("holdings")
local judge = require("judge")
local node = require("node")
local plan = require("plan")
local site = require("site")
local trouble = require("trouble")
local world = require("world")

local run = {}
run.__index = run

local SILENCE_MS, PROBE_MS = 80000, 5000
local NOBODY = { holder = "a person", node = {} }

run.STRATEGIES = {
    "headroom", "priority", "session", "least-requests", "round-robin", "weighted",
    "weighted-round-robin", "drain-soonest"
}

local function first_config(self, draw)
    local subs = {}
    for i = 1, 2 + draw(5) do
        local burst = draw(3) == 0 and 10 or 0
        subs[i] = { "s" .. i, "a" .. i, 1 + draw(8), 1 + draw(2), 1, burst, 1 + draw(20) }
    end
    self.accounts, self.configs = #subs, 1
    local strategy = run.STRATEGIES[1 + draw(#run.STRATEGIES)]
    return { edited = self.world:redis_ms(), digest = "d1", strategy = strategy, subs = subs }
end

-- `libraries`: { version =, chunk = } of all versions of the program; each boot is of one of them.
-- `options`: episodes, entries (a plan; else it is made).
function run.new(seed, libraries, options)
    local self = setmetatable({
        seed = seed, libraries = libraries, nodes = {}, boots = 0, episodes = options.episodes or 3
    }, run)
    self.world = world.new(seed)
    local draw = self.world:chance("run")
    self.draw = draw
    self.judge = judge.new(self)
    self.history = history.new(self)
    self.site = site.new(self.world, libraries, self.judge)
    function self.site.on_wake(boot, worker, seq)
        self:wake(boot, worker, seq)
    end
    self.entries = options.entries or plan.make(self.world:chance("plan"), self.episodes)
    self.config = first_config(self, draw)
    self.workers, self.callers = 1 + draw(3), 1 + draw(12)
    for i = 1, 2 + draw(3) do
        self:start("n" .. i, self.config)
    end
    return self
end

-- By the channel of a node: one of those that wait there has been granted something.
function run:wake(boot, index, seq)
    for _, one in ipairs(self.nodes) do
        for _, each in ipairs(not one.is_dead and one.workers or {}) do
            if one.boot == boot and each.index == index and not one.is_unreachable then
                self.world:after(1, function()
                    one:deliver(line.wake, each, seq)
                end)
            end
        end
    end
end

function run:start(name, config)
    self.boots = self.boots + 1
    local one = node.new(self, {
        name = name, boot = string.format("%08x", self.boots), workers = self.workers,
        callers = self.callers, config = config,
        version = self.libraries[self.boots % #self.libraries + 1].version
    })
    self.nodes[#self.nodes + 1] = one
    return one
end

-- A verb by redis-cli. The reply; nil if there is no Redis, or it refuses.
function run:by_person(verb, arguments)
    if self.site.state ~= "up" then
        return nil
    end
    NOBODY.node.version = self.libraries[1].version
    return (self.site:execute(NOBODY, { verb = verb, arguments = arguments, by_person = true }))
end

-- Whose name that is, as Redis knows it now.
function run:account_of(name)
    local roster = self.site.server.db.keys["weir:{main}:roster"]
    return roster and string.match(roster.map[name] or "", "account=(%S+)")
end

-- What a hand has set for the subscription of that name.
function run:told(name, what, value)
    local account = self:account_of(name)
    if account then
        self.judge[what][account] = value
    end
end

-- the end ----------------------------------------------------------------------------------------

local function check_silence(self)
    local active = self.site:by_hand("HGETALL", "weir:{main}:slots")
    for i = 1, #active, 2 do
        local count = string.match(active[i + 1], "^active=(%d+)")
        if count and count ~= "0" then
            self.judge:violation("lost slot", "nothing runs, and %s has %s", active[i], count)
        end
    end
    for _, each in ipairs(self.nodes) do
        for _, worker in ipairs(not each.is_dead and each.workers or {}) do
            if not worker:is_ready() then
                self.judge:violation("wait", "%s is not registered, long after all is well",
                    worker.holder)
            end
        end
    end
    for _, name in ipairs({ "queue", "classes", "untaken" }) do
        local left = self.site:by_hand("HLEN", "weir:{main}:" .. name)
        if left > 0 then
            self.judge:violation("line", "nobody waits, and %s has %d fields", name, left)
        end
    end
    holdings.check(self.judge)
    holdings.check_books(self.judge)
end

local FINE = { disabled = true, none = true, cooling = true, broken = true, burst = true }

-- Every worker can be granted something, one after the other.
local function probe(self)
    for _, each in ipairs(self.nodes) do
        for _, worker in ipairs(not each.is_dead and each.workers or {}) do
            local draw, answer = self.draw, nil
            worker:admit("probe", "m", "", function(word, lease)
                answer = word
                if word == "granted" then
                    lease.on_lost = function() end
                    self.judge:ended(lease)
                    worker:settle(lease, { outcome = "ok", input = draw(10) })
                end
            end)
            self.world:run_until(self.world.now + PROBE_MS)
            local reason = self.judge.last_refusal
            if answer ~= "granted" and not (answer == "refused" and FINE[reason]) then
                self.judge:violation("wait", "%s is granted nothing, and nothing runs: %s",
                    worker.holder, answer == "refused" and reason or tostring(answer))
            end
        end
    end
end

-- The verdict, or nil if all is well: { rule =, text =, at = }.
function run:go()
    for _, entry in ipairs(self.entries) do
        self.world:at(entry.at, function()
            self.judge:note(entry.kind)
            trouble[entry.kind](self, entry)
        end)
    end
    self.world:run_until(plan.end_ms(self.episodes))
    self.is_quiet = true
    self.world:run_until(self.world.now + SILENCE_MS)
    if not self.judge.verdict then
        check_silence(self)
        probe(self)
        holdings.check_books(self.judge)
    end
    return self.judge.verdict
end

return run
