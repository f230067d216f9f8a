#include "state/fixture.h"

#include <inttypes.h>

#include "net/redis/link.h"
#include "state/state_priv.h"

/* As if the lease time after a loss of data had passed; and what this node knows is said again. */
static void open_admissions(void)
{
    declare(1, 1000);
    SERVER_DO(&server, "EVAL",
              "local g = redis.call('HGET', KEYS[1], '@') "
              "return redis.call('HSET', KEYS[1], '@', (string.gsub(g, 'closed=%d+', 'closed=0')))",
              "1", BASE ":slots");
}

static void wipe_and_restart(void)
{
    char path[160];
    server_kill(&server);
    snprintf(path, sizeof(path), "%s/appendonlydir", server.dir);
    CHECK(remove_all(path));
    RUN_UNTIL(loop, !state_is_up(state));
    server_run(&server);
}

static void flushed_functions(void)
{
    static struct holder holders[50];
    uint64_t failures = metrics_counter(&metrics, 1, COUNT_REDIS_FAILURES);
    SERVER_DO(&server, "FUNCTION", "FLUSH");
    SERVER_DO(&server, "CONFIG", "RESETSTAT");
    for (int i = 0; i < 50; i++)
        ask(&holders[i]);
    RUN_UNTIL(loop, holders[49].fired > 0);
    for (int i = 0; i < 50; i++)
        CHECK(holders[i].fired == 1 && holders[i].err == OK);
    CHECK(metrics_counter(&metrics, 1, COUNT_REDIS_FAILURES) == failures);
    redisReply *reply = SERVER_ASK(&server, "INFO", "commandstats");
    CHECK(strstr(reply->str, "cmdstat_function|load:calls=2,") != NULL); /* ours and weir_status */
    freeReplyObject(reply);
    settle_all(holders, 50);
}

/* The server takes the settlement in, but its answer is never heard: it is sent again. */
static void lost_answer(void)
{
    struct holder holder;
    long long before = booked_requests();
    uint64_t failures = metrics_counter(&metrics, 1, COUNT_REDIS_FAILURES);
    admit(&holder, OK);
    server_pause(&server);
    settle(&holder);
    RUN_UNTIL(loop, !state_is_up(state)); /* the deadline of the call */
    CHECK(state_outbox_count(state) == 1);
    CHECK(metrics_counter(&metrics, 1, COUNT_REDIS_FAILURES) > failures);
    kill(server.pid, SIGCONT);
    RUN_UNTIL(loop, state_is_up(state) && state_outbox_count(state) == 0);
    CHECK(booked_requests() == before + 1);
    CHECK(leases_in_redis() == 0);
}

static void settled_while_away(void)
{
    struct holder holders[3], refused;
    long long before = booked_requests();
    for (int i = 0; i < 3; i++)
        admit(&holders[i], OK);
    server_kill(&server);
    RUN_UNTIL(loop, !state_is_up(state));
    for (int i = 0; i < 3; i++)
        settle(&holders[i]);
    CHECK(state_outbox_count(state) == 3);
    CHECK(metrics_gauge(&metrics, 1, GAUGE_OUTBOX) == 3);
    admit(&refused, ERR_STATE_DOWN);
    server_run(&server);
    RUN_UNTIL(loop, state_is_up(state) && state_outbox_count(state) == 0);
    CHECK(booked_requests() == before + 3);
    CHECK(leases_in_redis() == 0);
    open_admissions();
}

/* The server takes the question in, but its answer is never heard: the slot comes back, and does so
 * once the connection is back, not a lease time later. */
static void lost_question(void)
{
    struct holder holder;
    long long before = booked_requests();
    server_pause(&server);
    ask(&holder);
    RUN_UNTIL(loop, holder.fired > 0);
    CHECK(holder.err == ERR_STATE_DOWN && state_outbox_count(state) == 1);
    kill(server.pid, SIGCONT);
    RUN_UNTIL(loop, state_is_up(state) && state_outbox_count(state) == 0);
    CHECK(leases_in_redis() == 0);
    CHECK(booked_requests() == before); /* nothing was asked of a provider */
}

/* A lease of ours that Redis has and we have not (by whatever way) ends with the next renewal. */
static void stray_lease(void)
{
    struct holder holder;
    admit(&holder, OK);
    SERVER_DO(&server, "HSET", held_key, "7", "account=s0 sub=s0 client=bot model=m since=1");
    CHECK(leases_in_redis() == 2);
    renewal_start(state);
    RUN_UNTIL(loop, leases_in_redis() == 1);
    settle_all(&holder, 1);
    CHECK(leases_in_redis() == 0);
}

/* Redis has another lease of ours in the place of this one. */
static void put_another(const struct holder *holder)
{
    char seq[NUMBER_TEXT_MAX + 1];
    snprintf(seq, sizeof(seq), "%" PRIu64, holder->lease.seq);
    SERVER_DO(&server, "HDEL", held_key, seq);
    SERVER_DO(&server, "HSET", held_key, "7", "account=s0 sub=s0 client=bot model=m since=1");
}

