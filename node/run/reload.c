/* The configuration read again: on SIGHUP, on POST /admin/reload, or because its file changed. All
 * or nothing: a bad file, or one that is away, changes nothing. What only a restart can change is
 * said, measured by what the node started with, and left as it was. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/budget.h"
#include "base/log.h"
#include "run/control.h"
#include "run/node_priv.h"

static void warn_restart(const struct node *n)
{
    char paths[512];
    if (config_needs_restart(n->config_at_start, n->config, paths, sizeof(paths)))
        log_message(LOG_WARN, "changed, but taken over only by a restart of the node: %s", paths);
}

void reload_remember_file(struct node *n)
{
    struct stat st;
    if (n->config->is_from_file && stat(n->config->source, &st) == 0)
        n->config_seen = n->config_changed = st.st_mtim;
}

/* NULL: error says why. Before there are workers nothing is read: a file that has changed by then
 * is seen again in their first second. */
static struct config *read_again(struct node *n, char *error, size_t error_len)
{
    struct config *new;
    struct config_error why;
    if (n->workers[0] == NULL) {
        snprintf(error, error_len, "this node waits for its name, and does not serve yet");
        return NULL;
    }
    reload_remember_file(n);
    if (config_reload(n->config, &new, &why))
        return new;
    snprintf(error, error_len, "%s", why.text);
    return NULL;
}

static bool take(struct node *n, const char *cause, char *error, size_t error_len)
{
    struct config *new = read_again(n, error, error_len);
    if (new == NULL) {
        log_message(LOG_ERROR, "reload refused, nothing was changed: %s", error);
        return false;
    }
    config_release(n->config);
    n->config = new;
    warn_restart(n);
    log_set_level(new->log_level);
    budget_update(n->shared.budget, new->server.memory_bytes, new->server.max_body_bytes);
    config_log_warnings(new);
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        worker_use_config(n->workers[i], new);
    pulse_declare(n);
    if (log_begin(LOG_INFO, "reloaded")) {
        log_string("cause", cause);
        log_string("source", new->source);
        log_number("subscriptions", new->subscription_count);
        log_end();
    }
    return true;
}

static bool reload(struct node *n, const char *cause, char *error, size_t error_len)
{
    duty_reloading(n);
    bool is_taken = take(n, cause, error, error_len);
    duty_reloaded(n, is_taken ? NULL : error);
    return is_taken;
}

void reload_run(struct node *n, struct control_call *call)
{
    call->is_done = reload(n, "POST /admin/reload", call->error, sizeof(call->error));
    call->subscriptions = n->config->subscription_count;
}

void reload_on_signal(struct node *n)
{
    char error[CONTROL_ERROR_MAX] = "";
    reload(n, "SIGHUP", error, sizeof(error));
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* A file that changed is read once it has stood still from one second to the next. */
void reload_if_changed(struct node *n)
{
    struct stat st;
    char error[CONTROL_ERROR_MAX] = "";
    if (!n->config->is_from_file || stat(n->config->source, &st) < 0 ||
        same_time(st.st_mtim, n->config_seen))
        return;
    if (!same_time(st.st_mtim, n->config_changed)) {
        n->config_changed = st.st_mtim;
        return;
    }
    if (n->phase == PHASE_RUNNING)
        reload(n, "the file changed", error, sizeof(error));
}
