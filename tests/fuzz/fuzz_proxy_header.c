/* A PROXY protocol header: more bytes never change what was decided, and it is never longer than
 * what has come. */
#include "format/proxy_header.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {(const char *)data, size};
    struct proxy_told whole, part;
    enum proxy_header state = proxy_header_read(in, &whole);
    REQUIRE(state != PROXY_HEADER_DONE || (whole.len > 0 && whole.len <= in.len));
    REQUIRE(state != PROXY_HEADER_MORE || in.len < PROXY_HEADER_MAX);
    for (size_t len = 0; len < in.len && len < 256; len++) {
        enum proxy_header before = proxy_header_read((struct slice){in.at, len}, &part);
        REQUIRE(before == PROXY_HEADER_MORE || before == state);
        REQUIRE(before != PROXY_HEADER_DONE || part.len == whole.len);
    }
    return 0;
}
