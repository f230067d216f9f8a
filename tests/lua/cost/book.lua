-- book: what was used, added up: per day, per minute and since the beginning.
--
--   weir:{main}:open              "<subscription> <client> <model>" -> line
--   weir:{main}:day:2026-11-21    all, sub:<name>, client:<name>, model:<name> -> line; 35 days
--   weir:{main}:totals            the same, since the beginning
--   weir:{main}:minute:29920380   sub:<name> -> line; 48 h
--
--   a line: "requests=12 errors=1 cancelled=0 input=5210 output=903 cache_read=0 cache_write_5m=0
--            cache_write_1h=0 duration_ms=20411"
--
-- A settlement writes one line of the open book. The next sweep, within a second, posts the open
-- book to the others and starts a new one, in one step: so a request pays for one line, and what it
-- used is posted exactly once. The truth at any instant is what is posted plus what is open;
-- snapshot and status show that sum. `since_ms` in the open book says when it was begun: that
-- decides day and minute.
--
-- A book lists at most so many names of a kind (the open one OPEN_MAX lines); what any further one
-- uses is added up under (other), so nothing is lost and nothing grows without end. `count:client`
-- and so on say how many a book lists.
local book = {}

book.FIELDS = {
    "requests", "errors", "cancelled", "input", "output", "cache_read", "cache_write_5m",
    "cache_write_1h", "duration_ms"
}

local NAMES_MAX = {
    sub = 2 * pool.SUBSCRIPTIONS_MAX, client = pool.CLIENTS_MAX, model = pool.MODELS_MAX
}

local FORMAT = "requests=%d errors=%d cancelled=%d input=%d output=%d cache_read=%d "
    .. "cache_write_5m=%d cache_write_1h=%d duration_ms=%d"
local PATTERN = "^requests=(%d+) errors=(%d+) cancelled=(%d+) input=(%d+) output=(%d+) "
    .. "cache_read=(%d+) cache_write_5m=(%d+) cache_write_1h=(%d+) duration_ms=(%d+)$"

-- The nine numbers of a line; zeros if there is none. A line of another form (a hand's edit) is
-- read field by field.
function book.parse(line)
    if not line then
        return { 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    end
    local n = { string.match(line, PATTERN) }
    if not n[1] then
        for i, field in ipairs(book.FIELDS) do
            n[i] = string.match(" " .. line, " " .. field .. "=(%d+)") or 0
        end
    end
    for i = 1, 9 do
        n[i] = n[i] + 0
    end
    return n
end

local function render(n)
    return string.format(FORMAT, n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9])
end

local function sum(a, b)
    return { a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4], a[5] + b[5], a[6] + b[6],
        a[7] + b[7], a[8] + b[8], a[9] + b[9] }
end

-- field -> the numbers of its line in the open book, good as long as Redis holds that very `line`.
local open, open_count = {}, 0

local function remember(field, numbers)
    if not open[field] then
        if open_count >= 4096 then
            open, open_count = {}, 0
        end
        open_count = open_count + 1
    end
    open[field] = numbers
end

-- A line that is new to the open book: its field, and what that holds already.
local function begin_line(k, entry, field)
    redis.call("HSETNX", k.open, "since_ms", pool.now_ms())
    if redis.call("HLEN", k.open) < pool.OPEN_MAX then
        return field, nil
    end
    field = entry.sub .. " (other) (other)"
    return field, redis.call("HGET", k.open, field)
end

-- Add what one settled attempt used to the open book. `entry`: sub, client, model and `used`, nine
-- numbers in the order of book.FIELDS, which becomes the book's.
function book.enter(k, entry)
    local field, numbers = entry.sub .. " " .. entry.client .. " " .. entry.model, entry.used
    local line = redis.call("HGET", k.open, field)
    if not line then
        field, line = begin_line(k, entry, field)
    end
    if line then
        local known = open[field]
        numbers = sum(known and known.line == line and known or book.parse(line), numbers)
    end
    numbers.line = render(numbers)
    remember(field, numbers)
    redis.call("HSET", k.open, field, numbers.line)
end

function book.day_key(k, day)
    return k.base .. ":day:" .. pool.date(day)
end

-- The open book added up: all, sub:<name>, client:<name>, model:<name> -> numbers. And its
-- since_ms.
function book.open(k)
    local opened, since = {}, nil
    for field, line in pairs(pool.hash(k.open)) do
        local sub, client, model = string.match(field, "^(%S+) (%S+) (%S+)$")
        if sub then
            local numbers = book.parse(line)
            for _, name in ipairs({ "all", "sub:" .. sub, "client:" .. client,
                "model:" .. model }) do
                opened[name] = opened[name] and sum(opened[name], numbers) or numbers
            end
        elseif field == "since_ms" then
            since = tonumber(line)
        end
    end
    return opened, since
end

-- The field and line of a name new to a book: listed if there is room, else booked with the others.
local function list_name(key, kind, field)
    local count, other = "count:" .. kind, kind .. ":(other)"
    if field == other then
        return field, nil
    end
    if tonumber(redis.call("HGET", key, count) or 0) >= NAMES_MAX[kind] then
        return other, redis.call("HGET", key, other)
    end
    redis.call("HINCRBY", key, count, 1)
    return field, nil
end

-- Add numbers to one book; only those of one kind, if it is given.
local function post_to(key, opened, only)
    for field, numbers in pairs(opened) do
        local kind = string.match(field, "^%a+")
        if not only or kind == only then
            local line = redis.call("HGET", key, field)
            if not line and NAMES_MAX[kind] then
                field, line = list_name(key, kind, field)
            end
            redis.call("HSET", key, field, render(sum(book.parse(line), numbers)))
        end
    end
end

-- Post the open book to the others and begin a new one.
function book.post(k, now)
    local opened, since = book.open(k)
    if not next(opened) then
        return
    end
    since = math.min(since or now, now)
    local day_key = book.day_key(k, pool.day(since))
    local minute_key = k.base .. ":minute:" .. math.floor(since / 60000)
    post_to(day_key, opened)
    post_to(k.totals, opened)
    post_to(minute_key, opened, "sub")
    redis.call("EXPIRE", day_key, pool.DAYS_KEPT_S)
    redis.call("EXPIRE", minute_key, pool.MINUTES_KEPT_S)
    redis.call("DEL", k.open)
end

-- Lines of a book as they would be if the open one were posted now: field -> nine numbers.
-- `fields`: which, at most a few thousand; nil = all.
function book.read(key, opened, fields)
    local lines = {}
    if fields then
        for i, line in ipairs(redis.call("HMGET", key, unpack(fields))) do
            lines[fields[i]] = book.parse(line)
        end
    else
        for field, line in pairs(pool.hash(key)) do
            if not string.find(field, "^count:") then
                lines[field] = book.parse(line)
            end
        end
    end
    for field, numbers in pairs(opened) do
        lines[field] = lines[field] and sum(lines[field], numbers) or numbers
    end
    return lines
end

return book
