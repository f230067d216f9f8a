#include "cpu_watch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAT_USER_TIME = 14 }; /* fields of /proc/PID/stat, counted from 1; system time is next */

/* The file's text, terminated and perhaps cut; empty if it cannot be read. */
static void read_text(const char *folder, const char *task, const char *name, char *text,
                      size_t size)
{
    char path[400];
    size_t len = 0;
    snprintf(path, sizeof(path), "%s/%s/%s", folder, task, name);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        len = fread(text, 1, size - 1, file);
        fclose(file);
    }
    text[len] = '\0';
}

/* The scheduler's count in nanoseconds; a kernel without it leaves only clock ticks. */
static int64_t read_task_us(const char *folder, const char *task)
{
    char text[1024];
    read_text(folder, task, "schedstat", text, sizeof(text));
    int64_t ran_ns = strtoll(text, NULL, 10);
    if (ran_ns > 0)
        return ran_ns / 1000;
    read_text(folder, task, "stat", text, sizeof(text));
    char *at = strrchr(text, ')'); /* a name may have spaces */
    for (int field = 2; at != NULL && field < STAT_USER_TIME; field++)
        at = strchr(at + 1, ' ');
    if (at == NULL)
        return 0;
    int64_t ticks = strtoll(at, &at, 10);
    ticks += strtoll(at, NULL, 10);
    return ticks * (1000000 / sysconf(_SC_CLK_TCK));
}

int64_t cpu_watch_read_us(int pid)
{
    char folder[64];
    int64_t sum_us = 0;
    snprintf(folder, sizeof(folder), "/proc/%d/task", pid);
    DIR *tasks = opendir(folder);
    if (tasks == NULL)
        return -1;
    struct dirent *task;
    while ((task = readdir(tasks)) != NULL) {
        if (task->d_name[0] != '.')
            sum_us += read_task_us(folder, task->d_name);
    }
    closedir(tasks);
    return sum_us;
}
