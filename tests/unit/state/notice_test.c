/* What is a notice, and what is not. That one has an effect is shown end to end. */
#include "state/notice.h"

#include "check.h"

static void takes(const char *text, enum notice_kind kind, uint64_t number)
{
    struct notice notice = {.kind = NOTICE_KINDS};
    CHECK(notice_read(slice_of(text), &notice) == NOTICE_TAKEN);
    CHECK(notice.kind == kind && notice.number == number);
}

static void is(enum notice_result result, struct slice text)
{
    struct notice notice = {0};
    CHECK(notice_read(text, &notice) == result);
}

static void reads(void)
{
    takes("roster generation=7", NOTICE_ROSTER, 7);
    takes("epoch id=1795695464833", NOTICE_EPOCH, 1795695464833);
    takes("roster generation=0", NOTICE_ROSTER, 0);
    takes("reload asked=1795695464833", NOTICE_RELOAD, 1795695464833);
}

static void reads_newer(void)
{
    takes("roster by=n1.0000000a generation=8 of=main", NOTICE_ROSTER, 8);
    takes("roster flag generation=8", NOTICE_ROSTER, 8);
    takes("epoch  id=5", NOTICE_EPOCH, 5);
    takes("roster generation=1 generation=x", NOTICE_ROSTER, 1);
}

static void skips(void)
{
    is(NOTICE_UNKNOWN, SLICE("grant lease=n1.0000000a.0-1"));
    is(NOTICE_UNKNOWN, SLICE("settings"));
    is(NOTICE_UNKNOWN, SLICE("roster_of generation=7"));
}

static void refuses(void)
{
    is(NOTICE_BAD, SLICE_NONE);
    is(NOTICE_BAD, SLICE(" "));
    is(NOTICE_BAD, SLICE(" roster generation=7"));
    is(NOTICE_BAD, SLICE("roster"));
    is(NOTICE_BAD, SLICE("roster generation"));
    is(NOTICE_BAD, SLICE("roster generation="));
    is(NOTICE_BAD, SLICE("roster generation=x7"));
    is(NOTICE_BAD, SLICE("roster generation=7x"));
    is(NOTICE_BAD, SLICE("roster generation=-7"));
    is(NOTICE_BAD, SLICE("roster generation=99999999999999999999"));
    is(NOTICE_BAD, SLICE("roster id=7"));
    is(NOTICE_BAD, SLICE("epoch generation=7"));
    is(NOTICE_BAD, SLICE("Roster generation=7"));
    is(NOTICE_BAD, SLICE("7"));
    is(NOTICE_BAD, SLICE("roster\ngeneration=7"));
    is(NOTICE_BAD, SLICE("roster generation=7\r\n"));
    is(NOTICE_BAD, SLICE("roster\0generation=7"));
    is(NOTICE_BAD, SLICE("gr\xc3\xbc"
                         "n x=1"));
}

static void bounds(void)
{
    char text[NOTICE_BYTES_MAX + 2];
    struct notice notice = {0};
    snprintf(text, sizeof(text), "%-*s", NOTICE_BYTES_MAX + 1, "roster generation=7");
    CHECK(notice_read((struct slice){text, NOTICE_BYTES_MAX}, &notice) == NOTICE_TAKEN);
    CHECK(notice.number == 7);
    CHECK(notice_read((struct slice){text, NOTICE_BYTES_MAX + 1}, &notice) == NOTICE_BAD);
    memset(text, 'a', sizeof(text));
    CHECK(notice_read((struct slice){text, NOTICE_BYTES_MAX}, &notice) == NOTICE_UNKNOWN);
    CHECK(notice_read((struct slice){text, NOTICE_BYTES_MAX + 1}, &notice) == NOTICE_BAD);
}

/* Copied to memory of its own size, so that a reader beyond the end is noticed; every beginning. */
static void cut_off(void)
{
    const char *const texts[] = {"roster generation=7", "epoch id=1795695464833", "x y=z"};
    struct notice notice;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        for (size_t len = 1; len <= strlen(texts[i]); len++) {
            char *copy = malloc(len);
            memcpy(copy, texts[i], len);
            CHECK(notice_read((struct slice){copy, len}, &notice) <= NOTICE_BAD);
            free(copy);
        }
}

int main(void)
{
    PROMISE("a notice has a kind and its number") reads();
    PROMISE("what a newer version adds to a notice is passed over") reads_newer();
    PROMISE("a kind that is not known is skipped, not bad") skips();
    PROMISE("what is no notice is bad") refuses();
    PROMISE("a notice is short") bounds();
    PROMISE("however a notice is cut off, nothing is read beyond its end") cut_off();
    return check_done();
}
