/* `weir reload`: a question to /admin/reload, and what came of it in words, on one node or all. */
#include <stdio.h>
#include <string.h>

#include "cli/answer.h"
#include "config/changes.h"

enum { TEXT_SHOWN = CONFIG_SUMMARY_MAX, NAME_SHOWN = 600 };
enum { ALL_WAIT_MS = 12000 }; /* longer than the node waits for the others */

/* A summary has "; " between its kinds: a line each. */
static void print_changes(const json_t *body)
{
    char summary[TEXT_SHOWN];
    cli_text_of(body, "summary", summary, sizeof(summary));
    for (char *at = summary; at != NULL && *at != '\0';) {
        char *end = strstr(at, "; ");
        if (end != NULL)
            *end = '\0';
        bool is_warning = strncmp(at, "needs a restart", strlen("needs a restart")) == 0;
        cli_put(is_warning ? CLI_YELLOW : CLI_PLAIN, "%s\n", at);
        at = end != NULL ? end + 2 : NULL;
    }
}

static int refused(const struct cli_target *target, const struct cli_answer *answer,
                   const json_t *body)
{
    char words[TEXT_SHOWN];
    cli_text_of(json_object_get(body, "error"), "message", words, sizeof(words));
    if (answer->status != 500 || words[0] == '\0')
        return cli_complain_answer(target, answer, body);
    return cli_complain(EXIT_FAILED,
                        "%s refused the reload, and goes on with the configuration it had: %s",
                        target->url, words);
}

static void print_node(struct cli_table *table, const json_t *n)
{
    char id[65], result[32], digest[32], words[NAME_SHOWN];
    cli_text_of(n, "result", result, sizeof(result));
    bool is_fine = strcmp(result, "taken") == 0;
    cli_table_add(table, CLI_BOLD, "%s", cli_text_of(n, "id", id, sizeof(id)));
    cli_table_add(table, is_fine ? CLI_GREEN : CLI_RED, "%s", result);
    cli_table_add(table, CLI_PLAIN, "%s", cli_text_of(n, "digest", digest, sizeof(digest)));
    cli_table_add(table, CLI_PLAIN, "%s", cli_text_of(n, "words", words, sizeof(words)));
}

/* Of each node, whether all took it or not. */
static int tell_all(const struct cli_options *options, const struct cli_target *target,
                    const struct cli_answer *answer)
{
    json_t *body = cli_answer_json(answer);
    const json_t *nodes = json_object_get(body, "nodes"), *n;
    struct cli_table table;
    int code = answer->status == 200 ? EXIT_FINE : EXIT_FAILED;
    size_t i;
    if (!json_is_array(nodes)) {
        code = answer->status != 200
                   ? cli_complain_answer(target, answer, body)
                   : cli_complain(EXIT_FAILED,
                                  "%s answers, but not as a Weir node of this version does",
                                  target->url);
    } else if (options->is_json) {
        printf("%.*s\n", (int)buf_len(&answer->body), answer->body.at);
    } else {
        cli_table_init(&table, "NODE|RESULT|SETTINGS|READ, AND WHAT THAT CHANGED");
        json_array_foreach(nodes, i, n) print_node(&table, n);
        cli_table_print(&table);
        if (code != EXIT_FINE)
            code = cli_complain_answer(target, answer, body);
    }
    json_decref(body);
    return code;
}

static int tell(const struct cli_options *options, const struct cli_target *target,
                const struct cli_answer *answer)
{
    char source[NAME_SHOWN], digest[32];
    json_t *body = cli_answer_json(answer);
    int code = EXIT_FINE;
    if (answer->status != 200)
        code = refused(target, answer, body);
    else if (!json_is_object(body) || !json_is_string(json_object_get(body, "summary")))
        code = cli_complain(EXIT_FAILED, "%s answers, but not as a Weir node of this version does",
                            target->url);
    else if (options->is_json)
        printf("%.*s\n", (int)buf_len(&answer->body), answer->body.at);
    else {
        printf("%s has read %s; settings %s\n", target->url,
               cli_text_of(body, "source", source, sizeof(source)),
               cli_text_of(body, "digest", digest, sizeof(digest)));
        print_changes(body);
    }
    json_decref(body);
    return code;
}

int cli_reload(const struct cli_options *options)
{
    struct cli_target target;
    struct cli_answer answer;
    const char *why;
    int code = EXIT_USAGE;
    if (!cli_target_init(&target, options)) {
        cli_target_fini(&target);
        return code;
    }
    target.wait_ms = options->is_all ? ALL_WAIT_MS : 0;
    const char *path = options->is_all ? "/admin/reload?all=1" : "/admin/reload";
    if (cli_ask(&target, path, "", &answer, &why))
        code =
            options->is_all ? tell_all(options, &target, &answer) : tell(options, &target, &answer);
    else
        code = cli_complain_unreachable(&target, why);
    cli_answer_fini(&answer);
    cli_target_fini(&target);
    return code;
}
