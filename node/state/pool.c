/* Calls that concern the pool as a whole: a node's name, what it declares, its second, its end.
 * Each is one call with one answer; whoever asked is kept until it comes. */
#include "state/pool.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/number.h"
#include "config/config.h"
#include "state/state_priv.h"

/* Whom to tell. */
struct asker {
    union {
        state_joined_fn on_joined;
        state_done_fn on_done;
        state_pulse_fn on_pulse;
    };
    void *arg;
};

static struct slice message_of(enum err err, const struct redis_value *reply)
{
    return err == ERR_REPLY ? redis_value_slice(reply) : SLICE_NONE;
}

/* ---- a name ---- */

static void answer_joined(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct asker *asker = call->arg;
    struct slice name = SLICE_NONE, word = redis_value_slice(redis_value_at(reply, 0));
    uint64_t wait_ms = 0;
    fcall_free(call);
    if (err == OK && slice_eq(word, SLICE("joined")))
        name = redis_value_slice(redis_value_at(reply, 1));
    else if (err == OK)
        wait_ms = redis_value_number(redis_value_at(reply, 1));
    asker->on_joined(err, name, wait_ms, asker->arg);
    free(asker);
}

/* Who only waits tells of no time that it has asked: whoever was heard of since would count as
 * living until it is forgotten, although it may have died meanwhile. */
void state_join(struct state *state, const struct join_wish *wish, state_joined_fn on_joined,
                void *arg)
{
    char waited[NUMBER_TEXT_MAX];
    struct asker *asker = mem_new(sizeof(*asker));
    *asker = (struct asker){.on_joined = on_joined, .arg = arg};
    const struct slice args[JOIN_ARGUMENTS] = {
        [JOIN_NODE] = wish->name,
        [JOIN_BOOT] = slice_of(state->node->boot),
        [JOIN_WAITED_MS] = number_decimal(wish->is_waiting ? 0 : wish->asked_for_ms, waited),
        [JOIN_POLICY] = wish->is_waiting ? SLICE("wait") : SLICE("take"),
    };
    fcall_send(fcall_new(&state->calls, VERB_JOIN, args, JOIN_ARGUMENTS), answer_joined, asker);
}

/* ---- what it declares ---- */

static void answer_done(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct asker *asker = call->arg;
    fcall_free(call);
    if (asker->on_done != NULL)
        asker->on_done(err, message_of(err, reply), asker->arg);
    free(asker);
}

static struct slice number_in(struct arena *texts, uint64_t number)
{
    return number_decimal(number, arena_new(texts, NUMBER_TEXT_MAX));
}

static struct slice strategy_word(enum strategy strategy)
{
    static const char *const words[] = {
#define X(name, word) [STRATEGY_##name] = (word),
        STRATEGY_TABLE(X)
#undef X
    };
    return slice_of(words[strategy]);
}

static void put_subscription(struct slice *row, const struct config *config,
                             const struct subscription *s, struct arena *texts)
{
    row[DECLARE_SUBSCRIPTIONS_NAME] = slice_of(s->name);
    row[DECLARE_SUBSCRIPTIONS_ACCOUNT] = slice_of(s->account);
    row[DECLARE_SUBSCRIPTIONS_MAX] = number_in(texts, s->max_concurrent);
    row[DECLARE_SUBSCRIPTIONS_PRIORITY] = number_in(texts, s->priority);
    row[DECLARE_SUBSCRIPTIONS_ENABLED] = s->is_enabled ? SLICE("1") : SLICE("0");
    row[DECLARE_SUBSCRIPTIONS_BURST] = number_in(texts, config->rate_limit.burst_limit);
    row[DECLARE_SUBSCRIPTIONS_TIER] = number_in(texts, s->tier);
    row[DECLARE_SUBSCRIPTIONS_LIMITS] = slice_of(s->limits != NULL ? s->limits : "");
}

