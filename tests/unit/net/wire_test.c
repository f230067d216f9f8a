/* One end is a wire; the other one is a bare socket in the test's own hands. */
#include "net/wire.h"

#include "peer.h"

enum { LARGE = 3 << 20 };

static struct loop *loop;
static char large[LARGE], scratch[LARGE];

struct end {
    struct wire wire;
    int other; /* the bare socket */
    unsigned readable, drained, closed, connected;
    size_t got;
    enum wire_read last;
    bool closes_itself; /* in the next callback */
    bool is_inside;     /* a call of the wire: no callback may come */
};

static void take(struct end *e)
{
    CHECK(!e->is_inside);
    if (e->closes_itself)
        wire_close(&e->wire);
}

static void on_readable(void *arg)
{
    struct end *e = arg;
    size_t got;
    e->readable++;
    take(e);
    while ((e->last = wire_read(&e->wire, scratch + e->got, LARGE - e->got, &got)) == WIRE_DATA)
        e->got += got;
    if (e->last != WIRE_AGAIN)
        wire_stop_watching(&e->wire);
}

static void on_drained(void *arg)
{
    struct end *e = arg;
    e->drained++;
    take(e);
}

static void on_closed(void *arg)
{
    struct end *e = arg;
    e->closed++;
    take(e);
    wire_stop_watching(&e->wire);
}

static void on_connected(void *arg)
{
    struct end *e = arg;
    e->connected++;
    take(e);
}

static const struct wire_events events = {.on_readable = on_readable,
                                          .on_drained = on_drained,
                                          .on_closed = on_closed,
                                          .on_connected = on_connected};

static void open_end(struct end *e)
{
    int fds[2];
    peer_pair(fds);
    *e = (struct end){.other = fds[1]};
    wire_init(&e->wire, loop, fds[0], &events, e);
}

static void close_end(struct end *e)
{
    wire_close(&e->wire);
    wire_close(&e->wire); /* twice is fine */
    if (e->other >= 0)
        close(e->other);
}

static void reset_other(struct end *e)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(e->other, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(e->other);
    e->other = -1;
}

static void close_other(struct end *e)
{
    close(e->other);
    e->other = -1;
}

static void write_text(struct end *e, struct slice text)
{
    struct iovec piece = {(void *)(uintptr_t)text.at, text.len};
    e->is_inside = true;
    wire_write(&e->wire, &piece, 1);
    e->is_inside = false;
}

static bool other_gets(struct end *e, const char *text)
{
    char got[256];
    ssize_t n = recv(e->other, got, sizeof(got), 0);
    return n == (ssize_t)strlen(text) && memcmp(got, text, strlen(text)) == 0;
}

static void test_write(void)
{
    struct end e;
    open_end(&e);
    PROMISE("what the socket can take is sent at once, and nothing waits")
    {
        write_text(&e, SLICE("hello"));
        CHECK(wire_waiting(&e.wire) == 0 && e.wire.sent == 5 && other_gets(&e, "hello"));
    }
    PROMISE("what is held is not sent alone, but in front of the next write, in order")
    {
        char b[] = "b", c[] = "c";
        struct iovec pieces[] = {{b, 1}, {c, 1}, {b, 0}, {c, 1}};
        char none;
        wire_hold(&e.wire, SLICE("a1"));
        wire_hold(&e.wire, SLICE("a2"));
        CHECK(wire_waiting(&e.wire) == 4 && recv(e.other, &none, 1, 0) < 0);
        wire_write(&e.wire, pieces, 4);
        CHECK(wire_waiting(&e.wire) == 0 && other_gets(&e, "a1a2bcc"));
        wire_hold(&e.wire, SLICE("alone"));
        wire_write(&e.wire, NULL, 0);
        CHECK(wire_waiting(&e.wire) == 0 && other_gets(&e, "alone"));
    }
    PROMISE("as many pieces as are allowed go out together")
    {
        struct iovec pieces[WIRE_VECTOR_MAX];
        char x[] = "x", expected[WIRE_VECTOR_MAX + 2] = "h";
        for (unsigned i = 0; i < WIRE_VECTOR_MAX; i++)
            pieces[i] = (struct iovec){x, 1};
        memset(expected + 1, 'x', WIRE_VECTOR_MAX);
        wire_hold(&e.wire, SLICE("h"));
        wire_write(&e.wire, pieces, WIRE_VECTOR_MAX);
        CHECK(other_gets(&e, expected));
    }
    close_end(&e);
}

