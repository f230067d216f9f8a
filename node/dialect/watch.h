/* watch.h - looks at an answer while it passes, and remembers what must be booked.
 * It sees every byte the client gets, in order, and changes and delays none. It reads usage from
 * an answer in its dialect, JSON or SSE (the last value of each field that is not zero wins, never
 * the sum), the kind of each SSE event, and whether the stream came to its proper end; through gzip
 * and deflate too, up to UNPACK_BYTES_MAX (unpack.h): what comes after that goes unseen. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "dialect/meaning.h"
#include "format/unpack.h"

enum watch_body { WATCH_NOTHING, WATCH_JSON, WATCH_SSE };

struct usage {
    bool is_known;     /* at least one field was read */
    bool is_estimated; /* output: nobody told it, it is counted from what passed */
    uint64_t input;
    uint64_t output;
    uint64_t cache_read;
    uint64_t cache_write_5m; /* with what cache_creation_input_tokens has beyond the split */
    uint64_t cache_write_1h;
};

struct watch_words;
struct watch; /* opaque; below 1 KB; with compression 41 KB more, with an error 600 bytes */

/* words: the dialect's (dialect.h), borrowed. Yours. */
struct watch *watch_new(const struct watch_words *words, enum watch_body body, enum coding coding);
void watch_free(struct watch *watch); /* NULL is fine */
void watch_feed(struct watch *watch, struct slice bytes);

/* Output of a stream that was not told to its end is about the text that passed. */
struct usage watch_usage(const struct watch *watch);
struct slice watch_model(const struct watch *watch); /* as the answer names it; at most 128 bytes */

/* What the answer has said so far, whatever carries it. Pings and the opening of a message say
 * nothing yet; nor does JSON of which it is not clear whether it is an error. */
enum said {
    SAID_NOTHING,
    SAID_ERROR, /* an error, and no stop */
    SAID_PART,  /* some of a message, but not its end */
    SAID_STOP,  /* all of it: message_stop, or the last bracket */
    SAID_OTHER  /* what we do not know, or cannot read: its framing alone says how it ends */
};
enum said watch_said(const struct watch *watch);

/* Of an error, as far as it was read. Slices of the watch. */
struct error_words watch_error(const struct watch *watch);

/* SSE only. */
bool watch_saw_content(const struct watch *watch); /* a content_block_* or *_delta event */
/* Nothing of an event has come since the last one ended: an event of our own may follow here. */
bool watch_at_event_start(const struct watch *watch);

/* The coding has come to its end with the last byte fed; true if there is none. */
bool watch_is_unpacked(const struct watch *watch);
/* What `plain` is behind all that was fed, in the answer's coding, which ends with it; into `out`.
 * False: it cannot be put there (unpack_seal). Room as there, for a coding that is over too. */
MUST_USE bool watch_seal(const struct watch *watch, struct slice plain, struct buf *out);
uint64_t watch_events(const struct watch *watch);
