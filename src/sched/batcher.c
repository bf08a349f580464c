/*
 * batcher.c: see batcher.h.
 */
#include "sched/batcher.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/time.h"

#include <errno.h>

void batcher_init(struct batcher *g)
{
    *g = (struct batcher){.steps = NULL};
    heap_init(&g->due, UINT32_MAX);
}

void batcher_release(struct batcher *g)
{
    for (unsigned i = 0; i < g->count; i++)
        mem_free(g->steps[i]);
    mem_free(g->steps);
    heap_release(&g->due);
}

static int add_steps(struct batcher *g, unsigned count)
{
    struct batcher_step **more = mem_realloc(g->steps, count * sizeof(struct batcher_step *));
    if (!more)
        return -ENOMEM;
    g->steps = more;
    while (g->count < count)
        g->steps[g->count++] = NULL;
    return 0;
}

int batcher_add_step(struct batcher *g, unsigned step, unsigned max, int64_t wait)
{
    int rc = step >= g->count ? add_steps(g, step + 1) : 0;
    if (rc == 0)
        rc = heap_reserve(&g->due, g->count);
    if (rc)
        return rc;
    struct batcher_step *s = g->steps[step];
    if (!s)
        s = g->steps[step] = mem_zalloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->max = max;
    s->wait = wait;
    list_init(&s->ready);
    list_init(&s->held);
    return 0;
}

static struct batcher_step *find(const struct batcher *g, unsigned step)
{
    return step < g->count ? g->steps[step] : NULL;
}

unsigned batcher_max(const struct batcher *g, unsigned step)
{
    const struct batcher_step *s = find(g, step);
    return s && s->max > 1 ? s->max : 1;
}

static struct batcher_step *must_find(const struct batcher *g, unsigned step)
{
    struct batcher_step *s = find(g, step);
    check(s, "step %u has no batches", step);
    return s;
}

static void set_due(struct batcher *g, struct batcher_step *s, int64_t until)
{
    if (heap_linked(&s->due))
        heap_remove(&g->due, &s->due);
    s->until = until;
    if (s->held_count == 0)
        return;
    int rc = heap_push(&g->due, &s->due, until);
    check(rc == 0, "there is no room for a step that holds tasks back");
}

static void become_ready(struct batcher_step *s, struct batch_link *i)
{
    i->held = false;
    list_push_back(&s->ready, &i->link);
    s->ready_count++;
}

bool batcher_add(struct batcher *g, struct batch_link *i, unsigned step, int64_t now, int64_t until)
{
    struct batcher_step *s = must_find(g, step);
    dcheck(!i->in, "a task is added to the batches twice");
    unsigned before = s->ready_count + s->held_count;
    i->in = true;
    if (before > 0)
        s->lonely = 0;
    /* Ready ones already wait for a worker; this one joins them. */
    if (s->wait <= 0 || until <= now || s->lonely > 0 || s->ready_count > 0) {
        become_ready(s, i);
        return false;
    }
    i->held = true;
    list_push_back(&s->held, &i->link);
    s->held_count++;
    until = deadline_sooner(until, deadline_after(now, s->wait));
    if (before > 0)
        until = deadline_sooner(until, s->until);
    if (s->held_count >= s->max)
        until = INT64_MIN;
    if (before == 0 || until != s->until)
        set_due(g, s, until);
    return true;
}

void batcher_remove(struct batcher *g, struct batch_link *i, unsigned step)
{
    struct batcher_step *s = must_find(g, step);
    check(i->in, "a task is removed from batches that it is not in");
    check(i->held ? s->held_count > 0 : s->ready_count > 0, "step %u has miscounted", step);
    list_del(&i->link);
    i->in = false;
    if (!i->held) {
        s->ready_count--;
        return;
    }
    i->held = false;
    if (--s->held_count == 0)
        set_due(g, s, 0);
}

struct batch_link *batcher_due(struct batcher *g, int64_t now)
{
    if (heap_first_key(&g->due) > now || heap_empty(&g->due))
        return NULL;
    struct batcher_step *s = container_of(heap_first(&g->due), struct batcher_step, due);
    if (s->held_count == 1 && s->ready_count == 0)
        s->lonely++;
    struct batch_link *i = list_first(&s->held, struct batch_link, link);
    list_del(&i->link);
    become_ready(s, i);
    if (--s->held_count == 0)
        set_due(g, s, 0);
    return i;
}

int64_t batcher_moment(const struct batcher *g)
{
    return heap_first_key(&g->due);
}

struct batch_link *batcher_peer(const struct batcher *g, unsigned step)
{
    const struct batcher_step *s = find(g, step);
    if (!s)
        return NULL;
    if (s->ready_count > 0)
        return list_first(&s->ready, struct batch_link, link);
    return s->held_count > 0 ? list_first(&s->held, struct batch_link, link) : NULL;
}
