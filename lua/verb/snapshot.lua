-- snapshot: the whole pool for a machine (/status, /metrics). Reads only.
--
-- FCALL_RO weir_snapshot_<v> 1 <base>
--
-- The reply is a list of sections. A section is a list of two: its kind, and a flat list of
-- key, value, key, value ... Everything is a bulk string, integers are decimal strings.
-- A reader skips kinds and keys it does not know; both may be added, none changes its meaning.
--
--   1) "pool"          once, first
--        now_ms                    Redis TIME, ms since the epoch
--        library                   version of the library that answers (8 hex digits)
--        subscriptions             how many are declared or still leaving
--        cooling                   how many of the enabled ones are cooling
--        leases                    leases held
--        active                    sum of active over all subscriptions
--        slots                     sum of max over all subscriptions. Always it is active, without
--        above_max                 what runs above a max that was lowered, and available and
--                                  held_back together
--        capacity                  sum of max over the enabled ones
--        available                 sum of available
--        held_back                 sum of held_back; held_<cause>: of that, see held_by
--        nodes, nodes_alive        known (heard of in the last 60 s); heard of in the last 15 s
--        config_digests_differ     1 if living nodes run with different configurations
--        swept_ms_ago              since the last sweep; -1 = never
--        grace_ms                  how long expired leases are still spared; 0 = no grace
--        schema, generation        of the pool, of its roster
--        epoch, epoch_why          when it began (ms), and why: new, emptied, server changed
--        closed_ms                 until admissions begin again; 0 = they are open
--        strategy, strategy_by     how one is chosen; person (weir_strategy) or configuration
--        closing                   labels that close something to such requests only
--        clients                   how many there are today
--        leases_unread             leases that no client is shown with: there were too many
--        day                       "2026-11-21" (UTC), the day that day_* and "today" speak of
--   2) "subscription"  one each, sorted by name
--        name, account
--        state                     on | off (disabled) | paused (by a person) | leaving (no longer
--                                  declared, drains)
--        enabled                   1 if state is on
--        active, max
--        available                 slots that a request would get now: 0 while it cools, is broken,
--                                  off, paused, leaving, at its burst limit, or the pool restores;
--                                  1 while it is on trial
--        held_back                 the other free ones: max - active - available, never below 0
--        held_by                   cooling, ceiling, broken, burst, trial, restoring, paused,
--                                  disabled, leaving; "" if none is held back
--        priority, burst_limit     burst_limit 0 = none
--        tier                      what it weighs, where tiers weigh
--        session_since_ms          since when it has the session; 0 = it has not
--        in_cooldown               1 | 0
--        cooldown_remaining_ms     0 if not cooling
--        cooldown_until_ms         0 if not cooling
--        cooldown_reason           "" if not cooling
--        health                    what is held against it, in words; "" if nothing is
--        last_used_ms              time of the last admission, 0 = never
--        windows                   window:used:reset:seen, one space between: used in
--                                  ten-thousandths, reset (0 = not known) and seen in ms
--        limits                    its ceilings, window:soft:hard, one comma between
--        total_<n>, day_<n>        since the beginning, and of today, for every <n> in
--                                  requests errors cancelled input output cache_read
--                                  cache_write_5m cache_write_1h duration_ms
--                                  output_estimated
--                                  (requests = settled attempts; tokens by kind; time upstream)
--   3) "node"          one each boot, sorted by id
--        id, boot, version, digest
--        leases                    slots it holds now; those of all nodes are the pool's
--        active                    requests in progress as its last heartbeat said: those that wait
--                                  for their slot or are ending too
--        reload_asked              which reload of all nodes it has done last; 0: none
--        reload_result             of its last reload: taken, refused; "" none since its start
--        reload_words              what was read and changed, or why it was refused
--        behind                    1: its configuration is older than what the pool has
--        lacks                     subscriptions it does not know, at most 20, one space between
--        heartbeat_ms_ago
--        started_ms_ago            as long as this Redis has known it
--        alive                     1 if heard of in the last 15 s
--   4) "request"       what a request would get now: once for any, then once for each label that
--                      closes something, sorted, at most 8
--        for                       the label, "" of any
--        available                 slots that are free to it
--        reason, retry_ms ...      if none is: the reply it would hear, see refusal.lua
--   5) "client"        one each that runs something or has used something today, the most active
--                      first, at most 50; as of a second ago at most
--        name                      "(other)": those for which the day's book had no room
--        running                   leases it holds
--        requests errors ...       booked today, as in "total"
--   6) "total"         once: requests errors ... duration_ms, since the beginning
--   7) "today"         once: the same, of today
local snapshot = {}

