#include "crypto/tls.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>

#include "certificate.h"

static struct certificate ours, theirs;
static char why[TLS_WHY_MAX];

static bool names(const char *file)
{
    bool is_named = strstr(why, file) != NULL && strlen(why) > strlen(file) + 3;
    if (!is_named)
        fprintf(stderr, "    said: %s\n", why);
    return is_named;
}

static bool server_refused(const char *cert_file, const char *key_file, const char *named)
{
    why[0] = '\0';
    SSL_CTX *context = tls_server_context(cert_file, key_file, why);
    bool is_refused = context == NULL;
    tls_context_free(context);
    return is_refused && names(named) && ERR_peek_error() == 0;
}

static void test_server_context(void)
{
    char missing[160];
    snprintf(missing, sizeof(missing), "%s/missing.pem", ours.dir);
    PROMISE("a certificate and its key make a listener's context, of TLS 1.2 and newer")
    {
        SSL_CTX *context = tls_server_context(ours.cert_file, ours.key_file, why);
        CHECK(context != NULL && SSL_CTX_get_min_proto_version(context) == TLS1_2_VERSION);
        tls_context_free(context);
        tls_context_free(NULL);
    }
    PROMISE("the file that is missing or no such thing is named, with what is wrong with it")
    {
        CHECK(server_refused(missing, ours.key_file, missing));
        CHECK(server_refused(ours.cert_file, missing, missing));
        CHECK(server_refused(ours.key_file, ours.key_file, ours.key_file));
        CHECK(server_refused(ours.cert_file, ours.cert_file, ours.cert_file));
        CHECK(server_refused(ours.dir, ours.key_file, ours.dir));
    }
    PROMISE("a key that belongs to another certificate is named")
    CHECK(server_refused(ours.cert_file, theirs.key_file, theirs.key_file));
}

static void test_client_context(void)
{
    char missing[160], empty[160];
    snprintf(missing, sizeof(missing), "%s/missing.pem", ours.dir);
    snprintf(empty, sizeof(empty), "%s/empty.pem", ours.dir);
    fclose(fopen(empty, "w"));
    PROMISE("a CA file that is missing or has no certificate is named")
    {
        CHECK(tls_client_context(missing, why) == NULL && names(missing));
        CHECK(tls_client_context(empty, why) == NULL && names(empty));
        CHECK(tls_client_context(ours.key_file, why) == NULL && names(ours.key_file));
        CHECK(ERR_peek_error() == 0);
    }
    PROMISE("a client's context verifies, and speaks TLS 1.2 and newer")
    {
        SSL_CTX *context = tls_client_context(ours.cert_file, why);
        CHECK(context != NULL && SSL_CTX_get_verify_mode(context) == SSL_VERIFY_PEER);
        CHECK(SSL_CTX_get_min_proto_version(context) == TLS1_2_VERSION);
        tls_context_free(context);
    }
    PROMISE("without a file of its own it uses the system's, or says what to install")
    {
        SSL_CTX *context = tls_client_context(NULL, why);
        CHECK(context != NULL || strstr(why, "ca-certificates") != NULL);
        tls_context_free(context);
    }
    unlink(empty);
}

/* ---- handshakes over a socket pair, both sides in turn ---- */

struct pair {
    SSL_CTX *server_context, *client_context;
    SSL *server, *client;
    int fds[2];
};

static bool open_pair(struct pair *p, const char *ca_file, const char *host, SSL_SESSION *session)
{
    *p = (struct pair){0};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fds) == 0);
    p->server_context = tls_server_context(ours.cert_file, ours.key_file, why);
    p->client_context = tls_client_context(ca_file, why);
    p->server = tls_server_new(p->server_context, p->fds[0]);
    p->client = tls_client_new(p->client_context, p->fds[1], host, session);
    CHECK(p->server != NULL && p->client != NULL);
    return p->server != NULL && p->client != NULL;
}

static void close_pair(struct pair *p)
{
    SSL_free(p->server);
    SSL_free(p->client);
    tls_context_free(p->server_context);
    tls_context_free(p->client_context);
    close(p->fds[0]);
    close(p->fds[1]);
    ERR_clear_error();
}

/* 1: done, 0: not yet, -1: failed, and why says so. */
static int step(SSL *ssl)
{
    ERR_clear_error();
    int done = SSL_do_handshake(ssl);
    int want = SSL_get_error(ssl, done);
    if (done == 1)
        return 1;
    if (want == SSL_ERROR_WANT_READ || want == SSL_ERROR_WANT_WRITE)
        return 0;
    tls_error_text(ssl, why);
    return -1;
}

static bool shake_hands(struct pair *p)
{
    why[0] = '\0';
    for (int i = 0; i < 20; i++) {
        int client = step(p->client);
        if (client < 0)
            return false;
        int server = step(p->server);
        if (server < 0)
            return false;
        if (client == 1 && server == 1)
            return true;
    }
    return false;
}

static bool connects(const char *ca_file, const char *host)
{
    struct pair p;
    bool is_done = open_pair(&p, ca_file, host, NULL) && shake_hands(&p);
    close_pair(&p);
    return is_done;
}

