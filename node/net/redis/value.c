/* A value is hiredis' own reply under a name of ours: nothing is copied, and the struct behind the
 * name is never defined. Only the two functions at the top cross between the names. */
#include "net/redis/value.h"

#include <hiredis/hiredis.h>

const struct redis_value *redis_value_of(const struct redisReply *reply)
{
    return (const void *)reply;
}

static const struct redisReply *reply_of(const struct redis_value *value)
{
    return (const void *)value;
}

struct slice redis_value_slice(const struct redis_value *value)
{
    const struct redisReply *reply = reply_of(value);
    if (reply == NULL || reply->str == NULL)
        return SLICE_NONE;
    return (struct slice){reply->str, reply->len};
}

uint64_t redis_value_number(const struct redis_value *value)
{
    const struct redisReply *reply = reply_of(value);
    uint64_t number;
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        return reply->integer > 0 ? (uint64_t)reply->integer : 0;
    return slice_number(redis_value_slice(value), UINT64_MAX, &number) ? number : 0;
}

size_t redis_value_count(const struct redis_value *value)
{
    const struct redisReply *reply = reply_of(value);
    return reply != NULL && reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
}

bool redis_value_is_error(const struct redis_value *value)
{
    return value != NULL && reply_of(value)->type == REDIS_REPLY_ERROR;
}

const struct redis_value *redis_value_at(const struct redis_value *list, size_t index)
{
    return index < redis_value_count(list) ? redis_value_of(reply_of(list)->element[index]) : NULL;
}
