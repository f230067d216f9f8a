-- redis: a stand-in for the Redis commands that lua/ uses, as a function of the shipped library
-- sees them through redis.call. What each answers, and which errors it raises, is compared with the
-- real server by sim.test.js. A command that is not here is an error: whoever begins to use one
-- adds it.
--
-- A database is { keys = { name -> object }, now = ms }. An object has a kind, perhaps a time at
-- which it expires (ms), and:
--   hash     map, and order: the fields as they came (as the real one keeps small hashes), with
--            holes (false) where one was taken out; at: field -> place in it; n: how many
--   zset     score: member -> number, list: members by score, then name
--   list     items, the newest last; first: where it begins
--   set      map, n          stream   n, items (bounded)         string   value
local redis = { small_hash = 128 }

local base = require("redis_base")

local find, integer, raise, text = base.find, base.integer, base.raise, base.text
local format, floor = string.format, math.floor

local commands = {}
for name, command in pairs(require("redis_zset")) do
    commands[name] = command
end

-- hashes -----------------------------------------------------------------------------------------

local function new_hash()
    return { kind = "hash", map = {}, order = {}, at = {}, n = 0, top = 0 }
end

local function put(hash, field, value)
    local map = hash.map
    if map[field] == nil then
        local top = hash.top + 1
        hash.top, hash.n = top, hash.n + 1
        hash.order[top], hash.at[field] = field, top
        map[field] = value
        return 1
    end
    map[field] = value
    return 0
end

local function close_holes(hash)
    local order, at, top = {}, {}, 0
    for i = 1, hash.top do
        local field = hash.order[i]
        if field then
            top = top + 1
            order[top], at[field] = field, top
        end
    end
    hash.order, hash.at, hash.top = order, at, top
end

local function take_out(hash, field)
    if hash.map[field] == nil then
        return 0
    end
    hash.map[field] = nil
    hash.order[hash.at[field]] = false
    hash.at[field] = nil
    hash.n = hash.n - 1
    if hash.top > 32 and hash.top > 4 * hash.n then
        close_holes(hash)
    end
    return 1
end

function commands.HGET(db, key, field)
    local hash = find(db, key, "hash")
    return hash and hash.map[text(field)] or false
end

function commands.HMGET(db, key, ...)
    local hash, reply = find(db, key, "hash"), {}
    for i = 1, select("#", ...) do
        reply[i] = hash and hash.map[text((select(i, ...)))] or false
    end
    return reply
end

function commands.HSET(db, key, field, value, field2, value2, ...)
    local hash = find(db, key, "hash")
    if not hash then
        hash = new_hash()
        db.keys[key] = hash
    end
    local added = put(hash, text(field), text(value))
    if field2 then
        added = added + put(hash, text(field2), text(value2))
        local rest = { ... }
        for i = 1, #rest, 2 do
            added = added + put(hash, text(rest[i]), text(rest[i + 1]))
        end
    end
    return added
end

function commands.HSETNX(db, key, field, value)
    local hash = find(db, key, "hash")
    if hash and hash.map[text(field)] ~= nil then
        return 0
    end
    return commands.HSET(db, key, field, value)
end

function commands.HDEL(db, key, field, ...)
    local hash = find(db, key, "hash")
    if not hash then
        return 0
    end
    local gone = take_out(hash, text(field))
    for i = 1, select("#", ...) do
        gone = gone + take_out(hash, text((select(i, ...))))
    end
    if hash.n == 0 then
        db.keys[key] = nil
    end
    return gone
end

function commands.HEXISTS(db, key, field)
    local hash = find(db, key, "hash")
    return hash and hash.map[text(field)] ~= nil and 1 or 0
end

function commands.HLEN(db, key)
    local hash = find(db, key, "hash")
    return hash and hash.n or 0
end

function commands.HGETALL(db, key)
    local hash, reply, n = find(db, key, "hash"), {}, 0
    if hash then
        local order, map = hash.order, hash.map
        for i = 1, hash.top do
            local field = order[i]
            if field then
                reply[n + 1], reply[n + 2] = field, map[field]
                n = n + 2
            end
        end
    end
    return reply
end

function commands.HINCRBY(db, key, field, by)
    local hash = find(db, key, "hash")
    local before = hash and hash.map[field] or "0"
    if not tonumber(before) or tonumber(before) % 1 ~= 0 then
        raise("ERR hash value is not an integer")
    end
    local now = tonumber(before) + integer(by)
    commands.HSET(db, key, field, format("%.0f", now))
    return now
end

