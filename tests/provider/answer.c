#include "answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer_head.h"
#include "json_walk.h"
#include "wire.h"

enum { PIECE_BYTES_MAX = 32 * 1024, GZIP_WINDOW_BITS = 15 + 16 };

void answer_init(struct answer *answer, struct script *script, const struct answer_facts *facts)
{
    *answer = (struct answer){.script = script, .facts = *facts};
    answer->content_type = "application/json";
    answer->is_keep_alive = facts->is_keep_alive && script->keep_alive != 0;
    answer->credits = script->hold == 1 ? 0 : -1;
    snprintf(answer->request_id, sizeof(answer->request_id), "req_011%018" PRIu64, facts->serial);
}

/* ---- packing ---- */

static void start_packing(struct answer *answer)
{
    answer->is_packing = true;
    int code = deflateInit2(&answer->zip, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW_BITS, 8,
                            Z_DEFAULT_STRATEGY);
    if (code != Z_OK)
        abort();
}

static void pack(struct answer *answer, struct slice piece, int flush, struct buf *out)
{
    answer->zip.next_in = (Bytef *)(uintptr_t)piece.at;
    answer->zip.avail_in = (uInt)piece.len;
    int code = Z_OK;
    do {
        answer->zip.next_out = (Bytef *)buf_reserve(out, PIECE_BYTES_MAX);
        answer->zip.avail_out = PIECE_BYTES_MAX;
        code = deflate(&answer->zip, flush);
        out->len += PIECE_BYTES_MAX - answer->zip.avail_out;
    } while (answer->zip.avail_out == 0 && code != Z_STREAM_END);
}

/* ---- pieces of a body that is no stream ---- */

static bool next_piece(struct answer *answer, struct slice *piece)
{
    while (answer->piece < 3) {
        if (answer->piece == 1 && answer->filler_at < answer->filler_bytes) {
            *piece = message_filler(answer->filler_at, answer->filler_bytes - answer->filler_at);
            answer->filler_at += piece->len;
            return true;
        }
        struct buf *text = answer->piece == 0 ? &answer->head_text : &answer->tail_text;
        bool is_text = answer->piece != 1;
        answer->piece++;
        if (is_text && text->len > 0) {
            *piece = buf_slice(text);
            return true;
        }
    }
    return false;
}

static void pack_whole(struct answer *answer)
{
    struct buf packed = {0};
    struct slice piece;
    start_packing(answer);
    while (next_piece(answer, &piece))
        pack(answer, piece, Z_NO_FLUSH, &packed);
    pack(answer, (struct slice){"", 0}, Z_FINISH, &packed);
    buf_fini(&answer->head_text);
    buf_fini(&answer->tail_text);
    answer->head_text = packed;
    answer->filler_bytes = 0;
    answer->piece = 0;
}

/* ---- planning ---- */

static uint64_t measure_stream(struct answer *answer)
{
    struct buf scratch = {0};
    uint64_t total = 0;
    for (uint64_t i = 0; i < message_event_count(&answer->message); i++) {
        message_print_event(&answer->message, i, &scratch);
        total += scratch.len;
        buf_skip(&scratch, scratch.len);
    }
    message_rewind(&answer->message);
    buf_fini(&scratch);
    return total;
}

static void plan_framing(struct answer *answer)
{
    const struct script *script = answer->script;
    bool is_chunked = answer->is_event_stream || script->content_length == 0;
    if (script->until_close == 1 || (answer->is_event_stream && script->chunked == 0))
        answer->framing = FRAMING_CLOSE;
    else if (script->content_length == 1)
        answer->framing = FRAMING_SIZED;
    else if (script->chunked == 1 || is_chunked)
        answer->framing = FRAMING_CHUNKED;
    if (answer->framing == FRAMING_CHUNKED && answer->facts.is_http_1_0)
        answer->framing = FRAMING_CLOSE;
    if (answer->framing == FRAMING_CLOSE)
        answer->is_keep_alive = false;
    answer->is_bodiless =
        answer->facts.is_head_method || answer->status == 204 || answer->status == 304;
}

static void plan(struct answer *answer)
{
    bool is_packed = answer->script->gzip == 1;
    plan_framing(answer);
    if (answer->is_event_stream) {
        answer->content_type = "text/event-stream; charset=utf-8";
        if (is_packed)
            start_packing(answer);
        if (answer->framing == FRAMING_SIZED) {
            answer->message.is_stamped = false; /* its length would not be known */
            answer->total_bytes = measure_stream(answer);
        }
        return;
    }
    if (is_packed)
        pack_whole(answer);
    answer->total_bytes = answer->head_text.len + answer->filler_bytes + answer->tail_text.len;
}

