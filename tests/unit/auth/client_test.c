#include "auth/client.h"

#include "check.h"
#include "config/config.h"

static struct arena arena;

static struct slice clean(struct slice raw)
{
    return client_clean(raw, &arena);
}

static struct slice name_of(struct http1_header *headers, unsigned count)
{
    struct http1_request request = {.headers = headers, .header_count = count};
    return client_name(&request, SLICE("10.1.2.3"), &arena);
}

static void test_clean(void)
{
    PROMISE("a name that is fit for a key stays what it is, in its own memory")
    {
        struct slice raw = SLICE("Az09._:@-");
        CHECK(clean(raw).at == raw.at && clean(raw).len == raw.len);
        CHECK_TEXT(clean(SLICE("fe80::1")), "fe80::1");
    }
    PROMISE("every other byte becomes an underline, one for one")
    {
        CHECK_TEXT(clean(SLICE("a b/c{d}e")), "a_b_c_d_e");
        CHECK_TEXT(clean(SLICE("x\0y\r\nz;")), "x_y__z_");
        CHECK_TEXT(clean(SLICE("\xc3\xa4*")), "___");
    }
    PROMISE("the bytes around the allowed ranges are not in them")
    CHECK_TEXT(clean(SLICE("`{@[/:;,")), "__@__:__");
}

static void test_length(void)
{
    char long_name[3 * NAME_BYTES_MAX];
    memset(long_name, 'n', sizeof(long_name));
    PROMISE("a name as long as the limit stays, a longer one is cut there")
    {
        CHECK(clean((struct slice){long_name, NAME_BYTES_MAX}).at == long_name);
        struct slice cut = clean((struct slice){long_name, NAME_BYTES_MAX + 1});
        CHECK(cut.len == NAME_BYTES_MAX && memcmp(cut.at, long_name, cut.len) == 0);
        CHECK(clean((struct slice){long_name, sizeof(long_name)}).len == NAME_BYTES_MAX);
    }
    PROMISE("a long name is cleaned to its end, and what is beyond the limit does not matter")
    {
        long_name[NAME_BYTES_MAX - 1] = '!';
        long_name[NAME_BYTES_MAX] = '!';
        struct slice cut = clean((struct slice){long_name, sizeof(long_name)});
        CHECK(cut.len == NAME_BYTES_MAX && cut.at[cut.len - 1] == '_' && cut.at[0] == 'n');
    }
}

static void test_name(void)
{
    struct http1_header both[] = {{SLICE("X-Bot-Id"), SLICE("bot")},
                                  {SLICE("X-Client-Id"), SLICE("my client")}};
    struct http1_header empty[] = {{SLICE("x-client-id"), SLICE_NONE},
                                   {SLICE("x-bot-id"), SLICE("bot 7")}};
    PROMISE("x-client-id counts before x-bot-id, wherever they stand, and is cleaned")
    CHECK_TEXT(name_of(both, 2), "my_client");
    PROMISE("x-bot-id is taken if it is alone, or if x-client-id is empty")
    {
        CHECK_TEXT(name_of(both, 1), "bot");
        CHECK_TEXT(name_of(empty, 2), "bot_7");
    }
    PROMISE("without a name of its own a caller is its address, so a name is never empty")
    {
        CHECK_TEXT(name_of(NULL, 0), "10.1.2.3");
        CHECK_TEXT(name_of(empty, 1), "10.1.2.3");
    }
}

int main(void)
{
    arena_init(&arena);
    test_clean();
    test_length();
    test_name();
    arena_fini(&arena);
    return check_done();
}
