/* main.c - weir-load: runs the measurement and prints what it saw. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "options.h"
#include "run.h"

static const char *const OUTCOME_NAMES[OUTCOME_COUNT] = {"ok",     "connect", "closed",   "timeout",
                                                         "status", "bytes",   "malformed"};

static void print_watched(const struct run *run)
{
    printf("\"cpu_us\":{");
    for (size_t i = 0; i < run->options->watch_count; i++)
        printf("%s\"%d\":%" PRId64, i == 0 ? "" : ",", run->options->watch[i],
               run->watch_used_us[i]);
    printf("},\n");
}

/* Requests that were asked for by number, and for which there was no time. */
static uint64_t missing(const struct run *run)
{
    uint64_t wanted = (uint64_t)run->options->requests;
    return wanted > run->ended ? wanted - run->ended : 0;
}

static void print_result(const struct run *run)
{
    double seconds = (double)run->measured_us / 1e6;
    double per_second = seconds > 0 ? (double)run->outcomes[OUTCOME_OK] / seconds : 0;
    printf("{");
    for (size_t i = 0; i < OUTCOME_COUNT; i++)
        printf("\"%s\":%" PRIu64 ",", OUTCOME_NAMES[i], run->outcomes[i]);
    printf("\n\"warmup_errors\":%" PRIu64 ",\"missing\":%" PRIu64 ",", run->warmup_errors,
           missing(run));
    printf("\"dropped\":%" PRIu64 ",\"held\":%d,\"connects\":%" PRIu64 ",\"body_bytes\":%" PRIu64
           ",\"events\":%" PRIu64 ",\n\"seconds\":%.3f,\"per_second\":%.1f,\n",
           run->dropped, run->held, run->connects, run->body_bytes, run->events, seconds,
           per_second);
    print_watched(run);
    printf("\"latency\":");
    histogram_print(&run->latency, stdout);
    printf(",\n\"first_byte\":");
    histogram_print(&run->first_byte, stdout);
    printf(",\n\"event_delay\":");
    histogram_print(&run->event_delay, stdout);
    printf("}\n");
}

int main(int argc, char **argv)
{
    static struct run run;
    struct options options;
    struct rlimit limit;
    options_read(&options, argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    signal(SIGPIPE, SIG_IGN);
    run_init(&run, &options);
    run_loop(&run);
    print_result(&run);
    int status = run_errors(&run) > 0 || missing(&run) > 0;
    run_fini(&run);
    return status;
}
