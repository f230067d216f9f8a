/* One call of libcrypto, whose SHA-256 is the same in all its versions. */
#include "crypto/digest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

void digest_text(struct slice bytes, char text[DIGEST_TEXT_MAX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (EVP_Digest(bytes.at != NULL ? bytes.at : "", bytes.len, digest, NULL, EVP_sha256(), NULL) !=
        1)
        abort(); /* no SHA-256: not a libcrypto to work with */
    for (size_t i = 0; i < (DIGEST_TEXT_MAX - 1) / 2; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}
