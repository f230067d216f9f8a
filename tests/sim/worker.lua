-- worker: a holder as node/state/ is one: its questions, what it holds, how it renews and settles.
-- The same rules in the same order as lease.c, renewal.c, outbox.c and state.c; whoever changes
-- those changes this, and the other way round.
local line = require("line")
local link = require("link")

local worker = {}
worker.__index = worker

worker.LEASE_MS, worker.RENEW_MS, worker.TICK_MS = 13500, 5000, 1000
local LEASE_MS = worker.LEASE_MS
local GRANT_MS = LEASE_MS - LEASE_MS / 10
local SENT_MAX, OUTBOX_MAX, TRIES_MAX, BATCH_MAX = 512, 10000, 10, 256
local LISTS_MAX, EPOCHS_MAX, LIST_EVERY = 2, 3, 60000 / worker.RENEW_MS
local LEASE_TEXT = tostring(LEASE_MS)

local floor, format = math.floor, string.format

-- `index`: the number behind the workers' is the control thread's, which holds nothing.
function worker.new(node, index)
    local self = setmetatable({
        node = node, world = node.world, judge = node.judge, index = index,
        holder = node.boot_name .. "." .. index, link_number = 0, epoch = "0", held = {},
        held_count = 0, asking = {}, asking_count = 0, cancelled_count = 0, next_seq = 0,
        stale_ticks = 0, waiting = {}, waiting_from = 1, waiting_to = 0, sent_count = 0,
        in_line = {}, in_line_count = 0,
        fresh_until = node.world.now + LEASE_MS,
        renewal = { started = node.world.now, covers = node.world.now, compared = 0 }
    }, worker)
    self.link = link.new(node.site, self, node.label .. "." .. index)
    self.world:after(worker.TICK_MS, worker.tick, self)
    return self
end

function worker:is_ready()
    return self.is_registered and self.link.is_up
end

local function is_fresh(self)
    return self.world.now <= self.fresh_until
end

-- settlements ------------------------------------------------------------------------------------

local function outbox_count(self)
    return self.waiting_to - self.waiting_from + 1 + self.sent_count
end

function worker:may_ask()
    return self:is_ready() and outbox_count(self) < OUTBOX_MAX
end

-- Redis should hold just what this worker does.
function worker:is_idle()
    return self:is_ready() and #self.asking == 0 and self.in_line_count == 0
        and outbox_count(self) == 0
end

local function wait_in_outbox(self, settlement)
    self.waiting_to = self.waiting_to + 1
    self.waiting[self.waiting_to] = settlement
end

local send_settlements

local function on_settled(call, _, err)
    local self, settlement = call.about.worker, call.about
    self.sent_count = self.sent_count - 1
    if err == "DOWN" then
        wait_in_outbox(self, settlement)
    elseif err then
        settlement.tries = (settlement.tries or 0) + (string.find(err, "^ERR ") and 1 or 0)
        if settlement.tries >= TRIES_MAX then
            self.judge:dropped(settlement, err)
        else
            wait_in_outbox(self, settlement)
            self.is_holding_off = true
        end
    end
    send_settlements(self)
end

function send_settlements(self)
    while self.link.is_up and not self.is_holding_off and self.sent_count < SENT_MAX
        and self.waiting_from <= self.waiting_to do
        local settlement = self.waiting[self.waiting_from]
        self.waiting[self.waiting_from] = nil
        self.waiting_from = self.waiting_from + 1
        self.sent_count = self.sent_count + 1
        self.link:send("settle", settlement.arguments, on_settled, settlement)
    end
end

local function release(self, lease)
    if self.held[lease.seq] == lease then
        self.held[lease.seq] = nil
        self.held_count = self.held_count - 1
    end
end

-- `used`: outcome, cooldown_ms, input.
function worker:settle(lease, used)
    if not lease.is_held then
        return
    end
    lease.is_held = false
    release(self, lease)
    local filled = used.health == "good" and used.input * 10 or nil -- a few are at a ceiling
    used.window = filled and { used = filled, reset = floor(self.world:redis_ms() / 1000) + 4 }
    local status = used.outcome == "error" and "429" or "200"
    wait_in_outbox(self, {
        worker = self, lease = lease, used = used, arguments = {
            self.holder, lease.seq, lease.model, status, used.outcome,
            used.health or "none", format("%d", used.cooldown_ms or 0),
            used.cooldown_kind or "given", used.scope or "",
            used.cooldown_ms and "rate limited" or "",
            format("%d", used.input or 0), "7", "0", "0", "0", "12", "0",
            filled and format("5h:%d:%d", filled, used.window.reset) or "", "0"
        }
    })
    send_settlements(self)
end

-- admissions -------------------------------------------------------------------------------------

local function forget_asking(self, question)
    local asking = self.asking
    for i = 1, #asking do
        if asking[i] == question then
            table.remove(asking, i)
            return
        end
    end
