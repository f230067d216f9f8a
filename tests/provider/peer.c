#include "peer.h"

#include <openssl/evp.h>
#include <string.h>

#include "answer.h"
#include "endpoint.h"
#include "request.h"
#include "wire.h"

enum {
    BODY_KEPT_MAX = 64 * 1024 * 1024,
    PENDING_BYTES_MAX = 256 * 1024,
    FILLS_A_TURN = 8,
    FAULT_WORDS = 256,
};

struct peer {
    LIST_ENTRY(peer) link;
    struct provider *provider;
    struct wire wire;
    struct event timer;
    struct request request;
    struct buf pending; /* received behind the request being served */
    uint64_t id;

    struct credential *credential; /* NULL between requests */
    bool is_counted;               /* running is in the credential's list */
    struct running running;
    struct script *script; /* until the answer takes it */
    struct record *record; /* NULL without a journal */
    EVP_MD_CTX *digest;    /* NULL without a journal */
    struct buf body;
    uint64_t body_bytes;
    bool is_body_kept;
    bool is_body_done;
    bool is_answering;
    bool is_answered; /* with its body still arriving */
    bool is_malformed;
    char fault[FAULT_WORDS]; /* what to complain about instead of answering; empty = none */
    struct answer answer;
    uint64_t sent_before; /* wire.sent_bytes when the request began */
};

static void pump(struct peer *peer);

static void tell_change(struct provider *provider)
{
    if (provider->on_change != NULL)
        provider->on_change(provider->on_change_arg);
}

static void note_progress(struct peer *peer)
{
    struct record *record = peer->record;
    if (record == NULL)
        return;
    record->sent_bytes = peer->wire.sent_bytes - peer->sent_before;
    if (record->answered_ms == 0 && peer->is_answering && record->sent_bytes > 0) {
        record->answered_ms = clock_ms();
        record->status = peer->answer.status;
    }
}

/* The request is over, in one of the three ways a tally tells. */
static void end_request(struct peer *peer, enum tally how)
{
    static const enum record_state STATES[TALLY_COUNT] = {
        [TALLY_COMPLETE] = RECORD_COMPLETE,
        [TALLY_CLOSED] = RECORD_CLOSED,
        [TALLY_FAULTED] = RECORD_FAULTED,
    };
    if (peer->credential == NULL)
        return;
    note_progress(peer);
    event_del(&peer->timer);
    if (peer->is_counted)
        credential_leave(peer->credential, &peer->running, how);
    if (peer->record != NULL) {
        peer->record->state = peer->is_malformed ? RECORD_FAULTED : STATES[how];
        peer->record->ended_ms = clock_ms();
    }
    peer->is_counted = false;
    peer->credential = NULL;
    tell_change(peer->provider);
}

static void drop_request(struct peer *peer)
{
    if (peer->is_answering)
        answer_fini(&peer->answer);
    script_unref(peer->script);
    record_unref(peer->record);
    buf_fini(&peer->body);
    peer->script = NULL;
    peer->record = NULL;
    peer->body_bytes = 0;
    peer->is_body_done = peer->is_answering = peer->is_answered = peer->is_malformed = false;
    peer->fault[0] = '\0';
}

static void close_peer(struct peer *peer, enum tally how, bool is_reset)
{
    if (peer->wire.fd < 0)
        return;
    end_request(peer, how);
    drop_request(peer);
    event_del(&peer->timer);
    wire_close(&peer->wire, is_reset);
    request_fini(&peer->request);
    buf_fini(&peer->pending);
    EVP_MD_CTX_free(peer->digest);
    LIST_REMOVE(peer, link);
    peer->provider->connections_open--;
    grave_bury(peer->provider->grave, peer);
    tell_change(peer->provider);
}

static void begin_next(struct peer *peer)
{
    drop_request(peer);
    request_reset(&peer->request);
    wire_set_drip(&peer->wire, 0, 0);
}

