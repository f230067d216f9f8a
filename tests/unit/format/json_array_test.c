#include "format/json_array.h"

#include "check.h"

/* The elements of `array`, which has memory of its own so that a reader beyond its end is noticed,
 * each with a '|' behind it. */
static const char *elements_of(const char *array)
{
    static char text[512];
    size_t len = strlen(array), used = 0;
    char *copy = malloc(len + 1);
    struct slice rest, element;
    memcpy(copy, array, len);
    char *exact = len > 0 ? realloc(copy, len) : copy;
    text[0] = '\0';
    if (!json_array_open((struct slice){exact, len}, &rest))
        memcpy(text, "none", 5);
    while (json_array_next(&rest, &element))
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%.*s|", SLICE_ARG(element));
    free(exact);
    return text;
}

static int gives(const char *array, const char *expected)
{
    const char *text = elements_of(array);
    if (strcmp(text, expected) != 0)
        fprintf(stderr, "%s\n  gives %s\n", array, text);
    return strcmp(text, expected) == 0;
}

int main(void)
{
    PROMISE("each element comes as it stands, in order")
    {
        CHECK(gives("[1,\"a\",{\"b\":[2]},[3,[4]],true,null]",
                    "1|\"a\"|{\"b\":[2]}|[3,[4]]|true|null|"));
        CHECK(gives(" [ 1 ,\n\"a\"\t, { } ] ", "1|\"a\"|{ }|"));
        CHECK(gives("[]", "") && gives("[ ]", ""));
    }
    PROMISE("quotes, brackets and commas within strings end nothing")
    {
        CHECK(gives("[\"a,]\\\"}\",\"\\\\\",2]", "\"a,]\\\"}\"|\"\\\\\"|2|"));
        CHECK(gives("[{\"a\":\"]}\\\"\"},2]", "{\"a\":\"]}\\\"\"}|2|"));
    }
    PROMISE("an element that is cut off is all of the rest")
    {
        CHECK(gives("[{\"a\":[1,2", "{\"a\":[1,2|"));
        CHECK(gives("[\"abc\\\"", "\"abc\\\"|"));
        CHECK(gives("[12", "12|") && gives("[\"", "\"|"));
    }
    PROMISE("what is no array has no elements, and what is malformed ends it")
    {
        CHECK(gives("{}", "none") && gives("", "none") && gives("1", "none"));
        CHECK(gives("[1,,2]", "1|") && gives("[1}2", "1|") && gives("[,", ""));
    }
    return check_done();
}
