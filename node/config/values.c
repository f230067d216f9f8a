/* One kind of value after the other: how it is read, how it is put as text to be compared, how it
 * is freed. What a text means is the affair of a grammar (format/, base/name.h); here it is asked,
 * and its words become part of a message. The kinds themselves stand at the end. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/config_priv.h"

void config_put(struct buf *out, const char *format, ...)
{
    char text[CONFIG_KEY_MAX + 1];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    bool has_room = buf_append(out, slice_of(text));
    assert(has_room); /* what a value may be long is far below that */
    explicit_bzero(text, sizeof(text));
}

/* ---- texts ---- */

struct slice config_text_of(const json_t *value)
{
    return (struct slice){json_string_value(value), json_string_length(value)};
}

static void set_text(void *to, struct slice text)
{
    char **field = to;
    free(*field);
    *field = mem_string(text);
}

bool config_is_text(const struct config_knob *knob, const json_t *value)
{
    if (!json_is_string(value))
        return false;
    struct slice text = config_text_of(value);
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f)
            return false;
    return text.len >= knob->min && text.len <= knob->max;
}

static bool read_text(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      void *to)
{
    if (!config_is_text(knob, value))
        return config_fail_value(r, knob, value);
    set_text(to, config_text_of(value));
    return true;
}

static bool read_name(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      void *to)
{
    if (!config_is_text(knob, value) || !name_is_clean(config_text_of(value)))
        return config_fail_value(r, knob, value);
    set_text(to, config_text_of(value));
    return true;
}

static bool read_variable_name(struct config_reader *r, const struct config_knob *knob,
                               json_t *value, void *to)
{
    if (!config_is_text(knob, value) || !name_is_clean(config_text_of(value)) ||
        strpbrk(json_string_value(value), ".:@-") != NULL)
        return config_fail_value(r, knob, value);
    set_text(to, config_text_of(value));
    return true;
}

static void put_text(const struct config_knob *knob, const void *at, struct buf *out)
{
    (void)knob;
    const char *text = *(char *const *)at;
    config_put(out, "%s", text != NULL ? text : "");
}

static void forget_text(void *at)
{
    free(*(char **)at);
}

/* ---- secrets ---- */

static const char expected_key[] = "printable characters without blanks, at most 4096";

bool config_set_key(struct config_reader *r, struct secret *key, struct slice value)
{
    static_assert(CONFIG_KEY_MAX == 4096, "the number stands in expected_key");
    if (value.len == 0)
        return config_fail(r, expected_key, "the key is empty");
    if (value.len > CONFIG_KEY_MAX)
        return config_fail(r, expected_key, "the key is longer than that");
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] <= ' ' || value.at[i] >= 0x7f)
            return config_fail(r, expected_key,
                               "character %zu of the key is a blank or one that no key has", i + 1);
    secret_set(key, value);
    return true;
}

bool config_mind_quotes(struct config_reader *r, struct slice key)
{
    if (key.len == 0 ||
        (memchr(key.at, '"', key.len) == NULL && memchr(key.at, '\'', key.len) == NULL))
        return true;
    return config_fail(r, "the key alone", "the key has a quote in it");
}

static bool read_secret(struct config_reader *r, const struct config_knob *knob, json_t *value,
                        void *to)
{
    if (!json_is_string(value))
        return config_fail_value(r, knob, value);
    r->has_secrets = true;
    return config_set_key(r, to, config_text_of(value));
}

static void put_secret(const struct config_knob *knob, const void *at, struct buf *out)
{
    (void)knob;
    const struct secret *secret = at;
    config_put(out, "%.*s", SLICE_ARG(secret_reveal(secret)));
}

static void forget_secret(void *at)
{
    secret_fini(at);
}

/* ---- numbers, flags ---- */

static bool read_integer(struct config_reader *r, const struct config_knob *knob, json_t *value,
                         uint64_t *number)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return config_fail_value(r, knob, value);
    *number = (uint64_t)json_integer_value(value);
    if (*number < knob->min || *number > knob->max)
        return config_fail_value(r, knob, value);
    return true;
}

static bool read_number(struct config_reader *r, const struct config_knob *knob, json_t *value,
                        void *to)
{
    uint64_t number = 0;
    assert(knob->max <= UINT32_MAX);
    if (!read_integer(r, knob, value, &number))
        return false;
    *(uint32_t *)to = (uint32_t)number;
    return true;
}

static bool read_bytes(struct config_reader *r, const struct config_knob *knob, json_t *value,
                       void *to)
{
    return read_integer(r, knob, value, to);
}

static bool read_port(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      void *to)
{
    uint64_t number = 0;
    assert(knob->max <= UINT16_MAX);
    if (!read_integer(r, knob, value, &number))
        return false;
    *(uint16_t *)to = (uint16_t)number;
    return true;
}

static void put_number(const struct config_knob *knob, const void *at, struct buf *out)
{
    (void)knob;
    config_put(out, "%" PRIu32, *(const uint32_t *)at);
}

static void put_bytes(const struct config_knob *knob, const void *at, struct buf *out)
{
    (void)knob;
    config_put(out, "%" PRIu64, *(const uint64_t *)at);
}

static void put_port(const struct config_knob *knob, const void *at, struct buf *out)
{
    (void)knob;
    config_put(out, "%u", (unsigned)*(const uint16_t *)at);
}

