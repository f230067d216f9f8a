/* One rule for each class. The dialect knows what a provider's statuses mean; what follows from a
 * meaning is the same for all of them, and stands here. */
#include "proxy/verdict.h"

#include "format/retry_after.h"

enum cooling {
    COOLS_NOT,
    COOLS_AS_USUAL, /* rate_limit.cooldown_seconds */
    COOLS_AS_TOLD   /* by the answer; as usual, if it says nothing */
};

static const struct {
    bool is_next;
    enum cooling cooling;
    const char *reason;
} rules[ANSWER_CLASSES] = {
    [CLASS_CALLERS] = {false, COOLS_NOT, "answered"},
    [CLASS_CREDENTIAL] = {true, COOLS_AS_USUAL, "credential refused"},
    [CLASS_CREDIT] = {true, COOLS_AS_USUAL, "no credit"},
    [CLASS_PERMISSION] = {true, COOLS_NOT, "not permitted"},
    [CLASS_LIMITED] = {true, COOLS_AS_TOLD, "rate limited"},
    [CLASS_OVERLOADED] = {true, COOLS_NOT, "overloaded"},
    [CLASS_FAILED] = {true, COOLS_NOT, "provider error"},
};

static uint64_t cooldown_ms(enum cooling cooling, const struct http1_response *r,
                            const struct config *config, uint64_t wall_ms)
{
    uint64_t ms = (uint64_t)config->rate_limit.cooldown_seconds * 1000, told_ms;
    if (cooling == COOLS_NOT)
        return 0;
    if (cooling == COOLS_AS_TOLD &&
        retry_after_read(r->headers, r->header_count, wall_ms, &told_ms))
        ms = told_ms < COOLDOWN_MS_MAX ? told_ms : COOLDOWN_MS_MAX;
    return ms;
}

struct verdict verdict_of(const struct dialect *dialect, const struct http1_response *r,
                          const struct config *config, uint64_t wall_ms)
{
    enum answer_class class = dialect->classify(r);
    return (struct verdict){
        .is_next = rules[class].is_next,
        .cooldown_ms = cooldown_ms(rules[class].cooling, r, config, wall_ms),
        .reason = rules[class].reason,
    };
}

struct verdict verdict_no_answer(enum err err)
{
    return (struct verdict){.is_next = true, .reason = err_word(err)};
}
