#include "format/ip.h"

#include "check.h"

static bool is_ip(const char *text)
{
    struct ip ip;
    return ip_parse(&ip, slice_of(text));
}

static bool is_loopback(const char *text)
{
    struct ip ip;
    CHECK(ip_parse_host(&ip, slice_of(text)));
    return ip_is_loopback(&ip);
}

int main(void)
{
    PROMISE("an address is read as it is written, and nothing else is one")
    {
        CHECK(is_ip("127.0.0.1") && is_ip("0.0.0.0") && is_ip("::") && is_ip("fe80::1"));
        CHECK(!is_ip("") && !is_ip("127.1") && !is_ip("1.2.3.4.5") && !is_ip("::1 "));
        CHECK(!is_ip("localhost") && !is_ip("[::1]") && !is_ip("256.0.0.1"));
        struct ip ip;
        CHECK(!ip_parse(&ip, SLICE("::1\0")));
        CHECK(ip_parse(&ip, SLICE("::1")) && ip.is_v6 && strcmp(ip.text, "::1") == 0);
        CHECK(ip_parse(&ip, SLICE("10.0.0.1")) && !ip.is_v6);
    }
    PROMISE("a host is an address, with brackets or without, or localhost")
    {
        struct ip ip;
        CHECK(ip_parse_host(&ip, SLICE("LocalHost")) && strcmp(ip.text, "127.0.0.1") == 0);
        CHECK(ip_parse_host(&ip, SLICE("[::1]")) && strcmp(ip.text, "::1") == 0);
        CHECK(!ip_parse_host(&ip, SLICE("example.com")) && !ip_parse_host(&ip, SLICE("[]")));
    }
    PROMISE("loopback is 127.0.0.0/8 and ::1, and 127.0.0.0/8 written as IPv6")
    {
        CHECK(is_loopback("127.0.0.1") && is_loopback("127.9.9.9") && is_loopback("localhost"));
        CHECK(is_loopback("::1") && is_loopback("::ffff:127.0.0.1"));
        CHECK(!is_loopback("128.0.0.1") && !is_loopback("::") && !is_loopback("0.0.0.0"));
    }
    return check_done();
}
