/* What HTTP itself says about a message that is passed on (RFC 9110), with what only Weir and
 * its neighbours know of. A provider's own headers are its dialect's to name. A head is built in
 * a buffer whose ceiling follows from what goes into it, so nothing a caller sends can be too
 * much for it. */
#include "proxy/forward.h"

#include <assert.h>
#include <string.h>

#include "auth/access.h"
#include "base/buf.h"
#include "base/number.h"

static const struct slice hop_by_hop[] = {
    SLICE_ROW("connection"),
    SLICE_ROW("keep-alive"),
    SLICE_ROW("proxy-authenticate"),
    SLICE_ROW("proxy-connection"),
    SLICE_ROW("proxy-authorization"),
    SLICE_ROW("te"),
    SLICE_ROW("trailer"),
    SLICE_ROW("transfer-encoding"),
    SLICE_ROW("upgrade"),
    SLICE_ROW("content-length"), /* framing is each side's own */
};

/* Meant for us, or for whoever stands where we do. */
/* clang-format off */
static const struct slice not_upward[] = {
    SLICE_ROW("host"),
    SLICE_ROW("expect"),
    SLICE_ROW("cookie"),
    SLICE_ROW("x-client-id"),
    SLICE_ROW("x-bot-id"),
    SLICE_ROW("x-api-token"),
    SLICE_ROW("x-admin-token"),
    SLICE_ROW("x-weir-*"),
};
/* clang-format on */

