/*
 * order.c: see order.h. Fairness is start-time fair queueing: each route has a clock of its own,
 * which goes on by the cost of what it was served; the one whose clock is furthest behind is next.
 * A route that had nothing waiting gets no credit for that: its clock is set to the class's.
 */
#include "sched/order.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/time.h"

#include <errno.h>

#define CLASSES     (ORDER_PRIORITIES * ORDER_SIZES)
#define ROUTES_MAX  (1U << 20)
#define SHORT_TIMES 10  /* a short task costs less than a tenth of the expensive ones */
#define LONG_SHARE  4   /* a quarter of the work is long, if both wait */
#define LEARNED     256 /* tasks that the decaying sums remember */

struct route_queue {
    struct ordered_tree tree;
    struct class_stats stats;
    struct heap_link active; /* in its class's heap while something is in */
    int64_t served;          /* its clock */
    unsigned rank;
    enum order_size size;
};

void order_init(struct order *o)
{
    *o = (struct order){.queues = NULL};
    list_init(&o->waiting);
    for (unsigned i = 0; i < ORDER_PRIORITIES; i++)
        for (unsigned j = 0; j < ORDER_SIZES; j++)
            heap_init(&o->ranks[i].classes[j].queues, ROUTES_MAX);
}

void order_release(struct order *o)
{
    check(o->count == 0, "an order ends with %u waiting", o->count);
    for (unsigned i = 0; i < o->routes * CLASSES; i++)
        mem_free(o->queues[i]);
    mem_free(o->queues);
    for (unsigned i = 0; i < ORDER_PRIORITIES; i++)
        for (unsigned j = 0; j < ORDER_SIZES; j++)
            heap_release(&o->ranks[i].classes[j].queues);
}

/* ---- Places ---- */

static unsigned rank_of(int priority)
{
    if (priority > CONF_PRIORITY_MAX)
        priority = CONF_PRIORITY_MAX;
    if (priority < -CONF_PRIORITY_MAX)
        priority = -CONF_PRIORITY_MAX;
    return (unsigned)(CONF_PRIORITY_MAX - priority);
}

/* Compares with the mean cost weighted by work, square / work: many cheap tasks hardly move it. */
static enum order_size size_of(const struct order *o, int64_t cost)
{
    return (double)cost * SHORT_TIMES * o->work < o->square ? ORDER_SHORT : ORDER_LONG;
}

static void learn(struct order *o, int64_t cost)
{
    double c = (double)cost;
    o->work += c - o->work / LEARNED;
    o->square += c * c - o->square / LEARNED;
}

static int add_routes(struct order *o, unsigned routes)
{
    if (routes > ROUTES_MAX)
        return -ENOMEM;
    size_t size = (size_t)routes * CLASSES * sizeof(struct route_queue *);
    struct route_queue **more = mem_realloc(o->queues, size);
    if (!more)
        return -ENOMEM;
    o->queues = more;
    for (unsigned i = o->routes * CLASSES; i < routes * CLASSES; i++)
        o->queues[i] = NULL;
    o->routes = routes;
    return 0;
}

static int add_queue(struct order *o, struct route_queue **out, unsigned rank, enum order_size size)
{
    unsigned queues = 1;
    for (unsigned i = 0; i < o->routes; i++)
        queues += o->queues[i * CLASSES + rank * ORDER_SIZES + size] != NULL;
    struct heap *h = &o->ranks[rank].classes[size].queues;
    int rc = heap_reserve(h, queues - h->count);
    struct route_queue *queue = rc ? NULL : mem_zalloc(sizeof(*queue));
    if (!queue)
        return -ENOMEM;
    ordered_tree_init(&queue->tree);
    class_stats_init(&queue->stats);
    queue->rank = rank;
    queue->size = size;
    *out = queue;
    return 0;
}

