/* config.h - what the operator wants: read once, checked as a whole, never changed.
 * A reload makes a new config beside the old one; whoever works with one holds a reference, so an
 * exchange sees one config from its first to its last byte. An error names the file and the line or
 * the path (`subscriptions[1].max_concurrent`), what was found and what was expected. Nothing
 * unknown is ignored. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/slice.h"
#include "format/origin.h"

enum {
    SUBSCRIPTIONS_MAX = 200,
    MAX_CONCURRENT_MAX = 1000,
    NAME_BYTES_MAX = 64 /* of subscriptions, clients, nodes: [A-Za-z0-9._:@-] */
};

enum auth_type { AUTH_API_KEY, AUTH_TOKEN }; /* `auto` is decided by the key's prefix on reading */

struct subscription {
    char *name;
    struct secret api_key;
    enum auth_type auth_type;
    struct origin origin; /* base_url */
    char *ca_file;        /* NULL: the system's */
    uint32_t max_concurrent;
    uint32_t priority;
    bool is_enabled;
};

struct config {
    char *source;      /* file name or "environment", for messages */
    bool is_from_file; /* source can be read again */

    struct subscription *subscriptions;
    size_t subscription_count;

    struct {
        char *host;
        uint16_t port; /* 0: a free one */
        uint32_t workers;
        uint64_t max_body_bytes;
        uint64_t memory_bytes; /* that the node may hold for its callers */
        bool expose_subscription;
        bool pass_limits;
        char *tls_cert; /* both or none */
        char *tls_key;
        uint32_t drain_seconds;
        char **trusted_networks; /* NULL-terminated, "10.0.0.0/8" */
    } server;

    struct {
        char *url; /* NULL: a private redis-server */
        char *prefix;
        char *pool;
    } redis;

    struct {
        char *id; /* NULL: <host name>-<port> */
        char *state_dir;
    } node;

    struct {
        uint32_t cooldown_seconds;
        uint32_t burst_limit;
    } rate_limit;

    struct {
        uint32_t total; /* attempts upstream for one request */
    } retry;

    struct {
        uint32_t connect_ms;
        uint32_t first_byte_ms;
        uint32_t idle_ms;
        uint32_t client_ms;
    } timeouts;

    struct secret admin_token;
    bool is_auth_open; /* "auth": "open": callers that are not local are served too */

    enum log_level log_level;
    enum log_format log_format; /* already decided: text on a terminal, else JSON */

    char digest[9]; /* of the settings that all nodes of a pool should share; no secrets */

    char **warnings; /* what is allowed but hardly meant; whole sentences without secrets */
    size_t warning_count;

    _Atomic unsigned references; /* private */
};

struct config_error {
    char text[1024]; /* a whole message, without a newline */
};

/* Read `path`, or without one (NULL): WEIR_CONFIG, ./config.json,
 * $XDG_CONFIG_HOME/weir/config.json, else keys from ANTHROPIC_API_KEYS / ANTHROPIC_API_KEY and
 * ./.env. The environment overrides single fields (see docs/config.md). *config: one reference,
 * yours. */
MUST_USE bool config_load(const char *path, struct config **config, struct config_error *error);

/* The same from text, for tests and fuzzers: no files, no environment. */
MUST_USE bool config_parse(struct slice json, const char *source, struct config **config,
                           struct config_error *error);

struct config *config_hold(struct config *c); /* one more reference, yours */
void config_release(struct config *c);        /* gives one back; NULL is fine */

/* Loading says nothing itself, because how to log is only known afterwards. */
void config_log_warnings(const struct config *c);

const struct subscription *config_subscription(const struct config *c, struct slice name);

/* One row of the table of all knobs, in words. */
struct config_knob_words {
    const char *path;     /* "subscriptions[].name" */
    const char *initial;  /* as it would stand in the file, or in words */
    const char *variable; /* of the environment, that overrides it; NULL: none */
    const char *help;
    char expected[256];
};
/* False: there are not that many. */
bool config_describe_knob(size_t index, struct config_knob_words *words);
