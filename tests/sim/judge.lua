-- judge: knows everything that happens in a world, in every node and in Redis, and holds it against
-- what is promised. It counts for itself; it never asks the library how many slots are taken.
--
--   cap        what is granted never makes more requests at a subscription than it has slots.
--              Not counted are those of a holder that could not be heard of for a lease time, and
--              those that Redis lost and nobody could register again in a lease time (the two
--              edges of docs/architecture.md)
--   choice     nobody is granted what it does not know or has excluded, what cools or is paused, or
--              what has used as much of a window as its owner allows
--   trial      what a person opens is tried by one request at a time, until that has succeeded;
--              when it has failed it is closed again as it was
--   books      every settlement is booked, once; the sums are what was settled
--   lost slot  counts are the leases there are; at the end there is none, and all can be granted
--   lease      who is heard of keeps what it holds
--   line       who has left the line does not stand there
--   epoch      after a loss nothing is granted before all who live have registered, or for a lease
--              time
--   name       who is heard of keeps its name
--   fault      the library never fails, whatever it finds
local holdings = require("holdings")

local judge = {}
judge.__index = judge

local LEASE_MS, SETTLE_DOWN_MS, SILENT_MS, SWEPT_MS = 13500, 3000, 3000, 1000
local VOUCHED_MS = LEASE_MS * 0.9
local CHECK_EVERY, BOOKS_EVERY = 200, 2000
local TRIAL_MS = 30000
judge.CEILING = 9900 -- of everybody's 5h, in ten-thousandths

function judge.new(run)
    return setmetatable({
        run = run, world = run.world, counter = 0, open = {}, heard = {}, doubted = {},
        registered = {}, knows = {}, cooling = {}, blocked = {}, filled = {}, left = {},
        trials = {}, paused = {}, losses = {},
        requests = 0, input = 0, beats = {}, stepped = 0, clock_stepped_at = -1,
        clock_jumped_at = -1, seen = {}
    }, judge)
end

-- A promise that is broken ends the run.
function judge:violation(rule, ...)
    if not self.verdict then
        self.verdict = { rule = rule, text = string.format(...), at = self.world.now }
        self.world:stop()
    end
end

-- How often something of interest was met; so that a run can tell that it was there at all.
function judge:note(what)
    self.seen[what] = (self.seen[what] or 0) + 1
end

-- losses -----------------------------------------------------------------------------------------

-- Of times until when something is closed, those that are to come.
local function running(self, map)
    local kept, now = {}, self.world:redis_ms()
    for key, until_ms in pairs(map) do
        kept[key] = until_ms > now and until_ms or nil
    end
    return kept
end

-- What the judge has to forget with Redis, when that goes back to an older copy.
function judge:save()
    local function copy_of(map)
        local made = {}
        for key, value in pairs(map) do
            made[key] = value
        end
        return made
    end
    return {
        counter = self.counter, requests = self.requests, input = self.input,
        cooling = running(self, self.cooling), blocked = running(self, self.blocked),
        filled = running(self, self.filled), paused = copy_of(self.paused), at = self.world.now
    }
end

