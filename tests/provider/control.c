#include "control.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_walk.h"
#include "peer.h"
#include "request.h"
#include "wire.h"

enum {
    BODY_BYTES_MAX = 16 * 1024 * 1024,
    FAULT_WORDS = 256,
    LOG_RECORDS = 1000,
    WAIT_MS = 5000,
    WAIT_MS_MAX = 600000,
    PARAMETER_BYTES_MAX = CREDENTIAL_NAME_MAX,
};

/* What a waiter may ask of: a number of the tallies, or one of these. */
enum { WAIT_ACTIVE = TALLY_COUNT, WAIT_CONNECTIONS, WAIT_COUNT };

struct control {
    struct provider *provider;
    LIST_HEAD(desk_list, desk) desks;
};

/* One control connection. */
struct desk {
    LIST_ENTRY(desk) link;
    struct control *control;
    struct wire wire;
    struct request request;
    struct buf body;
    struct event deadline;
    bool is_waiting;
    bool is_closing;            /* once its answer has left */
    char *credential;           /* waited for; NULL = all together */
    int64_t wanted[WAIT_COUNT]; /* SCRIPT_UNSET = does not matter */
};

struct route {
    const char *method;
    const char *path;
    void (*serve)(struct desk *desk, json_t *body);
};

static void reply(struct desk *desk, int status, struct slice body)
{
    buf_addf(&desk->wire.out,
             "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n%s\r\n",
             status, status < 300 ? "OK" : "Refused", body.len,
             desk->request.is_keep_alive ? "" : "connection: close\r\n");
    buf_add(&desk->wire.out, body.at, body.len);
    wire_flush(&desk->wire);
}

static void reply_buf(struct desk *desk, struct buf *body)
{
    buf_add_text(body, "\n");
    reply(desk, 200, buf_slice(body));
    buf_fini(body);
}

static void reply_fault(struct desk *desk, int status, const char *words)
{
    struct buf body = {0};
    buf_add_text(&body, "{\"error\":\"");
    json_escape(&body, slice_of(words));
    buf_add_text(&body, "\"}\n");
    reply(desk, status, buf_slice(&body));
    buf_fini(&body);
}

/* ---- query parameters ---- */

static bool read_parameter(const struct desk *desk, const char *name, char *into, size_t size)
{
    struct slice target = desk->request.target;
    const char *at = memchr(target.at, '?', target.len);
    const char *end = target.at + target.len;
    while (at != NULL && at < end) {
        at++;
        const char *past = memchr(at, '&', (size_t)(end - at));
        past = past == NULL ? end : past;
        const char *equals = memchr(at, '=', (size_t)(past - at));
        if (equals != NULL && slice_is((struct slice){at, (size_t)(equals - at)}, name)) {
            snprintf(into, size, "%.*s", (int)(past - equals - 1), equals + 1);
            return true;
        }
        at = past;
    }
    return false;
}

/* False if the parameter is there and no number from 0 to most. */
static bool read_count(const struct desk *desk, const char *name, int64_t most, int64_t *count)
{
    char text[32];
    char *end = NULL;
    if (!read_parameter(desk, name, text, sizeof(text)))
        return true;
    *count = strtoll(text, &end, 10);
    return end != text && *end == '\0' && *count >= 0 && *count <= most;
}

static char *read_credential(const struct desk *desk)
{
    char text[PARAMETER_BYTES_MAX];
    if (!read_parameter(desk, "credential", text, sizeof(text)) || strcmp(text, "*") == 0)
        return NULL;
    return slice_copy(slice_of(text));
}

/* ---- scripting ---- */

static const char *body_credential(json_t *body)
{
    const char *name = json_string_value(json_object_get(body, "credential"));
    return name == NULL ? "*" : name;
}

static bool is_good_script(json_t *object, char *fault)
{
    struct script *script = script_new(object, fault, FAULT_WORDS);
    bool is_good = script != NULL;
    script_unref(script);
    return is_good;
}

