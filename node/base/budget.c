/* How it stays free of circles. Three kinds of reservation:
 *   whole     a body of known length, or one of unknown length that has become large: all it can
 *             ever need, at once. It never waits again, so it ends, and gives back.
 *   step      a body of unknown length on its way up. Granted only where a whole body still fits
 *             behind it, in all and in its caller's share (`keep`): the steps together never take
 *             that last place. It never waits: where it is refused, the body waits for the whole.
 *   small     from a part that large ones cannot have; from theirs while nobody waits for those.
 *             A small one waits only for others as small.
 * So those that wait hold steps at most, and behind all steps one whole body fits: whoever is first
 * gets its turn when the whole ones under way have ended. Those end in bounded time: while anybody
 * waits, a body has to come at a pace that suits its length (net/http/body.c).
 *
 * The queue is in order of arrival. One whose caller has its share already is passed over; one for
 * whom there is no room stops those behind it, else a large one would never get any. A newcomer
 * queues as soon as anyone of its kind does; no caller has more than a quarter of the places.
 * Granting is done by whoever gives back, on behalf of who waits.
 *
 * No wake-up is lost: who waits is counted first and then tries once more; who gives back subtracts
 * and then looks who is counted. All four are sequentially consistent.
 *
 * A caller is a cell of a table, found by a hash that nobody outside can aim at: callers with one
 * cell have one share, and no number of names fills anything up. */
#include "base/budget.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { CELLS = 4096, PARTS = 16, CACHE_LINE = 64 };

struct account { /* of all callers together */
    alignas(CACHE_LINE) _Atomic uint64_t used;
    _Atomic uint64_t max, share;
};

struct cell {
    _Atomic uint64_t used[BUDGET_KINDS];
    unsigned waiting; /* with the lock */
};

struct budget {
    struct account accounts[BUDGET_KINDS];
    alignas(CACHE_LINE) _Atomic uint64_t whole_bytes; /* of the largest body */
    _Atomic unsigned small_waiting, large_waiting;
    pthread_mutex_t lock; /* the lists, and holds whose waiter is in one */
    struct list small, large;
    uint64_t hash_key;
    struct cell cells[CELLS];
};

enum outcome { TAKEN, OVER_SHARE, OVER_ALL };

static const struct {
    const char *word;
    unsigned parts;
} kinds[] = {
#define X(id, word, parts) {word, parts},
    BUDGET_TABLE(X)
#undef X
};

struct budget *budget_new(uint64_t bytes_max, uint64_t body_bytes_max)
{
    struct budget *b = aligned_alloc(CACHE_LINE, sizeof(*b));
    if (b == NULL)
        abort();
    memset(b, 0, sizeof(*b));
    pthread_mutex_init(&b->lock, NULL);
    list_init(&b->small);
    list_init(&b->large);
    ssize_t got = getrandom(&b->hash_key, sizeof(b->hash_key), 0);
    assert(got == sizeof(b->hash_key));
    budget_update(b, bytes_max, body_bytes_max);
    return b;
}

void budget_free(struct budget *b)
{
    if (b == NULL)
        return;
    assert(list_is_empty(&b->small) && list_is_empty(&b->large));
    pthread_mutex_destroy(&b->lock);
    free(b);
}

