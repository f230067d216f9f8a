/* The parts are put one behind the other, each behind its length in decimal and a colon, and hashed
 * in one call: they are short, and libcrypto's one-shot HMAC() is the same in all its versions. */
#include "crypto/mac.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/number.h"

enum { PARTS_BYTES_MAX = 1 << 20 };

static void put_part(struct buf *all, struct slice part)
{
    char length[NUMBER_TEXT_MAX];
    if (!buf_append(all, number_decimal(part.len, length)) || !buf_append(all, SLICE(":")) ||
        !buf_append(all, part))
        abort(); /* the config bounds a credential and a URL far below */
}

void mac_text(struct slice key, const struct slice *parts, size_t count, char text[MAC_TEXT_MAX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    struct buf all;
    buf_init(&all, PARTS_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        put_part(&all, parts[i]);
    struct slice text_of_all = buf_slice(&all);
    if (HMAC(EVP_sha256(), key.at, (int)key.len, (const unsigned char *)text_of_all.at,
             text_of_all.len, digest, &length) == NULL)
        abort(); /* no SHA-256: not a libcrypto to work with */
    if (all.at != NULL)
        explicit_bzero(all.at, all.cap);
    buf_fini(&all);
    for (size_t i = 0; i < (MAC_TEXT_MAX - 1) / 2; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}