static void test_verification(void)
{
    PROMISE("a certificate is good for the names and addresses in it")
    {
        CHECK(connects(ours.cert_file, "localhost"));
        CHECK(connects(ours.cert_file, "127.0.0.1"));
        CHECK(connects(ours.cert_file, "::1"));
    }
    PROMISE("for any other name or address it is refused, and the refusal says why")
    {
        CHECK(!connects(ours.cert_file, "example.org"));
        CHECK(strstr(why, "certificate refused: ") != NULL && strstr(why, "ostname") != NULL);
        CHECK(!connects(ours.cert_file, "127.0.0.2"));
        CHECK(strstr(why, "certificate refused: ") != NULL && strstr(why, "IP") != NULL);
        CHECK(!connects(ours.cert_file, "weir test")); /* the common name is no host name */
    }
    PROMISE("one that nobody vouches for is refused")
    {
        CHECK(!connects(theirs.cert_file, "localhost"));
        CHECK(strstr(why, "certificate refused: ") != NULL);
    }
}

static void test_protocols(void)
{
    static const unsigned char h2_only[] = "\x02h2";
    PROMISE("both sides agree on http/1.1, and the name asked for is told")
    {
        const unsigned char *chosen;
        unsigned len;
        struct pair p;
        CHECK(open_pair(&p, ours.cert_file, "localhost", NULL) && shake_hands(&p));
        SSL_get0_alpn_selected(p.server, &chosen, &len);
        CHECK_TEXT(((struct slice){(const char *)chosen, len}), "http/1.1");
        const char *sni = SSL_get_servername(p.server, TLSEXT_NAMETYPE_host_name);
        CHECK(sni != NULL && strcmp(sni, "localhost") == 0);
        close_pair(&p);
    }
    PROMISE("an address is not told as a name")
    {
        struct pair p;
        CHECK(open_pair(&p, ours.cert_file, "127.0.0.1", NULL) && shake_hands(&p));
        CHECK(SSL_get_servername(p.server, TLSEXT_NAMETYPE_host_name) == NULL);
        close_pair(&p);
    }
    PROMISE("who speaks HTTP/2 only is refused, and so is a protocol older than TLS 1.2")
    {
        struct pair p;
        CHECK(open_pair(&p, ours.cert_file, "localhost", NULL));
        SSL_set_alpn_protos(p.client, h2_only, sizeof(h2_only) - 1);
        CHECK(!shake_hands(&p) && why[0] != '\0');
        close_pair(&p);
        CHECK(open_pair(&p, ours.cert_file, "localhost", NULL));
        SSL_set_security_level(p.client, 0);
        SSL_set_min_proto_version(p.client, TLS1_VERSION);
        SSL_set_max_proto_version(p.client, TLS1_1_VERSION);
        CHECK(!shake_hands(&p) && why[0] != '\0');
        close_pair(&p);
    }
}

static SSL_SESSION *newest;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(newest);
    newest = session;
    return 1;
}

static void test_resumption(void)
{
    struct pair p;
    SSL_CTX *server_context = NULL;
    char byte;
    PROMISE("a session that is offered is taken up, and stays the caller's")
    {
        CHECK(open_pair(&p, ours.cert_file, "localhost", NULL));
        SSL_CTX_sess_set_new_cb(p.client_context, keep_session);
        CHECK(shake_hands(&p));
        CHECK(SSL_read(p.client, &byte, 1) <= 0 && newest != NULL); /* the ticket comes with data */
        server_context = p.server_context;                          /* it made the ticket */
        p.server_context = NULL;
        SSL_shutdown(p.client); /* a session that was cut off is not taken up */
        close_pair(&p);
        CHECK(open_pair(&p, ours.cert_file, "localhost", newest));
        SSL_free(p.server);
        p.server = tls_server_new(server_context, p.fds[0]);
        CHECK(shake_hands(&p) && SSL_session_reused(p.client) && SSL_session_reused(p.server));
        close_pair(&p);
    }
    SSL_SESSION_free(newest);
    tls_context_free(server_context);
}

static void test_error_text(void)
{
    PROMISE("a connection closed in the middle of a handshake is called that")
    {
        struct pair p;
        CHECK(open_pair(&p, ours.cert_file, "localhost", NULL));
        CHECK(step(p.client) == 0);
        shutdown(p.fds[0], SHUT_RDWR);
        CHECK(step(p.client) == -1);
        CHECK(strstr(why, "closed") != NULL || strstr(why, "eof") != NULL);
        close_pair(&p);
    }
    PROMISE("an answer that is not TLS is told in words")
    {
        struct pair p;
        CHECK(open_pair(&p, ours.cert_file, "localhost", NULL));
        CHECK(step(p.client) == 0);
        CHECK(write(p.fds[0], "HTTP/1.1 400 Bad Request\r\n\r\n", 28) == 28);
        CHECK(step(p.client) == -1 && strlen(why) > 5);
        close_pair(&p);
    }
    PROMISE("an old error is not told again")
    {
        tls_error_text(NULL, why);
        tls_error_text(NULL, why);
        CHECK(strstr(why, "closed during the TLS handshake") != NULL);
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    certificate_make(&ours, "DNS:localhost,IP:127.0.0.1,IP:::1");
    certificate_make(&theirs, "DNS:localhost");
    test_server_context();
    test_client_context();
    test_verification();
    test_protocols();
    test_resumption();
    test_error_text();
    certificate_remove(&ours);
    certificate_remove(&theirs);
    return check_done();
}
