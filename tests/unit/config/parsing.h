/* parsing.h - what the tests of a config as text share: a text in one line, what becomes of it. */
#pragma once
#include <stdbool.h>

#include "check.h"
#include "config/config.h"

#define ONE "{\"name\":\"a\",\"api_key\":\"sk-ant-api03-x\"}"
#define WITH(more) "{\"subscriptions\":[" ONE "]," more "}"
#define SUB(more) "{\"subscriptions\":[{\"name\":\"a\",\"api_key\":\"k\"," more "}]}"

static struct config_error failure;

static inline struct config *parse(const char *json)
{
    struct config *c = NULL;
    bool is_read = config_parse(slice_of(json), "test.json", &c, &failure);
    CHECK(is_read == (c != NULL) && is_read == (failure.text[0] == '\0'));
    return c;
}

/* True if it is refused with a message that holds `words`. */
static inline bool refused(const char *json, const char *words)
{
    struct config *c = parse(json);
    config_release(c);
    if (c == NULL && strstr(failure.text, words) != NULL)
        return true;
    fprintf(stderr, "    %s\n    gave: %s\n", json, failure.text);
    return false;
}
