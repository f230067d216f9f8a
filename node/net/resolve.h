/* resolve.h - host names to addresses, without ever blocking a loop.
 * Literal addresses need no lookup. Answers are remembered for RESOLVE_KEEP_MS per loop's resolver;
 * when a fresh lookup fails, the last known addresses are used and the failure is logged. A change
 * of /etc/resolv.conf or /etc/hosts is noticed within a second, at the next lookup: what was
 * remembered is asked anew then. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/slice.h"

enum { RESOLVE_KEEP_MS = 30000, RESOLVE_ADDRESSES_MAX = 8, RESOLVE_TIMEOUT_MS = 10000 };

struct loop;
struct resolver;

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

struct resolver *resolver_new(struct loop *loop); /* yours */
void resolver_free(struct resolver *resolver);    /* pending callbacks do not fire any more */

/* addresses: borrowed, port filled in. OK with count >= 1, or ERR_RESOLVE with 0. Never fires
 * before this call returns. */
typedef void (*resolve_fn)(enum err err, const struct address *addresses, size_t count, void *arg);

struct resolve; /* one lookup in progress */
struct resolve *resolver_lookup(struct resolver *resolver, struct slice host, uint16_t port,
                                resolve_fn on_resolved, void *arg);
void resolve_cancel(struct resolve *lookup); /* before its callback has fired; then it never does */

/* This one of a name's addresses was the first to answer: it comes first from now on. Copied. */
void resolver_prefer(struct resolver *resolver, struct slice host, uint16_t port,
                     const struct address *address);
