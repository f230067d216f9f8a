#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/config_priv.h"

static struct slice text_of(const json_t *value)
{
    return (struct slice){json_string_value(value), json_string_length(value)};
}

static void set_text(void *to, struct slice text)
{
    char **field = to;
    free(*field);
    *field = mem_string(text);
}

static bool is_text(const struct config_knob *knob, const json_t *value)
{
    if (!json_is_string(value))
        return false;
    struct slice text = text_of(value);
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f)
            return false;
    return text.len >= knob->min && text.len <= knob->max;
}

static bool read_text(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      void *to)
{
    if (!is_text(knob, value))
        return config_fail_expected(r, knob, value);
    set_text(to, text_of(value));
    return true;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == ':' || c == '@' || c == '-';
}

static bool read_name(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      void *to)
{
    if (!is_text(knob, value))
        return config_fail_expected(r, knob, value);
    struct slice text = text_of(value);
    for (size_t i = 0; i < text.len; i++)
        if (!is_name_char(text.at[i]))
            return config_fail_expected(r, knob, value);
    set_text(to, text);
    return true;
}

static bool read_variable_name(struct config_reader *r, const struct config_knob *knob,
                               json_t *value, void *to)
{
    if (!is_text(knob, value))
        return config_fail_expected(r, knob, value);
    struct slice text = text_of(value);
    for (size_t i = 0; i < text.len; i++)
        if (!is_name_char(text.at[i]) || strchr(".:@-", text.at[i]) != NULL)
            return config_fail_expected(r, knob, value);
    set_text(to, text);
    return true;
}

bool config_set_key(struct config_reader *r, struct secret *key, struct slice value)
{
    if (value.len == 0)
        return config_fail(r, "the key is empty");
    if (value.len > CONFIG_KEY_MAX)
        return config_fail(r, "the key is longer than %d bytes", CONFIG_KEY_MAX);
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] <= ' ' || value.at[i] >= 0x7f)
            return config_fail(r, "character %zu of the key is a blank or one that no key has",
                               i + 1);
    secret_set(key, value);
    return true;
}

static bool read_secret(struct config_reader *r, const struct config_knob *knob, json_t *value,
                        void *to)
{
    if (!json_is_string(value))
        return config_fail_expected(r, knob, value);
    r->has_secrets = true;
    return config_set_key(r, to, text_of(value));
}

static bool read_integer(struct config_reader *r, const struct config_knob *knob, json_t *value,
                         uint64_t *number)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return config_fail_expected(r, knob, value);
    *number = (uint64_t)json_integer_value(value);
    if (*number < knob->min || *number > knob->max)
        return config_fail_expected(r, knob, value);
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

static bool read_flag(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      void *to)
{
    if (!json_is_boolean(value))
        return config_fail_expected(r, knob, value);
    *(bool *)to = json_is_true(value);
    return true;
}

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

