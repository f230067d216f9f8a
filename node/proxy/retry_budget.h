/* retry_budget.h - how often a node sends requests once more: at most retry.percent of them, and a
 * few at once. In a whole outage providers then get so much more than is asked of us, not a
 * multiple of it; and since each node keeps to its share, so does the cluster.
 * Tries that cannot repeat (the failure has closed the subscription to such requests) are not
 * counted. Any thread. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    RETRY_REFILL_MS = 20000,   /* a try is earned by time too: for a node that is asked little */
    RETRY_AT_ONCE_MILLE = 5000 /* the most that is kept, and what there is at first */
};

struct retry_budget {
    _Atomic int64_t mille; /* thousandths of a try */
    _Atomic uint64_t filled_ms;
};

void retry_budget_init(struct retry_budget *budget, uint64_t now_ms);
/* A request has come: so much of a try is earned. */
void retry_budget_earn(struct retry_budget *budget, unsigned percent);
/* False: no more now. */
bool retry_budget_spend(struct retry_budget *budget, uint64_t now_ms);
