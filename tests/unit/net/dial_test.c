#include "net/dial.h"

#include <openssl/ssl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "certificate.h"
#include "crypto/tls_trust.h"
#include "net/resolve.h"
#include "peer.h"

enum { PATIENT_MS = 10000, SHORT_MS = 300 };

static struct loop *loop;
static struct resolver *resolver;

struct dialling {
    struct dial *dial; /* NULL: over */
    unsigned fired;
    enum err err;
    int fd;
    int family;
    bool is_secured;
    char why[DIAL_WHY_MAX];
};

static void on_dialed(enum err err, const struct dialed *dialed, void *arg)
{
    struct dialling *d = arg;
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    CHECK(d->dial != NULL);
    d->dial = NULL;
    d->fired++;
    d->err = err;
    if (err != OK) {
        snprintf(d->why, sizeof(d->why), "%s", dialed->why);
        return;
    }
    CHECK(getpeername(dialed->fd, (struct sockaddr *)&peer, &len) == 0);
    d->family = peer.ss_family;
    d->is_secured = dialed->ssl != NULL && SSL_is_init_finished(dialed->ssl);
    SSL_free(dialed->ssl);
    close(dialed->fd);
}

static void begin(struct dialling *d, struct dial_target target)
{
    if (target.deadline_ms == 0)
        target.deadline_ms = PATIENT_MS;
    *d = (struct dialling){0};
    d->dial = dial(loop, resolver, &target, on_dialed, d);
    CHECK(d->fired == 0);
}

static bool leads_to(struct dial_target target, enum err err, const char *words)
{
    struct dialling d;
    begin(&d, target);
    RUN_UNTIL(loop, d.fired > 0);
    run_turn(loop);
    bool is_so = d.fired == 1 && d.err == err && strstr(d.why, words) != NULL;
    if (!is_so)
        fprintf(stderr, "    %s: %s\n", err_word(d.err), d.why);
    return is_so;
}

static int listen_at_v6(uint16_t port)
{
    struct sockaddr_in6 address = {
        .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = htons(port)};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        listen(fd, 8) == 0)
        return fd;
    close(fd);
    return -1;
}

/* A listener whose queue is full answers nobody: whatever knocks is swallowed. */
struct swallower {
    int listener, guest;
    uint16_t port;
};

static void swallow(struct swallower *s)
{
    s->listener = peer_listen(&s->port);
    CHECK(listen(s->listener, 0) == 0);
    s->guest = peer_dial(s->port);
}

static void swallow_no_more(struct swallower *s)
{
    close(s->listener);
    close(s->guest);
}

/* ---- */

static void test_one_address(void)
{
    uint16_t port;
    char words[64];
    int listener = peer_listen(&port);
    PROMISE("a connection is handed over once, and never before the call returns")
    CHECK(leads_to((struct dial_target){.host = "127.0.0.1", .port = port}, OK, ""));
    close(listener);
    PROMISE("a refused one names the address and the reason")
    {
        snprintf(words, sizeof(words), "127.0.0.1:%u: Connection refused", port);
        CHECK(
            leads_to((struct dial_target){.host = "127.0.0.1", .port = port}, ERR_CONNECT, words));
    }
    PROMISE("one that is swallowed runs out of time, and says where")
    {
        struct swallower s;
        swallow(&s);
        snprintf(words, sizeof(words), "no connection to 127.0.0.1:%u within 300 ms", s.port);
        CHECK(leads_to(
            (struct dial_target){.host = "127.0.0.1", .port = s.port, .deadline_ms = SHORT_MS},
            ERR_TIMEOUT, words));
        swallow_no_more(&s);
    }
    PROMISE("a name without an address is an error of its own")
    CHECK(leads_to((struct dial_target){.host = "", .port = port}, ERR_RESOLVE, "no address"));
    PROMISE("a socket path that leads nowhere says so")
    CHECK(leads_to((struct dial_target){.path = "/tmp/weir-there-is-nothing-here"}, ERR_CONNECT,
                   "No such file"));
}

static void on_found(enum err err, const struct address *addresses, size_t count, void *arg)
{
    CHECK(err == OK && count == 2);
    *(int *)arg = addresses[0].storage.ss_family;
}

static int first_family(uint16_t port)
{
    int family = 0;
    resolver_lookup(resolver, SLICE("localhost"), port, on_found, &family);
    RUN_UNTIL(loop, family != 0);
    return family;
}

