/*
 * memory_file.c: memory that processes share.
 */
#include "world/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int memory_file_make(void)
{
    int fd = memfd_create("weir", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

int memory_file_map(int fd, size_t max, char **base)
{
    void *at = mmap(NULL, max, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    *base = at;
    return 0;
}

int64_t memory_file_size(int fd)
{
    struct stat now;
    return fstat(fd, &now) == 0 ? now.st_size : -errno;
}

/* To make it shorter than somebody else has just made it is not permitted. */
int memory_file_grow(int fd, size_t size)
{
    for (;;) {
        int64_t now = memory_file_size(fd);
        if (now < 0)
            return (int)now;
        if ((uint64_t)now >= size || ftruncate(fd, (off_t)size) == 0)
            return 0;
        if (errno == EINTR || (errno == EPERM && memory_file_size(fd) > now))
            continue;
        return errno == ENOSPC || errno == EFBIG ? -ENOMEM : -errno;
    }
}

void memory_file_trim(int fd, size_t from)
{
    int64_t size = memory_file_size(fd);
    if (size > 0 && from < (uint64_t)size)
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
            (off_t)((size_t)size - from));
}
