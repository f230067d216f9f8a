/* node_priv.h - the control thread: one struct, and the files that share it.
 *
 *     node.c     start and end; the signals; the phases
 *     pulse.c    a name; once a second: heartbeat, sweep; the pool's subscriptions declared
 *     notice.c   what the pool tells all at once: a beat before its second
 *     reload.c   the configuration read again
 *     leave.c    from the order to leave to the last word
 *     duty.c     what its supervisor hears of all that
 *
 * The control thread has signals, the heartbeat, reloads and the private Redis; workers have the
 * traffic. They speak through loop_post() and a few atomics, nothing else. */
#pragma once
#include <stdint.h>
#include <time.h>

#include "base/identity.h"
#include "config/config.h"
#include "loop/loop.h"
#include "proxy/retry_budget.h"
#include "run/roll_call.h"
#include "run/supervisor.h"
#include "run/worker.h"
#include "state/notice.h"

struct control_call;
struct event;
struct private_redis;
struct state;

/* A node's life. X(phase, the phases that may follow) */
#define PHASE_TABLE(X)                                            \
    X(STARTING, PHASE(RUNNING) | PHASE(NOTICE) | PHASE(DRAINING)) \
    X(RUNNING, PHASE(NOTICE) | PHASE(DRAINING))                   \
    X(NOTICE, PHASE(DRAINING))                                    \
    X(DRAINING, PHASE(BREAKING))                                  \
    X(BREAKING, 0)

enum phase {
#define X(name, to) PHASE_##name,
    PHASE_TABLE(X)
#undef X
};

/* What tells that a file is another one, after an edit by rename too. */
struct file_mark {
    uint64_t device, inode, bytes;
    struct timespec changed;
};

struct watched_file {
    struct file_mark seen;    /* when it was read */
    struct file_mark changed; /* seen once: it must stand still for a second */
};

struct node {
    struct node_shared shared;
    struct retry_budget retries;
    struct node_identity identity;
    struct config *config;
    struct config *config_at_start; /* what only a restart changes is still as it says */
    struct watched_file config_file, dotenv;
    uint64_t edited_ms; /* when the file of `config` was written, as it was taken; 0: it has none */
    struct loop *loop;
    struct state *state;
    struct private_redis *private_redis;
    struct worker *workers[WORKERS_MAX];
    unsigned ready_count;
    uint16_t port;
    enum phase phase;
    struct deadline phase_deadline;
    struct loop_timer *pulse_timer, *drain_timer;
    uint64_t drain_by_ms;    /* asked for by POST /admin/drain: all has ended by then; 0: not so */
    uint64_t notice_ends_ms; /* the least there is then */
    struct deadline farewell;
    bool has_said_farewell, was_farewell_heard;
    uint64_t ended_before; /* requests, when it began to leave */
    struct {
        uint64_t since_ms;    /* when there was nothing left but to book; 0: there is more */
        uint64_t progress_ms; /* when it last became less */
        unsigned left;
    } last_words;
    struct event *signals[3];
    bool is_at_terminal;
    struct loop_hook log_hook;
    uint64_t log_lines_lost; /* so many are in the metrics */
    bool is_declared;        /* Redis knows the subscriptions of n->config */
    struct {
        bool is_over; /* the node has its name, or goes on with the one it wanted */
        bool is_asking;
        bool was_wait_logged;
        uint64_t since_ms;
        struct deadline again, deadline;
    } join;
    struct {
        bool was_difference_logged, was_behind_logged, was_error_logged;
        uint64_t epoch;      /* that the workers have been told of */
        uint64_t generation; /* of the roster, as the last beat told */
    } pulse;
    struct {
        uint64_t heard;  /* the last that was asked of all nodes */
        bool has_heard;  /* of what was asked before this node began, too */
        uint64_t asked;  /* the last of those that is done; 0: none */
        bool is_taken;   /* of the last one, whoever asked */
        char words[512]; /* what it read and changed, or why not; "": there was none */
        bool is_to_tell; /* the pool has not been told of it */
    } reloads;
    struct {
        struct notice_channel *channel;
        uint64_t told[NOTICE_KINDS]; /* since the last beat that came of it; 0: nothing */
        struct deadline soon;
        uint64_t beaten_ms;
    } notices;
    struct supervisor supervisor;
    struct {
        struct loop_timer *look_timer, *watchdog_timer;
        struct roll_call ready, taken, alive;
        bool is_ready;           /* it was said */
        bool is_reload_untaken;  /* there was another reload before all had taken the last */
        bool was_silence_logged; /* of somebody who does not answer */
        const char *word;        /* that it was told last, and when */
        uint64_t told_ms;
        char refusal[256]; /* of the last reload; "": there was none */
    } duty;
};

#define NODE_FOR_EVER UINT64_MAX
/* node.c: the only writer of node->phase. at_most_ms: until leave_phase_over(). */
void node_go(struct node *node, enum phase phase, uint64_t at_most_ms);

/* pulse.c */
void pulse_start(struct node *node); /* the state, and a name: stops the loop once it has one */
void pulse_run(struct node *node);   /* the workers are there: declare, and beat each second */
void pulse_stop(struct node *node);
void pulse_declare(struct node *node); /* tell Redis which subscriptions this configuration has */
void pulse_now(struct node *node);     /* a beat beside those of each second */

/* notice.c */
void notice_start(struct node *node);
void notice_stop(struct node *node);

/* reload.c */
void reload_begin(struct node *node); /* the configuration that it starts with has been read */
void reload_count(struct node *node, bool is_taken); /* for /metrics */
void reload_if_changed(struct node *node); /* a file that changed and stands still again */
void reload_on_signal(struct node *node);
/* With each beat: the last reload that was asked of all nodes. Its result is told with the next. */
void reload_if_asked(struct node *node, uint64_t asked);
void reload_run(struct node *node, struct control_call *call); /* POST /admin/reload */

/* leave.c */
void leave_asked(struct node *node, int signal);              /* SIGTERM, SIGINT; again: faster */
void leave_run(struct node *node, struct control_call *call); /* POST /admin/drain */
void leave_phase_over(void *arg);                             /* of a deadline: arg is the node */

/* duty.c: nothing happens where there is no supervisor */
void duty_start(struct node *node); /* its loop will run: it is told what is waited for */
void duty_run(struct node *node);   /* the workers are there: ready is said once all are */
void duty_stop(struct node *node);  /* the loop has ended */
void duty_leaving(struct node *node);
void duty_reloading(struct node *node);
void duty_reloaded(struct node *node, const char *error); /* NULL: it is the new one */
