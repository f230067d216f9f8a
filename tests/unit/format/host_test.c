#include "format/host.h"

#include "check.h"

static bool is_page(const char *origin, const char *wanted)
{
    struct slice authority;
    return host_of_page(slice_of(origin), &authority) && slice_eq(authority, slice_of(wanted));
}

static void test_authority(void)
{
    PROMISE("a host is what stands without port, brackets and the dot of a full name")
    {
        CHECK_TEXT(host_of_authority(SLICE("weir.lan")), "weir.lan");
        CHECK_TEXT(host_of_authority(SLICE("weir.lan:8080")), "weir.lan");
        CHECK_TEXT(host_of_authority(SLICE("weir.lan.")), "weir.lan");
        CHECK_TEXT(host_of_authority(SLICE("weir.lan.:80")), "weir.lan");
        CHECK_TEXT(host_of_authority(SLICE("127.0.0.1:8080")), "127.0.0.1");
        CHECK_TEXT(host_of_authority(SLICE("[::1]:8080")), "::1");
        CHECK_TEXT(host_of_authority(SLICE("[::1]")), "::1");
        CHECK_TEXT(host_of_authority(SLICE("")), "");
        CHECK_TEXT(host_of_authority(SLICE("[")), "");
    }
}

static void test_private(void)
{
    static const char *const ours[] = {"localhost",    "LOCALHOST",   "a.localhost",
                                       "node",         "mac.local",   "weir.LAN",
                                       "a.b.internal", "x.home.arpa", "host.docker.internal"};
    static const char *const others[] = {"",
                                         "evil.example",
                                         "localhost.evil.example",
                                         "evil.local.example",
                                         ".local",
                                         "evillocal.",
                                         "xlan.com",
                                         "127.0.0.1",
                                         "::1",
                                         "notlan.nlan"};
    PROMISE("names that only a private network gives are private")
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        CHECK(host_is_private(slice_of(ours[i])));
    PROMISE("others, and addresses, are not")
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        CHECK(!host_is_private(slice_of(others[i])));
}

static void test_names_and_pages(void)
{
    static const char *const bad[] = {"",   "a b", "a:80",  "http://a", "a/b",        ".a",
                                      "a.", "*.a", "[::1]", "a\tb",     "\xc3\xa4.de"};
    PROMISE("a name is letters, digits, hyphens and dots")
    {
        CHECK(host_is_name(SLICE("llm.example.com")) && host_is_name(SLICE("A-1_b")));
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            CHECK(!host_is_name(slice_of(bad[i])));
    }
    PROMISE("a page of the web has an origin of http or https")
    {
        struct slice authority;
        CHECK(is_page("http://a.example", "a.example"));
        CHECK(is_page("HTTPS://a.example:8443", "a.example:8443"));
        CHECK(!host_of_page(SLICE("null"), &authority));
        CHECK(!host_of_page(SLICE("vscode-webview://1a2b"), &authority));
        CHECK(!host_of_page(SLICE(""), &authority));
    }
}

int main(void)
{
    test_authority();
    test_private();
    test_names_and_pages();
    return check_done();
}
