/* An answer: what is remembered of it is the same at any cut. The first byte says what kind of
 * answer it is and how it is compressed. */
#include "dialect/watch.h"

#include "dialect/dialect.h"
#include "fuzz.h"

static struct watch *watch_all(struct slice in, unsigned char kind, bool is_cut)
{
    struct watch *watch = watch_new(dialect_anthropic.words, (enum watch_body)(kind % 3),
                                    (enum coding)(kind / 3 % 5));
    uint32_t seed = (uint32_t)in.len;
    while (in.len > 0) {
        size_t len = is_cut ? fuzz_step(&seed, in.len) : in.len;
        watch_feed(watch, (struct slice){in.at, len});
        in = slice_from(in, len);
    }
    return watch;
}

static void compare(const struct watch *a, const struct watch *b)
{
    const struct usage x = watch_usage(a), y = watch_usage(b);
    REQUIRE(x.is_known == y.is_known && x.input == y.input && x.output == y.output);
    REQUIRE(x.is_estimated == y.is_estimated && watch_is_unpacked(a) == watch_is_unpacked(b));
    REQUIRE(x.cache_read == y.cache_read && x.cache_write_5m == y.cache_write_5m);
    REQUIRE(x.cache_write_1h == y.cache_write_1h);
    REQUIRE(slice_eq(watch_model(a), watch_model(b)) && watch_model(a).len <= 128);
    struct error_words e = watch_error(a), f = watch_error(b);
    REQUIRE(slice_eq(e.code, f.code) && slice_eq(e.type, f.type));
    REQUIRE(slice_eq(e.message, f.message) && e.message.len <= 256 && e.code.len <= 128);
    REQUIRE(watch_saw_content(a) == watch_saw_content(b));
    REQUIRE(watch_said(a) == watch_said(b));
    REQUIRE(watch_at_event_start(a) == watch_at_event_start(b));
    REQUIRE(watch_events(a) == watch_events(b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice in = slice_from((struct slice){(const char *)data, size}, 1);
    struct watch *whole = watch_all(in, data[0], false);
    struct watch *cut = watch_all(in, data[0], true);
    compare(whole, cut);
    watch_free(whole);
    watch_free(cut);
    return 0;
}
