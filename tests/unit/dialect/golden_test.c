/* Recorded answers of providers, each with what it must mean: tests/golden/README.md says how a
 * file is made. Each is read as a worker does: its head by the parser, its body by the watch. */
#include <dirent.h>

#include "check.h"
#include "dialect/anthropic.h"
#include "dialect/openai.h"
#include "dialect/watch.h"

enum { FILE_MAX = 16384, LINES_MAX = 200, PATH_BYTES = 512 };
static const uint64_t now_ms = 1795694400000; /* 2026-11-26 12:00 UTC, in every file */

static const char *const classes[] = {
#define X(name, word) [CLASS_##name] = (word),
    ANSWER_CLASS_TABLE(X)
#undef X
};
static const char *const scopes[] = {
#define X(name, word) [SCOPE_##name] = (word),
    ANSWER_SCOPE_TABLE(X)
#undef X
};
static const char *const for_requests[] = {
#define X(name, word) [REQUEST_##name] = (word),
    FOR_REQUEST_TABLE(X)
#undef X
};
static const char *const for_subscriptions[] = {
#define X(name, word) [SUBSCRIPTION_##name] = (word),
    FOR_SUBSCRIPTION_TABLE(X)
#undef X
};

/* What a dialect's folder is read with. */
static const struct reader {
    const char *folder;
    unsigned files_min;
    void (*read_signs)(const struct http1_request *request, const struct http1_response *response,
                       uint64_t wall_ms, struct answer_signs *signs);
    struct meaning (*meaning)(const struct answer_signs *signs, const struct error_words *said);
    const struct watch_words *words;
} readers[] = {
    {"anthropic", 120, anthropic_read_signs, anthropic_meaning, &anthropic_words},
    {"openai", 60, openai_read_signs, openai_meaning, &openai_words},
};

/* A file: what is expected, the request's line, the answer's head and body. */
struct golden {
    char text[FILE_MAX];
    char head[FILE_MAX + LINES_MAX]; /* its lines ended as HTTP wants it */
    struct slice request, class, scope, for_request, for_subscription, time, window;
    struct slice head_lines, body;
};

static struct slice read_file(const char *path, char *to)
{
    FILE *file = fopen(path, "rb");
    size_t len = file != NULL ? fread(to, 1, FILE_MAX, file) : 0;
    if (file != NULL)
        fclose(file);
    return (struct slice){to, len};
}

static void take_field(struct golden *golden, struct slice line)
{
    const struct {
        struct slice name;
        struct slice *value;
    } fields[] = {
        {SLICE("request"), &golden->request},
        {SLICE("class"), &golden->class},
        {SLICE("scope"), &golden->scope},
        {SLICE("for request"), &golden->for_request},
        {SLICE("for subscription"), &golden->for_subscription},
        {SLICE("time"), &golden->time},
        {SLICE("window"), &golden->window},
    };
    struct slice name, value = slice_trim(slice_cut(line, ':', &name));
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (slice_eq(name, fields[i].name))
            *fields[i].value = value;
}

/* The answer begins with "HTTP/"; its head ends with an empty line. */
static bool open_golden(struct golden *golden, const char *path)
{
    size_t used = 0;
    struct slice line, rest = read_file(path, golden->text);
    while (rest.len > 0 && !slice_starts(rest, SLICE("HTTP/"))) {
        rest = slice_cut(rest, '\n', &line);
        take_field(golden, line);
    }
    do {
        rest = slice_cut(rest, '\n', &line);
        memcpy(golden->head + used, line.at, line.len);
        memcpy(golden->head + used + line.len, "\r\n", 2);
        used += line.len + 2;
    } while (rest.len > 0 && line.len > 0);
    if (line.len > 0) { /* an answer that ends with its head */
        memcpy(golden->head + used, "\r\n", 2);
        used += 2;
    }
    golden->head_lines = (struct slice){golden->head, used};
    golden->body = rest;
    return used > 2 && golden->class.len > 0;
}

static struct meaning meaning_of(const struct reader *reader, const struct golden *golden,
                                 const struct http1_response *response)
{
    struct http1_request request = {0};
    struct answer_signs signs;
    request.path = slice_cut(golden->request, ' ', &request.method);
    reader->read_signs(&request, response, now_ms, &signs);
    const struct http1_header *type =
        http1_header(response->headers, response->header_count, SLICE("content-type"));
    bool is_sse = type != NULL && slice_starts(type->value, SLICE("text/event-stream"));
    struct watch *watch =
        watch_new(reader->words, is_sse ? WATCH_SSE : WATCH_JSON, CODING_IDENTITY);
    watch_feed(watch, golden->body);
    struct error_words words = watch_error(watch);
    bool is_error = response->status >= 400 || watch_said(watch) == SAID_ERROR;
    struct meaning meaning = reader->meaning(&signs, is_error ? &words : NULL);
    watch_free(watch);
    return meaning;
}

static bool is_time(const struct meaning *m, struct slice expected)
{
    char seconds[32], text[32];
    if (!m->has_time)
        return slice_eq(expected, SLICE("-"));
    if (expected.len >= sizeof(text))
        return false;
    memcpy(text, expected.at, expected.len);
    text[expected.len] = '\0';
    snprintf(seconds, sizeof(seconds), "%g", (double)m->time_ms / 1000);
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "%g", strtod(text, NULL));
    return expected.at[0] != '-' && strcmp(seconds, wanted) == 0;
}

static bool check_golden(const struct reader *reader, const char *path)
{
    static struct golden golden;
    struct http1_header headers[HTTP1_HEADERS_MAX];
    struct http1_response response;
    const char *why = "nothing expected, or no answer";
    memset(&golden, 0, sizeof(golden));
    if (!open_golden(&golden, path) ||
        !http1_parse_response(golden.head_lines, false, headers, &response, &why)) {
        fprintf(stderr, "    %s: %s\n", path, why);
        return false;
    }
    struct meaning m = meaning_of(reader, &golden, &response);
    if (slice_eq(golden.class, slice_of(classes[m.class])) &&
        slice_eq(golden.scope, slice_of(scopes[m.scope])) &&
        slice_eq(golden.for_request, slice_of(for_requests[m.request])) &&
        slice_eq(golden.for_subscription, slice_of(for_subscriptions[m.subscription])) &&
        slice_eq(golden.window, slice_of(m.window)) && is_time(&m, golden.time) &&
        m.reason != NULL && m.reason[0] != '\0')
        return true;
    fprintf(stderr,
            "    %s: class %s, scope %s, for request %s, for subscription %s, %s%g s, window '%s': "
            "%s\n",
            path, classes[m.class], scopes[m.scope], for_requests[m.request],
            for_subscriptions[m.subscription], m.has_time ? "" : "no time, ",
            (double)m.time_ms / 1000, m.window, m.reason);
    return false;
}

static void check_folder(const struct reader *reader)
{
    char folder[PATH_BYTES / 2];
    snprintf(folder, sizeof(folder), "%s/golden/upstream/%s", TESTS_FOLDER, reader->folder);
    DIR *dir = opendir(folder);
    unsigned count = 0;
    PROMISE("every recorded answer means what its file says")
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char path[PATH_BYTES];
        if (strstr(entry->d_name, ".http") == NULL)
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        CHECK(check_golden(reader, path));
        count++;
    }
    PROMISE("there are many")
    CHECK(count >= reader->files_min);
    if (dir != NULL)
        closedir(dir);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
        check_folder(&readers[i]);
    return check_done();
}
