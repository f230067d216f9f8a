/* What finished requests leave is given to Redis some at a time; while it is away it waits, up to a
 * ceiling, and what is lost is counted. Nothing else waits for it. */
#include "state/history.h"

#include "base/log.h"
#include "state/fixture.h"

#define PART BASE ":history:1"

static struct {
    unsigned fired;
    enum err err;
    bool is_found;
    uint64_t count;
    char lines[64];
} answer;

static void on_recalled(enum err err, const struct recalled *r, void *arg)
{
    (void)arg;
    answer.fired++;
    answer.err = err;
    answer.is_found = r->is_found;
    answer.count = r->count;
    snprintf(answer.lines, sizeof(answer.lines), "%.*s", SLICE_ARG(r->lines));
}

static void recall(const char *id)
{
    unsigned before = answer.fired;
    state_recall(state, slice_of(id), on_recalled, NULL);
    RUN_UNTIL(loop, answer.fired > before);
}

static void give_lines(unsigned number, struct slice lines)
{
    char id[32], other[32];
    snprintf(id, sizeof(id), "weir_%u", number);
    snprintf(other, sizeof(other), "req_%u", number);
    const struct finished_request request = {slice_of(id), slice_of(other), lines, false};
    state_remember(state, &request, 10000);
}

static void give(unsigned number)
{
    give_lines(number, SLICE("{\"event\":\"it ended\"}"));
}

static long long kept(void)
{
    redisReply *reply = SERVER_ASK(&server, "HGET", PART, "#count");
    long long count = reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : 0;
    freeReplyObject(reply);
    return count;
}

static uint64_t lost(enum counter why)
{
    return metrics_counter(&metrics, 1, why);
}

static void found_by_each_id(void)
{
    for (unsigned i = 0; i < 3; i++)
        give(i);
    RUN_UNTIL(loop, state_history_count(state) == 0);
    CHECK(kept() == 3);
    recall("req_2");
    CHECK(answer.err == OK && answer.is_found &&
          strcmp(answer.lines, "{\"event\":\"it ended\"}") == 0);
    recall("weir_2");
    CHECK(answer.is_found);
    recall("weir_3");
    CHECK(answer.err == OK && !answer.is_found && answer.count == 3);
}

static void at_once_when_asked(void)
{
    long long before = kept();
    for (unsigned i = 100; i < 300; i++)
        give(i);
    state_flush_history(state);
    RUN_UNTIL(loop, state_history_count(state) == 0);
    CHECK(kept() == before + 200);
    CHECK(lost(COUNT_HISTORY_LOST) == 0);
}

static void none_wanted(void)
{
    const struct finished_request request = {SLICE("weir_none"), SLICE(""), SLICE("{}"), false};
    state_remember(state, &request, 0);
    CHECK(state_history_count(state) == 0);
}

static void strangers(void)
{
    long long before = kept();
    RUN_UNTIL(loop, state_history_count(state) == 0);
    for (unsigned i = 0; i < HISTORY_STRANGERS_MAX + 10; i++) {
        char id[32];
        snprintf(id, sizeof(id), "weir_stranger_%u", i);
        const struct finished_request request = {slice_of(id), SLICE(""), SLICE("{}"), true};
        state_remember(state, &request, 10000);
    }
    state_flush_history(state);
    RUN_UNTIL(loop, state_history_count(state) == 0);
    CHECK(lost(COUNT_HISTORY_STRANGERS) >= 1 && lost(COUNT_HISTORY_STRANGERS) <= 10);
    CHECK(kept() + (long long)lost(COUNT_HISTORY_STRANGERS) == before + HISTORY_STRANGERS_MAX + 10);
}

