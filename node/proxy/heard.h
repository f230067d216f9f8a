/* heard.h - what the last provider that was asked has said of itself and of the request: its own id
 * of it, and, if it was an error, which and in which words. For the log and for whoever asks later
 * why a request went as it did; no answer depends on it.
 *
 * What a provider says may repeat what it was sent. So no credential of the configuration is in
 * here, nor anything that looks like one; and it is short. */
#pragma once
#include "base/arena.h"
#include "base/slice.h"

struct config;
struct exchange;
struct http1_response;

enum { HEARD_ID_MAX = 128, HEARD_TYPE_MAX = 64, HEARD_MESSAGE_MAX = 200 };

/* Slices of the exchange's arena; any bytes, empty: nothing was said. */
struct heard {
    struct slice id; /* the provider's, of the request */
    struct slice type, message;
};

/* The head of an answer has come. */
void heard_head(struct exchange *x, const struct http1_response *response);
/* The present answer is an error: what its body says, before it is forgotten. */
void heard_error(struct exchange *x);
/* Into the log line that has begun. */
void heard_log(const struct exchange *x);

/* At most HEARD_MESSAGE_MAX bytes of it, in which credentials are stars. */
struct slice heard_clean(struct slice message, const struct config *config, struct arena *arena);
