/* One slot, from the question for it to its settlement.
 *
 * A question whose answer does not come is not forgotten: its slot may have been taken, so a
 * settlement that books nothing goes into the outbox under the same number. It cannot come too
 * early: the question belongs to a connection that was given up, and the one that carries the
 * settlement has a higher number (renewal.c), after which Redis lets nothing of the old one have an
 * effect. */
#include "state/lease.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"
#include "state/state_priv.h"

enum { GRANT_PARTS = 5 };

static const char *const outcome_words[] = {"ok", "error", "cancelled", "unused"};
static const char *const health_words[] = {"none", "good", "bad", "suspect"};

uint64_t leases_settled_below(const struct state *state)
{
    const struct list *asking = &state->leases.asking;
    return list_is_empty(asking) ? state->leases.next_seq + 1
                                 : LIST_OWNER(asking->next, struct admission, link)->asked.seq;
}

size_t leases_asking(const struct state *state)
{
    size_t count = 0;
    LIST_EACH (link, &state->leases.asking)
        count++;
    return count;
}

static void end_admission(struct admission *a, enum err err, const struct grant *grant,
                          const struct refusal *refusal)
{
    state_admit_fn on_admitted = a->on_admitted;
    void *arg = a->arg;
    free(a);
    on_admitted(err, grant, refusal, arg);
}

static void return_unseen(struct admission *a)
{
    const struct settlement nothing = {.outcome = OUTCOME_UNUSED};
    a->asked.is_held = true;
    state_settle(a->state, &a->asked, &nothing);
}

static void take_grant(struct admission *a, const struct grant *grant)
{
    struct lease *lease = a->lease;
    a->asked.on_lost = lease->on_lost;
    a->asked.arg = lease->arg;
    *lease = a->asked;
    list_init(&lease->link);
    state_clean_name(grant->account, lease->account, sizeof(lease->account));
    lease->is_held = true;
    renewal_hold(a->state, lease, a->asked_ms);
    end_admission(a, OK, grant, NULL);
}

/* Whoever asked has left: what was granted goes back. */
static void give_back(struct admission *a, bool is_granted)
{
    const struct settlement nothing = {.outcome = OUTCOME_CANCELLED};
    a->state->leases.cancelled_count--;
    if (is_granted) {
        a->asked.is_held = true;
        state_settle(a->state, &a->asked, &nothing);
    }
    free(a);
}

/* Once per change: a Redis that is full refuses every admission. */
static void note_failure(struct state *state, const struct redis_value *reply)
{
    if (!state->leases.is_admission_failing &&
        log_begin(LOG_ERROR, "redis cannot answer admissions")) {
        log_text("reply", redis_value_slice(reply));
        log_end();
    }
    state->leases.is_admission_failing = true;
}

static void take_refusal(struct admission *a, const struct redis_value *reply)
{
    struct refusal refusal = state_read_refusal(reply);
    if (slice_eq(refusal.reason, SLICE("epoch"))) {
        state_meet_epoch(a->state, redis_value_number(redis_value_at(reply, 3)));
        refusal.reason = SLICE("restoring");
    }
    end_admission(a, ERR_REFUSED, NULL, &refusal);
}

static void on_granted(struct admission *a, const struct redis_value *reply)
{
    struct grant grant = {.account = redis_value_slice(redis_value_at(reply, 1)),
                          .active = (uint32_t)redis_value_number(redis_value_at(reply, 2)),
                          .max = (uint32_t)redis_value_number(redis_value_at(reply, 3)),
                          .how = redis_value_slice(redis_value_at(reply, 4))};
    if (a->lease == NULL) {
        give_back(a, true);
    } else if (clock_ms() > a->asked_ms + LEASE_MS) {
        return_unseen(a); /* this node stood still: it may be someone else's by now */
        end_admission(a, ERR_STATE_DOWN, NULL, NULL);
    } else {
        take_grant(a, &grant);
    }
}

/* It stands in line. Its caller hears so once. */
static void on_queued(struct admission *a, struct fcall *call, const struct redis_value *reply)
{
    struct refusal why = state_read_refusal(reply);
    bool is_first = !a->has_waited;
    waiting_keep(a, call);
    if (a->lease == NULL) {
        a->state->leases.cancelled_count--;
        waiting_leave(a);
    } else if (is_first && a->on_queued != NULL) {
        a->on_queued(&why, a->arg);
    }
}

