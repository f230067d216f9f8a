/* sse.h - splits a text/event-stream into its events as it passes.
 * Lines end in CR LF, LF or CR; any cut is fine, between CR and LF too. Nothing is gathered but the
 * event's name: data is handed on in the pieces it comes in. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { SSE_NAME_MAX = 32 /* a longer name is cut */ };

struct sse_handler {
    /* A piece of the event's data, never empty; between two data lines a piece "\n". */
    void (*on_data)(void *arg, struct slice piece);
    /* An empty line has ended an event that had a name or data. */
    void (*on_end)(void *arg);
};

struct sse {
    const struct sse_handler *handler;
    void *arg;
    char name[SSE_NAME_MAX]; /* private, as all below */
    char field[8];
    uint8_t name_len;
    uint8_t field_len;
    uint8_t state;
    bool is_after_cr;
    bool has_fields; /* since the last empty line */
    bool has_data;
};

void sse_init(struct sse *sse, const struct sse_handler *handler, void *arg); /* borrows both */
void sse_feed(struct sse *sse, struct slice bytes);

/* The name given to the current event so far, or empty. */
struct slice sse_name(const struct sse *sse);
/* No event has begun since the last one ended, and no line is open: what is put in here is read as
 * an event of its own. */
bool sse_is_between_events(const struct sse *sse);
