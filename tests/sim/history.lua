-- history: what ends is given to the pool, some at a time, and asked for again. As
-- node/state/history.c gives it, but past the links: nothing else waits for it, and its calls shall
-- not change what happens to others'. That an answer is lost is that it is given twice.
local history = {}

local MAX, BATCH_MAX, PARTS = 400, 64, 8

local format = string.format

function history.new(run)
    return { run = run, draw = run.world:chance("history"), given = {}, count = 0 }
end

-- A node's request has ended.
function history.ended(self, node)
    self.count = self.count + 1
    local waiting = node.unremembered
    waiting[#waiting + 1] = format("weir_%s-%d", node.boot, self.count)
end

local function lines_of(id)
    return '{"id":"' .. id .. '"}'
end

local function check_size(self)
    local run, held = self.run, 0
    for key, object in pairs(run.site.server.db.keys) do
        if string.find(key, "^weir:{main}:history:") then
            held = held + (tonumber(object.map["#count"]) or 0)
        end
    end
    if held > MAX + PARTS * BATCH_MAX then
        run.judge:violation("history", "%d requests are kept, of at most %d", held, MAX)
    end
end

-- One that must be there: of the last that were given, and Redis has not lost it since.
local function check_one(self)
    local run, given = self.run, self.given
    local sure = MAX * (PARTS - 1) / PARTS
    local at = #given - self.draw(math.max(1, math.min(#given, sure)))
    local one = given[at]
    if not one or not one.id or not run.judge:still_holds(one.counter) then
        return
    end
    local by = self.draw(2) == 0 and one.id or "req_" .. one.id
    local reply = run:by_person("recall", { by })
    if reply and (reply[2] ~= one.id or reply[3] ~= lines_of(one.id)) then
        run.judge:violation("history", "%s was given, and is not found by %s: %s", one.id, by,
            reply[1])
    end
    run.judge:note("recalled")
end

-- A node's second.
function history.give(self, node)
    local run, waiting = self.run, node.unremembered
    if #waiting == 0 or run.site.state ~= "up" or node.is_unreachable then
        return
    end
    local arguments, count = { tostring(MAX) }, math.min(#waiting, BATCH_MAX)
    for i = 1, count do
        local id, n = waiting[i], #arguments
        arguments[n + 1], arguments[n + 2], arguments[n + 3] = id, "req_" .. id, lines_of(id)
    end
    local reply = run:by_person("remember", arguments)
    if not reply then
        return -- it is out of memory: once more, later
    end
    local is_heard = self.draw(20) > 0 -- else once more too; it takes room twice
    for i = 1, count do
        self.given[#self.given + 1] = is_heard
            and { id = waiting[i], counter = run.judge.counter } or {}
    end
    if is_heard then
        node.unremembered = { unpack(waiting, count + 1) }
    end
    check_size(self)
    check_one(self)
end

return history
