/*
 * quota.h: what the kernel's files say of control groups, of how many cores they may use, and of a
 * process's memory; pure, for the real world.
 *
 * A group of version 2 has `cpu.max`: "200000 100000" (microseconds of every so many), or "max" for
 * no limit. One of version 1 has cpu.cfs_quota_us (-1: no limit) and cpu.cfs_period_us.
 */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No limit. */
#define QUOTA_NONE 0U

/* Whole cores, rounded up; QUOTA_NONE too for what is not understood. */
unsigned quota_of_v2(struct span cpu_max);
unsigned quota_of_v1(struct span quota_us, struct span period_us);

/* The path of this process's group in the text of /proc/self/cgroup: in the hierarchy of a
 * controller (v1), or, where that is empty, in the unified one (v2). False: it is in none. */
bool quota_group(struct span text, struct span controller, struct span *path);

/* Cuts the last segment off the path of a group: its parent's. False: it was the root. */
bool quota_parent(struct span *path);

/* Whether the first line has this word, among others with a space between them. */
bool quota_has_word(struct span text, struct span word);

/* The figure in the line "NAME FIGURE"; -1 if there is none. */
int64_t quota_figure(struct span text, struct span name);

/* The first two figures of /proc/PID/statm: pages of addresses, and those resident. */
bool quota_pages(struct span statm, int64_t *mapped, int64_t *resident);
