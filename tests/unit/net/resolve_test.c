#include "net/resolve.h"

/* The module itself, with shorter times. */
#define RESOLVE_KEEP_MS 300
#define RESOLVE_TIMEOUT_MS 400
/* NOLINTNEXTLINE(bugprone-suspicious-include): as said */
#include "net/resolve.c"

#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run_until.h"

static struct loop *loop;
static struct resolver *resolver;

/* ---- a name server that knows a few names under .test ---- */

static struct {
    int fd;
    struct event *event;
    unsigned asked;
    bool is_failing;
    uint16_t port;
} dns;

enum { RCODE_FAIL = 2, RCODE_UNKNOWN = 3, TYPE_A = 1, TYPE_AAAA = 28, HEADER = 12 };

static size_t question_end(const unsigned char *packet, size_t len)
{
    size_t at = HEADER;
    while (at < len && packet[at] != 0)
        at += packet[at] + 1U;
    return at + 5;
}

static size_t put_record(unsigned char *to, int type, const void *data, size_t len)
{
    const unsigned char head[] = {0xc0, HEADER, 0, (unsigned char)type, 0, 1, 0, 0,
                                  0,    60,     0, (unsigned char)len};
    memcpy(to, head, sizeof(head));
    memcpy(to + sizeof(head), data, len);
    return sizeof(head) + len;
}

static bool is_about(const unsigned char *packet, const char *word)
{
    return strncasecmp((const char *)packet + HEADER + 1, word, strlen(word)) == 0;
}

/* Turns the question into its answer. 0: none. */
static size_t make_answer(unsigned char *packet, size_t len)
{
    static const unsigned char first[] = {10, 0, 0, 1}, second[] = {10, 0, 0, 2};
    size_t end = question_end(packet, len);
    int type = packet[end - 3];
    packet[2] = 0x84;
    packet[3] = 0x80;
    memset(packet + 6, 0, 6);
    if (is_about(packet, "silent"))
        return 0;
    if (dns.is_failing || !is_about(packet, "two")) {
        packet[3] |= dns.is_failing ? RCODE_FAIL : RCODE_UNKNOWN;
        return end;
    }
    if (type == TYPE_A) {
        packet[7] = 2;
        end += put_record(packet + end, type, first, sizeof(first));
        end += put_record(packet + end, type, second, sizeof(second));
    }
    return end;
}

static void on_question(evutil_socket_t fd, short what, void *arg)
{
    unsigned char packet[512];
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    (void)what;
    (void)arg;
    ssize_t len = recvfrom(fd, packet, 400, 0, (struct sockaddr *)&from, &from_len);
    if (len < HEADER)
        return;
    dns.asked++;
    size_t out = make_answer(packet, (size_t)len);
    if (out > 0 && sendto(fd, packet, out, 0, (struct sockaddr *)&from, from_len) < 0)
        perror("sendto");
}

static void start_dns(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    char name[32];
    dns.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    CHECK(bind(dns.fd, (struct sockaddr *)&address, len) == 0);
    CHECK(getsockname(dns.fd, (struct sockaddr *)&address, &len) == 0);
    dns.event = event_new(loop_base(loop), dns.fd, EV_READ | EV_PERSIST, on_question, NULL);
    event_add(dns.event, NULL);
    dns.port = ntohs(address.sin_port);
    snprintf(name, sizeof(name), "127.0.0.1:%u", dns.port);
    struct evdns_base *base = loop_dns(loop);
    evdns_base_clear_nameservers_and_suspend(base);
    evdns_base_search_clear(base);
    evdns_base_nameserver_ip_add(base, name);
    evdns_base_resume(base);
    evdns_base_set_option(base, "max-timeouts:", "100");
    evdns_base_set_option(base, "timeout:", "1");
    evdns_base_set_option(base, "attempts:", "1");
}

/* ---- lookups ---- */

struct found {
    unsigned fired;
    enum err err;
    size_t count;
    char text[64]; /* of the first address, with its port */
};

static void on_found(enum err err, const struct address *addresses, size_t count, void *arg)
{
    struct found *found = arg;
    char host[INET6_ADDRSTRLEN] = "";
    found->fired++;
    found->err = err;
    found->count = count;
    if (count == 0)
        return;
    const struct sockaddr *first = (const struct sockaddr *)&addresses[0].storage;
    uint16_t port;
    if (first->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&addresses[0].storage;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        port = ntohs(v6->sin6_port);
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&addresses[0].storage;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        port = ntohs(v4->sin_port);
    }
    snprintf(found->text, sizeof(found->text), "%s %u", host, port);
}

static struct resolve *look_up(struct found *found, const char *host, uint16_t port)
{
    *found = (struct found){0};
    struct resolve *lookup = resolver_lookup(resolver, slice_of(host), port, on_found, found);
    CHECK(found->fired == 0);
    return lookup;
}

static void check_found(const char *host, enum err err, size_t count, const char *text)
{
    struct found found;
    look_up(&found, host, 80);
    RUN_UNTIL(loop, found.fired > 0);
    CHECK(found.fired == 1 && found.err == err && found.count == count);
    CHECK(strcmp(found.text, text) == 0);
}

static void literals(void)
{
    check_found("127.0.0.1", OK, 1, "127.0.0.1 80");
    check_found("::1", OK, 1, "::1 80");
    check_found("2001:db8::2", OK, 1, "2001:db8::2 80");
    check_found("localhost", OK, 2, "127.0.0.1 80");
    CHECK(dns.asked == 0);
    check_found("", ERR_RESOLVE, 0, "");
}

