/*
 * coro.h: coroutines: straight-line code that waits without a thread of its own.
 *
 * A *sched* is one thread's coroutines: those that are ready, those that are parked until something
 * wakes them, and the moments at which parked ones give up. It knows no loop and no clock but the
 * one it is given: whoever drives it (world/uv, world/sim, a test) calls sched_run when something
 * is ready and sched_expire when time has passed.
 *
 * Invariants:
 *  - A sched and all that belongs to it is used by one thread at a time; a coroutine never changes
 *    its sched.
 *  - A wait ends in one of three ways: it was woken (the result given to coro_wake), -ETIMEDOUT at
 *    the coroutine's deadline, -ECANCELED once the coroutine is cancelled. Cancellation wins over
 *    time-out; a result that was already given is not taken back. A cancelled coroutine's every
 *    further wait is -ECANCELED at once, but those inside a CORO_SHIELD.
 *  - A deadline that has passed is no mistake: the wait is -ETIMEDOUT without waiting.
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

/* What a coroutine runs: 0, or a negative errno, which its group hears of. */
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
    /* The clock that deadlines are told on. Required. */
    int64_t (*now)(void *ctx);
    void *now_ctx;
};

#define CORO_STACK_DEFAULT          (64 * 1024)
#define CORO_STACKS_IDLE_DEFAULT    (16 * 1024 * 1024)
#define CORO_GUARD_MAPPINGS_DEFAULT 16384

/* 0, -ENOMEM, or -ENOTSUP: this thread has a hardware shadow stack (CET, GCS), which would take
 * every switch for an attack. */
int sched_open(struct sched **out, const struct sched_options *options)
    __attribute__((warn_unused_result));
/* Every coroutine must have ended. */
void sched_close(struct sched *s);

/* Starts a coroutine that has no parent; for worlds and tests, everyone else has groups. It runs at
 * the next sched_run. `name` must live as long as the coroutine. 0 or -ENOMEM. */
int sched_spawn(struct sched *s, const char *name, coro_fn *fn, void *arg);
/* Cancels every coroutine of the sched, for a world that dies: shields do not hold this off. */
void sched_cancel_all(struct sched *s);

bool sched_ready(const struct sched *s);
size_t sched_ready_count(const struct sched *s);
/* Whether some of those who are ready have been woken or started, rather than merely yielded in the
 * latest sched_run: who yields may be left until others, outside, have had their turn. */
bool sched_pressing(const struct sched *s);
/* Runs the coroutines that are ready now, each until it parks or ends; those that become ready
 * meanwhile run the next time. Returns how many ran. */
size_t sched_run(struct sched *s);
/* Runs one, chosen by `pick`. False: none was ready. */
bool sched_run_one(struct sched *s);
/* The earliest moment at which sched_expire has something to do, or DEADLINE_NEVER. */
int64_t sched_next_deadline(const struct sched *s);
/* Makes ready, with -ETIMEDOUT or a sleep's 0, whoever waits for a moment that is not after `now`.
 */
void sched_expire(struct sched *s, int64_t now);

/* Whether the calling thread is the one that uses this sched: the one that opened it, or ran it
 * last. */
bool sched_here(const struct sched *s);
/* Coroutines that have not ended. */
size_t sched_count(const struct sched *s);
/* The most bytes of stack that any coroutine has used so far, in whole pages. It looks at every
 * stack: for reports. */
size_t sched_stack_high_water(struct sched *s);
/* Names of the coroutines and what each waits for, one a line, through `line`; for reports of dead
 * ends. */
void sched_describe(const struct sched *s, void (*line)(void *ctx, const char *text), void *ctx);
/* The name of the coroutine that runs on this thread now, or NULL; safe in a signal handler. */
const char *sched_running_name(void);

/* A stack that overflows ends the process with a sentence that names the coroutine. Call it once a
 * process; it takes the SIGSEGV and SIGBUS actions, and hands on what is not its own. The handler
 * runs on a stack that each thread is given when it first runs a sched. 0 or a negative errno. */
int coro_catch_overflow(void) __attribute__((warn_unused_result));

/* ---- Inside a coroutine ---- */

/* The running coroutine, or NULL outside. */
struct coro *coro_self(void);
const char *coro_name(const struct coro *c);
struct sched *coro_sched(const struct coro *c);

/* Parks until coro_wake, the deadline, or cancellation. `why` names the wait in reports ("read").
 * Whoever can wake it must forget the coroutine once this returns. Returns what coro_wake was
 * given, -ETIMEDOUT or -ECANCELED. */
int coro_park(const char *why) __attribute__((warn_unused_result));
/* Like coro_park, but `when` ends it with 0 rather than an error, if that comes before the
 * deadline. */
int coro_sleep(const char *why, int64_t when) __attribute__((warn_unused_result));
/* Lets the others that are ready go first. 0, -ETIMEDOUT or -ECANCELED. */
int coro_yield(void) __attribute__((warn_unused_result));
/* Calls fn(arg) on the thread's own stack, which is as deep as its creator made it; it must not
 * wait. */
void coro_call_deep(void (*fn)(void *arg), void *arg);
/* What a wait would say without waiting: 0, or -ECANCELED, or -ETIMEDOUT. */
int coro_poll(void) __attribute__((warn_unused_result));

/* From the sched's thread, inside a coroutine or not: makes a parked coroutine ready with `result`.
 * False if it was not parked any more: someone else woke it, it timed out or was cancelled; then
 * nothing was delivered. */
bool coro_wake(struct coro *c, int result);
/* Asks it to end: its wait, this one or the next, is -ECANCELED. */
void coro_cancel(struct coro *c);
bool coro_cancelled(const struct coro *c);

/* The moment after which the running coroutine's waits fail; inherited by its children. */
int64_t coro_deadline(void);
/* Until the end of the enclosing block no wait of this coroutine lasts past `when`; it can only
 * become sooner. */
#define CORO_DEADLINE(when)                                 \
    struct coro_deadline_scope CORO_UNIQUE(deadline_scope_) \
        __attribute__((cleanup(coro_deadline_restore), unused)) = coro_deadline_narrow(when)

struct coro_deadline_scope {
    int64_t before;
};
struct coro_deadline_scope coro_deadline_narrow(int64_t when);
void coro_deadline_restore(struct coro_deadline_scope *scope);

/* Until the end of the enclosing block this coroutine's cancellation is not told to its waits, and
 * they end at `when` instead of at its deadline: for clean-up that must wait a little, also after a
 * time-out or a cancellation, as a farewell on a connection or the flushing of a log. It is bounded
 * by `when`; within another shield by that one's, too. Children that are started inside inherit
 * `when` as their deadline. What came meanwhile is told to the first wait after. */
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

/* Gives the memory of the running coroutine's stack that lies below the caller's frame, where
 * deeper calls were, back to the kernel: before a wait that will be long. It costs a system call,
 * and a second, dearer one if there is something to give. */
void coro_trim(void);

/* Has run(arg) called when the coroutine ends, however it ends: the latest first, on the
 * coroutine's own stack, after its function has returned. `arg` must live until then: nothing in
 * the function's own frame does. 0; or -ENOMEM, and then `run` has been called right away. */
int coro_defer(void (*run)(void *arg), void *arg) __attribute__((warn_unused_result));
/* Takes back the latest coro_defer of the same two: it will not run. False if there is none. */
bool coro_defer_drop(void (*run)(void *arg), void *arg);
