/* What of a request goes up and what of an answer comes down: every rule of the header policy. */
#include "proxy/forward.h"

#include "check.h"

#define HEADERS_OF(...) ((const char *[]){__VA_ARGS__, NULL})

static struct config *config;
static struct arena arena;
static struct http1_header headers[64];

/* "name: value" each. */
static unsigned headers_of(const char *const *lines)
{
    unsigned count = 0;
    for (; lines[count] != NULL; count++) {
        struct slice name, value = slice_cut(slice_of(lines[count]), ':', &name);
        headers[count] = (struct http1_header){name, slice_trim(value)};
    }
    return count;
}

static struct http1_request request_of(const char *method, const char *target,
                                       const char *const *lines)
{
    return (struct http1_request){.method = slice_of(method),
                                  .target = slice_of(target),
                                  .path = slice_of(target),
                                  .headers = headers,
                                  .header_count = headers_of(lines),
                                  .framing = HTTP1_SIZED};
}

static struct slice head_for(const char *subscription, const char *const *lines)
{
    struct http1_request request = request_of("POST", "/v1/messages?beta=true", lines);
    return forward_request_head(&dialect_anthropic, &request,
                                config_subscription(config, slice_of(subscription)), 12, &arena);
}

static bool has(struct slice text, const char *words)
{
    return memmem(text.at, text.len, words, strlen(words)) != NULL;
}

static unsigned count_of(struct slice text, const char *words)
{
    unsigned count = 0;
    const char *found;
    while ((found = memmem(text.at, text.len, words, strlen(words))) != NULL) {
        text = slice_from(text, (size_t)(found - text.at) + strlen(words));
        count++;
    }
    return count;
}

/* The caller's own headers, as they go up: between our first (host) and our last ones. */
static bool goes_up_as(const char *line, const char *expected)
{
    char whole[1024];
    struct slice head = head_for("key", HEADERS_OF(line));
    snprintf(whole, sizeof(whole),
             "POST /v1/messages?beta=true HTTP/1.1\r\nhost: api.example\r\n%s%s"
             "x-api-key: sk-ant-api03-k\r\ncontent-length: 12\r\n\r\n",
             expected, expected[0] != '\0' ? "\r\n" : "");
    if (slice_eq(head, slice_of(whole)))
        return true;
    fprintf(stderr, "    %s\n    became: %.*s\n", line, SLICE_ARG(head));
    return false;
}

static void test_shape(void)
{
    PROMISE("a request goes up as it came, to the subscription's host, with its credential")
    {
        CHECK_TEXT(head_for("key", HEADERS_OF("Host: weir:8080", "Anthropic-Version: 2023-06-01",
                                              "x-custom:  a b ", "X-Custom: c",
                                              "content-type: application/json")),
                   "POST /v1/messages?beta=true HTTP/1.1\r\n"
                   "host: api.example\r\n"
                   "Anthropic-Version: 2023-06-01\r\n"
                   "x-custom: a b\r\n"
                   "X-Custom: c\r\n"
                   "content-type: application/json\r\n"
                   "x-api-key: sk-ant-api03-k\r\n"
                   "content-length: 12\r\n\r\n");
    }
    PROMISE("a port that is not the scheme's own is part of the host, a path goes in front")
    {
        struct slice head = head_for("path", HEADERS_OF("a: b"));
        CHECK(slice_starts(head, SLICE("POST /llm/api/v1/messages?beta=true HTTP/1.1\r\n"
                                       "host: relay.example:8443\r\n")));
    }
}

static void test_length(void)
{
    const struct subscription *s = config_subscription(config, SLICE("key"));
    PROMISE("the length is that of the body we hold, however it came")
    {
        struct http1_request chunked =
            request_of("POST", "/v1/x", HEADERS_OF("transfer-encoding: chunked"));
        chunked.framing = HTTP1_CHUNKED;
        struct slice head = forward_request_head(&dialect_anthropic, &chunked, s, 7, &arena);
        CHECK(has(head, "\r\ncontent-length: 7\r\n") && !has(head, "chunked"));
        struct http1_request sized = request_of("POST", "/v1/x", HEADERS_OF("Content-Length: 99"));
        head = forward_request_head(&dialect_anthropic, &sized, s, 0, &arena);
        CHECK(has(head, "\r\ncontent-length: 0\r\n") && !has(head, "99"));
    }
    PROMISE("a request without a body says nothing about one")
    {
        struct http1_request get = request_of("GET", "/v1/models", HEADERS_OF("a: b"));
        get.framing = HTTP1_NO_BODY;
        struct slice head = forward_request_head(&dialect_anthropic, &get, s, 0, &arena);
        CHECK(slice_starts(head, SLICE("GET /v1/models HTTP/1.1\r\n")));
        CHECK(!has(head, "content-length"));
    }
}

