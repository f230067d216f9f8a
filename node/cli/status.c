/* `weir status`: a node's /status as tables, or as it came with --json. What the node does not say
 * is shown as nothing, so that a newer or older node can be asked. `weir health` is the same
 * question without the picture. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"

/* A node beats every second, and one that leaves says so: who has not been heard of for this long
 * has died, hangs, or cannot reach Redis. */
enum { SILENT_S = 3 };

enum { BAR_WIDTH = 10 };

/* 950, 12.3k, 4.5M */
static const char *short_number(uint64_t value, char out[16])
{
    static const char units[] = "kMGT";
    double scaled = (double)value;
    size_t unit = 0;
    if (value < 1000) {
        snprintf(out, 16, "%u", (unsigned)value);
        return out;
    }
    for (scaled /= 1000; scaled >= 999.95 && unit + 2 < sizeof(units); scaled /= 1000)
        unit++;
    snprintf(out, 16, "%.1f%c", scaled, units[unit]);
    return out;
}

static enum cli_colour load_colour(uint64_t active, uint64_t max)
{
    if (active >= max)
        return CLI_RED;
    return active * 5 >= max * 4 ? CLI_YELLOW : CLI_GREEN;
}

static void add_state(struct cli_table *table, const json_t *s)
{
    char reason[64], left[32], health[96];
    uint64_t active = cli_number_of(s, "active_connections"),
             max = cli_number_of(s, "max_concurrent");
    if (json_is_false(json_object_get(s, "enabled")))
        cli_table_add(table, CLI_DIM, "disabled");
    else if (json_is_true(json_object_get(s, "in_cooldown")))
        cli_table_add(table, CLI_YELLOW, "cooling for %s%s%s%s%s",
                      cli_duration(cli_number_of(s, "cooldown_remaining"), left),
                      json_object_get(s, "cooldown_reason") != NULL ? ": " : "",
                      cli_text_of(s, "cooldown_reason", reason, sizeof(reason)),
                      cli_text_of(s, "health", health, sizeof(health))[0] != '\0' ? "; " : "",
                      health);
    else if (cli_text_of(s, "health", health, sizeof(health))[0] != '\0')
        cli_table_add(table, CLI_YELLOW, "%s", health);
    else
        cli_table_add(table, active >= max ? CLI_RED : CLI_GREEN, active >= max ? "full" : "ready");
}

static void add_subscription(struct cli_table *table, const json_t *s)
{
    char name[65], face[33], bar[CLI_BAR_MAX], number[16];
    uint64_t active = cli_number_of(s, "active_connections"),
             max = cli_number_of(s, "max_concurrent");
    const json_t *tokens = json_object_get(s, "tokens");
    uint64_t input = cli_number_of(tokens, "input") + cli_number_of(tokens, "cache_read") +
                     cli_number_of(tokens, "cache_write_5m") +
                     cli_number_of(tokens, "cache_write_1h");
    cli_bar(bar, active, max, BAR_WIDTH);
    cli_table_add(table, CLI_BOLD, "%s", cli_text_of(s, "name", name, sizeof(name)));
    cli_table_add(table, CLI_DIM, "%s", cli_text_of(s, "key", face, sizeof(face)));
    cli_table_add(table, load_colour(active, max), "%s", bar);
    cli_table_add(table, CLI_PLAIN, "%u/%u", (unsigned)active, (unsigned)max);
    cli_table_add(table, CLI_PLAIN, "%s", short_number(cli_number_of(s, "total_requests"), number));
    cli_table_add(table, cli_number_of(s, "total_errors") > 0 ? CLI_YELLOW : CLI_PLAIN, "%s",
                  short_number(cli_number_of(s, "total_errors"), number));
    cli_table_add(table, CLI_PLAIN, "%s", short_number(input, number));
    cli_table_add(table, CLI_PLAIN, "%s", short_number(cli_number_of(tokens, "output"), number));
    add_state(table, s);
}

static void print_subscriptions(const json_t *list)
{
    struct cli_table table;
    const json_t *s;
    size_t i;
    cli_table_init(&table, "SUBSCRIPTION|KEY|BUSY|>SLOTS|>REQUESTS|>ERRORS|>TOKENS IN|>OUT|STATE");
    json_array_foreach(list, i, s) add_subscription(&table, s);
    cli_table_print(&table);
}

