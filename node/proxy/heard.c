/* Credentials are hidden before the text is cut, or half of one would be left at its end. */
#include "proxy/heard.h"

#include <string.h>

#include "base/log.h"
#include "base/utf8.h"
#include "proxy/exchange_priv.h"

enum {
    LOOKED_AT_MAX = 1024, /* more than is kept: nothing is cut before it was looked at */
    KNOWN_PART_MIN = 6    /* so much of a credential's beginning, at the text's end, is hidden */
};

static bool is_of_key(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '*' || c == '/' || c == '+' || c == '=';
}

/* What stands behind this word and could be a credential. */
static void hide_behind(char *text, size_t len, struct slice word)
{
    for (size_t i = 0; i + word.len < len; i++) {
        if (!slice_starts_nocase((struct slice){text + i, len - i}, word))
            continue;
        for (i += word.len; i < len && is_of_key(text[i]); i++)
            text[i] = '*';
    }
}

static void hide(char *text, size_t len, struct slice secret)
{
    char *end = text + len;
    if (secret.len == 0)
        return;
    for (char *at = text; (at = memmem(at, (size_t)(end - at), secret.at, secret.len)) != NULL;
         at += secret.len) /* a credential may be of stars itself */
        memset(at, '*', secret.len);
    size_t part = secret.len < len ? secret.len : len;
    while (part >= KNOWN_PART_MIN && memcmp(end - part, secret.at, part) != 0)
        part--;
    if (part >= KNOWN_PART_MIN)
        memset(end - part, '*', part);
}

struct slice heard_clean(struct slice message, const struct config *config, struct arena *arena)
{
    struct slice cut = utf8_cut(message, LOOKED_AT_MAX);
    if (cut.len == 0)
        return SLICE_NONE;
    char *text = arena_new(arena, cut.len);
    memcpy(text, cut.at, cut.len);
    for (size_t i = 0; i < config->subscription_count; i++)
        hide(text, cut.len, secret_reveal(&config->subscriptions[i].api_key));
    hide(text, cut.len, secret_reveal(&config->admin_token));
    hide_behind(text, cut.len, SLICE("sk-"));
    hide_behind(text, cut.len, SLICE("bearer "));
    return utf8_cut((struct slice){text, cut.len}, HEARD_MESSAGE_MAX);
}

static void note_id(struct exchange *x)
{
    x->heard_ids = x->heard_id_count++ == 0
                       ? x->heard.id
                       : arena_printf(&x->request.message.arena, "%.*s %.*s",
                                      SLICE_ARG(x->heard_ids), SLICE_ARG(x->heard.id));
}

void heard_head(struct exchange *x, const struct http1_response *response)
{
    const struct header_names names = x->request.dialect->id_headers;
    const struct http1_header *h = NULL;
    x->heard = (struct heard){0};
    for (size_t i = 0; i < names.count && h == NULL; i++)
        h = http1_header(response->headers, response->header_count, names.at[i]);
    if (h == NULL)
        return;
    x->heard.id =
        arena_copy(&x->request.message.arena, utf8_cut(slice_trim(h->value), HEARD_ID_MAX));
    if (history_is_id(x->heard.id) && x->heard_id_count < HISTORY_OTHERS_MAX)
        note_id(x);
}

/* An error that is not the API's own is often a page: how it begins says whose. */
void heard_error(struct exchange *x)
{
    const struct reply *reply = &x->reply;
    struct arena *arena = &x->request.message.arena;
    struct error_words said = {SLICE_NONE, SLICE_NONE, SLICE_NONE};
    if (reply->watch != NULL)
        said = watch_error(reply->watch);
    struct slice type = said.type.len > 0 ? said.type : said.code;
    struct slice message = said.message;
    if (type.len == 0 && message.len == 0 && !reply->head.is_coded)
        message = slice_trim(buf_slice(&reply->held));
    x->heard.type = utf8_cut(heard_clean(type, x->config, arena), HEARD_TYPE_MAX);
    x->heard.message = heard_clean(message, x->config, arena);
}

void heard_log(const struct exchange *x)
{
    const struct heard *h = &x->heard;
    if (h->id.len > 0)
        log_text("provider_id", h->id);
    if (h->type.len > 0)
        log_text("error_type", h->type);
    if (h->message.len > 0)
        log_text("message", h->message);
}
