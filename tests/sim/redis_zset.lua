-- redis_zset: the sorted sets of the stand-in (redis.lua).
local base = require("redis_base")

local find, integer, raise, text = base.find, base.integer, base.raise, base.text
local format, floor = string.format, math.floor

local commands = {}

-- The first place at which an entry stands that is not before (score, member).
local function place_of(zset, score, member)
    local list, scores, low, high = zset.list, zset.score, 1, #zset.list
    while low <= high do
        local middle = floor((low + high) / 2)
        local other = list[middle]
        local of_other = scores[other]
        if of_other < score or (of_other == score and other < member) then
            low = middle + 1
        else
            high = middle - 1
        end
    end
    return low
end

local function drop(zset, member)
    local score = zset.score[member]
    if not score then
        return 0
    end
    table.remove(zset.list, place_of(zset, score, member))
    zset.score[member] = nil
    return 1
end

local function insert(zset, score, member)
    table.insert(zset.list, place_of(zset, score, member), member)
    zset.score[member] = score
end

local function number_of_score(value)
    local number = tonumber(value)
    if not number then
        raise("ERR value is not a valid float")
    end
    return number
end

function commands.ZADD(db, key, ...)
    local arguments = { ... }
    local flag = (arguments[1] == "XX" or arguments[1] == "NX") and table.remove(arguments, 1)
    local score, member = number_of_score(arguments[1]), text(arguments[2])
    if #arguments ~= 2 then
        raise("ERR syntax error")
    end
    local zset = find(db, key, "zset")
    local before = zset and zset.score[member]
    if (flag == "XX" and not before) or (flag == "NX" and before) then
        return 0
    end
    if not zset then
        zset = { kind = "zset", score = {}, list = {} }
        db.keys[key] = zset
    end
    if before ~= score then
        drop(zset, member)
        insert(zset, score, member)
    end
    return before and 0 or 1
end

local function tidy_zset(db, key, zset)
    if #zset.list == 0 then
        db.keys[key] = nil
    end
end

function commands.ZREM(db, key, ...)
    local zset, gone = find(db, key, "zset"), 0
    if not zset then
        return 0
    end
    for i = 1, select("#", ...) do
        gone = gone + drop(zset, text((select(i, ...))))
    end
    tidy_zset(db, key, zset)
    return gone
end

function commands.ZSCORE(db, key, member)
    local zset = find(db, key, "zset")
    local score = zset and zset.score[text(member)]
    return score and format("%.17g", score) or false
end

function commands.ZCARD(db, key)
    local zset = find(db, key, "zset")
    return zset and #zset.list or 0
end

-- A limit of a range of scores: a number, whether it is excluded.
local function limit_of(value)
    value = text(value)
    if value == "-inf" then
        return -math.huge, false
    elseif value == "+inf" then
        return math.huge, false
    end
    local is_open = string.sub(value, 1, 1) == "("
    local number = tonumber(is_open and string.sub(value, 2) or value)
    if not number then
        raise("ERR min or max is not a float")
    end
    return number, is_open
end

-- First and last place of a range of scores.
local function places(zset, min, max)
    local low, is_low_open = limit_of(min)
    local high, is_high_open = limit_of(max)
    local from, to = 1, #zset.list
    while from <= to do
        local score = zset.score[zset.list[from]]
        if score > low or (score == low and not is_low_open) then
            break
        end
        from = from + 1
    end
    while to >= from do
        local score = zset.score[zset.list[to]]
        if score < high or (score == high and not is_high_open) then
            break
        end
        to = to - 1
    end
    return from, to
end

function commands.ZCOUNT(db, key, min, max)
    local zset = find(db, key, "zset")
    if not zset then
        return 0
    end
    local from, to = places(zset, min, max)
    return math.max(0, to - from + 1)
end

function commands.ZRANGEBYSCORE(db, key, min, max, word, offset, count)
    local zset, reply = find(db, key, "zset"), {}
    if word and word ~= "LIMIT" then
        raise("ERR syntax error")
    end
    if not zset then
        return reply
    end
    local from, to = places(zset, min, max)
    if word then
        from = from + integer(offset)
        to = math.min(to, from + integer(count) - 1)
    end
    for i = from, to do
        reply[#reply + 1] = zset.list[i]
    end
    return reply
end

-- Places of a range by rank, which may be counted from the end.
local function ranks(zset, first, last)
    local n = #zset.list
    first, last = integer(first), integer(last)
    first = math.max(0, first < 0 and first + n or first)
    last = math.min(n - 1, last < 0 and last + n or last)
    return first + 1, last + 1
end

function commands.ZRANGE(db, key, first, last, word)
    local zset, reply = find(db, key, "zset"), {}
    if word and word ~= "WITHSCORES" then
        raise("ERR syntax error")
    end
    if not zset then
        return reply
    end
    local from, to = ranks(zset, first, last)
    for i = from, to do
        reply[#reply + 1] = zset.list[i]
        if word then
            reply[#reply + 1] = format("%.17g", zset.score[zset.list[i]])
        end
    end
    return reply
end

local function remove_places(db, key, zset, from, to)
    for i = to, from, -1 do
        zset.score[zset.list[i]] = nil
        table.remove(zset.list, i)
    end
    tidy_zset(db, key, zset)
    return math.max(0, to - from + 1)
end

function commands.ZREMRANGEBYRANK(db, key, first, last)
    local zset = find(db, key, "zset")
    if not zset then
        return 0
    end
    local from, to = ranks(zset, first, last)
    return remove_places(db, key, zset, from, to)
end

function commands.ZREMRANGEBYSCORE(db, key, min, max)
    local zset = find(db, key, "zset")
    if not zset then
        return 0
    end
    local from, to = places(zset, min, max)
    return remove_places(db, key, zset, from, to)
end

return commands
