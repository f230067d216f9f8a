/* Asking for a slot, and giving it back. Between the two the lease stands among those that
 * renewal.c renews. What was asked is remembered by its time of asking: Redis cannot have given
 * the slot away before that and a lease time, however late the answer comes. */
#include "state/lease.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "state/state_priv.h"

enum { ADMIT_ARGS = 5, GRANT_PARTS = 5, REFUSAL_PARTS = 3, SETTLE_ARGS = 14 };

static const char *const outcome_words[] = {"ok", "error", "cancelled"};

static void answer(struct lease *lease, enum err err, const struct grant *grant,
                   const struct refusal *refusal)
{
    state_admit_fn on_admitted = lease->on_admitted;
    lease->on_admitted = NULL;
    on_admitted(err, grant, refusal, lease->admit_arg); /* `lease` may be gone now */
}

/* A grant that took longer to arrive than a lease lives may be someone else's by now: this node
 * stood still. It is left to expire. */
static void take_grant(struct state *state, struct lease *lease, const struct redis_value *reply)
{
    struct grant grant = {.subscription = redis_value_slice(redis_value_at(reply, 1)),
                          .active = (uint32_t)redis_value_number(redis_value_at(reply, 2)),
                          .max = (uint32_t)redis_value_number(redis_value_at(reply, 3)),
                          .how = redis_value_slice(redis_value_at(reply, 4))};
    if (clock_ms() > lease->asked_ms + LEASE_MS) {
        answer(lease, ERR_STATE_DOWN, NULL, NULL);
        return;
    }
    state_clean_name(grant.subscription, lease->subscription, sizeof(lease->subscription));
    lease->is_held = true;
    renewal_hold(state, lease, lease->asked_ms);
    answer(lease, OK, &grant, NULL);
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

static void on_answer(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct lease *lease = call->arg;
    struct state *state = lease->state;
    struct slice word = redis_value_slice(redis_value_at(reply, 0));
    fcall_free(call);
    if (err == OK && slice_eq(word, SLICE("granted")) && redis_value_count(reply) >= GRANT_PARTS) {
        state->leases.is_admission_failing = false;
        take_grant(state, lease, reply);
    } else if (err == OK && slice_eq(word, SLICE("refused")) &&
               redis_value_count(reply) >= REFUSAL_PARTS) {
        struct refusal refusal = {.reason = redis_value_slice(redis_value_at(reply, 1)),
                                  .retry_ms = redis_value_number(redis_value_at(reply, 2))};
        state->leases.is_admission_failing = false;
        answer(lease, ERR_REFUSED, NULL, &refusal);
    } else {
        if (err != ERR_STATE_DOWN)
            note_failure(state, err == OK ? redis_value_at(reply, 0) : reply);
        answer(lease, err == OK ? ERR_REPLY : err, NULL, NULL);
    }
}

void state_admit(struct state *state, struct lease *lease, const struct admit_request *request,
                 state_admit_fn on_admitted, void *arg)
{
    static const char lease_ms[] = "13500";
    static_assert(LEASE_MS == 13500, "lease_ms spells it");
    int len = snprintf(lease->id, sizeof(lease->id), "%s.%s.%u-%" PRIu64, state->node->id,
                       state->node->boot, state->worker, ++state->leases.next_seq);
    assert(len > 0 && (size_t)len < sizeof(lease->id));
    state_clean_name(request->client, lease->client, sizeof(lease->client));
    state_clean_name(request->model, lease->model, sizeof(lease->model));
    list_init(&lease->link);
    lease->state = state;
    lease->is_held = false;
    lease->on_admitted = on_admitted;
    lease->admit_arg = arg;
    lease->asked_ms = clock_ms();
    const struct slice args[ADMIT_ARGS] = {{lease->id, (size_t)len},
                                           slice_of(lease->client),
                                           slice_of(lease->model),
                                           {lease_ms, sizeof(lease_ms) - 1},
                                           request->excluded};
    struct fcall *call = fcall_new(&state->calls, VERB_ADMIT, args, ADMIT_ARGS);
    if (state_can_admit(state))
        fcall_send(call, on_answer, lease);
    else
        fcall_refuse(call, on_answer, lease);
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
