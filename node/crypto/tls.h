/* tls.h - TLS as this program speaks it: 1.2 and newer, verified, small in memory.
 * Contexts are made once per worker and origin; the connections on top live in net/wire.c. */
#pragma once
#include <stdbool.h>

#include "base/attr.h"
#include "base/slice.h"

typedef struct ssl_ctx_st SSL_CTX; /* OpenSSL's own names, so that its header is not needed here */
typedef struct ssl_st SSL;
typedef struct ssl_session_st SSL_SESSION;

enum { TLS_WHY_MAX = 256 };

/* For a listener. NULL: why[TLS_WHY_MAX] says which file and what is wrong with it. Yours. */
MUST_USE SSL_CTX *tls_server_context(const char *cert_file, const char *key_file, char *why);

/* For connections to providers: peer certificate and host name are verified, always. ca_file NULL:
 * the system's certificates, read as one file (OpenSSL's default directory look-up costs
 * milliseconds per connection). Yours. */
MUST_USE SSL_CTX *tls_client_context(const char *ca_file, char *why);
const char *tls_system_ca_file(void);    /* or NULL */
void tls_context_free(SSL_CTX *context); /* NULL is fine */

/* A client connection to `host` (name or address literal): name check, SNI, ALPN http/1.1.
 * `session` (may be NULL) is offered for resumption, not consumed. */
MUST_USE SSL *tls_client_new(SSL_CTX *context, int fd, const char *host, SSL_SESSION *session);
MUST_USE SSL *tls_server_new(SSL_CTX *context, int fd);

/* The newest error of this thread or of the certificate check, in words. */
void tls_error_text(const SSL *ssl, char *why);
