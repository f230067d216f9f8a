/* histogram.h - counts of microseconds, exact to about 1.6 %, in constant memory. */
#pragma once

#include <stdint.h>
#include <stdio.h>

enum {
    HISTOGRAM_STEPS = 64,  /* buckets a power of two */
    HISTOGRAM_POWERS = 40, /* up to 2^45 us: longer than any run */
};

struct histogram {
    uint64_t count;
    uint64_t sum_us;
    uint64_t max_us;
    uint64_t buckets[HISTOGRAM_STEPS * HISTOGRAM_POWERS];
};

void histogram_add(struct histogram *histogram, int64_t value_us);
/* The value below which this share (0..1) of the counts lies. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);
/* As a JSON object. */
void histogram_print(const struct histogram *histogram, FILE *out);
