/* A chunked body: the same at any cut, and written down again in one chunk the same body. */
#include <string.h>

#include "format/http1.h"
#include "fuzz.h"

struct result {
    enum http1_progress progress;
    char *body;
    size_t body_len;
    size_t used; /* bytes of the input */
};

static void read_piece(struct http1_chunked *chunked, struct slice piece, struct result *result)
{
    size_t len = piece.len;
    struct slice data;
    do {
        result->progress = http1_chunked_read(chunked, &piece, &data);
        if (data.len > 0)
            memcpy(result->body + result->body_len, data.at, data.len);
        result->body_len += data.len;
    } while (result->progress == HTTP1_MORE && data.len > 0);
    REQUIRE(result->progress != HTTP1_MORE || piece.len == 0);
    result->used += len - piece.len;
}

static struct result read_all(struct slice in, bool is_cut)
{
    struct http1_chunked chunked = {0};
    struct result result = {.progress = HTTP1_MORE, .body = malloc(in.len + 1)};
    uint32_t seed = (uint32_t)in.len;
    while (result.used < in.len && result.progress == HTTP1_MORE) {
        struct slice rest = slice_from(in, result.used);
        if (is_cut)
            rest.len = fuzz_step(&seed, rest.len);
        read_piece(&chunked, rest, &result);
    }
    return result;
}

static void check_again(const struct result *result)
{
    size_t room = result->body_len + 64;
    char *copy = malloc(room);
    int head = result->body_len == 0 ? 0 : snprintf(copy, room, "%zx\r\n", result->body_len);
    memcpy(copy + head, result->body, result->body_len);
    size_t len = (size_t)head + result->body_len;
    len += (size_t)snprintf(copy + len, room - len, "%s0\r\n\r\n", head == 0 ? "" : "\r\n");
    struct result again = read_all((struct slice){copy, len}, false);
    REQUIRE(again.progress == HTTP1_DONE && again.used == len);
    REQUIRE(again.body_len == result->body_len &&
            memcmp(again.body, result->body, again.body_len) == 0);
    free(again.body);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {(const char *)data, size};
    struct result whole = read_all(in, false);
    struct result cut = read_all(in, true);
    REQUIRE(cut.progress == whole.progress && cut.used == whole.used);
    REQUIRE(cut.body_len == whole.body_len && memcmp(cut.body, whole.body, cut.body_len) == 0);
    if (whole.progress == HTTP1_DONE)
        check_again(&whole);
    free(whole.body);
    free(cut.body);
    return 0;
}
