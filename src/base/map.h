/*
 * map.h: from names to pointers.
 *
 * A hash table whose hash is keyed by a seed that the owner draws, so that nobody outside can
 * choose names that collide. Names are copied. Going through it gives the entries in the order in
 * which they were put, whatever the seed: a simulation must not depend on it. At most `max`
 * entries.
 */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

struct map_entry {
    char *name; /* NULL: removed */
    size_t len;
    uint64_t hash;
    void *value;
};

struct map {
    struct map_entry *entries; /* in the order of putting, with holes where some were removed */
    uint32_t *table;           /* index + 1 into entries; 0: free */
    uint32_t table_size;       /* a power of two, or 0 */
    uint32_t filled;           /* entries, holes included */
    uint32_t count;
    uint32_t max;
    uint64_t seed[2];
};

void map_init(struct map *m, const uint64_t seed[2], uint32_t max);
/* The values are not freed. */
void map_release(struct map *m);

/* The value put under the name, or NULL. */
void *map_get(const struct map *m, struct span name);
/* Puts or replaces. `value` is not NULL. 0, -ENOMEM, or -ENOBUFS at `max`. */
int map_put(struct map *m, struct span name, void *value) __attribute__((warn_unused_result));
/* The value that was there, or NULL. Not while going through. */
void *map_remove(struct map *m, struct span name);

/* The entry at or after `*at`, which is moved behind it; NULL at the end. Start with 0.
 * Nothing may be put or removed meanwhile: both may move the entries. */
const struct map_entry *map_next(const struct map *m, uint32_t *at);
