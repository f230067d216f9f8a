#include "format/json_scan.h"

#include "check.h"

enum { ANSWER_MAX = 1 << 16 };

static const char *const paths[] = {"model", "stream", "a.b", "a.b.c.d", "usage.n", "x"};
enum { PATHS = sizeof(paths) / sizeof(paths[0]) };

/* What was reported, as "path=kind:value;" */
struct answer {
    char text[ANSWER_MAX];
    size_t len;
};

static void on_value(void *arg, unsigned path, enum json_kind kind, struct slice value)
{
    struct answer *answer = arg;
    int len = snprintf(answer->text + answer->len, sizeof(answer->text) - answer->len,
                       "%s=%c:%.*s;", paths[path], "snTFNr"[kind], SLICE_ARG(value));
    answer->len += (size_t)len;
}

/* Feeds `json` in pieces of `step` bytes, each in memory of its own so that a reader beyond its end
 * is noticed. Returns 1 complete, 0 not yet, -1 broken. */
static int scan_pieces(struct slice json, size_t step, struct answer *answer)
{
    struct json_scan scan;
    answer->len = 0;
    answer->text[0] = '\0';
    json_scan_init(&scan, paths, PATHS, on_value, answer);
    while (json.len > 0) {
        size_t len = json.len < step ? json.len : step;
        char *piece = malloc(len);
        memcpy(piece, json.at, len);
        json_scan_feed(&scan, (struct slice){piece, len});
        free(piece);
        json = slice_from(json, len);
    }
    return json_scan_is_broken(&scan) ? -1 : json_scan_is_complete(&scan);
}

static struct answer whole, cut;

/* Whether `json` gives `expected` and `end`, cut into pieces of any size. */
static int gives_slice(struct slice json, const char *expected, int end)
{
    int whole_end = scan_pieces(json, json.len, &whole);
    int is_so = whole_end == end && strcmp(whole.text, expected) == 0;
    if (!is_so)
        fprintf(stderr, "%.*s\n  gives %s (%d)\n", SLICE_ARG(json), whole.text, whole_end);
    for (size_t step = 1; step < 80 && step < json.len; step++) {
        int cut_end = scan_pieces(json, step, &cut);
        if (cut_end != whole_end || strcmp(cut.text, whole.text) != 0) {
            fprintf(stderr, "%.*s\n  cut every %zu: %s (%d)\n", SLICE_ARG(json), step, cut.text,
                    cut_end);
            return 0;
        }
    }
    return is_so;
}

static int gives(const char *json, const char *expected)
{
    return gives_slice(slice_of(json), expected, 1);
}

static int breaks(const char *json)
{
    return gives_slice(slice_of(json), "", -1);
}

static int stays_open(const char *json)
{
    return gives_slice(slice_of(json), "", 0);
}

static void test_values(void)
{
    PROMISE("all kinds of values are reported, with white space or without")
    {
        CHECK(gives("{\"model\":\"m\",\"stream\":true,\"x\":-1.5e3}",
                    "model=s:m;stream=T:true;x=n:-1.5e3;"));
        CHECK(gives(" {\n\"model\" :\t\"\" , \"stream\" : false ,\"x\": null\r\n} ",
                    "model=s:;stream=F:false;x=N:null;"));
        CHECK(gives("{}", ""));
        CHECK(gives("{\"x\":0}", "x=n:0;"));
    }
    PROMISE("a path addresses members of objects, and only where it says")
    {
        CHECK(gives("{\"a\":{\"b\":1,\"model\":2},\"b\":3}", "a.b=n:1;"));
        CHECK(gives("{\"a\":{\"b\":{\"c\":{\"d\":\"deep\",\"e\":0}}}}", "a.b.c.d=s:deep;"));
        CHECK(gives("{\"a.b\":1,\"a\":{\"b.c\":{\"d\":1}}}", ""));
        CHECK(gives("{\"messages\":[{\"model\":\"no\",\"a\":{\"b\":1}}],\"model\":\"yes\"}",
                    "model=s:yes;"));
        CHECK(gives("{\"a\":[{\"b\":1}],\"x\":[1]}", ""));
        CHECK(gives("{\"metadata\":{\"stream\":true,\"model\":\"no\"}}", ""));
        CHECK(gives("[{\"model\":\"no\"}]", ""));
        CHECK(gives("{\"a\":1,\"usage\":{\"n\":[]},\"model\":{\"model\":\"no\"}}", ""));
        CHECK(gives("{\"mod\":1,\"modell\":2,\"\":3}", ""));
    }
    PROMISE("an object is found again after what lies inside it")
    {
        CHECK(gives("{\"a\":{\"z\":{\"b\":1},\"b\":2,\"y\":[]},\"usage\":{\"n\":3},\"x\":4}",
                    "a.b=n:2;usage.n=n:3;x=n:4;"));
        CHECK(gives("{\"a\":{},\"a\":{\"b\":{}},\"a\":{\"b\":5}}", "a.b=n:5;"));
    }
    PROMISE("a key given twice reports twice")
    {
        CHECK(gives("{\"x\":1,\"x\":2}", "x=n:1;x=n:2;"));
    }
    PROMISE("a value at the top level that is no object has no members")
    {
        CHECK(gives("\"model\"", ""));
        CHECK(gives("true ", ""));
        CHECK(gives("12 ", ""));
        CHECK(stays_open("12"));
    }
}

