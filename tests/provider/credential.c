#include "credential.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 256 };

LIST_HEAD(credential_list, credential);

const char *const TALLY_NAMES[TALLY_COUNT] = {"requests", "complete", "closed", "faulted",
                                              "limited"};

struct credentials {
    struct credential_list buckets[BUCKETS];
    size_t count;
    int64_t limit; /* 0 = none */
    int64_t first_limit;
};

static size_t bucket_of(struct slice name)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name.at[i]) * 16777619u;
    return hash % BUCKETS;
}

struct credentials *credentials_new(int64_t limit)
{
    struct credentials *all = mem_zero(sizeof(*all));
    all->limit = limit;
    all->first_limit = limit;
    return all;
}

static void drop_scripts(struct credential *credential)
{
    struct queued_script *queued;
    while ((queued = TAILQ_FIRST(&credential->scripts)) != NULL) {
        TAILQ_REMOVE(&credential->scripts, queued, link);
        script_unref(queued->script);
        free(queued);
    }
    credential->script_count = 0;
}

static void credential_free(struct credential *credential)
{
    LIST_REMOVE(credential, link);
    drop_scripts(credential);
    free(credential->name);
    free(credential);
}

void credentials_free(struct credentials *all)
{
    struct credential *credential;
    while ((credential = credentials_next(all, NULL)) != NULL)
        credential_free(credential);
    free(all);
}

struct credential *credentials_get(struct credentials *all, struct slice name)
{
    if (name.len > CREDENTIAL_NAME_MAX)
        name.len = CREDENTIAL_NAME_MAX;
    struct credential *found;
    LIST_FOREACH(found, &all->buckets[bucket_of(name)], link)
    {
        if (slice_is(name, found->name))
            return found;
    }
    if (all->count == CREDENTIALS_MAX && !slice_is(name, "(other)"))
        return credentials_get(all, slice_of("(other)"));
    found = mem_zero(sizeof(*found));
    found->name = slice_copy(name);
    found->limit = SCRIPT_UNSET;
    TAILQ_INIT(&found->running);
    TAILQ_INIT(&found->scripts);
    LIST_INSERT_HEAD(&all->buckets[bucket_of(name)], found, link);
    all->count++;
    return found;
}

struct credential *credentials_next(struct credentials *all, struct credential *last)
{
    size_t bucket = 0;
    if (last != NULL) {
        if (LIST_NEXT(last, link) != NULL)
            return LIST_NEXT(last, link);
        bucket = bucket_of(slice_of(last->name)) + 1;
    }
    while (bucket < BUCKETS && LIST_EMPTY(&all->buckets[bucket]))
        bucket++;
    return bucket < BUCKETS ? LIST_FIRST(&all->buckets[bucket]) : NULL;
}

bool credential_queue(struct credential *credential, struct script *script)
{
    if (credential->script_count == CREDENTIAL_SCRIPTS_MAX)
        return false;
    struct queued_script *queued = mem_zero(sizeof(*queued));
    queued->script = script_ref(script);
    queued->times = script->times;
    TAILQ_INSERT_TAIL(&credential->scripts, queued, link);
    credential->script_count++;
    return true;
}

struct script *credential_take_script(struct credentials *all, struct credential *credential)
{
    if (TAILQ_EMPTY(&credential->scripts))
        credential = credentials_get(all, slice_of("*"));
    struct queued_script *queued = TAILQ_FIRST(&credential->scripts);
    if (queued == NULL)
        return NULL;
    struct script *script = script_ref(queued->script);
    if (queued->times > 0 && --queued->times == 0) {
        TAILQ_REMOVE(&credential->scripts, queued, link);
        credential->script_count--;
        script_unref(queued->script);
        free(queued);
    }
    return script;
}

static void drop_gone(struct credential *credential)
{
    struct running *running = TAILQ_FIRST(&credential->running);
    while (running != NULL) {
        struct running *next = TAILQ_NEXT(running, link);
        if (running->is_gone(running->arg))
            running->drop(running->arg);
        running = next;
    }
}

bool credential_enter(struct credentials *all, struct credential *credential,
                      struct running *running)
{
    size_t limit = (size_t)credentials_limit(all, credential);
    bool is_full = limit > 0 && credential->active >= limit;
    bool is_record = credential->active == credential->high_water;
    if ((is_full || is_record) && credential->active < CREDENTIAL_EXACT_MAX)
        drop_gone(credential);
    credential->tally[TALLY_REQUESTS]++;
    if (limit > 0 && credential->active >= limit) {
        credential->tally[TALLY_LIMITED]++;
        return false;
    }
    TAILQ_INSERT_TAIL(&credential->running, running, link);
    if (++credential->active > credential->high_water)
        credential->high_water = credential->active;
    return true;
}

void credential_leave(struct credential *credential, struct running *running, enum tally how)
{
    TAILQ_REMOVE(&credential->running, running, link);
    credential->active--;
    credential->tally[how]++;
}

void credentials_set_limit(struct credentials *all, struct credential *credential, int64_t limit)
{
    if (credential != NULL)
        credential->limit = limit;
    else
        all->limit = limit == SCRIPT_UNSET ? all->first_limit : limit;
}

int64_t credentials_limit(const struct credentials *all, const struct credential *credential)
{
    return script_pick(credential->limit, all->limit);
}

void credentials_reset(struct credentials *all)
{
    struct credential *credential = NULL;
    all->limit = all->first_limit;
    while ((credential = credentials_next(all, credential)) != NULL) {
        drop_scripts(credential);
        credential->limit = SCRIPT_UNSET;
        credential->high_water = credential->active;
        memset(credential->tally, 0, sizeof(credential->tally));
    }
}
