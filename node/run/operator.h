/* operator.h - what an operator asks of the node at the desk of one worker (admin/): how it goes
 * on from there, to the control thread and back. */
#pragma once

struct admin_options;
struct loop;
struct look_desk;
struct node_shared;

struct operator_desk {
    struct node_shared *shared; /* all borrowed */
    struct loop *loop;          /* the worker's */
    struct look_desk *desk;
};

/* Sets the callbacks and their argument. */
void operator_serve(struct operator_desk *op, struct admin_options *options);
