/* `weir logs`: the log of nodes, which is JSON where nobody sits before it, as a person reads it.
 * It comes from a file or through a pipe, of one node or several, with or without what docker puts
 * before a line; where it is kept and how it is followed is for journalctl, docker and tail, which
 * do that well. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/answer.h"
#include "cli/line.h"

enum { LINE_MAX_BYTES = 64 * 1024, WORD_MAX = 129 };

struct filter {
    const char *node, *id;
    enum log_level level;
    char since[CLOCK_TEXT_MAX]; /* "": from the beginning */
    bool is_any;                /* nothing is asked for: what is no line of ours is shown too */
    bool is_json;
};

struct counts {
    unsigned long shown, foreign;
};

static bool has_text(const json_t *line, const char *key, const char *wanted)
{
    char text[WORD_MAX];
    return strcmp(cli_text_of(line, key, text, sizeof(text)), wanted) == 0;
}

static bool is_wanted(const struct filter *f, const json_t *line)
{
    char text[CLOCK_TEXT_MAX];
    enum log_level level = LOG_INFO;
    (void)log_level_parse(slice_of(cli_text_of(line, "level", text, sizeof(text))), &level);
    if (level > f->level || (f->node != NULL && !has_text(line, "node", f->node)))
        return false;
    if (f->id != NULL && !has_text(line, "id", f->id) && !has_text(line, "provider_id", f->id))
        return false;
    return f->since[0] == '\0' ||
           strcmp(cli_text_of(line, "time", text, sizeof(text)), f->since) >= 0;
}

static void print_line(json_t *line)
{
    char time[CLI_TIME_MAX], level[8], node[WORD_MAX], event[512];
    cli_put(CLI_DIM, "%s ", cli_line_time(line, time));
    cli_put(cli_line_colour(line), "%-5s ", cli_text_of(line, "level", level, sizeof(level)));
    cli_put(CLI_BOLD, "%s ", cli_text_of(line, "node", node, sizeof(node)));
    printf("%s", cli_text_of(line, "event", event, sizeof(event)));
    cli_line_fields(line, "node boot thread");
    putchar('\n');
}

static void print_foreign(const char *text)
{
    for (; *text != '\0' && *text != '\n'; text++)
        putchar((*text < ' ' && *text != '\t') || *text == 0x7f ? '?' : *text);
    putchar('\n');
}

/* What stands before the line is docker's: "node-1  | ". */
static void take(const struct filter *f, const char *text, struct counts *counts)
{
    const char *from = strchr(text, '{');
    json_t *line = from != NULL ? json_loads(from, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    if (json_is_string(json_object_get(line, "event"))) {
        if (is_wanted(f, line)) {
            counts->shown++;
            if (f->is_json)
                fputs(from, stdout);
            else
                print_line(line);
        }
    } else {
        counts->foreign++;
        if (f->is_any && !f->is_json)
            print_foreign(text);
    }
    json_decref(line);
}

static struct counts read_all(const struct filter *f, FILE *from)
{
    static char text[LINE_MAX_BYTES];
    struct counts counts = {0};
    while (fgets(text, sizeof(text), from) != NULL) {
        take(f, text, &counts);
        fflush(stdout); /* who follows a log wants it now */
    }
    return counts;
}

/* ---- what is asked for ---- */

/* "90s", "10m", "2h", "3d" ago; 0: it is none. */
static uint64_t ago_ms(struct slice text)
{
    static const char units[] = "smhd";
    static const uint64_t unit_ms[] = {1000, 60000, 3600000, 86400000};
    uint64_t number;
    const char *unit = text.len > 1 ? strchr(units, text.at[text.len - 1]) : NULL;
    if (unit == NULL || !slice_number((struct slice){text.at, text.len - 1}, 99999, &number))
        return 0;
    return number * unit_ms[unit - units];
}

/* As log lines have it, so that text compares: a date, or a date and a time, in UTC. */
static bool is_moment(struct slice text)
{
    static const char form[] = "0000-00-00T00:00:00.000Z";
    if (text.len < 10 || text.len >= sizeof(form))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool is_digit = text.at[i] >= '0' && text.at[i] <= '9';
        bool is_gap = i == 10 && text.at[i] == ' ';
        if (form[i] == '0' ? !is_digit : text.at[i] != form[i] && !is_gap)
            return false;
    }
    return true;
}

static bool read_since(struct filter *f, const char *text)
{
    uint64_t ms = text != NULL ? ago_ms(slice_of(text)) : 0;
    if (text == NULL)
        return true;
    if (ms > 0) {
        clock_text(clock_wall_ms() - ms, f->since);
    } else if (is_moment(slice_of(text))) {
        snprintf(f->since, sizeof(f->since), "%s", text);
        if (f->since[10] == ' ')
            f->since[10] = 'T';
    } else {
        (void)cli_complain(EXIT_USAGE,
                           "logs: --since: expected how long ago (90s, 10m, 2h, 3d) or a time in "
                           "UTC (2026-11-27T09:30), found \"%s\"",
                           text);
        return false;
    }
    return true;
}

static bool read_filter(struct filter *f, const struct cli_options *o)
{
    *f = (struct filter){.node = o->node, .id = o->id, .level = LOG_DEBUG, .is_json = o->is_json};
    if (o->level != NULL && !log_level_parse(slice_of(o->level), &f->level)) {
        (void)cli_complain(EXIT_USAGE,
                           "logs: --level: expected error, warn, info or debug, found \"%s\"",
                           o->level);
        return false;
    }
    f->is_any = o->node == NULL && o->id == NULL && o->level == NULL && o->since == NULL;
    return read_since(f, o->since);
}

static int tell(const struct filter *f, const struct counts *counts)
{
    if (counts->foreign > 0 && (!f->is_any || f->is_json))
        cli_warn("%lu lines are left out that are no JSON of a node's log", counts->foreign);
    if (counts->shown == 0 && f->id != NULL)
        return cli_complain(EXIT_FAILED, "no line speaks of a request %s", f->id);
    return EXIT_FINE;
}

int cli_logs(const struct cli_options *options)
{
    struct filter filter;
    FILE *from = stdin;
    if (!read_filter(&filter, options))
        return EXIT_USAGE;
    if (options->topic == NULL && isatty(STDIN_FILENO))
        return cli_complain(EXIT_USAGE, "logs: feed it a log, like `journalctl -u weir -o cat | "
                                        "weir logs`, or name a file; `weir logs --help` shows how");
    if (options->topic != NULL)
        from = fopen(options->topic, "re");
    if (from == NULL)
        return cli_complain(EXIT_FAILED, "cannot read %s: %s", options->topic,
                            strerrordesc_np(errno));
    struct counts counts = read_all(&filter, from);
    bool has_failed = ferror(from) != 0;
    if (from != stdin)
        (void)fclose(from);
    if (has_failed)
        return cli_complain(EXIT_FAILED, "the log could not be read to its end");
    return tell(&filter, &counts);
}
