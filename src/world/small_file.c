/*
 * small_file.c: see small_file.h.
 */
#include "world/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct span small_file_read(const char *path, char *buffer, size_t size)
{
    struct span text = {buffer, 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return text;
    ssize_t got = read(fd, buffer, size);
    close(fd);
    if (got > 0)
        text.len = (size_t)got;
    return text;
}

int small_file_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return rc;
}
