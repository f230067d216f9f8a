-- functions: the library's table of contents. Every name ends in the version of the source, so two
-- versions of Weir work on one pool side by side while a cluster is upgraded.
--
-- allow-oom: a Redis that has no memory left admits nothing more, but what runs may end.
local function register(verb, callback, flags)
    redis.register_function({
        function_name = "weir_" .. verb .. "_" .. VERSION,
        callback = callback,
        flags = flags
    })
end

register("admit", admit, {})
register("settle", settle, { "allow-oom" })
register("renew", renew, { "allow-oom" })
register("sweep", sweep.call, { "allow-oom" })
register("declare", declare, {})
register("snapshot", snapshot.call, { "no-writes" })
