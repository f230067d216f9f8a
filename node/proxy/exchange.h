/* exchange.h - the life of one proxied request, from its admission to its last byte.
 * It begins with a request that may be passed on, whole, and ends with one log line. Its steps, and
 * which may follow which, stand in exchange_priv.h.
 *
 * Invariants: (1) no byte goes up without a held lease; (2) every lease is settled exactly once;
 * (3) after a byte of an answer has gone to the caller there is no other attempt; (4) a caller who
 * leaves ends the exchange, and the provider's request, in the same loop turn; (5) every step that
 * waits has a deadline: of the Redis call, of the upstream call, of the caller's taking. */
#pragma once

struct connection;
struct exchange;
struct http_message;
struct proxy;

/* Takes the message; its purpose is the dialect. The connection is the exchange's from here on. */
void exchange_open(struct proxy *proxy, struct connection *caller, struct http_message *message);
/* It must end, now: an error where no answer has begun, and one that cannot look whole where it
 * has. `why` is told to the caller. x is gone when this returns. */
void exchange_stop(struct exchange *x, const char *why);
