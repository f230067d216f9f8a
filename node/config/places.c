/* The kinds of value that name a place: hosts, URLs, networks. Their grammars live in format/; an
 * error has the grammar's own words, and never the URL, which may hold credentials. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config_priv.h"
#include "format/host.h"

static bool read_host(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      void *to)
{
    struct ip ip;
    if (!json_is_string(value) || !ip_parse_host(&ip, config_text_of(value)))
        return config_fail_value(r, knob, value);
    *(struct ip *)to = ip;
    return true;
}

static void put_host(const struct config_knob *knob, const void *at, struct buf *out)
{
    (void)knob;
    config_put(out, "%s", ((const struct ip *)at)->text);
}

/* Says why, and does not show the URL: someone may have put credentials into it. */
static bool fail_url(struct config_reader *r, const struct config_knob *knob, const char *why)
{
    char expected[256];
    config_expected(knob, expected, sizeof(expected));
    return config_fail(r, expected, "%s", why);
}

static bool read_url(struct config_reader *r, const struct config_knob *knob, json_t *value,
                     void *to)
{
    const char *why;
    if (!config_is_text(knob, value))
        return config_fail_value(r, knob, value);
    return origin_parse(to, config_text_of(value), &why) || fail_url(r, knob, why);
}

static void put_url(const struct config_knob *knob, const void *at, struct buf *out)
{
    const struct origin *origin = at;
    (void)knob;
    if (origin->authority != NULL)
        config_put(out, "%s://%s%s", origin->is_tls ? "https" : "http", origin->authority,
                   origin->path_prefix);
}

static void forget_url(void *at)
{
    origin_fini(at);
}

static bool read_redis_url(struct config_reader *r, const struct config_knob *knob, json_t *value,
                           void *to)
{
    struct redis_url url;
    const char *why;
    if (!config_is_text(knob, value))
        return config_fail_value(r, knob, value);
    if (!redis_url_parse(&url, config_text_of(value), &why))
        return fail_url(r, knob, why);
    r->has_secrets |= secret_is_set(&url.password);
    redis_url_fini(to);
    memcpy(to, &url, sizeof(url));
    return true;
}

static void put_redis_url(const struct config_knob *knob, const void *at, struct buf *out)
{
    const struct redis_url *url = at;
    char place[REDIS_PLACE_MAX];
    (void)knob;
    if (!redis_url_is_set(url))
        return;
    redis_url_place(url, place);
    config_put(out, "%d%d %s %u %s %s ", url->is_unix, url->is_tls, place, url->database, url->user,
               url->ca_file);
    config_put(out, "%.*s", SLICE_ARG(secret_reveal(&url->password)));
}

static void forget_redis_url(void *at)
{
    redis_url_fini(at);
}

static void forget_networks(void *at)
{
    struct networks *networks = at;
    free(networks->items);
    *networks = (struct networks){0};
}

static bool read_network(struct config_reader *r, const json_t *item, struct network *network)
{
    static const char expected[] = "a network like \"10.0.0.0/8\" or an address";
    const char *why = "neither a network nor an address";
    char found[CONFIG_FOUND_MAX];
    return (json_is_string(item) && network_parse(network, config_text_of(item), &why)) ||
           config_fail(r, expected, "found %s: %s", config_found(item, false, found), why);
}

static bool read_networks(struct config_reader *r, const struct config_knob *knob, json_t *value,
                          void *to)
{
    struct networks *networks = to;
    size_t count = json_array_size(value);
    if (!json_is_array(value) || count > CONFIG_NETWORKS_MAX)
        return config_fail_value(r, knob, value);
    forget_networks(networks);
    networks->items = mem_new((count + 1) * sizeof(networks->items[0]));
    networks->count = count;
    for (size_t i = 0; i < count; i++) {
        size_t mark = config_path_begin(r, "[%zu]", i);
        if (!read_network(r, json_array_get(value, i), &networks->items[i]))
            return false;
        config_path_end(r, mark);
    }
    return true;
}

static void put_networks(const struct config_knob *knob, const void *at, struct buf *out)
{
    const struct networks *networks = at;
    (void)knob;
    for (size_t i = 0; i < networks->count; i++)
        config_put(out, "%s/%u ", networks->items[i].first.text, networks->items[i].bits);
}

static void forget_host_names(void *at)
{
    struct host_names *names = at;
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct host_names){0};
}

static bool add_host_name(struct config_reader *r, struct host_names *names, struct slice text)
{
    if (!host_is_name(text))
        return config_fail(r, "a host name like \"llm.example.com\", without port or path",
                           "found \"%.*s\"", (int)(text.len < 64 ? text.len : 64), text.at);
    if (names->count == CONFIG_HOST_NAMES_MAX)
        return config_fail(r, config_host_names.expected, "found more");
    names->items[names->count++] = mem_string(text);
    return true;
}

/* A variable has them in one text, separated by commas. */
static bool read_host_names(struct config_reader *r, const struct config_knob *knob, json_t *value,
                            void *to)
{
    struct host_names *names = to;
    struct slice rest = config_text_of(value), name;
    if (!json_is_array(value) && !json_is_string(value))
        return config_fail_value(r, knob, value);
    forget_host_names(names);
    names->items = mem_new(CONFIG_HOST_NAMES_MAX * sizeof(names->items[0]));
    while (json_is_string(value) && rest.len > 0) {
        rest = slice_cut(rest, ',', &name);
        if (!add_host_name(r, names, slice_trim(name)))
            return false;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        size_t mark = config_path_begin(r, "[%zu]", i);
        if (!add_host_name(r, names, config_text_of(json_array_get(value, i))))
            return false;
        config_path_end(r, mark);
    }
    return true;
}

static void put_host_names(const struct config_knob *knob, const void *at, struct buf *out)
{
    const struct host_names *names = at;
    (void)knob;
    for (size_t i = 0; i < names->count; i++)
        config_put(out, "%s ", names->items[i]);
}

const struct config_kind config_host = {CONFIG_VALUE(host),
                                        .expected = "an IPv4 or IPv6 address, or \"localhost\""};
const struct config_kind config_url = {
    CONFIG_OWNER(url), .expected = "https://host[:port][/path], or http://...", .is_secret = true};
const struct config_kind config_redis_url = {
    CONFIG_OWNER(redis_url),
    .expected =
        "redis://[[user]:password@]host[:port][/db], rediss://... (with TLS; ?ca_file=/path) "
        "or unix:///path[?db=N]",
    .is_secret = true};
const struct config_kind config_networks = {
    CONFIG_OWNER(networks), .expected = "a list of at most 64 networks like \"10.0.0.0/8\""};
const struct config_kind config_host_names = {CONFIG_OWNER(host_names),
                                              .expected = "a list of at most 64 host names"};
