/*
 * file.c: files as processes see them.
 *
 * An operation takes its time, may fail with -EIO, and then happens. One that is interrupted by its
 * deadline or by cancellation has happened or has not: the seed decides, as it does for one that
 * failed. A sync that fails is the trap that it is on Linux: what it was to carry over is kept or
 * lost, and the next sync does not say so.
 */
#include "world/sim/disk.h"

#include <fcntl.h>

struct sim_file {
    struct file file;
    struct owned owned;
    struct inode *inode; /* NULL once given up */
    int flags;
};

static struct sim_file *of(struct file *f)
{
    return container_of(f, struct sim_file, file);
}

static struct disk *disk_of(struct sim_world *w)
{
    return &host_of(w)->disk;
}

/* ---- How operations go ---- */

/* Waits for it: 0, or why it failed; then `happens` says whether it is done all the same. */
static int operate(struct sim_world *w, const char *why, int64_t ns, bool *happens)
{
    struct sim *sim = w->sim;
    *happens = false;
    if (w->dead)
        return -ECANCELED;
    uint32_t error_ppm = disk_of(w)->options.error_ppm;
    int rc = sim_world_pause(w, why, ns);
    if (rc == 0 && error_ppm && rand_ppm(&sim->rand, error_ppm))
        rc = -EIO;
    *happens = rc == 0 || (!w->dead && rand_below(&sim->rand, 2) == 0);
    return rc;
}

static int64_t op_ns(struct sim_world *w)
{
    return sim_draw(w->sim, disk_of(w)->options.op_ns);
}

static int64_t sync_ns(struct sim_world *w)
{
    int64_t mean = disk_of(w)->options.sync_ns;
    return mean / 2 + rand_exponential(&w->sim->rand, mean / 2);
}

/* An operation on an open file, which may have been closed meanwhile. */
static int operate_on(struct file *file, const char *why, int64_t ns, bool *happens)
{
    int rc = operate(sim_world_of(file->handle.world), why, ns, happens);
    if (!of(file)->inode) {
        *happens = false;
        return rc ? rc : -EBADF;
    }
    return rc;
}

/* ---- Opening and closing ---- */

static void give_up(struct owned *o)
{
    struct sim_file *f = container_of(o, struct sim_file, owned);
    if (f->inode)
        inode_release(f->inode);
    f->inode = NULL;
}

