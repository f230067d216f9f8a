/* Files are read whole, within limits, and never waited for. When the JSON is none, the parser's
 * words are taken, but nothing it quotes: that may be a key. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config_priv.h"

enum { REASON_MAX = 128 };

static const char expected_file[] = "a file that can be read";
static const char expected_rights[] =
    "a file that user %u, who runs this, can read: chown %u, or chmod o+r; and o+x for its folders";

static const char *reason(int error, char out[REASON_MAX])
{
    return strerror_r(error, out, REASON_MAX); /* the GNU one */
}

/* O_NONBLOCK: a FIFO without a writer must not hold us up. */
static int open_file(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static bool read_bytes(int fd, struct buf *content, bool *is_too_big)
{
    for (;;) {
        char *to;
        *is_too_big = !buf_reserve(content, 4096, &to);
        if (*is_too_big)
            return false;
        ssize_t n = read(fd, to, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        buf_commit(content, (size_t)n);
    }
}

static enum config_file_result fail_file(struct config_reader *r, const char *path, int error)
{
    char text[REASON_MAX], rights[sizeof(expected_rights) + 24];
    unsigned user = (unsigned)geteuid();
    /* In a container nobody knows who that is. */
    snprintf(rights, sizeof(rights), expected_rights, user, user);
    (void)config_fail(r, error == EACCES ? rights : expected_file, "cannot read %s: %s", path,
                      reason(error, text));
    return error == ENOENT || error == ENOTDIR ? CONFIG_FILE_ABSENT : CONFIG_FILE_FAILED;
}

enum config_file_result config_file_read(struct config_reader *r, const char *path,
                                         struct buf *content, bool *is_public)
{
    enum config_file_result result = CONFIG_FILE_FAILED;
    struct stat st;
    bool is_too_big = false;
    int fd = open_file(path);
    if (fd < 0)
        return fail_file(r, path, errno);
    bool is_known = fstat(fd, &st) == 0;
    if (is_known && !S_ISREG(st.st_mode))
        (void)config_fail(r, expected_file, "%s is not a regular file", path);
    else if (is_known && read_bytes(fd, content, &is_too_big))
        result = CONFIG_FILE_READ;
    else if (is_too_big)
        (void)config_fail(r, "a smaller one", "%s is larger than %zu KiB", path,
                          content->max / 1024);
    else
        result = fail_file(r, path, errno);
    if (is_public != NULL)
        *is_public = result == CONFIG_FILE_READ && (st.st_mode & S_IROTH) != 0;
    close(fd);
    return result;
}

bool config_file_check(struct config_reader *r, const char *path)
{
    struct stat st;
    int fd = open_file(path);
    if (fd < 0) {
        (void)fail_file(r, path, errno);
        return false;
    }
    bool is_regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    close(fd);
    return is_regular || config_fail(r, expected_file, "%s is not a regular file", path);
}

static size_t offset_of_line(struct slice text, int line)
{
    size_t at = 0;
    for (int i = 1; i < line && at < text.len; at++)
        if (text.at[at] == '\n')
            i++;
    return at;
}

/* The first byte behind blanks and a comma at the place the parser stopped, and the one that
 * stands before it: enough to recognise the usual slips. */
static const char *hint_of(struct slice text, const json_error_t *e)
{
    size_t end = (size_t)(e->position < 0 ? 0 : e->position);
    if (end > text.len)
        end = text.len;
    size_t start = end > 0 ? end - 1 : 0;
    size_t line = offset_of_line(text, e->line);
    if (start < text.len && (text.at[start] == '}' || text.at[start] == ']')) {
        while (start > 0 && strchr(" \t\r\n", text.at[start - 1]) != NULL)
            start--;
        return start > 0 && text.at[start - 1] == ',' ? "; a comma too many before it?" : "";
    }
    if (memchr(text.at + line, '\'', end > line ? end - line : 0) != NULL)
        return "; strings stand in \"double quotes\"";
    if (start < text.len && (text.at[start] == '/' || text.at[start] == '#'))
        return "; JSON has no comments";
    if (start < text.len && text.at[start] == '"')
        return "; is a comma missing before it?";
    return "";
}

/* The parser quotes what it stumbled on, which may be a key; so only its words before that are
 * used, except for a duplicate field: that is a name. */
static json_t *fail_syntax(struct config_reader *r, struct slice text, json_error_t *e)
{
    static const char expected[] = "a JSON object: { ... }";
    const char *near = strstr(e->text, " near ");
    struct slice name = SLICE_NONE;
    if (json_error_code(e) == json_error_duplicate_key && near != NULL)
        name = slice_from(slice_of(near), sizeof(" near '") - 1);
    size_t len = near != NULL ? (size_t)(near - e->text) : strlen(e->text);
    r->line = (unsigned)e->line;
    r->column = (unsigned)e->column;
    if (name.len > 1)
        (void)config_fail(r, "one of them", "the field %.*s is given twice", (int)name.len - 1,
                          name.at);
    else
        (void)config_fail(r, expected, "not valid JSON (%.*s%s)", (int)len, e->text,
                          hint_of(text, e));
    return NULL;
}

json_t *config_json_parse(struct config_reader *r, struct slice text)
{
    json_error_t e;
    if (slice_starts(text, SLICE("\xef\xbb\xbf"))) /* a byte order mark, as some editors leave */
        text = slice_from(text, 3);
    if (slice_trim(text).len == 0) {
        (void)config_fail(r, "a JSON object: { ... }", "is empty");
        return NULL;
    }
    json_t *json = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, &e);
    if (json == NULL)
        return config_fail_content(r, text) ? fail_syntax(r, text, &e) : NULL;
    if (json_is_object(json))
        return json;
    (void)config_fail(r, "an object: { ... }", "found a list");
    json_decref(json);
    return NULL;
}
