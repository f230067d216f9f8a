#include "answer_head.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } REASONS[] = {{200, "OK"},
                   {201, "Created"},
                   {204, "No Content"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {413, "Content Too Large"},
                   {429, "Too Many Requests"},
                   {500, "Internal Server Error"},
                   {502, "Bad Gateway"},
                   {503, "Service Unavailable"},
                   {504, "Gateway Timeout"},
                   {529, "Overloaded"}};
    for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++) {
        if (REASONS[i].status == status)
            return REASONS[i].reason;
    }
    return "Other";
}

static bool is_overridden(const struct answer *answer, const char *name)
{
    const char *key;
    json_t *value;
    json_object_foreach(answer->script->headers, key, value)
    {
        if (strcasecmp(key, name) == 0)
            return true;
    }
    return false;
}

static void print_header(const struct answer *answer, struct buf *out, const char *name,
                         const char *value)
{
    if (is_overridden(answer, name))
        return;
    buf_add_text(out, name);
    buf_add_text(out, ": ");
    buf_add_text(out, value);
    buf_add_text(out, "\r\n");
}

static void print_scripted_headers(const struct answer *answer, struct buf *out)
{
    const char *name;
    json_t *value;
    json_object_foreach(answer->script->headers, name, value)
    {
        if (json_is_string(value))
            buf_addf(out, "%s: %s\r\n", name, json_string_value(value));
        for (size_t i = 0; i < json_array_size(value); i++)
            buf_addf(out, "%s: %s\r\n", name, json_string_value(json_array_get(value, i)));
    }
}

static const char *date_now(void)
{
    static char text[64];
    static time_t last;
    time_t now = time(NULL);
    if (now != last) {
        struct tm parts;
        last = now;
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
    }
    return text;
}

void answer_print_head(const struct answer *answer, struct buf *out)
{
    char length[32];
    snprintf(length, sizeof(length), "%" PRIu64, answer->total_bytes);
    buf_addf(out, "HTTP/1.1 %d %s\r\n", answer->status, reason_of(answer->status));
    print_header(answer, out, "date", date_now());
    if (answer->status != 204 && answer->status != 304)
        print_header(answer, out, "content-type", answer->content_type);
    print_header(answer, out, "request-id", answer->request_id);
    if (answer->is_event_stream)
        print_header(answer, out, "cache-control", "no-cache");
    if (answer->is_packing)
        print_header(answer, out, "content-encoding", "gzip");
    if (answer->framing == FRAMING_CHUNKED)
        print_header(answer, out, "transfer-encoding", "chunked");
    else if (answer->framing == FRAMING_SIZED && answer->status != 204 && answer->status != 304)
        print_header(answer, out, "content-length", length);
    if (!answer->is_keep_alive)
        print_header(answer, out, "connection", "close");
    print_scripted_headers(answer, out);
    buf_add_text(out, "\r\n");
}