/* All of them or, with a fault in one, none. */
static void serve_faults(struct desk *desk, json_t *body)
{
    struct provider *provider = desk->control->provider;
    struct credential *credential =
        credentials_get(provider->credentials, slice_of(body_credential(body)));
    json_t *faults = json_object_get(body, "faults");
    json_t *object;
    size_t index;
    char fault[FAULT_WORDS] = "faults: expected a list of scripts";
    bool is_good = json_is_array(faults);
    json_array_foreach(faults, index, object) is_good = is_good && is_good_script(object, fault);
    if (is_good && json_array_size(faults) > CREDENTIAL_SCRIPTS_MAX - credential->script_count) {
        snprintf(fault, sizeof(fault), "faults: the queue holds %d", CREDENTIAL_SCRIPTS_MAX);
        is_good = false;
    }
    if (!is_good) {
        reply_fault(desk, 400, fault);
        return;
    }
    json_array_foreach(faults, index, object)
    {
        struct script *script = script_new(object, fault, sizeof(fault));
        credential_queue(credential, script);
        script_unref(script);
    }
    reply(desk, 200, slice_of("{\"ok\":true}\n"));
}

static void serve_limit(struct desk *desk, json_t *body)
{
    struct credentials *all = desk->control->provider->credentials;
    const char *name = body_credential(body);
    json_t *value = json_object_get(body, "limit");
    int64_t limit = json_is_null(value) ? SCRIPT_UNSET : json_integer_value(value);
    if (value == NULL || (!json_is_null(value) && (!json_is_integer(value) || limit < 0))) {
        reply_fault(desk, 400, "limit: expected a number, 0 for none, or null for the default");
        return;
    }
    struct credential *credential =
        strcmp(name, "*") == 0 ? NULL : credentials_get(all, slice_of(name));
    credentials_set_limit(all, credential, limit);
    reply(desk, 200, slice_of("{\"ok\":true}\n"));
}

static void serve_step(struct desk *desk, json_t *body)
{
    const char *name = body_credential(body);
    json_t *events = json_object_get(body, "events");
    struct buf text = {0};
    if (events != NULL && !json_is_integer(events)) {
        reply_fault(desk, 400, "events: expected a number, -1 for all");
        return;
    }
    size_t count = peer_step_all(desk->control->provider, strcmp(name, "*") == 0 ? NULL : name,
                                 events == NULL ? 1 : json_integer_value(events));
    buf_addf(&text, "{\"streams\":%zu}", count);
    reply_buf(desk, &text);
}

static void serve_reset(struct desk *desk, json_t *body)
{
    struct provider *provider = desk->control->provider;
    if (json_is_true(json_object_get(body, "connections")))
        peer_close_all(provider);
    credentials_reset(provider->credentials);
    provider->malformed = 0;
    if (provider->journal != NULL)
        journal_reset(provider->journal);
    reply(desk, 200, slice_of("{\"ok\":true}\n"));
}

/* ---- asking ---- */

static void serve_log(struct desk *desk, json_t *body)
{
    struct buf text = {0};
    int64_t since = 0, limit = LOG_RECORDS;
    (void)body;
    if (desk->control->provider->journal == NULL) {
        reply_fault(desk, 404, "started with --no-log");
        return;
    }
    if (!read_count(desk, "since", INT64_MAX, &since) ||
        !read_count(desk, "limit", JOURNAL_RECORDS_MAX, &limit)) {
        reply_fault(desk, 400, "since, limit: expected a number");
        return;
    }
    char *credential = read_credential(desk);
    buf_addf(&text, "{\"last_seq\":%" PRIu64 ",\"requests\":",
             journal_last_seq(desk->control->provider->journal));
    journal_print(desk->control->provider->journal, &text, (uint64_t)since, (size_t)limit,
                  credential);
    buf_add_text(&text, "}");
    reply_buf(desk, &text);
    free(credential);
}

static void print_counts(struct buf *out, uint64_t active, const uint64_t *tally)
{
    buf_addf(out, "\"active\":%" PRIu64, active);
    for (size_t i = 0; i < TALLY_COUNT; i++)
        buf_addf(out, ",\"%s\":%" PRIu64, TALLY_NAMES[i], tally[i]);
}

