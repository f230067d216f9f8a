#include "grave.h"

#include <stdlib.h>

#include "bytes.h"

struct grave {
    struct event *turn;
    struct buf dead; /* pointers, one after another */
};

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct grave *grave = arg;
    (void)fd;
    (void)what;
    while (grave->dead.len > 0) {
        void *memory = *(void *const *)(const void *)buf_slice(&grave->dead).at;
        buf_skip(&grave->dead, sizeof(memory));
        free(memory);
    }
}

struct grave *grave_new(struct event_base *base)
{
    struct grave *grave = mem_zero(sizeof(*grave));
    grave->turn = event_new(base, -1, 0, on_turn, grave);
    return grave;
}

void grave_bury(struct grave *grave, void *memory)
{
    buf_add(&grave->dead, &memory, sizeof(memory));
    event_active(grave->turn, EV_TIMEOUT, 0);
}

void grave_free(struct grave *grave)
{
    on_turn(-1, 0, grave);
    event_free(grave->turn);
    buf_fini(&grave->dead);
    free(grave);
}
