/* `weir cooldown`: what closes subscriptions, as /status tells it, and an end to it, by one
 * question a subscription to /api/cooldown/clear. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"

enum { NAME_SHOWN = 129, WORDS_SHOWN = 512 };

/* Disabled is what a person or a config said; that is not lifted here. */
static bool is_closed(const json_t *s)
{
    char health[8];
    return json_is_true(json_object_get(s, "in_cooldown")) ||
           cli_text_of(s, "health", health, sizeof(health))[0] != '\0';
}

static void add_row(struct cli_table *table, const json_t *s)
{
    char name[NAME_SHOWN], words[WORDS_SHOWN], left[32];
    bool is_cooling = json_is_true(json_object_get(s, "in_cooldown"));
    cli_table_add(table, CLI_BOLD, "%s", cli_text_of(s, "name", name, sizeof(name)));
    cli_table_add(table, CLI_YELLOW, "%s",
                  is_cooling ? cli_duration(cli_number_of(s, "cooldown_remaining"), left) : "-");
    cli_table_add(table, CLI_PLAIN, "%s", cli_text_of(s, "cooldown_reason", words, sizeof(words)));
    cli_table_add(table, CLI_PLAIN, "%s", cli_text_of(s, "health", words, sizeof(words)));
}

static int print_closed(const json_t *list)
{
    struct cli_table table;
    const json_t *s;
    size_t i, count = 0;
    cli_table_init(&table, "SUBSCRIPTION|COOLING|WHY|ELSE");
    json_array_foreach(list, i, s)
    {
        if (!is_closed(s))
            continue;
        add_row(&table, s);
        count++;
    }
    if (count == 0)
        printf("nothing is closed\n");
    else
        cli_table_print(&table);
    return EXIT_FINE;
}

static int tell_cleared(const struct cli_target *target, const struct cli_answer *answer)
{
    char name[NAME_SHOWN], lifted[WORDS_SHOWN];
    json_t *body = cli_answer_json(answer);
    int code = EXIT_FINE;
    if (answer->status != 200)
        code = cli_complain_answer(target, answer, body);
    else if (!json_is_string(json_object_get(body, "lifted")))
        code = cli_complain(EXIT_FAILED, "%s answers, but not as a Weir node does", target->url);
    else if (json_string_length(json_object_get(body, "lifted")) == 0)
        printf("%s: nothing was closed\n", cli_text_of(body, "subscription", name, sizeof(name)));
    else
        printf("%s: lifted %s; the next request tries it\n",
               cli_text_of(body, "subscription", name, sizeof(name)),
               cli_text_of(body, "lifted", lifted, sizeof(lifted)));
    json_decref(body);
    return code;
}

static int clear_one(const struct cli_target *target, const char *name)
{
    struct cli_answer answer;
    const char *why;
    char *body = cli_question("cooldown", "subscription", name);
    if (body == NULL)
        return EXIT_USAGE;
    int code = cli_ask(target, "/api/cooldown/clear", body, &answer, &why)
                   ? tell_cleared(target, &answer)
                   : cli_complain_unreachable(target, why);
    cli_answer_fini(&answer);
    free(body);
    return code;
}

static int clear_closed(const struct cli_target *target, const json_t *list)
{
    const json_t *s;
    size_t i, count = 0;
    int code = EXIT_FINE;
    json_array_foreach(list, i, s)
    {
        const char *name = json_string_value(json_object_get(s, "name"));
        if (!is_closed(s) || name == NULL)
            continue;
        int one = clear_one(target, name);
        code = one != EXIT_FINE ? one : code;
        count++;
    }
    if (count == 0)
        printf("nothing is closed\n");
    return code;
}

/* What /status says of all of them, to be listed or cleared. */
static int look(const struct cli_target *target, bool is_clearing)
{
    struct cli_answer answer;
    const char *why;
    int code = EXIT_FAILED;
    if (!cli_ask(target, "/status", NULL, &answer, &why)) {
        cli_answer_fini(&answer);
        return cli_complain_unreachable(target, why);
    }
    json_t *status = cli_answer_json(&answer);
    const json_t *list = json_object_get(status, "subscriptions");
    if (answer.status != 200)
        code = cli_complain_answer(target, &answer, status);
    else if (!json_is_array(list))
        code = cli_complain(EXIT_FAILED, "%s answers, but not as a Weir node does", target->url);
    else
        code = is_clearing ? clear_closed(target, list) : print_closed(list);
    json_decref(status);
    cli_answer_fini(&answer);
    return code;
}

static bool is_understood(const struct cli_options *o)
{
    const char *word = o->topic != NULL ? o->topic : "";
    bool is_list = strcmp(word, "list") == 0, is_clear = strcmp(word, "clear") == 0;
    if (!is_list && !is_clear)
        (void)cli_complain(EXIT_USAGE, "cooldown: expected list or clear, found \"%s\"", word);
    else if (is_list && (o->name != NULL || o->is_all))
        (void)cli_complain(EXIT_USAGE, "cooldown: list takes no name, it lists all");
    else if (is_clear && (o->name != NULL) == o->is_all)
        (void)cli_complain(EXIT_USAGE,
                           "cooldown: clear wants the NAME of a subscription, or --all");
    else
        return true;
    return false;
}

int cli_cooldown(const struct cli_options *options)
{
    struct cli_target target;
    int code = EXIT_USAGE;
    if (!is_understood(options))
        return code;
    if (cli_target_init(&target, options))
        code = options->name != NULL ? clear_one(&target, options->name)
                                     : look(&target, options->is_all);
    cli_target_fini(&target);
    return code;
}
