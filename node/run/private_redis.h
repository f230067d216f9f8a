/* private_redis.h - a redis-server of our own, for a node that was given none.
 * Listens on a Unix socket in the state directory only, keeps an append-only file there, is started
 * again if it dies, and is stopped when the node leaves. A lock on the directory makes a second
 * node with the same directory an error instead of two servers on one file. */
#pragma once
#include "base/attr.h"

struct loop;
struct private_redis;
struct redis_url;

/* Starts it and waits (at most 10 s) until it answers. NULL: *why is a sentence for the operator
 * (yours, free it): redis-server missing and how to get it, too old (below 7.0), path too long for
 * a Unix socket, directory in use, ...
 *
 * Call from a thread that lives as long as the process, and run the loop on that one: the server is
 * killed when the thread that started it ends, so that it never outlives the node. */
MUST_USE struct private_redis *private_redis_start(struct loop *loop, const char *state_dir,
                                                   char **why);
/* Its socket; borrowed. */
const struct redis_url *private_redis_url(const struct private_redis *server);
void private_redis_stop(struct private_redis *server); /* asks it to save and waits at most 10 s */
