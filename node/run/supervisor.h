/* supervisor.h - who started this process and looks after it: systemd, or what speaks as it does.
 * Three things pass, all by the environment: where to tell how it goes (NOTIFY_SOCKET: a line or
 * more in a datagram), how often to show that it lives (WATCHDOG_USEC), and a listening socket
 * (LISTEN_FDS) that outlives this process. What is said never holds anybody up for long. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/attr.h"

enum { SUPERVISOR_WHY_MAX = 512, SUPERVISOR_TEXT_MAX = 1024 };

struct supervisor {
    int fd; /* -1: nobody wants to hear anything */
    struct sockaddr_un to;
    socklen_t to_len;
    uint64_t watchdog_ms; /* it wants a sign of life as often as that; 0: none */
    int listener;         /* passed, and checked; -1: none. Whoever takes it writes -1 */
    uint16_t port;        /* of the listener */
    bool is_failing;      /* that it cannot be told was said once */
};

/* Reads these variables and takes them out of the environment, so that no child believes they were
 * meant for it: before there are threads. False: something else was passed than one listening TCP
 * socket; `why` says what, in words for a log. supervisor_close() all the same. */
MUST_USE bool supervisor_meet(struct supervisor *s, char why[SUPERVISOR_WHY_MAX]);
void supervisor_close(struct supervisor *s);

/* One datagram; a NAME=VALUE a line, lines separated by '\n'. Waits for half a second at most
 * if its queue is full. Nothing happens if nobody listens. */
void supervisor_tell(struct supervisor *s, const char *format, ...) PRINTF_LIKE(2, 3);
