/*
 * ordered_tree.h: the tasks of one route queue: by deadline, and by when it came, with the costs of
 * it all.
 *
 * A treap whose nodes are in the things it orders: nothing is allocated, nothing fails, and any
 * element can come, leave, or be asked what is before it in O(log n). Among equal keys the one with
 * the lower serial is first. The shape follows from the serials: it is the same whenever the same
 * happens, which is what makes the simulator repeatable.
 */
#pragma once

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct tree_node {
    /* What a search looks at, close together. Key, serial and cost: before it is added, and not
     * while it is in. */
    int64_t key;
    uint64_t serial;
    struct tree_node *left;
    struct tree_node *right;
    int64_t sum; /* of its cost and of those below it */
    int64_t cost;
    struct tree_node *above;
    struct ordered_tree *tree; /* it is in; NULL: none */
    struct list arrived;       /* among the tree's */
};

struct ordered_tree {
    struct tree_node *top;
    struct tree_node *first;
    struct list arrivals;
    unsigned count;
};

void ordered_tree_init(struct ordered_tree *tree);
/* As the one that came last; or, if it comes `again`, first. */
void ordered_tree_add(struct ordered_tree *tree, struct tree_node *item, bool again);
void ordered_tree_remove(struct ordered_tree *tree, struct tree_node *item);
/* `heir` goes to where the item is: key and serial are the same. */
void ordered_tree_replace(
    struct ordered_tree *tree, struct tree_node *item, struct tree_node *heir);
/* The costs of those that are before where an item of that key and serial would be. */
int64_t ordered_tree_cost_before(const struct ordered_tree *tree, int64_t key, uint64_t serial);

static inline int64_t ordered_tree_cost(const struct ordered_tree *tree)
{
    return tree->top ? tree->top->sum : 0;
}

/* The one that came last; there is one. */
static inline struct tree_node *ordered_tree_newest(const struct ordered_tree *tree)
{
    return list_entry(tree->arrivals.prev, struct tree_node, arrived);
}
