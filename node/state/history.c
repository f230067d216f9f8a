/* history.c - requests are gathered in one buffer, become a call when it is full or a second is
 * over, and the calls go out one after the other. Giving a request twice keeps it once, so what may
 * have arrived is simply sent again. */
#include "state/history.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/name.h"
#include "net/redis/link.h"
#include "state/state_priv.h"

enum { ID_BYTES_MAX = 128, SEND_BYTES = TINY(64 * 1024, 1) };

bool history_is_id(struct slice id)
{
    return id.len > 0 && id.len <= ID_BYTES_MAX && name_is_clean(id);
}

void history_init(struct history *history)
{
    list_init(&history->waiting);
    buf_init(&history->gathered, HISTORY_WAITING_MAX);
}

static void lose(struct state *state, enum counter why, size_t requests)
{
    if (state->metrics != NULL)
        metrics_add(state->metrics, why, requests);
    if (why == COUNT_HISTORY_LOST)
        state->history.lost += requests;
}

/* ---- on their way ---- */

static size_t requests_of(const struct fcall *call)
{
    return (call->count - FCALL_HEAD_ARGS - REMEMBER_ARGUMENTS) / REMEMBER_REQUESTS_WIDTH;
}

static size_t bytes_of(const struct fcall *call)
{
    size_t bytes = 0;
    for (size_t i = FCALL_HEAD_ARGS; i < call->count; i++)
        bytes += call->args[i].len;
    return bytes;
}

static void forget(struct state *state, struct fcall *call)
{
    state->history.count -= requests_of(call);
    state->history.waiting_bytes -= bytes_of(call);
    fcall_free(call);
}

static void send_next(struct state *state);

/* Redis is there and does not take it: it has no memory for this, or somebody changed something. */
static void on_refused(struct state *state, struct fcall *call, struct slice reason)
{
    if (!state->history.was_refusal_logged &&
        log_begin(LOG_WARN, "redis does not take what `weir why` would find")) {
        log_text("reason", reason);
        log_end();
    }
    state->history.was_refusal_logged = true;
    lose(state, COUNT_HISTORY_LOST, requests_of(call));
    forget(state, call);
}

static void on_answer(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct state *state = call->arg;
    struct history *h = &state->history;
    h->sent = NULL;
    if (err == ERR_REPLY) {
        on_refused(state, call, redis_value_slice(reply));
    } else if (err != OK) {
        list_push(h->waiting.next, &call->owner_link); /* it was the first */
    } else {
        h->was_refusal_logged = false;
        forget(state, call);
    }
    send_next(state);
}

static void send_next(struct state *state)
{
    struct history *h = &state->history;
    if (h->sent != NULL || !redis_is_up(state->redis))
        return;
    struct list *link = list_pop(&h->waiting);
    if (link == NULL)
        return;
    h->sent = LIST_OWNER(link, struct fcall, owner_link);
    fcall_send(h->sent, on_answer, state);
}

/* ---- gathering ---- */

static struct slice next(struct slice *rest, size_t len)
{
    struct slice part = {rest->at, len};
    *rest = slice_from(*rest, len);
    return part;
}

/* What is gathered becomes a call. */
static void close_batch(struct state *state)
{
    struct history *h = &state->history;
    struct slice args[REMEMBER_ARGUMENTS + HISTORY_BATCH_MAX * REMEMBER_REQUESTS_WIDTH];
    struct slice rest = buf_slice(&h->gathered);
    char max[NUMBER_TEXT_MAX];
    size_t n = 0;
    if (h->gathered_count == 0)
        return;
    args[REMEMBER_MAX] = number_decimal(h->max, max);
    for (size_t i = 0; i < h->gathered_count; i++) {
        struct slice *row = args + REMEMBER_ARGUMENTS + i * REMEMBER_REQUESTS_WIDTH;
        row[REMEMBER_REQUESTS_ID] = next(&rest, h->lengths[i].id);
        row[REMEMBER_REQUESTS_OTHERS] = next(&rest, h->lengths[i].others);
        row[REMEMBER_REQUESTS_LINES] = next(&rest, h->lengths[i].lines);
    }
    n = REMEMBER_ARGUMENTS + h->gathered_count * REMEMBER_REQUESTS_WIDTH;
    struct fcall *call = fcall_new(&state->calls, VERB_REMEMBER, args, n);
    h->waiting_bytes += bytes_of(call);
    list_push(&h->waiting, &call->owner_link);
    h->gathered_count = 0;
    buf_clear(&h->gathered);
}

