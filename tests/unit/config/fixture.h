/* fixture.h - what the tests of loading share: a folder of their own, an environment without
 * settings, files and variables set in one line. */
#pragma once
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "config/config.h"

#define ONE "{\"name\":\"a\",\"api_key\":\"sk-ant-api03-x\"}"

extern char **environ;

static struct config_error failure;

/* NULL: unset. There is one thread. */
static inline void set_variable(const char *name, const char *value)
{
    if (value != NULL)
        setenv(name, value, 1); /* NOLINT(concurrency-mt-unsafe) */
    else
        unsetenv(name); /* NOLINT(concurrency-mt-unsafe) */
}

static inline void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0 && chmod(path, mode) == 0);
}

static inline bool load_refused(const char *path, const char *words)
{
    struct config *c = NULL;
    bool is_read = config_load(path, &c, &failure);
    config_release(c);
    if (!is_read && strstr(failure.text, words) != NULL)
        return true;
    fprintf(stderr, "    gave: %s\n", failure.text);
    return false;
}

static inline struct config *load(const char *path)
{
    struct config *c = NULL;
    if (!config_load(path, &c, &failure))
        fprintf(stderr, "    gave: %s\n", failure.text);
    return c;
}

static inline bool has_warning(const struct config *c, const char *words)
{
    for (size_t i = 0; i < c->warning_count; i++)
        if (strstr(c->warnings[i], words) != NULL)
            return true;
    return false;
}

static inline void clear_environment(void)
{
    static const char *const names[] = {"WEIR_CONFIG",
                                        "XDG_CONFIG_HOME",
                                        "HOME",
                                        "ANTHROPIC_API_KEY",
                                        "ANTHROPIC_API_KEYS",
                                        "OPENAI_API_KEY",
                                        "OPENAI_API_KEYS",
                                        "SERVICE_ENDPOINTS",
                                        "PORT",
                                        "WEIR_HOST",
                                        "LOG_LEVEL",
                                        "WEIR_AUTH",
                                        "WEIR_REDIS_URL",
                                        "WEIR_NODE_ID",
                                        "WEIR_STATE_DIR",
                                        "WEIR_ADMIN_TOKEN",
                                        "LB_STRATEGY",
                                        "ANTHROPIC_BASE_URL",
                                        "ANTHROPIC_AUTH_TOKEN",
                                        "CLAUDE_CODE_OAUTH_TOKEN"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        set_variable(names[i], NULL);
    for (char **at = environ; *at != NULL;) { /* WEIR_TEST_PORTS and the like */
        char name[128];
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(*at, "="), *at);
        at++;
        if (strncmp(name, "WEIR_", 5) == 0) {
            set_variable(name, NULL);
            at = environ; /* it has moved */
        }
    }
}

static char fixture_folder[] = "/tmp/weir-config-XXXXXX";

/* The working directory is an empty folder. */
static inline void fixture_enter(void)
{
    clear_environment();
    CHECK(mkdtemp(fixture_folder) != NULL && chdir(fixture_folder) == 0);
    write_file("own.json", "{\"subscriptions\":[" ONE "],\"server\":{\"port\":1}}", 0600);
}

/* `names`: what has been made there, NULL at the end. */
static inline void fixture_leave(const char *const *names)
{
    (void)unlink("own.json");
    for (; *names != NULL; names++)
        (void)remove(*names);
    CHECK(chdir("/") == 0 && rmdir(fixture_folder) == 0);
}
