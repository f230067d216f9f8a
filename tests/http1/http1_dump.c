/* http1_dump.c - says what our HTTP/1 parser makes of bytes.
 * Standard input: frames, each its length in four bytes (big-endian) and that many bytes, the first
 * ones a client would send on a connection. Standard output: for each frame one line of JSON,
 *
 *     {"requests":[{"method","target","path","host","minor","headers":[[name,value]...],"body",
 *                   "keep_alive","expects_continue"}...],
 *      "end":"close"|"more"|"refused","status":400,"why":"...","rest":12}
 *
 * Requests are read one after the other until one closes the connection, is not complete, or is
 * refused; `rest` counts the bytes behind the last complete one. Texts are Latin-1, bodies hex. */
#include <stdio.h>
#include <stdlib.h>

#include "format/http1.h"

enum { FRAME_MAX = 16 << 20 };

static void put_text(struct slice s)
{
    putchar('"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            putchar(c);
        else
            printf("\\u%04x", c);
    }
    putchar('"');
}

static void put_member(const char *name, struct slice value)
{
    printf("\"%s\":", name);
    put_text(value);
    putchar(',');
}

static void put_hex(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        printf("%02x", (unsigned char)s.at[i]);
}

/* The body behind a head, in hex; *in moves behind it. */
static enum http1_progress put_body(const struct http1_request *request, struct slice *in)
{
    struct http1_chunked chunked = {0};
    enum http1_progress progress;
    struct slice data;
    if (request->framing != HTTP1_CHUNKED) {
        if (request->length > in->len)
            return HTTP1_MORE;
        put_hex((struct slice){in->at, (size_t)request->length});
        *in = slice_from(*in, (size_t)request->length);
        return HTTP1_DONE;
    }
    do {
        progress = http1_chunked_read(&chunked, in, &data);
        put_hex(data);
    } while (progress == HTTP1_MORE && data.len > 0);
    return progress;
}

static enum http1_progress put_request(const struct http1_request *request, struct slice *in)
{
    putchar('{');
    put_member("method", request->method);
    put_member("target", request->target);
    put_member("path", request->path);
    put_member("host", request->host);
    printf("\"minor\":%u,\"keep_alive\":%s,\"expects_continue\":%s,\"headers\":[", request->minor,
           request->keep_alive ? "true" : "false", request->expects_continue ? "true" : "false");
    for (unsigned i = 0; i < request->header_count; i++) {
        printf(i > 0 ? ",[" : "[");
        put_text(request->headers[i].name);
        putchar(',');
        put_text(request->headers[i].value);
        putchar(']');
    }
    printf("],\"body\":\"");
    enum http1_progress progress = put_body(request, in);
    printf("\",\"is_complete\":%s}", progress == HTTP1_DONE ? "true" : "false");
    return progress;
}

/* How reading a frame ended. */
struct end {
    const char *word;
    int status;
    const char *why;
};

static struct end put_requests(struct slice *in)
{
    static struct http1_header headers[HTTP1_HEADERS_MAX];
    struct http1_request request = {.keep_alive = true};
    for (unsigned count = 0; request.keep_alive; count++) {
        struct http1_finder finder = {0};
        struct end end = {"refused", 400, "malformed head"};
        size_t head_len;
        enum http1_progress progress = http1_find(&finder, *in, &head_len, &end.status);
        if (progress == HTTP1_MORE)
            return (struct end){"more", 0, ""};
        if (progress == HTTP1_BAD)
            return end;
        struct slice head = {in->at, head_len};
        end.status = http1_parse_request(head, headers, &request, &end.why);
        if (end.status != 0)
            return end;
        struct slice rest = slice_from(*in, head_len);
        printf(count > 0 ? "," : "");
        progress = put_request(&request, &rest);
        if (progress == HTTP1_MORE)
            return (struct end){"more", 0, ""};
        if (progress == HTTP1_BAD)
            return (struct end){"refused", 400, "malformed chunked body"};
        *in = rest;
    }
    return (struct end){"close", 0, ""};
}

static bool read_frame(char *frame, size_t *len)
{
    unsigned char size[4];
    if (fread(size, 1, sizeof(size), stdin) != sizeof(size))
        return false;
    *len = (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];
    if (*len > FRAME_MAX || fread(frame, 1, *len, stdin) != *len) {
        fprintf(stderr, "http1-dump: a frame is too long or cut short\n");
        exit(EXIT_FAILURE);
    }
    return true;
}

int main(void)
{
    size_t len;
    char *frame = malloc(FRAME_MAX);
    if (frame == NULL)
        return EXIT_FAILURE;
    while (read_frame(frame, &len)) {
        struct slice in = {frame, len};
        printf("{\"requests\":[");
        struct end end = put_requests(&in);
        printf("],\"end\":\"%s\",\"status\":%d,\"why\":\"%s\",\"rest\":%zu}\n", end.word,
               end.status, end.why, in.len);
    }
    free(frame);
    return ferror(stdout) || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
