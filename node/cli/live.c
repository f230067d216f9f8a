/* Each key is shown to its provider as a node would show it: the dialect puts the credential on,
 * the certificates trusted are the subscription's, no proxy is asked. What the provider says goes
 * to a terminal, so it is cut, and nothing in it drives the terminal or repeats the key. */
#include "cli/live.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "crypto/tls.h"
#include "dialect/dialect.h"

enum { BODY_MAX = 16 * 1024, TURN_MS = 1000 };

struct probe {
    const struct subscription *subscription;
    CURL *curl;
    struct curl_slist *headers;
    struct buf body; /* what of it fits */
    CURLcode code;
    long status;
    char why[CURL_ERROR_SIZE];
};

/* ---- asking ---- */

static size_t on_body(char *at, size_t size, size_t count, void *arg)
{
    struct buf *body = arg;
    struct slice piece = {at, size * count};
    size_t room = BODY_MAX - buf_len(body);
    if (piece.len > room)
        piece.len = room;
    return buf_append(body, piece) ? size * count : 0;
}

static struct curl_slist *add_header(struct curl_slist *list, struct slice name, struct slice value)
{
    char line[256];
    snprintf(line, sizeof(line), "%.*s: %.*s", SLICE_ARG(name), SLICE_ARG(value));
    return curl_slist_append(list, line);
}

static struct curl_slist *headers_of(const struct subscription *s)
{
    const struct dialect *dialect = dialect_default();
    struct slice secret = secret_reveal(&s->api_key), line;
    struct http1_header item = dialect->credential_item(secret);
    struct curl_slist *list =
        add_header(NULL, dialect->probe_header.name, dialect->probe_header.value);
    struct buf credential;
    if (item.name.len > 0)
        list = add_header(list, item.name, item.value);
    buf_init(&credential, secret.len + CREDENTIAL_HEAD_BYTES);
    dialect->put_credential(&credential, secret, s->auth_type == AUTH_TOKEN);
    (void)slice_cut(buf_slice(&credential), '\r', &line);
    char *text = mem_string(line);
    list = curl_slist_append(list, text);
    explicit_bzero(text, line.len);
    explicit_bzero(credential.at, credential.cap);
    buf_fini(&credential);
    free(text);
    return list;
}

static void set_options(struct probe *p, const struct config *c)
{
    const struct subscription *s = p->subscription;
    const char *authorities =
        s->ca_file != NULL && s->ca_file[0] != '\0' ? s->ca_file : tls_system_ca_file();
    uint32_t connect_ms =
        c->timeouts.connect_ms < LIVE_DEADLINE_MS ? c->timeouts.connect_ms : LIVE_DEADLINE_MS;
    char url[4096];
    snprintf(url, sizeof(url), "%s://%s%s%.*s", s->origin.is_tls ? "https" : "http",
             s->origin.authority, s->origin.path_prefix, SLICE_ARG(dialect_default()->probe_path));
    curl_easy_setopt(p->curl, CURLOPT_URL, url);
    curl_easy_setopt(p->curl, CURLOPT_PROXY, ""); /* a node asks none */
    curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(p->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(p->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(p->curl, CURLOPT_TIMEOUT_MS, (long)LIVE_DEADLINE_MS);
    curl_easy_setopt(p->curl, CURLOPT_USERAGENT, "weir/" WEIR_VERSION);
    curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, p->headers);
    curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, &p->body);
    curl_easy_setopt(p->curl, CURLOPT_ERRORBUFFER, p->why);
    curl_easy_setopt(p->curl, CURLOPT_PRIVATE, p);
    curl_easy_setopt(p->curl, CURLOPT_CAPATH, NULL);
    if (authorities != NULL)
        curl_easy_setopt(p->curl, CURLOPT_CAINFO, authorities);
}

static void probe_begin(struct probe *p, const struct config *c, const struct subscription *s,
                        CURLM *all)
{
    *p = (struct probe){.subscription = s, .code = CURLE_FAILED_INIT};
    buf_init(&p->body, BODY_MAX);
    p->curl = curl_easy_init();
    if (p->curl == NULL)
        return;
    p->headers = headers_of(s);
    set_options(p, c);
    if (curl_multi_add_handle(all, p->curl) == CURLM_OK)
        p->code = CURLE_OPERATION_TIMEDOUT; /* until it ends */
}

static void take_ended(CURLM *all)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(all, &left)) != NULL;) {
        struct probe *p;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
        p->code = m->data.result;
        curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &p->status);
    }
}

/* Each has its own deadline, so it ends. */
static void run(CURLM *all)
{
    int running = 1;
    while (running > 0 && curl_multi_perform(all, &running) == CURLM_OK)
        if (running > 0 && curl_multi_poll(all, NULL, 0, TURN_MS, NULL) != CURLM_OK)
            break;
    take_ended(all);
}