end

local function return_unseen(self, lease)
    lease.is_held = true
    self.judge:ended(lease)
    self:settle(lease, { outcome = "unused" })
end

local function hold(self, lease, asked)
    local until_ms = asked + GRANT_MS
    if self.held_count == 0 or until_ms < self.fresh_until then
        self.fresh_until = until_ms
    end
    if asked < self.renewal.covers then
        self.renewal.covers = asked
    end
    lease.is_held = true
    self.held[lease.seq] = lease
    self.held_count = self.held_count + 1
end

local function on_granted(self, question, account)
    local lease = question.lease
    lease.account = account
    if question.is_cancelled then
        lease.is_held = true
        self.judge:ended(lease)
        self:settle(lease, { outcome = "cancelled" })
    elseif self.world.now > question.asked + LEASE_MS then
        return_unseen(self, lease)
        question.on_end("down")
    else
        hold(self, lease, question.asked)
        question.on_end("granted", lease)
    end
end

local function on_queued(self, question)
    line.stand(self, question)
    if question.is_cancelled then
        line.give_up(self, question)
    elseif question.was_woken then
        line.ask_again(self, question)
    end
end

local function on_admitted(call, reply, err)
    local question = call.about
    local self = question.worker
    forget_asking(self, question)
    if not err and reply[1] == "queued" then
        on_queued(self, question)
        return
    elseif (err or reply[1] == "refused") and line.is_no_answer(self, question, reply, err) then
        if not err and reply[2] == "epoch" then
            self:meet_epoch(reply[4])
        elseif not err and reply[2] == "ended" then
            line.new_number(self, question)
        end
        self.judge:ended(question.lease) -- it was granted something, or not: it does not know
        line.stand(self, question)
        question.is_due = true
        return
    end
    if err == "DOWN" then
        return_unseen(self, question.lease)
    end
    if err then
        if not question.is_cancelled then
            question.on_end(err == "DOWN" and "down" or "error")
        end
    elseif reply[1] == "granted" then
        on_granted(self, question, reply[2])
    elseif not question.is_cancelled then
        if reply[2] == "epoch" then
            self:meet_epoch(reply[4])
        end
        question.on_end("refused", nil, tonumber(reply[3]))
    end
end

-- on_end(word, lease, retry_ms), once, unless cancelled: granted, refused, error, down. Nil if
-- nothing can be asked now.
function worker:admit(client, model, excluded, on_end)
    if not self:may_ask() then
        return nil
    end
    self.next_seq = self.next_seq + 1
    local seq = format("%d", self.next_seq)
    local question = {
        worker = self, asked = self.world.now, first_asked = self.world.now, on_end = on_end,
        wait_ms = self.next_seq % 3 > 0 and 1000 + self.next_seq % 9 * 1000 or 0, lease = {
            worker = self, holder = self.holder, seq = seq, client = client, model = model,
            label = "model:" .. model, excluded = excluded
        }
    }
    self:send_question(question)
    return question
end

-- One that has waited has an older number than those asked meanwhile.
function worker:send_question(question)
    local lease, at = question.lease, #self.asking + 1
    while at > 1 and tonumber(self.asking[at - 1].lease.seq) > tonumber(lease.seq) do
        at = at - 1
    end
    table.insert(self.asking, at, question)
    question.was_woken = false
    local left = math.max(0, question.first_asked + question.wait_ms - self.world.now)
    self.link:send("admit", {
        self.holder, self.link_text, self.epoch, lease.seq, lease.client, lease.model, LEASE_TEXT,
        lease.excluded, "messages model:" .. lease.model, format("%d", left), "50",
        lease.client == "c1" and "3" or "1"
    }, on_admitted, question)
end

-- what is held -----------------------------------------------------------------------------------

local function lose(self, lease)
    release(self, lease)
    self.judge:note("leases lost")
    lease.on_lost(lease)
end

