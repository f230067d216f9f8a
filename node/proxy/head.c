/* A provider's head between its arrival and its use. Its slices are borrowed for the callback only,
 * so what may reach the caller is copied; what a step will ask of it is worked out once. */
#include "base/clock.h"
#include "proxy/exchange_priv.h"
#include "proxy/forward.h"

static struct slice response_value(const struct http1_response *r, struct slice name)
{
    const struct http1_header *h = http1_header(r->headers, r->header_count, name);
    return h != NULL ? h->value : SLICE_NONE;
}

static void add_header(struct kept_head *head, struct slice name, struct slice value)
{
    head->headers[head->header_count++] = (struct http1_header){name, value};
}

/* So that no tunnel or cache between us and a caller holds a stream's events back. */
static void mark_stream(struct kept_head *head)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < head->header_count; i++)
        if (!slice_eq_nocase(head->headers[i].name, SLICE("cache-control")))
            head->headers[kept++] = head->headers[i];
    head->header_count = kept;
    add_header(head, SLICE("cache-control"), SLICE("no-cache, no-transform"));
}

/* That one, with parameters or without, not another whose name goes on: application/jsonl is of
 * many values. */
static bool is_type(struct slice content_type, struct slice type)
{
    struct slice rest = slice_from(content_type, type.len);
    return slice_starts_nocase(content_type, type) &&
           (rest.len == 0 || rest.at[0] == ';' || rest.at[0] == ' ' || rest.at[0] == '\t');
}

void head_keep(struct exchange *x, const struct http1_response *r, struct kept_head *head)
{
    struct arena *arena = &x->request.message.arena;
    struct slice type = response_value(r, SLICE("content-type"));
    struct slice coding = response_value(r, SLICE("content-encoding"));
    *head = (struct kept_head){
        .status = r->status,
        .reason = arena_copy(arena, r->reason),
        .framing = r->framing,
        .length = r->length,
        .is_sse = is_type(type, SLICE("text/event-stream")),
        .is_json = is_type(type, SLICE("application/json")),
        .is_coded = coding.len > 0,
    };
    head->is_readable = coding_parse(coding, &head->coding);
    head->headers = forward_response_headers(x->request.dialect, r, x->config->server.pass_limits,
                                             arena, &head->header_count);
    if (head->is_sse && head->status == 200)
        mark_stream(head);
    add_header(head, SLICE("x-weir-request-id"), x->request.id);
    if (x->config->server.expose_subscription) {
        add_header(head, SLICE("x-weir-subscription"), slice_of(x->route.subscription->name));
        add_header(head, SLICE("x-weir-attempts"), arena_printf(arena, "%u", x->request.attempts));
    }
}

void head_begin(struct exchange *x, const struct kept_head *head)
{
    struct answer answer = {
        .status = head->status,
        .reason = head->reason,
        .headers = head->headers,
        .header_count = head->header_count,
        .framing = head->framing,
        .length = head->length,
    };
    x->reply.has_begun = true;
    x->reply.status = head->status;
    x->times.out_ns = clock_ns();
    answer_begin(x->caller, &answer);
}