/* <holder>-<number> */
static void make_lease_id(struct state *state, struct lease *lease)
{
    char number[NUMBER_TEXT_MAX];
    lease->seq = ++state->leases.next_seq;
    const struct slice parts[] = {slice_of(state->holder), SLICE("-"),
                                  number_decimal(lease->seq, number)};
    (void)slice_join(lease->id, LEASE_ID_MAX, parts, sizeof(parts) / sizeof(parts[0]));
}

/* What passes by itself, for who waits anyway: Redis is away, or has lost data; or what it was
 * granted is over, and it never heard of it: then it asks with another number. */
static bool is_no_answer(struct admission *a, enum err err, const struct redis_value *reply)
{
    struct slice reason = redis_value_slice(redis_value_at(reply, 1));
    if (!a->has_waited || a->lease == NULL || clock_ms() >= a->ends_ms)
        return false;
    if (err != OK || slice_eq(reason, SLICE("restoring")))
        return true;
    if (slice_eq(reason, SLICE("epoch")))
        state_meet_epoch(a->state, redis_value_number(redis_value_at(reply, 3)));
    else if (slice_eq(reason, SLICE("ended")))
        make_lease_id(a->state, &a->asked);
    else
        return false;
    return true;
}

static void on_admit_answer(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct admission *a = call->arg;
    struct state *state = a->state;
    struct slice word = redis_value_slice(redis_value_at(reply, 0));
    bool is_granted =
        err == OK && slice_eq(word, SLICE("granted")) && redis_value_count(reply) >= GRANT_PARTS;
    bool is_queued = err == OK && slice_eq(word, SLICE("queued"));
    bool is_refused =
        err == OK && slice_eq(word, SLICE("refused")) && redis_value_count(reply) >= REFUSAL_PARTS;
    bool was_sent = list_is_linked(&a->link);
    list_remove(&a->link);
    if (is_granted || is_refused || is_queued)
        state->leases.is_admission_failing = false;
    if (is_queued) {
        on_queued(a, call, reply);
        return;
    }
    if (!is_granted && is_no_answer(a, err, reply)) {
        waiting_again_soon(a, call);
        return;
    }
    fcall_free(call);
    if (!is_granted && !is_refused && err != ERR_STATE_DOWN)
        note_failure(state, err == OK ? redis_value_at(reply, 0) : reply);
    else if (!is_granted && !is_refused && was_sent)
        return_unseen(a);
    if (is_granted)
        on_granted(a, reply);
    else if (a->lease == NULL)
        give_back(a, false);
    else if (is_refused)
        take_refusal(a, reply);
    else
        end_admission(a, err == OK ? ERR_REPLY : err, NULL, NULL);
}

static struct fcall *admit_call(struct state *state, const struct lease *asked,
                                const struct admit_request *request)
{
    static const char lease_ms[] = "13500";
    static_assert(LEASE_MS == 13500, "lease_ms spells it");
    char seq[NUMBER_TEXT_MAX], numbers[3][NUMBER_TEXT_MAX];
    const struct slice args[ADMIT_ARGUMENTS] = {
        [ADMIT_HOLDER] = slice_of(state->holder),
        [ADMIT_LINK] = slice_of(state->link_text),
        [ADMIT_EPOCH] = slice_of(state->epoch_text),
        [ADMIT_SEQ] = number_decimal(asked->seq, seq),
        [ADMIT_CLIENT] = slice_of(asked->client),
        [ADMIT_MODEL] = slice_of(asked->model),
        [ADMIT_LEASE_MS] = {lease_ms, sizeof(lease_ms) - 1},
        [ADMIT_EXCLUDED] = request->excluded,
        [ADMIT_LABELS] = request->labels,
        [ADMIT_WAIT_MS] = number_decimal(request->wait_ms, numbers[0]),
        [ADMIT_QUEUE_MAX] = number_decimal(request->queue_max, numbers[1]),
        [ADMIT_WEIGHT] = number_decimal(request->weight > 0 ? request->weight : 1, numbers[2]),
    };
    return fcall_new(&state->calls, VERB_ADMIT, args, ADMIT_ARGUMENTS);
}

