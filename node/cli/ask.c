/* Who to ask is decided first (--url, --port, WEIR_URL, the config, the default port), then one
 * request by libcurl, bounded in time and bytes. A node's own certificate is trusted if the config
 * names it: this is how one asks a node on this machine. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "config/config.h"

enum { ANSWER_MAX = 16 * 1024 * 1024, CONNECT_MS = 2000, TOTAL_MS = 5000, DEFAULT_PORT = 8080 };

static const char *variable(const char *name)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): nothing changes it */
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static void set_url(struct cli_target *target, bool is_tls, const char *host, unsigned port)
{
    char url[256];
    bool is_v6 = strchr(host, ':') != NULL;
    snprintf(url, sizeof(url), is_v6 ? "%s://[%s]:%u" : "%s://%s:%u", is_tls ? "https" : "http",
             host, port);
    target->url = mem_string(slice_of(url));
}

static bool use_config(struct cli_target *target, const struct config *c)
{
    bool is_tls = c->server.tls_cert != NULL;
    if (secret_is_set(&c->admin_token))
        secret_set(&target->token, secret_reveal(&c->admin_token));
    if (target->url != NULL)
        return true;
    if (c->server.port == 0) {
        (void)cli_complain(EXIT_USAGE, "%s: server.port is 0, so any port: say which with --url",
                           c->source);
        return false;
    }
    set_url(target, is_tls, config_near_host(c), c->server.port);
    if (is_tls)
        target->certificate = mem_string(slice_of(c->server.tls_cert));
    return true;
}

/* The config cannot be read, but a node may run all the same: with an older one, or elsewhere. */
static void do_without_config(struct cli_target *target)
{
    const char *port_text = variable("PORT"), *token = variable("WEIR_ADMIN_TOKEN");
    uint64_t port;
    if (token != NULL)
        secret_set(&target->token, slice_of(token));
    if (target->url != NULL)
        return;
    if (!slice_number(slice_of(port_text), UINT16_MAX, &port) || port == 0)
        port = DEFAULT_PORT;
    set_url(target, false, "127.0.0.1", (unsigned)port);
    target->is_guess = true;
}

bool cli_target_init(struct cli_target *target, const struct cli_options *options)
{
    struct config *config;
    struct config_error error;
    const char *url = options->url;
    if (url == NULL && options->port == NULL)
        url = variable("WEIR_URL");
    *target = (struct cli_target){0};
    if (url != NULL && (target->url = cli_url_of(url)) == NULL)
        return false;
    if (config_load(options->config, &config, &error)) {
        bool is_usable = use_config(target, config);
        config_release(config);
        return is_usable;
    }
    if (options->config != NULL) {
        (void)cli_complain(EXIT_USAGE, "%s", error.text);
        return false;
    }
    do_without_config(target);
    return true;
}

void cli_target_fini(struct cli_target *target)
{
    free(target->url);
    free(target->certificate);
    secret_fini(&target->token);
}

static size_t on_body(char *at, size_t size, size_t count, void *arg)
{
    struct cli_answer *answer = arg;
    return buf_append(&answer->body, (struct slice){at, size * count}) ? size * count : 0;
}

/* yours; NULL if there are none */
static struct curl_slist *headers_of(const struct cli_target *target, const char *body)
{
    struct slice token = secret_reveal(&target->token);
    struct curl_slist *list = NULL;
    if (body != NULL)
        list = curl_slist_append(list, "content-type: application/json");
    if (token.len == 0)
        return list;
    size_t size = token.len + sizeof("x-admin-token: ");
    char *text = mem_new(size);
    snprintf(text, size, "x-admin-token: %.*s", SLICE_ARG(token));
    list = curl_slist_append(list, text);
    explicit_bzero(text, size);
    free(text);
    return list;
}

/* The node's own certificate is trusted as it is: it was made for the name clients use, and here
 * the node is asked by its address. */
static void set_trust(CURL *curl, const struct cli_target *target)
{
    curl_easy_setopt(curl, CURLOPT_CAPATH, NULL); /* reading it costs more than all the rest */
    if (target->certificate == NULL)
        return;
    curl_easy_setopt(curl, CURLOPT_CAINFO, target->certificate);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
}

bool cli_ask(const struct cli_target *target, const char *path, const char *body,
             struct cli_answer *answer, const char **why)
{
    char url[2048 + 16];
    *answer = (struct cli_answer){0};
    buf_init(&answer->body, ANSWER_MAX);
    snprintf(url, sizeof(url), "%.2048s%s", target->url, path);
    CURL *curl = curl_easy_init();
    *why = "libcurl could not start";
    if (curl == NULL)
        return false;
    struct curl_slist *headers = headers_of(target, body);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* a proxy for the world is none for a node */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     target->wait_ms > 0 ? target->wait_ms : (long)TOTAL_MS);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "weir/" WEIR_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (body != NULL)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    set_trust(curl, target);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    *why = curl_easy_strerror(code);
    return code == CURLE_OK;
}

void cli_answer_fini(struct cli_answer *answer)
{
    buf_fini(&answer->body);
}
