/* One number. Threads may race for its last thousandths; then a try more or less is made. */
#include "proxy/retry_budget.h"

void retry_budget_init(struct retry_budget *b, uint64_t now_ms)
{
    atomic_init(&b->mille, RETRY_AT_ONCE_MILLE);
    atomic_init(&b->filled_ms, now_ms);
}

static void put(struct retry_budget *b, int64_t mille)
{
    int64_t before = atomic_load_explicit(&b->mille, memory_order_relaxed);
    int64_t after = before + mille < RETRY_AT_ONCE_MILLE ? before + mille : RETRY_AT_ONCE_MILLE;
    if (after != before)
        atomic_fetch_add_explicit(&b->mille, after - before, memory_order_relaxed);
}

void retry_budget_earn(struct retry_budget *b, unsigned percent)
{
    put(b, (int64_t)percent * 10);
}

static void refill(struct retry_budget *b, uint64_t now_ms)
{
    uint64_t filled_ms = atomic_load_explicit(&b->filled_ms, memory_order_relaxed);
    uint64_t mille = now_ms > filled_ms ? (now_ms - filled_ms) * 1000 / RETRY_REFILL_MS : 0;
    if (mille > 0 && atomic_compare_exchange_strong(&b->filled_ms, &filled_ms, now_ms))
        put(b, mille < RETRY_AT_ONCE_MILLE ? (int64_t)mille : RETRY_AT_ONCE_MILLE);
}

bool retry_budget_spend(struct retry_budget *b, uint64_t now_ms)
{
    refill(b, now_ms);
    if (atomic_fetch_sub_explicit(&b->mille, 1000, memory_order_relaxed) >= 1000)
        return true;
    atomic_fetch_add_explicit(&b->mille, 1000, memory_order_relaxed);
    return false;
}
