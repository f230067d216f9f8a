#include "format/origin.h"

#include "check.h"

static void test_good(void)
{
    static const struct {
        const char *url, *host, *authority, *prefix;
        bool is_tls, is_local;
        uint16_t port;
    } good[] = {
        {"https://API.example", "api.example", "api.example", "", true, false, 443},
        {"http://10.0.0.1", "10.0.0.1", "10.0.0.1", "", false, false, 80},
        {"HTTPS://h:443/", "h", "h", "", true, false, 443},
        {"https://h:8443/a/b/", "h", "h:8443", "/a/b", true, false, 8443},
        {"http://[::1]:81/x", "::1", "[::1]:81", "/x", false, true, 81},
        {"http://localhost:1", "localhost", "localhost:1", "", false, true, 1},
        {"https://h/api/v1x", "h", "h", "/api/v1x", true, false, 443},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct origin origin = {0};
        const char *why = "";
        CHECK(origin_parse(&origin, slice_of(good[i].url), &why));
        CHECK_TEXT(slice_of(origin.host), good[i].host);
        CHECK_TEXT(slice_of(origin.authority), good[i].authority);
        CHECK_TEXT(slice_of(origin.path_prefix), good[i].prefix);
        CHECK(origin.is_tls == good[i].is_tls && origin.port == good[i].port);
        CHECK(origin_is_local(&origin) == good[i].is_local);
        origin_fini(&origin);
    }
}

static void test_bad(void)
{
    static const struct {
        const char *url, *why;
    } bad[] = {
        {"ftp://h", "does not begin"},
        {"h", "does not begin"},
        {"https://", "host and port"},
        {"https://u:p@h", "credentials"},
        {"https://h:", "host and port"},
        {"https://[::1", "host and port"},
        {"https://[::1]x", "host and port"},
        {"https://[1.2.3.4]", "host and port"},
        {"https://h:0", "1 to 65535"},
        {"https://h:70000", "1 to 65535"},
        {"https://h?q", "a query"},
        {"https://h/a b", "blanks"},
        {"https://h/v1", "/v1"},
        {"https://h/x/v1/", "/v1"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct origin origin = {0};
        const char *why = "";
        bool is_taken = origin_parse(&origin, slice_of(bad[i].url), &why);
        CHECK(!is_taken && strstr(why, bad[i].why) != NULL && origin.host == NULL);
        if (is_taken || strstr(why, bad[i].why) == NULL)
            fprintf(stderr, "    %s: %s\n", bad[i].url, why);
    }
}

int main(void)
{
    PROMISE("an origin is taken apart exactly") test_good();
    PROMISE("what is none is refused with a reason, and nothing is held") test_bad();
    return check_done();
}
