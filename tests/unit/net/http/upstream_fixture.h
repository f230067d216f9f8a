/* upstream_fixture.h - a provider on loopback for the tests of net/upstream.c, that does
 * only what the test tells it: each connection to it is a peer. Calls write down what they hear. */
#pragma once
#include <event2/event.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "net/http/upstream.h"
#include "net/resolve.h"
#include "peer.h"

enum { PEERS_MAX = 32, PATIENT_MS = 10000 };

static struct loop *loop;
static struct resolver *resolver;
static struct upstream *upstream;
static struct metrics metrics;

/* ---- the provider ---- */

static char host[] = "127.0.0.1", authority[] = "a", no_prefix[] = "";
static struct origin origin = {.host = host, .authority = authority, .path_prefix = no_prefix};
static int listener;
static struct event *acceptable;
static SSL_CTX *provider_tls; /* NULL: it speaks plain */
static struct peer peers[PEERS_MAX];
static unsigned peer_total;

static inline void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    (void)arg;
    int connection = accept(fd, NULL, NULL);
    CHECK(peer_total < PEERS_MAX);
    if (connection < 0 || peer_total == PEERS_MAX)
        return;
    SSL *ssl = provider_tls != NULL ? tls_server_new(provider_tls, connection) : NULL;
    peer_open(&peers[peer_total++], loop, connection, ssl);
}

static inline void forget_peers(void)
{
    for (unsigned i = 0; i < peer_total; i++)
        peer_close(&peers[i]);
    peer_total = 0;
}

/* ---- a call ---- */

struct asked {
    struct upstream_call *call; /* NULL: is no more */
    int status;
    unsigned heads, ends, failures;
    char header[64]; /* the value of x-test */
    struct buf body;
    enum err err;
    char detail[256];
    bool pauses; /* when something comes */
    bool cancels;
    bool is_lost;       /* may not be sent any more */
    struct asked *then; /* sent when this one ends */
};

static inline void ask(struct asked *a, const char *head, struct slice body);

static inline void pause_or_cancel(struct asked *a)
{
    struct upstream_call *call = a->call;
    if (a->pauses)
        upstream_pause(call);
    if (!a->cancels)
        return;
    a->call = NULL;
    upstream_cancel(call);
}

static inline void on_head(const struct http1_response *response, void *arg)
{
    struct asked *a = arg;
    const struct http1_header *h =
        http1_header(response->headers, response->header_count, SLICE("x-test"));
    CHECK(a->call != NULL && a->heads == 0);
    a->heads++;
    a->status = response->status;
    if (h != NULL)
        snprintf(a->header, sizeof(a->header), "%.*s", SLICE_ARG(h->value));
    pause_or_cancel(a);
}

static inline void on_body(const struct slice *pieces, unsigned count, bool is_end, void *arg)
{
    struct asked *a = arg;
    CHECK(a->call != NULL && a->heads == 1 && a->ends == 0 && (count > 0 || is_end));
    for (unsigned i = 0; i < count; i++)
        CHECK(buf_append(&a->body, pieces[i]));
    if (is_end) {
        a->ends++;
        a->call = NULL;
        if (a->then != NULL)
            ask(a->then, "GET /then HTTP/1.1\r\n\r\n", SLICE_NONE);
        return;
    }
    pause_or_cancel(a);
}

static inline void on_failed(enum err err, const char *detail, void *arg)
{
    struct asked *a = arg;
    CHECK(a->call != NULL && a->failures == 0 && a->ends == 0 && err != OK);
    a->failures++;
    a->err = err;
    a->call = NULL;
    snprintf(a->detail, sizeof(a->detail), "%s", detail);
}

static inline bool is_over(const struct asked *a)
{
    return a->ends + a->failures > 0;
}

static inline struct upstream_request request_of(const char *head, struct slice body)
{
    return (struct upstream_request){.origin = &origin,
                                     .head = slice_of(head),
                                     .body = body,
                                     .is_safe = strncmp(head, "POST", 4) != 0,
                                     .to_head = strncmp(head, "HEAD", 4) == 0,
                                     .connect_ms = PATIENT_MS,
                                     .first_byte_ms = PATIENT_MS,
                                     .idle_ms = PATIENT_MS};
}

static inline bool may_send_it(void *arg)
{
    const struct asked *a = arg;
    return !a->is_lost;
}

static inline void ask_with(struct asked *a, const struct upstream_request *request)
{
    static const struct upstream_events events = {
        .may_send = may_send_it, .on_head = on_head, .on_body = on_body, .on_failed = on_failed};
    struct asked fresh = {.pauses = a->pauses, .cancels = a->cancels, .then = a->then};
    buf_fini(&a->body);
    *a = fresh;
    buf_init(&a->body, PEER_BYTES_MAX);
    a->call = upstream_send(upstream, request, &events, a);
    CHECK(a->call != NULL && a->heads == 0 && !is_over(a));
}

/* head: with the empty line; borrowed until the call ends. */
static inline void ask(struct asked *a, const char *head, struct slice body)
{
    struct upstream_request request = request_of(head, body);
    ask_with(a, &request);
}

static inline void asked_fini(struct asked *a)
{
    upstream_cancel(a->call); /* NULL is fine */
    buf_fini(&a->body);
}

/* Waits until a request has come over the connection with this number, and forgets it. */
static inline struct peer *request_at(unsigned number)
{
    RUN_UNTIL(loop, peer_total > number && peer_has(&peers[number], "\r\n\r\n"));
    buf_clear(&peers[number].in);
    return &peers[number];
}

/* One GET, answered so, to its end. */
static inline void ask_and_answer(struct asked *a, unsigned number, const char *answer)
{
    ask(a, "GET /x HTTP/1.1\r\n\r\n", SLICE_NONE);
    peer_send(request_at(number), answer);
    RUN_UNTIL(loop, is_over(a));
}

/* ---- all of it ---- */

static inline void upstream_open(void)
{
    loop = loop_new();
    resolver = resolver_new(loop);
    upstream = upstream_new(loop, resolver, &metrics);
    listener = peer_listen(&origin.port);
    acceptable = event_new(loop_base(loop), listener, EV_READ | EV_PERSIST, on_acceptable, NULL);
    event_add(acceptable, NULL);
}

/* Nothing kept from the tests before: no connection on either side. */
static inline void start_over(void)
{
    forget_peers();
    RUN_UNTIL(loop, metrics_gauge(&metrics, 1, GAUGE_UPSTREAM_IDLE) == 0);
    CHECK(metrics_gauge(&metrics, 1, GAUGE_UPSTREAM_BUSY) == 0);
}

static inline void upstream_close(void)
{
    start_over();
    upstream_free(upstream);
    resolver_free(resolver);
    event_free(acceptable);
    close(listener);
    loop_free(loop);
}
