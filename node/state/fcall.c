/* One call of one function, from its arguments to its answer. The arguments stand in the same
 * allocation as the call, so it can be sent again as it was.
 *
 * A server that does not know the functions (it is new, was emptied, or took over from another)
 * answers "Function not found". Then the library is loaded once for all who wait, and they are
 * sent again in their order; a failed load answers all of them. A call that may not be sent at all
 * is refused from the loop, because no callback fires before its call returns. */
#include "state/fcall.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "net/redis/link.h"
#include "net/redis/value.h"
#include "state/functions.h"

enum {
    LOADS_MAX = 2
}; /* times one call may find the functions missing before that is its answer */

static const char *const verb_words[] = {
#define X(id, word) word,
    VERB_TABLE(X)
#undef X
};

static void send_again(struct fcall *call);

static void move_all(struct list *from, struct list *to)
{
    struct list *link;
    while ((link = list_pop(from)) != NULL)
        list_push(to, link);
}

static void refuse_all(void *arg)
{
    struct fcalls *calls = arg;
    struct list *link, refused;
    list_init(&refused);
    move_all(&calls->refused, &refused);
    while ((link = list_pop(&refused)) != NULL) {
        struct fcall *call = LIST_OWNER(link, struct fcall, link);
        call->on_reply(call, ERR_STATE_DOWN, NULL);
    }
}

void fcalls_init(struct fcalls *calls, struct loop *loop, struct redis *redis,
                 struct metrics *metrics, struct slice key)
{
    *calls = (struct fcalls){.loop = loop, .redis = redis, .metrics = metrics, .key = key};
    list_init(&calls->awaiting);
    list_init(&calls->refused);
    loop_task_init(&calls->refuse, refuse_all, calls);
    for (int verb = 0; verb < VERBS; verb++)
        snprintf(calls->names[verb], FUNCTION_NAME_MAX, "weir_%s_%s", verb_words[verb],
                 functions_version);
}

void fcalls_fini(struct fcalls *calls)
{
    while (!list_is_empty(&calls->refused))
        refuse_all(calls);
    loop_task_cancel(&calls->refuse);
    assert(list_is_empty(&calls->awaiting));
}

/* ---- giving a server the functions ---- */

static void load_library(struct redis *redis, struct slice source, redis_fn on_reply, void *arg)
{
    const struct slice args[] = {SLICE("FUNCTION"), SLICE("LOAD"), SLICE("REPLACE"), source};
    redis_call(redis, args, sizeof(args) / sizeof(args[0]), on_reply, arg);
}

static void log_load_failure(struct fcalls *calls, const struct redis_value *reply)
{
    if (!calls->has_failed &&
        log_begin(LOG_ERROR, "the functions could not be loaded into redis")) {
        log_text("reason", redis_value_slice(reply));
        log_end();
    }
    calls->has_failed = true;
}

/* The end of a call that was sent. */
static void conclude(struct fcall *call, enum err err, const struct redis_value *reply)
{
    if (err != OK && call->calls->metrics != NULL)
        metrics_add(call->calls->metrics, COUNT_REDIS_FAILURES, 1);
    call->on_reply(call, err, reply);
}

static void on_loaded(enum err err, const struct redis_value *reply, void *arg)
{
    struct fcalls *calls = arg;
    struct list *link, waiting;
    calls->is_loading = false;
    if (err == ERR_REPLY)
        log_load_failure(calls, reply);
    if (err == OK)
        calls->has_failed = false;
    list_init(&waiting);
    move_all(&calls->awaiting, &waiting);
    while ((link = list_pop(&waiting)) != NULL) {
        struct fcall *call = LIST_OWNER(link, struct fcall, link);
        if (err == OK)
            send_again(call);
        else
            conclude(call, err, reply);
    }
}

/* The operator's weir_status: pleasant to have, so a failure is only told. */
static void on_status_loaded(enum err err, const struct redis_value *reply, void *arg)
{
    (void)arg;
    if (err == ERR_REPLY && log_begin(LOG_WARN, "weir_status could not be loaded into redis")) {
        log_text("reason", redis_value_slice(reply));
        log_end();
    }
}

static void load(struct fcalls *calls)
{
    if (calls->is_loading)
        return;
    calls->is_loading = true;
    log_message(LOG_INFO, "loading functions %s into redis", functions_version);
    load_library(calls->redis, (struct slice){functions_source, functions_source_len}, on_loaded,
                 calls);
    load_library(calls->redis, (struct slice){functions_status_source, functions_status_source_len},
                 on_status_loaded, NULL);
}

/* ---- one call ---- */

static bool is_function_missing(enum err err, const struct redis_value *reply)
{
    return err == ERR_REPLY &&
           slice_starts_nocase(redis_value_slice(reply), SLICE("ERR Function not found"));
}

/* Behind those that were made before it: "not found" may be heard when younger ones wait. */
static void await(struct fcall *call)
{
    struct list *after = call->calls->awaiting.previous;
    while (after != &call->calls->awaiting &&
           LIST_OWNER(after, struct fcall, link)->order > call->order)
        after = after->previous;
    list_push(after->next, &call->link);
}

static void on_answer(enum err err, const struct redis_value *reply, void *arg)
{
    struct fcall *call = arg;
    if (is_function_missing(err, reply) && call->loads < LOADS_MAX) {
        call->loads++;
        await(call);
        load(call->calls);
        return;
    }
    conclude(call, err, reply);
}

static void send_again(struct fcall *call)
{
    redis_call(call->calls->redis, call->args, call->count, on_answer, call);
}

struct fcall *fcall_new(struct fcalls *calls, enum verb verb, const struct slice *args,
                        size_t count)
{
    size_t bytes = 0, total = FCALL_HEAD_ARGS + count;
    assert(count <= FCALL_ARGS_MAX);
    for (size_t i = 0; i < count; i++)
        bytes += args[i].len;
    struct fcall *call = mem_resize(NULL, sizeof(*call) + total * sizeof(struct slice) + bytes);
    *call = (struct fcall){.calls = calls, .count = total};
    list_init(&call->owner_link);
    list_init(&call->link);
    call->args[0] = SLICE("FCALL");
    call->args[1] = slice_of(calls->names[verb]);
    call->args[2] = SLICE("1");
    call->args[3] = calls->key;
    char *to = (char *)&call->args[total];
    for (size_t i = 0; i < count; i++) {
        call->args[FCALL_HEAD_ARGS + i] = (struct slice){to, args[i].len};
        if (args[i].len > 0)
            memcpy(to, args[i].at, args[i].len);
        to += args[i].len;
    }
    return call;
}

void fcall_free(struct fcall *call)
{
    if (call == NULL)
        return;
    list_remove(&call->owner_link);
    list_remove(&call->link);
    free(call);
}

void fcall_send(struct fcall *call, fcall_fn on_reply, void *arg)
{
    call->on_reply = on_reply;
    call->arg = arg;
    call->loads = 0;
    call->order = ++call->calls->sent;
    if (call->calls->is_loading)
        await(call);
    else
        send_again(call);
}

void fcall_refuse(struct fcall *call, fcall_fn on_reply, void *arg)
{
    call->on_reply = on_reply;
    call->arg = arg;
    list_push(&call->calls->refused, &call->link);
    loop_defer(call->calls->loop, &call->calls->refuse);
}
