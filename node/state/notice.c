/* A message is judged before anything follows from it: short, plain text, a word for its kind. */
#include "state/notice.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "net/redis/link.h"
#include "state/state_priv.h"

struct notice_channel {
    struct redis *redis;
    struct metrics *metrics;
    void (*on_notice)(const struct notice *notice, void *arg);
    void (*on_up)(void *arg);
    void *arg;
};

/* ---- a message ---- */

static const struct {
    const char *word;
    const char *field;
} kinds[] = {
#define X(id, word, field) [NOTICE_##id] = {word, field},
    NOTICE_TABLE(X)
#undef X
};

static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < ' ' || text.at[i] > '~')
            return false;
    return text.len > 0 && text.len <= NOTICE_BYTES_MAX;
}

static bool is_word(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!(text.at[i] >= 'a' && text.at[i] <= 'z') && text.at[i] != '_')
            return false;
    return text.len > 0;
}

static bool read_field(struct slice fields, struct slice name, uint64_t *number)
{
    while (fields.len > 0) {
        struct slice field, key;
        fields = slice_cut(fields, ' ', &field);
        struct slice value = slice_cut(field, '=', &key);
        if (slice_eq(key, name))
            return slice_number(value, UINT64_MAX, number);
    }
    return false;
}

enum notice_result notice_read(struct slice text, struct notice *notice)
{
    struct slice word;
    if (!is_plain(text))
        return NOTICE_BAD;
    struct slice fields = slice_cut(text, ' ', &word);
    if (!is_word(word))
        return NOTICE_BAD;
    for (unsigned kind = 0; kind < NOTICE_KINDS; kind++) {
        if (!slice_eq(word, slice_of(kinds[kind].word)))
            continue;
        *notice = (struct notice){.kind = (enum notice_kind)kind};
        (void)read_field(fields, SLICE("worker"), &notice->worker);
        return read_field(fields, slice_of(kinds[kind].field), &notice->number) ? NOTICE_TAKEN
                                                                                : NOTICE_BAD;
    }
    return NOTICE_UNKNOWN;
}

/* ---- the channel ---- */

static void on_message(struct slice text, void *arg)
{
    static const enum counter counters[] = {[NOTICE_TAKEN] = COUNT_NOTICES_TAKEN,
                                            [NOTICE_UNKNOWN] = COUNT_NOTICES_UNKNOWN,
                                            [NOTICE_BAD] = COUNT_NOTICES_BAD};
    struct notice_channel *channel = arg;
    struct notice notice = {0};
    enum notice_result result = notice_read(text, &notice);
    metrics_add(channel->metrics, counters[result], 1);
    if (result == NOTICE_TAKEN)
        channel->on_notice(&notice, channel->arg);
}

static void on_up(void *arg)
{
    const struct notice_channel *channel = arg;
    metrics_set(channel->metrics, GAUGE_NOTICE_CHANNEL_UP, 1);
    if (channel->on_up != NULL)
        channel->on_up(channel->arg);
}

static void on_down(void *arg)
{
    const struct notice_channel *channel = arg;
    metrics_set(channel->metrics, GAUGE_NOTICE_CHANNEL_UP, 0);
}

struct notice_channel *notice_channel_new(struct loop *loop, const struct notice_options *options)
{
    enum { CHANNEL_MAX = 2 * (POOL_KEY_MAX + 8) + NAME_MAX_BYTES };
    char key[POOL_KEY_MAX], name[CHANNEL_MAX];
    struct notice_channel *channel = mem_new(sizeof(*channel));
    *channel = (struct notice_channel){.metrics = options->metrics,
                                       .on_notice = options->on_notice,
                                       .on_up = options->on_up,
                                       .arg = options->arg};
    state_pool_key(options->prefix, options->pool, key);
    if (options->boot.len > 0)
        snprintf(name, sizeof(name), "%s:notice %s:wake:%.*s", key, key, SLICE_ARG(options->boot));
    else
        snprintf(name, sizeof(name), "%s:notice", key);
    struct redis_events events = {.on_up = on_up,
                                  .on_down = on_down,
                                  .channel = name,
                                  .on_message = on_message,
                                  .arg = channel};
    channel->redis = redis_new(loop, options->redis_url, &events, NULL);
    return channel;
}

void notice_channel_free(struct notice_channel *channel)
{
    if (channel == NULL)
        return;
    redis_free(channel->redis);
    free(channel);
}
