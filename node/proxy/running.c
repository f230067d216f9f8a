/* What an exchange in progress has logged so far, and where it stands, as one line more: the same
 * for who reads it as what is kept of one that has ended. */
#include "base/clock.h"
#include "proxy/exchange_priv.h"

static struct exchange *with_id(struct proxy *p, struct slice id)
{
    LIST_EACH (link, &p->exchanges) {
        struct exchange *x = LIST_OWNER(link, struct exchange, link);
        if (slice_eq(x->request.id, id))
            return x;
    }
    return NULL;
}

static void put_fields(const struct exchange *x)
{
    const struct request *r = &x->request;
    log_text("id", r->id);
    log_text("client", r->client);
    log_text("method", r->message.request.method);
    log_text("path", r->message.request.path);
    if (r->facts.model_count > 0)
        log_text("model", r->facts.models[0]);
    log_string("step", exchange_step_word(x));
    if (x->route.subscription != NULL)
        log_string("subscription", x->route.subscription->name);
    log_number("attempts", r->attempts);
    log_number("bytes_out", x->reply.bytes);
    log_micros("running_ms", clock_ns() - r->message.head_ns);
    if (x->heard.id.len > 0)
        log_text("provider_id", x->heard.id);
}

void proxy_find(struct proxy *p, struct slice id, struct buf *lines)
{
    const struct exchange *x = with_id(p, id);
    struct log_kept kept = {.lines = *lines};
    if (x == NULL || !buf_append(&kept.lines, buf_slice(&x->kept.lines)))
        return;
    if (log_begin_kept(LOG_DEBUG, "exchange running", &kept)) {
        put_fields(x);
        log_end();
    }
    *lines = kept.lines;
}
