/*
 * cores.c: how many cores this process may use.
 *
 * The scheduler's affinity says which cores there are for it; the quotas of its control group and
 * of all groups above say how much of their time. In a container the path of the group may be one
 * of the host's that is not to be seen here: then its parents are looked at up to the root, which
 * there is the container's own.
 */
#include "world/quota.h"
#include "world/small_file.h"
#include "world/uv/internal.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

static struct span read_of(
    const char *mount, struct span group, const char *name, char *buffer, size_t size)
{
    char path[512];
    int len = snprintf(path, sizeof(path), "%s%.*s/%s", mount, SPAN_ARG(group), name);
    if (len < 0 || (size_t)len >= sizeof(path))
        return (struct span){buffer, 0};
    return small_file_read(path, buffer, size);
}

static unsigned quota_at(const char *mount, struct span group, bool v1)
{
    char first[64];
    char second[64];
    if (!v1)
        return quota_of_v2(read_of(mount, group, "cpu.max", first, sizeof(first)));
    return quota_of_v1(read_of(mount, group, "cpu.cfs_quota_us", first, sizeof(first)),
        read_of(mount, group, "cpu.cfs_period_us", second, sizeof(second)));
}

static unsigned fewer(unsigned cores, unsigned quota)
{
    return quota != QUOTA_NONE && quota < cores ? quota : cores;
}

static unsigned within_quotas(unsigned cores, struct span text, const char *mount, bool v1)
{
    struct span group;
    if (!quota_group(text, v1 ? SPAN("cpu") : SPAN(""), &group))
        return cores;
    do
        cores = fewer(cores, quota_at(mount, group, v1));
    while (quota_parent(&group));
    return cores;
}

unsigned uv_world_cores(struct world *w)
{
    (void)w;
    cpu_set_t set;
    long configured = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned cores = configured > 0 ? (unsigned)configured : 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        cores = (unsigned)CPU_COUNT(&set);
    char text[2048];
    struct span groups = small_file_read("/proc/self/cgroup", text, sizeof(text));
    cores = within_quotas(cores, groups, "/sys/fs/cgroup", false);
    cores = within_quotas(cores, groups, "/sys/fs/cgroup/unified", false);
    cores = within_quotas(cores, groups, "/sys/fs/cgroup/cpu", true);
    return cores > 0 ? cores : 1;
}
