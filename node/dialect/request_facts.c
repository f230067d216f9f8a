/* request_facts.c - the two values of a request body that routing wants, without parsing it. */
#include <string.h>

#include "dialect/watch.h"
#include "format/json_scan.h"

enum path { MODEL, STREAM, PATHS };

static void on_value(void *arg, unsigned path, enum json_kind kind, struct slice value)
{
    struct request_facts *facts = arg;
    if (path == STREAM) {
        facts->is_stream = kind == JSON_SCAN_TRUE;
        return;
    }
    size_t len = value.len < sizeof(facts->model) - 1 ? value.len : sizeof(facts->model) - 1;
    if (kind != JSON_SCAN_STRING)
        len = 0;
    memcpy(facts->model, value.at, len);
    facts->model[len] = '\0';
}

void request_facts_read(struct slice body, struct request_facts *facts)
{
    static const char *const paths[PATHS] = {[MODEL] = "model", [STREAM] = "stream"};
    struct json_scan scan;
    memset(facts, 0, sizeof(*facts));
    json_scan_init(&scan, paths, PATHS, on_value, facts);
    json_scan_feed(&scan, body);
    if (!json_scan_is_complete(&scan))
        memset(facts, 0, sizeof(*facts));
}
