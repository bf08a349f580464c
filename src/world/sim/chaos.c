/*
 * chaos.c: faults drawn from the seed: for each kind one director, which waits, does it to someone,
 * waits, undoes it, and begins again until the time is over.
 */
#include "world/sim/internal.h"

#include <signal.h>

#define LASTS_NS (1 * NS_PER_S)
/* How often it looks for a host to do it to before it gives up for this time. */
#define TRIES    16

struct fault {
    struct sim *sim;
    int64_t until;
    int64_t lasts_ns;
    int64_t interval_ns;
    int (*inflict)(struct fault *f);
    void (*heal)(struct fault *f);
    struct sim_host *host; /* to whom; NULL: to nobody this time */
    struct sim_host *other;
    bool one_way;
    /* What it was before. */
    struct sim_disk disk;
    struct sim_resolver resolver;
    unsigned slow_percent;
    struct link there;
    struct link back;
};

/* ---- To whom ---- */

static struct sim_host *any_host(struct sim *sim)
{
    for (int i = 0; i < TRIES && sim->host_count > 0; i++) {
        struct sim_host *host = sim->hosts[rand_below(&sim->rand, sim->host_count)];
        if (!host->spared && host->up)
            return host;
    }
    return NULL;
}

/* Its peers are the spared ones too. */
static struct sim_host *any_other(struct sim *sim, const struct sim_host *than)
{
    for (int i = 0; i < TRIES; i++) {
        struct sim_host *host = sim->hosts[rand_below(&sim->rand, sim->host_count)];
        if (host != than)
            return host;
    }
    return NULL;
}

/* ---- The kinds ---- */

static int crash(struct fault *f)
{
    sim_crash(f->host);
    return 0;
}

static void restart(struct fault *f)
{
    if (!f->host->up && sim_restart(f->host) != 0)
        sim_fail(f->sim, "no memory to restart host '%s'", f->host->name);
}

static int cut_from(struct fault *f, struct sim_host *other)
{
    return f->one_way ? sim_cut(f->host, other) : sim_cut_both(f->host, other);
}

/* `other` NULL: from all. */
static int partition(struct fault *f)
{
    struct sim *sim = f->sim;
    f->one_way = rand_below(&sim->rand, 3) == 0;
    f->other = rand_below(&sim->rand, 3) == 0 ? NULL : any_other(sim, f->host);
    if (f->other)
        return cut_from(f, f->other);
    int rc = 0;
    for (uint32_t i = 0; i < sim->host_count && rc == 0; i++)
        if (sim->hosts[i] != f->host)
            rc = cut_from(f, sim->hosts[i]);
    return rc;
}

static void join(struct fault *f)
{
    for (uint32_t i = 0; i < f->sim->host_count; i++)
        if (!f->other || f->sim->hosts[i] == f->other)
            sim_heal_both(f->host, f->sim->hosts[i]);
}

static int degrade(struct fault *f)
{
    struct rand *r = &f->sim->rand;
    f->other = any_other(f->sim, f->host);
    const struct link *there = f->other ? host_link(f->host, f->other) : NULL;
    const struct link *back = there ? host_link(f->other, f->host) : NULL;
    if (!back)
        return f->other ? -ENOMEM : 0;
    f->there = *there;
    f->back = *back;
    struct sim_link bad = {
        .latency_ns = rand_between(r, 1 * NS_PER_MS, 200 * NS_PER_MS),
        .jitter_ns = rand_between(r, 0, 100 * NS_PER_MS),
        .jitter = SIM_EXPONENTIAL,
        .loss_ppm = (uint32_t)rand_below(r, 200000),
        .bytes_per_second = 10000 + rand_below(r, 1000000),
    };
    return sim_link_both(f->host, f->other, &bad);
}

/* The link exists, so this takes no memory. */
static void mend_way(struct sim_host *from, struct sim_host *to, const struct link *before)
{
    const struct sim *sim = from->sim;
    if (sim_link(from, to, before->options == &sim->default_link ? NULL : &before->own) != 0)
        bug("a link that was degraded is gone");
}

static void mend(struct fault *f)
{
    if (!f->other)
        return;
    mend_way(f->host, f->other, &f->there);
    mend_way(f->other, f->host, &f->back);
}

static int slow(struct fault *f)
{
    f->slow_percent = f->host->slow_percent;
    sim_slow(f->host, f->slow_percent * (unsigned)rand_between(&f->sim->rand, 2, 20));
    return 0;
}

static void unslow(struct fault *f)
{
    sim_slow(f->host, f->slow_percent);
}

static int freeze(struct fault *f)
{
    int64_t left = f->until - f->sim->now;
    int64_t ns = rand_exponential(&f->sim->rand, f->lasts_ns);
    sim_pause(f->host, ns < left ? ns : left);
    return 0;
}

