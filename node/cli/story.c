/* A row a kind of line. What a provider said stands behind what we made of it, in its own words. */
#include "cli/story.h"

#include <stdio.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/line.h"

enum { NAME_MAX_SHOWN = 129, TEXT_MAX_SHOWN = 1200 };

struct text {
    char at[TEXT_MAX_SHOWN];
};

static const char *text(const json_t *line, const char *key, struct text *room)
{
    return cli_text_of(line, key, room->at, sizeof(room->at));
}

static bool has(const json_t *line, const char *key)
{
    return json_object_get(line, key) != NULL;
}

static unsigned long long number(const json_t *line, const char *key)
{
    return (unsigned long long)cli_number_of(line, key);
}

/* "12 ms", "1.9 s", "3 min" */
static const char *took(double ms, char out[32])
{
    if (ms < 1000)
        snprintf(out, 32, "%.0f ms", ms);
    else if (ms < 120000)
        snprintf(out, 32, "%.1f s", ms / 1000);
    else
        snprintf(out, 32, "%.0f min", ms / 60000);
    return out;
}

/* What the provider said of it, if it said anything. */
static void tell_said(const json_t *line)
{
    struct text type, message, id;
    bool has_type = has(line, "error_type"), has_message = has(line, "message");
    if (has_type || has_message)
        printf("\n    it said %s%s", text(line, "error_type", &type),
               has_type && has_message ? ": " : "");
    if (has_message)
        printf("\"%s\"", text(line, "message", &message));
    if (has(line, "provider_id"))
        printf("\n    its id of the request is %s", text(line, "provider_id", &id));
}

/* ---- lines on the way ---- */

/* "alpha answered 500: reason", or "alpha gave no answer: detail". */
static void tell_answer(const json_t *line)
{
    struct text name, why;
    printf("%s ", text(line, "subscription", &name));
    if (number(line, "status") > 0)
        printf("answered %llu: %s", number(line, "status"), text(line, "reason", &why));
    else
        printf("gave no answer: %s", text(line, has(line, "detail") ? "detail" : "error", &why));
}

static void tell_failed(const json_t *line)
{
    tell_answer(line);
    tell_said(line);
}

static void tell_cooling(const json_t *line)
{
    char left[32];
    tell_answer(line);
    printf("; it gets nothing more for %s", cli_duration(number(line, "seconds"), left));
    tell_said(line);
}

static void tell_closed(const json_t *line)
{
    char left[32];
    tell_answer(line);
    printf("; it gets no such requests for %s", cli_duration(number(line, "seconds"), left));
    tell_said(line);
}

static void tell_doubted(const json_t *line)
{
    tell_answer(line);
    printf("; refused once more it gets nothing");
    tell_said(line);
}

static void tell_failover(const json_t *line)
{
    struct text name;
    printf("away from %s, to another one", text(line, "from", &name));
}

static void tell_route(const json_t *line)
{
    struct text name, why;
    printf("%s is asked (%s, %llu of %llu slots in use)", text(line, "subscription", &name),
           text(line, "reason", &why), number(line, "slots_used"), number(line, "slots"));
}

static void tell_retry(const json_t *line)
{
    struct text name;
    printf("%s is asked again in %llu ms", text(line, "subscription", &name),
           number(line, "in_ms"));
}

static void tell_moved(const json_t *line)
{
    struct text name;
    printf("away from %s, which had said nothing for %llu ms, to an idle one",
           text(line, "from", &name), number(line, "late_ms"));
}

static void tell_broken(const json_t *line)
{
    struct text name, why;
    printf("the answer of %s broke off: %s", text(line, "subscription", &name),
           text(line, has(line, "detail") ? "detail" : "error", &why));
}

/* ---- the last ---- */

/* Whose the answer is. */
static void tell_end(const json_t *line)
{
    struct text end, name, why;
    bool is_well = number(line, "status") < 400, has_reason = has(line, "reason");
    text(line, "end", &end);
    text(line, "subscription", &name);
    text(line, "reason", &why);
    if (strcmp(end.at, "client_gone") == 0)
        printf("the caller left before it was over");
    else if (strcmp(end.at, "broken") == 0)
        printf("the answer, %llu, was not whole", number(line, "status"));
    else if (is_well)
        printf("the caller got %llu, from %s", number(line, "status"), name.at);
    else if (has_reason)
        printf("Weir itself said %llu", number(line, "status"));
    else
        printf("the caller got %llu, as %s said it", number(line, "status"), name.at);
    if (has_reason)
        printf(": %s", why.at);
    if (is_well || !has_reason)
        tell_said(line);
}