static void fill_large(void)
{
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 7 + i / 251);
}

/* Reads what is there; true once all of `large` has come, as it was. */
static bool drain_other(struct end *e, size_t *total)
{
    ssize_t n;
    while (*total < LARGE && (n = recv(e->other, scratch + *total, LARGE - *total, 0)) > 0)
        *total += (size_t)n;
    return *total == LARGE && memcmp(scratch, large, LARGE) == 0;
}

/* The socket soon has enough. */
static void take_little(struct end *e)
{
    int little = 8192;
    setsockopt(e->wire.fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little));
}

static void test_partial_writes(void)
{
    struct end e;
    size_t total = 0;
    open_end(&e);
    PROMISE("what the socket does not take waits, is sent as it can, in order, and this is told")
    {
        take_little(&e);
        write_text(&e, (struct slice){large, LARGE / 2});
        size_t waiting = wire_waiting(&e.wire);
        CHECK(waiting > 0 && e.wire.sent + waiting == LARGE / 2);
        write_text(&e, (struct slice){large + LARGE / 2, LARGE / 2});
        CHECK(e.wire.sent + wire_waiting(&e.wire) == LARGE && e.drained == 0);
        RUN_UNTIL(loop, drain_other(&e, &total));
        CHECK(wire_waiting(&e.wire) == 0 && e.drained > 1 && e.wire.sent == LARGE);
        CHECK(e.wire.out.at == NULL); /* its memory is given back */
    }
    PROMISE("with nothing waiting there is nothing to tell")
    {
        unsigned before = e.drained;
        write_text(&e, SLICE("x"));
        run_turn(loop);
        run_turn(loop);
        CHECK(e.drained == before);
    }
    close_end(&e);
}

static void test_read(void)
{
    struct end e;
    open_end(&e);
    PROMISE("reading starts off, and what came before it was on is there then")
    {
        CHECK(send(e.other, "early", 5, 0) == 5);
        run_turn(loop);
        CHECK(e.readable == 0);
        wire_set_reading(&e.wire, true);
        CHECK(e.readable == 0);
        RUN_UNTIL(loop, e.got == 5);
        CHECK(e.last == WIRE_AGAIN && memcmp(scratch, "early", 5) == 0);
    }
    PROMISE("while reading is off nothing is read")
    {
        unsigned before = e.readable;
        wire_set_reading(&e.wire, false);
        CHECK(send(e.other, "later", 5, 0) == 5);
        run_turn(loop);
        run_turn(loop);
        CHECK(e.readable == before && e.closed == 0);
        wire_set_reading(&e.wire, true);
        RUN_UNTIL(loop, e.got == 10);
    }
    PROMISE("the peer's end is read after its last bytes, and is not a failure")
    {
        CHECK(send(e.other, "last", 4, 0) == 4);
        close_other(&e);
        RUN_UNTIL(loop, e.last == WIRE_END);
        CHECK(e.got == 14 && e.closed == 0);
    }
    close_end(&e);
    open_end(&e);
    PROMISE("a reset is read as a failure")
    {
        wire_set_reading(&e.wire, true);
        reset_other(&e);
        RUN_UNTIL(loop, e.last == WIRE_FAILED);
    }
    close_end(&e);
    PROMISE("nothing can be read from a closed wire")
    {
        size_t got;
        CHECK(wire_read(&e.wire, scratch, 1, &got) == WIRE_FAILED && got == 0);
    }
}