uint32_t budget_caller(const struct budget *b, struct slice key)
{
    uint64_t hash = b->hash_key;
    for (size_t i = 0; i < key.len; i++) {
        hash = (hash ^ (unsigned char)key.at[i]) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    return (uint32_t)(hash >> 32) % CELLS;
}

static bool add_within(_Atomic uint64_t *used, uint64_t bytes, uint64_t max)
{
    uint64_t now = atomic_load(used);
    do {
        if (bytes > max || now > max - bytes)
            return false;
    } while (!atomic_compare_exchange_weak(used, &now, now + bytes));
    return true;
}

static void subtract(_Atomic uint64_t *used, uint64_t bytes)
{
    uint64_t before = atomic_fetch_sub(used, bytes);
    assert(before >= bytes);
}

static uint64_t less(uint64_t max, uint64_t keep)
{
    return max > keep ? max - keep : 0;
}

static enum outcome take(struct budget *b, enum budget_kind kind, uint32_t caller, uint64_t bytes,
                         uint64_t keep)
{
    struct account *account = &b->accounts[kind];
    _Atomic uint64_t *own = &b->cells[caller].used[kind];
    if (!add_within(own, bytes, less(atomic_load(&account->share), keep)))
        return OVER_SHARE;
    if (add_within(&account->used, bytes, less(atomic_load(&account->max), keep)))
        return TAKEN;
    subtract(own, bytes);
    return OVER_ALL;
}

static void give(struct budget *b, enum budget_kind kind, uint32_t caller, uint64_t bytes)
{
    subtract(&b->accounts[kind].used, bytes);
    subtract(&b->cells[caller].used[kind], bytes);
}

static enum outcome grow_small(struct budget_hold *h, uint64_t to)
{
    enum outcome outcome = take(h->budget, BUDGET_SMALL_BODIES, h->caller, to - h->bytes, 0);
    if (outcome == TAKEN)
        h->bytes = to;
    return outcome;
}

/* A hold that was small becomes large as a whole. */
static enum outcome grow_large(struct budget_hold *h, uint64_t to, uint64_t keep)
{
    struct budget *b = h->budget;
    bool is_large = h->kind == BUDGET_LARGE_BODIES;
    uint64_t more = is_large ? to - h->bytes : to;
    enum outcome outcome = take(b, BUDGET_LARGE_BODIES, h->caller, more, keep);
    if (outcome != TAKEN)
        return outcome;
    if (!is_large)
        give(b, h->kind, h->caller, h->bytes);
    h->kind = BUDGET_LARGE_BODIES;
    h->bytes = to;
    return TAKEN;
}

static bool is_small(const struct budget_hold *h, uint64_t to)
{
    return to <= BUDGET_SMALL_BYTES && h->kind == BUDGET_SMALL_BODIES;
}

static enum outcome grow(struct budget_hold *h, uint64_t to)
{
    enum outcome outcome = OVER_ALL;
    if (is_small(h, to) && (outcome = grow_small(h, to)) == TAKEN)
        return TAKEN;
    bool may_be_large = !is_small(h, to) || atomic_load(&h->budget->large_waiting) == 0;
    return may_be_large ? grow_large(h, to, 0) : outcome;
}

static void leave_list(struct budget *b, struct budget_waiter *w)
{
    list_remove(&w->link);
    atomic_fetch_sub(w->count, 1);
    b->cells[w->hold->caller].waiting--;
}

/* With the lock: whoever can go on now is handed to its own thread. True: a small hold has become
 * large, so there is room among the small ones. */
static bool grant(struct budget *b, struct list *waiting)
{
    bool has_freed = false;
    LIST_EACH (link, waiting) {
        struct budget_waiter *w = LIST_OWNER(link, struct budget_waiter, link);
        bool was_small = w->hold->kind == BUDGET_SMALL_BODIES && w->hold->bytes > 0;
        enum outcome outcome = grow(w->hold, w->to);
        if (outcome == OVER_ALL)
            break;
        if (outcome == OVER_SHARE)
            continue;
        has_freed |= was_small && w->hold->kind == BUDGET_LARGE_BODIES;
        leave_list(b, w);
        list_push(&w->queue->granted, link);
        w->is_granted = true;
        w->queue->tell(w->queue->arg);
    }
    return has_freed;
}

static void grant_locked(struct budget *b)
{
    grant(b, &b->large);
    while (grant(b, &b->small))
        continue;
}

static void grant_all(struct budget *b)
{
    if (budget_waiting(b) == 0)
        return;
    pthread_mutex_lock(&b->lock);
    grant_locked(b);
    pthread_mutex_unlock(&b->lock);
}

void budget_update(struct budget *b, uint64_t bytes_max, uint64_t body_bytes_max)
{
    uint64_t whole = body_bytes_max + 1; /* so that one byte too many is seen */
    if (bytes_max < 2 * whole)
        bytes_max = 2 * whole;
    for (unsigned kind = 0; kind < BUDGET_KINDS; kind++) {
        uint64_t max = bytes_max / PARTS * kinds[kind].parts;
        uint64_t share = kind == BUDGET_WARM ? max : max / 2; /* those are nobody's own */
        if (kind == BUDGET_LARGE_BODIES && share < whole)
            share = whole;
        atomic_store(&b->accounts[kind].max, max > share ? max : share);
        atomic_store(&b->accounts[kind].share, share);
    }
    atomic_store(&b->whole_bytes, whole);
    grant_all(b);
}

bool budget_take(struct budget *b, enum budget_kind kind, uint32_t caller, uint64_t bytes)
{
    return take(b, kind, caller, bytes, 0) == TAKEN;
}

bool budget_force(struct budget *b, enum budget_kind kind, uint32_t caller, uint64_t bytes)
{
    atomic_fetch_add(&b->accounts[kind].used, bytes);
    atomic_fetch_add(&b->cells[caller].used[kind], bytes);
    return !budget_is_over(b, kind, caller);
}

bool budget_is_over(const struct budget *b, enum budget_kind kind, uint32_t caller)
{
    const struct account *account = &b->accounts[kind];
    return atomic_load(&account->used) > atomic_load(&account->max) ||
           atomic_load(&b->cells[caller].used[kind]) > atomic_load(&account->share);
}

void budget_give(struct budget *b, enum budget_kind kind, uint32_t caller, uint64_t bytes)
{
    if (bytes > 0)
        give(b, kind, caller, bytes);
}

void budget_hold_init(struct budget_hold *h, struct budget *budget, uint32_t caller)
{
    *h = (struct budget_hold){.budget = budget, .caller = caller, .kind = BUDGET_SMALL_BODIES};
}

static bool reserve(struct budget_hold *h, uint64_t to, uint64_t keep)
{
    struct budget *b = h->budget;
    if (to <= h->bytes)
        return true;
    bool is_first = atomic_load(is_small(h, to) ? &b->small_waiting : &b->large_waiting) == 0;
    if (is_first && is_small(h, to) && grow_small(h, to) == TAKEN)
        return true;
    bool is_taken =
        is_first && atomic_load(&b->large_waiting) == 0 && grow_large(h, to, keep) == TAKEN;
    grant_all(b); /* what was taken for a moment stood in someone's way; or a small hold is free */
    return is_taken;
}

bool budget_reserve(struct budget_hold *h, uint64_t to)
{
    return reserve(h, to, 0);
}

bool budget_reserve_step(struct budget_hold *h, uint64_t to)
{
    return reserve(h, to, atomic_load(&h->budget->whole_bytes));
}

void budget_shrink(struct budget_hold *h, uint64_t to)
{
    if (h->bytes <= to)
        return;
    give(h->budget, h->kind, h->caller, h->bytes - to);
    h->bytes = to;
    grant_all(h->budget);
}

void budget_hold_end(struct budget_hold *h)
{
    budget_shrink(h, 0);
}

void budget_queue_init(struct budget_queue *queue, struct budget *budget, void (*tell)(void *arg),
                       void *arg)
{
    *queue = (struct budget_queue){.budget = budget, .tell = tell, .arg = arg};
    list_init(&queue->granted);
}

void budget_waiter_init(struct budget_waiter *w)
{
    *w = (struct budget_waiter){.queue = NULL};
    list_init(&w->link);
}

bool budget_wait(struct budget_waiter *w, struct budget_queue *queue, struct budget_hold *hold,
                 uint64_t to)
{
    struct budget *b = queue->budget;
    assert(w->queue == NULL && to > hold->bytes);
    bool among_small = is_small(hold, to);
    struct cell *cell = &b->cells[hold->caller];
    pthread_mutex_lock(&b->lock);
    bool has_place =
        budget_waiting(b) < BUDGET_WAITERS_MAX && cell->waiting < BUDGET_WAITERS_OF_ONE_MAX;
    if (has_place) {
        *w = (struct budget_waiter){.queue = queue, .hold = hold, .to = to};
        list_push(among_small ? &b->small : &b->large, &w->link);
        w->count = among_small ? &b->small_waiting : &b->large_waiting;
        atomic_fetch_add(w->count, 1);
        cell->waiting++;
        grant_locked(b);
    }
    pthread_mutex_unlock(&b->lock);
    return has_place;
}

void budget_wait_cancel(struct budget_waiter *w)
{
    if (w->queue == NULL)
        return;
    struct budget *b = w->queue->budget;
    pthread_mutex_lock(&b->lock);
    if (w->is_granted)
        list_remove(&w->link);
    else
        leave_list(b, w);
    grant_locked(b); /* it may have been the one that stopped the others */
    pthread_mutex_unlock(&b->lock);
    w->queue = NULL;
}

struct budget_waiter *budget_granted(struct budget_queue *queue)
{
    pthread_mutex_lock(&queue->budget->lock);
    struct list *link = list_pop(&queue->granted);
    pthread_mutex_unlock(&queue->budget->lock);
    if (link == NULL)
        return NULL;
    struct budget_waiter *w = LIST_OWNER(link, struct budget_waiter, link);
    w->queue = NULL;
    return w;
}

uint64_t budget_used(const struct budget *b, enum budget_kind kind)
{
    return atomic_load(&b->accounts[kind].used);
}

uint64_t budget_max(const struct budget *b, enum budget_kind kind)
{
    return atomic_load(&b->accounts[kind].max);
}

uint64_t budget_share(const struct budget *b, enum budget_kind kind)
{
    return atomic_load(&b->accounts[kind].share);
}

unsigned budget_waiting(const struct budget *b)
{
    return atomic_load(&b->small_waiting) + atomic_load(&b->large_waiting);
}

static bool render(struct buf *out, const char *metric, const char *help, const struct budget *b,
                   uint64_t (*value)(const struct budget *b, enum budget_kind kind))
{
    bool fits = buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n", metric, help, metric);
    for (unsigned kind = 0; kind < BUDGET_KINDS && fits; kind++)
        fits = buf_printf(out, "%s{kind=\"%s\"} %" PRIu64 "\n", metric, kinds[kind].word,
                          value(b, (enum budget_kind)kind));
    return fits;
}

bool budget_render(const struct budget *b, struct buf *out)
{
    return render(out, "weir_budget_bytes", "Memory reserved for callers, by kind.", b,
                  budget_used) &&
           render(out, "weir_budget_limit_bytes", "The most of it there may be.", b, budget_max) &&
           render(out, "weir_budget_caller_limit_bytes", "The most of it for one caller.", b,
                  budget_share) &&
           buf_printf(out,
                      "# HELP weir_budget_waiting Uploads that are not read until there is room.\n"
                      "# TYPE weir_budget_waiting gauge\nweir_budget_waiting %u\n",
                      budget_waiting(b));
}