/* A scripted status, body or size takes the place of the usual answer. */
static bool take_scripted(struct answer *answer, int status)
{
    const struct script *script = answer->script;
    answer->status = (int)script_pick(script->status, status);
    if (script->body != NULL) {
        buf_add_text(&answer->head_text, script->body);
    } else if (answer->status >= 400 && status < 400) {
        message_print_error(&answer->head_text, answer->status, NULL, answer->request_id);
    } else if (script->raw_bytes != SCRIPT_UNSET && !answer->is_event_stream) {
        answer->content_type = "application/octet-stream";
        answer->filler_bytes = (uint64_t)script->raw_bytes;
    } else {
        return false;
    }
    answer->is_event_stream = false;
    plan(answer);
    return true;
}

void answer_with_message(struct answer *answer, struct message *message)
{
    answer->message = *message;
    *message = (struct message){0};
    answer->is_event_stream = answer->message.is_stream;
    if (take_scripted(answer, 200))
        return;
    message_plan(&answer->message, answer->script, answer->facts.defaults);
    if (!answer->is_event_stream) {
        message_print_head(&answer->message, &answer->head_text);
        message_print_tail(&answer->message, &answer->tail_text);
        if (answer->message.is_filler)
            answer->filler_bytes = answer->message.filler_bytes;
    }
    plan(answer);
}

void answer_with_body(struct answer *answer, int status, struct slice body)
{
    if (take_scripted(answer, status))
        return;
    buf_add(&answer->head_text, body.at, body.len);
    plan(answer);
}

void answer_with_error(struct answer *answer, int status, const char *words)
{
    struct buf body = {0};
    message_print_error(&body, status, words, answer->request_id);
    answer_with_body(answer, status, buf_slice(&body));
    buf_fini(&body);
}

/* ---- the body ---- */

static bool is_at_limit(const struct answer *answer)
{
    const struct script *script = answer->script;
    return (script->close_after_bytes >= 0 &&
            answer->body_bytes >= (uint64_t)script->close_after_bytes) ||
           (script->stall_after_bytes >= 0 &&
            answer->body_bytes >= (uint64_t)script->stall_after_bytes);
}

/* Frames a piece; one that crosses a scripted limit is cut there, its chunk left open. */
static void put(struct answer *answer, struct slice piece, struct buf *out)
{
    const struct script *script = answer->script;
    uint64_t len = piece.len;
    if (len == 0 || is_at_limit(answer))
        return;
    if (answer->framing == FRAMING_CHUNKED)
        buf_addf(out, "%zx\r\n", piece.len);
    if (script->close_after_bytes >= 0 &&
        len > (uint64_t)script->close_after_bytes - answer->body_bytes)
        len = (uint64_t)script->close_after_bytes - answer->body_bytes;
    if (script->stall_after_bytes >= 0 &&
        len > (uint64_t)script->stall_after_bytes - answer->body_bytes)
        len = (uint64_t)script->stall_after_bytes - answer->body_bytes;
    buf_add(out, piece.at, (size_t)len);
    answer->body_bytes += len;
    if (answer->framing == FRAMING_CHUNKED && len == piece.len)
        buf_add_text(out, "\r\n");
}

static void put_event(struct answer *answer, struct slice event, struct buf *out)
{
    if (!answer->is_packing) {
        put(answer, event, out);
        return;
    }
    struct buf packed = {0};
    pack(answer, event, Z_SYNC_FLUSH, &packed);
    put(answer, buf_slice(&packed), out);
    buf_fini(&packed);
}

static enum fill end_body(struct answer *answer, struct buf *out)
{
    if (answer->is_event_stream && answer->is_packing) {
        struct buf packed = {0};
        pack(answer, (struct slice){"", 0}, Z_FINISH, &packed);
        put(answer, buf_slice(&packed), out);
        buf_fini(&packed);
    }
    if (answer->framing == FRAMING_CHUNKED)
        buf_add_text(out, "0\r\n\r\n");
    bool is_short = answer->framing == FRAMING_SIZED && answer->body_bytes < answer->total_bytes;
    answer->stage = is_short ? ANSWER_CUT : ANSWER_ENDED;
    return is_short ? FILL_CUT : FILL_END;
}

static enum fill cut(struct answer *answer)
{
    answer->stage = ANSWER_CUT;
    return FILL_CUT;
}

static bool is_reached(int64_t limit, uint64_t count)
{
    return limit >= 0 && count >= (uint64_t)limit;
}

