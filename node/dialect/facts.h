/* facts.h - what routing wants to know of a request, found in one pass over its body.
 * A body of any size costs one look at each of its bytes; only what is asked for is copied. What
 * cannot be read is simply not there: facts help to choose, they refuse nobody. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

enum {
    FACTS_MODELS_MAX = 4,      /* the main one and those it may fall back to */
    FACTS_TEXT_MAX = 127,      /* a longer model is cut */
    FACTS_PREFIX_BYTES = 4096, /* of the system prompt, and of the first message, that are hashed */
};

/* Slices: of the request, or of the arena. Empty, zero or false where there is nothing; all that
 * stands in the body, if the body is not JSON or not all of it. */
struct request_facts {
    struct slice models[FACTS_MODELS_MAX]; /* the main one first */
    unsigned model_count;
    bool is_stream;
    bool has_tools;
    uint64_t max_tokens;
    /* Whose conversation this is, in the order of how well it says so. */
    struct slice session;
    struct slice agent;     /* within the session: subagents share it */
    struct slice user;      /* as the body names one; at most 256 bytes of it */
    struct slice cache_key; /* likewise */
    uint64_t prefix_hash;   /* of how the system prompt and the first message begin; 0: neither */
};