static bool find_word(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      unsigned *index)
{
    if (!json_is_string(value))
        return config_fail_expected(r, knob, value);
    unsigned ignored;
    if (has_word(knob->words, text_of(value), index))
        return true;
    if (has_word(knob->later, text_of(value), &ignored))
        return config_fail(r, "\"%s\" is not supported by this version; expected %s\"%s\"",
                           json_string_value(value),
                           strchr(knob->words, ' ') != NULL ? "one of " : "", knob->words);
    return config_fail_expected(r, knob, value);
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
    static_assert(sizeof(enum log_level) == sizeof(unsigned), "enums are stored as unsigned");
    if (!find_word(r, knob, value, &index))
        return false;
    memcpy(to, &index, sizeof(index));
    return true;
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

static bool read_host(struct config_reader *r, const struct config_knob *knob, json_t *value,
                      void *to)
{
    char *address = json_is_string(value) ? host_address(text_of(value)) : NULL;
    if (address == NULL)
        return config_fail_expected(r, knob, value);
    char **field = to;
    free(*field);
    *field = address;
    return true;
}

static bool read_url(struct config_reader *r, const struct config_knob *knob, json_t *value,
                     void *to)
{
    const char *why;
    if (!is_text(knob, value))
        return config_fail_expected(r, knob, value);
    /* The URL is not shown: someone may have put credentials into it. */
    return origin_parse(to, text_of(value), &why) || config_fail(r, "%s", why);
}

/* Its grammar is the affair of who connects; here it is a text that may hold a password. */
static bool read_redis_url(struct config_reader *r, const struct config_knob *knob, json_t *value,
                           void *to)
{
    size_t at;
    if (!is_text(knob, value))
        return config_fail_expected(r, knob, value);
    r->has_secrets |= slice_find(text_of(value), '@', &at);
    set_text(to, text_of(value));
    return true;
}

static void free_list(char **list)
{
    for (char **item = list; item != NULL && *item != NULL; item++)
        free(*item);
    free(list);
}

static bool read_networks(struct config_reader *r, const struct config_knob *knob, json_t *value,
                          void *to)
{
    char ***field = to;
    size_t count = json_array_size(value);
    if (!json_is_array(value) || count > CONFIG_NETWORKS_MAX)
        return config_fail_expected(r, knob, value);
    free_list(*field);
    *field = mem_new((count + 1) * sizeof(**field));
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(value, i);
        const char *why = "expected a network like \"10.0.0.0/8\" or an address";
        char found[CONFIG_FOUND_MAX];
        if (json_is_string(item))
            (*field)[i] = network_text(text_of(item), &why);
        size_t mark = config_path_begin(r, "[%zu]", i);
        if ((*field)[i] == NULL)
            return config_fail(r, "found %s; %s", config_found(item, false, found), why);
        config_path_end(r, mark);
    }
    return true;
}

static bool read_subscriptions(struct config_reader *r, const struct config_knob *knob,
                               json_t *value, void *to)
{
    size_t count = json_array_size(value);
    (void)to;
    if (!json_is_array(value) || count == 0 || count > SUBSCRIPTIONS_MAX)
        return config_fail_expected(r, knob, value);
    for (size_t i = 0; i < count; i++) {
        json_t *item = json_array_get(value, i);
        struct config_draft *draft;
        char found[CONFIG_FOUND_MAX];
        size_t mark = config_path_begin(r, "[%zu]", i);
        if (!json_is_object(item))
            return config_fail(r, "found %s, expected an object", config_found(item, true, found));
        if (!config_add_draft(r, &draft) ||
            !config_read_members(r, item, "subscriptions[].", draft))
            return false;
        config_path_end(r, mark);
    }
    return true;
}

const struct config_kind config_file_name = {.read = read_text, .expected = "the name of a file"};
const struct config_kind config_directory = {.read = read_text, .expected = "the name of a folder"};
const struct config_kind config_name = {
    .read = read_name, .expected = "1 to 64 of the characters A-Z a-z 0-9 . _ : @ -"};
/* Secret, because someone may have put the key itself there. */
const struct config_kind config_variable_name = {.read = read_variable_name,
                                                 .expected = "the name of an environment variable",
                                                 .is_secret = true};
const struct config_kind config_secret = {
    .read = read_secret, .expected = "a string without blanks", .is_secret = true};
const struct config_kind config_number = {.read = read_number, .is_number = true};
const struct config_kind config_bytes = {.read = read_bytes, .is_number = true};
const struct config_kind config_port = {.read = read_port, .is_number = true};
const struct config_kind config_flag = {.read = read_flag, .expected = "true or false"};
const struct config_kind config_word = {.read = read_word};
const struct config_kind config_choice = {.read = read_choice};
const struct config_kind config_auth = {.read = read_auth};
const struct config_kind config_host = {.read = read_host,
                                        .expected = "an IPv4 or IPv6 address, or \"localhost\""};
const struct config_kind config_url = {
    .read = read_url, .expected = "https://host[:port][/path]", .is_secret = true};
const struct config_kind config_redis_url = {
    .read = read_redis_url,
    .expected = "redis://[user:password@]host[:port][/db] or unix:///path",
    .is_secret = true};
const struct config_kind config_networks = {
    .read = read_networks, .expected = "a list of at most 64 networks like \"10.0.0.0/8\""};
const struct config_kind config_subscriptions = {.read = read_subscriptions,
                                                 .expected = "a list of 1 to 200 objects"};
