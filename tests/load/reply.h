/* reply.h - reads one HTTP/1.1 answer at a time: status, how its body ends, and what is in it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

enum { REPLY_HEAD_BYTES_MAX = 64 * 1024, REPLY_LINE_BYTES_MAX = 32 };

enum reply_stage {
    REPLY_HEAD,
    REPLY_SIZED,
    REPLY_CHUNK_LINE,
    REPLY_CHUNK,
    REPLY_CHUNK_END,
    REPLY_TRAILER,
    REPLY_UNTIL_CLOSE,
    REPLY_DONE,
    REPLY_BAD,
};

struct reply {
    enum reply_stage stage;
    int status;
    bool is_keep_alive;
    uint64_t left;       /* of the body or chunk */
    uint64_t body_bytes; /* received, framing not counted */
    uint64_t events;     /* SSE events received, if they are counted */
    bool is_counting_events;
    bool is_after_newline;   /* the last body byte was one */
    struct histogram *delay; /* of events that say when they were sent; may be NULL */
    char *head;              /* while incomplete; NULL otherwise */
    size_t head_len;
    char line[REPLY_LINE_BYTES_MAX];
    size_t line_len;
};

/* Starts a new answer, keeping is_counting_events and delay. */
void reply_reset(struct reply *reply);
/* Takes what belongs to this answer; how many bytes that was. Look at stage afterwards. */
size_t reply_feed(struct reply *reply, const char *at, size_t len, int64_t now_us);
/* Whether the answer is complete now that the other side has closed. */
bool reply_is_whole_at_close(const struct reply *reply);
void reply_fini(struct reply *reply);
