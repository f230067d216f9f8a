/* answer.h - one answer on its way out: made piece by piece as the connection has room, so that
 * even an endless body costs bounded memory, and spoilt on the way as its script says. */
#pragma once

#include <zlib.h>

#include "message.h"
#include "script.h"

enum framing { FRAMING_SIZED, FRAMING_CHUNKED, FRAMING_CLOSE };

enum fill {
    FILL_ROOM,  /* the queue is full; go on when it has drained */
    FILL_LATER, /* go on after answer->wait_ms */
    FILL_STEP,  /* go on after answer_step() */
    FILL_STALL, /* never goes on */
    FILL_CUT,   /* what is queued still goes out, then the connection ends, broken */
    FILL_END,   /* complete once the queue has drained */
};

enum answer_stage { ANSWER_GATE, ANSWER_HEAD, ANSWER_BODY, ANSWER_ENDED, ANSWER_CUT };

/* What the answer must know of its request. */
struct answer_facts {
    bool is_head_method;
    bool is_http_1_0;
    bool is_keep_alive; /* the request allows it */
    uint64_t serial;
    const struct script *defaults; /* borrowed, outlives the answer */
};

struct answer {
    struct script *script;
    struct answer_facts facts;
    enum answer_stage stage;
    enum framing framing;
    int status;
    bool is_event_stream;
    bool is_bodiless;
    bool is_keep_alive; /* the connection outlives the answer */
    bool has_waited;    /* the pause before the next piece is over */
    bool is_packing;    /* zip is in use */
    const char *content_type;
    char request_id[40];
    unsigned wait_ms;
    struct message message;
    struct buf head_text; /* body up to the filler */
    struct buf tail_text; /* body after it */
    uint64_t filler_bytes;
    uint64_t filler_at;
    int piece;            /* 0 head_text, 1 filler, 2 tail_text, 3 none left */
    uint64_t total_bytes; /* of the body when framing is sized */
    uint64_t body_bytes;  /* sent so far */
    uint64_t events;      /* sent so far */
    int64_t credits;      /* events that may go out while held; -1 = any number */
    z_stream zip;
};

/* Starts an answer; takes script. Then one of the three below, then answer_fill() until its end. */
void answer_init(struct answer *answer, struct script *script, const struct answer_facts *facts);
/* A message; takes its members. */
void answer_with_message(struct answer *answer, struct message *message);
void answer_with_body(struct answer *answer, int status, struct slice body);
/* words may be NULL: those of the status. */
void answer_with_error(struct answer *answer, int status, const char *words);

/* Appends to out as far as it may go now. */
enum fill answer_fill(struct answer *answer, struct buf *out);
/* The wait that FILL_LATER asked for is over. */
void answer_resume(struct answer *answer);
/* Lets held events go, -1 = all from now on. */
void answer_step(struct answer *answer, int64_t events);
void answer_fini(struct answer *answer);
