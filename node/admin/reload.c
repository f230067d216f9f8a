/* POST /admin/reload: what was read, and what that changed, for a person and for a script. */
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin_priv.h"
#include "base/mem.h"
#include "config/changes.h"

struct admin_reload {
    struct admin_wait wait;
};

void admin_ask_reload(struct admin *a, struct connection *call, const struct http_message *m)
{
    struct slice path, query = slice_cut(m->request.target, '?', &path);
    if (slice_eq(query, SLICE("all=1"))) {
        admin_reload_all(a, call, m);
        return;
    }
    if (query.len > 0) {
        admin_answer_error(call, 400,
                           SLICE("/admin/reload reads this node's configuration again, "
                                 "/admin/reload?all=1 those of all nodes; it takes nothing else"));
        return;
    }
    struct admin_reload *r = mem_new(sizeof(*r));
    admin_wait_init(&r->wait, a, call);
    a->options.on_reload(r, a->options.arg);
}

static json_t *list_of(const struct config_change_list *changes)
{
    json_t *list = json_array();
    struct slice rest = slice_of(changes->text), item;
    while (rest.len > 0) {
        rest = slice_cut(rest, '\n', &item);
        json_array_append_new(list, json_stringn(item.at, item.len));
    }
    if (changes->more > 0)
        json_array_append_new(list, json_sprintf("and %u more", changes->more));
    return list;
}

static json_t *answer_of(const struct config_reloaded *done)
{
    const struct config_changes *c = &done->changes;
    char summary[CONFIG_SUMMARY_MAX];
    config_tell_changes(c, summary);
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:I, s:b, s:s}", "status", "reloaded", "source", done->sources,
                  "digest", done->digest, "subscriptions", (json_int_t)done->subscriptions,
                  "unchanged", config_is_unchanged(c), "summary", summary);
    if (json == NULL) /* a path that is no UTF-8 */
        json = json_pack("{s:s, s:I}", "status", "reloaded", "subscriptions",
                         (json_int_t)done->subscriptions);
    json_object_set_new(json, "added", list_of(&c->added));
    json_object_set_new(json, "removed", list_of(&c->removed));
    json_object_set_new(json, "renamed", list_of(&c->renamed));
    json_object_set_new(json, "rotated", list_of(&c->rotated));
    json_object_set_new(json, "changed", list_of(&c->changed));
    json_object_set_new(json, "needs_restart", list_of(&c->needs_restart));
    return json;
}

void admin_reload_done(struct admin_reload *r, const struct config_reloaded *done,
                       const char *error)
{
    struct connection *call = r->wait.call;
    free(r);
    if (call == NULL)
        return;
    if (error != NULL)
        admin_answer_error(call, 500, slice_of(error));
    else
        admin_answer_json(call, 200, answer_of(done));
}
