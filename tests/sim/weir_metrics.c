/*
 * weir_metrics.c: see weir_metrics.h.
 */
#include "weir_metrics.h"

#include "base/rand.h"
#include "http/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((size_t)1024 * 1024)

/* ---- The text ---- */

static struct span until(struct span *rest, char end)
{
    const char *at = memchr(rest->ptr, end, rest->len);
    size_t len = at ? (size_t)(at - rest->ptr) : rest->len;
    struct span piece = {rest->ptr, len};
    rest->ptr += len + (at != NULL);
    rest->len -= len + (at != NULL);
    return piece;
}

/* Of one line: NAME VALUE, or NAME{LABELS} VALUE. */
static void see_sample(struct weir_metrics *m, struct span line)
{
    char text[32];
    struct span labels = {line.ptr, 0};
    struct span name;
    if (line.len == 0 || line.ptr[0] == '#')
        return;
    const char *brace = memchr(line.ptr, '{', line.len);
    if (brace) {
        name = until(&line, '{');
        const char *end = line.ptr + line.len;
        while (end > line.ptr && end[-1] != '}')
            end--;
        sim_check(m->sim, end > line.ptr, "a sample's labels have no end");
        labels = (struct span){line.ptr, (size_t)(end - line.ptr) - (end > line.ptr)};
        line = (struct span){end, line.len - (size_t)(end - line.ptr)};
    } else {
        name = until(&line, ' ');
    }
    snprintf(text, sizeof text, "%.*s", SPAN_ARG(line));
    m->see(m->ctx, name, labels, strtod(text, NULL));
}

/* ---- Reading ---- */

static int read_once(struct weir_metrics *m, struct http_client *c, struct arena *a)
{
    char text[80];
    struct error e;
    struct http_client_request ask = {.method = SPAN("GET"), .target = SPAN("/metrics")};
    struct http_response answer;
    snprintf(text, sizeof text, "http://%s:%d", m->host, WEIR_ADMIN_PORT);
    int rc = http_client_origin(c, span_of(text), &ask.origin, &e);
    if (rc == 0)
        rc = http_call(c, &ask, a, &answer, &e);
    sim_check(m->sim, rc == 0, "/metrics cannot be read: %s", e.sentence);
    if (rc)
        return rc;
    sim_check(m->sim, answer.head->status == 200, "/metrics: status %d", answer.head->status);
    m->readings++;
    while (answer.body.len > 0)
        see_sample(m, until(&answer.body, '\n'));
    return 0;
}

static int run(struct world *w, void *arg)
{
    struct weir_metrics *m = arg;
    static const struct http_client_options options = HTTP_CLIENT_DEFAULTS;
    struct http_client *c;
    struct arena arena;
    struct rand r;
    uint64_t seed;
    world_random(w, &seed, sizeof seed);
    rand_init(&r, seed);
    int rc = http_client_new(&c, w, &options);
    if (rc)
        return rc;
    arena_init(&arena, TEXT_MAX);
    while (rc == 0 && !m->over) {
        rc = read_once(m, c, &arena);
        arena_reset(&arena);
        if (rc == 0)
            rc = world_sleep(w, rand_between(&r, 0, m->every_ns));
    }
    arena_release(&arena);
    http_client_free(c);
    return rc;
}

void weir_metrics_start(struct weir_metrics *m)
{
    struct sim_host *host =
        sim_host(m->sim, &(struct sim_host_options){.name = "prometheus", .spared = true});
    m->process = host ? sim_start(host, "prometheus", run, m) : NULL;
    sim_check(m->sim, m->process, "nobody can read metrics");
}

int weir_metrics_stop(struct weir_metrics *m)
{
    m->over = true;
    int rc = sim_wait(m->process);
    sim_check(m->sim, rc != 0 || m->readings > 0, "metrics were never read");
    return rc;
}
