/*
 * meter.c: the registry, its cells, and the text.
 *
 * Cells of one thread stand together, in slabs of its own that begin and end with a cache line, so
 * that no thread's writing takes a line from another's cache.
 */
#include "meter/meter.h"

#include "base/arena.h"
#include "base/bug.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "meter/histogram.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE            64
#define SLAB_SIZE       (size_t)(8 * 1024)
#define MEMORY_MAX      (size_t)(256 * 1024 * 1024)
#define LABELS_TEXT_MAX (size_t)(64 * 1024)

_Static_assert(sizeof(struct histogram) <= SLAB_SIZE, "a slab has no room for a histogram");

struct slab {
    struct slab *older;
    size_t used;
    char *cells; /* SLAB_SIZE bytes from the first whole line in `memory` */
    char memory[SLAB_SIZE + LINE];
};

struct meter_series {
    const struct meter_family *family;
    meter_read_fn *read;         /* NULL: it has cells, or a def */
    const struct meter_def *def; /* whose read(arg, at) is the value; or NULL */
    void *arg;
    void *cells[]; /* a thread each */
};

struct meter_family {
    struct meter *meter;
    struct meter_family *next; /* in the order of registration */
    enum meter_kind kind;
    const char *name;
    const char *help;
    struct map series; /* by their labels as they are written: a="x",b="y" */
};

struct meter {
    struct arena memory; /* of families and series */
    struct meter_family *families;
    bool sealed;
    unsigned threads;
    struct slab *slabs[]; /* a thread each, the one in use first */
};

int meter_new(struct meter **out, unsigned threads)
{
    check(threads > 0 && threads <= METER_THREADS_MAX, "a meter for %u threads", threads);
    struct meter *m = mem_zalloc(sizeof *m + threads * sizeof *m->slabs);
    if (!m)
        return -ENOMEM;
    m->threads = threads;
    arena_init(&m->memory, MEMORY_MAX);
    *out = m;
    return 0;
}

void meter_free(struct meter *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < m->threads; i++)
        while (m->slabs[i]) {
            struct slab *older = m->slabs[i]->older;
            mem_free(m->slabs[i]);
            m->slabs[i] = older;
        }
    for (struct meter_family *f = m->families; f; f = f->next)
        map_release(&f->series);
    arena_release(&m->memory);
    mem_free(m);
}

void meter_seal(struct meter *m)
{
    m->sealed = true;
}

/* ---- Families ---- */

static bool is_name(const char *name, bool colons)
{
    for (const char *at = name; *at; at++) {
        bool letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || *at == '_' ||
                      (*at == ':' && colons);
        bool later = *at >= '0' && *at <= '9' && at > name;
        if (!letter && !later)
            return false;
    }
    return *name != '\0';
}

int meter_family(struct meter *m, enum meter_kind kind, const char *name, const char *help,
    struct meter_family **out)
{
    check(!m->sealed, "the family %s was registered after the meter was sealed", name);
    check(is_name(name, true), "'%s' cannot be a family's name", name);
    struct meter_family **at = &m->families;
    for (; *at && strcmp((*at)->name, name) != 0; at = &(*at)->next)
        continue;
    if (*at) {
        check((*at)->kind == kind, "%s was registered as two kinds", name);
        *out = *at;
        return 0;
    }
    struct meter_family *f = arena_zalloc(&m->memory, sizeof *f);
    char *own_name = arena_copy(&m->memory, span_of(name));
    char *own_help = arena_copy(&m->memory, span_of(help));
    if (!f || !own_name || !own_help)
        return -ENOMEM;
    f->meter = m;
    f->kind = kind;
    f->name = own_name;
    f->help = own_help;
    /* Labels are the user's own configuration, so no one need be kept from guessing the seed. */
    map_init(&f->series, (const uint64_t[2]){0, 0}, METER_SERIES_MAX);
    *at = *out = f;
    return 0;
}

/* ---- Labels ---- */

