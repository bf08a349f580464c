/*
 * real.c: the real world, as the verbs need it.
 */
#include "cli/cli.h"

#include "base/mem.h"
#include "world/uv/uv_world.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Parsing YAML recurses; there are few coroutines here. */
#define STACK_SIZE (256 * 1024)

/* ---- Where configurations come from ---- */

/* Reads to the end, or beyond `max`: files as in /proc have no size. */
static int read_all(struct file *f, struct bytes *out)
{
    for (;;) {
        int rc = bytes_reserve(out, 4096);
        if (rc)
            return rc == -ENOBUFS ? -EFBIG : rc;
        ssize_t got = file_read(f, out->ptr + out->len, out->size - out->len, out->len);
        if (got <= 0)
            return (int)got;
        out->len += (size_t)got;
    }
}

static int read_file(void *ctx, const char *path, size_t max, char **text, size_t *len)
{
    struct world *w = ctx;
    struct file *f;
    struct bytes all;
    struct stat st;
    /* Opening a pipe would wait for its writer. */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -ESPIPE;
    int rc = world_open(w, path, O_RDONLY, 0, &f);
    if (rc)
        return rc;
    bytes_init(&all, max + 4096);
    rc = read_all(f, &all);
    file_close(f);
    if (rc == 0 && all.len > max)
        rc = -EFBIG;
    if (rc) {
        bytes_release(&all);
        return rc;
    }
    *text = all.ptr;
    *len = all.len;
    return 0;
}

static const char *read_variable(void *ctx, const char *name)
{
    return getenv(name);
}

static int find_folder(void *ctx, char **path)
{
    char *folder = mem_alloc(PATH_MAX);
    if (!folder)
        return -ENOMEM;
    if (!getcwd(folder, PATH_MAX)) {
        int rc = -errno;
        mem_free(folder);
        return rc;
    }
    *path = folder;
    return 0;
}

struct conf_source real_source(struct world *w)
{
    return (struct conf_source){
        .file = read_file, .env = read_variable, .ctx = w, .folder = find_folder};
}

/* ---- A world to run in ---- */

static int start(void *arg)
{
    struct in_world *in = arg;
    return in->fn(in->world, in->arg);
}

int run_in_world(struct log *log, int (*fn)(struct world *w, void *arg), void *arg)
{
    struct in_world in = {.fn = fn, .arg = arg};
    struct uv_world_options options = {.name = "main", .log = log, .stack_size = STACK_SIZE};
    int rc = uv_world_open(&in.world, &options);
    if (rc)
        return complain(EXIT_STATUS_ENVIRONMENT, "cannot start an event loop: %s", error_text(rc));
    rc = uv_world_run(in.world, "main", start, &in);
    uv_world_close(in.world);
    if (rc < 0)
        return complain(EXIT_STATUS_ENVIRONMENT, "%s", error_text(rc));
    return rc;
}