-- A small hash comes whole, whatever COUNT says; a larger one in pieces, whose cursor is a place.
function commands.HSCAN(db, key, cursor, word, count)
    local hash, found, from = find(db, key, "hash"), {}, integer(cursor)
    if word ~= nil and word ~= "COUNT" then
        raise("ERR syntax error")
    end
    if not hash then
        return { "0", found }
    end
    local to = hash.top
    if hash.n > redis.small_hash then
        to = math.min(to, from + integer(count or 10))
    end
    for i = from + 1, to do
        local field = hash.order[i]
        if field then
            found[#found + 1] = field
            found[#found + 1] = hash.map[field]
        end
    end
    return { to >= hash.top and "0" or format("%d", to), found }
end

-- lists, sets, streams, strings ------------------------------------------------------------------

function commands.LPUSH(db, key, value)
    local list = find(db, key, "list")
    if not list then
        list = { kind = "list", items = {}, first = 1, last = 0 }
        db.keys[key] = list
    end
    list.last = list.last + 1
    list.items[list.last] = text(value)
    return list.last - list.first + 1
end

function commands.LINDEX(db, key, index)
    local list = find(db, key, "list")
    index = integer(index)
    if index < 0 then
        raise("ERR the stand-in has no negative index")
    end
    local place = list and list.last - index
    return list and place >= list.first and list.items[place] or false
end

-- From the newest on, as all that the library asks for.
function commands.LTRIM(db, key, from, to)
    local list = find(db, key, "list")
    if integer(from) ~= 0 then
        raise("ERR the stand-in trims at the old end only")
    end
    if list then
        local first = math.max(list.first, list.last - integer(to))
        for i = list.first, first - 1 do
            list.items[i] = nil
        end
        list.first = first
        if first > list.last then
            db.keys[key] = nil
        end
    end
    return { ok = "OK" }
end

function commands.SADD(db, key, member)
    local set = find(db, key, "set")
    if not set then
        set = { kind = "set", map = {}, order = {} }
        db.keys[key] = set
    end
    member = text(member)
    if set.map[member] then
        return 0
    end
    set.map[member] = true
    set.order[#set.order + 1] = member
    return 1
end

function commands.SMEMBERS(db, key)
    local set, reply = find(db, key, "set"), {}
    for i, member in ipairs(set and set.order or {}) do
        reply[i] = member
    end
    return reply
end

local STREAM_NODE = 100 -- entries; an approximate trim takes whole nodes away

function commands.XADD(db, key, word, about, max, id, ...)
    local stream = find(db, key, "stream")
    if word ~= "MAXLEN" or about ~= "~" or id ~= "*" then
        raise("ERR the stand-in knows XADD key MAXLEN ~ n * only")
    end
    if not stream then
        stream = { kind = "stream", items = {}, n = 0, added = 0 }
        db.keys[key] = stream
    end
    local entry = { ... }
    for i = 1, select("#", ...) do
        entry[i] = text(entry[i])
    end
    stream.added = stream.added + 1
    stream.items[#stream.items + 1] = entry
    if #stream.items - STREAM_NODE >= integer(max) then
        local kept = {}
        for i = STREAM_NODE + 1, #stream.items do
            kept[#kept + 1] = stream.items[i]
        end
        stream.items = kept
    end
    return format("%.0f-%d", db.now, stream.added)
end

function commands.SET(db, key, value)
    db.keys[key] = { kind = "string", value = text(value) }
    return { ok = "OK" }
end

-- any kind ---------------------------------------------------------------------------------------

function commands.DEL(db, ...)
    local gone = 0
    for i = 1, select("#", ...) do
        local key = select(i, ...)
        if find(db, key) then
            db.keys[key] = nil
            gone = gone + 1
        end
    end
    return gone
end

commands.UNLINK = commands.DEL -- there is no memory to be given back later

function commands.EXISTS(db, ...)
    local found = 0
    for i = 1, select("#", ...) do
        found = found + (find(db, (select(i, ...))) and 1 or 0)
    end
    return found
end

function commands.EXPIRE(db, key, seconds)
    local object = find(db, key)
    if not object then
        return 0
    end
    object.expires = db.now + integer(seconds) * 1000
    return 1
end

function commands.RENAME(db, key, to)
    local object = find(db, key)
    if not object then
        raise("ERR no such key")
    end
    db.keys[key] = nil
    db.keys[to] = object
    return { ok = "OK" }
end

function commands.TYPE(db, key)
    local object = find(db, key)
    return { ok = object and object.kind or "none" }
end

function commands.TIME(db)
    if db.time_ms ~= db.now then
        db.time_ms = db.now
        db.time = { format("%.0f", floor(db.now / 1000)), format("%.0f", db.now % 1000 * 1000) }
    end
    return db.time
end

function commands.INFO(db)
    return "# Server\r\nrun_id:" .. db.run_id .. "\r\n"
end

function commands.SPUBLISH(db, channel, message)
    db.notices = db.notices + 1
    db.last_notice = message
    db.published[#db.published + 1] = { channel = channel, message = message }
    return 0
end

-- the door ---------------------------------------------------------------------------------------

local READS = {}
for name in string.gmatch("HGET HMGET HEXISTS HLEN HGETALL HSCAN ZSCORE ZCARD ZCOUNT ZRANGEBYSCORE "
    .. "ZRANGE LINDEX SMEMBERS EXISTS TYPE TIME INFO", "%S+") do
    READS[name] = true
end

function redis.new_database(now, run_id)
    return { keys = {}, now = now, run_id = run_id, notices = 0, published = {} }
end

-- What a function of the library sees as `redis`. `server.db` is the database of the moment,
-- `server.is_reading` whether the function that runs may not write.
function redis.door(server)
    local door = {}
    function door.call(name, ...)
        local command = commands[name]
        if not command then
            raise("ERR unknown command '" .. tostring(name) .. "' (the stand-in has it not)")
        elseif server.is_reading and not READS[name] then
            raise("ERR Write commands are not allowed from read-only scripts.")
        end
        return command(server.db, ...)
    end
    function door.pcall(...)
        local is_fine, reply = pcall(door.call, ...)
        if is_fine or type(reply) == "table" then
            return reply
        end
        error(reply, 0)
    end
    function door.error_reply(message)
        return { err = message }
    end
    return door
end

return redis
