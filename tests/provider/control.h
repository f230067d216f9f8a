/* control.h - the port over which a test scripts the provider and asks what happened upstream.
 * HTTP and JSON; README.md lists the requests. */
#pragma once

#include "provider.h"

struct control;

/* The desk behind the control port; takes over provider->on_change. Yours. */
struct control *control_new(struct provider *provider);
/* Serves an accepted socket (taken). */
void control_open(struct control *control, int fd);
/* Closes its connections, waiting ones without an answer. */
void control_free(struct control *control);
