/*
 * coro.h: coroutines: straight-line code that waits without a thread of its own.
 *
 * A *sched* has one thread's coroutines: ready ones, parked ones, and the times at which parked
 * ones give up. It has no loop, and no clock but the one it is given: its driver (world/uv,
 * world/sim, a test) calls sched_run when something is ready and sched_expire when time has passed.
 *
 * Invariants:
 *  - A sched and all that belongs to it is used by one thread at a time; a coroutine never changes
 *    its sched.
 *  - A wait ends in one of three ways: it was woken (the result given to coro_wake), -ETIMEDOUT at
 *    the coroutine's deadline, -ECANCELED once the coroutine is cancelled. Cancellation wins over
 *    time-out; a result that was already given stays. Every further wait of a cancelled coroutine
 *    returns -ECANCELED immediately, except inside a CORO_SHIELD.
 *  - With a deadline in the past a wait returns -ETIMEDOUT without waiting.
 *  - Every coroutine but a sched's roots belongs to a group (group.h) and ends before its parent
 *    goes on.
 *
 * Unless a comment says otherwise, calls are made by a running coroutine of the sched.
 */
#pragma once

#include "base/list.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct coro;
struct sched;
struct log;

/* A coroutine's function: 0, or a negative errno, which its group gets. */
typedef int coro_fn(void *arg);

/* ---- The sched: made and driven from outside its coroutines ---- */

struct sched_options {
    /* Bytes of stack a coroutine has, rounded up to pages; 0: CORO_STACK_DEFAULT. */
    size_t stack_size;
    /* Idle memory that ended coroutines' stacks may keep, in bytes; 0: CORO_STACKS_IDLE_DEFAULT. */
    size_t stacks_idle_max;
    /* Guard pages that may take a memory mapping of their own, where the kernel cannot guard within
     * one (before Linux 6.13); all scheds of a process together never more than
     * CORO_GUARD_MAPPINGS_DEFAULT. Stacks beyond are checked by a canary at each switch instead. 0:
     * CORO_GUARD_MAPPINGS_DEFAULT. */
    size_t guard_mappings_max;
    /* Which of `count` ready coroutines goes next; NULL: in the order they became ready. */
    size_t (*pick)(void *ctx, size_t count);
    void *pick_ctx;
    /* The clock of deadlines. Required. */
    int64_t (*now)(void *ctx);
    void *now_ctx;
};

#define CORO_STACK_DEFAULT          (64 * 1024)
#define CORO_STACKS_IDLE_DEFAULT    (16 * 1024 * 1024)
#define CORO_GUARD_MAPPINGS_DEFAULT 16384

/* 0, -ENOMEM, or -ENOTSUP: this thread has a hardware shadow stack (CET, GCS), which does not allow
 * switches. */
int sched_open(struct sched **out, const struct sched_options *options)
    __attribute__((warn_unused_result));
/* Every coroutine must have ended. */
void sched_close(struct sched *s);

/* Starts a coroutine without a parent, at the next sched_run; only for worlds and tests: others use
 * groups. `name` must live as long as the coroutine. 0 or -ENOMEM. */
int sched_spawn(struct sched *s, const char *name, coro_fn *fn, void *arg);
/* Cancels every coroutine of the sched, also inside shields, for a world that ends. */
void sched_cancel_all(struct sched *s);

bool sched_ready(const struct sched *s);
size_t sched_ready_count(const struct sched *s);
/* Returns true if a ready coroutine was woken or started, rather than only yielded in the latest
 * sched_run: yielding ones may wait until the driver has polled. */
bool sched_pressing(const struct sched *s);
/* Runs the coroutines that are ready now, each until it parks or ends; those that become ready
 * meanwhile run the next time. Returns how many ran. */
size_t sched_run(struct sched *s);
/* Runs one, chosen by `pick`. Returns false if none was ready. */
bool sched_run_one(struct sched *s);
/* The time of the next sched_expire, or DEADLINE_NEVER. */
int64_t sched_next_deadline(const struct sched *s);
/* Makes coroutines ready whose time is not after `now`: with -ETIMEDOUT, or 0 for a sleep. */
void sched_expire(struct sched *s, int64_t now);

/* Returns true if the calling thread uses this sched: it opened it, or ran it last. */
bool sched_here(const struct sched *s);
/* Coroutines that have not ended. */
size_t sched_count(const struct sched *s);
/* The largest stack use of any coroutine so far, in whole pages. Looks at every stack: for reports.
 * */
