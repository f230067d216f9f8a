/* renewal.c - keeping what is held, and knowing when it may be held no longer.
 *
 * Everything follows from one moment, fresh_until_ms (state_priv.h says what it means):
 *     a grant when nothing was held      asked + GRANT_MS                renewal_hold
 *     a round of renewal confirmed       its sending + LEASE_MS          finish
 *     Redis goes, or stays, away         now + LEASE_MS, if still fresh  renewal_on_down
 *
 * A node that was stopped finds it in the past. Then no byte flows, and the next round asks with
 * `renew`, in which Redis gives back only what is still free; so also after a reconnect, because
 * the connection may have broken only because of the standing still. If no renewal comes through
 * for a whole lease time more, everything held counts as lost.
 *
 * A round usually is one call: Redis moves the one expiry this holder has, and compares how many
 * leases there are. Where that differs the list is sent, a batch a turn, with the word that there
 * is nothing else; then the number is compared again. After a new connection, in a new epoch, or
 * when this node stood still, the number says nothing (an older copy may have as many leases, but
 * others): there the list comes first, and so it does once a minute, because a number that fits may
 * do so by chance. The first round over a new connection also ends the former one: Redis refuses
 * what is left in that. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/number.h"
#include "net/redis/link.h"
#include "state/state_priv.h"

enum {
    STALE_TICKS_MAX = LEASE_MS / STATE_TICK_MS,
    ANSWER_PARTS = 3, /* word, epoch, number held; then what is lost */
    LISTS_MAX = 2,    /* of one round */
    EPOCHS_MAX = 3,   /* that may begin within one round */
    LIST_EVERY = 60000 / LEASE_RENEW_MS,
    /* A grant is good for a tenth less than a lease: Redis moves a holder's expiry that often. */
    GRANT_MS = LEASE_MS - LEASE_MS / 10
};

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
    uint64_t until_ms = asked_ms + GRANT_MS;
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
        log_string("account", lease->account);
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

/* ---- the question, and its answers ---- */

static struct lease *find_held(struct state *state, uint64_t seq)
{
    LIST_EACH (link, &state->leases.held) {
        struct lease *lease = LIST_OWNER(link, struct lease, link);
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): all are leases */
        if (lease->seq == seq)
            return lease;
    }
    return NULL;
}

static void take_lost(struct state *state, const struct redis_value *reply)
{
    struct list lost;
    list_init(&lost);
    for (size_t i = ANSWER_PARTS; i < redis_value_count(reply); i++) {
        struct lease *lease = find_held(state, redis_value_number(redis_value_at(reply, i)));
        if (lease != NULL)
            lose(state, lease, &lost);
    }
    tell_lost(&lost);
}

static void on_answer(struct fcall *call, enum err err, const struct redis_value *reply);

/* The `texts` stand until the call has copied them. */
static void ask(struct state *state, struct slice *args, size_t count, uint64_t to)
{
    const struct leases *leases = &state->leases;
    char numbers[5][NUMBER_TEXT_MAX];
    args[RENEW_HOLDER] = slice_of(state->holder);
    args[RENEW_LINK] = slice_of(state->link_text);
    args[RENEW_EPOCH] = slice_of(state->epoch_text);
    args[RENEW_LEASE_MS] = number_decimal(LEASE_MS, numbers[0]);
    args[RENEW_MODE] = leases->renewal.is_restoring ? SLICE("restore") : SLICE("renew");
    args[RENEW_COUNT] = number_decimal(leases->held_count, numbers[1]);
    args[RENEW_OPEN] = number_decimal(
        leases_asking(state) + leases->waiting_count + state->outbox.count, numbers[2]);
    args[RENEW_ONLY] = leases->renewal.stage == RENEWAL_LIST ? SLICE("1") : SLICE("0");
    args[RENEW_FROM] = number_decimal(leases->renewal.from, numbers[3]);
    args[RENEW_TO] = number_decimal(to, numbers[4]);
    fcall_send(fcall_new(&state->calls, VERB_RENEW, args, count), on_answer, state);
}

static int by_seq(const void *a, const void *b)
{
    const struct lease *const *x = a, *const *y = b;
    return ((*x)->seq > (*y)->seq) - ((*x)->seq < (*y)->seq);
}

/* What is held from number `from` on, in order. Yours to free. */
static const struct lease **list_from(const struct state *state, uint64_t from, size_t *count)
{
    enum { POINTER_BYTES = sizeof(void *) };
    const struct lease **found = mem_new((state->leases.held_count + 1) * POINTER_BYTES);
    *count = 0;
    LIST_EACH (link, &state->leases.held) {
        const struct lease *lease = LIST_OWNER(link, struct lease, link);
        if (lease->seq >= from)
            found[(*count)++] = lease;
    }
    qsort(found, *count, POINTER_BYTES, by_seq);
    return found;
}

static void compare(struct state *state)
{
    struct slice args[RENEW_ARGUMENTS];
    state->leases.renewal.stage = RENEWAL_COMPARE;
    ask(state, args, RENEW_ARGUMENTS, 0);
}

