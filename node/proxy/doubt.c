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
    buf_init(&d->held, DOUBT_HELD_MAX);
    d->has_end = false;
}

bool doubt_holds(const struct doubt *d)
{
    return list_is_linked(&d->wait.link);
}

static void on_renewed(void *arg)
{
    struct exchange *x = arg;
    struct doubt *d = &x->doubt;
    if (!state_lease_is_fresh(x->proxy->state)) {
        state_wait_renewal(x->proxy->state, &d->wait);
        return;
    }
    struct buf held = d->held;
    struct slice piece = buf_slice(&held);
    struct upstream_event event = {.kind = UPSTREAM_BODY,
                                   .pieces = &piece,
                                   .count = piece.len > 0 ? 1 : 0,
                                   .is_end = d->has_end};
    buf_init(&d->held, DOUBT_HELD_MAX);
    d->has_end = false;
    if (x->attempt.upstream != NULL && !x->reply.is_paused)
        upstream_resume(x->attempt.upstream);
    exchange_tell(x, &event);
    buf_fini(&held);
}

bool doubt_takes(struct exchange *x, const struct upstream_event *e)
{
    struct doubt *d = &x->doubt;
    if (!doubt_holds(d) && state_lease_is_fresh(x->proxy->state))
        return false;
    for (unsigned i = 0; i < e->count; i++)
        if (!buf_append(&d->held, e->pieces[i])) {
            exchange_stop(x, "too much arrived while the request's slot was in doubt");
            return true;
        }
    d->has_end = e->is_end;
    if (x->attempt.upstream != NULL)
        upstream_pause(x->attempt.upstream);
    if (!doubt_holds(d)) {
        d->wait.on_renewed = on_renewed;
        d->wait.arg = x;
        state_wait_renewal(x->proxy->state, &d->wait);
    }
    return true;
}
