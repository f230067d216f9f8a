/* POST /api/cooldown/clear: a person says that a subscription is to be tried now. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin_priv.h"
#include "base/mem.h"
#include "state/mend.h"

enum { WHO_MAX = 128 };

struct clearing {
    struct admin_wait wait;
    char *name;
};

static void answer_cleared(struct connection *call, const char *name, const struct opening *o)
{
    bool was_closed = o->lifted.len > 0;
    admin_answer_json(call, 200,
                      json_pack("{s:s, s:s, s:I, s:o}", "subscription", name, "status",
                                was_closed ? "cleared" : "nothing was closed", "cooldown_left_ms",
                                (json_int_t)o->left_ms, "lifted", admin_text(o->lifted)));
}

static void on_opened(enum err err, const struct opening *opening, void *arg)
{
    struct clearing *c = arg;
    struct connection *call = c->wait.call;
    if (call == NULL)
        ;
    else if (err == OK)
        answer_cleared(call, c->name, opening);
    else if (opening->is_unknown)
        admin_answer_error(call, 404, opening->message);
    else
        admin_answer_error(call, 503,
                           opening->message.len > 0
                               ? opening->message
                               : SLICE("the node cannot reach its Redis at the moment; try again"));
    free(c->name);
    free(c);
}

void admin_clear_cooldown(struct admin *a, struct connection *call, const struct http_message *m)
{
    char who[WHO_MAX];
    char *name = admin_body_text(buf_slice(&m->body), "subscription");
    if (name == NULL) {
        admin_answer_error(call, 400,
                           SLICE("expected a small JSON object like {\"subscription\": \"NAME\"}"));
        return;
    }
    struct clearing *c = mem_new(sizeof(*c));
    c->name = name;
    admin_wait_init(&c->wait, a, call);
    snprintf(who, sizeof(who), "operator at %.*s, node %s", SLICE_ARG(m->peer),
             a->options.node->id);
    state_open(a->options.state, slice_of(name), slice_of(who), on_opened, c);
}
