/* state_fixture.h - what the tests of state/ share: a server, a state on it, leases that count what
 * happens to them, and a clock that can be put forward, as a process sees it that was stopped. */
#pragma once
/* The clock of this program: the real one and what has been skipped. It replaces base/clock.c. */
#define clock_ns real_clock_ns
#define clock_ms real_clock_ms
/* NOLINTNEXTLINE(bugprone-suspicious-include): to replace it, as said */
#include "base/clock.c"
#undef clock_ns
#undef clock_ms

static uint64_t skipped_ms;

uint64_t clock_ms(void);
uint64_t clock_ns(void);

uint64_t clock_ms(void)
{
    return real_clock_ms() + skipped_ms;
}

uint64_t clock_ns(void)
{
    return real_clock_ns() + skipped_ms * 1000000U;
}

#include "base/log.h"
#include "base/metrics.h"
#include "config/config.h"
#include "redis_server.h"
#include "redis_url_of.h"
#include "run_until.h"
#include "state/functions.h"
#include "state/lease.h"
#include "state/pool.h"
#include "state/snapshot.h"
#include "state/state.h"

#define BASE "weir:{main}"

static const char holders_key[] = BASE ":holders";
static const char sweeps_key[] = BASE ":sweeps";
static const char boots_key[] = BASE ":boots";
static const char held_key[] = BASE ":held:n1.00000001.3";

static struct loop *loop;
static struct redis_server server;
static struct state *state;
static struct metrics metrics;
static struct node_identity node = {.id = "n1", .boot = "00000001"};
static unsigned ups, downs;

static inline void on_change(bool is_up, void *arg)
{
    (void)arg;
    if (is_up)
        ups++;
    else
        downs++;
}

static inline void open_state(void)
{
    struct redis_url url = redis_url_of(server.url);
    struct state_options options = {.redis_url = &url,
                                    .prefix = SLICE("weir"),
                                    .pool = SLICE("main"),
                                    .node = &node,
                                    .worker = 3,
                                    .metrics = &metrics,
                                    .on_change = on_change};
    ups = downs = 0;
    memset(&metrics, 0, sizeof(metrics));
    state = state_new(loop, &options);
    redis_url_fini(&url);
    RUN_UNTIL(loop, state_is_up(state));
}

/* ---- subscriptions ---- */

struct done {
    unsigned fired;
    enum err err;
    char message[256];
};

static inline void on_done(enum err err, struct slice message, void *arg)
{
    struct done *done = arg;
    done->fired++;
    done->err = err;
    snprintf(done->message, sizeof(done->message), "%.*s", SLICE_ARG(message));
}

/* Subscriptions s0, s1, ... with `max` slots each; their accounts are called the same. */
static inline void declare(size_t count, uint32_t max)
{
    static char names[8][24];
    struct subscription subscriptions[8] = {0};
    struct config config = {.subscriptions = subscriptions,
                            .subscription_count = count,
                            .routing.session_duration_ms = 18000000};
    const struct declaration_source source = {.edited_ms = 1};
    struct done done = {0};
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "s%zu", i);
        subscriptions[i] = (struct subscription){
            .name = names[i], .max_concurrent = max, .priority = 1, .tier = 1, .is_enabled = true};
        snprintf(subscriptions[i].account, sizeof(subscriptions[i].account), "%s", names[i]);
    }
    state_declare(state, &config, &source, on_done, &done);
    CHECK(done.fired == 0);
    RUN_UNTIL(loop, done.fired > 0);
    CHECK(done.fired == 1 && done.err == OK);
    if (done.err != OK)
        fprintf(stderr, "declare: %s\n", done.message);
}

/* ---- leases ---- */

struct holder {
    struct lease lease;
    struct admission *admission;
    unsigned fired, lost;
    enum err err;
    char subscription[65];
    char reason[32], why[64]; /* of a refusal: what is limited */
    uint64_t retry_ms;
    struct refusal refusal; /* its numbers */
};

static inline void on_lost(struct lease *lease, void *arg)
{
    struct holder *holder = arg;
    CHECK(lease == &holder->lease && lease->is_held);
    holder->lost++;
}

static inline void on_admitted(enum err err, const struct grant *grant,
                               const struct refusal *refusal, void *arg)
{
    struct holder *holder = arg;
    holder->fired++;
    holder->err = err;
    CHECK((grant != NULL) == (err == OK) && (refusal != NULL) == (err == ERR_REFUSED));
    if (grant != NULL)
        snprintf(holder->subscription, sizeof(holder->subscription), "%.*s",
                 SLICE_ARG(grant->account));
    if (refusal != NULL) {
        snprintf(holder->reason, sizeof(holder->reason), "%.*s", SLICE_ARG(refusal->reason));
        snprintf(holder->why, sizeof(holder->why), "%.*s", SLICE_ARG(refusal->limited_why));
        holder->retry_ms = refusal->retry_ms;
        holder->refusal = *refusal;
    }
}

