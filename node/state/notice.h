/* notice.h - what the pool tells all its nodes at once, on a channel with a link of its own, and on
 * one more what it tells this node alone: whom of those that wait it has granted something.
 * A notice is a record such as `roster generation=7`: a kind, then key=value, one space between.
 * It is a hint, never the truth: one that is lost is made good by the next beat. Anyone may publish
 * there, so what cannot be read is counted and left; a kind that is not known here is of a newer
 * version. */
#pragma once
#include <stdint.h>

#include "base/slice.h"

struct loop;
struct metrics;
struct notice_channel;
struct redis_url;

enum { NOTICE_BYTES_MAX = 256 };

/* X(KIND, its word, the field it must have: a number) */
#define NOTICE_TABLE(X)                                                                        \
    X(ROSTER, "roster", "generation") /* what subscriptions there are, and how they are set */ \
    X(EPOCH, "epoch", "id")           /* Redis has lost data */                                \
    X(RELOAD, "reload", "asked")      /* all are to read their configurations again */         \
    X(WAKE, "wake", "seq")            /* one that stands in line has been granted something */

enum notice_kind {
#define X(id, word, field) NOTICE_##id,
    NOTICE_TABLE(X)
#undef X
        NOTICE_KINDS
};

struct notice {
    enum notice_kind kind;
    uint64_t number;
    uint64_t worker; /* of WAKE: whose */
};

enum notice_result { NOTICE_TAKEN, NOTICE_UNKNOWN, NOTICE_BAD };
/* *notice is set if it is taken. */
enum notice_result notice_read(struct slice text, struct notice *notice);

struct notice_options {
    const struct redis_url *redis_url; /* borrowed until the call returns, like the next two */
    struct slice prefix;               /* redis.prefix */
    struct slice pool;                 /* redis.pool */
    struct slice boot;                 /* whose grants are heard of, besides */
    struct metrics *metrics;           /* weir_notices_total, weir_notice_channel_up */
    void (*on_notice)(const struct notice *notice, void *arg);
    void (*on_up)(void *arg); /* it is heard, and was not for a while */
    void *arg;
};
struct notice_channel *notice_channel_new(struct loop *loop,
                                          const struct notice_options *options); /* yours */
void notice_channel_free(struct notice_channel *channel); /* not from on_notice; NULL is fine */
