/* All that is decided about TLS: versions, protocol, what is verified, and the words for what
 * failed. OpenSSL keeps errors in a queue of the thread: whoever calls it clears the queue first,
 * and tls_error_text() empties it. */
#include "crypto/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const system_ca_files[] = {
    "/etc/ssl/certs/ca-certificates.crt", /* Debian, Ubuntu, Alpine */
    "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
    "/etc/ssl/cert.pem",
};

void tls_error_text(const SSL *ssl, char *why)
{
    long verify = ssl != NULL ? SSL_get_verify_result(ssl) : X509_V_OK;
    unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    if (verify != X509_V_OK)
        snprintf(why, TLS_WHY_MAX, "certificate refused: %s",
                 X509_verify_cert_error_string(verify));
    else if (code != 0 && ERR_reason_error_string(code) != NULL)
        snprintf(why, TLS_WHY_MAX, "%s", ERR_reason_error_string(code));
    else
        snprintf(why, TLS_WHY_MAX, "the connection was closed during the TLS handshake");
}

static SSL_CTX *fail(SSL_CTX *context, const char *what, const char *file, char *why)
{
    char reason[TLS_WHY_MAX];
    tls_error_text(NULL, reason);
    snprintf(why, TLS_WHY_MAX, "%s %s: %.120s", what, file, reason);
    SSL_CTX_free(context);
    return NULL;
}

/* Thousands of streams are open at once: buffers are given back while a connection is quiet. */
static SSL_CTX *new_context(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_read_ahead(context, 1);
    return context;
}

/* NOLINTNEXTLINE(readability-function-size): the parameters are OpenSSL's */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

SSL_CTX *tls_server_context(const char *cert_file, const char *key_file, char *why)
{
    SSL_CTX *context = new_context(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
        return fail(context, "certificate file", cert_file, why);
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1)
        return fail(context, "key file", key_file, why);
    if (SSL_CTX_check_private_key(context) != 1)
        return fail(context, "the key does not belong to the certificate:", key_file, why);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"weir", 4);
    return context;
}

const char *tls_system_ca_file(void)
{
    for (size_t i = 0; i < sizeof(system_ca_files) / sizeof(system_ca_files[0]); i++)
        if (access(system_ca_files[i], R_OK) == 0)
            return system_ca_files[i];
    return NULL;
}

SSL_CTX *tls_client_context(const char *ca_file, char *why)
{
    SSL_CTX *context = new_context(TLS_client_method());
    const char *file = ca_file != NULL ? ca_file : tls_system_ca_file();
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    if (file != NULL && access(file, R_OK) != 0) {
        snprintf(why, TLS_WHY_MAX, "CA file %s: %s", file, strerrordesc_np(errno));
        SSL_CTX_free(context);
        return NULL;
    }
    if (file == NULL) {
        snprintf(why, TLS_WHY_MAX,
                 "no file with the system's CA certificates was found (package ca-certificates); "
                 "install it or set ca_file");
        SSL_CTX_free(context);
        return NULL;
    }
    if (SSL_CTX_load_verify_file(context, file) != 1)
        return fail(context, "CA file", file, why);
    return context;
}

void tls_context_free(SSL_CTX *context)
{
    SSL_CTX_free(context);
}

static bool is_address(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

SSL *tls_client_new(SSL_CTX *context, int fd, const char *host, SSL_SESSION *session)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    SSL *ssl = SSL_new(context);
    bool is_set = SSL_set_fd(ssl, fd) == 1;
    if (is_address(host)) {
        is_set = is_set && X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    } else {
        is_set = is_set && SSL_set1_host(ssl, host) == 1;
        is_set = is_set && SSL_set_tlsext_host_name(ssl, host) == 1;
    }
    if (session != NULL)
        is_set = is_set && SSL_set_session(ssl, session) == 1;
    is_set = is_set && SSL_set_alpn_protos(ssl, protocols, sizeof(protocols) - 1) == 0;
    if (!is_set) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    return ssl;
}

SSL *tls_server_new(SSL_CTX *context, int fd)
{
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    return ssl;
}
