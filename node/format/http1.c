/* http1.c - heads: finding their end, and parsing them.
 *
 *     http1_find            line by line: CR LF only, no NUL, limits
 *     http1_parse_request   parse_request_line -> parse_fields -> judge_framing,
 *                          judge_host, judge_keep_alive
 *     http1_parse_response  parse_status_line  -> parse_fields -> judge_framing,
 *                          judge_keep_alive
 *
 * parse_fields notes the few fields that decide framing and connection in a struct notes; the
 * judges decide from these alone. The parsers do not rely on http1_find having checked anything. */
#include "format/http1.h"

#include <string.h>

enum byte_class { TOKEN = 1, TARGET = 2, HOST = 4 };

/* '#' is no TARGET: a fragment never travels, and readers disagree what to do with one. */
static const unsigned char byte_classes[256] = {
    ['!'] = TOKEN | TARGET,
    ['"'] = TARGET,
    ['#'] = TOKEN,
    ['$' ... '\''] = TOKEN | TARGET,
    ['(' ... ')'] = TARGET,
    ['*' ... '+'] = TOKEN | TARGET,
    [','] = TARGET,
    ['-' ... '.'] = TOKEN | TARGET | HOST,
    ['/'] = TARGET,
    ['0' ... '9'] = TOKEN | TARGET | HOST,
    [':' ... '@'] = TARGET,
    ['A' ... 'Z'] = TOKEN | TARGET | HOST,
    ['[' ... ']'] = TARGET,
    ['^'] = TOKEN | TARGET,
    ['_'] = TOKEN | TARGET | HOST,
    ['`'] = TOKEN | TARGET,
    ['a' ... 'z'] = TOKEN | TARGET | HOST,
    ['{'] = TARGET,
    ['|'] = TOKEN | TARGET,
    ['}'] = TARGET,
    ['~'] = TOKEN | TARGET | HOST,
};

/* How many bytes from the start on are of that class. */
static size_t span(struct slice s, enum byte_class class)
{
    size_t len = 0;
    while (len < s.len && (byte_classes[(unsigned char)s.at[len]] & class) != 0)
        len++;
    return len;
}

static bool is_all(struct slice s, enum byte_class class)
{
    return s.len > 0 && span(s, class) == s.len;
}

/* HTAB, SP, visible ASCII and obs-text: all a value or a reason may hold. Eight bytes at a time
 * while none of them is a control byte. */
