/* grave.h - frees memory after the loop turn.
 * An object whose callback is running, or that another event of this turn may still name, is
 * buried here instead of freed. */
#pragma once

#include <event2/event.h>

struct grave;

struct grave *grave_new(struct event_base *base);
/* Frees memory (taken) with free() once the running callbacks have returned. */
void grave_bury(struct grave *grave, void *memory);
/* Frees all that is buried, and the grave. */
void grave_free(struct grave *grave);