int order_prepare(struct order *o, struct order_item *item, const struct order_place *place)
{
    check(place->cost > 0, "a task that costs %lld", (long long)place->cost);
    if (place->route >= o->routes) {
        int rc = add_routes(o, place->route + 1);
        if (rc)
            return rc;
    }
    unsigned rank = rank_of(place->priority);
    enum order_size size = size_of(o, place->cost);
    struct route_queue **queue = &o->queues[place->route * CLASSES + rank * ORDER_SIZES + size];
    if (!*queue) {
        int rc = add_queue(o, queue, rank, size);
        if (rc)
            return rc;
    }
    item->queue = *queue;
    item->came_at = place->came_at;
    item->node.tree = NULL;
    item->node.key =
        deadline_sooner(place->deadline, deadline_after(place->came_at, ORDER_PATIENCE_NS));
    item->node.serial = o->next_serial++;
    item->node.cost = place->cost;
    return 0;
}

static struct order_class *class_of(struct order *o, const struct route_queue *queue)
{
    return &o->ranks[queue->rank].classes[queue->size];
}

/* ---- Adding and removing ---- */

static void activate(struct order_class *c, struct route_queue *queue)
{
    int rc = heap_push(&c->queues, &queue->active, queue->served);
    check(rc == 0, "there is no room for a route that was there before");
}

static void count_cost(struct order *o, const struct route_queue *queue, int64_t cost)
{
    class_of(o, queue)->cost += cost;
    o->ranks[queue->rank].cost += cost;
}

void order_add(struct order *o, struct order_item *item, bool again)
{
    struct route_queue *queue = item->queue;
    struct order_class *c = class_of(o, queue);
    check(!order_in(item), "an item is added to the order twice");
    if (queue->tree.count > 0 && again)
        heap_remove(&c->queues, &queue->active);
    if (again)
        queue->served -= item->node.cost;
    else
        learn(o, item->node.cost);
    if (queue->tree.count == 0 && queue->served < c->served)
        queue->served = c->served;
    if (!heap_linked(&queue->active))
        activate(c, queue);
    ordered_tree_add(&queue->tree, &item->node, again);
    if (again)
        list_push_front(&o->waiting, &item->waiting);
    else
        list_push_back(&o->waiting, &item->waiting);
    count_cost(o, queue, item->node.cost);
    o->count++;
}

void order_remove(struct order *o, struct order_item *item)
{
    struct route_queue *queue = item->queue;
    check(order_in(item) && o->count > 0, "an item leaves the order that is not in it");
    ordered_tree_remove(&queue->tree, &item->node);
    list_del(&item->waiting);
    count_cost(o, queue, -item->node.cost);
    o->count--;
    if (queue->tree.count > 0)
        return;
    heap_remove(&class_of(o, queue)->queues, &queue->active);
    if (queue->size == ORDER_LONG && class_of(o, queue)->queues.count == 0)
        o->ranks[queue->rank].owed = 0;
}

void order_reprice(struct order *o, struct order_item *item, const struct order_place *place)
{
    struct list *before = item->waiting.prev;
    order_remove(o, item);
    int rc = order_prepare(o, item, place);
    (void)rc; /* without memory it stays where it was */
    order_add(o, item, false);
    list_del(&item->waiting);
    list_push_front(before, &item->waiting);
}

/* Long tasks earn a share for each short one that goes before them, and spend it when served. */
static void settle_owed(struct order_rank *r, enum order_size size, int64_t cost)
{
    if (size == ORDER_LONG)
        r->owed = r->owed > cost ? r->owed - cost : 0;
    else if (r->classes[ORDER_LONG].queues.count > 0)
        r->owed += cost / (LONG_SHARE - 1);
}

/* A task served out of order does not move the class's clock beyond routes that wait. A route that
 * had no item in (its task was held back) gets no credit, as if it had come just now. */
void order_charge(struct order *o, const struct order_item *item, int64_t cost)
{
    struct route_queue *queue = item->queue;
    struct order_class *c = class_of(o, queue);
    bool active = heap_linked(&queue->active);
    dcheck(!order_in(item) && cost >= 0, "a waiting item is charged");
    settle_owed(&o->ranks[queue->rank], queue->size, cost);
    int64_t furthest_behind = queue->served;
    if (heap_first(&c->queues) && heap_first_key(&c->queues) < furthest_behind)
        furthest_behind = heap_first_key(&c->queues);
    if (c->served < furthest_behind)
        c->served = furthest_behind;
    if (!active && queue->served < c->served)
        queue->served = c->served;
    queue->served += cost;
    if (active) {
        heap_remove(&c->queues, &queue->active);
        activate(c, queue);
    }
}