function judge:lost(saved, why)
    saved = saved or { counter = -1, requests = 0, input = 0, cooling = {}, blocked = {},
        filled = {}, paused = {}, at = -1 }
    local loss = { from = saved.counter, to = self.counter, at = self.world.now, why = why,
        saved_at = saved.at }
    self.losses[#self.losses + 1] = loss
    self.loss = loss
    self.requests, self.input = saved.requests, saved.input
    self.cooling, self.blocked, self.paused = saved.cooling, saved.blocked, saved.paused
    self.filled = saved.filled
    self.registered, self.trials = {}, {}
    self:note("loss: " .. why)
end

-- Is what was done then still part of what Redis knows?
function judge:still_holds(counter)
    if not counter then
        return false
    end
    for _, loss in ipairs(self.losses) do
        if counter > loss.from and counter <= loss.to then
            return false
        end
    end
    return true
end

-- requests at providers --------------------------------------------------------------------------

local function add_open(self, lease, account)
    lease.counted_for = account
    local list = self.open[account]
    if not list then
        list = {}
        self.open[account] = list
    end
    list[#list + 1] = lease
end

function judge:started(lease)
    if not lease.counted_for then
        add_open(self, lease, lease.account)
    end
end

-- It runs no more, or never will.
function judge:ended(lease)
    local list = self.open[lease.counted_for]
    for i = 1, #(list or {}) do
        if list[i] == lease then
            list[i] = list[#list]
            list[#list] = nil
            break
        end
    end
    lease.counted_for = nil
end

function judge:died(node)
    for _, list in pairs(self.open) do
        for i = #list, 1, -1 do
            if list[i].worker.node == node then
                list[i].counted_for = nil
                list[i] = list[#list]
                list[#list] = nil
            end
        end
    end
end

local function is_silent(self, holder)
    return self.world.now - (self.heard[holder] or -1e9) > VOUCHED_MS - self.stepped
end

-- Redis hears of a holder. What it held before a silence may be gone; a renewal will tell.
local function hear(self, holder)
    if is_silent(self, holder) then
        self.doubted[holder] = self.counter
    end
    self.heard[holder] = self.world.now
end

-- Does the copy from which Redis goes on say that this node lived? Not if it came later, and not if
-- all that was heard of it lies before a jump of the clock, after which it seems long silent.
local function is_known_to(self, loss, node)
    local beat = self.beats[node.boot]
    return node.named_at and node.named_at <= loss.saved_at
        and not (beat and beat.at < self.clock_jumped_at)
end

-- A request that Redis need not know of any more.
function judge:is_excused(lease)
    local holder, now = lease.worker.holder, self.world.now
    if lease.is_gone or is_silent(self, holder)
        or (lease.granted_at or 0) < (self.doubted[holder] or 0) then
        return true
    end
    local loss = self.loss
    if not loss or self.registered[holder] == loss then
        return false
    elseif loss.why == "nothing left" then
        return true -- and nobody may have been there who could say so
    end
    local is_known = is_known_to(self, loss, lease.worker.node)
    return now >= loss.at + (is_known and LEASE_MS or SETTLE_DOWN_MS)
end

-- grants -----------------------------------------------------------------------------------------

local function check_cap(self, lease, account, max)
    local count, list = 0, self.open[account] or {}
    for i = 1, #list do
        if not self:is_excused(list[i]) then
            count = count + 1
        else
            self:note("excused")
        end
    end
    if count + 1 > max then
        self:violation("cap", "%s of %s is granted %s, which has %d requests on %d slots",
            lease.seq, lease.holder, account, count, max)
    end
end

local function check_choice(self, from, call, account)
    local known = self.knows[from.node.boot_name]
    local now = self.world:redis_ms()
    if not known or not known[account] then
        self:violation("choice", "%s is granted %s, which it does not know", from.holder, account)
    elseif call.arguments[8] == account then
        self:violation("choice", "%s is granted %s, which it has excluded", from.holder, account)
    elseif (self.cooling[account] or 0) > now then
        self:violation("choice", "%s is granted %s, which cools for %d ms more", from.holder,
            account, self.cooling[account] - now)
    elseif (self.blocked[account .. " " .. call.about.lease.label] or 0) > now then
        self:violation("choice", "%s is granted %s, which is closed to %s", from.holder, account,
            call.about.lease.label)
    elseif (self.filled[account] or 0) > now then
        self:violation("choice", "%s is granted %s, which is at its ceiling for %d ms more",
            from.holder, account, self.filled[account] - now)
    elseif self.paused[account] then
        self:violation("choice", "%s is granted %s, which is paused", from.holder, account)
    end
end

local function check_epoch(self, account)
    local loss = self.loss
    if not loss or self.world.now >= loss.at + LEASE_MS or loss.why == "nothing left" then
        return
    end
    for _, node in ipairs(self.run.nodes) do
        local is_known = is_known_to(self, loss, node)
        local is_waited_for = not node.is_dead and not node.has_left
            and (is_known or self.world.now < loss.at + SETTLE_DOWN_MS)
        for _, each in ipairs(is_waited_for and node.workers or {}) do
            if each.held_count > 0 and not is_silent(self, each.holder)
                and self.registered[each.holder] ~= loss then
                self:violation("epoch", "%s is granted to somebody %d ms after a loss (%s); %s, "
                    .. "which holds %d, has not registered", account, self.world.now - loss.at,
                    loss.why, each.holder, each.held_count)
            end
        end
    end
end

-- trials ------------------------------------------------------------------------------------------
-- "<account> *" or "<account> <label>" -> { map =, key =, former =, by = who tries, at = }.
-- Lost data, a clock that is set and a hand's damage end them: then nobody knows.

-- A person opens it.
function judge:opened(account)
    local now = self.world:redis_ms()
    local function note(map, key, name)
        if (map[key] or 0) > now then
            self.trials[name] = { map = map, key = key, former = map[key] }
            map[key] = nil
        end
    end
    note(self.cooling, account, account .. " *")
    for key in pairs(self.blocked) do
        if string.match(key, "^%S+") == account then
            note(self.blocked, key, key)
        end
    end
end

function judge:cooled_by_hand(account)
    self.trials[account .. " *"] = nil
end

local function try(self, from, lease, name)
    local t, now = self.trials[name], self.world:redis_ms()
    if not t or t.former <= now then
        return
    elseif t.by and now < t.at + TRIAL_MS then
        self:violation("trial", "%s is granted %s, which somebody else tries already", from.holder,
            name)
    end
    t.by, t.at = lease, now
    self:note("trials")
end

local function conclude_trials(self, lease, used)
    for name, t in pairs(self.trials) do
        if t.by == lease then
            local is_bad = used.cooldown_ms or used.health == "bad" or used.health == "suspect"
            t.by = nil
            if is_bad and t.former > self.world:redis_ms() then
                t.map[t.key] = math.max(t.map[t.key] or 0, t.former)
            end
            if is_bad or used.health == "good" then
                self.trials[name] = nil
            end
        end
    end
    if used.cooldown_ms and lease.account then
        self.trials[lease.account .. " " .. (used.scope or "*")] = nil
    end
end

local function on_grant(self, from, call, reply)
    local lease, account = call.about.lease, reply[2]
    hear(self, from.holder)
    local has_waited = lease.has_waited and not lease.granted_at -- granted by another's call
    if reply[5] == "repeat" and not has_waited then
        return
    end
    if not self.damaged_at then
        check_cap(self, lease, account, tonumber(reply[4]))
    end
    if not has_waited then -- what has changed since then is nobody's fault
        check_choice(self, from, call, account)
        check_epoch(self, account)
    elseif lease.excluded == account then
        self:violation("choice", "%s waited and is granted %s, which it has excluded", from.holder,
            account)
    end
    try(self, from, lease, account .. " *")
    try(self, from, lease, account .. " " .. lease.label)
    lease.granted_at = self.counter
    if not call.is_orphan and not call.about.is_cancelled and not from.node.is_dead then
        add_open(self, lease, account)
    end
    self:note(has_waited and "grants to who waited" or "grants")
end

-- settlements ------------------------------------------------------------------------------------

local function on_settle(self, from, call, reply)
    local settlement, word = call.about, reply[1]
    local lease, used = settlement.lease, settlement.used
    if lease.has_waited and used.outcome == "unused" then
        self.left[from.holder .. "-" .. lease.seq] = self.counter
    end
    if word == "left" then
        self:note("left the line")
        return
    end
    local is_booked = self:still_holds(lease.booked_at)
    if word ~= "duplicate" and is_booked then
        self:violation("books", "%s of %s is booked twice (%s)", lease.seq, from.holder, word)
    elseif word == "duplicate" and not is_booked and self:still_holds(lease.granted_at) then
        self:violation("books", "%s of %s is never booked", lease.seq, from.holder)
    elseif word ~= "duplicate" then
        lease.booked_at = self.counter
        if used.outcome ~= "unused" then
            self.requests, self.input = self.requests + 1, self.input + (used.input or 0)
        end
        local account = lease.account
        conclude_trials(self, lease, used)
        if used.cooldown_ms and account then
            local map, key = self.cooling, account
            if used.scope then
                map, key = self.blocked, account .. " " .. used.scope
            end
            map[key] = math.max(map[key] or 0, self.world:redis_ms() + used.cooldown_ms)
        end
        if used.window and account then
            local is_full = used.window.used >= judge.CEILING
            self.filled[account] = is_full and used.window.reset * 1000 or nil
            self:note(is_full and "at a ceiling" or "below a ceiling")
        end
    end
    self:note("settled: " .. word)
end

function judge:dropped(settlement, err)
    self:violation("books", "a settlement of %s is given up: %s", settlement.worker.holder, err)
end

-- renewals, nodes --------------------------------------------------------------------------------

local function on_renew(self, from, call, reply)
    for i = 4, #reply do
        local lease = from.held[reply[i]]
        if lease and not self:is_excused(lease) and self:still_holds(lease.granted_at) then
            self:violation("lease", "%s of %s is lost, although it was heard of %d ms ago",
                lease.seq, from.holder, self.world.now - self.heard[from.holder])
        elseif lease then
            lease.is_gone = true -- as its node is about to hear
        end
    end
    if reply[1] ~= "epoch" then
        hear(self, from.holder)
    end
    if reply[1] == "kept" then
        self.registered[from.holder] = self.loss
        self.doubted[from.holder] = nil
    end
    self:note("renewal: " .. reply[1])
end

local function on_join(self, from, reply)
    if reply[1] ~= "joined" then
        return
    end
    for _, other in ipairs(self.run.nodes) do
        local beat = self.beats[other.boot]
        if other ~= from.node and other.has_name and not other.is_dead and not other.has_left
            and other.name == reply[2] and beat and self:still_holds(beat.counter)
            and beat.at > self.clock_stepped_at
            and self.world.now - beat.at < SILENT_MS - self.stepped then
            self:violation("name", "%s takes the name %s from %s, heard of %d ms ago",
                from.node.boot, other.name, other.boot, self.world.now - beat.at)
        end
    end
end

function judge:named(node)
    node.named_at = self.world.now
end

local function on_declare(self, from, call)
    local known, arguments = {}, call.arguments
    for i = 8, #arguments, 8 do -- behind six of its own: rows of name, account and six more
        known[arguments[i]] = true
    end
    self.knows[from.node.boot_name] = known
end

-- every call -------------------------------------------------------------------------------------

local EXPECTED = {
    "^STALE ", "^OOM ", "^SCHEMA ", "^ERR weir: name: expected a subscription of this pool"
}

local function is_expected(err)
    for _, pattern in ipairs(EXPECTED) do
        if string.find(err, pattern) then
            return true
        end
    end
    return false
end

function judge:executed(from, call, reply, err)
    self.counter = self.counter + 1
    local verb = call.verb
    if err then
        if not is_expected(err) then
            self:violation("fault", "%s: %s", verb, err)
        end
        self:note("error: " .. string.match(err, "^%S+"))
    elseif verb == "admit" then
        if reply[1] == "granted" then
            on_grant(self, from, call, reply)
        else
            self.last_refusal = reply[2]
            self:note("refused: " .. reply[2])
        end
    elseif verb == "settle" then
        on_settle(self, from, call, reply)
    elseif verb == "renew" then
        on_renew(self, from, call, reply)
    elseif verb == "join" then
        on_join(self, from, reply)
    elseif verb == "beat" then
        self.beats[from.node.boot] = { at = self.world.now, counter = self.counter }
        if self.damaged_at and self.world.now >= self.damaged_at + SWEPT_MS then
            self.damaged_at = nil
        end
    elseif verb == "declare" then
        on_declare(self, from, call)
    end
    if self.counter % CHECK_EVERY == 0 then
        holdings.check(self)
    end
    if self.counter % BOOKS_EVERY == 0 then
        holdings.check_books(self)
    end
end

-- what hands do ----------------------------------------------------------------------------------

-- What it did to a count stays until the next sweep.
function judge:damaged()
    self.damaged_at, self.hand_at = self.world.now, self.world.now
    self.trials = {}
end

-- Redis' clock is set. By so little that nobody can tell: what it measures ends sooner.
function judge:step(ms)
    local before = self.world:redis_ms() - ms
    for _, map in ipairs({ self.cooling, self.blocked, self.filled }) do
        for key, until_ms in pairs(map) do
            if until_ms <= before then
                map[key] = nil -- over is over, whatever the clock says later
            end
        end
    end
    self.clock_stepped_at, self.trials = self.world.now, {}
    if ms >= 3000 then
        self.clock_jumped_at = self.world.now
    elseif ms > 0 then
        self.stepped = self.stepped + ms
    end
end

return judge
