/* `weir help config`: the table of knobs in words, a section after the other. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "config/config.h"

enum { WRAP_AT = 78 };

/* "subscriptions[].name" is of the section "subscriptions". */
static struct slice section_of(const char *path)
{
    return (struct slice){path, strcspn(path, ".[")};
}

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
    cli_put(CLI_BOLD, "  %s", knob->path);
    if (knob->variable != NULL)
        cli_put(CLI_DIM, "  %s", knob->variable);
    putchar('\n');
    print_wrapped(knob->help);
    snprintf(text, sizeof(text), "Default: %s. Expects %s.", knob->initial, knob->expected);
    print_wrapped(text);
}

int cli_help_config(void)
{
    struct config_knob_words knob;
    struct slice former = SLICE_NONE;
    printf("The config is one JSON file: --config FILE, WEIR_CONFIG, ./config.json or\n"
           "~/.config/weir/config.json. Without any, keys come from ANTHROPIC_API_KEYS or ./.env.\n"
           "A variable named beside a field goes before the file.\n");
    for (size_t i = 0; config_describe_knob(i, &knob); i++) {
        struct slice section = section_of(knob.path);
        if (!slice_eq(section, former))
            cli_put(CLI_GREEN, "\n%.*s\n", SLICE_ARG(section));
        former = section;
        print_knob(&knob);
    }
    return EXIT_FINE;
}
