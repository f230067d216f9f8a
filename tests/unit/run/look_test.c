/* A look at a real Redis, asked for at two desks. Both halves run on this one thread, so that each
 * can be made to stand still while the other goes on. */
#include "run/look.h"

#include "redis_server.h"
#include "redis_url_of.h"
#include "run_until.h"
#include "state/snapshot.h"
#include "state/state.h"

enum { DESKS = 2, ASKERS = 50 };

static struct redis_server server;
static struct loop *control, *homes[DESKS];
static struct state *state;
static struct look *look;
static struct look_desk *desks[DESKS];

static struct {
    unsigned told, failed;
    uint64_t now_ms; /* of the last snapshot */
    char why[128];
    const struct pool_snapshot *first; /* only to be compared */
    bool is_shared;
} seen;

static void on_seen(const struct pool_snapshot *snapshot, struct slice why, void *arg)
{
    unsigned *times = arg;
    (*times)++;
    seen.told++;
    if (snapshot == NULL) {
        seen.failed++;
        snprintf(seen.why, sizeof(seen.why), "%.*s", SLICE_ARG(why));
        return;
    }
    if (seen.first == NULL)
        seen.first = snapshot;
    seen.is_shared = seen.first == snapshot;
    seen.now_ms = snapshot->now_ms;
}

static void run_both(void)
{
    run_turn(control);
    for (unsigned i = 0; i < DESKS; i++)
        run_turn(homes[i]);
}

#define RUN_BOTH_UNTIL(condition)                      \
    do {                                               \
        uint64_t both_end_ = clock_ms() + UNTIL_MS;    \
        while (!(condition) && clock_ms() < both_end_) \
            run_both();                                \
        CHECK(condition);                              \
    } while (0)

/* FCALLs so far, those of the state's own included: only differences count. */
static long long calls(void)
{
    redisReply *reply = SERVER_ASK(&server, "INFO", "commandstats");
    const char *at = strstr(reply->str, "cmdstat_fcall:calls=");
    long long count = at != NULL ? strtoll(at + strlen("cmdstat_fcall:calls="), NULL, 10) : 0;
    freeReplyObject(reply);
    return count;
}

static void open_all(void)
{
    static const struct node_identity node = {.id = "n1", .boot = "00000001"};
    struct redis_url url = redis_url_of(server.url);
    struct state_options options = {
        .redis_url = &url, .prefix = SLICE("weir"), .pool = SLICE("main"), .node = &node};
    state = state_new(control, &options);
    redis_url_fini(&url);
    RUN_UNTIL(control, state_is_up(state));
    look = look_new(control, state);
    for (unsigned i = 0; i < DESKS; i++)
        desks[i] = look_desk_new(look, homes[i]);
}

/* In the order in which a node ends. */
static void close_all(void)
{
    look_end(look);
    for (unsigned i = 0; i < DESKS; i++)
        look_desk_free(desks[i]);
    state_free(state);
    look_free(look);
}

static unsigned times[DESKS * ASKERS];

static void ask_all(void)
{
    memset(&seen, 0, sizeof(seen));
    memset(times, 0, sizeof(times));
    for (unsigned i = 0; i < DESKS * ASKERS; i++)
        look_ask(desks[i % DESKS], on_seen, &times[i]);
    CHECK(seen.told == 0);
}

static void check_once_each(void)
{
    unsigned once = 0;
    for (unsigned i = 0; i < DESKS * ASKERS; i++)
        once += times[i] == 1;
    CHECK(once == DESKS * ASKERS);
}

/* ---- */

static void shares(void)
{
    ask_all();
    RUN_BOTH_UNTIL(seen.told == DESKS * ASKERS); /* the functions are loaded as well */
    check_once_each();
    uint64_t first_ms = seen.now_ms;
    long long before;
    uint64_t end = clock_ms() + UNTIL_MS;
    do { /* until the second is over and they get another one */
        before = calls();
        ask_all();
        RUN_BOTH_UNTIL(seen.told == DESKS * ASKERS);
        check_once_each();
        CHECK(seen.failed == 0 && seen.is_shared);
        CHECK(calls() - before <= 2); /* one read, and a call of the state's own */
    } while (seen.now_ms == first_ms && clock_ms() < end);
    CHECK(seen.now_ms >= first_ms + 900);
}

static void fails(void)
{
    uint64_t end = clock_ms() + UNTIL_MS;
    server_pause(&server);
    do { /* what is kept runs out first, perhaps for one desk before the other */
        ask_all();
        RUN_BOTH_UNTIL(seen.told == DESKS * ASKERS);
    } while (seen.failed < DESKS * ASKERS && clock_ms() < end);
    check_once_each();
    CHECK(seen.failed == DESKS * ASKERS && strstr(seen.why, "no answer within") != NULL);
    kill(server.pid, SIGCONT);
    RUN_UNTIL(control, state_is_up(state));
    ask_all();
    RUN_BOTH_UNTIL(seen.told == DESKS * ASKERS);
    CHECK(seen.failed == 0);
}

/* The control thread stands still: each worker goes on by itself, what comes late is dropped. */
static void is_late(void)
{
    ask_all();
    RUN_UNTIL(homes[0], seen.told == ASKERS);
    RUN_UNTIL(homes[1], seen.told == DESKS * ASKERS);
    check_once_each();
    CHECK(seen.failed == DESKS * ASKERS && strstr(seen.why, "in time") != NULL);
    ask_all();
    RUN_BOTH_UNTIL(seen.told == DESKS * ASKERS);
    check_once_each();
    CHECK(seen.failed == 0);
}

static void ends(void)
{
    uint64_t over_ms = clock_ms() + 1100; /* what is kept is given out no more */
    RUN_UNTIL(control, clock_ms() > over_ms);
    server_pause(&server);
    ask_all();
    run_turn(control);
    close_all();
    check_once_each();
    CHECK(seen.failed == DESKS * ASKERS && strstr(seen.why, "leaving") != NULL);
    kill(server.pid, SIGCONT);
}

int main(void)
{
    control = loop_new();
    for (unsigned i = 0; i < DESKS; i++)
        homes[i] = loop_new();
    server_start(&server, NULL);
    open_all();
    PROMISE("all who ask within a second share one look, and the next second has another") shares();
    PROMISE("who waits for a look that fails hears why") fails();
    PROMISE("a wait has its deadline even if the control thread stands still") is_late();
    PROMISE("who still waits at the end is told, once") ends();
    server_stop(&server);
    for (unsigned i = 0; i < DESKS; i++)
        loop_free(homes[i]);
    loop_free(control);
    return check_done();
}
