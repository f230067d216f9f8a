/* knobs.h - the table of all settings, and what a row says.
 * Parsing, defaults, variables, the digest, what a restart is needed for, freeing, `weir help
 * config` and docs/config.md are loops over this table: there is no second list of settings. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct config_knob;
struct config_reader;

/* What values of one kind have in common. `at` is the field in struct config. */
struct config_kind {
    bool (*read)(struct config_reader *r, const struct config_knob *knob, json_t *value, void *at);
    /* As text: the same for the same value, empty for none; secrets too. NULL: never asked. */
    void (*put)(const struct config_knob *knob, const void *at, struct buf *out);
    void (*forget)(void *at); /* frees what it owns; NULL: owns nothing */
    const char *expected;     /* NULL: made from the knob's range or words */
    bool is_number, is_flag;  /* how text of a variable is read */
    bool is_secret;           /* its value never appears in a message */
};

enum {
    KNOB_RESTART = 1,        /* another value takes effect with a restart only */
    KNOB_RESTART_ON_OFF = 2, /* only setting it or taking it away does */
    KNOB_SHARED = 4,         /* should be alike on all nodes of a pool: part of the digest */
};

struct config_knob {
    const char *path;
    const struct config_kind *kind;
    size_t offset;         /* in struct config, or in struct subscription for subscriptions[]. */
    unsigned flags;        /* KNOB_... */
    uint64_t min, max;     /* of a number; bytes of a text */
    const char *initial;   /* as JSON; NULL: none */
    const char *otherwise; /* what it is when initial is NULL, in words */
    const char *variable;
    const char *words; /* allowed ones, separated by a space, in the order of their enum */
    const char *also;  /* "warning=warn": words that others use, and what they are taken as */
    const char *later; /* words that a later version is to support */
    const char *help;
};

/* The functions of a kind that owns memory, and of one that does not. */
#define CONFIG_OWNER(name) .read = read_##name, .put = put_##name, .forget = forget_##name
#define CONFIG_VALUE(name) .read = read_##name, .put = put_##name

extern const struct config_kind config_name, config_secret, config_file_name, config_directory,
    config_number, config_bytes, config_port, config_flag, config_word, config_choice, config_auth,
    config_host, config_host_names, config_limits, config_url, config_redis_url, config_networks,
    config_subscriptions, config_variable_name;

extern const struct config_knob config_knobs[];
extern const size_t config_knob_count;
/* Not built yet: whoever uses one should hear that, not "unknown". */
extern const char *const config_later_paths[];
extern const size_t config_later_path_count;

/* Its offset is one in struct subscription. */
bool config_knob_is_of_subscription(const struct config_knob *knob);
const struct config_knob *config_knob_find(const char *path); /* NULL: none */
/* "a whole number from 1 to 5" */
void config_expected(const struct config_knob *knob, char *out, size_t size);
