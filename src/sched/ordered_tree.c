/*
 * ordered_tree.c: see ordered_tree.h. Who is above whom is decided by a number that is scattered
 * from the serial, so that the expected depth is logarithmic whatever the keys.
 */
#include "sched/ordered_tree.h"

#include <stddef.h>

void ordered_tree_init(struct ordered_tree *tree)
{
    *tree = (struct ordered_tree){.top = NULL};
    list_init(&tree->arrivals);
}

static uint64_t weight(const struct tree_node *i)
{
    uint64_t x = i->serial + UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static bool is_before(const struct tree_node *i, int64_t key, uint64_t serial)
{
    return i->key != key ? i->key < key : i->serial < serial;
}

static int64_t sum_of(const struct tree_node *i)
{
    return i ? i->sum : 0;
}

/* Where `i` hangs. */
static struct tree_node **link_of(struct ordered_tree *tree, const struct tree_node *i)
{
    if (!i->above)
        return &tree->top;
    return i->above->left == i ? &i->above->left : &i->above->right;
}

/* Puts `child` to where `i` hangs. */
static void replace(struct ordered_tree *tree, struct tree_node *i, struct tree_node *child)
{
    *link_of(tree, i) = child;
    if (child)
        child->above = i->above;
}

/* The child takes its parent's place, and the parent goes below it. */
static void rise(struct ordered_tree *tree, struct tree_node *child)
{
    struct tree_node *parent = child->above;
    struct tree_node *between;
    replace(tree, parent, child);
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

void ordered_tree_add(struct ordered_tree *tree, struct tree_node *item, bool again)
{
    struct tree_node **link = &tree->top;
    struct tree_node *above = NULL;
    while (*link) {
        above = *link;
        above->sum += item->cost;
        link = is_before(above, item->key, item->serial) ? &above->right : &above->left;
    }
    *link = item;
    item->tree = tree;
    item->above = above;
    item->left = item->right = NULL;
    item->sum = item->cost;
    uint64_t mine = weight(item);
    while (item->above && weight(item->above) < mine)
        rise(tree, item);
    if (!tree->first || !is_before(tree->first, item->key, item->serial))
        tree->first = item;
    if (again)
        list_push_front(&tree->arrivals, &item->arrived);
    else
        list_push_back(&tree->arrivals, &item->arrived);
    tree->count++;
}

/* The first has nothing to its left. */
static struct tree_node *after_first(const struct tree_node *first)
{
    struct tree_node *next = first->right;
    if (!next)
        return first->above;
    while (next->left)
        next = next->left;
    return next;
}

void ordered_tree_remove(struct ordered_tree *tree, struct tree_node *item)
{
    if (tree->first == item)
        tree->first = after_first(item);
    while (item->left && item->right)
        rise(tree, weight(item->left) > weight(item->right) ? item->left : item->right);
    replace(tree, item, item->left ? item->left : item->right);
    for (struct tree_node *i = item->above; i; i = i->above)
        i->sum -= item->cost;
    item->tree = NULL;
    list_del(&item->arrived);
    tree->count--;
}

void ordered_tree_replace(struct ordered_tree *tree, struct tree_node *item, struct tree_node *heir)
{
    struct list *earlier = item->arrived.prev;
    ordered_tree_remove(tree, item);
    ordered_tree_add(tree, heir, true);
    list_del(&heir->arrived);
    list_push_front(earlier, &heir->arrived);
}

int64_t ordered_tree_cost_before(const struct ordered_tree *tree, int64_t key, uint64_t serial)
{
    int64_t before = 0;
    const struct tree_node *i = tree->top;
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
