/*
 * mem.c: malloc, with switches that tests turn.
 *
 * The switches are read before main, when there is one thread only; so the usual call costs two
 * loads that never change, and then malloc.
 *
 * A guarded block has a mapping of its own:
 *
 *     | head | pattern ... | the caller's bytes | pattern, 0 to 15 bytes | page nobody may touch |
 *
 * The caller's bytes are aligned to 16, so up to 15 bytes after them can be overrun unseen by the
 * processor; the pattern there, and the one before, is checked when the block is freed.
 */
#include "base/mem.h"

#include "base/bug.h"
#include "base/sanitizers.h"

#include <ctype.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGNMENT         16
#define PATTERN           0xa5
/* Freed blocks that stay unreadable before their addresses may be used again. */
#define GUARD_QUARANTINE  4096
/* Retired blocks that debug builds keep. */
#define RETIRE_QUARANTINE 256

/* Allocations number `first` to `last` fail; nothing is counted while `first` is 0. */
static struct {
    atomic_uint_fast64_t first;
    atomic_uint_fast64_t last;
    atomic_uint_fast64_t count;
} failing;

static bool guarding; /* set before main, then only read */
static size_t page_size;

/* ---- Switches ---- */

void mem_fail_at(uint64_t nth, bool onwards)
{
    atomic_store(&failing.count, 0);
    atomic_store(&failing.last, onwards ? UINT64_MAX : nth);
    atomic_store(&failing.first, nth);
}

uint64_t mem_count(void)
{
    return atomic_load(&failing.count);
}

__attribute__((constructor)) static void read_switches(void)
{
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    const char *guard = getenv("WEIR_MEM_GUARD");
    guarding = guard && strcmp(guard, "1") == 0 && !WITH_ASAN;

    const char *fail = getenv("WEIR_MEM_FAIL");
    if (!fail)
        return;
    char *end;
    uint64_t nth = strtoull(fail, &end, 10);
    bool onwards = *end == '+';
    /* A mistyped switch would be a test that proves nothing. */
    check(isdigit((unsigned char)fail[0]) && nth > 0 && end[onwards] == '\0',
        "WEIR_MEM_FAIL is '%s'; it must be N or N+, counting from 1", fail);
    mem_fail_at(nth, onwards);
}

static bool counted_out(void)
{
    uint64_t nth = atomic_fetch_add(&failing.count, 1) + 1;
    return nth >= atomic_load(&failing.first) && nth <= atomic_load(&failing.last);
}

/* Counts this allocation, if any are counted. True: it must fail. */
static inline bool must_fail(void)
{
    bool counting = atomic_load_explicit(&failing.first, memory_order_relaxed) != 0;
    return __builtin_expect(counting, false) && counted_out();
}

/* ---- Guarded blocks ---- */

struct guard_head {
    size_t size;      /* what the caller asked for */
    size_t area_size; /* of the mapping, without the page at its end */
};

#define HEAD_SIZE sizeof(struct guard_head)
_Static_assert(HEAD_SIZE % ALIGNMENT == 0, "the caller's bytes start aligned behind a head");

static _Atomic(struct guard_head *) guard_quarantine[GUARD_QUARANTINE];
static atomic_size_t guard_quarantine_next;

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static struct guard_head *guard_head_of(const void *block)
{
    return (struct guard_head *)(((uintptr_t)block - HEAD_SIZE) & ~(uintptr_t)(page_size - 1));
}

static void *guard_alloc(size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t block_size = round_up(size, ALIGNMENT);
    size_t area_size = round_up(HEAD_SIZE + block_size, page_size);
    char *area = mmap(NULL, area_size + page_size, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED)
        return NULL;
    if (mprotect(area + area_size, page_size, PROT_NONE) != 0) {
        munmap(area, area_size + page_size);
        return NULL;
    }
    char *block = area + area_size - block_size;
    memset(area, PATTERN, (size_t)(block - area));
    memset(block + size, PATTERN, block_size - size);
    *(struct guard_head *)(void *)area = (struct guard_head){size, area_size};
    return block;
}

static void check_pattern(const unsigned char *from, const unsigned char *to, const char *where)
{
    for (; from < to; from++)
        check(*from == PATTERN, "a block of memory was written to %s", where);
}

