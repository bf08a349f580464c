/*
 * stack.c: slabs of coroutine stacks. See stack.h for why they are guarded the way they are.
 *
 * A slab is [guard | stack 0 | guard | stack 1 | ...], its free stacks a bit mask, and moves
 * between the pool's four lists as the mask goes from full to empty. What must outlive a trim
 * stands in the slab's own block, not in the stacks.
 */
#include "coro/stack.h"

#include "base/bug.h"
#include "base/mem.h"
#include "coro/coro.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef WEIR_HAVE_VALGRIND
#    include <valgrind/valgrind.h>
#else
#    define VALGRIND_STACK_REGISTER(low, high) 0
#    define VALGRIND_STACK_DEREGISTER(id)      (void)(id)
#endif

#ifndef MADV_GUARD_INSTALL
#    define MADV_GUARD_INSTALL 102
#endif

#define CANARY UINT64_C(0x77656972636f726f)

struct stack_slab {
    struct list link; /* in one of the pool's lists */
    char *base;
    uint64_t free;
    uint64_t ever_used; /* has its guard and valgrind id */
    uint64_t guarded;
    unsigned mapped_guards; /* how many of those took a mapping of their own */
    unsigned valgrind_ids[STACKS_PER_SLAB];
};

/* The kernel counts mappings by the process, so this does, too, over all its pools: when they were
 * used up, nothing in the process could map memory any more. */
static atomic_size_t mapped_guards;

/* ---- Geometry ---- */

static size_t stack_stride(const struct stack_pool *p)
{
    return p->page_size + p->stack_size;
}

static size_t slab_size(const struct stack_pool *p)
{
    return STACKS_PER_SLAB * stack_stride(p);
}

static char *stack_low(const struct stack_pool *p, const struct stack_slab *slab, unsigned index)
{
    return slab->base + index * stack_stride(p) + p->page_size;
}

/* ---- The pool ---- */

void stack_pool_init(struct stack_pool *p, size_t stack_size, size_t idle_max, size_t guards_max)
{
    memset(p, 0, sizeof *p);
    list_init(&p->partial);
    list_init(&p->full);
    list_init(&p->idle);
    list_init(&p->trimmed);
    p->page_size = (size_t)sysconf(_SC_PAGESIZE);
    p->stack_size = (stack_size + p->page_size - 1) / p->page_size * p->page_size;
    p->idle_max = idle_max / slab_size(p);
    p->guards_left = guards_max;
    p->kernel_guards = true; /* until one fails */
}

static void slab_free(struct stack_pool *p, struct stack_slab *slab)
{
    for (unsigned i = 0; i < STACKS_PER_SLAB; i++)
        if (slab->ever_used >> i & 1)
            VALGRIND_STACK_DEREGISTER(slab->valgrind_ids[i]);
    atomic_fetch_sub(&mapped_guards, slab->mapped_guards);
    list_del(&slab->link);
    munmap(slab->base, slab_size(p));
    mem_free(slab);
}

void stack_pool_release(struct stack_pool *p)
{
    check(list_empty(&p->full) && list_empty(&p->partial),
        "stacks are still in use while their pool is released");
    list_each_safe (link, &p->idle)
        slab_free(p, list_entry(link, struct stack_slab, link));
    list_each_safe (link, &p->trimmed)
        slab_free(p, list_entry(link, struct stack_slab, link));
}

