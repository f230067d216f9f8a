/* What a subscription's slots, cooldowns and leases belong to: not its name, which people change,
 * but the credential and where it is used. All nodes of a pool come to the same account; nobody can
 * come back from it to the credential.
 *
 * Two subscriptions of one file with the same credential at the same place (check.c warns of them)
 * are told apart by their order: each has slots of its own, as the file says. */
#include <stdio.h>
#include <string.h>

#include "config/config_priv.h"
#include "crypto/mac.h"

static void make_account(const struct config *c, struct subscription *s)
{
    char key[256], port[8], text[MAC_TEXT_MAX];
    snprintf(key, sizeof(key), "weir account %s:{%s}", c->redis.prefix, c->redis.pool);
    snprintf(port, sizeof(port), "%u", s->origin.port);
    const struct slice parts[] = {s->origin.is_tls ? SLICE("https") : SLICE("http"),
                                  slice_of(s->origin.host), slice_of(port),
                                  slice_of(s->origin.path_prefix), secret_reveal(&s->api_key)};
    mac_text(slice_of(key), parts, sizeof(parts) / sizeof(parts[0]), text);
    snprintf(s->account, sizeof(s->account), "%s", text);
}

static void tell_apart(struct config *c, size_t index)
{
    struct subscription *all = c->subscriptions, *s = &all[index];
    unsigned same = 1;
    for (size_t i = 0; i < index; i++)
        if (strncmp(all[i].account, s->account, MAC_TEXT_MAX - 1) == 0)
            same++;
    if (same > 1)
        snprintf(s->account + MAC_TEXT_MAX - 1, sizeof(s->account) - MAC_TEXT_MAX + 1, "-%u",
                 same % 1000); /* there are fewer */
}

void config_make_accounts(struct config *c)
{
    for (size_t i = 0; i < c->subscription_count; i++)
        make_account(c, &c->subscriptions[i]);
    for (size_t i = 1; i < c->subscription_count; i++)
        tell_apart(c, i);
}
