/* json_scan.h - finds a few values in JSON as it streams by, without building anything.
 * A full parse of a body costs more than all the rest of a request; this looks at every byte once
 * and touches only the values asked for. It is a reader, not a validator: on malformed input it
 * stops reporting and says so; it never fails the exchange. What is skipped (everything that is on
 * no path) is only checked for its brackets and strings.
 *
 * A path is a string of keys joined by dots ("message.usage.input_tokens"); only object members are
 * addressed, arrays are skipped as a whole. A key given twice reports twice (the last one wins for
 * whoever stores it). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "format/json_skip.h"

enum {
    JSON_SCAN_PATHS_MAX = 24,
    JSON_SCAN_DEPTH_MAX = 4, /* keys in a path */
    JSON_SCAN_VALUE_MAX = 256,
    JSON_SCAN_NESTING_MAX = 512 /* deeper: broken */
};

/* Not the names Jansson has: a file may include both. */
enum json_kind {
    JSON_SCAN_STRING,
    JSON_SCAN_NUMBER,
    JSON_SCAN_TRUE,
    JSON_SCAN_FALSE,
    JSON_SCAN_NULL,
    JSON_SCAN_RAW
};

/* `path`: index into the table given. `value`: a string without quotes and with its escapes undone
 * (a longer one than JSON_SCAN_VALUE_MAX is cut), else the literal; a number longer than that is
 * not reported; of JSON_SCAN_RAW the bytes as they stand, however many. Borrowed. */
typedef void (*json_scan_fn)(void *arg, unsigned path, enum json_kind kind, struct slice value);

/* Private; it is here to be embedded. It holds no memory. */
struct json_scan {
    const char *const *paths;
    json_scan_fn on_value;
    void *arg;
    uint32_t open[JSON_SCAN_DEPTH_MAX];   /* per object we are in: bit set of paths through it */
    uint32_t wanted;                      /* paths that end at the value being read */
    uint32_t raw;                         /* paths that want it as it stands */
    uint32_t deeper;                      /* paths that go on inside it */
    uint16_t prefix[JSON_SCAN_DEPTH_MAX]; /* bytes of the open paths that lead there */
    uint16_t next_prefix;                 /* of those in `deeper` */
    uint16_t text_len;
    uint8_t state;
    uint8_t depth;  /* objects we are in, those skipped not counted */
    bool is_key;    /* the string being read is one */
    bool is_cut;    /* the text did not hold all of it */
    bool is_odd;    /* an odd number of backslashes ended the last piece */
    uint8_t digits; /* of \uXXXX, read so far */
    uint16_t unit;  /* their value */
    uint16_t high;  /* a high surrogate waiting for its other half, or 0 */
    struct json_skip skip;
    const char *raw_at; /* where the value being skipped begins; NULL: not in this feed */
    char text[JSON_SCAN_VALUE_MAX]; /* key, string or literal being read */
};

/* At most JSON_SCAN_PATHS_MAX paths of at most JSON_SCAN_DEPTH_MAX keys; they and their table are
 * borrowed as long as the scan is in use. */
void json_scan_init(struct json_scan *scan, const char *const *paths, unsigned path_count,
                    json_scan_fn on_value, void *arg);
/* Report a string, object or array at the end of this path as it stands, brackets and quotes
 * included; only one that begins and ends within one feed. Other values are reported as always. */
void json_scan_want_raw(struct json_scan *scan, unsigned path);
/* Feed the next bytes; any cut is fine, inside a key, an escape or a number. */
void json_scan_feed(struct json_scan *scan, struct slice bytes);
/* The top-level value has been read to its end, and nothing was malformed so far. A number at the
 * top level has no end of its own: it is complete when white space follows. */
bool json_scan_is_complete(const struct json_scan *scan);
bool json_scan_is_broken(const struct json_scan *scan);
