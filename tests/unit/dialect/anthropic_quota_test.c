#include <stdio.h>

#include "check.h"
#include "dialect/anthropic.h"
#include "dialect/quota.h"

enum { NOW_S = 1795694400 }; /* 2026-11-26 12:00 UTC */

static char text[QUOTA_TEXT_MAX];

/* Heads of up to sixteen "name: value", as the pool is told. */
static struct slice told(const char *const *lines)
{
    struct http1_header headers[64];
    struct http1_response response = {.status = 200, .headers = headers};
    struct quota quota;
    for (; *lines != NULL; lines++) {
        struct http1_header *h = &headers[response.header_count++];
        h->value = slice_cut(slice_of(*lines), ':', &h->name);
    }
    anthropic_read_quota(&response, NOW_S * 1000ULL + 250, &quota);
    struct slice all = quota_text(&quota, text);
    return all;
}

#define TOLD(...) told((const char *const[]){__VA_ARGS__, NULL})

static void test_windows(void)
{
    PROMISE("each window of a subscription is told with what is used and when it begins anew")
    {
        CHECK_TEXT(TOLD("anthropic-ratelimit-unified-status: allowed",
                        "anthropic-ratelimit-unified-5h-status: allowed",
                        "anthropic-ratelimit-unified-5h-reset: 1795700000",
                        "anthropic-ratelimit-unified-5h-utilization: 0.42",
                        "anthropic-ratelimit-unified-7d-utilization: 0.8153",
                        "anthropic-ratelimit-unified-7d-reset: 1796000000"),
                   "5h:4200:1795700000 7d:8153:1796000000");
    }
    PROMISE("a family's window is told by its name, whatever the case of the header")
    CHECK_TEXT(TOLD("Anthropic-RateLimit-Unified-7d_Opus-Utilization: 1.03",
                    "anthropic-ratelimit-unified-7D_OPUS-reset: 1796000000"),
               "7d_opus:10300:1796000000");
    PROMISE("without a reset, or with one that nobody can read, none is told")
    CHECK_TEXT(TOLD("anthropic-ratelimit-unified-5h-utilization: 0",
                    "anthropic-ratelimit-unified-7d-utilization: 1",
                    "anthropic-ratelimit-unified-7d-reset: soon"),
               "5h:0:0 7d:10000:0");
    PROMISE("what has no length is a lane beside the windows")
    CHECK_TEXT(TOLD("anthropic-ratelimit-unified-overage-utilization: 0.5",
                    "anthropic-ratelimit-unified-grace-5h-utilization: 0.5",
                    "anthropic-ratelimit-unified-slow-budget-utilization: 0.5"),
               "");
}

static void test_shares(void)
{
    /* clang-format off */
    static const struct {
        const char *text;
        int share; /* -1: not one */
    } rows[] = {
        {"0", 0},
        {"1", 10000},
        {"0.5", 5000},
        {"0.00019", 1},
        {"1.25", 12500},
        {"100", 1000000},
        {"101", -1},
        {"", -1},
        {".5", -1},
        {"0.5.1", -1},
        {"-1", -1},
        {"50%", -1},
        {"1e3", -1},
        {"0,5", -1},
        {"99999999999999", -1},
        {"0.", 0},
        {"0.99999", 9999},
    };
    /* clang-format on */
    PROMISE("a share is a decimal number up to a hundred, in ten-thousandths")
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t share = 0;
        bool is_one = quota_read_share(slice_of(rows[i].text), &share);
        CHECK((is_one ? (int)share : -1) == rows[i].share);
    }
}

static void test_keys(void)
{
    PROMISE("a key's limits a minute are told in tenths, without the end that moves")
    CHECK_TEXT(TOLD("anthropic-ratelimit-requests-limit: 50",
                    "anthropic-ratelimit-requests-remaining: 49",
                    "anthropic-ratelimit-input-tokens-limit: 40000",
                    "anthropic-ratelimit-input-tokens-remaining: 3999",
                    "anthropic-ratelimit-input-tokens-reset: 2026-11-26T12:00:30Z"),
               "1m.requests:0:0 1m.input-tokens:9000:0");
    PROMISE("a limit of which the half is missing, or nothing, is none")
    CHECK_TEXT(TOLD("anthropic-ratelimit-requests-remaining: 49",
                    "anthropic-ratelimit-tokens-limit: 0",
                    "anthropic-ratelimit-tokens-remaining: 0",
                    "anthropic-ratelimit-input-tokens-limit: many",
                    "anthropic-ratelimit-input-tokens-remaining: 5"),
               "");
    PROMISE("more is left than there is: nothing is used")
    CHECK_TEXT(TOLD("anthropic-ratelimit-requests-limit: 50",
                    "anthropic-ratelimit-requests-remaining: 60"),
               "1m.requests:0:0");
}

static void test_bounds(void)
{
    PROMISE("an answer tells eight windows at most, and none with a name that no window has")
    {
        CHECK_TEXT(TOLD("anthropic-ratelimit-unified-7d_a-name-that-goes-on-and-on-utilization: 1",
                        "anthropic-ratelimit-unified-7d_a:b-utilization: 1",
                        "anthropic-ratelimit-unified-1h-utilization: 0.1",
                        "anthropic-ratelimit-unified-2h-utilization: 0.1",
                        "anthropic-ratelimit-unified-3h-utilization: 0.1",
                        "anthropic-ratelimit-unified-4h-utilization: 0.1",
                        "anthropic-ratelimit-unified-5h-utilization: 0.1",
                        "anthropic-ratelimit-unified-6h-utilization: 0.1",
                        "anthropic-ratelimit-unified-7h-utilization: 0.1",
                        "anthropic-ratelimit-unified-8h-utilization: 0.1",
                        "anthropic-ratelimit-unified-9h-utilization: 0.1"),
                   "1h:1000:0 2h:1000:0 3h:1000:0 4h:1000:0 5h:1000:0 6h:1000:0 7h:1000:0 "
                   "8h:1000:0");
    }
}

int main(void)
{
    test_windows();
    test_shares();
    test_keys();
    test_bounds();
    return check_done();
}
