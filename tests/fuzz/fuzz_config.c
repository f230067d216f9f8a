/* A config file: read, or refused with a message of one line. */
#include <string.h>

#include "config/config.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = NULL;
    struct config_error error = {.text = ""};
    if (config_parse((struct slice){(const char *)data, size}, "config.json", &config, &error)) {
        REQUIRE(config != NULL && config->subscription_count <= SUBSCRIPTIONS_MAX);
        for (size_t i = 0; i < config->subscription_count; i++) {
            const struct subscription *s = &config->subscriptions[i];
            size_t len = strlen(s->name);
            REQUIRE(len > 0 && len <= NAME_BYTES_MAX);
            REQUIRE(config_subscription(config, slice_of(s->name)) == s);
            REQUIRE(s->max_concurrent >= 1 && s->max_concurrent <= MAX_CONCURRENT_MAX);
        }
        config_release(config_hold(config));
        config_release(config);
        return 0;
    }
    size_t len = strnlen(error.text, sizeof(error.text));
    REQUIRE(len > 0 && len < sizeof(error.text));
    REQUIRE(memchr(error.text, '\n', len) == NULL);
    return 0;
}