static void test_kept_from_the_provider(void)
{
    static const char *const kept[] = {"Connection: close",
                                       "Keep-Alive: timeout=5",
                                       "Proxy-Authenticate: x",
                                       "Proxy-Connection: x",
                                       "Proxy-Authorization: Basic",
                                       "TE: trailers",
                                       "Trailer: x",
                                       "Transfer-Encoding: chunked",
                                       "Upgrade: h2c",
                                       "Content-Length: 1",
                                       "Expect: 100-continue",
                                       "Authorization: Bearer theirs",
                                       "X-Api-Key: theirs",
                                       "Cookie: a=b",
                                       "X-Client-Id: bot",
                                       "x-bot-id: bot",
                                       "X-Api-Token: t",
                                       "X-Admin-Token: t",
                                       "CF-Ray: 1",
                                       "cf-anything-new: 1",
                                       "CDN-Loop: cloudflare",
                                       "X-Forwarded-For: 1.2.3.4",
                                       "x-forwarded-anything: 1",
                                       "Forwarded: for=1.2.3.4",
                                       "X-Real-IP: 1.2.3.4",
                                       "True-Client-IP: 1.2.3.4",
                                       "X-Weir-Anything: 1"};
    static const char *const passed[] = {"User-Agent: claude-cli/1.0",
                                         "x-app: cli",
                                         "X-Stainless-Lang: js",
                                         "anthropic-version: 2023",
                                         "Accept: */*",
                                         "X-Claude-Code-Session-Id: s",
                                         "cfx: 1",
                                         "x-forwarded: 1",
                                         "x-weird: 1",
                                         "Connections: 1",
                                         "traceparent: 00-1",
                                         "x-empty: "};
    PROMISE("what is between neighbours, about the caller, or a credential does not go up")
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        CHECK(goes_up_as(kept[i], ""));
    PROMISE("everything else goes up as spelled")
    for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
        CHECK(goes_up_as(passed[i], passed[i]));
}

static void test_connection_options(void)
{
    PROMISE("what a Connection header names is between neighbours, whatever it is")
    {
        struct slice head =
            head_for("key", HEADERS_OF("X-Hop: 1", "Connection: keep-alive, x-hop", "x-stays: 1",
                                       "connection: Other", "other: 2", "x-hop: 3"));
        CHECK(!has(head, "op: ") && !has(head, "ther: ") && has(head, "\r\nx-stays: 1\r\n"));
    }
    PROMISE("naming our own headers there does not take them away")
    {
        struct slice head =
            head_for("key", HEADERS_OF("connection: host, x-api-key, content-length"));
        CHECK(has(head, "\r\nhost: api.example\r\n") && has(head, "\r\nx-api-key: sk-ant-api03-k"));
        CHECK(has(head, "\r\ncontent-length: 12\r\n"));
    }
}

static void test_credentials(void)
{
    PROMISE("a key goes up as x-api-key, a token as a bearer, and only that one")
    {
        struct slice head = head_for("key", HEADERS_OF("Authorization: Bearer theirs"));
        CHECK(count_of(head, "x-api-key: sk-ant-api03-k\r\n") == 1 && !has(head, "earer"));
        head = head_for("token", HEADERS_OF("X-Api-Key: theirs", "authorization: Bearer theirs"));
        CHECK(count_of(head, "authorization: Bearer plain-token\r\n") == 1);
        CHECK(!has(head, "api-key") && !has(head, "theirs"));
    }
}

static void test_oauth_beta(void)
{
    PROMISE("an OAuth token brings the beta it needs")
    {
        struct slice head = head_for("oauth", HEADERS_OF("a: b"));
        CHECK(count_of(head, "anthropic-beta: oauth-2025-04-20\r\n") == 1);
        CHECK(has(head, "authorization: Bearer sk-ant-oat01-t\r\n"));
    }
    PROMISE("it is merged into the caller's own list, into one of them")
    {
        struct slice head =
            head_for("oauth", HEADERS_OF("Anthropic-Beta: a,b", "x: y", "anthropic-beta: c"));
        CHECK(has(head, "\r\nAnthropic-Beta: a,b,oauth-2025-04-20\r\nx: y\r\n"));
        CHECK(has(head, "\r\nanthropic-beta: c\r\n") && count_of(head, "oauth-2025") == 1);
        head = head_for("oauth", HEADERS_OF("anthropic-beta:"));
        CHECK(has(head, "\r\nanthropic-beta: oauth-2025-04-20\r\n"));
    }
    PROMISE("it is not said twice")
    {
        struct slice head = head_for("oauth", HEADERS_OF("anthropic-beta: a, OAuth-2025-04-20 ,b"));
        CHECK(has(head, "anthropic-beta: a, OAuth-2025-04-20 ,b\r\n"));
        CHECK(!has(head, "oauth-2025-04-20"));
        head = head_for("oauth", HEADERS_OF("anthropic-beta: a", "anthropic-beta: "
                                                                 "oauth-2025-04-20"));
        CHECK(count_of(head, "oauth-2025-04-20") == 1);
    }
    PROMISE("any other credential does not bring it")
    {
        CHECK(!has(head_for("key", HEADERS_OF("anthropic-beta: a")), "oauth"));
        CHECK(!has(head_for("token", HEADERS_OF("anthropic-beta: a")), "oauth"));
    }
}

