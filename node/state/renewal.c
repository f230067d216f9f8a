/* renewal.c - keeping what is held, and knowing when it may be held no longer.
 *
 * Everything follows from one moment, fresh_until_ms (state_priv.h says what it means):
 *     a grant when nothing was held      asked + LEASE_MS                renewal_hold
 *     a round of renewals confirmed      its sending + LEASE_MS          finish
 *     Redis goes, or stays, away         now + LEASE_MS, if still fresh  renewal_on_down
 *
 * A node that was stopped finds it in the past. Then no byte flows, and the next round asks with
 * `renew`, in which Redis gives back only what is still free; so also after a reconnect, because
 * the connection may have broken only because of the standing still. If no renewal comes through
 * for a whole lease time more, everything held counts as lost. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/redis/link.h"
#include "state/state_priv.h"

enum { STALE_TICKS_MAX = LEASE_MS / STATE_TICK_MS };

static bool is_fresh(const struct state *state, uint64_t now_ms)
{
    return now_ms <= state->leases.fresh_until_ms;
}

bool state_lease_is_fresh(const struct state *state)
{
    return is_fresh(state, clock_ms());
}

/* ---- what is held ---- */

#ifdef WEIR_TINY
static bool count_is_right(const struct leases *leases)
{
    size_t count = 0;
    LIST_EACH (link, &leases->held)
        count++;
    return count == leases->held_count;
}
#endif

/* Asserted where a lease comes or goes. Counting is for the build that looks for such mistakes. */
static bool leases_sane(const struct leases *leases)
{
#ifdef WEIR_TINY
    if (!count_is_right(leases))
        return false;
#endif
    return (leases->held_count == 0) == list_is_empty(&leases->held);
}

/* A lease granted while a round is on its way is not in it; the round then vouches only as far as
 * that grant does. */
void renewal_hold(struct state *state, struct lease *lease, uint64_t asked_ms)
{
    struct leases *leases = &state->leases;
    uint64_t until_ms = asked_ms + LEASE_MS;
    if (leases->held_count == 0 || until_ms < leases->fresh_until_ms)
        leases->fresh_until_ms = until_ms;
    if (asked_ms < leases->renewal.covers_ms)
        leases->renewal.covers_ms = asked_ms;
    list_push(&leases->held, &lease->link);
    leases->held_count++;
    assert(leases_sane(leases));
}

void renewal_release(struct state *state, struct lease *lease)
{
    if (list_is_linked(&lease->link))
        state->leases.held_count--;
    list_remove(&lease->link);
    assert(leases_sane(&state->leases));
}

static void tell_lost(struct list *lost)
{
    struct list *link;
    while ((link = list_pop(lost)) != NULL) {
        struct lease *lease = LIST_OWNER(link, struct lease, link);
        if (lease->on_lost != NULL)
            lease->on_lost(lease, lease->arg);
    }
}

/* Out of `held` and into `lost`; it stays is_held, for it still wants to be settled. */
static void lose(struct state *state, struct lease *lease, struct list *lost)
{
    renewal_release(state, lease);
    list_push(lost, &lease->link);
    if (state->metrics != NULL)
        metrics_add(state->metrics, COUNT_LEASES_LOST, 1);
    if (log_begin(LOG_WARN, "a slot was lost")) {
        log_string("lease", lease->id);
        log_string("subscription", lease->subscription);
        log_string("client", lease->client);
        log_end();
    }
}

static void lose_all(struct state *state)
{
    struct list lost;
    list_init(&lost);
    LIST_EACH (link, &state->leases.held)
        lose(state, LIST_OWNER(link, struct lease, link), &lost);
    tell_lost(&lost);
}

/* ---- those who wait for freshness ---- */

static void wake(void *arg)
{
    struct state *state = arg;
    struct list *link, waiting;
    if (list_is_empty(&state->leases.waits))
        return;
    if (!state_lease_is_fresh(state)) {
        if (state_is_up(state))
            renewal_start(state);
        return;
    }
    list_init(&waiting);
    while ((link = list_pop(&state->leases.waits)) != NULL)
        list_push(&waiting, link);
    while ((link = list_pop(&waiting)) != NULL) {
        struct renewal_wait *wait = LIST_OWNER(link, struct renewal_wait, link);
        wait->on_renewed(wait->arg);
    }
}

void state_wait_renewal(struct state *state, struct renewal_wait *wait)
{
    if (wait->link.next != NULL && list_is_linked(&wait->link))
        return;
    list_push(&state->leases.waits, &wait->link);
    if (redis_is_up(state->redis))
        renewal_start(state);
    else
        loop_defer(state->loop, &state->leases.wake);
}

void state_wait_cancel(struct renewal_wait *wait)
{
    if (wait->link.next != NULL)
        list_remove(&wait->link);
}

/* ---- a round ---- */

static void note_refusal(struct state *state, const struct redis_value *reply)
{
    struct slice text = redis_value_slice(reply);
    bool is_news = state->why[0] == '\0';
    snprintf(state->why, sizeof(state->why), "Redis refuses to renew leases: %.*s",
             (int)(text.len < 200 ? text.len : 200), text.at != NULL ? text.at : "");
    if (is_news && log_begin(LOG_ERROR, "redis refuses to renew leases")) {
        log_text("reason", text);
        log_end();
    }
}

