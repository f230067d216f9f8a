/* `weir drain`: the node is told to leave, and asked how far it is until its door is closed. The
 * node bounds that: server.drain_seconds, and the moment it takes to close. The process may be
 * there for a while still, as long as callers keep idle connections that were never told to go. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "cli/answer.h"

enum { LOOK_MS = 300, DRAIN_MAX_S = 2 * 3600, NAME_SHOWN = 129 };

struct progress {
    bool is_begun;
    uint64_t running; /* as it was told last */
    char node[NAME_SHOWN];
};

static void wait_a_little(void)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    nanosleep(&pause, NULL);
}

static void tell_progress(struct progress *p, const json_t *body)
{
    uint64_t running = cli_number_of(body, "running");
    if (!p->is_begun) {
        cli_text_of(body, "node", p->node, sizeof(p->node));
        printf("%s is leaving: not ready any more, and ends when nothing runs\n", p->node);
    }
    if (!p->is_begun || running != p->running)
        printf("%llu request%s left\n", (unsigned long long)running, running == 1 ? "" : "s");
    p->is_begun = true;
    p->running = running;
    fflush(stdout);
}

static int tell_end(const struct progress *p)
{
    if (p->running == 0) {
        printf("%s is drained: nothing ran, and its door is closed\n", p->node);
        return EXIT_FINE;
    }
    return cli_complain(EXIT_FAILED,
                        "%s takes no connections any more; when it was last asked %llu still "
                        "ran: its log says what became of them",
                        p->node, (unsigned long long)p->running);
}

/* True: ask again. */
static bool look(const struct cli_target *target, struct progress *p, int *code)
{
    struct cli_answer answer;
    const char *why;
    bool goes_on = false;
    if (!cli_ask(target, "/admin/drain", "", &answer, &why)) {
        *code = p->is_begun ? tell_end(p) : cli_complain_unreachable(target, why);
    } else {
        json_t *body = cli_answer_json(&answer);
        goes_on = answer.status == 200 && json_is_integer(json_object_get(body, "running"));
        if (goes_on)
            tell_progress(p, body);
        else
            *code = cli_complain_answer(target, &answer, body);
        json_decref(body);
    }
    cli_answer_fini(&answer);
    return goes_on;
}

int cli_drain(const struct cli_options *options)
{
    struct cli_target target;
    struct progress progress = {0};
    int code = EXIT_USAGE;
    if (!cli_target_init(&target, options)) {
        cli_target_fini(&target);
        return code;
    }
    uint64_t deadline_ms = clock_ms() + DRAIN_MAX_S * 1000ULL;
    while (look(&target, &progress, &code)) {
        if (clock_ms() > deadline_ms) {
            code = cli_complain(EXIT_FAILED, "%s has not left in two hours", progress.node);
            break;
        }
        wait_a_little();
    }
    cli_target_fini(&target);
    return code;
}
