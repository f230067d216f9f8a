#include "base/budget.h"

#include <pthread.h>
#include <semaphore.h>

#include "check.h"

#define MIB ((uint64_t)1 << 20)
#define BODY (4 * MIB)
#define WHOLE (BODY + 1)

static unsigned told;

static void tell(void *arg)
{
    (void)arg;
    told++;
}

static uint64_t used_by_all(const struct budget *b)
{
    uint64_t used = 0;
    for (unsigned kind = 0; kind < BUDGET_KINDS; kind++)
        used += budget_used(b, (enum budget_kind)kind);
    return used;
}

static void test_counting(struct budget *b)
{
    uint32_t alice = budget_caller(b, SLICE("alice")), bob = budget_caller(b, SLICE("bob"));
    uint64_t max = budget_max(b, BUDGET_HEADS), share = budget_share(b, BUDGET_HEADS);
    PROMISE("a caller gets its share and no more, and leaves the others theirs")
    {
        CHECK(alice != bob && share > 0 && 2 * share <= max);
        CHECK(budget_take(b, BUDGET_HEADS, alice, share) &&
              !budget_take(b, BUDGET_HEADS, alice, 1));
        CHECK(budget_take(b, BUDGET_HEADS, bob, share) &&
              budget_used(b, BUDGET_HEADS) == 2 * share);
    }
    PROMISE("all together get no more than the ceiling")
    {
        uint32_t carol = budget_caller(b, SLICE("carol"));
        CHECK(!budget_take(b, BUDGET_HEADS, carol, max - 2 * share + 1));
        budget_give(b, BUDGET_HEADS, bob, share);
        CHECK(budget_take(b, BUDGET_HEADS, carol, share));
        budget_give(b, BUDGET_HEADS, carol, share);
    }
    PROMISE("what is there already is counted whatever the ceiling says, and that it is too much")
    {
        CHECK(!budget_force(b, BUDGET_HEADS, alice, 1) && budget_is_over(b, BUDGET_HEADS, alice));
        CHECK(!budget_is_over(b, BUDGET_HEADS, bob));
        budget_give(b, BUDGET_HEADS, alice, share + 1);
        CHECK(!budget_is_over(b, BUDGET_HEADS, alice) && used_by_all(b) == 0);
    }
}

static void hold_init(struct budget_hold *hold, struct budget *b, const char *caller)
{
    budget_hold_init(hold, b, budget_caller(b, slice_of(caller)));
}

/* As many holds of `size` as there is room for, each of another caller. */
static unsigned fill(struct budget *b, struct budget_hold *holds, unsigned max, uint64_t size)
{
    unsigned count = 0;
    char name[32];
    for (; count < max; count++) {
        snprintf(name, sizeof(name), "filler-%u", count);
        hold_init(&holds[count], b, name);
        if (!budget_reserve(&holds[count], size))
            break;
    }
    CHECK(count < max);
    return count;
}

static void empty(struct budget_hold *holds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        budget_hold_end(&holds[i]);
}

static void test_small_queue(struct budget *b)
{
    static struct budget_hold large[64], small[512];
    struct budget_hold waiting, newcomer;
    struct budget_waiter waiter;
    struct budget_queue queue;
    budget_queue_init(&queue, b, tell, NULL);
    budget_waiter_init(&waiter);
    unsigned large_count = fill(b, large, 64, BODY);
    unsigned small_count = fill(b, small, 512, BUDGET_SMALL_BYTES);
    hold_init(&waiting, b, "patient");
    hold_init(&newcomer, b, "newcomer");
    PROMISE("small bodies wait in order, too: a newcomer does not pass one that waits")
    {
        CHECK(budget_wait(&waiter, &queue, &waiting, BUDGET_SMALL_BYTES));
        budget_shrink(&small[0], BUDGET_SMALL_BYTES / 2);
        CHECK(budget_waiting(b) == 1 && !budget_reserve(&newcomer, 1024));
    }
    PROMISE("a small body that waits gets room among the large ones when that comes first")
    {
        told = 0;
        budget_hold_end(&large[0]);
        CHECK(told == 1 && budget_granted(&queue) == &waiter && budget_waiting(b) == 0);
        CHECK(waiting.kind == BUDGET_LARGE_BODIES && waiting.bytes == BUDGET_SMALL_BYTES);
        budget_hold_end(&waiting);
    }
    empty(small, small_count);
    empty(large, large_count);
    CHECK(used_by_all(b) == 0);
}

