/* The same sources again, and no others. */
#include "config/fixture.h"

/* True if it is refused with a message that holds `words`. */
static bool reload_refused(const struct config *running, const char *words)
{
    struct config *c = NULL;
    bool is_read = config_reload(running, &c, &failure);
    config_release(c);
    return !is_read && strstr(failure.text, words) != NULL;
}

static void test_reload(void)
{
    struct config *running, *c;
    PROMISE("a reload reads the file it started with, and no other if that is away")
    {
        write_file("config.json", "{\"subscriptions\":[" ONE "],\"server\":{\"port\":3}}", 0600);
        set_variable("ANTHROPIC_API_KEY", "k");
        running = load(NULL);
        CHECK(running != NULL && running->server.port == 3);
        unlink("config.json");
        CHECK(reload_refused(running, "cannot read config.json"));
        write_file("config.json", "{\"subscriptions\":[" ONE "],\"server\":{\"port\":4}}", 0600);
        CHECK(config_reload(running, &c, &failure) && c->server.port == 4);
        config_release(c);
        config_release(running);
        unlink("config.json");
    }
    PROMISE("a node without a file does not find one on a reload")
    {
        running = load(NULL);
        write_file("config.json", "{\"subscriptions\":[" ONE "],\"server\":{\"port\":4}}", 0600);
        CHECK(config_reload(running, &c, &failure) && c->server.port == 8080);
        config_release(c);
        config_release(running);
        unlink("config.json");
    }
    PROMISE("a .env that was there and is away is an error, too")
    {
        write_file(".env", "WEIR_ADMIN_TOKEN=t\n", 0600);
        running = load(NULL);
        CHECK(running != NULL && running->has_dotenv);
        unlink(".env");
        CHECK(reload_refused(running, ".env: cannot read .env"));
        config_release(running);
        set_variable("ANTHROPIC_API_KEY", NULL);
    }
}

/* The start looked for it and there was none. */
static void test_dotenv_comes(void)
{
    struct config *running, *c, *again;
    PROMISE("a .env that was looked for at the start and comes later is read, and must stay then")
    {
        set_variable("ANTHROPIC_API_KEY", "k");
        running = load(NULL);
        CHECK(running != NULL && !running->has_dotenv && running->minds_dotenv);
        CHECK(config_reload(running, &c, &failure) && !c->has_dotenv && c->minds_dotenv);
        config_release(c);
        write_file(".env", "ANTHROPIC_API_KEYS=k1,k2\nWEIR_ADMIN_TOKEN=t\n", 0600);
        CHECK(config_reload(running, &c, &failure) && c->has_dotenv && c->subscription_count == 2);
        CHECK(secret_is_set(&c->admin_token));
        unlink(".env");
        CHECK(reload_refused(c, ".env: cannot read .env"));
        config_release(c);
    }
    PROMISE("it is not minded while a file has subscriptions, and again when that has none")
    {
        config_release(running);
        write_file("config.json", "{}", 0600);
        running = load(NULL);
        CHECK(running != NULL && running->minds_dotenv);
        write_file("config.json", "{\"subscriptions\":[" ONE "]}", 0600);
        write_file(".env", "WEIR_ADMIN_TOKEN=t\n", 0600);
        CHECK(config_reload(running, &c, &failure) && !secret_is_set(&c->admin_token));
        write_file("config.json", "{}", 0600);
        CHECK(config_reload(c, &again, &failure) && secret_is_set(&again->admin_token));
        config_release(again);
        config_release(c);
        config_release(running);
        unlink(".env");
        unlink("config.json");
        set_variable("ANTHROPIC_API_KEY", NULL);
    }
}

/* What .env says besides keys, an admin token above all, holds on whatever the file says now. */
static void test_dotenv_stays(void)
{
    struct config *running, *c;
    PROMISE(".env is read again although the file has subscriptions of its own by now")
    {
        write_file("config.json", "{}", 0600);
        write_file(".env", "ANTHROPIC_API_KEY=k\nWEIR_ADMIN_TOKEN=t\n", 0600);
        running = load(NULL);
        CHECK(running != NULL && secret_is_set(&running->admin_token));
        write_file("config.json", "{\"subscriptions\":[" ONE "]}", 0600);
        CHECK(config_reload(running, &c, &failure) && secret_is_set(&c->admin_token));
        config_release(c);
        config_release(running);
        unlink(".env");
    }
    PROMISE("a .env that the start did not look for is not read on a reload either")
    {
        running = load(NULL);
        CHECK(running != NULL && !running->has_dotenv);
        write_file("config.json", "{}", 0600);
        write_file(".env", "ANTHROPIC_API_KEY=k\n", 0600);
        CHECK(reload_refused(running, ""));
        config_release(running);
        unlink(".env");
        unlink("config.json");
    }
}

int main(void)
{
    static const char *const made[] = {".env", "config.json", NULL};
    fixture_enter();
    test_reload();
    test_dotenv_comes();
    test_dotenv_stays();
    fixture_leave(made);
    return check_done();
}
