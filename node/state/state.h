/* state.h - the cluster's truth, as verbs. The only user of key names.
 * One `struct state` per worker, on the worker's Redis connection. Every verb is one call of one
 * function of lua/ (docs/redis-keys.md); a server that does not know the functions yet is given
 * them and asked again. What must not be lost (settlements) waits in an outbox, bounded, and is
 * booked when Redis returns; leases are renewed by themselves as long as they are held.
 *
 * The verbs stand by noun: lease.h (admit, renew, settle), pool.h (declare, sweep), snapshot.h,
 * history.h (remember, recall). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/identity.h"
#include "base/slice.h"

struct loop;
struct metrics;
struct redis_url;
struct state;

enum { OUTBOX_MAX = 10000 }; /* settlements waiting for Redis; beyond, nothing is admitted */

struct state_options {
    const struct redis_url *redis_url; /* borrowed until state_new() returns */
    struct slice prefix;               /* redis.prefix */
    struct slice pool;                 /* redis.pool */
    const struct node_identity *node;
    unsigned worker; /* its number: part of the lease ids it makes */
    struct metrics *metrics;
    void (*on_change)(bool is_up, void *arg); /* may be NULL */
    void *arg;
};

struct state *state_new(struct loop *loop, const struct state_options *options); /* yours */
void state_free(struct state *state);
bool state_is_up(const struct state *state);
struct slice state_last_error(const struct state *state); /* why not; no credentials in it */

/* Its node has another name now. Before anything was admitted. */
void state_rename(struct state *state);

/* The pool's epoch, as somebody else of this node has heard: if it is news, what runs is registered
 * in it. */
void state_meet_epoch(struct state *state, uint64_t epoch);
uint64_t state_epoch(const struct state *state); /* 0: not known yet */

/* May something new be admitted: Redis is there, live leases are registered again after it was
 * away, and the outbox has room. */
bool state_can_admit(const struct state *state);

/* Settlements waiting or on their way, and cancelled admissions that may still want one. 0: all is
 * booked. */
size_t state_outbox_count(const struct state *state);
