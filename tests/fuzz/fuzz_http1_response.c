/* A response head: found the same at any cut; what is accepted has one framing. */
#include "fuzz_http1_head.h"

static void check_response(const struct http1_response *response, struct slice head)
{
    const struct http1_header *headers = response->headers;
    unsigned count = response->header_count;
    fuzz_check_headers(headers, count, head);
    REQUIRE(response->status >= 100 && response->status <= 999 && response->minor <= 1);
    REQUIRE(fuzz_is_within(response->reason, head));
    REQUIRE(fuzz_count_headers(headers, count, SLICE("content-length")) +
                fuzz_count_headers(headers, count, SLICE("transfer-encoding")) <=
            1);
    REQUIRE(response->framing != HTTP1_UNTIL_CLOSE || !response->keep_alive);
    if (response->status < 200 || response->status == 204 || response->status == 304)
        REQUIRE(response->framing == HTTP1_NO_BODY);
    else
        REQUIRE(response->framing != HTTP1_NO_BODY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {(const char *)data, size};
    struct slice head;
    struct http1_header headers[HTTP1_HEADERS_MAX];
    struct http1_response response, to_head;
    const char *why = NULL;
    if (!fuzz_find_head(in, &head))
        head = in;
    bool is_parsed = http1_parse_response(head, false, headers, &response, &why);
    REQUIRE(is_parsed || why != NULL);
    if (is_parsed)
        check_response(&response, head);
    REQUIRE(http1_parse_response(head, true, headers, &to_head, &why) == is_parsed);
    REQUIRE(!is_parsed || to_head.framing == HTTP1_NO_BODY);
    return 0;
}