static bool is_held_alone(const struct holder *holder)
{
    char seq[NUMBER_TEXT_MAX + 1];
    snprintf(seq, sizeof(seq), "%" PRIu64, holder->lease.seq);
    redisReply *reply = SERVER_ASK(&server, "HEXISTS", held_key, seq);
    bool is_held = reply->integer == 1 && leases_in_redis() == 1;
    freeReplyObject(reply);
    return is_held;
}

/* An older copy may have as many leases, but others. */
static void as_many_but_others(void)
{
    struct holder holder;
    admit(&holder, OK);
    put_another(&holder);
    server_kill(&server);
    RUN_UNTIL(loop, !state_is_up(state));
    server_run(&server);
    RUN_UNTIL(loop, state_is_up(state));
    CHECK(is_held_alone(&holder) && holder.lost == 0);
    settle_all(&holder, 1);
    open_admissions();
}

static void found_by_the_list(void)
{
    enum { ROUNDS_A_MINUTE = 60000 / LEASE_RENEW_MS };
    struct holder holder;
    admit(&holder, OK);
    put_another(&holder);
    for (int i = 0; i < ROUNDS_A_MINUTE; i++) {
        renewal_start(state);
        RUN_UNTIL(loop, !state->leases.renewal.is_running);
    }
    CHECK(is_held_alone(&holder) && holder.lost == 0);
    settle_all(&holder, 1);
}

/* The server comes back without its data: what runs is registered before anything new. */
static void restored(void)
{
    enum { COUNT = 600 };
    static struct holder holders[COUNT], late;
    for (int i = 0; i < COUNT; i++)
        ask(&holders[i]);
    RUN_UNTIL(loop, holders[COUNT - 1].fired > 0);
    unsigned ups_before = ups, downs_before = downs;
    wipe_and_restart();
    while (!redis_is_up(state->redis))
        run_turn(loop);
    CHECK(!state_can_admit(state));
    ask(&late);
    RUN_UNTIL(loop, late.fired > 0);
    CHECK(late.err == ERR_STATE_DOWN);
    RUN_UNTIL(loop, state_can_admit(state));
    CHECK(ups == ups_before + 1 && downs == downs_before + 1);
    CHECK(leases_in_redis() == COUNT);
    declare(1, 1000);
    admit(&late, ERR_REFUSED); /* who else may live is given a lease time */
    CHECK(strcmp(late.reason, "restoring") == 0);
    CHECK(leases_in_redis() == COUNT);
    settle_all(holders, COUNT);
    CHECK(leases_in_redis() == 0);
    unsigned lost = 0;
    for (int i = 0; i < COUNT; i++)
        lost += holders[i].lost;
    CHECK(lost == 0);
    open_admissions();
}

/* A settlement waits, so its slot must not come back to life. */
static void settled_is_not_restored(void)
{
    struct holder settled, running;
    admit(&settled, OK);
    admit(&running, OK);
    server_kill(&server);
    RUN_UNTIL(loop, !state_is_up(state));
    settle(&settled);
    server_run(&server);
    RUN_UNTIL(loop, state_is_up(state) && state_outbox_count(state) == 0);
    CHECK(leases_in_redis() == 1);
    settle_all(&running, 1);
    open_admissions();
}

/* ---- standing still ---- */

static unsigned woken;

static void on_renewed(void *arg)
{
    (void)arg;
    woken++;
}

static void await_renewal(void)
{
    struct renewal_wait wait = {.on_renewed = on_renewed};
    woken = 0;
    state_wait_renewal(state, &wait);
    state_wait_renewal(state, &wait); /* twice is once */
    CHECK(woken == 0);
    RUN_UNTIL(loop, woken > 0);
    CHECK(woken == 1);
}

static void stall_without_loss(void)
{
    struct holder holder;
    admit(&holder, OK);
    CHECK(state_lease_is_fresh(state));
    skipped_ms += LEASE_MS + 1000;
    CHECK(!state_lease_is_fresh(state));
    await_renewal();
    CHECK(state_lease_is_fresh(state) && holder.lost == 0);

    sweep_out(); /* but nobody took the slot */
    await_renewal();
    RUN_UNTIL(loop, leases_in_redis() == 1); /* leases that are fresh are not waited for */
    CHECK(holder.lost == 0);
    settle_all(&holder, 1);
}

static void stall_with_loss(void)
{
    struct holder holder;
    long long before = booked_requests();
    declare(1, 1);
    admit(&holder, OK);
    skipped_ms += LEASE_MS + 1000;
    sweep_out();
    take_slot("1");
    CHECK(!state_lease_is_fresh(state));
    await_renewal();
    CHECK(holder.lost == 1 && state_lease_is_fresh(state));
    CHECK(metrics_counter(&metrics, 1, COUNT_LEASES_LOST) == 1);
    settle_all(&holder, 1); /* booked, though the slot is another's now */
    CHECK(booked_requests() == before + 1);
    CHECK(leases_in_redis() == 1);
    return_slot("1");
}

/* The connection did not survive the standing still: that is no outage of Redis, so what was given
 * away is not taken back over the cap. */
