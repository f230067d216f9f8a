/* `weir why ID`: what a request's node logged of it, asked of any node. A node gives what has ended
 * to the pool within a second; so who asks at once, and finds nothing, asks once more. */
#include <stdio.h>
#include <time.h>

#include "cli/answer.h"
#include "cli/story.h"

enum { AGAIN_MS = 1200, PATH_MAX_BYTES = 256 };

static int print_answer(const struct cli_target *target, const json_t *body, bool is_json)
{
    char id[129];
    const json_t *lines = json_object_get(body, "lines");
    if (json_array_size(lines) == 0)
        return cli_complain(EXIT_FAILED, "%s answers, but not as a Weir node does", target->url);
    if (is_json)
        (void)(json_dumpf(body, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER), putchar('\n'));
    else
        cli_story_print(cli_text_of(body, "id", id, sizeof(id)), lines);
    return EXIT_FINE;
}

static int show(const struct cli_target *target, const struct cli_answer *answer, bool is_json)
{
    char words[1024];
    json_t *body = cli_answer_json(answer);
    int code = EXIT_FAILED;
    if (answer->status == 200)
        code = print_answer(target, body, is_json);
    else if ((answer->status == 404 || answer->status == 400) &&
             cli_text_of(json_object_get(body, "error"), "message", words, sizeof(words))[0])
        (void)cli_complain(code, "%s", words);
    else
        code = cli_complain_answer(target, answer, body);
    json_decref(body);
    return code;
}

static bool ask(const struct cli_target *target, const char *path, struct cli_answer *answer,
                const char **why)
{
    const struct timespec pause = {.tv_sec = AGAIN_MS / 1000,
                                   .tv_nsec = AGAIN_MS % 1000 * 1000000L};
    if (!cli_ask(target, path, NULL, answer, why))
        return false;
    if (answer->status != 404)
        return true;
    cli_answer_fini(answer);
    nanosleep(&pause, NULL);
    return cli_ask(target, path, NULL, answer, why);
}

int cli_why(const struct cli_options *options)
{
    struct cli_target target;
    struct cli_answer answer;
    char path[PATH_MAX_BYTES];
    const char *why;
    int code = EXIT_USAGE;
    if (options->topic == NULL)
        return cli_complain(code, "why: whose story? Give a request's id, as callers got it in "
                                  "x-weir-request-id, or a provider's");
    if (slice_of(options->topic).len > 128)
        return cli_complain(code, "why: this is longer than any id of a request");
    for (const char *c = options->topic; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~' || *c == '/' || *c == '?' || *c == '#' || *c == '%')
            return cli_complain(code, "why: this cannot be the id of a request: expected letters, "
                                      "digits and . _ : @ -");
    snprintf(path, sizeof(path), "/api/requests/%s", options->topic);
    if (cli_target_init(&target, options)) {
        code = ask(&target, path, &answer, &why) ? show(&target, &answer, options->is_json)
                                                 : cli_complain_unreachable(&target, why);
        cli_answer_fini(&answer);
    }
    cli_target_fini(&target);
    return code;
}
