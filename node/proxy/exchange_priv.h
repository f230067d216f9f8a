/* exchange_priv.h - the table of steps, and what the files of an exchange share.
 *
 * A step is a row here and a file step_<word>.c, which makes its `struct step`. Step files know
 * this header and nothing of each other. exchange_go() is the only way on: it checks the move,
 * traces it and calls the next step's `enter`. Whoever calls it returns at once, for x may be
 * gone by then. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metrics.h"
#include "config/config.h"
#include "dialect/dialect.h"
#include "dialect/watch.h"
#include "loop/loop.h"
#include "net/http/answer.h"
#include "net/http/upstream.h"
#include "proxy/doubt.h"
#include "proxy/exchange.h"
#include "proxy/heard.h"
#include "proxy/move.h"
#include "proxy/pace.h"
#include "proxy/proxy.h"
#include "proxy/retry_budget.h"
#include "proxy/verdict.h"
#include "refusal/tried.h"
#include "state/history.h"
#include "state/lease.h"
#include "state/state.h"

#define TO(NAME) (1U << STEP_##NAME)
#define STEP_TABLE(X)                                                                       \
    /* ask Redis for a slot; again, if it lends a subscription we do not have */            \
    X(ADMIT, admit, TO(ADMIT) | TO(WAIT) | TO(SEND) | TO(ANSWER) | TO(FINISH))              \
    /* all is full: in line, until the pool grants one */                                   \
    X(WAIT, wait, TO(ADMIT) | TO(SEND) | TO(ANSWER) | TO(FINISH))                           \
    /* the request goes up, until the head of an answer comes */                            \
    X(SEND, send, TO(SEND) | TO(RELAY) | TO(COLLECT) | TO(ADMIT) | TO(ANSWER) | TO(FINISH)) \
    /* an error is read to its end: what it says decides whose it is */                     \
    X(COLLECT, collect, TO(RELAY) | TO(AGAIN) | TO(ADMIT) | TO(ANSWER) | TO(FINISH))        \
    /* the answer passes; elsewhere if it fails before it has said anything */              \
    X(RELAY, relay, TO(AGAIN) | TO(ADMIT) | TO(ANSWER) | TO(FINISH))                        \
    /* in a moment the same subscription is asked once more */                              \
    X(AGAIN, again, TO(SEND) | TO(ANSWER) | TO(FINISH))                                     \
    /* our own words, or the last provider's error as it was */                             \
    X(ANSWER, answer, TO(FINISH))                                                           \
    /* one log line, metrics, memory */                                                     \
    X(FINISH, finish, 0)

enum step_name {
#define X(NAME, word, to) STEP_##NAME,
    STEP_TABLE(X)
#undef X
        STEPS
};

enum { HELD_MAX = 256 * 1024 }; /* of an answer that is kept until it is decided whose it is */

/* Of the lines before the last, which may have 8 KiB. */
enum { KEPT_LINES_MAX = HISTORY_LINES_MAX / 3 };

struct upstream_event {
    enum { UPSTREAM_HEAD, UPSTREAM_BODY, UPSTREAM_FAILED } kind;
    const struct http1_response *head;
    const struct slice *pieces; /* BODY; of FAILED, what came before it while in doubt (doubt.h) */
    unsigned count;
    bool is_end;  /* BODY: the call is over */
    enum err err; /* FAILED: likewise */
    const char *detail;
};

/* What a step does when something happens to it. NULL: that cannot happen in it. Each may end x. */
struct step {
    void (*enter)(struct exchange *x); /* begins at most one operation */
    void (*on_upstream)(struct exchange *x, const struct upstream_event *event);
    void (*on_taken)(struct exchange *x); /* the caller took some of what waits; NULL: no matter */
    void (*on_gone)(struct exchange *x);  /* the caller has left */
    void (*on_stop)(struct exchange *x, const char *why); /* it must end: see exchange_stop() */
};
#define X(NAME, word, to) extern const struct step step_##word;
STEP_TABLE(X)
#undef X

