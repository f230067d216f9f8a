/* The context is made at first use and again when the file has changed. Connections that were
 * secured under an older one keep it (OpenSSL counts references), but their tickets, which come
 * after the handshake, are no longer taken. */
#include "crypto/tls_trust.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file_watch.h"
#include "base/log.h"
#include "base/mem.h"

struct tls_trust {
    char *ca_file; /* NULL: the system's */
    struct file_watch watch;
    SSL_CTX *context;
    SSL_SESSION *session;
};

struct tls_trust *tls_trust_new(const char *ca_file)
{
    struct tls_trust *trust = mem_new(sizeof(*trust));
    trust->ca_file = ca_file != NULL ? mem_string(slice_of(ca_file)) : NULL;
    return trust;
}

void tls_trust_free(struct tls_trust *trust)
{
    if (trust == NULL)
        return;
    SSL_SESSION_free(trust->session);
    tls_context_free(trust->context);
    free(trust->ca_file);
    free(trust);
}

/* The trust is found through the SSL's own data. 1: the reference is kept. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_trust *trust = SSL_get_app_data(ssl);
    if (SSL_get_SSL_CTX(ssl) != trust->context)
        return 0;
    SSL_SESSION_free(trust->session);
    trust->session = session;
    return 1;
}

static void log_unread(const struct tls_trust *trust, const char *why)
{
    if (!log_begin(LOG_WARN,
                   "a changed file of certificates could not be read; the one before holds"))
        return;
    log_string("file", trust->watch.path);
    log_string("reason", why);
    log_end();
}

/* The file as it is now, if it has not been read yet or has changed. */
static enum err read_file(struct tls_trust *trust, char *why)
{
    uint64_t now_ms = clock_ms();
    if (trust->context == NULL)
        file_watch_init(&trust->watch,
                        trust->ca_file != NULL ? trust->ca_file : tls_system_ca_file(), now_ms);
    else if (!file_watch_has_changed(&trust->watch, now_ms))
        return OK;
    errno = 0;
    SSL_CTX *fresh = tls_client_context(trust->watch.path, why);
    bool is_shortage = fresh == NULL && (errno == EMFILE || errno == ENFILE);
    if (fresh == NULL && trust->context == NULL)
        return is_shortage ? ERR_SHORTAGE : ERR_TLS;
    if (is_shortage)
        trust->watch.inode = 0; /* to be read when there are descriptors again */
    else if (fresh == NULL)
        log_unread(trust, why);
    if (fresh == NULL)
        return OK;
    SSL_CTX_sess_set_new_cb(fresh, on_new_session);
    SSL_SESSION_free(trust->session);
    tls_context_free(trust->context);
    trust->session = NULL;
    trust->context = fresh;
    return OK;
}

enum err tls_trust_secure(struct tls_trust *trust, int fd, const char *host, SSL **ssl, char *why)
{
    enum err err = read_file(trust, why);
    if (err != OK)
        return err;
    *ssl = tls_client_new(trust->context, fd, host, trust->session);
    if (*ssl == NULL) {
        snprintf(why, TLS_WHY_MAX, "the host name cannot be used for TLS");
        return ERR_TLS;
    }
    SSL_set_app_data(*ssl, trust);
    return OK;
}
