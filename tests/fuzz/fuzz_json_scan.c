/* JSON: the same at any cut; and where Jansson, which validates, finds a value under a path, so
 * does the scan, and the same one. Left out are duplicate keys, where Jansson keeps one of two
 * objects and the scan reports from both, and NUL bytes, which Jansson overlooks in places. */
#include "format/json_scan.h"

#include <jansson.h>
#include <string.h>

#include "fuzz.h"

static const char *const paths[] = {"model", "stream",  "a",       "b",  "a.b",
                                    "a.b.c", "a.a.a.a", "usage.n", "b.b"};
enum { PATHS = sizeof(paths) / sizeof(paths[0]) };

struct found {
    bool is_there;
    enum json_kind kind;
    size_t len;
    char text[JSON_SCAN_VALUE_MAX + 1];
};

struct result {
    bool is_complete;
    bool is_broken;
    unsigned reports;
    struct found found[PATHS];
};

static void on_value(void *arg, unsigned path, enum json_kind kind, struct slice value)
{
    struct result *result = arg;
    REQUIRE(path < PATHS && value.len <= JSON_SCAN_VALUE_MAX);
    struct found *found = &result->found[path];
    *found = (struct found){.is_there = true, .kind = kind, .len = value.len};
    memcpy(found->text, value.at, value.len);
    result->reports++;
}

static void scan_all(struct slice in, bool is_cut, struct result *result)
{
    struct json_scan scan;
    uint32_t seed = (uint32_t)in.len;
    memset(result, 0, sizeof(*result));
    json_scan_init(&scan, paths, PATHS, on_value, result);
    while (in.len > 0) {
        size_t len = is_cut ? fuzz_step(&seed, in.len) : in.len;
        json_scan_feed(&scan, (struct slice){in.at, len});
        in = slice_from(in, len);
    }
    result->is_complete = json_scan_is_complete(&scan);
    result->is_broken = json_scan_is_broken(&scan);
}

static const json_t *follow(const json_t *at, const char *path)
{
    char key[32];
    while (at != NULL && *path != '\0') {
        size_t len = strcspn(path, ".");
        memcpy(key, path, len);
        key[len] = '\0';
        at = json_object_get(at, key);
        path += len + (path[len] == '.');
    }
    return at;
}

static void compare_string(const struct found *found, const json_t *value)
{
    size_t len = json_string_length(value);
    REQUIRE(found->is_there && found->kind == JSON_SCAN_STRING);
    REQUIRE(len <= JSON_SCAN_VALUE_MAX ? found->len == len : found->len > JSON_SCAN_VALUE_MAX - 4);
    REQUIRE(memcmp(found->text, json_string_value(value), found->len) == 0);
}

static void compare_number(const struct found *found, const json_t *value, size_t size)
{
    if (!found->is_there && size > JSON_SCAN_VALUE_MAX)
        return; /* a number that long is not reported */
    REQUIRE(found->is_there && found->kind == JSON_SCAN_NUMBER);
    if (json_is_integer(value))
        REQUIRE(strtoll(found->text, NULL, 10) == json_integer_value(value));
    else
        REQUIRE(strtod(found->text, NULL) == json_real_value(value));
}

static void compare(const struct found *found, const json_t *value, size_t size)
{
    if (value == NULL || json_is_object(value) || json_is_array(value))
        REQUIRE(!found->is_there);
    else if (json_is_string(value))
        compare_string(found, value);
    else if (json_is_number(value))
        compare_number(found, value, size);
    else
        REQUIRE(found->is_there && found->kind == (json_is_true(value)    ? JSON_SCAN_TRUE
                                                   : json_is_false(value) ? JSON_SCAN_FALSE
                                                                          : JSON_SCAN_NULL));
}

static size_t count_brackets(struct slice in)
{
    size_t count = 0;
    for (size_t i = 0; i < in.len; i++)
        count += in.at[i] == '[' || in.at[i] == '{';
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct result whole, cut;
    struct slice in = {(const char *)data, size};
    scan_all(in, false, &whole);
    scan_all(in, true, &cut);
    REQUIRE(memcmp(&whole, &cut, sizeof(whole)) == 0);
    REQUIRE(!whole.is_complete || !whole.is_broken);
    size_t nul_at;
    if (slice_find(in, '\0', &nul_at))
        return 0;
    json_t *root = json_loadb(in.at == NULL ? "" : in.at, in.len,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (root == NULL)
        return 0;
    if (!whole.is_broken || count_brackets(in) <= JSON_SCAN_NESTING_MAX) {
        REQUIRE(whole.is_complete);
        for (unsigned path = 0; path < PATHS; path++)
            compare(&whole.found[path], follow(root, paths[path]), size);
    }
    json_decref(root);
    return 0;
}
