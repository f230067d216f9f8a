/* Two calls that concern all subscriptions: declare, with everything the config says of them, and
 * the second's sweep, which is also this node's heartbeat. */
#include "state/pool.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/number.h"
#include "config/config.h"
#include "state/state_priv.h"

/* Whom to tell; lives until the call is answered. */
struct declaration {
    state_done_fn on_done;
    void *arg;
};

struct sweep {
    state_pulse_fn on_pulse;
    void *arg;
};

static void on_declared(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct declaration *declaration = call->arg;
    fcall_free(call);
    if (declaration->on_done != NULL)
        declaration->on_done(err, err == ERR_REPLY ? redis_value_slice(reply) : SLICE_NONE,
                             declaration->arg);
    free(declaration);
}

void state_declare(struct state *state, const struct config *config, state_done_fn on_done,
                   void *arg)
{
    struct slice args[3 + 5 * SUBSCRIPTIONS_MAX];
    size_t count = 0;
    struct arena texts;
    struct declaration *declaration = mem_new(sizeof(*declaration));
    *declaration = (struct declaration){on_done, arg};
    arena_init(&texts);
    args[count++] = slice_of(state->node->id);
    args[count++] = slice_of(state->node->boot);
    args[count++] = number_decimal(config->subscription_count, arena_new(&texts, NUMBER_TEXT_MAX));
    for (size_t i = 0; i < config->subscription_count; i++) {
        const struct subscription *sub = &config->subscriptions[i];
        args[count++] = slice_of(sub->name);
        args[count++] = number_decimal(sub->max_concurrent, arena_new(&texts, NUMBER_TEXT_MAX));
        args[count++] = number_decimal(sub->priority, arena_new(&texts, NUMBER_TEXT_MAX));
        args[count++] = sub->is_enabled ? SLICE("1") : SLICE("0");
        args[count++] =
            number_decimal(config->rate_limit.burst_limit, arena_new(&texts, NUMBER_TEXT_MAX));
    }
    fcall_send(fcall_new(&state->calls, VERB_DECLARE, args, count), on_declared, declaration);
    arena_fini(&texts);
}

static void on_swept(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct sweep *sweep = call->arg;
    struct pool_pulse pulse = {0};
    fcall_free(call);
    if (err == OK) {
        pulse.leases_expired = (unsigned)redis_value_number(redis_value_at(reply, 1));
        pulse.is_node_id_taken = redis_value_number(redis_value_at(reply, 2)) != 0;
        pulse.do_configs_differ = redis_value_number(redis_value_at(reply, 3)) != 0;
        pulse.subscriptions = (unsigned)redis_value_number(redis_value_at(reply, 4));
    }
    if (sweep->on_pulse != NULL)
        sweep->on_pulse(err, err == OK ? &pulse : NULL, sweep->arg);
    free(sweep);
}

void state_sweep(struct state *state, const struct node_report *report, state_pulse_fn on_pulse,
                 void *arg)
{
    char active[NUMBER_TEXT_MAX], lease_ms[NUMBER_TEXT_MAX];
    struct sweep *sweep = mem_new(sizeof(*sweep));
    *sweep = (struct sweep){on_pulse, arg};
    const struct slice args[] = {slice_of(state->node->id),
                                 slice_of(state->node->boot),
                                 report->version,
                                 report->config_digest,
                                 number_decimal(report->active, active),
                                 number_decimal(LEASE_MS, lease_ms)};
    fcall_send(fcall_new(&state->calls, VERB_SWEEP, args, sizeof(args) / sizeof(args[0])), on_swept,
               sweep);
}
