/* A table. */
#include "proxy/stream_end.h"

/* clang-format off */
static const enum stream_end ends[SAID_OTHER + 1][TRANSPORTS] = {
    /*                 open             ended            broken */
    [SAID_NOTHING] = {STREAM_GOES_ON,  STREAM_UNSAID,   STREAM_UNSAID},
    [SAID_ERROR]   = {STREAM_FAILED,   STREAM_FAILED,   STREAM_FAILED},
    [SAID_PART]    = {STREAM_GOES_ON,  STREAM_CUT,      STREAM_CUT},
    [SAID_STOP]    = {STREAM_ALL_SAID, STREAM_ALL_SAID, STREAM_ALL_SAID},
    [SAID_OTHER]   = {STREAM_GOES_ON,  STREAM_WHOLE,    STREAM_CUT},
};
/* clang-format on */

enum stream_end stream_end_of(enum said said, enum transport transport)
{
    return ends[said][transport];
}
