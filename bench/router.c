/*
 * router.c: what it costs to find a route, among 10 to 10,000 of them.
 *
 * All paths have the same shape. "hot" asks for one route all the time; "any" for all of them at
 * random, so that with many routes their memory no longer fits the processor's nearest caches: what
 * that costs is told, not hidden, and is the price of touching 10,000 different things, whatever
 * finds them. "1 in 10" is between: nine requests of ten go to the same 100 routes. The nasty table
 * is the worst that the router admits: 64 shapes, all of which a path must be looked up in.
 */
#include "bench.h"

#include "base/bug.h"
#include "base/rand.h"
#include "http/router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS          11
#define MATCHES       200000
#define NASTY_MATCHES 20000
#define SIZES         4

static const uint64_t seed[2] = {0x0123456789abcdef, 0xfedcba9876543210};

struct request {
    char path[32];
    unsigned len;
};

enum mixture { HOT, TENTH, ANY, MIXTURES };
static const char *const mixtures[] = {"hot", "1 in 10", "any"};

struct table {
    unsigned size;
    struct router *router;
    struct request *requests[MIXTURES]; /* MATCHES each, ready made */
    struct bench_series series[MIXTURES];
};

static void make_requests(struct table *t, enum mixture mixture, struct rand *r)
{
    t->requests[mixture] = calloc(MATCHES, sizeof(struct request));
    check(t->requests[mixture], "no memory for requests");
    for (unsigned i = 0; i < MATCHES; i++) {
        struct request *q = &t->requests[mixture][i];
        unsigned few = t->size < 100 ? t->size : 100;
        uint64_t route = mixture == HOT               ? t->size / 2
                         : mixture == TENTH && i % 10 ? rand_below(r, few)
                                                      : rand_below(r, t->size);
        q->len = (unsigned)snprintf(q->path, sizeof q->path, "/service/%u/items/%u",
            10000 + (unsigned)route, 100000 + (unsigned)rand_below(r, 900000));
    }
}

static void open_table(struct table *t, unsigned size, struct rand *r)
{
    t->size = size;
    check(router_new(&t->router, seed) == 0, "no router");
    for (unsigned i = 0; i < size; i++) {
        char pattern[64];
        snprintf(pattern, sizeof pattern, "/service/%u/items/{id}", 10000 + i);
        check(router_add(t->router, SPAN("GET"), span_of(pattern), t, NULL, NULL) == 0,
            "no room for a route");
    }
    for (enum mixture m = 0; m < MIXTURES; m++)
        make_requests(t, m, r);
}

static double match_ns(const struct table *t, enum mixture mixture)
{
    static struct router_match match;
    const struct request *requests = t->requests[mixture];
    int64_t start = bench_now_ns();
    for (unsigned i = 0; i < MATCHES; i++) {
        struct span path = {requests[i].path, requests[i].len};
        int rc = router_find(t->router, HTTP_GET, SPAN("GET"), path, NULL, &match, NULL);
        check(rc == 0 && match.params[0].value.len == 6, "a route was not found");
    }
    return (double)(bench_now_ns() - start) / MATCHES;
}

/* "/a/a/a/a/a/a" with every mixture of parameters; the path fits none but the last. */
static double nasty_ns(void)
{
    struct router *r;
    struct router_match match;
    check(router_new(&r, seed) == 0, "no router");
    for (unsigned bits = 0; bits < 64; bits++) {
        char pattern[64];
        size_t len = 0;
        for (unsigned i = 0; i < 6; i++)
            len += (size_t)snprintf(
                pattern + len, sizeof pattern - len, bits >> i & 1 ? "/{p%u}" : "/a", i);
        check(router_add(r, SPAN("GET"), span_of(pattern), r, NULL, NULL) == 0, "no room");
    }
    int64_t start = bench_now_ns();
    for (unsigned i = 0; i < NASTY_MATCHES; i++)
        check(router_find(r, HTTP_GET, SPAN("GET"), SPAN("/b/b/b/b/b/b"), NULL, &match, NULL) == 0,
            "not found");
    double ns = (double)(bench_now_ns() - start) / NASTY_MATCHES;
    router_free(r);
    return ns;
}

static double median_of(struct table *t, enum mixture mixture)
{
    char name[64];
    snprintf(name, sizeof name, "match_%u_routes (%s)", t->size, mixtures[mixture]);
    return bench_line(name, &t->series[mixture], "ns");
}

int main(void)
{
    static struct table tables[SIZES];
    struct bench_series nasty = {0};
    struct rand r;
    rand_init(&r, 1);
    for (unsigned i = 0, size = 10; i < SIZES; i++, size *= 10)
        open_table(&tables[i], size, &r);
    for (int run = 0; run < RUNS; run++) {
        for (enum mixture m = 0; m < MIXTURES; m++)
            for (unsigned i = 0; i < SIZES; i++)
                bench_add(&tables[i].series[m], match_ns(&tables[i], m));
        bench_add(&nasty, nasty_ns());
    }

    printf("router: /service/N/items/{id}, %d matches a run\n", MATCHES);
    double medians[MIXTURES][SIZES];
    for (enum mixture m = 0; m < MIXTURES; m++)
        for (unsigned i = 0; i < SIZES; i++)
            medians[m][i] = median_of(&tables[i], m);
    bench_line("match_nasty_64_shapes", &nasty, "ns");
    bench_must_hold("a short path in <= 150 ns", medians[HOT][SIZES - 1] <= 150);
    for (enum mixture m = 0; m < MIXTURES; m++) {
        char what[64];
        double ratio = medians[m][SIZES - 1] / medians[m][0];
        snprintf(what, sizeof what, "10,000 routes : 10 (%s) = %.3f <= 1.05", mixtures[m], ratio);
        bench_must_hold(what, ratio <= 1.05);
    }
    return 0;
}
