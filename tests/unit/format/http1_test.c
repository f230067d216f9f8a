#include "format/http1.h"

#include "check.h"

static struct http1_header headers[HTTP1_HEADERS_MAX];
static struct http1_request request;
static struct http1_response response;
static const char *why;

/* --- the end of a head --- */

/* Looks for the head's end in `in` as it arrives `step` bytes at a time, each time in memory of its
 * own. Returns the head's length, 0 for more, or minus the status. */
static long find(struct slice in, size_t step)
{
    struct http1_finder finder = {0};
    size_t head_len;
    int status;
    for (size_t seen = step;; seen += step) {
        if (seen > in.len)
            seen = in.len;
        char *copy = malloc(seen + 1);
        memcpy(copy, in.at, seen);
        enum http1_progress progress =
            http1_find(&finder, (struct slice){copy, seen}, &head_len, &status);
        free(copy);
        if (progress == HTTP1_DONE)
            return (long)head_len;
        if (progress == HTTP1_BAD)
            return -status;
        if (seen == in.len)
            return 0;
    }
}

/* Whether the end is found at `expected`, wherever the input is cut. */
static int finds(struct slice in, long expected)
{
    static const size_t steps[] = {1, 2, 3, 5, 16, 1000};
    int is_so = find(in, in.len) == expected;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        is_so &= find(in, steps[i]) == expected;
    return is_so;
}

