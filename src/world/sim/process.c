/*
 * process.c: processes: their start, their threads, the signals that reach them, their end.
 */
#include "world/sim/internal.h"

#include <signal.h>
#include <stdio.h>

/* ---- Beginning ---- */

static void process_free(struct sim_process *p)
{
    struct list *link;
    while ((link = list_pop_front(&p->worlds)))
        sim_world_free(list_entry(link, struct sim_world, link));
    mappings_free(p);
    strings_free(p->argv);
    strings_free(p->env);
    list_del(&p->link);
    list_del(&p->everyone);
    mem_free(p);
}

void process_release(struct sim_process *p)
{
    if (--p->refs == 0)
        process_free(p);
}

void processes_free(struct sim *sim)
{
    while (!list_empty(&sim->processes))
        process_free(list_first(&sim->processes, struct sim_process, everyone));
}

static int process_add_world(struct sim_process *p, const char *name, struct sim_world **out)
{
    int rc = sim_world_open(p->sim, p, name, out);
    if (rc)
        return rc;
    list_push_back(&p->worlds, &(*out)->link);
    p->worlds_open++;
    return 0;
}

struct sim_process *process_open(struct sim_host *host, const char *name)
{
    struct sim_process *p = mem_zalloc(sizeof *p);
    if (!p)
        return NULL;
    p->sim = host->sim;
    p->host = host;
    p->pid = ++host->next_pid;
    p->refs = 1;
    snprintf(p->name, sizeof p->name, "%s", name);
    list_init(&p->worlds);
    list_init(&p->signals);
    list_init(&p->mappings);
    future_init(&p->ended);
    list_push_back(&host->sim->processes, &p->everyone);
    list_push_back(&host->processes, &p->link);
    struct sim_world *w;
    if (process_add_world(p, name, &w) != 0) {
        process_free(p);
        return NULL;
    }
    p->sim->root_work++;
    return p;
}

struct sim_process *sim_start(struct sim_host *host, const char *name, sim_main *main, void *arg)
{
    if (!host->up)
        return NULL;
    struct sim_process *p = process_open(host, name);
    if (!p)
        return NULL;
    trace(p->sim, TRACE_START, host, (uint64_t)p->pid, 0, 0);
    struct sim_world *w = list_first(&p->worlds, struct sim_world, link);
    if (sim_world_start(w, main, arg) != 0) {
        process_ends(p, SIM_EXITED, -ENOMEM);
        return NULL;
    }
    p->refs++; /* the universe's: the caller may ask of it until sim_close */
    return p;
}

int sim_thread(
    struct sim_process *p, const char *name, sim_main *main, void *arg, struct world **out)
{
    if (p->end.state != SIM_RUNNING)
        return -ESRCH;
    struct sim_world *w;
    int rc = process_add_world(p, name, &w);
    if (rc)
        return rc;
    trace(p->sim, TRACE_THREAD, p->host, (uint64_t)p->pid, 0, 0);
    rc = sim_world_start(w, main, arg);
    if (rc)
        sim_world_cut_off(w);
    else
        *out = &w->world;
    return rc;
}

void sim_process_daemon(struct sim_process *p)
{
    if (p->daemon)
        return;
    p->daemon = true;
    if (!p->settled)
        p->sim->root_work--;
}

/* ---- End ---- */

/* Each end takes one out of the list, and perhaps more: a member may lead a group of its own. */
static void end_group(struct sim_host *host, int group)
{
    bool found;
    do {
        found = false;
        list_each (link, &host->processes) {
            struct sim_process *p = list_entry(link, struct sim_process, link);
            if (p->group != group)
                continue;
            process_ends(p, SIM_KILLED, SIGKILL);
            found = true;
            break;
        }
    } while (found);
}

void process_ends(struct sim_process *p, enum sim_state state, int result_or_signal)
{
    if (p->end.state != SIM_RUNNING)
        return;
    p->end.state = state;
    if (state == SIM_EXITED)
        p->end.result = result_or_signal;
    else
        p->end.signal = result_or_signal;
    trace(p->sim, TRACE_END, p->host, (uint64_t)p->pid, state, result_or_signal);
    list_del(&p->link);
    sockets_drop(p);
    list_each (link, &p->worlds)
        sim_world_cut_off(list_entry(link, struct sim_world, link));
    if (p->leads_group)
        end_group(p->host, p->pid);
}

static void settle(struct sim_process *p)
{
    p->settled = true;
    mappings_free(p);
    if (!p->daemon)
        p->sim->root_work--;
    if (p->child)
        child_ended(p->child, p);
    future_set(&p->ended, 0);
    sim_world_active(p->sim->directors);
    if (p->on_end)
        p->on_end(p->on_end_ctx, p);
    process_release(p);
}

void process_world_buried(struct sim_process *p)
{
    if (--p->worlds_open == 0 && p->end.state != SIM_RUNNING)
        settle(p);
}

/* ---- Signals ---- */

static void stop(struct sim_process *p)
{
    p->stopped = true;
    list_each (link, &p->worlds)
        sim_world_inactive(list_entry(link, struct sim_world, link));
}

static void go_on(struct sim_process *p)
{
    if (!p->stopped)
        return;
    p->stopped = false;
    list_each (link, &p->worlds) {
        struct sim_world *w = list_entry(link, struct sim_world, link);
        if (w->open)
            sim_world_released(w);
    }
}

static void default_action(struct sim_process *p, int signal)
{
    switch (signal) {
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH:
    case SIGCONT:
    case SIGPIPE: /* a world ignores it: writes say -EPIPE */
        break;
    default:
        process_ends(p, SIM_KILLED, signal);
    }
}

int sim_signal(struct sim_process *p, int signal)
{
    if (p->end.state != SIM_RUNNING)
        return -ESRCH;
    if (signal < 0 || signal > SIGNAL_MAX)
        return -EINVAL;
    if (signal == 0)
        return 0;
    trace(p->sim, TRACE_SIGNAL, p->host, (uint64_t)p->pid, (uint64_t)signal, 0);
    if (signal == SIGCONT)
        go_on(p);
    if (signal == SIGKILL)
        process_ends(p, SIM_KILLED, signal);
    else if (signal == SIGSTOP)
        stop(p);
    else if (!signals_take(p, signal))
        default_action(p, signal);
    return 0;
}

/* ---- What can be asked ---- */

struct sim_end sim_process_end(const struct sim_process *p)
{
    return p->end;
}

void sim_process_on_end(
    struct sim_process *p, void (*ended)(void *ctx, struct sim_process *p), void *ctx)
{
    p->on_end = ended;
    p->on_end_ctx = ctx;
}

struct sim_host *sim_process_host(const struct sim_process *p)
{
    return p->host;
}

int sim_process_pid(const struct sim_process *p)
{
    return p->pid;
}

struct world *sim_process_world(const struct sim_process *p)
{
    return &list_first(&p->worlds, struct sim_world, link)->world;
}

unsigned sim_process_unclosed(const struct sim_process *p)
{
    return p->unclosed;
}

struct sim *sim_of(struct world *w)
{
    return sim_world_of(w)->sim;
}

struct sim_process *sim_self(struct world *w)
{
    return sim_world_of(w)->process;
}
