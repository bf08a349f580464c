/*
 * world.c: one world of the universe: a sched, its alarm, its mailbox, and how it dies.
 */
#include "world/sim/internal.h"

#include <stdio.h>
#include <string.h>

/* 2026-01-01T00:00:00Z: when universe time is 0, by a clock that is right. */
#define EPOCH_NS (INT64_C(1767225600) * NS_PER_S)

/* How many coroutines and messages a dying world may still go through. */
#define BURIAL_STEPS_MAX (2 * 1000 * 1000)

/* ---- Its clock, chance and log ---- */

static int64_t op_now(struct world *world)
{
    struct sim_world *w = sim_world_of(world);
    return w->sim->now + w->clock_base;
}

static int64_t op_wall(struct world *world)
{
    struct sim_world *w = sim_world_of(world);
    return EPOCH_NS + w->sim->now + (w->process ? host_of(w)->wall_base : 0);
}

static unsigned op_cores(struct world *world)
{
    const struct sim_world *w = sim_world_of(world);
    return w->process ? host_of(w)->cores : 1;
}

static void op_random(struct world *world, void *buffer, size_t size)
{
    rand_fill(&sim_world_of(world)->sim->rand, buffer, size);
}

static int64_t sched_now(void *ctx)
{
    const struct sim_world *w = ctx;
    return w->sim->now + w->clock_base;
}

static size_t sched_pick(void *ctx, size_t count)
{
    struct sim_world *w = ctx;
    if (w->resumes > 0 && w->resumes <= count)
        return w->resumes - 1;
    return (size_t)rand_below(&w->sim->rand, count);
}

static int64_t log_wall(void *ctx)
{
    struct sim_world *w = ctx;
    return op_wall(&w->world);
}

static void log_sink(void *ctx, const char *line, size_t len)
{
    struct sim_world *w = ctx;
    while (len > 0 && line[len - 1] == '\n')
        len--;
    trace_log_line(w->sim, w->process ? host_of(w) : NULL, w->name, line, (int)len);
}

/* ---- When it runs ---- */

bool sim_world_held(const struct sim_world *w)
{
    const struct sim_process *p = w->process;
    return w->blocked > 0 || (p && (p->stopped || p->host->paused_until > 0));
}

void sim_world_active(struct sim_world *w)
{
    if (w->place > 0 || w->dead || sim_world_held(w) || !sched_ready(w->world.sched))
        return;
    w->sim->active[w->sim->active_count++] = w;
    w->place = w->sim->active_count;
}

void sim_world_inactive(struct sim_world *w)
{
    if (w->place == 0)
        return;
    struct sim *sim = w->sim;
    struct sim_world *last = sim->active[--sim->active_count];
    sim->active[w->place - 1] = last;
    last->place = w->place;
    w->place = 0;
}

/* An alarm that is too early is left where it is: it finds nothing to do and moves itself on. */
void sim_world_arm(struct sim_world *w)
{
    int64_t next = sched_next_deadline(w->world.sched);
    if (next == DEADLINE_NEVER)
        return;
    int64_t when = next - w->clock_base;
    if (event_armed(&w->alarm) && w->alarm_at <= when)
        return;
    w->alarm_at = when;
    event_at(w->sim, &w->alarm, when);
}

static void expire(struct sim_world *w)
{
    sched_expire(w->world.sched, sched_now(w));
    sim_world_active(w);
    sim_world_arm(w);
}

static void on_alarm(struct sim *sim, struct event *e)
{
    (void)sim;
    struct sim_world *w = container_of(e, struct sim_world, alarm);
    if (!sim_world_held(w))
        expire(w);
}

void sim_world_released(struct sim_world *w)
{
    if (w->dead || sim_world_held(w))
        return;
    if (w->mail_first && !event_armed(&w->mail))
        event_at(w->sim, &w->mail, w->sim->now);
    expire(w);
}

int sim_world_park(struct sim_world *w, const char *why, struct coro **waiter)
{
    *waiter = coro_self();
    int rc = coro_park(why);
    *waiter = NULL;
    return w->dead ? -ECANCELED : rc;
}

int sim_world_pause(struct sim_world *w, const char *why, int64_t ns)
{
    int rc = coro_sleep(why, sched_now(w) + ns);
    return w->dead ? -ECANCELED : rc;
}

/* ---- Its mailbox ---- */

/* A message takes a little while, so that the sender does not always go on first. */
#define MAIL_NS_MAX (20 * NS_PER_US)

void sim_op_post(struct world *world, struct message *m)
{
    struct sim_world *w = sim_world_of(world);
    const struct sim_world *from = w->sim->running;
    check(w->open || w->has_handle, "world_post to '%s', a world that has ended", w->name);
    check(!from || !from->process || from->process == w->process,
        "world_post from process '%s' to process '%s': processes share no memory; what shares it "
        "is "
        "a sim_thread of the same process",
        from->process->name, w->process->name);
    m->next = NULL;
    bool empty = !w->mail_first;
    *w->mail_last = m;
    w->mail_last = &m->next;
    trace(w->sim, TRACE_POST, host_of(w), (uint64_t)w->process->pid, 0, 0);
    if (empty && !w->dead)
        event_at(w->sim, &w->mail, w->sim->now + rand_between(&w->sim->rand, 0, MAIL_NS_MAX));
}

