/* Rows of the tables in metrics.h, and the page made of them. A slot has one writer, so adding is
 * a relaxed load and store; a reader adds up the slots and may see one counter newer than the
 * next. A histogram keeps each value in one bucket only; the page makes Prometheus' running sums
 * of them. */
#include "base/metrics.h"

#include <inttypes.h>
#include <string.h>

static const uint64_t bucket_ns[HISTOGRAM_BUCKETS] = {
    50000,       100000,       250000,       500000,      1000000,     2500000,
    5000000,     10000000,     25000000,     50000000,    100000000,   250000000,
    500000000,   1000000000,   2500000000,   5000000000,  10000000000, 30000000000,
    60000000000, 120000000000, 300000000000, 600000000000};

struct row {
    const char *metric;
    const char *labels;
    const char *help;
};

static const struct row counter_rows[] = {
#define X(id, metric, labels, help) {metric, labels, help},
    COUNTER_TABLE(X)
#undef X
};

static const struct row gauge_rows[] = {
#define X(id, metric, labels, help) {metric, labels, help},
    GAUGE_TABLE(X)
#undef X
};

static const struct row histogram_rows[] = {
#define X(id, metric, help) {metric, "", help},
    HISTOGRAM_TABLE(X)
#undef X
};

static void increase(_Atomic uint64_t *value, uint64_t by)
{
    uint64_t old = atomic_load_explicit(value, memory_order_relaxed);
    atomic_store_explicit(value, old + by, memory_order_relaxed);
}

void metrics_observe(struct metrics *m, enum histogram h, uint64_t ns)
{
    unsigned i = 0;
    while (i < HISTOGRAM_BUCKETS && ns > bucket_ns[i])
        i++;
    increase(&m->histograms[h].buckets[i], 1);
    increase(&m->histograms[h].sum_ns, ns);
}

int64_t metrics_gauge(const struct metrics *slots, unsigned count, enum gauge g)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += atomic_load_explicit(&slots[i].gauges[g], memory_order_relaxed);
    return sum;
}

uint64_t metrics_counter(const struct metrics *slots, unsigned count, enum counter c)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += atomic_load_explicit(&slots[i].counters[c], memory_order_relaxed);
    return sum;
}

static bool render_help(struct buf *out, const struct row *row, const char *type)
{
    return row->help[0] == '\0' || buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->metric,
                                              row->help, row->metric, type);
}

static bool render_value(struct buf *out, const struct row *row, int64_t value)
{
    const char *open = row->labels[0] != '\0' ? "{" : "";
    const char *close = row->labels[0] != '\0' ? "}" : "";
    return buf_printf(out, "%s%s%s%s %" PRId64 "\n", row->metric, open, row->labels, close, value);
}

static uint64_t bucket_sum(const struct metrics *slots, unsigned count, enum histogram h,
                           unsigned b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += atomic_load_explicit(&slots[i].histograms[h].buckets[b], memory_order_relaxed);
    return sum;
}

static bool render_histogram(struct buf *out, const struct metrics *slots, unsigned count,
                             enum histogram h)
{
    const char *name = histogram_rows[h].metric;
    uint64_t total = 0, sum_ns = 0;
    bool fits = render_help(out, &histogram_rows[h], "histogram");
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        total += bucket_sum(slots, count, h, b);
        fits = fits && buf_printf(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                                  (double)bucket_ns[b] / 1e9, total);
    }
    total += bucket_sum(slots, count, h, HISTOGRAM_BUCKETS);
    for (unsigned i = 0; i < count; i++)
        sum_ns += atomic_load_explicit(&slots[i].histograms[h].sum_ns, memory_order_relaxed);
    return fits &&
           buf_printf(out,
                      "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.9f\n%s_count %" PRIu64 "\n",
                      name, total, name, (double)sum_ns / 1e9, name, total);
}

bool metrics_render(const struct metrics *slots, unsigned count, struct buf *out)
{
    bool fits = true;
    for (unsigned c = 0; c < COUNTERS && fits; c++)
        fits = render_help(out, &counter_rows[c], "counter") &&
               render_value(out, &counter_rows[c],
                            (int64_t)metrics_counter(slots, count, (enum counter)c));
    for (unsigned g = 0; g < GAUGES && fits; g++)
        fits = render_help(out, &gauge_rows[g], "gauge") &&
               render_value(out, &gauge_rows[g], metrics_gauge(slots, count, (enum gauge)g));
    for (unsigned h = 0; h < HISTOGRAMS && fits; h++)
        fits = render_histogram(out, slots, count, (enum histogram)h);
    return fits;
}
