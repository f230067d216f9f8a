-- status: the whole pool for a person. Its own library, `weir`, under a name without a version:
--
--   redis-cli FCALL_RO weir_status 1 'weir:{main}'
--
-- Reads only. Long lists are cut, and say so.
local LEASES_SHOWN = 50
local NAMES_SHOWN = 20

-- 950 -> "950", 12345 -> "12.3k", 4200000 -> "4.2M"
local function short(number)
    number = tonumber(number) or 0
    for _, unit in ipairs({ { 1e9, "G" }, { 1e6, "M" }, { 1e4, "k", 1e3 } }) do
        if number >= unit[1] then
            return string.format("%.1f%s", number / (unit[3] or unit[1]), unit[2])
        end
    end
    return string.format("%.0f", number)
end

-- 90500 -> "1m 30s"
local function span(ms)
    local s = math.floor((tonumber(ms) or 0) / 1000)
    if s >= 86400 then
        return string.format("%dd %dh", s / 86400, s % 86400 / 3600)
    elseif s >= 3600 then
        return string.format("%dh %dm", s / 3600, s % 3600 / 60)
    elseif s >= 60 then
        return string.format("%dm %ds", s / 60, s % 60)
    end
    return string.format("%.1fs", (tonumber(ms) or 0) / 1000)
end