static void test_strings(void)
{
    PROMISE("escapes are undone, in values and in keys")
    {
        CHECK(gives("{\"model\":\"a\\\"b\\\\c\\/d\"}", "model=s:a\"b\\c/d;"));
        CHECK(gives("{\"model\":\"\\b\\f\\n\\r\\t\"}", "model=s:\b\f\n\r\t;"));
        CHECK(gives("{\"m\\u006fdel\":\"x\\u00e9\\u20AC\\ud83d\\ude00\"}",
                    "model=s:x\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80;"));
        CHECK(gives("{\"\\\"model\":1}", ""));
    }
    PROMISE("half a surrogate pair becomes a replacement character")
    {
        CHECK(gives("{\"x\":\"\\ud83d\"}", "x=s:\xef\xbf\xbd;"));
        CHECK(gives("{\"x\":\"\\ud83dz\"}", "x=s:\xef\xbf\xbdz;"));
        CHECK(gives("{\"x\":\"\\ud83d\\n\"}", "x=s:\xef\xbf\xbd\n;"));
        CHECK(gives("{\"x\":\"\\ude00\\ud83d\\ud83d\\ude00\"}",
                    "x=s:\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80;"));
    }
    PROMISE("a string that is skipped ends at its own quote, whatever stands before it")
    {
        CHECK(gives("{\"z\":\"\\\"\",\"x\":1}", "x=n:1;"));
        CHECK(gives("{\"z\":\"\\\\\",\"x\":1}", "x=n:1;"));
        CHECK(gives("{\"z\":\"\\\\\\\",\\\"x\\\":2\\\\\",\"x\":1}", "x=n:1;"));
        CHECK(gives("{\"z\":[\"]}\\\"]}\\\\\"],\"x\":1}", "x=n:1;"));
        CHECK(gives("{\"z\":{\"\\\"}\":\"{[\"},\"x\":1}", "x=n:1;"));
    }
    PROMISE("a value longer than the limit is cut, a key longer than it matches nothing")
    {
        static char json[4096], expected[512];
        char run[1001];
        memset(run, 'k', sizeof(run) - 1);
        run[sizeof(run) - 1] = '\0';
        snprintf(json, sizeof(json), "{\"model\":\"%s\\\"\",\"%s\":1,\"x\":2}", run, run);
        snprintf(expected, sizeof(expected), "model=s:%.*s;x=n:2;", JSON_SCAN_VALUE_MAX, run);
        CHECK(gives(json, expected));
        memset(run, '1', sizeof(run) - 1);
        snprintf(json, sizeof(json), "{\"x\":%s,\"model\":\"m\"}", run);
        CHECK(gives(json, "model=s:m;"));
    }
}

static void test_malformed(void)
{
    PROMISE("what is not JSON is reported as broken")
    {
        static const char *const broken[] = {"x",
                                             "{x",
                                             "{\"x\"1}",
                                             "{\"x\":}",
                                             "{\"x\":,}",
                                             "{,}",
                                             "{\"z\":1,}",
                                             "{\"z\":1 2}",
                                             "{\"z\":tru}",
                                             "{\"z\":nul1}",
                                             "{\"z\":1x}",
                                             "{\"z\":'a'}",
                                             "{}{}",
                                             "{} x",
                                             "]",
                                             "{\"z\":[]]}",
                                             "{\"\\x\":1}",
                                             "{\"\\u12g4\"",
                                             "\xef\xbb\xbf{}",
                                             "{\"z\":1]",
                                             "data: {}",
                                             "{\"z\":\"a\"\"",
                                             "{\"z\" \"y\"}",
                                             "}"};
        for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
            CHECK(breaks(broken[i]));
    }
}

