/*
 * file.c: files, by calls on threads (job.c).
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
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_MAX ((size_t)256 * 1024)

struct open_file {
    struct file file;
    int fd;
    unsigned requests; /* under way */
    struct job closing;
};

static struct open_file *of(struct file *f)
{
    return container_of(f, struct open_file, file);
}

static void close_on_thread(struct job *job)
{
    close(container_of(job, struct open_file, closing)->fd);
}

static void on_closed(struct job *job)
{
    handle_release(&container_of(job, struct open_file, closing)->file.handle);
}

static void close_descriptor(struct open_file *f)
{
    handle_hold(&f->file.handle);
    f->closing = (struct job){
        .w = uv_world_of_handle(&f->file.handle), .run = close_on_thread, .discard = on_closed};
    if (job_start(&f->closing) == 0) {
        job_forget(&f->closing);
    } else { /* without a thread it is closed here, however long that takes */
        close_on_thread(&f->closing);
        on_closed(&f->closing);
    }
}

/* ---- Requests ---- */

struct request {
    struct job job;
    ssize_t (*call)(struct request *r); /* on a thread: its result, or -1 and errno */
    ssize_t result;                     /* or a negative errno */
    struct open_file *file;             /* held; NULL: about a path */
    int fd;                             /* the file's */
    int flags;
    unsigned mode;
    bool opens; /* its result is a descriptor */
    uint64_t offset;
    size_t size;    /* of the bytes */
    const char *to; /* in the bytes, behind the first path */
    char bytes[];
};

/* The file may have been waiting for it to be done, to be closed. */
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

static void request_free(struct request *r)
{
    if (!r)
        return;
    leave_file(r);
    mem_free(r);
}

static void discard(struct job *job)
{
    struct request *r = container_of(job, struct request, job);
    if (r->opens && r->result >= 0)
        close((int)r->result);
    request_free(r);
}

static void run_request(struct job *job)
{
    struct request *r = container_of(job, struct request, job);
    do
        r->result = r->call(r);
    while (r->result < 0 && errno == EINTR);
    if (r->result < 0)
        r->result = -errno;
}

static struct request *request_new(
    struct uv_world *w, struct open_file *file, size_t size, ssize_t (*call)(struct request *r))
{
    struct request *r = mem_alloc(sizeof(*r) + size);
    if (!r)
        return NULL;
    *r = (struct request){.job = {.w = w, .run = run_request, .discard = discard},
        .call = call,
        .result = -ECANCELED,
        .file = file,
        .size = size};
    if (file) {
        r->fd = file->fd;
        file->requests++;
        handle_hold(&file->file.handle);
    }
    return r;
}

/* About one path, or two. */
static struct request *request_about(
    struct uv_world *w, const char *path, const char *to, ssize_t (*call)(struct request *r))
{
    size_t first = strlen(path) + 1;
    size_t second = to ? strlen(to) + 1 : 0;
    struct request *r = request_new(w, NULL, first + second, call);
    if (!r)
        return NULL;
    memcpy(r->bytes, path, first);
    if (to)
        r->to = memcpy(r->bytes + first, to, second);
    return r;
}

/* Has it done and waits for that: its result; or a negative errno and *request is gone. */
static ssize_t request_run(struct request **request, const char *why)
{
    struct request *r = *request;
    *request = NULL;
    int rc = job_start(&r->job);
    if (rc) {
        request_free(r);
        return rc;
    }
    if (!job_wait(&r->job, why, &rc))
        return rc;
    if (rc) {
        discard(&r->job);
        return rc;
    }
    leave_file(r);
    *request = r;
    return r->result;
}

/* The same where the result is all that matters. */
static int request_finish(struct request *r, const char *why)
{
    if (!r)
        return -ENOMEM;
    ssize_t rc = request_run(&r, why);
    request_free(r);
    return (int)rc;
}

/* ---- Calls, on a thread ---- */

static ssize_t call_open(struct request *r)
{
    return open(r->bytes, r->flags, r->mode);
}

static ssize_t call_read(struct request *r)
{
    return pread(r->fd, r->bytes, r->size, (off_t)r->offset);
}

static ssize_t call_write(struct request *r)
{
    return pwrite(r->fd, r->bytes, r->size, (off_t)r->offset);
}

static ssize_t call_sync(struct request *r)
{
    return fdatasync(r->fd);
}

static ssize_t call_truncate(struct request *r)
{
    return ftruncate(r->fd, (off_t)r->offset);
}

static ssize_t call_rename(struct request *r)
{
    return rename(r->bytes, r->to);
}

static ssize_t call_unlink(struct request *r)
{
    return unlink(r->bytes);
}

static ssize_t call_sync_directory(struct request *r)
{
    int fd = open(r->bytes, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fsync(fd);
    int error = errno;
    close(fd);
    errno = error;
    return rc;
}

/* ---- Files ---- */

int uv_world_open_file(
    struct world *world, const char *path, int flags, unsigned mode, struct file **out)
{
    struct uv_world *w = uv_world_of(world);
    struct open_file *f = mem_zalloc(sizeof(*f));
    struct request *r = f ? request_about(w, path, NULL, call_open) : NULL;
    if (!r) {
        mem_free(f);
        return -ENOMEM;
    }
    r->opens = true;
    r->flags = flags | O_CLOEXEC;
    r->mode = mode;
    ssize_t fd = request_run(&r, "open");
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
    if (offset > INT64_MAX)
        return -EINVAL;
    size_t piece = size < PIECE_MAX ? size : PIECE_MAX;
    struct request *r = request_new(uv_world_of_handle(&file->handle), of(file), piece, call_read);
    if (!r)
        return -ENOMEM;
    r->offset = offset;
    ssize_t got = request_run(&r, "file read");
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
    struct request *r = request_new(uv_world_of_handle(&f->file.handle), f, piece, call_write);
    if (!r)
        return -ENOMEM;
    r->offset = offset;
    memcpy(r->bytes, data, piece);
    ssize_t wrote = request_run(&r, "file write");
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
    return request_finish(request_new(w, of(file), 0, call_sync), "file sync");
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
    struct request *r = request_new(uv_world_of_handle(&file->handle), of(file), 0, call_truncate);
    if (r)
        r->offset = size;
    return request_finish(r, "file truncate");
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
    return request_finish(request_about(uv_world_of(world), from, to, call_rename), "rename");
}

int uv_world_unlink(struct world *world, const char *path)
{
    return request_finish(request_about(uv_world_of(world), path, NULL, call_unlink), "unlink");
}

/* Opening, syncing and closing a directory is one piece of work on one thread. */
int uv_world_sync_directory(struct world *world, const char *path)
{
    return request_finish(
        request_about(uv_world_of(world), path, NULL, call_sync_directory), "directory sync");
}