static bool is_text(struct slice s)
{
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t tops = ones << 7;
    size_t i = 0;
    while (i + 8 <= s.len) {
        uint64_t word;
        memcpy(&word, s.at + i, sizeof(word));
        uint64_t below_space = (word - ones * 0x20) & ~word;
        uint64_t no_delete = word ^ (ones * 0x7f);
        if (((below_space | ((no_delete - ones) & ~no_delete)) & tops) != 0)
            break;
        i += 8;
    }
    for (; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* --- the end of a head --- */

/* An empty line may come before a request (RFC 9112, 2.2): one, counted as part of the head. */
static bool is_first_line(const struct http1_finder *finder)
{
    return finder->line_start == 0 || finder->line_start == 2;
}

/* No NUL, and CR only where it can belong to the line's end. */
static bool is_line_clean(struct slice s, bool is_ended)
{
    size_t at;
    if (slice_find(s, '\0', &at))
        return false;
    if (!slice_find(s, '\r', &at))
        return !is_ended;
    return at + (is_ended ? 2 : 1) == s.len;
}

enum http1_progress http1_find(struct http1_finder *finder, struct slice in, size_t *head_len,
                               int *status)
{
    for (;;) {
        bool is_first = is_first_line(finder);
        size_t limit = is_first ? finder->line_start + HTTP1_START_LINE_MAX + 2 : HTTP1_HEAD_MAX;
        size_t seen = in.len < limit ? in.len : limit;
        struct slice fresh = slice_from((struct slice){in.at, seen}, finder->scanned);
        size_t at;
        bool is_ended = slice_find(fresh, '\n', &at);
        if (is_ended)
            fresh.len = at + 1;
        if (!is_line_clean(fresh, is_ended)) {
            *status = 400;
            return HTTP1_BAD;
        }
        if (!is_ended && seen == limit) {
            *status = is_first ? 414 : 431;
            return HTTP1_BAD;
        }
        finder->scanned += fresh.len;
        if (!is_ended) {
            bool has_cr = fresh.len > 0 && fresh.at[fresh.len - 1] == '\r';
            finder->scanned -= has_cr ? 1 : 0; /* judged together with what follows it */
            return HTTP1_MORE;
        }
        bool is_empty = finder->scanned - finder->line_start == 2;
        if (is_empty && finder->line_start > 0) {
            *head_len = finder->scanned;
            return HTTP1_DONE;
        }
        finder->line_start = finder->scanned;
    }
}

/* --- fields --- */

/* What the fields say about framing and connection. */
struct notes {
    struct slice host;
    struct slice length;
    struct slice coding;
    unsigned hosts;
    unsigned lengths;
    unsigned codings;
    bool has_tab; /* beside length or coding: readers differ in what they make of it */
    bool is_close;
    bool is_keep_alive;
    bool is_continue;
    bool is_other_expectation;
};

static int refuse(int status, const char **why, const char *reason)
{
    *why = reason;
    return status;
}

/* Cuts the first line off; false if there is no CR LF. */
static bool take_line(struct slice *rest, struct slice *line)
{
    size_t at;
    if (!slice_find(*rest, '\n', &at) || at == 0 || rest->at[at - 1] != '\r')
        return false;
    *line = (struct slice){rest->at, at - 1};
    *rest = slice_from(*rest, at + 1);
    return true;
}

/* `raw`: the value with the blanks around it. */
static void note_field(struct notes *notes, const struct http1_header *header, struct slice raw)
{
    struct slice name = header->name;
    struct slice value = header->value;
    size_t at;
    switch (name.len) {
    case 4:
        if (slice_eq_nocase(name, SLICE("host"))) {
            notes->host = value;
            notes->hosts++;
        }
        break;
    case 6:
        if (slice_eq_nocase(name, SLICE("expect"))) {
            bool is_continue = slice_eq_nocase(value, SLICE("100-continue"));
            notes->is_continue |= is_continue;
            notes->is_other_expectation |= !is_continue;
        }
        break;
    case 10:
        if (slice_eq_nocase(name, SLICE("connection"))) {
            notes->is_close |= slice_list_has(value, SLICE("close"));
            notes->is_keep_alive |= slice_list_has(value, SLICE("keep-alive"));
        }
        break;
    case 14:
        if (slice_eq_nocase(name, SLICE("content-length"))) {
            notes->length = value;
            notes->lengths++;
            notes->has_tab |= slice_find(raw, '\t', &at);
        }
        break;
    case 17:
        if (slice_eq_nocase(name, SLICE("transfer-encoding"))) {
            notes->coding = value;
            notes->codings++;
            notes->has_tab |= slice_find(raw, '\t', &at);
        }
        break;
    default:
        break;
    }
}

/* 0 or the status. */
static int parse_field(struct slice line, struct http1_header *header, const char **why)
{
    if (line.at[0] == ' ' || line.at[0] == '\t')
        return refuse(400, why, "a header line begins with a blank");
    size_t name_len = span(line, TOKEN);
    if (name_len == line.len || line.at[name_len] != ':')
        return refuse(400, why, "a header name holds a forbidden byte or has no colon");
    if (name_len == 0)
        return refuse(400, why, "a header has no name");
    header->name = (struct slice){line.at, name_len};
    header->value = slice_trim(slice_from(line, name_len + 1));
    if (!is_text(header->value))
        return refuse(400, why, "a header value holds a control byte");
    return 0;
}

/* All lines up to the empty one, behind which nothing may follow. 0 or the status. */
static int parse_fields(struct slice rest, struct http1_header headers[HTTP1_HEADERS_MAX],
                        unsigned *count, struct notes *notes, const char **why)
{
    *count = 0;
    for (;;) {
        struct slice line;
        if (!take_line(&rest, &line))
            return refuse(400, why, "a header line does not end in CR LF");
        if (line.len == 0)
            return rest.len == 0 ? 0 : refuse(400, why, "bytes behind the end of the head");
        if (*count == HTTP1_HEADERS_MAX)
            return refuse(431, why, "too many header lines");
        struct http1_header *header = &headers[*count];
        int status = parse_field(line, header, why);
        if (status != 0)
            return status;
        ++*count;
        note_field(notes, header, slice_from(line, header->name.len + 1));
    }
}

/* For requests and responses alike: one way to delimit a body, or none. 0 or the status. */
static int judge_framing(const struct notes *notes, unsigned minor, enum http1_framing *framing,
                         uint64_t *length, const char **why)
{
    *framing = HTTP1_NO_BODY;
    *length = 0;
    if (notes->codings > 0 && notes->lengths > 0)
        return refuse(400, why, "both Content-Length and Transfer-Encoding");
    if (notes->lengths > 1)
        return refuse(400, why, "more than one Content-Length");
    if (notes->codings > 1)
        return refuse(400, why, "more than one Transfer-Encoding");
    if (notes->codings == 1) {
        if (minor == 0)
            return refuse(400, why, "Transfer-Encoding in HTTP/1.0");
        if (notes->coding.len == 0 || notes->has_tab)
            return refuse(400, why, "a malformed Transfer-Encoding");
        if (!slice_eq_nocase(notes->coding, SLICE("chunked")))
            return refuse(501, why, "a Transfer-Encoding other than chunked");
        *framing = HTTP1_CHUNKED;
    } else if (notes->lengths == 1) {
        if (notes->has_tab || !slice_number(notes->length, INT64_MAX, length))
            return refuse(400, why, "a malformed Content-Length");
        *framing = HTTP1_SIZED;
    }
    return 0;
}

static bool judge_keep_alive(const struct notes *notes, unsigned minor)
{
    return !notes->is_close && (minor == 1 || notes->is_keep_alive);
}

/* "HTTP/1.0" or "HTTP/1.1". 0 or the status. */
static int parse_version(struct slice s, unsigned *minor, const char **why)
{
    bool is_version = s.len == 8 && slice_starts(s, SLICE("HTTP/")) && s.at[6] == '.' &&
                      s.at[5] >= '0' && s.at[5] <= '9' && s.at[7] >= '0' && s.at[7] <= '9';
    if (!is_version)
        return refuse(400, why, "malformed HTTP version");
    if (s.at[5] != '1' || s.at[7] > '1')
        return refuse(505, why, "an HTTP version other than 1.0 and 1.1");
    *minor = (unsigned)(s.at[7] - '0');
    return 0;
}

/* --- requests --- */

/* host[:port], the host a name, an IPv4 address or a bracketed IPv6 address. */
static bool is_authority(struct slice s)
{
    static const char address[] = "0123456789abcdefABCDEF:.";
    size_t host_len = span(s, HOST);
    if (s.len > 0 && s.at[0] == '[') {
        if (!slice_find(s, ']', &host_len) || host_len < 3)
            return false;
        for (size_t i = 1; i < host_len; i++) {
            if (memchr(address, s.at[i], sizeof(address) - 1) == NULL)
                return false;
        }
        host_len++;
    }
    if (host_len == 0)
        return false;
    struct slice port = slice_from(s, host_len);
    uint64_t number;
    return port.len == 0 || (port.at[0] == ':' && port.len <= 6 &&
                             slice_number(slice_from(port, 1), 65535, &number));
}

/* Takes "http://authority" off a target in absolute form. 0 or the status. */
static int reduce_absolute(struct http1_request *request, struct slice *authority, const char **why)
{
    struct slice rest;
    if (slice_starts_nocase(request->target, SLICE("http://")))
        rest = slice_from(request->target, 7);
    else if (slice_starts_nocase(request->target, SLICE("https://")))
        rest = slice_from(request->target, 8);
    else
        return refuse(400, why, "a target that is neither a path nor an http URL");
    size_t path_at;
    if (!slice_find(rest, '/', &path_at))
        path_at = rest.len;
    *authority = (struct slice){rest.at, path_at};
    if (!is_authority(*authority))
        return refuse(400, why, "a target with a malformed authority");
    bool is_options = slice_eq(request->method, SLICE("OPTIONS"));
    if (path_at == rest.len)
        request->target = is_options ? SLICE("*") : SLICE("/"); /* RFC 9112, 3.2.4 */
    else
        request->target = slice_from(rest, path_at);
    return 0;
}

/* 0 or the status. *authority: of an absolute form, else empty. */
static int parse_target(struct http1_request *request, struct slice *authority, const char **why)
{
    if (!is_all(request->target, TARGET))
        return refuse(400, why, "a target that is empty or holds a forbidden byte");
    if (request->target.at[0] != '/' && !slice_eq(request->target, SLICE("*"))) {
        int status = reduce_absolute(request, authority, why);
        if (status != 0)
            return status;
    }
    if (slice_eq(request->target, SLICE("*")) && !slice_eq(request->method, SLICE("OPTIONS")))
        return refuse(400, why, "target * with a method other than OPTIONS");
    slice_cut(request->target, '?', &request->path);
    return 0;
}

/* 0 or the status. */
static int parse_method(struct slice method, const char **why)
{
    if (!is_all(method, TOKEN))
        return refuse(400, why, "malformed method");
    for (size_t i = 0; i < method.len; i++) {
        if (method.at[i] >= 'a' && method.at[i] <= 'z')
            return refuse(400, why, "a method in lower case");
    }
    if (slice_eq(method, SLICE("CONNECT")))
        return refuse(501, why, "CONNECT");
    return 0;
}

/* 0 or the status. */
static int parse_request_line(struct slice line, struct http1_request *request,
                              struct slice *authority, const char **why)
{
    if (line.len > HTTP1_START_LINE_MAX)
        return refuse(414, why, "the request line is too long");
    struct slice rest = slice_cut(line, ' ', &request->method);
    struct slice version = slice_cut(rest, ' ', &request->target);
    if (version.len == 0)
        return refuse(400, why, "malformed request line");
    int status = parse_version(version, &request->minor, why);
    if (status == 0)
        status = parse_method(request->method, why);
    if (status == 0)
        status = parse_target(request, authority, why);
    return status;
}

/* 0 or the status. */
static int judge_host(const struct notes *notes, struct slice authority,
                      struct http1_request *request, const char **why)
{
    if (notes->hosts > 1)
        return refuse(400, why, "more than one Host");
    if (notes->hosts == 0 && request->minor == 1)
        return refuse(400, why, "no Host");
    if (notes->hosts == 1 && !is_authority(notes->host))
        return refuse(400, why, "a malformed Host");
    if (notes->hosts == 1 && authority.len > 0 && !slice_eq_nocase(notes->host, authority))
        return refuse(400, why, "a target whose authority differs from Host");
    request->host = notes->hosts == 1 ? notes->host : authority;
    return 0;
}

int http1_parse_request(struct slice head, struct http1_header headers[HTTP1_HEADERS_MAX],
                        struct http1_request *request, const char **why)
{
    struct notes notes = {0};
    struct slice line;
    struct slice authority = SLICE_NONE;
    *request = (struct http1_request){.headers = headers};
    if (slice_starts(head, SLICE("\r\n")))
        head = slice_from(head, 2);
    if (!take_line(&head, &line))
        return refuse(400, why, "the request line does not end in CR LF");
    int status = parse_request_line(line, request, &authority, why);
    if (status == 0)
        status = parse_fields(head, headers, &request->header_count, &notes, why);
    if (status == 0)
        status = judge_framing(&notes, request->minor, &request->framing, &request->length, why);
    if (status == 0)
        status = judge_host(&notes, authority, request, why);
    if (status == 0 && notes.is_other_expectation && request->minor == 1)
        status = refuse(417, why, "an expectation other than 100-continue");
    if (status != 0)
        return status;
    request->keep_alive = judge_keep_alive(&notes, request->minor);
    bool has_body = request->framing == HTTP1_CHUNKED || request->length > 0;
    request->expects_continue = notes.is_continue && request->minor == 1 && has_body;
    return 0;
}

/* --- responses --- */

static bool parse_status_line(struct slice line, struct http1_response *response, const char **why)
{
    struct slice version;
    struct slice code;
    uint64_t number;
    struct slice rest = slice_cut(line, ' ', &version);
    response->reason = slice_cut(rest, ' ', &code);
    if (parse_version(version, &response->minor, why) != 0)
        return false;
    if (code.len != 3 || !slice_number(code, 999, &number) || number < 100 ||
        !is_text(response->reason)) {
        *why = "malformed status line";
        return false;
    }
    response->status = (int)number;
    return true;
}

bool http1_parse_response(struct slice head, bool to_head,
                          struct http1_header headers[HTTP1_HEADERS_MAX],
                          struct http1_response *response, const char **why)
{
    struct notes notes = {0};
    struct slice line;
    *response = (struct http1_response){.headers = headers};
    if (!take_line(&head, &line)) {
        *why = "the status line does not end in CR LF";
        return false;
    }
    if (!parse_status_line(line, response, why) ||
        parse_fields(head, headers, &response->header_count, &notes, why) != 0 ||
        judge_framing(&notes, response->minor, &response->framing, &response->length, why) != 0)
        return false;
    bool has_no_body =
        to_head || response->status < 200 || response->status == 204 || response->status == 304;
    if (has_no_body)
        response->framing = HTTP1_NO_BODY;
    else if (response->framing == HTTP1_NO_BODY)
        response->framing = HTTP1_UNTIL_CLOSE;
    response->keep_alive =
        judge_keep_alive(&notes, response->minor) && response->framing != HTTP1_UNTIL_CLOSE;
    return true;
}

const struct http1_header *http1_header(const struct http1_header *headers, unsigned count,
                                        struct slice name)
{
    for (unsigned i = 0; i < count; i++) {
        if (slice_eq_nocase(headers[i].name, name))
            return &headers[i];
    }
    return NULL;
}