-- Rows of cells as lines, columns aligned; the first row is the heading.
local function add_table(lines, rows)
    local widths = {}
    for _, row in ipairs(rows) do
        for i, cell in ipairs(row) do
            widths[i] = math.max(widths[i] or 0, #cell)
        end
    end
    for _, row in ipairs(rows) do
        local cells = {}
        for i, cell in ipairs(row) do
            cells[i] = cell .. string.rep(" ", widths[i] - #cell)
        end
        lines[#lines + 1] = "  " .. (string.gsub(table.concat(cells, "  "), "%s+$", ""))
    end
    lines[#lines + 1] = " "
end

local function sections_of(sections, kind)
    local found = {}
    for _, section in ipairs(sections) do
        if section.kind == kind then
            found[#found + 1] = section
        end
    end
    return found
end

local function tokens_in(get, prefix)
    return short(get(prefix .. "input") + get(prefix .. "cache_read")
        + get(prefix .. "cache_write_5m") + get(prefix .. "cache_write_1h"))
end

-- "3 held back (2 cooling, 1 disabled)"
local function held_back(get)
    local causes = {}
    for _, cause in ipairs(refusal.HOLDS) do
        if get("held_" .. cause) > 0 then
            causes[#causes + 1] = get("held_" .. cause) .. " " .. cause
        end
    end
    return get("held_back") .. " held back"
        .. (#causes > 0 and " (" .. table.concat(causes, ", ") .. ")" or "")
end

local function show_pool(lines, k, sections)
    local get, today = sections[1].get, sections_of(sections, "today")[1].get
    local seconds = math.floor(get("now_ms") / 1000)
    lines[#lines + 1] = string.format("pool %s  %s %02d:%02d:%02d UTC", k.base, get("day"),
        seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
    lines[#lines + 1] = string.format("  %d of %d slots in use, %d free, %s, "
        .. "%d leases; %d subscriptions, %d cooling; %d of %d nodes alive",
        get("active"), get("slots"), get("available"), held_back(get), get("leases"),
        get("subscriptions"), get("cooling"), get("nodes_alive"), get("nodes"))
    lines[#lines + 1] = "  strategy " .. get("strategy")
        .. (get("strategy_by") == "person" and ", as a person said (weir_strategy)" or "")
    lines[#lines + 1] = string.format("  today %s requests, %s errors, %s tokens in, %s out",
        short(today("requests")), short(today("errors")), tokens_in(today, ""),
        short(today("output")))
    if get("closed_ms") > 0 then
        lines[#lines + 1] = "  ATTENTION: Redis lost data (" .. (get("epoch_why") or "?")
            .. "): nothing is admitted until all nodes have registered, at most "
            .. span(get("closed_ms"))
    end
    if get("config_digests_differ") == 1 then
        lines[#lines + 1] = "  ATTENTION: living nodes run with different configurations"
    end
    if get("swept_ms_ago") < 0 or get("swept_ms_ago") > pool.UNSWEPT_MS then
        lines[#lines + 1] = "  ATTENTION: no node has swept for " .. (get("swept_ms_ago") < 0
            and "ever" or span(get("swept_ms_ago")))
    end
    lines[#lines + 1] = " "
end

-- "5h 42%, 7d 81%"
local function quotas_of(text)
    local told = {}
    for name, used in string.gmatch(text, "(%S-):(%d+):%d+:%d+") do
        told[#told + 1] = string.format("%s %.0f%%", name, used / 100)
    end
    return #told > 0 and table.concat(told, ", ") or "-"
end

local function show_subscriptions(lines, sections)
    local rows = { { "subscription", "slots", "state", "closed", "quota used", "priority", "burst",
        "today", "errors", "tokens in", "out", "ever" } }
    for _, section in ipairs(sections_of(sections, "subscription")) do
        local get = section.get
        local cooling = get("health") ~= "" and get("health") or "-"
        if get("in_cooldown") == 1 then
            cooling = span(get("cooldown_remaining_ms")) .. " " .. get("cooldown_reason")
                .. (get("health") ~= "" and ", " .. get("health") or "")
        end
        rows[#rows + 1] = { get("name"), get("active") .. "/" .. get("max"), get("state"), cooling,
            quotas_of(get("windows")), tostring(get("priority")), tostring(get("burst_limit")),
            short(get("day_requests")),
            short(get("day_errors")), tokens_in(get, "day_"), short(get("day_output")),
            short(get("total_requests")) }
    end
    add_table(lines, rows)
end

-- What is wrong with a node's configuration.
local function note(get)
    if get("lacks") ~= "" then
        return " lacks " .. get("lacks")
    end
    return tostring(get("behind")) == "1" and " behind" or ""
end

local function show_nodes(lines, sections)
    local rows = { { "node", "boot", "slots", "requests", "heartbeat", "up", "version",
        "configuration" } }
    for _, section in ipairs(sections_of(sections, "node")) do
        local get = section.get
        rows[#rows + 1] = { get("id"), get("boot") or "-", tostring(get("leases")),
            tostring(get("active")),
            span(get("heartbeat_ms_ago")) .. (get("alive") == 1 and " ago" or " ago, SILENT"),
            span(get("started_ms_ago")), get("version") or "-",
            (get("digest") or "-") .. note(get) }
    end
    add_table(lines, rows)
end

-- The clients of today, the most active first.
local function show_clients(lines, sections)
    local rows = { { "client (today)", "running", "requests", "errors", "tokens in", "out" } }
    local count = sections[1].get("clients")
    for _, section in ipairs(sections_of(sections, "client")) do
        local get = section.get
        if #rows <= NAMES_SHOWN then
            rows[#rows + 1] = { get("name"), tostring(get("running")), short(get("requests")),
                short(get("errors")), tokens_in(get, ""), short(get("output")) }
        end
    end
    if count > NAMES_SHOWN then
        rows[#rows + 1] = { "... and " .. count - NAMES_SHOWN .. " more" }
    end
    add_table(lines, rows)
end

-- The models of today, the busiest first.
local function show_models(lines, today)
    local found, rows = {}, { { "model (today)", "requests", "errors", "tokens in", "out" } }
    for field, used in pairs(today) do
        local name = string.match(field, "^model:(.*)$")
        if name then
            found[#found + 1] = { name = name, used = used }
        end
    end
    table.sort(found, function(a, b)
        if a.used[1] ~= b.used[1] then
            return a.used[1] > b.used[1]
        end
        return a.name < b.name
    end)
    for i = 1, math.min(#found, NAMES_SHOWN) do
        local used = found[i].used
        rows[#rows + 1] = { found[i].name, short(used[1]), short(used[2]),
            short(used[4] + used[6] + used[7] + used[8]), short(used[5]) }
    end
    if #found > NAMES_SHOWN then
        rows[#rows + 1] = { "... and " .. #found - NAMES_SHOWN .. " more" }
    end
    add_table(lines, rows)
end

-- The leases of a holder, at most `room` of them.
local function add_leases(rows, k, holder, expiry, now, room)
    local scanned = redis.call("HSCAN", lease.held_key(k, holder), 0, "COUNT", LEASES_SHOWN)[2]
    for i = 1, math.min(#scanned, 2 * (room + 1)), 2 do
        if scanned[i] ~= "@" and #rows <= room then
            local record = pool.fields(scanned[i + 1])
            rows[#rows + 1] = { holder .. "-" .. scanned[i], record.sub or "?",
                record.client or "?", record.model or "?",
                span(math.max(0, now - (tonumber(record.since) or now))),
                span(math.max(0, expiry - now)) }
        end
    end
end

local function show_leases(lines, k, now)
    local rows = { { "lease", "subscription", "client", "model", "running", "expires in" } }
    local holders, count = redis.call("ZRANGE", k.holders, 0, -1, "WITHSCORES"), 0
    for i = 1, #holders, 2 do
        count = count + lease.count(k, holders[i])
        if #rows <= LEASES_SHOWN then
            add_leases(rows, k, holders[i], pool.count(holders[i + 1]), now, LEASES_SHOWN)
        end
    end
    if count > LEASES_SHOWN then
        rows[#rows + 1] = { "... and " .. count - LEASES_SHOWN .. " more" }
    end
    add_table(lines, rows)
end

local function status(keys)
    local k, now, lines = pool.keys(keys), pool.now_ms(), {}
    local sections = snapshot.collect(k, now)
    local today = book.look(book.day_key(k, pool.day(now)), book.unposted(slots.look(k)))
    show_pool(lines, k, sections)
    show_subscriptions(lines, sections)
    show_nodes(lines, sections)
    show_clients(lines, sections)
    show_models(lines, today)
    show_leases(lines, k, now)
    return lines
end

local function register(verb, callback, flags)
    redis.register_function({
        function_name = "weir_" .. verb,
        callback = flags[1] == "no-writes" and callback or repair.guarded(callback),
        flags = flags
    })
end

register("status", status, { "no-writes" })
register("recall", recall, { "no-writes" })
register("cool", mend.cool, { "allow-oom" })
register("open", mend.open, { "allow-oom" })
register("enable", mend.enable, { "allow-oom" })
register("free", mend.free, { "allow-oom" })
register("strategy", mend.strategy, { "allow-oom" })
register("reload", mend.reload, { "allow-oom" })
