#include "check.h"
#include "format/http1.h"

enum { BODY_MAX = 1 << 16 };

static char body[BODY_MAX];
static size_t body_len;
static size_t rest_len;

/* Reads `in` in pieces of `step` bytes, each in memory of its own; leaves body and rest behind. */
static enum http1_progress read_pieces(struct slice in, size_t step)
{
    struct http1_chunked chunked = {0};
    enum http1_progress progress = HTTP1_MORE;
    body_len = 0;
    while (in.len > 0 && progress == HTTP1_MORE) {
        size_t len = in.len < step ? in.len : step;
        char *copy = malloc(len);
        memcpy(copy, in.at, len);
        struct slice piece = {copy, len};
        struct slice data;
        do {
            progress = http1_chunked_read(&chunked, &piece, &data);
            memcpy(body + body_len, data.at == NULL ? "" : data.at, data.len);
            body_len += data.len;
        } while (progress == HTTP1_MORE && data.len > 0);
        in = slice_from(in, len - piece.len);
        free(copy);
    }
    rest_len = in.len;
    return progress;
}

/* Whether all cuts give this end, body and number of bytes left. */
static int gives(struct slice in, enum http1_progress end, const char *expected, size_t rest)
{
    int is_so = 1;
    for (size_t step = 1; step <= in.len + 1; step++) {
        enum http1_progress progress = read_pieces(in, step);
        is_so &= progress == end;
        if (progress != HTTP1_BAD)
            is_so &=
                slice_eq((struct slice){body, body_len}, slice_of(expected)) && rest_len == rest;
    }
    return is_so;
}

#define DONE(literal, expected, rest) gives(SLICE(literal), HTTP1_DONE, expected, rest)
#define MORE(literal, expected) gives(SLICE(literal), HTTP1_MORE, expected, 0)
#define BAD(literal) gives(SLICE(literal), HTTP1_BAD, "", 0)

