/*
 * shared.c: memory that several simulated processes see.
 *
 * It is the same kind of file as in the real world, and each process maps it for itself, so that
 * none can hand another an address. Dead code, which runs to its end although its process was
 * killed, must not write what others read: so when a process is cut off, what it has mapped becomes
 * a copy of its own.
 */
#include "world/memory_file.h"
#include "world/sim/internal.h"

#include <sys/mman.h>
#include <unistd.h>

struct memory {
    int fd;
    size_t max;
    uint32_t mappings;
};

/* A process's, until it closes it or is buried. */
struct mapping {
    struct list link; /* in process.mappings */
    struct memory *memory;
    char *base;
};

struct sim_shared {
    struct shared shared;
    struct owned owned;
    struct mapping *mapping;
};

static struct mapping *mapping_of(const struct shared *s)
{
    return ((const struct sim_shared *)s)->mapping;
}

/* ---- Memory and who maps it ---- */

static struct memory *memory_new(size_t max)
{
    struct memory *m = mem_zalloc(sizeof *m);
    if (!m)
        return NULL;
    m->max = max;
    m->fd = memory_file_make();
    if (m->fd >= 0)
        return m;
    mem_free(m);
    return NULL;
}

static void memory_settle(struct memory *m)
{
    if (m->mappings > 0)
        return;
    close(m->fd);
    mem_free(m);
}

static struct mapping *mapping_new(struct sim_process *p, struct memory *m)
{
    struct mapping *made = mem_zalloc(sizeof *made);
    if (!made)
        return NULL;
    if (memory_file_map(m->fd, m->max, &made->base) != 0) {
        mem_free(made);
        return NULL;
    }
    made->memory = m;
    m->mappings++;
    list_push_back(&p->mappings, &made->link);
    return made;
}

static void mapping_free(struct mapping *mapping)
{
    struct memory *m = mapping->memory;
    list_del(&mapping->link);
    munmap(mapping->base, m->max);
    mem_free(mapping);
    m->mappings--;
    memory_settle(m);
}

void mappings_free(struct sim_process *p)
{
    while (!list_empty(&p->mappings))
        mapping_free(list_first(&p->mappings, struct mapping, link));
}

/* ---- Handles ---- */

static void give_up(struct owned *o)
{
    const struct mapping *own = container_of(o, struct sim_shared, owned)->mapping;
    void *at = mmap(own->base, own->memory->max, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, own->memory->fd, 0);
    check(at == own->base, "the kernel does not make a copy of shared memory (errno %d)", errno);
}

static int map(struct sim_world *w, struct memory *m, struct shared **out)
{
    struct sim_shared *s = mem_zalloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    s->mapping = mapping_new(w->process, m);
    if (!s->mapping) {
        mem_free(s);
        return -ENOMEM;
    }
    owned_init(&s->owned, &s->shared.handle, w, give_up);
    *out = &s->shared;
    return 0;
}

int sim_op_shared(struct world *world, size_t max, struct shared **out)
{
    struct sim_world *w = sim_world_of(world);
    if (w->dead)
        return -ECANCELED;
    struct memory *m = memory_new(max);
    if (!m)
        return -ENOMEM;
    int rc = map(w, m, out);
    memory_settle(m);
    return rc;
}

int shared_give(struct sim_world *to, const struct shared *given, struct shared **out)
{
    return map(to, mapping_of(given)->memory, out);
}

/* ---- What can be asked of it ---- */

char *sim_op_shared_base(const struct shared *s)
{
    return mapping_of(s)->base;
}

size_t sim_op_shared_size(const struct shared *s)
{
    const struct memory *m = mapping_of(s)->memory;
    int64_t size = memory_file_size(m->fd);
    if (size < 0)
        return 0;
    return (uint64_t)size < m->max ? (size_t)size : m->max;
}

int sim_op_shared_grow(struct shared *s, size_t size)
{
    const struct memory *m = mapping_of(s)->memory;
    if (sim_world_of(s->handle.world)->dead)
        return -ECANCELED;
    return size > m->max ? -ENOSPC : memory_file_grow(m->fd, size);
}

void sim_op_shared_trim(struct shared *s, size_t from)
{
    if (!sim_world_of(s->handle.world)->dead)
        memory_file_trim(mapping_of(s)->memory->fd, from);
}

void sim_op_shared_close(struct shared *s)
{
    struct sim_shared *own = container_of(s, struct sim_shared, shared);
    mapping_free(own->mapping);
    own->mapping = NULL;
    owned_closed(&own->owned);
}
