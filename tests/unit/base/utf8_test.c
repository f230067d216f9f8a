#include "base/utf8.h"

#include "check.h"

static size_t length(struct slice s)
{
    uint32_t code;
    return utf8_next(s, &code);
}

static uint32_t code_of(struct slice s)
{
    uint32_t code = 0;
    return utf8_next(s, &code) == s.len ? code : 0;
}

static const char *escaped(struct slice s)
{
    static char out[UTF8_ESCAPE_MAX];
    utf8_escape(s, out);
    return out;
}

static void test_next(void)
{
    PROMISE("a character is told with its number, from one byte to four")
    {
        CHECK(code_of(SLICE("a")) == 'a');
        CHECK(code_of(SLICE("\xc2\x80")) == 0x80);
        CHECK(code_of(SLICE("\xc3\xbc")) == 0xfc);
        CHECK(code_of(SLICE("\xe2\x82\xac")) == 0x20ac);
        CHECK(code_of(SLICE("\xf0\x9f\x98\x80")) == 0x1f600);
        CHECK(code_of(SLICE("\xf4\x8f\xbf\xbf")) == 0x10ffff);
    }
    PROMISE("what is cut off, overlong, a surrogate or beyond the last is no character")
    {
        CHECK(length(SLICE("")) == 0);
        CHECK(length(SLICE("\xc3")) == 0);
        CHECK(length(SLICE("\xe2\x82")) == 0);
        CHECK(length(SLICE("\xc3(")) == 0);
        CHECK(length(SLICE("\x80")) == 0);
        CHECK(length(SLICE("\xc0\x80")) == 0);
        CHECK(length(SLICE("\xe0\x80\x80")) == 0);
        CHECK(length(SLICE("\xf0\x80\x80\x80")) == 0);
        CHECK(length(SLICE("\xed\xa0\x80")) == 0);
        CHECK(length(SLICE("\xf4\x90\x80\x80")) == 0);
        CHECK(length(SLICE("\xff")) == 0);
    }
}

static void test_cut(void)
{
    PROMISE("a text is cut between characters, and not at all if it fits")
    {
        CHECK_TEXT(utf8_cut(SLICE("abc"), 3), "abc");
        CHECK_TEXT(utf8_cut(SLICE("abc"), 2), "ab");
        CHECK_TEXT(utf8_cut(SLICE("a\xc3\xbc"), 2), "a");
        CHECK_TEXT(utf8_cut(SLICE("a\xc3\xbc!"), 3), "a\xc3\xbc");
        CHECK_TEXT(utf8_cut(SLICE("\xf0\x9f\x98\x80"), 3), "");
        CHECK(utf8_cut(SLICE_NONE, 0).len == 0);
    }
    PROMISE("what is no text at all is cut as well")
    {
        CHECK(utf8_cut(SLICE("\x80\x80\x80\x80\x80\x80\x80\x80"), 6).len == 6);
        CHECK(utf8_cut(SLICE("\x80\x80\x80"), 1).len <= 1);
    }
}

static void test_escape(void)
{
    PROMISE("within a JSON string everything is printable ASCII")
    {
        CHECK(strcmp(escaped(SLICE("a")), "a") == 0);
        CHECK(strcmp(escaped(SLICE("\"")), "\\\"") == 0);
        CHECK(strcmp(escaped(SLICE("\\")), "\\\\") == 0);
        CHECK(strcmp(escaped(SLICE("\n")), "\\u000a") == 0);
        CHECK(strcmp(escaped(SLICE("\x7f")), "\\u007f") == 0);
        CHECK(strcmp(escaped(SLICE("\xc3\xbc")), "\\u00fc") == 0);
        CHECK(strcmp(escaped(SLICE("\xf0\x9f\x98\x80")), "\\ud83d\\ude00") == 0);
    }
    PROMISE("a byte of no character is shown by its value, and only that byte is used up")
    {
        char out[UTF8_ESCAPE_MAX];
        CHECK(utf8_escape(SLICE("\xc3("), out) == 1);
        CHECK(strcmp(out, "\\u00c3") == 0);
        CHECK(utf8_escape(SLICE("\xff\xff"), out) == 1);
        CHECK(strcmp(out, "\\u00ff") == 0);
    }
}

static void test_repair(void)
{
    PROMISE("repaired text is valid and as long as before; valid text stays as it was")
    {
        char bad[] = "a\xff\xc3\xbc\xc3(";
        utf8_repair(bad, strlen(bad));
        CHECK(strcmp(bad, "a?\xc3\xbc?(") == 0);
    }
}

int main(void)
{
    test_next();
    test_cut();
    test_escape();
    test_repair();
    return check_done();
}
