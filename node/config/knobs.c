/* In the order of docs/config.md: sections stand together. To add a setting: a row here and a field
 * in config.h; a new kind of value is three functions in values.c. */
#include "config/knobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/config_priv.h"
#include "config/describe.h"

#define FIELD(name) offsetof(struct config, name)
#define SUBSCRIPTION_FIELD(name) offsetof(struct subscription, name)

enum {
    DAY_MS = 24 * 60 * 60 * 1000,
    DAY_SECONDS = 24 * 60 * 60,
    MIB = 1024 * 1024,
    GIB = 1024 * MIB
};
#define TIB (1024 * (uint64_t)GIB)

const struct config_knob config_knobs[] = {
    {.path = "subscriptions",
     .kind = &config_subscriptions,
     .otherwise = "one for each key in ANTHROPIC_API_KEYS",
     .help = "What the requests are spread over."},
    {.path = "subscriptions[].name",
     .kind = &config_name,
     .offset = SUBSCRIPTION_FIELD(name),
     .flags = KNOB_SHARED,
     .min = 1,
     .max = NAME_BYTES_MAX,
     .otherwise = "required",
     .help = "Unique; appears in logs, metrics and Redis."},
    {.path = "subscriptions[].api_key",
     .kind = &config_secret,
     .offset = SUBSCRIPTION_FIELD(api_key),
     .otherwise = "this or one of the next two",
     .help = "The provider's API key or OAuth token."},
    {.path = "subscriptions[].api_key_env",
     .kind = &config_variable_name,
     .offset = SUBSCRIPTION_FIELD(api_key_env),
     .min = 1,
     .max = 128,
     .otherwise = "none",
     .help = "The variable that holds the key."},
    {.path = "subscriptions[].api_key_file",
     .kind = &config_file_name,
     .offset = SUBSCRIPTION_FIELD(api_key_file),
     .min = 1,
     .max = CONFIG_KEY_MAX,
     .otherwise = "none",
     .help = "The file that holds the key, and nothing else."},
    {.path = "subscriptions[].auth_type",
     .kind = &config_choice,
     .offset = SUBSCRIPTION_FIELD(auth_type),
     .words = "api_key auth_token auto",
     .initial = "\"auto\"",
     .help = "Sent as x-api-key or as a bearer token; auto: sk-ant-..., but not sk-ant-oat..., is "
             "an x-api-key."},
    {.path = "subscriptions[].type",
     .kind = &config_word,
     .flags = KNOB_SHARED,
     .words = "anthropic",
     .later = "openai",
     .initial = "\"anthropic\"",
     .help = "Which API it speaks."},
    {.path = "subscriptions[].base_url",
     .kind = &config_url,
     .offset = SUBSCRIPTION_FIELD(origin),
     .flags = KNOB_SHARED,
     .min = 1,
     .max = CONFIG_URL_MAX,
     .initial = "\"https://api.anthropic.com\"",
     .help = "Where it is; without /v1."},
    {.path = "subscriptions[].max_concurrent",
     .kind = &config_number,
     .offset = SUBSCRIPTION_FIELD(max_concurrent),
     .flags = KNOB_SHARED,
     .min = 1,
     .max = MAX_CONCURRENT_MAX,
     .initial = "5",
     .help = "Slots: requests that may run at once, on all nodes together."},
    {.path = "subscriptions[].priority",
     .kind = &config_number,
     .offset = SUBSCRIPTION_FIELD(priority),
     .flags = KNOB_SHARED,
     .min = 1,
     .max = 1000000,
     .initial = "1",
     .help = "Of several with as many free slots, the lowest is taken."},
    {.path = "subscriptions[].enabled",
     .kind = &config_flag,
     .offset = SUBSCRIPTION_FIELD(is_enabled),
     .flags = KNOB_SHARED,
     .initial = "true",
     .help = "false: gets no new requests."},
    {.path = "subscriptions[].ca_file",
     .kind = &config_file_name,
     .offset = SUBSCRIPTION_FIELD(ca_file),
     .min = 1,
     .max = CONFIG_KEY_MAX,
     .otherwise = "the system's",
     .help = "Certificates (PEM) to trust instead of the system's."},

    {.path = "server.host",
     .kind = &config_host,
     .offset = FIELD(server.host),
     .flags = KNOB_RESTART,
     .initial = "\"127.0.0.1\"",
     .variable = "WEIR_HOST",
     .help = "Address to listen on."},
    {.path = "server.port",
     .kind = &config_port,
     .offset = FIELD(server.port),
     .flags = KNOB_RESTART,
     .max = UINT16_MAX,
     .initial = "8080",
     .variable = "PORT",
     .help = "Port to listen on; 0 takes a free one."},
    {.path = "server.workers",
     .kind = &config_number,
     .offset = FIELD(server.workers),
     .flags = KNOB_RESTART,
     .min = 1,
     .max = 64,
     .otherwise = "one a core",
     .help = "Threads that serve requests."},
    {.path = "server.trusted_networks",
     .kind = &config_networks,
     .offset = FIELD(server.trusted_networks),
     .initial = "[\"127.0.0.0/8\", \"::1/128\", \"10.0.0.0/8\", \"172.16.0.0/12\", "
                "\"192.168.0.0/16\", \"fc00::/7\"]",
     .help = "Callers from here are local, unless a tunnel's headers say otherwise."},
    {.path = "server.names",
     .kind = &config_host_names,
     .offset = FIELD(server.names),
     .initial = "[]",
     .variable = "WEIR_NAMES",
     .help = "What local callers may call the node, and pages be from, besides addresses, names "
             "without a dot, *.local, *.lan, *.internal, *.localhost, *.home.arpa."},
    {.path = "server.max_body_bytes",
     .kind = &config_bytes,
     .offset = FIELD(server.max_body_bytes),
     .min = 1024,
     .max = GIB,
     .initial = "33554432",
     .help = "Larger requests get a 413."},
    {.path = "server.memory_bytes",
     .kind = &config_bytes,
     .offset = FIELD(server.memory_bytes),
     .min = 8ULL * MIB,
     .max = TIB,
     .otherwise = "256 MiB, or 4 max_body_bytes",
     .help = "What may be held for callers: uploads wait beyond. At least 2 max_body_bytes."},
    {.path = "server.proxy_protocol",
     .kind = &config_flag,
     .offset = FIELD(server.proxy_protocol),
     .initial = "false",
     .variable = "WEIR_PROXY_PROTOCOL",
     .help = "Connections begin with a PROXY protocol header (version 1 or 2), by which a TCP "
             "balancer in trusted_networks says who calls; others are closed, but those of the "
             "node's own machine."},
    {.path = "server.expose_subscription",
     .kind = &config_flag,
     .offset = FIELD(server.expose_subscription),
     .initial = "false",
     .help = "Answers carry x-weir-subscription and x-weir-attempts."},
    {.path = "server.pass_limits",
     .kind = &config_flag,
     .offset = FIELD(server.pass_limits),
     .initial = "false",
     .help = "Keep the provider's rate limit headers in answers."},
    {.path = "server.tls.cert",
     .kind = &config_file_name,
     .offset = FIELD(server.tls_cert),
     .flags = KNOB_RESTART_ON_OFF,
     .min = 1,
     .max = CONFIG_KEY_MAX,
     .otherwise = "none: plain HTTP",
     .help = "Certificate chain (PEM) to serve HTTPS with."},
    {.path = "server.tls.key",
     .kind = &config_file_name,
     .offset = FIELD(server.tls_key),
     .flags = KNOB_RESTART_ON_OFF,
     .min = 1,
     .max = CONFIG_KEY_MAX,
     .otherwise = "none",
     .help = "Its private key (PEM)."},
    {.path = "server.drain_seconds",
     .kind = &config_number,
     .offset = FIELD(server.drain_seconds),
     .max = DAY_SECONDS,
     .initial = "600",
     .help = "How long running requests may go on after SIGTERM."},

    {.path = "redis.url",
     .kind = &config_redis_url,
     .offset = FIELD(redis.url),
     .flags = KNOB_RESTART,
     .min = 1,
     .max = CONFIG_URL_MAX,
     .otherwise = "a private redis-server",
     .variable = "WEIR_REDIS_URL",
     .help = "The Redis that all nodes of a pool share."},
    {.path = "redis.prefix",
     .kind = &config_name,
     .offset = FIELD(redis.prefix),
     .flags = KNOB_RESTART,
     .min = 1,
     .max = NAME_BYTES_MAX,
     .initial = "\"weir\"",
     .help = "What all keys begin with."},
    {.path = "redis.pool",
     .kind = &config_name,
     .offset = FIELD(redis.pool),
     .flags = KNOB_RESTART,
     .min = 1,
     .max = NAME_BYTES_MAX,
     .initial = "\"main\"",
     .help = "Nodes with the same pool share their slots."},

    {.path = "node.id",
     .kind = &config_name,
     .offset = FIELD(node.id),
     .flags = KNOB_RESTART,
     .min = 1,
     .max = NAME_BYTES_MAX,
     .otherwise = "host name and port",
     .variable = "WEIR_NODE_ID",
     .help = "Should differ between nodes that run at the same time."},
    {.path = "node.taken_name",
     .kind = &config_choice,
     .offset = FIELD(node.taken_name),
     .flags = KNOB_RESTART,
     .words = "rename wait",
     .initial = "\"rename\"",
     .help = "If a living node has this id: add ~2 to ours, or wait until it has gone."},
    {.path = "node.state_dir",
     .kind = &config_directory,
     .offset = FIELD(node.state_dir),
     .flags = KNOB_RESTART,
     .min = 1,
     .max = CONFIG_KEY_MAX,
     .otherwise = "~/.local/state/weir",
     .variable = "WEIR_STATE_DIR",
     .help = "Where a private redis-server keeps its data."},

    {.path = "rate_limit.cooldown_seconds",
     .kind = &config_number,
     .offset = FIELD(rate_limit.cooldown_seconds),
     .flags = KNOB_SHARED,
     .min = 1,
     .max = DAY_SECONDS,
     .initial = "60",
     .help = "How long a limit that names no time cools a subscription."},
    {.path = "rate_limit.burst_limit",
     .kind = &config_number,
     .offset = FIELD(rate_limit.burst_limit),
     .flags = KNOB_SHARED,
     .min = 1,
     .max = 1000000,
     .initial = "10",
     .help = "Requests one subscription may get within any second."},

    {.path = "routing.strategy",
     .kind = &config_word,
     .flags = KNOB_SHARED,
     .words = "headroom",
     .later = "session least-requests round-robin weighted weighted-round-robin priority "
              "drain-soonest",
     .initial = "\"headroom\"",
     .variable = "LB_STRATEGY",
     .help = "Which subscription is picked; headroom: the one with the most free slots."},

    {.path = "retry.attempts",
     .kind = &config_number,
     .offset = FIELD(retry.attempts),
     .min = 1,
     .max = 10,
     .initial = "3",
     .help =
         "Tries at one subscription whose provider is overloaded, before the next one is asked."},
    {.path = "retry.delay_ms",
     .kind = &config_number,
     .offset = FIELD(retry.delay_ms),
     .min = 1,
     .max = RETRY_DELAY_MAX_MS,
     .initial = "1000",
     .help = "Before the second of them; up to half of it less, by chance."},
    {.path = "retry.backoff",
     .kind = &config_number,
     .offset = FIELD(retry.backoff),
     .min = 1,
     .max = 10,
     .initial = "2",
     .help = "By how much that grows for each further one."},
    {.path = "retry.total",
     .kind = &config_number,
     .offset = FIELD(retry.total),
     .min = 1,
     .max = SUBSCRIPTIONS_MAX,
     .initial = "8",
     .help = "Attempts for one request, over all subscriptions."},
    {.path = "retry.percent",
     .kind = &config_number,
     .offset = FIELD(retry.percent),
     .min = 0,
     .max = 100,
     .initial = "15",
     .help = "How many of a hundred requests a node sends once more, after failures that close "
             "nothing; and five at once."},
    {.path = "retry.hold_ms",
     .kind = &config_number,
     .offset = FIELD(retry.hold_ms),
     .min = 0,
     .max = DAY_MS,
     .initial = "5000",
     .help = "How long an answer that has said nothing yet is held back, because the request can "
             "still go elsewhere."},

    {.path = "queue.ping_ms",
     .kind = &config_number,
     .offset = FIELD(queue.ping_ms),
     .min = 0,
     .max = DAY_MS,
     .initial = "10000",
     .help = "Silence of the provider within a stream after which the node itself sends a ping; 0: "
             "never."},

    {.path = "timeouts.connect_ms",
     .kind = &config_number,
     .offset = FIELD(timeouts.connect_ms),
     .min = 1,
     .max = DAY_MS,
     .initial = "10000",
     .help = "To connect to the provider, with TLS."},
    {.path = "timeouts.first_byte_ms",
     .kind = &config_number,
     .offset = FIELD(timeouts.first_byte_ms),
     .min = 1,
     .max = DAY_MS,
     .initial = "600000",
     .help = "From the request to the head of the provider's answer."},
    {.path = "timeouts.idle_ms",
     .kind = &config_number,
     .offset = FIELD(timeouts.idle_ms),
     .min = 1,
     .max = DAY_MS,
     .initial = "300000",
     .help = "Silence of the provider within an answer."},
    {.path = "timeouts.client_ms",
     .kind = &config_number,
     .offset = FIELD(timeouts.client_ms),
     .min = 1,
     .max = DAY_MS,
     .initial = "60000",
     .help = "Silence of the client: within a request, or not taking its answer."},

    {.path = "auth",
     .kind = &config_auth,
     .offset = FIELD(is_auth_open),
     .words = "open",
     .later = "keys",
     .otherwise = "local callers only",
     .variable = "WEIR_AUTH",
     .help = "open: whoever can reach the node may use it."},
    {.path = "admin.token",
     .kind = &config_secret,
     .offset = FIELD(admin_token),
     .otherwise = "none: this machine only",
     .variable = "WEIR_ADMIN_TOKEN",
     .help =
         "Whoever shows it, in the header x-admin-token or as a bearer token, may see the status "
         "and reload."},

    {.path = "logging.level",
     .kind = &config_choice,
     .offset = FIELD(log_level),
     .words = "error warn info debug",
     .also = "warning=warn",
     .initial = "\"info\"",
     .variable = "LOG_LEVEL",
     .help = "What is logged: this and what is more important. `warning` is taken as warn."},
    {.path = "logging.format",
     .kind = &config_choice,
     .offset = FIELD(log_format),
     .flags = KNOB_RESTART,
     .words = "text json auto",
     .initial = "\"auto\"",
     .help = "auto: text on a terminal, else JSON."},
};

