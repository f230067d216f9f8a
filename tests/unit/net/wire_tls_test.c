/* TLS on both ends, both of them wires. */
#include <openssl/ssl.h>
#include <signal.h>

#include "certificate.h"
#include "peer.h"

enum { LARGE = 4 << 20 };

static struct loop *loop;
static struct certificate certificate;
static SSL_CTX *server_context, *client_context;
static char large[LARGE];

struct client {
    struct wire wire;
    struct buf in;
    unsigned secured, drained, closed;
    bool is_inside, reads_little;
    enum wire_read last;
};

static void on_readable(void *arg)
{
    static char scratch[4096];
    struct client *c = arg;
    size_t got;
    CHECK(!c->is_inside);
    while ((c->last = wire_read(&c->wire, scratch, c->reads_little ? 10 : 4096, &got)) ==
           WIRE_DATA) {
        CHECK(buf_append(&c->in, (struct slice){scratch, got}));
        if (c->reads_little) {
            wire_set_reading(&c->wire, false);
            return;
        }
    }
    if (c->last != WIRE_AGAIN)
        wire_stop_watching(&c->wire);
}

static void on_drained(void *arg)
{
    struct client *c = arg;
    CHECK(!c->is_inside);
    c->drained++;
}

static void on_secured(void *arg)
{
    struct client *c = arg;
    CHECK(!c->is_inside);
    c->secured++;
}

static void on_closed(void *arg)
{
    struct client *c = arg;
    c->closed++;
    wire_stop_watching(&c->wire);
}

static void open_client(struct client *c, int fd, const char *host)
{
    static const struct wire_events events = {.on_readable = on_readable,
                                              .on_drained = on_drained,
                                              .on_closed = on_closed,
                                              .on_secured = on_secured};
    *c = (struct client){.is_inside = true};
    buf_init(&c->in, PEER_BYTES_MAX);
    wire_init(&c->wire, loop, fd, &events, c);
    wire_start_tls(&c->wire, tls_client_new(client_context, fd, host, NULL));
    c->is_inside = false;
}

static void close_client(struct client *c)
{
    wire_close(&c->wire);
    buf_fini(&c->in);
}

static void open_both(struct client *c, struct peer *server)
{
    int fds[2];
    peer_pair(fds);
    peer_open(server, loop, fds[1], tls_server_new(server_context, fds[1]));
    open_client(c, fds[0], "localhost");
    RUN_UNTIL(loop, c->secured + c->closed > 0);
    CHECK(c->secured == 1 && c->closed == 0);
    wire_set_reading(&c->wire, true);
}

static void write_large(struct wire *w)
{
    struct iovec piece = {large, LARGE};
    wire_write(w, &piece, 1);
}

static bool is_large(const struct buf *in)
{
    struct slice got = buf_slice(in);
    return got.len == LARGE && memcmp(got.at, large, LARGE) == 0;
}

static void test_bytes(void)
{
    struct client c;
    struct peer server;
    open_both(&c, &server);
    PROMISE("megabytes pass both ways at once, as they were")
    {
        write_large(&c.wire);
        write_large(&server.wire);
        CHECK(wire_waiting(&c.wire) > 0);
        RUN_UNTIL(loop, is_large(&server.in) && is_large(&c.in));
        CHECK(wire_waiting(&c.wire) == 0 && wire_waiting(&server.wire) == 0);
        CHECK(c.wire.sent == LARGE && server.wire.sent == LARGE);
    }
    PROMISE("what is held is sent with what follows")
    {
        wire_hold(&c.wire, SLICE("first "));
        struct iovec piece = {large, 1};
        wire_write(&c.wire, &piece, 1);
        RUN_UNTIL(loop, peer_has(&server, "first "));
    }
    close_client(&c);
    peer_close(&server);
}

static void test_offer(void)
{
    struct client c;
    struct peer server;
    size_t taken = 0;
    open_both(&c, &server);
    PROMISE("a large offer passes a record at a time, and no more of it is ever kept here")
    {
        while (taken < LARGE && check_failures == 0) {
            struct iovec rest = {large + taken, LARGE - taken};
            unsigned before = c.drained;
            taken += wire_offer(&c.wire, &rest, 1);
            CHECK(wire_waiting(&c.wire) <= 16384);
            if (taken < LARGE)
                RUN_UNTIL(loop, c.drained > before);
        }
        RUN_UNTIL(loop, is_large(&server.in));
        CHECK(c.wire.sent == LARGE && wire_waiting(&c.wire) == 0);
    }
    close_client(&c);
    peer_close(&server);
}

