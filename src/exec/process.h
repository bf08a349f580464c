/*
 * process.h: a worker process as its server sees it: started, set up, listened to, ended.
 *
 * A process is kept by a coroutine of its own, which starts it, waits for its end, and sees to it
 * that nothing is left of it: no process (it leads a group, which is killed with it) and no
 * descriptor. Who has tasks for it holds it too, reads and writes its frames, and is told what
 * changes.
 *
 * Everything is for the client's thread.
 */
#pragma once

#include "coro/group.h"
#include "coro/sync.h"
#include "exec/client.h"
#include "exec/frames.h"
#include "exec/worker_log.h"

/* How often a worker is looked at while it runs: its memory, and whether anybody waits. */
#define LOOK_EVERY_NS  (50 * NS_PER_MS)
/* How long one whose channel has ended may take to end, too, last words included. */
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
    unsigned
        number; /* of its worker, from 1, and its successor's, too; 0: it forks for all of them */
    struct world *world;
    void (*changed)(void *ctx); /* its stage, or that it ended; outside of what the hearer does */
    void *ctx;
    enum pool_process_stage stage;
    struct error why;
    int pid;
    struct child *child; /* NULL before its start and after its end */
    struct stream *channel;
    struct frames frames;
    struct shared *shared;          /* NULL: none (a fork's) */
    struct worker_control *control; /* at its beginning */
    size_t outputs;                 /* from where on it is the worker's */
    enum child_memory held;         /* what holds it within its memory */
    struct worker_log words;
    bool ended;
    struct child_exit exit;
    bool out_of_memory; /* the kernel killed it for that */
    struct future end;
};

/* Starts one, as a coroutine of the group, which `changed` is told about until pool_process_drop.
 * 0 or -ENOMEM. */
int pool_process_open(struct pool_process **out, struct pool *p, struct pool_client *d,
    unsigned number, struct group *g, void (*changed)(void *ctx), void *ctx)
    __attribute__((warn_unused_result));
/* One holder more, who lets go with pool_process_release. */
void pool_process_hold(struct pool_process *p);
void pool_process_release(struct pool_process *p);
/* Who opened it forgets it; it goes on or ends as it was told. */
void pool_process_drop(struct pool_process *p);
/* At once, with all that it forked. */
void pool_process_kill(struct pool_process *p);
/* Drops it after it was told to end, and killed if it does not; waits for neither. */
void pool_process_retire(struct pool_process *p, struct group *g);
/* The same, waiting. */
void pool_process_stop(struct pool_process *p);
/* Waits for its end, or the moment `until`: whether it has ended. */
bool pool_process_wait(struct pool_process *p, int64_t until);

struct pool_process_end_text {
    char text[64];
};
/* "was killed by signal 11 (SIGSEGV)", "exited with status 3" */
struct pool_process_end_text pool_process_end_text(int status, int signal);
