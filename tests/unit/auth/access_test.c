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

static char own_name[] = "llm.example.com", *names[] = {own_name};
static struct network networks[2];
static struct config near_config = {
    .server = {.trusted_networks = {networks, 2}, .names = {names, 1}}};

static bool is_local(const char *address, const struct http1_request *request)
{
    struct sockaddr_storage peer = address_of(address);
    return access_of(&near_config, (struct sockaddr *)&peer, request).is_local;
}

static void test_local(void)
{
    static const char *const signs[] = {
        "cf-ray",    "CF-Ray", "cf-connecting-ip", "X-Forwarded-For",   "forwarded", "Forwarded",
        "X-Real-IP", "Via",    "True-Client-IP",   "x-forwarded-proto", "CDN-Loop"};
    struct http1_request plain = with(NULL);
    PROMISE("a caller from a trusted network is local, one from elsewhere is not")
    {
        CHECK(is_local("127.0.0.1", &plain) && is_local("10.1.2.3", &plain));
        CHECK(!is_local("203.0.113.7", &plain) && !is_local("a socket", &plain));
    }
    PROMISE("a request that came through a tunnel or for someone else is not local")
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        struct http1_header header = {slice_of(signs[i]), SLICE("127.0.0.1")};
        struct http1_request tunnelled = with(&header);
        CHECK(!is_local("127.0.0.1", &tunnelled));
        header.value = SLICE_NONE; /* that it is there says enough */
        CHECK(!is_local("127.0.0.1", &tunnelled));
    }
    PROMISE("a header of another name says nothing")
    {
        struct http1_header header = {SLICE("x-forwarded"), SLICE("1")};
        struct http1_request other = with(&header);
        CHECK(is_local("127.0.0.1", &other));
    }
}

static bool local_host(const char *host)
{
    struct http1_request request = {.host = slice_of(host)};
    return is_local("127.0.0.1", &request);
}

static bool local_page(const char *name, const char *value, const char *host)
{
    struct http1_header header = {slice_of(name), slice_of(value)};
    struct http1_request request = {.headers = &header, .header_count = 1, .host = slice_of(host)};
    return is_local("127.0.0.1", &request);
}

static void test_browsers(void)
{
    static const char *const ours[] = {
        "",           "localhost",       "localhost:8080",     "127.0.0.1:8080",   "[::1]:8080",
        "node",       "mac.local",       "weir.lan:8080",      "203.0.113.7:8080", "a.internal",
        "localhost.", "llm.example.com", "LLM.example.COM:443"};
    static const char *const others[] = {"evil.example", "evil.example:8080", "127.0.0.1.nip.io",
                                         "localhost.evil.example", "www.llm.example.com"};
    PROMISE("by an address, a private name or one of server.names a node is asked for itself")
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        CHECK(local_host(ours[i]));
    PROMISE("by another name it is not: that is how a page rebinds its own")
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        CHECK(!local_host(others[i]));
    PROMISE("a page of ours may ask, one of another site may not, whatever name it uses")
    {
        CHECK(local_page("Origin", "http://localhost:3000", "127.0.0.1:8080"));
        CHECK(local_page("origin", "https://llm.example.com", "localhost"));
        CHECK(local_page("origin", "http://10.1.2.3", "localhost"));
        CHECK(local_page("origin", "http://203.0.113.7:8080", "203.0.113.7:8080"));
        CHECK(!local_page("origin", "http://203.0.113.7", "127.0.0.1:8080"));
        CHECK(!local_page("origin", "https://evil.example", "127.0.0.1:8080"));
        CHECK(!local_page("origin", "https://evil.example", "evil.example"));
        CHECK(!local_page("origin", "null", "127.0.0.1:8080"));
        CHECK(!local_page("origin", "http://", "127.0.0.1:8080"));
    }
    PROMISE("an editor's or an extension's own page is a program of this machine")
    CHECK(local_page("origin", "vscode-webview://1a2b3c", "127.0.0.1:8080"));
    PROMISE("without an origin the browser's own word counts")
    {
        CHECK(!local_page("Sec-Fetch-Site", "cross-site", "127.0.0.1:8080"));
        CHECK(local_page("sec-fetch-site", "same-origin", "127.0.0.1:8080"));
        CHECK(local_page("sec-fetch-site", "none", "127.0.0.1:8080"));
    }
}

static struct arena arena;

static int admin_status(const struct config *config, const struct access *access, const char *name,
                        const char *value)
{
    struct http1_header header = {slice_of(name), slice_of(value)};
    struct http1_request request = with(name != NULL ? &header : NULL);
    return access_to_admin(config, access, &request, &arena).status;
}

static bool admin(const struct config *config, bool is_here, const char *name, const char *value)
{
    struct access access = {.is_local = is_here, .is_loopback = is_here, .is_elsewhere = !is_here};
    return admin_status(config, &access, name, value) == 0;
}

static void test_proxy_and_open(void)
{
    struct config closed = {0}, open = {.is_auth_open = true};
    struct access local = {.is_local = true}, far = {.is_elsewhere = true};
    struct access rebound = {.foreign_host = SLICE("evil.example:8080")};
    struct access page = {.is_foreign_page = true, .foreign_origin = SLICE("evil.example:81")};
    PROMISE("who is not local is served only where the operator said open")
    {
        CHECK(access_to_proxy(&closed, &local, &arena).status == 0);
        CHECK(access_to_proxy(&closed, &far, &arena).status == 401);
        CHECK(access_to_proxy(&open, &local, &arena).status == 0);
        CHECK(access_to_proxy(&open, &far, &arena).status == 0);
        CHECK(access_to_proxy(&open, &rebound, &arena).status == 0);
    }
    PROMISE("a refused name or page is told what to set")
    {
        struct access_refusal no = access_to_proxy(&closed, &rebound, &arena);
        CHECK(no.status == 403 && strstr(no.why, "add \"evil.example\" to \"server.names\""));
        no = access_to_proxy(&closed, &page, &arena);
        CHECK(no.status == 403 && strstr(no.why, "add \"evil.example\" to \"server.names\""));
    }
    PROMISE("open is for whoever can reach the node, not for the pages that they visit")
    CHECK(access_to_proxy(&open, &page, &arena).status == 403);
    PROMISE("open is about requests to providers; the operator's desk stays on this machine")
    {
        CHECK(admin(&open, true, NULL, "") && !admin(&open, false, NULL, ""));
        CHECK(admin_status(&open, &local, NULL, "") == 401);
        CHECK(admin_status(&open, &rebound, NULL, "") == 403);
        CHECK(admin_status(&open, &page, NULL, "") == 403);
    }
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
    const char *why;
    if (!network_parse(&networks[0], SLICE("127.0.0.0/8"), &why) ||
        !network_parse(&networks[1], SLICE("10.0.0.0/8"), &why))
        return EXIT_FAILURE;
    arena_init(&arena);
    test_local();
    test_browsers();
    test_proxy_and_open();
    test_token();
    arena_fini(&arena);
    return check_done();
}
