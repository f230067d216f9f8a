/* fcall.h - one call of one Redis function, kept until it is answered, so that it can be asked
 * again. A server that does not know our functions is given them, once for all calls that found
 * out, and each is asked again, in the order in which they were made. The verbs and their arguments
 * are those of lua/calls.def, of which the build makes state/calls.h. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"
#include "loop/loop.h"
#include "state/calls.h"

struct metrics;
struct redis;
struct redis_value;
struct fcall;

enum verb {
#define X(id, word) VERB_##id,
    VERB_TABLE(X)
#undef X
        VERBS
};

enum {
    FCALL_ARGS_MAX = 3100,
    FCALL_HEAD_ARGS = 4, /* FCALL name 1 key */
    FUNCTION_NAME_MAX = 32
};

/* What all calls of one state share. */
struct fcalls {
    struct loop *loop;
    struct redis *redis;
    struct metrics *metrics;              /* or NULL: failures are counted here, where it is known
                                             which are mended by asking again */
    struct slice key;                     /* KEYS[1]; borrowed */
    char names[VERBS][FUNCTION_NAME_MAX]; /* weir_<verb>_<version> */
    struct list awaiting;                 /* calls that wait for the functions, by `order` */
    uint64_t sent;                        /* so many */
    bool is_loading;
    bool has_failed;     /* the functions could not be loaded, and that has been logged */
    struct list refused; /* calls that fail later in this turn */
    struct loop_task refuse;
};

void fcalls_init(struct fcalls *calls, struct loop *loop, struct redis *redis,
                 struct metrics *metrics, struct slice key);
void fcalls_fini(struct fcalls *calls); /* after redis_free(): every call has been answered */

/* reply: borrowed, NULL unless err is OK or ERR_REPLY (then an error reply). The call may be sent
 * again or freed here. */
typedef void (*fcall_fn)(struct fcall *call, enum err err, const struct redis_value *reply);

struct fcall {
    struct list owner_link; /* for its owner's lists */
    struct list link;       /* private, as is what follows `tries` */
    fcall_fn on_reply;
    void *arg;
    unsigned tries; /* for its owner to count */
    struct fcalls *calls;
    unsigned loads;
    uint64_t order; /* of sending: what waits for the functions keeps it */
    size_t count;
    struct slice args[]; /* the whole command; the bytes stand behind */
};

/* Yours until freed. The arguments are copied. */
struct fcall *fcall_new(struct fcalls *calls, enum verb verb, const struct slice *args,
                        size_t count);
void fcall_free(struct fcall *call);
void fcall_send(struct fcall *call, fcall_fn on_reply, void *arg);
/* Instead of sending: answered with ERR_STATE_DOWN later in this turn. */
void fcall_refuse(struct fcall *call, fcall_fn on_reply, void *arg);
