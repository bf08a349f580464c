/*
 * entry.h: what waits in a queue as one: a task, or several that are fused, of which the first
 * leads. An entry stands in the order, or is held back; one of a batch is gathered, too; its tasks
 * count either way. For queue.c and take.c only, under the queue's lock, or when nobody else is
 * left.
 */
#pragma once

#include "pool/internal.h"

struct task *entry_task(struct order_item *place);

/* What one task is presumed to cost: what was expected when it was put, or what is expected by
 * now. If its step was never measured, as much as may be handed over at once, so that it goes to
 * its hand alone. */
int64_t entry_task_cost(const struct task *t);
int64_t entry_task_cost_now(const struct queue *q, const struct task *t);

/* Whether it is called together with others of its step. */
bool entry_is_batch(const struct queue *q, const struct task *t);
/* Before it is put: what is known of its tasks' costs, and its place by them. */
struct order_place entry_place(const struct queue *q, struct task *t);
/* Goes in, prepared (order_prepare), at the end or `again`; if it may be, it is held back. */
void entry_add(struct queue *q, struct task *t, bool again);
/* It is in, and of a task of which nothing was known something is by now: it goes where it belongs.
 * True: somebody else may be first. */
bool entry_reprice(struct queue *q, struct task *t);
/* Those that were held back until `now` go into the order. True: there were some. */
bool entry_release_held(struct queue *q, int64_t now);

/* Its first tasks go out, at least one and at most so many. They are fused still, and `leader` is
 * what it was: the caller clears both of each. True: the next leads the rest. */
bool entry_split(struct queue *q, struct task *first, unsigned most);
/* The one that leads goes out alone, and the next leads; or one that follows does. */
void entry_pop_leader(struct queue *q, struct task *t);
void entry_pop_member(struct queue *q, struct task *t);
/* Who goes out unserved would have waited for longer still. */
void entry_learn_unserved(struct queue *q, const struct task *t);