static void finish(struct state *state)
{
    struct leases *leases = &state->leases;
    leases->renewal.is_running = false;
    if (!leases->renewal.has_failed) {
        leases->fresh_until_ms = leases->renewal.covers_ms + LEASE_MS;
        leases->stale_ticks = 0;
        state_set_registered(state, true);
    } else if (redis_is_up(state->redis)) {
        state_set_registered(state, false); /* as if away, until it can do again */
    }
    wake(state);
}

/* The held lease with this id, at *from or behind, or NULL; *from moves on behind it. */
static struct lease *find_held(struct state *state, struct slice id, struct list **from)
{
    while (*from != &state->leases.held) {
        struct lease *lease = LIST_OWNER(*from, struct lease, link);
        *from = (*from)->next;
        if (slice_eq(slice_of(lease->id), id))
            return lease;
    }
    return NULL;
}

/* The ids come back in the order they were sent in, which is that of `held`: one walk finds all. */
static void take_lost(struct state *state, const struct redis_value *reply)
{
    struct list lost, *from = state->leases.held.next;
    list_init(&lost);
    for (size_t i = 0; i < redis_value_count(reply); i++) {
        struct lease *lease = find_held(state, redis_value_slice(redis_value_at(reply, i)), &from);
        if (lease != NULL)
            lose(state, lease, &lost);
    }
    tell_lost(&lost);
}

static void on_answer(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct state *state = call->arg;
    fcall_free(call);
    if (err == OK) {
        take_lost(state, reply);
    } else {
        state->leases.renewal.has_failed = true;
        if (err == ERR_REPLY)
            note_refusal(state, reply);
    }
    if (--state->leases.renewal.open == 0)
        finish(state);
}

static void send_batch(struct state *state, const struct slice *args, size_t count)
{
    struct fcall *call = fcall_new(&state->calls, VERB_RENEW, args, count);
    state->leases.renewal.open++;
    fcall_send(call, on_answer, state);
}

static void send_all(struct state *state, struct slice mode)
{
    enum { HEAD_ARGS = 2 };
    struct slice args[HEAD_ARGS + RENEW_BATCH_MAX];
    struct arena texts;
    size_t count = HEAD_ARGS;
    arena_init(&texts);
    args[0] = arena_printf(&texts, "%d", LEASE_MS);
    args[1] = mode;
    LIST_EACH (link, &state->leases.held) {
        const struct lease *lease = LIST_OWNER(link, struct lease, link);
        args[count++] = arena_printf(&texts, "%s %s %s %s", lease->id, lease->subscription,
                                     lease->client, lease->model);
        if (count == HEAD_ARGS + RENEW_BATCH_MAX) {
            send_batch(state, args, count);
            count = HEAD_ARGS;
        }
    }
    if (count > HEAD_ARGS || state->leases.renewal.open == 0) /* none held: still proves the way */
        send_batch(state, args, count);
    arena_fini(&texts);
}

void renewal_start(struct state *state)
{
    struct leases *leases = &state->leases;
    uint64_t now_ms = clock_ms();
    if (leases->renewal.is_running)
        return;
    bool was_away = !state->is_registered;
    bool is_restoring = was_away && (is_fresh(state, now_ms) || leases->held_count == 0);
    if (is_restoring && leases->held_count > 0)
        log_message(LOG_INFO, "registering %zu running leases again", leases->held_count);
    leases->renewal.is_running = true;
    leases->renewal.has_failed = false;
    leases->renewal.started_ms = leases->renewal.covers_ms = now_ms;
    send_all(state, is_restoring ? SLICE("restore") : SLICE("renew"));
}

/* ---- time ---- */

static void give_up_if_hopeless(struct state *state)
{
    if (state->is_registered || ++state->leases.stale_ticks < STALE_TICKS_MAX)
        return;
    state->leases.stale_ticks = 0;
    log_message(LOG_ERROR,
                "this node stood still and then could not renew its leases: giving up %zu",
                state->leases.held_count);
    lose_all(state);
}

void renewal_tick(struct state *state)
{
    struct leases *leases = &state->leases;
    uint64_t now_ms = clock_ms();
    bool was_fresh = is_fresh(state, now_ms) || leases->held_count == 0;
    if (leases->held_count == 0 || (was_fresh && !state->is_registered)) {
        leases->fresh_until_ms = now_ms + LEASE_MS;
        leases->stale_ticks = 0;
    }
    bool is_due = leases->held_count > 0 &&
                  now_ms + STATE_TICK_MS / 2 >= leases->renewal.started_ms + LEASE_RENEW_MS;
    if (redis_is_up(state->redis) && (!state->is_registered || !was_fresh || is_due))
        renewal_start(state);
    if (!was_fresh)
        give_up_if_hopeless(state);
    wake(state);
}

void renewal_on_down(struct state *state)
{
    uint64_t now_ms = clock_ms();
    if (is_fresh(state, now_ms))
        state->leases.fresh_until_ms = now_ms + LEASE_MS;
    wake(state);
}

/* ---- the part ---- */

void renewal_init(struct state *state)
{
    struct leases *leases = &state->leases;
    list_init(&leases->held);
    list_init(&leases->waits);
    loop_task_init(&leases->wake, wake, state);
    leases->fresh_until_ms = clock_ms() + LEASE_MS;
}

void renewal_fini(struct state *state)
{
    while (list_pop(&state->leases.held) != NULL)
        continue; /* their owners keep the memory; the links must not lead here any more */
    while (list_pop(&state->leases.waits) != NULL)
        continue;
    loop_task_cancel(&state->leases.wake);
}