/* The answer's last byte has left. */
static void complete(struct peer *peer)
{
    bool is_kept = peer->answer.is_keep_alive && !peer->is_malformed &&
                   peer->answer.script->silently_close_idle != 1;
    end_request(peer, TALLY_COMPLETE);
    if (!is_kept)
        close_peer(peer, TALLY_COMPLETE, false);
    else if (peer->is_body_done)
        begin_next(peer);
    else
        peer->is_answered = true;
}

static void wait_for(struct peer *peer, unsigned wait_ms)
{
    struct timeval wait = clock_wait(wait_ms);
    event_add(&peer->timer, &wait);
}

/* Sends as much of the answer as may and can go now. */
static void advance(struct peer *peer)
{
    for (int i = 0; i < FILLS_A_TURN && peer->is_answering && !peer->is_answered; i++) {
        enum fill fill = answer_fill(&peer->answer, &peer->wire.out);
        wire_flush(&peer->wire);
        note_progress(peer);
        if (peer->wire.is_failed)
            return;
        switch (fill) {
        case FILL_ROOM:
            if (peer->wire.out.len > WIRE_OUT_LOW)
                return;
            continue;
        case FILL_LATER:
            if (!event_pending(&peer->timer, EV_TIMEOUT, NULL))
                wait_for(peer, peer->answer.wait_ms);
            return;
        case FILL_STEP:
        case FILL_STALL:
            return;
        case FILL_CUT:
            if (peer->wire.out.len == 0)
                close_peer(peer, TALLY_FAULTED, peer->answer.script->reset == 1);
            return;
        case FILL_END:
            if (peer->wire.out.len == 0)
                complete(peer);
            return;
        }
    }
    if (peer->wire.fd >= 0 && peer->is_answering && !peer->is_answered)
        wait_for(peer, 0); /* others want their turn too */
}

static void begin_answer(struct peer *peer)
{
    const struct request *request = &peer->request;
    const struct answer_facts facts = {
        .is_head_method = slice_is(request->method, "HEAD"),
        .is_http_1_0 = request->is_http_1_0,
        .is_keep_alive = request->is_keep_alive && !peer->is_malformed,
        .serial = ++peer->provider->serial,
        .defaults = peer->provider->defaults,
    };
    const struct script *script = peer->script;
    answer_init(&peer->answer, peer->script, &facts);
    peer->script = NULL;
    peer->is_answering = true;
    if (script->drip_bytes > 0)
        wire_set_drip(&peer->wire, (size_t)script->drip_bytes, (unsigned)script->drip_ms);
    if (peer->record != NULL)
        peer->record->state = RECORD_RUNNING;
    if (peer->fault[0] != '\0')
        answer_with_error(&peer->answer, 400, peer->fault);
    else if (peer->is_body_kept && peer->body_bytes > BODY_KEPT_MAX)
        answer_with_error(&peer->answer, 413, NULL);
    else
        endpoint_answer(&peer->answer, request, buf_slice(&peer->body), peer->body_bytes);
    advance(peer);
}

/* ---- receiving ---- */

static struct slice read_credential(const struct request *request)
{
    const size_t bearer = sizeof("Bearer ") - 1;
    struct slice value;
    if (request_header(request, "x-api-key", &value))
        return value;
    if (request_header(request, "authorization", &value) && value.len > bearer &&
        slice_is_name((struct slice){value.at, bearer}, "bearer "))
        return (struct slice){value.at + bearer, value.len - bearer};
    return slice_of("(none)");
}

static bool is_known(const char *keys, struct slice credential)
{
    if (keys == NULL)
        return true;
    while (*keys != '\0') {
        size_t len = strcspn(keys, ",");
        if (len == credential.len && memcmp(keys, credential.at, len) == 0)
            return true;
        keys += len + (keys[len] == ',' ? 1 : 0);
    }
    return false;
}