void sim_world_unpost(struct sim_world *w, const struct message *m)
{
    struct message **at = &w->mail_first;
    while (*at && *at != m)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = m->next;
    if (!*at)
        w->mail_last = at;
}

static void deliver(struct sim_world *w)
{
    struct message *m = w->mail_first;
    w->mail_first = NULL;
    w->mail_last = &w->mail_first;
    while (m) {
        struct message *next = m->next;
        m->deliver(m);
        m = next;
    }
}

void sim_world_deliver_rest(struct sim_world *w)
{
    struct sim_world *running = w->sim->running;
    w->sim->running = w;
    while (w->mail_first)
        deliver(w);
    w->sim->running = running;
}

static void on_mail(struct sim *sim, struct event *e)
{
    struct sim_world *w = container_of(e, struct sim_world, mail);
    if (sim_world_held(w) || w->dead)
        return;
    trace(sim, TRACE_DELIVER, host_of(w), (uint64_t)w->process->pid, 0, 0);
    sim->running = w;
    deliver(w);
    sim->running = NULL;
    sim_world_active(w);
}

/* ---- Its beginning ---- */

/* Here computing takes simulated time, which is a wait. */
static void op_call_deep(struct world *w, void (*fn)(void *arg), void *arg)
{
    fn(arg);
}

const struct world_ops sim_world_ops = {
    .now = op_now,
    .wall = op_wall,
    .random = op_random,
    .cores = op_cores,
    .call_deep = op_call_deep,
    .listen = sim_op_listen,
    .accept = sim_op_accept,
    .try_accept = sim_op_try_accept,
    .share_listener = sim_op_share_listener,
    .inherited_listener = sim_op_inherited_listener,
    .listener_address = sim_op_listener_address,
    .listener_close = sim_op_listener_close,
    .connect = sim_op_connect,
    .read = sim_op_read,
    .write_some = sim_op_write_some,
    .shutdown = sim_op_shutdown,
    .peer = sim_op_peer,
    .cancel_on_end = sim_op_cancel_on_end,
    .quiet = sim_op_quiet,
    .stream_close = sim_op_stream_close,
    .stream_pair = sim_op_stream_pair,
    .write_passing = sim_op_write_passing,
    .resolve = sim_op_resolve,
    .spawn = sim_op_spawn,
    .child_pid = sim_op_child_pid,
    .child_wait = sim_op_child_wait,
    .child_signal = sim_op_child_signal,
    .child_close = sim_op_child_close,
    .child_limit = sim_op_child_limit,
    .child_resident = sim_op_child_resident,
    .child_ran_out_of_memory = sim_op_child_ran_out_of_memory,
    .shared = sim_op_shared,
    .shared_base = sim_op_shared_base,
    .shared_grow = sim_op_shared_grow,
    .shared_size = sim_op_shared_size,
    .shared_trim = sim_op_shared_trim,
    .shared_close = sim_op_shared_close,
    .inherited_stream = sim_op_inherited_stream,
    .signals = sim_op_signals,
    .signals_next = sim_op_signals_next,
    .signals_close = sim_op_signals_close,
    .open = sim_op_open,
    .file_read = sim_op_file_read,
    .file_write = sim_op_file_write,
    .file_sync = sim_op_file_sync,
    .file_size = sim_op_file_size,
    .file_truncate = sim_op_file_truncate,
    .file_close = sim_op_file_close,
    .rename = sim_op_rename,
    .unlink = sim_op_unlink,
    .sync_directory = sim_op_sync_directory,
    .thread = sim_op_thread,
    .thread_wait = sim_op_thread_wait,
    .thread_close = sim_op_thread_close,
    .companion = sim_op_companion,
    .companion_wait = sim_op_companion_wait,
    .companion_close = sim_op_companion_close,
    .companion_park = sim_op_companion_park,
    .companion_wake = sim_op_companion_wake,
    .post = sim_op_post,
    .watch = sim_op_watch,
    .watch_wait = sim_op_watch_wait,
    .watch_close = sim_op_watch_close,
};

static int events_init(struct sim_world *w)
{
    int rc = event_init(w->sim, &w->alarm, on_alarm);
    if (rc)
        return rc;
    rc = event_init(w->sim, &w->mail, on_mail);
    if (rc == 0) {
        rc = event_init(w->sim, &w->unblock, cpu_unblock);
        if (rc == 0)
            return 0;
        event_release(w->sim, &w->mail);
    }
    event_release(w->sim, &w->alarm);
    return rc;
}

static void events_release(struct sim_world *w)
{
    event_release(w->sim, &w->alarm);
    event_release(w->sim, &w->mail);
    event_release(w->sim, &w->unblock);
}

