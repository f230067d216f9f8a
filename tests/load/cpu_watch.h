/* cpu_watch.h - CPU time that processes have used so far, in microseconds. */
#pragma once

#include <stdint.h>

/* Of all threads of the process, user and system, as exact as the kernel counts it. -1 if it is
 * gone. */
int64_t cpu_watch_read_us(int pid);
