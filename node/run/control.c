/* Two posts: there, and back. A loop that has stopped meanwhile drops what is posted to it, and the
 * process is at its end then. */
#include "run/control.h"

#include "loop/loop.h"

static void come_back(void *arg)
{
    struct control_call *call = arg;
    call->on_done(call);
}

static void arrive(void *arg)
{
    struct control_call *call = arg;
    call->run(call->node, call);
    loop_post(call->home, come_back, call);
}

void control_send(struct control_call *call, struct node *node, struct loop *control,
                  struct loop *home)
{
    call->node = node;
    call->home = home;
    loop_post(control, arrive, call);
}
