/* Each wish goes over as a call or a post, and comes back to the worker's loop. */
#include "run/operator.h"

#include <stdlib.h>

#include "admin/admin.h"
#include "base/mem.h"
#include "run/control.h"
#include "run/find.h"
#include "run/look.h"
#include "run/node_priv.h"

static void on_reloaded(struct control_call *call)
{
    admin_reload_done(call->arg, call->result, call->is_done ? NULL : call->error);
    free(call->result);
    free(call);
}

static void on_reload(struct admin_reload *reload, void *arg)
{
    struct operator_desk *op = arg;
    struct control_call *call = mem_new(sizeof(*call));
    *call = (struct control_call){.run = reload_run, .on_done = on_reloaded, .arg = reload};
    control_send(call, op->shared->node, op->shared->control, op->loop);
}

static void on_drain_begun(struct control_call *call)
{
    admin_drain_done(call->arg, call->running, call->is_done ? NULL : call->error);
    free(call);
}

static void on_drain(struct admin_drain *drain, void *arg)
{
    struct operator_desk *op = arg;
    struct control_call *call = mem_new(sizeof(*call));
    *call = (struct control_call){.run = leave_run, .on_done = on_drain_begun, .arg = drain};
    control_send(call, op->shared->node, op->shared->control, op->loop);
}

static void on_seen(const struct pool_snapshot *snapshot, struct slice why, void *arg)
{
    admin_look_done(arg, snapshot, why);
}

static void on_look(struct admin_look *look, void *arg)
{
    struct operator_desk *op = arg;
    look_ask(op->desk, on_seen, look);
}

static void on_found(struct slice lines, void *arg)
{
    admin_find_done(arg, lines);
}

static bool on_find(struct admin_find *find, struct slice id, void *arg)
{
    struct operator_desk *op = arg;
    return find_running(op->shared, op->loop, id, on_found, find);
}

static bool is_draining(void *arg)
{
    const struct operator_desk *op = arg;
    return atomic_load(&op->shared->is_draining);
}

static const char *trouble(void *arg)
{
    const struct operator_desk *op = arg;
    return atomic_load(&op->shared->trouble);
}

void operator_serve(struct operator_desk *op, struct admin_options *options)
{
    options->on_reload = on_reload;
    options->on_drain = on_drain;
    options->on_look = on_look;
    options->on_find = on_find;
    options->is_draining = is_draining;
    options->trouble = trouble;
    options->arg = op;
}
