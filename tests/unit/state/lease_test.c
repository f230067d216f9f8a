#include "state/fixture.h"
#include "state/mend.h"

static void first_call_loads(void)
{
    CHECK(state_is_up(state) && ups == 1 && downs == 0);
    declare(2, 2);
    redisReply *reply = SERVER_ASK(&server, "FCALL_RO", "weir_status", "1", BASE);
    CHECK(reply->type == REDIS_REPLY_ARRAY && reply->elements > 0);
    freeReplyObject(reply);
    CHECK(SERVER_NUMBER(&server, "HLEN", BASE ":roster") == 2);
}

static void slots(void)
{
    struct holder holders[5];
    for (int i = 0; i < 4; i++)
        admit(&holders[i], OK);
    CHECK(strncmp(holders[0].lease.id, "n1.00000001.3-", 14) == 0);
    CHECK(strcmp(holders[0].lease.account, holders[0].subscription) == 0);
    CHECK(strcmp(holders[0].subscription, holders[1].subscription) != 0);
    admit(&holders[4], ERR_REFUSED);
    CHECK(strcmp(holders[4].reason, "full") == 0 && holders[4].retry_ms > 0);
    settle(&holders[4]); /* never held: nothing happens */
    CHECK(state_outbox_count(state) == 0);
    CHECK(leases_in_redis() == 4);
    settle_all(holders, 4);
    CHECK(leases_in_redis() == 0);
    CHECK(booked_requests() == 4);
    settle(&holders[0]); /* settled before: nothing happens */
    CHECK(state_outbox_count(state) == 0);
    CHECK(metrics_gauge(&metrics, 1, GAUGE_OUTBOX) == 0);
}

static void excluded(void)
{
    struct holder holder = {0};
    struct admit_request request = {
        .client = SLICE("bot"), .model = SLICE("claude"), .excluded = SLICE("s0")};
    state_admit(state, &holder.lease, &request, on_admitted, &holder);
    RUN_UNTIL(loop, holder.fired > 0);
    CHECK(holder.err == OK && strcmp(holder.subscription, "s1") == 0);
    settle_all(&holder, 1);
    request.excluded = SLICE("s0 s1");
    holder = (struct holder){0};
    state_admit(state, &holder.lease, &request, on_admitted, &holder);
    RUN_UNTIL(loop, holder.fired > 0);
    CHECK(holder.err == ERR_REFUSED && strcmp(holder.reason, "excluded") == 0);
    CHECK(holder.refusal.candidates == 2 && holder.refusal.of[STANDING_TRIED].count == 2);
}

static void told_why(void)
{
    struct holder holder = {0};
    struct admit_request request = {
        .client = SLICE("bot"), .model = SLICE("claude"), .excluded = SLICE("s1")};
    freeReplyObject(SERVER_ASK(&server, "FCALL", "weir_cool", "1", BASE, "s0", "60000", "why"));
    state_admit(state, &holder.lease, &request, on_admitted, &holder);
    RUN_UNTIL(loop, holder.fired > 0);
    const struct refusal *r = &holder.refusal;
    CHECK(holder.err == ERR_REFUSED && r->candidates == 2);
    CHECK(r->of[STANDING_LIMITED].count == 1 && r->of[STANDING_TRIED].count == 1);
    CHECK(r->of[STANDING_LIMITED].ms > 50000 && r->of[STANDING_LIMITED].ms <= 60000);
    CHECK(strcmp(holder.why, "by hand") == 0);
    CHECK(r->of[STANDING_BUSY].count == 0 && r->of[STANDING_BUSY].ms == 0);
}

/* The answer to state_open(). */
struct opened {
    unsigned fired;
    enum err err;
    struct opening opening;
    char lifted[128], message[256];
};

static void on_opened(enum err err, const struct opening *opening, void *arg)
{
    struct opened *o = arg;
    o->fired++;
    o->err = err;
    o->opening = *opening;
    snprintf(o->lifted, sizeof(o->lifted), "%.*s", SLICE_ARG(opening->lifted));
    snprintf(o->message, sizeof(o->message), "%.*s", SLICE_ARG(opening->message));
}

static struct opened open_it(const char *name)
{
    struct opened opened = {0};
    state_open(state, slice_of(name), SLICE("somebody"), on_opened, &opened);
    RUN_UNTIL(loop, opened.fired > 0);
    return opened;
}

