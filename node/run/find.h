/* find.h - a request that still runs, by the id that this node gave it. Each worker knows its own;
 * the id says which. The question goes by the control thread, which alone knows that a worker is
 * there, and the answer comes back the same way. */
#pragma once
#include <stdbool.h>

#include "base/attr.h"
#include "base/slice.h"

struct loop;
struct node_shared;

/* lines: as proxy_find() gives them, borrowed; empty: it does not run, or its worker is stuck. */
typedef void (*find_fn)(struct slice lines, void *arg);
/* Asks from the loop of `home`, where on_found fires once, within 2 s. False: this boot has not
 * given out such an id, and nothing fires. */
MUST_USE bool find_running(struct node_shared *shared, struct loop *home, struct slice id,
                           find_fn on_found, void *arg);
