/* err.h - every way an operation can fail, in one table.
 * X(name, HTTP status of our own answer, word for metrics and logs, words for people). */
#pragma once
#include "base/attr.h"

#define ERR_TABLE(X)                                                                \
    X(OK, 200, "ok", "done")                                                        \
    X(ERR_TIMEOUT, 504, "timeout", "no answer in time")                             \
    X(ERR_RESOLVE, 502, "resolve", "the host name could not be resolved")           \
    X(ERR_CONNECT, 502, "connect", "the connection could not be made")              \
    X(ERR_TLS, 502, "tls", "the TLS handshake or certificate check failed")         \
    X(ERR_CLOSED, 502, "closed", "the connection was closed")                       \
    X(ERR_EMPTY, 502, "empty", "an answer without a word")                          \
    X(ERR_PROTOCOL, 502, "protocol", "the peer broke the protocol")                 \
    X(ERR_REFUSED, 529, "refused", "nothing is free")                               \
    X(ERR_STATE_DOWN, 503, "state_down", "Redis cannot be reached")                 \
    X(ERR_REPLY, 503, "redis_error", "Redis answered with an error")                \
    X(ERR_SHORTAGE, 503, "shortage", "the node has no descriptors left; try again") \
    X(ERR_LOST, 502, "lease_lost", "the slot was lost while the node stood still")

enum err {
#define X(name, status, word, text) name,
    ERR_TABLE(X)
#undef X
};

int err_status(enum err err);
const char *err_word(enum err err);
const char *err_text(enum err err);