static void test_accept_encoding(void)
{
    static const char *const rows[][2] = {
        {"gzip, deflate, br, zstd", "gzip, deflate"},
        {"gzip", "gzip"},
        {"GZIP;q=1.0 , br;q=0.9,identity;q=0.5", "GZIP;q=1.0, identity;q=0.5"},
        {"br", "identity"},
        {"zstd,br", "identity"},
        {"*", "identity"},
        {"", "identity"},
        {"x-gzip", "x-gzip"},
        {"gzipped, deflate", "deflate"},
        {",, gzip ,,", "gzip"},
    };
    PROMISE("only codings that we can read are asked for; order and weights stay")
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[128], expected[128];
        snprintf(line, sizeof(line), "Accept-Encoding: %s", rows[i][0]);
        snprintf(expected, sizeof(expected), "Accept-Encoding: %s", rows[i][1]);
        CHECK(goes_up_as(line, expected));
    }
    PROMISE("who asks for nothing gets nothing asked for")
    CHECK(!has(head_for("key", HEADERS_OF("a: b")), "ncoding"));
}

static void test_growing_head(void)
{
    static char value[HTTP1_HEAD_MAX - 1000];
    PROMISE("a head that grows on its way, as far as it can, goes up whole")
    {
        for (size_t i = 0; i + 7 <= sizeof(value); i += 7)
            memcpy(value + i, "x-gzip,", 7);
        value[sizeof(value) - 1] = '\0';
        struct http1_request request = request_of("POST", "/v1/x", HEADERS_OF("accept-encoding: "));
        headers[0].value = slice_of(value);
        for (unsigned i = 1; i < 64; i++)
            headers[i] = (struct http1_header){SLICE("accept-encoding"), SLICE_NONE};
        request.header_count = 64;
        struct slice head = forward_request_head(
            &dialect_anthropic, &request, config_subscription(config, SLICE("oauth")), 1, &arena);
        CHECK(head.len > sizeof(value) &&
              slice_eq(slice_from(head, head.len - 4), SLICE("\r\n\r\n")));
    }
}

static void test_large_head(void)
{
    static char value[HTTP1_HEAD_MAX - 1000];
    PROMISE("the largest head that a caller may send goes up whole")
    {
        memset(value, 'v', sizeof(value) - 1);
        struct http1_request request = request_of("POST", "/v1/x", HEADERS_OF("x-large: "));
        headers[0].value = slice_of(value);
        struct slice head = forward_request_head(
            &dialect_anthropic, &request, config_subscription(config, SLICE("oauth")), 1, &arena);
        CHECK(has(head, value) && slice_eq(slice_from(head, head.len - 4), SLICE("\r\n\r\n")));
    }
}

static struct http1_header *down(const char *const *lines, bool pass_limits, unsigned *count)
{
    struct http1_response response = {
        .status = 200, .headers = headers, .header_count = headers_of(lines)};
    return forward_response_headers(&dialect_anthropic, &response, pass_limits, &arena, count);
}

static void test_stays_here(void)
{
    static const char *const theirs[] = {"Set-Cookie: a=b",
                                         "strict-transport-security: max-age=1",
                                         "Alt-Svc: h3",
                                         "nel: {}",
                                         "report-to: {}",
                                         "Anthropic-Organization-Id: o",
                                         "x-weir-request-id: another's"};
    unsigned count;
    PROMISE("what speaks of the provider's domain, or whose account it was, never goes down")
    for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++) {
        down(HEADERS_OF(theirs[i]), true, &count);
        CHECK(count == 0);
    }
}

