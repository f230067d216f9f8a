/* Two judgements: of an error reply, by its first word, from a table; and of what INFO says when a
 * connection is greeted. In doubt a server is good: what it cannot do shows at the first call. */
#include "net/redis/judge.h"

#include <stdio.h>
#include <string.h>

#include "net/redis/value.h"

static const char too_old[] = "Redis 7 or newer is needed (FCALL is unknown)";

/* First words of error replies after which asking this server again is of no use for a while. */
static const struct {
    const char *word;
    const char *why;
} away_words[] = {
    {"LOADING", "Redis is loading its data"},
    {"READONLY", "this Redis is a read-only replica"},
    {"CLUSTERDOWN", "the Redis Cluster is down"},
    {"MASTERDOWN", "this Redis is a replica whose master is away"},
    {"MOVED", "this Redis Cluster node does not own the pool"},
    {"ASK", "this Redis Cluster node does not own the pool"},
    {"TRYAGAIN", "the Redis Cluster is moving the pool"},
    {"NOAUTH", "Redis wants a password: put it into redis.url"},
    {"WRONGPASS", "Redis refused the user name or password of redis.url"},
    {"MISCONF", "Redis cannot save its data and refuses to write"},
    {"NOREPLICAS", "Redis has too few replicas and refuses to write"},
    {"BUSY", "Redis is busy running a script"},
};

bool redis_reply_is_away(const struct redis_value *reply, char *why)
{
    struct slice word, text = redis_value_slice(reply);
    if (!redis_value_is_error(reply))
        return false;
    slice_cut(text, ' ', &word);
    for (size_t i = 0; i < sizeof(away_words) / sizeof(away_words[0]); i++)
        if (slice_eq(word, slice_of(away_words[i].word))) {
            snprintf(why, REDIS_WHY_MAX, "%s (%s)", away_words[i].why, away_words[i].word);
            return true;
        }
    if (slice_starts_nocase(text, SLICE("ERR unknown command")) &&
        (memmem(text.at, text.len, "FCALL", 5) != NULL ||
         memmem(text.at, text.len, "FUNCTION", 8) != NULL)) {
        snprintf(why, REDIS_WHY_MAX, "%s", too_old);
        return true;
    }
    return false;
}

struct slice redis_info_value(struct slice info, struct slice key)
{
    while (info.len > 0) {
        struct slice line, name;
        info = slice_cut(info, '\n', &line);
        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        struct slice value = slice_cut(line, ':', &name);
        if (slice_eq(name, key))
            return value;
    }
    return SLICE_NONE;
}

static bool is_new_enough(struct slice info, char *why)
{
    struct slice major, version = redis_info_value(info, SLICE("redis_version"));
    uint64_t number;
    slice_cut(version, '.', &major);
    if (!slice_number(major, 1000, &number) || number >= 7)
        return true; /* an unknown way to count: FCALL itself will show */
    snprintf(why, REDIS_WHY_MAX, "%s: this is %.*s", too_old,
             (int)(version.len < 32 ? version.len : 32), version.at);
    return false;
}

bool redis_reply_is_fit(const struct redis_value *info, char *why)
{
    struct slice text = redis_value_slice(info);
    if (redis_value_is_error(info)) {
        if (slice_starts(text, SLICE("NOPERM")))
            return true;
        if (!redis_reply_is_away(info, why))
            snprintf(why, REDIS_WHY_MAX, "Redis answered INFO with: %.*s",
                     (int)(text.len < 160 ? text.len : 160), text.at);
        return false;
    }
    if (!is_new_enough(text, why))
        return false;
    if (slice_eq(redis_info_value(text, SLICE("loading")), SLICE("1"))) {
        snprintf(why, REDIS_WHY_MAX, "Redis is loading its data");
        return false;
    }
    struct slice role = redis_info_value(text, SLICE("role"));
    if (role.len > 0 && !slice_eq(role, SLICE("master"))) {
        snprintf(why, REDIS_WHY_MAX, "this Redis is a replica, not a master");
        return false;
    }
    return true;
}
