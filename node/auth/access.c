/* Each question is answered from the config and the request alone: nothing is kept here.
 *
 * A page's origin is ours by the rules of a Host, but for addresses: a name can be turned to any
 * address by whoever owns it, an address cannot, so every address is a good Host; yet a page at
 * an address can be anybody's, so as an origin it must be one of a trusted network, or the very
 * host that was asked. Origins of other schemes (an editor's, an extension's) are no pages of the
 * web; "null" may be anyone's. */
#include "auth/access.h"

#include "config/config.h"
#include "format/host.h"

bool access_is_proxy_sign(struct slice header_name)
{
    const struct slice signs[] = {
        SLICE("cf-*"),      SLICE("x-forwarded-*"),  SLICE("forwarded"), SLICE("via"),
        SLICE("x-real-ip"), SLICE("true-client-ip"), SLICE("cdn-loop"),
    };
    return slice_matches(header_name, signs, sizeof(signs) / sizeof(signs[0]));
}

static bool came_through_a_proxy(const struct http1_request *r)
{
    for (unsigned i = 0; i < r->header_count; i++)
        if (access_is_proxy_sign(r->headers[i].name))
            return true;
    return false;
}

static const struct http1_header *header(const struct http1_request *r, const char *name)
{
    return http1_header(r->headers, r->header_count, slice_of(name));
}

/* ---- Host and Origin ---- */

static bool is_our_name(const struct config *config, struct slice host)
{
    for (size_t i = 0; i < config->server.names.count; i++)
        if (slice_eq_nocase(host, slice_of(config->server.names.items[i])))
            return true;
    return host_is_private(host);
}

static bool is_our_host(const struct config *config, struct slice authority)
{
    struct ip ip;
    struct slice host = host_of_authority(authority);
    return ip_parse(&ip, host) || is_our_name(config, host);
}

static bool is_our_page(const struct config *config, const struct http1_request *r,
                        struct slice authority)
{
    struct ip ip;
    struct slice host = host_of_authority(authority);
    if (ip_parse(&ip, host))
        return ip_is_loopback(&ip) || networks_have_ip(&config->server.trusted_networks, &ip) ||
               slice_eq_nocase(host, host_of_authority(r->host));
    return is_our_name(config, host);
}

static void judge_page(const struct config *config, const struct http1_request *r,
                       struct access *access)
{
    const struct http1_header *origin = header(r, "origin");
    const struct http1_header *site = header(r, "sec-fetch-site");
    struct slice authority;
    if (origin == NULL) {
        access->is_foreign_page = site != NULL && slice_eq_nocase(site->value, SLICE("cross-site"));
    } else if (host_of_page(origin->value, &authority)) {
        access->is_foreign_page = !is_our_page(config, r, authority);
        access->foreign_origin = access->is_foreign_page ? authority : SLICE_NONE;
    } else {
        access->is_foreign_page = slice_eq_nocase(origin->value, SLICE("null"));
    }
}

struct access access_of(const struct config *config, const struct sockaddr *peer,
                        const struct http1_request *request)
{
    struct access access = {0};
    if (request->host.len > 0 && !is_our_host(config, request->host))
        access.foreign_host = request->host;
    judge_page(config, request, &access);
    access.is_elsewhere =
        !networks_have(&config->server.trusted_networks, peer) || came_through_a_proxy(request);
    access.is_local =
        !access.is_elsewhere && access.foreign_host.len == 0 && !access.is_foreign_page;
    access.is_loopback = access.is_local && ip_peer_is_loopback(peer);
    return access;
}

/* ---- who may ---- */

static struct access_refusal refuse(int status, const char *why)
{
    return (struct access_refusal){status, why};
}

static struct access_refusal refuse_page(const struct access *access, struct arena *arena)
{
    struct slice page = host_of_authority(access->foreign_origin);
    if (page.len == 0)
        return refuse(403, "a page of another site made a browser send this request, and it does "
                           "not say which: such requests are not served");
    return refuse(403,
                  arena_printf(arena,
                               "a page of %.*s made a browser send this request: if its pages may "
                               "use this node, add \"%.*s\" to \"server.names\" in the node's "
                               "configuration",
                               SLICE_ARG(page), SLICE_ARG(page))
                      .at);
}

static struct access_refusal refuse_host(const struct access *access, struct arena *arena)
{
    struct slice host = host_of_authority(access->foreign_host);
    return refuse(403,
                  arena_printf(arena,
                               "%.*s is not known as a name of this node: if it is one, add "
                               "\"%.*s\" to \"server.names\" in the node's configuration; else ask "
                               "by an address or as localhost",
                               SLICE_ARG(host), SLICE_ARG(host))
                      .at);
}

/* Whoever can reach an open node may use it, by whatever name; a page of another site only makes
 * its visitor's browser do so. */
struct access_refusal access_to_proxy(const struct config *config, const struct access *access,
                                      struct arena *arena)
{
    if (access->is_foreign_page)
        return refuse_page(access, arena);
    if (access->is_local || config->is_auth_open)
        return refuse(0, NULL);
    if (!access->is_elsewhere && access->foreign_host.len > 0)
        return refuse_host(access, arena);
    return refuse(401, "this caller is not local to the node, and callers from elsewhere are not "
                       "admitted (\"auth\" in the node's configuration)");
}

static bool shows_token(const struct config *config, const struct http1_request *request)
{
    const struct http1_header *h = header(request, "x-admin-token");
    if (h != NULL)
        return secret_equals(&config->admin_token, h->value);
    h = header(request, "authorization");
    return h != NULL && slice_starts_nocase(h->value, SLICE("bearer ")) &&
           secret_equals(&config->admin_token, slice_trim(slice_from(h->value, 7)));
}

struct access_refusal access_to_admin(const struct config *config, const struct access *access,
                                      const struct http1_request *request, struct arena *arena)
{
    if (secret_is_set(&config->admin_token))
        return shows_token(config, request)
                   ? refuse(0, NULL)
                   : refuse(
                         401,
                         "not for this caller: send the admin token in the header \"x-admin-token: "
                         "TOKEN\" or \"authorization: Bearer TOKEN\"");
    if (access->is_foreign_page)
        return refuse_page(access, arena);
    if (access->is_loopback)
        return refuse(0, NULL);
    if (!access->is_elsewhere && access->foreign_host.len > 0)
        return refuse_host(access, arena);
    return refuse(401, "not for this caller: ask from the node's own machine, or set "
                       "\"admin.token\" in its configuration and send that in the header "
                       "\"x-admin-token: TOKEN\"");
}
