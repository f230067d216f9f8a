/* Codings undone while they pass, and made whole where they were cut. */
#include "format/unpack.h"

#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>
#include <zstd.h>

#include "check.h"

#define EVENT "event: message_start\ndata: {\"a\":1}\n\n"
static const char text[] = EVENT EVENT EVENT EVENT;
/* The same, as a br encoder has it. */
static const char brotli[] =
    "\033\217\000\340\034\007\156\254\330\046\223\375\056\254\025\104\164\276\124\330\136\202\304"
    "\364\301\006\034\070\144\305\043\302\331\341\150\100\113\264\223\361\114\312\032\000";

enum { ROOM = 4096, WINDOW_GZIP = 31, WINDOW_ZLIB = 15, WINDOW_RAW = -15 };

static char packed[ROOM], plain[ROOM];
static size_t plain_len;

static void on_bytes(void *arg, struct slice bytes)
{
    (void)arg;
    if (bytes.len > sizeof(plain) - plain_len)
        abort();
    memcpy(plain + plain_len, bytes.at, bytes.len);
    plain_len += bytes.len;
}

/* As a server that streams does it: a flush behind each event; `whole`: the end as well. */
static struct slice deflated(int window, bool is_whole)
{
    z_stream z;
    memset(&z, 0, sizeof(z));
    if (deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    z.next_out = (unsigned char *)packed;
    z.avail_out = sizeof(packed);
    for (size_t at = 0; at + 1 < sizeof(text); at += sizeof(EVENT) - 1) {
        z.next_in = (const unsigned char *)text + at;
        z.avail_in = sizeof(EVENT) - 1;
        if (deflate(&z, Z_SYNC_FLUSH) != Z_OK)
            abort();
    }
    if (is_whole && deflate(&z, Z_FINISH) != Z_STREAM_END)
        abort();
    deflateEnd(&z);
    return (struct slice){packed, sizeof(packed) - z.avail_out};
}

static struct slice zstandard(void)
{
    size_t len = ZSTD_compress(packed, sizeof(packed), text, sizeof(text) - 1, 3);
    if (ZSTD_isError(len))
        abort();
    return (struct slice){packed, len};
}

static enum unpacked feed(struct unpack *unpack, struct slice in, size_t step)
{
    enum unpacked state = UNPACK_MORE;
    while (in.len > 0 && state != UNPACK_BAD) {
        size_t len = step < in.len ? step : in.len;
        state = unpack_feed(unpack, (struct slice){in.at, len}, on_bytes, NULL);
        in = slice_from(in, len);
    }
    return state;
}

static int reads(enum coding coding, struct slice in)
{
    for (size_t step = 1; step <= in.len; step++) {
        struct unpack *unpack = unpack_new(coding);
        plain_len = 0;
        enum unpacked state = feed(unpack, in, step);
        unpack_free(unpack);
        if (state != UNPACK_END || plain_len != sizeof(text) - 1 ||
            memcmp(plain, text, plain_len) != 0)
            return 0;
    }
    return 1;
}

static void test_codings(void)
{
    /* clang-format off */
    static const struct {
        struct slice name;
        enum coding coding;
    } known[] = {
        {SLICE_ROW(""), CODING_IDENTITY},
        {SLICE_ROW("identity"), CODING_IDENTITY},
        {SLICE_ROW("GZip"), CODING_GZIP},
        {SLICE_ROW("x-gzip"), CODING_GZIP},
        {SLICE_ROW("br"), CODING_BROTLI},
        {SLICE_ROW("zstd"), CODING_ZSTD},
        {SLICE_ROW("deflate"), CODING_DEFLATE},
    };
    /* clang-format on */
    PROMISE("codings are known by name in any case; one that cannot be undone is refused")
    {
        enum coding coding;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            CHECK(coding_parse(known[i].name, &coding));
            CHECK(coding == known[i].coding);
        }
        CHECK(!coding_parse(SLICE("compress"), &coding));
        CHECK(!coding_parse(SLICE("gzip, gzip"), &coding));
    }
}

