/* The way of a held byte: doubt_takes -> `held` -> on_renewed -> exchange_tell, which gives it to
 * the present step once more. If the slot is gone instead, the lease's on_lost ends the exchange
 * before on_renewed could fire. */
#include "proxy/doubt.h"

#include "proxy/exchange_priv.h"

void doubt_init(struct doubt *d)
{
    *d = (struct doubt){0};
    list_init(&d->wait.link);
    buf_init(&d->held, DOUBT_HELD_MAX);
}

void doubt_end(struct doubt *d)
{
    state_wait_cancel(&d->wait);
    buf_fini(&d->held);
    doubt_init(d);
}

bool doubt_holds(const struct doubt *d)
{
    return list_is_linked(&d->wait.link);
}

/* One event for all that came: what failed has its last bytes with it. */
static void tell(struct exchange *x, struct doubt *came)
{
    struct slice piece = buf_slice(&came->held);
    struct upstream_event event = {.kind = came->has_failed ? UPSTREAM_FAILED : UPSTREAM_BODY,
                                   .pieces = &piece,
                                   .count = piece.len > 0 ? 1 : 0,
                                   .is_end = came->has_end,
                                   .err = came->err,
                                   .detail = came->detail};
    if (event.count > 0 || event.is_end || came->has_failed)
        exchange_tell(x, &event);
}

static void on_renewed(void *arg)
{
    struct exchange *x = arg;
    struct doubt came = x->doubt;
    if (!state_lease_is_fresh(x->proxy->state)) {
        state_wait_renewal(x->proxy->state, &x->doubt.wait);
        return;
    }
    doubt_init(&x->doubt);
    if (x->attempt.upstream != NULL && !x->reply.is_paused)
        upstream_resume(x->attempt.upstream);
    if (came.is_due)
        deadline_set(x->proxy->loop, &x->attempt.deadline, 0);
    tell(x, &came);
    buf_fini(&came.held);
}

static bool is_in_doubt(const struct exchange *x)
{
    return doubt_holds(&x->doubt) || !state_lease_is_fresh(x->proxy->state);
}

static void ask(struct exchange *x)
{
    struct doubt *d = &x->doubt;
    if (x->attempt.upstream != NULL)
        upstream_pause(x->attempt.upstream);
    d->wait.on_renewed = on_renewed;
    d->wait.arg = x;
    state_wait_renewal(x->proxy->state, &d->wait);
}

bool doubt_takes(struct exchange *x, const struct upstream_event *e)
{
    struct doubt *d = &x->doubt;
    if (!is_in_doubt(x))
        return false;
    for (unsigned i = 0; i < e->count; i++)
        if (!buf_append(&d->held, e->pieces[i])) {
            exchange_stop(x, "too much arrived while the request's slot was in doubt");
            return true;
        }
    d->has_end = e->is_end;
    if (e->kind == UPSTREAM_FAILED) {
        d->has_failed = true;
        d->err = e->err;
        d->detail = arena_copy(&x->request.message.arena, slice_of(e->detail)).at;
    }
    ask(x);
    return true;
}

bool doubt_delays(struct exchange *x)
{
    if (!is_in_doubt(x))
        return false;
    x->doubt.is_due = true;
    ask(x);
    return true;
}
