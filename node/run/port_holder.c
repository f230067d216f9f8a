/* /proc/net/tcp names the listening socket by its inode; whose descriptor leads to that inode has
 * the port. Both are plain text, read a line and an entry at a time. */
#include "run/port_holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/slice.h"

/* The columns of a row: "0: 0100007F:1F90 00000000:0000 0A ..." */
enum { COLUMN_LOCAL = 1, COLUMN_STATE = 3, COLUMN_INODE = 9, COLUMNS };

static void split_row(const char *row, struct slice *columns)
{
    struct slice rest = slice_of(row);
    for (size_t count = 0; count < COLUMNS;) {
        columns[count] = SLICE_NONE;
        rest = slice_cut(rest, ' ', &columns[count]);
        if (columns[count].len > 0 || rest.len == 0)
            count++; /* blanks before a column are none */
    }
}

/* 0: not this */
static uint64_t inode_of_row(const char *row, uint16_t port)
{
    struct slice columns[COLUMNS], local;
    char hex[8];
    size_t colon;
    uint64_t inode;
    split_row(row, columns);
    snprintf(hex, sizeof(hex), "%04X", port);
    local = columns[COLUMN_LOCAL];
    bool is_it = slice_find(local, ':', &colon) &&
                 slice_eq(slice_from(local, colon + 1), slice_of(hex)) &&
                 slice_eq(columns[COLUMN_STATE], SLICE("0A")) &&
                 slice_number(columns[COLUMN_INODE], UINT64_MAX, &inode);
    return is_it ? inode : 0;
}

static uint64_t inode_of_listener(const char *table, uint16_t port)
{
    char row[512];
    uint64_t inode = 0;
    FILE *file = fopen(table, "re");
    if (file == NULL)
        return 0;
    while (inode == 0 && fgets(row, sizeof(row), file) != NULL)
        inode = inode_of_row(row, port);
    fclose(file);
    return inode;
}

static bool has_descriptor(const char *folder, const char *wanted)
{
    char target[64];
    bool is_found = false;
    DIR *dir = opendir(folder); /* fails for others' processes */
    if (dir == NULL)
        return false;
    for (struct dirent *e; !is_found && (e = readdir(dir)) != NULL;) { /* NOLINT: one thread */
        ssize_t len = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);
        target[len > 0 ? len : 0] = '\0';
        is_found = strcmp(target, wanted) == 0;
    }
    closedir(dir);
    return is_found;
}

static void read_name(uint64_t pid, char name[PORT_HOLDER_NAME_MAX])
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%" PRIu64 "/comm", pid);
    FILE *file = fopen(path, "re");
    name[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(name, PORT_HOLDER_NAME_MAX, file) != NULL)
        name[strcspn(name, "\n")] = '\0';
    for (char *c = name; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?'; /* a program names itself as it likes */
    fclose(file);
}

static void find_process(uint64_t inode, struct port_holder *holder)
{
    char wanted[64], folder[64];
    DIR *dir = opendir("/proc");
    if (dir == NULL)
        return;
    snprintf(wanted, sizeof(wanted), "socket:[%" PRIu64 "]", inode);
    for (struct dirent *e; holder->pid == 0 && (e = readdir(dir)) != NULL;) { /* NOLINT: as above */
        uint64_t pid;
        if (!slice_number(slice_of(e->d_name), INT32_MAX, &pid))
            continue;
        snprintf(folder, sizeof(folder), "/proc/%" PRIu64 "/fd", pid);
        if (!has_descriptor(folder, wanted))
            continue;
        holder->pid = (pid_t)pid;
        read_name(pid, holder->name);
    }
    closedir(dir);
}

bool port_holder_find(uint16_t port, struct port_holder *holder)
{
    *holder = (struct port_holder){0};
    uint64_t inode = inode_of_listener("/proc/net/tcp", port);
    if (inode == 0)
        inode = inode_of_listener("/proc/net/tcp6", port);
    if (inode == 0)
        return false;
    find_process(inode, holder);
    return true;
}
