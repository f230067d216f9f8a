#include "base/mem.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void test_takes(void)
{
    PROMISE("memory comes zeroed")
    {
        unsigned char *at = mem_new(4096);
        unsigned sum = 0;
        for (size_t i = 0; i < 4096; i++)
            sum += at[i];
        CHECK(sum == 0);
        free(at);
    }
    PROMISE("resizing keeps what was there, and begins with nothing too")
    {
        char *at = mem_resize(NULL, 4);
        memcpy(at, "abcd", 4);
        at = mem_resize(at, 100000);
        CHECK(memcmp(at, "abcd", 4) == 0);
        at = mem_resize(at, 2);
        CHECK(memcmp(at, "ab", 2) == 0);
        free(at);
    }
    PROMISE("taking nothing is no failure")
    {
        free(mem_new(0));
        free(mem_resize(NULL, 0));
    }
}

static void test_string(void)
{
    PROMISE("a string is a copy of exactly the slice, terminated")
    {
        char bytes[] = "hello, world";
        char *copy = mem_string((struct slice){bytes, 5});
        bytes[0] = 'j';
        CHECK(strcmp(copy, "hello") == 0);
        free(copy);
    }
    PROMISE("the empty slice becomes the empty string")
    {
        char *copy = mem_string(SLICE_NONE);
        CHECK(copy != NULL && copy[0] == '\0');
        free(copy);
    }
}

static void take_too_much(int said)
{
    struct rlimit none = {0};
    volatile size_t too_much = (size_t)1 << 62;
    setrlimit(RLIMIT_CORE, &none);
    dup2(said, STDERR_FILENO);
    void *at = mem_new(too_much);
    _exit(at != NULL ? 1 : 2); /* it came back: broken */
}

static void test_no_memory(void)
{
    PROMISE("without memory the program says so and aborts, it does not go on")
    {
        int said[2], status = 0;
        char text[4096] = "";
        CHECK(pipe(said) == 0);
        pid_t child = fork();
        if (child == 0)
            take_too_much(said[1]);
        close(said[1]);
        for (size_t n = 0; n < sizeof(text) - 1;) {
            ssize_t got = read(said[0], text + n, sizeof(text) - 1 - n);
            if (got <= 0)
                break;
            n += (size_t)got;
        }
        waitpid(child, &status, 0);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        CHECK(strstr(text, "weir: out of memory (4611686018427387904 bytes)") != NULL);
        close(said[0]);
    }
}

/* The sanitizer would end the program before the allocation could fail. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

int main(void)
{
    test_takes();
    test_string();
    test_no_memory();
    return check_done();
}