static void serve_stats(struct desk *desk, json_t *body)
{
    struct provider *provider = desk->control->provider;
    struct credential *credential = NULL;
    struct buf text = {0};
    uint64_t active = 0, tally[TALLY_COUNT] = {0};
    (void)body;
    buf_addf(&text,
             "{\"connections\":{\"open\":%" PRIu64 ",\"accepted\":%" PRIu64
             "},\"malformed\":%" PRIu64 ",\n\"credentials\":{",
             provider->connections_open, provider->connections_accepted, provider->malformed);
    while ((credential = credentials_next(provider->credentials, credential)) != NULL) {
        if (credential->tally[TALLY_REQUESTS] == 0 && credential->active == 0)
            continue;
        buf_add_text(&text, "\"");
        json_escape(&text, slice_of(credential->name));
        buf_addf(&text, "\":{\"high_water\":%zu,\"limit\":%" PRId64 ",\"scripts\":%zu,",
                 credential->high_water, credentials_limit(provider->credentials, credential),
                 credential->script_count);
        print_counts(&text, credential->active, credential->tally);
        buf_add_text(&text, "},\n");
        active += credential->active;
        for (size_t i = 0; i < TALLY_COUNT; i++)
            tally[i] += credential->tally[i];
    }
    if (active + tally[TALLY_REQUESTS] > 0)
        text.len -= 2;
    buf_add_text(&text, "},\n\"total\":{");
    print_counts(&text, active, tally);
    buf_add_text(&text, "}}");
    reply_buf(desk, &text);
}

/* ---- waiting ---- */

static void close_desk(struct desk *desk)
{
    LIST_REMOVE(desk, link);
    event_del(&desk->deadline);
    wire_close(&desk->wire, false);
    request_fini(&desk->request);
    buf_fini(&desk->body);
    free(desk->credential);
    grave_bury(desk->control->provider->grave, desk);
}

/* The request has its answer. */
static void end_request(struct desk *desk)
{
    buf_fini(&desk->body);
    desk->is_closing = !desk->request.is_keep_alive;
    if (desk->is_closing && desk->wire.out.len == 0)
        close_desk(desk);
    else
        request_reset(&desk->request);
}

static void count_now(const struct desk *desk, int64_t *counts)
{
    struct provider *provider = desk->control->provider;
    struct credential *credential = NULL;
    memset(counts, 0, WAIT_COUNT * sizeof(counts[0]));
    while ((credential = credentials_next(provider->credentials, credential)) != NULL) {
        if (desk->credential != NULL && strcmp(desk->credential, credential->name) != 0)
            continue;
        counts[WAIT_ACTIVE] += (int64_t)credential->active;
        for (size_t i = 0; i < TALLY_COUNT; i++)
            counts[i] += (int64_t)credential->tally[i];
    }
    counts[WAIT_CONNECTIONS] = (int64_t)provider->connections_open;
}

/* Active and connections must be equal, counts that only grow must be reached. */
static bool is_met(const struct desk *desk, const int64_t *counts)
{
    for (size_t i = 0; i < WAIT_COUNT; i++) {
        bool is_level = i == WAIT_ACTIVE || i == WAIT_CONNECTIONS;
        if (desk->wanted[i] == SCRIPT_UNSET)
            continue;
        if (is_level ? counts[i] != desk->wanted[i] : counts[i] < desk->wanted[i])
            return false;
    }
    return true;
}

static void end_wait(struct desk *desk, int status, const int64_t *counts)
{
    struct buf text = {0};
    buf_add_text(&text, "{");
    uint64_t tally[TALLY_COUNT];
    for (size_t i = 0; i < TALLY_COUNT; i++)
        tally[i] = (uint64_t)counts[i];
    print_counts(&text, (uint64_t)counts[WAIT_ACTIVE], tally);
    buf_addf(&text, ",\"connections\":%" PRId64 "}\n", counts[WAIT_CONNECTIONS]);
    event_del(&desk->deadline);
    free(desk->credential);
    desk->credential = NULL;
    desk->is_waiting = false;
    reply(desk, status, buf_slice(&text));
    buf_fini(&text);
    end_request(desk);
}

static void on_change(void *arg)
{
    struct control *control = arg;
    struct desk *desk = LIST_FIRST(&control->desks);
    int64_t counts[WAIT_COUNT];
    while (desk != NULL) {
        struct desk *next = LIST_NEXT(desk, link);
        if (desk->is_waiting) {
            count_now(desk, counts);
            if (is_met(desk, counts))
                end_wait(desk, 200, counts);
        }
        desk = next;
    }
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct desk *desk = arg;
    int64_t counts[WAIT_COUNT];
    (void)fd;
    (void)what;
    count_now(desk, counts);
    end_wait(desk, 408, counts);
}

