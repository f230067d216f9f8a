/* Making a connection. All of the way is net/dial.h's; here stands what a shortage of descriptors
 * means: connections that idle in the pools hold some, so a few of those are closed and the way is
 * gone once more, before the request hears of it. */
#include "net/http/upstream_priv.h"

enum { SHED_AT_ONCE = 16 };

static void on_dialed(enum err err, const struct dialed *dialed, void *arg)
{
    struct upstream_connection *c = arg;
    struct upstream *u = c->pool->upstream;
    c->dial = NULL;
    if (err == OK) {
        wire_init(&c->wire, u->loop, dialed->fd, &upstream_wire_events, c);
        wire_set_tls(&c->wire, dialed->ssl);
        upstream_connected(c);
    } else if (err == ERR_SHORTAGE && !c->has_shed && upstream_drop_idle(u, SHED_AT_ONCE) > 0) {
        c->has_shed = true;
        upstream_connect(c);
    } else {
        upstream_fail(c, err, dialed->why);
    }
}

void upstream_connect(struct upstream_connection *c)
{
    struct dial_target target = {.host = c->pool->host,
                                 .port = c->pool->port,
                                 .trust = c->pool->trust,
                                 .deadline_ms = c->call->request.connect_ms};
    c->dial = dial(c->pool->upstream->loop, c->pool->upstream->resolver, &target, on_dialed, c);
}
