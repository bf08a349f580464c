/*
 * plan.c: see plan.h.
 */
#include "plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plan_record {
    int64_t sent_ns; /* after it was due; -1: never */
    int64_t answered_ns;
    int status;
    double queue_ms;
    double cpu_ms;
    double wait_ms;
};

static void add(struct plan *p, size_t *room, int64_t due_ns)
{
    if (p->count == *room) {
        *room = *room > 0 ? 2 * *room : 1024;
        p->due_ns = reallocarray(p->due_ns, *room, sizeof *p->due_ns);
        if (!p->due_ns)
            client_die("plan");
    }
    if (due_ns < 0 || (p->count > 0 && due_ns < p->due_ns[p->count - 1])) {
        fprintf(stderr, "client: line %zu of the plan is before the one above it\n", p->count + 1);
        exit(1);
    }
    p->due_ns[p->count++] = due_ns;
}

struct plan plan_read(const char *path)
{
    struct plan p = {0};
    size_t room = 0;
    char line[64];
    FILE *f = fopen(path, "re");
    if (!f)
        client_die(path);
    while (fgets(line, sizeof line, f))
        add(&p, &room, strtoll(line, NULL, 10));
    fclose(f);
    p.records = calloc(p.count + 1, sizeof *p.records);
    if (!p.records)
        client_die("plan");
    for (size_t i = 0; i < p.count; i++)
        p.records[i].sent_ns = p.records[i].answered_ns = -1;
    return p;
}

void plan_sent(struct plan *p, uint64_t nth, int64_t after_ns)
{
    p->records[nth].sent_ns = after_ns;
}

/* One of the spans of a Server-Timing field. */
static double span(const char *timing, const char *name)
{
    const char *end = timing ? strstr(timing, "\r\n") : NULL;
    const char *at = end ? strstr(timing, name) : NULL;
    return at && at < end ? strtod(at + strlen(name), NULL) : 0;
}

void plan_answered(struct plan *p, uint64_t nth, int64_t after_ns, const struct answer *a)
{
    struct plan_record *r = &p->records[nth];
    const char *timing = answer_field(a, "server-timing");
    r->answered_ns = after_ns;
    r->status = a->status;
    r->queue_ms = span(timing, "queue;dur=");
    r->cpu_ms = span(timing, "cpu;dur=");
    r->wait_ms = span(timing, "wait;dur=");
}

void plan_write(const struct plan *p, const char *path)
{
    FILE *f = fopen(path, "we");
    if (!f)
        client_die(path);
    for (size_t i = 0; i < p->count; i++) {
        const struct plan_record *r = &p->records[i];
        int64_t due = p->due_ns[i];
        fprintf(f, "%lld %lld %lld %d %.3f %.3f %.3f\n", (long long)due,
            (long long)(r->sent_ns < 0 ? -1 : due + r->sent_ns),
            (long long)(r->answered_ns < 0 ? -1 : due + r->answered_ns), r->status, r->queue_ms,
            r->cpu_ms, r->wait_ms);
    }
    if (fclose(f) != 0)
        client_die(path);
}

void plan_release(struct plan *p)
{
    free(p->due_ns);
    free(p->records);
}
