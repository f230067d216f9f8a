-- clients: who uses the pool, for people: what each has running now and what was booked for it
-- today, the most active first.
--
-- That is read from all leases (LEASES_MAX of them at most) and from the whole book of the day,
-- some ms where both are full. So it is kept for a second, for all who look on any node.
local clients = {}

clients.SHOWN = 50

local LEASES_MAX = pool.THOROUGH_MAX
local KEPT_MS = 1000
local NAMES = "^client:(.*)$"

local kept, kept_count = {}, 0

-- client -> leases, and how many leases were not read.
local function count_running(k)
    local running, read, unread = {}, 0, 0
    for _, holder in ipairs(redis.call("ZRANGE", k.holders, 0, -1)) do
        local count = lease.count(k, holder)
        if read + count > LEASES_MAX then
            unread = unread + count
        else
            read = read + count
            for _, record in ipairs(redis.call("HVALS", lease.held_key(k, holder))) do
                local account, client = lease.read(record)
                if account then
                    running[client] = (running[client] or 0) + 1
                end
            end
        end
    end
    return running, unread
end

local function booked(k, now, unposted)
    local names = {}
    for field, numbers in pairs(book.look(book.day_key(k, pool.day(now)), unposted)) do
        local name = string.match(field, NAMES)
        if name then
            names[name] = numbers
        end
    end
    return names
end

local function read(k, now, unposted)
    local running, unread = count_running(k)
    local used, list = booked(k, now, unposted), {}
    for name, count in pairs(running) do
        list[#list + 1] = { name = name, running = count, used = used[name] or book.parse(nil) }
    end
    for name, numbers in pairs(used) do
        if not running[name] then
            list[#list + 1] = { name = name, running = 0, used = numbers }
        end
    end
    table.sort(list, function(a, b)
        if a.running ~= b.running then
            return a.running > b.running
        elseif a.used[1] ~= b.used[1] then
            return a.used[1] > b.used[1]
        end
        return a.name < b.name
    end)
    local count = #list
    for i = #list, clients.SHOWN + 1, -1 do
        list[i] = nil
    end
    return { list = list, count = count, unread = unread }
end

-- list: SHOWN at most, of `count`; unread: leases of which nobody knows whose they are.
function clients.look(view, now, unposted)
    local base = view.k.base
    local found = kept[base]
    if found and found.epoch == view.epoch and now >= found.at and now - found.at < KEPT_MS then
        return found
    end
    if kept_count >= 64 then
        kept, kept_count = {}, 0
    end
    kept_count = kept_count + (kept[base] and 0 or 1)
    found = read(view.k, now, unposted)
    found.at, found.epoch = now, view.epoch
    kept[base] = found
    return found
end

return clients
