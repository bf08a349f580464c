/*
 * admission.h: who may still come in: how long the queue is in time, whether it stands, and who is
 * refused. Knows no lock, no clock, no task.
 *
 * What waits is known by its expected cost, what runs by when its worker should be free again. So
 * it is known when a task would be done that came now; if that is after its deadline, it is
 * refused. That leaves out what will come later and go first (of a higher priority, short, of other
 * routes), and what estimates are wrong by. So each line (a route's tasks of one priority and size)
 * learns by how much its tasks have waited longer than was expected, and expects that of the next.
 *
 * A line that comes and goes is what a queue is for. One that stands, so that whatever is taken
 * has waited longer than a target for a whole interval (CoDel's measure), says that more comes than
 * can be done. Then a task may spend half of its time in the queue and no more: what is admitted is
 * done with time to spare. If tasks are found to have waited for much longer than that all the same
 * (costs jumped, workers stood still), then the newest is first, since it can still be met, and
 * those that cannot be are refused.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ADMISSION_TARGET_NS      (5 * INT64_C(1000000))
#define ADMISSION_INTERVAL_NS    (100 * INT64_C(1000000))
/* Where tasks are dear, both are longer: the target one task, the interval so many. */
#define ADMISSION_INTERVAL_TASKS 16

enum admission_state { ADMISSION_NORMAL, ADMISSION_STANDING, ADMISSION_NEWEST };

struct class_stats {
    enum admission_state state;
    int64_t usual; /* mean cost of what was taken of late */
    int64_t
        above_since;    /* all that was taken since then has waited beyond the target; -1: not so */
    int64_t late_since; /* and for much longer than it is allowed to */
    int64_t expected, waited; /* by those that were served of late: means */
    int64_t slowness;         /* waits, in thousandths of what was expected; at least that */
};

void class_stats_init(struct class_stats *l);
/* How long a task that comes into this line waits, by what admission_wait says. Where none waits in
 * the line, what was learned is not believed: so it is learned anew. */
int64_t admission_expects(const struct class_stats *l, int64_t wait, bool none_waits);
/* Whether a task is refused that would wait so long and then run for `cost`, when it has `left`
 * until its deadline: when it may be worth another try, from now; 0: it is admitted. */
int64_t admission_refuses(const struct class_stats *l, int64_t wait, int64_t cost, int64_t left);
/* One was taken that costs so much, or is the one that waits longest where the newest is first: it
 * has waited so long, with `left` until its deadline. */
void admission_taken(
    struct class_stats *l, int64_t waited, int64_t left, int64_t cost, int64_t now);
/* One that was expected to wait so long (by admission_wait) was served after it `waited`, or was
 * not. */
void admission_learn(struct class_stats *l, int64_t expected, int64_t waited, bool served);
/* Nothing waits in it. */
void admission_drained(struct class_stats *l);

/* ---- All lines ---- */

struct admission {
    unsigned workers;
    int64_t *until; /* by worker: when what it took should be done */
};

/* 0 or -ENOMEM. */
int admission_init(struct admission *a, unsigned workers) __attribute__((warn_unused_result));
void admission_release(struct admission *a);
/* A worker took what should keep it until then; it is free again. */
void admission_busy(struct admission *a, unsigned worker, int64_t until);
void admission_free(struct admission *a, unsigned worker);
/* How long it will be until what is `ahead`, a cost, has been begun. */
int64_t admission_wait(const struct admission *a, int64_t ahead, int64_t now);
