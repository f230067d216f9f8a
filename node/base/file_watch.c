/* A file is known by device, inode, size and the time of its last change: each of replacing,
 * writing and linking moves at least one of them. */
#include "base/file_watch.h"

#include <stddef.h>
#include <sys/stat.h>

/* False: it is as it was, or cannot be looked at. */
static bool look(struct file_watch *watch)
{
    struct stat now;
    struct file_watch before = *watch;
    if (watch->path == NULL || stat(watch->path, &now) != 0)
        return false;
    watch->device = now.st_dev;
    watch->inode = now.st_ino;
    watch->bytes = (uint64_t)now.st_size;
    watch->changed_ns = now.st_ctim.tv_sec * 1000000000 + now.st_ctim.tv_nsec;
    return watch->device != before.device || watch->inode != before.inode ||
           watch->bytes != before.bytes || watch->changed_ns != before.changed_ns;
}

void file_watch_init(struct file_watch *watch, const char *path, uint64_t now_ms)
{
    *watch = (struct file_watch){.path = path, .looked_ms = now_ms};
    (void)look(watch);
}

bool file_watch_has_changed(struct file_watch *watch, uint64_t now_ms)
{
    if (now_ms - watch->looked_ms < FILE_WATCH_MS)
        return false;
    watch->looked_ms = now_ms;
    return look(watch);
}
