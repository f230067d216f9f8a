#include "auth/access.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "check.h"

#define NETWORKS(...) networks_of((char *[]){__VA_ARGS__, NULL})

static struct networks *networks_of(char **texts)
{
    const char *bad = NULL;
    struct networks *networks = networks_new(texts, &bad);
    CHECK(networks != NULL && bad == NULL);
    return networks;
}

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

static bool have(const struct networks *networks, const char *text)
{
    struct sockaddr_storage address = address_of(text);
    return networks_have(networks, (const struct sockaddr *)&address);
}

static void test_networks(void)
{
    PROMISE("a network has the addresses that share its bits, and no other")
    {
        char v4[] = "10.0.0.0/8", odd[] = "192.168.4.0/22", one[] = "172.16.0.9", v6[] = "fd00::/9";
        struct networks *n = NETWORKS(v4, odd, one, v6);
        CHECK(have(n, "10.0.0.0") && have(n, "10.255.255.255"));
        CHECK(!have(n, "9.255.255.255") && !have(n, "11.0.0.0"));
        CHECK(have(n, "192.168.4.0") && have(n, "192.168.7.255"));
        CHECK(!have(n, "192.168.3.255") && !have(n, "192.168.8.0"));
        CHECK(have(n, "172.16.0.9") && !have(n, "172.16.0.8"));
        CHECK(have(n, "fd00::1") && have(n, "fd7f:ffff::") && !have(n, "fd80::"));
        networks_free(n);
    }
    PROMISE("an IPv4 caller on an IPv6 socket is the same caller")
    {
        char v4[] = "127.0.0.0/8", one[] = "::1";
        struct networks *n = NETWORKS(v4, one);
        CHECK(have(n, "::ffff:127.0.0.1") && !have(n, "::ffff:128.0.0.1"));
        CHECK(have(n, "::1") && !have(n, "::2") && !have(n, "::127.0.0.1"));
        networks_free(n);
    }
}

static void test_edges(void)
{
    PROMISE("no bits at all is everyone of that family")
    {
        char v4[] = "0.0.0.0/0", v6[] = "::/0";
        struct networks *n = NETWORKS(v4);
        CHECK(have(n, "203.0.113.7") && !have(n, "2001:db8::1"));
        networks_free(n);
        n = NETWORKS(v6);
        CHECK(have(n, "2001:db8::1"));
        networks_free(n);
    }
    PROMISE("all bits is one address")
    {
        char v4[] = "10.0.0.1/32", v6[] = "2001:db8::1/128";
        struct networks *n = NETWORKS(v4, v6);
        CHECK(have(n, "10.0.0.1") && !have(n, "10.0.0.0"));
        CHECK(have(n, "2001:db8::1") && !have(n, "2001:db8::"));
        networks_free(n);
    }
    PROMISE("an empty list has nobody, and what is no internet address is in no network")
    {
        const char *bad = NULL;
        char all[] = "::/0";
        struct networks *n = networks_new(NULL, &bad);
        CHECK(!have(n, "127.0.0.1"));
        networks_free(n);
        n = NETWORKS(all);
        CHECK(!have(n, "a path"));
        networks_free(n);
    }
}

static void test_bad_networks(void)
{
    static const char *const wrong[] = {"",          "localhost",   "10.0.0.0/33",  "10.0.0/8",
                                        "10.0.0.0/", "10.0.0.0/-1", "::1/129",      "10.0.0.0/8/8",
                                        " 10.0.0.1", "10.0.0.0/8 ", "10.0.0.0/0x8", "[::1]"};
    PROMISE("the entry that is no network is named")
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char fine[] = "127.0.0.1", text[32];
        const char *bad = NULL;
        snprintf(text, sizeof(text), "%s", wrong[i]);
        struct networks *n = networks_new((char *[]){fine, text, NULL}, &bad);
        CHECK(n == NULL && bad == text);
        if (n != NULL)
            fprintf(stderr, "    taken: '%s'\n", text);
        networks_free(n);
    }
    PROMISE("an entry longer than any address is refused too")
    {
        char text[200];
        const char *bad = NULL;
        memset(text, '1', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        CHECK(networks_new((char *[]){text, NULL}, &bad) == NULL && bad == text);
    }
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
    char trusted[] = "127.0.0.0/8";
    struct networks *n = NETWORKS(trusted);
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
    networks_free(n);
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
    test_networks();
    test_edges();
    test_bad_networks();
    test_local();
    test_proxy_and_open();
    test_token();
    return check_done();
}
