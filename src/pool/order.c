/*
 * order.c: see order.h. Fairness is start-time fair queueing: each route has a clock of its own,
 * which goes on by the cost of what it was served; the one whose clock is furthest behind is next.
 * A route that had nothing waiting gets no credit for that: its clock is set to the class's.
 */
#include "pool/order.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/time.h"

#include <errno.h>

#define LINES       (ORDER_PRIORITIES * ORDER_SIZES)
#define ROUTES_MAX  (1U << 20)
#define SHORT_TIMES 10  /* and more: cheaper than the dear ones */
#define LONG_SHARE  4   /* one part in so many is for the long, where both wait */
#define LEARNED     256 /* so many tasks back */

struct order_lane {
    struct lane lane;
    struct admission_line line;
    struct heap_link active; /* in its class's heap while something is in */
    int64_t served;          /* its clock */
    unsigned rank;
    enum order_size size;
};

void order_init(struct order *o)
{
    *o = (struct order){.lanes = NULL};
    list_init(&o->waiting);
    for (unsigned i = 0; i < ORDER_PRIORITIES; i++)
        for (unsigned j = 0; j < ORDER_SIZES; j++)
            heap_init(&o->ranks[i].classes[j].lanes, ROUTES_MAX);
}

void order_release(struct order *o)
{
    check(o->count == 0, "an order ends with %u waiting", o->count);
    for (unsigned i = 0; i < o->routes * LINES; i++)
        mem_free(o->lanes[i]);
    mem_free(o->lanes);
    for (unsigned i = 0; i < ORDER_PRIORITIES; i++)
        for (unsigned j = 0; j < ORDER_SIZES; j++)
            heap_release(&o->ranks[i].classes[j].lanes);
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

/* By the mean cost that a moment of work is part of, square / work: many cheap ones hardly move
 * it. */
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
    size_t size = (size_t)routes * LINES * sizeof(struct order_lane *);
    struct order_lane **more = mem_realloc(o->lanes, size);
    if (!more)
        return -ENOMEM;
    o->lanes = more;
    for (unsigned i = o->routes * LINES; i < routes * LINES; i++)
        o->lanes[i] = NULL;
    o->routes = routes;
    return 0;
}

static int add_lane(struct order *o, struct order_lane **out, unsigned rank, enum order_size size)
{
    unsigned lanes = 1;
    for (unsigned i = 0; i < o->routes; i++)
        lanes += o->lanes[i * LINES + rank * ORDER_SIZES + size] != NULL;
    struct heap *h = &o->ranks[rank].classes[size].lanes;
    int rc = heap_reserve(h, lanes - h->count);
    struct order_lane *l = rc ? NULL : mem_zalloc(sizeof(*l));
    if (!l)
        return -ENOMEM;
    lane_init(&l->lane);
    admission_line_init(&l->line);
    l->rank = rank;
    l->size = size;
    *out = l;
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
    struct order_lane **lane = &o->lanes[place->route * LINES + rank * ORDER_SIZES + size];
    if (!*lane) {
        int rc = add_lane(o, lane, rank, size);
        if (rc)
            return rc;
    }
    item->lane = *lane;
    item->came_at = place->came_at;
    item->in_lane.lane = NULL;
    item->in_lane.key =
        deadline_sooner(place->deadline, deadline_after(place->came_at, ORDER_PATIENCE_NS));
    item->in_lane.serial = o->next_serial++;
    item->in_lane.cost = place->cost;
    return 0;
}

static struct order_class *class_of(struct order *o, const struct order_lane *l)
{
    return &o->ranks[l->rank].classes[l->size];
}

/* ---- In and out ---- */

static void activate(struct order_class *c, struct order_lane *l)
{
    int rc = heap_push(&c->lanes, &l->active, l->served);
    check(rc == 0, "there is no room for a route that was there before");
}

static void count_cost(struct order *o, const struct order_lane *l, int64_t cost)
{
    class_of(o, l)->cost += cost;
    o->ranks[l->rank].cost += cost;
}

void order_add(struct order *o, struct order_item *item, bool again)
{
    struct order_lane *l = item->lane;
    struct order_class *c = class_of(o, l);
    if (l->lane.count > 0 && again)
        heap_remove(&c->lanes, &l->active);
    if (again)
        l->served -= item->in_lane.cost;
    else
        learn(o, item->in_lane.cost);
    if (l->lane.count == 0 && l->served < c->served)
        l->served = c->served;
    if (!heap_linked(&l->active))
        activate(c, l);
    lane_add(&l->lane, &item->in_lane, again);
    if (again)
        list_push_front(&o->waiting, &item->waiting);
    else
        list_push_back(&o->waiting, &item->waiting);
    count_cost(o, l, item->in_lane.cost);
    o->count++;
}