enum ending { ENDING_OK, ENDING_GONE, ENDING_BROKEN, ENDING_REFUSED, ENDING_ERROR };

/* What all exchanges of a worker share. */
struct proxy {
    struct loop *loop;
    struct state *state;
    struct upstream *upstream;
    struct metrics *metrics;
    struct retry_budget *retries; /* of all workers */
    const struct node_identity *node;
    unsigned worker;
    struct config *config; /* one reference; exchanges hold their own */
    struct list exchanges; /* in progress */
    size_t exchange_count;
    uint64_t sequence; /* for request ids */
    struct pace pace;  /* of streams */
};

/* What was asked; the same through all attempts. */
struct request {
    struct http_message message;
    const struct dialect *dialect;
    struct slice body; /* of the message, until all of it has gone up */
    size_t body_bytes;
    struct slice id;
    struct slice client;
    struct request_facts facts;
    struct slice labels,
        model_label;      /* for what is closed to such requests only: all; one of them */
    struct slice tried;   /* names of subscriptions, separated by one space */
    unsigned attempts;    /* requests that went up */
    unsigned sent_again;  /* of them, because a connection was at its end */
    unsigned places;      /* subscriptions they went to */
    uint64_t patience_ms; /* how long the caller would wait for a slot, by his own word; 0: none */
};

/* The subscription the last attempt went to, and why to that one. All zero before there is any. */
struct route {
    const struct subscription *subscription; /* of x->config */
    struct slice how;
    uint32_t slots_used, slots; /* of it, when it was chosen */
};

/* One try at one subscription. attempt_begin() makes a new one, attempt_end() ends it. */
struct attempt {
    struct admission *admission;    /* NULL: Redis is not asked */
    struct lease *lease;            /* the exchange's, or the move's */
    struct upstream_call *upstream; /* NULL: none, or over */
    struct answer_signs signs;      /* of the answer's head */
    struct quota quota;             /* the same */
    struct meaning meaning;
    struct verdict verdict;
    int status;          /* the provider's, or what its words amount to; 0: no answer */
    unsigned tries;      /* requests that went up, of this attempt */
    uint64_t started_ns; /* the last of them */
    struct deadline deadline;
};

/* In line for a slot; of all attempts together. */
struct wait {
    uint64_t since_ns; /* 0: it does not stand there now */
    uint64_t total_ns; /* of the times before */
    struct refusal why;
    struct deadline deadline;
};

/* A provider's head, kept until it is decided that it is the caller's. */
struct kept_head {
    int status;
    struct slice reason;
    struct http1_header *headers;
    unsigned header_count;
    enum http1_framing framing;
    uint64_t length;
    bool is_sse;
    bool is_json;
    bool is_coded;    /* has a content-encoding: nothing of ours can be put between */
    bool is_readable; /* by `coding` */
    enum coding coding;
};

/* What the caller gets. */
struct reply {
    struct kept_head head;
    struct watch *watch;                 /* NULL: nothing to read in this answer */
    struct buf held;                     /* its first bytes, while it is not decided whose it is */
    bool has_all;                        /* no more will come */
    const struct upstream_event *unheld; /* came behind it; for the next step's `enter` only */
    bool has_begun;                      /* the head has been given to the caller's side */
    bool is_paused;                      /* the provider waits for the caller */
    bool is_trailing;   /* all is said; the end of coding and framing is not here */
    uint64_t passed_ms; /* loop_now_ms() when a byte was last passed on */
    int status;
    struct slice reason; /* why it is not what was asked for, in our words; empty: it is */
    uint64_t bytes;
    struct usage usage; /* as booked */
};

/* The last provider's error that may speak of this request, should no other attempt follow. */
struct last_error {
    struct kept_head head;
    struct buf body;
    bool is_whole;      /* head and body can be passed on */
    int status;         /* else this is said; 0: no attempt got an answer */
    const char *reason; /* with this */
    enum err err;       /* of the last attempt that got none */
};

