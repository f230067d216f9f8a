/* client.h - who calls: the label that requests are counted under.
 * `x-client-id`, else `x-bot-id`, else the caller's address. A label, not a proof: keys come on
 * top. */
#pragma once
#include "base/arena.h"
#include "base/slice.h"
#include "format/http1.h"

/* A name fit for a key (base/name.h), at most NAME_BYTES_MAX long; other characters become '_'.
 * From `arena`, or borrowed from `raw` if nothing had to change. */
struct slice client_clean(struct slice raw, struct arena *arena);

/* Never empty. */
struct slice client_name(const struct http1_request *request, struct slice peer,
                         struct arena *arena);
