/* admin_priv.h - what the endpoints share. */
#pragma once
#include <jansson.h>

#include "admin/admin.h"
#include "base/buf.h"
#include "base/list.h"

struct admin {
    struct admin_options options;
    struct config *config;
    struct list reloads; /* of all nodes, whose answers are waited for: reload_all.c */
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
/* A look that is nobody's answer yet. on_seen: once, even when the admin has gone. */
void admin_look_on(struct admin *admin,
                   void (*on_seen)(const struct pool_snapshot *snapshot, struct slice why,
                                   void *arg),
                   void *arg);

/* status.c, metrics_page.c */
void admin_status(struct admin *admin, struct connection *call);
void admin_metrics(struct admin *admin, struct connection *call);

/* strategy.c */
void admin_strategy(struct admin *admin, struct connection *call);
void admin_strategies(struct admin *admin, struct connection *call);
void admin_set_strategy(struct admin *admin, struct connection *call,
                        const struct http_message *message);
/* reload.c, drain.c */
void admin_ask_reload(struct admin *admin, struct connection *call,
                      const struct http_message *message);
void admin_ask_drain(struct admin *admin, struct connection *call);

/* requests.c */
#define ADMIN_REQUESTS_PATH "/api/requests/"
void admin_recall(struct admin *admin, struct connection *call, const struct http_message *message);

/* reload_all.c */
void admin_reload_all(struct admin *admin, struct connection *call,
                      const struct http_message *message);
void admin_reload_all_end(struct admin *admin); /* nobody waits any more */

/* cooldown.c */
void admin_clear_cooldown(struct admin *admin, struct connection *call,
                          const struct http_message *message);