static void test_down(void)
{
    static const char *const between[] = {
        "Connection: close", "keep-alive: 5",     "Proxy-Authenticate: x",      "trailer: x",
        "Upgrade: h2c",      "content-length: 1", "Transfer-Encoding: chunked", "te: x"};
    unsigned count;
    PROMISE("an answer's headers come down in order and as spelled, in memory of their own")
    {
        struct http1_header *h =
            down(HEADERS_OF("Content-Type: text/event-stream", "request-id: r1", "X-New: a",
                            "x-new: b", "retry-after: 3", "x-ratelimited: 1"),
                 false, &count);
        CHECK(count == 6 && h[0].name.at != headers[0].name.at);
        CHECK_TEXT(h[0].name, "Content-Type");
        CHECK_TEXT(h[0].value, "text/event-stream");
        CHECK_TEXT(h[2].name, "X-New");
        CHECK_TEXT(h[3].value, "b");
        CHECK_TEXT(h[4].name, "retry-after");
        CHECK_TEXT(h[5].name, "x-ratelimited");
        memset(&h[count], 0, FORWARD_EXTRA_HEADERS * sizeof(h[0])); /* there is room */
    }
    PROMISE("what is between the provider and us stays between us")
    for (size_t i = 0; i < sizeof(between) / sizeof(between[0]); i++) {
        down(HEADERS_OF(between[i]), true, &count);
        CHECK(count == 0);
    }
    PROMISE("so does what its Connection header names")
    {
        struct http1_header *h =
            down(HEADERS_OF("x-hop: 1", "a: b", "connection: X-Hop"), false, &count);
        CHECK(count == 1);
        CHECK_TEXT(h[0].name, "a");
    }
}

static void test_limits_down(void)
{
    static const char *const limits[] = {
        "anthropic-ratelimit-unified-status: allowed", "Anthropic-RateLimit-Requests-Remaining: 5",
        "anthropic-priority-input-tokens-limit: 1", "anthropic-fast-input-tokens-limit: 1",
        "x-ratelimit-limit-requests: 1"};
    unsigned count;
    PROMISE("a subscription's quota is nobody else's business, unless the operator says so")
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        down(HEADERS_OF(limits[i], "a: b"), false, &count);
        CHECK(count == 1);
        down(HEADERS_OF(limits[i], "a: b"), true, &count);
        CHECK(count == 2);
    }
    PROMISE("an answer without headers has none")
    {
        CHECK(down(HEADERS_OF(NULL), false, &count) != NULL && count == 0);
    }
}

static bool is_refused(const char *method, const char *target)
{
    struct http1_request request = request_of(method, target, HEADERS_OF("a: b"));
    size_t query;
    request.path = request.target;
    if (slice_find(request.path, '?', &query))
        request.path.len = query;
    return forward_refusal(&request) != NULL;
}

static void test_refused(void)
{
    static const char *const dots[] = {"/v1/..",         "/v1/../x", "/v1/./x",
                                       "/v1/a/%2e%2E/b", "/v1/.%2e", "/v1/%2e"};
    static const char *const fine[] = {"/v1/messages", "/v1/files/a.txt", "/v1/...",
                                       "/v1/.a",       "/v1/x?path=/../", "/v1/%2f"};
    PROMISE("TRACE, which would show the credential, does not go up")
    CHECK(is_refused("TRACE", "/v1/messages") && !is_refused("OPTIONS", "/v1/messages"));
    PROMISE("no path leads out of where the provider's begins")
    for (size_t i = 0; i < sizeof(dots) / sizeof(dots[0]); i++)
        CHECK(is_refused("GET", dots[i]));
    PROMISE("dots that are part of a name are fine")
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        CHECK(!is_refused("GET", fine[i]));
}

int main(void)
{
    static const char text[] =
        "{\"subscriptions\":["
        "{\"name\":\"key\",\"api_key\":\"sk-ant-api03-k\",\"base_url\":\"https://api.example\"},"
        "{\"name\":\"token\",\"api_key\":\"plain-token\",\"auth_type\":\"auth_token\"},"
        "{\"name\":\"oauth\",\"api_key\":\"sk-ant-oat01-t\"},"
        "{\"name\":\"path\",\"api_key\":\"k\",\"base_url\":\"https://relay.example:8443/llm/api/\"}"
        "]}";
    struct config_error error = {0};
    if (!config_parse(slice_of(text), "test.json", &config, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }
    arena_init(&arena);
    test_shape();
    test_length();
    test_kept_from_the_provider();
    test_connection_options();
    test_credentials();
    test_oauth_beta();
    test_accept_encoding();
    test_large_head();
    test_growing_head();
    test_stays_here();
    test_down();
    test_limits_down();
    test_refused();
    arena_fini(&arena);
    config_release(config);
    return check_done();
}
