#include "request.h"

#include <string.h>

static enum request_news refuse(struct request *request, const char *fault)
{
    request->fault = fault;
    return REQUEST_BAD;
}

static bool is_token(struct slice text)
{
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        if (byte <= ' ' || byte >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", byte) != NULL)
            return false;
    }
    return true;
}

static bool is_field_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f)
            return false;
    }
    return true;
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && (text.at[0] == ' ' || text.at[0] == '\t')) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static const char *read_request_line(struct request *request, struct slice line)
{
    const char *end = line.at + line.len;
    const char *first = memchr(line.at, ' ', line.len);
    if (first == NULL)
        return "request line without target";
    request->method = (struct slice){line.at, (size_t)(first - line.at)};
    const char *second = memchr(first + 1, ' ', (size_t)(end - first - 1));
    if (second == NULL)
        return "request line without version";
    request->target = (struct slice){first + 1, (size_t)(second - first) - 1};
    struct slice version = {second + 1, (size_t)(end - second) - 1};
    request->is_http_1_0 = slice_is(version, "HTTP/1.0");
    if (!request->is_http_1_0 && !slice_is(version, "HTTP/1.1"))
        return "unknown version";
    if (!is_token(request->method))
        return "bad method";
    if (request->target.len == 0 || memchr(request->target.at, '\t', request->target.len) != NULL ||
        !is_field_text(request->target))
        return "bad target";
    return NULL;
}

static const char *read_header_line(struct request *request, struct slice line)
{
    const char *colon = memchr(line.at, ':', line.len);
    if (colon == NULL)
        return "header line without colon";
    if (request->header_count == REQUEST_HEADERS_MAX)
        return "too many headers";
    struct header *header = &request->headers[request->header_count++];
    header->name = (struct slice){line.at, (size_t)(colon - line.at)};
    header->value = trim((struct slice){colon + 1, line.len - header->name.len - 1});
    if (!is_token(header->name))
        return "bad header name";
    return is_field_text(header->value) ? NULL : "control character in a header value";
}

static const char *read_length(struct request *request, struct slice value)
{
    if (request->has_length)
        return "two content-lengths";
    if (value.len == 0 || value.len > 18)
        return "bad content-length";
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return "bad content-length";
        request->left = request->left * 10 + (uint64_t)(value.at[i] - '0');
    }
    request->has_length = true;
    return NULL;
}

static bool has_word(struct slice list, const char *word)
{
    while (list.len > 0) {
        const char *comma = memchr(list.at, ',', list.len);
        size_t len = comma == NULL ? list.len : (size_t)(comma - list.at);
        if (slice_is_name(trim((struct slice){list.at, len}), word))
            return true;
        len = comma == NULL ? len : len + 1;
        list = (struct slice){list.at + len, list.len - len};
    }
    return false;
}

static const char *read_meaning(struct request *request)
{
    size_t hosts = 0;
    request->is_keep_alive = !request->is_http_1_0;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct header *header = &request->headers[i];
        const char *fault = NULL;
        if (slice_is_name(header->name, "content-length")) {
            fault = read_length(request, header->value);
        } else if (slice_is_name(header->name, "transfer-encoding")) {
            fault = slice_is_name(header->value, "chunked") && !request->is_chunked
                        ? NULL
                        : "bad transfer-encoding";
            request->is_chunked = true;
        } else if (slice_is_name(header->name, "connection")) {
            if (has_word(header->value, "close"))
                request->is_keep_alive = false;
            else if (request->is_http_1_0 && has_word(header->value, "keep-alive"))
                request->is_keep_alive = true;
        } else if (slice_is_name(header->name, "expect")) {
            request->is_expecting = slice_is_name(header->value, "100-continue");
        } else if (slice_is_name(header->name, "host")) {
            hosts++;
        }
        if (fault != NULL)
            return fault;
    }
    if (request->is_chunked && (request->has_length || request->is_http_1_0))
        return "transfer-encoding where it may not be";
    return hosts == 1 || (hosts == 0 && request->is_http_1_0) ? NULL : "not exactly one host";
}

static const char *read_head(struct request *request)
{
    struct slice rest = buf_slice(&request->head);
    bool is_first = true;
    while (rest.len > 2) {
        const char *feed = memchr(rest.at, '\n', rest.len);
        size_t len = (size_t)(feed - rest.at);
        if (len == 0 || rest.at[len - 1] != '\r' || memchr(rest.at, '\r', len) != feed - 1)
            return "bare CR or LF";
        struct slice line = {rest.at, len - 1};
        const char *fault =
            is_first ? read_request_line(request, line) : read_header_line(request, line);
        if (fault != NULL)
            return fault;
        is_first = false;
        rest = (struct slice){feed + 1, rest.len - len - 1};
    }
    return read_meaning(request);
}

static enum request_news feed_head(struct request *request, struct slice bytes, size_t *used)
{
    size_t before = request->head.len;
    size_t take = bytes.len < REQUEST_HEAD_BYTES_MAX ? bytes.len : REQUEST_HEAD_BYTES_MAX;
    buf_add(&request->head, bytes.at, take);
    const char *head = buf_slice(&request->head).at;
    size_t from = before < 3 ? 0 : before - 3;
    const char *end = memmem(head + from, request->head.len - from, "\r\n\r\n", 4);
    if (end == NULL) {
        *used = take;
        if (memmem(head + from, request->head.len - from, "\n\n", 2) != NULL)
            return refuse(request, "bare LF");
        if (request->head.len >= REQUEST_HEAD_BYTES_MAX)
            return refuse(request, "head too large");
        return REQUEST_MORE;
    }
    size_t len = (size_t)(end - head) + 4;
    *used = len - before;
    request->head.len = len;
    const char *fault = read_head(request);
    if (fault != NULL)
        return refuse(request, fault);
    if (request->is_chunked)
        request->stage = REQUEST_IN_CHUNK_LINE;
    else
        request->stage = request->left > 0 ? REQUEST_IN_SIZED : REQUEST_AT_END;
    return REQUEST_HEAD;
}

