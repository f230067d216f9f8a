/* GET and POST /api/config/strategy, GET /api/strategies: how one is chosen of several
 * subscriptions, cluster-wide. Here a person sets it; what a configuration says comes with what a
 * node declares. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin_priv.h"
#include "base/mem.h"
#include "config/predecessors.h"
#include "state/mend.h"

enum { WHO_MAX = 128 };

static void on_set(enum err err, const struct strategy_change *change, void *arg)
{
    struct admin_wait *wait = arg;
    struct connection *call = wait->call;
    if (call == NULL)
        ;
    else if (err == OK)
        admin_answer_json(call, 200,
                          json_pack("{s:o, s:o}", "strategy", admin_text(change->holds), "was",
                                    admin_text(change->was)));
    else if (change->is_unknown)
        admin_answer_error(call, 400, change->message);
    else
        admin_answer_error(call, 503,
                           change->message.len > 0
                               ? change->message
                               : SLICE("the node cannot reach its Redis at the moment; try again"));
    free(wait);
}

/* A predecessor's word for a strategy is answered with ours. */
static bool answer_predecessor(struct connection *call, const char *name)
{
    const struct predecessor_word *w = predecessor_find(PREDECESSOR_VALUE, slice_of(name));
    char here[PREDECESSOR_HERE_MAX], message[PREDECESSOR_HERE_MAX + WHO_MAX];
    if (w == NULL)
        return false;
    snprintf(message, sizeof(message), "strategy: \"%s\" is a word of %s; here it is %s", w->word,
             w->whose->name, predecessor_here(w, here));
    admin_answer_error(call, 400, slice_of(message));
    return true;
}

void admin_set_strategy(struct admin *a, struct connection *call, const struct http_message *m)
{
    char who[WHO_MAX];
    char *name = admin_body_text(buf_slice(&m->body), "strategy");
    if (name == NULL) {
        admin_answer_error(call, 400,
                           SLICE("expected a small JSON object like {\"strategy\": \"NAME\"}; "
                                 "GET /api/strategies lists the names"));
        return;
    }
    if (answer_predecessor(call, name)) {
        free(name);
        return;
    }
    struct admin_wait *wait = mem_new(sizeof(*wait));
    admin_wait_init(wait, a, call);
    snprintf(who, sizeof(who), "operator at %.*s, node %s", SLICE_ARG(m->peer),
             a->options.node->id);
    state_set_strategy(a->options.state, slice_of(name), slice_of(who), on_set, wait);
    free(name);
}

static void answer_strategy(struct admin *a, struct connection *call,
                            const struct pool_snapshot *snapshot, struct slice why)
{
    (void)a;
    if (snapshot == NULL)
        admin_answer_error(call, 503, why);
    else
        admin_answer_json(call, 200,
                          json_pack("{s:o, s:o}", "strategy", admin_text(snapshot->strategy),
                                    "said_by", admin_text(snapshot->strategy_by)));
}

void admin_strategy(struct admin *a, struct connection *call)
{
    admin_look(a, call, answer_strategy);
}

void admin_strategies(struct admin *a, struct connection *call)
{
    static const char *const words[] = {
#define X(name, word) word,
        STRATEGY_TABLE(X)
#undef X
    };
    json_t *list = json_array();
    (void)a;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        json_array_append_new(list, json_string(words[i]));
    admin_answer_json(call, 200, list);
}
