/* meaning_priv.h - what the machine that says what an answer means (meaning.c) and the dialects'
 * tables for it (anthropic_meaning.c, openai_meaning.c) share.
 *
 * A table is rows, read from above: the first that fits is what an answer means. A row may name an
 * error's code, its type, words of its message, a status; what it does not name may be anything. So
 * codes stand first, then types, then wording within a status, and statuses last. What a 429 means
 * is for its headers to say; and a path that does not speak for a credential draws no conclusion
 * about one. */
#pragma once
#include "dialect/meaning.h"

struct effect {
    enum answer_class class;
    enum answer_scope scope;
    enum for_request request;
    enum for_subscription subscription;
};

/* Where the time stands at which it may be better, if the head does not say it. */
enum time_of { AS_TOLD, MONTHS_END, DATE_IN_TEXT, IN_TEN_SECONDS, LIMITS };

struct meaning_row {
    int status;          /* 0: any */
    const char *code;    /* NULL: any; a '*' at its end: any that begin so */
    const char *type;    /* NULL: any */
    const char *wording; /* NULL: any; else the message holds it */
    struct effect effect;
    enum time_of time; /* LIMITS: headers, or else words, say what is meant and until when */
    const char *reason;
};

struct meaning_table {
    const struct meaning_row *rows;
    unsigned count;
    int (*error_status)(const struct error_words *said); /* of an error in a 200 */
};

/* clang-format off */
/* Class, scope, and both consequences: what many rows have in common. */
#define CALLERS {CLASS_REQUEST, SCOPE_REQUEST, REQUEST_VERBATIM, SUBSCRIPTION_NONE}
#define CALLERS_MODEL {CLASS_PERMISSION, SCOPE_MODEL, REQUEST_VERBATIM, SUBSCRIPTION_NONE}
#define CALLERS_FILES {CLASS_REQUEST, SCOPE_ENDPOINT, REQUEST_VERBATIM, SUBSCRIPTION_NONE}
#define SPENT {CLASS_CREDIT, SCOPE_SUBSCRIPTION, REQUEST_OURS, SUBSCRIPTION_NO_CREDIT}
#define OUT {CLASS_DISABLED, SCOPE_SUBSCRIPTION, REQUEST_OURS, SUBSCRIPTION_OUT}
#define KEY_OUT {CLASS_DISABLED, SCOPE_CREDENTIAL, REQUEST_OURS, SUBSCRIPTION_OUT}
#define REFUSED {CLASS_CREDENTIAL, SCOPE_CREDENTIAL, REQUEST_OURS, SUBSCRIPTION_SUSPECT}
#define NOT_HERE {CLASS_PERMISSION, SCOPE_ENDPOINT, REQUEST_OURS, SUBSCRIPTION_NONE}
#define NOT_THIS {CLASS_PERMISSION, SCOPE_REQUEST, REQUEST_ELSEWHERE, SUBSCRIPTION_NONE}
#define NOT_MODEL {CLASS_PERMISSION, SCOPE_MODEL, REQUEST_OURS, SUBSCRIPTION_SUSPECT}
#define EXTRA {CLASS_EXTRA, SCOPE_REQUEST, REQUEST_ELSEWHERE, SUBSCRIPTION_NONE}
#define RAMP {CLASS_RAMP, SCOPE_SUBSCRIPTION, REQUEST_OURS, SUBSCRIPTION_COOL}
#define LIMIT {CLASS_LIMITED, SCOPE_SUBSCRIPTION, REQUEST_OURS, SUBSCRIPTION_COOL}
#define BLOCKED {CLASS_BLOCKED, SCOPE_ADDRESS, REQUEST_OURS, SUBSCRIPTION_NONE}
#define BUSY {CLASS_OVERLOADED, SCOPE_PROVIDER, REQUEST_AGAIN, SUBSCRIPTION_NONE}
#define BROKEN {CLASS_FAILED, SCOPE_SUBSCRIPTION, REQUEST_ELSEWHERE, SUBSCRIPTION_PENALTY}
#define NOT_YET {CLASS_FAILED, SCOPE_SUBSCRIPTION, REQUEST_ELSEWHERE, SUBSCRIPTION_COOL}

#define CODE(name, effect, time, reason) {0, name, NULL, NULL, effect, time, reason}
#define TYPE(name, effect, time, reason) {0, NULL, name, NULL, effect, time, reason}
#define WORDS(status, words, effect, time, reason) {status, NULL, NULL, words, effect, time, reason}
#define STATUS(status, effect, time, reason) {status, NULL, NULL, NULL, effect, time, reason}
/* clang-format on */

/* said: NULL is "no error". */
struct meaning meaning_by(const struct meaning_table *table, const struct answer_signs *signs,
                          const struct error_words *said);
