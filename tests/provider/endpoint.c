#include "endpoint.h"

#include <inttypes.h>
#include <string.h>

#include "json_walk.h"

static const char *const MODELS[] = {"claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"};

enum { MODEL_COUNT = sizeof(MODELS) / sizeof(MODELS[0]), BYTES_A_TOKEN = 4 };

static bool is_below(struct slice path, const char *folder)
{
    size_t len = strlen(folder);
    return path.len > len && memcmp(path.at, folder, len) == 0;
}

bool endpoint_needs_body(const struct request *request)
{
    struct slice path = request_path(request);
    return slice_is(path, "/v1/messages") || slice_is(path, "/v1/messages/count_tokens");
}

static void answer_buf(struct answer *answer, struct buf *body)
{
    answer_with_body(answer, 200, buf_slice(body));
    buf_fini(body);
}

static void print_model(struct buf *out, struct slice id)
{
    buf_add_text(out, "{\"type\":\"model\",\"id\":\"");
    json_escape(out, id);
    buf_add_text(out, "\",\"display_name\":\"");
    json_escape(out, id);
    buf_add_text(out, "\",\"created_at\":\"2025-10-01T00:00:00Z\"}");
}

static void list_models(struct answer *answer)
{
    struct buf body = {0};
    buf_add_text(&body, "{\"data\":[");
    for (size_t i = 0; i < MODEL_COUNT; i++) {
        buf_add_text(&body, i == 0 ? "" : ",");
        print_model(&body, slice_of(MODELS[i]));
    }
    buf_addf(&body, "],\"has_more\":false,\"first_id\":\"%s\",\"last_id\":\"%s\"}", MODELS[0],
             MODELS[MODEL_COUNT - 1]);
    answer_buf(answer, &body);
}

static void get_model(struct answer *answer, struct slice id)
{
    struct buf body = {0};
    for (size_t i = 0; i < MODEL_COUNT; i++) {
        if (slice_is(id, MODELS[i])) {
            print_model(&body, id);
            answer_buf(answer, &body);
            return;
        }
    }
    answer_with_error(answer, 404, "model: not found");
}

static void create_message(struct answer *answer, struct slice body)
{
    struct message message = {0};
    const char *fault = message_read(&message, body, answer->facts.serial);
    if (fault == NULL) {
        answer_with_message(answer, &message);
        return;
    }
    message_fini(&message);
    answer_with_error(answer, 400, fault);
}

static void count_tokens(struct answer *answer, struct slice body)
{
    struct slice at = body, name, value;
    struct buf text = {0};
    if (!json_next(&at, &name, &value)) {
        answer_with_error(answer, 400, "The request body is not valid JSON");
        return;
    }
    buf_addf(&text, "{\"input_tokens\":%zu}", (body.len + BYTES_A_TOKEN - 1) / BYTES_A_TOKEN);
    answer_buf(answer, &text);
}

static void upload_file(struct answer *answer, uint64_t body_bytes)
{
    struct buf body = {0};
    buf_addf(&body,
             "{\"id\":\"file_011%018" PRIu64 "\",\"type\":\"file\",\"filename\":\"upload\","
             "\"mime_type\":\"application/octet-stream\",\"size_bytes\":%" PRIu64
             ",\"created_at\":\"2026-01-01T00:00:00Z\",\"downloadable\":false}",
             answer->facts.serial, body_bytes);
    answer_buf(answer, &body);
}

void endpoint_answer(struct answer *answer, const struct request *request, struct slice body,
                     uint64_t body_bytes)
{
    struct slice path = request_path(request);
    bool is_post = slice_is(request->method, "POST");
    bool is_get = slice_is(request->method, "GET") || slice_is(request->method, "HEAD");
    const char *models = "/v1/models/";
    if (is_post && slice_is(path, "/v1/messages"))
        create_message(answer, body);
    else if (is_post && slice_is(path, "/v1/messages/count_tokens"))
        count_tokens(answer, body);
    else if (is_post && slice_is(path, "/v1/files"))
        upload_file(answer, body_bytes);
    else if (is_get && slice_is(path, "/v1/models"))
        list_models(answer);
    else if (is_get && is_below(path, models))
        get_model(answer, (struct slice){path.at + strlen(models), path.len - strlen(models)});
    else
        answer_with_error(answer, 404, NULL);
}
