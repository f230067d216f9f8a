/* metrics.h - what a node counts, in one table, shown at /metrics as Prometheus text.
 * Each worker writes a slot of its own and nobody else does; readers add the slots up. So counting
 * is a plain load and store, and a reader may be a few requests behind, never wrong for long.
 * Labels are fixed here: no name from outside ever becomes a time series. */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

/* X(id, metric, labels or "", help). Rows of one metric stand together. */
#define COUNTER_TABLE(X)                                                                           \
    X(REQUESTS_2XX, "weir_requests_total", "status=\"2xx\"", "Requests answered, by status.")      \
    X(REQUESTS_3XX, "weir_requests_total", "status=\"3xx\"", "")                                   \
    X(REQUESTS_4XX, "weir_requests_total", "status=\"4xx\"", "")                                   \
    X(REQUESTS_429, "weir_requests_total", "status=\"429\"", "")                                   \
    X(REQUESTS_5XX, "weir_requests_total", "status=\"5xx\"", "")                                   \
    X(REQUESTS_529, "weir_requests_total", "status=\"529\"", "")                                   \
    X(REQUESTS_GONE, "weir_requests_total", "status=\"gone\"", "")                                 \
    X(ATTEMPTS_OK, "weir_upstream_attempts_total", "result=\"ok\"",                                \
      "Upstream attempts, by what came of them.")                                                  \
    X(ATTEMPTS_LIMITED, "weir_upstream_attempts_total", "result=\"limited\"", "")                  \
    X(ATTEMPTS_FAILED, "weir_upstream_attempts_total", "result=\"failed\"", "")                    \
    X(ATTEMPTS_BROKEN, "weir_upstream_attempts_total", "result=\"broken\"", "")                    \
    X(PINGS, "weir_stream_pings_total", "", "Pings of ours in streams whose provider was silent.") \
    X(USAGE_ESTIMATED, "weir_usage_estimated_total", "",                                           \
      "Answers whose output nobody told: it is booked as what passed amounts to.")                 \
    X(FAILOVERS, "weir_failovers_total", "", "Attempts that went on to another subscription.")     \
    X(RETRIES, "weir_retries_total", "", "Tries once more at the same subscription.")              \
    X(MOVES, "weir_moves_total", "", "Requests taken to an idle subscription: the head was late.") \
    X(SENT_AGAIN, "weir_upstream_sent_again_total", "",                                            \
      "Requests sent once more, because a connection of the pool was at its end.")                 \
    X(RETRIES_DENIED, "weir_retries_denied_total", "",                                             \
      "Tries that were not made, because a node makes only so many.")                              \
    X(REFUSED, "weir_refused_total", "", "Requests refused because nothing was free.")             \
    X(QUEUED, "weir_queued_total", "", "Times a request stood in line for a slot.")                \
    X(QUEUE_TIMEOUTS, "weir_queue_timeouts_total", "", "Of those, until their time was over.")     \
    X(COOLDOWNS, "weir_cooldowns_total", "", "Cooldowns set after an answer of a provider.")       \
    X(CUT_OFF, "weir_requests_cut_off_total", "",                                                  \
      "Requests that still ran when their node's time to leave was over.")                         \
    X(MALFORMED, "weir_malformed_requests_total", "", "Requests refused by the HTTP parser.")      \
    X(CONNECTIONS, "weir_client_connections_accepted_total", "", "Client connections accepted.")   \
    X(PREFACES_REFUSED, "weir_proxy_headers_refused_total", "",                                    \
      "Connections closed for their PROXY protocol header, or for having none.")                   \
    X(CLOSED_ANSWERED, "weir_client_connections_closed_for_room_total", "was=\"answered\"",        \
      "Client connections closed at the ceiling, so that others could come.")                      \
    X(CLOSED_SILENT, "weir_client_connections_closed_for_room_total", "was=\"silent\"", "")        \
    X(CLOSED_IDLE, "weir_client_connections_closed_for_room_total", "was=\"idle\"", "")            \
    X(CLOSED_ASKING, "weir_client_connections_closed_for_room_total", "was=\"asking\"", "")        \
    X(DESCRIPTORS_SHORT, "weir_descriptors_short_total", "",                                       \
      "Times a connection could not be accepted for want of a descriptor.")                        \
    X(REFUSED_CONNECTIONS, "weir_budget_refused_total", "kind=\"connections\"",                    \
      "Requests refused because the node holds as much as it may.")                                \
    X(REFUSED_HEADS, "weir_budget_refused_total", "kind=\"heads\"", "")                            \
    X(REFUSED_BODIES, "weir_budget_refused_total", "kind=\"bodies\"", "")                          \
    X(BODY_WAITS, "weir_budget_paused_total", "kind=\"bodies\"",                                   \
      "Times something was read no further until there was room.")                                 \
    X(UPSTREAM_OPENED, "weir_upstream_connections_opened_total", "",                               \
      "Connections opened to providers.")                                                          \
    X(UPSTREAM_REUSED, "weir_upstream_connections_reused_total", "",                               \
      "Requests sent on a connection that was already open.")                                      \
    X(BYTES_UP, "weir_request_body_bytes_total", "", "Request body bytes received.")               \
    X(BYTES_DOWN, "weir_response_body_bytes_total", "", "Response body bytes relayed.")            \
    X(REDIS_CALLS, "weir_redis_calls_total", "", "Calls to Redis.")                                \
    X(REDIS_FAILURES, "weir_redis_failures_total", "", "Calls to Redis that failed.")              \
    X(NOTICES_TAKEN, "weir_notices_total", "result=\"taken\"",                                     \
      "Messages of the pool's notice channel, by what they were.")                                 \
    X(NOTICES_UNKNOWN, "weir_notices_total", "result=\"unknown\"", "")                             \
    X(NOTICES_BAD, "weir_notices_total", "result=\"bad\"", "")                                     \
    X(LEASES_LOST, "weir_leases_lost_total", "", "Slots lost while the node stood still.")         \
    X(BOOKINGS_DROPPED, "weir_bookings_dropped_total", "",                                         \
      "Settlements given up because the outbox was full.")                                         \
    X(HISTORY_LOST, "weir_history_lost_total", "why=\"redis\"",                                    \
      "Finished requests that weir why will not find.")                                            \
    X(HISTORY_STRANGERS, "weir_history_lost_total", "why=\"strangers\"", "")                       \
    X(LOG_LINES_LOST, "weir_log_lines_lost_total", "",                                             \
      "Log lines that nobody read in time, or that were too long.")

