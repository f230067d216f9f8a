/* dial.h - from a name to a connection that bytes can be sent over, for all that goes out:
 * providers, Redis.
 *
 *     name -> addresses, in turn -> TCP -> TLS            all of it before one deadline
 *
 * Addresses alternate between IPv6 and IPv4; the next one is tried as soon as one fails, or when it
 * has had its share of time (DIAL_SHARE_MS), while those before stay in the race: whichever
 * connects first has won. What won is asked for first the next time (the resolver remembers it). So
 * an address that swallows everything costs a moment, once.
 *
 * A proxy that is asked with CONNECT has its place between TCP and TLS: dial_target names it, its
 * addresses are dialled, and the words with it are exchanged once it is connected, before
 * secure(). */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

typedef struct ssl_st SSL; /* OpenSSL's */

struct dial;
struct loop;
struct resolver;
struct tls_trust;

enum { DIAL_SHARE_MS = 250, DIAL_WHY_MAX = 384 };

struct dial_target {
    const char *host; /* a name or an address; also the one a certificate must be for */
    uint16_t port;
    const char *path;        /* of a Unix socket instead of host and port; else NULL */
    struct tls_trust *trust; /* NULL: plain */
    uint32_t deadline_ms;
}; /* all of it borrowed until the dial is over */

struct dialed {
    int fd;   /* connected, not blocking: yours, if OK */
    SSL *ssl; /* shaken hands: yours likewise; NULL: plain */
    /* Else: which step failed, at which address, and how. Borrowed. */
    const char *why;
};

/* OK, ERR_RESOLVE, ERR_CONNECT, ERR_TLS, ERR_TIMEOUT; ERR_SHORTAGE: not their fault, this node has
 * no descriptors, ports or memory left. */
typedef void (*dial_fn)(enum err err, const struct dialed *dialed, void *arg);

/* on_done fires exactly once, never before this call returns, unless cancelled; the dial is no more
 * then. */
struct dial *dial(struct loop *loop, struct resolver *resolver, const struct dial_target *target,
                  dial_fn on_done, void *arg);
void dial_cancel(struct dial *dial); /* any time before on_done: it never fires. NULL is fine */