static void test_bodies(void)
{
    PROMISE("chunks become the body, and what follows it is left alone")
    {
        CHECK(DONE("5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n", "hello world", 0));
        CHECK(DONE("0\r\n\r\nGET / HTTP/1.1", "", 14));
        CHECK(DONE("7\r\n\r\n\r\n0\r\n\r\n0\r\n\r\n0", "\r\n\r\n0\r\n", 1));
        CHECK(DONE("a\r\n0123456789\r\n00\r\n\r\n", "0123456789", 0));
        CHECK(DONE("00000000000000A\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0));
    }
    PROMISE("a body that has not ended wants more")
    {
        CHECK(MORE("5\r\nhel", "hel"));
        CHECK(MORE("5\r\nhello\r\n", "hello"));
        CHECK(MORE("0\r\n", ""));
        CHECK(MORE("0\r\n\r", ""));
        CHECK(MORE("0\r\na: b\r\n", ""));
        CHECK(MORE("7fffffffffffffff\r\nx", "x"));
    }
    PROMISE("extensions and trailers are skipped")
    {
        CHECK(DONE("1;a\r\nx\r\n0\r\n\r\n", "x", 0));
        CHECK(DONE("1;a=b;c=\"d;\\\"\\\\ \te\";f\r\nx\r\n0;a=b\r\n\r\n", "x", 0));
        CHECK(DONE("0\r\nA: b\r\nC:\r\nD: e \xff\r\n\r\nrest", "", 4));
    }
}

static void test_refused(void)
{
    PROMISE("a size is hex digits, as many as count, and nothing around them")
    {
        CHECK(BAD("\r\n"));
        CHECK(BAD("g\r\n"));
        CHECK(BAD("+5\r\nhello\r\n"));
        CHECK(BAD("-1\r\n"));
        CHECK(BAD("0x5\r\nhello\r\n"));
        CHECK(BAD(" 5\r\nhello\r\n"));
        CHECK(BAD("5 \r\nhello\r\n"));
        CHECK(BAD("5\t\r\nhello\r\n"));
        CHECK(BAD("5 ;a\r\nhello\r\n"));
        CHECK(BAD("8000000000000000\r\n"));
        CHECK(BAD("10000000000000005\r\nhello\r\n"));
        CHECK(BAD("00000000000000005\r\nhello\r\n"));
    }
    PROMISE("lines end in CR LF and chunks where they say")
    {
        CHECK(BAD("5\nhello\r\n"));
        CHECK(BAD("5\rhello\r\n"));
        CHECK(BAD("5\r\nhello\n"));
        CHECK(BAD("5\r\nhelloo\r\n"));
        CHECK(BAD("5\r\nhell\r\n0\r\n\r\n"));
        CHECK(BAD("0\r\n\n"));
        CHECK(BAD("0\n\r\n"));
        CHECK(BAD("0\r\n\rX"));
    }
}

static void test_refused_lines(void)
{
    PROMISE("malformed extensions are refused")
    {
        CHECK(BAD("1;\r\nx\r\n"));
        CHECK(BAD("1;;a\r\nx\r\n"));
        CHECK(BAD("1; a\r\nx\r\n"));
        CHECK(BAD("1;a =b\r\nx\r\n"));
        CHECK(BAD("1;a=\r\nx\r\n"));
        CHECK(BAD("1;=b\r\nx\r\n"));
        CHECK(BAD("1;a=\"b\r\nx\r\n"));
        CHECK(BAD("1;a=\"b\"c\r\nx\r\n"));
        CHECK(BAD("1;a=\"\\\r\"\r\nx\r\n"));
        CHECK(BAD("1;a\nx\r\n"));
        CHECK(BAD("1;a\x80\r\nx\r\n"));
        CHECK(BAD("1;a=\"\0\"\r\nx\r\n"));
    }
    PROMISE("trailers are read as strictly as headers")
    {
        CHECK(BAD("0\r\n: b\r\n"));
        CHECK(BAD("0\r\na\r\n"));
        CHECK(BAD("0\r\na : b\r\n"));
        CHECK(BAD("0\r\n a: b\r\n"));
        CHECK(BAD("0\r\na: b\n"));
        CHECK(BAD("0\r\na: b\r\r\n"));
        CHECK(BAD("0\r\na: \0\r\n"));
        CHECK(BAD("0\r\na: b\r\n c\r\n\r\n"));
    }
    PROMISE("trailers that belong into a head are refused, others that look like them are not")
    {
        CHECK(BAD("0\r\nA: b\r\nCONTENT-length: 5\r\n\r\n"));
        CHECK(BAD("0\r\nTransfer-Encoding:\r\n\r\n"));
        CHECK(BAD("0\r\nhost: a\r\n\r\n"));
        CHECK(BAD("0\r\nTE: a\r\n\r\n"));
        CHECK(DONE("0\r\ntes: a\r\nt: a\r\nContent-Length-: 5\r\n\r\n", "", 0));
        CHECK(DONE("0\r\nTransfer-Encoding-and-more: a\r\n\r\n", "", 0));
    }
}

/* `before`, then `count` times 'a', then `after`. */
static enum http1_progress read_run(const char *before, size_t count, const char *after)
{
    static char in[40000];
    char *at = in + strlen(before);
    memcpy(in, before, strlen(before));
    memset(at, 'a', count);
    at += count;
    memcpy(at, after, strlen(after));
    return read_pieces((struct slice){in, (size_t)(at - in) + strlen(after)}, 100);
}

int main(void)
{
    test_bodies();
    test_refused();
    test_refused_lines();
    PROMISE("extensions and trailers have a limit")
    {
        CHECK(read_run("1;", 1000, "\r\nx\r\n0\r\n\r\n") == HTTP1_DONE);
        CHECK(read_run("1;", 1100, "\r\nx\r\n0\r\n\r\n") == HTTP1_BAD);
        CHECK(read_run("0\r\na:", 16000, "\r\n\r\n") == HTTP1_DONE);
        CHECK(read_run("0\r\na:", 17000, "\r\n\r\n") == HTTP1_BAD);
    }
    PROMISE("after the end, and after an error, it stays there")
    {
        struct http1_chunked chunked = {0};
        struct slice in = SLICE("0\r\n\r\n5"), data;
        CHECK(http1_chunked_read(&chunked, &in, &data) == HTTP1_DONE);
        CHECK(http1_chunked_read(&chunked, &in, &data) == HTTP1_DONE && in.len == 1);
        chunked = (struct http1_chunked){0};
        in = SLICE("zz");
        CHECK(http1_chunked_read(&chunked, &in, &data) == HTTP1_BAD);
        CHECK(http1_chunked_read(&chunked, &in, &data) == HTTP1_BAD && data.len == 0);
    }
    return check_done();
}
