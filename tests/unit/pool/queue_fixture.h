/*
 * queue_fixture.h: a queue with some hands that do nothing but take, for its tests.
 */
#pragma once

#include "../check.h"

#include "base/mem.h"
#include "pool/internal.h"

#include <errno.h>

#define HANDS 4

static struct step_cost costs[3];
static struct queue q;
static struct hand hands[HANDS];
static unsigned woken[HANDS];
static const struct pool_desk *woken_from;
static struct task *got[TAKE_MAX];
static struct task *posted; /* meanwhile, by another thread */

/* 0: as if it had never run. */
static inline void set_cost(unsigned step, int64_t ns)
{
    memset(&costs[step], 0, sizeof(costs[step]));
    if (ns > 0)
        cost_note(&costs[step], 0, ns);
}

static inline void wake(struct hand *h, struct pool_desk *from)
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
    for (unsigned i = 0; i < HANDS; i++) {
        hands[i] = (struct hand){.index = i, .wake = wake};
        list_init(&hands[i].idle);
        woken[i] = 0;
    }
    return queue_init(&q, 128, HANDS, costs);
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
    t->deadline = deadline_s == DEADLINE_NEVER ? DEADLINE_NEVER : deadline_s * NS_PER_S;
    atomic_store(&t->holders, 1);
    t->output.base = t->small;
    t->batch = 1;
    return t;
}

static inline void put(struct task *t)
{
    assert_int_equal(queue_put(&q, t, NULL), 0);
}

/* What comes next, one at a time; 0: nothing. */
static inline uint64_t next(void)
{
    if (queue_take(&q, &hands[0], got, 1, 0) == 0)
        return 0;
    uint64_t id = got[0]->id;
    task_free(got[0]);
    return id;
}

static inline unsigned take(unsigned max)
{
    unsigned count = queue_take(&q, &hands[0], got, max, 0);
    for (unsigned i = 0; i < count; i++)
        task_free(got[i]);
    return count;
}

static inline void become_idle(unsigned i)
{
    assert_int_equal(queue_take(&q, &hands[i], got, 1, 0), 0);
}

static inline void put_many(unsigned count, unsigned step)
{
    for (unsigned i = 0; i < count; i++) {
        struct task *t = task(i + 1, 1000);
        t->step = step;
        put(t);
    }
}

static inline struct task *fuse(uint64_t first, unsigned count, int64_t deadline_s)
{
    struct task *head = NULL;
    for (unsigned i = count; i-- > 0;) {
        struct task *t = task(first + i, deadline_s);
        t->fused = head;
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
    t->step = 2;
    t->batch = 4;
    t->put_at = put_at;
    return t;
}

static inline void use_batches(int64_t wait)
{
    const struct conf_batch batches[] = {{.max = 1}, {.max = 1}, {.max = 4, .wait = wait}};
    assert_int_equal(queue_batches(&q, batches, 3), 0);
}
