/* tiny.h - the same program with its buffers and queues as small as they can be.
 * A size that only decides how much is done at once is written TINY(usual, tiny). The tiny build
 * (scripts/build tiny) then meets every boundary that otherwise needs a megabyte or a slow peer:
 * heads in seven-byte reads, queues of one, arenas of many blocks. Ceilings that a promise names
 * keep their value. What is read right to where it stays is never cut up again, so it comes in
 * larger pieces: many turns for a body, and still a large one in a test's time. */
#pragma once

#ifdef WEIR_TINY
#define TINY(usual, tiny) (tiny)
#else
#define TINY(usual, tiny) (usual)
#endif
