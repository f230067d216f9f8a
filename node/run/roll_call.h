/* roll_call.h - do all loops still turn? A question goes to each as a post, and comes back as one.
 * Whoever is stuck does not answer, and then nothing fires: that silence is what the call is for,
 * so it is the one thing here that waits without a deadline. */
#pragma once
#include <stdbool.h>

#include "loop/loop.h"

enum { ROLL_CALL_MAX = 64 };

struct roll_call {
    struct loop *home;
    loop_fn on_complete; /* home's thread: every loop has answered; may start it again */
    void *arg;
    unsigned missing;  /* answers to come; 0: it is not under way */
    bool are_all_fine; /* of the last complete one: what each said of itself */
    unsigned count;
    struct roll_call_member {
        struct roll_call *call;
        struct loop *loop;
        bool (*is_fine)(void *arg); /* on the loop's thread; NULL: to answer is enough */
        void *arg;
        bool said;
        bool is_missing; /* home's thread */
    } members[ROLL_CALL_MAX];
};

void roll_call_init(struct roll_call *call, struct loop *home, loop_fn on_complete, void *arg);
void roll_call_add(struct roll_call *call, struct loop *loop, bool (*is_fine)(void *arg),
                   void *arg);
/* False: the one before is not complete, somebody is missing. What was posted to a loop before this
 * has run when that loop answers. The call outlives the loops, or their posts are dropped first. */
bool roll_call_start(struct roll_call *call);
unsigned roll_call_first_missing(const struct roll_call *call); /* its number; count: nobody */
