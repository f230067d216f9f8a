/* server_fixture.h - an HTTP server on loopback for the tests of net/http/. Its
 * handler answers what asks for /now... at once with what it got, and keeps all else for the test
 * to answer. Callers are peers on the same loop. */
#pragma once
#include "base/clock.h"
#include "base/metrics.h"
#include "net/http/answer.h"
#include "peer.h"

enum { CALLS_MAX = 64, CLIENT_MS = 10000, BODY_MAX = 1 << 20, MEMORY_MAX = 64 << 20 };

struct held_call {
    struct connection *call; /* NULL: is no more */
    char target[64];
    char peer[64];
    struct http_message message;
    unsigned drained, gone;
};

static struct loop *loop;
static struct http_server *server;
static struct budget *budget;
static struct metrics metrics;
static struct http_server_options options;
static uint16_t port;
static struct held_call calls[CALLS_MAX];
static unsigned call_count, answered_at_once;

static inline void on_call_drained(void *arg)
{
    struct held_call *held = arg;
    CHECK(held->call != NULL);
    held->drained++;
}

static inline void on_call_gone(void *arg)
{
    struct held_call *held = arg;
    CHECK(held->call != NULL);
    held->gone++;
    http_message_fini(&held->message);
    held->call = NULL;
}

static inline void answer_echo(struct connection *call, struct http_message *m)
{
    static const struct http1_header text = {{"content-type", 12}, {"text/plain", 10}};
    struct answer answer = {.status = 200, .headers = &text, .header_count = 1};
    struct buf body;
    buf_init(&body, BODY_MAX + 4096);
    CHECK(buf_append(&body, m->request.method) && buf_append(&body, SLICE(" ")) &&
          buf_append(&body, m->request.target) && buf_append(&body, SLICE(" ")) &&
          buf_append(&body, buf_slice(&m->body)) && buf_append(&body, SLICE(";")));
    answered_at_once++;
    answer_whole(call, &answer, buf_slice(&body));
    buf_fini(&body);
}

static inline void on_request(struct connection *call, struct http_message *m, void *arg)
{
    static const struct connection_events events = {on_call_drained, on_call_gone};
    CHECK(arg == &calls && m->complete_ns >= m->head_ns && m->head_ns != 0);
    if (slice_starts(m->request.target, SLICE("/now"))) {
        answer_echo(call, m);
        return;
    }
    if (call_count == CALLS_MAX) {
        answer_abandon(call);
        CHECK(call_count < CALLS_MAX);
        return;
    }
    struct held_call *held = &calls[call_count++];
    *held = (struct held_call){.call = call};
    http_message_move(&held->message, m);
    snprintf(held->target, sizeof(held->target), "%.*s", SLICE_ARG(held->message.request.target));
    snprintf(held->peer, sizeof(held->peer), "%.*s", SLICE_ARG(held->message.peer));
    connection_bind(call, &events, held);
}

static inline void write_error(struct buf *out, int status, struct slice message,
                               struct slice request_id)
{
    CHECK(buf_printf(out, "{\"status\":%d,\"message\":\"%.*s\",\"id\":\"%.*s\"}", status,
                     SLICE_ARG(message), SLICE_ARG(request_id)));
}

/* "/mine" is not for anybody; a POST needs a length. */
static inline struct http_refusal may_go_on(struct http_message *m, const struct sockaddr *peer,
                                            void *arg)
{
    CHECK(peer->sa_family == AF_INET && arg == &calls && m->head_ns != 0);
    if (m->request.framing == HTTP1_NO_BODY && slice_eq(m->request.method, SLICE("POST")))
        return (struct http_refusal){.status = 411, .why = "a length is needed", .is_last = true};
    if (slice_eq(m->request.path, SLICE("/mine"))) {
        m->id = SLICE("id-1");
        return (struct http_refusal){
            .status = 403, .why = "it is mine", .header = {SLICE("allow"), SLICE("NONE")}};
    }
    return (struct http_refusal){.status = 0};
}

static inline void server_open(void)
{
    char why[HTTP_LISTEN_WHY_MAX] = "";
    memset(&metrics, 0, sizeof(metrics));
    call_count = answered_at_once = 0;
    int listener = http_listen("127.0.0.1", 0, true, &port, why);
    CHECK(listener >= 0 && port != 0 && why[0] == '\0');
    server = http_server_new(loop, listener, &options);
}

static inline void server_close(void)
{
    for (unsigned i = 0; i < call_count; i++)
        http_message_fini(&calls[i].message);
    http_server_free(server);
    server = NULL;
    run_turn(loop); /* what was deferred */
    CHECK(metrics_gauge(&metrics, 1, GAUGE_CLIENTS_CONNECTED) == 0);
    CHECK(metrics_gauge(&metrics, 1, GAUGE_BODY_BYTES_HELD) == 0);
    for (unsigned kind = 0; kind < BUDGET_KINDS; kind++)
        CHECK(budget_used(budget, (enum budget_kind)kind) == 0);
}

static inline void fixture_open(void)
{
    loop = loop_new();
    budget = budget_new(MEMORY_MAX, BODY_MAX);
    options = (struct http_server_options){.body_bytes_max = BODY_MAX,
                                           .budget = budget,
                                           .connections_max = 100,
                                           .client_ms = CLIENT_MS,
                                           .metrics = &metrics,
                                           .write_error = write_error,
                                           .on_head = may_go_on,
                                           .on_request = on_request,
                                           .arg = &calls};
}

static inline void fixture_close(void)
{
    loop_free(loop);
    budget_free(budget);
}

static inline void caller_open(struct peer *p)
{
    peer_open(p, loop, peer_dial(port), NULL);
}

/* A caller whose request is being held. */
static inline struct held_call *caller_asks(struct peer *p, const char *request)
{
    unsigned before = call_count;
    caller_open(p);
    peer_send(p, request);
    RUN_UNTIL(loop, call_count == before + 1);
    return &calls[before];
}

static inline void answer_text(struct held_call *held, const char *text)
{
    struct answer answer = {.status = 200};
    struct connection *call = held->call;
    http_message_fini(&held->message);
    held->call = NULL;
    answer_whole(call, &answer, slice_of(text));
}

static inline void begin_answer(struct held_call *held, enum http1_framing framing, uint64_t length)
{
    struct answer answer = {.status = 200, .framing = framing, .length = length};
    answer_begin(held->call, &answer);
}

static inline void send_body(struct held_call *held, struct slice piece, bool is_last)
{
    answer_body(held->call, &piece, 1, is_last);
}

static inline void end_answer(struct held_call *held)
{
    struct connection *call = held->call;
    http_message_fini(&held->message);
    held->call = NULL;
    answer_end(call);
}

static inline void break_answer(struct held_call *held)
{
    struct connection *call = held->call;
    http_message_fini(&held->message);
    held->call = NULL;
    answer_break(call);
}