void order_remove(struct order *o, struct order_item *item)
{
    struct order_lane *l = item->lane;
    lane_remove(&l->lane, &item->in_lane);
    list_del(&item->waiting);
    count_cost(o, l, -item->in_lane.cost);
    o->count--;
    if (l->lane.count > 0)
        return;
    heap_remove(&class_of(o, l)->lanes, &l->active);
    if (l->size == ORDER_LONG && class_of(o, l)->lanes.count == 0)
        o->ranks[l->rank].owed = 0;
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

/* What the long get for the short that go before them, and what they take of that. */
static void settle_owed(struct order_rank *r, enum order_size size, int64_t cost)
{
    if (size == ORDER_LONG)
        r->owed = r->owed > cost ? r->owed - cost : 0;
    else if (r->classes[ORDER_LONG].lanes.count > 0)
        r->owed += cost / (LONG_SHARE - 1);
}

/* Whoever is served out of turn does not move the class's clock beyond those that wait; and one of
 * whose route nothing was in (it was held back) has no credit, as if it had come just now. */
void order_charge(struct order *o, const struct order_item *item, int64_t cost)
{
    struct order_lane *l = item->lane;
    struct order_class *c = class_of(o, l);
    bool active = heap_linked(&l->active);
    settle_owed(&o->ranks[l->rank], l->size, cost);
    int64_t furthest_behind = l->served;
    if (heap_first(&c->lanes) && heap_first_key(&c->lanes) < furthest_behind)
        furthest_behind = heap_first_key(&c->lanes);
    if (c->served < furthest_behind)
        c->served = furthest_behind;
    if (!active && l->served < c->served)
        l->served = c->served;
    l->served += cost;
    if (active) {
        heap_remove(&c->lanes, &l->active);
        activate(c, l);
    }
}

void order_inherit(struct order_item *heir, const struct order_item *item, int64_t cost)
{
    heir->lane = item->lane;
    heir->came_at = item->came_at;
    heir->in_lane = (struct lane_item){
        .key = item->in_lane.key, .serial = item->in_lane.serial, .cost = cost > 0 ? cost : 1};
}

void order_replace(struct order *o, struct order_item *item, struct order_item *heir, int64_t cost)
{
    struct order_lane *l = item->lane;
    order_inherit(heir, item, cost);
    lane_replace(&l->lane, &item->in_lane, &heir->in_lane);
    list_push_front(&item->waiting, &heir->waiting);
    list_del(&item->waiting);
    count_cost(o, l, heir->in_lane.cost - item->in_lane.cost);
}

/* ---- Who is next ---- */

static struct order_item *item_of(struct lane_item *i)
{
    return container_of(i, struct order_item, in_lane);
}

static struct order_item *first_of(const struct order_class *c)
{
    struct heap_link *link = heap_first(&c->lanes);
    if (!link)
        return NULL;
    const struct order_lane *l = container_of(link, struct order_lane, active);
    return item_of(l->line.state == ADMISSION_NEWEST ? lane_newest(&l->lane) : l->lane.first);
}

static struct order_item *first_in_rank(const struct order_rank *r)
{
    struct order_item *quick = first_of(&r->classes[ORDER_SHORT]);
    struct order_item *dear = first_of(&r->classes[ORDER_LONG]);
    if (!quick || !dear)
        return quick ? quick : dear;
    return r->owed >= dear->in_lane.cost ? dear : quick;
}

struct order_item *order_oldest(const struct order *o)
{
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

/* Within its class: its own route's, and as much of each other route's as is fair meanwhile. */
static int64_t ahead_in_class(const struct order_class *c, const struct order_item *item)
{
    const struct order_lane *l = item->lane;
    const struct lane_item *i = &item->in_lane;
    int64_t own = lane_cost_before(&l->lane, i->key, i->serial);
    int64_t others = c->cost - lane_cost(&l->lane);
    unsigned routes = c->lanes.count - (l->lane.count > 0);
    return own + least(others, (own + i->cost) * routes);
}

int64_t order_ahead(const struct order *o, const struct order_item *item)
{
    const struct order_lane *l = item->lane;
    const struct order_rank *r = &o->ranks[l->rank];
    int64_t ahead = 0;
    for (unsigned i = 0; i < l->rank; i++)
        ahead += o->ranks[i].cost;
    int64_t own = ahead_in_class(&r->classes[l->size], item);
    int64_t other = r->classes[l->size == ORDER_SHORT ? ORDER_LONG : ORDER_SHORT].cost;
    int64_t share = l->size == ORDER_SHORT ? own / (LONG_SHARE - 1)
                                           : (own + item->in_lane.cost) * (LONG_SHARE - 1);
    return ahead + own + least(other, share);
}

struct admission_line *order_line(const struct order_item *item)
{
    return &item->lane->line;
}

struct order_item *order_line_oldest(const struct order_item *item)
{
    const struct lane *l = &item->lane->lane;
    return l->count > 0 ? item_of(list_first(&l->arrivals, struct lane_item, arrived)) : NULL;
}

int64_t order_cost(const struct order *o)
{
    int64_t cost = 0;
    for (unsigned i = 0; i < ORDER_PRIORITIES; i++)
        cost += o->ranks[i].cost;
    return cost;
}