/* What ends a text or its line is escaped, and what is not UTF-8 replaced. */
static int write_escaped(struct bytes *out, struct span s, bool quotes)
{
    int rc = 0;
    for (size_t i = 0, len; i < s.len && rc == 0; i += len) {
        len = utf8_length(s.ptr + i, s.len - i);
        char c = s.ptr[i];
        if (len == 0) {
            rc = bytes_append_span(out, SPAN("\xef\xbf\xbd"));
            len = 1;
        } else if (c == '\n') {
            rc = bytes_append_span(out, SPAN("\\n"));
        } else if (c == '\\' || (c == '"' && quotes)) {
            rc = bytes_printf(out, "\\%c", c);
        } else {
            rc = bytes_append(out, s.ptr + i, len);
        }
    }
    return rc;
}

static void check_labels(
    const struct meter_family *f, const struct meter_label *labels, unsigned count)
{
    check(!f->meter->sealed, "a series of %s was registered after the meter was sealed", f->name);
    check(count <= METER_LABELS_MAX, "%s has %u labels", f->name, count);
    for (unsigned i = 0; i < count; i++) {
        const char *name = labels[i].name;
        check(is_name(name, false) && strncmp(name, "__", 2) != 0 && strcmp(name, "le") != 0,
            "'%s' cannot be a label's name", name);
        for (unsigned j = 0; j < i; j++)
            check(strcmp(labels[j].name, name) != 0, "%s has two labels '%s'", f->name, name);
    }
}

static int write_labels(struct bytes *out, const struct meter_label *labels, unsigned count)
{
    int rc = 0;
    for (unsigned i = 0; i < count && rc == 0; i++) {
        rc = bytes_printf(out, "%s%s=\"", i ? "," : "", labels[i].name);
        if (rc == 0)
            rc = write_escaped(out, labels[i].value, true);
        if (rc == 0)
            rc = bytes_append_byte(out, '"');
    }
    return rc;
}

/* ---- Series and their cells ---- */

static size_t cell_size(enum meter_kind kind)
{
    if (kind == METER_HISTOGRAM)
        return sizeof(struct histogram);
    static_assert(sizeof(struct counter) == sizeof(struct gauge), "one size for both");
    return sizeof(struct counter);
}

static void *cell_new(struct slab **slabs, size_t size)
{
    struct slab *s = *slabs;
    if (!s || size > SLAB_SIZE - s->used) {
        s = mem_zalloc(sizeof *s);
        if (!s)
            return NULL;
        s->cells = s->memory + (LINE - (uintptr_t)s->memory % LINE);
        s->older = *slabs;
        *slabs = s;
    }
    void *cell = s->cells + s->used;
    s->used += size;
    return cell;
}

/* Where a series' value comes from; all NULL: from its cells. */
struct value_source {
    meter_read_fn *read;
    const struct meter_def *def;
    void *arg;
};

static struct meter_series *series_new(struct meter_family *f, const struct value_source *source)
{
    struct meter *m = f->meter;
    unsigned cells = source->read || source->def ? 0 : m->threads;
    struct meter_series *s = arena_zalloc(&m->memory, sizeof *s + cells * sizeof *s->cells);
    if (!s)
        return NULL;
    s->family = f;
    s->read = source->read;
    s->def = source->def;
    s->arg = source->arg;
    for (unsigned i = 0; i < cells; i++) {
        s->cells[i] = cell_new(&m->slabs[i], cell_size(f->kind));
        if (!s->cells[i])
            return NULL;
    }
    return s;
}

/* The series of the labels, if there is one (*out is not NULL), or a new one. */
static int series_put(struct meter_family *f, struct span labels, const struct value_source *source,
    struct meter_series **out)
{
    *out = map_get(&f->series, labels);
    if (*out) {
        check(!source->read && !source->def && !(*out)->read && !(*out)->def,
            "a series of %s was registered twice", f->name);
        return 0;
    }
    if (f->series.count == METER_SERIES_MAX)
        return -ENOBUFS;
    *out = series_new(f, source);
    return *out ? map_put(&f->series, labels, *out) : -ENOMEM;
}

