/* SERVICE_ENDPOINTS: {"anthropic": ["https://...", ...]}, as llm-lb has it: over several lines, and
 * in quotes that a shell, a container or nobody takes off. The i-th subscription gets the i-th URL,
 * from the front again when there are fewer. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config_priv.h"

static const char expected_url[] = "https://host[:port][/path]";

/* ---- finding it ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t skip_blanks(struct slice s, size_t at)
{
    while (at < s.len && is_blank(s.at[at]))
        at++;
    return at;
}

/* NAME=: the next variable, so what went before has no end. */
static bool is_assignment(struct slice s)
{
    size_t len = 0;
    while (len < s.len && ((s.at[len] >= 'A' && s.at[len] <= 'Z') || s.at[len] == '_'))
        len++;
    return len > 0 && len < s.len && s.at[len] == '=';
}

/* Behind the brace that closes the one at `from`; 0: there is none. A backslash outside a string
 * is not JSON's, but a shell's. */
static size_t end_of_object(struct slice s, size_t from)
{
    bool is_string = false;
    unsigned depth = 0;
    for (size_t i = from; i < s.len; i++) {
        char c = s.at[i];
        if (is_string) {
            i += c == '\\';
            is_string = c != '"' && c != '\n';
        } else if (c == '\\' || (c == '\n' && is_assignment(slice_from(s, i + 1)))) {
            return 0;
        } else if (c == '"') {
            is_string = true;
        } else if (c == '{') {
            depth++;
        } else if (c == '}' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

bool config_endpoints_span(struct slice from, struct slice *json, size_t *used)
{
    bool is_quoted = from.len > 0 && (from.at[0] == '"' || from.at[0] == '\'');
    size_t start = skip_blanks(from, is_quoted);
    if (start >= from.len || from.at[start] != '{')
        return false;
    size_t end = end_of_object(from, start);
    *json = (struct slice){from.at + start, end - start};
    *used = is_quoted ? skip_blanks(from, end) + 1 : end;
    return end > 0 && (!is_quoted || (*used <= from.len && from.at[*used - 1] == from.at[0]));
}

/* Of "{\"anthropic\": ...}", quotes and all. yours */
static char *without_escapes(struct slice text)
{
    char *out = mem_new(text.len + 1);
    size_t len = 0;
    for (size_t i = 1; i + 1 < text.len; i++) {
        i += text.at[i] == '\\' && i + 2 < text.len;
        out[len++] = text.at[i];
    }
    return out;
}

/* What is not found stays as it is, for the parser to tell of. */
static json_t *parse(struct config_reader *r, struct slice text)
{
    struct slice json = SLICE_NONE;
    size_t used = 0;
    if (slice_eq(slice_trim(text), SLICE("{"))) {
        (void)config_fail(r, "all its lines in 'single quotes', or on one line",
                          "only its first line has arrived");
        return NULL;
    }
    if (config_endpoints_span(text, &json, &used) && skip_blanks(text, used) == text.len)
        return config_json_parse(r, json);
    if (!slice_starts(text, SLICE("\"{")))
        return config_json_parse(r, text);
    char *plain = without_escapes(text);
    json_t *services = config_json_parse(r, slice_of(plain));
    free(plain);
    return services;
}

/* ---- what it says ---- */

static bool check_urls(struct config_reader *r, const json_t *urls)
{
    static const char expected[] = "a list of 1 to 200 URLs";
    char found[CONFIG_FOUND_MAX];
    size_t count = json_array_size(urls);
    if (!json_is_array(urls) || count == 0)
        return config_fail(r, expected, "found %s", config_found(urls, true, found));
    if (count > SUBSCRIPTIONS_MAX)
        return config_fail(r, expected, "found %zu", count);
    for (size_t i = 0; i < count; i++) {
        const json_t *url = json_array_get(urls, i);
        size_t mark = config_path_begin(r, "[%zu]", i);
        if (!json_is_string(url))
            return config_fail(r, expected_url, "found %s", config_found(url, true, found));
        config_path_end(r, mark);
    }
    return true;
}

/* OpenAI's stand beside ours in the example that people have: ignored, as its keys are. */
static bool check_services(struct config_reader *r, json_t *services)
{
    for (void *at = json_object_iter(services); at != NULL;
         at = json_object_iter_next(services, at)) {
        const char *service = json_object_iter_key(at);
        size_t mark = config_path_begin(r, "%.64s", service);
        if (strcmp(service, "openai") == 0)
            config_warn(r, "ignored: OpenAI subscriptions are not supported by this version");
        else if (strcmp(service, "anthropic") != 0)
            return config_fail(r, "only \"anthropic\"",
                               "this service is not supported by this version");
        else if (!check_urls(r, json_object_iter_value(at)))
            return false;
        config_path_end(r, mark);
    }
    return true;
}

static bool ends_with(struct slice text, struct slice end)
{
    return text.len >= end.len && slice_eq(slice_from(text, text.len - end.len), end);
}

/* The variable's users write their URLs with the /v1 that ours leave out. */
static bool set_endpoint(struct config_reader *r, struct subscription *s, struct slice url)
{
    const char *why;
    while (url.len > 0 && url.at[url.len - 1] == '/')
        url.len--;
    if (ends_with(url, SLICE("/v1/messages")))
        return config_fail(r, expected_url, "ends with /v1/messages, which each request brings");
    if (ends_with(url, SLICE("/v1")))
        url.len -= 3;
    if (url.len > CONFIG_URL_MAX)
        return config_fail(r, expected_url, "a URL is longer than %d bytes", CONFIG_URL_MAX);
    return origin_parse(&s->origin, url, &why) || config_fail(r, expected_url, "%s", why);
}

/* Those that no subscription gets are read as well: an error in them is one. */
static bool check_endpoint(struct config_reader *r, struct slice url)
{
    struct subscription nobody = {0};
    bool is_read = set_endpoint(r, &nobody, url);
    origin_fini(&nobody.origin);
    return is_read;
}

static bool set_endpoints(struct config_reader *r, const json_t *urls)
{
    size_t count = json_array_size(urls), keys = r->config->subscription_count;
    for (size_t i = 0; count > 0 && i < (keys > count ? keys : count); i++) {
        struct slice url = config_text_of(json_array_get(urls, i % count));
        size_t mark = config_path_begin(r, "anthropic[%zu]", i % count);
        if (!(i < keys ? set_endpoint(r, &r->config->subscriptions[i], url)
                       : check_endpoint(r, url)))
            return false;
        if (i == keys)
            config_warn(r, "no key is left for this URL: each key has one, and there are %zu",
                        keys);
        config_path_end(r, mark);
    }
    return true;
}

bool config_read_endpoints(struct config_reader *r, struct slice text)
{
    json_t *services = parse(r, text);
    bool is_read = services != NULL && check_services(r, services) &&
                   set_endpoints(r, json_object_get(services, "anthropic"));
    json_decref(services);
    return is_read;
}