size_t sched_stack_high_water(struct sched *s);
/* Passes each coroutine's name and wait to `line`; for reports of deadlocks. */
void sched_describe(const struct sched *s, void (*line)(void *ctx, const char *text), void *ctx);
/* The name of the coroutine that runs on this thread now, or NULL; safe in a signal handler. */
const char *sched_running_name(void);

/* Makes a stack overflow end the process with a message that names the coroutine. Call it once a
 * process; it installs handlers of SIGSEGV and SIGBUS, which pass on other faults. They run on a
 * stack that each thread gets when it first runs a sched. 0 or a negative errno. */
int coro_catch_overflow(void) __attribute__((warn_unused_result));

/* ---- Inside a coroutine ---- */

/* The running coroutine, or NULL outside. */
struct coro *coro_self(void);
const char *coro_name(const struct coro *c);
struct sched *coro_sched(const struct coro *c);

/* Parks until coro_wake, the deadline, or cancellation. `why` names the wait in reports ("read").
 * After it returns, no other may wake the coroutine for this wait any more. Returns the result
 * given to coro_wake, -ETIMEDOUT or -ECANCELED. */
int coro_park(const char *why) __attribute__((warn_unused_result));
/* Like coro_park, but returns 0 at `when`, if that comes before the deadline. */
int coro_sleep(const char *why, int64_t when) __attribute__((warn_unused_result));
/* Runs the other ready coroutines first. 0, -ETIMEDOUT or -ECANCELED. */
int coro_yield(void) __attribute__((warn_unused_result));
/* Calls fn(arg) on the thread's own stack, which is as deep as its creator made it; it must not
 * wait. */
void coro_call_deep(void (*fn)(void *arg), void *arg);
/* The result of a wait that would not wait: 0, -ECANCELED, or -ETIMEDOUT. */
int coro_poll(void) __attribute__((warn_unused_result));

/* Makes a parked coroutine ready with `result`. On the sched's thread, inside a coroutine or not.
 * Returns false if it is not parked any more (woken, timed out or cancelled): the result is not
 * delivered. */
bool coro_wake(struct coro *c, int result);
/* Cancels the coroutine: its current or next wait returns -ECANCELED. */
void coro_cancel(struct coro *c);
bool coro_cancelled(const struct coro *c);

/* The time at which the running coroutine's waits fail; inherited by its children. */
int64_t coro_deadline(void);
/* Until the end of the enclosing block no wait of this coroutine lasts longer than `when`. Cannot
 * extend a deadline. */
#define CORO_DEADLINE(when)                                 \
    struct coro_deadline_scope CORO_UNIQUE(deadline_scope_) \
        __attribute__((cleanup(coro_deadline_restore), unused)) = coro_deadline_narrow(when)

struct coro_deadline_scope {
    int64_t before;
};
struct coro_deadline_scope coro_deadline_narrow(int64_t when);
void coro_deadline_restore(struct coro_deadline_scope *scope);

/* Until the end of the enclosing block this coroutine's waits ignore its cancellation, and end at
 * `when` instead of its deadline: for clean-up after a time-out or a cancellation, such as the last
 * bytes on a connection. A shield within another ends no later than that. Children started inside
 * inherit `when` as their deadline. The first wait after the block returns the cancellation. */
#define CORO_SHIELD(when)                               \
    struct coro_shield_scope CORO_UNIQUE(shield_scope_) \
        __attribute__((cleanup(coro_shield_end), unused)) = coro_shield_begin(when)

struct coro_shield_scope {
    int64_t before;
};
struct coro_shield_scope coro_shield_begin(int64_t when);
void coro_shield_end(struct coro_shield_scope *scope);

#define CORO_UNIQUE(name)             CORO_UNIQUE_(name, __LINE__)
#define CORO_UNIQUE_(name, line)      CORO_UNIQUE_PASTE(name, line)
#define CORO_UNIQUE_PASTE(name, line) name##line

/* Returns the memory of the running coroutine's stack below the caller's frame to the kernel:
 * before a long wait. Costs a system call, and a second, more expensive one if there is something
 * to return. */
void coro_trim(void);

/* Registers run(arg) to be called when the coroutine ends, in reverse order, on its stack, after
 * its function has returned: `arg` must not be in the function's frame. 0; or -ENOMEM, after
 * run(arg) was called immediately. */
int coro_defer(void (*run)(void *arg), void *arg) __attribute__((warn_unused_result));
/* Removes the latest coro_defer of the same two. Returns false if there is none. */
bool coro_defer_drop(void (*run)(void *arg), void *arg);
