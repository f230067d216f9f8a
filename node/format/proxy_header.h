/* proxy_header.h - the header that a TCP balancer puts before a connection's bytes, to say who
 * really calls: the PROXY protocol, version 1 (a line of text) and 2 (binary), as HAProxy's
 * doc/proxy-protocol.txt has it. Fields (TLVs) of version 2 are skipped. */
#pragma once
#include <sys/socket.h>

#include "base/slice.h"

enum { PROXY_HEADER_MAX = 2048 }; /* with all its fields; more than that is refused */

enum proxy_header {
    PROXY_HEADER_MORE,  /* so far it may be one */
    PROXY_HEADER_DONE,  /* *told is set */
    PROXY_HEADER_OTHER, /* something else begins so */
    PROXY_HEADER_BAD    /* it begins as one, and is none */
};

struct proxy_told {
    size_t len;    /* of the header */
    bool has_peer; /* false: the balancer speaks for itself, or does not know; then the peer is who
                       the connection is from */
    struct sockaddr_storage peer;
    socklen_t peer_len;
};

/* `bytes`: what has come of a connection, from its first on. */
enum proxy_header proxy_header_read(struct slice bytes, struct proxy_told *told);
