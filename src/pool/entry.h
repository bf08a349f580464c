/*
 * entry.h: what waits in a queue as one: a task, or several that are fused, of which the first
 * leads. An entry stands in the order, is gathered if it is of a batch, and counts. For queue.c and
 * take.c only; all under the queue's lock.
 */
#pragma once

#include "pool/internal.h"

struct task *entry_task(struct order_item *place);

/* What a task was expected to cost when it was put; if its step had never been measured, as much as
 * may be handed over at once, so that it goes to its hand alone. */
int64_t entry_cost(const struct task *t);
int64_t entry_cost_of_all(const struct task *t);
/* More may be known of it than when it was put. */
int64_t entry_cost_now(const struct queue *q, const struct task *t);
/* True: of one or more nothing was known, and is now. */
bool entry_learn_costs(const struct queue *q, struct task *t);

/* Whether it is called together with others of its step. */
bool entry_is_batch(const struct queue *q, const struct task *t);
struct order_place entry_place(const struct task *t);

/* Goes in, prepared (order_prepare), at the end or `again`; if it may be, it is held back. */
void entry_add(struct queue *q, struct task *t, bool again);
/* Those that were held back until `now`. True: there were some. */
bool entry_release_held(struct queue *q, int64_t now);

/* Its first tasks go out, at most so many; they are still fused. True: the next leads the rest. */
bool entry_split(struct queue *q, struct task *first, unsigned most);
/* One goes out alone: who leads, or who follows. */
void entry_pop_leader(struct queue *q, struct task *t);
void entry_pop_member(struct queue *q, struct task *t);
/* Who goes out unserved would have waited for longer still. */
void entry_learn_unserved(struct queue *q, const struct task *t);
/* Where nobody waits any more, nothing stands. */
void entry_settle_line(struct queue *q, const struct order_item *item);
