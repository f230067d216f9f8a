/* What a balancer says before a connection's bytes. */
#include "format/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TCP4 "\x7f\x00\x00\x05\x0a\x00\x00\x01\xc8\x22\x1f\x90"
#define ADDRESS_16 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define TCP6 ADDRESS_16 ADDRESS_16 "\x00\x50\x1f\x90"

static char said[INET6_ADDRSTRLEN + 8];

/* "address port" of who calls, "own" for the peer itself; or what it is instead. */
static const char *read_it(struct slice bytes)
{
    static const char *const words[] = {"more", "done", "other", "bad"};
    struct proxy_told told;
    char address[INET6_ADDRSTRLEN] = "?";
    enum proxy_header state = proxy_header_read(bytes, &told);
    if (state != PROXY_HEADER_DONE)
        return words[state];
    if (!told.has_peer)
        return "own";
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&told.peer;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&told.peer;
    bool is_v4 = told.peer.ss_family == AF_INET;
    inet_ntop(told.peer.ss_family, is_v4 ? (const void *)&in->sin_addr : &in6->sin6_addr, address,
              sizeof(address));
    snprintf(said, sizeof(said), "%s %u", address, ntohs(is_v4 ? in->sin_port : in6->sin6_port));
    return said;
}

static int is_at_any_cut(struct slice header, const char *expected)
{
    struct proxy_told told;
    for (size_t len = 0; len < header.len; len++)
        if (proxy_header_read((struct slice){header.at, len}, &told) != PROXY_HEADER_MORE)
            return 0;
    if (strcmp(read_it(header), expected) != 0)
        return 0;
    (void)proxy_header_read(header, &told);
    return told.len == header.len;
}

static void test_lines(void)
{
    PROMISE("version 1 tells an address of either kind, wherever it is cut")
    {
        CHECK(is_at_any_cut(SLICE("PROXY TCP4 192.0.2.1 192.0.2.9 51234 8080\r\n"),
                            "192.0.2.1 51234"));
        CHECK(is_at_any_cut(SLICE("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"), "2001:db8::1 1"));
        CHECK(is_at_any_cut(SLICE("PROXY UNKNOWN\r\n"), "own"));
        CHECK(is_at_any_cut(SLICE("PROXY UNKNOWN ffff:: who knows\r\n"), "own"));
    }
    PROMISE("what is behind it is not its own")
    {
        struct proxy_told told;
        CHECK(proxy_header_read(SLICE("PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n"), &told) ==
              PROXY_HEADER_DONE);
        CHECK(told.len == sizeof("PROXY UNKNOWN\r\n") - 1);
    }
    PROMISE("a line that is not quite one is refused")
    {
        static const char *const bad[] = {
            "PROXY \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 51234\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 51234 8080 9\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 51234 65536\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 -1 80\r\n",
            "PROXY TCP4 2001:db8::1 192.0.2.9 1 80\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.9 1 80\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.9 1 80\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.9 1 80\r\n",
            "PROXY UNKNOWN\n",
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            CHECK_TEXT(slice_of(read_it(slice_of(bad[i]))), "bad");
        CHECK_TEXT(slice_of(read_it(SLICE("PROXY TCP4 192.0.2.1\0x 192.0.2.9 1 80\r\n"))), "bad");
        char endless[200];
        memset(endless, 'x', sizeof(endless));
        const struct slice start = SLICE("PROXY UNKNOWN ");
        memcpy(endless, start.at, start.len);
        CHECK_TEXT(slice_of(read_it((struct slice){endless, 106})), "more");
        CHECK_TEXT(slice_of(read_it((struct slice){endless, 107})), "bad");
    }
}

static void test_binary(void)
{
    PROMISE("version 2 tells an address of either kind, wherever it is cut; its fields are skipped")
    {
        CHECK(is_at_any_cut(SLICE(SIGNATURE "\x21\x11\x00\x0c" TCP4), "127.0.0.5 51234"));
        CHECK(is_at_any_cut(SLICE(SIGNATURE "\x21\x21\x00\x24" TCP6), "2001:db8::1 80"));
        CHECK(is_at_any_cut(SLICE(SIGNATURE "\x21\x11\x00\x11" TCP4 "\x03\x00\x02zz"),
                            "127.0.0.5 51234"));
    }
    PROMISE("a balancer's own connection, and one it knows nothing of, are the peer's")
    {
        CHECK(is_at_any_cut(SLICE(SIGNATURE "\x20\x00\x00\x00"), "own"));
        CHECK(is_at_any_cut(SLICE(SIGNATURE "\x20\x11\x00\x0c" TCP4), "own"));
        CHECK(is_at_any_cut(SLICE(SIGNATURE "\x21\x00\x00\x02hi"), "own"));
    }
    PROMISE("other versions, commands, transports and lengths are refused")
    {
        CHECK_TEXT(slice_of(read_it(SLICE(SIGNATURE "\x11\x11\x00\x0c" TCP4))), "bad");
        CHECK_TEXT(slice_of(read_it(SLICE(SIGNATURE "\x22\x11\x00\x0c" TCP4))), "bad");
        CHECK_TEXT(slice_of(read_it(SLICE(SIGNATURE "\x21\x12\x00\x0c" TCP4))), "bad");
        CHECK_TEXT(slice_of(read_it(SLICE(SIGNATURE "\x21\x11\x00\x0b" TCP4))), "bad");
        CHECK_TEXT(slice_of(read_it(SLICE(SIGNATURE "\x21\x21\x00\x0c" TCP4))), "bad");
        CHECK_TEXT(slice_of(read_it(SLICE(SIGNATURE "\x21\x11\xff\xff" TCP4))), "bad");
    }
    PROMISE("what begins otherwise is something else")
    {
        CHECK_TEXT(slice_of(read_it(SLICE("GET / HTTP/1.1\r\n"))), "other");
        CHECK_TEXT(slice_of(read_it(SLICE("PROXX"))), "other");
        CHECK_TEXT(slice_of(read_it(SLICE("\r\n\r\nG"))), "other");
        CHECK_TEXT(slice_of(read_it(SLICE("\x16\x03\x01"))), "other");
        CHECK_TEXT(slice_of(read_it(SLICE_NONE)), "more");
    }
}

int main(void)
{
    test_lines();
    test_binary();
    return check_done();
}