void order_inherit(struct order_item *heir, const struct order_item *item, int64_t cost)
{
    heir->queue = item->queue;
    heir->came_at = item->came_at;
    heir->node = (struct tree_node){
        .key = item->node.key, .serial = item->node.serial, .cost = cost > 0 ? cost : 1};
}

void order_replace(struct order *o, struct order_item *item, struct order_item *heir, int64_t cost)
{
    struct route_queue *queue = item->queue;
    order_inherit(heir, item, cost);
    ordered_tree_replace(&queue->tree, &item->node, &heir->node);
    list_push_front(&item->waiting, &heir->waiting);
    list_del(&item->waiting);
    count_cost(o, queue, heir->node.cost - item->node.cost);
}

/* ---- Which is next ---- */

static struct order_item *item_of(struct tree_node *i)
{
    return container_of(i, struct order_item, node);
}

static struct order_item *first_of(const struct order_class *c)
{
    struct heap_link *link = heap_first(&c->queues);
    if (!link)
        return NULL;
    const struct route_queue *queue = container_of(link, struct route_queue, active);
    return item_of(queue->stats.state == ADMISSION_NEWEST ? ordered_tree_newest(&queue->tree)
                                                          : queue->tree.first);
}

static struct order_item *first_in_rank(const struct order_rank *r)
{
    struct order_item *quick = first_of(&r->classes[ORDER_SHORT]);
    struct order_item *long_one = first_of(&r->classes[ORDER_LONG]);
    if (!quick || !long_one)
        return quick ? quick : long_one;
    return r->owed >= long_one->node.cost ? long_one : quick;
}

struct order_item *order_oldest(const struct order *o)
{
    check(o->count > 0, "the oldest of an empty order");
    return list_first(&o->waiting, struct order_item, waiting);
}

struct order_item *order_first(const struct order *o, int64_t now)
{
    if (o->count == 0)
        return NULL;
    struct order_item *oldest = order_oldest(o);
    if (now - oldest->came_at >= ORDER_PATIENCE_NS)
        return oldest;
    struct order_item *first = NULL;
    for (unsigned i = 0; i < ORDER_PRIORITIES && !first; i++)
        if (o->ranks[i].cost > 0)
            first = first_in_rank(&o->ranks[i]);
    return first;
}

/* ---- What is ahead ---- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Within its class: what is before it on its own route, and a fair share of each other route. */
static int64_t ahead_in_class(const struct order_class *c, const struct order_item *item)
{
    const struct route_queue *queue = item->queue;
    const struct tree_node *i = &item->node;
    int64_t own = ordered_tree_cost_before(&queue->tree, i->key, i->serial);
    int64_t others = c->cost - ordered_tree_cost(&queue->tree);
    unsigned routes = c->queues.count - (queue->tree.count > 0);
    return own + least(others, (own + i->cost) * routes);
}

int64_t order_ahead(const struct order *o, const struct order_item *item)
{
    const struct route_queue *queue = item->queue;
    const struct order_rank *r = &o->ranks[queue->rank];
    int64_t ahead = 0;
    for (unsigned i = 0; i < queue->rank; i++)
        ahead += o->ranks[i].cost;
    int64_t own = ahead_in_class(&r->classes[queue->size], item);
    int64_t other = r->classes[queue->size == ORDER_SHORT ? ORDER_LONG : ORDER_SHORT].cost;
    int64_t share = queue->size == ORDER_SHORT ? own / (LONG_SHARE - 1)
                                               : (own + item->node.cost) * (LONG_SHARE - 1);
    return ahead + own + least(other, share);
}

struct class_stats *order_stats(const struct order_item *item)
{
    return &item->queue->stats;
}

struct order_item *order_oldest_of_class(const struct order_item *item)
{
    const struct ordered_tree *tree = &item->queue->tree;
    return tree->count > 0 ? item_of(list_first(&tree->arrivals, struct tree_node, arrived)) : NULL;
}

int64_t order_cost(const struct order *o)
{
    int64_t cost = 0;
    for (unsigned i = 0; i < ORDER_PRIORITIES; i++)
        cost += o->ranks[i].cost;
    return cost;
}