static struct script *choose_script(struct peer *peer)
{
    struct provider *provider = peer->provider;
    struct slice value;
    if (!is_known(provider->keys, slice_of(peer->credential->name))) {
        peer->credential->tally[TALLY_REQUESTS]++;
        return script_ref(provider->denied);
    }
    peer->is_counted = credential_enter(provider->credentials, peer->credential, &peer->running);
    if (!peer->is_counted)
        return script_ref(provider->limited);
    struct script *script = NULL;
    if (request_header(&peer->request, "x-provider-script", &value))
        script = script_parse(value, peer->fault, sizeof(peer->fault));
    else
        script = credential_take_script(provider->credentials, peer->credential);
    return script != NULL ? script : script_ref(provider->defaults);
}

static void start_record(struct peer *peer)
{
    struct provider *provider = peer->provider;
    if (provider->journal == NULL)
        return;
    peer->record = journal_add(provider->journal, &peer->request, peer->credential->name);
    peer->record->connection = peer->id;
    if (peer->wire.ssl != NULL) {
        const char *sni = SSL_get_servername(peer->wire.ssl, TLSEXT_NAMETYPE_host_name);
        peer->record->sni = slice_copy(slice_of(sni == NULL ? "" : sni));
        peer->record->is_resumed = SSL_session_reused(peer->wire.ssl) == 1;
    }
    if (peer->digest == NULL)
        peer->digest = EVP_MD_CTX_new();
    EVP_DigestInit_ex(peer->digest, EVP_sha256(), NULL);
}

static void on_head(struct peer *peer)
{
    peer->sent_before = peer->wire.sent_bytes;
    peer->credential =
        credentials_get(peer->provider->credentials, read_credential(&peer->request));
    peer->script = choose_script(peer);
    start_record(peer);
    peer->is_body_kept = endpoint_needs_body(&peer->request);
    tell_change(peer->provider);
    if (peer->script->early_answer == 1) {
        begin_answer(peer);
    } else if (peer->request.is_expecting && peer->request.stage != REQUEST_AT_END) {
        buf_add_text(&peer->wire.out, "HTTP/1.1 100 Continue\r\n\r\n");
        wire_flush(&peer->wire);
    }
}

static void on_piece(struct peer *peer, struct slice piece)
{
    peer->body_bytes += piece.len;
    if (peer->is_body_kept && peer->body_bytes <= BODY_KEPT_MAX)
        buf_add(&peer->body, piece.at, piece.len);
    if (peer->record != NULL) {
        peer->record->body_bytes = peer->body_bytes;
        EVP_DigestUpdate(peer->digest, piece.at, piece.len);
    }
}

static void on_done(struct peer *peer)
{
    peer->is_body_done = true;
    if (peer->record != NULL) {
        EVP_DigestFinal_ex(peer->digest, peer->record->sha256, NULL);
        peer->record->is_body_whole = true;
    }
    if (peer->is_answered)
        begin_next(peer);
    else if (!peer->is_answering)
        begin_answer(peer);
}

/* Tells what is wrong with the request's form and closes. */
static void on_malformed(struct peer *peer)
{
    peer->provider->malformed++;
    peer->is_malformed = true;
    if (peer->is_answering) {
        close_peer(peer, TALLY_FAULTED, false);
        return;
    }
    if (peer->credential == NULL)
        peer->credential = credentials_get(peer->provider->credentials, slice_of("(malformed)"));
    snprintf(peer->fault, sizeof(peer->fault), "%s", peer->request.fault);
    script_unref(peer->script);
    peer->script = script_ref(peer->provider->defaults);
    begin_answer(peer);
}

static bool is_reading(const struct peer *peer)
{
    return peer->wire.fd >= 0 && !peer->is_malformed &&
           (!peer->is_answering || !peer->is_body_done);
}

