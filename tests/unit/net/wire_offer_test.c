/* What the socket does not take at once: it waits, or stays with its owner; and who is told. */
#include "net/wire.h"

#include "peer.h"

enum { LARGE = 3 << 20 };

static struct loop *loop;
static char large[LARGE], scratch[LARGE];

struct end {
    struct wire wire;
    int other; /* a bare socket */
    unsigned drained;
};

static void on_drained(void *arg)
{
    ((struct end *)arg)->drained++;
}

static void never(void *arg)
{
    (void)arg;
    CHECK(false);
}

static void open_end(struct end *e)
{
    static const struct wire_events events = {
        .on_readable = never, .on_drained = on_drained, .on_closed = never};
    int fds[2], little = 8192;
    peer_pair(fds);
    *e = (struct end){.other = fds[1]};
    wire_init(&e->wire, loop, fds[0], &events, e);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little));
}

/* Reads what is there; true once all of `large` has come, as it was. */
static bool drain_other(struct end *e, size_t *total)
{
    ssize_t n;
    while (*total < LARGE && (n = recv(e->other, scratch + *total, LARGE - *total, 0)) > 0)
        *total += (size_t)n;
    return *total == LARGE && memcmp(scratch, large, LARGE) == 0;
}

/* Offers the rest whenever there was word that it could go. */
static bool offer_rest(struct end *e, size_t *taken, unsigned *told)
{
    struct iovec piece = {large + *taken, LARGE - *taken};
    if (*taken < LARGE && e->drained > *told) {
        *told = e->drained;
        *taken += wire_offer(&e->wire, &piece, 1);
    }
    CHECK(wire_waiting(&e->wire) == 0);
    return *taken == LARGE;
}

static void test_offer(void)
{
    struct end e;
    size_t total = 0, taken = 0;
    unsigned told = 0;
    struct iovec all = {large, LARGE};
    open_end(&e);
    PROMISE("what is offered and not taken stays with the caller, who is told when to offer again")
    {
        taken = wire_offer(&e.wire, &all, 1);
        CHECK(taken > 0 && taken < LARGE && e.wire.sent == taken && e.wire.out.at == NULL);
        RUN_UNTIL(loop, offer_rest(&e, &taken, &told) | drain_other(&e, &total));
        RUN_UNTIL(loop, drain_other(&e, &total));
        CHECK(taken == LARGE && e.wire.sent == LARGE);
    }
    PROMISE("what waits goes first")
    {
        struct iovec piece = {large, 5};
        wire_hold(&e.wire, SLICE("held "));
        CHECK(wire_offer(&e.wire, &piece, 1) == 5 && wire_waiting(&e.wire) == 0);
        char got[16];
        CHECK(recv(e.other, got, sizeof(got), 0) == 10 && memcmp(got, "held ", 5) == 0);
    }
    PROMISE("nothing can be offered to a closed wire")
    {
        struct iovec piece = {large, 5};
        wire_close(&e.wire);
        CHECK(wire_offer(&e.wire, &piece, 1) == 0);
    }
    close(e.other);
}

static void test_drained_by_a_later_write(void)
{
    struct end e;
    struct iovec much = {large, 100000}, little = {large, 1};
    open_end(&e);
    PROMISE("what waited and went out with a later write is told all the same")
    {
        while (wire_waiting(&e.wire) == 0)
            wire_write(&e.wire, &much, 1);
        while (wire_waiting(&e.wire) > 0) { /* the peer takes it, before the loop has turned once */
            while (recv(e.other, scratch, LARGE, MSG_DONTWAIT) > 0)
                continue;
            wire_write(&e.wire, &little, 1);
        }
        CHECK(e.drained == 0);
        RUN_UNTIL(loop, e.drained == 1);
    }
    wire_close(&e.wire);
    close(e.other);
}

int main(void)
{
    loop = loop_new();
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 7 + i / 251);
    test_offer();
    test_drained_by_a_later_write();
    loop_free(loop);
    return check_done();
}
