#include "format/sse.h"

#include "check.h"

enum { SEEN_MAX = 4096 };

/* What was reported, as "name:data|" for each event. */
static char seen[SEEN_MAX];
static size_t seen_len;
static char data[SEEN_MAX];
static size_t data_len;
static struct sse sse;

static void on_data(void *arg, struct slice piece)
{
    (void)arg;
    CHECK(piece.len > 0);
    memcpy(data + data_len, piece.at, piece.len);
    data_len += piece.len;
}

static void on_end(void *arg)
{
    (void)arg;
    seen_len += (size_t)snprintf(seen + seen_len, sizeof(seen) - seen_len, "%.*s:%.*s|",
                                 SLICE_ARG(sse_name(&sse)), (int)data_len, data);
    data_len = 0;
}

static void feed(struct slice in, size_t step)
{
    static const struct sse_handler handler = {on_data, on_end};
    sse_init(&sse, &handler, NULL);
    seen_len = 0;
    data_len = 0;
    seen[0] = '\0';
    while (in.len > 0) {
        size_t len = in.len < step ? in.len : step;
        char *piece = malloc(len);
        memcpy(piece, in.at, len);
        sse_feed(&sse, (struct slice){piece, len});
        free(piece);
        in = slice_from(in, len);
    }
}

/* Whether all cuts give these events, and whether something else may be put in afterwards. */
static int gives(const char *in, const char *expected, bool is_between)
{
    int is_so = 1;
    for (size_t step = 1; step <= strlen(in) + 1; step++) {
        feed(slice_of(in), step);
        is_so &= strcmp(seen, expected) == 0 && sse_is_between_events(&sse) == is_between;
    }
    if (!is_so)
        fprintf(stderr, "%s gives %s\n", in, seen);
    return is_so;
}

static void test_lines(void)
{
    PROMISE("an event has a name and data and ends with an empty line")
    {
        CHECK(
            gives("event: a\ndata: {\"x\": 1}\n\nevent:b\ndata:2\n\n", "a:{\"x\": 1}|b:2|", true));
        CHECK(gives("data: x\nevent: late\n\n", "late:x|", true));
        CHECK(gives("event: first\nevent: second\ndata: x\n\n", "second:x|", true));
        CHECK(gives("event: lonely\n\n", "lonely:|", true));
        CHECK(gives("data\n\n", ":|", true));
    }
    PROMISE("the name of one event is not that of the next")
    {
        CHECK(gives("event: a\ndata: 1\n\ndata: 2\n\n", "a:1|:2|", true));
    }
    PROMISE("lines end in LF, CR LF or CR")
    {
        CHECK(gives("event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", "a:1|:2|", true));
        CHECK(gives("event: a\rdata: 1\r\rdata: 2\r\r", "a:1|:2|", true));
        CHECK(gives("event: a\r\ndata: 1\n\rdata: 2\r\r\n", "a:1|:2|", true));
        CHECK(gives("data: 1\r\n\n", ":1|", true));
    }
    PROMISE("data lines are joined by a line end, and lose one space at most")
    {
        CHECK(gives("data: 1\ndata:  2\ndata:3\n\n", ":1\n 2\n3|", true));
        CHECK(gives("data:\ndata\ndata: \ndata:x\n\n", ":\n\n\nx|", true));
        CHECK(gives("data: a:b: c\n\n", ":a:b: c|", true));
    }
    PROMISE("comments and other fields are no events, and empty lines none either")
    {
        CHECK(gives(": ping\n\n", "", true));
        CHECK(gives(":\n\n\n\nid: 7\nretry: 10\n\n", "", true));
        CHECK(gives("id: 7\n: data: no\ndata: 1\nDATA: no\ndatax: no\n data: no\n\n", ":1|", true));
        CHECK(gives("a line that is nothing at all\ndata: 1\n\n", ":1|", true));
    }
}

static void test_limits(void)
{
    PROMISE("an event that has not ended is not reported, and nothing may be put in")
    {
        CHECK(gives("", "", true));
        CHECK(gives("data: 1\n\nev", ":1|", false));
        CHECK(gives("event: a\n", "", false));
        CHECK(gives("event: a\ndata: 1\n", "", false));
        CHECK(gives("event: a\ndata: 1", "", false));
        CHECK(gives(": half a comment", "", false));
        CHECK(gives(": a comment\n", "", true));
    }
    PROMISE("a name longer than the limit is cut")
    {
        CHECK(gives("event: 0123456789012345678901234567890123456789\n\n",
                    "01234567890123456789012345678901:|", true));
    }
    PROMISE("a long line arrives whole, wherever its end lies")
    {
        static char in[8192];
        int is_so = 1;
        for (size_t len = 1000; len < 2100; len += 3) {
            int head = snprintf(in, sizeof(in), "data: ");
            memset(in + head, 'd', len);
            memcpy(in + (size_t)head + len, len % 2 == 0 ? "\r\r" : "\n\n", 3);
            feed(slice_of(in), SIZE_MAX);
            is_so &= seen_len == len + 2;
        }
        CHECK(is_so);
    }
}

int main(void)
{
    test_lines();
    test_limits();
    return check_done();
}
