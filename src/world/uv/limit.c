/*
 * limit.c: how a child shares the processor, and what memory it may have.
 *
 * Both are imposed from here, on a process that has just begun and has not been told anything yet.
 * Memory is held by a control group where one can be made (cgroup.c). Elsewhere the kernel can only
 * be asked to refuse further addresses, of which a process uses more than it has memory resident:
 * that bounds what it can have, but says no before it has it.
 */
#include "base/sanitizers.h"
#include "world/process_memory.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <sys/resource.h>

static struct uv_child *of(struct child *c)
{
    return container_of(c, struct uv_child, child);
}

static int limit_addresses(const struct uv_child *c, uint64_t memory)
{
    struct process_memory now;
    int rc = process_memory(c->pid, &now); /* it has not been reaped */
    if (rc)
        return rc;
    uint64_t mapped = (uint64_t)now.mapped;
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
    if (c->cgroup || WITH_SHADOW)
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
    thread_slice(c->pid, SLICE_AS_USUAL_NS);
    *memory = CHILD_MEMORY_FREE;
    return limits->memory ? limit_memory(c, limits->memory, memory) : 0;
}

int64_t uv_child_resident(struct child *child)
{
    const struct uv_child *c = of(child);
    struct process_memory now;
    if (c->ended || process_memory(c->pid, &now) != 0)
        return -ESRCH;
    return now.resident;
}

bool uv_child_ran_out_of_memory(const struct child *child)
{
    return ((const struct uv_child *)child)->ran_out_of_memory;
}
