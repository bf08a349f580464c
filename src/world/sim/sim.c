/*
 * sim.c: the universe: its clock, its queue of events, and the loop that turns it.
 *
 * At one instant, first the dead are buried, then whoever is ready runs, one coroutine at a time,
 * the seed choosing among the worlds and each sched among its coroutines; when nobody is ready,
 * time jumps to the next event. Where an event falls on an instant at which others are ready, the
 * seed decides too who goes first.
 */
#include "world/sim/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Far more than any sane program does in no time. */
#define STEPS_WITHOUT_TIME_MAX (5 * 1000 * 1000)
#define EVENTS_MAX             (64 * 1024 * 1024)
#define EVENTS_REPORTED        40

/* ---- Events ---- */

int event_init(struct sim *sim, struct event *e, void (*fire)(struct sim *sim, struct event *e))
{
    *e = (struct event){.fire = fire};
    int rc = heap_reserve(&sim->events, sim->event_places + 1 - sim->events.count);
    if (rc == 0)
        sim->event_places++;
    return rc;
}

void event_stop(struct sim *sim, struct event *e)
{
    if (event_armed(e))
        heap_remove(&sim->events, &e->link);
}

void event_release(struct sim *sim, struct event *e)
{
    event_stop(sim, e);
    sim->event_places--;
}

void event_at(struct sim *sim, struct event *e, int64_t when)
{
    event_stop(sim, e);
    int rc = heap_push(&sim->events, &e->link, when < sim->now ? sim->now : when);
    check(rc == 0, "an event had no place, although event_init reserved it");
}

/* ---- Open and close ---- */

static int universe_init(struct sim *sim, uint64_t seed, const struct sim_options *options)
{
    sim->seed = seed;
    rand_init(&sim->rand, seed);
    if (options)
        sim->options = *options;
    sim->default_link = sim->options.link ? *sim->options.link : SIM_LINK_DEFAULT;
    if (sim->options.give_up_ns == 0)
        sim->options.give_up_ns = 60 * NS_PER_S;
    if (sim->options.window == 0)
        sim->options.window = 256 * 1024;
    heap_init(&sim->events, EVENTS_MAX);
    list_init(&sim->dying);
    list_init(&sim->processes);
    list_init(&sim->programs);
    list_init(&sim->conns);
    names_init(sim);
    sim_resolver(sim, &(struct sim_resolver){0});
    int rc = trace_init(&sim->trace);
    return rc ? rc : sim_world_open(sim, NULL, "directors", &sim->directors);
}

static void universe_release(struct sim *sim)
{
    processes_free(sim);
    if (sim->directors)
        sim_world_free(sim->directors);
    conns_free(sim);
    for (uint32_t i = 0; i < sim->host_count; i++)
        host_free(sim->hosts[i]);
    names_free(sim);
    programs_free(sim);
    heap_release(&sim->events);
    trace_release(&sim->trace);
    mem_free(sim->hosts);
    mem_free(sim->active);
}

int sim_open(struct sim **out, uint64_t seed, const struct sim_options *options)
{
    struct sim *sim = mem_zalloc(sizeof *sim);
    if (!sim)
        return -ENOMEM;
    int rc = universe_init(sim, seed, options);
    if (rc) {
        universe_release(sim);
        mem_free(sim);
        return rc;
    }
    *out = sim;
    return 0;
}

/* The threads of a process may still tell each other things while they end. Those that were started
 * last go first, since what they use is often their starter's. */
static bool drive_all_to_end(struct sim *sim)
{
    bool any = false;
    for (struct list *link = sim->dying.prev; link != &sim->dying; link = link->prev)
        any |= sim_world_drive_to_end(list_entry(link, struct sim_world, dying));
    return any;
}

static void bury_all(struct sim *sim)
{
    while (drive_all_to_end(sim))
        ;
    struct list *link;
    while ((link = list_pop_front(&sim->dying)))
        sim_world_bury(list_entry(link, struct sim_world, dying));
}

static void on_bug(void *arg);

void sim_close(struct sim *sim)
{
    check(!coro_self(), "sim_close was called inside a coroutine");
    bug_hook(on_bug, sim);
    for (uint32_t i = 0; i < sim->host_count; i++)
        if (sim->hosts[i]->up)
            sim_crash(sim->hosts[i]);
    sim_world_cut_off(sim->directors);
    bury_all(sim);
    universe_release(sim);
    bug_hook(NULL, NULL);
    mem_free(sim);
}

/* ---- The loop ---- */

static struct sim_world *choose_active(struct sim *sim)
{
    uint32_t i = sim->active_count > 1 ? (uint32_t)rand_below(&sim->rand, sim->active_count) : 0;
    return sim->active[i];
}

/* In a tick of a loop those run who are ready at its start, in any order. Who was blocked goes on
 * in the same tick: it has heard of nothing meanwhile. */
static void take_turn(struct sim_world *w)
{
    if (w->resumes)
        return;
    if (w->tick_left == 0) {
        w->world.tick++;
        w->tick_left = sched_ready_count(w->world.sched);
    }
    w->tick_left--;
}

static void run_one(struct sim *sim)
{
    struct sim_world *w = choose_active(sim);
    sim->running = w;
    take_turn(w);
    sched_run_one(w->world.sched);
    w->resumes = 0;
    sim->running = NULL;
    if (w->dead)
        return;
    if (!sched_ready(w->world.sched) && w->blocked == 0)
        w->tick_left = 0;
    sim_world_arm(w);
    if (!sched_ready(w->world.sched) || sim_world_held(w))
        sim_world_inactive(w);
}