void state_flush_history(struct state *state)
{
    close_batch(state);
    send_next(state);
}

static bool has_room(const struct history *h, const struct finished_request *r)
{
    size_t bytes = r->id.len + r->others.len + r->lines.len;
    return r->lines.len <= HISTORY_LINES_MAX &&
           h->waiting_bytes + buf_len(&h->gathered) + bytes <= HISTORY_WAITING_MAX;
}

static void gather(struct history *h, const struct finished_request *r)
{
    bool fits = buf_append(&h->gathered, r->id) && buf_append(&h->gathered, r->others) &&
                buf_append(&h->gathered, r->lines);
    assert(fits); /* has_room() */
    (void)fits;
    h->lengths[h->gathered_count].id = (uint16_t)r->id.len;
    h->lengths[h->gathered_count].others = (uint16_t)r->others.len;
    h->lengths[h->gathered_count++].lines = (uint16_t)r->lines.len;
    h->count++;
}

void state_remember(struct state *state, const struct finished_request *request, uint32_t max)
{
    struct history *h = &state->history;
    if (max == 0)
        return;
    if (request->is_stranger && ++h->strangers > HISTORY_STRANGERS_MAX) {
        lose(state, COUNT_HISTORY_STRANGERS, 1);
        return;
    }
    if (!has_room(h, request)) {
        lose(state, COUNT_HISTORY_LOST, 1);
        return;
    }
    h->max = max;
    gather(h, request);
    if (h->gathered_count == HISTORY_BATCH_MAX || buf_len(&h->gathered) >= SEND_BYTES)
        state_flush_history(state);
}

size_t state_history_count(const struct state *state)
{
    return redis_is_up(state->redis) ? state->history.count : 0;
}

/* ---- time, and the end ---- */

/* Told when it is over: while Redis is away there would be a line a second. */
static void tell_lost(struct history *h)
{
    if (h->lost == h->told || h->waiting_bytes > HISTORY_WAITING_MAX / 2)
        return;
    if (log_begin(LOG_WARN, "finished requests will not be found by `weir why`: too many waited "
                            "for redis, or it refused them; the log has them")) {
        log_number("requests", h->lost - h->told);
        log_end();
    }
    h->told = h->lost;
}

void history_tick(struct state *state)
{
    state->history.strangers = 0;
    if (!redis_is_up(state->redis))
        return; /* what waits waits in as few calls as can be */
    state_flush_history(state);
    tell_lost(&state->history);
}

void history_fini(struct state *state)
{
    struct history *h = &state->history;
    struct list *link;
    lose(state, COUNT_HISTORY_LOST, h->count);
    tell_lost(h);
    while ((link = list_pop(&h->waiting)) != NULL)
        fcall_free(LIST_OWNER(link, struct fcall, owner_link));
    buf_fini(&h->gathered);
}

/* ---- asking ---- */

struct asker {
    state_recalled_fn on_recalled;
    void *arg;
};

static void on_recalled(struct fcall *call, enum err err, const struct redis_value *reply)
{
    struct asker *asker = call->arg;
    struct recalled r = {0};
    if (err == ERR_REPLY) {
        r.message = redis_value_slice(reply);
    } else if (slice_eq(redis_value_slice(redis_value_at(reply, 0)), SLICE("found"))) {
        r.is_found = true;
        r.id = redis_value_slice(redis_value_at(reply, 1));
        r.lines = redis_value_slice(redis_value_at(reply, 2));
    } else if (err == OK) {
        r.since_ms = redis_value_number(redis_value_at(reply, 1));
        r.count = redis_value_number(redis_value_at(reply, 2));
        r.now_ms = redis_value_number(redis_value_at(reply, 3));
        r.node = redis_value_slice(redis_value_at(reply, 4));
    }
    fcall_free(call);
    asker->on_recalled(err, &r, asker->arg);
    free(asker);
}

void state_recall(struct state *state, struct slice id, state_recalled_fn on_recalled_fn, void *arg)
{
    struct asker *asker = mem_new(sizeof(*asker));
    *asker = (struct asker){on_recalled_fn, arg};
    const struct slice args[RECALL_ARGUMENTS] = {[RECALL_ID] = id};
    fcall_send(fcall_new(&state->calls, VERB_RECALL, args, RECALL_ARGUMENTS), on_recalled, asker);
}
