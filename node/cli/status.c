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

enum { BAR_WIDTH = 10, CLIENTS_SHOWN = 20 };

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

static const char *off_words(const json_t *s)
{
    char state[16];
    if (!json_is_false(json_object_get(s, "enabled")))
        return "";
    cli_text_of(s, "state", state, sizeof(state));
    if (strcmp(state, "paused") == 0)
        return "paused by a person";
    return strcmp(state, "leaving") == 0 ? "leaving: in no configuration any more" : "disabled";
}

/* "cooling for 42 s: why" */
static const char *cooling_words(const json_t *s, char *out, size_t size)
{
    char reason[64], left[32];
    out[0] = '\0';
    if (json_is_true(json_object_get(s, "in_cooldown")))
        snprintf(out, size, "cooling for %s%s%s",
                 cli_duration(cli_number_of(s, "cooldown_remaining"), left),
                 json_object_get(s, "cooldown_reason") != NULL ? ": " : "",
                 cli_text_of(s, "cooldown_reason", reason, sizeof(reason)));
    return out;
}

/* All that holds it back, side by side: when one is over, the other still does. */
static void add_state(struct cli_table *table, const json_t *s)
{
    char cooling[128], health[96], words[320] = "";
    const char *off = off_words(s);
    const char *const parts[] = {off, cooling_words(s, cooling, sizeof(cooling)),
                                 cli_text_of(s, "health", health, sizeof(health))};
    bool is_full = cli_number_of(s, "active_connections") >= cli_number_of(s, "max_concurrent");
    for (size_t i = 0, used = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i][0] != '\0')
            snprintf(words + used, sizeof(words) - used, "%s%s", used > 0 ? "; " : "", parts[i]);
        used = strlen(words);
    }
    if (words[0] != '\0')
        cli_table_add(table, off[0] != '\0' ? CLI_DIM : CLI_YELLOW, "%s", words);
    else
        cli_table_add(table, is_full ? CLI_RED : CLI_GREEN, is_full ? "full" : "ready");
}

/* "5h 42% 7d 81%" */
static void add_windows(struct cli_table *table, json_t *windows)
{
    char text[96] = "";
    size_t used = 0;
    double highest = 0;
    const char *name;
    json_t *w;
    json_object_foreach(windows, name, w)
    {
        double share = json_number_value(json_object_get(w, "utilization"));
        int len = snprintf(text + used, sizeof(text) - used, "%s%.24s %.0f%%", used > 0 ? " " : "",
                           name, share * 100);
        used += len > 0 && (size_t)len < sizeof(text) - used ? (size_t)len : 0;
        highest = share > highest ? share : highest;
    }
    text[used] = '\0';
    enum cli_colour colour = highest >= 0.8 ? CLI_YELLOW : CLI_PLAIN;
    cli_table_add(table, highest >= 1 ? CLI_RED : colour, "%s", text);
}

/* Requests, errors, tokens in and out. */
static void add_use(struct cli_table *table, const json_t *of, const char *requests,
                    const char *errors)
{
    char number[16];
    const json_t *tokens = json_object_get(of, "tokens");
    uint64_t input = cli_number_of(tokens, "input") + cli_number_of(tokens, "cache_read") +
                     cli_number_of(tokens, "cache_write_5m") +
                     cli_number_of(tokens, "cache_write_1h");
    cli_table_add(table, CLI_PLAIN, "%s", short_number(cli_number_of(of, requests), number));
    cli_table_add(table, cli_number_of(of, errors) > 0 ? CLI_YELLOW : CLI_PLAIN, "%s",
                  short_number(cli_number_of(of, errors), number));
    cli_table_add(table, CLI_PLAIN, "%s", short_number(input, number));
    cli_table_add(table, CLI_PLAIN, "%s", short_number(cli_number_of(tokens, "output"), number));
}

static void add_subscription(struct cli_table *table, const json_t *s)
{
    char name[65], face[33], bar[CLI_BAR_MAX];
    uint64_t active = cli_number_of(s, "active_connections"),
             max = cli_number_of(s, "max_concurrent");
    cli_bar(bar, active, max, BAR_WIDTH);
    cli_table_add(table, CLI_BOLD, "%s", cli_text_of(s, "name", name, sizeof(name)));
    cli_table_add(table, CLI_DIM, "%s", cli_text_of(s, "key", face, sizeof(face)));
    cli_table_add(table, load_colour(active, max), "%s", bar);
    cli_table_add(table, CLI_PLAIN, "%u/%u", (unsigned)active, (unsigned)max);
    add_windows(table, json_object_get(s, "windows"));
    add_use(table, s, "total_requests", "total_errors");
    add_state(table, s);
}

