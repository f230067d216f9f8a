/* live.h - `weir check --live`: does each provider take the key? One request for each that costs
 * nothing, all at once, over the subscription's own base URL, with its own credential and trust. */
#pragma once
#include "config/config.h"

enum { LIVE_DEADLINE_MS = 10000, LIVE_MESSAGE_MAX = 200 };

/* Says what became of each. EXIT_FINE if every key is valid, else EXIT_FAILED. */
int cli_check_live(const struct config *c);
