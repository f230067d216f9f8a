/* provider.h - what data and control connections share: one loop, one thread, no locks. */
#pragma once

#include <event2/event.h>
#include <openssl/ssl.h>
#include <sys/queue.h>

#include "bytes.h"
#include "credential.h"
#include "grave.h"
#include "journal.h"
#include "script.h"

struct peer;
LIST_HEAD(peer_list, peer);

struct provider {
    struct event_base *base;
    struct grave *grave;
    struct credentials *credentials;
    struct journal *journal; /* NULL: nothing is logged */
    struct script *defaults; /* for requests without a script, and for unset sizes */
    struct script *limited;  /* the answer at a credential's limit */
    struct script *denied;   /* the answer to an unknown credential */
    const char *keys;        /* comma-separated; NULL = any credential will do */
    SSL_CTX *tls;            /* NULL without a TLS port */
    struct peer_list peers;
    uint64_t connections_open;
    uint64_t connections_accepted;
    uint64_t malformed;           /* requests refused for their form */
    uint64_t serial;              /* of requests, for ids */
    void (*on_change)(void *arg); /* counts changed; NULL = nobody waits */
    void *on_change_arg;
};