/* Of an answer: what speaks of the provider's domain, and would be taken for ours. */
static const struct slice not_downward[] = {
    SLICE_ROW("set-cookie"),
    SLICE_ROW("strict-transport-security"),
    SLICE_ROW("alt-svc"),
    SLICE_ROW("clear-site-data"),
    SLICE_ROW("expect-ct"),
    SLICE_ROW("public-key-pins"),
    SLICE_ROW("nel"),
    SLICE_ROW("report-to"),
    SLICE_ROW("reporting-endpoints"),
    SLICE_ROW("x-weir-*"),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A request on its way up. */
struct upward {
    const struct dialect *dialect;
    const struct http1_request *request;
    /* The credential's, to be merged into a list; its name is empty: none, or done. */
    struct http1_header item;
    struct buf out;
};

static bool is_named(struct slice name, struct header_names names)
{
    return slice_matches(name, names.at, names.count);
}

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

static void put_up(struct buf *out, struct slice bytes)
{
    bool fits = buf_append(out, bytes);
    assert(fits); /* head_bytes_max() */
}

static void put_header(struct buf *out, struct slice name, struct slice value)
{
    put_up(out, name);
    put_up(out, SLICE(": "));
    put_up(out, value);
    put_up(out, SLICE("\r\n"));
}

/* Only codings that we can read as well may be asked for: usage is read from the answer. What is
 * taken away stays unsaid; what is left keeps its order and weights. */
static void put_accept_encoding(struct buf *out, struct slice name, struct slice value)
{
    static const struct slice readable[] = {
        SLICE_ROW("gzip"),
        SLICE_ROW("deflate"),
        SLICE_ROW("identity"),
        SLICE_ROW("x-gzip"),
    };
    bool is_first = true;
    put_up(out, name);
    put_up(out, SLICE(": "));
    while (value.len > 0) {
        struct slice item, coding;
        value = slice_cut(value, ',', &item);
        slice_cut(item, ';', &coding);
        if (!slice_matches(slice_trim(coding), readable, COUNT(readable)))
            continue;
        if (!is_first)
            put_up(out, SLICE(", "));
        put_up(out, slice_trim(item));
        is_first = false;
    }
    if (is_first)
        put_up(out, SLICE("identity"));
    put_up(out, SLICE("\r\n"));
}

static bool goes_up(const struct upward *u, struct slice name)
{
    const struct http1_request *r = u->request;
    return !slice_matches(name, hop_by_hop, COUNT(hop_by_hop)) &&
           !slice_matches(name, not_upward, COUNT(not_upward)) &&
           !is_named(name, u->dialect->caller_headers) && !access_is_proxy_sign(name) &&
           !is_connection_option(r->headers, r->header_count, name);
}

static bool has_item(const struct upward *u)
{
    const struct http1_request *r = u->request;
    for (unsigned i = 0; i < r->header_count; i++)
        if (slice_eq_nocase(r->headers[i].name, u->item.name) && goes_up(u, u->item.name) &&
            slice_list_has(r->headers[i].value, u->item.value))
            return true;
    return false;
}

/* Into the caller's own list, the first there is. */
static void put_with_item(struct upward *u, const struct http1_header *h)
{
    put_up(&u->out, h->name);
    put_up(&u->out, SLICE(": "));
    put_up(&u->out, h->value);
    put_up(&u->out, h->value.len > 0 ? SLICE(",") : SLICE(""));
    put_up(&u->out, u->item.value);
    put_up(&u->out, SLICE("\r\n"));
    u->item.name = SLICE_NONE;
}

static void put_request_headers(struct upward *u)
{
    const struct http1_request *r = u->request;
    for (unsigned i = 0; i < r->header_count; i++) {
        const struct http1_header *h = &r->headers[i];
        if (!goes_up(u, h->name))
            continue;
        if (slice_eq_nocase(h->name, SLICE("accept-encoding")))
            put_accept_encoding(&u->out, h->name, h->value);
        else if (u->item.name.len > 0 && slice_eq_nocase(h->name, u->item.name))
            put_with_item(u, h);
        else
            put_header(&u->out, h->name, h->value);
    }
    if (u->item.name.len > 0)
        put_header(&u->out, u->item.name, u->item.value);
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

/* No more than this goes up: each byte of the caller's head makes at most two (a comma gets a space
 * behind it), each of its headers a few more; the rest is named here. */
static size_t head_bytes_max(const struct subscription *s, struct http1_header item)
{
    enum { LINE_BYTES = 32, OWN_BYTES = 256 };
    return 2 * HTTP1_HEAD_MAX + HTTP1_HEADERS_MAX * LINE_BYTES + OWN_BYTES +
           strlen(s->origin.path_prefix) + strlen(s->origin.authority) + item.name.len +
           item.value.len + secret_reveal(&s->api_key).len + CREDENTIAL_HEAD_BYTES;
}

struct slice forward_request_head(const struct dialect *dialect, const struct http1_request *r,
                                  const struct subscription *s, size_t body_bytes,
                                  struct arena *arena)
{
    char digits[NUMBER_TEXT_MAX];
    struct slice secret = secret_reveal(&s->api_key);
    struct upward u = {.dialect = dialect, .request = r, .item = dialect->credential_item(secret)};
    buf_init(&u.out, head_bytes_max(s, u.item));
    if (u.item.name.len > 0 && has_item(&u))
        u.item.name = SLICE_NONE;
    put_up(&u.out, r->method);
    put_up(&u.out, SLICE(" "));
    put_up(&u.out, slice_of(s->origin.path_prefix));
    put_up(&u.out, r->target);
    put_up(&u.out, SLICE(" HTTP/1.1\r\n"));
    put_header(&u.out, SLICE("host"), slice_of(s->origin.authority));
    put_request_headers(&u);
    dialect->put_credential(&u.out, secret, s->auth_type == AUTH_TOKEN);
    if (body_bytes > 0 || r->framing != HTTP1_NO_BODY)
        put_header(&u.out, SLICE("content-length"), number_decimal(body_bytes, digits));
    put_up(&u.out, SLICE("\r\n"));
    struct slice head = arena_copy(arena, buf_slice(&u.out));
    buf_fini(&u.out);
    return head;
}

struct http1_header *forward_response_headers(const struct dialect *dialect,
                                              const struct http1_response *r, bool pass_limits,
                                              struct arena *arena, unsigned *count)
{
    struct http1_header *headers =
        arena_new(arena, (r->header_count + FORWARD_EXTRA_HEADERS) * sizeof(headers[0]));
    *count = 0;
    for (unsigned i = 0; i < r->header_count; i++) {
        const struct http1_header *h = &r->headers[i];
        if (slice_matches(h->name, hop_by_hop, COUNT(hop_by_hop)) ||
            slice_matches(h->name, not_downward, COUNT(not_downward)) ||
            is_named(h->name, dialect->account_headers) ||
            (!pass_limits && is_named(h->name, dialect->limit_headers)) ||
            is_connection_option(r->headers, r->header_count, h->name))
            continue;
        headers[*count].name = arena_copy(arena, h->name);
        headers[*count].value = arena_copy(arena, h->value);
        (*count)++;
    }
    return headers;
}
