-- site: where Redis runs, and the network to it. Calls reach the one server of the moment; it may
-- stand still, be away, lose what it knew, or be out of reach for one node.
local server = require("server")

local site = {}
site.__index = site

local KEY = "weir:{main}"

-- `libraries`: { version =, chunk = }, one for each version of the program in this world.
function site.new(world, libraries, judge)
    local chunks = {}
    for i, library in ipairs(libraries) do
        chunks[i] = library.chunk
    end
    local self = setmetatable({
        world = world, judge = judge, state = "up", backlog = {}, links = {}, processes = 1,
        wakes = 0,
        calls = 0, draw = world:chance("site")
    }, site)
    self.server = server.new(chunks, world:redis_ms(), self:run_id())
    return self
end

function site:run_id()
    return string.format("%08x", 0x5f000000 + self.processes)
end

-- One call, now. The reply, or nil and the error.
function site:execute(from, call)
    self.calls = self.calls + 1
    self.server.db.now = self.world:redis_ms()
    local reply, err = self.server:fcall("weir_" .. call.verb .. "_" .. from.node.version, KEY,
        call.arguments)
    self.judge:executed(from, call, reply, err)
    self:publish()
    return reply, err
end

-- What the call has published, a moment later; now and then it is lost.
function site:publish()
    local published = self.server.db.published
    if #published == 0 then
        return
    end
    self.server.db.published = {}
    for _, one in ipairs(published) do
        local boot = string.match(one.channel, ":wake:(%x+)$")
        local seq, worker = string.match(one.message, "^wake seq=(%d+) worker=(%d+)$")
        self.wakes = self.wakes + (boot and 1 or 0)
        if boot and self.on_wake and self.wakes % 17 > 0 then
            self.on_wake(boot, tonumber(worker), seq)
        end
    end
end

-- What a person does with redis-cli.
function site:by_hand(...)
    self.server.db.now = self.world:redis_ms()
    return self.server:command(...)
end

local function go_on(self)
    local backlog = self.backlog
    self.backlog = {}
    for i = 1, #backlog, 3 do
        backlog[i](backlog[i + 1], backlog[i + 2])
    end
end

-- Whatever arrives meanwhile waits.
function site:pause(ms)
    if self.state ~= "up" then
        return
    end
    self.state = "paused"
    self.world:after(ms, function()
        if self.state == "paused" then
            self.state = "up"
            go_on(self)
        end
    end)
end

local function cut_all(self)
    self.backlog = {}
    for _, link in ipairs(self.links) do
        link:cut(0)
    end
end

function site:save()
    self.saved = { keys = self.server:save(), judged = self.judge:save() }
end

local WHY = { all = "restart", older = "older copy", nothing = "nothing left" }

-- The process ends; after `ms` another one goes on: with `all` that this one knew, with the `older`
-- copy that was saved, or with `nothing`.
function site:restart(ms, with)
    if self.state == "down" then
        return
    end
    if with ~= "older" or not self.saved then
        self:save()
    end
    self.state = "down"
    cut_all(self)
    self.world:after(ms, function()
        self.processes = self.processes + 1
        self.server.db.now = self.world:redis_ms()
        local keys = with == "nothing" and {} or self.saved.keys
        self.server:become(self:run_id(), keys)
        if keys["weir:{main}:slots"] then
            self.judge:lost(self.saved.judged, WHY[with])
        else
            self.judge:lost(nil, WHY.nothing)
        end
        self.state = "up"
    end)
end

function site:flush()
    if self.state ~= "down" then
        self.server:flush()
        self.judge:lost(nil, "flush")
    end
end

return site
