/*
 * disk.c: what is on a disk, and what a crash leaves of it.
 */
#include "world/sim/disk.h"

#include <string.h>

#define DISK_BYTES   (UINT64_C(1) << 30)
#define DISK_OP_NS   (50 * NS_PER_US)
#define DISK_SYNC_NS (2 * NS_PER_MS)

/* A change of a file's content. */
struct change {
    struct list link; /* in inode.changes */
    uint64_t serial;
    bool resize; /* to `size`; otherwise `size` bytes are written at `offset` */
    uint64_t offset;
    uint64_t size;
    char data[];
};

struct entry {
    struct list link; /* in disk.names */
    uint64_t hash;
    struct inode *now;
    struct inode *safe;
    uint32_t pending; /* changes that speak of it */
    char path[];
};

/* A change of names: `inode` is not at `from` any more, but at `to`; either may be NULL. */
struct name_change {
    struct list link; /* in disk.changes */
    uint64_t serial;
    struct entry *from;
    struct entry *to;
    struct inode *inode;
};

/* ---- Images ---- */

static int image_reserve(struct image *m, uint64_t size)
{
    if (size <= m->room)
        return 0;
    uint64_t room = m->room ? m->room : 256;
    while (room < size)
        room *= 2;
    char *data = mem_realloc(m->data, room);
    if (!data)
        return -ENOMEM;
    m->data = data;
    m->room = room;
    return 0;
}

static int image_resize(struct image *m, uint64_t size)
{
    int rc = image_reserve(m, size);
    if (rc)
        return rc;
    if (size > m->size)
        memset(m->data + m->size, 0, size - m->size);
    m->size = size;
    return 0;
}

static int image_write(struct image *m, const void *data, uint64_t size, uint64_t offset)
{
    int rc = offset + size > m->size ? image_resize(m, offset + size) : 0;
    if (rc == 0 && size > 0)
        memcpy(m->data + offset, data, size);
    return rc;
}

static int image_copy(struct image *to, const struct image *from)
{
    int rc = image_reserve(to, from->size);
    if (rc)
        return rc;
    to->size = from->size;
    if (from->size > 0)
        memcpy(to->data, from->data, from->size);
    return 0;
}

/* ---- Files ---- */

static struct inode *inode_new(struct disk *d)
{
    struct inode *i = mem_zalloc(sizeof *i);
    if (!i)
        return NULL;
    i->disk = d;
    list_init(&i->changes);
    list_push_back(&d->inodes, &i->link);
    return i;
}

static void inode_free(struct inode *i)
{
    struct list *link;
    while ((link = list_pop_front(&i->changes)))
        mem_free(list_entry(link, struct change, link));
    i->disk->used -= i->now.size;
    list_del(&i->link);
    mem_free(i->now.data);
    mem_free(i->safe.data);
    mem_free(i);
}

void inode_hold(struct inode *i)
{
    i->refs++;
}

void inode_release(struct inode *i)
{
    if (--i->refs == 0)
        inode_free(i);
}

static struct change *change_new(struct inode *i, uint64_t offset, uint64_t size, size_t data_size)
{
    struct change *c = mem_alloc(sizeof *c + data_size);
    if (!c)
        return NULL;
    c->serial = i->disk->next_serial++;
    c->resize = false;
    c->offset = offset;
    c->size = size;
    return c;
}

/* Whether the disk has room for the file to be of this size. */
static int check_room(const struct inode *i, uint64_t size)
{
    const struct disk *d = i->disk;
    return size > i->now.size && d->used - i->now.size + size > d->options.bytes ? -ENOSPC : 0;
}

int inode_write(struct inode *i, const void *data, size_t size, uint64_t offset)
{
    uint64_t end = 0;
    if (__builtin_add_overflow(offset, size, &end))
        return -EFBIG;
    int rc = check_room(i, end);
    if (rc)
        return rc;
    struct change *c = change_new(i, offset, size, size);
    if (!c)
        return -ENOMEM;
    uint64_t before = i->now.size;
    rc = image_write(&i->now, data, size, offset);
    if (rc) {
        mem_free(c);
        return rc;
    }
    i->disk->used += i->now.size - before;
    if (size > 0)
        memcpy(c->data, data, size);
    list_push_back(&i->changes, &c->link);
    return 0;
}

