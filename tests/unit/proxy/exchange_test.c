/* The table of steps: which may follow which. */
#include "proxy/exchange_priv.h"

#include "check.h"

static const struct step *const objects[STEPS] = {
#define X(NAME, word, to) [STEP_##NAME] = &step_##word,
    STEP_TABLE(X)
#undef X
};

/* The steps that may follow, as a bit set. */
static unsigned behind(enum step_name from)
{
    unsigned to = 0;
    for (unsigned step = 0; step < STEPS; step++)
        to |= exchange_may_go(from, (enum step_name)step) ? 1U << step : 0;
    return to;
}

/* All that may follow at any time, by any number of moves. */
static unsigned ever_behind(enum step_name from)
{
    unsigned seen = behind(from), before = 0;
    while (seen != before) {
        before = seen;
        for (unsigned step = 0; step < STEPS; step++)
            if ((seen >> step & 1U) != 0)
                seen |= behind((enum step_name)step);
    }
    return seen;
}

static void test_moves(void)
{
    PROMISE("every step can be entered, and from each there is a way to the end")
    for (unsigned step = 0; step < STEPS; step++) {
        enum step_name name = (enum step_name)step;
        CHECK(objects[step]->enter != NULL);
        CHECK(name == STEP_ADMIT || (ever_behind(STEP_ADMIT) >> step & 1U) != 0);
        CHECK(name == STEP_FINISH || (ever_behind(name) >> STEP_FINISH & 1U) != 0);
    }
    PROMISE("behind the end there is nothing, and behind an answer of our own only the end")
    CHECK(behind(STEP_FINISH) == 0 && behind(STEP_ANSWER) == TO(FINISH));
    PROMISE("once an answer has begun, nothing goes up again at once")
    CHECK(((behind(STEP_COLLECT) | behind(STEP_RELAY)) & TO(SEND)) == 0);
    PROMISE("no answer passes that was not asked for")
    for (unsigned step = 0; step < STEPS; step++) {
        CHECK(step == STEP_SEND || step == STEP_COLLECT ||
              !exchange_may_go((enum step_name)step, STEP_RELAY));
        CHECK(step == STEP_SEND || !exchange_may_go((enum step_name)step, STEP_COLLECT));
    }
}

static void test_waiting(void)
{
    PROMISE("a step that waits can be left by its caller, and stopped")
    for (unsigned step = 0; step < STEPS; step++) {
        bool is_at_once = step == STEP_ANSWER || step == STEP_FINISH;
        CHECK((objects[step]->on_gone == NULL) == is_at_once);
        CHECK((objects[step]->on_stop == NULL) == is_at_once);
    }
}

int main(void)
{
    test_moves();
    test_waiting();
    return check_done();
}
