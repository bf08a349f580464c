/*
 * arena.c: chunks of doubling size, bumped through.
 */
#include "base/arena.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/sanitizers.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#if WITH_ASAN
#    include <sanitizer/asan_interface.h>
#    define RED_ZONE 16
#else
#    define ASAN_POISON_MEMORY_REGION(at, size)   ((void)(at), (void)(size))
#    define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#    define RED_ZONE                              0
#endif

#define ALIGNMENT   16
#define CHUNK_FIRST 1024
#define CHUNK_LARGE (64 * 1024)
#define TAKEN_BACK  0xdb

struct arena_chunk {
    struct arena_chunk *older;
    size_t size; /* of data */
    size_t used;
    _Alignas(ALIGNMENT) char data[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

static void chunk_free(struct arena *a, struct arena_chunk *c)
{
    ASAN_UNPOISON_MEMORY_REGION(c->data, c->size);
#ifdef WEIR_DEBUG
    memset(c->data, TAKEN_BACK, c->used);
#endif
    a->used -= c->size;
    mem_free_sized(c, sizeof *c + c->size);
}

void arena_release(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *older = a->chunks->older;
        chunk_free(a, a->chunks);
        a->chunks = older;
    }
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *kept = NULL;
    while (a->chunks) {
        struct arena_chunk *c = a->chunks;
        a->chunks = c->older;
        /* One that a large allocation got for itself would stay for every small request to come. */
        if (!kept && c->size <= CHUNK_LARGE)
            kept = c;
        else
            chunk_free(a, c);
    }
    if (!kept)
        return;
    kept->older = NULL;
    a->chunks = kept;
#ifdef WEIR_DEBUG
    ASAN_UNPOISON_MEMORY_REGION(kept->data, kept->size);
    memset(kept->data, TAKEN_BACK, kept->used);
#endif
    kept->used = 0;
    ASAN_POISON_MEMORY_REGION(kept->data, kept->size);
}

/* Adds a chunk with room for `needed`: each twice as large as the one before, up to CHUNK_LARGE. */
static struct arena_chunk *chunk_add(struct arena *a, size_t needed)
{
    size_t size = a->chunks ? a->chunks->size * 2 : CHUNK_FIRST;
    if (size > CHUNK_LARGE)
        size = CHUNK_LARGE;
    if (size > a->max - a->used)
        size = a->max - a->used;
    if (size < needed)
        size = needed;
    if (size > a->max - a->used)
        return NULL;
    struct arena_chunk *c = mem_resize(NULL, 0, sizeof *c + size);
    if (!c)
        return NULL;
    *c = (struct arena_chunk){.older = a->chunks, .size = size};
    ASAN_POISON_MEMORY_REGION(c->data, size);
    if (a->chunks && needed > CHUNK_LARGE) {
        /* Behind the one in use, whose room is not given up for it. */
        c->older = a->chunks->older;
        a->chunks->older = c;
    } else {
        a->chunks = c;
    }
    a->used += size;
    return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > a->max || size > SIZE_MAX / 2)
        return NULL;
    size_t needed = (size + RED_ZONE + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct arena_chunk *c = a->chunks;
    if (!c || needed > c->size - c->used) {
        c = chunk_add(a, needed);
        if (!c)
            return NULL;
    }
    void *block = c->data + c->used;
    c->used += needed;
    ASAN_UNPOISON_MEMORY_REGION(block, size);
    return block;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *block = arena_alloc(a, size);
    if (block)
        memset(block, 0, size);
    return block;
}

char *arena_copy(struct arena *a, struct span s)
{
    char *copy = arena_alloc(a, s.len + 1);
    if (!copy)
        return NULL;
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    check(len >= 0, "a format that cannot be printed: %s", format);

    char *text = arena_alloc(a, (size_t)len + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}