static void leaves(bool by_reset, bool has_unread)
{
    struct end e;
    open_end(&e);
    wire_set_reading(&e.wire, true);
    wire_set_reading(&e.wire, false);
    if (has_unread) {
        CHECK(send(e.other, "unread", 6, 0) == 6);
        run_turn(loop);
        CHECK(e.closed == 0);
    }
    if (by_reset)
        reset_other(&e);
    else
        close_other(&e);
    RUN_UNTIL(loop, e.closed > 0);
    CHECK(e.readable == 0);
    close_end(&e);
}

static void test_closed_while_not_reading(void)
{
    PROMISE("that the peer closed is seen although reading is off")
    leaves(false, false);
    PROMISE("also with bytes that lie unread before the end")
    leaves(false, true);
    PROMISE("that the peer reset is seen although reading is off")
    leaves(true, false);
    PROMISE("also with bytes that lay unread before the reset")
    leaves(true, true);
    PROMISE("a peer that only stopped sending is seen as well")
    {
        struct end e;
        open_end(&e);
        wire_set_reading(&e.wire, true);
        wire_set_reading(&e.wire, false);
        shutdown(e.other, SHUT_WR);
        RUN_UNTIL(loop, e.closed > 0);
        close_end(&e);
    }
    PROMISE("a peer that is only quiet is not taken for one that left")
    {
        struct end e;
        uint64_t until_ms = clock_ms() + 4 * (uint64_t)LOOP_TICK_MS;
        open_end(&e);
        wire_set_reading(&e.wire, true);
        wire_set_reading(&e.wire, false);
        RUN_UNTIL(loop, clock_ms() > until_ms); /* several looks */
        CHECK(e.closed == 0);
        close_end(&e);
    }
}

static void test_not_watching(void)
{
    struct end e;
    open_end(&e);
    PROMISE("who watches nothing is told nothing, until it reads again")
    {
        uint64_t until_ms = clock_ms() + 3 * (uint64_t)LOOP_TICK_MS;
        wire_set_reading(&e.wire, true);
        wire_stop_watching(&e.wire);
        CHECK(send(e.other, "x", 1, 0) == 1);
        close_other(&e);
        RUN_UNTIL(loop, clock_ms() > until_ms);
        CHECK(e.readable == 0 && e.closed == 0);
        wire_set_reading(&e.wire, true);
        RUN_UNTIL(loop, e.last == WIRE_END);
        CHECK(e.got == 1);
    }
    close_end(&e);
}

static void test_failed_write(void)
{
    struct end e;
    open_end(&e);
    PROMISE("a write that cannot succeed is told from the loop, once, and what follows is dropped")
    {
        reset_other(&e);
        write_text(&e, SLICE("into the void"));
        write_text(&e, SLICE("and more"));
        CHECK(e.closed == 0);
        RUN_UNTIL(loop, e.closed > 0);
        write_text(&e, SLICE("and more"));
        wire_hold(&e.wire, SLICE("and more"));
        run_turn(loop);
        CHECK(e.closed == 1 && wire_waiting(&e.wire) == 0);
    }
    close_end(&e);
    open_end(&e);
    PROMISE("with much waiting, a peer that resets is told as well")
    {
        take_little(&e);
        write_text(&e, (struct slice){large, LARGE});
        CHECK(wire_waiting(&e.wire) > 0);
        reset_other(&e);
        RUN_UNTIL(loop, e.closed > 0);
    }
    close_end(&e);
    open_end(&e);
    PROMISE("a write beyond the ceiling breaks the connection, and this is told")
    {
        for (int i = 0; i < 20 && !wire_is_broken(&e.wire); i++)
            write_text(&e, (struct slice){large, LARGE});
        CHECK(wire_waiting(&e.wire) == 0);
        RUN_UNTIL(loop, e.closed == 1);
    }
    close_end(&e);
}

