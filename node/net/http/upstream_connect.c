/* Making a connection: name -> addresses in turn -> TCP -> TLS. */
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/http/upstream_priv.h"

/* Tickets come after the handshake, also on a connection that is in use: keep the newest. The pool
 * is found through the SSL's own data. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct origin_pool *p = SSL_get_app_data(ssl);
    SSL_SESSION_free(p->session);
    p->session = session; /* 1: we keep the reference */
    return 1;
}

static bool prepare_tls(struct upstream_connection *c, char *why)
{
    struct origin_pool *p = c->pool;
    if (!p->is_tls || p->tls != NULL)
        return true;
    p->tls = tls_client_context(p->ca_file, why);
    if (p->tls != NULL)
        SSL_CTX_sess_set_new_cb(p->tls, on_new_session);
    return p->tls != NULL;
}

/* False: this address cannot even be tried. */
static bool try_address(struct upstream_connection *c, const struct address *a)
{
    int one = 1;
    int fd = socket(a->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    wire_init(&c->wire, c->pool->upstream->loop, fd, NULL, &upstream_wire_events, c);
    if (connect(fd, (const struct sockaddr *)&a->storage, a->len) < 0 && errno != EINPROGRESS) {
        wire_close(&c->wire);
        return false;
    }
    wire_await_connect(&c->wire);
    return true;
}

static void try_next_address(struct upstream_connection *c)
{
    wire_close(&c->wire);
    while (c->address_next < c->address_count)
        if (try_address(c, &c->addresses[c->address_next++]))
            return;
    char detail[160];
    snprintf(detail, sizeof(detail), "%.80s:%u refused the connection or is out of reach",
             c->pool->host, c->pool->port);
    upstream_fail(c, ERR_CONNECT, detail);
}

static void on_resolved(enum err err, const struct address *addresses, size_t count, void *arg)
{
    struct upstream_connection *c = arg;
    char detail[128], why[TLS_WHY_MAX];
    c->lookup = NULL;
    if (err != OK) {
        snprintf(detail, sizeof(detail), "the name %.80s has no address", c->pool->host);
        upstream_fail(c, err, detail);
        return;
    }
    if (!prepare_tls(c, why)) {
        upstream_fail(c, ERR_TLS, why);
        return;
    }
    c->addresses = mem_new(count * sizeof(addresses[0]));
    memcpy(c->addresses, addresses, count * sizeof(addresses[0]));
    c->address_count = count;
    try_next_address(c);
}

void upstream_connect(struct upstream_connection *c)
{
    c->lookup = resolver_lookup(c->pool->upstream->resolver, slice_of(c->pool->host), c->pool->port,
                                on_resolved, c);
}

/* TCP is up, or TLS on top of it. */
void upstream_connect_progress(struct upstream_connection *c)
{
    struct origin_pool *p = c->pool;
    if (!p->is_tls || c->is_doing_tls) {
        upstream_connected(c);
        return;
    }
    SSL *ssl = tls_client_new(p->tls, c->wire.fd, p->host, p->session);
    if (ssl == NULL) {
        upstream_fail(c, ERR_TLS, "the host name cannot be used for TLS");
        return;
    }
    SSL_set_app_data(ssl, p);
    c->is_doing_tls = true;
    wire_start_tls(&c->wire, ssl);
}

void upstream_connect_failed(struct upstream_connection *c)
{
    char why[TLS_WHY_MAX];
    if (!c->is_doing_tls) {
        try_next_address(c);
        return;
    }
    tls_error_text(c->wire.ssl, why);
    upstream_fail(c, ERR_TLS, why);
}
