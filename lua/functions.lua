-- functions: the library's table of contents. Every name ends in the version of the source, so two
-- versions of Weir work on one pool side by side while a cluster is upgraded.
--
-- allow-oom: a Redis that has no memory left admits nothing more, but what runs may end.
local function register(verb, callback, flags)
    redis.register_function({
        function_name = "weir_" .. verb .. "_" .. VERSION,
        callback = flags[1] == "no-writes" and callback or repair.guarded(callback),
        flags = flags
    })
end

register("admit", admit, {})
register("settle", settle, { "allow-oom" })
register("renew", renew, { "allow-oom" })
register("join", join, {})
register("beat", beat, { "allow-oom" })
register("leave", leave, { "allow-oom" })
register("declare", declare, {})
register("snapshot", snapshot.call, { "no-writes" })
register("remember", remember, {}) -- a Redis that is short of memory has none for this
register("recall", recall, { "no-writes" })
register("cool", mend.cool, { "allow-oom" })
register("open", mend.open, { "allow-oom" })
register("enable", mend.enable, { "allow-oom" })
register("free", mend.free, { "allow-oom" })
register("strategy", mend.strategy, { "allow-oom" })
register("reload", mend.reload, { "allow-oom" })
