/* proxy.h - a worker's desk for requests to providers: which of them may go on, and what every
 * exchange of this worker shares. */
#pragma once
#include <stddef.h>

#include "net/http/server.h"

struct access;
struct buf;
struct config;
struct dialect;
struct loop;
struct metrics;
struct node_identity;
struct proxy;
struct retry_budget;
struct state;
struct upstream;

struct proxy_options {
    struct loop *loop; /* all borrowed: there as long as the proxy is */
    struct state *state;
    struct upstream *upstream;
    struct metrics *metrics;
    struct retry_budget *retries; /* of the node */
    const struct node_identity *node;
    unsigned worker; /* its number: part of the ids it gives to requests */
    struct config *config;
};

/* Holds a reference of the config. Yours. */
struct proxy *proxy_new(const struct proxy_options *options);
/* No exchange may be left; NULL is fine. */
void proxy_free(struct proxy *proxy);
/* For exchanges from now on. Takes a reference of its own. */
void proxy_use_config(struct proxy *proxy, struct config *config);
/* Exchanges in progress. */
size_t proxy_open(const struct proxy *proxy);

/* The head of a request in this dialect: whether it may go on. Sets purpose, write_error and id of
 * the message; a refusal is counted and logged here. */
struct http_refusal proxy_head(struct proxy *proxy, struct http_message *message,
                               const struct dialect *dialect, const struct access *access);
/* A request that may go on, whole; answered now or later. */
void proxy_handle(struct proxy *proxy, struct connection *caller, struct http_message *message);

/* A request in progress with this id: its log lines so far, and one that says where it stands, into
 * `lines` (HISTORY_LINES_MAX). Nothing: there is none. */
void proxy_find(struct proxy *proxy, struct slice id, struct buf *lines);

/* The time to drain is over: cut off what still runs. It is settled, partly booked. */
void proxy_break_all(struct proxy *proxy);
