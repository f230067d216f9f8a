#include "net/wire.h"

#include "peer.h"

static unsigned closed;
static char much[WIRE_OUT_MAX];

static void nothing(void *arg)
{
    (void)arg;
}

static void on_closed(void *arg)
{
    (void)arg;
    closed++;
}

int main(void)
{
    static const struct wire_events events = {
        .on_readable = nothing, .on_drained = nothing, .on_closed = on_closed};
    struct loop *loop = loop_new();
    struct wire wire;
    int fds[2];
    peer_pair(fds);
    wire_init(&wire, loop, fds[0], &events, NULL);
    PROMISE("holding beyond the ceiling breaks the connection, and this is told")
    {
        wire_hold(&wire, (struct slice){much, sizeof(much)});
        wire_hold(&wire, SLICE("one more"));
        wire_write(&wire, NULL, 0);
        RUN_UNTIL(loop, closed == 1);
    }
    wire_close(&wire);
    close(fds[1]);
    loop_free(loop);
    return check_done();
}
