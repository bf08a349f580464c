/*
 * quota.h: what the kernel's files say of how many cores a control group may use; pure, for the
 * real world.
 *
 * A group of version 2 has `cpu.max`: "200000 100000" (microseconds of every so many), or "max" for
 * no limit. One of version 1 has cpu.cfs_quota_us (-1: no limit) and cpu.cfs_period_us.
 */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

/* No limit. */
#define QUOTA_NONE 0U

/* Whole cores, rounded up; QUOTA_NONE too for what is not understood. */
unsigned quota_of_v2(struct span cpu_max);
unsigned quota_of_v1(struct span quota_us, struct span period_us);

/* The path of this process's group in the text of /proc/self/cgroup: in the unified hierarchy (v2),
 * or in that of the controller `cpu` (v1). False: it is in none. */
bool quota_group(struct span text, bool v1, struct span *path);

/* Cuts the last segment off the path of a group: its parent's. False: it was the root. */
bool quota_parent(struct span *path);
