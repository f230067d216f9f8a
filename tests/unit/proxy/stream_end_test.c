/* How an answer ends: all cases there are. */
#include "proxy/stream_end.h"

#include "check.h"

int main(void)
{
    PROMISE("what has said nothing and is over has answered nobody")
    {
        CHECK(stream_end_of(SAID_NOTHING, TRANSPORT_OPEN) == STREAM_GOES_ON);
        CHECK(stream_end_of(SAID_NOTHING, TRANSPORT_ENDED) == STREAM_UNSAID);
        CHECK(stream_end_of(SAID_NOTHING, TRANSPORT_BROKEN) == STREAM_UNSAID);
    }
    PROMISE("what says that it is all, or that it failed, is over, whatever the bytes do")
    {
        for (unsigned t = TRANSPORT_OPEN; t < TRANSPORTS; t++) {
            CHECK(stream_end_of(SAID_STOP, (enum transport)t) == STREAM_ALL_SAID);
            CHECK(stream_end_of(SAID_ERROR, (enum transport)t) == STREAM_FAILED);
        }
    }
    PROMISE("half a message is cut, however politely it ends")
    {
        CHECK(stream_end_of(SAID_PART, TRANSPORT_OPEN) == STREAM_GOES_ON);
        CHECK(stream_end_of(SAID_PART, TRANSPORT_ENDED) == STREAM_CUT);
        CHECK(stream_end_of(SAID_PART, TRANSPORT_BROKEN) == STREAM_CUT);
    }
    PROMISE("of what cannot be read only the framing tells")
    {
        CHECK(stream_end_of(SAID_OTHER, TRANSPORT_OPEN) == STREAM_GOES_ON);
        CHECK(stream_end_of(SAID_OTHER, TRANSPORT_ENDED) == STREAM_WHOLE);
        CHECK(stream_end_of(SAID_OTHER, TRANSPORT_BROKEN) == STREAM_CUT);
    }
    return check_done();
}
