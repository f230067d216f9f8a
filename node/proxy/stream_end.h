/* stream_end.h - how an answer ends: by what it said, whatever its framing, its coding or its
 * connection do. The only place that decides so. */
#pragma once
#include "dialect/watch.h"

/* What has become of the bytes. */
enum transport {
    TRANSPORT_OPEN,
    TRANSPORT_ENDED, /* as their framing has it */
    TRANSPORT_BROKEN /* cut off, or malformed */
};
enum { TRANSPORTS = TRANSPORT_BROKEN + 1 };

enum stream_end {
    STREAM_GOES_ON,
    STREAM_UNSAID,   /* over, and it has said nothing: nobody has been answered by it */
    STREAM_FAILED,   /* it says itself that it failed: nothing of worth follows */
    STREAM_ALL_SAID, /* it says that this was all: it is whole, and nothing of worth follows */
    STREAM_WHOLE,    /* it cannot be read, and has ended as it should */
    STREAM_CUT
};

enum stream_end stream_end_of(enum said said, enum transport transport);
