#include "run/preflight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/access.h"
#include "config/config.h"
#include "crypto/tls.h"
#include "format/redis_url.h"

static bool is_from_environment(const char *url)
{
    const char *variable = getenv("WEIR_REDIS_URL");
    return variable != NULL && strcmp(variable, url) == 0;
}

static bool check_redis(const struct config *c, char *why, size_t why_len)
{
    const char *url_why;
    if (c->redis.url == NULL || redis_url_check(slice_of(c->redis.url), &url_why))
        return true;
    if (is_from_environment(c->redis.url))
        snprintf(why, why_len, "WEIR_REDIS_URL (environment): %s", url_why);
    else
        snprintf(why, why_len, "%s: redis.url: %s", c->source, url_why);
    return false;
}

static bool check_tls(const struct config *c, char *why, size_t why_len)
{
    char tls_why[TLS_WHY_MAX];
    if (c->server.tls_cert == NULL)
        return true;
    SSL_CTX *tls = tls_server_context(c->server.tls_cert, c->server.tls_key, tls_why);
    if (tls == NULL)
        snprintf(why, why_len, "%s: server.tls: %s", c->source, tls_why);
    tls_context_free(tls);
    return tls != NULL;
}

static bool check_networks(const struct config *c, char *why, size_t why_len)
{
    const char *bad;
    struct networks *networks = networks_new(c->server.trusted_networks, &bad);
    if (networks == NULL)
        snprintf(why, why_len,
                 "%s: server.trusted_networks: found \"%s\", expected an address or a network like "
                 "10.0.0.0/8",
                 c->source, bad);
    networks_free(networks);
    return networks != NULL;
}

bool preflight(const struct config *c, char *why, size_t why_len)
{
    return check_redis(c, why, why_len) && check_tls(c, why, why_len) &&
           check_networks(c, why, why_len);
}
