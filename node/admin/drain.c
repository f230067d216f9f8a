/* POST /admin/drain: the node leaves. Asked again, it says how far it is; nothing else changes. */
#include <stdlib.h>

#include "admin/admin_priv.h"
#include "base/identity.h"
#include "base/mem.h"

struct admin_drain {
    struct admin_wait wait;
};

void admin_ask_drain(struct admin *a, struct connection *call)
{
    struct admin_drain *d = mem_new(sizeof(*d));
    admin_wait_init(&d->wait, a, call);
    a->options.on_drain(d, a->options.arg);
}

void admin_drain_done(struct admin_drain *d, uint64_t running, const char *error)
{
    struct connection *call = d->wait.call;
    const struct admin *a = d->wait.admin;
    free(d);
    if (call == NULL)
        return;
    if (error != NULL)
        admin_answer_error(call, 503, slice_of(error));
    else
        admin_answer_json(call, 200,
                          json_pack("{s:s, s:s, s:I}", "status", "draining", "node",
                                    a->options.node->id, "running", (json_int_t)running));
}
