/* clang-format off: the map keeps its lines */
/* exchange.h - the life of one proxied request, from its first to its last byte.
 *
 *                    caller            exchange              Redis            provider
 *   RECEIVE   who, what         <----- request, whole
 *   ADMIT     exchange_admit                  ---- admit --->
 *   SEND      exchange_send                                        ---- request --->
 *   COLLECT   an answer that sends us elsewhere is read to its end, kept in case it was the last
 *   RELAY     exchange_relay    <----- bytes as they come, looked at by watch, counted
 *   ANSWER    exchange_answer   <----- our own words, or the last provider's error as it was
 *   FINISH    one log line, metrics, memory
 * Each attempt's lease is settled when the attempt is over: after COLLECT, at the end of RELAY, or
 * when the caller or the provider breaks off.
 *
 * Moves, and where each is made:
 *   RECEIVE -> ADMIT                exchange_open
 *   RECEIVE -> ANSWER               exchange_open: may not, or is not passed on
 *   ADMIT   -> SEND                 on_granted
 *   ADMIT   -> ANSWER               on_admitted: nothing free, Redis away
 *   SEND    -> RELAY                on_head: the caller's answer
 *   SEND    -> COLLECT              on_head: the verdict says next
 *   SEND, COLLECT, RELAY -> ADMIT   exchange_attempt_over: another try; of RELAY, if no byte went
 * out SEND, COLLECT, RELAY -> ANSWER  exchange_attempt_over: no try is left; exchange_broken RELAY
 * -> FINISH               relay_end, break_off ANSWER  -> FINISH exchange_answer_error,
 * exchange_answer_last_error any     -> FINISH               on_gone; from ADMIT only once Redis
 * has answered
 *
 * Invariants: (1) no byte goes up without a held lease; (2) every lease is settled exactly once;
 * (3) after a byte of an answer has gone to the caller there is no other attempt; (4) a caller who
 * leaves ends the provider's request in the same loop turn; (5) every step that waits has a
 * deadline: of the Redis call, of the upstream call, of the caller's taking. */
/* clang-format on */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "dialect/watch.h"
#include "loop/loop.h"
#include "net/http/answer.h"
#include "proxy/proxy.h"
#include "proxy/verdict.h"

#define STEP_TABLE(X)     \
    X(RECEIVE, "receive") \
    X(ADMIT, "admit")     \
    X(SEND, "send")       \
    X(COLLECT, "collect") \
    X(RELAY, "relay")     \
    X(ANSWER, "answer")   \
    X(FINISH, "finish")

enum step {
#define X(name, word) STEP_##name,
    STEP_TABLE(X)
#undef X
};

enum ending { ENDING_OK, ENDING_GONE, ENDING_BROKEN, ENDING_REFUSED, ENDING_ERROR };

enum {
    ERROR_BODY_MAX = 256 * 1024, /* of a provider's error that is kept to be passed on */
    COLLECT_MS = 3000,           /* and how long we wait for its end */
    HELD_MAX = 512 * 1024        /* kept while a lease is in doubt */
};

/* One try at one subscription. */
struct attempt {
    struct lease lease;
    const struct subscription *subscription; /* of x->config */
    struct upstream_call *upstream;          /* NULL: none, or over */
    struct verdict verdict;
    int status; /* the provider's; 0: no answer */
    uint64_t started_ns;
};

/* A provider's head, kept until the first byte of its body decides that it is the caller's. */
struct kept_answer {
    int status;
    struct slice reason;
    struct http1_header *headers;
    unsigned header_count;
    enum http1_framing framing;
    uint64_t length;
    bool is_sse;
    bool is_coded; /* has a content-encoding: nothing of ours can be put between */
};

struct exchange {
    struct list link; /* proxy->exchanges */
    struct proxy *proxy;
    struct config *config;   /* a reference */
    struct connection *call; /* NULL: the caller has gone */
    struct http_message message;
    enum step step;

    /* the request */
    struct slice body; /* of the message, until all of it has gone up */
    size_t body_bytes;
    struct slice id;
    struct slice client;
    struct slice model;
    struct slice tried; /* names of subscriptions, separated by one space */
    unsigned attempts;
    struct slice how;           /* why the present subscription was chosen */
    uint32_t slots_used, slots; /* of it, when it was chosen */

    struct attempt attempt;
    struct kept_answer answer;
    struct watch *watch; /* NULL: nothing to read in this answer */
    bool has_begun;      /* the head has been given to the caller's side */
    bool is_paused;

    /* the last provider's error */
    struct buf error_body;
    bool is_error_whole; /* error_answer and error_body can be passed on */
    struct kept_answer error_answer;
    enum err last_err; /* of an attempt that got no answer */
    struct deadline collect_deadline;

    /* bytes that came while the lease was in doubt */
    struct buf held;
    bool has_held_end;
    struct renewal_wait renewal;

    /* for the log line and the metrics */
    int status;
    uint64_t bytes_down;
    uint64_t head_ns, complete_ns, admitted_ns, first_byte_ns, out_ns, waited_ns;
    struct usage usage;
};

/* exchange.c */
void exchange_open(struct proxy *proxy, struct connection *call, struct http_message *message);
void exchange_go(struct exchange *x, enum step step); /* the only writer of x->step */
void exchange_admit(struct exchange *x);
void exchange_finish(struct exchange *x, enum ending ending); /* frees x */

/* exchange_send.c */
void exchange_send(struct exchange *x);
void exchange_attempt_over(
    struct exchange *x); /* the attempt failed: the next one, or the answer */
void exchange_settle(struct exchange *x, enum outcome outcome);

/* exchange_relay.c */
void exchange_relay_start(struct exchange *x, const struct http1_response *response);
void exchange_relay(struct exchange *x, const struct slice *pieces, unsigned count, bool is_end);
void exchange_relay_failed(struct exchange *x, enum err err, const char *detail);
void exchange_relay_drained(struct exchange *x);
void exchange_lease_lost(struct exchange *x);
/* No more can come, for a reason of ours: the error answer, or the end of the one begun. */
void exchange_broken(struct exchange *x, const char *message);
void exchange_keep_answer(struct exchange *x, const struct http1_response *response,
                          struct kept_answer *kept);
void exchange_begin(struct exchange *x, const struct kept_answer *kept);

/* exchange_answer.c */
void exchange_answer_refused(struct exchange *x, const struct refusal *refusal);
void exchange_answer_error(struct exchange *x, int status, uint64_t retry_ms, const char *message);
void exchange_answer_last_error(struct exchange *x); /* what the last provider said, or why not */