static struct stack_slab *slab_new(struct stack_pool *p)
{
    struct stack_slab *slab = mem_zalloc(sizeof *slab);
    if (!slab)
        return NULL;
    slab->base = mmap(NULL, slab_size(p), PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (slab->base == MAP_FAILED) {
        mem_free(slab);
        return NULL;
    }
    /* A huge page would make one waiting coroutine cost two megabytes. */
    madvise(slab->base, slab_size(p), MADV_NOHUGEPAGE);
    slab->free = UINT64_MAX;
    list_init(&slab->link);
    return slab;
}

/* A slab with a free stack, the warmest first, or a new one, or NULL. */
static struct stack_slab *slab_obtain(struct stack_pool *p)
{
    if (!list_empty(&p->partial))
        return list_first(&p->partial, struct stack_slab, link);
    if (!list_empty(&p->idle)) {
        p->idle_count--;
        return list_first(&p->idle, struct stack_slab, link);
    }
    if (!list_empty(&p->trimmed))
        return list_first(&p->trimmed, struct stack_slab, link);
    return slab_new(p);
}

size_t stack_colour(const struct stack *stack)
{
    enum { LINE = 64, COLOURS = 16 };
    return stack->index % COLOURS * LINE;
}

/* ---- Guards ---- */

static bool may_map_guard(struct stack_pool *p)
{
    if (p->guards_left == 0)
        return false;
    if (atomic_fetch_add(&mapped_guards, 1) >= CORO_GUARD_MAPPINGS_DEFAULT) {
        atomic_fetch_sub(&mapped_guards, 1);
        return false;
    }
    p->guards_left--;
    return true;
}

static bool install_guard(struct stack_pool *p, struct stack_slab *slab, char *page)
{
    if (p->kernel_guards) {
        if (madvise(page, p->page_size, MADV_GUARD_INSTALL) == 0)
            return true;
        p->kernel_guards = false;
    }
    if (!may_map_guard(p))
        return false;
    slab->mapped_guards++;
    return mprotect(page, p->page_size, PROT_NONE) == 0;
}

static void first_use(struct stack_pool *p, struct stack_slab *slab, unsigned index)
{
    char *low = stack_low(p, slab, index);
    if (install_guard(p, slab, low - p->page_size))
        slab->guarded |= UINT64_C(1) << index;
    slab->valgrind_ids[index] = VALGRIND_STACK_REGISTER(low, low + p->stack_size);
    slab->ever_used |= UINT64_C(1) << index;
}

bool stack_intact(const struct stack *stack)
{
    return stack->guarded || *(const uint64_t *)(const void *)stack->low == CANARY;
}

/* ---- Taking and giving ---- */

int stack_take(struct stack_pool *p, struct stack *out)
{
    struct stack_slab *slab = slab_obtain(p);
    if (!slab)
        return -ENOMEM;
    unsigned index = (unsigned)__builtin_ctzll(slab->free);
    slab->free &= slab->free - 1;
    list_del(&slab->link);
    list_push_front(slab->free ? &p->partial : &p->full, &slab->link);

    if (!(slab->ever_used >> index & 1))
        first_use(p, slab, index);
    *out = (struct stack){
        .slab = slab,
        .index = index,
        .guarded = slab->guarded >> index & 1,
        .low = stack_low(p, slab, index),
        .size = p->stack_size,
    };
    if (!out->guarded)
        *(uint64_t *)(void *)out->low = CANARY;
    return 0;
}

/* The most that any of the slab's stacks has touched, in whole pages: a page that was never written
 * to is not there. The canary of an unguarded stack is in its lowest page, which therefore tells
 * nothing. */
static size_t slab_high_water(const struct stack_pool *p, const struct stack_slab *slab)
{
    size_t stride = stack_stride(p) / p->page_size;
    unsigned char *present = mem_alloc(STACKS_PER_SLAB * stride);
    if (!present)
        return 0;
    size_t most = 0;
    if (mincore(slab->base, slab_size(p), present) == 0) {
        for (unsigned i = 0; i < STACKS_PER_SLAB; i++) {
            size_t page = slab->guarded >> i & 1 ? 1 : 2;
            while (page < stride && !(present[i * stride + page] & 1))
                page++;
            if (stride - page > most)
                most = stride - page;
        }
    }
    mem_free(present);
    return most * p->page_size;
}

/* Gives the pages of a slab without users back to the kernel; its guards stay. */
static void slab_trim(struct stack_pool *p, struct stack_slab *slab)
{
    size_t used = slab_high_water(p, slab);
    if (used > p->high_water)
        p->high_water = used;
    madvise(slab->base, slab_size(p), MADV_DONTNEED);
}

void stack_give(struct stack_pool *p, const struct stack *stack)
{
    struct stack_slab *slab = stack->slab;
    bool was_full = slab->free == 0;
    slab->free |= UINT64_C(1) << stack->index;
    if (slab->free != UINT64_MAX) {
        if (was_full) {
            list_del(&slab->link);
            list_push_front(&p->partial, &slab->link);
        }
        return;
    }
    list_del(&slab->link);
    if (p->idle_count < p->idle_max) {
        p->idle_count++;
        list_push_front(&p->idle, &slab->link);
    } else {
        slab_trim(p, slab);
        list_push_front(&p->trimmed, &slab->link);
    }
}

/* Room for the locals of stack_trim and the calls it makes: what it must not give back. */
#define TRIM_MARGIN 1024
/* Pages that are looked at: all of an ordinary stack. */
#define TRIM_LOOK   32

__attribute__((noinline)) void stack_trim(struct stack_pool *p, const struct stack *stack)
{
    unsigned char present[TRIM_LOOK];
    size_t page = p->page_size;
    char *used = (char *)__builtin_frame_address(0) - TRIM_MARGIN;
    /* The canary of an unguarded stack is in its lowest page. */
    char *low = stack->guarded ? stack->low : stack->low + page;
    if (used < low + page)
        return;
    size_t pages = (size_t)(used - low) / page;
    char *high = low + pages * page;
    size_t look = pages < TRIM_LOOK ? pages : TRIM_LOOK;
    if (mincore(high - look * page, look * page, present) != 0)
        return;
    /* Stacks are used from the top, without gaps. */
    size_t there = 0;
    while (there < look && present[look - 1 - there] & 1)
        there++;
    if (there == 0)
        return;
    size_t water = (size_t)(stack->low + stack->size - high) + there * page;
    if (water > p->high_water)
        p->high_water = water;
    madvise(low, (size_t)(high - low), MADV_DONTNEED);
}

size_t stack_high_water(struct stack_pool *p)
{
    const struct list *slabs[] = {&p->partial, &p->full, &p->idle};
    for (size_t i = 0; i < sizeof slabs / sizeof *slabs; i++) {
        list_each (link, slabs[i]) {
            size_t used = slab_high_water(p, list_entry(link, struct stack_slab, link));
            if (used > p->high_water)
                p->high_water = used;
        }
    }
    return p->high_water;
}
