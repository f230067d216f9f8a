/* A request head: found the same at any cut; what is accepted is unambiguous, and means the same
 * when it is written down again. */
#include <string.h>

#include "fuzz_http1_head.h"

static void check_request(const struct http1_request *request, struct slice head)
{
    const struct http1_header *headers = request->headers;
    unsigned count = request->header_count;
    fuzz_check_headers(headers, count, head);
    REQUIRE(request->minor <= 1);
    REQUIRE(request->method.len > 0 && request->target.len > 0);
    REQUIRE(request->target.at[0] == '/' || slice_eq(request->target, SLICE("*")));
    REQUIRE(slice_starts(request->target, request->path));
    for (size_t i = 0; i < request->target.len; i++)
        REQUIRE(request->target.at[i] > ' ' && request->target.at[i] < 0x7f);
    unsigned hosts = fuzz_count_headers(headers, count, SLICE("host"));
    unsigned lengths = fuzz_count_headers(headers, count, SLICE("content-length"));
    unsigned codings = fuzz_count_headers(headers, count, SLICE("transfer-encoding"));
    REQUIRE(hosts == 1 || (hosts == 0 && request->minor == 0));
    REQUIRE(lengths + codings <= 1);
    REQUIRE((lengths == 1) == (request->framing == HTTP1_SIZED));
    REQUIRE((codings == 1) == (request->framing == HTTP1_CHUNKED));
    REQUIRE(request->framing != HTTP1_UNTIL_CLOSE);
    REQUIRE(!request->expects_continue || request->framing != HTTP1_NO_BODY);
}

static size_t put(char *out, size_t at, struct slice bytes)
{
    if (bytes.len > 0)
        memcpy(out + at, bytes.at, bytes.len);
    return at + bytes.len;
}

static size_t write_request(const struct http1_request *request, char *out)
{
    size_t len = put(out, 0, request->method);
    len = put(out, len, SLICE(" "));
    len = put(out, len, request->target);
    len = put(out, len, request->minor == 1 ? SLICE(" HTTP/1.1\r\n") : SLICE(" HTTP/1.0\r\n"));
    for (unsigned i = 0; i < request->header_count; i++) {
        len = put(out, len, request->headers[i].name);
        len = put(out, len, SLICE(": "));
        len = put(out, len, request->headers[i].value);
        len = put(out, len, SLICE("\r\n"));
    }
    return put(out, len, SLICE("\r\n"));
}

static void check_again(const struct http1_request *request, struct slice head)
{
    struct http1_header headers[HTTP1_HEADERS_MAX];
    struct http1_request again;
    const char *why;
    char *copy = malloc(head.len + 32 + 2 * (size_t)request->header_count);
    struct slice written = {copy, write_request(request, copy)};
    REQUIRE(http1_parse_request(written, headers, &again, &why) == 0);
    REQUIRE(slice_eq(again.target, request->target) && slice_eq(again.path, request->path));
    REQUIRE(again.framing == request->framing && again.length == request->length);
    REQUIRE(again.keep_alive == request->keep_alive);
    REQUIRE(again.header_count == request->header_count);
    for (unsigned i = 0; i < again.header_count; i++) {
        REQUIRE(slice_eq(headers[i].name, request->headers[i].name));
        REQUIRE(slice_eq(headers[i].value, request->headers[i].value));
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {(const char *)data, size};
    struct slice head;
    struct http1_header headers[HTTP1_HEADERS_MAX];
    struct http1_request request;
    const char *why = NULL;
    if (!fuzz_find_head(in, &head))
        head = in; /* the parser must cope with what the finder refuses, too */
    int status = http1_parse_request(head, headers, &request, &why);
    REQUIRE(status == 0 || why != NULL);
    REQUIRE(status == 0 || status == 400 || status == 414 || status == 417 || status == 431 ||
            status == 501 || status == 505);
    if (status == 0) {
        check_request(&request, head);
        check_again(&request, head);
    }
    return 0;
}
