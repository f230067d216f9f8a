-- plan: what goes wrong in a world, and when: a list that follows from the seed. A run obeys it; an
-- entry left out leaves the others as they are, so a plan can be shrunk.
--
-- An entry: { at = ms, kind, numbers ... }. What it names (a node, a subscription) it names by a
-- number, which whoever carries it out takes modulo how many there are.
local plan = {}

local EPISODE_MS, TROUBLE_MS = 55000, 20000
local CLOSE_MS = 60 -- one trouble right behind another

-- How often, and with what.
local KINDS = {
    { 10, "cut link", 0, 400 }, { 4, "cut node", 0, 400 },
    { 6, "isolate", 300, 25000 }, { 8, "stall", 200, 40000 },
    { 3, "pause", 500, 500 }, { 3, "pause", 2300, 2300 }, { 3, "pause", 4000, 4000 },
    { 2, "pause", 20000, 20000 }, { 4, "pause", 100, 6000 }, { 3, "restart", 50, 20000 },
    { 3, "older copy", 50, 15000 }, { 2, "flush" }, { 1, "nothing left", 50, 3000 },
    { 5, "kill", 0, 8000 }, { 3, "kill for good" }, { 4, "roll", 0, 5000 }, { 2, "clone" },
    { 3, "leave", 0, 8000 }, { 2, "clock ahead", 100, 1000 }, { 2, "clock ahead", 20000, 90000 },
    { 2, "clock back", 100, 3600000 }, { 1, "full", 500, 8000 }, { 3, "reload all", 0, 4000 },
    { 3, "reload one" }, { 2, "cool", 500, 5000 }, { 2, "open" }, { 2, "pause by hand" },
    { 2, "enable by hand" }, { 2, "free by hand" }, { 7, "damage" }, { 2, "lose twice", 500, 9000 },
    { 3, "strategy by hand" }
}

local function pick(draw)
    local sum = 0
    for _, kind in ipairs(KINDS) do
        sum = sum + kind[1]
    end
    local at = draw(sum)
    for _, kind in ipairs(KINDS) do
        at = at - kind[1]
        if at < 0 then
            return kind
        end
    end
end

-- `episodes`: each a time of trouble, then a time to recover.
function plan.make(draw, episodes)
    local entries = {}
    for episode = 0, episodes - 1 do
        for _ = 1, 1 + draw(5) do
            local kind = pick(draw)
            local span = kind[4] and kind[4] - kind[3] or 0
            local before, is_close = entries[#entries], draw(3) == 0
            entries[#entries + 1] = {
                at = before and is_close and before.at + draw(CLOSE_MS)
                    or 8000 + episode * EPISODE_MS + draw(TROUBLE_MS), kind = kind[2],
                ms = (kind[3] or 0) + draw(span + 1), which = draw(1000), how = draw(1000)
            }
        end
    end
    table.sort(entries, function(a, b)
        return a.at < b.at
    end)
    return entries
end

function plan.end_ms(episodes)
    return 8000 + episodes * EPISODE_MS
end

function plan.text(entries)
    local lines = {}
    for i, entry in ipairs(entries) do
        lines[i] = string.format("%8.3f s  %-14s ms=%d which=%d how=%d", entry.at / 1000,
            entry.kind, entry.ms, entry.which, entry.how)
    end
    return table.concat(lines, "\n")
end

return plan
