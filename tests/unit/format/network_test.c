#include "format/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "check.h"

enum { NETWORKS_MAX = 4 };

static struct network items[NETWORKS_MAX];
static struct networks networks = {.items = items};

/* The list is these now; NULL ends it. */
static void take(const char *const *texts)
{
    const char *why;
    for (networks.count = 0; texts[networks.count] != NULL; networks.count++)
        CHECK(network_parse(&items[networks.count], slice_of(texts[networks.count]), &why));
}

#define TAKE(...) take((const char *const[]){__VA_ARGS__, NULL})

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

static bool have(const char *text)
{
    struct sockaddr_storage address = address_of(text);
    return networks_have(&networks, (const struct sockaddr *)&address);
}

static void test_networks(void)
{
    PROMISE("a network has the addresses that share its bits, and no other")
    {
        TAKE("10.0.0.0/8", "192.168.4.0/22", "172.16.0.9", "fd00::/9");
        CHECK(have("10.0.0.0") && have("10.255.255.255"));
        CHECK(!have("9.255.255.255") && !have("11.0.0.0"));
        CHECK(have("192.168.4.0") && have("192.168.7.255"));
        CHECK(!have("192.168.3.255") && !have("192.168.8.0"));
        CHECK(have("172.16.0.9") && !have("172.16.0.8"));
        CHECK(have("fd00::1") && have("fd7f:ffff::") && !have("fd80::"));
    }
    PROMISE("an IPv4 caller on an IPv6 socket is the same caller")
    {
        TAKE("127.0.0.0/8", "::1");
        CHECK(have("::ffff:127.0.0.1") && !have("::ffff:128.0.0.1"));
        CHECK(have("::1") && !have("::2") && !have("::127.0.0.1"));
    }
    PROMISE("a network written as mapped IPv4 is that network of IPv4")
    {
        TAKE("::ffff:10.0.0.0/104");
        CHECK(have("10.1.2.3") && have("::ffff:10.1.2.3") && !have("11.0.0.0"));
    }
}

static void test_edges(void)
{
    PROMISE("no bits at all is everyone")
    {
        TAKE("0.0.0.0/0");
        CHECK(have("203.0.113.7") && !have("2001:db8::1"));
        TAKE("::/0");
        CHECK(have("2001:db8::1"));
    }
    PROMISE("all bits is one address")
    {
        TAKE("10.0.0.1/32", "2001:db8::1/128");
        CHECK(have("10.0.0.1") && !have("10.0.0.0"));
        CHECK(have("2001:db8::1") && !have("2001:db8::"));
    }
    PROMISE("an empty list has nobody, and what is no internet address is in no network")
    {
        networks.count = 0;
        CHECK(!have("127.0.0.1"));
        TAKE("::/0");
        CHECK(!have("a path"));
    }
}

static void test_bad(void)
{
    static const struct {
        const char *text, *why;
    } wrong[] = {
        {"", "neither"},
        {"localhost", "neither"},
        {"10.0.0/8", "neither"},
        {" 10.0.0.1", "neither"},
        {"[::1]", "neither"},
        {"10.0.0.0/33", "number of bits"},
        {"10.0.0.0/", "number of bits"},
        {"10.0.0.0/-1", "number of bits"},
        {"::1/129", "number of bits"},
        {"10.0.0.0/8/8", "number of bits"},
        {"10.0.0.0/8 ", "number of bits"},
        {"10.0.0.0/0x8", "number of bits"},
        {"10.0.0.1/8", "bits beyond"},
        {"::1/127", "bits beyond"},
    };
    PROMISE("what is no network is refused with a reason")
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct network n;
        const char *why = "";
        bool is_taken = network_parse(&n, slice_of(wrong[i].text), &why);
        CHECK(!is_taken && strstr(why, wrong[i].why) != NULL);
        if (is_taken)
            fprintf(stderr, "    taken: '%s'\n", wrong[i].text);
    }
    PROMISE("a text longer than any address is refused too")
    {
        char text[200];
        struct network n;
        const char *why;
        memset(text, '1', sizeof(text));
        CHECK(!network_parse(&n, (struct slice){text, sizeof(text)}, &why));
    }
}

int main(void)
{
    test_networks();
    test_edges();
    test_bad();
    return check_done();
}
