/*
 * map.c: entries in a row, in the order they came, and beside it an open-addressed table of their
 * indexes. Removed entries leave a hole in the row, which the table still points at; both are made
 * anew when a third of the row is holes.
 */
#include "base/map.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/siphash.h"

#include <errno.h>

#define TABLE_FIRST 16

/* ---- The table ---- */

void map_init(struct map *m, const uint64_t seed[2], uint32_t max)
{
    check(max <= UINT32_MAX / 8, "a map of %u entries is more than a table can index", max);
    *m = (struct map){.max = max, .seed = {seed[0], seed[1]}};
}

void map_release(struct map *m)
{
    for (uint32_t i = 0; i < m->filled; i++)
        mem_free(m->entries[i].name);
    mem_free(m->entries);
    mem_free(m->table);
    m->entries = NULL;
    m->table = NULL;
    m->table_size = m->filled = m->count = 0;
}

/* Half of the table's places: so many entries, holes included, fit beside it. */
static uint32_t row_size(uint32_t table_size)
{
    return table_size / 2;
}

static void table_add(uint32_t *table, uint32_t size, uint64_t hash, uint32_t index)
{
    uint32_t at = (uint32_t)hash & (size - 1);
    while (table[at])
        at = (at + 1) & (size - 1);
    table[at] = index + 1;
}

/* The entry of that name, or NULL. */
static struct map_entry *find(const struct map *m, struct span name, uint64_t hash)
{
    if (m->table_size == 0)
        return NULL;
    uint32_t mask = m->table_size - 1;
    for (uint32_t at = (uint32_t)hash & mask; m->table[at]; at = (at + 1) & mask) {
        struct map_entry *e = &m->entries[m->table[at] - 1];
        if (e->name && e->hash == hash && span_equal(name, (struct span){e->name, e->len}))
            return e;
    }
    return NULL;
}

/* Moves the entries into a row and a table of the given size, without the holes. */
static int rebuild(struct map *m, uint32_t table_size)
{
    struct map_entry *entries = mem_alloc(row_size(table_size) * sizeof *entries);
    uint32_t *table = mem_zalloc(table_size * sizeof *table);
    if (!entries || !table) {
        mem_free(entries);
        mem_free(table);
        return -ENOMEM;
    }
    uint32_t filled = 0;
    for (uint32_t i = 0; i < m->filled; i++) {
        if (!m->entries[i].name)
            continue;
        entries[filled] = m->entries[i];
        table_add(table, table_size, entries[filled].hash, filled);
        filled++;
    }
    mem_free(m->entries);
    mem_free(m->table);
    m->entries = entries;
    m->table = table;
    m->table_size = table_size;
    m->filled = filled;
    return 0;
}

static int make_room(struct map *m)
{
    if (m->table_size > 0 && m->filled < row_size(m->table_size))
        return 0;
    bool holes = m->filled - m->count > m->filled / 3;
    uint32_t size = m->table_size ? m->table_size : TABLE_FIRST / 2;
    return rebuild(m, holes ? size : size * 2);
}

void *map_get(const struct map *m, struct span name)
{
    const struct map_entry *e = find(m, name, siphash(m->seed, name));
    return e ? e->value : NULL;
}

int map_put(struct map *m, struct span name, void *value)
{
    check(value, "NULL was put into a map; map_get could not tell it from nothing");
    uint64_t hash = siphash(m->seed, name);
    struct map_entry *there = find(m, name, hash);
    if (there) {
        there->value = value;
        return 0;
    }
    if (m->count == m->max)
        return -ENOBUFS;
    int rc = make_room(m);
    if (rc)
        return rc;
    char *copy = mem_alloc(name.len + 1);
    if (!copy)
        return -ENOMEM;
    if (name.len > 0)
        memcpy(copy, name.ptr, name.len);
    copy[name.len] = '\0';
    m->entries[m->filled] = (struct map_entry){copy, name.len, hash, value};
    table_add(m->table, m->table_size, hash, m->filled);
    m->filled++;
    m->count++;
    return 0;
}

void *map_remove(struct map *m, struct span name)
{
    struct map_entry *e = find(m, name, siphash(m->seed, name));
    if (!e)
        return NULL;
    mem_free(e->name);
    e->name = NULL;
    m->count--;
    return e->value;
}

const struct map_entry *map_next(const struct map *m, uint32_t *at)
{
    while (*at < m->filled) {
        const struct map_entry *e = &m->entries[(*at)++];
        if (e->name)
            return e;
    }
    return NULL;
}
