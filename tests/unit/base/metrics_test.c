#include "base/metrics.h"

#include "check.h"

enum { SLOTS = 3, PAGE_MAX = 1 << 20 };

static struct metrics slots[SLOTS];

/* The value of the first line that begins with `series` and a space, or -1. */
static long value_in(const char *page, const char *series)
{
    size_t len = strlen(series);
    for (const char *line = page; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, series, len) == 0 && line[len] == ' ')
            return strtol(line + len, NULL, 10);
    }
    return -1;
}

static int count_of(const char *page, const char *text)
{
    int count = 0;
    for (const char *at = strstr(page, text); at != NULL; at = strstr(at + 1, text))
        count++;
    return count;
}

static void test_page(const char *page)
{
    PROMISE("counters and gauges on the page are sums of all workers")
    {
        CHECK(value_in(page, "weir_requests_total{status=\"2xx\"}") == 12);
        CHECK(value_in(page, "weir_requests_total{status=\"429\"}") == 0);
        CHECK(value_in(page, "weir_exchanges_active") == 3);
        CHECK(value_in(page, "weir_settlements_waiting") == 9);
    }
    PROMISE("buckets are cumulative, a value on a border belongs below it, and +Inf is the count")
    {
        CHECK(value_in(page, "weir_request_seconds_bucket{le=\"5e-05\"}") == 1);
        CHECK(value_in(page, "weir_request_seconds_bucket{le=\"0.0001\"}") == 2);
        CHECK(value_in(page, "weir_request_seconds_bucket{le=\"600\"}") == 2);
        CHECK(value_in(page, "weir_request_seconds_bucket{le=\"+Inf\"}") == 3);
        CHECK(value_in(page, "weir_request_seconds_count") == 3);
        CHECK(value_in(page, "weir_request_seconds_sum") == 1000);
    }
    PROMISE("each metric has one HELP and one TYPE line, however many series it has")
    {
        CHECK(count_of(page, "# HELP weir_requests_total ") == 1);
        CHECK(count_of(page, "# TYPE weir_requests_total counter\n") == 1);
        CHECK(count_of(page, "# TYPE weir_upstream_connections gauge\n") == 1);
        CHECK(count_of(page, "# TYPE weir_request_seconds histogram\n") == 1);
        CHECK(count_of(page, "# HELP ") == count_of(page, "# TYPE "));
    }
}

int main(void)
{
    struct buf page;
    buf_init(&page, PAGE_MAX);
    metrics_add(&slots[0], COUNT_REQUESTS_2XX, 5);
    metrics_add(&slots[2], COUNT_REQUESTS_2XX, 7);
    metrics_move(&slots[0], GAUGE_EXCHANGES_ACTIVE, 5);
    metrics_move(&slots[1], GAUGE_EXCHANGES_ACTIVE, -2);
    metrics_set(&slots[1], GAUGE_OUTBOX, 9);
    metrics_observe(&slots[0], HISTOGRAM_TOTAL, 50000);
    metrics_observe(&slots[1], HISTOGRAM_TOTAL, 50001);
    metrics_observe(&slots[2], HISTOGRAM_TOTAL, UINT64_C(1000) * 1000000000);

    PROMISE("a reader sees the sum of the workers' slots")
    {
        CHECK(metrics_counter(slots, SLOTS, COUNT_REQUESTS_2XX) == 12);
        CHECK(metrics_counter(slots, 1, COUNT_REQUESTS_2XX) == 5);
        CHECK(metrics_gauge(slots, SLOTS, GAUGE_EXCHANGES_ACTIVE) == 3);
    }
    PROMISE("the page fits its buffer and ends in a line end")
    {
        CHECK(metrics_render(slots, SLOTS, &page));
        CHECK(buf_len(&page) > 0 && buf_slice(&page).at[buf_len(&page) - 1] == '\n');
        CHECK(buf_append(&page, (struct slice){"", 1}));
    }
    test_page(buf_slice(&page).at);
    buf_fini(&page);

    PROMISE("a page too large for its buffer is reported")
    {
        struct buf small;
        buf_init(&small, 100);
        CHECK(!metrics_render(slots, SLOTS, &small));
        buf_fini(&small);
    }
    return check_done();
}
