/*
 * watch.c: descriptors of libraries that speak a protocol of their own.
 *
 * libuv makes every descriptor it polls non-blocking; ours to give back is the flag as it was.
 */
#include "base/mem.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <fcntl.h>

struct uv_watch {
    struct watch watch;
    struct ready ready;
};

static struct uv_watch *of(struct watch *w)
{
    return container_of(w, struct uv_watch, watch);
}

int uv_world_watch(struct world *w, int fd, struct watch **out)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    struct uv_watch *watch = mem_alloc(sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    kind_opened(uv_world_of(w), KIND_WATCH, &watch->watch.handle);
    ready_init(&watch->ready, &watch->watch.handle, fd);
    int rc = ready_poll(&watch->ready);
    if (!(flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, flags);
    if (rc) {
        watch_close(&watch->watch);
        return rc;
    }
    *out = &watch->watch;
    return 0;
}

static int to_uv(int events)
{
    return (events & WATCH_READ ? UV_READABLE : 0) | (events & WATCH_WRITE ? UV_WRITABLE : 0);
}

int uv_watch_wait(struct watch *watch, int events)
{
    struct ready *r = &of(watch)->ready;
    int rc = ready_wait(r, to_uv(events), "watch");
    if (rc)
        return rc;
    return (r->seen & UV_READABLE ? events & WATCH_READ : 0) |
           (r->seen & UV_WRITABLE ? events & WATCH_WRITE : 0);
}

void uv_watch_close(struct watch *watch)
{
    kind_closed(KIND_WATCH, &watch->handle);
    ready_close(&of(watch)->ready);
}