struct admission *state_admit(struct state *state, struct lease *lease,
                              const struct admit_request *request, state_admit_fn on_admitted,
                              void *arg)
{
    struct admission *a = mem_new(sizeof(*a));
    *a = (struct admission){.state = state,
                            .lease = lease,
                            .on_admitted = on_admitted,
                            .on_queued = request->on_queued,
                            .arg = arg,
                            .asked_ms = clock_ms()};
    a->ends_ms = a->asked_ms + request->wait_ms;
    struct lease *asked = &a->asked;
    make_lease_id(state, asked);
    state_clean_name(request->client, asked->client, sizeof(asked->client));
    state_clean_name(request->model, asked->model, sizeof(asked->model));
    list_init(&a->link);
    list_init(&asked->link);
    list_init(&lease->link);
    lease->is_held = false;
    struct fcall *call = admit_call(state, asked, request);
    if (state_can_admit(state))
        admission_ask(a, call);
    else
        fcall_refuse(call, on_admit_answer, a);
    return a;
}

/* One that has waited has an older number than those asked meanwhile. */
void admission_ask(struct admission *a, struct fcall *call)
{
    struct list *asking = &a->state->leases.asking, *before = asking;
    while (before->previous != asking &&
           LIST_OWNER(before->previous, struct admission, link)->asked.seq > a->asked.seq)
        before = before->previous;
    list_push(before, &a->link);
    a->was_woken = false;
    fcall_send(call, on_admit_answer, a);
}

void state_admit_cancel(struct admission *a)
{
    if (a == NULL || a->lease == NULL)
        return;
    a->lease = NULL;
    if (a->kept != NULL)
        waiting_leave(a);
    else
        a->state->leases.cancelled_count++;
}

void state_settle(struct state *state, struct lease *lease, const struct settlement *settlement)
{
    const struct settlement *s = settlement;
    char numbers[11][NUMBER_TEXT_MAX], model[NAME_MAX_BYTES + 1];
    if (!lease->is_held)
        return;
    lease->is_held = false;
    renewal_release(state, lease);
    state_clean_name(s->model.len > 0 ? s->model : slice_of(lease->model), model, sizeof(model));
    const struct slice args[SETTLE_ARGUMENTS] = {
        [SETTLE_HOLDER] = slice_of(state->holder),
        [SETTLE_SEQ] = number_decimal(lease->seq, numbers[8]),
        [SETTLE_MODEL] = slice_of(model),
        [SETTLE_STATUS] = number_decimal(s->status > 0 ? (uint64_t)s->status : 0, numbers[0]),
        [SETTLE_OUTCOME] = slice_of(outcome_words[s->outcome]),
        [SETTLE_HEALTH] = slice_of(health_words[s->health]),
        [SETTLE_COOLDOWN_KIND] = s->is_cooldown_default ? SLICE("default") : SLICE("given"),
        [SETTLE_SCOPE] = s->scope,
        [SETTLE_COOLDOWN_MS] = number_decimal(s->cooldown_ms, numbers[1]),
        [SETTLE_COOLDOWN_REASON] = s->cooldown_reason,
        [SETTLE_INPUT] = number_decimal(s->input, numbers[2]),
        [SETTLE_OUTPUT] = number_decimal(s->output, numbers[3]),
        [SETTLE_OUTPUT_ESTIMATED] = number_decimal(s->output_estimated, numbers[9]),
        [SETTLE_CACHE_READ] = number_decimal(s->cache_read, numbers[4]),
        [SETTLE_CACHE_WRITE_5M] = number_decimal(s->cache_write_5m, numbers[5]),
        [SETTLE_CACHE_WRITE_1H] = number_decimal(s->cache_write_1h, numbers[6]),
        [SETTLE_DURATION_MS] = number_decimal(s->duration_ms, numbers[7]),
        [SETTLE_WINDOWS] = s->windows,
        [SETTLE_WINDOWS_AGE_MS] = number_decimal(s->windows_age_ms, numbers[10]),
    };
    outbox_add(state, fcall_new(&state->calls, VERB_SETTLE, args, SETTLE_ARGUMENTS));
}