static int find(struct disk *d, const char *path, int flags, struct inode **out)
{
    struct inode *i = disk_find(d, path);
    if (i && (flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
    if (i && (flags & O_DIRECTORY))
        return -ENOTDIR;
    *out = i;
    if (i)
        return (flags & O_TRUNC) ? inode_resize(i, 0) : 0;
    return (flags & O_CREAT) ? disk_create(d, path, out) : -ENOENT;
}

static int open_now(struct sim_world *w, const char *path, int flags, struct file **out)
{
    struct sim_file *f = mem_zalloc(sizeof *f);
    if (!f)
        return -ENOMEM;
    struct inode *i = NULL;
    int rc = find(disk_of(w), path, flags, &i);
    if (rc) {
        mem_free(f);
        return rc;
    }
    owned_init(&f->owned, &f->file.handle, w, give_up);
    inode_hold(i);
    f->inode = i;
    f->flags = flags;
    *out = &f->file;
    return 0;
}

int sim_op_open(struct world *world, const char *path, int flags, unsigned mode, struct file **out)
{
    (void)mode;
    struct sim_world *w = sim_world_of(world);
    bool happens;
    int rc = operate(w, "open", op_ns(w), &happens);
    if (rc == 0)
        rc = open_now(w, path, flags, out);
    trace(w->sim, TRACE_OPEN, host_of(w), text_hash(path), (uint64_t)flags, rc);
    return rc;
}

void sim_op_file_close(struct file *file)
{
    struct sim_file *f = of(file);
    give_up(&f->owned);
    owned_closed(&f->owned);
}

/* ---- Content ---- */

static void note(struct file *file, enum trace_kind kind, uint64_t a, uint64_t b, int64_t rc)
{
    struct sim_world *w = sim_world_of(file->handle.world);
    trace(w->sim, kind, host_of(w), a, b, rc);
}

static bool may_write(const struct sim_file *f)
{
    return (f->flags & O_ACCMODE) != O_RDONLY;
}

ssize_t sim_op_file_read(struct file *file, void *buffer, size_t size, uint64_t offset)
{
    struct sim_file *f = of(file);
    if ((f->flags & O_ACCMODE) == O_WRONLY)
        return -EBADF;
    bool happens;
    ssize_t rc = operate_on(file, "file read", op_ns(sim_world_of(file->handle.world)), &happens);
    if (rc == 0)
        rc = (ssize_t)inode_read(f->inode, buffer, size, offset);
    note(file, TRACE_FILE_READ, offset, size, rc);
    return rc;
}

int sim_op_file_write(struct file *file, const void *data, size_t size, uint64_t offset)
{
    struct sim_file *f = of(file);
    if (!may_write(f))
        return -EBADF;
    bool happens;
    int rc = operate_on(file, "file write", op_ns(sim_world_of(file->handle.world)), &happens);
    if (happens) {
        if (f->flags & O_APPEND)
            offset = f->inode->now.size;
        int written = inode_write(f->inode, data, size, offset);
        rc = rc ? rc : written;
    }
    note(file, TRACE_FILE_WRITE, offset, size, rc);
    return rc;
}

int sim_op_file_truncate(struct file *file, uint64_t size)
{
    struct sim_file *f = of(file);
    if (!may_write(f))
        return -EINVAL;
    bool happens;
    int rc = operate_on(file, "file truncate", op_ns(sim_world_of(file->handle.world)), &happens);
    if (happens) {
        int resized = inode_resize(f->inode, size);
        rc = rc ? rc : resized;
    }
    note(file, TRACE_FILE_TRUNCATE, size, 0, rc);
    return rc;
}

/* What is written while it waits is not its business. */
int sim_op_file_sync(struct file *file)
{
    struct sim_file *f = of(file);
    struct sim_world *w = sim_world_of(file->handle.world);
    uint64_t serial = disk_of(w)->next_serial;
    bool happens;
    int count = 0;
    int rc = operate_on(file, "file sync", sync_ns(w), &happens);
    if (rc == -EIO && f->inode)
        inode_settle(host_of(w), f->inode, serial);
    else if (happens)
        count = inode_sync(f->inode, serial);
    if (rc == 0 && count < 0)
        rc = count;
    note(file, TRACE_FILE_SYNC, count > 0 ? (uint64_t)count : 0, 0, rc);
    return rc;
}

int64_t sim_op_file_size(struct file *file)
{
    const struct sim_file *f = of(file);
    return f->inode ? (int64_t)f->inode->now.size : -ECANCELED;
}

/* ---- Names ---- */

int sim_op_rename(struct world *world, const char *from, const char *to)
{
    struct sim_world *w = sim_world_of(world);
    bool happens;
    int rc = operate(w, "rename", op_ns(w), &happens);
    if (happens) {
        int renamed = disk_rename(disk_of(w), from, to);
        rc = rc ? rc : renamed;
    }
    trace(w->sim, TRACE_RENAME, host_of(w), text_hash(from), text_hash(to), rc);
    return rc;
}

int sim_op_unlink(struct world *world, const char *path)
{
    struct sim_world *w = sim_world_of(world);
    bool happens;
    int rc = operate(w, "unlink", op_ns(w), &happens);
    if (happens) {
        int unlinked = disk_unlink(disk_of(w), path);
        rc = rc ? rc : unlinked;
    }
    trace(w->sim, TRACE_UNLINK, host_of(w), text_hash(path), 0, rc);
    return rc;
}

int sim_op_sync_directory(struct world *world, const char *path)
{
    struct sim_world *w = sim_world_of(world);
    bool happens;
    int rc = operate(w, "sync directory", sync_ns(w), &happens);
    unsigned count = happens ? disk_sync_directory(disk_of(w), span_of(path)) : 0;
    trace(w->sim, TRACE_SYNC_DIRECTORY, host_of(w), text_hash(path), count, rc);
    return rc;
}

/* ---- From outside ---- */

void sim_disk(struct sim_host *host, const struct sim_disk *options)
{
    struct disk fresh;
    disk_init(&fresh, options);
    host->disk.options = fresh.options;
    trace(host->sim, TRACE_DISK, host, fresh.options.bytes, fresh.options.error_ppm, 0);
}

int sim_file_put(struct sim_host *host, const char *path, const void *data, size_t size)
{
    struct inode *i = NULL;
    int rc = find(&host->disk, path, O_CREAT | O_TRUNC, &i);
    if (rc == 0)
        rc = inode_write(i, data, size, 0);
    if (rc == 0)
        rc = inode_sync(i, UINT64_MAX);
    if (rc < 0)
        return rc;
    disk_sync_directory(&host->disk, disk_directory_of(path));
    return 0;
}

int64_t sim_file_get(struct sim_host *host, const char *path, void *buffer, size_t size)
{
    const struct inode *i = disk_find(&host->disk, path);
    if (!i)
        return -ENOENT;
    inode_read(i, buffer, size, 0);
    return (int64_t)i->now.size;
}
