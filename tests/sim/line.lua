-- line: those questions of a worker that stand in the pool's line, as node/state/waiting.c has
-- them.
local line = {}

local format = string.format

local function take_out(self, question)
    self.in_line[question.lease.seq] = nil
    self.in_line_count = self.in_line_count - 1
end

function line.give_up(self, question)
    take_out(self, question)
    question.lease.is_held = true
    self.judge:ended(question.lease)
    self:settle(question.lease, { outcome = "unused" })
end

-- True if it stood there.
function line.leave(self, question)
    if self.in_line[question.lease.seq] ~= question then
        return false
    end
    line.give_up(self, question)
    return true
end

function line.end_wait(self, question)
    if self.in_line[question.lease.seq] == question then
        line.give_up(self, question)
        question.on_end("refused", nil, 1000)
    end
end

function line.stand(self, question)
    self.in_line[question.lease.seq] = question
    self.in_line_count = self.in_line_count + 1
    if not question.has_waited then
        question.has_waited, question.lease.has_waited = true, true
        self.judge:note("in line")
        self.world:after(question.wait_ms, function()
            self.node:deliver(line.end_wait, self, question)
        end)
    end
end

-- Nothing was answered, or nobody can say: it stays there and asks again.
function line.is_no_answer(self, question, reply, err)
    local passes = err or reply[2] == "epoch" or reply[2] == "restoring" or reply[2] == "ended"
    return question.has_waited and not question.is_cancelled and passes
        and self.world.now < question.first_asked + question.wait_ms
end

function line.ask_again(self, question)
    question.is_due = true
    if self:may_ask() then
        take_out(self, question)
        question.is_due, question.asked = false, self.world.now
        self:send_question(question)
    end
end

local function in_order(self)
    local list = {}
    for _, question in pairs(self.in_line) do
        list[#list + 1] = question
    end
    table.sort(list, function(a, b)
        return tonumber(a.lease.seq) < tonumber(b.lease.seq)
    end)
    return list
end

-- By the channel.
function line.wake(self, seq)
    local question = self.in_line[seq]
    if question then
        line.ask_again(self, question)
    end
    for _, other in ipairs(self.asking) do
        other.was_woken = other.was_woken or other.lease.seq == seq
    end
end

function line.all_due(self)
    for _, question in pairs(self.in_line) do
        question.is_due = true
    end
end

function line.ask_those_due(self)
    for _, question in ipairs(in_order(self)) do
        if question.is_due then
            line.ask_again(self, question)
        end
    end
end

-- What it was granted is over, and it never heard of it.
function line.new_number(self, question)
    local lease = question.lease
    self.next_seq = self.next_seq + 1
    question.lease = {
        worker = self, holder = self.holder, seq = format("%d", self.next_seq),
        client = lease.client, model = lease.model, label = lease.label,
        excluded = lease.excluded, has_waited = true
    }
end

return line
