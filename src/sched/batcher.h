/*
 * batcher.h: forms batches of tasks of one step, and holds tasks back until there are enough. Knows
 * no lock, no clock, no task.
 *
 * Holding back has to pay: after a hold that no second task joined, tasks of the step are not held
 * back until some have been found waiting together. A single caller, whose next task comes after
 * the last one's end, never waits for a batch.
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"

struct batch_link {
    struct list link;
    bool in;   /* in one of its step's lists */
    bool held; /* in `held`; else in `ready` */
};

struct batcher_step {
    unsigned max; /* size of a batch; 0, 1: the step has none */
    int64_t wait;
    struct list ready;
    struct list held;
    unsigned ready_count;
    unsigned held_count;
    unsigned lonely;      /* recent holds in a row that no second task joined */
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
/* Before the first batcher_add. 0 or -ENOMEM. */
int batcher_add_step(struct batcher *g, unsigned step, unsigned max, int64_t wait)
    __attribute__((warn_unused_result));

/* The size of a full batch; 1: the step has none. */
unsigned batcher_max(const struct batcher *g, unsigned step);
/* Adds a task of a step with batches. Returns true if it is held back: batcher_due returns it after
 * its step's wait, at the moment `until`, or when a batch is full, whichever comes first. */
bool batcher_add(
    struct batcher *g, struct batch_link *i, unsigned step, int64_t now, int64_t until);
void batcher_remove(struct batcher *g, struct batch_link *i, unsigned step);
/* The next task whose hold has ended, or NULL. */
struct batch_link *batcher_due(struct batcher *g, int64_t now);
/* The moment of the next one, or DEADLINE_NEVER. */
int64_t batcher_moment(const struct batcher *g);
/* Another task of the step for a batch: a ready one first, else a held one; or NULL. */
struct batch_link *batcher_peer(const struct batcher *g, unsigned step);
