#include "reply.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void reply_reset(struct reply *reply)
{
    free(reply->head);
    *reply = (struct reply){.is_counting_events = reply->is_counting_events,
                            .delay = reply->delay,
                            .is_keep_alive = true};
}

void reply_fini(struct reply *reply)
{
    free(reply->head);
    reply->head = NULL;
}

bool reply_is_whole_at_close(const struct reply *reply)
{
    return reply->stage == REPLY_DONE || reply->stage == REPLY_UNTIL_CLOSE;
}

static bool has_name(const char *line, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    return len > name_len && strncasecmp(line, name, name_len) == 0;
}

static void read_head_line(struct reply *reply, const char *line, size_t len, bool *is_chunked)
{
    static const char LENGTH[] = "content-length:";
    static const char CODING[] = "transfer-encoding: chunked";
    static const char CLOSE[] = "connection: close";
    if (has_name(line, len, LENGTH)) {
        reply->left = strtoull(line + sizeof(LENGTH) - 1, NULL, 10);
        reply->stage = reply->left == 0 ? REPLY_DONE : REPLY_SIZED;
    } else if (has_name(line, len, CODING)) {
        *is_chunked = true;
    } else if (has_name(line, len, CLOSE)) {
        reply->is_keep_alive = false;
    }
}

/* The head is complete and ends with an empty line. */
static void read_head(struct reply *reply, const char *head, size_t len)
{
    bool is_chunked = false;
    if (len < 16 || memcmp(head, "HTTP/1.1 ", 9) != 0) {
        reply->stage = REPLY_BAD;
        return;
    }
    reply->status = (int)strtol(head + 9, NULL, 10);
    reply->stage = REPLY_UNTIL_CLOSE;
    if (reply->status / 100 == 1) { /* an interim answer: the real one follows */
        reply->stage = REPLY_HEAD;
        return;
    }
    for (const char *line = head; line < head + len;) {
        const char *feed = memchr(line, '\n', (size_t)(head + len - line));
        read_head_line(reply, line, (size_t)(feed - line), &is_chunked);
        line = feed + 1;
    }
    if (is_chunked)
        reply->stage = REPLY_CHUNK_LINE;
    else if (reply->status == 204 || reply->status == 304)
        reply->stage = REPLY_DONE;
}

static size_t feed_head(struct reply *reply, const char *at, size_t len)
{
    if (reply->head_len == 0) { /* the usual case: the whole head in one piece, not copied */
        const char *end = memmem(at, len, "\r\n\r\n", 4);
        if (end != NULL) {
            size_t used = (size_t)(end - at) + 4;
            read_head(reply, at, used);
            return used;
        }
        reply->head = malloc(REPLY_HEAD_BYTES_MAX);
        if (reply->head == NULL)
            abort();
    }
    for (size_t i = 0; i < len; i++) {
        if (reply->head_len == REPLY_HEAD_BYTES_MAX) {
            reply->stage = REPLY_BAD;
            return i;
        }
        reply->head[reply->head_len++] = at[i];
        if (at[i] == '\n' && reply->head_len >= 4 &&
            memcmp(reply->head + reply->head_len - 4, "\r\n\r\n", 4) == 0) {
            read_head(reply, reply->head, reply->head_len);
            free(reply->head);
            reply->head = NULL;
            reply->head_len = 0;
            return i + 1;
        }
    }
    return len;
}

static void note_stamps(struct reply *reply, const char *at, size_t len, int64_t now_us)
{
    static const char STAMP[] = "\"sent_us\":";
    const char *end = at + len;
    const char *stamp = at;
    while ((stamp = memmem(stamp, (size_t)(end - stamp), STAMP, sizeof(STAMP) - 1)) != NULL) {
        int64_t sent_us = 0;
        stamp += sizeof(STAMP) - 1;
        const char *digit = stamp;
        while (digit < end && *digit >= '0' && *digit <= '9')
            sent_us = sent_us * 10 + (*digit++ - '0');
        if (digit < end && sent_us > 0) /* else cut by the end of the piece */
            histogram_add(reply->delay, now_us - sent_us);
    }
}

/* An event ends with an empty line. */
static void count_events(struct reply *reply, const char *at, size_t len)
{
    const char *end = at + len;
    while (at < end) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        if (feed == NULL) {
            reply->is_after_newline = false;
            return;
        }
        if (feed == at && reply->is_after_newline) {
            reply->events++;
            reply->is_after_newline = false;
        } else {
            reply->is_after_newline = true;
        }
        at = feed + 1;
    }
}

static size_t feed_body(struct reply *reply, const char *at, size_t len, int64_t now_us)
{
    bool is_open = reply->stage == REPLY_UNTIL_CLOSE;
    if (!is_open && len > reply->left)
        len = (size_t)reply->left;
    reply->body_bytes += len;
    if (reply->is_counting_events)
        count_events(reply, at, len);
    if (reply->is_counting_events && reply->delay != NULL)
        note_stamps(reply, at, len, now_us);
    if (is_open)
        return len;
    reply->left -= len;
    if (reply->left == 0)
        reply->stage = reply->stage == REPLY_CHUNK ? REPLY_CHUNK_END : REPLY_DONE;
    return len;
}

static void read_line(struct reply *reply)
{
    char *end = NULL;
    switch (reply->stage) {
    case REPLY_CHUNK_LINE:
        reply->left = strtoull(reply->line, &end, 16);
        if (end == reply->line)
            reply->stage = REPLY_BAD;
        else
            reply->stage = reply->left > 0 ? REPLY_CHUNK : REPLY_TRAILER;
        break;
    case REPLY_CHUNK_END:
        reply->stage = reply->line[0] == '\r' ? REPLY_CHUNK_LINE : REPLY_BAD;
        break;
    case REPLY_TRAILER:
        if (reply->line[0] == '\r')
            reply->stage = REPLY_DONE;
        break;
    case REPLY_HEAD:
    case REPLY_SIZED:
    case REPLY_CHUNK:
    case REPLY_UNTIL_CLOSE:
    case REPLY_DONE:
    case REPLY_BAD:
        break;
    }
    reply->line_len = 0;
}

static size_t feed_line(struct reply *reply, const char *at, size_t len)
{
    const char *feed = memchr(at, '\n', len);
    size_t used = feed == NULL ? len : (size_t)(feed - at) + 1;
    if (reply->line_len + used >= sizeof(reply->line)) {
        reply->stage = REPLY_BAD;
        return used;
    }
    memcpy(reply->line + reply->line_len, at, used);
    reply->line_len += used;
    reply->line[reply->line_len] = '\0';
    if (feed != NULL)
        read_line(reply);
    return used;
}

size_t reply_feed(struct reply *reply, const char *at, size_t len, int64_t now_us)
{
    size_t used = 0;
    while (used < len) {
        const char *rest = at + used;
        size_t rest_len = len - used;
        switch (reply->stage) {
        case REPLY_HEAD:
            used += feed_head(reply, rest, rest_len);
            break;
        case REPLY_SIZED:
        case REPLY_CHUNK:
        case REPLY_UNTIL_CLOSE:
            used += feed_body(reply, rest, rest_len, now_us);
            break;
        case REPLY_CHUNK_LINE:
        case REPLY_CHUNK_END:
        case REPLY_TRAILER:
            used += feed_line(reply, rest, rest_len);
            break;
        case REPLY_DONE:
        case REPLY_BAD:
            return used;
        }
    }
    return used;
}