/* Of the design, and not built yet: whoever uses one should hear that, not "unknown". */
const char *const config_later_paths[] = {
    "subscriptions[].endpoints",
    "subscriptions[].tier",
    "subscriptions[].models",
    "subscriptions[].big_model",
    "subscriptions[].small_model",
    "subscriptions[].model_map",
    "subscriptions[].quota",
    "redis.on_outage",
    "routing.affinity",
    "routing.session_duration_ms",
    "queue.max_length",
    "queue.max_wait_ms",
    "queue.hold_s",
    "clients",
    "external",
    "access",
    "admin.listen",
    "tracker",
    "history",
};

const size_t config_knob_count = sizeof(config_knobs) / sizeof(config_knobs[0]);
const size_t config_later_path_count = sizeof(config_later_paths) / sizeof(config_later_paths[0]);

static const char of_subscription[] = "subscriptions[].";

bool config_knob_is_of_subscription(const struct config_knob *knob)
{
    return strncmp(knob->path, of_subscription, sizeof(of_subscription) - 1) == 0;
}

const struct config_knob *config_knob_find(const char *path)
{
    for (size_t i = 0; i < config_knob_count; i++)
        if (strcmp(config_knobs[i].path, path) == 0)
            return &config_knobs[i];
    return NULL;
}

