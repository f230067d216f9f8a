/* Worker, control thread, worker, control thread, worker. A loop that has stopped meanwhile drops
 * what is posted to it, and the process is at its end then. One that is stuck is not waited for:
 * its answer finds nobody, whenever it comes. */
#include "run/find.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "proxy/proxy.h"
#include "run/node_priv.h"
#include "state/history.h"

enum { WAIT_MS = 2000 };

struct find {
    struct node *node;
    struct loop *control, *home;
    unsigned number; /* of the worker */
    struct worker *worker;
    char *id;
    struct buf lines;
    find_fn on_found; /* NULL: has fired */
    void *arg;
    struct deadline late;
};

static void tell(struct find *f)
{
    find_fn on_found = f->on_found;
    f->on_found = NULL;
    if (on_found != NULL)
        on_found(buf_slice(&f->lines), f->arg);
}

static void come_home(void *arg)
{
    struct find *f = arg;
    deadline_clear(&f->late);
    tell(f);
    buf_fini(&f->lines);
    free(f->id);
    free(f);
}

static void on_late(void *arg)
{
    struct find *f = arg;
    find_fn on_found = f->on_found;
    f->on_found = NULL; /* the lines are the worker's still */
    on_found(SLICE_NONE, f->arg);
}

static void pass_back(void *arg)
{
    struct find *f = arg;
    loop_post(f->home, come_home, f);
}

static void look(void *arg)
{
    struct find *f = arg;
    proxy_find(worker_proxy(f->worker), slice_of(f->id), &f->lines);
    loop_post(f->control, pass_back, f);
}

static void pass_on(void *arg)
{
    struct find *f = arg;
    f->worker = f->node->workers[f->number];
    loop_post(worker_loop(f->worker), look, f);
}

/* weir_<boot>-<worker>-<count> */
static bool read_worker(const struct node_shared *shared, struct slice id, unsigned *worker)
{
    struct slice boot, number;
    uint64_t value;
    if (!slice_starts(id, SLICE("weir_")))
        return false;
    id = slice_cut(slice_from(id, sizeof("weir_") - 1), '-', &boot);
    (void)slice_cut(id, '-', &number);
    if (!slice_eq(boot, slice_of(shared->identity->boot)) ||
        !slice_number(number, shared->worker_count - 1, &value))
        return false;
    *worker = (unsigned)value;
    return true;
}

bool find_running(struct node_shared *shared, struct loop *home, struct slice id, find_fn on_found,
                  void *arg)
{
    unsigned number;
    if (!read_worker(shared, id, &number))
        return false;
    struct find *f = mem_new(sizeof(*f));
    *f = (struct find){.node = shared->node,
                       .control = shared->control,
                       .home = home,
                       .number = number,
                       .id = mem_string(id),
                       .on_found = on_found,
                       .arg = arg};
    buf_init(&f->lines, HISTORY_LINES_MAX);
    deadline_init(&f->late, on_late, f);
    deadline_set(home, &f->late, WAIT_MS);
    loop_post(f->control, pass_on, f);
    return true;
}
