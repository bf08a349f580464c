/*
 * plain.h: what a process without a loop may want from outside. It waits by blocking: for worker
 * processes, which do one thing at a time, and for what forks them.
 *
 * A worker process is started by world_spawn with a channel (descriptor PLAIN_CHANNEL) and, mostly,
 * shared memory (PLAIN_SHARED). Negative errno as everywhere.
 */
#pragma once

#include "world/work.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define PLAIN_CHANNEL 3
#define PLAIN_SHARED  4

/* Marks the calling process as a worker: it is killed when its parent's thread ends, its channel
 * and shared memory are not for what it executes, signals that a terminal or an init sends to the
 * whole group are its parent's affair. */
int plain_begin(void) __attribute__((warn_unused_result));
/* From now on `fd` is this process's channel, and has its number; what was is closed. */
int plain_set_channel(int fd) __attribute__((warn_unused_result));
/* From now on a fork, or another program, kills this process with SIGSYS; threads are allowed.
 * -ENOSYS where the kernel cannot. */
int plain_forbid_processes(void) __attribute__((warn_unused_result));
/* Allocations beyond what is mapped now and `more` bytes fail. */
int plain_limit_addresses(uint64_t more) __attribute__((warn_unused_result));

/* At least one byte; 0 at the end of the stream. */
ssize_t plain_read(int fd, void *buffer, size_t size) __attribute__((warn_unused_result));
/* The same, and the descriptor that came with it, or -1. */
ssize_t plain_read_passed(int fd, void *buffer, size_t size, int *passed)
    __attribute__((warn_unused_result));
/* All of it. */
int plain_write(int fd, const struct iovec *parts, int count) __attribute__((warn_unused_result));
void plain_close(int fd);

/* What this process has in memory is put into large pages, where the kernel can: for one that will
 * fork often. Takes a second for 2 GB or so. */
void plain_join_pages(void);
/* A fresh child: its pid, 0 in it, or a negative errno. In it plain_begin holds anew. */
pid_t plain_fork(void) __attribute__((warn_unused_result));
void plain_kill(pid_t pid, int signal);
_Noreturn void plain_exit(int status);

struct plain_end {
    pid_t pid;
    int status; /* exit status, or 0 */
    int signal; /* that ended it, or 0 */
};
/* Waits until `fd` can be read, a child has ended, or the moment `until` (INT64_MAX: never): 1 if
 * `fd` can be read, 0 if not, or a negative errno. `ended` has then the pid of a child that was
 * reaped, or 0: one at a time. */
int plain_wait(int fd, int64_t until, struct plain_end *ended) __attribute__((warn_unused_result));
/* Bytes that a process has resident, or a negative errno. */
int64_t plain_resident(pid_t pid);

/* Maps the shared memory `fd`, `max` bytes of addresses; only the first plain_shared_size bytes may
 * be touched. */
int plain_shared_map(int fd, size_t max, char **base) __attribute__((warn_unused_result));
int64_t plain_shared_size(int fd);
int plain_shared_grow(int fd, size_t size) __attribute__((warn_unused_result));

/* Of this process's one thread. */
struct work *plain_work(void);
