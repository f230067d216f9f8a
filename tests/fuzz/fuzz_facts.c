/* A request's body: whatever it is, what is found in it keeps the limits of facts.h and outlives
 * the body; and what stands in an array is walked over from its beginning to its end. */
#include "dialect/facts.h"

#include <string.h>

#include "dialect/dialect.h"
#include "format/json_array.h"
#include "fuzz.h"

static void walk(struct slice array)
{
    struct slice rest, element;
    const char *end = array.at + array.len;
    if (!json_array_open(array, &rest))
        return;
    while (json_array_next(&rest, &element)) {
        REQUIRE(element.len > 0 && element.at + element.len <= end);
        REQUIRE(rest.len == 0 || rest.at == element.at + element.len);
        REQUIRE(rest.len == 0 || rest.at + rest.len == end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http1_request request;
    struct request_facts facts;
    struct arena arena;
    char *copy = malloc(size + 1);
    memcpy(copy, data, size);
    arena_init(&arena);
    walk((struct slice){copy, size});
    dialect_anthropic.read_facts(&request, (struct slice){copy, size}, &arena, &facts);
    free(copy);
    REQUIRE(facts.model_count <= FACTS_MODELS_MAX);
    for (unsigned i = 0; i < facts.model_count; i++)
        REQUIRE(facts.models[i].len > 0 && facts.models[i].len <= FACTS_TEXT_MAX);
    REQUIRE(strlen(facts.user.len > 0 ? facts.user.at : "") <= facts.user.len);
    REQUIRE(facts.session.len == 0 && facts.agent.len == 0);
    arena_fini(&arena);
    return 0;
}
