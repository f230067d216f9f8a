/* file_watch.h - notices that a file was replaced or written to, by looking at it when it is about
 * to be used, at most once in FILE_WATCH_MS. What cannot be looked at counts as unchanged: a file
 * that is being replaced is away for a moment, and what was read of it before still holds. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { FILE_WATCH_MS = 1000 };

struct file_watch {
    const char *path; /* borrowed */
    uint64_t looked_ms;
    uint64_t device, inode, bytes;
    int64_t changed_ns; /* contents, name or rights */
};

/* Take the file as it is now, or as it is not there, as known. */
void file_watch_init(struct file_watch *watch, const char *path, uint64_t now_ms);
/* Since init, or since this last said so. */
bool file_watch_has_changed(struct file_watch *watch, uint64_t now_ms);
