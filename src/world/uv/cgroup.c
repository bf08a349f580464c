/*
 * cgroup.c: a control group of memory for a child: the kernel kills it beyond its limit, and counts
 * what it really uses.
 *
 * Whose group is it to divide? The groups of a machine belong to whoever manages it, mostly its
 * init, and a group made inside of another's would keep that from removing its own. So one is made
 * only where that was permitted:
 *
 *   - below the directory in uv_world_options.cgroup;
 *   - below this process's own group, or that group's parent (systemd's DelegateSubgroup), if it is
 *     marked as delegated (the attribute that systemd sets for Delegate=yes), if it belongs to this
 *     process's user, who is not root, or if it is all this process can see of groups: a
 *     container's own.
 *
 * In version 2 a group with processes of its own can have none below it with a limit: what the
 * kernel says to that (EBUSY) is taken as no.
 *
 * A group can be removed when its last process is gone for good, which may be a little after its
 * end was told: it is tried again.
 */
#include "base/mem.h"
#include "world/quota.h"
#include "world/small_file.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PATH_SIZE      512
#define TRY_AGAIN_MS   10
#define TRIES_MAX      300
#define MOUNT_UNIFIED  "/sys/fs/cgroup"
#define MOUNT_HYBRID   "/sys/fs/cgroup/unified"
#define MOUNT_MEMORY_1 "/sys/fs/cgroup/memory"

struct cgroup {
    struct handle handle; /* the world's; nobody else sees it */
    uv_timer_t again;
    unsigned tries;
    bool v1;
    char path[PATH_SIZE];
};

static bool join(char *out, const char *directory, const char *name)
{
    int len = snprintf(out, PATH_SIZE, "%s/%s", directory, name);
    return len > 0 && len < PATH_SIZE;
}

static struct span read_in(const char *directory, const char *name, char *buffer, size_t size)
{
    char path[PATH_SIZE];
    if (!join(path, directory, name))
        return (struct span){buffer, 0};
    return small_file_read(path, buffer, size);
}

static int write_in(const char *directory, const char *name, const char *text)
{
    char path[PATH_SIZE];
    return join(path, directory, name) ? small_file_write(path, text) : -ENAMETOOLONG;
}

/* ---- Below which group ---- */

struct place {
    bool v1;
    char path[PATH_SIZE];
};

static bool is_marked(const char *path, const char *attribute)
{
    char value[2];
    return getxattr(path, attribute, value, sizeof(value)) == 1 && value[0] == '1';
}

static bool is_ours(const char *path)
{
    struct stat found;
    if (is_marked(path, "trusted.delegate") || is_marked(path, "user.delegate"))
        return true;
    uid_t user = geteuid();
    return user != 0 && stat(path, &found) == 0 && found.st_uid == user;
}

/* Whether groups below it can be limited: 0, or a negative errno. */
static int can_limit(const struct place *p)
{
    char path[PATH_SIZE];
    char text[256];
    if (p->v1)
        return join(path, p->path, "memory.limit_in_bytes") && access(path, F_OK) == 0 ? 0
                                                                                       : -ENOENT;
    if (quota_has_word(
            read_in(p->path, "cgroup.subtree_control", text, sizeof(text)), SPAN("memory")))
        return 0;
    if (!quota_has_word(read_in(p->path, "cgroup.controllers", text, sizeof(text)), SPAN("memory")))
        return -ENOENT;
    return write_in(p->path, "cgroup.subtree_control", "+memory");
}

static bool try_group(struct place *p, const char *mount, struct span group, bool all)
{
    int len = snprintf(p->path, sizeof(p->path), "%s%.*s", mount, SPAN_ARG(group));
    return len > 0 && len < PATH_SIZE && (all || is_ours(p->path)) && can_limit(p) == 0;
}

static bool try_own(struct place *p, struct span groups, const char *mount, bool v1)
{
    struct span group;
    p->v1 = v1;
    if (!quota_group(groups, v1 ? SPAN("memory") : SPAN(""), &group))
        return false;
    bool all = span_equal(group, SPAN("/"));
    return try_group(p, mount, group, all) ||
           (quota_parent(&group) && try_group(p, mount, group, false));
}