static void opened_by_hand(void)
{
    struct holder holder = {0};
    struct admit_request request = {
        .client = SLICE("bot"), .model = SLICE("claude"), .excluded = SLICE("s1")};
    const struct settlement good = {.status = 200, .health = HEALTH_GOOD};
    struct opened o = open_it("s0");
    CHECK(o.err == OK && o.opening.left_ms > 50000 && strstr(o.lifted, "cooldown") != NULL);
    o = open_it("s1");
    CHECK(o.err == OK && o.opening.left_ms == 0 && o.lifted[0] == '\0');
    o = open_it("nobody");
    CHECK(o.err == ERR_REPLY && o.opening.is_unknown);
    CHECK(strcmp(o.message, "name: expected a subscription of this pool (s0, s1), got 'nobody'") ==
          0);
    state_admit(state, &holder.lease, &request, on_admitted, &holder);
    RUN_UNTIL(loop, holder.fired > 0);
    CHECK(holder.err == OK); /* it tries, and so opens it for all */
    state_settle(state, &holder.lease, &good);
    RUN_UNTIL(loop, state_outbox_count(state) == 0);
}

static void cancelled(void)
{
    struct holder holder;
    long long booked = booked_requests();
    ask(&holder);
    state_admit_cancel(holder.admission);
    memset(&holder.lease, 0xee, sizeof(holder.lease)); /* its owner's again */
    CHECK(state_outbox_count(state) == 1);
    RUN_UNTIL(loop, state_outbox_count(state) == 0);
    CHECK(holder.fired == 0);
    CHECK(leases_in_redis() == 0);
    CHECK(booked_requests() == booked + 1);
    state_admit_cancel(NULL);
}

static void cancelled_in_vain(void)
{
    struct holder holders[5];
    for (int i = 0; i < 4; i++)
        admit(&holders[i], OK);
    ask(&holders[4]);
    state_admit_cancel(holders[4].admission);
    RUN_UNTIL(loop, state_outbox_count(state) == 0);
    CHECK(holders[4].fired == 0 && leases_in_redis() == 4);
    settle_all(holders, 4);
}

static void strange_names(void)
{
    struct holder holder = {0};
    char model[400];
    memset(model, '{', sizeof(model));
    struct admit_request request = {.client = SLICE("a bot\n"), .model = {model, sizeof(model)}};
    state_admit(state, &holder.lease, &request, on_admitted, &holder);
    RUN_UNTIL(loop, holder.fired > 0);
    CHECK(holder.err == OK && strcmp(holder.lease.client, "a_bot_") == 0);
    struct settlement settlement = {.outcome = OUTCOME_ERROR, .model = SLICE("x y/z")};
    state_settle(state, &holder.lease, &settlement);
    RUN_UNTIL(loop, state_outbox_count(state) == 0);
    holder = (struct holder){0};
    request = (struct admit_request){.client = SLICE_NONE, .model = SLICE_NONE};
    state_admit(state, &holder.lease, &request, on_admitted, &holder);
    RUN_UNTIL(loop, holder.fired > 0);
    CHECK(holder.err == OK);
    settle_all(&holder, 1);
    CHECK(metrics_counter(&metrics, 1, COUNT_BOOKINGS_DROPPED) == 0);
}

/* ---- a look at everything ---- */

static struct {
    unsigned fired;
    size_t subscriptions, nodes;
    uint64_t requests, errors, input, cooldown_ms, leases;
    uint32_t max;
    char name[16], reason[32], node[16];
} seen;

static void on_snapshot(enum err err, struct pool_snapshot *snapshot, void *arg)
{
    (void)arg;
    seen.fired++;
    CHECK(err == OK && snapshot != NULL);
    if (snapshot == NULL)
        return;
    seen.subscriptions = snapshot->subscription_count;
    seen.nodes = snapshot->node_count;
    seen.leases = snapshot->leases;
    for (size_t i = 0; i < snapshot->subscription_count; i++) {
        const struct pool_subscription *s = &snapshot->subscriptions[i];
        seen.requests += s->requests;
        seen.errors += s->errors;
        seen.input += s->input;
        seen.max += s->max;
        CHECK(s->is_enabled && s->priority == 1);
        if (s->cooldown_ms > 0) {
            seen.cooldown_ms = s->cooldown_ms;
            snprintf(seen.name, sizeof(seen.name), "%.*s", SLICE_ARG(s->name));
            snprintf(seen.reason, sizeof(seen.reason), "%.*s", SLICE_ARG(s->cooldown_reason));
        }
    }
    if (snapshot->node_count > 0)
        snprintf(seen.node, sizeof(seen.node), "%.*s", SLICE_ARG(snapshot->nodes[0].id));
}

static unsigned pulses;
static struct pool_pulse pulse;

static void on_pulse(enum err err, const struct pool_pulse *found, struct slice message, void *arg)
{
    (void)arg;
    (void)message;
    pulses++;
    CHECK(err == OK && found != NULL);
    if (found != NULL)
        pulse = *found;
}

static void beat(void)
{
    unsigned before = pulses;
    struct node_report report = {
        .version = SLICE("0.1.0"), .config_digest = SLICE("0011aabb"), .active = 1, .workers = 4};
    state_beat(state, &report, on_pulse, NULL);
    RUN_UNTIL(loop, pulses > before);
}