static void test_no_callback_after_close(void)
{
    PROMISE("after a close nothing comes any more, whatever was about to")
    {
        struct end reader, failed, leaver;
        open_end(&reader);
        open_end(&failed);
        open_end(&leaver);
        wire_set_reading(&reader.wire, true);
        CHECK(send(reader.other, "x", 1, 0) == 1);
        reset_other(&failed);
        write_text(&failed, SLICE("x"));
        wire_set_reading(&leaver.wire, true);
        wire_set_reading(&leaver.wire, false);
        close_other(&leaver);
        close_end(&reader);
        close_end(&failed);
        close_end(&leaver);
        uint64_t until_ms = clock_ms() + 3 * (uint64_t)LOOP_TICK_MS;
        RUN_UNTIL(loop, clock_ms() > until_ms);
        CHECK(reader.readable + failed.closed + leaver.closed == 0);
    }
    PROMISE("a wire may be closed in its own callback")
    {
        struct end e;
        open_end(&e);
        e.closes_itself = true;
        wire_set_reading(&e.wire, true);
        CHECK(send(e.other, "x", 1, 0) == 1);
        RUN_UNTIL(loop, e.readable == 1);
        CHECK(e.last == WIRE_FAILED && e.wire.fd == -1);
        close_end(&e);
    }
}

static void test_ways_to_end(void)
{
    struct end e;
    char byte;
    open_end(&e);
    PROMISE("a reset is seen by the peer as a broken connection, not an end")
    {
        wire_reset(&e.wire);
        wire_reset(&e.wire);
        CHECK(recv(e.other, &byte, 1, 0) < 0 && errno == ECONNRESET);
    }
    close_end(&e);
    open_end(&e);
    PROMISE("a close is seen by the peer as an end")
    {
        wire_close(&e.wire);
        CHECK(recv(e.other, &byte, 1, 0) == 0);
        wire_finish_writing(&e.wire);
        wire_set_reading(&e.wire, true);
        wire_stop_watching(&e.wire);
        wire_write(&e.wire, NULL, 0); /* all harmless on a closed one */
    }
    close_end(&e);
    open_end(&e);
    PROMISE("who has finished writing can still read")
    {
        wire_set_reading(&e.wire, true);
        wire_finish_writing(&e.wire);
        CHECK(recv(e.other, &byte, 1, 0) == 0);
        CHECK(send(e.other, "still", 5, 0) == 5);
        RUN_UNTIL(loop, e.got == 5);
    }
    close_end(&e);
}

static void dial(struct end *e, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *e = (struct end){.other = -1};
    wire_init(&e->wire, loop, fd, &events, e);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EINPROGRESS);
    wire_await_connect(&e->wire);
    CHECK(e->connected == 0 && e->closed == 0);
}

static void test_connect(void)
{
    struct end e;
    uint16_t port;
    int listener = peer_listen(&port);
    PROMISE("that a connection stands is told once, and it can be written to")
    {
        dial(&e, port);
        RUN_UNTIL(loop, e.connected > 0);
        CHECK(e.connected == 1 && e.drained == 0 && e.closed == 0);
        e.other = accept(listener, NULL, NULL);
        write_text(&e, SLICE("hello"));
        CHECK(other_gets(&e, "hello"));
        close_end(&e);
    }
    PROMISE("that it could not be made is told once")
    {
        close(listener);
        dial(&e, port);
        RUN_UNTIL(loop, e.closed > 0);
        CHECK(e.connected == 0 && e.closed == 1 && e.wire.error == ECONNREFUSED);
        close_end(&e);
    }
}

int main(void)
{
    loop = loop_new();
    fill_large();
    test_write();
    test_partial_writes();
    test_read();
    test_closed_while_not_reading();
    test_not_watching();
    test_failed_write();
    test_no_callback_after_close();
    test_ways_to_end();
    test_connect();
    loop_free(loop);
    return check_done();
}
