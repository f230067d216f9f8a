/* What follows from a notice: this node's beat comes at once, not with the next second, and tells
 * what holds now. A little later for each node, so that not all ask in one instant; once for a
 * burst; and not at all if a beat has told it meanwhile. */
#include "state/notice.h"

#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/metrics.h"
#include "run/node_priv.h"

enum {
    SPREAD_MS = 150,
    APART_MS = 250 /* between two beats that notices have brought on */
};

static bool is_news(uint64_t told, uint64_t known)
{
    return told != 0 && told != known;
}

static void on_soon(void *arg)
{
    struct node *n = arg;
    bool is_any_news = is_news(n->notices.told[NOTICE_ROSTER], n->pulse.generation) ||
                       is_news(n->notices.told[NOTICE_EPOCH], n->pulse.epoch) ||
                       is_news(n->notices.told[NOTICE_RELOAD], n->reloads.heard);
    memset(n->notices.told, 0, sizeof(n->notices.told));
    if (!is_any_news)
        return;
    n->notices.beaten_ms = clock_ms();
    pulse_now(n);
}

static uint64_t wait_ms(const struct node *n)
{
    uint64_t spread_ms = hash_bytes(0, slice_of(n->identity.boot)) % SPREAD_MS;
    uint64_t since_ms = clock_ms() - n->notices.beaten_ms;
    return since_ms + spread_ms < APART_MS ? APART_MS - since_ms : spread_ms;
}

/* Those that wait hear of it at once: a slot is theirs. */
static void wake(struct node *n, const struct notice *notice)
{
    if (notice->worker < n->shared.worker_count && n->workers[notice->worker] != NULL)
        worker_wake(n->workers[notice->worker], notice->number);
}

/* What was published meanwhile is lost. */
static void on_channel_up(void *arg)
{
    struct node *n = arg;
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        if (n->workers[i] != NULL)
            worker_wake(n->workers[i], 0);
}

static void on_notice(const struct notice *notice, void *arg)
{
    struct node *n = arg;
    if (notice->kind == NOTICE_WAKE) {
        wake(n, notice);
        return;
    }
    n->notices.told[notice->kind] = notice->number;
    if (!deadline_is_set(&n->notices.soon))
        deadline_set(n->loop, &n->notices.soon, wait_ms(n));
}

void notice_start(struct node *n)
{
    const struct notice_options options = {
        .redis_url = n->shared.redis_url,
        .prefix = slice_of(n->config->redis.prefix),
        .pool = slice_of(n->config->redis.pool),
        .metrics = &n->shared.metrics[n->shared.worker_count],
        .boot = slice_of(n->identity.boot),
        .on_notice = on_notice,
        .on_up = on_channel_up,
        .arg = n,
    };
    deadline_init(&n->notices.soon, on_soon, n);
    n->notices.channel = notice_channel_new(n->loop, &options);
}

void notice_stop(struct node *n)
{
    notice_channel_free(n->notices.channel);
    deadline_clear(&n->notices.soon);
}
