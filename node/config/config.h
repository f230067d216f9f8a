/* config.h - what the operator wants: read once, checked as a whole, never changed.
 * A reload makes a new config beside the old one; whoever works with one holds a reference, so an
 * exchange sees one config from its first to its last byte. Values are parsed when they are read:
 * nobody behind this header parses one again, or asks whether it can be. Nothing unknown is
 * ignored, and what only shows together (a certificate and its key, a host and who may reach it) is
 * checked here as well, so that starting, reloading and `weir check` say the same. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/log.h"
#include "base/name.h"
#include "base/secret.h"
#include "base/slice.h"
#include "format/ip.h"
#include "format/network.h"
#include "format/origin.h"
#include "format/redis_url.h"

enum { RETRY_DELAY_MAX_MS = 30000 };
enum { SUBSCRIPTIONS_MAX = 200, MAX_CONCURRENT_MAX = 1000 };

enum auth_type { AUTH_API_KEY, AUTH_TOKEN }; /* `auto` is decided by the key's prefix on reading */

enum { ACCOUNT_MAX = 21, FACE_MAX = 32 };

/* How one is chosen of several that may take a request (lua/lib/strategy.lua). */
#define STRATEGY_TABLE(X)                           \
    X(HEADROOM, "headroom")                         \
    X(PRIORITY, "priority")                         \
    X(SESSION, "session")                           \
    X(LEAST_REQUESTS, "least-requests")             \
    X(ROUND_ROBIN, "round-robin")                   \
    X(WEIGHTED, "weighted")                         \
    X(WEIGHTED_ROUND_ROBIN, "weighted-round-robin") \
    X(DRAIN_SOONEST, "drain-soonest")

enum strategy {
#define X(name, word) STRATEGY_##name,
    STRATEGY_TABLE(X)
#undef X
};

struct subscription {
    char *name;
    char account[ACCOUNT_MAX]; /* whose slots these are: made of credential and base URL */
    struct secret api_key;
    char face[FACE_MAX]; /* "sk-ant-...ab12 #1a2b3c4d": what may be seen of the key */
    char *api_key_env;   /* where the key was found; both NULL: in the config itself */
    char *api_key_file;
    enum auth_type auth_type;
    struct origin origin; /* base_url */
    char *ca_file;        /* NULL: the system's */
    uint32_t max_concurrent;
    uint32_t priority;
    uint32_t tier;
    char *limits; /* its ceilings, "5h:9000:0,7d:8000:9500" (limits.c); NULL: none */
    bool is_enabled;
};

/* What a node does if a living node bears its name: calls itself <name>~2, or waits for its end. */
enum taken_name { TAKEN_NAME_RENAME, TAKEN_NAME_WAIT };

struct host_names {
    char **items;
    size_t count;
};

#define CONFIG_DOTENV_PATH ".env"

struct config {
    char *source;      /* file name or "environment", for messages */
    bool is_from_file; /* source is a file */
    bool has_dotenv;   /* ./.env was read besides */
    bool minds_dotenv; /* or would have been, had it been there: then it is by a reload */
    char sources[512]; /* all that was read, files with their digest, for messages */

    struct subscription *subscriptions;
    size_t subscription_count;

    struct {
        struct ip host;
        uint16_t port; /* 0: a free one */
        uint32_t workers;
        uint64_t max_body_bytes;
        uint64_t memory_bytes; /* that the node may hold for its callers */
        bool expose_subscription;
        bool pass_limits;
        char *tls_cert; /* both or none */
        char *tls_key;
        uint32_t drain_seconds;
        struct networks trusted_networks;
        bool proxy_protocol;
        struct host_names names; /* besides those that are always ours (format/host.h) */
    } server;

    struct {
        struct redis_url url; /* redis_url_is_set(), else a private redis-server */
        char *prefix;
        char *pool;
    } redis;

    struct {
        char *id; /* NULL: <host name>-<port> */
        char *state_dir;
        enum taken_name taken_name;
    } node;

    struct {
        uint32_t cooldown_seconds;
        uint32_t burst_limit;
    } rate_limit;

    struct {
        enum strategy strategy;
        uint32_t session_duration_ms;
    } routing;

    struct {
        uint32_t attempts; /* at one subscription, for one request */
        uint32_t delay_ms, backoff;
        uint32_t total;   /* over all subscriptions */
        uint32_t percent; /* of requests that may be sent again */
        uint32_t hold_ms;
    } retry;

    struct {
        uint32_t max_length;  /* of the pool's line; 0: nobody waits */
        uint32_t max_wait_ms; /* the same */
        uint32_t ping_ms;     /* 0: never */
    } queue;

    struct {
        uint32_t requests; /* finished ones the pool remembers; 0: none */
    } history;

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

enum { CONFIG_ERRORS_LISTED = 20 };

/* What is wrong, and where: of the first error, and the texts of all. No member shows a secret, or
 * drives a terminal. */
struct config_error {
    char source[256];   /* "weir.json", ".env", "PORT (environment)", "PORT (.env:6)" */
    unsigned line;      /* of source, from 1; 0: not known */
    unsigned column;    /* the same */
    char path[256];     /* "subscriptions[1].max_concurrent"; "": the whole */
    char found[1024];   /* "found 0", "unknown field" */
    char expected[512]; /* "a whole number from 1 to 1000" */
    char text[2048];    /* all of that: "SOURCE:LINE:COLUMN: PATH: FOUND, expected EXPECTED" */
    unsigned count;     /* of errors */
    char all[8192];     /* their texts, a line each; behind so many: "and N more" */
};

/* Read `path`, or without one (NULL): WEIR_CONFIG, ./config.json,
 * $XDG_CONFIG_HOME/weir/config.json, else keys from ANTHROPIC_API_KEYS / ANTHROPIC_API_KEY and
 * ./.env. The environment overrides single fields (see docs/config.md). *config: one reference,
 * yours. */
MUST_USE bool config_load(const char *path, struct config **config, struct config_error *error);

/* The same sources as `running` once more, and no others: if one is away, that is an error. */
MUST_USE bool config_reload(const struct config *running, struct config **config,
                            struct config_error *error);

/* The same from text, for tests and fuzzers: no files, no environment. */
MUST_USE bool config_parse(struct slice json, const char *source, struct config **config,
                           struct config_error *error);

struct config *config_hold(struct config *c); /* one more reference, yours */
void config_release(struct config *c);        /* gives one back; NULL is fine */

/* server.host for somebody on this machine, who reaches a node that listens everywhere. */
const char *config_near_host(const struct config *c);

/* Loading says nothing itself, because how to log is only known afterwards. */
void config_log_warnings(const struct config *c);

const struct subscription *config_subscription(const struct config *c, struct slice name);
const struct subscription *config_account(const struct config *c, struct slice account);

/* Settings that differ and only take effect with a restart: their paths go into paths[size],
 * separated by ", ". False: there are none. */
bool config_needs_restart(const struct config *running, const struct config *wanted, char *paths,
                          size_t size);
