#include "auth/access.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "check.h"
#include "config/config.h"

static struct sockaddr_storage address_of(const char *text)
{
    union {
        struct sockaddr_storage all;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address = {0};
    if (inet_pton(AF_INET, text, &address.in.sin_addr) == 1)
        address.in.sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &address.in6.sin6_addr) == 1)
        address.in6.sin6_family = AF_INET6;
    else
        address.all.ss_family = AF_UNIX;
    return address.all;
}

static struct http1_request with(struct http1_header *header)
{
    return (struct http1_request){.headers = header, .header_count = header != NULL ? 1 : 0};
}

static void test_local(void)
{
    static const char *const signs[] = {
        "cf-ray",    "CF-Ray", "cf-connecting-ip", "X-Forwarded-For",   "forwarded", "Forwarded",
        "X-Real-IP", "Via",    "True-Client-IP",   "x-forwarded-proto", "CDN-Loop"};
    struct network loopback;
    struct config config = {.server.trusted_networks = {&loopback, 1}}, *n = &config;
    const char *why;
    CHECK(network_parse(&loopback, SLICE("127.0.0.0/8"), &why));
    struct sockaddr_storage near = address_of("127.0.0.1"), far = address_of("203.0.113.7");
    struct http1_request plain = with(NULL);
    PROMISE("a caller from a trusted network is local, one from elsewhere is not")
    {
        CHECK(access_is_local(n, (struct sockaddr *)&near, &plain));
        CHECK(!access_is_local(n, (struct sockaddr *)&far, &plain));
    }
    PROMISE("a request that came through a tunnel or for someone else is not local")
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        struct http1_header header = {slice_of(signs[i]), SLICE("127.0.0.1")};
        struct http1_request tunnelled = with(&header);
        CHECK(!access_is_local(n, (struct sockaddr *)&near, &tunnelled));
        header.value = SLICE_NONE; /* that it is there says enough */
        CHECK(!access_is_local(n, (struct sockaddr *)&near, &tunnelled));
    }
    PROMISE("a header of another name says nothing")
    {
        struct http1_header header = {SLICE("x-forwarded"), SLICE("1")};
        struct http1_request other = with(&header);
        CHECK(access_is_local(n, (struct sockaddr *)&near, &other));
    }
}

static bool admin(const struct config *config, bool is_local, const char *name, const char *value)
{
    struct http1_header header = {slice_of(name), slice_of(value)};
    struct http1_request request = with(name != NULL ? &header : NULL);
    return access_to_admin(config, is_local, &request);
}

static void test_proxy_and_open(void)
{
    struct config closed = {0}, open = {.is_auth_open = true};
    PROMISE("who is not local is served only where the operator said open")
    {
        CHECK(access_to_proxy(&closed, true) && !access_to_proxy(&closed, false));
        CHECK(access_to_proxy(&open, true) && access_to_proxy(&open, false));
    }
    PROMISE("open is about requests to providers; the operator's desk stays local")
    CHECK(admin(&open, true, NULL, "") && !admin(&open, false, NULL, ""));
    PROMISE("without a token configured none can be right")
    {
        CHECK(!admin(&closed, false, "x-admin-token", ""));
        CHECK(!admin(&closed, false, "authorization", "Bearer "));
    }
}

static void test_token(void)
{
    struct config config = {0};
    secret_set(&config.admin_token, SLICE("s3cret"));
    PROMISE("with a token configured local callers need it as well")
    CHECK(!admin(&config, true, NULL, "") && !admin(&config, false, NULL, ""));
    PROMISE("the token opens in either header, from anywhere")
    {
        CHECK(admin(&config, false, "X-Admin-Token", "s3cret"));
        CHECK(admin(&config, true, "x-admin-token", "s3cret"));
        CHECK(admin(&config, false, "Authorization", "Bearer s3cret"));
        CHECK(admin(&config, false, "authorization", "bearer   s3cret"));
    }
    PROMISE("anything else does not, not even a part of it")
    {
        static const char *const wrong[] = {"", "s3cre", "s3cret1", "S3CRET", " s3cret", "s3cret "};
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
            CHECK(!admin(&config, true, "x-admin-token", wrong[i]));
        CHECK(!admin(&config, true, "authorization", "s3cret"));
        CHECK(!admin(&config, true, "authorization", "Basic s3cret"));
        CHECK(!admin(&config, true, "authorization", "Bearer"));
        CHECK(!admin(&config, true, "authorization", "Bearers3cret"));
        CHECK(!admin(&config, true, "authorization", "Bearer s3cret x"));
    }
    secret_fini(&config.admin_token);
}

int main(void)
{
    test_local();
    test_proxy_and_open();
    test_token();
    return check_done();
}