static int series_register(struct meter_family *f, const struct meter_label *labels, unsigned count,
    const struct value_source *source, struct meter_series **out)
{
    struct bytes text;
    check(f->kind != METER_HISTOGRAM || (!source->read && !source->def),
        "%s: a histogram cannot be read from elsewhere", f->name);
    check_labels(f, labels, count);
    bytes_init(&text, LABELS_TEXT_MAX);
    int rc = write_labels(&text, labels, count);
    if (rc == 0)
        rc = series_put(f, bytes_span(&text), source, out);
    bytes_release(&text);
    return rc;
}

int meter_series(struct meter_family *f, const struct meter_label *labels, unsigned count,
    struct meter_series **out)
{
    return series_register(f, labels, count, &(struct value_source){0}, out);
}

int meter_series_read(struct meter_family *f, const struct meter_label *labels, unsigned count,
    meter_read_fn *read, void *arg)
{
    struct meter_series *ignored;
    struct value_source source = {.read = read, .arg = arg};
    return series_register(f, labels, count, &source, &ignored);
}

static int define_series(struct meter_family *f, const struct meter_def *def,
    const struct meter_label *labels, unsigned label_count, void *object)
{
    struct meter_label all[METER_LABELS_MAX];
    struct meter_series *series;
    check(label_count < METER_LABELS_MAX, "%s has %u labels", def->name, label_count);
    for (unsigned i = 0; i < label_count; i++)
        all[i] = labels[i];
    all[label_count] = def->label;
    struct value_source source = {.def = def->read ? def : NULL, .arg = object};
    int rc = series_register(f, all, label_count + (def->label.name != NULL), &source, &series);
    if (rc == 0 && !def->read)
        *(struct meter_series **)((char *)object + def->at) = series;
    return rc;
}

int meter_define(struct meter *m, const struct meter_def *defs, size_t n,
    const struct meter_label *labels, unsigned label_count, void *object)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct meter_family *f;
        rc = meter_family(m, defs[i].kind, defs[i].name, defs[i].help, &f);
        if (rc == 0 && object)
            rc = define_series(f, &defs[i], labels, label_count, object);
    }
    return rc;
}

static void *cell_of(const struct meter_series *s, enum meter_kind kind, unsigned thread)
{
    const struct meter_family *f = s->family;
    check(f->kind == kind && !s->read && !s->def, "%s has no cells of that kind", f->name);
    check(thread < f->meter->threads, "%s has no cell for thread %u", f->name, thread);
    return s->cells[thread];
}

struct counter *meter_counter(struct meter_series *s, unsigned thread)
{
    return cell_of(s, METER_COUNTER, thread);
}

struct gauge *meter_gauge(struct meter_series *s, unsigned thread)
{
    return cell_of(s, METER_GAUGE, thread);
}

struct histogram *meter_histogram(struct meter_series *s, unsigned thread)
{
    return cell_of(s, METER_HISTOGRAM, thread);
}

/* ---- The text ---- */

/* The bounds that are exported, as texts: the same letters everywhere, as they name a series. */
static const struct {
    int64_t until_ns;
    const char *le;
} exported[] = {{10000, "0.00001"}, {25000, "0.000025"}, {50000, "0.00005"}, {100000, "0.0001"},
    {250000, "0.00025"}, {500000, "0.0005"}, {1000000, "0.001"}, {2500000, "0.0025"},
    {5000000, "0.005"}, {10000000, "0.01"}, {25000000, "0.025"}, {50000000, "0.05"},
    {100000000, "0.1"}, {250000000, "0.25"}, {500000000, "0.5"}, {1000000000, "1"},
    {2500000000, "2.5"}, {5000000000, "5"}, {10000000000, "10"}, {25000000000, "25"},
    {50000000000, "50"}, {100000000000, "100"}, {INT64_MAX, "+Inf"}};
#define EXPORTED (sizeof exported / sizeof *exported)