static void stall_with_reconnect(void)
{
    struct holder holder;
    admit(&holder, OK);
    skipped_ms += LEASE_MS + 1000;
    sweep_out();
    take_slot("2");
    SERVER_DO(&server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    RUN_UNTIL(loop, !state_is_up(state));
    CHECK(!state_lease_is_fresh(state));
    RUN_UNTIL(loop, state_is_up(state));
    CHECK(holder.lost == 1 && leases_in_redis() == 1);
    settle_all(&holder, 1);
    return_slot("2");
}

static void long_outage(void)
{
    struct holder holder;
    admit(&holder, OK);
    server_kill(&server);
    RUN_UNTIL(loop, !state_is_up(state));
    for (int second = 0; second < 60; second++) {
        skipped_ms += 1000;
        renewal_tick(state);
        CHECK(state_lease_is_fresh(state));
    }
    await_renewal(); /* nobody is kept waiting for a Redis that is away */
    server_run(&server);
    RUN_UNTIL(loop, state_is_up(state));
    CHECK(holder.lost == 0 && leases_in_redis() == 1);
    settle_all(&holder, 1);
    open_admissions();
}

static void stall_then_outage(void)
{
    struct holder holder;
    struct renewal_wait wait = {.on_renewed = on_renewed}, cancelled = wait;
    admit(&holder, OK);
    server_kill(&server);
    skipped_ms += LEASE_MS + 1000;
    RUN_UNTIL(loop, !state_is_up(state));
    CHECK(!state_lease_is_fresh(state));
    woken = 0;
    state_wait_renewal(state, &wait);
    state_wait_renewal(state, &cancelled);
    state_wait_cancel(&cancelled);
    for (int second = 0; second < LEASE_MS / 1000 + 1 && holder.lost == 0; second++)
        renewal_tick(state);
    CHECK(holder.lost == 1);
    renewal_tick(state);
    CHECK(woken == 1);
    settle(&holder);
    server_run(&server);
    RUN_UNTIL(loop, state_is_up(state) && state_outbox_count(state) == 0);
    CHECK(leases_in_redis() == 0);
    open_admissions();
}

/* ---- a server that answers with errors ---- */

static void refusing_server(void)
{
    struct holder holders[2], third;
    long long before = booked_requests();
    declare(1, 10);
    admit(&holders[0], OK);
    admit(&holders[1], OK);
    SERVER_DO(&server, "ACL", "SETUSER", "default", "-fcall");
    settle(&holders[0]);
    await_renewal();
    CHECK(!state_is_up(state) && state_lease_is_fresh(state));
    CHECK(strstr(state_last_error(state).at, "NOPERM") != NULL);
    admit(&third, ERR_STATE_DOWN);
    CHECK(state_outbox_count(state) == 1);
    SERVER_DO(&server, "ACL", "SETUSER", "default", "+fcall");
    RUN_UNTIL(loop, state_is_up(state) && state_outbox_count(state) == 0);
    CHECK(booked_requests() == before + 1);
    CHECK(holders[1].lost == 0 && leases_in_redis() == 1);
    settle_all(&holders[1], 1);
}

static void leaving_with_settlements(void)
{
    struct holder holder;
    admit(&holder, OK);
    server_kill(&server);
    RUN_UNTIL(loop, !state_is_up(state));
    settle(&holder);
    CHECK(state_outbox_count(state) == 1);
    state_free(state);
    snprintf(node.boot, sizeof(node.boot), "00000003");
    server_run(&server);
    open_state();
}

static void test_outages(void)
{
    PROMISE("functions that vanish are loaded once for all who ask") flushed_functions();
    PROMISE("a settlement whose answer was lost books once") lost_answer();
    PROMISE("a slot taken unseen comes back with the connection") lost_question();
    PROMISE("what Redis holds in our name and we do not ends") stray_lease();
    PROMISE("an older copy with as many leases, but others, is told which") as_many_but_others();
    PROMISE("what a number cannot tell is found within a minute") found_by_the_list();
    PROMISE("what is settled while Redis is away is booked once when it is back")
    settled_while_away();
    PROMISE("running leases are registered again before anything new is admitted") restored();
    PROMISE("a settled lease is not registered again") settled_is_not_restored();
    PROMISE("a Redis that refuses to renew counts as away, and loses no booking")
    refusing_server();
}

static void test_standing_still(void)
{
    PROMISE("after standing still, leases are fresh again once renewed") stall_without_loss();
    PROMISE("after standing still, a slot that was given away is lost") stall_with_loss();
    PROMISE("a reconnect after standing still takes nothing back over the cap")
    stall_with_reconnect();
    PROMISE("while Redis is away, what runs goes on") long_outage();
    PROMISE("who stood still and then finds no Redis gives up in time") stall_then_outage();
}

int main(void)
{
    static const char *const options[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
    log_set_level(LOG_ERROR);
    begin(options);
    declare(1, 1000);
    test_outages();
    test_standing_still();
    PROMISE("leaving with settlements that were not booked is possible") leaving_with_settlements();
    end();
    return check_done();
}
