/* What a node says goes to a terminal: nothing of it is believed to be there, or to be harmless. */
#include "cli/answer.h"

#include <stdio.h>
#include <string.h>

uint64_t cli_number_of(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

const char *cli_text_of(const json_t *object, const char *key, char *out, size_t size)
{
    const char *value = json_string_value(json_object_get(object, key));
    return cli_clean(value != NULL ? value : "", out, size);
}

/* Names come over the network: nothing of them may drive the terminal. */
const char *cli_clean(const char *text, char *out, size_t size)
{
    snprintf(out, size, "%s", text);
    for (char *c = out; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return out;
}

const char *cli_duration(uint64_t seconds, char out[32])
{
    if (seconds < 120)
        snprintf(out, 32, "%u s", (unsigned)seconds);
    else if (seconds < 7200)
        snprintf(out, 32, "%u min", (unsigned)((seconds + 59) / 60));
    else
        snprintf(out, 32, "%u h", (unsigned)((seconds + 3599) / 3600));
    return out;
}

int cli_complain_answer(const struct cli_target *target, const struct cli_answer *answer,
                        const json_t *body)
{
    char words[512];
    const json_t *error = json_object_get(body, "error");
    cli_text_of(error, "message", words, sizeof(words));
    if (answer->status == 401 || answer->status == 403)
        return cli_complain(EXIT_FAILED,
                            "%s refuses (%ld): set admin.token or WEIR_ADMIN_TOKEN (sent in the "
                            "header x-admin-token)",
                            target->url, answer->status);
    return cli_complain(EXIT_FAILED, "%s answered %ld%s%s", target->url, answer->status,
                        words[0] != '\0' ? ": " : "", words);
}

int cli_complain_unreachable(const struct cli_target *target, const char *why)
{
    if (target->is_guess)
        return cli_complain(EXIT_FAILED,
                            "no answer from %s: %s. That address is a guess, because there is no "
                            "valid config (see `weir check`); --url says where the node is",
                            target->url, why);
    return cli_complain(EXIT_FAILED, "no answer from %s: %s", target->url, why);
}

char *cli_question(const char *command, const char *key, const char *text)
{
    json_t *json = json_pack("{s:s}", key, text);
    char *body = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (body == NULL)
        (void)cli_complain(EXIT_USAGE, "%s: what you named is not valid UTF-8", command);
    return body;
}

json_t *cli_answer_json(const struct cli_answer *answer)
{
    struct slice body = buf_slice(&answer->body);
    return json_loadb(body.at != NULL ? body.at : "", body.len, 0, NULL);
}
