/* A base URL that leads back to the node: each request would come in again as a new one, until all
 * slots are taken, and none is ever answered. Found without asking a name server: addresses of this
 * machine, its name, and what the config calls the node. */
#include <ifaddrs.h>
#include <string.h>
#include <unistd.h>

#include "config/config_priv.h"
#include "config/env.h"
#include "format/host.h"

static bool is_zero(const struct ip *ip)
{
    static const unsigned char v6[IP_BYTES], v4[IP_BYTES] = {[10] = 0xff, [11] = 0xff};
    return memcmp(ip->bytes, v6, IP_BYTES) == 0 || memcmp(ip->bytes, v4, IP_BYTES) == 0;
}

static bool is_of_this_machine(const struct ip *ip)
{
    struct ifaddrs *all = NULL;
    bool is_found = ip_is_loopback(ip);
    if (!is_found && getifaddrs(&all) == 0) {
        for (const struct ifaddrs *a = all; a != NULL && !is_found; a = a->ifa_next) {
            unsigned char bytes[IP_BYTES];
            is_found = a->ifa_addr != NULL && ip_of_peer(a->ifa_addr, bytes) &&
                       memcmp(bytes, ip->bytes, IP_BYTES) == 0;
        }
        freeifaddrs(all);
    }
    return is_found;
}

static bool is_listened_at(const struct config *c, const struct ip *ip)
{
    const struct ip *host = &c->server.host;
    if (memcmp(host->bytes, ip->bytes, IP_BYTES) == 0)
        return true;
    if (is_zero(ip)) /* connecting there means this machine */
        return is_zero(host) || ip_is_loopback(host);
    if (!is_zero(host))
        return false;
    bool is_reached = host->is_v6 || memcmp(host->bytes, ip->bytes, IP_BYTES - 4) == 0;
    return is_reached && is_of_this_machine(ip);
}

static bool is_own_name(const struct config *c, struct slice host)
{
    char own[HOST_NAME_MAX + 1] = "";
    for (size_t i = 0; i < c->server.names.count; i++)
        if (slice_eq_nocase(host, slice_of(c->server.names.items[i])))
            return true;
    return is_zero(&c->server.host) && gethostname(own, sizeof(own) - 1) == 0 && own[0] != '\0' &&
           slice_eq_nocase(host, slice_of(own));
}

static bool leads_back(const struct config *c, const struct origin *origin)
{
    struct slice host = slice_of(origin->host);
    struct ip ip;
    if (c->server.port == 0 || origin->port != c->server.port)
        return false;
    if (slice_eq_nocase(host, SLICE("localhost")))
        return ip_is_loopback(&c->server.host) || is_zero(&c->server.host);
    return ip_parse(&ip, host) ? is_listened_at(c, &ip) : is_own_name(c, host);
}

/* SERVICE_ENDPOINTS gives keys of the environment their URLs. */
static void at_url(struct config_reader *r, size_t index)
{
    static const char variable[] = "SERVICE_ENDPOINTS";
    unsigned line;
    config_at(r, "subscriptions");
    (void)config_path_begin(r, "[%zu].base_url", index);
    if (r->are_keys_named && config_variable_get(r->environment, variable, &line).len > 0)
        config_at_variable(r, variable, line);
}

bool config_mind_itself(struct config_reader *r)
{
    const struct config *c = r->config;
    for (size_t i = 0; r->environment != NULL && i < c->subscription_count; i++) {
        const struct origin *origin = &c->subscriptions[i].origin;
        if (origin->host == NULL || !leads_back(c, origin))
            continue;
        at_url(r, i);
        return config_fail(r, "the provider's URL, or another server.port (PORT)",
                           "%s://%s%s leads back to this node: no request would ever end",
                           origin->is_tls ? "https" : "http", origin->authority,
                           origin->path_prefix);
    }
    return true;
}