static void test_reading_off(void)
{
    struct client c;
    struct peer server;
    open_both(&c, &server);
    PROMISE("bytes that TLS holds already are told when reading is on again")
    {
        c.reads_little = true;
        peer_send(&server, "0123456789abcdefghijABCDEFGHIJ");
        for (size_t i = 1; i <= 3; i++) {
            RUN_UNTIL(loop, buf_len(&c.in) == i * 10);
            run_turn(loop);
            CHECK(buf_len(&c.in) == i * 10); /* it was asked to stop */
            wire_set_reading(&c.wire, true);
        }
        CHECK_TEXT(buf_slice(&c.in), "0123456789abcdefghijABCDEFGHIJ");
    }
    PROMISE("that the peer closed is seen although reading is off")
    {
        wire_set_reading(&c.wire, false);
        peer_close(&server);
        RUN_UNTIL(loop, c.closed == 1);
    }
    close_client(&c);
    open_both(&c, &server);
    PROMISE("so is that it reset")
    {
        wire_set_reading(&c.wire, false);
        peer_reset(&server);
        RUN_UNTIL(loop, c.closed == 1);
    }
    close_client(&c);
}

static void test_ends(void)
{
    struct client c;
    struct peer server;
    open_both(&c, &server);
    PROMISE("a peer that says goodbye has ended in order, after its last bytes")
    {
        peer_send(&server, "bye");
        peer_close(&server);
        RUN_UNTIL(loop, c.last == WIRE_END);
        CHECK_TEXT(buf_slice(&c.in), "bye");
    }
    close_client(&c);
    open_both(&c, &server);
    PROMISE("a connection that ends without a goodbye was cut off: a failure")
    {
        shutdown(server.wire.fd, SHUT_WR);
        RUN_UNTIL(loop, c.last == WIRE_FAILED);
    }
    close_client(&c);
    peer_close(&server);
    open_both(&c, &server);
    PROMISE("who has finished writing can still read, and the peer sees an end")
    {
        wire_finish_writing(&c.wire);
        RUN_UNTIL(loop, server.has_ended);
        peer_send(&server, "still");
        RUN_UNTIL(loop, buf_len(&c.in) == 5);
    }
    close_client(&c);
    peer_close(&server);
    open_both(&c, &server);
    PROMISE("a reset is seen as a failure")
    {
        wire_reset(&c.wire);
        RUN_UNTIL(loop, server.has_failed);
    }
    close_client(&c);
    peer_close(&server);
}

static void test_handshakes(void)
{
    struct client c;
    struct peer server;
    int fds[2];
    PROMISE("a handshake that fails is told once, and its reason can be asked for")
    {
        char why[TLS_WHY_MAX];
        peer_pair(fds);
        peer_open(&server, loop, fds[1], tls_server_new(server_context, fds[1]));
        open_client(&c, fds[0], "example.org");
        RUN_UNTIL(loop, c.closed > 0);
        tls_error_text(c.wire.ssl, why);
        CHECK(c.secured == 0 && c.closed == 1 && strstr(why, "certificate refused") != NULL);
        close_client(&c);
        RUN_UNTIL(loop, peer_is_over(&server));
        peer_close(&server);
    }
    PROMISE("a peer that closes in the middle of it is a failed handshake")
    {
        peer_pair(fds);
        open_client(&c, fds[0], "localhost");
        peer_open(&server, loop, fds[1], NULL);
        RUN_UNTIL(loop, buf_len(&server.in) > 0);
        peer_close(&server);
        RUN_UNTIL(loop, c.closed == 1);
        CHECK(c.secured == 0);
        close_client(&c);
    }
    PROMISE("a caller that speaks no TLS is a failed reading, not a crash")
    {
        peer_pair(fds);
        peer_open(&server, loop, fds[1], tls_server_new(server_context, fds[1]));
        CHECK(send(fds[0], "GET / HTTP/1.1\r\n\r\n", 18, 0) == 18);
        RUN_UNTIL(loop, server.has_failed);
        peer_close(&server);
        close(fds[0]);
    }
}

int main(void)
{
    char why[TLS_WHY_MAX];
    signal(SIGPIPE, SIG_IGN);
    loop = loop_new();
    certificate_make(&certificate, "DNS:localhost");
    server_context = tls_server_context(certificate.cert_file, certificate.key_file, why);
    client_context = tls_client_context(certificate.cert_file, why);
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 7 + i / 251);
    test_bytes();
    test_offer();
    test_reading_off();
    test_ends();
    test_handshakes();
    tls_context_free(server_context);
    tls_context_free(client_context);
    certificate_remove(&certificate);
    loop_free(loop);
    return check_done();
}
