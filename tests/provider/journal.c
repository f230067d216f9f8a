#include "journal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json_walk.h"

TAILQ_HEAD(record_list, record);

struct journal {
    struct record_list records;
    size_t count;
    size_t bytes;
    uint64_t seq;
};

static const char *const STATE_NAMES[] = {"receiving", "running", "complete", "client_closed",
                                          "faulted"};

struct journal *journal_new(void)
{
    struct journal *journal = mem_zero(sizeof(*journal));
    TAILQ_INIT(&journal->records);
    return journal;
}

void record_unref(struct record *record)
{
    if (record == NULL || --record->refs > 0)
        return;
    free(record->credential);
    free(record->sni);
    free((void *)(uintptr_t)record->head.at);
    free(record);
}

static void forget_first(struct journal *journal)
{
    struct record *first = TAILQ_FIRST(&journal->records);
    TAILQ_REMOVE(&journal->records, first, link);
    journal->count--;
    journal->bytes -= first->head.len;
    record_unref(first);
}

void journal_reset(struct journal *journal)
{
    while (journal->count > 0)
        forget_first(journal);
}

void journal_free(struct journal *journal)
{
    journal_reset(journal);
    free(journal);
}

struct record *journal_add(struct journal *journal, const struct request *request,
                           const char *credential)
{
    struct record *record = mem_zero(sizeof(*record));
    struct slice head = buf_slice(&request->head);
    record->refs = 2;
    record->seq = ++journal->seq;
    record->credential = slice_copy(slice_of(credential));
    record->head = (struct slice){slice_copy(head), head.len};
    record->method_len = request->method.len;
    record->target_len = request->target.len;
    record->started_ms = clock_ms();
    TAILQ_INSERT_TAIL(&journal->records, record, link);
    journal->count++;
    journal->bytes += head.len;
    while (journal->count > JOURNAL_RECORDS_MAX || journal->bytes > JOURNAL_BYTES_MAX)
        forget_first(journal);
    return record;
}

uint64_t journal_last_seq(const struct journal *journal)
{
    return journal->seq;
}

static void print_text(struct buf *out, const char *name, struct slice text)
{
    buf_addf(out, "\"%s\":\"", name);
    json_escape(out, text);
    buf_add_text(out, "\",");
}

/* The head was accepted before, so every line is "name: value CR LF" up to the empty one. */
static void print_headers(struct buf *out, struct slice head)
{
    const char *end = head.at + head.len - 2;
    const char *line = (const char *)memchr(head.at, '\n', head.len) + 1;
    buf_add_text(out, "\"headers\":[");
    for (bool is_first = true; line < end; is_first = false) {
        const char *colon = memchr(line, ':', (size_t)(end - line));
        const char *past = memchr(line, '\r', (size_t)(end - line));
        const char *value = colon + 1;
        const char *last = past;
        while (value < last && (*value == ' ' || *value == '\t'))
            value++;
        while (last > value && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        buf_add_text(out, is_first ? "[\"" : ",[\"");
        json_escape(out, (struct slice){line, (size_t)(colon - line)});
        buf_add_text(out, "\",\"");
        json_escape(out, (struct slice){value, (size_t)(last - value)});
        buf_add_text(out, "\"]");
        line = past + 2;
    }
    buf_add_text(out, "],");
}

static void print_record(struct buf *out, const struct record *record)
{
    struct slice head = record->head;
    buf_addf(out, "{\"seq\":%" PRIu64 ",\"connection\":%" PRIu64 ",\"state\":\"%s\",", record->seq,
             record->connection, STATE_NAMES[record->state]);
    print_text(out, "credential", slice_of(record->credential));
    print_text(out, "method", (struct slice){head.at, record->method_len});
    print_text(out, "target", (struct slice){head.at + record->method_len + 1, record->target_len});
    print_headers(out, head);
    buf_addf(out, "\"body_bytes\":%" PRIu64 ",\"body_sha256\":", record->body_bytes);
    if (record->is_body_whole) {
        buf_add_text(out, "\"");
        for (size_t i = 0; i < sizeof(record->sha256); i++)
            buf_addf(out, "%02x", record->sha256[i]);
        buf_add_text(out, "\",");
    } else {
        buf_add_text(out, "null,");
    }
    if (record->sni != NULL) {
        buf_addf(out, "\"tls\":{\"resumed\":%s,", record->is_resumed ? "true" : "false");
        print_text(out, "sni", slice_of(record->sni));
        out->len--;
        buf_add_text(out, "},");
    } else {
        buf_add_text(out, "\"tls\":null,");
    }
    buf_addf(out,
             "\"status\":%d,\"bytes_sent\":%" PRIu64 ",\"started_ms\":%" PRId64
             ",\"answered_ms\":%" PRId64 ",\"ended_ms\":%" PRId64 "}",
             record->status, record->sent_bytes, record->started_ms, record->answered_ms,
             record->ended_ms);
}

void journal_print(const struct journal *journal, struct buf *out, uint64_t since, size_t limit,
                   const char *credential)
{
    const struct record *record;
    bool is_first = true;
    buf_add_text(out, "[");
    TAILQ_FOREACH(record, &journal->records, link)
    {
        if (limit == 0)
            break;
        if (record->seq <= since)
            continue;
        if (credential != NULL && strcmp(credential, record->credential) != 0)
            continue;
        if (!is_first)
            buf_add_text(out, ",\n");
        print_record(out, record);
        is_first = false;
        limit--;
    }
    buf_add_text(out, "]");
}