static void test_two_addresses(void)
{
    struct swallower s;
    struct dialling d;
    uint16_t port;
    swallow(&s);
    close(peer_listen(&port));
    int swallowed = listen_at_v6(s.port), refused = listen_at_v6(port);
    if (swallowed < 0 || refused < 0) {
        printf("skipped: no IPv6 here\n");
        swallow_no_more(&s);
        return;
    }
    PROMISE("an address that swallows everything costs its share of time, not the deadline")
    {
        CHECK(first_family(s.port) == AF_INET);
        begin(&d, (struct dial_target){.host = "localhost", .port = s.port});
        RUN_UNTIL(loop, d.fired > 0);
        CHECK(d.err == OK && d.family == AF_INET6);
    }
    PROMISE("what worked comes first the next time, at that place alone")
    {
        CHECK(first_family(s.port) == AF_INET6);
        CHECK(first_family(port) == AF_INET);
    }
    PROMISE("one that refuses is followed by the next")
    {
        begin(&d, (struct dial_target){.host = "localhost", .port = port});
        RUN_UNTIL(loop, d.fired > 0);
        CHECK(d.err == OK && d.family == AF_INET6);
    }
    PROMISE("where none of them answers, one deadline holds for all")
    {
        close(swallowed);
        CHECK(leads_to(
            (struct dial_target){.host = "localhost", .port = s.port, .deadline_ms = SHORT_MS},
            ERR_TIMEOUT, "no connection to 127.0.0.1"));
    }
    close(refused);
    swallow_no_more(&s);
}

static void test_cancel(void)
{
    uint16_t port;
    struct swallower s;
    struct dialling early, waiting;
    int listener = peer_listen(&port);
    swallow(&s);
    PROMISE("a cancelled dial says nothing, at whatever step it was")
    {
        begin(&early, (struct dial_target){.host = "127.0.0.1", .port = port});
        dial_cancel(early.dial);
        begin(&waiting,
              (struct dial_target){.host = "127.0.0.1", .port = s.port, .deadline_ms = SHORT_MS});
        run_turn(loop);
        run_turn(loop);
        dial_cancel(waiting.dial);
        dial_cancel(NULL);
        uint64_t until_ms = clock_ms() + 2 * SHORT_MS;
        RUN_UNTIL(loop, clock_ms() > until_ms);
        CHECK(early.fired + waiting.fired == 0);
    }
    swallow_no_more(&s);
    close(listener);
}

static void test_shortage(void)
{
    uint16_t port;
    int listener = peer_listen(&port);
    PROMISE("to have no descriptor left is an error of its own, and nobody's refusal")
    {
        struct rlimit limit, none;
        struct dialling d;
        int lowest = dup(0);
        close(lowest);
        getrlimit(RLIMIT_NOFILE, &limit);
        none = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = limit.rlim_max};
        begin(&d, (struct dial_target){.host = "localhost", .port = port});
        setrlimit(RLIMIT_NOFILE, &none);
        RUN_UNTIL(loop, d.fired > 0);
        setrlimit(RLIMIT_NOFILE, &limit);
        CHECK(d.err == ERR_SHORTAGE && strstr(d.why, "Too many open files") != NULL);
    }
    close(listener);
}

static void test_tls(void)
{
    uint16_t port;
    char why[TLS_WHY_MAX];
    struct certificate certificate;
    struct dialling d;
    int listener = peer_listen(&port);
    certificate_make(&certificate, "IP:127.0.0.1");
    SSL_CTX *server = tls_server_context(certificate.cert_file, certificate.key_file, why);
    struct tls_trust *trust = tls_trust_new(certificate.cert_file), *other = tls_trust_new(NULL);
    struct dial_target target = {.host = "127.0.0.1", .port = port, .trust = trust};
    PROMISE("a connection is handed over when hands are shaken; and not, saying why, when not")
    for (int is_trusted = 1; is_trusted >= 0; is_trusted--) {
        struct peer peer;
        int fd = -1;
        target.trust = is_trusted ? trust : other;
        begin(&d, target);
        RUN_UNTIL(loop, fd >= 0 || (fd = accept(listener, NULL, NULL)) >= 0);
        peer_open(&peer, loop, fd, tls_server_new(server, fd));
        RUN_UNTIL(loop, d.fired > 0);
        CHECK(d.err == (is_trusted ? OK : ERR_TLS) && d.is_secured == is_trusted);
        CHECK(is_trusted || d.why[0] != '\0');
        peer_close(&peer);
    }
    PROMISE("who connects and says nothing is out of time; cancelled meanwhile, nothing is said")
    {
        target.trust = trust;
        target.deadline_ms = SHORT_MS;
        CHECK(leads_to(target, ERR_TIMEOUT, "no TLS handshake with 127.0.0.1"));
        begin(&d, target);
        run_turn(loop);
        run_turn(loop);
        dial_cancel(d.dial);
        run_turn(loop);
        CHECK(d.fired == 0);
    }
    tls_trust_free(trust);
    tls_trust_free(other);
    tls_context_free(server);
    certificate_remove(&certificate);
    close(listener);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    loop = loop_new();
    resolver = resolver_new(loop);
    test_one_address();
    test_two_addresses();
    test_cancel();
    test_shortage();
    test_tls();
    resolver_free(resolver);
    loop_free(loop);
    return check_done();
}
