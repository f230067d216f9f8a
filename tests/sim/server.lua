-- server: a Redis as nodes meet it: a database, the libraries loaded into it, one call after the
-- other. It can stand still, stop, lose data and go on from an older copy; who then speaks to it
-- speaks to another process, whose libraries remember nothing.
local redis = require("redis")

local server = {}
server.__index = server

-- What Redis leaves of Lua to a function, and the library uses.
local GLOBALS = {
    "assert", "error", "ipairs", "math", "select", "setmetatable", "string", "table",
    "tonumber", "tostring", "type", "unpack"
}

local function order_of(key)
    return type(key) == "table" and key.name or key
end

local function is_before(a, b)
    return order_of(a) < order_of(b)
end

-- Lua promises no order, and one that came from addresses would not come again with the same seed.
local function sorted_pairs(map)
    local keys = {}
    for key in next, map do
        keys[#keys + 1] = key
    end
    table.sort(keys, is_before)
    local i = 0
    return function()
        i = i + 1
        return keys[i], map[keys[i]]
    end
end

-- What pcall() catches of an error reply is its text.
local function text_pcall(...)
    local results = { pcall(...) }
    if not results[1] and type(results[2]) == "table" then
        return false, results[2].err
    end
    return unpack(results)
end

local function environment(door)
    local env = { redis = door, pairs = sorted_pairs, pcall = text_pcall }
    for _, name in ipairs(GLOBALS) do
        env[name] = _G[name]
    end
    return setmetatable(env, {
        __index = function(_, name)
            error("Script attempted to access nonexistent global variable '" .. tostring(name)
                .. "'", 2)
        end,
        __newindex = function()
            error("Attempt to modify a readonly table", 2)
        end
    })
end

-- Source of a library as scripts/embed.cmake writes it: its first line names it.
function server.compile(source, name)
    return assert(loadstring((string.gsub(source, "^#![^\n]*", "")), "=" .. name))
end

-- `chunks`: compiled libraries, all of which every server has; loading is not what is tried here.
function server.new(chunks, now, run_id)
    local self = setmetatable({ chunks = chunks, is_reading = false }, server)
    self.db = redis.new_database(now, run_id)
    self:load_libraries()
    return self
end

function server:load_libraries()
    self.functions = {}
    local door = redis.door(self)
    function door.register_function(f)
        local flags = {}
        for _, flag in ipairs(f.flags) do
            flags[flag] = true
        end
        self.functions[f.function_name] = { call = f.callback, flags = flags }
    end
    for _, chunk in ipairs(self.chunks) do
        setfenv(chunk, environment(door))
        chunk()
    end
end

-- One FCALL. The reply, or nil and the error's text; an error that is no Redis reply but a fault of
-- the Lua itself begins with "FAULT".
function server:fcall(name, key, arguments)
    local f = self.functions[name]
    if not f then
        return nil, "ERR Function not found"
    elseif self.is_full and not f.flags["allow-oom"] then
        return nil, "OOM command not allowed when used memory > 'maxmemory'."
    end
    self.is_reading = f.flags["no-writes"] or false
    local is_fine, reply = pcall(f.call, { key }, arguments)
    self.is_reading = false
    if is_fine then
        return reply
    elseif type(reply) == "table" then
        return nil, reply.err
    end
    return nil, "FAULT " .. tostring(reply)
end

-- A command by hand, as from redis-cli.
function server:command(...)
    return redis.door(self).pcall(...)
end

-- copies -----------------------------------------------------------------------------------------

local function copy(value)
    if type(value) ~= "table" then
        return value
    end
    local made = {}
    for key, inner in pairs(value) do
        made[key] = copy(inner)
    end
    return made
end

-- What is on disk, or on a replica.
function server:save()
    return copy(self.db.keys)
end

-- Another process goes on from `keys`; its libraries remember nothing.
function server:become(run_id, keys)
    local db = self.db
    self.db = redis.new_database(db.now, run_id)
    self.db.keys = copy(keys)
    self:load_libraries()
end

-- FLUSHALL: the same process, whose libraries remember.
function server:flush()
    self.db.keys = {}
end

return server
