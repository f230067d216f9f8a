-- book: what was used, added up: per day, per minute and since the beginning.
--
--   weir:{main}:open              "<account> <client> <model>" -> line
--   weir:{main}:posting           the open book of a moment ago, on its way into the others
--   weir:{main}:day:2026-11-21    all, sub:<name>, client:<name>, model:<name> -> line; 35 days
--   weir:{main}:totals            the same, since the beginning
--   weir:{main}:minute:29920380   sub:<name> -> line; 48 h
--
--   a line: "requests=12 errors=1 cancelled=0 input=5210 output=903 cache_read=0 cache_write_5m=0
--            cache_write_1h=0 duration_ms=20411"; behind it " output_estimated=120" if nobody told
--            so much of the output: it is what passed of answers that were broken off
--
-- A settlement writes one line of the open book. The next sweep, within a second, takes that book
-- away as a whole and posts it to the others, at most POST_MAX lines a call: so a request pays for
-- one line, what it used is posted exactly once, and no call lasts long. The truth at any instant
-- is what is posted plus `posting` plus `open`; snapshot and status show that sum. `since_ms` in a
-- book says when it was begun: that decides day and minute.
--
-- A book lists at most so many names of a kind (the open one OPEN_MAX lines); what any further one
-- uses is added up under (other), so nothing is lost and nothing grows without end. `count:client`
-- and so on say how many a book lists. Where it is full the names that used least make room, a
-- tenth at a time: junk cannot keep a client out that comes again and again.
local book = {}

book.FIELDS = {
    "requests", "errors", "cancelled", "input", "output", "cache_read", "cache_write_5m",
    "cache_write_1h", "duration_ms", "output_estimated"
}

local NAMES_MAX = {
    sub = 2 * pool.SUBSCRIPTIONS_MAX, client = pool.CLIENTS_MAX, model = pool.MODELS_MAX
}

local FORMAT = "requests=%d errors=%d cancelled=%d input=%d output=%d cache_read=%d "
    .. "cache_write_5m=%d cache_write_1h=%d duration_ms=%d"
local PATTERN = "^requests=(%d+) errors=(%d+) cancelled=(%d+) input=(%d+) output=(%d+) "
    .. "cache_read=(%d+) cache_write_5m=(%d+) cache_write_1h=(%d+) duration_ms=(%d+)$"

-- The ten numbers of a line; zeros if there is none. A line of another form (with an estimate, or a
-- hand's edit) is read field by field.
function book.parse(line)
    if not line then
        return { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
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
    n[10] = (n[10] or 0) + 0
    return n
end

local function render(n)
    local line = string.format(FORMAT, n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9])
    return n[10] == 0 and line or line .. string.format(" output_estimated=%d", n[10])
end

local function sum(a, b)
    return { a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4], a[5] + b[5], a[6] + b[6],
        a[7] + b[7], a[8] + b[8], a[9] + b[9], a[10] + b[10] }
end

-- A line that this view has not seen yet: its field, and what that holds already.
local function begin_line(view, field, account)
    local k = view.k
    local line = redis.call("HGET", k.open, field)
    if line then
        return field, line
    end
    redis.call("HSETNX", k.open, "since_ms", string.format("%d", pool.now_ms()))
    if redis.call("HLEN", k.open) < pool.OPEN_MAX then
        return field, nil
    end
    field = account .. " (other) (other)"
    return field, redis.call("HGET", k.open, field)
end

-- Add what one settled attempt used to the open book: ten numbers in the order of book.FIELDS,
-- which become the book's. What a view knows of the open book is as true as the view (slots.lua).
function book.enter(view, account, client, model, used)
    local field = account .. " " .. client .. " " .. model
    local known, numbers = view.open[field], used
    if known then
        numbers = sum(known, used)
    else
        local line
        field, line = begin_line(view, field, account)
        if line then
            numbers = sum(book.parse(line), used)
        end
        if view.open_count >= 4096 then
            view.open, view.open_count = {}, 0
        end
        view.open_count = view.open_count + 1
    end
    view.open[field] = numbers
    redis.call("HSET", view.k.open, field, render(numbers))
end

function book.day_key(k, day)
    return k.base .. ":day:" .. pool.date(day)
end

function book.minute_key(k, minute)
    return k.base .. ":minute:" .. minute
end

-- posting -----------------------------------------------------------------------------------------

-- Lines of a book that is not posted yet, added to `added`: all, sub:<name>, client:<name>,
-- model:<name> -> numbers.
local function add_up(view, added, flat)
    for i = 1, #flat, 2 do
        local account, client, model = string.match(flat[i], "^(%S+) (%S+) (%S+)$")
        if account then
            local numbers = book.parse(flat[i + 1])
            local sub = view.by_account[account]
            for _, name in ipairs({ "all", "sub:" .. (sub and roster.plain(sub.name) or account),
                "client:" .. client, "model:" .. model }) do
                added[name] = added[name] and sum(added[name], numbers) or numbers
            end
        end
    end
    return added
end

-- What is used and not posted yet.
function book.unposted(view)
    local added = {}
    for _, key in ipairs({ view.k.posting, view.k.open }) do
        local flat = redis.pcall("HGETALL", key)
        add_up(view, added, type(flat) == "table" and not flat.err and flat or {})
    end
    return added
