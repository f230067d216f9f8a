/* A ring: `first` is the oldest, the others follow it and wrap around at `cap`, which is a power of
 * two so that wrapping is a mask. Growing lays the ring out from its beginning again. */
#include "net/redis/queue.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/tiny.h"

enum { CAP_FIRST = TINY(64, 1) };

void redis_queue_fini(struct redis_queue *queue)
{
    free(queue->at);
    *queue = (struct redis_queue){0};
}

static void grow_queue(struct redis_queue *queue)
{
    size_t cap = queue->cap == 0 ? CAP_FIRST : queue->cap * 2;
    struct redis_waiting *at = mem_new(cap * sizeof(*at));
    for (size_t i = 0; i < queue->count; i++)
        at[i] = queue->at[(queue->first + i) & (queue->cap - 1)];
    free(queue->at);
    queue->at = at;
    queue->first = 0;
    queue->cap = cap;
}

bool redis_queue_push(struct redis_queue *queue, struct redis_waiting waiting)
{
    if (queue->count >= REDIS_QUEUE_MAX)
        return false;
    if (queue->count == queue->cap)
        grow_queue(queue);
    queue->at[(queue->first + queue->count) & (queue->cap - 1)] = waiting;
    queue->count++;
    return true;
}

bool redis_queue_pop(struct redis_queue *queue, struct redis_waiting *waiting)
{
    if (queue->count == 0)
        return false;
    *waiting = queue->at[queue->first];
    queue->first = (queue->first + 1) & (queue->cap - 1);
    queue->count--;
    return true;
}

const struct redis_waiting *redis_queue_oldest(const struct redis_queue *queue)
{
    return queue->count > 0 ? &queue->at[queue->first] : NULL;
}
