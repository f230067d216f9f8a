#include "base/file_watch.h"

#include <unistd.h>

#include "check.h"

static char path[64];

static void write_file(const char *to, const char *text)
{
    FILE *file = fopen(to, "w");
    CHECK(file != NULL && fputs(text, file) >= 0);
    fclose(file);
}

static void test_changes(void)
{
    struct file_watch watch;
    uint64_t now_ms = 1000000;
    write_file(path, "one");
    file_watch_init(&watch, path, now_ms);
    PROMISE("a file nobody touched has not changed")
    CHECK(!file_watch_has_changed(&watch, now_ms += FILE_WATCH_MS));
    PROMISE("one that was written to has, and this is said once")
    {
        write_file(path, "three");
        CHECK(file_watch_has_changed(&watch, now_ms += FILE_WATCH_MS));
        CHECK(!file_watch_has_changed(&watch, now_ms += FILE_WATCH_MS));
    }
    PROMISE("so has one that was replaced by another of the same size")
    {
        char other[80];
        snprintf(other, sizeof(other), "%s.new", path);
        write_file(other, "eerht");
        CHECK(rename(other, path) == 0);
        CHECK(file_watch_has_changed(&watch, now_ms += FILE_WATCH_MS));
    }
    PROMISE("it is looked at only so often")
    {
        write_file(path, "something else");
        CHECK(!file_watch_has_changed(&watch, now_ms + FILE_WATCH_MS - 1));
        CHECK(file_watch_has_changed(&watch, now_ms += FILE_WATCH_MS));
    }
    PROMISE("a file that is away is as it was; when it is there again it has changed")
    {
        CHECK(unlink(path) == 0);
        CHECK(!file_watch_has_changed(&watch, now_ms += FILE_WATCH_MS));
        write_file(path, "back");
        CHECK(file_watch_has_changed(&watch, now_ms += FILE_WATCH_MS));
    }
    PROMISE("no file never changes")
    {
        file_watch_init(&watch, NULL, now_ms);
        CHECK(!file_watch_has_changed(&watch, now_ms += FILE_WATCH_MS));
    }
}

int main(void)
{
    snprintf(path, sizeof(path), "/tmp/weir-watch-%ld", (long)getpid());
    test_changes();
    unlink(path);
    return check_done();
}
