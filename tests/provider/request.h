/* request.h - reads HTTP/1.x requests, byte by byte if need be.
 * Written on its own, from the RFCs, and strict: what a proxy should never have sent upstream
 * (bare LF, two lengths, length with chunked, folded lines) is refused here and shows in a test. */
#pragma once

#include "bytes.h"

enum {
    REQUEST_HEAD_BYTES_MAX = 64 * 1024,
    REQUEST_HEADERS_MAX = 200,
    REQUEST_CHUNK_LINE_MAX = 256,
};

enum request_news {
    REQUEST_MORE, /* all bytes used, nothing new */
    REQUEST_HEAD, /* the head is complete and readable; a body may follow */
    REQUEST_BODY, /* request->piece holds body bytes (borrowed from the input) */
    REQUEST_DONE, /* the request is complete */
    REQUEST_BAD,  /* refused; request->fault says why */
};

enum request_stage {
    REQUEST_IN_HEAD,
    REQUEST_IN_SIZED,
    REQUEST_IN_CHUNK_LINE,
    REQUEST_IN_CHUNK,
    REQUEST_IN_CHUNK_END,
    REQUEST_IN_TRAILER,
    REQUEST_AT_END,
};

struct header {
    struct slice name;
    struct slice value;
};

struct request {
    enum request_stage stage;
    struct buf head; /* the head's bytes; slices below point into it */
    struct slice method;
    struct slice target;
    bool is_http_1_0;
    bool is_keep_alive;
    bool is_expecting; /* expect: 100-continue */
    bool is_chunked;
    bool has_length;
    uint64_t left; /* body or chunk bytes still to come */
    struct slice piece;
    struct buf line; /* chunk-size or trailer line under way */
    size_t trailer_bytes;
    const char *fault;
    struct header headers[REQUEST_HEADERS_MAX];
    size_t header_count;
};

/* Takes bytes until there is news; *used says how many were taken. Call again with the rest. */
enum request_news request_feed(struct request *request, struct slice bytes, size_t *used);

/* Makes ready for the next request on the same connection. */
void request_reset(struct request *request);
void request_fini(struct request *request);

/* The first header of that name (any case), or false. */
bool request_header(const struct request *request, const char *name, struct slice *value);

/* The target's path without its query. */
struct slice request_path(const struct request *request);
