/* One call, one answer. What Redis says of a wrong argument begins with the argument's name. */
#include "state/mend.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "state/state_priv.h"

struct asker {
    state_opened_fn on_opened;
    state_strategy_fn on_set;
    state_asked_fn on_asked;
    void *arg;
};

/* Without what Redis puts around the library's words. */
static struct slice words_of(struct slice reply)
{
    static const char before[] = "ERR weir: ", behind[] = " script: ";
    if (slice_starts(reply, slice_of(before)))
        reply = slice_from(reply, sizeof(before) - 1);
    const char *end = memmem(reply.at, reply.len, behind, sizeof(behind) - 1);
    return end == NULL ? reply : (struct slice){reply.at, (size_t)(end - reply.at)};
}

static void on_opened_answer(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct asker *asker = call->arg;
    struct opening opening = {0};
    if (err == OK) {
        opening.left_ms = redis_value_number(redis_value_at(reply, 1));
        opening.lifted = redis_value_slice(redis_value_at(reply, 2));
    } else if (err == ERR_REPLY) {
        opening.message = words_of(redis_value_slice(reply));
        opening.is_unknown = slice_starts(opening.message, SLICE("name: "));
    }
    fcall_free(call);
    asker->on_opened(err, &opening, asker->arg);
    free(asker);
}

void state_open(struct state *state, struct slice name, struct slice who, state_opened_fn on_opened,
                void *arg)
{
    struct asker *asker = mem_new(sizeof(*asker));
    *asker = (struct asker){.on_opened = on_opened, .arg = arg};
    const struct slice args[OPEN_ARGUMENTS + OPEN_BY_WIDTH] = {
        [OPEN_NAME] = name, [OPEN_ARGUMENTS + OPEN_BY_WHO] = who};
    fcall_send(fcall_new(&state->calls, VERB_OPEN, args, OPEN_ARGUMENTS + OPEN_BY_WIDTH),
               on_opened_answer, asker);
}

static void on_strategy_answer(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct asker *asker = call->arg;
    struct strategy_change change = {0};
    if (err == OK) {
        change.holds = redis_value_slice(redis_value_at(reply, 1));
        change.was = redis_value_slice(redis_value_at(reply, 2));
    } else if (err == ERR_REPLY) {
        change.message = words_of(redis_value_slice(reply));
        change.is_unknown = slice_starts(change.message, SLICE("strategy: "));
    }
    fcall_free(call);
    asker->on_set(err, &change, asker->arg);
    free(asker);
}

void state_set_strategy(struct state *state, struct slice strategy, struct slice who,
                        state_strategy_fn on_set, void *arg)
{
    struct asker *asker = mem_new(sizeof(*asker));
    *asker = (struct asker){.on_set = on_set, .arg = arg};
    const struct slice args[STRATEGY_ARGUMENTS + STRATEGY_BY_WIDTH] = {
        [STRATEGY_STRATEGY] = strategy, [STRATEGY_ARGUMENTS + STRATEGY_BY_WHO] = who};
    fcall_send(
        fcall_new(&state->calls, VERB_STRATEGY, args, STRATEGY_ARGUMENTS + STRATEGY_BY_WIDTH),
        on_strategy_answer, asker);
}

static void on_asked_answer(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct asker *asker = call->arg;
    uint64_t asked = err == OK ? redis_value_number(redis_value_at(reply, 1)) : 0;
    struct slice message = err == ERR_REPLY ? words_of(redis_value_slice(reply)) : SLICE_NONE;
    fcall_free(call);
    asker->on_asked(err, asked, message, asker->arg);
    free(asker);
}

void state_ask_reload(struct state *state, struct slice who, state_asked_fn on_asked, void *arg)
{
    struct asker *asker = mem_new(sizeof(*asker));
    *asker = (struct asker){.on_asked = on_asked, .arg = arg};
    const struct slice args[RELOAD_ARGUMENTS + RELOAD_BY_WIDTH] = {
        [RELOAD_WHICH] = SLICE("all"), [RELOAD_ARGUMENTS + RELOAD_BY_WHO] = who};
    fcall_send(fcall_new(&state->calls, VERB_RELOAD, args, RELOAD_ARGUMENTS + RELOAD_BY_WIDTH),
               on_asked_answer, asker);
}
