/* identity.h - who this node is: told to Redis, to callers and in the log.
 * One per process, made before the threads start; whoever holds a pointer to it borrows. */
#pragma once

struct node_identity {
    char id[65];
    char boot[9]; /* 8 hex digits, new at every start */
};
