/* budget.h - the memory a node may hold for its callers, counted in one place for all its workers.
 * Each kind has a ceiling, and within it a share that one caller can have at most, so that no
 * caller takes what all need. Counting is a few atomics; the one lock is for who has to wait.
 *
 * Bodies reserve before they are read (a budget_hold): whole where the length is known. Who finds
 * no room waits, first come first served, and is told when others have given back. Small bodies
 * have a part of their own, so they pass whatever large ones do. That none waits for ever for
 * another that waits, too, is the rule at the head of budget.c.
 *
 * What every connection may hold anyway (its structures, a head of ordinary size) is paid with the
 * connection, which has a ceiling of its own. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/slice.h"

/* X(id, word at /metrics, sixteenths of the whole) */
#define BUDGET_TABLE(X)                                                        \
    X(LARGE_BODIES, "large_bodies", 9)                                         \
    X(SMALL_BODIES, "small_bodies", 2)                                         \
    X(HEADS, "heads", 2)     /* unfinished, pipelined, or far from ordinary */ \
    X(ANSWERS, "answers", 2) /* not taken by slow callers yet */               \
    X(WARM, "warm_buffers", 1)

enum budget_kind {
#define X(id, word, part) BUDGET_##id,
    BUDGET_TABLE(X)
#undef X
        BUDGET_KINDS
};

enum {
    BUDGET_SMALL_BYTES = 64 * 1024, /* a body up to here is small */
    BUDGET_WAITERS_MAX = 4096,
    BUDGET_WAITERS_OF_ONE_MAX = BUDGET_WAITERS_MAX / 4 /* so that no caller has all places */
};

struct budget;

struct budget *budget_new(uint64_t bytes_max, uint64_t body_bytes_max); /* yours */
void budget_free(struct budget *budget);
/* Both ceilings from now on; what is taken stays taken. One body fits always: with less than twice
 * body_bytes_max the whole is taken as that much. */
void budget_update(struct budget *budget, uint64_t bytes_max, uint64_t body_bytes_max);

/* Whose share counts; some callers have one in common. */
uint32_t budget_caller(const struct budget *budget, struct slice key);

/* False: above the ceiling, or above the caller's share; nothing was taken. */
MUST_USE bool budget_take(struct budget *budget, enum budget_kind kind, uint32_t caller,
                          uint64_t bytes);
/* What is there already and can only be counted. False: it is too much now. */
bool budget_force(struct budget *budget, enum budget_kind kind, uint32_t caller, uint64_t bytes);
/* More is taken than may be, in all or by that caller. */
bool budget_is_over(const struct budget *budget, enum budget_kind kind, uint32_t caller);
void budget_give(struct budget *budget, enum budget_kind kind, uint32_t caller, uint64_t bytes);

/* What one body has reserved. */
struct budget_hold {
    struct budget *budget;
    uint32_t caller;
    enum budget_kind kind;
    uint64_t bytes;
};
void budget_hold_init(struct budget_hold *hold, struct budget *budget, uint32_t caller);
/* Reserve `to` bytes altogether, which is as much as it will ever ask for. False: there is no room
 * now, or others wait for it. */
MUST_USE bool budget_reserve(struct budget_hold *hold, uint64_t to);
/* The same for a body that may ask for more: leaves room for one that reserved whole. */
MUST_USE bool budget_reserve_step(struct budget_hold *hold, uint64_t to);
void budget_shrink(struct budget_hold *hold, uint64_t to);
void budget_hold_end(struct budget_hold *hold); /* all of it back; twice is fine */

/* Those of one thread that wait. `tell` is called on any thread, with the budget's lock held, and
 * may do no more than wake that thread, which then asks budget_granted(). */
struct budget_queue {
    struct budget *budget;
    struct list granted;
    void (*tell)(void *arg);
    void *arg;
};
void budget_queue_init(struct budget_queue *queue, struct budget *budget, void (*tell)(void *arg),
                       void *arg);

struct budget_waiter {
    struct list link;
    struct budget_queue *queue;
    struct budget_hold *hold; /* not to be touched until granted or cancelled */
    uint64_t to;
    bool is_granted;
    _Atomic unsigned *count; /* of those it waits among */
};
void budget_waiter_init(struct budget_waiter *waiter);
/* False: too many wait already, in all or of this caller. Granted: told, never before this returns
 * to its thread's loop. */
MUST_USE bool budget_wait(struct budget_waiter *waiter, struct budget_queue *queue,
                          struct budget_hold *hold, uint64_t to);
void budget_wait_cancel(struct budget_waiter *waiter); /* not waiting: fine */
/* The next one whose turn has come, or NULL. */
struct budget_waiter *budget_granted(struct budget_queue *queue);

uint64_t budget_used(const struct budget *budget, enum budget_kind kind);
uint64_t budget_max(const struct budget *budget, enum budget_kind kind);
uint64_t budget_share(const struct budget *budget, enum budget_kind kind);
unsigned budget_waiting(const struct budget *budget);
/* Prometheus text. False: `out` is full. */
MUST_USE bool budget_render(const struct budget *budget, struct buf *out);