int inode_resize(struct inode *i, uint64_t size)
{
    int rc = check_room(i, size);
    if (rc || size == i->now.size)
        return rc;
    struct change *c = change_new(i, 0, size, 0);
    if (!c)
        return -ENOMEM;
    uint64_t before = i->now.size;
    rc = image_resize(&i->now, size);
    if (rc) {
        mem_free(c);
        return rc;
    }
    i->disk->used += i->now.size - before;
    c->resize = true;
    list_push_back(&i->changes, &c->link);
    return 0;
}

size_t inode_read(const struct inode *i, void *buffer, size_t size, uint64_t offset)
{
    if (offset >= i->now.size || size == 0)
        return 0;
    uint64_t there = i->now.size - offset;
    size_t n = there < size ? (size_t)there : size;
    memcpy(buffer, i->now.data + offset, n);
    return n;
}

static int carry_over(struct inode *i, const struct change *c, uint64_t size)
{
    return c->resize ? image_resize(&i->safe, size)
                     : image_write(&i->safe, c->data, size, c->offset);
}

static struct change *first_before(struct inode *i, uint64_t serial)
{
    if (list_empty(&i->changes))
        return NULL;
    struct change *c = list_first(&i->changes, struct change, link);
    return c->serial < serial ? c : NULL;
}

int inode_sync(struct inode *i, uint64_t serial)
{
    int count = 0;
    struct change *c;
    while ((c = first_before(i, serial))) {
        int rc = carry_over(i, c, c->size);
        if (rc)
            return rc;
        list_del(&c->link);
        mem_free(c);
        count++;
    }
    return count;
}

/* Kept, lost, or, if it is a write, torn somewhere. */
static void settle(struct sim_host *host, struct inode *i, const struct change *c)
{
    struct rand *r = &host->sim->rand;
    uint64_t kept = c->size;
    bool lost = false;
    switch (rand_below(r, 3)) {
    case 0:
        lost = true;
        break;
    case 1:
        if (!c->resize && c->size > 0)
            kept = rand_below(r, c->size);
        break;
    default:
        break;
    }
    trace(host->sim, TRACE_SETTLE, host, c->serial, c->size, lost ? -1 : (int64_t)kept);
    if (!lost && carry_over(i, c, kept) != 0)
        sim_fail(host->sim, "no memory for what a crash leaves of a file");
}

void inode_settle(struct sim_host *host, struct inode *i, uint64_t serial)
{
    struct change *c;
    while ((c = first_before(i, serial))) {
        settle(host, i, c);
        list_del(&c->link);
        mem_free(c);
    }
}

/* ---- Names ---- */

static struct entry *entry_find(struct disk *d, const char *path)
{
    uint64_t hash = text_hash(path);
    list_each (link, &d->names) {
        struct entry *e = list_entry(link, struct entry, link);
        if (e->hash == hash && strcmp(e->path, path) == 0)
            return e;
    }
    return NULL;
}

static struct entry *entry_make(struct disk *d, const char *path)
{
    struct entry *e = entry_find(d, path);
    if (e)
        return e;
    size_t size = strlen(path) + 1;
    e = mem_zalloc(sizeof *e + size);
    if (!e)
        return NULL;
    e->hash = text_hash(path);
    memcpy(e->path, path, size);
    list_push_back(&d->names, &e->link);
    return e;
}

static void entry_drop_if_unused(struct entry *e)
{
    if (!e || e->now || e->safe || e->pending > 0)
        return;
    list_del(&e->link);
    mem_free(e);
}

static void set(struct inode **place, struct inode *i)
{
    struct inode *before = *place;
    if (i)
        inode_hold(i);
    *place = i;
    if (before)
        inode_release(before);
}

struct inode *disk_find(struct disk *d, const char *path)
{
    struct entry *e = entry_find(d, path);
    return e ? e->now : NULL;
}

static int change_names(struct disk *d, struct entry *from, struct entry *to, struct inode *i)
{
    struct name_change *c = mem_alloc(sizeof *c);
    if (!c)
        return -ENOMEM;
    *c = (struct name_change){.serial = d->next_serial++, .from = from, .to = to, .inode = i};
    inode_hold(i);
    list_push_back(&d->changes, &c->link);
    if (from) {
        from->pending++;
        set(&from->now, NULL);
    }
    if (to) {
        to->pending++;
        set(&to->now, i);
    }
    return 0;
}

