/*
 * plain_pages.c: memory in large pages, before a process forks again and again.
 *
 * A fork copies an entry for each page of what the process has of its own: with a model of 100 MB
 * that is 25,000 entries, and a millisecond, there and once more when the child ends. In pages of
 * 2 MiB it is 50. The kernel makes them of what is there already (since Linux 6.1, MADV_COLLAPSE);
 * where it cannot, forks are slower, and nothing else.
 */
#include "base/sanitizers.h"
#include "world/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#    define MADV_COLLAPSE 25
#endif

#define SMALL     ((uintptr_t)4096)
#define LARGE     ((uintptr_t)2 * 1024 * 1024)
/* What is hardly used is left as it is: in a large page it would need all of its memory. */
#define USED_MIN  (LARGE / SMALL * 3 / 4)
/* Addresses can be reserved by the terabyte; so many are looked at. */
#define LOOKS_MAX (1 << 16)

struct looking {
    unsigned left;
    bool refused; /* the kernel knows no such thing */
};

static bool is_used(void *at)
{
    unsigned char there[LARGE / SMALL];
    size_t used = 0;
    if (mincore(at, LARGE, there) != 0)
        return false;
    for (size_t i = 0; i < sizeof(there); i++)
        used += there[i] & 1;
    return used >= USED_MIN;
}

static void join_pages(struct looking *l, uintptr_t from, uintptr_t to)
{
    uintptr_t at = (from + LARGE - 1) & ~(LARGE - 1);
    for (; at < to && to - at >= LARGE && l->left > 0 && !l->refused; at += LARGE) {
        void *page = (void *)at; // NOLINT(performance-no-int-to-ptr): addresses as /proc has them
        l->left--;
        if (is_used(page) && madvise(page, LARGE, MADV_COLLAPSE) != 0)
            l->refused = errno == EINVAL;
    }
}

/* "from-to rw-p offset device inode ...": memory of the process's own, of no file. */
static void look_at(struct looking *l, const char *line)
{
    uintptr_t from;
    uintptr_t to;
    char rights[5];
    unsigned long inode;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %lu", &from, &to, rights, &inode) ==
            4 &&
        strcmp(rights, "rw-p") == 0 && inode == 0)
        join_pages(l, from, to);
}

void plain_join_pages(void)
{
    struct looking l = {.left = LOOKS_MAX};
    char text[4096];
    size_t len = 0;
    ssize_t got;
    if (WITH_SHADOW || sysconf(_SC_PAGESIZE) != (long)SMALL)
        return;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && (got = read(fd, text + len, sizeof(text) - 1 - len)) > 0) {
        len += (size_t)got;
        text[len] = '\0';
        char *line = text;
        char *end;
        for (; (end = strchr(line, '\n')); line = end + 1) {
            *end = '\0';
            look_at(&l, line);
        }
        len -= (size_t)(line - text);
        if (len == sizeof(text) - 1)
            len = 0; /* a name longer than names are: the rest of it is no line of ours */
        memmove(text, line, len);
    }
    if (fd >= 0)
        close(fd);
}