local function sorted_held(self, from)
    local list = {}
    for _, lease in pairs(self.held) do
        if tonumber(lease.seq) >= from then
            list[#list + 1] = lease
        end
    end
    table.sort(list, function(a, b)
        return tonumber(a.seq) < tonumber(b.seq)
    end)
    return list
end

local function finish(self)
    local renewal = self.renewal
    renewal.is_running = false
    if not renewal.has_failed then
        self.fresh_until = renewal.covers + LEASE_MS
        self.stale_ticks = 0
        if not self.is_registered then
            line.all_due(self)
        end
        self.is_registered = true
    elseif self.link.is_up then
        self.is_registered = false
    end
end

local on_renewed

local function ask(self, rows, to, stage)
    local renewal = self.renewal
    renewal.stage = stage or renewal.stage
    local arguments = {
        self.holder, self.link_text, self.epoch, LEASE_TEXT,
        renewal.is_restoring and "restore" or "renew", format("%d", self.held_count),
        format("%d", #self.asking + self.in_line_count + outbox_count(self)),
        renewal.stage == "list" and "1" or "0",
        format("%d", renewal.from), format("%.0f", to)
    }
    for _, lease in ipairs(rows) do
        local n = #arguments
        arguments[n + 1], arguments[n + 2], arguments[n + 3], arguments[n + 4] = lease.seq,
            lease.account, lease.client, lease.model
    end
    self.link:send("renew", arguments, on_renewed, self)
end

local function compare(self)
    ask(self, {}, 0, "compare")
end

local function send_list(self)
    local renewal, rows = self.renewal, {}
    local list = sorted_held(self, renewal.from)
    for i = 1, math.min(#list, BATCH_MAX) do
        rows[i] = list[i]
    end
    local settled_below = self.asking[1] and tonumber(self.asking[1].lease.seq)
        or self.next_seq + 1
    local to = #rows < #list and tonumber(rows[#rows].seq) or settled_below - 1
    renewal.is_last = #rows == #list
    ask(self, rows, to)
    renewal.from = to + 1
end

local function begin_list(self)
    local renewal = self.renewal
    renewal.lists, renewal.from, renewal.stage = renewal.lists + 1, 0, "list"
    renewal.compared = 0
    send_list(self)
end

local function go_on(self, is_kept)
    local renewal = self.renewal
    if renewal.stage == "compare" then
        if is_kept or renewal.lists == LISTS_MAX then
            finish(self)
        else
            begin_list(self)
        end
    elseif renewal.is_last then
        compare(self)
    else
        send_list(self)
    end
end

local function take_epoch(self, epoch)
    local renewal = self.renewal
    self.epoch = epoch
    renewal.is_restoring = renewal.started <= self.fresh_until or self.held_count == 0
    renewal.lists = 0
    renewal.epochs = renewal.epochs + 1
    if renewal.epochs > EPOCHS_MAX then
        renewal.has_failed = true
        finish(self)
    else
        begin_list(self)
    end
end

function on_renewed(call, reply, err)
    local self = call.about
    if err then
        self.renewal.has_failed = true
        finish(self)
    elseif reply[1] == "epoch" then
        take_epoch(self, reply[2])
    else
        for i = 4, #reply do
            local lease = self.held[reply[i]]
            if lease then
                lose(self, lease)
            end
        end
        go_on(self, reply[1] == "kept")
    end
end

function worker:renew()
    local renewal = self.renewal
    if renewal.is_running or not self.link.is_up then
        return
    end
    local was_away = not self.is_registered
    renewal.is_running, renewal.has_failed = true, false
    renewal.is_restoring = was_away and (is_fresh(self) or self.held_count == 0)
    renewal.lists, renewal.epochs, renewal.from = 0, 0, 0
    renewal.started, renewal.covers = self.world.now, self.world.now
    renewal.compared = renewal.compared + 1
    if was_away or not is_fresh(self) or renewal.compared >= LIST_EVERY then
        begin_list(self)
    else
        compare(self)
    end
end

function worker:meet_epoch(epoch)
    if epoch ~= "0" and epoch ~= self.epoch then
        self:renew()
    end
end

-- time and connections ---------------------------------------------------------------------------

function worker:on_up()
    self.link_number = self.link_number + 1
    self.link_text = format("%d", self.link_number)
    self:renew()
    send_settlements(self)
    if self.on_link_up then
        self.on_link_up()
    end
end

function worker:on_down()
    self.is_registered = false
    if is_fresh(self) then
        self.fresh_until = self.world.now + LEASE_MS
    end
end

local function give_up_if_hopeless(self)
    if self.is_registered then
        return
    end
    self.stale_ticks = self.stale_ticks + 1
    if self.stale_ticks >= math.floor(LEASE_MS / worker.TICK_MS) then
        self.stale_ticks = 0
        for _, lease in ipairs(sorted_held(self, 0)) do
            lose(self, lease)
        end
    end
end

local function on_tick(self)
    self.is_tick_due = false
    local now = self.world.now
    local was_fresh = is_fresh(self) or self.held_count == 0
    if self.held_count == 0 or (was_fresh and not self.is_registered) then
        self.fresh_until = now + LEASE_MS
        self.stale_ticks = 0
    end
    local is_due = self.held_count + self.in_line_count > 0
        and now + worker.TICK_MS / 2 >= self.renewal.started + worker.RENEW_MS
    if self.link.is_up and (not self.is_registered or not was_fresh or is_due) then
        self:renew()
    end
    if not was_fresh then
        give_up_if_hopeless(self)
    end
    self.is_holding_off = false
    send_settlements(self)
    line.ask_those_due(self)
end

function worker:tick()
    if self.node.is_dead then
        return
    end
    if not self.is_tick_due then -- one that stands still misses all but one
        self.is_tick_due = true
        self.node:deliver(on_tick, self)
    end
    self.world:after(worker.TICK_MS, worker.tick, self)
end

return worker
