/* outbox.c - settlements until Redis has confirmed them. Settling is idempotent by lease id, so
 * what may have arrived is simply sent again. */

#include "base/log.h"
#include "base/metrics.h"
#include "base/tiny.h"
#include "net/redis/link.h"
#include "state/state_priv.h"

enum {
    /* On their way at once: after an outage others want to get a word in too. */
    SENT_MAX = TINY(512, 1),
    TRIES_MAX = 10, /* for one that Redis refuses for its own sake */
    /* Admissions stop at OUTBOX_MAX; what runs then still wants to be booked. Never reached, for
     * what runs is bounded by the pool's slots, but a growing thing needs an end. */
    DROP_MAX = 8 * OUTBOX_MAX
};

void outbox_init(struct outbox *outbox)
{
    list_init(&outbox->waiting);
    list_init(&outbox->sent);
}

static void show_count(struct state *state)
{
    if (state->metrics != NULL)
        metrics_set(state->metrics, GAUGE_OUTBOX, (int64_t)state->outbox.count);
}

static void drop(struct state *state, struct fcall *settlement, struct slice reason)
{
    if (state->metrics != NULL)
        metrics_add(state->metrics, COUNT_BOOKINGS_DROPPED, 1);
    if (log_begin(LOG_ERROR, "a settlement was given up")) {
        log_text("reason", reason);
        log_end();
    }
    fcall_free(settlement);
}

static void forget(struct state *state, struct fcall *settlement)
{
    state->outbox.count--;
    show_count(state);
    fcall_free(settlement);
}

/* An error in this one settlement ("ERR ..."), not a condition of the server that passes. */
static bool is_its_own_fault(const struct state *state, struct slice reason)
{
    return slice_starts(reason, SLICE("ERR ")) && !state->calls.has_failed;
}

static void keep_refused(struct state *state, struct fcall *settlement, struct slice reason)
{
    if (is_its_own_fault(state, reason) && ++settlement->tries >= TRIES_MAX) {
        state->outbox.count--;
        show_count(state);
        drop(state, settlement, reason);
        return;
    }
    list_push(&state->outbox.waiting, &settlement->owner_link);
    state->outbox.is_holding_off = true;
}

static void on_answer(struct fcall *settlement, enum err err, const struct redis_value *reply)
{
    struct state *state = settlement->arg;
    list_remove(&settlement->owner_link);
    state->outbox.sent_count--;
    if (err == OK)
        forget(state, settlement);
    else if (err == ERR_REPLY)
        keep_refused(state, settlement, redis_value_slice(reply));
    else
        list_push(&state->outbox.waiting, &settlement->owner_link);
    outbox_send(state);
}

void outbox_send(struct state *state)
{
    struct outbox *outbox = &state->outbox;
    while (redis_is_up(state->redis) && !outbox->is_holding_off && outbox->sent_count < SENT_MAX) {
        struct list *link = list_pop(&outbox->waiting);
        if (link == NULL)
            return;
        list_push(&outbox->sent, link);
        outbox->sent_count++;
        fcall_send(LIST_OWNER(link, struct fcall, owner_link), on_answer, state);
    }
}

void outbox_add(struct state *state, struct fcall *settlement)
{
    if (state->outbox.count >= DROP_MAX) {
        drop(state, settlement, SLICE("too many wait for Redis"));
        return;
    }
    list_push(&state->outbox.waiting, &settlement->owner_link);
    state->outbox.count++;
    show_count(state);
    outbox_send(state);
}

void outbox_tick(struct state *state)
{
    state->outbox.is_holding_off = false;
    outbox_send(state);
}

size_t state_outbox_count(const struct state *state)
{
    return state->outbox.count;
}

void outbox_fini(struct state *state)
{
    struct list *link;
    if (state->outbox.count > 0 && log_begin(LOG_ERROR, "leaving with settlements not booked")) {
        log_number("count", state->outbox.count);
        log_end();
    }
    while ((link = list_pop(&state->outbox.waiting)) != NULL)
        fcall_free(LIST_OWNER(link, struct fcall, owner_link));
}