/* `keep`: it reaches the disk. A name that something else has taken meanwhile stays. */
static void name_change_end(struct name_change *c, bool keep)
{
    if (keep && c->from && c->from->safe == c->inode)
        set(&c->from->safe, NULL);
    if (keep && c->to)
        set(&c->to->safe, c->inode);
    if (c->from)
        c->from->pending--;
    if (c->to)
        c->to->pending--;
    entry_drop_if_unused(c->from);
    entry_drop_if_unused(c->to);
    inode_release(c->inode);
    list_del(&c->link);
    mem_free(c);
}

int disk_create(struct disk *d, const char *path, struct inode **out)
{
    struct entry *e = entry_make(d, path);
    struct inode *i = e ? inode_new(d) : NULL;
    if (!i || change_names(d, NULL, e, i) != 0) {
        entry_drop_if_unused(e);
        if (i)
            inode_free(i);
        return -ENOMEM;
    }
    *out = i;
    return 0;
}

int disk_rename(struct disk *d, const char *from_path, const char *to_path)
{
    struct entry *from = entry_find(d, from_path);
    if (!from || !from->now)
        return -ENOENT;
    if (strcmp(from_path, to_path) == 0)
        return 0;
    struct entry *to = entry_make(d, to_path);
    if (!to)
        return -ENOMEM;
    int rc = change_names(d, from, to, from->now);
    entry_drop_if_unused(to);
    return rc;
}

int disk_unlink(struct disk *d, const char *path)
{
    struct entry *e = entry_find(d, path);
    return e && e->now ? change_names(d, e, NULL, e->now) : -ENOENT;
}

static struct span without_end_slashes(struct span path)
{
    while (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    return path;
}

struct span disk_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return SPAN(".");
    if (slash == path)
        return SPAN("/");
    return without_end_slashes((struct span){.ptr = path, .len = (size_t)(slash - path)});
}

unsigned disk_sync_directory(struct disk *d, struct span directory)
{
    directory = without_end_slashes(directory);
    unsigned count = 0;
    list_each_safe (link, &d->changes) {
        struct name_change *c = list_entry(link, struct name_change, link);
        const struct entry *there = c->to ? c->to : c->from;
        if (!span_equal(disk_directory_of(there->path), directory))
            continue;
        name_change_end(c, true);
        count++;
    }
    return count;
}

/* ---- The whole ---- */

void disk_init(struct disk *d, const struct sim_disk *options)
{
    *d = (struct disk){.options = *options};
    if (d->options.bytes == 0)
        d->options.bytes = DISK_BYTES;
    if (d->options.op_ns == 0)
        d->options.op_ns = DISK_OP_NS;
    if (d->options.sync_ns == 0)
        d->options.sync_ns = DISK_SYNC_NS;
    list_init(&d->inodes);
    list_init(&d->names);
    list_init(&d->changes);
}

void disk_release(struct disk *d)
{
    struct list *link;
    while ((link = list_pop_front(&d->changes)))
        mem_free(list_entry(link, struct name_change, link));
    while ((link = list_pop_front(&d->names)))
        mem_free(list_entry(link, struct entry, link));
    while (!list_empty(&d->inodes))
        inode_free(list_first(&d->inodes, struct inode, link));
}

static void settle_names(struct sim_host *host)
{
    struct disk *d = &host->disk;
    while (!list_empty(&d->changes)) {
        struct name_change *c = list_first(&d->changes, struct name_change, link);
        bool keep = rand_below(&host->sim->rand, 2) == 0;
        trace(host->sim, TRACE_SETTLE, host, c->serial, 0, keep);
        name_change_end(c, keep);
    }
    list_each_safe (link, &d->names) {
        struct entry *e = list_entry(link, struct entry, link);
        set(&e->now, e->safe);
        entry_drop_if_unused(e);
    }
}

void disk_crash(struct sim_host *host)
{
    struct disk *d = &host->disk;
    settle_names(host);
    list_each (link, &d->inodes) {
        struct inode *i = list_entry(link, struct inode, link);
        inode_settle(host, i, UINT64_MAX);
        d->used -= i->now.size;
        if (image_copy(&i->now, &i->safe) != 0)
            sim_fail(host->sim, "no memory for what a crash leaves of a file");
        d->used += i->now.size;
    }
}
