-- compare: what a world did to its Redis, as lines of JSON, so that a real one can be asked the
-- same: every call with its time and what the stand-in answered, every command by hand, and now and
-- then all that is stored.
--
--   luajit compare.lua LIBRARY SEED CALLS
package.path = string.match(arg[0], "^(.*)/[^/]*$") .. "/?.lua"

local redis = require("redis")
local run = require("run")
local server = require("server")
local site = require("site")

local STATE_EVERY = 1000

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\" }

local function quote(text)
    return '"' .. string.gsub(text, '[%c"\\]', function(c)
        return ESCAPES[c] or string.format("\\u%04x", string.byte(c))
    end) .. '"'
end

-- A reply, or what is stored: text, numbers, lists of them.
local function json(value)
    if type(value) == "table" and value.ok then
        return quote(value.ok)
    elseif type(value) == "table" then
        local parts = {}
        for i, inner in ipairs(value) do
            parts[i] = json(inner)
        end
        return "[" .. table.concat(parts, ",") .. "]"
    elseif type(value) == "string" then
        return quote(value)
    end
    return value and tostring(value) or "null"
end

local function say(kind, ...)
    io.write(json({ kind, ... }), "\n")
end

-- what is stored: by key [key, kind, whether it expires, content] ---------------------------------

local CONTENT = {
    hash = function(object)
        local list = {}
        for field, value in pairs(object.map) do
            list[#list + 1] = { field, value }
        end
        table.sort(list, function(a, b)
            return a[1] < b[1]
        end)
        return list
    end,
    zset = function(object)
        local list = {}
        for i, member in ipairs(object.list) do
            list[i] = { member, string.format("%.17g", object.score[member]) }
        end
        return list
    end,
    list = function(object)
        local list = {}
        for i = object.last, object.first, -1 do
            list[#list + 1] = object.items[i]
        end
        return list
    end,
    set = function(object)
        local list = { unpack(object.order) }
        table.sort(list)
        return list
    end,
    stream = function(object)
        return object.items
    end,
    string = function(object)
        return object.value
    end
}

local function say_state(db)
    local keys, state = {}, {}
    for key, object in pairs(db.keys) do
        if not (object.expires and object.expires <= db.now) then
            keys[#keys + 1] = key
        end
    end
    table.sort(keys)
    for i, key in ipairs(keys) do
        local object = db.keys[key]
        state[i] = { key, object.kind, object.expires and 1 or 0, CONTENT[object.kind](object) }
    end
    say("state", state)
end

-- the world --------------------------------------------------------------------------------------

-- What another process would forget is not compared: the real one stays the same.
local function leave_out(entries)
    local kept = {}
    for _, entry in ipairs(entries) do
        if entry.kind ~= "restart" and entry.kind ~= "older copy"
            and entry.kind ~= "nothing left" and entry.kind ~= "lose twice"
            and entry.kind ~= "full" then
            kept[#kept + 1] = entry
        end
    end
    return kept
end

local library, seed, calls = arg[1], tonumber(arg[2]), tonumber(arg[3])
local file = assert(io.open(library, "rb"))
local source = file:read("*a")
file:close()
local version = string.match(source, 'local VERSION = "(%x+)"')
local libraries = { { version = version, chunk = server.compile(source, "library") } }
redis.small_hash = 1e9 -- the real one is told the same, so that both keep the order

local count = 0
local execute, by_hand, flush = site.execute, site.by_hand, site.flush
local world

function site.execute(self, from, call)
    local reply, err = execute(self, from, call)
    say("call", string.format("%.0f", self.server.db.now), "weir_" .. call.verb .. "_" .. version,
        call.arguments, reply or "", err or "")
    count = count + 1
    if count % STATE_EVERY == 0 then
        say_state(self.server.db)
    end
    if count == calls then
        world.world:stop()
    end
    return reply, err
end

function site.by_hand(self, ...)
    local reply = by_hand(self, ...)
    say("hand", { ... })
    return reply
end

function site.flush(self)
    flush(self)
    say("hand", { "FLUSHALL" })
end

while count < calls do
    world = run.new(seed, libraries, { episodes = 40 })
    world.entries = leave_out(world.entries)
    say("begin", world.site:run_id())
    world:go()
    say_state(world.site.server.db)
    seed = seed + 1
end
