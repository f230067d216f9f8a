-- link: one holder's connection to Redis. Calls arrive in the order in which they were sent, as do
-- their answers. A connection that breaks fails what is open at once; what was on its way in it may
-- reach Redis all the same, later, beside the calls of the next one.
local link = {}
link.__index = link

local CALL_TIMEOUT_MS, CONNECT_TIMEOUT_MS = 2000, 3000
local LEFTOVER_MS = 4000 -- for so long at most
local SLOW_MS = 150

-- `owner`: on_up(), on_down(); and node, which stands still or dies.
function link.new(site, owner, name)
    local self = setmetatable({
        site = site, world = site.world, owner = owner, node = owner.node, is_up = false,
        connection = 0, open = {}, first = 1, last = 0, arrives = 0, answers = 0, slow_until = 0,
        draw = site.world:chance("link " .. name)
    }, link)
    site.links[#site.links + 1] = self
    self.world:after(self.draw(20), link.connect, self)
    return self
end

local function delay(self)
    local draw = self.draw
    if self.world.now < self.slow_until then
        return 20 + draw(SLOW_MS)
    elseif draw(200) == 0 then
        return draw(300)
    end
    return draw(3)
end

local function can_reach(self)
    return self.site.state == "up" and not self.node.is_unreachable
end

function link.connect(self)
    if self.node.is_dead or self.is_up then
        return
    elseif self.node.is_stalled then
        self.node:deliver(link.connect, self)
    elseif can_reach(self) then
        self.is_up = true
        self.connection = self.connection + 1
        self.arrives, self.answers = 0, 0
        self.owner:on_up()
        if self.next_lasts_ms then
            self:fade(self.next_lasts_ms)
            self.next_lasts_ms = nil
        end
    else
        self.world:after(self.site.state == "down" and 100 + self.draw(1900) or CONNECT_TIMEOUT_MS,
            link.connect, self)
    end
end

-- calls ------------------------------------------------------------------------------------------

local function answer(self, call, is_of)
    if self.connection ~= is_of or call.is_over or self.node.is_unreachable then
        return
    end
    call.is_over = true
    while self.first <= self.last and self.open[self.first].is_over do
        self.open[self.first] = nil
        self.first = self.first + 1
    end
    self.node:deliver(call.on_answer, call, call.reply, call.err)
end

local function execute(self, call)
    if call.is_lost then
        return
    end
    call.has_arrived = true
    call.reply, call.err = self.site:execute(self.owner, call)
    if call.connection == self.connection and not call.is_orphan then
        local at = math.max(self.answers, self.world.now + delay(self))
        self.answers = at
        self.world:at(at, answer, self, call, self.connection)
    end
end

local function arrive(self, call)
    local site = self.site
    if call.is_orphan or site.state == "down" or self.node.is_unreachable then
        return
    elseif site.state == "paused" then
        call.is_waiting = true
        local backlog = site.backlog
        local n = #backlog
        backlog[n + 1], backlog[n + 2], backlog[n + 3] = execute, self, call
    else
        execute(self, call)
    end
end

-- Without an answer in time the connection is given up.
local function watch(self, connection)
    if connection ~= self.connection or not self.is_up then
        return
    end
    local oldest = self.open[self.first]
    if not oldest then
        self.is_watched = false
    elseif self.node.is_stalled then
        self.world:after(100, watch, self, connection)
    elseif self.world.now >= oldest.sent + CALL_TIMEOUT_MS then
        self:cut(3)
    else
        self.world:at(oldest.sent + CALL_TIMEOUT_MS, watch, self, connection)
    end
end

-- on_answer(call, reply, err): err is "DOWN" if nobody knows what has become of it.
function link:send(verb, arguments, on_answer, about)
    local call = {
        verb = verb, arguments = arguments, on_answer = on_answer, about = about,
        sent = self.world.now, connection = self.connection
    }
    self.last = self.last + 1
    self.open[self.last] = call
    local at = math.max(self.arrives, self.world.now + delay(self))
    self.arrives = at
    self.world:at(at, arrive, self, call)
    if not self.is_watched then
        self.is_watched = true
        self.world:after(CALL_TIMEOUT_MS, watch, self, self.connection)
    end
end

-- the end of a connection ------------------------------------------------------------------------

local function leave_over(self, call)
    if self.site.state == "up" and not self.node.is_unreachable then
        call.connection = 0
        execute(self, call)
    end
end

local function fail_all(self, calls)
    for _, call in ipairs(calls) do
        call.on_answer(call, nil, "DOWN")
    end
    self.owner:on_down()
    self.world:after(100 + self.draw(400), link.connect, self)
end

-- It gets slow, so that much is on its way, and breaks after so long.
function link:fade(ms)
    local connection = self.connection
    self.slow_until = self.world.now + ms
    self.world:after(ms, function()
        if self.connection == connection then
            self:cut(3)
        end
    end)
end

-- Of what has not arrived yet, the first ones may arrive later: `chance` of 4 that any does.
function link:cut(chance)
    if not self.is_up then
        return
    end
    local failed, kept, later = {}, self.draw(4) < chance and self.draw(4) or 0,
        self.draw(LEFTOVER_MS)
    for i = self.first, self.last do
        local call = self.open[i]
        self.open[i] = nil
        if not call.is_over then
            call.is_over = true
            failed[#failed + 1] = call
            if not call.has_arrived then
                call.is_orphan = true
                if call.is_waiting then
                    kept = 0 -- it lies before Redis, which will read it when it goes on
                elseif kept > 0 then
                    kept = kept - 1
                    self.world:after(later, leave_over, self, call)
                else
                    call.is_lost = true
                end
            end
        end
    end
    self.is_up, self.is_watched = false, false
    self.connection = self.connection + 1
    self.first, self.last = 1, 0
    self.node:deliver(fail_all, self, failed)
end

return link