static void put_words(const char *words, char *out, size_t size)
{
    struct slice rest = slice_of(words), word;
    size_t used = 0;
    const char *before = strchr(words, ' ') != NULL ? "one of " : "";
    while (rest.len > 0 && used < size) {
        rest = slice_cut(rest, ' ', &word);
        int len = snprintf(out + used, size - used, "%s\"%.*s\"", before, SLICE_ARG(word));
        used += len > 0 ? (size_t)len : 0;
        before = ", ";
    }
}

void config_expected(const struct config_knob *knob, char *out, size_t size)
{
    if (knob->kind->expected != NULL)
        snprintf(out, size, "%s", knob->kind->expected);
    else if (knob->kind->is_number)
        snprintf(out, size, "a whole number from %" PRIu64 " to %" PRIu64, knob->min, knob->max);
    else if (knob->words != NULL)
        put_words(knob->words, out, size);
    else
        snprintf(out, size, "a text of %" PRIu64 " to %" PRIu64 " bytes", knob->min, knob->max);
}

bool config_describe_knob(size_t index, struct config_knob_words *words)
{
    if (index >= config_knob_count)
        return false;
    const struct config_knob *knob = &config_knobs[index];
    *words = (struct config_knob_words){
        .path = knob->path,
        .initial = knob->initial,
        .otherwise = knob->otherwise,
        .variable = knob->variable,
        .help = knob->help,
        .needs_restart = (knob->flags & KNOB_RESTART) != 0,
        .needs_restart_on_off = (knob->flags & KNOB_RESTART_ON_OFF) != 0,
        .is_shared = (knob->flags & KNOB_SHARED) != 0,
    };
    config_expected(knob, words->expected, sizeof(words->expected));
    return true;
}
