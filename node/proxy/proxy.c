/* Two moments of a request: its head, where it is decided whether it may go on (the dialect by
 * its path, who may, what cannot be passed on at all), and its end, where an exchange is made of
 * it. What is refused at the head has an id and a log line like any other, but no exchange. */
#include "proxy/proxy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/access.h"
#include "auth/client.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"
#include "proxy/exchange_priv.h"
#include "proxy/forward.h"

static_assert((int)DIALECT_ERROR_BYTES_MAX <= (int)HTTP_ERROR_BYTES_MAX, "the room it is given");

struct proxy *proxy_new(const struct proxy_options *options)
{
    struct proxy *p = mem_new(sizeof(*p));
    *p = (struct proxy){
        .loop = options->loop,
        .state = options->state,
        .upstream = options->upstream,
        .metrics = options->metrics,
        .node = options->node,
        .worker = options->worker,
        .config = config_hold(options->config),
    };
    list_init(&p->exchanges);
    return p;
}

void proxy_free(struct proxy *p)
{
    if (p == NULL)
        return;
    assert(p->exchange_count == 0);
    config_release(p->config);
    free(p);
}

size_t proxy_open(const struct proxy *p)
{
    return p->exchange_count;
}

void proxy_use_config(struct proxy *p, struct config *config)
{
    config_release(p->config);
    p->config = config_hold(config);
}

/* weir_<boot>-<worker>-<count>: told to the caller, found in the log. */
static struct slice make_id(struct proxy *p, struct arena *arena)
{
    char worker[NUMBER_TEXT_MAX], count[NUMBER_TEXT_MAX], id[4 * NUMBER_TEXT_MAX];
    const struct slice parts[] = {
        SLICE("weir_"), slice_of(p->node->boot),
        SLICE("-"),     number_decimal(p->worker, worker),
        SLICE("-"),     number_decimal(++p->sequence, count),
    };
    size_t len = slice_join(id, sizeof(id), parts, sizeof(parts) / sizeof(parts[0]));
    return arena_copy(arena, (struct slice){id, len});
}

static bool needs_length(const struct http1_request *r)
{
    return slice_eq(r->method, SLICE("POST")) || slice_eq(r->method, SLICE("PUT")) ||
           slice_eq(r->method, SLICE("PATCH"));
}

static struct http_refusal refusal_of(const struct proxy *p, const struct http_message *m)
{
    const struct http1_request *r = &m->request;
    if (!access_to_proxy(p->config, m->is_local))
        return (struct http_refusal){
            .status = 401,
            .why = "this caller is not local to the node, and callers from elsewhere "
                   "are not admitted (\"auth\" in the node's configuration)"};
    if (r->framing == HTTP1_NO_BODY && needs_length(r))
        return (struct http_refusal){
            .status = 411,
            .why = "a request body needs a Content-Length or chunked transfer coding",
            .is_last = true};
    const char *why = forward_refusal(r);
    return (struct http_refusal){.status = why != NULL ? 400 : 0, .why = why};
}

static void tell_refused(struct proxy *p, struct http_message *m,
                         const struct http_refusal *refusal)
{
    metrics_add(p->metrics, COUNT_REQUESTS_4XX, 1);
    if (!log_begin(LOG_INFO, "request turned away"))
        return;
    log_text("id", m->id);
    log_text("client", client_name(&m->request, m->peer, &m->arena));
    log_text("method", m->request.method);
    log_text("path", m->request.path);
    log_number("status", (uint64_t)refusal->status);
    log_string("reason", refusal->why);
    log_end();
}

struct http_refusal proxy_head(struct proxy *p, struct http_message *m,
                               const struct dialect *dialect)
{
    m->purpose = dialect;
    m->write_error = dialect->write_error;
    m->id = make_id(p, &m->arena);
    struct http_refusal refusal = refusal_of(p, m);
    if (refusal.status != 0)
        tell_refused(p, m, &refusal);
    return refusal;
}

void proxy_handle(struct proxy *p, struct connection *caller, struct http_message *message)
{
    exchange_open(p, caller, message);
}

void proxy_break_all(struct proxy *p)
{
    LIST_EACH (link, &p->exchanges)
        exchange_stop(LIST_OWNER(link, struct exchange, link), "the node is stopping; try again");
}
