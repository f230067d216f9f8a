/* certificate.h - certificates for a test, that vouch for themselves, in a folder of their own
 * under /tmp that is gone when the test ends. */
#pragma once
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "check.h"

struct certificate {
    char dir[64];
    char cert_file[96];
    char key_file[96];
};

static inline void certificate_write(const struct certificate *c, X509 *cert, EVP_PKEY *key)
{
    FILE *file = fopen(c->cert_file, "w");
    CHECK(file != NULL && PEM_write_X509(file, cert) == 1);
    fclose(file);
    file = fopen(c->key_file, "w");
    CHECK(file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(file);
}

static inline void certificate_name(X509 *cert, const char *names)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
    CHECK(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

/* names: "DNS:localhost,IP:127.0.0.1". */
static inline void certificate_make(struct certificate *c, const char *names)
{
    snprintf(c->dir, sizeof(c->dir), "/tmp/weir-cert-XXXXXX");
    if (mkdtemp(c->dir) == NULL) {
        perror("mkdtemp");
        exit(EXIT_FAILURE);
    }
    snprintf(c->cert_file, sizeof(c->cert_file), "%s/cert.pem", c->dir);
    snprintf(c->key_file, sizeof(c->key_file), "%s/key.pem", c->dir);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)"weir test", -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    certificate_name(cert, names);
    CHECK(X509_sign(cert, key, EVP_sha256()) > 0);
    certificate_write(c, cert, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static inline void certificate_remove(const struct certificate *c)
{
    unlink(c->cert_file);
    unlink(c->key_file);
    rmdir(c->dir);
}
