-- options: what main.lua was asked for. scripts/sim --help explains them.
local options = {}

local NUMBERS = { seed = 1, worlds = 1e9, seconds = 1e9, episodes = 3, trace = 0 }

local function fail(text)
    io.stderr:write("sim: ", text, "\n")
    os.exit(2)
end

local function positive(name, value)
    local number = tonumber(value)
    if not number or number < 0 or number > 1e9 or number % 1 ~= 0 then
        fail("--" .. name .. " expects a whole number, not '" .. tostring(value) .. "'")
    end
    return number
end

-- --only 2,5: these entries of the plan and no other.
local function numbers_of(list)
    local set = {}
    for number in string.gmatch(list or "", "%d+") do
        set[tonumber(number)] = true
    end
    return set
end

function options.read(arguments)
    local chosen, i = { library = nil, only = nil, is_quiet = false }, 1
    for name, value in pairs(NUMBERS) do
        chosen[name] = value
    end
    while i <= #arguments do
        local name = string.match(arguments[i], "^%-%-(%l+)$")
        if name == "quiet" then
            chosen.is_quiet = true
            i = i + 1
        elseif name == "library" or name == "only" or NUMBERS[name or ""] then
            local value = arguments[i + 1]
            if not value then
                fail("--" .. name .. " expects a value")
            end
            chosen[name] = NUMBERS[name] and positive(name, value)
                or name == "only" and numbers_of(value) or value
            i = i + 2
        else
            fail("no option '" .. arguments[i] .. "'")
        end
    end
    if not chosen.library then
        fail("--library is missing: the file that scripts/embed.cmake makes")
    end
    return chosen
end

return options
