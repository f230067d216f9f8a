-- repair: what happens when a key holds something of the wrong type: a hand's mistake, which must
-- cost no more than that key. It is put aside, for a person to look at, and the call that met it
-- begins again, as if the key had never been. So a verb does first what may fail and can be done
-- again, and last what makes it done; what it left uncounted the recount finds.
local repair = {}

local TYPES = {
    slots = "hash", roster = "hash", epoch = "hash", cooldowns = "hash", open = "hash",
    posting = "hash", blocks = "hash", totals = "hash", sweeps = "hash", holders = "zset",
    swept = "zset", settings = "hash", windows = "hash", history = "hash",
    queue = "hash", classes = "hash", untaken = "hash", clients = "hash",
    boots = "zset", restored = "set", events = "stream"
}

-- True if there is nothing, or what there should be.
local function is_right(key, wanted)
    local found = redis.call("TYPE", key)["ok"]
    return found == wanted or found == "none"
end

local function set_aside(k, key)
    local aside = k.base .. ":aside:" .. string.sub(key, #k.base + 2)
    redis.call("RENAME", key, aside)
    redis.call("EXPIRE", aside, 7 * 86400)
    pool.event(k, "record set aside", "key", key, "now", aside)
end

local function check(k, key, wanted)
    if not is_right(key, wanted) then
        set_aside(k, key)
    end
end

-- The keys there always are, and the books that are written now. Before a sweep, which moves what
-- must not be moved twice.
function repair.check_usual(k, now)
    check(k, k.events, TYPES.events) -- where the others are told
    for name, wanted in pairs(TYPES) do
        check(k, k[name], wanted)
    end
    for day = pool.day(now) - 1, pool.day(now) do
        check(k, book.day_key(k, day), "hash")
    end
    for minute = math.floor(now / 60000) - 1, math.floor(now / 60000) do
        check(k, book.minute_key(k, minute), "hash")
    end
end

-- And those of each boot, holder and account.
local function check_all(k, now)
    repair.check_usual(k, now)
    for _, boot in ipairs(redis.call("ZRANGE", k.boots, 0, -1)) do
        check(k, roster.boot_key(k, boot), "hash")
    end
    for _, zset in ipairs({ k.holders, k.swept }) do
        for _, holder in ipairs(redis.call("ZRANGE", zset, 0, -1)) do
            check(k, lease.held_key(k, holder), "hash")
            check(k, lease.swept_key(k, holder), "hash")
        end
    end
    for _, line in pairs(pool.hash(k.roster)) do
        local account = pool.fields(line).account
        if account then
            check(k, slots.burst_key(k, { account = account }), "list")
        end
    end
    for day = pool.day(now) - pool.DAYS_KEPT, pool.day(now) do
        check(k, book.day_key(k, day), "hash") -- a rename goes through all of them
    end
    queue.each_key(k, function(key)
        check(k, key, "zset")
    end)
    for _, key in ipairs(history.part_keys(k)) do
        check(k, key, "hash")
    end
end

local function mend_all(k)
    check_all(k, pool.now_ms())
    local view = slots.open(k)
    slots.forget(view)
    view = slots.open(k)
    slots.begin(view)
    lease.recount(view, true)
    slots.commit(view)
end

-- An error that went through pcall() as it was before: Redis makes a text of it there.
local function raise(text)
    error(string.find(text, "^%u+ ") and redis.error_reply(text) or text, 0)
end

local function text_of(reply)
    return type(reply) == "table" and reply.err or tostring(reply)
end

-- What follows when a verb is done, and must not undo it: a key of the wrong type is left to the
-- next call that meets it.
function repair.spare(work, ...)
    local is_fine, reply = pcall(work, ...)
    if not is_fine and not string.find(text_of(reply), "^WRONGTYPE ") then
        raise(text_of(reply))
    end
end

-- A verb that survives what a hand has done.
function repair.guarded(verb)
    return function(keys, argv)
        local is_fine, reply = pcall(verb, keys, argv)
        if is_fine then
            return reply
        end
        local text = text_of(reply)
        if not string.find(text, "^WRONGTYPE ") then
            raise(text)
        end
        mend_all(pool.keys(keys))
        is_fine, reply = pcall(verb, keys, argv)
        return is_fine and reply or raise(text_of(reply))
    end
end

return repair