static void test_growing(struct budget *b)
{
    static struct budget_hold small[512], large[64];
    struct budget_hold growing, waiting;
    struct budget_waiter large_waiter, small_waiter;
    struct budget_queue queue;
    budget_queue_init(&queue, b, tell, NULL);
    budget_waiter_init(&large_waiter);
    budget_waiter_init(&small_waiter);
    hold_init(&growing, b, "growing");
    hold_init(&waiting, b, "waiting");
    CHECK(budget_reserve(&growing, BUDGET_SMALL_BYTES));
    unsigned large_count = fill(b, large, 64, BODY);
    unsigned small_count = fill(b, small, 512, BUDGET_SMALL_BYTES);
    PROMISE("a body that becomes large leaves its place to a small one that waits")
    {
        told = 0;
        CHECK(budget_wait(&large_waiter, &queue, &growing, BODY));
        CHECK(budget_wait(&small_waiter, &queue, &waiting, BUDGET_SMALL_BYTES) && told == 0);
        budget_hold_end(&large[0]);
        CHECK(told == 2 && growing.kind == BUDGET_LARGE_BODIES);
        CHECK(budget_granted(&queue) == &large_waiter && budget_granted(&queue) == &small_waiter);
        CHECK(waiting.kind == BUDGET_SMALL_BODIES && budget_waiting(b) == 0);
    }
    budget_hold_end(&waiting);
    budget_hold_end(&growing);
    empty(small, small_count);
    empty(large, large_count);
    CHECK(used_by_all(b) == 0);
}

static void test_places(struct budget *b)
{
    enum { ONE = BUDGET_WAITERS_OF_ONE_MAX };
    static struct budget_waiter waiters[ONE + 1];
    static struct budget_hold holds[ONE + 1];
    struct budget_hold own, other;
    struct budget_waiter another;
    struct budget_queue queue;
    budget_queue_init(&queue, b, tell, NULL);
    hold_init(&own, b, "greedy");
    uint64_t all = 0;
    while (budget_reserve(&own, all + MIB))
        all += MIB;
    PROMISE("a caller that has its share and lets ever more wait takes nobody else's place")
    {
        for (unsigned i = 0; i <= ONE; i++) {
            budget_waiter_init(&waiters[i]);
            hold_init(&holds[i], b, "greedy");
            CHECK(budget_wait(&waiters[i], &queue, &holds[i], BODY) == (i < ONE));
        }
        hold_init(&other, b, "modest");
        budget_waiter_init(&another);
        told = 0;
        CHECK(budget_wait(&another, &queue, &other, BODY));
        CHECK(told == 1 && budget_granted(&queue) == &another);
    }
    for (unsigned i = 0; i < ONE; i++)
        budget_wait_cancel(&waiters[i]);
    budget_hold_end(&other);
    budget_hold_end(&own);
    CHECK(budget_waiting(b) == 0 && used_by_all(b) == 0);
}

static void test_small(struct budget *b)
{
    struct budget_hold large[64], small;
    unsigned count = 0;
    char name[] = "a";
    PROMISE("small bodies find room when large ones have taken all of theirs")
    {
        for (; count < 64; count++, name[0]++) {
            hold_init(&large[count], b, name);
            if (!budget_reserve(&large[count], BODY))
                break;
        }
        CHECK(count > 1 && count < 64);
        hold_init(&small, b, "a");
        CHECK(budget_reserve(&small, BUDGET_SMALL_BYTES));
        CHECK(budget_used(b, BUDGET_SMALL_BODIES) == BUDGET_SMALL_BYTES);
        budget_hold_end(&small);
        budget_hold_end(&small);
    }
    PROMISE("and what was taken comes back")
    {
        while (count > 0)
            budget_hold_end(&large[--count]);
        CHECK(used_by_all(b) == 0);
    }
    PROMISE("small bodies may use the part of large ones while nobody waits for it")
    {
        uint64_t many = budget_share(b, BUDGET_SMALL_BODIES) / BUDGET_SMALL_BYTES;
        struct budget_hold holds[65];
        CHECK(many < 65);
        for (unsigned i = 0; i <= many; i++) {
            hold_init(&holds[i], b, "a");
            CHECK(budget_reserve(&holds[i], BUDGET_SMALL_BYTES));
        }
        CHECK(budget_used(b, BUDGET_LARGE_BODIES) == BUDGET_SMALL_BYTES);
        for (unsigned i = 0; i <= many; i++)
            budget_hold_end(&holds[i]);
        CHECK(used_by_all(b) == 0);
    }
}