end

-- The names of a kind that used least, a tenth of all, are added up under (other).
local function make_room(key, kind)
    local listed, prefix = {}, "^" .. kind .. ":"
    for field, line in pairs(pool.hash(key)) do
        if string.find(field, prefix) and field ~= kind .. ":(other)" then
            listed[#listed + 1] = { field = field, used = book.parse(line) }
        end
    end
    table.sort(listed, function(a, b)
        if a.used[1] ~= b.used[1] then
            return a.used[1] < b.used[1]
        end
        return a.field < b.field
    end)
    local other = book.parse(redis.call("HGET", key, kind .. ":(other)"))
    local gone = math.min(#listed, math.ceil(NAMES_MAX[kind] / 10))
    for i = 1, gone do
        other = sum(other, listed[i].used)
        redis.call("HDEL", key, listed[i].field)
    end
    redis.call("HSET", key, kind .. ":(other)", render(other), "count:" .. kind, #listed - gone)
end

-- The field and line of a name new to a book: listed if there is room, else booked with the others.
local function list_name(key, kind, field, rooms)
    local count, other = "count:" .. kind, kind .. ":(other)"
    if field == other then
        return field, nil
    end
    if pool.count(redis.call("HGET", key, count)) >= NAMES_MAX[kind] then
        if rooms[kind] then
            return other, redis.call("HGET", key, other)
        end
        rooms[kind] = true -- at most once a call
        make_room(key, kind)
    end
    redis.call("HINCRBY", key, count, 1)
    return field, nil
end

-- Add numbers to one book; only those of one kind, if it is given.
local function post_to(k, key, added, only)
    local rooms = {}
    for field, numbers in pairs(added) do
        local kind = string.match(field, "^%a+")
        if not only or kind == only then
            local line = redis.call("HGET", key, field)
            if not line and NAMES_MAX[kind] then
                field, line = list_name(key, kind, field, rooms)
            end
            redis.call("HSET", key, field, render(sum(book.parse(line), numbers)))
        end
    end
end

-- Post what is to be posted, at most POST_MAX lines of it. True if there is more.
function book.post(view, now)
    local k = view.k
    if redis.call("HLEN", k.posting) == 0 then
        if redis.call("HLEN", k.open) == 0 then
            return false
        end
        slots.begin(view)
        view.open, view.open_count = {}, 0
        redis.call("RENAME", k.open, k.posting)
    end
    local since = math.min(pool.count(redis.call("HGET", k.posting, "since_ms")), now)
    since = since > 0 and since or now
    local flat, fields = pool.some(k, k.posting, pool.POST_MAX, "since_ms"), {}
    for i = 1, #flat, 2 do
        fields[#fields + 1] = flat[i]
    end
    local day_key = book.day_key(k, pool.day(since))
    local minute_key = book.minute_key(k, math.floor(since / 60000))
    if #fields > 0 then
        local added = add_up(view, {}, flat)
        post_to(k, day_key, added)
        post_to(k, k.totals, added)
        post_to(k, minute_key, added, "sub")
        redis.call("EXPIRE", day_key, pool.DAYS_KEPT * 86400)
        redis.call("EXPIRE", minute_key, pool.MINUTES_KEPT_S)
        redis.call("HDEL", k.posting, unpack(fields))
    end
    if redis.call("HLEN", k.posting) <= 1 then
        redis.call("DEL", k.posting)
    end
    return redis.call("EXISTS", k.posting) == 1
end

-- names and reading -------------------------------------------------------------------------------

local function rename_in(key, moved)
    local lines = {}
    for i, move in ipairs(moved) do
        lines[i] = redis.call("HGET", key, "sub:" .. move.old)
        redis.call("HDEL", key, "sub:" .. move.old)
    end
    for i, move in ipairs(moved) do
        if lines[i] then
            local there = redis.call("HGET", key, "sub:" .. move.new)
            redis.call("HSET", key, "sub:" .. move.new,
                there and render(sum(book.parse(there), book.parse(lines[i]))) or lines[i])
            if there then
                redis.call("HINCRBY", key, "count:sub", -1)
            end
        end
    end
end

-- Subscriptions have other names now: totals and days follow. (Minutes keep the old ones.) Who lost
-- its name to another credential leaves its books to that.
function book.rename(k, all)
    local moved = {}
    for _, move in ipairs(all) do
        if roster.plain(move.old) ~= roster.plain(move.new) then
            moved[#moved + 1] = { old = roster.plain(move.old), new = roster.plain(move.new) }
        end
    end
    local today = pool.day(pool.now_ms())
    rename_in(k.totals, moved)
    for day = today - pool.DAYS_KEPT, today do
        local key = book.day_key(k, day)
        if redis.call("EXISTS", key) == 1 then
            rename_in(key, moved)
        end
    end
end

-- Lines of a book as they would be if all were posted now: field -> ten numbers. `unposted`: from
-- book.unposted(). `fields`: which, at most a few thousand; nil = all.
function book.look(key, unposted, fields)
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
    for field, numbers in pairs(unposted) do
        lines[field] = lines[field] and sum(lines[field], numbers) or numbers
    end
    return lines
end

return book
