/* A member's fields are written by one thread at a time: they pass from one to the other with the
 * post. */
#include "run/roll_call.h"

#include <assert.h>

void roll_call_init(struct roll_call *call, struct loop *home, loop_fn on_complete, void *arg)
{
    *call = (struct roll_call){.home = home, .on_complete = on_complete, .arg = arg};
}

void roll_call_add(struct roll_call *call, struct loop *loop, bool (*is_fine)(void *arg), void *arg)
{
    assert(call->count < ROLL_CALL_MAX && call->missing == 0);
    call->members[call->count++] =
        (struct roll_call_member){.call = call, .loop = loop, .is_fine = is_fine, .arg = arg};
}

static void come_back(void *arg)
{
    struct roll_call_member *m = arg;
    struct roll_call *call = m->call;
    m->is_missing = false;
    call->are_all_fine &= m->said;
    if (--call->missing == 0)
        call->on_complete(call->arg);
}

static void answer(void *arg)
{
    struct roll_call_member *m = arg;
    m->said = m->is_fine == NULL || m->is_fine(m->arg);
    loop_post(m->call->home, come_back, m);
}

bool roll_call_start(struct roll_call *call)
{
    if (call->missing > 0)
        return false;
    call->are_all_fine = true;
    call->missing = call->count;
    for (unsigned i = 0; i < call->count; i++) {
        call->members[i].is_missing = true;
        loop_post(call->members[i].loop, answer, &call->members[i]);
    }
    return true;
}

unsigned roll_call_first_missing(const struct roll_call *call)
{
    unsigned i = 0;
    while (i < call->count && !call->members[i].is_missing)
        i++;
    return i;
}