local LACKS_SHOWN = 20
local LABELS_SHOWN = 8

local function text(value)
    return tostring(value or "")
end

local function read_cooldown_reason(line)
    return line and string.match(line, " reason=(.*)$") or ""
end

local function add_book(section, prefix, numbers)
    for i, field in ipairs(book.FIELDS) do
        local number = numbers and numbers[i] or 0
        section[#section + 1] = { prefix .. field, string.format("%.0f", number) }
    end
end

-- A section is built as a list of pairs, so that status can look things up by name too.
local function new_section(kind, pairs_of)
    local section = { kind = kind, pairs = pairs_of }
    function section.get(key)
        for _, pair in ipairs(pairs_of) do
            if pair[1] == key then
                return pair[2]
            end
        end
    end
    return section
end

local function windows_of(sub, now)
    local texts = {}
    for i, w in ipairs(window.list(sub, now)) do
        texts[i] = string.format("%s:%.0f:%.0f:%.0f", w.name, w.used, w.reset, w.seen)
    end
    return table.concat(texts, " ")
end

local function of_subscription(view, sub, now, limited, books)
    local available, cause = refusal.free_now(view, sub, "", now, limited)
    local left_ms = math.max(0, sub.cooling - now)
    local reason = left_ms > 0 and read_cooldown_reason(books.cooldowns[sub.name]) or ""
    local section = {
        { "name", sub.name }, { "account", sub.account },
        { "state", sub.paused == 1 and "paused" or sub.state }, { "enabled", sub.is_on and 1 or 0 },
        { "active", sub.active }, { "max", sub.max },
        { "available", available },
        { "held_back", math.max(0, sub.max - sub.active - available) },
        { "held_by", cause }, { "priority", sub.priority },
        { "burst_limit", sub.burst }, { "tier", sub.tier },
        { "session_since_ms", sub.session or 0 }, { "in_cooldown", left_ms > 0 and 1 or 0 },
        { "cooldown_remaining_ms", left_ms },
        { "cooldown_until_ms", left_ms > 0 and sub.cooling or 0 },
        { "cooldown_reason", reason }, { "health", health.tell(sub, now) },
        { "last_used_ms", sub.used }, { "windows", windows_of(sub, now) },
        { "limits", sub.limits_text }
    }
    add_book(section, "total_", books.totals["sub:" .. sub.name])
    add_book(section, "day_", books.today["sub:" .. sub.name])
    return new_section("subscription", section)
end

-- Names of what is declared by somebody and that a boot does not know, one space between.
local function lacks(view, knows)
    local known, names = {}, {}
    for account in string.gmatch(knows or "", "%S+") do
        known[account] = true
    end
    for _, sub in ipairs(view.list) do
        if not known[sub.account] and sub.state ~= "leaving" and #names < LACKS_SHOWN then
            names[#names + 1] = sub.name
        end
    end
    table.sort(names)
    return table.concat(names, " ")
end

local function of_node(view, key, heartbeat, leases, now)
    local k = view.k
    local id, boot = string.match(key, "^(.*)%.(%x+)$")
    local record = redis.call("TYPE", roster.boot_key(k, key))["ok"] == "hash"
        and pool.hash(roster.boot_key(k, key)) or {}
    local ago_ms = record.alone == "1" and 0 or math.max(0, now - heartbeat)
    return new_section("node", {
        { "id", id or key }, { "boot", boot }, { "version", record.version },
        { "reload_asked", record.reload_asked or 0 }, { "reload_result", record.reload_result },
        { "reload_words", record.reload_words },
        { "behind", record.behind or 0 }, { "lacks", lacks(view, record.knows) },
        { "digest", record.digest }, { "leases", leases[key] or 0 },
        { "active", record.active or 0 },
        { "heartbeat_ms_ago", ago_ms },
        { "started_ms_ago", math.max(0, now - (tonumber(record.started_ms) or now)) },
        { "alive", ago_ms <= pool.ALIVE_MS and 1 or 0 }
    })
end

local function of_client(client)
    local section = { { "name", client.name }, { "running", client.running } }
    add_book(section, "", client.used)
    return new_section("client", section)
end

local function of_book(kind, numbers)
    local section = {}
    add_book(section, "", numbers)
    return new_section(kind, section)
end

local function read_subscriptions(view)
    local subs = {}
    for i, sub in ipairs(view.list) do
        subs[i] = sub
    end
    table.sort(subs, function(a, b)
        return a.name < b.name
    end)
    return subs
end

-- Of each boot, and `all`.
local function count_leases(k)
    local counts = { all = 0 }
    for _, holder in ipairs(redis.call("ZRANGE", k.holders, 0, -1)) do
        local count, boot = lease.count(k, holder), string.match(holder, "^(.*)%.%d+$") or holder
        counts[boot], counts.all = (counts[boot] or 0) + count, counts.all + count
    end
    return counts
end

-- Labels that close a subscription to such requests only, or whose requests are to try it.
local function closing_labels(view, now)
    local is_known, labels = {}, {}
    local function note(label)
        if label ~= trial.ALL and not is_known[label] then
            is_known[label], labels[#labels + 1] = true, label
        end
    end
    for _, sub in ipairs(view.list) do
        for label, until_ms in pairs(sub.blocks or {}) do
            if until_ms > now then
                note(label)
            end
        end
        for label in pairs(sub.trials or {}) do
            note(label)
        end
    end
    table.sort(labels)
    return labels
end

local function of_request(view, label, now, limited)
    local available, reply = refusal.foresee(view, label, now, limited)
    local section = { { "for", label }, { "available", available } }
    if reply then
        section[3], section[4] = { "reason", reply[2] }, { "retry_ms", reply[3] }
        for i = 5, #reply, 2 do
            section[#section + 1] = { reply[i], reply[i + 1] }
        end
    end
    return new_section("request", section)
end

local function add_up_slots(view, now, limited)
    local sum = { slots = 0, active = 0, above_max = 0, capacity = 0, available = 0,
        held_back = 0, cooling = 0, held = {} }
    for _, sub in ipairs(view.list) do
        local available, cause = refusal.free_now(view, sub, "", now, limited)
        local held = math.max(0, sub.max - sub.active - available)
        sum.slots, sum.active = sum.slots + sub.max, sum.active + sub.active
        sum.above_max = sum.above_max + math.max(0, sub.active - sub.max)
        sum.available, sum.held_back = sum.available + available, sum.held_back + held
        if held > 0 then
            sum.held[cause] = (sum.held[cause] or 0) + held
        end
        if sub.is_on then
            sum.capacity = sum.capacity + sub.max
            sum.cooling = sum.cooling + (sub.cooling > now and 1 or 0)
        end
    end
    return sum
end

local function of_pool(view, now, parts)
    local k, subs, nodes = view.k, parts.subs, parts.nodes
    local sum = add_up_slots(view, now, parts.limited)
    local alive, digests, digest_count = 0, {}, 0
    for _, node in ipairs(nodes) do
        local digest = node.get("digest")
        if node.get("alive") == 1 then
            alive = alive + 1
            if digest and not digests[digest] then
                digests[digest], digest_count = true, digest_count + 1
            end
        end
    end
    local sweeps = redis.call("HMGET", k.sweeps, "last_ms", "grace_until_ms")
    local section = new_section("pool", {
        { "now_ms", now }, { "library", VERSION }, { "subscriptions", #subs },
        { "cooling", sum.cooling }, { "leases", parts.leases.all },
        { "active", sum.active }, { "capacity", sum.capacity }, { "available", sum.available },
        { "held_back", sum.held_back }, { "slots", sum.slots }, { "above_max", sum.above_max },
        { "nodes", #nodes }, { "nodes_alive", alive },
        { "config_digests_differ", digest_count > 1 and 1 or 0 },
        { "swept_ms_ago", sweeps[1] and math.max(0, now - pool.count(sweeps[1])) or -1 },
        { "grace_ms", math.max(0, pool.count(sweeps[2]) - now) },
        { "schema", view.schema }, { "epoch", string.format("%.0f", view.epoch) },
        { "epoch_why", redis.call("HGET", k.epoch, "why") },
        { "closed_ms", math.max(0, view.closed - now) }, { "generation", view.generation },
        { "strategy", view.strategy }, { "strategy_by", view.said and "person" or "configuration" },
        { "closing", #parts.labels }, { "clients", parts.clients.count },
        { "leases_unread", parts.clients.unread }, { "day", pool.date(pool.day(now)) }
    })
    for _, cause in ipairs(refusal.HOLDS) do
        section.pairs[#section.pairs + 1] = { "held_" .. cause, sum.held[cause] or 0 }
    end
    return section
end

local function read_nodes(view, leases, now)
    local k = view.k
    local nodes = {}
    local beats = redis.call("ZRANGE", k.boots, 0, pool.BOOTS_MAX - 1, "WITHSCORES")
    for i = 1, #beats, 2 do
        nodes[#nodes + 1] = of_node(view, beats[i], tonumber(beats[i + 1]), leases, now)
    end
    table.sort(nodes, function(a, b)
        if a.get("id") ~= b.get("id") then
            return a.get("id") < b.get("id")
        end
        return a.get("boot") < b.get("boot")
    end)
    return nodes
end

local function read_books(view, subs, unposted, now)
    local k, fields = view.k, { "all" }
    for _, sub in ipairs(subs) do
        fields[#fields + 1] = "sub:" .. sub.name
    end
    return {
        cooldowns = pool.hash(k.cooldowns), totals = book.look(k.totals, unposted, fields),
        today = book.look(book.day_key(k, pool.day(now)), unposted, fields)
    }
end

-- All sections in the order of the head comment.
function snapshot.collect(k, now)
    local view = slots.look(k)
    window.weigh(view, now)
    local subs, leases, unposted = read_subscriptions(view), count_leases(k), book.unposted(view)
    local parts = {
        subs = subs, leases = leases, nodes = read_nodes(view, leases, now),
        limited = slots.at_burst(view, now), labels = closing_labels(view, now),
        clients = clients.look(view, now, unposted)
    }
    local books, sections = read_books(view, subs, unposted, now), { of_pool(view, now, parts) }
    local function add(section)
        sections[#sections + 1] = section
    end
    for _, sub in ipairs(subs) do
        add(of_subscription(view, sub, now, parts.limited, books))
    end
    for _, node in ipairs(parts.nodes) do
        add(node)
    end
    add(of_request(view, "", now, parts.limited))
    for i = 1, math.min(#parts.labels, LABELS_SHOWN) do
        add(of_request(view, parts.labels[i], now, parts.limited))
    end
    for _, client in ipairs(parts.clients.list) do
        add(of_client(client))
    end
    add(of_book("total", books.totals.all))
    add(of_book("today", books.today.all))
    return sections
end

function snapshot.call(keys)
    local reply = {}
    for i, section in ipairs(snapshot.collect(pool.keys(keys), pool.now_ms())) do
        local flat = {}
        for _, pair in ipairs(section.pairs) do
            flat[#flat + 1] = pair[1]
            flat[#flat + 1] = text(pair[2])
        end
        reply[i] = { section.kind, flat }
    end
    return reply
end

return snapshot
