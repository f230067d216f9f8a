#include "crypto/tls_trust.h"

#include <openssl/ssl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/file_watch.h"
#include "base/log.h"
#include "certificate.h"

static struct certificate ours, theirs;
static char ca_file[160], why[TLS_WHY_MAX];

static void copy_to_ca_file(const char *from)
{
    static char bytes[8192];
    FILE *in = fopen(from, "r"), *out = fopen(ca_file, "w");
    CHECK(in != NULL && out != NULL);
    size_t len = fread(bytes, 1, sizeof(bytes), in);
    CHECK(fwrite(bytes, 1, len, out) == len);
    fclose(in);
    fclose(out);
}

/* A file is looked at once in a while: past that. */
static void wait_for_a_look(void)
{
    struct timespec nap = {.tv_nsec = 20000000};
    for (uint64_t until_ms = clock_ms() + FILE_WATCH_MS + 20; clock_ms() < until_ms;)
        nanosleep(&nap, NULL);
}

/* A server that has `ours` shakes hands with a client that has this trust. *is_resumed: with the
 * session of the time before. */
static bool shakes_hands(struct tls_trust *trust, bool *is_resumed)
{
    int fds[2];
    char byte = 'x';
    SSL *client = NULL;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    SSL_CTX *context = tls_server_context(ours.cert_file, ours.key_file, why);
    SSL *server = tls_server_new(context, fds[0]);
    CHECK(tls_trust_secure(trust, fds[1], "localhost", &client, why) == OK);
    for (int i = 0; client != NULL && i < 8; i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    bool is_done = client != NULL && SSL_is_init_finished(client) && SSL_is_init_finished(server);
    if (is_done) { /* tickets come with the first bytes */
        SSL_write(server, &byte, 1);
        SSL_read(client, &byte, 1);
        SSL_shutdown(client);
    }
    *is_resumed = is_done && SSL_session_reused(client);
    SSL_free(client);
    SSL_free(server);
    tls_context_free(context);
    close(fds[0]);
    close(fds[1]);
    return is_done;
}

static void test_changes(void)
{
    bool is_resumed;
    copy_to_ca_file(theirs.cert_file);
    struct tls_trust *trust = tls_trust_new(ca_file);
    PROMISE("who is not in the file is not trusted")
    CHECK(!shakes_hands(trust, &is_resumed));
    PROMISE("a file that changed is noticed, and who is in it now is trusted, without a new start")
    {
        copy_to_ca_file(ours.cert_file);
        wait_for_a_look();
        CHECK(shakes_hands(trust, &is_resumed) && !is_resumed);
    }
    PROMISE("a file that became unreadable leaves the one before in force")
    {
        FILE *file = fopen(ca_file, "w");
        fputs("half a certi", file);
        fclose(file);
        wait_for_a_look();
        CHECK(shakes_hands(trust, &is_resumed));
        CHECK(unlink(ca_file) == 0);
        wait_for_a_look();
        CHECK(shakes_hands(trust, &is_resumed));
    }
    PROMISE("who was taken out of the file is trusted no more, whatever was agreed before")
    {
        copy_to_ca_file(theirs.cert_file);
        wait_for_a_look();
        CHECK(!shakes_hands(trust, &is_resumed) && !is_resumed);
    }
    tls_trust_free(trust);
}

static void test_errors(void)
{
    SSL *ssl = NULL;
    unlink(ca_file);
    struct tls_trust *trust = tls_trust_new(ca_file);
    PROMISE("a file that was never there is named")
    {
        CHECK(tls_trust_secure(trust, 0, "localhost", &ssl, why) == ERR_TLS);
        CHECK(ssl == NULL && strstr(why, ca_file) != NULL);
    }
    copy_to_ca_file(ours.cert_file);
    PROMISE("without a descriptor to read it the shortage is told, and later it is read")
    {
        struct rlimit limit, none;
        int lowest = dup(0);
        close(lowest);
        getrlimit(RLIMIT_NOFILE, &limit);
        none = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = limit.rlim_max};
        setrlimit(RLIMIT_NOFILE, &none);
        enum err err = tls_trust_secure(trust, 0, "localhost", &ssl, why);
        setrlimit(RLIMIT_NOFILE, &limit);
        CHECK(err == ERR_SHORTAGE);
        CHECK(tls_trust_secure(trust, 0, "localhost", &ssl, why) == OK);
        SSL_free(ssl);
    }
    tls_trust_free(trust);
    tls_trust_free(NULL);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_ERROR);
    certificate_make(&ours, "DNS:localhost");
    certificate_make(&theirs, "DNS:localhost");
    snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", ours.dir);
    test_changes();
    test_errors();
    unlink(ca_file);
    certificate_remove(&ours);
    certificate_remove(&theirs);
    return check_done();
}
