/* queue.h - calls whose answers are awaited, oldest first: a ring that grows to a ceiling. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "net/redis/link.h"

enum { REDIS_QUEUE_MAX = 65536 };

struct redis_waiting {
    redis_fn on_reply; /* may be NULL */
    void *arg;
    uint64_t since_ns;
};

struct redis_queue {
    struct redis_waiting *at;
    size_t first, count, cap; /* cap: 0 or a power of two */
};

void redis_queue_fini(struct redis_queue *queue);

MUST_USE bool redis_queue_push(struct redis_queue *queue, struct redis_waiting waiting); /* full? */
MUST_USE bool redis_queue_pop(struct redis_queue *queue, struct redis_waiting *waiting);
const struct redis_waiting *redis_queue_oldest(const struct redis_queue *queue); /* or NULL */