static void put_error_event(struct answer *answer, struct buf *out)
{
    struct buf event = {0};
    buf_add_text(&event, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"");
    json_escape(&event, slice_of(answer->script->error_type));
    buf_add_text(&event, "\",\"message\":\"");
    json_escape(&event, slice_of(answer->script->error_message));
    buf_addf(&event, "\"},\"request_id\":\"%s\"}\n\n", answer->request_id);
    put_event(answer, buf_slice(&event), out);
    buf_fini(&event);
}

static enum fill fill_stream(struct answer *answer, struct buf *out)
{
    static struct buf event; /* one thread, emptied at each use */
    const struct script *script = answer->script;
    uint64_t delay_ms = (uint64_t)script_pick(
        script_pick(script->event_delay_ms, answer->facts.defaults->event_delay_ms), 0);
    while (out->len < WIRE_OUT_HIGH) {
        if (is_reached(script->close_after_events, answer->events))
            return cut(answer);
        if (is_reached(script->stall_after_events, answer->events))
            return FILL_STALL;
        if (is_reached(script->error_after_events, answer->events)) {
            put_error_event(answer, out);
            return end_body(answer, out);
        }
        if (is_at_limit(answer))
            return script->stall_after_bytes >= 0 ? FILL_STALL : cut(answer);
        if (answer->events == message_event_count(&answer->message))
            return end_body(answer, out);
        if (answer->credits == 0)
            return FILL_STEP;
        if (delay_ms > 0 && !answer->has_waited &&
            message_is_paced(&answer->message, answer->events)) {
            answer->wait_ms = (unsigned)delay_ms;
            return FILL_LATER;
        }
        answer->has_waited = false;
        if (answer->credits > 0)
            answer->credits--;
        message_print_event(&answer->message, answer->events++, &event);
        put_event(answer, buf_slice(&event), out);
        buf_skip(&event, event.len);
    }
    return FILL_ROOM;
}

static enum fill fill_body(struct answer *answer, struct buf *out)
{
    struct slice piece;
    if (answer->is_bodiless) {
        answer->stage = ANSWER_ENDED;
        return FILL_END;
    }
    if (answer->is_event_stream)
        return fill_stream(answer, out);
    while (out->len < WIRE_OUT_HIGH) {
        if (is_at_limit(answer))
            return answer->script->stall_after_bytes >= 0 ? FILL_STALL : cut(answer);
        if (!next_piece(answer, &piece))
            return end_body(answer, out);
        put(answer, piece, out);
    }
    return FILL_ROOM;
}

/* Before the head: waiting, silence, or no answer at all. ANSWER_HEAD when none of it holds. */
static enum fill pass_gate(struct answer *answer, struct buf *out)
{
    const struct script *script = answer->script;
    if (script->delay_ms > 0 && !answer->has_waited) {
        answer->wait_ms = (unsigned)script->delay_ms;
        return FILL_LATER;
    }
    answer->has_waited = false;
    if (script->stall == 1)
        return FILL_STALL;
    if (script->close_before_answer == 1)
        return cut(answer);
    if (script->bad_head != NULL) {
        buf_add_text(out, script->bad_head);
        return cut(answer);
    }
    if (!answer->is_event_stream && answer->credits == 0)
        return FILL_STEP;
    answer->stage = ANSWER_HEAD;
    return FILL_ROOM;
}

enum fill answer_fill(struct answer *answer, struct buf *out)
{
    if (answer->stage == ANSWER_GATE) {
        enum fill fill = pass_gate(answer, out);
        if (answer->stage != ANSWER_HEAD)
            return fill;
    }
    if (answer->stage == ANSWER_HEAD) {
        size_t before = out->len;
        answer_print_head(answer, out);
        answer->stage = ANSWER_BODY;
        int64_t most = answer->script->close_head_after_bytes;
        if (most >= 0 && out->len - before > (size_t)most) {
            out->len = before + (size_t)most;
            return cut(answer);
        }
    }
    switch (answer->stage) {
    case ANSWER_BODY:
        return fill_body(answer, out);
    case ANSWER_CUT:
        return FILL_CUT;
    case ANSWER_GATE:
    case ANSWER_HEAD:
    case ANSWER_ENDED:
        break;
    }
    return FILL_END;
}

void answer_resume(struct answer *answer)
{
    answer->has_waited = true;
}

void answer_step(struct answer *answer, int64_t events)
{
    if (events < 0)
        answer->credits = -1;
    else if (answer->credits >= 0)
        answer->credits += events;
}

void answer_fini(struct answer *answer)
{
    if (answer->is_packing)
        deflateEnd(&answer->zip);
    message_fini(&answer->message);
    buf_fini(&answer->head_text);
    buf_fini(&answer->tail_text);
    script_unref(answer->script);
    *answer = (struct answer){0};
}