/* The next of the list; the last one reaches up to where all questions are answered. */
static void send_list(struct state *state)
{
    enum { WIDTH = RENEW_LEASES_WIDTH };
    struct slice args[RENEW_ARGUMENTS + WIDTH * RENEW_BATCH_MAX];
    char seqs[RENEW_BATCH_MAX][NUMBER_TEXT_MAX];
    size_t count;
    const struct lease **found = list_from(state, state->leases.renewal.from, &count);
    size_t listed = count < RENEW_BATCH_MAX ? count : RENEW_BATCH_MAX;
    for (size_t i = 0; i < listed; i++) {
        struct slice *row = args + RENEW_ARGUMENTS + WIDTH * i;
        row[RENEW_LEASES_SEQ] = number_decimal(found[i]->seq, seqs[i]);
        row[RENEW_LEASES_ACCOUNT] = slice_of(found[i]->account);
        row[RENEW_LEASES_CLIENT] = slice_of(found[i]->client);
        row[RENEW_LEASES_MODEL] = slice_of(found[i]->model);
    }
    uint64_t to = listed < count ? found[listed - 1]->seq : leases_settled_below(state) - 1;
    state->leases.renewal.is_last = listed == count;
    ask(state, args, RENEW_ARGUMENTS + WIDTH * listed, to);
    state->leases.renewal.from = to + 1;
    free(found);
}

static void begin_list(struct state *state)
{
    state->leases.renewal.stage = RENEWAL_LIST;
    state->leases.renewal.lists++;
    state->leases.renewal.compared = 0;
    state->leases.renewal.from = 0;
    send_list(state);
}

/* [LIST -->] COMPARE --differs--> LIST --> COMPARE: whatever it says then is how it is; the next
 * round begins anew. */
static void go_on(struct state *state, bool is_kept)
{
    struct leases *leases = &state->leases;
    if (leases->renewal.stage == RENEWAL_COMPARE) {
        if (is_kept || leases->renewal.lists == LISTS_MAX)
            finish(state);
        else
            begin_list(state);
    } else if (leases->renewal.is_last) {
        compare(state);
    } else {
        send_list(state);
    }
}

void state_set_epoch(struct state *state, uint64_t epoch)
{
    char text[NUMBER_TEXT_MAX];
    struct slice number = number_decimal(epoch, text);
    state->epoch = epoch;
    snprintf(state->epoch_text, sizeof(state->epoch_text), "%.*s", SLICE_ARG(number));
}

/* Another epoch: Redis has lost what it knew. What runs here runs all the same, unless this node
 * stood still. */
static void take_epoch(struct state *state, uint64_t epoch)
{
    struct leases *leases = &state->leases;
    bool is_first = state->epoch == 0;
    if (!is_first)
        log_message(LOG_WARN, "redis has lost data: %zu running leases are registered again",
                    leases->held_count);
    state_set_epoch(state, epoch);
    waiting_all_due(state);
    leases->renewal.is_restoring =
        is_fresh(state, leases->renewal.started_ms) || leases->held_count == 0;
    leases->renewal.lists = 0;
    if (++leases->renewal.epochs > EPOCHS_MAX) {
        leases->renewal.has_failed = true;
        finish(state);
    } else {
        begin_list(state);
    }
}

static void on_answer(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct state *state = call->arg;
    struct slice word = redis_value_slice(redis_value_at(reply, 0));
    fcall_free(call);
    if (err != OK) {
        state->leases.renewal.has_failed = true;
        if (err == ERR_REPLY)
            note_refusal(state, reply);
        finish(state);
    } else if (slice_eq(word, SLICE("epoch"))) {
        take_epoch(state, redis_value_number(redis_value_at(reply, 1)));
    } else {
        take_lost(state, reply);
        go_on(state, slice_eq(word, SLICE("kept")));
    }
}

void state_meet_epoch(struct state *state, uint64_t epoch)
{
    if (epoch != 0 && epoch != state->epoch)
        renewal_start(state);
}

uint64_t state_epoch(const struct state *state)
{
    return state->epoch;
}

void renewal_start(struct state *state)
{
    struct leases *leases = &state->leases;
    uint64_t now_ms = clock_ms();
    if (leases->renewal.is_running || !redis_is_up(state->redis))
        return;
    bool was_away = !state->is_registered;
    bool is_restoring = was_away && (is_fresh(state, now_ms) || leases->held_count == 0);
    leases->renewal.is_running = true;
    leases->renewal.has_failed = false;
    leases->renewal.is_restoring = is_restoring;
    leases->renewal.lists = leases->renewal.epochs = 0;
    leases->renewal.from = 0;
    leases->renewal.started_ms = leases->renewal.covers_ms = now_ms;
    if (was_away || !is_fresh(state, now_ms) || ++leases->renewal.compared >= LIST_EVERY)
        begin_list(state);
    else
        compare(state);
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
    bool is_due = leases->held_count + leases->waiting_count > 0 &&
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
    list_init(&leases->asking);
    list_init(&leases->waiting);
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