static void feed(struct peer *peer, struct slice bytes)
{
    while (is_reading(peer)) {
        size_t used = 0;
        enum request_news news = request_feed(&peer->request, bytes, &used);
        struct slice piece = peer->request.piece;
        bytes = (struct slice){bytes.at + used, bytes.len - used};
        switch (news) {
        case REQUEST_MORE:
            return;
        case REQUEST_HEAD:
            on_head(peer);
            break;
        case REQUEST_BODY:
            on_piece(peer, piece);
            break;
        case REQUEST_DONE:
            on_done(peer);
            break;
        case REQUEST_BAD:
            on_malformed(peer);
            break;
        }
    }
    if (peer->wire.fd < 0 || peer->is_malformed)
        return;
    buf_add(&peer->pending, bytes.at, bytes.len);
    if (peer->pending.len > PENDING_BYTES_MAX)
        wire_pause(&peer->wire, true);
}

/* Reads what waited behind the request that has just ended. */
static void pump(struct peer *peer)
{
    if (peer->wire.fd < 0 || peer->pending.len == 0 || !is_reading(peer))
        return;
    struct buf waiting = peer->pending;
    peer->pending = (struct buf){0};
    feed(peer, buf_slice(&waiting));
    buf_fini(&waiting);
    if (peer->wire.fd >= 0 && peer->pending.len <= PENDING_BYTES_MAX)
        wire_pause(&peer->wire, false);
}

/* ---- what the connection tells ---- */

static void on_bytes(void *arg, struct slice bytes)
{
    struct peer *peer = arg;
    if (peer->pending.len > 0) {
        buf_add(&peer->pending, bytes.at, bytes.len);
        if (peer->pending.len > PENDING_BYTES_MAX)
            wire_pause(&peer->wire, true);
        return;
    }
    feed(peer, bytes);
}

static void on_room(void *arg)
{
    struct peer *peer = arg;
    advance(peer);
    pump(peer);
}

static void on_gone(void *arg)
{
    close_peer(arg, TALLY_CLOSED, false);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct peer *peer = arg;
    (void)fd;
    (void)what;
    answer_resume(&peer->answer);
    advance(peer);
    pump(peer);
}

static bool is_gone(void *arg)
{
    const struct peer *peer = arg;
    return wire_is_gone(&peer->wire);
}

static const struct wire_user USER = {on_bytes, on_room, on_gone};

void peer_open(struct provider *provider, int fd, bool is_tls)
{
    struct peer *peer = mem_zero(sizeof(*peer));
    SSL *ssl = NULL;
    if (is_tls) {
        ssl = SSL_new(provider->tls);
        SSL_set_fd(ssl, fd);
        SSL_set_accept_state(ssl);
    }
    peer->provider = provider;
    peer->id = ++provider->connections_accepted;
    provider->connections_open++;
    peer->running = (struct running){.is_gone = is_gone, .drop = on_gone, .arg = peer};
    peer->wire.user = &USER;
    peer->wire.arg = peer;
    event_assign(&peer->timer, provider->base, -1, 0, on_timer, peer);
    LIST_INSERT_HEAD(&provider->peers, peer, link);
    wire_open(&peer->wire, provider->base, fd, ssl);
    tell_change(provider);
}

size_t peer_step_all(struct provider *provider, const char *credential, int64_t events)
{
    size_t count = 0;
    struct peer *peer = LIST_FIRST(&provider->peers);
    while (peer != NULL) {
        struct peer *next = LIST_NEXT(peer, link);
        bool is_meant = credential == NULL || (peer->credential != NULL &&
                                               strcmp(peer->credential->name, credential) == 0);
        if (is_meant && peer->is_answering && !peer->is_answered && peer->answer.credits >= 0) {
            answer_step(&peer->answer, events);
            advance(peer);
            pump(peer);
            count++;
        }
        peer = next;
    }
    return count;
}

void peer_close_all(struct provider *provider)
{
    struct peer *peer;
    while ((peer = LIST_FIRST(&provider->peers)) != NULL)
        close_peer(peer, TALLY_FAULTED, false);
}
