-- history: what became of finished requests, for `weir why`: the lines that their nodes logged.
--
--   weir:{main}:history       "part": the one that is written; "first": the oldest there is
--   weir:{main}:history:<n>   <request id> -> its log lines, a JSON object a line
--                             =<provider's id of it> -> request id
--                             #since_ms, #count, #bytes: when it was begun, what it holds
--
-- Parts make the ceiling cheap: what is oldest goes as a whole, without a look at it, and a request
-- is found by at most PARTS looks. A part is full when it has its share of the requests to be kept,
-- or of the bytes they may take on average: lines that somebody has made long cost others their
-- place, and no memory.
local history = {}

local PARTS = 8
local BYTES_A_REQUEST = 2048 -- on average; one may have 12 KiB
local KEPT_S = 7 * 86400

local function part_key(k, part)
    return k.history .. ":" .. string.format("%d", part)
end

-- The number of the part that is written, and of the oldest; 0, 1: there is none.
local function range(k)
    local head = redis.call("HMGET", k.history, "part", "first")
    local part = pool.count(head[1])
    return part, math.max(math.min(pool.count(head[2]), part), part - PARTS + 1, 1)
end

function history.part_keys(k)
    local keys, part, first = {}, range(k)
    for each = part, first, -1 do
        keys[#keys + 1] = part_key(k, each)
    end
    return keys
end

-- The oldest make room.
local function begin_part(k, part, first, now)
    local oldest = math.max(first, part - PARTS + 1)
    for each = first, oldest - 1 do
        redis.call("UNLINK", part_key(k, each))
    end
    redis.call("UNLINK", part_key(k, part))
    redis.call("HSET", part_key(k, part), "#since_ms", string.format("%d", now))
    redis.call("HSET", k.history, "part", part, "first", oldest)
end

-- The part to write to, and what it holds. It takes what comes as long as it is not full, so that
-- what comes together never costs more room than it needs.
local function part_for(k, max, now)
    local part, first = range(k)
    local share = math.ceil(max / PARTS)
    local held = redis.call("HMGET", part_key(k, part), "#count", "#bytes")
    local count_held, bytes_held = pool.count(held[1]), pool.count(held[2])
    if part > 0 and count_held < share and bytes_held < share * BYTES_A_REQUEST then
        return part_key(k, part), count_held, bytes_held
    end
    begin_part(k, part + 1, first, now)
    return part_key(k, part + 1), 0, 0
end

-- Keep the lines of requests: of `max` requests, about, and for KEPT_S after the last of a part.
function history.add(k, max, requests, now)
    local pairs_of, bytes = {}, 0
    for _, request in ipairs(requests) do
        pairs_of[#pairs_of + 1] = request.id
        pairs_of[#pairs_of + 1] = request.lines
        bytes = bytes + #request.lines
        for _, id in ipairs(request.others) do
            pairs_of[#pairs_of + 1] = "=" .. id
            pairs_of[#pairs_of + 1] = request.id
        end
    end
    if #requests == 0 then
        return
    end
    local key, count_held, bytes_held = part_for(k, max, now)
    pairs_of[#pairs_of + 1], pairs_of[#pairs_of + 2] = "#count", count_held + #requests
    pairs_of[#pairs_of + 1], pairs_of[#pairs_of + 2] = "#bytes", bytes_held + bytes
    redis.call("HSET", key, unpack(pairs_of))
    redis.call("EXPIRE", key, KEPT_S)
    redis.call("EXPIRE", k.history, KEPT_S)
end

-- Who only reads meets a key of the wrong type as one that is not there.
local function field(key, name)
    local value = redis.pcall("HGET", key, name)
    return type(value) == "string" and value or nil
end

-- A request by its id or by a provider's, the newest first: its id and lines; nil: it is not there.
function history.find(k, id)
    for _, key in ipairs(history.part_keys(k)) do
        local own = field(key, "=" .. id) or id
        local lines = field(key, own)
        if lines then
            return own, lines
        end
    end
end

-- How far back it goes: when the oldest part was begun, and how many requests there are.
function history.reach(k)
    local since, count = 0, 0
    for _, key in ipairs(history.part_keys(k)) do
        local since_ms = pool.count(field(key, "#since_ms"))
        if since_ms > 0 then
            since, count = since_ms, count + pool.count(field(key, "#count"))
        end
    end
    return since, count
end

return history
