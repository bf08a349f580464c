/*
 * files.c: the calls of world.h for files: see world.c.
 */
#include "world/guard.h"

int world_open(struct world *w, const char *path, int flags, unsigned mode, struct file **out)
{
    check_waiter(w, "world_open");
    int rc = coro_poll();
    return rc ? rc : w->ops->open(w, path, flags, mode, out);
}

ssize_t file_read(struct file *f, void *buffer, size_t size, uint64_t offset)
{
    int rc = begin_wait(&f->handle, HANDLE_SHARED, "file_read");
    if (rc)
        return rc;
    ssize_t got = f->handle.world->ops->file_read(f, buffer, size, offset);
    end_wait(&f->handle, HANDLE_SHARED);
    return got;
}

int file_write(struct file *f, const void *data, size_t size, uint64_t offset)
{
    int rc = begin_wait(&f->handle, HANDLE_SHARED, "file_write");
    if (rc)
        return rc;
    rc = f->handle.world->ops->file_write(f, data, size, offset);
    end_wait(&f->handle, HANDLE_SHARED);
    return rc;
}

int file_sync(struct file *f)
{
    int rc = begin_wait(&f->handle, HANDLE_SHARED, "file_sync");
    if (rc)
        return rc;
    rc = f->handle.world->ops->file_sync(f);
    end_wait(&f->handle, HANDLE_SHARED);
    return rc;
}

int64_t file_size(struct file *f)
{
    check_open(&f->handle, "file_size");
    return f->handle.world->ops->file_size(f);
}

int file_truncate(struct file *f, uint64_t size)
{
    int rc = begin_wait(&f->handle, HANDLE_SHARED, "file_truncate");
    if (rc)
        return rc;
    rc = f->handle.world->ops->file_truncate(f, size);
    end_wait(&f->handle, HANDLE_SHARED);
    return rc;
}

void file_close(struct file *f)
{
    begin_close(&f->handle, "file_close")->file_close(f);
    handle_release(&f->handle);
}

int world_rename(struct world *w, const char *from, const char *to)
{
    check_waiter(w, "world_rename");
    int rc = coro_poll();
    return rc ? rc : w->ops->rename(w, from, to);
}

int world_unlink(struct world *w, const char *path)
{
    check_waiter(w, "world_unlink");
    int rc = coro_poll();
    return rc ? rc : w->ops->unlink(w, path);
}

int world_sync_directory(struct world *w, const char *path)
{
    check_waiter(w, "world_sync_directory");
    int rc = coro_poll();
    return rc ? rc : w->ops->sync_directory(w, path);
}
