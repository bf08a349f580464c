/*
 * shared.c: memory that this process and its children both see.
 */
#include "base/mem.h"
#include "world/memory_file.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

struct uv_shared {
    struct shared shared;
    int fd;
    size_t max;
    char *base;
};

static const struct uv_shared *seen(const struct shared *s)
{
    return (const struct uv_shared *)s;
}

int shared_fd(const struct shared *s)
{
    return seen(s)->fd;
}

static int make(struct uv_shared *s, size_t max)
{
    s->max = max;
    s->fd = memory_file_make();
    if (s->fd < 0)
        return s->fd;
    int rc = memory_file_map(s->fd, max, &s->base);
    if (rc)
        close(s->fd);
    return rc;
}

int uv_world_shared(struct world *w, size_t max, struct shared **out)
{
    struct uv_shared *s = mem_alloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    int rc = make(s, max);
    if (rc) {
        mem_free(s);
        return rc;
    }
    kind_opened(uv_world_of(w), KIND_SHARED, &s->shared.handle);
    *out = &s->shared;
    return 0;
}

char *uv_shared_base(const struct shared *s)
{
    return seen(s)->base;
}

size_t uv_shared_size(const struct shared *s)
{
    int64_t size = memory_file_size(seen(s)->fd);
    size_t max = seen(s)->max;
    if (size < 0)
        return 0;
    return (uint64_t)size < max ? (size_t)size : max;
}

int uv_shared_grow(struct shared *s, size_t size)
{
    return size > seen(s)->max ? -ENOSPC : memory_file_grow(seen(s)->fd, size);
}

void uv_shared_trim(struct shared *s, size_t from)
{
    memory_file_trim(seen(s)->fd, from);
}

void uv_shared_close(struct shared *s)
{
    kind_closed(KIND_SHARED, &s->handle);
    munmap(seen(s)->base, seen(s)->max);
    close(seen(s)->fd);
}