static inline void ask(struct holder *holder)
{
    struct admit_request request = {.client = SLICE("bot"), .model = SLICE("claude")};
    *holder = (struct holder){.lease = {.on_lost = on_lost, .arg = holder}};
    holder->admission = state_admit(state, &holder->lease, &request, on_admitted, holder);
    CHECK(holder->fired == 0);
}

static inline void admit(struct holder *holder, enum err expected)
{
    ask(holder);
    RUN_UNTIL(loop, holder->fired > 0);
    CHECK(holder->fired == 1 && holder->err == expected);
    CHECK(holder->lease.is_held == (expected == OK));
}

static inline void settle(struct holder *holder)
{
    struct settlement settlement = {
        .status = 200, .outcome = OUTCOME_OK, .input = 10, .output = 1, .duration_ms = 5};
    state_settle(state, &holder->lease, &settlement);
    CHECK(!holder->lease.is_held);
}

static inline void settle_all(struct holder *holders, size_t count)
{
    for (size_t i = 0; i < count; i++)
        settle(&holders[i]);
    RUN_UNTIL(loop, state_outbox_count(state) == 0);
}

/* ---- the truth, asked directly ---- */

/* A number of the pool's or a book's section of the snapshot. */
static inline long long seen_in_redis(const char *section_name, const char *field)
{
    char name[64];
    snprintf(name, sizeof(name), "weir_snapshot_%s", functions_version);
    redisReply *reply = SERVER_ASK(&server, "FCALL", name, "1", BASE);
    long long number = -1;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        redisReply *section = reply->element[i];
        redisReply *pairs = section->element[1];
        if (strcmp(section->element[0]->str, section_name) != 0)
            continue;
        for (size_t p = 0; p + 1 < pairs->elements; p += 2)
            if (strcmp(pairs->element[p]->str, field) == 0)
                number = strtoll(pairs->element[p + 1]->str, NULL, 10);
    }
    freeReplyObject(reply);
    return number;
}

static inline long long leases_in_redis(void)
{
    return seen_in_redis("pool", "leases");
}

static inline long long booked_requests(void)
{
    return seen_in_redis("total", "requests");
}

static inline long long leases_of_ours(void)
{
    return SERVER_NUMBER(&server, "HLEN", held_key) -
           SERVER_NUMBER(&server, "HEXISTS", held_key, "@");
}

static inline void nap_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* As if the lease time of this node's holder had passed: all it has is swept, by another node. */
static inline void sweep_out(void)
{
    char name[64];
    snprintf(name, sizeof(name), "weir_beat_%s", functions_version);
    SERVER_DO(&server, "ZADD", holders_key, "XX", "1", "n1.00000001.3");
    for (int i = 0; i < 100 && leases_of_ours() > 0; i++) {
        SERVER_DO(&server, "HDEL", sweeps_key, "grace_until_ms");
        SERVER_DO(&server, "FCALL", name, "1", BASE, "n2", "00000002", "1", "d", "0", "50", "1",
                  "0", "0");
        nap_ms(100); /* the time that a sweep after a pause leaves to the living */
    }
    CHECK(leases_of_ours() == 0);
}

static inline void other_node(const char *verb, const char *third, const char *fourth)
{
    char name[64], epoch[32];
    snprintf(name, sizeof(name), "weir_%s_%s", verb, functions_version);
    snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)state_epoch(state));
    redisReply *reply = strcmp(verb, "admit") == 0
                            ? SERVER_ASK(&server, "FCALL", name, "1", BASE, "n2.00000002.0", "1",
                                         epoch, third, "other", "m", "15000", "", "", "0", "0", "1")
                            : SERVER_ASK(&server, "FCALL", name, "1", BASE, "n2.00000002.0", third,
                                         "m", "200", "unused", "none", "0", "given", "", "", "0",
                                         "0", "0", "0", "0", "0", "0", "", "0");
    CHECK(reply->type == REDIS_REPLY_ARRAY && strcmp(reply->element[0]->str, fourth) == 0);
    freeReplyObject(reply);
}

/* Another node, which knows s0, takes a slot, or gives it back. */
static inline void take_slot(const char *seq)
{
    char name[64];
    snprintf(name, sizeof(name), "weir_declare_%s", functions_version);
    SERVER_DO(&server, "FCALL", name, "1", BASE, "n2", "00000002", "0", "0", "headroom", "18000000",
              "s0", "s0", "1", "1", "1", "0", "1", "");
    other_node("admit", seq, "granted");
}

static inline void return_slot(const char *seq)
{
    other_node("settle", seq, "settled");
}

static inline void begin(const char *const *options)
{
    loop = loop_new();
    server_start(&server, options);
    open_state();
}

static inline void end(void)
{
    state_free(state);
    state = NULL;
    server_stop(&server);
    loop_free(loop);
}
