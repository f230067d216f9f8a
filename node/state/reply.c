/* A reply of another shape than expected gives nothing: who reads it decides what that means. */
#include <hiredis/hiredis.h>

#include "state/state_priv.h"

struct slice reply_slice(const struct redisReply *reply)
{
    if (reply == NULL || reply->str == NULL)
        return SLICE_NONE;
    return (struct slice){reply->str, reply->len};
}

uint64_t reply_number(const struct redisReply *reply)
{
    uint64_t number;
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        return reply->integer > 0 ? (uint64_t)reply->integer : 0;
    return slice_number(reply_slice(reply), UINT64_MAX, &number) ? number : 0;
}

size_t reply_count(const struct redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
}

const struct redisReply *reply_at(const struct redisReply *reply, size_t index)
{
    return index < reply_count(reply) ? reply->element[index] : NULL;
}
