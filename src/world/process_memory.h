/*
 * process_memory.h: what a process has of memory, as the kernel says now.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct process_memory {
    int64_t mapped, resident; /* bytes: of addresses, of memory */
};

/* 0, or -ESRCH. The pid is one that cannot become another's meanwhile. */
int process_memory(pid_t pid, struct process_memory *out) __attribute__((warn_unused_result));
