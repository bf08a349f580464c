/*
 * name.c: names and their addresses, and how well they resolve.
 *
 * Literals and "localhost" are known to each host by itself; everything else is asked of one
 * resolver that all hosts share, which takes its time and may be told to fail.
 */
#include "base/bytes.h"
#include "world/sim/internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define HOSTS_OF_A_NAME_MAX 16
#define SILENCE_NS          (5 * NS_PER_S)

struct sim_name {
    struct list link; /* in sim.names */
    uint64_t hash;
    char text[NAME_MAX_LEN + 1];
    uint32_t host_count;
    struct sim_host *hosts[HOSTS_OF_A_NAME_MAX];
};

void names_init(struct sim *sim)
{
    for (int i = 0; i < NAME_BUCKETS; i++)
        list_init(&sim->names[i]);
}

void names_free(struct sim *sim)
{
    for (int i = 0; i < NAME_BUCKETS; i++) {
        struct list *link;
        while ((link = list_pop_front(&sim->names[i])))
            mem_free(list_entry(link, struct sim_name, link));
    }
}

static struct sim_name *name_find(struct sim *sim, const char *text, uint64_t hash)
{
    struct list *bucket = &sim->names[hash % NAME_BUCKETS];
    list_each (link, bucket) {
        struct sim_name *n = list_entry(link, struct sim_name, link);
        if (n->hash == hash && strcmp(n->text, text) == 0)
            return n;
    }
    return NULL;
}

int sim_name(struct sim *sim, const char *text, struct sim_host *host)
{
    check(strlen(text) <= NAME_MAX_LEN, "the name '%s' is longer than %d", text, NAME_MAX_LEN);
    uint64_t hash = text_hash(text);
    struct sim_name *n = name_find(sim, text, hash);
    if (!n) {
        n = mem_zalloc(sizeof *n);
        if (!n)
            return -ENOMEM;
        n->hash = hash;
        snprintf(n->text, sizeof n->text, "%s", text);
        list_push_back(&sim->names[hash % NAME_BUCKETS], &n->link);
    }
    check(n->host_count < HOSTS_OF_A_NAME_MAX, "the name '%s' has too many addresses", text);
    n->hosts[n->host_count++] = host;
    return 0;
}

void sim_name_drop(struct sim *sim, const char *text)
{
    struct sim_name *n = name_find(sim, text, text_hash(text));
    if (!n)
        return;
    list_del(&n->link);
    mem_free(n);
}

void sim_resolver(struct sim *sim, const struct sim_resolver *resolver)
{
    sim->resolver = *resolver;
    if (sim->resolver.latency_ns == 0)
        sim->resolver.latency_ns = 500 * NS_PER_US;
}

/* ---- Resolving ---- */

static bool literal(const char *text, uint16_t port, struct address *out)
{
    struct address a = {.len = sizeof a.in4, .in4.sin_family = AF_INET};
    if (inet_pton(AF_INET, text, &a.in4.sin_addr) != 1) {
        a = (struct address){.len = sizeof a.in6, .in6.sin6_family = AF_INET6};
        if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) != 1)
            return false;
    }
    address_set_port(&a, port);
    *out = a;
    return true;
}

/* Its addresses, beginning with any, as a resolver that spreads the load does. */
static int addresses(
    struct sim *sim, const struct sim_name *n, uint16_t port, struct address *out, int max)
{
    uint32_t first = n->host_count > 1 ? (uint32_t)rand_below(&sim->rand, n->host_count) : 0;
    int count = 0;
    for (uint32_t i = 0; i < n->host_count && count < max; i++)
        sim_host_address(n->hosts[(first + i) % n->host_count], port, &out[count++]);
    return count;
}

static int ask(struct sim_world *w, const char *text, uint16_t port, struct address *out, int max)
{
    struct sim *sim = w->sim;
    bool silent = rand_ppm(&sim->rand, sim->resolver.silent_ppm);
    bool missing = rand_ppm(&sim->rand, sim->resolver.missing_ppm);
    int64_t latency = silent ? SILENCE_NS : sim_draw(sim, sim->resolver.latency_ns);
    int rc = sim_world_pause(w, "resolve", latency);
    if (rc)
        return rc;
    if (silent)
        return -EAGAIN;
    const struct sim_name *n = missing ? NULL : name_find(sim, text, text_hash(text));
    return n ? addresses(sim, n, port, out, max) : -ENOENT;
}

int sim_op_resolve(
    struct world *world, const char *host, uint16_t port, struct address *out, int max)
{
    struct sim_world *w = sim_world_of(world);
    if (w->dead)
        return -ECANCELED;
    if (literal(host, port, out))
        return 1;
    if (strcmp(host, "localhost") == 0) {
        address_of_ip(INADDR_LOOPBACK, port, out);
        return 1;
    }
    int rc = ask(w, host, port, out, max);
    trace(w->sim, TRACE_RESOLVE, host_of(w), text_hash(host), 0, rc);
    return rc;
}
