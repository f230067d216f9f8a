/* admin_priv.h - what the endpoints share. */
#pragma once
#include <jansson.h>

#include "admin/admin.h"
#include "base/buf.h"

struct admin {
    struct admin_options options;
    struct config *config;
};

/* An answer that waits for something; the caller may leave meanwhile. */
struct admin_wait {
    struct admin *admin;
    struct connection *call; /* NULL: the caller has gone */
};
void admin_wait_init(struct admin_wait *wait, struct admin *admin, struct connection *call);

void admin_answer_json(struct connection *call, int status, json_t *json); /* takes json */
void admin_answer_text(struct connection *call, const char *content_type, struct slice text);
void admin_answer_down(struct connection *call, struct state *state); /* 503: Redis is away */

/* status.c, metrics_page.c */
void admin_status(struct admin *admin, struct connection *call);
void admin_metrics(struct admin *admin, struct connection *call);
