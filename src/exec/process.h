/*
 * process.h: a worker process, from the server's side: start, set-up, output, end.
 *
 * A coroutine of its own starts the process, waits for its end, and leaves nothing behind: no
 * process (it leads a process group, which is killed with it) and no descriptor. The worker that
 * has tasks for it holds a reference, reads and writes its frames, and gets `changed` calls.
 *
 * Only on the client's thread.
 */
#pragma once

#include "coro/group.h"
#include "coro/sync.h"
#include "exec/client.h"
#include "exec/frames.h"
#include "exec/worker_log.h"

/* How often a running worker is checked: its memory, and whether its callers still wait. */
#define LOOK_EVERY_NS  (50 * NS_PER_MS)
/* How long a process whose channel has ended may take to exit, its last output included. */
#define PROCESS_END_NS (500 * NS_PER_MS)

enum pool_process_stage {
    PROCESS_STARTING,
    PROCESS_READY,
    PROCESS_REFUSED, /* an init failed, or it was not ready in time: `why` */
    PROCESS_FAILED   /* it could not be started, or died at its start: `why` */
};

struct pool_process {
    unsigned holders;
    struct pool *pool;
    struct pool_client *client;
    unsigned number; /* of its worker, from 1; a successor has the same; 0: a zygote */
    struct world *world;
    /* The stage, or `ended`, has changed. Never called from within a call of the owner. */
    void (*changed)(void *ctx);
    void *ctx;
    enum pool_process_stage stage;
    struct error why;
    int pid;
    struct child *child; /* NULL before its start and after its end */
    struct stream *channel;
    struct frames frames;
    struct shared *shared;          /* NULL: none (a fork's) */
    struct worker_control *control; /* at its beginning */
    size_t outputs;                 /* offset of the part that the worker writes */
    enum child_memory held;         /* what enforces its memory limit */
    struct worker_log log;
    bool ended;
    struct child_exit exit;
    bool out_of_memory; /* the kernel killed it for memory */
    struct future end;
};

/* Starts one, with a coroutine of the group; `changed` is called until pool_process_drop. 0 or
 * -ENOMEM. */
int pool_process_open(struct pool_process **out, struct pool *p, struct pool_client *client,
    unsigned number, struct group *g, void (*changed)(void *ctx), void *ctx)
    __attribute__((warn_unused_result));
/* Adds a reference, and releases it. */
void pool_process_hold(struct pool_process *p);
void pool_process_release(struct pool_process *p);
/* The opener's reference: releases it, and ends `changed` calls. The process goes on. */
void pool_process_drop(struct pool_process *p);
/* Kills it, and all that it forked. */
void pool_process_kill(struct pool_process *p);
/* Asks it to end, kills it if it does not, and drops it; does not wait. */
void pool_process_retire(struct pool_process *p, struct group *g);
/* The same, and waits. */
void pool_process_stop(struct pool_process *p);
/* Waits for its end until the moment `until`. Returns true if it has ended. */
bool pool_process_wait(struct pool_process *p, int64_t until);

struct pool_process_end_text {
    char text[64];
};
/* "was killed by signal 11 (SIGSEGV)", "exited with status 3" */
struct pool_process_end_text pool_process_end_text(int status, int signal);
