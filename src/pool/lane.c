/*
 * lane.c: see lane.h. Who is above whom is decided by a number that is scattered from the serial,
 * so that the expected depth is logarithmic whatever the keys.
 */
#include "pool/lane.h"

#include <stddef.h>

void lane_init(struct lane *l)
{
    *l = (struct lane){.top = NULL};
    list_init(&l->arrivals);
}

static uint64_t weight(const struct lane_item *i)
{
    uint64_t x = i->serial + UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static bool is_before(const struct lane_item *i, int64_t key, uint64_t serial)
{
    return i->key != key ? i->key < key : i->serial < serial;
}

static int64_t sum_of(const struct lane_item *i)
{
    return i ? i->sum : 0;
}

/* Where `i` hangs. */
static struct lane_item **link_of(struct lane *l, const struct lane_item *i)
{
    if (!i->above)
        return &l->top;
    return i->above->left == i ? &i->above->left : &i->above->right;
}

/* Puts `child` to where `i` hangs. */
static void replace(struct lane *l, struct lane_item *i, struct lane_item *child)
{
    *link_of(l, i) = child;
    if (child)
        child->above = i->above;
}

/* The child takes its parent's place, and the parent goes below it. */
static void rise(struct lane *l, struct lane_item *child)
{
    struct lane_item *parent = child->above;
    struct lane_item *between;
    replace(l, parent, child);
    if (parent->left == child) {
        between = child->right;
        parent->left = between;
        child->right = parent;
    } else {
        between = child->left;
        parent->right = between;
        child->left = parent;
    }
    parent->above = child;
    if (between)
        between->above = parent;
    child->sum = parent->sum;
    parent->sum = parent->cost + sum_of(parent->left) + sum_of(parent->right);
}

void lane_add(struct lane *l, struct lane_item *item, bool again)
{
    struct lane_item **link = &l->top;
    struct lane_item *above = NULL;
    while (*link) {
        above = *link;
        above->sum += item->cost;
        link = is_before(above, item->key, item->serial) ? &above->right : &above->left;
    }
    *link = item;
    item->lane = l;
    item->above = above;
    item->left = item->right = NULL;
    item->sum = item->cost;
    uint64_t mine = weight(item);
    while (item->above && weight(item->above) < mine)
        rise(l, item);
    if (!l->first || !is_before(l->first, item->key, item->serial))
        l->first = item;
    if (again)
        list_push_front(&l->arrivals, &item->arrived);
    else
        list_push_back(&l->arrivals, &item->arrived);
    l->count++;
}

/* The first has nothing to its left. */
static struct lane_item *after_first(const struct lane_item *first)
{
    struct lane_item *next = first->right;
    if (!next)
        return first->above;
    while (next->left)
        next = next->left;
    return next;
}

void lane_remove(struct lane *l, struct lane_item *item)
{
    if (l->first == item)
        l->first = after_first(item);
    while (item->left && item->right)
        rise(l, weight(item->left) > weight(item->right) ? item->left : item->right);
    replace(l, item, item->left ? item->left : item->right);
    for (struct lane_item *i = item->above; i; i = i->above)
        i->sum -= item->cost;
    item->lane = NULL;
    list_del(&item->arrived);
    l->count--;
}

void lane_replace(struct lane *l, struct lane_item *item, struct lane_item *heir)
{
    struct list *earlier = item->arrived.prev;
    lane_remove(l, item);
    lane_add(l, heir, true);
    list_del(&heir->arrived);
    list_push_front(earlier, &heir->arrived);
}

int64_t lane_cost_before(const struct lane *l, int64_t key, uint64_t serial)
{
    int64_t before = 0;
    const struct lane_item *i = l->top;
    while (i) {
        if (is_before(i, key, serial)) {
            before += i->cost + sum_of(i->left);
            i = i->right;
        } else {
            i = i->left;
        }
    }
    return before;
}