void state_declare(struct state *state, const struct config *config,
                   const struct declaration_source *source, state_done_fn on_done, void *arg)
{
    enum { WIDTH = DECLARE_SUBSCRIPTIONS_WIDTH };
    struct slice args[DECLARE_ARGUMENTS + WIDTH * SUBSCRIPTIONS_MAX];
    struct arena texts;
    struct asker *asker = mem_new(sizeof(*asker));
    *asker = (struct asker){.on_done = on_done, .arg = arg};
    arena_init(&texts);
    args[DECLARE_NODE] = slice_of(state->node->id);
    args[DECLARE_BOOT] = slice_of(state->node->boot);
    args[DECLARE_EDITED_MS] = number_in(&texts, source->edited_ms);
    args[DECLARE_ALONE] = source->is_alone ? SLICE("1") : SLICE("0");
    args[DECLARE_STRATEGY] = strategy_word(config->routing.strategy);
    args[DECLARE_SESSION_MS] = number_in(&texts, config->routing.session_duration_ms);
    for (size_t i = 0; i < config->subscription_count; i++)
        put_subscription(args + DECLARE_ARGUMENTS + WIDTH * i, config, &config->subscriptions[i],
                         &texts);
    fcall_send(fcall_new(&state->calls, VERB_DECLARE, args,
                         DECLARE_ARGUMENTS + WIDTH * config->subscription_count),
               answer_done, asker);
    arena_fini(&texts);
}

/* ---- its second ---- */

static uint64_t number_of(const struct redis_value *reply, struct slice word)
{
    for (size_t i = 0; i + 1 < redis_value_count(reply); i += 2)
        if (slice_eq(redis_value_slice(redis_value_at(reply, i)), word))
            return redis_value_number(redis_value_at(reply, i + 1));
    return 0;
}

static void on_beat(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct asker *asker = call->arg;
    struct pool_pulse pulse = {0};
    fcall_free(call);
    if (err == OK)
        pulse = (struct pool_pulse){
            .leases_expired = (unsigned)number_of(reply, SLICE("expired")),
            .has_more = number_of(reply, SLICE("more")) != 0,
            .is_declared = number_of(reply, SLICE("known")) != 0,
            .is_behind = number_of(reply, SLICE("behind")) != 0,
            .do_configs_differ = number_of(reply, SLICE("differ")) != 0,
            .epoch = number_of(reply, SLICE("epoch")),
            .closed_ms = number_of(reply, SLICE("closed_ms")),
            .generation = number_of(reply, SLICE("generation")),
            .reload = number_of(reply, SLICE("reload")),
        };
    asker->on_pulse(err, err == OK ? &pulse : NULL, message_of(err, reply), asker->arg);
    free(asker);
}

void state_beat(struct state *state, const struct node_report *report, state_pulse_fn on_pulse,
                void *arg)
{
    char numbers[4][NUMBER_TEXT_MAX];
    const struct reload_report *reload = report->reload;
    size_t count = BEAT_ARGUMENTS;
    struct asker *asker = mem_new(sizeof(*asker));
    *asker = (struct asker){.on_pulse = on_pulse, .arg = arg};
    struct slice args[BEAT_ARGUMENTS + BEAT_RELOADS_WIDTH] = {
        [BEAT_NODE] = slice_of(state->node->id),
        [BEAT_BOOT] = slice_of(state->node->boot),
        [BEAT_VERSION] = report->version,
        [BEAT_DIGEST] = report->config_digest,
        [BEAT_ACTIVE] = number_decimal(report->active, numbers[0]),
        [BEAT_LEASE_MS] = number_decimal(LEASE_MS, numbers[1]),
        [BEAT_WORKERS] = number_decimal(report->workers, numbers[2]),
        [BEAT_ALONE] = report->is_alone ? SLICE("1") : SLICE("0"),
        [BEAT_EPOCH] = slice_of(state->epoch_text),
    };
    if (reload != NULL) {
        struct slice *row = args + BEAT_ARGUMENTS;
        row[BEAT_RELOADS_ASKED] = number_decimal(reload->asked, numbers[3]);
        row[BEAT_RELOADS_RESULT] = reload->is_taken ? SLICE("taken") : SLICE("refused");
        row[BEAT_RELOADS_WORDS] = reload->words;
        count += BEAT_RELOADS_WIDTH;
    }
    fcall_send(fcall_new(&state->calls, VERB_BEAT, args, count), on_beat, asker);
}

/* ---- its end ---- */

void state_leave(struct state *state, state_done_fn on_done, void *arg)
{
    struct asker *asker = mem_new(sizeof(*asker));
    *asker = (struct asker){.on_done = on_done, .arg = arg};
    const struct slice args[LEAVE_ARGUMENTS] = {
        [LEAVE_NODE] = slice_of(state->node->id),
        [LEAVE_BOOT] = slice_of(state->node->boot),
    };
    fcall_send(fcall_new(&state->calls, VERB_LEAVE, args, LEAVE_ARGUMENTS), answer_done, asker);
}