static void test_undoing(void)
{
    PROMISE("gzip, deflate with and without header, br and zstd are undone at any cut")
    {
        CHECK(reads(CODING_GZIP, deflated(WINDOW_GZIP, true)));
        CHECK(reads(CODING_DEFLATE, deflated(WINDOW_ZLIB, true)));
        CHECK(reads(CODING_DEFLATE, deflated(WINDOW_RAW, true)));
        CHECK(reads(CODING_BROTLI, (struct slice){brotli, sizeof(brotli) - 1}));
        CHECK(reads(CODING_ZSTD, zstandard()));
    }
    PROMISE("what is not coded as it says is refused")
    {
        for (enum coding coding = CODING_GZIP; coding <= CODING_ZSTD; coding++) {
            struct unpack *unpack = unpack_new(coding);
            CHECK(feed(unpack, SLICE("{\"no\": \"coding at all\", \"of\": \"any\"}"), 5) ==
                  UNPACK_BAD);
            unpack_free(unpack);
        }
    }
    PROMISE("frames of zstd may follow each other; one whose window is above 8 MB is refused")
    {
        static char twice[2 * ROOM];
        struct slice in = zstandard();
        memcpy(twice, in.at, in.len);
        memcpy(twice + in.len, in.at, in.len);
        struct unpack *unpack = unpack_new(CODING_ZSTD);
        plain_len = 0;
        CHECK(feed(unpack, (struct slice){twice, 2 * in.len}, 7) == UNPACK_END);
        CHECK(plain_len == 2 * (sizeof(text) - 1));
        unpack_free(unpack);
        unpack = unpack_new(CODING_ZSTD);
        CHECK(feed(unpack, SLICE("\x28\xb5\x2f\xfd\x00\x70\x01\x00\x00"), 9) == UNPACK_BAD);
        unpack_free(unpack);
    }
}

/* `in` and what seals it, as a reader of the coding has it. */
static int is_sealed(enum coding coding, struct slice in, size_t passed, struct slice said)
{
    char all[ROOM];
    struct buf out;
    struct unpack *unpack = unpack_new(coding);
    plain_len = 0;
    feed(unpack, in, 10);
    buf_init(&out, said.len + UNPACK_SEAL_BYTES);
    bool can = unpack_seal(unpack, said, &out);
    unpack_free(unpack);
    if (!can)
        return 0;
    if (in.len > 0)
        memcpy(all, in.at, in.len);
    memcpy(all + in.len, buf_slice(&out).at, buf_len(&out));
    size_t len = in.len + buf_len(&out);
    buf_fini(&out);
    unpack = unpack_new(coding);
    plain_len = 0;
    enum unpacked state = feed(unpack, (struct slice){all, len}, 3);
    unpack_free(unpack);
    return state == UNPACK_END && plain_len == passed + said.len &&
           memcmp(plain, text, passed) == 0 &&
           slice_eq((struct slice){plain + passed, said.len}, said);
}

static void test_seal(void)
{
    /* clang-format off */
    static const struct {
        enum coding coding;
        int window;
    } cases[] = {
        {CODING_GZIP, WINDOW_GZIP},
        {CODING_DEFLATE, WINDOW_ZLIB},
        {CODING_DEFLATE, WINDOW_RAW},
    };
    /* clang-format on */
    size_t len = sizeof(text) - 1;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum coding coding = cases[i].coding;
        PROMISE("gzip and deflate that were cut behind a flush are made whole, with more or not")
        {
            struct slice in = deflated(cases[i].window, false);
            CHECK(is_sealed(coding, in, len, SLICE("event: error\n\n")));
            CHECK(is_sealed(coding, in, len, SLICE_NONE));
            CHECK(is_sealed(coding, SLICE_NONE, 0, SLICE("event: error\n\n")));
        }
        PROMISE("within a block nothing is put")
        {
            struct buf out;
            struct slice in = deflated(cases[i].window, false);
            struct unpack *unpack = unpack_new(coding);
            plain_len = 0;
            feed(unpack, (struct slice){in.at, in.len - 10}, 10);
            buf_init(&out, 100);
            CHECK(!unpack_seal(unpack, SLICE("more"), &out));
            CHECK(buf_len(&out) == 0);
            buf_fini(&out);
            unpack_free(unpack);
        }
    }
    PROMISE("behind the end of gzip another member follows; behind that of deflate nothing")
    {
        CHECK(is_sealed(CODING_GZIP, deflated(WINDOW_GZIP, true), len, SLICE("more")));
        CHECK(!is_sealed(CODING_DEFLATE, deflated(WINDOW_ZLIB, true), len, SLICE("more")));
    }
    PROMISE("br and zstd are left as they are")
    {
        CHECK(!is_sealed(CODING_BROTLI, (struct slice){brotli, 5}, 0, SLICE("more")));
        CHECK(!is_sealed(CODING_ZSTD, SLICE_NONE, 0, SLICE("more")));
    }
}

int main(void)
{
    test_codings();
    test_undoing();
    test_seal();
    return check_done();
}
