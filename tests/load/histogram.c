#include "histogram.h"

#include <inttypes.h>

enum { STEP_BITS = 6, BUCKETS = HISTOGRAM_STEPS * HISTOGRAM_POWERS };

/* Below 64 each value has its own bucket; above, the six bits after the leading one choose. */
static unsigned bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_STEPS)
        return (unsigned)value;
    unsigned power = 63u - (unsigned)__builtin_clzll(value);
    unsigned step = (unsigned)(value >> (power - STEP_BITS)) & (HISTOGRAM_STEPS - 1);
    unsigned bucket = (power - STEP_BITS + 1) * HISTOGRAM_STEPS + step;
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static uint64_t value_of(unsigned bucket)
{
    if (bucket < HISTOGRAM_STEPS)
        return bucket;
    unsigned power = bucket / HISTOGRAM_STEPS + STEP_BITS - 1;
    uint64_t low = (uint64_t)1 << power;
    return low + (bucket % HISTOGRAM_STEPS) * (low >> STEP_BITS);
}

void histogram_add(struct histogram *histogram, int64_t value_us)
{
    uint64_t value = value_us < 0 ? 0 : (uint64_t)value_us;
    histogram->count++;
    histogram->sum_us += value;
    if (value > histogram->max_us)
        histogram->max_us = value;
    histogram->buckets[bucket_of(value)]++;
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->count);
    uint64_t seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > wanted)
            return value_of(i);
    }
    return histogram->max_us;
}

void histogram_print(const struct histogram *histogram, FILE *out)
{
    uint64_t count = histogram->count == 0 ? 1 : histogram->count;
    fprintf(out,
            "{\"count\":%" PRIu64 ",\"mean\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p90\":%" PRIu64
            ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64 "}",
            histogram->count, histogram->sum_us / count, histogram_quantile(histogram, 0.5),
            histogram_quantile(histogram, 0.9), histogram_quantile(histogram, 0.99),
            histogram_quantile(histogram, 0.999), histogram->max_us);
}