static int sched_for(struct sim_world *w)
{
    struct sim *sim = w->sim;
    struct sim_world **active = pointers_grown(sim->active, &sim->active_size, sim->worlds + 1);
    if (!active)
        return -ENOMEM;
    sim->active = active;
    int rc = events_init(w);
    if (rc)
        return rc;
    rc = sched_open(&w->world.sched, &(struct sched_options){
                                         .stack_size = sim->options.stack_size,
                                         .pick = sched_pick,
                                         .pick_ctx = w,
                                         .now = sched_now,
                                         .now_ctx = w,
                                     });
    if (rc) {
        events_release(w);
        return rc;
    }
    sim->worlds++;
    w->open = true;
    return 0;
}

int sim_world_open(struct sim *sim, struct sim_process *p, const char *name, struct sim_world **out)
{
    struct sim_world *w = mem_zalloc(sizeof *w);
    if (!w)
        return -ENOMEM;
    w->sim = sim;
    w->process = p;
    snprintf(w->name, sizeof w->name, "%s", name);
    w->clock_base = p ? p->host->clock_base : 0;
    w->mail_last = &w->mail_first;
    sim_work_init(&w->work, w);
    list_init(&w->link);
    list_init(&w->dying);
    list_init(&w->handles);
    list_init(&w->fds);
    int rc = sched_for(w);
    if (rc) {
        mem_free(w);
        return rc;
    }
    w->log = (struct log){
        .level = sim->options.log_level, .sink = log_sink, .wall_ns = log_wall, .ctx = w};
    w->world.ops = &sim_world_ops;
    w->world.log = sim->options.text ? &w->log : NULL;
    *out = w;
    return 0;
}

/* The last of the root's defers: main has returned, and all that it deferred itself has been
 * done. */
static void main_returned(void *arg)
{
    struct sim_world *w = arg;
    if (w->dead)
        return;
    if (list_first(&w->process->worlds, struct sim_world, link) == w)
        process_ends(w->process, SIM_EXITED, w->result);
    else
        sim_world_cut_off(w);
}

/* Who dies before it has begun never begins. */
static int root(void *arg)
{
    struct sim_world *w = arg;
    if (w->dead)
        return -ECANCELED;
    int rc = coro_defer(main_returned, w);
    if (rc == 0)
        w->result = w->main(&w->world, w->arg);
    return rc;
}

int sim_world_start(struct sim_world *w, sim_main *main, void *arg)
{
    w->main = main;
    w->arg = arg;
    int rc = sched_spawn(w->world.sched, w->name, root, w);
    sim_world_active(w);
    return rc;
}

/* ---- Its end ---- */

void sim_world_cut_off(struct sim_world *w)
{
    if (w->dead || !w->open)
        return;
    w->dead = true;
    sim_world_inactive(w);
    event_stop(w->sim, &w->alarm);
    event_stop(w->sim, &w->mail);
    event_stop(w->sim, &w->unblock);
    list_each (link, &w->handles) {
        struct owned *o = list_entry(link, struct owned, link);
        o->give_up(o);
    }
    sched_cancel_all(w->world.sched);
    list_push_back(&w->sim->dying, &w->dying);
}

static void obstinate(struct sim_world *w)
{
    bug("process '%s' on host '%s' does not come to its end, although all its coroutines are "
        "cancelled "
        "and each of their waits says so",
        w->name, w->process ? host_of(w)->name : "-");
}

/* One that is started meanwhile is cancelled before it runs. */
bool sim_world_drive_to_end(struct sim_world *w)
{
    struct sched *s = w->world.sched;
    if (sched_count(s) == 0 && !w->mail_first)
        return false;
    uint32_t steps = 0;
    w->sim->running = w;
    do {
        deliver(w);
        sched_cancel_all(s);
        while (sched_run_one(s))
            if (++steps > BURIAL_STEPS_MAX)
                obstinate(w);
        if (++steps > BURIAL_STEPS_MAX)
            obstinate(w);
    } while (sched_count(s) > 0 || w->mail_first);
    w->sim->running = NULL;
    return true;
}

/* What dead code has not closed. */
static unsigned reclaim(struct sim_world *w)
{
    unsigned count = 0;
    struct list *link;
    while ((link = list_pop_front(&w->handles))) {
        struct owned *o = list_entry(link, struct owned, link);
        o->handle->closed = true;
        handle_release(o->handle);
        count++;
    }
    return count;
}

/* Gives back all but the struct itself, by which a later world_post is recognized. */
static void sim_world_shut(struct sim_world *w)
{
    fds_free(w);
    sched_close(w->world.sched);
    events_release(w);
    w->open = false;
    w->sim->worlds--;
}

void sim_world_bury(struct sim_world *w)
{
    unsigned unclosed = reclaim(w);
    sim_world_shut(w);
    if (w->thread)
        thread_has_ended(w->thread, w->result);
    if (w->process) {
        w->process->unclosed += unclosed;
        process_world_buried(w->process);
    }
}

void sim_world_free(struct sim_world *w)
{
    if (w->open)
        sim_world_shut(w);
    mem_free(w);
}
