/* credential.h - what the provider knows about each credential: who is running, the most that ever
 * ran at once, counts, and the scripts queued for it.
 * The high-water mark is the proof of "never more than N at once", so it must not lie: a request
 * counts from its head until its answer's last byte was handed to the kernel, and a connection
 * whose other side has already closed is dropped before a new request is counted. */
#pragma once

#include <sys/queue.h>

#include "bytes.h"
#include "script.h"

enum {
    CREDENTIALS_MAX = 4096, /* later ones share "(other)" */
    CREDENTIAL_NAME_MAX = 512,
    CREDENTIAL_SCRIPTS_MAX = 100000,
    CREDENTIAL_EXACT_MAX = 256, /* above so many at once, closed connections are not searched */
};

/* A request under way; embedded in its connection. */
struct running {
    TAILQ_ENTRY(running) link;
    bool (*is_gone)(void *arg);
    void (*drop)(void *arg); /* ends the request, which leaves the list */
    void *arg;
};

TAILQ_HEAD(running_list, running);

struct queued_script {
    TAILQ_ENTRY(queued_script) link;
    struct script *script;
    int64_t times;
};

TAILQ_HEAD(script_list, queued_script);

enum tally {
    TALLY_REQUESTS,
    TALLY_COMPLETE,
    TALLY_CLOSED,
    TALLY_FAULTED,
    TALLY_LIMITED,
    TALLY_COUNT
};

extern const char *const TALLY_NAMES[TALLY_COUNT];

struct credential {
    LIST_ENTRY(credential) link;
    char *name;
    int64_t limit; /* SCRIPT_UNSET: the common one */
    size_t active;
    size_t high_water;
    uint64_t tally[TALLY_COUNT];
    struct running_list running;
    struct script_list scripts;
    size_t script_count;
};

struct credentials;

struct credentials *credentials_new(int64_t limit);
void credentials_free(struct credentials *all);

/* The credential of that name, made if need be. Lives as long as all. */
struct credential *credentials_get(struct credentials *all, struct slice name);
/* One after another, NULL first and last. */
struct credential *credentials_next(struct credentials *all, struct credential *last);

/* Queues a script (a reference is taken). False when the queue is full. */
bool credential_queue(struct credential *credential, struct script *script);
/* The script for the next request, from its own queue, else from "*"; NULL = none. Yours. */
struct script *credential_take_script(struct credentials *all, struct credential *credential);

/* Counts a request in; false, and only the tally of limited ones grows, at the limit. */
bool credential_enter(struct credentials *all, struct credential *credential,
                      struct running *running);
void credential_leave(struct credential *credential, struct running *running, enum tally how);
/* The limit in force, 0 = none; SCRIPT_UNSET makes a credential follow the common one again. */
void credentials_set_limit(struct credentials *all, struct credential *credential, int64_t limit);
int64_t credentials_limit(const struct credentials *all, const struct credential *credential);

/* Drops scripts and own limits, zeroes counts; running requests stay counted. */
void credentials_reset(struct credentials *all);