static void probe_end(struct probe *p, CURLM *all)
{
    if (p->curl != NULL) {
        curl_multi_remove_handle(all, p->curl);
        curl_easy_cleanup(p->curl);
    }
    for (struct curl_slist *h = p->headers; h != NULL; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(p->headers);
    buf_fini(&p->body);
}

/* ---- what was said ---- */

/* What drives a terminal: also the characters from U+0080 to U+009F, of which some terminals take
 * one for the beginning of a sequence. */
static void blank_controls(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c != '\0'; c++) {
        bool is_high = c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f;
        if (is_high)
            *c++ = ' ';
        if (is_high || *c < ' ' || *c == 0x7f)
            *c = ' ';
    }
}

static void put_harmless(struct slice said, struct slice secret, char out[LIVE_MESSAGE_MAX + 1])
{
    char *text = mem_string(said);
    char *key = mem_string(secret);
    for (char *at = text; secret.len > 0 && (at = strstr(at, key)) != NULL; at += secret.len)
        memset(at, '*', secret.len);
    utf8_repair(text, strlen(text));
    struct slice cut = utf8_cut(slice_of(text), LIVE_MESSAGE_MAX);
    snprintf(out, LIVE_MESSAGE_MAX + 1, "%.*s", SLICE_ARG(cut));
    blank_controls(out);
    explicit_bzero(key, secret.len);
    free(key);
    free(text);
}

/* {"error": {"type", "message"}} as Anthropic has it, or whatever else the body begins with. */
static void put_said(const struct probe *p, char type[LIVE_MESSAGE_MAX + 1],
                     char message[LIVE_MESSAGE_MAX + 1])
{
    struct slice secret = secret_reveal(&p->subscription->api_key), body = buf_slice(&p->body);
    json_t *json = json_loadb(body.len > 0 ? body.at : "", body.len, 0, NULL);
    const json_t *error = json_object_get(json, "error");
    const char *words = json_string_value(json_object_get(error, "message"));
    const char *kind = json_string_value(json_object_get(error, "type"));
    put_harmless(kind != NULL ? slice_of(kind) : SLICE_NONE, secret, type);
    put_harmless(words != NULL ? slice_of(words) : body, secret, message);
    json_decref(json);
}

static bool is_refusal(long status)
{
    return status >= 400 && status < 500 && status != 404 && status != 405 && status != 408 &&
           status != 429;
}

static bool is_valid(const struct probe *p)
{
    return p->code == CURLE_OK && p->status >= 200 && p->status < 300;
}

static void add_answer(struct cli_table *table, const struct probe *p)
{
    char type[LIVE_MESSAGE_MAX + 1], message[LIVE_MESSAGE_MAX + 1];
    if (is_valid(p)) {
        cli_table_add(table, CLI_GREEN, "valid");
        return;
    }
    if (p->code != CURLE_OK) {
        cli_table_add(table, CLI_RED, "unreachable: %s",
                      p->why[0] != '\0' ? p->why : curl_easy_strerror(p->code));
        return;
    }
    put_said(p, type, message);
    bool is_refused = is_refusal(p->status);
    cli_table_add(table, is_refused ? CLI_RED : CLI_YELLOW, "%s: %ld%s%s%s%s",
                  is_refused ? "refused" : "not told", p->status, type[0] != '\0' ? " " : "", type,
                  message[0] != '\0' ? ": " : "", message);
}

static size_t print_answers(const struct probe *probes, size_t count)
{
    struct cli_table table;
    size_t valid = 0;
    cli_table_init(&table, "SUBSCRIPTION|KEY|ANSWER");
    for (size_t i = 0; i < count; i++) {
        cli_table_add(&table, CLI_BOLD, "%s", probes[i].subscription->name);
        cli_table_add(&table, CLI_PLAIN, "%s", probes[i].subscription->face);
        add_answer(&table, &probes[i]);
        valid += is_valid(&probes[i]);
    }
    cli_table_print(&table);
    printf("\n%zu of %zu key%s valid\n", valid, count, count == 1 ? " is" : "s are");
    fflush(stdout); /* whoever waits for a name's last look-up has the answer already */
    return valid;
}

int cli_check_live(const struct config *c)
{
    CURLM *all = curl_multi_init();
    if (all == NULL)
        return cli_complain(EXIT_FAILED, "libcurl could not start");
    struct probe *probes = mem_new(c->subscription_count * sizeof(*probes));
    for (size_t i = 0; i < c->subscription_count; i++)
        probe_begin(&probes[i], c, &c->subscriptions[i], all);
    run(all);
    size_t valid = print_answers(probes, c->subscription_count);
    for (size_t i = 0; i < c->subscription_count; i++)
        probe_end(&probes[i], all);
    free(probes);
    curl_multi_cleanup(all);
    return valid == c->subscription_count ? EXIT_FINE : EXIT_FAILED;
}