static bool wait_for(struct budget_waiter *w, struct budget_queue *q, struct budget_hold *h,
                     uint64_t to)
{
    budget_waiter_init(w);
    return budget_wait(w, q, h, to);
}

static void test_queue(struct budget *b)
{
    struct budget_hold first, second, third, own, other;
    struct budget_waiter w[3];
    struct budget_queue q;
    uint64_t share = budget_share(b, BUDGET_LARGE_BODIES);
    uint64_t left = budget_max(b, BUDGET_LARGE_BODIES) - 2 * share;
    budget_queue_init(&q, b, tell, NULL);
    hold_init(&own, b, "a");
    hold_init(&other, b, "b");
    CHECK(budget_reserve(&own, share) && budget_reserve(&other, share));
    told = 0;
    PROMISE("who finds no room waits, and one for whom there is none stops those behind it")
    {
        hold_init(&first, b, "c");
        hold_init(&second, b, "d");
        CHECK(!budget_reserve(&first, left + BODY) && wait_for(&w[0], &q, &first, left + BODY));
        CHECK(!budget_reserve(&second, left + 2 * MIB));
        CHECK(wait_for(&w[1], &q, &second, left + 2 * MIB) && budget_waiting(b) == 2);
        budget_shrink(&own, share - 2 * MIB);
        CHECK(told == 0 && budget_granted(&q) == NULL);
    }
    PROMISE("one whose caller has its share already is passed over")
    {
        budget_shrink(&own, share - BODY);
        CHECK(told == 1 && budget_granted(&q) == &w[0] && first.bytes == left + BODY);
        hold_init(&third, b, "b");
        CHECK(!budget_reserve(&third, 1 * MIB) && wait_for(&w[2], &q, &third, 1 * MIB));
        budget_wait_cancel(&w[1]);
        CHECK(wait_for(&w[1], &q, &second, 1 * MIB) && budget_waiting(b) == 2);
        budget_shrink(&own, share - BODY - 2 * MIB);
        CHECK(told == 2 && budget_granted(&q) == &w[1] && budget_waiting(b) == 1);
    }
    PROMISE("who leaves is not told, and keeps nothing that it was granted meanwhile")
    {
        budget_shrink(&other, share - MIB);
        CHECK(told == 3 && budget_waiting(b) == 0);
        budget_wait_cancel(&w[2]);
        budget_wait_cancel(&w[2]);
        CHECK(budget_granted(&q) == NULL);
        budget_hold_end(&third);
    }
    budget_hold_end(&first);
    budget_hold_end(&second);
    budget_hold_end(&own);
    budget_hold_end(&other);
    CHECK(used_by_all(b) == 0 && budget_waiting(b) == 0);
}

static void test_steps(struct budget *b)
{
    enum { MANY = 1000 };
    static struct budget_hold holds[MANY];
    static struct budget_waiter waiters[MANY];
    struct budget_queue q;
    struct budget_waiter *w;
    unsigned count = 0, whole = 0;
    budget_queue_init(&q, b, tell, NULL);
    PROMISE("steps together leave room for a whole body, so none waits for another for ever")
    {
        for (; count < MANY; count++) {
            char name[] = {(char)('a' + count % 20), '\0'};
            hold_init(&holds[count], b, name);
            if (!budget_reserve_step(&holds[count], MIB))
                break;
        }
        CHECK(count > 1 && count < MANY);
        for (unsigned i = 0; i < count; i++) {
            if (!budget_reserve(&holds[i], WHOLE))
                CHECK(wait_for(&waiters[i], &q, &holds[i], WHOLE));
        }
        CHECK(budget_waiting(b) == count - 1 && holds[0].bytes == WHOLE);
        budget_hold_end(&holds[0]);
        for (; (w = budget_granted(&q)) != NULL; whole++)
            budget_hold_end(w->hold);
        CHECK(whole == count - 1 && used_by_all(b) == 0 && budget_waiting(b) == 0);
    }
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 3000 };