/* The answer is lost, or Redis is: what waited is kept, once each. */
static void waits_for_redis(void)
{
    long long before = kept();
    server_pause(&server);
    give(1000);
    state_flush_history(state);
    RUN_UNTIL(loop, !state_is_up(state)); /* the deadline of the call */
    for (unsigned i = 1001; i < 1100; i++)
        give(i);
    CHECK(state_history_count(state) == 0); /* nobody is to wait for that */
    kill(server.pid, SIGCONT);
    RUN_UNTIL(loop, state_is_up(state) && state_history_count(state) == 0);
    recall("weir_1000");
    CHECK(answer.is_found);
    recall("weir_1099");
    CHECK(answer.is_found);
    CHECK(lost(COUNT_HISTORY_LOST) == 0);
    CHECK(kept() >= before + 100); /* one may have been given twice */
}

static void has_a_ceiling(void)
{
    static char lines[HISTORY_LINES_MAX];
    memset(lines, 'x', sizeof(lines));
    unsigned all = 2 * HISTORY_WAITING_MAX / HISTORY_LINES_MAX;
    server_kill(&server);
    RUN_UNTIL(loop, !state_is_up(state));
    for (unsigned i = 0; i < all; i++)
        give_lines(2000 + i, (struct slice){lines, sizeof(lines)});
    CHECK(lost(COUNT_HISTORY_LOST) > all / 3 && lost(COUNT_HISTORY_LOST) < all * 2 / 3);
    server_run(&server);
    RUN_UNTIL(loop, state_is_up(state));
    RUN_UNTIL(loop, state_history_count(state) == 0);
    recall("weir_2000");
    CHECK(answer.is_found);
    give(5000); /* there is room again */
    state_flush_history(state);
    RUN_UNTIL(loop, state_history_count(state) == 0);
    recall("weir_5000");
    CHECK(answer.is_found);
}

static void refused(void)
{
    uint64_t before = lost(COUNT_HISTORY_LOST);
    SERVER_DO(&server, "CONFIG", "SET", "maxmemory", "1");
    give(6000);
    state_flush_history(state);
    RUN_UNTIL(loop, state_history_count(state) == 0);
    CHECK(lost(COUNT_HISTORY_LOST) == before + 1);
    CHECK(state_is_up(state));
    SERVER_DO(&server, "CONFIG", "SET", "maxmemory", "0");
    give(6001);
    state_flush_history(state);
    RUN_UNTIL(loop, state_history_count(state) == 0);
    recall("weir_6001");
    CHECK(answer.is_found);
}

static void ids(void)
{
    static char long_id[130];
    memset(long_id, 'a', sizeof(long_id));
    CHECK(history_is_id(SLICE("weir_5f3a91c0-0-12")) && history_is_id(SLICE("8f@x:y.Z-FRA")));
    CHECK(!history_is_id(SLICE("")) && !history_is_id(SLICE("a b")) &&
          !history_is_id(SLICE("a/b")) && !history_is_id(SLICE("\xc3\xa4")));
    CHECK(history_is_id((struct slice){long_id, 128}));
    CHECK(!history_is_id((struct slice){long_id, 129}));
}

static void leaving(void)
{
    server_kill(&server);
    RUN_UNTIL(loop, !state_is_up(state));
    give(7000);
    server_run(&server);
}

static void test_usual(void)
{
    PROMISE("an id is what a name may hold") ids();
    PROMISE("what is given is found by each id, a second later") found_by_each_id();
    PROMISE("who leaves gives at once what there is") at_once_when_asked();
    PROMISE("where none are to be kept none is given") none_wanted();
    PROMISE("strangers in numbers cost others no place") strangers();
}

static void test_trouble(void)
{
    PROMISE("what is given while Redis is away waits") waits_for_redis();
    PROMISE("what waits has a ceiling, and what is lost is counted") has_a_ceiling();
    PROMISE("what Redis refuses is counted, and nothing else is held up") refused();
    PROMISE("leaving with what was not given is possible") leaving();
}

int main(void)
{
    static const char *const options[] = {"--appendonly", "yes", NULL};
    log_set_level(LOG_ERROR);
    begin(options);
    test_usual();
    test_trouble();
    end();
    return check_done();
}
