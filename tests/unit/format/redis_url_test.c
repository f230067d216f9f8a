#include "format/redis_url.h"

#include "check.h"

static void check_good(const char *text, const struct redis_url *expected, const char *password)
{
    struct redis_url url;
    const char *why = "";
    bool is_good = redis_url_parse(&url, slice_of(text), &why);
    if (!is_good)
        fprintf(stderr, "%s: %s\n", text, why);
    CHECK(is_good);
    if (!is_good)
        return;
    CHECK(url.is_unix == expected->is_unix);
    CHECK(url.is_tls == expected->is_tls);
    CHECK(strcmp(url.host, expected->host) == 0);
    CHECK(url.port == expected->port);
    CHECK(strcmp(url.path, expected->path) == 0);
    CHECK(strcmp(url.user, expected->user) == 0);
    CHECK(strcmp(url.ca_file, expected->ca_file) == 0);
    CHECK(url.database == expected->database);
    CHECK(secret_is_set(&url.password) == (password != NULL));
    CHECK(password == NULL || secret_equals(&url.password, slice_of(password)));
    CHECK(redis_url_is_set(&url));
    redis_url_fini(&url);
}

static void check_bad(const char *text, const char *expected)
{
    struct redis_url url;
    const char *why = "";
    bool is_good = redis_url_parse(&url, slice_of(text), &why);
    if (!is_good && strstr(why, expected) == NULL)
        fprintf(stderr, "%s: %s\n", text, why);
    CHECK(!is_good);
    CHECK(!is_good && strstr(why, expected) != NULL);
    if (is_good)
        redis_url_fini(&url);
}

static void tcp(void)
{
    check_good("redis://localhost", &(struct redis_url){.host = "localhost", .port = 6379}, NULL);
    check_good("redis://localhost/", &(struct redis_url){.host = "localhost", .port = 6379}, NULL);
    check_good("REDIS://a.b:1/15", &(struct redis_url){.host = "a.b", .port = 1, .database = 15},
               NULL);
    check_good("redis://10.0.0.1:65535", &(struct redis_url){.host = "10.0.0.1", .port = 65535},
               NULL);
    check_good("redis://[::1]:7000/2",
               &(struct redis_url){.host = "::1", .port = 7000, .database = 2}, NULL);
    check_good("redis://[fe80::1]", &(struct redis_url){.host = "fe80::1", .port = 6379}, NULL);
    check_good("redis://:secret@h", &(struct redis_url){.host = "h", .port = 6379}, "secret");
    check_good("redis://bob:s%3Ae%40%2F@h:1",
               &(struct redis_url){.host = "h", .port = 1, .user = "bob"}, "s:e@/");
    check_good("redis://bob:a@b@h", &(struct redis_url){.host = "h", .port = 6379, .user = "bob"},
               "a@b");
    check_good("redis://bob:a:b@h", &(struct redis_url){.host = "h", .port = 6379, .user = "bob"},
               "a:b");
    check_good("rediss://h", &(struct redis_url){.is_tls = true, .host = "h", .port = 6379}, NULL);
    check_good("rediss://u:p@h:7/3?ca_file=/etc/my%20ca.pem",
               &(struct redis_url){.is_tls = true,
                                   .host = "h",
                                   .port = 7,
                                   .user = "u",
                                   .database = 3,
                                   .ca_file = "/etc/my ca.pem"},
               "p");
}

static void unix_sockets(void)
{
    check_good("unix:///run/redis.sock",
               &(struct redis_url){.is_unix = true, .path = "/run/redis.sock"}, NULL);
    check_good("unix:///run/a%3Fb%25.sock?db=3",
               &(struct redis_url){.is_unix = true, .path = "/run/a?b%.sock", .database = 3}, NULL);
    check_good("unix:///run/a@b.sock",
               &(struct redis_url){.is_unix = true, .path = "/run/a@b.sock"}, NULL);
    check_good("unix://bob:pw@/s",
               &(struct redis_url){.is_unix = true, .path = "/s", .user = "bob"}, "pw");
    check_bad("unix://run/redis.sock", "absolute");
    check_bad("unix://", "absolute");
    check_bad("unix:///s?x=1", "unknown parameter");
    check_bad("unix:///s?db=", "database");
    check_bad("unix:///"
              "1234567890123456789012345678901234567890123456789012345678901234567890"
              "1234567890123456789012345678901234567",
              "107");
}

static void refused(void)
{
    check_bad("", "does not begin with");
    check_bad("localhost:6379", "does not begin with");
    check_bad("http://localhost", "does not begin with");
    check_bad("redis+sentinel://a,b/name", "not supported");
    check_bad("redis+cluster://a,b", "not supported");
    check_bad("redis://", "host name is missing");
    check_bad("redis://:1", "host name is missing");
    check_bad("redis://a b", "not valid");
    check_bad("redis://a,b", "not valid");
    check_bad("redis://h:", "port");
    check_bad("redis://h:0", "port");
    check_bad("redis://h:65536", "port");
    check_bad("redis://h:+1", "port");
    check_bad("redis://[::1", "']'");
    check_bad("redis://[::1]x", "only a port");
    check_bad("redis://h/x", "database");
    check_bad("redis://h/65536", "database");
    check_bad("redis://h/1/2", "database");
    check_bad("redis://h?db=1", "parameters");
    check_bad("rediss://h?db=1", "unknown parameter");
    check_bad("rediss://h?ca_file=ca.pem", "absolute path");
    check_bad("redis://bob@h", "password is missing");
    check_bad("redis://bob:@h", "password is missing");
    check_bad("redis://b%zz:p@h", "user name");
    check_bad("redis://bob:p%0@h", "password");
    check_bad("redis://bob:p%00@h", "password");
}

int main(void)
{
    PROMISE("host, port, user, password and database are read from a URL") tcp();
    PROMISE("a Unix socket is named by its path") unix_sockets();
    PROMISE("what is not understood is refused with a reason") refused();
    PROMISE("the place shown in logs bears no credentials")
    {
        struct redis_url url;
        const char *why;
        char place[REDIS_PLACE_MAX];
        CHECK(redis_url_parse(&url, SLICE("redis://bob:secret@[::1]:7"), &why));
        redis_url_place(&url, place);
        CHECK(strcmp(place, "[::1]:7") == 0);
        redis_url_fini(&url);
    }
    PROMISE("a copy outlives what it was made of")
    {
        struct redis_url url, copy;
        const char *why;
        CHECK(redis_url_parse(&url, SLICE("rediss://bob:secret@h/3"), &why));
        redis_url_copy(&copy, &url);
        redis_url_fini(&url);
        CHECK(copy.is_tls && copy.database == 3 && strcmp(copy.user, "bob") == 0);
        CHECK(secret_equals(&copy.password, SLICE("secret")));
        redis_url_fini(&copy);
    }
    PROMISE("none is known from one that was read")
    {
        struct redis_url none = {0};
        CHECK(!redis_url_is_set(&none));
    }
    return check_done();
}
