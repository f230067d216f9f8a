/* http1.h - the wire format of HTTP/1.0 and 1.1: heads and chunked bodies, strictly.
 * Pure: bytes in, slices of those bytes out, no I/O, no allocation. What two readers could
 * understand differently is refused, not interpreted (RFC 9112; the corpus in
 * tests/http1/corpus.js). Requests and responses are read with the same rules.
 *
 * A head is read in two steps, so that its bytes can first be put where they stay: find its end in
 * what has arrived (http1_find), then parse the whole of it (http1_parse_*). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    HTTP1_START_LINE_MAX = 16384, /* method, target and version: 414 beyond */
    HTTP1_HEAD_MAX = 65536,       /* all of a head: 431 beyond */
    HTTP1_HEADERS_MAX = 128       /* lines: 431 beyond */
};

enum http1_progress { HTTP1_MORE, HTTP1_DONE, HTTP1_BAD };

struct http1_header {
    struct slice name;
    struct slice value; /* without blanks around it */
};

/* How a body is delimited. */
enum http1_framing { HTTP1_NO_BODY, HTTP1_SIZED, HTTP1_CHUNKED, HTTP1_UNTIL_CLOSE };

/* Looks for the end of a head while it arrives. Zero it to start. A byte is looked at once. */
struct http1_finder {
    size_t scanned;    /* bytes of the head already looked at */
    size_t line_start; /* where the line being looked at begins */
};

/* `in` is the head from its first byte as far as it has arrived. DONE: *head_len bytes, the empty
 * line included. BAD: *status is what to answer (400 for a bare LF or CR or a NUL, 414, 431). Bare
 * LF, NUL and limits are found as soon as they arrive, not at the end of the head. One empty line
 * before the head counts as part of it; requests may have one, responses not. */
enum http1_progress http1_find(struct http1_finder *finder, struct slice in, size_t *head_len,
                               int *status);

struct http1_request {
    struct slice method;
    struct slice target; /* origin form: path and query; absolute form is reduced to that; "*" */
    struct slice path;   /* of target, without the query */
    struct slice host;   /* or the absolute form's authority; empty only for HTTP/1.0 */
    unsigned minor;      /* HTTP/1.minor: 0 or 1 */
    struct http1_header *headers;
    unsigned header_count;
    enum http1_framing framing; /* NO_BODY, SIZED or CHUNKED; SIZED may be 0 long */
    uint64_t length;            /* SIZED */
    bool keep_alive;
    bool expects_continue; /* there is a body, and the client waits for a 100 before sending it */
};

/* Parse a head found by http1_find. Slices borrow from `head`; headers go into the array given.
 * Returns 0, or the status to refuse it with: 400 malformed or ambiguous (two Content-Lengths even
 * if equal, length with chunked, obs-fold, space before the colon, no or a second Host, a bad Host,
 * an absolute form whose authority differs from Host, a method in lower case, forbidden bytes),
 * 414, 417 (an expectation other than 100-continue), 431, 501 (a transfer coding other than
 * chunked; CONNECT; an unknown but well-formed method is fine), 505. *why: a short English reason
 * for the error message and the log. When it refuses, the rest of *request means nothing. */
int http1_parse_request(struct slice head, struct http1_header headers[HTTP1_HEADERS_MAX],
                        struct http1_request *request, const char **why);

struct http1_response {
    int status;
    struct slice reason;
    unsigned minor;
    struct http1_header *headers;
    unsigned header_count;
    enum http1_framing framing;
    uint64_t length;
    bool keep_alive;
};

/* `to_head`: the request was HEAD, so there is no body whatever the headers say. False: malformed;
 * for responses two lengths, length with chunked and codings other than chunked are that, too. */
bool http1_parse_response(struct slice head, bool to_head,
                          struct http1_header headers[HTTP1_HEADERS_MAX],
                          struct http1_response *response, const char **why);

/* First header of that name (ASCII case ignored), or NULL. */
const struct http1_header *http1_header(const struct http1_header *headers, unsigned count,
                                        struct slice name);

/* Takes chunked framing off. Zero it to start. */
struct http1_chunked {
    int state;           /* private */
    unsigned digits;     /* private: of the size being read */
    unsigned line_bytes; /* private: of an extension or the trailers, which have a limit */
    uint64_t left;       /* private: of the chunk being read */
    unsigned name_len;   /* private: of a trailer's name */
    char name[20];       /* private: its beginning */
};

/* Reads from *in (which moves on) until there is a piece of the body (*data, borrowed, not empty),
 * or no more input, or the end. MORE with an empty *data: give it more bytes. DONE: the body has
 * ended and *in begins behind it. Extensions and trailers are checked and skipped, with limits (1
 * KiB a chunk, 16 KiB). BAD: malformed, or a trailer that belongs into a head. */
enum http1_progress http1_chunked_read(struct http1_chunked *chunked, struct slice *in,
                                       struct slice *data);
