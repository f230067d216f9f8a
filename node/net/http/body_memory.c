/* The memory of request bodies. What a body may take is reserved in the node's budget first, then
 * made into memory:
 *   known length    reserved whole, and one piece of just that size from the beginning
 *   unknown length  64 KiB, then WARM_BYTES, then the most there may be; when it is complete, what
 *                   it did not need is given back. Memory that nothing was written to costs nothing
 * Bodies between the small ones and WARM_BYTES lie in pieces that are kept for the next one: to map
 * and to fault in 200 KB anew costs a fifth of passing them on. Those pieces are counted as long as
 * they live. Larger ones are mapped and unmapped by the allocator (see use_memory_plainly in
 * run/node.c). */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "net/http/server_priv.h"

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool is_sized(const struct connection *c)
{
    return c->message.request.framing == HTTP1_SIZED;
}

uint64_t body_whole(const struct connection *c)
{
    return is_sized(c) ? c->message.request.length : c->server->options.body_bytes_max + 1;
}

bool body_reserve(struct connection *c)
{
    struct budget_hold *hold = &c->message.hold;
    uint64_t whole = body_whole(c);
    if (is_sized(c))
        return budget_reserve(hold, whole);
    if (hold->bytes < BUDGET_SMALL_BYTES)
        return budget_reserve_step(hold, least(BUDGET_SMALL_BYTES, whole));
    return (hold->bytes < WARM_BYTES && budget_reserve_step(hold, least(WARM_BYTES, whole))) ||
           budget_reserve(hold, whole);
}

/* NULL: there are too many already. */
static char *take_warm(struct http_server *s)
{
    if (s->warm_count > 0)
        return s->warm[--s->warm_count];
    if (s->warm_made == WARM_MAX || !budget_take(s->options.budget, BUDGET_WARM, 0, WARM_BYTES))
        return NULL;
    s->warm_made++;
    return mem_resize(NULL, WARM_BYTES);
}

static void drop_memory(struct http_server *s, struct buf *b, bool is_warm)
{
    if (is_warm)
        s->warm[s->warm_count++] = buf_take_memory(b);
    buf_fini(b);
}

static void move_to(struct http_message *m, char *at, size_t cap, bool is_warm)
{
    struct buf old = m->body;
    bool was_warm = m->is_body_warm;
    buf_init(&m->body, cap);
    buf_use_memory(&m->body, at, cap);
    m->is_body_warm = is_warm;
    bool fits = buf_append(&m->body, buf_slice(&old));
    assert(fits); /* it has grown */
    drop_memory(m->server, &old, was_warm);
}

void body_use_room(struct connection *c)
{
    struct http_message *m = &c->message;
    size_t cap = (size_t)m->hold.bytes;
    char *to, *warm = NULL;
    assert(cap > 0 && cap >= buf_len(&m->body));
    if (cap <= BUDGET_SMALL_BYTES) {
        m->body.max = cap;
        bool fits = !is_sized(c) || buf_reserve(&m->body, cap, &to);
        assert(fits);
        return;
    }
    if (cap <= WARM_BYTES)
        warm = take_warm(m->server);
    if (warm != NULL)
        move_to(m, warm, WARM_BYTES, true);
    else
        move_to(m, mem_resize(NULL, cap), cap, false);
}

void body_store_fini(struct http_server *s)
{
    budget_give(s->options.budget, BUDGET_WARM, 0, (uint64_t)s->warm_made * WARM_BYTES);
    while (s->warm_count > 0)
        free(s->warm[--s->warm_count]);
}

void http_message_init(struct http_message *m)
{
    *m = (struct http_message){0};
    arena_init(&m->arena);
    buf_init(&m->body, 0);
}

void http_message_move(struct http_message *to, struct http_message *from)
{
    *to = *from;
    http_message_init(from);
}

void http_message_drop_body(struct http_message *m)
{
    if (m->server == NULL)
        return;
    if (m->held_bytes > 0)
        metrics_move(m->server->options.metrics, GAUGE_BODY_BYTES_HELD, -(int64_t)m->held_bytes);
    m->held_bytes = 0;
    drop_memory(m->server, &m->body, m->is_body_warm);
    m->is_body_warm = false;
    budget_hold_end(&m->hold);
}

void http_message_fini(struct http_message *m)
{
    http_message_drop_body(m);
    if (m->head_bytes > 0)
        budget_give(m->hold.budget, BUDGET_HEADS, m->hold.caller, m->head_bytes);
    m->head_bytes = 0;
    arena_fini(&m->arena);
    arena_init(&m->arena);
}
