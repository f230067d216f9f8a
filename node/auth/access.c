/* Three questions, each answered from the config and the request alone: nothing is kept here. */
#include "auth/access.h"

#include "config/config.h"

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

bool access_is_local(const struct config *config, const struct sockaddr *peer,
                     const struct http1_request *request)
{
    return networks_have(&config->server.trusted_networks, peer) && !came_through_a_proxy(request);
}

bool access_to_proxy(const struct config *config, bool is_local)
{
    return is_local || config->is_auth_open;
}

bool access_to_admin(const struct config *config, bool is_local,
                     const struct http1_request *request)
{
    const struct http1_header *h;
    if (!secret_is_set(&config->admin_token))
        return is_local;
    h = http1_header(request->headers, request->header_count, SLICE("x-admin-token"));
    if (h != NULL)
        return secret_equals(&config->admin_token, h->value);
    h = http1_header(request->headers, request->header_count, SLICE("authorization"));
    return h != NULL && slice_starts_nocase(h->value, SLICE("bearer ")) &&
           secret_equals(&config->admin_token, slice_trim(slice_from(h->value, 7)));
}
