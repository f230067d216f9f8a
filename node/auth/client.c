#include "auth/client.h"

#include "base/name.h"

struct slice client_clean(struct slice raw, struct arena *arena)
{
    char clean[NAME_BYTES_MAX + 1];
    if (raw.len <= NAME_BYTES_MAX && name_is_clean(raw))
        return raw;
    size_t len = name_clean(raw, clean, sizeof(clean));
    return arena_copy(arena, (struct slice){clean, len});
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
