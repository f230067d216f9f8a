/* Colour and blocks only where a terminal has them and nobody said NO_COLOR. A table is kept until
 * it is whole, because only then are the widths of its columns known. */
#include <assert.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"

static const char *const colours[] = {"", "\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[33m"};

/* NOLINTs in this file: nothing changes the environment, and there is one thread. */
static bool is_colour_refused(void)
{
    const char *refused = getenv("NO_COLOR"); /* NOLINT(concurrency-mt-unsafe) */
    return refused != NULL && refused[0] != '\0';
}

/* Somebody shows our words on a terminal of their own. */
static bool is_colour_wanted(void)
{
    const char *wanted = getenv("CLICOLOR_FORCE"); /* NOLINT(concurrency-mt-unsafe) */
    return wanted != NULL && wanted[0] != '\0' && strcmp(wanted, "0") != 0;
}

bool cli_has_colour(void)
{
    return (isatty(STDOUT_FILENO) || is_colour_wanted()) && !is_colour_refused();
}

static bool has_blocks(void)
{
    static int answer = -1;
    if (answer < 0) {
        setlocale(LC_CTYPE, ""); /* NOLINT(concurrency-mt-unsafe) */
        answer = cli_has_colour() && strcmp(nl_langinfo(CODESET), "UTF-8") == 0; /* NOLINT */
    }
    return answer == 1;
}

void cli_put(enum cli_colour colour, const char *format, ...)
{
    va_list args;
    bool has_colour = colour != CLI_PLAIN && cli_has_colour();
    if (has_colour)
        fputs(colours[colour], stdout);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    if (has_colour)
        fputs("\033[0m", stdout);
}

PRINTF_LIKE(3, 0)
static void complain(const char *kind, const char *colour, const char *format, va_list args)
{
    bool has_colour = isatty(STDERR_FILENO) && !is_colour_refused();
    fflush(stdout);
    fprintf(stderr, "weir: %s%s", has_colour ? colour : "", kind);
    vfprintf(stderr, format, args);
    fprintf(stderr, "%s\n", has_colour ? "\033[0m" : "");
}

int cli_complain(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain("", colours[CLI_RED], format, args);
    va_end(args);
    return code;
}

void cli_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain("warning: ", colours[CLI_YELLOW], format, args);
    va_end(args);
}

void cli_table_init(struct cli_table *table, const char *heads)
{
    *table = (struct cli_table){.heads = heads};
}

void cli_table_add(struct cli_table *table, enum cli_colour colour, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    table->cells = mem_resize(table->cells, (table->count + 1) * sizeof(*table->cells));
    table->cells[table->count++] = (struct cli_cell){mem_string(slice_of(text)), colour};
}

/* Characters, not bytes: what UTF-8 continues is not counted. */
static size_t width_of(struct slice text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.at[i] & 0xc0) != 0x80;
    return width;
}

struct column {
    struct slice head;
    bool is_right;
    size_t width;
};

static size_t read_columns(const struct cli_table *table, struct column *columns)
{
    size_t count = 0;
    struct slice rest = slice_of(table->heads);
    while (rest.len > 0 && count < CLI_COLUMNS_MAX) {
        struct column *column = &columns[count++];
        rest = slice_cut(rest, '|', &column->head);
        column->is_right = slice_starts(column->head, SLICE(">"));
        if (column->is_right)
            column->head = slice_from(column->head, 1);
        column->width = width_of(column->head);
    }
    for (size_t i = 0; count > 0 && i < table->count; i++) {
        struct column *column = &columns[i % count];
        size_t width = width_of(slice_of(table->cells[i].text));
        if (width > column->width)
            column->width = width;
    }
    return count;
}

static void put_cell(const struct column *column, bool is_last, struct slice text,
                     enum cli_colour colour)
{
    int padding = (int)(column->width - width_of(text));
    if (column->is_right)
        printf("%*s", padding, "");
    cli_put(colour, "%.*s", SLICE_ARG(text));
    if (is_last)
        putchar('\n');
    else
        printf("%*s", column->is_right ? 2 : padding + 2, "");
}

void cli_table_print(struct cli_table *table)
{
    struct column columns[CLI_COLUMNS_MAX];
    size_t count = read_columns(table, columns);
    assert(count > 0);
    for (size_t i = 0; i < count; i++)
        put_cell(&columns[i], i + 1 == count, columns[i].head, CLI_DIM);
    for (size_t i = 0; i < table->count; i++) {
        const struct cli_cell *cell = &table->cells[i];
        size_t at = i % count;
        put_cell(&columns[at], at + 1 == count, slice_of(cell->text), cell->colour);
        free(cell->text);
    }
    free(table->cells);
    *table = (struct cli_table){0};
}

void cli_bar(char *out, size_t part, size_t whole, size_t width)
{
    const char *full = has_blocks() ? "\xe2\x96\x88" : "#";
    const char *empty = has_blocks() ? "\xe2\x96\x91" : ".";
    size_t filled = whole == 0 ? 0 : (part * width + whole - 1) / whole;
    if (width > CLI_BAR_WIDTH_MAX)
        width = CLI_BAR_WIDTH_MAX;
    if (filled > width)
        filled = width;
    char *end = out;
    for (size_t i = 0; i < width; i++)
        end = stpcpy(end, i < filled ? full : empty);
}
