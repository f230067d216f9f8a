/* state.c - the connection to the truth, and what happens when it comes and goes.
 *
 *     away --redis up--> registering --all held leases confirmed--> registered: admissions
 *       ^                    |   ^                                        |
 *       +----redis down------+   +--- Redis answers renewals with errors -+
 *       +----redis down---------------------------------------------------+
 *
 * Registering is one round of renewal (renewal.c), which also learns the pool's epoch; `restore` if
 * Redis was away, `renew` if this node stood still meanwhile. Settlements go out as soon as Redis
 * is up (outbox.c). */
#include "state/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "net/redis/link.h"
#include "state/state_priv.h"

/* First of all the new link is made known, which ends the former one; then what waited goes out. */
static void on_up(void *arg)
{
    struct state *state = arg;
    snprintf(state->link_text, sizeof(state->link_text), "%" PRIu64, ++state->link);
    renewal_start(state);
    outbox_send(state);
}

static void on_down(void *arg)
{
    struct state *state = arg;
    state->why[0] = '\0';
    state_set_registered(state, false);
    renewal_on_down(state);
}

static void on_tick(void *arg)
{
    struct state *state = arg;
    renewal_tick(state);
    outbox_tick(state);
    waiting_tick(state);
    history_tick(state);
}

void state_set_registered(struct state *state, bool is_registered)
{
    if (state->is_registered == is_registered)
        return;
    state->is_registered = is_registered;
    if (is_registered) {
        state->why[0] = '\0';
        waiting_all_due(state);
    }
    if (state->on_change != NULL)
        state->on_change(is_registered, state->arg);
}

void state_rename(struct state *state)
{
    snprintf(state->holder, sizeof(state->holder), "%s.%s.%u", state->node->id, state->node->boot,
             state->worker);
}

void state_pool_key(struct slice prefix, struct slice pool, char key[POOL_KEY_MAX])
{
    int len = snprintf(key, POOL_KEY_MAX, "%.*s:{%.*s}", SLICE_ARG(prefix), SLICE_ARG(pool));
    assert(len > 0 && len < POOL_KEY_MAX); /* the config bounds both */
}

struct state *state_new(struct loop *loop, const struct state_options *options)
{
    struct state *state = mem_new(sizeof(*state));
    struct redis_events events = {.on_up = on_up, .on_down = on_down, .arg = state};
    state->loop = loop;
    state->node = options->node;
    state->worker = options->worker;
    state->metrics = options->metrics;
    state->on_change = options->on_change;
    state->arg = options->arg;
    state_pool_key(options->prefix, options->pool, state->key);
    state_rename(state);
    snprintf(state->link_text, sizeof(state->link_text), "1");
    state_set_epoch(state, 0);
    renewal_init(state);
    outbox_init(&state->outbox);
    history_init(&state->history);
    state->redis = redis_new(loop, options->redis_url, &events, options->metrics);
    fcalls_init(&state->calls, loop, state->redis, state->metrics, slice_of(state->key));
    state->ticker = loop_every(loop, STATE_TICK_MS, on_tick, state);
    return state;
}

void state_free(struct state *state)
{
    if (state == NULL)
        return;
    state->on_change = NULL;
    redis_free(state->redis); /* answers every call that is open */
    fcalls_fini(&state->calls);
    waiting_fini(state);
    renewal_fini(state);
    outbox_fini(state);
    history_fini(state);
    loop_timer_free(state->ticker);
    free(state);
}

bool state_is_up(const struct state *state)
{
    return state->is_registered && redis_is_up(state->redis);
}

struct slice state_last_error(const struct state *state)
{
    return state->why[0] != '\0' ? slice_of(state->why) : redis_last_error(state->redis);
}

bool state_can_admit(const struct state *state)
{
    return state_is_up(state) && state->outbox.count < OUTBOX_MAX;
}

void state_clean_name(struct slice name, char *to, size_t cap)
{
    if (name_clean(name, to, cap) == 0)
        (void)name_clean(SLICE("-"), to, cap);
}
