/* message.h - Anthropic's Messages API: what a request asks for, and its answer as one JSON text or
 * as a stream's events.
 * Event grammar: message_start, content_block_start, ping, content_block_delta*,
 * content_block_stop, message_delta, message_stop. The usage of message_delta is cumulative. */
#pragma once

#include "bytes.h"
#include "script.h"

enum {
    MESSAGE_ECHO_BYTES_MAX = 64 * 1024,
    MESSAGE_FIXED_EVENTS = 6, /* events of a stream besides its deltas */
    MESSAGE_ECHO_DELTAS = 5,
};

struct message {
    bool is_stream;
    bool is_tool;    /* answers with a tool_use block */
    bool is_filler;  /* answers with filler_bytes of made-up text */
    bool is_stamped; /* deltas carry the time of sending as sent_us */
    bool has_usage;
    char id[40];
    char *model;      /* JSON-escaped, as the request spelled it */
    char *tool_name;  /* JSON-escaped */
    struct buf text;  /* JSON-escaped: the echo, or the tool's input as partial_json */
    struct buf input; /* the tool's input as JSON */
    uint64_t filler_bytes;
    uint64_t deltas;
    size_t text_at;     /* echo already handed out as deltas, in bytes */
    size_t text_units;  /* the echo's length in characters */
    struct usage usage; /* all members set */
};

/* Understands a request body. NULL, or what the API would complain about. */
const char *message_read(struct message *message, struct slice body, uint64_t serial);
/* Size, shape and usage of the answer, as the script and then the defaults say. */
void message_plan(struct message *message, const struct script *script,
                  const struct script *defaults);
void message_fini(struct message *message);

/* The JSON answer is head, then filler_bytes of filler if is_filler, then tail. */
void message_print_head(const struct message *message, struct buf *out);
void message_print_tail(const struct message *message, struct buf *out);

/* Whether a pause belongs before this event (each delta, and the end). */
bool message_is_paced(const struct message *message, uint64_t index);
uint64_t message_event_count(const struct message *message);
/* Appends the event; to be called with 0, 1, 2, ... */
void message_print_event(struct message *message, uint64_t index, struct buf *out);
/* Starts again with event 0. */
void message_rewind(struct message *message);

/* At most len bytes of made-up text that belong at this offset. */
struct slice message_filler(uint64_t offset, uint64_t len);

/* The API's error shape; type and message NULL take those of the status. */
void message_print_error(struct buf *out, int status, const char *message, const char *request_id);
