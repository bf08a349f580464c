/*
 * batcher.h: tasks of steps that are served in batches: which others of its step go with a task,
 * and which are held back until there are more. Knows no lock, no clock, no task.
 *
 * A task is held back only where that pays. After a hold that brought nobody the next ones are not
 * held back until tasks of the step have been found waiting together: a single caller, whose next
 * task comes after the last one's end, does not wait for himself.
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"

struct batch_link {
    struct list link;
    bool in;
    bool held;
};

struct batcher_step {
    unsigned max; /* of a batch; 0, 1: there are none */
    int64_t wait;
    struct list ready;
    struct list held;
    unsigned ready_count;
    unsigned held_count;
    unsigned lonely;      /* holds that brought nobody, lately */
    struct heap_link due; /* while some are held */
    int64_t until;
};

struct batcher {
    struct batcher_step **steps; /* NULL: no batches */
    unsigned count;
    struct heap due;
};

void batcher_init(struct batcher *g);
void batcher_release(struct batcher *g);
/* Before anything is in. 0 or -ENOMEM. */
int batcher_add_step(struct batcher *g, unsigned step, unsigned max, int64_t wait)
    __attribute__((warn_unused_result));

/* The most of a batch; 1: the step has none. */
unsigned batcher_max(const struct batcher *g, unsigned step);
/* A task of such a step: true, it is held back, until batcher_due gives it: after its step's wait,
 * or at the moment `until`, or when there are enough for a batch. */
bool batcher_add(
    struct batcher *g, struct batch_link *i, unsigned step, int64_t now, int64_t until);
void batcher_remove(struct batcher *g, struct batch_link *i, unsigned step);
/* The next that is not to be held back any more, or NULL. */
struct batch_link *batcher_due(struct batcher *g, int64_t now);
/* When there will be one; DEADLINE_NEVER. */
int64_t batcher_moment(const struct batcher *g);
/* One that goes with another of its step, or NULL. */
struct batch_link *batcher_peer(const struct batcher *g, unsigned step);
