/*
 * figures.c: a table of what stands in the statistics of servers and clients, and how it is
 * called outside.
 */
#include "app/figures.h"

#include "base/mem.h"

#include <errno.h>
#include <stddef.h>

struct figure {
    const char *name;
    const char *help;
    enum meter_kind kind;
    const char *reason; /* the label "reason", or NULL */
    size_t offset;
    bool client;
};

#define OF_SERVER(member) .offset = offsetof(struct http_server_stats, member)
#define OF_CLIENT(member) .offset = offsetof(struct http_client_stats, member), .client = true

static const struct figure table[] = {
    {"weir_connections_total", "Connections accepted.", METER_COUNTER, OF_SERVER(connections)},
    {"weir_connections_open", "Connections open now.", METER_GAUGE, OF_SERVER(open)},
    {"weir_connections_idle", "Of those, waiting for a request.", METER_GAUGE, OF_SERVER(idle)},
    {"weir_requests_total", "Requests whose head was understood.", METER_COUNTER,
        OF_SERVER(requests)},
    {"weir_requests_client_gone_total", "Requests whose client did not wait for the answer.",
        METER_COUNTER, OF_SERVER(client_gone)},
#define REFUSED(reason_, which)                                                                    \
    {                                                                                              \
        "weir_requests_refused_total", "Requests refused before a route saw them.", METER_COUNTER, \
            .reason = (reason_), OF_SERVER(refused[which])                                         \
    }
    REFUSED("malformed", HTTP_REFUSED_400),
    REFUSED("head-timeout", HTTP_REFUSED_408),
    REFUSED("content-too-large", HTTP_REFUSED_413),
    REFUSED("uri-too-long", HTTP_REFUSED_414),
    REFUSED("head-too-large", HTTP_REFUSED_431),
    REFUSED("other", HTTP_REFUSED_OTHER),
#undef REFUSED
    {"weir_client_calls_total", "Calls of http nodes.", METER_COUNTER, OF_CLIENT(calls)},
    {"weir_client_connects_total", "Connections opened for them.", METER_COUNTER,
        OF_CLIENT(connects)},
    {"weir_client_connect_failures_total", "Connections that could not be opened.", METER_COUNTER,
        OF_CLIENT(connect_failures)},
    {"weir_client_reuses_total", "Calls on a kept connection.", METER_COUNTER, OF_CLIENT(reuses)},
    {"weir_client_stale_retries_total", "Kept connections that had ended, and were replaced.",
        METER_COUNTER, OF_CLIENT(stale_retries)},
    {"weir_client_timeouts_total", "Calls that took too long.", METER_COUNTER, OF_CLIENT(timeouts)},
    {"weir_client_connections_idle", "Connections kept for later calls.", METER_GAUGE,
        OF_CLIENT(idle)},
    {"weir_client_connections_in_use", "Connections with a call on them.", METER_GAUGE,
        OF_CLIENT(in_use)},
};

#define FIGURES (sizeof(table) / sizeof(*table))

struct figures {
    struct io_thread *const *io_threads;
    unsigned count;
    struct asked {
        const struct figures *all;
        const struct figure *figure;
    } asked[FIGURES];
};

static double read_figure(void *arg)
{
    const struct asked *a = arg;
    double sum = 0;
    for (unsigned i = 0; i < a->all->count; i++) {
        const struct io_thread *k = a->all->io_threads[i];
        const void *stats = a->figure->client ? (const void *)io_thread_client_stats(k)
                                              : (const void *)io_thread_server_stats(k);
        const void *at = (const char *)stats + a->figure->offset;
        const _Atomic uint64_t *n = at;
        sum += (double)atomic_load_explicit(n, memory_order_relaxed);
    }
    return sum;
}

/* ---- Of all bodies ---- */

static double bodies_bytes(void *arg)
{
    return (double)body_budget_stats(arg).bytes;
}

static double bodies_waiting(void *arg)
{
    return (double)body_budget_stats(arg).waiting;
}

static double bodies_refused(void *arg)
{
    return (double)body_budget_stats(arg).refused;
}

static int register_bodies(struct meter *meter, const struct body_budget *bodies)
{
    static const struct {
        enum meter_kind kind;
        const char *name, *help;
        double (*read)(void *arg);
    } all[] = {
        {METER_GAUGE, "weir_bodies_bytes", "Memory claimed for request bodies; see limits.bodies.",
            bodies_bytes},
        {METER_GAUGE, "weir_bodies_waiting", "Requests whose body waits for such memory.",
            bodies_waiting},
        {METER_COUNTER, "weir_bodies_refused_total",
            "Requests whose body found no memory in time, and got a 503.", bodies_refused},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all) && rc == 0; i++) {
        struct meter_family *family;
        rc = meter_family(meter, all[i].kind, all[i].name, all[i].help, &family);
        if (rc == 0)
            rc = meter_series_read(family, NULL, 0, all[i].read, (void *)(uintptr_t)bodies);
    }
    return rc;
}

/* ---- Registering ---- */

static double one(void *arg)
{
    return 1;
}

static int register_all(struct figures *f, struct meter *meter)
{
    struct meter_family *family;
    struct meter_label version = {"version", SPAN(WEIR_VERSION)};
    int rc = meter_family(meter, METER_GAUGE, "weir_build_info", "Always 1.", &family);
    if (rc == 0)
        rc = meter_series_read(family, &version, 1, one, NULL);
    for (size_t i = 0; i < FIGURES && rc == 0; i++) {
        const struct figure *figure = &table[i];
        f->asked[i] = (struct asked){.all = f, .figure = figure};
        rc = meter_family(meter, figure->kind, figure->name, figure->help, &family);
        struct meter_label reason = {"reason", {NULL, 0}};
        if (figure->reason)
            reason.value = span_of(figure->reason);
        if (rc == 0)
            rc = meter_series_read(
                family, &reason, figure->reason ? 1 : 0, read_figure, &f->asked[i]);
    }
    return rc;
}

int figures_register(struct figures **out, struct meter *meter, struct io_thread *const *io_threads,
    unsigned count, const struct body_budget *bodies)
{
    struct figures *f = mem_zalloc(sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->io_threads = io_threads;
    f->count = count;
    int rc = register_all(f, meter);
    if (rc == 0)
        rc = register_bodies(meter, bodies);
    if (rc) {
        mem_free(f);
        return rc;
    }
    *out = f;
    return 0;
}

void figures_free(struct figures *f)
{
    mem_free(f);
}