static void fire_next(struct sim *sim)
{
    int64_t when = heap_first_key(&sim->events);
    if (when > sim->now) {
        sim->now = when;
        sim->steps_here = 0;
    }
    struct event *e = container_of(heap_pop(&sim->events), struct event, link);
    e->fire(sim, e);
}

static bool event_goes_first(struct sim *sim)
{
    return heap_first_key(&sim->events) <= sim->now && rand_below(&sim->rand, 2) == 0;
}

/* Does the next thing. False: there is none before `until`. */
static bool tick(struct sim *sim, int64_t until)
{
    sim->steps++;
    if (++sim->steps_here > STEPS_WITHOUT_TIME_MAX) {
        sim_fail(sim, "time stands still: something runs again and again without waiting");
        return false;
    }
    if (!list_empty(&sim->dying))
        bury_all(sim);
    else if (sim->active_count > 0 && !event_goes_first(sim))
        run_one(sim);
    else if (heap_first_key(&sim->events) <= until && !heap_empty(&sim->events))
        fire_next(sim);
    else
        return false;
    return true;
}

struct described {
    struct sim *sim;
    const struct sim_world *world;
};

static void describe_line(void *ctx, const char *text)
{
    struct described *d = ctx;
    const struct sim_process *p = d->world->process;
    sim_say(d->sim, "  %s: %s: %s", p ? p->host->name : "-", d->world->name, text);
}

static void describe_world(struct sim *sim, const struct sim_world *w)
{
    if (w->open)
        sched_describe(w->world.sched, describe_line, &(struct described){sim, w});
}

static void describe_all(struct sim *sim)
{
    sim_say(sim, "who is there:");
    describe_world(sim, sim->directors);
    list_each (p, &sim->processes)
        list_each (w, &list_entry(p, struct sim_process, everyone)->worlds)
            describe_world(sim, list_entry(w, struct sim_world, link));
}

static int dead_end(struct sim *sim)
{
    sim_fail(sim, "dead end: nothing can ever happen, but %u processes or directors have not ended",
        sim->root_work);
    return -EDEADLK;
}

int sim_run(struct sim *sim, int64_t until)
{
    check(!coro_self(), "sim_run was called inside a coroutine");
    bug_hook(on_bug, sim);
    while (!sim->failed && sim->root_work > 0 && tick(sim, until))
        ;
    int rc = 0;
    if (sim->failed)
        rc = -ENOTRECOVERABLE;
    else if (sim->root_work > 0 && heap_empty(&sim->events))
        rc = dead_end(sim);
    else if (sim->root_work > 0)
        sim->now = until;
    bug_hook(NULL, NULL);
    return rc;
}

/* ---- Failure ---- */

static void say_to_standard_error(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "%s\n", line);
}

void sim_say(struct sim *sim, const char *format, ...)
{
    char line[640];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (sim->options.report)
        sim->options.report(sim->options.ctx, line);
    else
        say_to_standard_error(NULL, line);
}

static void report(struct sim *sim)
{
    sim_say(sim,
        "seed %llu, %lld.%09lld s, %llu events; the last of them:", (unsigned long long)sim->seed,
        (long long)(sim->now / NS_PER_S), (long long)(sim->now % NS_PER_S),
        (unsigned long long)sim->trace.count);
    trace_report(sim, EVENTS_REPORTED);
    describe_all(sim);
    sim_say(sim, "to run it again: SEED=%llu make sim", (unsigned long long)sim->seed);
}

static void on_bug(void *arg)
{
    report(arg);
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    if (sim->failed)
        return;
    sim->failed = true;
    va_list args;
    va_start(args, format);
    vsnprintf(sim->failure, sizeof sim->failure, format, args);
    va_end(args);
    sim_say(sim, "simulation failed: %s", sim->failure);
    report(sim);
    if (!sim->options.survive)
        abort();
}

const char *sim_failed(const struct sim *sim)
{
    return sim->failed ? sim->failure : NULL;
}

/* ---- What can be asked ---- */

int64_t sim_now(const struct sim *sim)
{
    return sim->now;
}

uint64_t sim_seed(const struct sim *sim)
{
    return sim->seed;
}

uint64_t sim_events(const struct sim *sim)
{
    return sim->trace.count;
}

/* The generator's state is part of it: two runs that drew differently are not equal, even if it has
 * not shown yet. */
uint64_t sim_hash(const struct sim *sim)
{
    uint64_t hash = sim->trace.hash ^ sim->steps;
    for (int i = 0; i < 4; i++)
        hash = (hash ^ sim->rand.state[i]) * UINT64_C(0x9fb21c651e98df25);
    return hash;
}

struct rand *sim_rand(struct sim *sim)
{
    return &sim->rand;
}

void sim_note(struct sim *sim, const char *text, int64_t value)
{
    trace_note(sim, text, value);
}

int64_t sim_draw(struct sim *sim, int64_t about_ns)
{
    return rand_between(&sim->rand, about_ns / 2, about_ns + about_ns / 2);
}

/* ---- Arrays of pointers ---- */

void *pointers_grown(void *array, uint32_t *size, uint32_t count)
{
    if (count <= *size)
        return array;
    uint32_t bigger = *size ? *size * 2 : 16;
    while (bigger < count)
        bigger *= 2;
    void **pointers = mem_realloc(array, bigger * sizeof *pointers);
    if (!pointers)
        return NULL;
    memset(pointers + *size, 0, (bigger - *size) * sizeof *pointers);
    *size = bigger;
    return pointers;
}