/* NAME, then the suffix, then "{labels,more} ", without braces if there are no labels. */
static int write_name(struct bytes *out, const struct meter_family *f, const char *suffix,
    struct span labels, const char *le)
{
    int rc = bytes_printf(out, "%s%s", f->name, suffix);
    bool braces = labels.len > 0 || le;
    if (rc == 0 && braces)
        rc = bytes_append_byte(out, '{');
    if (rc == 0)
        rc = bytes_append_span(out, labels);
    if (rc == 0 && le)
        rc = bytes_printf(out, "%sle=\"%s\"", labels.len ? "," : "", le);
    return rc ? rc : bytes_append_span(out, braces ? SPAN("} ") : SPAN(" "));
}

/* With as few digits as lead back to the same number. */
static int write_double(struct bytes *out, double n)
{
    char text[32];
    if (isnan(n))
        return bytes_append_span(out, SPAN("NaN\n"));
    if (isinf(n))
        return bytes_append_span(out, n > 0 ? SPAN("+Inf\n") : SPAN("-Inf\n"));
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, n);
        if (strtod(text, NULL) == n)
            break;
    }
    return bytes_printf(out, "%s\n", text);
}

static int write_histogram(struct bytes *out, const struct meter_series *s, struct span labels)
{
    uint64_t counts[EXPORTED] = {0};
    uint64_t sum_ns = 0;
    for (unsigned thread = 0; thread < s->family->meter->threads; thread++) {
        const struct histogram *h = s->cells[thread];
        sum_ns += histogram_sum_ns(h);
        size_t to = 0;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
            if (histogram_bucket_until_ns(i) > exported[to].until_ns)
                to++;
            counts[to] += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        }
    }
    uint64_t count = 0;
    int rc = 0;
    for (size_t i = 0; i < EXPORTED && rc == 0; i++) {
        count += counts[i];
        rc = write_name(out, s->family, "_bucket", labels, exported[i].le);
        if (rc == 0)
            rc = bytes_printf(out, "%" PRIu64 "\n", count);
    }
    if (rc == 0)
        rc = write_name(out, s->family, "_sum", labels, NULL);
    if (rc == 0)
        rc = bytes_printf(
            out, "%" PRIu64 ".%09" PRIu64 "\n", sum_ns / 1000000000, sum_ns % 1000000000);
    if (rc == 0)
        rc = write_name(out, s->family, "_count", labels, NULL);
    return rc ? rc : bytes_printf(out, "%" PRIu64 "\n", count);
}

/* Counters wrap around, and gauges are summed as if they did: signs come out right. */
static uint64_t sum_of(const struct meter_series *s)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < s->family->meter->threads; i++)
        sum += s->family->kind == METER_COUNTER ? counter_get(s->cells[i])
                                                : (uint64_t)gauge_get(s->cells[i]);
    return sum;
}

static int write_series(struct bytes *out, const struct meter_series *s, struct span labels)
{
    if (s->family->kind == METER_HISTOGRAM)
        return write_histogram(out, s, labels);
    int rc = write_name(out, s->family, "", labels, NULL);
    if (rc)
        return rc;
    if (s->read)
        return write_double(out, s->read(s->arg));
    if (s->def)
        return write_double(out, s->def->read(s->arg, s->def->at));
    if (s->family->kind == METER_COUNTER)
        return bytes_printf(out, "%" PRIu64 "\n", sum_of(s));
    return bytes_printf(out, "%" PRId64 "\n", (int64_t)sum_of(s));
}

static int write_family(struct bytes *out, const struct meter_family *f)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    int rc = bytes_printf(out, "# HELP %s ", f->name);
    if (rc == 0)
        rc = write_escaped(out, span_of(f->help), false);
    if (rc == 0)
        rc = bytes_printf(out, "\n# TYPE %s %s\n", f->name, kinds[f->kind]);
    uint32_t at = 0;
    const struct map_entry *entry;
    while (rc == 0 && (entry = map_next(&f->series, &at)))
        rc = write_series(out, entry->value, (struct span){entry->name, entry->len});
    return rc;
}

int meter_write(const struct meter *m, struct bytes *out)
{
    size_t before = out->len;
    int rc = 0;
    for (const struct meter_family *f = m->families; f && rc == 0; f = f->next)
        rc = write_family(out, f);
    if (rc)
        out->len = before;
    return rc;
}
