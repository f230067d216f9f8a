/* Those that stand in the pool's line. Nothing is asked meanwhile: who has been granted something
 * is woken by the notice channel, and asks again with the number it had. What may have been missed,
 * a wake-up or the line itself, is asked for when the channel, the link or the pool's data are
 * back. A caller who leaves, or has waited long enough, takes its place out of the line by a
 * settlement that books nothing: it also gives back what was granted in that moment. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/number.h"
#include "state/state_priv.h"

static void take_out(struct admission *a)
{
    list_remove(&a->link);
    a->state->leases.waiting_count--;
}

/* As it was asked, by now. */
static struct fcall *call_of(const struct admission *a, uint64_t now_ms)
{
    struct state *state = a->state;
    struct slice args[ADMIT_ARGUMENTS];
    char wait[NUMBER_TEXT_MAX], seq[NUMBER_TEXT_MAX];
    uint64_t wait_ms = a->ends_ms > now_ms ? a->ends_ms - now_ms : 0;
    memcpy(args, &a->kept->args[FCALL_HEAD_ARGS], sizeof(args));
    args[ADMIT_HOLDER] = slice_of(state->holder);
    args[ADMIT_LINK] = slice_of(state->link_text);
    args[ADMIT_EPOCH] = slice_of(state->epoch_text);
    args[ADMIT_SEQ] = number_decimal(a->asked.seq, seq);
    args[ADMIT_WAIT_MS] = number_decimal(wait_ms, wait);
    return fcall_new(&state->calls, VERB_ADMIT, args, ADMIT_ARGUMENTS);
}

static void ask_again(struct admission *a)
{
    a->is_due = true;
    if (!state_can_admit(a->state))
        return; /* with a tick, once it can */
    uint64_t now_ms = clock_ms();
    struct fcall *call = call_of(a, now_ms), *former = a->kept;
    take_out(a);
    a->is_due = false;
    a->kept = NULL;
    a->asked_ms = now_ms;
    fcall_free(former);
    admission_ask(a, call);
}

static void keep(struct admission *a, struct fcall *call)
{
    a->kept = call;
    a->has_waited = true;
    list_push(&a->state->leases.waiting, &a->link);
    a->state->leases.waiting_count++;
}

void waiting_keep(struct admission *a, struct fcall *call)
{
    keep(a, call);
    if (a->was_woken)
        ask_again(a);
}

void waiting_again_soon(struct admission *a, struct fcall *call)
{
    keep(a, call);
    a->is_due = true;
}

void waiting_leave(struct admission *a)
{
    const struct settlement nothing = {.outcome = OUTCOME_UNUSED};
    take_out(a);
    fcall_free(a->kept);
    a->asked.is_held = true;
    state_settle(a->state, &a->asked, &nothing);
    free(a);
}

static struct admission *find(const struct list *list, uint64_t seq)
{
    LIST_EACH (link, list) {
        struct admission *a = LIST_OWNER(link, struct admission, link);
        if (a->asked.seq == seq)
            return a;
    }
    return NULL;
}

void state_wake(struct state *state, uint64_t seq)
{
    struct admission *a = find(&state->leases.waiting, seq);
    if (a != NULL)
        ask_again(a);
    else if ((a = find(&state->leases.asking, seq)) != NULL)
        a->was_woken = true; /* the word that it waits is still on its way */
}

void state_wake_all(struct state *state)
{
    LIST_EACH (link, &state->leases.waiting)
        ask_again(LIST_OWNER(link, struct admission, link));
}

void waiting_all_due(struct state *state)
{
    LIST_EACH (link, &state->leases.waiting)
        LIST_OWNER(link, struct admission, link)->is_due = true;
}

void waiting_tick(struct state *state)
{
    LIST_EACH (link, &state->leases.waiting) {
        struct admission *a = LIST_OWNER(link, struct admission, link);
        if (a->is_due)
            ask_again(a);
    }
}

void waiting_fini(struct state *state)
{
    struct list *link;
    while ((link = list_pop(&state->leases.waiting)) != NULL) {
        struct admission *a = LIST_OWNER(link, struct admission, link);
        assert(a->lease != NULL); /* its owner ends with the loop */
        fcall_free(a->kept);
        free(a);
    }
}