static enum request_news feed_body(struct request *request, struct slice bytes, size_t *used)
{
    size_t take = bytes.len < request->left ? bytes.len : (size_t)request->left;
    request->piece = (struct slice){bytes.at, take};
    request->left -= take;
    *used = take;
    if (request->left == 0)
        request->stage = request->stage == REQUEST_IN_CHUNK ? REQUEST_IN_CHUNK_END : REQUEST_AT_END;
    return REQUEST_BODY;
}

static const char *read_chunk_line(struct request *request, struct slice line)
{
    const char *semicolon = memchr(line.at, ';', line.len);
    size_t digits = semicolon == NULL ? line.len : (size_t)(semicolon - line.at);
    if (digits == 0 || digits > 12)
        return "bad chunk size";
    request->left = 0;
    for (size_t i = 0; i < digits; i++) {
        const char *hex = "0123456789abcdef";
        int lower = line.at[i] >= 'A' && line.at[i] <= 'F' ? line.at[i] + 32 : line.at[i];
        const char *found = lower == 0 ? NULL : strchr(hex, lower);
        if (found == NULL)
            return "bad chunk size";
        request->left = request->left * 16 + (uint64_t)(found - hex);
    }
    request->stage = request->left > 0 ? REQUEST_IN_CHUNK : REQUEST_IN_TRAILER;
    return NULL;
}

static const char *read_line(struct request *request, struct slice line)
{
    switch (request->stage) {
    case REQUEST_IN_CHUNK_LINE:
        return read_chunk_line(request, line);
    case REQUEST_IN_CHUNK_END:
        request->stage = REQUEST_IN_CHUNK_LINE;
        return line.len == 0 ? NULL : "chunk longer than its size";
    case REQUEST_IN_TRAILER:
        request->trailer_bytes += line.len + 2;
        if (line.len == 0)
            request->stage = REQUEST_AT_END;
        return request->trailer_bytes <= REQUEST_HEAD_BYTES_MAX ? NULL : "trailers too large";
    case REQUEST_IN_HEAD:
    case REQUEST_IN_SIZED:
    case REQUEST_IN_CHUNK:
    case REQUEST_AT_END:
        break;
    }
    return "line where none belongs";
}

/* Chunk sizes, chunk ends and trailers: one line at a time. */
static enum request_news feed_line(struct request *request, struct slice bytes, size_t *used)
{
    const char *feed = memchr(bytes.at, '\n', bytes.len);
    size_t take = feed == NULL ? bytes.len : (size_t)(feed - bytes.at) + 1;
    size_t max =
        request->stage == REQUEST_IN_TRAILER ? REQUEST_HEAD_BYTES_MAX : REQUEST_CHUNK_LINE_MAX;
    *used = take;
    if (request->line.len + take > max)
        return refuse(request, "line too long");
    buf_add(&request->line, bytes.at, take);
    if (feed == NULL)
        return REQUEST_MORE;
    struct slice line = buf_slice(&request->line);
    const char *carriage = memchr(line.at, '\r', line.len);
    if (line.len < 2 || carriage != line.at + line.len - 2)
        return refuse(request, "bare CR or LF in chunked framing");
    const char *fault = read_line(request, (struct slice){line.at, line.len - 2});
    buf_skip(&request->line, request->line.len);
    return fault == NULL ? REQUEST_MORE : refuse(request, fault);
}

enum request_news request_feed(struct request *request, struct slice bytes, size_t *used)
{
    size_t total = 0;
    enum request_news news = REQUEST_MORE;
    while (news == REQUEST_MORE) {
        size_t step = 0;
        struct slice rest = {bytes.at + total, bytes.len - total};
        if (request->stage == REQUEST_AT_END) {
            news = REQUEST_DONE;
            break;
        }
        if (rest.len == 0)
            break;
        switch (request->stage) {
        case REQUEST_IN_HEAD:
            news = feed_head(request, rest, &step);
            break;
        case REQUEST_IN_SIZED:
        case REQUEST_IN_CHUNK:
            news = feed_body(request, rest, &step);
            break;
        case REQUEST_IN_CHUNK_LINE:
        case REQUEST_IN_CHUNK_END:
        case REQUEST_IN_TRAILER:
            news = feed_line(request, rest, &step);
            break;
        case REQUEST_AT_END:
            break;
        }
        total += step;
    }
    *used = total;
    return news;
}

void request_reset(struct request *request)
{
    struct buf head = request->head;
    struct buf line = request->line;
    memset(request, 0, offsetof(struct request, headers));
    request->header_count = 0;
    head.start = head.len = 0;
    line.start = line.len = 0;
    request->head = head;
    request->line = line;
}

void request_fini(struct request *request)
{
    buf_fini(&request->head);
    buf_fini(&request->line);
}

bool request_header(const struct request *request, const char *name, struct slice *value)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (slice_is_name(request->headers[i].name, name)) {
            *value = request->headers[i].value;
            return true;
        }
    }
    return false;
}

struct slice request_path(const struct request *request)
{
    const char *query = memchr(request->target.at, '?', request->target.len);
    size_t len = query == NULL ? request->target.len : (size_t)(query - request->target.at);
    return (struct slice){request->target.at, len};
}