static void remembers(void)
{
    struct found found[3];
    uint64_t now_ms = clock_ms();
    for (int i = 0; i < 3; i++)
        look_up(&found[i], "two.test", (uint16_t)(i + 1));
    RUN_UNTIL(loop, found[0].fired > 0 && found[1].fired > 0 && found[2].fired > 0);
    CHECK(strcmp(found[0].text, "10.0.0.1 1") == 0 && strcmp(found[2].text, "10.0.0.1 3") == 0);
    CHECK(found[1].count == 2);
    unsigned asked = dns.asked;
    CHECK(asked >= 1 && asked <= 2); /* A, and AAAA where this machine has IPv6 */
    if (clock_ms() - now_ms < 100) { /* else the machine is too busy to tell */
        check_found("two.test", OK, 2, "10.0.0.1 80");
        CHECK(dns.asked == asked);
    }
    now_ms = clock_ms();
    RUN_UNTIL(loop, clock_ms() > now_ms + RESOLVE_KEEP_MS);
    check_found("two.test", OK, 2, "10.0.0.1 80");
    CHECK(dns.asked > asked);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0);
    fclose(file);
}

static void wait_for_a_look(void)
{
    uint64_t until_ms = clock_ms() + FILE_WATCH_MS + 20;
    RUN_UNTIL(loop, clock_ms() > until_ms);
}

/* Nothing of this machine's own files is touched: the resolver watches two of the test's. */
static void changed_files(void)
{
    char servers[64], names[64], ours[64];
    snprintf(servers, sizeof(servers), "/tmp/weir-resolv-%ld", (long)getpid());
    snprintf(names, sizeof(names), "/tmp/weir-hosts-%ld", (long)getpid());
    snprintf(ours, sizeof(ours), "nameserver 127.0.0.1:%u\n", dns.port);
    write_file(servers, ours);
    write_file(names, "");
    file_watch_init(&resolver->servers, servers, clock_ms());
    file_watch_init(&resolver->names, names, clock_ms());

    write_file(names, "10.7.7.7 moved.test\n");
    wait_for_a_look();
    check_found("moved.test", OK, 1, "10.7.7.7 80");
    write_file(names, "10.8.8.8 moved.test\n");
    wait_for_a_look();
    check_found("moved.test", OK, 1, "10.8.8.8 80");

    write_file(servers, "nameserver 127.0.0.1:1\n"); /* nobody is there */
    wait_for_a_look();
    check_found("fresh.two.test", ERR_RESOLVE, 0, "");
    write_file(servers, ours);
    wait_for_a_look();
    check_found("two.changed.test", OK, 2, "10.0.0.1 80");

    unlink(servers); /* as it is for a moment while it is replaced */
    wait_for_a_look();
    check_found("two.changed.test", OK, 2, "10.0.0.1 80");
    unlink(names);
}

static void failures(void)
{
    check_found("none.test", ERR_RESOLVE, 0, "");
    dns.is_failing = true;
    check_found("two.unknown.test", ERR_RESOLVE, 0, "");
    uint64_t now_ms = clock_ms();
    RUN_UNTIL(loop, clock_ms() > now_ms + RESOLVE_KEEP_MS);
    unsigned asked = dns.asked;
    check_found("two.test", OK, 2, "10.0.0.1 80"); /* still known from before */
    CHECK(dns.asked > asked);
    dns.is_failing = false;
}

static void deadlines(void)
{
    check_found("silent.test", ERR_RESOLVE, 0, "");
}

static void cancelled(void)
{
    struct found waiting, answered;
    resolve_cancel(look_up(&waiting, "cancelled.test", 1));
    resolve_cancel(look_up(&answered, "127.0.0.1", 1));
    check_found("none.test", ERR_RESOLVE, 0, "");
    CHECK(waiting.fired == 0 && answered.fired == 0);
}

static void freed(void)
{
    struct found waiting, answered;
    look_up(&waiting, "freed.test", 1);
    look_up(&answered, "127.0.0.1", 1);
    resolver_free(resolver);
    for (int i = 0; i < 20; i++)
        run_turn(loop);
    CHECK(waiting.fired == 0 && answered.fired == 0);
}

static void ceiling(void)
{
    char host[32];
    for (int i = 0; i < HOSTS_MAX + 20; i++) {
        snprintf(host, sizeof(host), "n%d.test", i);
        check_found(host, ERR_RESOLVE, 0, "");
    }
    CHECK(resolver->host_count == HOSTS_MAX);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    loop = loop_new();
    resolver = resolver_new(loop);
    start_dns();
    PROMISE("literals and localhost need no name server") literals();
    PROMISE("one question serves all who wait, and its answer is remembered for a while")
    remembers();
    PROMISE("a name that is not there is an error; one that was there is used as it was known")
    failures();
    PROMISE("a name server that says nothing is waited for only so long") deadlines();
    PROMISE("a change of the files that name servers and hosts is noticed, without a new start")
    changed_files();
    PROMISE("a cancelled lookup says nothing") cancelled();
    PROMISE("only so many names are remembered") ceiling();
    PROMISE("a freed resolver says nothing") freed();
    event_free(dns.event);
    close(dns.fd);
    loop_free(loop);
    return check_done();
}
