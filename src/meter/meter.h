/*
 * meter.h: a server's metrics, and their Prometheus text.
 *
 * A meter is a registry, owned by a server. A *family* has a name, a help text and a kind; its
 * *series* differ in their labels. Each series has a *cell* for each thread, which that thread
 * alone writes: adding is a plain load and store, without locking the memory bus. The
 * text, which any thread may write, has the sums of all threads' cells; additions meanwhile may be
 * missing.
 *
 *     struct meter_series *requests;
 *     meter_family(m, METER_COUNTER, "weir_requests_total", "Requests answered.", &family);
 *     meter_series(family, &(struct meter_label){"flow", SPAN("tags")}, 1, &requests);
 *     struct counter *mine = meter_counter(requests, thread);  // once, at the thread's start
 *     counter_add(mine, 1);
 *
 * Everything is registered by one thread at start, and then sealed (meter_seal) before other
 * threads start: to register later is a bug. Cells live as long as the meter. Names are Weir's own,
 * so wrong ones are bugs; label values may be any text.
 */
#pragma once

#include "base/bytes.h"

#include <stdatomic.h>
#include <stdint.h>

struct meter;
struct meter_family;
struct meter_series;

#define METER_THREADS_MAX 1024
#define METER_SERIES_MAX  100000 /* of a family */
#define METER_LABELS_MAX  8

enum meter_kind { METER_COUNTER, METER_GAUGE, METER_HISTOGRAM };

/* ---- Cells: for their own thread to write, for any to read ---- */

struct counter {
    _Atomic uint64_t n;
};

struct gauge {
    _Atomic int64_t n;
};

struct histogram; /* histogram.h */

static inline void counter_add(struct counter *c, uint64_t by)
{
    uint64_t before = atomic_load_explicit(&c->n, memory_order_relaxed);
    atomic_store_explicit(&c->n, before + by, memory_order_relaxed);
}

static inline uint64_t counter_get(const struct counter *c)
{
    return atomic_load_explicit(&c->n, memory_order_relaxed);
}

static inline void gauge_set(struct gauge *g, int64_t n)
{
    atomic_store_explicit(&g->n, n, memory_order_relaxed);
}

/* `by` may be negative. */
static inline void gauge_add(struct gauge *g, int64_t by)
{
    gauge_set(g, atomic_load_explicit(&g->n, memory_order_relaxed) + by);
}

static inline int64_t gauge_get(const struct gauge *g)
{
    return atomic_load_explicit(&g->n, memory_order_relaxed);
}

/* ---- The registry ---- */

/* For threads 0 to threads - 1. 0 or -ENOMEM. */
int meter_new(struct meter **out, unsigned threads) __attribute__((warn_unused_result));
/* Ignores NULL. */
void meter_free(struct meter *m);

/* 0 or -ENOMEM. Returns an existing family of the same kind, so that several parts can register it
 * in any order. */
int meter_family(struct meter *m, enum meter_kind kind, const char *name, const char *help,
    struct meter_family **out) __attribute__((warn_unused_result));

struct meter_label {
    const char *name;
    struct span value;
};

/* 0, -ENOMEM, or -ENOBUFS at METER_SERIES_MAX. A series that is there already is found again. */
int meter_series(struct meter_family *f, const struct meter_label *labels, unsigned count,
    struct meter_series **out) __attribute__((warn_unused_result));
/* A counter or gauge without cells: `read` returns its value when the text is written, on the
 * thread that writes it. The same labels twice are a bug. */
typedef double meter_read_fn(void *arg);
int meter_series_read(struct meter_family *f, const struct meter_label *labels, unsigned count,
    meter_read_fn *read, void *arg) __attribute__((warn_unused_result));
/* A row of a folder's table of metrics, for meter_define. */
struct meter_def {
    enum meter_kind kind;
    const char *name;
    const char *help;
    struct meter_label label; /* the row's own; .name NULL: none */
    size_t at;                /* a member's offset in the object: a struct meter_series * to be set;
                               * or, with `read`, what `read` gets */
    /* The value of a counter or gauge without cells, at each meter_write; NULL: it has cells. */
    double (*read)(const void *object, size_t at);
};
/* Registers n rows. `labels`, and then the row's own, are each series' labels. With `object` NULL
 * only the families are registered, which fixes their order. Objects of rows with `read` must live
 * as long as the meter is written. Errors as of meter_family and meter_series. */
int meter_define(struct meter *m, const struct meter_def *defs, size_t n,
    const struct meter_label *labels, unsigned label_count, void *object)
    __attribute__((warn_unused_result));
/* Nothing is registered after this. */
void meter_seal(struct meter *m);

/* The cell of a thread. The series must be of that kind. */
struct counter *meter_counter(struct meter_series *s, unsigned thread);
struct gauge *meter_gauge(struct meter_series *s, unsigned thread);
struct histogram *meter_histogram(struct meter_series *s, unsigned thread);

/* ---- The text ---- */

#define METER_MEDIA_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends all families, in the order in which they were registered: 0; -ENOMEM or -ENOBUFS, and
 * then `out` is as it was. Any one thread at a time, after meter_seal. */
int meter_write(const struct meter *m, struct bytes *out) __attribute__((warn_unused_result));
