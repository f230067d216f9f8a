/* What a person says of where a node is: a port, a host with a port, or a whole URL. A port that is
 * said here is the environment's from then on, where the config finds it, at a reload too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"

bool cli_take_port(const struct cli_options *options)
{
    uint64_t port;
    if (options->port == NULL)
        return true;
    if (options->url != NULL) {
        (void)cli_complain(EXIT_USAGE, "--url and --port both say where the node is: give one");
        return false;
    }
    if (!slice_number(slice_of(options->port), UINT16_MAX, &port)) {
        (void)cli_complain(EXIT_USAGE,
                           "--port: expected a whole number from 0 to 65535, found "
                           "\"%s\"",
                           options->port);
        return false;
    }
    setenv("PORT", options->port, 1); /* NOLINT(concurrency-mt-unsafe): there is one thread */
    return true;
}

static bool has_scheme(struct slice url)
{
    return slice_starts_nocase(url, SLICE("http://")) ||
           slice_starts_nocase(url, SLICE("https://"));
}

/* "host:8080", "127.0.0.1:8080", "[::1]:8080", with a path or without. */
static bool is_host_with_port(struct slice text)
{
    struct slice host, path;
    uint64_t port;
    size_t colon = 0, bracket;
    (void)slice_cut(text, '/', &host);
    if (slice_starts(host, SLICE("[")) && slice_find(host, ']', &bracket))
        colon = bracket + 1;
    else if (!slice_find(host, ':', &colon))
        return false;
    path = slice_from(host, colon);
    return colon > 0 && slice_starts(path, SLICE(":")) &&
           slice_number(slice_from(path, 1), UINT16_MAX, &port) && port > 0;
}

char *cli_url_of(const char *text)
{
    struct slice url = slice_of(text);
    bool is_whole = has_scheme(url);
    while (url.len > 0 && url.at[url.len - 1] == '/')
        url.len--;
    if (!is_whole && !is_host_with_port(url)) {
        (void)cli_complain(EXIT_USAGE,
                           "expected host:port or a URL, like 127.0.0.1:8080 or "
                           "http://127.0.0.1:8080, found \"%s\"",
                           text);
        return NULL;
    }
    size_t size = url.len + sizeof("http://");
    char *whole = mem_new(size);
    snprintf(whole, size, "%s%.*s", is_whole ? "" : "http://", SLICE_ARG(url));
    return whole;
}