static void tell_usage(const json_t *line)
{
    struct text kind;
    if (!has(line, "input"))
        return;
    printf("\n    used %llu tokens in, %llu out%s; from cache %llu, into it %llu",
           number(line, "input"), number(line, "output"),
           text(line, "output_is", &kind)[0] != '\0' ? " (estimated)" : "",
           number(line, "cache_read"), number(line, "cache_write"));
}

static void tell_times(const json_t *line)
{
    static const struct {
        const char *key, *words;
    } times[] = {{"admission_ms", "a slot after"}, {"first_byte_ms", "the answer began after"}};
    char time[32];
    printf("\n    took %s", took(json_number_value(json_object_get(line, "total_ms")), time));
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        if (has(line, times[i].key))
            printf(", %s %s", times[i].words,
                   took(json_number_value(json_object_get(line, times[i].key)), time));
    printf("; %llu bytes in, %llu out", number(line, "bytes_in"), number(line, "bytes_out"));
}

static void tell_finished(const json_t *line)
{
    struct text name, route;
    tell_end(line);
    if (has(line, "route"))
        printf("\n    %s was chosen by %s, with %llu of %llu slots in use",
               text(line, "subscription", &name), text(line, "route", &route),
               number(line, "slots_used"), number(line, "slots"));
    tell_times(line);
    tell_usage(line);
    if (number(line, "lines_left_out") > 0)
        printf("\n    %llu lines of it did not fit in here; the log has them",
               number(line, "lines_left_out"));
}

/* What it waits for. */
static void tell_running(const json_t *line)
{
    static const struct {
        const char *step, *words;
    } steps[] = {{"admit", "it waits for Redis to lend a slot"},
                 {"send", "it waits for the answer of"},
                 {"collect", "it reads the error of"},
                 {"relay", "the answer passes, from"},
                 {"again", "it waits to ask once more:"}};
    struct text step, name;
    char time[32];
    printf("it still runs, for %s by now",
           took(json_number_value(json_object_get(line, "running_ms")), time));
    text(line, "step", &step);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (strcmp(step.at, steps[i].step) == 0)
            printf("; %s %s", steps[i].words, i > 0 ? text(line, "subscription", &name) : "");
    if (number(line, "bytes_out") > 0)
        printf(", %llu bytes so far", number(line, "bytes_out"));
    tell_said(line);
}

static void tell_turned_away(const json_t *line)
{
    struct text why;
    printf("Weir itself turned it away with %llu: %s", number(line, "status"),
           text(line, "reason", &why));
}

static const struct {
    const char *event;
    void (*tell)(const json_t *line);
} kinds[] = {
    {"attempt failed", tell_failed},
    {"subscription cooling", tell_cooling},
    {"subscription closed to such requests", tell_closed},
    {"credential doubted", tell_doubted},
    {"failover", tell_failover},
    {"route", tell_route},
    {"retry", tell_retry},
    {"moved", tell_moved},
    {"answer broken off", tell_broken},
    {"exchange finished", tell_finished},
    {"exchange running", tell_running},
    {"request turned away", tell_turned_away},
};

static void tell(json_t *line)
{
    struct text event;
    text(line, "event", &event);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(event.at, kinds[i].event) == 0) {
            kinds[i].tell(line);
            return;
        }
    printf("%s", event.at[0] != '\0' ? event.at : text(line, "text", &event));
    cli_line_fields(line, "id client node boot thread text");
}

/* Who asked for what, where: the last line has it all. */
static void print_head(const char *id, const json_t *last)
{
    struct text part;
    cli_put(CLI_BOLD, "%s", id);
    printf(": %s ", has(last, "method") ? text(last, "method", &part) : "a request");
    printf("%s", text(last, "path", &part));
    if (has(last, "model"))
        printf(", model %s", text(last, "model", &part));
    printf("; from %s", text(last, "client", &part));
    printf("; on node %s", text(last, "node", &part));
    printf(" (boot %s)\n\n", text(last, "boot", &part));
}

void cli_story_print(const char *id, const json_t *lines)
{
    size_t i;
    json_t *line;
    char time[CLI_TIME_MAX];
    print_head(id, json_array_get(lines, json_array_size(lines) - 1));
    json_array_foreach(lines, i, line)
    {
        cli_put(CLI_DIM, "%s  ", cli_line_time(line, time));
        cli_put(cli_line_colour(line), "* ");
        tell(line);
        putchar('\n');
    }
}
