/*
 * admission.h: which tasks a queue admits: estimates the wait of a new task, detects standing
 * queues, and refuses tasks that would miss their deadline. Knows no lock, no clock, no task.
 *
 * The wait is computed from the expected costs of queued tasks and from when each worker should be
 * free. A task that would end after its deadline is refused. The estimate leaves out tasks that
 * come later and overtake (of a higher priority, short ones, other routes). So each class (a
 * route's tasks of one priority and size) learns the ratio of actual to expected waits, its
 * slowness, and applies it to the next.
 *
 * A short queue absorbs bursts. A *standing* queue, in which every task taken during a whole
 * interval had waited longer than a target (CoDel's measure), means overload: then a task may spend
 * at most half of its time in the queue, so that admitted tasks end with time to spare. If tasks
 * still wait for much longer than that (costs jumped, workers stalled), the newest goes first,
 * since it can still meet its deadline, and those that cannot are shed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ADMISSION_TARGET_NS      (5 * INT64_C(1000000))
#define ADMISSION_INTERVAL_NS    (100 * INT64_C(1000000))
/* For expensive tasks both are longer: the target one task, the interval this many. */
#define ADMISSION_INTERVAL_TASKS 16

enum admission_state { ADMISSION_NORMAL, ADMISSION_STANDING, ADMISSION_NEWEST };

struct class_stats {
    enum admission_state state;
    int64_t mean_cost;   /* of recently taken tasks, an EWMA */
    int64_t above_since; /* every task taken since then waited beyond the target; -1: none */
    int64_t late_since;  /* the same, and for much longer than it may; -1: none */
    int64_t expected;    /* EWMA of expected waits, and of the actual ones */
    int64_t waited;
    int64_t slowness; /* waited / expected in thousandths; at least 1000 */
};

void class_stats_init(struct class_stats *s);
/* The wait of a new task of this class: `wait` (admission_wait) times its slowness. If no task of
 * the class waits, slowness is left out, so that it is learned anew. */
int64_t admission_expects(const struct class_stats *s, int64_t wait, bool none_waits);
/* For a task that would wait for `wait`, run for `cost`, and has `left` until its deadline: returns
 * 0 if it is admitted; else the Retry-After: the time from now until another try may succeed. */
int64_t admission_refuses(const struct class_stats *s, int64_t wait, int64_t cost, int64_t left);
/* Observes the wait of a task that is taken; in ADMISSION_NEWEST, of the oldest one in the
 * class. */
void admission_taken(
    struct class_stats *s, int64_t waited, int64_t left, int64_t cost, int64_t now);
/* Learns slowness from a task whose wait was `expected` (by admission_wait); `served`: it was taken
 * after it `waited`; else it left the queue and would have waited for longer. */
void admission_learn(struct class_stats *s, int64_t expected, int64_t waited, bool served);
/* No task of the class waits. */
void admission_drained(struct class_stats *s);

/* ---- Workers ---- */

struct admission {
    unsigned workers;
    int64_t *until; /* by worker: when it should be free */
};

/* 0 or -ENOMEM. */
int admission_init(struct admission *a, unsigned workers) __attribute__((warn_unused_result));
void admission_release(struct admission *a);
/* The worker took tasks that should keep it busy until then; or it is free. */
void admission_busy(struct admission *a, unsigned worker, int64_t until);
void admission_free(struct admission *a, unsigned worker);
/* The time until work of cost `ahead` has been started. */
int64_t admission_wait(const struct admission *a, int64_t ahead, int64_t now);
