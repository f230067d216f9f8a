/* The configuration read again: on SIGHUP, on POST /admin/reload, or because its file or .env
 * changed. All or nothing: a bad file, or one that is away, changes nothing. What only a restart
 * can change is said, measured by what the node started with, and left as it was. One reload is
 * done after the other, because the control thread does all of them; each is told what came of it
 * alone. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "config/changes.h"
#include "run/control.h"
#include "run/node_priv.h"

/* ---- which files there are ---- */

static bool mark_of(const char *path, struct file_mark *mark)
{
    struct stat st;
    *mark = (struct file_mark){0};
    if (stat(path, &st) < 0)
        return false;
    *mark = (struct file_mark){(uint64_t)st.st_dev, (uint64_t)st.st_ino, (uint64_t)st.st_size,
                               st.st_mtim};
    return true;
}

static bool is_same(const struct file_mark *a, const struct file_mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static void remember(struct watched_file *file, const char *path)
{
    struct file_mark mark;
    if (mark_of(path, &mark))
        file->seen = file->changed = mark;
}

static void remember_files(struct node *n)
{
    if (n->config->is_from_file)
        remember(&n->config_file, n->config->source);
    if (n->config->has_dotenv)
        remember(&n->dotenv, CONFIG_DOTENV_PATH);
}

/* What is refused later does not make it newer. */
static void note_edited(struct node *n)
{
    const struct timespec *at = &n->config_file.seen.changed;
    n->edited_ms = 0;
    if (n->config->is_from_file && at->tv_sec > 0)
        n->edited_ms = (uint64_t)at->tv_sec * 1000 + (uint64_t)at->tv_nsec / 1000000;
}

void reload_begin(struct node *n)
{
    remember_files(n);
    note_edited(n);
}

/* It is another one than was read, and has stood still from one second to the next. One that is
 * away may be about to be replaced: nothing is read then. */
static bool has_changed(struct watched_file *file, const char *path)
{
    struct file_mark mark;
    if (!mark_of(path, &mark) || is_same(&mark, &file->seen))
        return false;
    bool stands_still = is_same(&mark, &file->changed);
    file->changed = mark;
    return stands_still;
}

/* ---- a reload ---- */

void reload_count(struct node *n, bool is_taken)
{
    struct metrics *m = &n->shared.metrics[n->shared.worker_count];
    int64_t now_s = (int64_t)(clock_wall_ms() / 1000);
    metrics_set(m, GAUGE_RELOAD_SUCCESSFUL, is_taken);
    metrics_set(m, GAUGE_RELOAD_TIME, now_s);
    if (is_taken)
        metrics_set(m, GAUGE_RELOAD_SUCCESS_TIME, now_s);
}

/* A line of the log, or of systemd's status. */
static void put_in_a_line(const struct config_error *why, char *out, size_t size)
{
    struct slice rest = slice_of(why->all), text;
    const char *separator = "";
    for (size_t used = 0; rest.len > 0 && used < size; separator = "; ") {
        rest = slice_cut(rest, '\n', &text);
        int len = snprintf(out + used, size - used, "%s%.*s", separator, SLICE_ARG(text));
        used += len > 0 ? (size_t)len : 0;
    }
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
    remember_files(n);
    if (config_reload(n->config, &new, &why))
        return new;
    put_in_a_line(&why, error, error_len);
    return NULL;
}

static void tell_refused(const char *cause, const char *error)
{
    char event[CONTROL_ERROR_MAX + 64];
    snprintf(event, sizeof(event), "reload refused, nothing was changed: %s", error);
    if (log_begin(LOG_ERROR, event)) {
        log_string("cause", cause);
        log_end();
    }
}

static void tell_taken(const char *cause, const struct config_reloaded *done)
{
    char summary[CONFIG_SUMMARY_MAX];
    config_tell_restart(&done->changes, summary);
    if (summary[0] != '\0')
        log_message(LOG_WARN, "changed, but taken over only by a restart of the node: %s", summary);
    config_tell_changes(&done->changes, summary);
    if (log_begin(LOG_INFO, "reloaded")) {
        log_string("cause", cause);
        log_string("source", done->sources);
        log_string("digest", done->digest);
        log_string("changes", summary);
        log_number("subscriptions", done->subscriptions);
        log_end();
    }
}

static void describe(const struct node *n, const struct config *new, struct config_reloaded *done)
{
    snprintf(done->sources, sizeof(done->sources), "%s", new->sources);
    snprintf(done->digest, sizeof(done->digest), "%s", new->digest);
    done->subscriptions = new->subscription_count;
    config_compare(n->config_at_start, n->config, new, &done->changes);
}

static void use(struct node *n, struct config *new)
{
    config_release(n->config);
    n->config = new;
    note_edited(n);
    log_set_level(new->log_level);
    budget_update(n->shared.budget, new->server.memory_bytes, new->server.max_body_bytes);
    config_log_warnings(new);
    for (unsigned i = 0; i < n->shared.worker_count; i++)
        worker_use_config(n->workers[i], new);
    pulse_declare(n);
}

static bool take(struct node *n, const char *cause, struct config_reloaded *done, char *error,
                 size_t error_len)
{
    struct config *new = read_again(n, error, error_len);
    if (new == NULL) {
        tell_refused(cause, error);
        return false;
    }
    describe(n, new, done);
    use(n, new);
    tell_taken(cause, done);
    return true;
}

static bool reload(struct node *n, const char *cause, struct config_reloaded *done, char *error)
{
    duty_reloading(n);
    bool is_taken = take(n, cause, done, error, CONTROL_ERROR_MAX);
    reload_count(n, is_taken);
    duty_reloaded(n, is_taken ? NULL : error);
    return is_taken;
}

static void reload_unasked(struct node *n, const char *cause)
{
    char error[CONTROL_ERROR_MAX] = "";
    struct config_reloaded *done = mem_new(sizeof(*done));
    (void)reload(n, cause, done, error);
    free(done);
}

void reload_run(struct node *n, struct control_call *call)
{
    struct config_reloaded *done = mem_new(sizeof(*done));
    call->result = done;
    call->is_done = reload(n, "POST /admin/reload", done, call->error);
}

void reload_on_signal(struct node *n)
{
    reload_unasked(n, "SIGHUP");
}

void reload_if_changed(struct node *n)
{
    bool is_file = n->config->is_from_file && has_changed(&n->config_file, n->config->source);
    bool is_dotenv = n->config->has_dotenv && has_changed(&n->dotenv, CONFIG_DOTENV_PATH);
    if ((is_file || is_dotenv) && n->phase == PHASE_RUNNING)
        reload_unasked(n, is_file ? "the file changed" : ".env changed");
}
