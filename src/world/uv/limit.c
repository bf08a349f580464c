/*
 * limit.c: how a child shares the processor, and what memory it may have.
 *
 * Both are imposed from here, on a process that has just begun and has not been told anything yet.
 * Memory is held by a control group where one can be made (cgroup.c). Elsewhere the kernel can only
 * be asked to refuse further addresses, of which a process uses more than it has memory resident:
 * that bounds what it can have, but says no before it has it.
 */
#include "base/sanitizers.h"
#include "world/quota.h"
#include "world/small_file.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static struct uv_child *of(struct child *c)
{
    return container_of(c, struct uv_child, child);
}

struct pages {
    int64_t mapped, resident;
};

/* Of a child that has not been reaped, so that its pid is nobody else's. */
static int read_pages(int pid, struct pages *out)
{
    char path[64];
    char text[128];
    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    return quota_pages(small_file_read(path, text, sizeof(text)), &out->mapped, &out->resident)
               ? 0
               : -ESRCH;
}

static int limit_addresses(const struct uv_child *c, uint64_t memory)
{
    struct pages now;
    int rc = read_pages(c->pid, &now);
    if (rc)
        return rc;
    uint64_t mapped = (uint64_t)now.mapped * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t most = memory > RLIM_INFINITY - 1 - mapped ? RLIM_INFINITY : mapped + memory;
    struct rlimit limit = {.rlim_cur = most, .rlim_max = most};
    return prlimit(c->pid, RLIMIT_AS, &limit, NULL) == 0 ? 0 : -errno;
}

static int limit_memory(struct uv_child *c, uint64_t memory, enum child_memory *how)
{
    if (!c->cgroup)
        c->cgroup = cgroup_for(uv_world_of_handle(&c->child.handle), c->pid, memory);
    else
        cgroup_limit(c->cgroup, memory);
    *how = c->cgroup ? CHILD_MEMORY_CGROUP : CHILD_MEMORY_FREE;
    if (c->cgroup || WITH_ASAN || WITH_TSAN) /* whose shadows take terabytes of addresses */
        return 0;
    int rc = limit_addresses(c, memory);
    if (rc == 0)
        *how = CHILD_MEMORY_ADDRESSES;
    return rc;
}

int uv_child_limit(
    struct child *child, const struct child_limits *limits, enum child_memory *memory)
{
    struct uv_child *c = of(child);
    if (c->ended)
        return -ESRCH;
    if (setpriority(PRIO_PROCESS, (id_t)c->pid, limits->nice) != 0)
        return -errno;
    *memory = CHILD_MEMORY_FREE;
    return limits->memory ? limit_memory(c, limits->memory, memory) : 0;
}

int64_t uv_child_resident(struct child *child)
{
    const struct uv_child *c = of(child);
    struct pages now;
    if (c->ended || read_pages(c->pid, &now) != 0)
        return -ESRCH;
    return now.resident * sysconf(_SC_PAGESIZE);
}

bool uv_child_ran_out_of_memory(const struct child *child)
{
    return ((const struct uv_child *)child)->ran_out_of_memory;
}
