/* verdict.h - what follows from an answer's meaning (dialect/meaning.h), the same for all dialects:
 * whether another subscription is asked, and for how long this one is not.
 *
 * A conclusion reaches no further than its evidence: only what speaks of the whole subscription
 * closes it. What is narrower closes it to requests for that model, or to that group of paths; what
 * is wider (the address, the provider) sends this request elsewhere. What the failures of several
 * requests amount to is decided where all are seen (lua/lib/health.lua). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config.h"
#include "dialect/dialect.h"
#include "refusal/tried.h"
#include "state/lease.h"

/* To whom a subscription is closed. */
enum closes { CLOSES_ALL, CLOSES_MODEL, CLOSES_GROUP };

struct verdict {
    bool is_next;         /* try another subscription, if there is one */
    bool is_again;        /* or first this one, in a moment */
    enum hope hope;       /* of the pool, if there is none */
    uint64_t retry_ms;    /* the same: when it may be better; 0: not known */
    enum health health;   /* what it says of the subscription */
    uint64_t cooldown_ms; /* 0: none */
    bool is_usual;        /* nobody said for how long */
    enum closes closes;
    const char *reason; /* for the log and the cooldown */
};

/* has_hopped: another one has said before that it is limited, without naming a limit. */
struct verdict verdict_of(const struct meaning *meaning, const struct config *config,
                          bool has_hopped);
struct verdict verdict_no_answer(enum err err);