static struct budget *shared;

static void post(void *arg)
{
    sem_post(arg);
}

static void *upload(void *arg)
{
    struct budget_queue q;
    sem_t granted;
    unsigned seed = *(unsigned *)arg;
    sem_init(&granted, 0, 0);
    budget_queue_init(&q, shared, post, &granted);
    for (unsigned i = 0; i < ROUNDS; i++) {
        char name[] = {(char)('a' + (seed + i) % 3), '\0'};
        struct budget_hold hold;
        struct budget_waiter w;
        hold_init(&hold, shared, name);
        bool is_stepping = i % 2 == 0 && budget_reserve_step(&hold, MIB / 4);
        uint64_t to = is_stepping || i % 5 == 0 ? WHOLE : 3 * MIB;
        if (!budget_reserve(&hold, to)) {
            budget_waiter_init(&w);
            if (budget_wait(&w, &q, &hold, to) && i % 7 == 0) {
                budget_wait_cancel(&w);
                while (sem_trywait(&granted) == 0)
                    continue;
            } else {
                sem_wait(&granted);
                if (budget_granted(&q) != &w)
                    return NULL;
            }
        }
        budget_hold_end(&hold);
    }
    sem_destroy(&granted);
    return arg;
}

static void test_threads(struct budget *b)
{
    pthread_t threads[THREADS];
    unsigned seeds[THREADS];
    shared = b;
    PROMISE("on many threads everyone gets its turn, and nothing is lost")
    {
        for (unsigned i = 0; i < THREADS; i++) {
            seeds[i] = i;
            CHECK(pthread_create(&threads[i], NULL, upload, &seeds[i]) == 0);
        }
        for (unsigned i = 0; i < THREADS; i++) {
            void *result;
            CHECK(pthread_join(threads[i], &result) == 0 && result == &seeds[i]);
        }
        CHECK(used_by_all(b) == 0 && budget_waiting(b) == 0);
    }
}

static void test_limits(struct budget *b)
{
    struct budget_hold hold;
    PROMISE("however little there is, one body of the largest size fits")
    {
        budget_update(b, 1, BODY);
        hold_init(&hold, b, "a");
        CHECK(budget_reserve(&hold, WHOLE));
        budget_hold_end(&hold);
    }
    PROMISE("a ceiling that is raised lets those go on who wait")
    {
        struct budget_hold late;
        struct budget_queue q;
        struct budget_waiter w;
        budget_queue_init(&q, b, tell, NULL);
        hold_init(&hold, b, "a");
        hold_init(&late, b, "a");
        CHECK(budget_reserve(&hold, WHOLE) && wait_for(&w, &q, &late, WHOLE));
        CHECK(budget_granted(&q) == NULL);
        budget_update(b, 64 * MIB, BODY);
        CHECK(budget_granted(&q) == &w);
        budget_hold_end(&late);
        budget_hold_end(&hold);
    }
    PROMISE("all of it is told")
    {
        struct buf page;
        buf_init(&page, 8192);
        uint32_t caller = budget_caller(b, SLICE("a"));
        CHECK(budget_take(b, BUDGET_HEADS, caller, 1234) && budget_render(b, &page));
        CHECK(buf_append(&page, (struct slice){"", 1}));
        CHECK(strstr(page.at, "\nweir_budget_bytes{kind=\"heads\"} 1234\n") != NULL);
        CHECK(strstr(page.at, "\nweir_budget_limit_bytes{kind=\"large_bodies\"} 37748736\n") !=
              NULL);
        CHECK(strstr(page.at, "\nweir_budget_waiting 0\n") != NULL);
        budget_give(b, BUDGET_HEADS, caller, 1234);
        buf_fini(&page);
        buf_init(&page, 100);
        CHECK(!budget_render(b, &page));
        buf_fini(&page);
    }
}

int main(void)
{
    struct budget *b = budget_new(32 * MIB, BODY);
    test_counting(b);
    test_small(b);
    test_small_queue(b);
    test_growing(b);
    test_places(b);
    test_queue(b);
    test_steps(b);
    test_threads(b);
    test_limits(b);
    budget_free(b);
    return check_done();
}
