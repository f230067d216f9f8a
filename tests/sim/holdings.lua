-- holdings: what Redis holds, as the judge looks at it now and then: counts, leases, books.
local holdings = {}

local BY_HAND_MS = 70000 -- once a minute a renewal names what is held

local BASE = "weir:{main}"

local function map_of(db, name)
    local object = db.keys[BASE .. ":" .. name]
    return object and object.map or {}
end

local function fields_of(line)
    local fields = {}
    for key, value in string.gmatch(line, "(%w+)=(%S*)") do
        fields[key] = value
    end
    return fields
end

-- May there be what a hand has put there?
local function is_by_hand(self)
    return self.world.now < (self.hand_at or -1e9) + BY_HAND_MS
end

-- Leases held, account -> how many.
local function count_records(self, db)
    local held, zset = {}, db.keys[BASE .. ":holders"]
    for key, object in pairs(db.keys) do
        local holder = string.match(key, "^" .. BASE .. ":held:(.*)$")
        for seq, record in pairs(holder and object.map or {}) do
            if seq ~= "@" then
                local account = fields_of(record).account or "?"
                held[account] = (held[account] or 0) + 1
                local swept = db.keys[BASE .. ":swept:" .. holder]
                if swept and swept.map[seq] and not is_by_hand(self) then
                    self:violation("lost slot", "%s-%s is held and ended", holder, seq)
                end
            end
        end
        if holder and not (zset and zset.score[holder]) then
            self:violation("lost slot", "%s holds something and is not listed", holder)
        end
    end
    return held
end

-- Counts, account -> active.
local function counts_of(db)
    local roster, counts = map_of(db, "roster"), {}
    for name, line in pairs(map_of(db, "slots")) do
        if name ~= "@" then
            local account = roster[name] and fields_of(roster[name]).account or name
            counts[account] = (counts[account] or 0) + (tonumber(fields_of(line).active) or 0)
        end
    end
    return counts
end

-- Redis knows what a worker runs.
local function check_running(self, each, there)
    for seq, lease in pairs(each.held) do
        if not there[seq] and lease.granted_at and not self:is_excused(lease)
            and self.registered[each.holder] == self.loss then
            self:violation("lease", "%s runs %s, which Redis does not know", each.holder, seq)
        end
    end
end

-- And nothing else, if no question and no settlement is on its way. What a hand has put there ends
-- with the next renewal or expiry.
local function check_strays(self, each, there)
    if not each:is_idle() or each.node.is_stalled or each.node.is_unreachable
        or self.registered[each.holder] ~= self.loss then
        return
    end
    local untaken = map_of(self.run.site.server.db, "untaken") -- for a second or two
    for seq in pairs(there) do
        if seq ~= "@" and not each.held[seq] and not is_by_hand(self)
            and not untaken[each.holder .. "-" .. seq] then
            self:violation("lost slot", "Redis keeps %s-%s, which nobody holds", each.holder, seq)
        end
    end
end

local function check_held(self, db)
    for _, node in ipairs(self.run.nodes) do
        for _, each in ipairs(not node.is_dead and node.workers or {}) do
            local there = map_of(db, "held:" .. each.holder)
            check_running(self, each, there)
            check_strays(self, each, there)
        end
    end
end

local function check_line(self, db)
    for id in pairs(map_of(db, "queue")) do
        if self.left[id] and self:still_holds(self.left[id]) and not is_by_hand(self) then
            self:violation("line", "%s has left, and still stands there", id)
        end
    end
end

function holdings.check(self)
    local db = self.run.site.server.db
    if self.damaged_at then
        return
    end
    check_line(self, db)
    local held, counts = count_records(self, db), counts_of(db)
    for account, count in pairs(held) do
        if (counts[account] or 0) ~= count then
            self:violation("lost slot", "%s counts %d, its leases are %d", account,
                counts[account] or 0, count)
        end
    end
    for account, count in pairs(counts) do
        if count ~= (held[account] or 0) then
            self:violation("lost slot", "%s counts %d, its leases are %d", account, count,
                held[account] or 0)
        end
    end
    check_held(self, db)
end

-- What is booked in all books together: requests, input tokens.
local function sums_of(db)
    local requests, input = 0, 0
    local function add(line)
        local fields = fields_of(line)
        requests = requests + tonumber(fields.requests)
        input = input + tonumber(fields.input)
    end
    for _, name in ipairs({ "open", "posting" }) do
        for field, line in pairs(map_of(db, name)) do
            if field ~= "since_ms" then
                add(line)
            end
        end
    end
    local all = map_of(db, "totals").all
    if all then
        add(all)
    end
    return requests, input
end

function holdings.check_books(self)
    local requests, input = sums_of(self.run.site.server.db)
    if requests ~= self.requests or input ~= self.input then
        self:violation("books", "the books have %d requests and %d tokens; settled were %d and %d",
            requests, input, self.requests, self.input)
    end
end

return holdings
