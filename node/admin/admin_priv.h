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
void admin_answer_error(struct connection *call, int status, struct slice message);

/* The text that a JSON object has under that key. Yours; NULL: there is none, or it is empty. */
char *admin_body_text(struct slice body, const char *key);
json_t *admin_text(struct slice text); /* yours; text may be anyone's */

/* An answer that needs the pool. snapshot NULL: `why` says what was in the way. */
typedef void (*admin_page_fn)(struct admin *admin, struct connection *call,
                              const struct pool_snapshot *snapshot, struct slice why);
void admin_look(struct admin *admin, struct connection *call, admin_page_fn page);

/* status.c, metrics_page.c */
void admin_status(struct admin *admin, struct connection *call);
void admin_metrics(struct admin *admin, struct connection *call);

/* strategy.c */
void admin_strategy(struct admin *admin, struct connection *call);
void admin_strategies(struct admin *admin, struct connection *call);
void admin_set_strategy(struct admin *admin, struct connection *call,
                        const struct http_message *message);
/* reload.c, drain.c */
void admin_ask_reload(struct admin *admin, struct connection *call);
void admin_ask_drain(struct admin *admin, struct connection *call);

/* requests.c */
#define ADMIN_REQUESTS_PATH "/api/requests/"
void admin_recall(struct admin *admin, struct connection *call, const struct http_message *message);

/* cooldown.c */
void admin_clear_cooldown(struct admin *admin, struct connection *call,
                          const struct http_message *message);
