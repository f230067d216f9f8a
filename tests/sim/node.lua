-- node: one boot of `weir serve`: a name, a pulse, workers, and callers that keep them busy. As
-- node/run/pulse.c and leave.c. It can stand still, be cut off, leave, or be killed at any moment.
local line = require("line")
local history = require("history")
local worker = require("worker")

local node = {}
node.__index = node

local PULSE_MS, JOIN_MS, JOIN_WITHOUT_REDIS_MS, JOIN_AGAIN_MS = 1000, 6000, 3000, 300
local DRAIN_LOOK_MS = 200

local format = string.format

-- `spec`: name, boot (8 hex digits), workers, callers (of each worker), version (of the library),
-- config: { edited =, digest =, strategy =,
--           subs = { { name, account, max, priority, enabled, burst, tier }, ... } }
function node.new(run, spec)
    local self = setmetatable({
        run = run, world = run.world, site = run.site, judge = run.judge, name = spec.name,
        wanted = spec.name, boot = spec.boot, boot_name = spec.name .. "." .. spec.boot,
        label = spec.boot, worker_count = spec.workers, callers = spec.callers,
        version = spec.version, config = spec.config, backlog = {}, workers = {}, epoch = "0",
        running = 0, unremembered = {}, draw = run.world:chance("node " .. spec.boot)
    }, node)
    self.control = worker.new(self, self.worker_count)
    self.began = self.world.now
    self.world:after(JOIN_WITHOUT_REDIS_MS, node.stop_joining_alone, self)
    self:ask_name()
    return self
end

-- standing still, and the end --------------------------------------------------------------------

-- act(a, b, c) in this process: now, when it runs again, or never.
function node:deliver(act, a, b, c)
    if self.is_dead then
        return
    elseif self.is_stalled then
        local backlog = self.backlog
        local n = #backlog
        backlog[n + 1] = { act, a, b, c }
        return
    end
    act(a, b, c)
end

function node:stall(ms)
    if self.is_dead or self.is_stalled then
        return
    end
    self.is_stalled = true
    self.world:after(ms, function()
        local backlog = self.backlog
        self.backlog, self.is_stalled = {}, false
        for _, event in ipairs(backlog) do
            if not self.is_dead then
                event[1](event[2], event[3], event[4])
            end
        end
    end)
end

-- Nothing reaches Redis, and nobody is told.
function node:isolate(ms)
    self.is_unreachable = true
    self.world:after(ms, function()
        self.is_unreachable = false
    end)
end

function node:kill()
    if self.is_dead then
        return
    end
    self.is_dead = true
    for _, each in ipairs(self.workers) do
        each.link:cut(2)
    end
    self.control.link:cut(2)
    self.judge:died(self)
    self.backlog = {}
end

-- a name -----------------------------------------------------------------------------------------

local function end_join(self, name)
    self.has_name = true
    self.name = name
    self.boot_name = name .. "." .. self.boot
    self.control.holder = self.boot_name .. "." .. self.control.index
    self.judge:named(self)
    self:pulse()
end

local function on_joined(call, reply, err)
    local self = call.about
    self.is_asking = false
    if self.has_name then
        return
    elseif not err and reply[1] == "joined" then
        end_join(self, reply[2])
    else
        self.world:after(not err and tonumber(reply[2]) or JOIN_AGAIN_MS, node.ask_name, self)
    end
end

function node:ask_name()
    if self.is_dead or self.has_name or self.is_asking then
        return
    elseif not self.control:is_ready() then
        self.world:after(100, node.ask_name, self)
        return
    elseif not self.joining_since then
        self.joining_since = self.world.now
        self.world:after(JOIN_MS, node.stop_joining, self)
    end
    self.is_asking = true
    self.control.link:send("join", {
        self.wanted, self.boot, format("%d", self.world.now - self.joining_since), "take"
    }, on_joined, self)
end

function node:stop_joining()
    if not self.has_name and not self.is_dead then
        end_join(self, self.wanted)
    end
end

function node:stop_joining_alone()
    if not self.joining_since then
        self:stop_joining()
    end
end

-- the second -------------------------------------------------------------------------------------

local function start_workers(self)
    for i = 1, self.worker_count do
        self.workers[i] = worker.new(self, i - 1)
        for n = 1, self.callers do
            local caller = { worker = self.workers[i], name = "c" .. n, tries = 0 }
            self:call_in(caller, self.draw(500))
        end
    end
end

local function on_declared(call, _, err)
    local self = call.about
    self.is_declared = not err
    if self.is_declared then
        if #self.workers == 0 then
            self:beat()
            start_workers(self)
        end
    end
end

