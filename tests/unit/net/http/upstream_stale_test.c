#include <signal.h>

#include "certificate.h"
#include "net/http/upstream_fixture.h"

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

int main(void)
{
    char why[TLS_WHY_MAX];
    struct asked call = {0};
    struct certificate certificate;
    signal(SIGPIPE, SIG_IGN);
    certificate_make(&certificate, "IP:127.0.0.1");
    provider_tls = tls_server_context(certificate.cert_file, certificate.key_file, why);
    upstream_open();
    origin.is_tls = true;
    PROMISE("a TLS connection that closed in this very turn costs no POST")
    {
        struct upstream_request get = request_of("GET / HTTP/1.1\r\n\r\n", SLICE_NONE);
        struct upstream_request post = request_of("POST / HTTP/1.1\r\n\r\n", SLICE("hi"));
        get.ca_file = post.ca_file = certificate.cert_file;
        ask_with(&call, &get);
        peer_send(request_at(0), OK_HELLO);
        RUN_UNTIL(loop, is_over(&call));
        wire_close(&peers[0].wire);
        ask_with(&call, &post);
        RUN_UNTIL(loop, is_over(&call) || (peer_total == 2 && peer_has(&peers[1], "hi")));
        CHECK(call.failures == 0);
    }
    asked_fini(&call);
    upstream_close();
    tls_context_free(provider_tls);
    certificate_remove(&certificate);
    return check_done();
}
