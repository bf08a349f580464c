/*
 * queue_fixture.h: a queue with workers that do nothing but take, for its tests.
 */
#pragma once

#include "../check.h"

#include "base/mem.h"
#include "exec/client.h"

#include <errno.h>

#define WORKERS 4

static struct step_cost costs[3];
static struct queue q;
static struct worker workers[WORKERS];
static unsigned woken[WORKERS];
static const struct pool_client *woken_from;
static struct task *got[TAKE_MAX];
static struct task *posted; /* meanwhile, by another thread */

/* 0: as if it had never run. */
static inline void set_cost(unsigned step, int64_t ns)
{
    memset(&costs[step], 0, sizeof(costs[step]));
    if (ns > 0)
        cost_note(&costs[step], 0, ns);
}

static inline void wake(struct worker *h, struct pool_client *from)
{
    woken[h->index]++;
    woken_from = from;
    if (posted)
        posted->done.next = NULL;
}

static inline int setup(void **state)
{
    for (unsigned i = 0; i < 3; i++)
        set_cost(i, 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.index = i, .wake = wake};
        list_init(&workers[i].idle);
        woken[i] = 0;
    }
    return queue_init(&q, 128, WORKERS, costs, task_drop);
}

static inline int teardown(void **state)
{
    queue_release(&q);
    return 0;
}

/* With one holder: the queue. */
static inline struct task *task(uint64_t id, int64_t deadline_s)
{
    struct task *t = mem_zalloc(sizeof(*t));
    assert_non_null(t);
    t->id = id;
    queue_item_init(&t->item);
    t->item.deadline = deadline_s == DEADLINE_NEVER ? DEADLINE_NEVER : deadline_s * NS_PER_S;
    atomic_store(&t->holders, 1);
    t->output.base = t->small;
    t->item.batch = 1;
    return t;
}

static inline unsigned take_tasks(
    struct worker *worker, struct task **out, unsigned max, int64_t now)
{
    struct queue_item *items[TAKE_MAX];
    unsigned count = queue_take(&q, worker, items, max, now);
    for (unsigned i = 0; i < count; i++)
        out[i] = task_of(items[i]);
    return count;
}

static inline struct task *fused_to(const struct task *t)
{
    return t->item.fused ? task_of(t->item.fused) : NULL;
}

static inline void put(struct task *t)
{
    assert_int_equal(queue_put(&q, &t->item, NULL), 0);
}

/* What comes next, one at a time; 0: nothing. */
static inline uint64_t next(void)
{
    if (take_tasks(&workers[0], got, 1, 0) == 0)
        return 0;
    uint64_t id = got[0]->id;
    task_free(got[0]);
    return id;
}

static inline unsigned take(unsigned max)
{
    unsigned count = take_tasks(&workers[0], got, max, 0);
    for (unsigned i = 0; i < count; i++)
        task_free(got[i]);
    return count;
}

static inline void become_idle(unsigned i)
{
    assert_int_equal(take_tasks(&workers[i], got, 1, 0), 0);
}

static inline void put_many(unsigned count, unsigned step)
{
    for (unsigned i = 0; i < count; i++) {
        struct task *t = task(i + 1, 1000);
        t->item.step = step;
        put(t);
    }
}

static inline struct task *fuse(uint64_t first, unsigned count, int64_t deadline_s)
{
    struct task *head = NULL;
    for (unsigned i = count; i-- > 0;) {
        struct task *t = task(first + i, deadline_s);
        t->item.fused = head ? &head->item : NULL;
        head = t;
    }
    return head;
}

static inline void free_got(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        task_free(got[i]);
}

#define WAIT (2 * NS_PER_MS)

static inline struct task *batched(uint64_t id, int64_t put_at)
{
    struct task *t = task(id, DEADLINE_NEVER);
    t->item.step = 2;
    t->item.batch = 4;
    t->item.put_at = put_at;
    return t;
}

static inline void use_batches(int64_t wait)
{
    const struct conf_batch batches[] = {{.max = 1}, {.max = 1}, {.max = 4, .wait = wait}};
    assert_int_equal(queue_batches(&q, batches, 3), 0);
}