static bool read_flag(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      void *to)
{
    if (!json_is_boolean(value))
        return config_fail_value(r, knob, value);
    *(bool *)to = json_is_true(value);
    return true;
}

static void put_flag(const struct config_knob *knob, const void *at, struct buf *out)
{
    (void)knob;
    config_put(out, "%d", *(const bool *)at);
}

/* ---- words ---- */

static bool has_word(const char *words, struct slice word, unsigned *index)
{
    struct slice rest = slice_of(words);
    for (*index = 0; rest.len > 0; ++*index) {
        struct slice known;
        rest = slice_cut(rest, ' ', &known);
        if (slice_eq_nocase(known, word))
            return true;
    }
    return false;
}

/* What `word` is taken as: itself, or what "word=other" among `also` says. */
static struct slice meant_by(const char *also, struct slice word)
{
    struct slice rest = slice_of(also), pair, name;
    while (rest.len > 0) {
        rest = slice_cut(rest, ' ', &pair);
        struct slice other = slice_cut(pair, '=', &name);
        if (slice_eq_nocase(name, word))
            return other;
    }
    return word;
}

static bool find_word(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      unsigned *index)
{
    if (!json_is_string(value))
        return config_fail_value(r, knob, value);
    unsigned ignored;
    char expected[256];
    if (has_word(knob->words, meant_by(knob->also, config_text_of(value)), index))
        return true;
    bool is_later = has_word(knob->later, config_text_of(value), &ignored);
    if (!config_fail_word(r, value, is_later))
        return false;
    if (!is_later)
        return config_fail_value(r, knob, value);
    config_expected(knob, expected, sizeof(expected));
    return config_fail(r, expected, "\"%s\" is not supported by this version",
                       json_string_value(value));
}

/* A word whose only supported value needs no field. */
static bool read_word(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      void *to)
{
    unsigned index;
    (void)to;
    return find_word(r, knob, value, &index);
}

/* A word whose place in the list is its enum's value. */
static bool read_choice(struct config_reader *r, const struct config_knob *knob, json_t *value,
                        void *to)
{
    unsigned index;
    static_assert(sizeof(enum log_level) == sizeof(unsigned) &&
                      sizeof(enum taken_name) == sizeof(unsigned) &&
                      sizeof(enum strategy) == sizeof(unsigned),
                  "enums are stored as unsigned");
    if (!find_word(r, knob, value, &index))
        return false;
    memcpy(to, &index, sizeof(index));
    return true;
}

static void put_word(const struct config_knob *knob, const void *at, struct buf *out)
{
    (void)at;
    config_put(out, "%s", knob->words);
}

static void put_choice(const struct config_knob *knob, const void *at, struct buf *out)
{
    unsigned index;
    (void)knob;
    memcpy(&index, at, sizeof(index));
    config_put(out, "%u", index);
}

static bool read_auth(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      void *to)
{
    unsigned index;
    if (!find_word(r, knob, value, &index))
        return false;
    *(bool *)to = true;
    return true;
}

/* ---- subscriptions ---- */

static bool read_subscriptions(struct config_reader *r, const struct config_knob *knob,
                               json_t *value, void *to)
{
    size_t count = json_array_size(value);
    (void)to;
    if (!json_is_array(value) || count == 0 || count > SUBSCRIPTIONS_MAX)
        return config_fail_value(r, knob, value);
    for (size_t i = 0; i < count; i++) {
        json_t *item = json_array_get(value, i);
        struct subscription *added;
        char found[CONFIG_FOUND_MAX];
        size_t mark = config_path_begin(r, "[%zu]", i);
        if (!json_is_object(item))
            return config_fail(r, "an object", "found %s", config_found(item, true, found));
        if (!config_add_subscription(r, &added) ||
            !config_read_members(r, item, "subscriptions[].", added))
            return false;
        config_path_end(r, mark);
    }
    return true;
}

/* ---- the kinds ---- */

#define TEXT(name) .read = read_##name, .put = put_text, .forget = forget_text

const struct config_kind config_file_name = {TEXT(text), .expected = "the name of a file"};
const struct config_kind config_directory = {TEXT(text), .expected = "the name of a folder"};
const struct config_kind config_name = {
    TEXT(name), .expected = "1 to 64 of the characters A-Z a-z 0-9 . _ : @ -"};
/* Secret, because someone may have put the key itself there. */
const struct config_kind config_variable_name = {
    TEXT(variable_name), .expected = "the name of an environment variable", .is_secret = true};
const struct config_kind config_secret = {CONFIG_OWNER(secret),
                                          .expected = "a string without blanks", .is_secret = true};
const struct config_kind config_number = {CONFIG_VALUE(number), .is_number = true};
const struct config_kind config_bytes = {CONFIG_VALUE(bytes), .is_number = true};
const struct config_kind config_port = {CONFIG_VALUE(port), .is_number = true};
const struct config_kind config_flag = {CONFIG_VALUE(flag), .is_flag = true,
                                        .expected = "true or false"};
const struct config_kind config_word = {CONFIG_VALUE(word)};
const struct config_kind config_choice = {CONFIG_VALUE(choice)};
const struct config_kind config_auth = {.read = read_auth, .put = put_flag};
/* Secret, because someone may have put a key there. */
const struct config_kind config_subscriptions = {
    .read = read_subscriptions, .expected = "a list of 1 to 200 objects", .is_secret = true};