static void serve_wait(struct desk *desk, json_t *body)
{
    int64_t timeout_ms = WAIT_MS, counts[WAIT_COUNT];
    bool is_good = read_count(desk, "timeout_ms", WAIT_MS_MAX, &timeout_ms);
    (void)body;
    for (size_t i = 0; i < WAIT_COUNT; i++) {
        const char *name = i == WAIT_ACTIVE        ? "active"
                           : i == WAIT_CONNECTIONS ? "connections"
                                                   : TALLY_NAMES[i];
        desk->wanted[i] = SCRIPT_UNSET;
        is_good = is_good && read_count(desk, name, INT64_MAX, &desk->wanted[i]);
    }
    if (!is_good) {
        reply_fault(desk, 400, "wait: counts and timeout_ms are numbers");
        return;
    }
    desk->credential = read_credential(desk);
    count_now(desk, counts);
    if (is_met(desk, counts)) {
        end_wait(desk, 200, counts);
        return;
    }
    struct timeval wait = clock_wait(timeout_ms);
    desk->is_waiting = true;
    event_add(&desk->deadline, &wait);
}

/* ---- connections ---- */

static const struct route ROUTES[] = {
    {.method = "POST", .path = "/faults", .serve = serve_faults},
    {.method = "POST", .path = "/limit", .serve = serve_limit},
    {.method = "POST", .path = "/step", .serve = serve_step},
    {.method = "POST", .path = "/reset", .serve = serve_reset},
    {.method = "GET", .path = "/log", .serve = serve_log},
    {.method = "GET", .path = "/stats", .serve = serve_stats},
    {.method = "GET", .path = "/wait", .serve = serve_wait},
};

static void dispatch(struct desk *desk)
{
    struct slice path = request_path(&desk->request);
    for (size_t i = 0; i < sizeof(ROUTES) / sizeof(ROUTES[0]); i++) {
        const struct route *route = &ROUTES[i];
        if (!slice_is(path, route->path) || !slice_is(desk->request.method, route->method))
            continue;
        json_error_t error;
        json_t *body = desk->body.len == 0 ? json_object()
                                           : json_loadb(buf_slice(&desk->body).at, desk->body.len,
                                                        JSON_REJECT_DUPLICATES, &error);
        if (json_is_object(body))
            route->serve(desk, body);
        else
            reply_fault(desk, 400, body == NULL ? error.text : "expected a JSON object");
        json_decref(body);
        return;
    }
    reply_fault(desk, 404, "POST /faults /limit /step /reset, GET /log /stats /wait");
}

static void on_bytes(void *arg, struct slice bytes)
{
    struct desk *desk = arg;
    enum request_news news = REQUEST_HEAD;
    if (desk->is_waiting) {
        close_desk(desk); /* a request behind one that waits */
        return;
    }
    while (desk->wire.fd >= 0 && !desk->is_closing && !desk->is_waiting && news != REQUEST_MORE) {
        size_t used = 0;
        news = request_feed(&desk->request, bytes, &used);
        bytes = (struct slice){bytes.at + used, bytes.len - used};
        if (news == REQUEST_BODY)
            buf_add(&desk->body, desk->request.piece.at, desk->request.piece.len);
        if (news == REQUEST_BAD || desk->body.len > BODY_BYTES_MAX) {
            close_desk(desk);
            return;
        }
        if (news == REQUEST_DONE) {
            dispatch(desk);
            if (desk->wire.fd >= 0 && !desk->is_waiting && desk->request.stage == REQUEST_AT_END)
                end_request(desk);
        }
    }
}

static void on_room(void *arg)
{
    struct desk *desk = arg;
    if (desk->is_closing && desk->wire.out.len == 0)
        close_desk(desk);
}

static void on_gone(void *arg)
{
    close_desk(arg);
}

static const struct wire_user USER = {on_bytes, on_room, on_gone};

void control_open(struct control *control, int fd)
{
    struct desk *desk = mem_zero(sizeof(*desk));
    desk->control = control;
    desk->wire.user = &USER;
    desk->wire.arg = desk;
    event_assign(&desk->deadline, control->provider->base, -1, 0, on_deadline, desk);
    LIST_INSERT_HEAD(&control->desks, desk, link);
    wire_open(&desk->wire, control->provider->base, fd, NULL);
}

struct control *control_new(struct provider *provider)
{
    struct control *control = mem_zero(sizeof(*control));
    control->provider = provider;
    LIST_INIT(&control->desks);
    provider->on_change = on_change;
    provider->on_change_arg = control;
    return control;
}

void control_free(struct control *control)
{
    struct desk *desk;
    control->provider->on_change = NULL;
    while ((desk = LIST_FIRST(&control->desks)) != NULL)
        close_desk(desk);
    free(control);
}
