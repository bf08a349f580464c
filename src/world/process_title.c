/*
 * process_title.c: see process_title.h.
 *
 * The kernel says where the command line is in this process's memory, and writes there for us: an
 * address that is not ours is then an error, not a fault (under valgrind it is valgrind's own).
 */
#include "world/process_title.h"

#include "world/small_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define STAT_MAX      1024
/* Of /proc/self/stat, counted from the state, which is behind the name and its parenthesis. */
#define ARG_START     (48 - 3)
/* What a command line of spawn_options.title may have beside the title. A longer one was typed by
 * somebody, and stays. */
#define ARGUMENTS_MAX 128

/* Where the command line begins, and its length; 0: it is not known. */
static size_t find_arguments(off_t *start)
{
    char text[STAT_MAX + 1];
    struct span all = small_file_read("/proc/self/stat", text, STAT_MAX);
    text[all.len] = '\0';
    char *at = strrchr(text, ')');
    for (int i = -1; at && i < ARG_START; i++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    if (!at)
        return 0;
    long long first = strtoll(at, &at, 10);
    long long end = strtoll(at, NULL, 10);
    *start = (off_t)first;
    return first > 0 && end > first ? (size_t)(end - first) : 0;
}

/* What is left of the former one is made zero: ps ends there. */
static void write_arguments(const char *title, off_t start, size_t size)
{
    char text[PROCESS_TITLE_MAX + 1 + ARGUMENTS_MAX] = {0};
    if (size == 0 || size > sizeof(text))
        return;
    size_t room = size - 1 < PROCESS_TITLE_MAX ? size - 1 : PROCESS_TITLE_MAX;
    snprintf(text, room + 1, "%s", title);
    int fd = open("/proc/self/mem", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t wrote = pwrite(fd, text, size, start);
    (void)wrote; /* for people only */
    close(fd);
}

void process_title(const char *title, const char *name)
{
    off_t start = 0;
    size_t size = find_arguments(&start);
    write_arguments(title, start, size);
    prctl(PR_SET_NAME, name);
}