static void print_subscriptions(const json_t *list)
{
    struct cli_table table;
    const json_t *s;
    size_t i;
    cli_table_init(
        &table, "SUBSCRIPTION|KEY|BUSY|>SLOTS|QUOTA USED|>REQUESTS|>ERRORS|>TOKENS IN|>OUT|STATE");
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
    cli_table_init(&table, "NODE|>SLOTS|>REQUESTS|VERSION|CONFIG|SEEN");
    json_array_foreach(list, i, n)
    {
        uint64_t seen = cli_number_of(n, "seen_ms_ago") / 1000;
        cli_table_add(&table, CLI_BOLD, "%s", cli_text_of(n, "id", text, sizeof(text)));
        cli_table_add(&table, CLI_PLAIN, "%u", (unsigned)cli_number_of(n, "leases"));
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

/* What each runs now, and what it used today. */
static void print_clients(const json_t *status)
{
    struct cli_table table;
    const json_t *list = json_object_get(status, "clients"), *c;
    uint64_t all = cli_number_of(status, "clients_today"),
             unread = cli_number_of(status, "leases_unread");
    size_t i;
    char name[65];
    if (json_array_size(list) == 0 && unread == 0)
        return;
    cli_table_init(&table, "CLIENT TODAY|>RUNNING|>REQUESTS|>ERRORS|>TOKENS IN|>OUT");
    json_array_foreach(list, i, c)
    {
        if (i >= CLIENTS_SHOWN)
            break;
        cli_table_add(&table, CLI_BOLD, "%s", cli_text_of(c, "name", name, sizeof(name)));
        cli_table_add(&table, CLI_PLAIN, "%u", (unsigned)cli_number_of(c, "running"));
        add_use(&table, c, "requests", "errors");
    }
    putchar('\n');
    cli_table_print(&table);
    if (all > i)
        printf("... and %llu more\n", (unsigned long long)(all - i));
    if (unread > 0)
        printf("%llu running requests are too many to be told apart by client\n",
               (unsigned long long)unread);
}

static void print_request(const json_t *r)
{
    char label[160], text[512];
    bool is_admitted = json_is_true(json_object_get(r, "admitted"));
    if (cli_text_of(r, "for", label, sizeof(label))[0] == '\0')
        printf("a request now: ");
    else
        printf("  for %s: ", label);
    if (is_admitted)
        cli_put(CLI_GREEN, "%s", cli_text_of(r, "text", text, sizeof(text)));
    else
        cli_put(CLI_YELLOW, "refused with %u: %s", (unsigned)cli_number_of(r, "status"),
                cli_text_of(r, "text", text, sizeof(text)));
    putchar('\n');
}

/* The first is of any; one more for each that is treated in another way. */
static void print_requests(const json_t *status)
{
    const json_t *list = json_object_get(status, "requests_now"), *r;
    uint64_t labels = cli_number_of(status, "closing_labels"), shown = json_array_size(list);
    size_t i;
    json_array_foreach(list, i, r) print_request(r);
    if (labels >= shown && shown > 0)
        printf("  ... and %u more labels that close something\n", (unsigned)(labels - shown + 1));
}

/* " (1 cooling, 1 disabled)" */
static void print_causes(json_t *held)
{
    const char *key;
    char cause[32];
    json_t *count;
    unsigned told = 0;
    json_object_foreach(held, key, count)
    {
        if (json_integer_value(count) > 0)
            printf("%s%u %s", told++ == 0 ? " (" : ", ", (unsigned)json_integer_value(count),
                   cli_clean(key, cause, sizeof(cause)));
    }
    printf("%s", told > 0 ? ")" : "");
}

/* A node of version 0.1 says only how many there are of what is enabled. */
static void print_slots(const json_t *status)
{
    json_t *slots = json_object_get(status, "slots");
    uint64_t held = cli_number_of(status, "held_back_capacity");
    uint64_t total =
        slots != NULL ? cli_number_of(slots, "total") : cli_number_of(status, "total_capacity");
    printf(": %u of %u slots in use, %u free", (unsigned)cli_number_of(status, "total_active"),
           (unsigned)total, (unsigned)cli_number_of(status, "available_capacity"));
    if (held > 0)
        printf(", %u held back", (unsigned)held);
    print_causes(json_object_get(slots, "held_back"));
}

static void print_status(const json_t *status)
{
    char pool[65], redis[65], node[65];
    const json_t *own = json_object_get(status, "node");
    bool is_up = strcmp(cli_text_of(status, "redis", redis, sizeof(redis)), "up") == 0;
    printf("pool ");
    cli_put(CLI_BOLD, "%s", cli_text_of(status, "pool", pool, sizeof(pool)));
    print_slots(status);
    printf("; redis ");
    cli_put(is_up ? CLI_GREEN : CLI_RED, "%s", redis);
    printf("; seen by node %s\n", cli_text_of(own, "id", node, sizeof(node)));
    print_requests(status);
    putchar('\n');
    print_subscriptions(json_object_get(status, "subscriptions"));
    print_nodes(json_object_get(status, "nodes"));
    print_clients(status);
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

static int tell_health(const struct cli_target *target, const struct cli_answer *answer,
                       const struct cli_options *options)
{
    char word[32] = "no JSON";
    json_t *body = cli_answer_json(answer);
    cli_text_of(body, "status", word, sizeof(word));
    json_decref(body);
    if (answer->status == 503)
        return cli_complain(EXIT_FAILED, "%s is not ready: %s", target->url, word);
    if (answer->status != 200)
        return cli_complain(EXIT_FAILED, "%s answered %ld", target->url, answer->status);
    if (options->is_json)
        printf("%.*s\n", (int)buf_len(&answer->body), answer->body.at);
    else
        puts(options->is_ready ? "ready" : "healthy");
    return EXIT_FINE;
}

int cli_health(const struct cli_options *options)
{
    struct cli_target target;
    struct cli_answer answer;
    const char *why;
    int code = EXIT_USAGE;
    if (cli_target_init(&target, options)) {
        const char *path = options->is_ready ? "/ready" : "/health";
        code = cli_ask(&target, path, NULL, &answer, &why) ? tell_health(&target, &answer, options)
                                                           : cli_complain_unreachable(&target, why);
        cli_answer_fini(&answer);
    }
    cli_target_fini(&target);
    return code;
}
