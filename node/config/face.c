/* What a key is called by: the beginning of its SHA-256, as a reload tells of keys too. Keys are
 * long and random, so nobody comes back from it; and the same key has the same name in every file,
 * on every machine, in any place of its list. Its owner can ask sha256sum which one it is.
 *
 * The tail alone would not do: two keys may have the same, and of a short key it says too much. So
 * it only stands beside the hash, for people, who know it from the provider's console. */
#include "config/face.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config_priv.h"
#include "crypto/digest.h"
#include "crypto/mac.h"

enum {
    TAIL_SHOWN = 4,
    KEY_WITH_TAIL_MIN = 24, /* of a shorter one the tail is not shown */
    NAME_MAX_BYTES = 32
};

void config_make_face(struct subscription *s)
{
    char hash[DIGEST_TEXT_MAX];
    struct slice key = secret_reveal(&s->api_key);
    const char *prefix = slice_starts(key, SLICE("sk-ant-")) ? "sk-ant-" : "";
    struct slice tail = SLICE_NONE;
    if (key.len >= KEY_WITH_TAIL_MIN)
        tail = slice_from(key, key.len - TAIL_SHOWN);
    digest_text(key, hash);
    snprintf(s->face, sizeof(s->face), "%s...%.*s #%s", prefix, SLICE_ARG(tail), hash);
}

/* ---- names ---- */

static bool is_same(const struct subscription *a, const struct subscription *b)
{
    return slice_eq(secret_reveal(&a->api_key), secret_reveal(&b->api_key)) &&
           a->origin.is_tls == b->origin.is_tls &&
           strcmp(a->origin.authority, b->origin.authority) == 0 &&
           strcmp(a->origin.path_prefix, b->origin.path_prefix) == 0;
}

/* A key that is there twice is one subscription: a provider counts it as one. */
static void drop_repeated(struct config_reader *r)
{
    struct config *c = r->config;
    for (size_t i = 1; i < c->subscription_count; i++)
        for (size_t j = 0; j < i; j++)
            if (is_same(&c->subscriptions[i], &c->subscriptions[j])) {
                config_make_face(&c->subscriptions[i]);
                config_warn(r, "the key %s is there more than once: it is one subscription",
                            c->subscriptions[i].face);
                config_drop_subscription(c, i--);
                break;
            }
}

static void set_name(struct subscription *s, const char *hash)
{
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof(name), "key-%s", hash);
    free(s->name);
    s->name = mem_string(slice_of(name));
}

static void name_at_length(struct subscription *s)
{
    char hash[MAC_TEXT_MAX], port[8];
    snprintf(port, sizeof(port), "%u", s->origin.port);
    const struct slice parts[] = {secret_reveal(&s->api_key), slice_of(s->origin.host),
                                  slice_of(port), slice_of(s->origin.path_prefix)};
    mac_text(SLICE("weir name"), parts, sizeof(parts) / sizeof(parts[0]), hash);
    set_name(s, hash);
}

/* Two hashes may begin alike, and a key may be used at two places: all that would be called the
 * same are told apart by more digits, of key and place, whoever comes first. */
static void tell_apart(struct config *c)
{
    bool is_alike[SUBSCRIPTIONS_MAX] = {false};
    for (size_t i = 0; i < c->subscription_count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(c->subscriptions[i].name, c->subscriptions[j].name) == 0)
                is_alike[i] = is_alike[j] = true;
    for (size_t i = 0; i < c->subscription_count; i++)
        if (is_alike[i])
            name_at_length(&c->subscriptions[i]);
}

void config_name_by_key(struct config_reader *r)
{
    struct config *c = r->config;
    drop_repeated(r);
    for (size_t i = 0; i < c->subscription_count; i++) {
        char hash[DIGEST_TEXT_MAX];
        digest_text(secret_reveal(&c->subscriptions[i].api_key), hash);
        set_name(&c->subscriptions[i], hash);
    }
    tell_apart(c);
}
