/*
 * file.c: files, by requests to libuv's threads.
 *
 * A request carries its own copy of the bytes: a coroutine that leaves in the middle takes its
 * buffer along, and the thread goes on with what it has. Long reads and writes go in pieces, so
 * that the copies stay small.
 *
 * The descriptor is closed when the file is closed and its last request is done, also on a thread:
 * closing may write.
 */
#include "base/mem.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_MAX ((size_t)256 * 1024)

struct open_file {
    struct file file;
    int fd;
    unsigned requests; /* under way */
    uv_fs_t closing;
};

static struct open_file *of(struct file *f)
{
    return container_of(f, struct open_file, file);
}

static void on_closed(uv_fs_t *fs)
{
    struct open_file *f = container_of(fs, struct open_file, closing);
    uv_fs_req_cleanup(fs);
    uv_world_of_handle(&f->file.handle)->leaving--;
    handle_release(&f->file.handle);
}

static void close_descriptor(struct open_file *f)
{
    struct uv_world *w = uv_world_of_handle(&f->file.handle);
    handle_hold(&f->file.handle);
    w->leaving++;
    if (uv_fs_close(&w->loop, &f->closing, f->fd, on_closed) != 0) {
        close(f->fd);
        on_closed(&f->closing);
    }
}

/* ---- Requests ---- */

struct request {
    struct job job;
    uv_fs_t fs;
    struct open_file *file; /* held; NULL: about a path */
    bool opens;             /* its result is a descriptor */
    char bytes[];
};

static void request_free(struct request *r)
{
    if (!r)
        return;
    uv_fs_req_cleanup(&r->fs);
    mem_free(r);
}

static void discard(struct job *job)
{
    struct request *r = container_of(job, struct request, job);
    if (r->opens && r->fs.result >= 0)
        close((int)r->fs.result);
    request_free(r);
}

static struct request *request_new(struct uv_world *w, struct open_file *file, size_t size)
{
    struct request *r = mem_alloc(sizeof(*r) + size);
    if (!r)
        return NULL;
    memset(r, 0, sizeof(*r));
    r->job.w = w;
    r->job.discard = discard;
    r->file = file;
    if (file) {
        file->requests++;
        handle_hold(&file->file.handle);
    }
    return r;
}

/* The request does not need the file any more. */
static void leave_file(struct request *r)
{
    struct open_file *f = r->file;
    if (!f)
        return;
    r->file = NULL;
    if (--f->requests == 0 && f->file.handle.closed)
        close_descriptor(f);
    handle_release(&f->file.handle);
}

static void on_answer(uv_fs_t *fs)
{
    struct request *r = container_of(fs, struct request, fs);
    leave_file(r);
    job_answered(&r->job);
}

/* Waits for a request that was started, or failed to be, with `started`. Its result; or a negative
 * errno and *r is gone. */
static ssize_t request_wait(struct request **request, int started, const char *why)
{
    struct request *r = *request;
    *request = NULL;
    if (started) {
        leave_file(r);
        request_free(r);
        return started;
    }
    int rc = job_wait(&r->job, (uv_req_t *)&r->fs, why);
    if (!r->job.answered)
        return rc;
    if (rc) {
        discard(&r->job);
        return rc;
    }
    *request = r;
    return r->fs.result;
}

/* The same where the result is all that matters. */
static int request_finish(struct request *r, int started, const char *why)
{
    ssize_t rc = request_wait(&r, started, why);
    request_free(r);
    return (int)rc;
}

/* ---- Files ---- */

int uv_world_open_file(
    struct world *world, const char *path, int flags, unsigned mode, struct file **out)
{
    struct uv_world *w = uv_world_of(world);
    struct open_file *f = mem_zalloc(sizeof(*f));
    struct request *r = f ? request_new(w, NULL, 0) : NULL;
    if (!r) {
        mem_free(f);
        return -ENOMEM;
    }
    r->opens = true;
    int started = uv_fs_open(&w->loop, &r->fs, path, flags | O_CLOEXEC, (int)mode, on_answer);
    ssize_t fd = request_wait(&r, started, "open");
    request_free(r);
    if (fd < 0) {
        mem_free(f);
        return (int)fd;
    }
    f->fd = (int)fd;
    kind_opened(w, KIND_FILE, &f->file.handle);
    *out = &f->file;
    return 0;
}

ssize_t uv_file_read(struct file *file, void *buffer, size_t size, uint64_t offset)
{
    struct open_file *f = of(file);
    if (offset > INT64_MAX)
        return -EINVAL;
    size_t piece = size < PIECE_MAX ? size : PIECE_MAX;
    struct uv_world *w = uv_world_of_handle(&file->handle);
    struct request *r = request_new(w, f, piece);
    if (!r)
        return -ENOMEM;
    uv_buf_t into = uv_buf_init(r->bytes, (unsigned)piece);
    int started = uv_fs_read(&w->loop, &r->fs, f->fd, &into, 1, (int64_t)offset, on_answer);
    ssize_t got = request_wait(&r, started, "file read");
    if (r && got > 0)
        memcpy(buffer, r->bytes, (size_t)got);
    request_free(r);
    return got;
}