static bool find_place(const struct uv_world *w, struct place *p)
{
    char text[2048];
    const char *given = w->options.cgroup;
    if (given) {
        p->v1 = read_in(given, "cgroup.controllers", text, sizeof(text)).len == 0;
        int len = snprintf(p->path, sizeof(p->path), "%s", given);
        return len > 0 && len < PATH_SIZE && can_limit(p) == 0;
    }
    struct span groups = small_file_read("/proc/self/cgroup", text, sizeof(text));
    return try_own(p, groups, MOUNT_UNIFIED, false) || try_own(p, groups, MOUNT_HYBRID, false) ||
           try_own(p, groups, MOUNT_MEMORY_1, true);
}

/* ---- Its life ---- */

int cgroup_limit(const struct cgroup *g, uint64_t memory)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRIu64, memory);
    /* What a kernel without swap accounting does not have cannot be set. */
    if (!g->v1) {
        int rc = write_in(g->path, "memory.max", text);
        if (rc == 0) {
            write_in(g->path, "memory.swap.max", "0");
            write_in(g->path, "memory.oom.group", "1");
        }
        return rc;
    }
    int rc = write_in(g->path, "memory.limit_in_bytes", text);
    if (rc == 0)
        rc = write_in(g->path, "memory.memsw.limit_in_bytes", text);
    return rc == -ENOENT ? 0 : rc;
}

static int make_directory(const char *path)
{
    if (mkdir(path, 0755) == 0)
        return 0;
    if (errno != EEXIST || rmdir(path) != 0) /* of a world that ended badly */
        return -errno;
    return mkdir(path, 0755) == 0 ? 0 : -errno;
}

static int begin(struct cgroup *g, int pid, uint64_t memory)
{
    char text[32];
    int rc = make_directory(g->path);
    if (rc)
        return rc;
    snprintf(text, sizeof(text), "%d", pid);
    rc = cgroup_limit(g, memory);
    if (rc == 0)
        rc = write_in(g->path, "cgroup.procs", text);
    if (rc)
        rmdir(g->path);
    return rc;
}

struct cgroup *cgroup_for(struct uv_world *w, int pid, uint64_t memory)
{
    struct place p;
    char name[48];
    if (!find_place(w, &p))
        return NULL;
    struct cgroup *g = mem_zalloc(sizeof(*g));
    if (!g)
        return NULL;
    g->v1 = p.v1;
    snprintf(name, sizeof(name), "weir-child-%d", pid);
    if (!join(g->path, p.path, name) || begin(g, pid, memory) != 0) {
        mem_free(g);
        return NULL;
    }
    handle_init(&g->handle, &w->world);
    uv_sure(uv_timer_init(&w->loop, &g->again));
    g->again.data = &g->handle;
    return g;
}

bool cgroup_ran_out(const struct cgroup *g)
{
    char text[512];
    const char *name = g->v1 ? "memory.oom_control" : "memory.events";
    return quota_figure(read_in(g->path, name, text, sizeof(text)), SPAN("oom_kill")) > 0;
}

void cgroup_kill(const struct cgroup *g)
{
    write_in(g->path, "cgroup.kill", "1"); /* version 2, since Linux 5.14 */
}

/* ---- Its end ---- */

static void gone(struct cgroup *g)
{
    handle_leave(&g->handle, (uv_handle_t *)&g->again);
    uv_world_of_handle(&g->handle)->leaving--;
    handle_release(&g->handle);
}

static void try_to_remove(uv_timer_t *timer)
{
    struct cgroup *g = container_of(timer, struct cgroup, again);
    if (rmdir(g->path) == 0 || errno != EBUSY || ++g->tries >= TRIES_MAX) {
        if (g->tries >= TRIES_MAX)
            log_warn(g->handle.world->log,
                "the control group %s is still in use and stays behind; remove it with rmdir",
                g->path);
        gone(g);
        return;
    }
    uv_sure(uv_timer_start(timer, try_to_remove, TRY_AGAIN_MS, 0));
}

void cgroup_leave(struct cgroup *g)
{
    uv_world_of_handle(&g->handle)->leaving++;
    try_to_remove(&g->again);
}
