/* value.h - a reply of Redis as the floors above see it: text, number, list. What reads the
 * protocol (hiredis) is known inside net/redis alone.
 * A value of another shape than the one asked for gives nothing, never a crash; NULL is a value
 * that gives nothing. Values and what they hold are borrowed, as long as the callback that got them
 * runs. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct redis_value;

struct slice redis_value_slice(const struct redis_value *value); /* text, also of an error */
uint64_t redis_value_number(const struct redis_value *value);    /* or decimal text; else 0 */
size_t redis_value_count(const struct redis_value *value);       /* of a list; else 0 */
bool redis_value_is_error(const struct redis_value *value);
const struct redis_value *redis_value_at(const struct redis_value *list,
                                         size_t index); /* or NULL */

struct redisReply; /* hiredis' */
const struct redis_value *redis_value_of(const struct redisReply *reply);
