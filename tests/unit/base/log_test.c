/* Standard error is a pipe here, so that a test reads what a thread has written. Checks speak after
 * it has been put back: failures are counted, and told by check_done. */
#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

static int pipe_fds[2];
static int real_stderr;
static char seen[1 << 17];

static void capture(void)
{
    fflush(stderr);
    if (pipe(pipe_fds) != 0 || dup2(pipe_fds[1], STDERR_FILENO) < 0)
        abort();
    fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
}

/* Everything written so far, as text. */
static const char *written(void)
{
    size_t len = 0;
    ssize_t n;
    while (len < sizeof(seen) - 1 &&
           (n = read(pipe_fds[0], seen + len, sizeof(seen) - 1 - len)) > 0)
        len += (size_t)n;
    seen[len] = '\0';
    return seen;
}

static void restore(void)
{
    dup2(real_stderr, STDERR_FILENO);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static int has(const char *text)
{
    return strstr(seen, text) != NULL;
}

static void log_all_kinds(void)
{
    if (!log_begin(LOG_INFO, "it happened"))
        return;
    log_text("client", SLICE("bot \"7\"\n\x1b[31m\xff"));
    log_string("plain", "a.b-c");
    log_number("status", UINT64_MAX);
    log_number("none", 0);
    log_micros("took", 1234567);
    log_end();
}

static void test_kept(void)
{
    PROMISE("a kept line is the log's own, as JSON, whatever the log's level and format")
    {
        struct log_kept kept = {.lines = {.max = 1024}};
        capture();
        log_setup(LOG_ERROR, LOG_TEXT);
        if (log_begin_kept(LOG_INFO, "not logged", &kept)) {
            log_micros("took", 1234567);
            log_end();
        }
        CHECK(!log_begin_kept(LOG_INFO, "neither", NULL));
        log_setup(LOG_INFO, LOG_TEXT);
        if (log_begin_kept(LOG_INFO, "both", &kept)) {
            log_text("client", SLICE("a b"));
            log_end();
        }
        log_setup(LOG_INFO, LOG_JSON);
        if (log_begin_kept(LOG_WARN, "the same", &kept)) {
            log_number("status", 200);
            log_end();
        }
        log_message(LOG_INFO, "of somebody else");
        written();
        restore();
        struct slice lines = buf_slice(&kept.lines), line;
        lines = slice_cut(lines, '\n', &line);
        CHECK(slice_starts(line, SLICE("{\"time\":\"2")));
        CHECK(memmem(line.at, line.len, ",\"took\":1.234}", 14) != NULL);
        lines = slice_cut(lines, '\n', &line);
        CHECK(memmem(line.at, line.len, "\"client\":\"a b\"}", 15) != NULL);
        CHECK(has("both client=\"a b\"\n") && !has("not logged") && has("of somebody else"));
        char *logged = strstr(seen, "{\"time\"");
        CHECK(logged != NULL && lines.len > 0 && strncmp(logged, lines.at, lines.len) == 0 &&
              logged[lines.len] == '\n');
        CHECK(kept.left_out == 0);
        buf_fini(&kept.lines);
    }
}

static void test_kept_ceiling(void)
{
    PROMISE("a kept line that finds no room is counted, and the log has it all the same")
    {
        struct log_kept kept = {.lines = {.max = 150}};
        capture();
        for (int i = 0; i < 3; i++)
            if (log_begin_kept(LOG_INFO, "it happened", &kept)) {
                log_string("padding", "0123456789012345678901234567890123456789");
                log_end();
            }
        written();
        restore();
        CHECK(kept.left_out == 2);
        CHECK(buf_len(&kept.lines) > 100 && buf_len(&kept.lines) <= 150);
        CHECK(strchr(strchr(seen, '\n') + 1, '\n') != NULL);
        buf_fini(&kept.lines);
    }
}

static void test_formats(void)
{
    PROMISE("a JSON line is one object with time, level, event and all fields, escaped")
    {
        capture();
        log_setup(LOG_INFO, LOG_JSON);
        log_set_thread_name("worker 1");
        log_all_kinds();
        log_set_thread_name("");
        written();
        restore();
        CHECK(strncmp(seen, "{\"time\":\"2", 10) == 0);
        CHECK(has(",\"level\":\"info\",\"event\":\"it happened\",\"thread\":\"worker 1\""));
        CHECK(has("\"client\":\"bot \\\"7\\\"\\u000a\\u001b[31m\\u00ff\""));
        CHECK(has("\"plain\":\"a.b-c\""));
        CHECK(has("\"status\":18446744073709551615,\"none\":0,\"took\":1.234}\n"));
        CHECK(strchr(seen, '\n') == seen + strlen(seen) - 1);
    }
    PROMISE("a value in any language is read as it was; half a character at its end is left out")
    {
        static char long_value[1025];
        memset(long_value, 'a', sizeof(long_value));
        memcpy(long_value + sizeof(long_value) - 2, "\xc3\xbc", 2);
        capture();
        log_setup(LOG_INFO, LOG_JSON);
        if (log_begin(LOG_INFO, "gr\xc3\xbc\xc3\x9f")) {
            log_string("face", "\xf0\x9f\x98\x80");
            log_text("long", (struct slice){long_value, sizeof(long_value)});
            log_end();
        }
        written();
        restore();
        CHECK(has("\"event\":\"gr\\u00fc\\u00df\",\"face\":\"\\ud83d\\ude00\""));
        CHECK(has("a\"}\n"));
    }
}

static void test_text(void)
{
    PROMISE("a text line is one line too, quotes only what needs it, and cannot drive a terminal")
    {
        capture();
        log_setup(LOG_INFO, LOG_TEXT);
        log_all_kinds();
        written();
        restore();
        CHECK(has(
            " info  it happened client=\"bot \\\"7\\\"\\u000a\\u001b[31m\\u00ff\" plain=a.b-c "));
        CHECK(has(" none=0 took=1.234\n"));
        CHECK(strchr(seen, '\n') == seen + strlen(seen) - 1);
        CHECK(!has("\x1b"));
    }
}

static void test_levels(void)
{
    enum log_level level = LOG_ERROR;
    PROMISE("a line below the level costs nothing and leaves nothing")
    {
        capture();
        log_setup(LOG_WARN, LOG_TEXT);
        int is_begun = log_begin(LOG_INFO, "quiet");
        log_message(LOG_WARN, "loud %d", 1);
        log_set_level(LOG_DEBUG);
        log_message(LOG_DEBUG, "detail");
        written();
        restore();
        CHECK(!is_begun);
        CHECK(!has("quiet"));
        CHECK(has("loud 1"));
        CHECK(has("detail"));
    }
    PROMISE("levels are read by name in any case")
    {
        CHECK(log_level_parse(SLICE("DeBug"), &level) && level == LOG_DEBUG);
        CHECK(log_level_parse(SLICE("error"), &level) && level == LOG_ERROR);
        CHECK(!log_level_parse(SLICE("verbose"), &level));
        CHECK(!log_level_parse(SLICE(""), &level));
    }
}

static void test_limits(void)
{
    static char big[5000];
    memset(big, 'a', sizeof(big));
    log_setup(LOG_INFO, LOG_JSON);
    PROMISE("a value is cut at 1 KiB")
    {
        capture();
        if (log_begin(LOG_INFO, "big")) {
            log_text("value", (struct slice){big, sizeof(big)});
            log_end();
        }
        size_t len = strlen(written());
        restore();
        CHECK(len > 1024 && len < 1024 + 200);
        CHECK(has("a\"}\n"));
    }
    PROMISE("a line that grew too long is not written at all, and the next one tells")
    {
        capture();
        if (log_begin(LOG_INFO, "overlong")) {
            for (int i = 0; i < 20; i++)
                log_text("value", (struct slice){big, sizeof(big)});
            log_end();
        }
        log_message(LOG_INFO, "next");
        written();
        restore();
        CHECK(!has("overlong"));
        CHECK(has("\"event\":\"next\"}\n"));
        CHECK(has("lines were lost"));
        CHECK(has("\"lines\":1}\n"));
    }
}

static void test_gathering(void)
{
    log_setup(LOG_INFO, LOG_JSON);
    PROMISE("gathered lines wait for the flush")
    {
        capture();
        log_gather();
        log_message(LOG_INFO, "waits");
        int is_early = written()[0] != '\0';
        log_flush();
        written();
        log_thread_end();
        restore();
        CHECK(!is_early);
        CHECK(has("waits"));
    }
}

static void test_errors(void)
{
    int file = memfd_create("log", MFD_CLOEXEC);
    struct rlimit former, tight;
    getrlimit(RLIMIT_FSIZE, &former);
    tight = former;
    PROMISE("a line that a full disk has cut spoils no other, and the loss is told")
    {
        dup2(file, STDERR_FILENO);
        log_message(LOG_INFO, "first");
        off_t first = lseek(file, 0, SEEK_END);
        tight.rlim_cur = (rlim_t)first + 20;
        setrlimit(RLIMIT_FSIZE, &tight);
        uint64_t lost = log_lines_lost();
        log_message(LOG_INFO, "second");
        lost = log_lines_lost() - lost;
        setrlimit(RLIMIT_FSIZE, &former);
        log_message(LOG_INFO, "third");
        dup2(real_stderr, STDERR_FILENO);
        ssize_t len = pread(file, seen, sizeof(seen) - 1, 0);
        seen[len > 0 ? len : 0] = '\0';
        CHECK(lost == 1);
        CHECK(has("\"first\"}\n{\"time\""));
        CHECK(!has("second"));
        CHECK(strncmp(seen + first + 20, "\n{\"time\"", 8) == 0);
        CHECK(has("lines were lost"));
        CHECK(has("\"lines\":1}\n{\"time\""));
        CHECK(has("\"third\"}\n"));
    }
    close(file);
}

static void test_node(void)
{
    PROMISE("every line says which node it is of, and which start of it, in both forms")
    {
        log_set_node("wanted", "5f3a91c0");
        log_set_node("given~2", "5f3a91c0");
        capture();
        log_setup(LOG_INFO, LOG_JSON);
        log_message(LOG_INFO, "one");
        log_setup(LOG_INFO, LOG_TEXT);
        log_message(LOG_INFO, "two");
        written();
        restore();
        CHECK(has(",\"event\":\"one\",\"node\":\"given~2\",\"boot\":\"5f3a91c0\"}\n"));
        CHECK(has("two node=given~2 boot=5f3a91c0\n"));
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    real_stderr = dup(STDERR_FILENO);
    test_formats();
    test_kept();
    test_kept_ceiling();
    test_text();
    test_levels();
    test_limits();
    test_gathering();
    test_errors();
    test_node();
    return check_done();
}