/* Gives back the addresses of a block that has been in quarantine long enough. */
static void guard_unmap(struct guard_head *head)
{
    check(mprotect(head, page_size, PROT_READ) == 0, "a guarded block cannot be opened again");
    munmap(head, head->area_size + page_size);
}

static void guard_free(void *block)
{
    struct guard_head *head = guard_head_of(block);
    unsigned char *area = (unsigned char *)head;
    unsigned char *bytes = block;
    size_t area_size = head->area_size;
    check_pattern(area + HEAD_SIZE, bytes, "before its start");
    check_pattern(bytes + head->size, area + area_size, "after its end");
    /* The memory goes back to the kernel, but for the head's page, and the addresses stay. */
    if (area_size > page_size)
        madvise(area + page_size, area_size - page_size, MADV_DONTNEED);
    check(mprotect(area, area_size, PROT_NONE) == 0, "a guarded block cannot be closed");

    size_t slot = atomic_fetch_add(&guard_quarantine_next, 1) % GUARD_QUARANTINE;
    struct guard_head *oldest = atomic_exchange(&guard_quarantine[slot], head);
    if (oldest)
        guard_unmap(oldest);
}

static void *guard_realloc(void *block, size_t size)
{
    void *moved = guard_alloc(size);
    if (moved && block) {
        size_t old_size = guard_head_of(block)->size;
        memcpy(moved, block, old_size < size ? old_size : size);
        guard_free(block);
    }
    return moved;
}

/* ---- The calls ---- */

/* malloc(0) may be NULL and realloc(block, 0) may free: nobody here wants either. */
static size_t at_least_one(size_t size)
{
    return size + !size;
}

void *mem_alloc(size_t size)
{
    if (must_fail())
        return NULL;
    return guarding ? guard_alloc(size) : malloc(at_least_one(size));
}

void *mem_zalloc(size_t size)
{
    if (must_fail())
        return NULL;
    if (!guarding)
        return calloc(1, at_least_one(size));
    void *block = guard_alloc(size);
    if (block)
        memset(block, 0, size);
    return block;
}

void *mem_realloc(void *block, size_t size)
{
    if (must_fail())
        return NULL;
    return guarding ? guard_realloc(block, size) : realloc(block, at_least_one(size));
}

void mem_free(void *block)
{
    if (!guarding)
        free(block);
    else if (block)
        guard_free(block);
}

/* ---- Large blocks ---- */

/* What finds overruns finds them in blocks of the heap. */
static bool is_mapped(size_t size)
{
    return size >= MEM_MAPPED && !guarding && !WITH_ASAN;
}

static void *map(size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    void *block = mmap(NULL, round_up(size, page_size), PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return block == MAP_FAILED ? NULL : block;
}

static void *map_larger(void *block, size_t old_size, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t old_area = round_up(old_size, page_size);
    void *moved = mremap(block, old_area, round_up(size, page_size), MREMAP_MAYMOVE);
    return moved == MAP_FAILED ? NULL : moved;
}

void *mem_resize(void *block, size_t old_size, size_t size)
{
    if (!is_mapped(old_size) && !is_mapped(size))
        return mem_realloc(block, size);
    if (must_fail())
        return NULL;
    if (is_mapped(old_size) && is_mapped(size))
        return map_larger(block, old_size, size);
    char *moved = is_mapped(size) ? map(size) : malloc(at_least_one(size));
    if (moved && old_size > 0) {
        memcpy(moved, block, old_size < size ? old_size : size);
        mem_free_sized(block, old_size);
    }
    return moved;
}

void mem_free_sized(void *block, size_t size)
{
    if (!is_mapped(size))
        mem_free(block);
    else
        check(munmap(block, round_up(size, page_size)) == 0, "a block cannot be unmapped");
}

void mem_trim(void)
{
    malloc_trim(0);
}

char *mem_strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = mem_alloc(size);
    return copy ? memcpy(copy, s, size) : NULL;
}

#ifdef WEIR_DEBUG
void mem_retire(void *block)
{
    /* Static, so that leak checkers see who holds what is left in it at the end. */
    static _Atomic(void *) retired[RETIRE_QUARANTINE];
    static atomic_size_t next;
    size_t slot = atomic_fetch_add(&next, 1) % RETIRE_QUARANTINE;
    mem_free(atomic_exchange(&retired[slot], block));
}
#else
void mem_retire(void *block)
{
    mem_free(block);
}
#endif
