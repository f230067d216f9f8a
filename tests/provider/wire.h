/* wire.h - one accepted connection: bytes in by callback, bytes out through a queue, plain or TLS.
 * A wire closes at once and never calls back afterwards; its memory belongs to its user, who frees
 * it only after the loop turn (grave.h), since events of this turn may still name it. */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>

#include "bytes.h"

enum {
    WIRE_READ_BYTES = 64 * 1024, /* read at a time */
    WIRE_OUT_LOW = 64 * 1024,    /* at or below: room for more */
    WIRE_OUT_HIGH = 256 * 1024,  /* at or above: stop producing */
};

struct wire_user {
    void (*on_bytes)(void *arg, struct slice bytes); /* borrowed for the call */
    void (*on_room)(void *arg); /* queue drained to WIRE_OUT_LOW or to nothing */
    void (*on_gone)(void *arg); /* the other side left, or the socket failed */
};

struct wire {
    int fd;   /* -1 once closed */
    SSL *ssl; /* NULL on a plain wire */
    struct event read_event;
    struct event write_event;
    struct event drip_event;
    bool is_writing;   /* write_event is armed */
    bool is_paused;    /* reading is off */
    bool is_failed;    /* writing failed; on_gone follows */
    size_t drip_bytes; /* 0 = as fast as it goes */
    unsigned drip_ms;
    struct buf out;
    uint64_t sent_bytes; /* handed to the kernel, or to TLS */
    const struct wire_user *user;
    void *arg;
};

/* Starts reading on fd (taken; ssl taken, may be NULL). */
void wire_open(struct wire *wire, struct event_base *base, int fd, SSL *ssl);
/* Writes what the socket takes of wire->out; the rest follows by itself. */
void wire_flush(struct wire *wire);
void wire_set_drip(struct wire *wire, size_t bytes, unsigned interval_ms);
void wire_pause(struct wire *wire, bool is_paused);
/* Whether the other side has closed already, even if the loop has not said so yet. */
bool wire_is_gone(const struct wire *wire);
/* Closes now: with RST if is_reset, else after what the kernel has already taken. */
void wire_close(struct wire *wire, bool is_reset);
