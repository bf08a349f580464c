/*
 * host.c: hosts: what they are, how they crash and come back, and the links between them.
 */
#include "world/sim/internal.h"

#include <stdio.h>
#include <string.h>

#define NETWORK    UINT32_C(0x0a000000) /* 10.0.0.0/8 */
#define HOSTS_MAX  0xfffffe
#define FIRST_PORT 32768

/* An hour to some two weeks since it was switched on. */
#define UPTIME_MIN_NS (3600 * NS_PER_S)
#define UPTIME_MAX_NS (1200 * 1000 * NS_PER_S)
/* How wrong a wall clock is that is kept by NTP. */
#define WALL_ERROR_NS (20 * NS_PER_MS)
/* How long a machine has been up when its programs start. */
#define BOOT_MIN_NS   (5 * NS_PER_S)
#define BOOT_MAX_NS   (60 * NS_PER_S)

/* ---- Making ---- */

static void host_describe(struct sim_host *host, const struct sim_host_options *options)
{
    struct sim *sim = host->sim;
    snprintf(host->name, sizeof host->name, "%s", options->name);
    host->clock_base = rand_between(&sim->rand, UPTIME_MIN_NS, UPTIME_MAX_NS);
    host->wall_base = rand_between(&sim->rand, -WALL_ERROR_NS, WALL_ERROR_NS);
    if (options->wall_offset_ns)
        host->wall_base = options->wall_offset_ns;
    host->cores = options->cores ? options->cores : 4;
    host->slow_percent = options->slow_percent ? options->slow_percent : 100;
    host->kernel_ns = options->kernel_ns;
    host->wake_ns = options->wake_ns;
    host->boot = options->boot;
    host->boot_arg = options->boot_arg;
    host->spared = options->spared;
    host->loopback.own =
        (struct sim_link){.latency_ns = 10 * NS_PER_US, .jitter_ns = 5 * NS_PER_US};
    host->loopback.options = &host->loopback.own;
    host->next_port = FIRST_PORT;
    disk_init(&host->disk, &options->disk);
    list_init(&host->burning);
    list_init(&host->queued);
    list_init(&host->processes);
    list_init(&host->listeners);
}

/* Gives it its place in the network: 0 or -ENOMEM. */
static int host_join(struct sim_host *host)
{
    struct sim *sim = host->sim;
    check(sim->host_count < HOSTS_MAX, "a universe has more hosts than addresses");
    struct sim_host **hosts = pointers_grown(sim->hosts, &sim->host_size, sim->host_count + 1);
    if (!hosts)
        return -ENOMEM;
    sim->hosts = hosts;
    int rc = event_init(sim, &host->resume, host_resume);
    if (rc)
        return rc;
    rc = sim_name(sim, host->name, host);
    if (rc) {
        event_release(sim, &host->resume);
        return rc;
    }
    host->index = sim->host_count;
    host->address = NETWORK | (sim->host_count + 1);
    sim->hosts[sim->host_count++] = host;
    return 0;
}

static int boot(struct sim_host *host)
{
    host->up = true;
    if (!host->boot)
        return 0;
    struct sim_process *p = sim_start(host, host->name, host->boot, host->boot_arg);
    if (!p)
        return -ENOMEM;
    sim_process_daemon(p);
    return 0;
}

struct sim_host *sim_host(struct sim *sim, const struct sim_host_options *options)
{
    check(options->name && options->name[0] && strlen(options->name) <= NAME_MAX_LEN,
        "a host needs a name of 1 to %d characters", NAME_MAX_LEN);
    struct sim_host *host = mem_zalloc(sizeof *host);
    if (!host)
        return NULL;
    host->sim = sim;
    host_describe(host, options);
    if (host_join(host) != 0) {
        mem_free(host);
        return NULL;
    }
    trace(sim, TRACE_HOST, host, host->cores, host->address, 0);
    return boot(host) == 0 ? host : NULL;
}

void host_free(struct sim_host *host)
{
    disk_release(&host->disk);
    for (uint32_t i = 0; i < host->link_count; i++)
        mem_free(host->links[i]);
    mem_free(host->links);
    event_release(host->sim, &host->resume);
    mem_free(host);
}

/* ---- Asking ---- */

const char *sim_host_name(const struct sim_host *host)
{
    return host->name;
}

bool sim_host_up(const struct sim_host *host)
{
    return host->up;
}

void sim_host_address(const struct sim_host *host, uint16_t port, struct address *out)
{
    address_of_ip(host->address, port, out);
}

