/* control.h - an operator's wish on its way from a worker to the control thread and back.
 * What concerns the whole node is done by one thread only. The worker that was asked makes a call
 * and sends it; the control thread fills in what came of it; the call returns to the worker's
 * loop. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct node;

enum { CONTROL_ERROR_MAX = 8192 };

struct control_call {
    /* Control thread: do it, fill in what follows. */
    void (*run)(struct node *node, struct control_call *call);
    /* The loop that sent it: it is done. Frees the call. */
    void (*on_done)(struct control_call *call);
    void *arg; /* the sender's */

    bool is_done;     /* else error says why not */
    uint64_t running; /* of a drain: requests that still run */
    void *result;     /* what else there is to say; on_done frees it */
    char error[CONTROL_ERROR_MAX];

    struct node *node; /* private, both */
    struct loop *home;
};

/* From the thread of `home`. Takes the call until on_done. */
void control_send(struct control_call *call, struct node *node, struct loop *control,
                  struct loop *home);
