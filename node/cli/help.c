/* The table of settings (config/describe.h) as a person reads it: wrapped for a terminal, or as the
 * tables of docs/config.md, which scripts/document puts there. Nothing is said here of any single
 * setting. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "config/describe.h"

enum { WRAP_AT = 78 };

/* "subscriptions[].name" is of the section "subscriptions". */
static struct slice section_of(const char *path)
{
    return (struct slice){path, strcspn(path, ".[")};
}

/* What a row says of changing the setting; "" for one that is taken over and a node's own. */
static const char *marks_of(const struct config_knob_words *knob)
{
    if (knob->needs_restart)
        return "restart";
    if (knob->needs_restart_on_off)
        return "restart, to have it or not";
    return knob->is_shared ? "shared" : "";
}

/* ---- for a terminal ---- */

static void print_wrapped(const char *text)
{
    size_t column = 0;
    struct slice rest = slice_of(text), word;
    while (rest.len > 0) {
        rest = slice_cut(rest, ' ', &word);
        if (column == 0 || column + 1 + word.len > WRAP_AT) {
            printf("%s    %.*s", column > 0 ? "\n" : "", SLICE_ARG(word));
            column = 4 + word.len;
        } else {
            printf(" %.*s", SLICE_ARG(word));
            column += 1 + word.len;
        }
    }
    putchar('\n');
}

static void print_knob(const struct config_knob_words *knob)
{
    char text[1024];
    const char *marks = marks_of(knob);
    cli_put(CLI_BOLD, "  %s", knob->path);
    if (knob->variable != NULL)
        cli_put(CLI_DIM, "  %s", knob->variable);
    if (marks[0] != '\0')
        cli_put(CLI_DIM, "  (%s)", marks);
    putchar('\n');
    print_wrapped(knob->help);
    snprintf(text, sizeof(text), "Default: %s. Expects %s.",
             knob->initial != NULL ? knob->initial : knob->otherwise, knob->expected);
    print_wrapped(text);
}

static void print_section(struct slice section)
{
    cli_put(CLI_GREEN, "\n%.*s\n", SLICE_ARG(section));
}

static void print_introduction(void)
{
    printf("The config is one JSON file: --config FILE, WEIR_CONFIG, ./config.json or\n"
           "~/.config/weir/config.json. Without any, keys come from ANTHROPIC_API_KEYS or ./.env.\n"
           "A variable named beside a field goes before the file. (restart): a change takes\n"
           "effect with a restart; all else with a reload. (shared): alike on all nodes.\n");
}

/* ---- for docs/config.md ---- */

/* A text written for a terminal: what Markdown would take for a sign of its own is quoted. */
static void put_cell(const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("|*<_[]", *text) != NULL)
            putchar('\\');
        putchar(*text);
    }
    fputs(" | ", stdout);
}

static void print_row(const struct config_knob_words *knob)
{
    printf("| `%s` | ", knob->path);
    if (knob->initial != NULL)
        printf("`%s` | ", knob->initial);
    else
        put_cell(knob->otherwise);
    put_cell(knob->expected);
    if (knob->variable != NULL)
        printf("`%s`", knob->variable);
    fputs(" | ", stdout);
    put_cell(marks_of(knob));
    printf("%s |\n", knob->help);
}

static void print_table(struct slice section)
{
    printf("\n## %.*s\n\n| field | default | value | variable | change | meaning |\n"
           "|---|---|---|---|---|---|\n",
           SLICE_ARG(section));
}

int cli_help_config(bool is_markdown)
{
    struct config_knob_words knob;
    struct slice former = SLICE_NONE;
    if (!is_markdown)
        print_introduction();
    for (size_t i = 0; config_describe_knob(i, &knob); i++) {
        struct slice section = section_of(knob.path);
        if (!slice_eq(section, former))
            (is_markdown ? print_table : print_section)(section);
        former = section;
        (is_markdown ? print_row : print_knob)(&knob);
    }
    return EXIT_FINE;
}
