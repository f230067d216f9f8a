/* meaning.h - what an answer of a provider means, in words that all dialects share: what kind of
 * thing was said, of whom it speaks, and what follows for the request and for the subscription.
 * A dialect reads its signs from the head, when it comes, and says what they mean once it is known
 * what the body said. docs/answers.md has the whole list. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define ANSWER_CLASS_TABLE(X)                                                 \
    X(FINE, "fine")             /* served, or nothing to conclude from */     \
    X(REQUEST, "request")       /* the caller's own making */                 \
    X(CREDENTIAL, "credential") /* refused */                                 \
    X(CREDIT, "credit")         /* spent */                                   \
    X(DISABLED, "disabled")     /* until somebody mends the account */        \
    X(PERMISSION, "permission") /* not this credential for this request */    \
    X(WINDOW, "window")         /* a quota is used up until it begins anew */ \
    X(LIMITED, "limited")       /* too much at the moment */                  \
    X(RAMP, "ramp")             /* too much more than a moment ago */         \
    X(EXTRA, "extra")           /* beyond what the subscription includes */   \
    X(BARE, "bare")             /* too much, and no limit is named */         \
    X(BLOCKED, "blocked")       /* by what stands in front of the provider */ \
    X(OVERLOADED, "overloaded") /* the provider as a whole */                 \
    X(FAILED, "failed")         /* the provider's own fault */

/* The widest thing an answer speaks of. */
#define ANSWER_SCOPE_TABLE(X)                                     \
    X(REQUEST, "request")                                         \
    X(MODEL, "model")       /* and its family's own window */     \
    X(ENDPOINT, "endpoint") /* a group of paths with one limit */ \
    X(WINDOW, "window")     /* of the subscription: 5h, 7d */     \
    X(CREDENTIAL, "credential")                                   \
    X(SUBSCRIPTION, "subscription")                               \
    X(ADDRESS, "address") /* from which this node asks */         \
    X(PROVIDER, "provider")

/* For the request. */
#define FOR_REQUEST_TABLE(X)                                                  \
    X(VERBATIM, "verbatim")   /* the caller hears it as it is */              \
    X(ELSEWHERE, "elsewhere") /* the next subscription */                     \
    X(ONE_HOP, "one hop")     /* one other; if that says so too, verbatim */  \
    X(AGAIN, "again")         /* in a moment at the same one, or elsewhere */ \
    X(OURS, "ours")           /* elsewhere; if nobody serves it, our words */

/* For the subscription. */
#define FOR_SUBSCRIPTION_TABLE(X)                                            \
    X(NONE, "none")                                                          \
    X(COOL, "cool")               /* for the time given, or as configured */ \
    X(UNTIL_RESET, "until reset") /* of the window */                        \
    X(SUSPECT, "suspect")         /* believed when something confirms it */  \
    X(NO_CREDIT, "no_credit")     /* until it is paid for */                 \
    X(OUT, "out")                 /* until somebody mends it: an alert */    \
    X(PENALTY, "penalty")         /* less liked, not closed */

enum answer_class {
#define X(name, word) CLASS_##name,
    ANSWER_CLASS_TABLE(X)
#undef X
};
enum answer_scope {
#define X(name, word) SCOPE_##name,
    ANSWER_SCOPE_TABLE(X)
#undef X
};
enum for_request {
#define X(name, word) REQUEST_##name,
    FOR_REQUEST_TABLE(X)
#undef X
};
enum for_subscription {
#define X(name, word) SUBSCRIPTION_##name,
    FOR_SUBSCRIPTION_TABLE(X)
#undef X
};

const char *answer_class_word(enum answer_class class);
const char *answer_scope_word(enum answer_scope scope);

/* Paths that share limits, and what they may speak for. */
#define ENDPOINT_GROUP_TABLE(X)                                                                 \
    X(MESSAGES, "messages") /* what subscriptions are for: speaks for the credential */         \
    X(COUNTING, "counting") /* so does this, within limits of its own */                        \
    X(OWN, "own") /* known paths with limits and rights of their own: batches, files, models */ \
    X(OTHER, "other") /* whatever a caller may make up: speaks for nothing but itself */

enum endpoint_group {
#define X(name, word) GROUP_##name,
    ENDPOINT_GROUP_TABLE(X)
#undef X
};
const char *endpoint_group_word(enum endpoint_group group);

enum { WINDOW_NAME_MAX = 23 };

/* What an answer's head shows, kept until its body has been read. */
struct answer_signs {
    int status;
    enum endpoint_group group;
    uint64_t wall_ms;  /* when it came */
    bool has_retry;    /* it says when to come again: in */
    uint64_t retry_ms; /* so long */
    bool has_limits;   /* it names any limit */
    bool is_page;      /* a page for people: not the API's own words */
    bool is_low_lane;  /* what refused is a lane of low priority, not the subscription */
    bool is_unsure;    /* the limiter could not look, and says so */
    enum { CLOSED_NONE, CLOSED_LANE, CLOSED_FAMILY, CLOSED_WINDOW } closed; /* the widest of them */
    bool has_reset;
    uint64_t reset_ms;                /* until it opens; the latest of those as wide */
    bool has_refill;                  /* a limit of a key is used up */
    uint64_t refill_ms;               /* until it is not */
    char window[WINDOW_NAME_MAX + 1]; /* its name */
};

/* What an error says, in the body or in an event. Each may be empty. */
struct error_words {
    struct slice code, type, message;
};

struct meaning {
    int status; /* the answer's; of an error within a 200 the one that its type has */
    enum answer_class class;
    enum answer_scope scope;
    enum for_request request;
    enum for_subscription subscription;
    bool has_time;
    uint64_t time_ms;                 /* when it may be better; within bounds */
    const char *reason;               /* in words, for people */
    char window[WINDOW_NAME_MAX + 1]; /* CLASS_WINDOW: which */
};
