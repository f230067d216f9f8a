#include "auth/client.h"

#include <string.h>

#include "config/config.h"

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("._:@-", c) != NULL);
}

struct slice client_clean(struct slice raw, struct arena *arena)
{
    bool is_clean = raw.len <= NAME_BYTES_MAX;
    if (raw.len > NAME_BYTES_MAX)
        raw.len = NAME_BYTES_MAX;
    for (size_t i = 0; i < raw.len && is_clean; i++)
        is_clean = is_plain(raw.at[i]);
    if (is_clean)
        return raw;
    char clean[NAME_BYTES_MAX];
    for (size_t i = 0; i < raw.len; i++)
        clean[i] = is_plain(raw.at[i]) ? raw.at[i] : '_';
    return arena_copy(arena, (struct slice){clean, raw.len});
}

struct slice client_name(const struct http1_request *request, struct slice peer,
                         struct arena *arena)
{
    const struct slice names[] = {SLICE("x-client-id"), SLICE("x-bot-id")};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct http1_header *h =
            http1_header(request->headers, request->header_count, names[i]);
        if (h != NULL && h->value.len > 0)
            return client_clean(h->value, arena);
    }
    return client_clean(peer, arena);
}