struct sim_host *host_find(struct sim_host *from, uint32_t address)
{
    if (address >> 24 == 127 || address == 0)
        return from;
    uint32_t index = (address & 0xffffff) - 1;
    if ((address & 0xff000000) != NETWORK || index >= from->sim->host_count)
        return NULL;
    return from->sim->hosts[index];
}

uint64_t text_hash(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

/* ---- Crash and restart ---- */

void sim_crash(struct sim_host *host)
{
    if (!host->up)
        return;
    trace(host->sim, TRACE_CRASH, host, 0, 0, 0);
    host->up = false;
    host->boots++;
    host->paused_until = 0;
    event_stop(host->sim, &host->resume);
    while (!list_empty(&host->processes))
        process_ends(list_first(&host->processes, struct sim_process, link), SIM_CRASHED, 0);
    disk_crash(host);
}

int sim_restart(struct sim_host *host)
{
    check(!host->up, "host '%s' is restarted, but it has not crashed", host->name);
    trace(host->sim, TRACE_RESTART, host, host->boots, 0, 0);
    host->clock_base = rand_between(&host->sim->rand, BOOT_MIN_NS, BOOT_MAX_NS) - host->sim->now;
    return boot(host);
}

void sim_wall_jump(struct sim_host *host, int64_t delta_ns)
{
    host->wall_base += delta_ns;
    trace(host->sim, TRACE_WALL_JUMP, host, 0, 0, delta_ns);
}

/* ---- Threads and processes ---- */

void sim_tasks(struct sim_host *host, const struct sim_tasks *tasks)
{
    host->tasks = *tasks;
    host->tasks_asked = 0;
    trace(host->sim, TRACE_TASKS, host, tasks->fail_nth, tasks->fail_ppm, 0);
}

uint32_t sim_tasks_failed(const struct sim_host *host)
{
    return host->tasks_failed;
}

int host_take_task(struct sim_host *host)
{
    const struct sim_tasks *t = &host->tasks;
    bool fails = ++host->tasks_asked == t->fail_nth ||
                 (t->fail_ppm && rand_ppm(&host->sim->rand, t->fail_ppm));
    if (!fails)
        return 0;
    host->tasks_failed++;
    trace(host->sim, TRACE_TASK_FAILED, host, host->tasks_asked, 0, -EAGAIN);
    return -EAGAIN;
}

/* ---- Links ---- */

struct link *host_link(struct sim_host *from, struct sim_host *to)
{
    if (from == to)
        return &from->loopback;
    struct link **links = pointers_grown(from->links, &from->link_count, to->index + 1);
    if (!links)
        return NULL;
    from->links = links;
    if (!links[to->index]) {
        struct link *link = mem_zalloc(sizeof *link);
        if (!link)
            return NULL;
        link->options = &from->sim->default_link;
        links[to->index] = link;
    }
    return links[to->index];
}

int sim_link(struct sim_host *from, struct sim_host *to, const struct sim_link *options)
{
    struct link *link = host_link(from, to);
    if (!link)
        return -ENOMEM;
    if (options)
        link->own = *options;
    link->options = options ? &link->own : &from->sim->default_link;
    trace(from->sim, TRACE_LINK, from, to->index, (uint64_t)link->options->latency_ns,
        link->options->loss_ppm);
    return 0;
}

int sim_link_both(struct sim_host *a, struct sim_host *b, const struct sim_link *options)
{
    int rc = sim_link(a, b, options);
    return rc ? rc : sim_link(b, a, options);
}

int sim_cut(struct sim_host *from, struct sim_host *to)
{
    check(from != to, "host '%s' cannot be cut off from itself", from->name);
    struct link *link = host_link(from, to);
    if (!link)
        return -ENOMEM;
    link->cut = true;
    trace(from->sim, TRACE_CUT, from, to->index, 0, 0);
    return 0;
}

int sim_cut_both(struct sim_host *a, struct sim_host *b)
{
    int rc = sim_cut(a, b);
    return rc ? rc : sim_cut(b, a);
}

void sim_heal(struct sim_host *from, struct sim_host *to)
{
    if (to->index >= from->link_count || !from->links[to->index] || !from->links[to->index]->cut)
        return;
    from->links[to->index]->cut = false;
    trace(from->sim, TRACE_HEAL, from, to->index, 0, 0);
}

void sim_heal_both(struct sim_host *a, struct sim_host *b)
{
    sim_heal(a, b);
    sim_heal(b, a);
}
