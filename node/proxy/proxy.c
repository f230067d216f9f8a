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
        .retries = options->retries,
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

static struct http_refusal refusal_of(const struct proxy *p, struct http_message *m,
                                      const struct access *access)
{
    const struct http1_request *r = &m->request;
    struct access_refusal no = access_to_proxy(p->config, access, &m->arena);
    if (no.status != 0)
        return (struct http_refusal){.status = no.status, .why = no.why};
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
    bool is_kept = p->config->history.requests > 0;
    struct log_kept kept = {0};
    buf_init(&kept.lines, HISTORY_LINES_MAX);
    metrics_add(p->metrics, COUNT_REQUESTS_4XX, 1);
    if (!log_begin_kept(LOG_WARN, "request turned away", is_kept ? &kept : NULL))
        return;
    log_text("id", m->id);
    log_text("client", client_name(&m->request, m->peer, &m->arena));
    log_text("method", m->request.method);
    log_text("path", m->request.path);
    log_number("status", (uint64_t)refusal->status);
    log_string("reason", refusal->why);
    log_end();
    const struct finished_request turned_away = {
        .id = m->id, .lines = buf_slice(&kept.lines), .is_stranger = true};
    if (turned_away.lines.len > 0)
        state_remember(p->state, &turned_away, p->config->history.requests);
    buf_fini(&kept.lines);
}

struct http_refusal proxy_head(struct proxy *p, struct http_message *m,
                               const struct dialect *dialect, const struct access *access)
{
    m->purpose = dialect;
    m->write_error = dialect->write_error;
    m->id = make_id(p, &m->arena);
    struct http_refusal refusal = refusal_of(p, m, access);
    if (refusal.status != 0)
        tell_refused(p, m, &refusal);
    return refusal;
}

static struct slice header_value(const struct http1_request *r, struct slice name)
{
    const struct http1_header *h = http1_header(r->headers, r->header_count, name);
    return h != NULL ? h->value : SLICE_NONE;
}

/* What may be asked is for us to say, and needs no slot: also what a browser asks before it lets a
 * page ask. That the page is one of ours was seen at the head. */
static void answer_options(struct connection *caller, const struct http_message *m)
{
    static const struct slice methods = SLICE_ROW("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    struct slice origin = header_value(&m->request, SLICE("origin"));
    struct slice asked = header_value(&m->request, SLICE("access-control-request-headers"));
    struct http1_header headers[6];
    struct answer answer = {.status = 204, .headers = headers};
    unsigned n = 0;
    headers[n++] = (struct http1_header){SLICE("allow"), methods};
    if (origin.len > 0) {
        headers[n++] = (struct http1_header){SLICE("access-control-allow-origin"), origin};
        headers[n++] = (struct http1_header){SLICE("access-control-allow-methods"), methods};
        headers[n++] = (struct http1_header){SLICE("access-control-max-age"), SLICE("600")};
        headers[n++] = (struct http1_header){SLICE("vary"), SLICE("origin")};
    }
    if (origin.len > 0 && asked.len > 0)
        headers[n++] = (struct http1_header){SLICE("access-control-allow-headers"), asked};
    answer.header_count = n;
    answer_begin(caller, &answer);
    answer_end(caller);
}

void proxy_handle(struct proxy *p, struct connection *caller, struct http_message *message)
{
    if (slice_eq(message->request.method, SLICE("OPTIONS")))
        answer_options(caller, message);
    else
        exchange_open(p, caller, message);
}

void proxy_break_all(struct proxy *p)
{
    metrics_add(p->metrics, COUNT_CUT_OFF, p->exchange_count);
    LIST_EACH (link, &p->exchanges)
        exchange_stop(LIST_OWNER(link, struct exchange, link), "the node is stopping; try again");
}
