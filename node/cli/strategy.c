/* `weir strategy [NAME]`: how one is chosen of several subscriptions, asked or set through a node,
 * for all nodes of its pool. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/answer.h"

enum { STRATEGY_SHOWN = 64 };

static void print_strategy(const json_t *body)
{
    char name[STRATEGY_SHOWN], by[STRATEGY_SHOWN], was[STRATEGY_SHOWN];
    (void)cli_text_of(body, "strategy", name, sizeof(name));
    if (cli_text_of(body, "was", was, sizeof(was))[0] != '\0')
        printf("%s; it was %s\n", name, was);
    else
        printf("%s, said by the %s\n", name, cli_text_of(body, "said_by", by, sizeof(by)));
}

static int ask(const struct cli_target *target, const char *body)
{
    struct cli_answer answer;
    const char *why;
    int code = EXIT_FINE;
    if (!cli_ask(target, "/api/config/strategy", body, &answer, &why)) {
        cli_answer_fini(&answer);
        return cli_complain_unreachable(target, why);
    }
    json_t *json = cli_answer_json(&answer);
    if (answer.status != 200)
        code = cli_complain_answer(target, &answer, json);
    else if (!json_is_string(json_object_get(json, "strategy")))
        code = cli_complain(EXIT_FAILED, "%s answers, but not as a Weir node does", target->url);
    else
        print_strategy(json);
    json_decref(json);
    cli_answer_fini(&answer);
    return code;
}

int cli_strategy(const struct cli_options *options)
{
    struct cli_target target;
    char *body =
        options->topic != NULL ? cli_question("strategy", "strategy", options->topic) : NULL;
    if (options->topic != NULL && body == NULL)
        return EXIT_USAGE;
    int code = cli_target_init(&target, options) ? ask(&target, body) : EXIT_USAGE;
    cli_target_fini(&target);
    free(body);
    return code;
}
