/* GET /api/requests/{id}: a request that runs on this node, by its id; or a finished one, by its id
 * or a provider's, on whichever node it ran: the lines that its node logged of it. What Redis holds
 * may have been written by anyone, so each line is read here, and what is none is shown as text. */
#include <stdlib.h>

#include "admin/admin_priv.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/name.h"
#include "state/history.h"

enum { LINES_SHOWN = 256 }; /* a node writes far fewer */

struct admin_find {
    struct admin_wait wait;
    struct slice id;     /* in `texts` */
    bool was_looked_for; /* on this node, among what runs */
    struct arena texts;
};

static void end(struct admin_find *c)
{
    arena_fini(&c->texts);
    free(c);
}

static json_t *line_json(struct slice line)
{
    json_t *json = json_loadb(line.at, line.len, 0, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return json_pack("{s:o}", "text", admin_text(line));
}

static json_t *lines_json(struct slice lines)
{
    json_t *list = json_array();
    while (lines.len > 0 && json_array_size(list) < LINES_SHOWN) {
        struct slice line;
        lines = slice_cut(lines, '\n', &line);
        if (line.len > 0)
            json_array_append_new(list, line_json(line));
    }
    return list;
}

static void answer_found(struct connection *call, struct slice id, const char *state,
                         struct slice lines)
{
    admin_answer_json(call, 200,
                      json_pack("{s:o, s:s, s:o}", "id", admin_text(id), "state", state, "lines",
                                lines_json(lines)));
}

/* What was searched, and what else there is to do. */
static void answer_none(struct admin_find *c, const struct recalled *r)
{
    const struct admin *a = c->wait.admin;
    struct arena *texts = &c->texts;
    char since[CLOCK_TEXT_MAX];
    struct slice reach = SLICE("none is remembered yet"), running = SLICE_NONE;
    if (a->config->history.requests == 0)
        reach = SLICE("history.requests is 0, so this node has none remembered");
    clock_text(r->since_ms, since);
    if (r->count > 0)
        reach =
            arena_printf(texts, "searched were the last %llu of all nodes, which go back to %.16sZ",
                         (unsigned long long)r->count, since);
    if (r->node.len > 0 && name_is_clean(r->node))
        running = arena_printf(texts,
                               c->was_looked_for
                                   ? "; node %.*s gave out this id, and it does not run there"
                                   : "; node %.*s gave out this id and lives: if the request still "
                                     "runs, that node knows",
                               SLICE_ARG(r->node));
    struct slice message = arena_printf(
        texts,
        "no finished request has the id %.*s: %.*s%.*s. Older ones stand in the nodes' logs: feed "
        "them to `weir logs --id %.*s`",
        SLICE_ARG(c->id), SLICE_ARG(reach), SLICE_ARG(running), SLICE_ARG(c->id));
    admin_answer_error(c->wait.call, 404, message);
}

static void on_recalled(enum err err, const struct recalled *r, void *arg)
{
    struct admin_find *c = arg;
    struct connection *call = c->wait.call;
    if (call == NULL)
        ;
    else if (err != OK)
        admin_answer_error(call, 503,
                           r->message.len > 0
                               ? r->message
                               : SLICE("the node cannot reach its Redis at the moment; try again"));
    else if (r->is_found)
        answer_found(call, r->id, "finished", r->lines);
    else
        answer_none(c, r);
    end(c);
}

static void recall(struct admin_find *c)
{
    state_recall(c->wait.admin->options.state, c->id, on_recalled, c);
}

void admin_find_done(struct admin_find *find, struct slice lines)
{
    if (find->wait.call != NULL && lines.len == 0) {
        recall(find);
        return;
    }
    if (find->wait.call != NULL)
        answer_found(find->wait.call, find->id, "running", lines);
    end(find);
}

void admin_recall(struct admin *a, struct connection *call, const struct http_message *m)
{
    struct slice id = slice_from(m->request.path, sizeof(ADMIN_REQUESTS_PATH) - 1);
    if (!history_is_id(id)) {
        admin_answer_error(call, 400,
                           SLICE("this cannot be the id of a request: expected 1 to 128 of A-Z a-z "
                                 "0-9 . _ : @ -, as in x-weir-request-id or a provider's "
                                 "request-id"));
        return;
    }
    struct admin_find *c = mem_new(sizeof(*c));
    admin_wait_init(&c->wait, a, call);
    arena_init(&c->texts);
    c->id = arena_copy(&c->texts, id);
    c->was_looked_for = a->options.on_find(c, c->id, a->options.arg);
    if (!c->was_looked_for)
        recall(c);
}
