/* Asking for a slot, and giving it back. Between the two the lease stands among those that
 * renewal.c renews. What was asked is remembered by its time of asking: Redis cannot have given
 * the slot away before that and a lease time, however late the answer comes. */
#include "state/lease.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"
#include "state/state_priv.h"

enum { ADMIT_ARGS = 5, GRANT_PARTS = 5, REFUSAL_PARTS = 3, SETTLE_ARGS = 14 };

static const char *const outcome_words[] = {"ok", "error", "cancelled"};

/* One question for a slot, until Redis has answered it. What it asked with becomes the caller's
 * lease when it is granted; so the caller may leave before. */
struct admission {
    struct state *state;
    struct lease asked;
    struct lease *lease; /* NULL: cancelled */
    state_admit_fn on_admitted;
    void *arg;
    uint64_t asked_ms;
};

static void end_admission(struct admission *a, enum err err, const struct grant *grant,
                          const struct refusal *refusal)
{
    state_admit_fn on_admitted = a->on_admitted;
    void *arg = a->arg;
    free(a);
    on_admitted(err, grant, refusal, arg);
}

/* A grant that took longer to arrive than a lease lives may be someone else's by now: this node
 * stood still. It is left to expire. */
static void take_grant(struct admission *a, const struct redis_value *reply)
{
    struct lease *lease = a->lease;
    struct grant grant = {.subscription = redis_value_slice(redis_value_at(reply, 1)),
                          .active = (uint32_t)redis_value_number(redis_value_at(reply, 2)),
                          .max = (uint32_t)redis_value_number(redis_value_at(reply, 3)),
                          .how = redis_value_slice(redis_value_at(reply, 4))};
    if (clock_ms() > a->asked_ms + LEASE_MS) {
        end_admission(a, ERR_STATE_DOWN, NULL, NULL);
        return;
    }
    a->asked.on_lost = lease->on_lost;
    a->asked.arg = lease->arg;
    *lease = a->asked;
    list_init(&lease->link);
    state_clean_name(grant.subscription, lease->subscription, sizeof(lease->subscription));
    lease->is_held = true;
    renewal_hold(a->state, lease, a->asked_ms);
    end_admission(a, OK, &grant, NULL);
}

/* Whoever asked has left: what was granted goes back. */
static void give_back(struct admission *a, const struct redis_value *reply, bool is_granted)
{
    const struct settlement nothing = {.outcome = OUTCOME_CANCELLED};
    a->state->leases.cancelled_count--;
    if (is_granted) {
        state_clean_name(redis_value_slice(redis_value_at(reply, 1)), a->asked.subscription,
                         sizeof(a->asked.subscription));
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

static void on_admit_answer(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct admission *a = call->arg;
    struct state *state = a->state;
    struct slice word = redis_value_slice(redis_value_at(reply, 0));
    bool is_granted =
        err == OK && slice_eq(word, SLICE("granted")) && redis_value_count(reply) >= GRANT_PARTS;
    bool is_refused =
        err == OK && slice_eq(word, SLICE("refused")) && redis_value_count(reply) >= REFUSAL_PARTS;
    fcall_free(call);
    if (is_granted || is_refused)
        state->leases.is_admission_failing = false;
    else if (err != ERR_STATE_DOWN)
        note_failure(state, err == OK ? redis_value_at(reply, 0) : reply);
    if (a->lease == NULL) {
        give_back(a, reply, is_granted);
    } else if (is_granted) {
        take_grant(a, reply);
    } else if (is_refused) {
        struct refusal refusal = {.reason = redis_value_slice(redis_value_at(reply, 1)),
                                  .retry_ms = redis_value_number(redis_value_at(reply, 2))};
        end_admission(a, ERR_REFUSED, NULL, &refusal);
    } else {
        end_admission(a, err == OK ? ERR_REPLY : err, NULL, NULL);
    }
}

/* <node>.<boot>.<worker>-<count> */
static size_t make_lease_id(struct state *state, char id[LEASE_ID_MAX])
{
    char worker[NUMBER_TEXT_MAX], count[NUMBER_TEXT_MAX];
    const struct slice parts[] = {
        slice_of(state->node->id),
        SLICE("."),
        slice_of(state->node->boot),
        SLICE("."),
        number_decimal(state->worker, worker),
        SLICE("-"),
        number_decimal(++state->leases.next_seq, count),
    };
    return slice_join(id, LEASE_ID_MAX, parts, sizeof(parts) / sizeof(parts[0]));
}

struct admission *state_admit(struct state *state, struct lease *lease,
                              const struct admit_request *request, state_admit_fn on_admitted,
                              void *arg)
{
    static const char lease_ms[] = "13500";
    static_assert(LEASE_MS == 13500, "lease_ms spells it");
    struct admission *a = mem_new(sizeof(*a));
    *a = (struct admission){.state = state,
                            .lease = lease,
                            .on_admitted = on_admitted,
                            .arg = arg,
                            .asked_ms = clock_ms()};
    struct lease *asked = &a->asked;
    size_t len = make_lease_id(state, asked->id);
    state_clean_name(request->client, asked->client, sizeof(asked->client));
    state_clean_name(request->model, asked->model, sizeof(asked->model));
    list_init(&asked->link);
    list_init(&lease->link);
    lease->is_held = false;
    const struct slice args[ADMIT_ARGS] = {{asked->id, len},
                                           slice_of(asked->client),
                                           slice_of(asked->model),
                                           {lease_ms, sizeof(lease_ms) - 1},
                                           request->excluded};
    struct fcall *call = fcall_new(&state->calls, VERB_ADMIT, args, ADMIT_ARGS);
    if (state_can_admit(state))
        fcall_send(call, on_admit_answer, a);
    else
        fcall_refuse(call, on_admit_answer, a);
    return a;
}

void state_admit_cancel(struct admission *a)
{
    if (a == NULL || a->lease == NULL)
        return;
    a->lease = NULL;
    a->state->leases.cancelled_count++;
}

void state_settle(struct state *state, struct lease *lease, const struct settlement *settlement)
{
    const struct settlement *s = settlement;
    char numbers[8][NUMBER_TEXT_MAX], model[NAME_MAX_BYTES + 1];
    if (!lease->is_held)
        return;
    lease->is_held = false;
    renewal_release(state, lease);
    state_clean_name(s->model.len > 0 ? s->model : slice_of(lease->model), model, sizeof(model));
    const struct slice args[SETTLE_ARGS] = {
        slice_of(lease->id),
        slice_of(lease->subscription),
        slice_of(lease->client),
        slice_of(model),
        number_decimal(s->status > 0 ? (uint64_t)s->status : 0, numbers[0]),
        slice_of(outcome_words[s->outcome]),
        number_decimal(s->cooldown_ms, numbers[1]),
        s->cooldown_reason,
        number_decimal(s->input, numbers[2]),
        number_decimal(s->output, numbers[3]),
        number_decimal(s->cache_read, numbers[4]),
        number_decimal(s->cache_write_5m, numbers[5]),
        number_decimal(s->cache_write_1h, numbers[6]),
        number_decimal(s->duration_ms, numbers[7])};
    outbox_add(state, fcall_new(&state->calls, VERB_SETTLE, args, SETTLE_ARGS));
}
