/* tls_trust.h - whom our connections to one place trust: a file of certificates, what was made of
 * it, and the session of the last handshake there, offered to the next.
 * The file is looked at before a connection is secured, at most once a second: when it has changed
 * it is read again, so that a new certificate needs no restart. One that cannot be read while the
 * one before could leaves that in force. Sessions do not outlive the file that vouched for them. */
#pragma once
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/tls.h"

struct tls_trust;

struct tls_trust *tls_trust_new(const char *ca_file); /* yours; NULL: the system's; copied */
/* After the connections secured with it. NULL is fine. */
void tls_trust_free(struct tls_trust *trust);

/* A client's TLS for the connected `fd`, to be given to wire_start_tls(): yours in *ssl if OK.
 * ERR_TLS: why[TLS_WHY_MAX] says what is wrong. ERR_SHORTAGE: no descriptor to read the file
 * with. */
MUST_USE enum err tls_trust_secure(struct tls_trust *trust, int fd, const char *host, SSL **ssl,
                                   char *why);