function node:declare()
    local config = self.config
    local arguments = { self.name, self.boot, format("%.0f", config.edited), "0",
        config.strategy, "18000000" }
    for _, sub in ipairs(config.subs) do
        for i = 1, 7 do
            arguments[#arguments + 1] = tostring(sub[i])
        end
        arguments[#arguments + 1] = format("5h:8000:%d", self.judge.CEILING)
    end
    self.control.link:send("declare", arguments, on_declared, self)
end

local function on_beat(call, reply, err)
    local self = call.about
    if err or self.has_left then
        return
    end
    local found = {}
    for i = 1, #reply, 2 do
        found[reply[i]] = reply[i + 1]
    end
    self.control:meet_epoch(found.epoch)
    if found.epoch ~= self.epoch then
        self.epoch = found.epoch
        for _, each in ipairs(self.workers) do
            each:meet_epoch(found.epoch)
        end
    end
    if found.known == "0" and self.is_declared then
        self:declare()
    end
    if found.more == "1" then
        self:beat()
    end
end

function node:beat()
    if not self.control.link.is_up or self.has_left then
        return
    end
    self.control.link:send("beat", {
        self.name, self.boot, "1.0", self.config.digest, format("%d", self.running), "13500",
        format("%d", self.worker_count), "0", self.control.epoch
    }, on_beat, self)
end

local function on_second(self)
    self.is_pulse_due = false
    if not self.is_declared and self.control:is_ready() then
        self:declare()
    end
    self:beat()
    history.give(self.run.history, self)
end

function node:pulse()
    if self.is_dead then
        return
    elseif not self.is_pulse_due then
        self.is_pulse_due = true
        self:deliver(on_second, self)
    end
    self.world:after(PULSE_MS, node.pulse, self)
end

-- Another configuration is read.
function node:reload(config)
    if not self.is_dead then
        self.config = config
        self.is_declared = false
    end
end

-- leaving ----------------------------------------------------------------------------------------

local function is_done(self)
    if self.running > 0 then
        return false
    end
    for _, each in ipairs(self.workers) do
        if each.held_count > 0 or #each.asking > 0 or each.waiting_from <= each.waiting_to
            or each.sent_count > 0 then
            return false
        end
    end
    return true
end

local function look_whether_done(self)
    if self.is_dead then
        return
    elseif not is_done(self) or self.is_stalled or not self.control.link.is_up then
        self.world:after(DRAIN_LOOK_MS, look_whether_done, self)
        return
    end
    self.has_left = true
    self.control.link:send("leave", { self.name, self.boot }, function()
        self:kill()
    end, self)
end

function node:leave()
    if not self.is_dead and not self.is_leaving then
        self.is_leaving = true
        look_whether_done(self)
    end
end

-- callers ----------------------------------------------------------------------------------------

local function end_at_provider(lease)
    if not lease.is_running then
        return
    end
    lease.is_running = false
    lease.worker.judge:ended(lease)
    lease.worker.node:deliver(lease.on_end, lease)
end

local function duration(draw)
    if draw(80) == 0 then
        return 10000 + draw(50000)
    end
    return 2 ^ draw(11) + draw(20)
end

local function outcome_of(draw, lease)
    local kind = draw(30)
    if kind == 0 then
        return { outcome = "error", cooldown_ms = 1000 + draw(9000), input = draw(1000) }
    elseif kind == 1 then
        return { outcome = "error", cooldown_ms = 1000 + draw(9000), input = draw(1000),
            scope = lease.label }
    elseif kind < 6 then
        return { outcome = "error", health = draw(4) == 0 and "suspect" or "bad", input = 1 }
    elseif draw(20) == 0 then
        return { outcome = "cancelled", input = draw(1000) }
    end
    return { outcome = "ok", health = "good", input = draw(1000) }
end

local function run_request(self, caller, lease)
    local draw, each = self.draw, caller.worker
    self.running = self.running + 1
    lease.is_running = true
    self.judge:started(lease)
    function lease.on_end()
        self.running = self.running - 1
        each:settle(lease, outcome_of(draw, lease))
        history.ended(self.run.history, self)
        self:call_in(caller, draw(60))
    end
    function lease.on_lost()
        if lease.is_running then
            lease.is_running = false
            self.judge:ended(lease)
            self.running = self.running - 1
            each:settle(lease, { outcome = "error" })
            self:call_in(caller, draw(200))
        end
    end
    self.world:after(duration(draw), end_at_provider, lease)
end

local function excluded_of(self)
    local subs = self.config.subs
    return self.draw(12) == 0 and #subs > 1 and subs[self.draw(#subs) + 1][2] or ""
end

local function on_admission(self, caller, word, lease, retry_ms)
    local draw = self.draw
    if word == "granted" then
        caller.tries = 0
        run_request(self, caller, lease)
    elseif word == "refused" and caller.tries < 4 then
        caller.tries = caller.tries + 1
        self:call_in(caller, math.min(retry_ms, 200 + draw(1000)))
    else
        caller.tries = 0
        self:call_in(caller, 300 + draw(1000))
    end
end

-- Gone before Redis answered.
local function leave_question(self, caller, question)
    for _, other in ipairs(caller.worker.asking) do
        if other == question then
            question.is_cancelled = true
            self:call_in(caller, 100 + self.draw(300))
            return
        end
    end
    if line.leave(caller.worker, question) then
        self:call_in(caller, 100 + self.draw(300))
    end
end

local function call_now(self, caller)
    if self.is_leaving or self.run.is_quiet then
        return
    end
    local draw = self.draw
    local question = caller.worker:admit(caller.name, "m" .. draw(3), excluded_of(self),
        function(word, lease, retry_ms)
            on_admission(self, caller, word, lease, retry_ms)
        end)
    if not question then
        self:call_in(caller, 200 + draw(800))
    elseif draw(60) == 0 then
        self.world:after(draw(2) == 0 and draw(4) or draw(3000), function()
            self:deliver(leave_question, self, caller, question)
        end)
    end
end

function node:call_in(caller, ms)
    self.world:after(ms, function()
        self:deliver(call_now, self, caller)
    end)
end

return node
