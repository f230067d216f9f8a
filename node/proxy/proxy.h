/* proxy.h - a worker's desk for requests to providers: what every exchange of this worker shares.
 */
#pragma once
#include <stddef.h>

#include "auth/access.h"
#include "base/list.h"
#include "base/metrics.h"
#include "config/config.h"
#include "net/http/server.h"
#include "net/http/upstream.h"
#include "state/lease.h"
#include "state/state.h"

struct loop;

struct proxy {
    struct loop *loop;
    struct state *state;
    struct upstream *upstream;
    struct metrics *metrics;
    const struct node_identity *node;
    unsigned worker;
    struct config *config; /* one reference; exchanges hold their own */
    struct list exchanges; /* in progress */
    size_t exchange_count;
    uint64_t sequence; /* for request ids */
};

void proxy_init(struct proxy *proxy); /* the members above it are set already */
void proxy_fini(struct proxy *proxy);
void proxy_use_config(struct proxy *proxy,
                      struct config *config); /* takes a reference of its own */

/* A request for a provider; answered now or later. */
void proxy_handle(struct proxy *proxy, struct connection *call, struct http_message *message);

/* The time to drain is over: cut off what still runs. It is settled, partly booked. */
void proxy_break_all(struct proxy *proxy);