/* Some of it: how much, or a negative errno. */
static ssize_t write_piece(struct open_file *f, const char *data, size_t size, uint64_t offset)
{
    if (offset > INT64_MAX)
        return -EINVAL;
    size_t piece = size < PIECE_MAX ? size : PIECE_MAX;
    struct uv_world *w = uv_world_of_handle(&f->file.handle);
    struct request *r = request_new(w, f, piece);
    if (!r)
        return -ENOMEM;
    memcpy(r->bytes, data, piece);
    uv_buf_t from = uv_buf_init(r->bytes, (unsigned)piece);
    int started = uv_fs_write(&w->loop, &r->fs, f->fd, &from, 1, (int64_t)offset, on_answer);
    ssize_t wrote = request_wait(&r, started, "file write");
    request_free(r);
    return wrote;
}

int uv_file_write(struct file *file, const void *data, size_t size, uint64_t offset)
{
    struct open_file *f = of(file);
    size_t done = 0;
    while (done < size) {
        ssize_t wrote = write_piece(f, (const char *)data + done, size - done, offset + done);
        if (wrote < 0)
            return (int)wrote;
        if (wrote == 0)
            return -EIO; /* no disk does that, and trying again might never end */
        if (file->handle.closed)
            return -EBADF;
        done += (size_t)wrote;
    }
    return 0;
}

int uv_file_sync(struct file *file)
{
    struct uv_world *w = uv_world_of_handle(&file->handle);
    struct request *r = request_new(w, of(file), 0);
    if (!r)
        return -ENOMEM;
    return request_finish(
        r, uv_fs_fdatasync(&w->loop, &r->fs, of(file)->fd, on_answer), "file sync");
}

int64_t uv_file_size(struct file *file)
{
    struct stat found;
    return fstat(of(file)->fd, &found) == 0 ? found.st_size : -errno;
}

int uv_file_truncate(struct file *file, uint64_t size)
{
    if (size > INT64_MAX)
        return -EINVAL;
    struct uv_world *w = uv_world_of_handle(&file->handle);
    struct request *r = request_new(w, of(file), 0);
    if (!r)
        return -ENOMEM;
    int started = uv_fs_ftruncate(&w->loop, &r->fs, of(file)->fd, (int64_t)size, on_answer);
    return request_finish(r, started, "file truncate");
}

void uv_file_close(struct file *file)
{
    kind_closed(KIND_FILE, &file->handle);
    if (of(file)->requests == 0)
        close_descriptor(of(file));
}

/* ---- Names of files ---- */

int uv_world_rename(struct world *world, const char *from, const char *to)
{
    struct uv_world *w = uv_world_of(world);
    struct request *r = request_new(w, NULL, 0);
    if (!r)
        return -ENOMEM;
    return request_finish(r, uv_fs_rename(&w->loop, &r->fs, from, to, on_answer), "rename");
}

int uv_world_unlink(struct world *world, const char *path)
{
    struct uv_world *w = uv_world_of(world);
    struct request *r = request_new(w, NULL, 0);
    if (!r)
        return -ENOMEM;
    return request_finish(r, uv_fs_unlink(&w->loop, &r->fs, path, on_answer), "unlink");
}

/* Opening, syncing and closing a directory is one piece of work on one thread. */
struct directory_sync {
    struct job job;
    uv_work_t work;
    int result;
    char path[];
};

static void sync_on_thread(uv_work_t *work)
{
    struct directory_sync *d = container_of(work, struct directory_sync, work);
    int fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        d->result = -errno;
        return;
    }
    d->result = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
}

static void on_synced(uv_work_t *work, int status)
{
    job_answered(&container_of(work, struct directory_sync, work)->job);
}

static void discard_sync(struct job *job)
{
    mem_free(container_of(job, struct directory_sync, job));
}

int uv_world_sync_directory(struct world *world, const char *path)
{
    struct uv_world *w = uv_world_of(world);
    size_t len = strlen(path) + 1;
    struct directory_sync *d = mem_zalloc(sizeof(*d) + len);
    if (!d)
        return -ENOMEM;
    d->job.w = w;
    d->job.discard = discard_sync;
    memcpy(d->path, path, len);
    int rc = uv_queue_work(&w->loop, &d->work, sync_on_thread, on_synced);
    if (rc == 0) {
        rc = job_wait(&d->job, (uv_req_t *)&d->work, "directory sync");
        if (!d->job.answered)
            return rc;
    }
    if (rc == 0)
        rc = d->result;
    discard_sync(&d->job);
    return rc;
}