struct times {
    uint64_t admitted_ns, first_byte_ns, out_ns;
    uint64_t waited_ns; /* for providers: not our overhead */
};

struct exchange {
    struct list link; /* proxy->exchanges */
    struct proxy *proxy;
    struct config *config;     /* a reference */
    struct connection *caller; /* NULL: has left, or has its whole answer */
    enum step_name step;       /* exchange_go() writes it */
    enum ending ending;        /* once it is known */
    struct request request;
    struct route route;
    struct lease lease;
    struct attempt attempt;
    struct wait wait;
    struct move move;
    struct reply reply;
    struct own_words words; /* status 0: as those that were tried have it */
    struct tried tried;
    struct last_error last_error;
    struct heard heard;      /* of the last that was asked */
    struct slice heard_ids;  /* all that providers gave this request, one space between; at most */
    unsigned heard_id_count; /* HISTORY_OTHERS_MAX */
    struct log_kept kept;
    struct doubt doubt;
    struct times times;
};

/* exchange.c */
extern const struct upstream_events exchange_upstream_events; /* for upstream_send(); arg: x */
const char *exchange_step_word(const struct exchange *x);     /* where it is */
bool exchange_may_go(enum step_name from, enum step_name to);
void exchange_go(struct exchange *x, enum step_name step);
void exchange_end(struct exchange *x, enum ending ending); /* to FINISH */
/* To ANSWER, with words of our own. `text` is copied. */
void exchange_say(struct exchange *x, int status, uint64_t retry_ms, const char *text);
void exchange_tell(struct exchange *x, const struct upstream_event *event);
/* Begins a log line about x, which is kept for `weir why` unless it is for debugging: its id and
 * client; false: below the level. Then as after log_begin(). */
MUST_USE bool exchange_log(struct exchange *x, enum log_level level, const char *event);

/* head.c */
void head_keep(struct exchange *x, const struct http1_response *response, struct kept_head *head);
void head_begin(struct exchange *x, const struct kept_head *head); /* the answer begins with it */

/* judge.c */
/* What the present answer means, by its head and by what its body said so far. True: it is not for
 * the caller, and noted; attempt_failed() then. False: it is his. */
MUST_USE bool judge_answer(struct exchange *x);

/* attempt.c */
void attempt_begin(struct exchange *x);
void attempt_begin_with(struct exchange *x, struct lease *lease); /* that is held already */
/* Ask for a slot where nobody has tried yet. on_queued: if all is full it may stand in line; NULL:
 * it is refused then. */
struct admission *attempt_admit(struct exchange *x, struct lease *lease, state_admit_fn on_admitted,
                                state_queued_fn on_queued);
/* step_wait.c */
uint64_t wait_left_ms(const struct exchange *x); /* it may still wait so long; 0: no longer */
void wait_end(struct exchange *x);               /* it stands in line no more; if it did */
/* It was granted there, which is remembered as tried. False: the configuration has it not. */
MUST_USE bool attempt_route(struct exchange *x, const struct grant *grant);
/* Whatever of it still runs is given up; a held lease is settled. Twice is fine. */
void attempt_end(struct exchange *x, enum outcome outcome);
/* It led nowhere: once more, the next one, or the answer. */
void attempt_failed(struct exchange *x);
void attempt_no_answer(struct exchange *x, enum err err, const char *detail); /* likewise */
/* What the last provider said in full is no use to anybody any more: memory back. */
void attempt_forget_error(struct exchange *x);
/* Holds these bytes of the present answer back. False: that would be too much, and it does not. */
MUST_USE bool attempt_hold(struct exchange *x, const struct slice *pieces, unsigned count);
/* on_gone and on_stop of a step in which no answer has begun. */
void attempt_left(struct exchange *x);
void attempt_stopped(struct exchange *x, const char *why);