static void print_nodes(const json_t *list)
{
    struct cli_table table;
    const json_t *n;
    size_t i;
    char text[65], left[32];
    if (json_array_size(list) == 0)
        return;
    cli_table_init(&table, "NODE|>RUNNING|VERSION|CONFIG|SEEN");
    json_array_foreach(list, i, n)
    {
        uint64_t seen = cli_number_of(n, "seen_ms_ago") / 1000;
        cli_table_add(&table, CLI_BOLD, "%s", cli_text_of(n, "id", text, sizeof(text)));
        cli_table_add(&table, CLI_PLAIN, "%u", (unsigned)cli_number_of(n, "active"));
        cli_table_add(&table, CLI_PLAIN, "%s", cli_text_of(n, "version", text, sizeof(text)));
        cli_table_add(&table, json_is_true(json_object_get(n, "behind")) ? CLI_YELLOW : CLI_PLAIN,
                      "%s%s", cli_text_of(n, "config", text, sizeof(text)),
                      json_is_true(json_object_get(n, "behind")) ? " behind" : "");
        if (seen < SILENT_S)
            cli_table_add(&table, CLI_GREEN, "now");
        else
            cli_table_add(&table, CLI_RED, "SILENT for %s", cli_duration(seen, left));
    }
    putchar('\n');
    cli_table_print(&table);
}

static void print_status(const json_t *status)
{
    char pool[65], redis[65], node[65];
    const json_t *own = json_object_get(status, "node");
    bool is_up = strcmp(cli_text_of(status, "redis", redis, sizeof(redis)), "up") == 0;
    printf("pool ");
    cli_put(CLI_BOLD, "%s", cli_text_of(status, "pool", pool, sizeof(pool)));
    printf(": %u running, %u of %u slots free", (unsigned)cli_number_of(status, "total_active"),
           (unsigned)cli_number_of(status, "available_capacity"),
           (unsigned)cli_number_of(status, "total_capacity"));
    if (cli_number_of(status, "held_back_capacity") > 0)
        printf(", %u held back", (unsigned)cli_number_of(status, "held_back_capacity"));
    printf("; redis ");
    cli_put(is_up ? CLI_GREEN : CLI_RED, "%s", redis);
    printf("; seen by node %s\n\n", cli_text_of(own, "id", node, sizeof(node)));
    print_subscriptions(json_object_get(status, "subscriptions"));
    print_nodes(json_object_get(status, "nodes"));
}

static int show(const struct cli_target *target, const struct cli_answer *answer, bool is_json)
{
    json_t *status = cli_answer_json(answer);
    int code = EXIT_FINE;
    if (answer->status != 200)
        code = cli_complain_answer(target, answer, status);
    else if (!json_is_array(json_object_get(status, "subscriptions")))
        code = cli_complain(EXIT_FAILED, "%s answers, but not as a Weir node does", target->url);
    else if (is_json)
        (void)(json_dumpf(status, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER), putchar('\n'));
    else
        print_status(status);
    json_decref(status);
    return code;
}

int cli_status(const struct cli_options *options)
{
    struct cli_target target;
    struct cli_answer answer;
    const char *why;
    int code = EXIT_USAGE;
    if (cli_target_init(&target, options)) {
        code = cli_ask(&target, "/status", NULL, &answer, &why)
                   ? show(&target, &answer, options->is_json)
                   : cli_complain_unreachable(&target, why);
        cli_answer_fini(&answer);
    }
    cli_target_fini(&target);
    return code;
}

int cli_health(const struct cli_options *options)
{
    struct cli_target target;
    struct cli_answer answer;
    const char *why;
    int code = EXIT_USAGE;
    if (cli_target_init(&target, options)) {
        if (!cli_ask(&target, "/health", NULL, &answer, &why))
            code = cli_complain_unreachable(&target, why);
        else if (answer.status != 200)
            code = cli_complain(EXIT_FAILED, "%s answered %ld", target.url, answer.status);
        else
            code = printf("healthy\n") > 0 ? EXIT_FINE : EXIT_FAILED;
        cli_answer_fini(&answer);
    }
    cli_target_fini(&target);
    return code;
}
