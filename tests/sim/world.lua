-- world: virtual time, what happens when, and chance. Nothing in here or above it may depend on
-- anything but the seed: a run is told by its seed and its plan alone.
--
-- Two clocks: `now`, ms since the world began, which nodes measure their waits by; and Redis' own,
-- which is ahead of it by clock_ahead and may be stepped.
local world = {}
world.__index = world

local BEGAN_MS = 1795222800000

function world.new(seed)
    return setmetatable({
        seed = seed, now = 0, clock_ahead = BEGAN_MS, buckets = {}, spare = {}, pending = 0
    }, world)
end

function world:redis_ms()
    return self.now + self.clock_ahead
end

-- chance -----------------------------------------------------------------------------------------

-- A stream of its own for each that needs chance, so that leaving out one thing that happens does
-- not change what happens elsewhere. draw(n) is one of 0 .. n - 1.
function world:chance(name)
    local state = self.seed % 2147483647
    for i = 1, #name do
        state = (state * 31 + string.byte(name, i) + 1) % 2147483647
    end
    state = state == 0 and 1 or state
    for _ = 1, 8 do
        state = state * 16807 % 2147483647
    end
    return function(n)
        state = state * 16807 % 2147483647
        return math.floor(state / 2147483647 * n)
    end
end

-- Mostly short, sometimes long: of lower .. lower * 2^steps.
function world.spread(draw, lower, steps)
    local base = lower * 2 ^ draw(steps)
    return math.floor(base + draw(base))
end

-- time -------------------------------------------------------------------------------------------

-- act(a, b, c) at that moment; of one moment, in the order in which they were asked for.
function world:at(time, act, a, b, c)
    local bucket = self.buckets[time]
    if not bucket then
        bucket = table.remove(self.spare) or {}
        bucket.n = 0
        self.buckets[time] = bucket
    end
    local n = bucket.n
    bucket[n + 1], bucket[n + 2], bucket[n + 3], bucket[n + 4] = act, a, b, c
    bucket.n = n + 4
end

function world:after(ms, act, a, b, c)
    self:at(self.now + math.max(0, math.floor(ms)), act, a, b, c)
end

local function empty(self, time, bucket)
    local i = 0
    while i < bucket.n do -- which may grow meanwhile
        local act, a, b, c = bucket[i + 1], bucket[i + 2], bucket[i + 3], bucket[i + 4]
        bucket[i + 1], bucket[i + 2], bucket[i + 3], bucket[i + 4] = nil, nil, nil, nil
        i = i + 4
        act(a, b, c)
        if self.has_stopped then
            return
        end
    end
    self.buckets[time] = nil
    bucket.n = 0
    self.spare[#self.spare + 1] = bucket
end

function world:run_until(time)
    while self.now <= time and not self.has_stopped do
        local bucket = self.buckets[self.now]
        if bucket then
            empty(self, self.now, bucket)
        end
        self.now = self.now + 1
    end
end

function world:stop()
    self.has_stopped = true
end

return world
