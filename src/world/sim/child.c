/*
 * child.c: programs, and the processes that are spawned from them.
 *
 * A program is a name and a main function, the same on every host. Its process begins a little
 * after it was spawned. Its standard streams and its channel are socket pairs, as in the real
 * world: one end is stored for the parent, the child finds the other with sim_standard,
 * world_inherited_stream and sim_channel. Children outlive a parent that dies, as in Unix; but the
 * members of a group do not outlive its leader.
 */
#include "world/environment.h"
#include "world/sim/internal.h"

#include <signal.h>
#include <string.h>

/* fork and exec, about. */
#define SPAWN_NS (1 * NS_PER_MS)

struct program {
    struct list link; /* in sim.programs */
    const char *name;
    sim_main *main;
    void *arg;
};

int sim_program(struct sim *sim, const char *name, sim_main *main, void *arg)
{
    struct program *p = mem_alloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    p->name = name;
    p->main = main;
    p->arg = arg;
    list_push_front(&sim->programs, &p->link);
    return 0;
}

static struct program *program_find(struct sim *sim, const char *name)
{
    list_each (link, &sim->programs) {
        struct program *p = list_entry(link, struct program, link);
        if (strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}

void programs_free(struct sim *sim)
{
    struct list *link;
    while ((link = list_pop_front(&sim->programs)))
        mem_free(list_entry(link, struct program, link));
}

/* ---- What a process is given ---- */

/* Copied strings, ending with NULL, in one block with their texts. */
struct strings {
    size_t count;
    const char *list[];
};

static struct strings *strings_copy(const char *const *from)
{
    size_t count = 0;
    size_t bytes = 0;
    for (; from[count]; count++)
        bytes += strlen(from[count]) + 1;
    struct strings *s = mem_alloc(sizeof *s + (count + 1) * sizeof s->list[0] + bytes);
    if (!s)
        return NULL;
    s->count = count;
    char *text = (char *)&s->list[count + 1];
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(from[i]) + 1;
        s->list[i] = memcpy(text, from[i], size);
        text += size;
    }
    s->list[count] = NULL;
    return s;
}

void strings_free(struct strings *s)
{
    mem_free(s);
}

const char *const *sim_argv(struct world *w)
{
    const struct strings *argv = sim_self(w)->argv;
    return argv ? argv->list : NULL;
}

const char *const *sim_env(struct world *w)
{
    const struct strings *env = sim_self(w)->env;
    return env ? env->list : NULL;
}

struct stream *sim_standard(struct world *w, int which)
{
    return which >= 0 && which < 3 ? sim_self(w)->standard[which] : NULL;
}

struct stream *sim_channel(struct world *w)
{
    return sim_self(w)->channel;
}

struct shared *sim_shared(struct world *w)
{
    return sim_self(w)->shared;
}

/* ---- Spawning ---- */

struct sim_child {
    struct child child;
    struct owned owned;
    struct sim_process *process; /* NULL once it has ended */
    int pid;
    struct coro *waiter;
    struct child_exit exit;
    bool ran_out;
};

static struct sim_child *of(struct child *c)
{
    return container_of(c, struct sim_child, child);
}

int sim_op_inherited_stream(struct world *world, int which, struct stream **out)
{
    struct sim_world *w = sim_world_of(world);
    if (w->dead)
        return -ECANCELED;
    struct stream *s = w->process->standard[which];
    if (!s || s->handle.world != world)
        return -EINVAL;
    w->process->standard[which] = NULL;
    *out = s;
    return 0;
}

/* The process forgets its parent. */
static void give_up(struct owned *o)
{
    struct sim_child *c = container_of(o, struct sim_child, owned);
    if (c->process)
        c->process->child = NULL;
    c->process = NULL;
}

static int give_environment(
    const struct sim_process *parent, struct sim_process *p, const struct spawn_options *options)
{
    const char *const *env = options->env;
    if (!env && parent->env)
        env = parent->env->list;
    if (!env && !options->env_add)
        return 0;
    const char **merged = environment_merge(env, options->env_add);
    if (!merged)
        return -ENOMEM;
    p->env = strings_copy(merged);
    mem_free(merged);
    return p->env ? 0 : -ENOMEM;
}

static int give_strings(
    const struct sim_process *parent, struct sim_process *p, const struct spawn_options *options)
{
    const char **titled = arguments_titled(options->argv, options->title);
    p->argv = titled ? strings_copy(titled) : NULL;
    mem_free(titled);
    return p->argv ? give_environment(parent, p, options) : -ENOMEM;
}

/* The standard streams, and the channel. */
#define CHANNEL 3
#define ENDS    4

/* Where the parent's end is to be stored; NULL: none is wanted. */
static struct stream **place(const struct spawn_options *options, int i)
{
    return i == CHANNEL ? options->channel : options->standard[i];
}

static int give_streams(struct sim_world *parent, struct sim_process *p,
    const struct spawn_options *options, struct stream *ours[ENDS])
{
    struct sim_world *theirs = list_first(&p->worlds, struct sim_world, link);
    int rc = 0;
    for (int i = 0; i < ENDS && rc == 0; i++)
        if (place(options, i))
            rc = conn_pair(parent, theirs, &ours[i], i == CHANNEL ? &p->channel : &p->standard[i]);
    if (rc == 0 && options->shared)
        rc = shared_give(theirs, options->shared, &p->shared);
    return rc;
}

static int begin(struct sim_process *p, const struct program *program)
{
    struct sim_world *w = list_first(&p->worlds, struct sim_world, link);
    w->blocked++;
    event_at(p->sim, &w->unblock, p->sim->now + sim_draw(p->sim, SPAWN_NS));
    return sim_world_start(w, program->main, program->arg);
}

static int spawn(struct sim_world *w, const struct program *program,
    const struct spawn_options *options, struct sim_child *c)
{
    struct sim_process *p = process_open(host_of(w), program->name);
    if (!p)
        return -ENOMEM;
    p->spawned = true;
    p->leads_group = options->leads_group;
    p->group = p->leads_group ? p->pid : w->process->group;
    struct stream *ours[ENDS] = {NULL};
    int rc = give_strings(w->process, p, options);
    if (rc == 0)
        rc = sockets_give(p, options->listeners, options->listener_count);
    if (rc == 0)
        rc = give_streams(w, p, options, ours);
    if (rc == 0)
        rc = begin(p, program);
    if (rc) {
        for (int i = 0; i < ENDS; i++)
            if (ours[i])
                stream_close(ours[i]);
        process_ends(p, SIM_EXITED, rc);
        return rc;
    }
    if (w->process->daemon)
        sim_process_daemon(p);
    for (int i = 0; i < ENDS; i++)
        if (ours[i])
            *place(options, i) = ours[i];
    c->process = p;
    c->pid = p->pid;
    p->child = c;
    trace(w->sim, TRACE_START, host_of(w), (uint64_t)p->pid, (uint64_t)w->process->pid, 0);
    return 0;
}

int sim_op_spawn(struct world *world, const struct spawn_options *options, struct child **out)
{
    struct sim_world *w = sim_world_of(world);
    if (w->dead)
        return -ECANCELED;
    const struct program *program = program_find(w->sim, options->argv[0]);
    if (!program)
        return -ENOENT;
    struct sim_child *c = mem_zalloc(sizeof *c);
    if (!c)
        return -ENOMEM;
    int rc = host_take_task(host_of(w));
    if (rc == 0)
        rc = spawn(w, program, options, c);
    if (rc) {
        mem_free(c);
        return rc;
    }
    owned_init(&c->owned, &c->child.handle, w, give_up);
    *out = &c->child;
    return 0;
}

/* ---- The parent's handle ---- */

void child_ended(struct sim_child *c, const struct sim_process *p)
{
    c->process = NULL;
    c->ran_out = p->ran_out;
    if (p->end.state == SIM_EXITED)
        c->exit.status = p->end.result < 0 ? 1 : p->end.result & 0xff;
    else
        c->exit.signal = p->end.signal ? p->end.signal : SIGKILL;
    sim_world_wake(sim_world_of(c->child.handle.world), c->waiter, 0);
}

int sim_op_child_pid(const struct child *child)
{
    return ((const struct sim_child *)child)->pid;
}

int sim_op_child_wait(struct child *child, struct child_exit *out)
{
    struct sim_child *c = of(child);
    while (c->process) {
        int rc = sim_world_park(sim_world_of(child->handle.world), "child", &c->waiter);
        if (rc)
            return rc;
    }
    *out = c->exit;
    return 0;
}

int sim_op_child_signal(struct child *child, int signal)
{
    struct sim_child *c = of(child);
    if (sim_world_of(child->handle.world)->dead)
        return -ECANCELED;
    return c->process ? sim_signal(c->process, signal) : -ESRCH;
}

void sim_op_child_close(struct child *child)
{
    struct sim_child *c = of(child);
    struct sim_process *p = c->process;
    give_up(&c->owned);
    owned_closed(&c->owned);
    sim_world_wake(sim_world_of(child->handle.world), c->waiter, -EBADF);
    if (p)
        process_ends(p, SIM_KILLED, SIGKILL);
}

/* ---- Limits ---- */

static void see_to_limit(struct sim_process *p)
{
    if (p->limits.memory == 0 || p->resident <= p->limits.memory)
        return;
    p->ran_out = true;
    process_ends(p, SIM_KILLED, SIGKILL);
}

void sim_resident(struct world *world, uint64_t bytes)
{
    struct sim_world *w = sim_world_of(world);
    if (w->dead)
        return;
    w->process->resident = bytes;
    see_to_limit(w->process);
}

struct child_limits sim_limits(const struct sim_process *p)
{
    return p->limits;
}

int sim_op_child_limit(
    struct child *child, const struct child_limits *limits, enum child_memory *memory)
{
    struct sim_process *p = of(child)->process;
    if (sim_world_of(child->handle.world)->dead)
        return -ECANCELED;
    if (!p || p->end.state != SIM_RUNNING)
        return -ESRCH;
    p->limits = *limits;
    *memory = limits->memory ? CHILD_MEMORY_CGROUP : CHILD_MEMORY_FREE;
    see_to_limit(p);
    return 0;
}

int64_t sim_op_child_resident(struct child *child)
{
    const struct sim_process *p = of(child)->process;
    if (sim_world_of(child->handle.world)->dead)
        return -ECANCELED;
    return p && p->end.state == SIM_RUNNING ? (int64_t)p->resident : -ESRCH;
}

bool sim_op_child_ran_out_of_memory(const struct child *child)
{
    return ((const struct sim_child *)child)->ran_out;
}
