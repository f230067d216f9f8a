-- shrink: the fewest entries of a plan with which the same promise is still broken.
local run = require("run")

local shrink = {}

local function without(entries, from, count)
    local kept = {}
    for i, entry in ipairs(entries) do
        if i < from or i >= from + count then
            kept[#kept + 1] = entry
        end
    end
    return kept
end

-- Halves, quarters, ... then single entries are left out, as long as what remains still breaks
-- `rule`. The entries that are needed.
function shrink.plan(seed, libraries, options, entries, rule)
    local size = math.ceil(#entries / 2)
    while size >= 1 and #entries > 0 do
        local at, has_shrunk = 1, false
        while at <= #entries do
            local fewer = without(entries, at, size)
            local verdict = run.new(seed, libraries, {
                episodes = options.episodes, entries = fewer
            }):go()
            if verdict and verdict.rule == rule then
                entries, has_shrunk = fewer, true
            else
                at = at + size
            end
        end
        if size == 1 and not has_shrunk then
            break
        end
        size = size == 1 and 1 or math.ceil(size / 2)
    end
    return entries
end

return shrink
