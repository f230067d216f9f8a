/* judge.h - what a reply means for the connection: pure judgement, no I/O. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/slice.h"

struct redis_value;

enum { REDIS_WHY_MAX = 256 };

/* The reply is an error that says: this is no server to work with now (LOADING, READONLY, ...).
 * why[REDIS_WHY_MAX] then says so to the operator. */
bool redis_reply_is_away(const struct redis_value *reply, char *why);

/* Judge the reply to INFO. False: why[REDIS_WHY_MAX] says what is wrong with this server: older
 * than Redis 7, a replica, still loading, a password needed. A server that does not let this user
 * see INFO gets the benefit of the doubt. */
MUST_USE bool redis_reply_is_fit(const struct redis_value *info, char *why);

/* The value of `key` in an INFO text; empty if it is not there. */
struct slice redis_info_value(struct slice info, struct slice key);
