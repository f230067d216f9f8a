#include "proxy/forward.h"

#include <assert.h>
#include <string.h>

#include "auth/access.h"
#include "base/buf.h"
#include "base/number.h"

static const struct slice hop_by_hop[] = {
    {"connection", 10},       {"keep-alive", 10},          {"proxy-authenticate", 18},
    {"proxy-connection", 16}, {"proxy-authorization", 19}, {"te", 2},
    {"trailer", 7},           {"transfer-encoding", 17},   {"upgrade", 7},
    {"content-length", 14}, /* framing is each side's own */
};

static const struct slice not_upward[] = {
    {"host", 4},           {"expect", 6},       {"authorization", 13}, {"x-api-key", 9},
    {"cookie", 6},         {"x-client-id", 11}, {"x-bot-id", 8},       {"x-api-token", 11},
    {"x-admin-token", 13}, {"x-weir-*", 8},
};

static const struct slice limits_downward[] = {
    {"anthropic-ratelimit-*", 21},
    {"anthropic-priority-*", 20},
    {"anthropic-fast-*", 16},
    {"x-ratelimit-*", 13},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
static const struct slice oauth_beta = {"oauth-2025-04-20", 16};

/* Named by a Connection header: between neighbours too, whatever it is. */
static bool is_connection_option(const struct http1_header *headers, unsigned count,
                                 struct slice name)
{
    for (unsigned i = 0; i < count; i++)
        if (slice_eq_nocase(headers[i].name, SLICE("connection")) &&
            slice_list_has(headers[i].value, name))
            return true;
    return false;
}

static void put(struct buf *out, struct slice bytes)
{
    bool fits = buf_append(out, bytes);
    assert(fits); /* the request's own head had a limit, and we add a few hundred bytes */
}

static void put_header(struct buf *out, struct slice name, struct slice value)
{
    put(out, name);
    put(out, SLICE(": "));
    put(out, value);
    put(out, SLICE("\r\n"));
}

/* Only codings that we can read as well may be asked for: usage is read from the answer. What is
 * taken away stays unsaid; what is left keeps its order and weights. */
static void put_accept_encoding(struct buf *out, struct slice name, struct slice value)
{
    static const struct slice readable[] = {
        {"gzip", 4}, {"deflate", 7}, {"identity", 8}, {"x-gzip", 6}};
    bool is_first = true;
    put(out, name);
    put(out, SLICE(": "));
    while (value.len > 0) {
        struct slice item, coding;
        value = slice_cut(value, ',', &item);
        slice_cut(item, ';', &coding);
        if (!slice_matches(slice_trim(coding), readable, COUNT(readable)))
            continue;
        if (!is_first)
            put(out, SLICE(", "));
        put(out, slice_trim(item));
        is_first = false;
    }
    if (is_first)
        put(out, SLICE("identity"));
    put(out, SLICE("\r\n"));
}

static bool is_oauth_token(const struct subscription *s)
{
    return slice_starts(secret_reveal(&s->api_key), SLICE("sk-ant-oat"));
}

static void put_credential(struct buf *out, const struct subscription *s)
{
    bool is_bearer = s->auth_type == AUTH_TOKEN;
    put(out, is_bearer ? SLICE("authorization: Bearer ") : SLICE("x-api-key: "));
    put(out, secret_reveal(&s->api_key));
    put(out, SLICE("\r\n"));
}

static bool goes_up(const struct http1_request *r, struct slice name)
{
    return !slice_matches(name, hop_by_hop, COUNT(hop_by_hop)) &&
           !slice_matches(name, not_upward, COUNT(not_upward)) && !access_is_proxy_sign(name) &&
           !is_connection_option(r->headers, r->header_count, name);
}

static bool has_beta(const struct http1_request *r, struct slice beta)
{
    const struct slice name = SLICE("anthropic-beta");
    for (unsigned i = 0; i < r->header_count; i++)
        if (slice_eq_nocase(r->headers[i].name, name) && goes_up(r, name) &&
            slice_list_has(r->headers[i].value, beta))
            return true;
    return false;
}

static void put_request_headers(struct buf *out, const struct http1_request *r, bool *wants_beta)
{
    for (unsigned i = 0; i < r->header_count; i++) {
        const struct http1_header *h = &r->headers[i];
        if (!goes_up(r, h->name))
            continue;
        if (slice_eq_nocase(h->name, SLICE("accept-encoding"))) {
            put_accept_encoding(out, h->name, h->value);
        } else if (*wants_beta && slice_eq_nocase(h->name, SLICE("anthropic-beta"))) {
            put(out, h->name);
            put(out, SLICE(": "));
            put(out, h->value);
            put(out, h->value.len > 0 ? SLICE(",") : SLICE(""));
            put(out, oauth_beta);
            put(out, SLICE("\r\n"));
            *wants_beta = false;
        } else {
            put_header(out, h->name, h->value);
        }
    }
}

/* "." or "..", each dot plain or as %2e. */
static bool is_dot_segment(struct slice segment)
{
    unsigned dots = 0;
    while (segment.len > 0) {
        size_t len = segment.at[0] == '.' ? 1 : 3;
        if (len == 3 && !slice_starts_nocase(segment, SLICE("%2e")))
            return false;
        segment = slice_from(segment, len);
        dots++;
    }
    return dots == 1 || dots == 2;
}

const char *forward_refusal(const struct http1_request *r)
{
    struct slice rest = r->path, segment;
    if (slice_eq(r->method, SLICE("TRACE")))
        return "TRACE is not passed on";
    while (rest.len > 0) {
        rest = slice_cut(rest, '/', &segment);
        if (is_dot_segment(segment))
            return "the path must not have dot segments";
    }
    return NULL;
}

struct slice forward_request_head(const struct http1_request *r, const struct subscription *s,
                                  size_t body_bytes, struct arena *arena)
{
    struct buf out;
    char digits[NUMBER_TEXT_MAX];
    bool wants_beta = is_oauth_token(s) && !has_beta(r, oauth_beta);
    buf_init(&out, 2 * HTTP1_HEAD_MAX);
    put(&out, r->method);
    put(&out, SLICE(" "));
    put(&out, slice_of(s->origin.path_prefix));
    put(&out, r->target);
    put(&out, SLICE(" HTTP/1.1\r\n"));
    put_header(&out, SLICE("host"), slice_of(s->origin.authority));
    put_request_headers(&out, r, &wants_beta);
    if (wants_beta)
        put_header(&out, SLICE("anthropic-beta"), oauth_beta);
    put_credential(&out, s);
    if (body_bytes > 0 || r->framing != HTTP1_NO_BODY)
        put_header(&out, SLICE("content-length"), number_decimal(body_bytes, digits));
    put(&out, SLICE("\r\n"));
    struct slice head = arena_copy(arena, buf_slice(&out));
    buf_fini(&out);
    return head;
}

struct http1_header *forward_response_headers(const struct http1_response *r, bool pass_limits,
                                              struct arena *arena, unsigned *count)
{
    struct http1_header *headers =
        arena_new(arena, (r->header_count + FORWARD_EXTRA_HEADERS) * sizeof(headers[0]));
    *count = 0;
    for (unsigned i = 0; i < r->header_count; i++) {
        const struct http1_header *h = &r->headers[i];
        if (slice_matches(h->name, hop_by_hop, COUNT(hop_by_hop)) ||
            (!pass_limits && slice_matches(h->name, limits_downward, COUNT(limits_downward))) ||
            is_connection_option(r->headers, r->header_count, h->name))
            continue;
        headers[*count].name = arena_copy(arena, h->name);
        headers[*count].value = arena_copy(arena, h->value);
        (*count)++;
    }
    return headers;
}