static int wall_jump(struct fault *f)
{
    sim_wall_jump(f->host, rand_between(&f->sim->rand, -60 * NS_PER_S, 60 * NS_PER_S));
    return 0;
}

static int bad_disk(struct fault *f)
{
    f->disk = f->host->disk.options;
    struct sim_disk bad = f->disk;
    bad.op_ns *= rand_between(&f->sim->rand, 1, 100);
    bad.sync_ns *= rand_between(&f->sim->rand, 1, 100);
    bad.error_ppm = (uint32_t)rand_below(&f->sim->rand, 300000);
    sim_disk(f->host, &bad);
    return 0;
}

static void good_disk(struct fault *f)
{
    sim_disk(f->host, &f->disk);
}

static int bad_resolver(struct fault *f)
{
    struct rand *r = &f->sim->rand;
    f->resolver = f->sim->resolver;
    sim_resolver(f->sim, &(struct sim_resolver){
                             .latency_ns = rand_between(r, 1 * NS_PER_MS, 2 * NS_PER_S),
                             .missing_ppm = (uint32_t)rand_below(r, 300000),
                             .silent_ppm = (uint32_t)rand_below(r, 300000),
                         });
    return 0;
}

static void good_resolver(struct fault *f)
{
    sim_resolver(f->sim, &f->resolver);
}

static int kill_child(struct fault *f)
{
    struct sim_process *chosen = NULL;
    uint32_t count = 0;
    list_each (link, &f->host->processes) {
        struct sim_process *p = list_entry(link, struct sim_process, link);
        if (p->spawned && rand_below(&f->sim->rand, ++count) == 0)
            chosen = p;
    }
    return chosen ? sim_signal(chosen, SIGKILL) : 0;
}

/* Sometimes none at all is made. */
static int fail_tasks(struct fault *f)
{
    struct rand *r = &f->sim->rand;
    uint32_t ppm = rand_below(r, 3) == 0 ? 1000000 : (uint32_t)rand_below(r, 1000000);
    sim_tasks(f->host, &(struct sim_tasks){.fail_ppm = ppm});
    return 0;
}

static void make_tasks(struct fault *f)
{
    sim_tasks(f->host, &(struct sim_tasks){0});
}

/* ---- The director ---- */

static int64_t within(const struct fault *f, int64_t mean_ns)
{
    int64_t when = f->sim->now + rand_exponential(&f->sim->rand, mean_ns);
    return when < f->until ? when : f->until;
}

static int cause(struct sim *sim, void *arg)
{
    struct fault f = *(struct fault *)arg;
    mem_free(arg);
    int rc = 0;
    while (rc == 0) {
        rc = sim_sleep_until(sim, within(&f, f.interval_ns));
        if (rc || sim->now >= f.until)
            break;
        f.host = any_host(sim);
        if (!f.host)
            continue;
        rc = f.inflict(&f);
        if (!f.heal)
            continue;
        if (rc == 0)
            rc = sim_sleep_until(sim, within(&f, f.lasts_ns));
        if (rc != -ECANCELED)
            f.heal(&f);
    }
    return rc;
}

static int start(struct sim *sim, const struct sim_chaos *chaos, const char *name,
    int64_t interval_ns, int (*inflict)(struct fault *f), void (*heal)(struct fault *f))
{
    if (interval_ns == 0)
        return 0;
    struct fault *f = mem_zalloc(sizeof *f);
    if (!f)
        return -ENOMEM;
    f->sim = sim;
    f->until = chaos->until;
    f->lasts_ns = chaos->lasts_ns ? chaos->lasts_ns : LASTS_NS;
    f->interval_ns = interval_ns;
    f->inflict = inflict;
    f->heal = heal;
    int rc = director_start(sim, name, cause, f, false);
    if (rc)
        mem_free(f);
    return rc;
}

int sim_chaos(struct sim *sim, const struct sim_chaos *c)
{
    const struct {
        const char *name;
        int64_t interval_ns;
        int (*inflict)(struct fault *f);
        void (*heal)(struct fault *f);
    } kinds[] = {
        {"chaos: crash", c->crash_ns, crash, restart},
        {"chaos: partition", c->partition_ns, partition, join},
        {"chaos: degrade", c->degrade_ns, degrade, mend},
        {"chaos: slow", c->slow_ns, slow, unslow},
        {"chaos: pause", c->pause_ns, freeze, NULL},
        {"chaos: wall jump", c->wall_jump_ns, wall_jump, NULL},
        {"chaos: disk", c->disk_ns, bad_disk, good_disk},
        {"chaos: resolver", c->resolver_ns, bad_resolver, good_resolver},
        {"chaos: kill", c->kill_ns, kill_child, NULL},
        {"chaos: tasks", c->tasks_ns, fail_tasks, make_tasks},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && rc == 0; i++)
        rc = start(sim, c, kinds[i].name, kinds[i].interval_ns, kinds[i].inflict, kinds[i].heal);
    return rc;
}
