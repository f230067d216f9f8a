/* port_holder.h - who listens on a port of this machine already, as far as the system tells: the
 * process of another user is hidden from all but root. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PORT_HOLDER_NAME_MAX = 16 }; /* as the kernel keeps it */

struct port_holder {
    pid_t pid; /* 0: not ours to see */
    char name[PORT_HOLDER_NAME_MAX];
};

/* False: nobody listens there, or the system does not tell. Reads /proc; for the way out of a
 * program, not for its work. */
bool port_holder_find(uint16_t port, struct port_holder *holder);
