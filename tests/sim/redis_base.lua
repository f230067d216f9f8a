-- redis_base: what all commands of the stand-in (redis.lua) need: errors, arguments, keys.
local base = {}

local format = string.format

local WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"

function base.raise(text)
    error({ err = text }, 0)
end

-- Arguments are numbers where the library gives numbers; what is stored is text.
function base.text(value)
    if type(value) == "number" then
        return format("%.17g", value)
    end
    return value
end

function base.integer(value)
    local number = tonumber(value)
    if not number or number % 1 ~= 0 then
        base.raise("ERR value is not an integer or out of range")
    end
    return number
end

function base.find(db, key, kind)
    local object = db.keys[key]
    if not object then
        return nil
    elseif object.expires and object.expires <= db.now then
        db.keys[key] = nil
        return nil
    elseif kind and object.kind ~= kind then
        base.raise(WRONGTYPE)
    end
    return object
end

return base
