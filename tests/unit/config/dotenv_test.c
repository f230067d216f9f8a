/* ./.env: whose lines are read, how, and what is said of the wrong ones. */
#include "config/fixture.h"

static void test_dotenv(void)
{
    PROMISE(".env stands in for the environment; the environment goes before it")
    {
        write_file(
            ".env",
            "\xef\xbb\xbf# keys\r\n\r\nexport ANTHROPIC_API_KEYS='a,b' # two\r\n"
            "PORT = 1234\nLOG_LEVEL=\"de\\bug\"\nWEIR_NODE_ID=n#1 # x\nEMPTY=\nLOG_LEVEL=warn",
            0600);
        set_variable("WEIR_NODE_ID", "n2");
        struct config *c = load(NULL);
        CHECK(c != NULL && c->subscription_count == 2 && c->server.port == 1234);
        CHECK(c != NULL && c->log_level == LOG_WARN && strcmp(c->node.id, "n2") == 0);
        CHECK(c != NULL && c->warning_count == 0);
        config_release(c);
        set_variable("WEIR_NODE_ID", NULL);
        CHECK(load_refused(NULL, "WEIR_NODE_ID (.env:6): node.id: found \"n#1\""));
    }
    PROMISE("a line of .env that is ours and wrong is named")
    {
        write_file(".env", "A=1\nANTHROPIC_API_KEY bar\n", 0600);
        CHECK(load_refused(NULL, ".env:2: no '=' behind the name, expected NAME=value"));
        CHECK(failure.line == 2 && strcmp(failure.source, ".env") == 0);
        write_file(".env", "ANTHROPIC_API_KEY: bar\n", 0600);
        CHECK(load_refused(NULL, ".env:1: no '='"));
        write_file(".env", "PORT=\"1\n", 0600);
        CHECK(load_refused(NULL, ".env:1: the quote is not closed"));
        write_file(".env", "PORT='1' x\n", 0600);
        CHECK(load_refused(NULL, ".env:1: something stands behind"));
        write_file(".env", "ANTHROPIC_API_KEY=a\n", 0644);
        struct config *c = load(NULL);
        CHECK(c != NULL && has_warning(c, "chmod 600 .env"));
        config_release(c);
    }
    PROMISE("a file with subscriptions never looks at .env")
    {
        write_file(".env", "PORT=x\nnonsense\n", 0600);
        struct config *c = load("own.json");
        CHECK(c != NULL && c->server.port == 1);
        config_release(c);
        unlink(".env");
    }
}

static void test_shared_dotenv(void)
{
    PROMISE("lines of .env that are someone else's may be anything, over several lines too")
    {
        write_file(".env",
                   "a.b=1\nmy-x=1\n=1\nfoo bar\n"
                   "PEM=\"-----BEGIN KEY-----\nPORT=1\nMIIE+x=\n-----END KEY-----\"\n"
                   "BARE=-----BEGIN KEY-----\nMIIE+x==\n-----END KEY-----\n"
                   "OTHER='two\nPORT=2 \\'\n"
                   "ANTHROPIC_API_KEY=k\nX='1' y\nPORT=7\n",
                   0600);
        struct config *c = load(NULL);
        CHECK(c != NULL && c->subscription_count == 1 && c->server.port == 7);
        config_release(c);
        write_file(".env", "MOTTO='tis the season\nANTHROPIC_API_KEY='k'\nPORT=x\n", 0600);
        CHECK(load_refused(NULL, "PORT (.env:3): server.port: found \"x\""));
        write_file(".env", "A='1\n2\n3'\nPORT=x\nANTHROPIC_API_KEY=k\n", 0600);
        CHECK(load_refused(NULL, "PORT (.env:4): "));
        unlink(".env");
    }
}

int main(void)
{
    static const char *const made[] = {".env", NULL};
    fixture_enter();
    test_dotenv();
    test_shared_dotenv();
    fixture_leave(made);
    return check_done();
}
