-- main: worlds one after the other, until a promise is broken or the time is over. scripts/sim is
-- how a person starts it.
--
-- Exit code: 0 all is well, 1 a promise is broken, 2 wrong usage.
package.path = string.match(arg[0], "^(.*)/[^/]*$") .. "/?.lua"
collectgarbage("setpause", 400)

local options = require("options").read(arg)
local plan = require("plan")
local run = require("run")
local server = require("server")
local shrink = require("shrink")

-- The shipped library, and the same once more under another version: two programs on one pool.
local function read_libraries(path)
    local file = assert(io.open(path, "rb"))
    local source = file:read("*a")
    file:close()
    local version = assert(string.match(source, 'local VERSION = "(%x+)"'), "no library: " .. path)
    local libraries = {}
    for i, name in ipairs({ version, "0ther000" }) do
        local line = 'local VERSION = "' .. name .. '"'
        local text = string.gsub(source, 'local VERSION = "%x+"', line)
        libraries[i] = { version = name, chunk = server.compile(text, "library") }
    end
    return libraries
end

local libraries = read_libraries(options.library)
local totals = { worlds = 0, calls = 0, seen = {}, began = os.time() }

local function chosen_entries(seed)
    if not options.only then
        return nil
    end
    local all, kept = run.new(seed, libraries, options).entries, {}
    for i, entry in ipairs(all) do
        if options.only[i] then
            kept[#kept + 1] = entry
        end
    end
    return kept
end

local function numbers_in(all, kept)
    local numbers = {}
    for i, entry in ipairs(all) do
        for _, other in ipairs(kept) do
            if other.at == entry.at and other.kind == entry.kind and other.how == entry.how then
                numbers[#numbers + 1] = i
            end
        end
    end
    return table.concat(numbers, ",")
end

local function tell(seed, world, verdict)
    print(string.format("seed %d breaks '%s' after %.3f s: %s", seed, verdict.rule,
        verdict.at / 1000, verdict.text))
    local needed = options.only and world.entries
        or shrink.plan(seed, libraries, options, world.entries, verdict.rule)
    print("with")
    print(plan.text(needed))
    print(string.format("again: scripts/sim --seed %d --episodes %d --only %s --trace 10", seed,
        options.episodes, options.only and "..." or numbers_in(world.entries, needed)))
end

-- All calls of the last seconds before the end.
local function trace(world)
    local judge = world.judge
    local executed, lines = judge.executed, {}
    function judge.executed(self, from, call, reply, err)
        lines[#lines + 1] = {
            self.world.now, string.format("%9.3f s %s%-18s %s %s => %s", self.world.now / 1000,
                call.is_orphan and "(left over) " or "", from.holder, call.verb,
                table.concat(call.arguments, " "), err or table.concat(reply, " "))
        }
        return executed(self, from, call, reply, err)
    end
    return function(last)
        for _, line in ipairs(lines) do
            if line[1] >= last - options.trace * 1000 then
                print(line[2])
            end
        end
    end
end

local function run_one(seed)
    local world = run.new(seed, libraries, {
        episodes = options.episodes, entries = chosen_entries(seed)
    })
    local print_trace = options.trace > 0 and trace(world)
    local verdict = world:go()
    totals.worlds, totals.calls = totals.worlds + 1, totals.calls + world.site.calls
    for what, count in pairs(world.judge.seen) do
        totals.seen[what] = (totals.seen[what] or 0) + count
    end
    if print_trace then
        print_trace(world.world.now)
    end
    if verdict then
        tell(seed, world, verdict)
    end
    return verdict
end

local function sum_up()
    local names = {}
    for what in pairs(totals.seen) do
        names[#names + 1] = what
    end
    table.sort(names)
    for i, what in ipairs(names) do
        names[i] = what .. " " .. totals.seen[what]
    end
    local seconds = os.clock() -- of the processor
    print("met: " .. table.concat(names, ", "))
    print(string.format("%d worlds, %d calls, %.0f a second", totals.worlds, totals.calls,
        totals.calls / math.max(seconds, 0.001)))
end

local function show_progress(seed)
    if not options.is_quiet and totals.worlds % 20 == 0 then
        io.stderr:write(string.format("\r%d worlds, %.1f million calls, seed %d ", totals.worlds,
            totals.calls / 1e6, seed))
    end
end

local seed, verdict = options.seed, nil
while not verdict and totals.worlds < options.worlds
    and os.time() - totals.began < options.seconds do
    verdict = run_one(seed)
    show_progress(seed)
    seed = seed + 1
end
if not options.is_quiet then
    io.stderr:write("\n")
end
sum_up()
os.exit(verdict and 1 or 0)