static void test_limits(void)
{
    PROMISE("what has not ended is neither complete nor broken")
    {
        CHECK(stays_open(""));
        CHECK(stays_open("  "));
        CHECK(stays_open("{"));
        CHECK(stays_open("{\"x\":\"abc"));
        CHECK(stays_open("{\"z\":[1,2"));
        CHECK(stays_open("{\"z\":\"\\"));
    }
    PROMISE("nesting has a limit, and up to it brackets are counted right")
    {
        static char json[4096];
        for (int nesting = JSON_SCAN_NESTING_MAX; nesting < JSON_SCAN_NESTING_MAX + 2; nesting++) {
            char *at = json + snprintf(json, sizeof(json), "{\"z\":");
            for (int i = 0; i < nesting; i++)
                *at++ = i % 2 == 0 ? '[' : '{';
            for (int i = nesting; i-- > 0;)
                *at++ = i % 2 == 0 ? ']' : '}';
            memcpy(at, ",\"x\":1}", 8);
            bool is_fine = nesting <= JSON_SCAN_NESTING_MAX;
            CHECK(gives_slice(slice_of(json), is_fine ? "x=n:1;" : "", is_fine ? 1 : -1));
        }
    }
}

/* What `json` gives when "model" and "x" are wanted as they stand. */
static const char *raw_of(const char *json, size_t step)
{
    struct json_scan scan;
    struct slice rest = slice_of(json);
    whole = (struct answer){.len = 0};
    json_scan_init(&scan, paths, PATHS, on_value, &whole);
    json_scan_want_raw(&scan, 0);
    json_scan_want_raw(&scan, 5);
    while (rest.len > 0) {
        size_t len = rest.len < step ? rest.len : step;
        json_scan_feed(&scan, (struct slice){rest.at, len});
        rest = slice_from(rest, len);
    }
    CHECK(json_scan_is_complete(&scan));
    return whole.text;
}

static void test_raw(void)
{
    static const char json[] =
        "{\"model\" : [1, {\"x\":\"]\\\"\"}] ,\"x\":\"a\\nb\",\"stream\":\"s\"}";
    PROMISE("a value can be had as it stands")
    {
        CHECK(strcmp(raw_of(json, 1000),
                     "model=r:[1, {\"x\":\"]\\\"\"}];x=r:\"a\\nb\";stream=s:s;") == 0);
        CHECK(strcmp(raw_of("{\"x\":{\"model\":1},\"model\":\"\"}", 1000),
                     "x=r:{\"model\":1};model=r:\"\";") == 0);
        CHECK(strcmp(raw_of("{\"x\":12,\"model\":null}", 1000), "x=n:12;model=N:null;") == 0);
    }
    PROMISE("as it stands, but only if all of it came at once")
    CHECK(strcmp(raw_of(json, 20), "x=r:\"a\\nb\";stream=s:s;") == 0);
}

/* Random JSON-like text from the bytes that matter. */
static void make_text(char *json, int count, uint32_t *seed)
{
    static const char *const words[] = {"{",
                                        "}",
                                        "[",
                                        "]",
                                        ",",
                                        ":",
                                        "\"",
                                        "\\",
                                        "\\\"",
                                        "\\\\",
                                        "\"x\":",
                                        "\"a\":{",
                                        "\"b\"",
                                        "true",
                                        "12",
                                        " ",
                                        "long text without",
                                        "\"\"",
                                        "\"z\":",
                                        "\\ud83d",
                                        "\\ude00",
                                        "\"model\":\""};
    memcpy(json, "{", 2);
    for (int i = 0; i < count; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        const char *word = words[(*seed >> 16) % (sizeof(words) / sizeof(words[0]))];
        memcpy(json + strlen(json), word, strlen(word) + 1);
    }
}

static void test_cuts(void)
{
    uint32_t seed = 7;
    char json[2048];
    int is_same = 1;
    for (int round = 0; round < 3000; round++) {
        make_text(json, 1 + round % 60, &seed);
        struct slice all = slice_of(json);
        int end = scan_pieces(all, all.len, &whole);
        seed = seed * 1664525u + 1013904223u;
        size_t steps[] = {1, 2, 3, 7, (seed >> 16) % all.len + 1, 64, 65};
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
            int cut_end = scan_pieces(all, steps[i], &cut);
            if (cut_end != end || strcmp(cut.text, whole.text) != 0) {
                fprintf(stderr, "%s\n  cut every %zu differs\n", json, steps[i]);
                is_same = 0;
            }
        }
    }
    PROMISE("where the input is cut makes no difference, whatever it is")
    {
        CHECK(is_same);
    }
}

int main(void)
{
    test_values();
    test_strings();
    test_malformed();
    test_raw();
    test_limits();
    test_cuts();
    return check_done();
}