static void test_find(void)
{
    PROMISE("a head ends with its empty line, wherever the input is cut")
    {
        CHECK(finds(SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 27));
        CHECK(finds(SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\n\0\r"), 27));
        CHECK(finds(SLICE("GET / HTTP/1.1\r\n\r\n\r\n"), 18));
        CHECK(finds(SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r"), 0));
        CHECK(finds(SLICE("GET / HTTP/1.1\r\nHost: a\r"), 0));
        CHECK(finds(SLICE("G"), 0));
    }
    PROMISE("one empty line before a head is part of it, two are a head of their own")
    {
        CHECK(finds(SLICE("\r\nGET / HTTP/1.1\r\n\r\n"), 20));
        CHECK(finds(SLICE("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), 4));
    }
    PROMISE("a bare LF, a bare CR or a NUL is refused before the head is complete")
    {
        CHECK(finds(SLICE("GET / HTTP/1.1\n"), -400));
        CHECK(finds(SLICE("\n"), -400));
        CHECK(finds(SLICE("\rG"), -400));
        CHECK(finds(SLICE("GET / HTTP/1.1\r\r"), -400));
        CHECK(finds(SLICE("GET / HTTP/1.1\rHost: a"), -400));
        CHECK(finds(SLICE("GET / HTTP/1.1\r\nA: \0"), -400));
        CHECK(finds(SLICE("GET / HTTP/1.1\r\nA: b\r\n\n"), -400));
    }
}

static void test_find_limits(void)
{
    static char big[HTTP1_HEAD_MAX + 100];
    struct slice all = {big, sizeof(big)};
    PROMISE("a start line may be as long as its limit and no longer")
    {
        memset(big, 'a', sizeof(big));
        memcpy(big + HTTP1_START_LINE_MAX, "\r\n\r\n", 4);
        CHECK(find(all, all.len) == HTTP1_START_LINE_MAX + 4);
        CHECK(find(all, 7) == HTTP1_START_LINE_MAX + 4);
        memcpy(big + HTTP1_START_LINE_MAX, "a\r\n\r\n", 5);
        CHECK(find(all, all.len) == -414);
        CHECK(find(all, 7) == -414);
    }
    PROMISE("a head may be as long as its limit and no longer")
    {
        memset(big, 'a', sizeof(big));
        memcpy(big + 10, "\r\n", 2);
        memcpy(big + HTTP1_HEAD_MAX - 4, "\r\n\r\n", 4);
        CHECK(find(all, all.len) == HTTP1_HEAD_MAX);
        CHECK(find(all, 1000) == HTTP1_HEAD_MAX);
        memcpy(big + HTTP1_HEAD_MAX - 4, "a\r\n\r\n", 5);
        CHECK(find(all, all.len) == -431);
        CHECK(find(all, 1000) == -431);
    }
}

/* --- requests --- */

/* Parses a copy that ends where the head ends, so that a reader beyond it is noticed. */
static int parse_slice(struct slice head)
{
    static char *copy;
    free(copy);
    copy = malloc(head.len + 1);
    memcpy(copy, head.at, head.len);
    why = NULL;
    int status = http1_parse_request((struct slice){copy, head.len}, headers, &request, &why);
    if (status != 0 && why == NULL)
        return -1;
    return status;
}

static int parse(const char *head)
{
    return parse_slice(slice_of(head));
}

/* A request with this request line. */
static int parse_line(const char *line)
{
    char head[1000];
    snprintf(head, sizeof(head), "%s\r\nHost: a\r\n\r\n", line);
    return parse(head);
}

/* A POST with these header lines beside a Host. */
static int parse_with(const char *lines)
{
    char head[8000];
    snprintf(head, sizeof(head), "POST /v1/messages HTTP/1.1\r\nHost: a\r\n%s\r\n", lines);
    return parse(head);
}

static void test_request(void)
{
    PROMISE("a plain request is taken apart")
    {
        CHECK(parse("POST /v1/messages?beta=true&x=%2F HTTP/1.1\r\nHost: Api.example:8080\r\n"
                    "X-One:  two three\t \r\nEmpty:\r\nContent-Length: 0042\r\n\r\n") == 0);
        CHECK_TEXT(request.method, "POST");
        CHECK_TEXT(request.target, "/v1/messages?beta=true&x=%2F");
        CHECK_TEXT(request.path, "/v1/messages");
        CHECK_TEXT(request.host, "Api.example:8080");
        CHECK(request.minor == 1);
        CHECK(request.header_count == 4);
        CHECK_TEXT(headers[1].name, "X-One");
        CHECK_TEXT(headers[1].value, "two three");
        CHECK(headers[2].value.len == 0);
        CHECK(request.framing == HTTP1_SIZED && request.length == 42);
        CHECK(request.keep_alive);
        CHECK(!request.expects_continue);
    }
    PROMISE("headers are found by name in any case, the first one")
    {
        CHECK(parse_with("a-b: 1\r\nA-B: 2\r\n") == 0);
        const struct http1_header *found =
            http1_header(headers, request.header_count, SLICE("A-b"));
        CHECK(found == &headers[1]);
        CHECK(http1_header(headers, request.header_count, SLICE("a-c")) == NULL);
    }
    PROMISE("one empty line may come before a request")
    {
        CHECK(parse("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n") == 0);
        CHECK(parse("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
        CHECK(parse("\r\n\r\n") == 400);
    }
}

static void test_request_line(void)
{
    PROMISE("a request line is method, target and version with one space between")
    {
        static const char *const bad[] = {"GET",
                                          "GET /",
                                          "GET / ",
                                          "GET  / HTTP/1.1",
                                          "GET /  HTTP/1.1",
                                          "GET / HTTP/1.1 ",
                                          " GET / HTTP/1.1",
                                          "GET\t/ HTTP/1.1",
                                          "GET /a b HTTP/1.1",
                                          "GET /a\tb HTTP/1.1",
                                          "GET /\x7f HTTP/1.1",
                                          "GET /\xc3\xa9 HTTP/1.1",
                                          "GET /a#b HTTP/1.1",
                                          "GET a HTTP/1.1",
                                          "GET ?a HTTP/1.1",
                                          "GET ftp://a/ HTTP/1.1",
                                          "G(T / HTTP/1.1",
                                          "get / HTTP/1.1",
                                          "Get / HTTP/1.1",
                                          "GET * HTTP/1.1",
                                          "GET / HTTP/1.",
                                          "GET / HTTP/11",
                                          "GET / http/1.1",
                                          "GET / HTTP/1.1x",
                                          "GET / HTTP/01.1",
                                          "GET / HTTP/1,1",
                                          "GET / ICY/1.1"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            CHECK(parse_line(bad[i]) == 400);
        CHECK(parse_line("PROPFIND-2 /~a/%zz//..;/\"<>\\^`{|}[]?q=?/ HTTP/1.1") == 0);
        CHECK_TEXT(request.path, "/~a/%zz//..;/\"<>\\^`{|}[]");
    }
    PROMISE("other versions and CONNECT are understood and refused")
    {
        CHECK(parse_line("GET / HTTP/2.0") == 505);
        CHECK(parse_line("GET / HTTP/1.2") == 505);
        CHECK(parse_line("GET / HTTP/0.9") == 505);
        CHECK(parse_line("CONNECT a:443 HTTP/1.1") == 501);
        CHECK(parse_line("CONNECT / HTTP/1.1") == 501);
    }
}

static void test_other_request_lines(void)
{
    PROMISE("OPTIONS may ask for all there is")
    {
        CHECK(parse_line("OPTIONS * HTTP/1.1") == 0);
        CHECK_TEXT(request.target, "*");
        CHECK(parse_line("OPTIONS http://a HTTP/1.1") == 0);
        CHECK_TEXT(request.target, "*");
    }
    PROMISE("a request line longer than its limit is 414, too many lines are 431")
    {
        static char head[HTTP1_START_LINE_MAX + 100];
        memset(head, 'a', sizeof(head));
        memcpy(head, "GET /", 5);
        snprintf(head + sizeof(head) - 40, 40, " HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK(parse(head) == 414);
        char *at = head + snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\n");
        for (int i = 1; i < HTTP1_HEADERS_MAX; i++)
            at += snprintf(at, 16, "a: %d\r\n", i);
        memcpy(at, "\r\n", 3);
        CHECK(parse(head) == 0 && request.header_count == HTTP1_HEADERS_MAX);
        memcpy(at, "b: 1\r\n\r\n", 9);
        CHECK(parse(head) == 431);
    }
}

static void test_host(void)
{
    PROMISE("HTTP/1.1 has exactly one Host, a valid one")
    {
        CHECK(parse("GET / HTTP/1.1\r\n\r\n") == 400);
        CHECK(parse("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n") == 400);
        static const char *const bad[] = {
            "",         " ",   "a b",  "a/b", "a@b", "a:",  "a:x",  "a:-1",     "a:65536",
            "a:000080", "a,b", "[::1", "[]",  "[g]", "::1", "a\\b", "http://a", "a:80:80"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            char head[100];
            snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
            CHECK(parse(head) == 400);
        }
        CHECK(parse("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n") == 0);
        CHECK_TEXT(request.host, "[::1]:8080");
        CHECK(parse("GET / HTTP/1.1\r\nHost: under_score-1.example.\r\n\r\n") == 0);
    }
    PROMISE("HTTP/1.0 may do without, but not have two")
    {
        CHECK(parse("GET / HTTP/1.0\r\n\r\n") == 0);
        CHECK(request.host.len == 0 && request.minor == 0);
        CHECK(parse("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n") == 400);
    }
    PROMISE("an absolute form is reduced to its path, and its authority must be the Host")
    {
        CHECK(parse_line("GET HTTP://A/v1?x=/ HTTP/1.1") == 0);
        CHECK_TEXT(request.target, "/v1?x=/");
        CHECK_TEXT(request.host, "a");
        CHECK(parse_line("GET https://a HTTP/1.1") == 0);
        CHECK_TEXT(request.target, "/");
        CHECK_TEXT(request.path, "/");
        CHECK(parse_line("GET http://b/ HTTP/1.1") == 400);
        CHECK(parse_line("GET http://a:80/ HTTP/1.1") == 400);
        CHECK(parse_line("GET http://u@a/ HTTP/1.1") == 400);
        CHECK(parse_line("GET http:///x HTTP/1.1") == 400);
        CHECK(parse_line("GET http://a?x HTTP/1.1") == 400);
        CHECK(parse("GET http://b/ HTTP/1.1\r\n\r\n") == 400);
        CHECK(parse("GET http://b:81/ HTTP/1.0\r\n\r\n") == 0);
        CHECK_TEXT(request.host, "b:81");
    }
}

static void test_header_lines(void)
{
    PROMISE("header lines are name, colon, value; nothing is folded, guessed or mended")
    {
        static const char *const bad[] = {
            " a: b\r\n",   "\ta: b\r\n",      "a: b\r\n c\r\n", "a : b\r\n",
            "a\t: b\r\n",  ": b\r\n",         "a\r\n",          "a b: c\r\n",
            "a(: b\r\n",   "\xc3\xa9: b\r\n", "a: b\x01\r\n",   "a: b\x7f\r\n",
            "a: b\rc\r\n", "a: b\nc: d\r\n",  "a: b\n",         "\"a\": b\r\n"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            CHECK(parse_with(bad[i]) == 400);
        CHECK(parse_slice(SLICE("GET / HTTP/1.1\r\nHost: a\r\nb: c\0d\r\n\r\n")) == 400);
        CHECK(parse("GET / HTTP/1.1\r\nHost: a\r\n\r\nx") == 400);
        CHECK(parse("GET / HTTP/1.1\r\nHost: a\r\n") == 400);
        CHECK(parse("GET / HTTP/1.1") == 400);
        CHECK(parse("") == 400);
    }
    PROMISE("a value may hold tabs, spaces and bytes above ASCII; a control byte is found anywhere")
    {
        CHECK(parse_with("a: b\tc  d \xc3\xa9\xff\r\n") == 0);
        CHECK_TEXT(headers[1].value, "b\tc  d \xc3\xa9\xff");
        for (size_t i = 0; i < 20; i++) {
            char line[] = "a: xxxxxxxxxxxxxxxxxxxx\r\n";
            line[3 + i] = '\x1f';
            CHECK(parse_with(line) == 400);
            line[3 + i] = '\x7f';
            CHECK(parse_with(line) == 400);
            line[3 + i] = '\t';
            CHECK(parse_with(line) == 0);
            line[3 + i] = '\x80';
            CHECK(parse_with(line) == 0);
        }
    }
}

static void test_framing(void)
{
    PROMISE("a body has one length, in digits")
    {
        static const char *const bad[] = {"+3",   "-3",
                                          "",     "3 3",
                                          "3,3",  "3, 3",
                                          "0x3",  "3.0",
                                          "3;",   "9223372036854775808",
                                          "3\t3", "99999999999999999999999"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            char lines[100];
            snprintf(lines, sizeof(lines), "Content-Length: %s\r\n", bad[i]);
            CHECK(parse_with(lines) == 400);
        }
        CHECK(parse_with("Content-Length: 3\r\nContent-Length: 3\r\n") == 400);
        CHECK(parse_with("Content-Length: 9223372036854775807\r\n") == 0);
        CHECK(request.length == INT64_MAX);
        CHECK(parse_with("Content-Length:  0000000000000000000000000000003 \r\n") == 0);
        CHECK(request.framing == HTTP1_SIZED && request.length == 3);
        CHECK(parse_with("") == 0 && request.framing == HTTP1_NO_BODY);
        CHECK(parse_with("Content-Length: 0\r\n") == 0 && request.framing == HTTP1_SIZED);
    }
    PROMISE("chunked is the only coding, alone, and only in HTTP/1.1")
    {
        CHECK(parse_with("Transfer-Encoding: CHUNKED\r\n") == 0);
        CHECK(request.framing == HTTP1_CHUNKED);
        CHECK(parse_with("Transfer-Encoding: xchunked\r\n") == 501);
        CHECK(parse_with("Transfer-Encoding: identity\r\n") == 501);
        CHECK(parse_with("Transfer-Encoding: chunked, identity\r\n") == 501);
        CHECK(parse_with("Transfer-Encoding: gzip, chunked\r\n") == 501);
        CHECK(parse_with("Transfer-Encoding: \"chunked\"\r\n") == 501);
        CHECK(parse_with("Transfer-Encoding: chunked;a=b\r\n") == 501);
        CHECK(parse_with("Transfer-Encoding:\r\n") == 400);
        CHECK(parse_with("Transfer-Encoding: chunked\t\r\n") == 400);
        CHECK(parse_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") == 400);
        CHECK(parse_with("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n") == 400);
        CHECK(parse_with("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n") == 400);
        CHECK(parse_with("Content-Length: 3\r\nTransfer-Encoding: identity\r\n") == 400);
        CHECK(parse_with("Transfer-Encoding : chunked\r\n") == 400);
        CHECK(parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
    }
}

static void test_connection(void)
{
    PROMISE("a connection is kept as version and Connection say")
    {
        CHECK(parse_with("") == 0 && request.keep_alive);
        CHECK(parse_with("Connection: x, Close\r\n") == 0 && !request.keep_alive);
        CHECK(parse_with("Connection: keep-alive\r\nConnection: close\r\n") == 0 &&
              !request.keep_alive);
        CHECK(parse("GET / HTTP/1.0\r\n\r\n") == 0 && !request.keep_alive);
        CHECK(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n") == 0 && request.keep_alive);
        CHECK(parse("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n") == 0 &&
              !request.keep_alive);
    }
    PROMISE("100-continue is the only expectation, and matters only where a body follows")
    {
        CHECK(parse_with("Expect: 100-Continue\r\nContent-Length: 3\r\n") == 0 &&
              request.expects_continue);
        CHECK(parse_with("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n") == 0 &&
              request.expects_continue);
        CHECK(parse_with("Expect: 100-continue\r\n") == 0 && !request.expects_continue);
        CHECK(parse_with("Expect: 200-ok\r\n") == 417);
        CHECK(parse_with("Expect: 100-continue, x\r\n") == 417);
        CHECK(parse("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n") == 0 &&
              !request.expects_continue);
    }
}

/* --- responses --- */

static bool answer_to(const char *head, bool to_head)
{
    why = NULL;
    bool is_parsed = http1_parse_response(slice_of(head), to_head, headers, &response, &why);
    return is_parsed || why == NULL ? is_parsed : false;
}

static bool answer(const char *head)
{
    return answer_to(head, false);
}

static void test_response(void)
{
    PROMISE("a plain response is taken apart")
    {
        CHECK(answer("HTTP/1.1 200 All \xe4 right\r\nContent-Length: 5\r\nX: \xff\r\n\r\n"));
        CHECK(response.status == 200 && response.minor == 1 && response.header_count == 2);
        CHECK_TEXT(response.reason, "All \xe4 right");
        CHECK(response.framing == HTTP1_SIZED && response.length == 5);
        CHECK(response.keep_alive);
        CHECK(answer("HTTP/1.1 529\r\nContent-Length: 0\r\n\r\n") && response.reason.len == 0);
        CHECK(answer("HTTP/1.1 204 \r\n\r\n") && response.reason.len == 0);
    }
    PROMISE("where nothing delimits a body it lasts until the connection closes")
    {
        CHECK(answer("HTTP/1.1 200 OK\r\n\r\n"));
        CHECK(response.framing == HTTP1_UNTIL_CLOSE && !response.keep_alive);
        CHECK(answer("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"));
        CHECK(response.framing == HTTP1_UNTIL_CLOSE && !response.keep_alive);
    }
    PROMISE("answers to HEAD, 1xx, 204 and 304 have no body whatever they say")
    {
        CHECK(answer_to("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true));
        CHECK(response.framing == HTTP1_NO_BODY && response.keep_alive);
        CHECK(answer("HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n"));
        CHECK(response.framing == HTTP1_NO_BODY && response.keep_alive);
        CHECK(answer("HTTP/1.1 100 Continue\r\n\r\n") && response.framing == HTTP1_NO_BODY);
        CHECK(answer("HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n"));
        CHECK(response.framing == HTTP1_NO_BODY);
    }
    PROMISE("a chunked response is chunked, and closes if it says so")
    {
        CHECK(answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"));
        CHECK(response.framing == HTTP1_CHUNKED && !response.keep_alive);
        CHECK(answer("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n"));
        CHECK(response.keep_alive);
    }
}

static void test_refused_responses(void)
{
    PROMISE("a malformed or ambiguous response is refused")
    {
        static const char *const bad[] = {
            "",
            "\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "HTTP/1.1 \r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 +20 OK\r\n\r\n",
            "HTTP/1.1 200 a\x01z\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\n\n",
            "ICY 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            CHECK(!answer(bad[i]));
            CHECK(why != NULL);
        }
    }
}

int main(void)
{
    test_find();
    test_find_limits();
    test_request();
    test_request_line();
    test_other_request_lines();
    test_host();
    test_header_lines();
    test_framing();
    test_connection();
    test_response();
    test_refused_responses();
    return check_done();
}
