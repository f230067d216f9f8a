/* Providers that speak TLS, or should. */
#include <openssl/ssl.h>
#include <signal.h>

#include "certificate.h"
#include "net/http/upstream_fixture.h"

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define GET "GET /x HTTP/1.1\r\n\r\n"

enum { SHORT_MS = 120, LARGE = 2 << 20 };

static struct asked call;
static struct certificate certificate;
static char large[LARGE];

static struct upstream_request tls_request(void)
{
    struct upstream_request request = request_of(GET, SLICE_NONE);
    request.ca_file = certificate.cert_file;
    return request;
}

static void ask_tls(void)
{
    struct upstream_request request = tls_request();
    ask_with(&call, &request);
}

static void test_bytes(void)
{
    PROMISE("requests and answers pass through TLS, over one connection")
    for (int i = 0; i < 3; i++) {
        ask_tls();
        peer_send(request_at(0), OK_HELLO);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(call.ends == 1 && call.status == 200 && peer_total == 1);
        CHECK_TEXT(buf_slice(&call.body), "hello");
    }
    PROMISE("the next connection takes up the session of the one before")
    {
        struct asked second = {0};
        struct upstream_request request = tls_request();
        ask_tls();
        ask_with(&second, &request);
        struct peer *fresh = request_at(1);
        CHECK(SSL_session_reused(fresh->wire.ssl) && !SSL_session_reused(peers[0].wire.ssl));
        peer_send(fresh, OK_HELLO);
        peer_send(request_at(0), OK_HELLO);
        RUN_UNTIL(loop, is_over(&call) && is_over(&second));
        asked_fini(&second);
    }
    PROMISE("a connection that its provider closes while idle is forgotten")
    {
        start_over();
        ask_tls();
        peer_send(request_at(0), OK_HELLO);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(metrics_gauge(&metrics, 1, GAUGE_UPSTREAM_IDLE) == 1);
        wire_close(&peers[0].wire);
        RUN_UNTIL(loop, metrics_gauge(&metrics, 1, GAUGE_UPSTREAM_IDLE) == 0);
    }
}

static void test_large_answer(void)
{
    PROMISE("a large answer comes whole, through pauses too")
    for (int pauses = 0; pauses < 2; pauses++) {
        start_over();
        call.pauses = pauses;
        ask_tls();
        peer_send(request_at(0), "HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n");
        peer_send_bytes(&peers[0], (struct slice){large, LARGE});
        RUN_UNTIL(loop, call.heads == 1);
        while (pauses && !is_over(&call)) {
            size_t before = buf_len(&call.body);
            upstream_resume(call.call);
            RUN_UNTIL(loop, buf_len(&call.body) > before);
            if (buf_len(&call.body) == before)
                break; /* it has stopped for good */
        }
        RUN_UNTIL(loop, is_over(&call));
        CHECK(call.ends == 1 && buf_len(&call.body) == LARGE);
        CHECK(memcmp(buf_slice(&call.body).at, large, LARGE) == 0);
        call.pauses = false;
    }
}

static void test_ends(void)
{
    PROMISE("an answer without a length is whole if its provider said goodbye")
    {
        start_over();
        ask_tls();
        peer_send(request_at(0), "HTTP/1.1 200 OK\r\n\r\nhello");
        wire_close(&peers[0].wire);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(call.ends == 1);
        CHECK_TEXT(buf_slice(&call.body), "hello");
    }
    PROMISE("without a goodbye it was cut off")
    {
        start_over();
        ask_tls();
        peer_send(request_at(0), "HTTP/1.1 200 OK\r\n\r\nhello");
        shutdown(peers[0].wire.fd, SHUT_WR);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(call.failures == 1 && call.err == ERR_CLOSED);
    }
}

static void test_refusals(void)
{
    static char name[] = "127.0.0.2"; /* answers like any of 127.0.0.0/8, but is not in there */
    struct upstream_request request = tls_request();
    struct origin other = origin;
    PROMISE("a certificate that nobody vouches for is refused, and why is told")
    {
        start_over();
        request.ca_file = "/etc/ssl/certs/ca-certificates.crt";
        ask_with(&call, &request);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(call.failures == 1 && call.err == ERR_TLS && call.detail[0] != '\0');
    }
    PROMISE("so is one for another place")
    {
        uint16_t ours = origin.port;
        int everywhere = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        struct sockaddr_in address = {.sin_family = AF_INET};
        socklen_t len = sizeof(address);
        CHECK(inet_pton(AF_INET, name, &address.sin_addr) == 1);
        CHECK(bind(everywhere, (struct sockaddr *)&address, len) == 0);
        CHECK(listen(everywhere, 4) == 0);
        CHECK(getsockname(everywhere, (struct sockaddr *)&address, &len) == 0);
        struct event *event =
            event_new(loop_base(loop), everywhere, EV_READ | EV_PERSIST, on_acceptable, NULL);
        event_add(event, NULL);
        start_over();
        other.host = name;
        other.port = ntohs(address.sin_port);
        request.ca_file = certificate.cert_file;
        request.origin = &other;
        ask_with(&call, &request);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(call.err == ERR_TLS && strstr(call.detail, "certificate refused") != NULL);
        event_free(event);
        close(everywhere);
        CHECK(origin.port == ours);
    }
}

static void test_no_tls(void)
{
    SSL_CTX *kept = provider_tls;
    struct upstream_request request = tls_request();
    provider_tls = NULL;
    PROMISE("a provider that takes the connection and stays silent runs out of time")
    {
        start_over();
        request.connect_ms = SHORT_MS;
        ask_with(&call, &request);
        RUN_UNTIL(loop, is_over(&call));
        CHECK(call.err == ERR_TIMEOUT && call.heads == 0 && buf_len(&peers[0].in) > 0);
        RUN_UNTIL(loop, peer_is_over(&peers[0]));
    }
    PROMISE("one that answers in plain text, or closes, has failed to shake hands")
    for (int closes = 0; closes < 2; closes++) {
        start_over();
        ask_tls();
        RUN_UNTIL(loop, peer_total == 1 && buf_len(&peers[0].in) > 0);
        if (closes)
            wire_close(&peers[0].wire);
        else
            peer_send(&peers[0], "HTTP/1.1 400 Bad Request\r\n\r\n");
        RUN_UNTIL(loop, is_over(&call));
        CHECK(call.err == ERR_TLS && call.detail[0] != '\0');
    }
    PROMISE("a call that is cancelled within the handshake never says a word")
    {
        start_over();
        ask_tls();
        RUN_UNTIL(loop, peer_total == 1 && buf_len(&peers[0].in) > 0);
        struct upstream_call *gone = call.call;
        call.call = NULL;
        upstream_cancel(gone);
        RUN_UNTIL(loop, peer_is_over(&peers[0]));
        CHECK(!is_over(&call));
    }
    provider_tls = kept;
}

int main(void)
{
    char why[TLS_WHY_MAX];
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 7 + i / 251);
    certificate_make(&certificate, "IP:127.0.0.1");
    provider_tls = tls_server_context(certificate.cert_file, certificate.key_file, why);
    upstream_open();
    origin.is_tls = true;
    test_bytes();
    test_large_answer();
    test_ends();
    test_refusals();
    test_no_tls();
    asked_fini(&call);
    upstream_close();
    tls_context_free(provider_tls);
    certificate_remove(&certificate);
    return check_done();
}