static void snapshot(void)
{
    struct holder holder;
    admit(&holder, OK);
    struct settlement settlement = {.status = 429,
                                    .outcome = OUTCOME_ERROR,
                                    .cooldown_ms = 30000,
                                    .cooldown_reason = SLICE("429 retry-after"),
                                    .input = 1000};
    state_settle(state, &holder.lease, &settlement);
    beat();
    RUN_UNTIL(loop, state_outbox_count(state) == 0);
    state_snapshot(state, on_snapshot, NULL);
    RUN_UNTIL(loop, seen.fired > 0);
    CHECK(seen.subscriptions == 2 && seen.max == 4 && seen.leases == 0);
    CHECK(seen.input >= 1000 && seen.errors >= 1 && seen.requests >= 1);
    CHECK(seen.cooldown_ms > 0 && seen.cooldown_ms <= 30000);
    CHECK(strcmp(seen.name, holder.subscription) == 0);
    CHECK(strcmp(seen.reason, "429 retry-after") == 0);
    CHECK(seen.nodes == 1 && strcmp(seen.node, "n1") == 0);
    CHECK(pulse.is_declared && !pulse.is_behind && !pulse.do_configs_differ);
    CHECK(pulse.epoch == state_epoch(state) && pulse.closed_ms == 0);
}

/* A node's name is another's: it gets a name of its own, and what it holds from then bears that. */
static struct slice joined;
static char joined_name[65];

static void on_joined(enum err err, struct slice name, uint64_t wait_ms, void *arg)
{
    (void)arg;
    CHECK(err == OK && wait_ms == 0);
    snprintf(joined_name, sizeof(joined_name), "%.*s", SLICE_ARG(name));
    joined = slice_of(joined_name);
}

static void a_name(void)
{
    struct holder holder;
    state_join(state, &(struct join_wish){.name = SLICE("fresh")}, on_joined, NULL);
    RUN_UNTIL(loop, joined.len > 0);
    CHECK(slice_eq(joined, SLICE("fresh")));
    SERVER_DO(&server, "ZADD", boots_key, "99999999999999", "taken.0000000f");
    const struct join_wish taken = {.name = SLICE("taken"), .asked_for_ms = 5000};
    state_join(state, &taken, on_joined, NULL);
    joined = SLICE_NONE;
    RUN_UNTIL(loop, joined.len > 0);
    CHECK(slice_eq(joined, SLICE("taken~2")));
    SERVER_DO(&server, "ZREM", boots_key, "taken.0000000f");
    admit(&holder, OK);
    settle_all(&holder, 1);
}

static void leaving(void)
{
    struct done done = {0};
    state_leave(state, on_done, &done);
    RUN_UNTIL(loop, done.fired > 0);
    CHECK(done.err == OK && SERVER_NUMBER(&server, "ZCARD", boots_key) >= 0);
    CHECK(SERVER_NUMBER(&server, "EXISTS", BASE ":boot:n1.00000001") == 0);
}

static void declare_fails(void)
{
    struct subscription bad = {
        .name = (char[]){"a b"}, .account = "x", .max_concurrent = 1, .tier = 1};
    struct config config = {
        .subscriptions = &bad, .subscription_count = 1, .routing.session_duration_ms = 18000000};
    const struct declaration_source source = {0};
    struct done done = {0};
    state_declare(state, &config, &source, on_done, &done);
    RUN_UNTIL(loop, done.fired > 0);
    CHECK(done.err == ERR_REPLY && strstr(done.message, "name") != NULL);
}

static void freed_while_asking(void)
{
    struct holder asking, left, held;
    admit(&held, OK);
    ask(&asking);
    ask(&left);
    state_admit_cancel(left.admission);
    state_free(state);
    CHECK(left.fired == 0);
    CHECK(asking.fired == 1 && asking.err == ERR_STATE_DOWN && held.lost == 0);
    open_state();
}

static void test_pool(void)
{
    PROMISE("a snapshot shows what was booked, what cools and who is there") snapshot();
    PROMISE("a declaration that is refused says why") declare_fails();
    PROMISE("freeing the state answers who asks") freed_while_asking();
    PROMISE("a node is given a name that no other living one bears") a_name();
    PROMISE("a node that leaves is known no more") leaving();
}

int main(void)
{
    begin(NULL);
    PROMISE("a server that knows nothing of us is given the functions") first_call_loads();
    PROMISE("a slot is taken, refused when there is none, and given back once") slots();
    PROMISE("a subscription already tried is left out") excluded();
    PROMISE("a refusal counts what stands in the way of each candidate") told_why();
    PROMISE("who asks for an opening hears what was lifted, or that there is none of this name")
    opened_by_hand();
    PROMISE("names of any bytes do no harm") strange_names();
    PROMISE("who stops waiting is not answered, and a slot granted all the same comes back")
    cancelled();
    PROMISE("who stops waiting for a slot there is not leaves nothing behind") cancelled_in_vain();
    test_pool();
    end();
    return check_done();
}
