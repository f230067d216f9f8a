/* POST /admin/reload?all=1: every node of the pool reads its configuration again, and tells what
 * came of it. All are asked through Redis (state/mend.h); then the pool is looked at until each
 * node that lives has said so of this asking, or the time is over: who has not is named. Nothing
 * hangs on the caller: who was asked reloads, and who was silent does when it wakes. */
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin_priv.h"
#include "base/clock.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "state/mend.h"

enum {
    WHO_MAX = 128,
    AGAIN_MS = 250,
    WAIT_MS = 8000,  /* some beats; a client of ours waits longer */
    ALIVE_MS = 15000 /* one that was not heard of for longer is named, and not waited for */
};

struct reload_all {
    struct list link; /* admin->reloads */
    struct admin_wait wait;
    struct deadline again;
    uint64_t asked, began_ms;
};

static void end(struct reload_all *r)
{
    deadline_clear(&r->again);
    list_remove(&r->link);
    free(r);
}

/* The admin or the caller has gone. */
static bool is_for_nobody(const struct reload_all *r)
{
    return r->wait.admin == NULL || r->wait.call == NULL;
}

/* ---- the answer ---- */

static bool has_done(const struct reload_all *r, const struct pool_node *n)
{
    return n->reload_asked >= r->asked;
}

static const char *result_of(const struct reload_all *r, const struct pool_node *n)
{
    if (!has_done(r, n))
        return "no answer";
    return slice_eq(n->reload_result, SLICE("taken")) ? "taken" : "refused";
}

static json_t *node_json(const struct reload_all *r, const struct pool_node *n)
{
    json_t *json = json_pack("{s:o, s:o, s:s}", "id", admin_text(n->id), "boot",
                             admin_text(n->boot), "result", result_of(r, n));
    if (!has_done(r, n)) {
        json_object_set_new(json, "words",
                            json_sprintf("last heard of %llu s ago, version %.*s",
                                         (unsigned long long)n->seen_ms_ago / 1000,
                                         SLICE_ARG(n->version)));
        return json;
    }
    json_object_set_new(json, "digest", admin_text(n->config_digest));
    json_object_set_new(json, "words", admin_text(n->reload_words));
    return json;
}

struct counts {
    unsigned taken, refused, silent;
    unsigned awaited; /* of the silent ones */
};

static struct counts count(const struct reload_all *r, const struct pool_snapshot *s)
{
    struct counts c = {0};
    for (size_t i = 0; i < s->node_count; i++) {
        const char *result = result_of(r, &s->nodes[i]);
        c.taken += result[0] == 't';
        c.refused += result[0] == 'r';
        c.silent += result[0] == 'n';
        c.awaited += result[0] == 'n' && s->nodes[i].seen_ms_ago <= ALIVE_MS;
    }
    return c;
}

static void answer(const struct reload_all *r, const struct pool_snapshot *s, struct counts c)
{
    json_t *nodes = json_array();
    bool is_whole = c.taken == s->node_count && c.taken > 0;
    json_t *json = json_pack("{s:s, s:I}", "status", is_whole ? "reloaded" : "incomplete", "asked",
                             (json_int_t)r->asked);
    for (size_t i = 0; i < s->node_count; i++)
        json_array_append_new(nodes, node_json(r, &s->nodes[i]));
    json_object_set_new(json, "nodes", nodes);
    if (!is_whole)
        json_object_set_new(
            json, "error",
            json_pack(
                "{s:s, s:o}", "type", "api_error", "message",
                json_sprintf("of %zu nodes %u took it over, %u refused it and go on with what "
                             "they had, %u did not answer",
                             s->node_count, c.taken, c.refused, c.silent)));
    admin_answer_json(r->wait.call, is_whole ? 200 : 500, json);
}

/* ---- waiting ---- */

static void look(void *arg);

static void on_seen(const struct pool_snapshot *snapshot, struct slice why, void *arg)
{
    struct reload_all *r = arg;
    if (is_for_nobody(r)) {
        end(r);
        return;
    }
    struct counts c = {0};
    bool is_late = clock_ms() - r->began_ms >= WAIT_MS;
    if (snapshot != NULL)
        c = count(r, snapshot);
    if (!is_late && (snapshot == NULL || c.awaited > 0 || snapshot->node_count == 0)) {
        deadline_set(r->wait.admin->options.loop, &r->again, AGAIN_MS);
        return;
    }
    if (snapshot != NULL)
        answer(r, snapshot, c);
    else
        admin_answer_error(r->wait.call, 503, why);
    end(r);
}

static void look(void *arg)
{
    struct reload_all *r = arg;
    if (is_for_nobody(r))
        end(r);
    else
        admin_look_on(r->wait.admin, on_seen, r);
}

static void on_asked(enum err err, uint64_t asked, struct slice message, void *arg)
{
    struct reload_all *r = arg;
    r->asked = asked;
    if (err == OK) {
        look(r);
        return;
    }
    if (!is_for_nobody(r))
        admin_answer_error(r->wait.call, 503,
                           message.len > 0
                               ? message
                               : SLICE("the node cannot reach its Redis at the moment; try again"));
    end(r);
}

void admin_reload_all(struct admin *a, struct connection *call, const struct http_message *m)
{
    char who[WHO_MAX];
    struct reload_all *r = mem_new(sizeof(*r));
    r->began_ms = clock_ms();
    admin_wait_init(&r->wait, a, call);
    deadline_init(&r->again, look, r);
    list_push(&a->reloads, &r->link);
    snprintf(who, sizeof(who), "operator at %.*s, node %s", SLICE_ARG(m->peer),
             a->options.node->id);
    state_ask_reload(a->options.state, slice_of(who), on_asked, r);
}

void admin_reload_all_end(struct admin *a)
{
    struct list *link;
    while ((link = list_pop(&a->reloads)) != NULL) {
        struct reload_all *r = LIST_OWNER(link, struct reload_all, link);
        list_init(&r->link);
        r->wait.admin = NULL;
        if (deadline_is_set(&r->again)) /* else it waits for an answer, which comes */
            end(r);
    }
}
