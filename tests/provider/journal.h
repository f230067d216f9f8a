/* journal.h - the log of every request received, kept in a ring of bounded size.
 * A record lives while its request runs or while it is in the ring. */
#pragma once

#include <jansson.h>
#include <sys/queue.h>

#include "bytes.h"
#include "request.h"

enum {
    JOURNAL_RECORDS_MAX = 20000,
    JOURNAL_BYTES_MAX = 128 * 1024 * 1024,
};

enum record_state {
    RECORD_RECEIVING, /* its body is under way */
    RECORD_RUNNING,   /* being answered, or waiting to be */
    RECORD_COMPLETE,  /* the answer's last byte was handed to the kernel */
    RECORD_CLOSED,    /* the other side left before that */
    RECORD_FAULTED,   /* cut short on purpose, or the request was malformed */
};

struct record {
    TAILQ_ENTRY(record) link;
    int refs;
    uint64_t seq;
    uint64_t connection;
    enum record_state state;
    char *credential;
    char *sni;         /* NULL on a plain connection */
    bool is_resumed;   /* TLS session taken up again */
    struct slice head; /* raw request head; yours with the record */
    size_t method_len; /* the head opens with method, space, target */
    size_t target_len;
    uint64_t body_bytes;
    unsigned char sha256[32]; /* of the body, once it is complete */
    bool is_body_whole;
    int status; /* 0 = nothing answered yet */
    uint64_t sent_bytes;
    int64_t started_ms;  /* head received */
    int64_t answered_ms; /* head of the answer sent, 0 = not yet */
    int64_t ended_ms;    /* 0 = running */
};

struct journal;

struct journal *journal_new(void);
void journal_free(struct journal *journal);
/* A record for a request whose head is complete; give back with record_unref. */
struct record *journal_add(struct journal *journal, const struct request *request,
                           const char *credential);
void record_unref(struct record *record);
/* Forgets all records; seq goes on. */
void journal_reset(struct journal *journal);
/* Records after since, oldest first, at most limit; credential NULL = all. Appends a JSON array. */
void journal_print(const struct journal *journal, struct buf *out, uint64_t since, size_t limit,
                   const char *credential);
uint64_t journal_last_seq(const struct journal *journal);
