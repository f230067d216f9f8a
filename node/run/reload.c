/* The configuration read again: on SIGHUP, on POST /admin/reload, or because its file changed. All
 * or nothing: a bad file changes nothing. What only a restart can change is said and left as it
 * was. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/budget.h"
#include "base/log.h"
#include "run/control.h"
#include "run/node_priv.h"
#include "run/preflight.h"

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void warn_fixed(const struct config *old, const struct config *new)
{
    bool is_same =
        same_text(old->server.host, new->server.host) && old->server.port == new->server.port &&
        old->server.workers == new->server.workers &&same_text(old->redis.url, new->redis.url) &&
        same_text(old->redis.prefix, new->redis.prefix) &&
        same_text(old->redis.pool, new->redis.pool) && same_text(old->node.id, new->node.id) &&
        same_text(old->node.state_dir, new->node.state_dir) &&
        (old->server.tls_cert == NULL) == (new->server.tls_cert == NULL);
    if (!is_same)
        log_message(LOG_WARN,
                    "server.host, port, workers, tls on or off, redis and node change only "
                    "with a restart of the node; the rest has been taken over");
}

void reload_remember_file(struct node *n)
{
    struct stat st;
    if (n->config->is_from_file && stat(n->config->source, &st) == 0)
        n->config_seen = n->config_changed = st.st_mtim;
}

static bool reload(struct node *n, const char *cause, char *error, size_t error_len)
{
    struct config *new;
    struct config_error why;
    reload_remember_file(n);
    if (!config_load(n->config_path, &new, &why)) {
        snprintf(error, error_len, "%s", why.text);
    } else if (!preflight(new, error, error_len)) {
        config_release(new);
        new = NULL;
    }
    if (error[0] != '\0') {
        log_message(LOG_ERROR, "reload refused, nothing was changed: %s", error);
        return false;
    }
    warn_fixed(n->config, new);
    config_release(n->config);
    n->config = new;
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