#define GAUGE_TABLE(X)                                                                           \
    X(EXCHANGES_ACTIVE, "weir_exchanges_active", "", "Requests in progress on this node.")       \
    X(CLIENTS_CONNECTED, "weir_client_connections", "", "Client connections open.")              \
    X(CLIENTS_MAX, "weir_client_connections_limit", "", "The most of them there may be.")        \
    X(UPSTREAM_BUSY, "weir_upstream_connections", "state=\"busy\"", "Connections to providers.") \
    X(UPSTREAM_IDLE, "weir_upstream_connections", "state=\"idle\"", "")                          \
    X(BODY_BYTES_HELD, "weir_request_bodies_held_bytes", "", "Request bodies held in memory.")   \
    X(QUEUE_WAITING, "weir_queue_waiting", "", "Requests of this node that stand in line.")      \
    X(OUTBOX, "weir_settlements_waiting", "", "Settlements not yet confirmed by Redis.")         \
    X(REDIS_UP, "weir_redis_connections_up", "", "Workers whose Redis connection is up.")        \
    X(NOTICE_CHANNEL_UP, "weir_notice_channel_up", "", "1 while the notice channel is heard.")   \
    X(RELOAD_SUCCESSFUL, "weir_config_last_reload_successful", "",                               \
      "1 if the config was taken over when it was last read, 0 if it was refused.")              \
    X(RELOAD_TIME, "weir_config_last_reload_timestamp_seconds", "",                              \
      "When the config was last read, in Unix time; the start counts.")                          \
    X(RELOAD_SUCCESS_TIME, "weir_config_last_reload_success_timestamp_seconds", "",              \
      "When it was last read and taken over.")

#define HISTOGRAM_TABLE(X)                                                                       \
    X(ADMISSION, "weir_admission_seconds", "From a complete request to its slot.")               \
    X(QUEUE, "weir_queue_seconds", "In line for a slot.")                                        \
    X(FIRST_BYTE, "weir_upstream_first_byte_seconds", "From sending to the answer's head.")      \
    X(TOTAL, "weir_request_seconds", "From a complete request head to the end of the answer.")   \
    X(OVERHEAD, "weir_overhead_seconds",                                                         \
      "Of that, before the first byte: time not spent receiving the request or waiting for the " \
      "provider.")                                                                               \
    X(REDIS, "weir_redis_seconds", "Round trip of a call to Redis.")

enum counter {
#define X(id, metric, labels, help) COUNT_##id,
    COUNTER_TABLE(X)
#undef X
        COUNTERS
};

enum gauge {
#define X(id, metric, labels, help) GAUGE_##id,
    GAUGE_TABLE(X)
#undef X
        GAUGES
};

enum histogram {
#define X(id, metric, help) HISTOGRAM_##id,
    HISTOGRAM_TABLE(X)
#undef X
        HISTOGRAMS
};

enum { HISTOGRAM_BUCKETS = 22 };

struct metrics_histogram {
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS + 1]; /* not cumulative; the last is +Inf */
    _Atomic uint64_t sum_ns;
};

struct metrics { /* one worker's slot */
    _Atomic uint64_t counters[COUNTERS];
    _Atomic int64_t gauges[GAUGES];
    struct metrics_histogram histograms[HISTOGRAMS];
};

static inline void metrics_add(struct metrics *m, enum counter c, uint64_t n)
{
    uint64_t value = atomic_load_explicit(&m->counters[c], memory_order_relaxed);
    atomic_store_explicit(&m->counters[c], value + n, memory_order_relaxed);
}

static inline void metrics_move(struct metrics *m, enum gauge g, int64_t by)
{
    int64_t value = atomic_load_explicit(&m->gauges[g], memory_order_relaxed);
    atomic_store_explicit(&m->gauges[g], value + by, memory_order_relaxed);
}

static inline void metrics_set(struct metrics *m, enum gauge g, int64_t value)
{
    atomic_store_explicit(&m->gauges[g], value, memory_order_relaxed);
}

void metrics_observe(struct metrics *m, enum histogram h, uint64_t ns);
int64_t metrics_gauge(const struct metrics *slots, unsigned count, enum gauge g); /* summed up */
uint64_t metrics_counter(const struct metrics *slots, unsigned count, enum counter c);

/* Prometheus text format 0.0.4 of all slots together. False: `out` is full. */
MUST_USE bool metrics_render(const struct metrics *slots, unsigned count, struct buf *out);
