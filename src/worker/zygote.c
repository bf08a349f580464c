/*
 * zygote.c: see zygote.h.
 */
#include "worker/zygote.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/time.h"
#include "worker/io_plain.h"
#include "world/plain.h"
#include "world/process_title.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define CHILDREN_MAX 4096
/* Between two looks at what memory the children have. */
#define LOOK_NS      (50 * NS_PER_MS)

struct zygote_child {
    pid_t pid;
    uint64_t id;
    bool out_of_memory;
};

struct zygote {
    struct worker_process *k;
    struct zygote_child *children;
    unsigned count, room;
    int passed;   /* a descriptor that came, of a FORK that has not been read yet; or -1 */
    int64_t base; /* bytes resident before any task: every child has them, too */
    int64_t look_at;
};

static int64_t now(const struct zygote *z)
{
    return z->k->io->work->now(z->k->io->work);
}

/* ---- Children ---- */

static void tell(struct zygote *z, const struct worker_frame *f)
{
    if (worker_process_say(z->k, f) != 0)
        z->k->lost = true;
    worker_process_flush(z->k);
}

static void tell_ended(
    struct zygote *z, const struct zygote_child *c, const struct plain_end *ended)
{
    tell(z, &(struct worker_frame){.kind = WORKER_ENDED,
                .ended = {.id = c->id,
                    .status = ended->status,
                    .signal = ended->signal,
                    .out_of_memory = c->out_of_memory}});
}

static int make_room(struct zygote *z)
{
    if (z->count < z->room)
        return 0;
    unsigned room = z->room ? z->room * 2 : 16;
    struct zygote_child *more =
        room > CHILDREN_MAX ? NULL : mem_realloc(z->children, room * sizeof *more);
    if (!more)
        return -EAGAIN;
    z->children = more;
    z->room = room;
    return 0;
}

/* What ps shows of the calling process. A fork's title is not longer than its zygote's. */
static void entitle(const struct zygote *z, const char *role)
{
    char title[PROCESS_TITLE_MAX + 1];
    char name[PROCESS_NAME_MAX + 1];
    snprintf(title, sizeof(title), "weir: pool %s %s", z->k->setup.pool, role);
    snprintf(name, sizeof(name), "weir-%s", role);
    process_title(title, name);
}

/* In the child: everything of the zygote's is here, but it is not for the child to use or end. */
_Noreturn static void be_child(struct zygote *z, int channel)
{
    struct worker_plain plain;
    uint64_t memory = z->k->setup.memory;
    int rc = plain_set_channel(channel);
    entitle(z, "fork");
    worker_plain_init(&plain, PLAIN_CHANNEL, false);
    if (rc == 0 && memory)
        rc = plain_limit_addresses(memory);
    if (rc)
        plain.io.complain(&plain.io, "its channel or its memory cannot be had");
    plain_exit(rc ? WORKER_EXIT_FAILED : (int)worker_process_once(z->k, &plain.io));
}

static void fork_child(struct zygote *z, uint64_t id)
{
    int channel = z->passed;
    check(channel >= 0, "a FORK is handled without its descriptor");
    z->passed = -1;
    pid_t pid = make_room(z);
    if (pid == 0)
        pid = plain_fork();
    if (pid == 0)
        be_child(z, channel);
    plain_close(channel);
    struct zygote_child c = {.pid = pid, .id = id};
    if (pid < 0) {
        tell_ended(z, &c, &(struct plain_end){.status = -pid});
        return;
    }
    if (z->count == 0)
        z->look_at = now(z) + LOOK_NS;
    check(z->count < z->room, "%u children in room for %u", z->count, z->room);
    z->children[z->count++] = c;
    tell(z, &(struct worker_frame){.kind = WORKER_FORKED, .fork = {.id = id, .pid = pid}});
}

static void kill_child(struct zygote *z, uint64_t id)
{
    for (unsigned i = 0; i < z->count; i++)
        if (z->children[i].id == id)
            plain_kill(z->children[i].pid, SIGKILL);
}

static void forget(struct zygote *z, const struct plain_end *ended, bool say)
{
    for (unsigned i = 0; i < z->count; i++) {
        if (z->children[i].pid != ended->pid)
            continue;
        if (say)
            tell_ended(z, &z->children[i], ended);
        z->children[i] = z->children[--z->count];
        return;
    }
}

/* Kills those that have more than they may, beside what they were born with. */
static void look_at_memory(struct zygote *z)
{
    if (now(z) < z->look_at)
        return;
    for (unsigned i = 0; i < z->count; i++) {
        struct zygote_child *c = &z->children[i];
        int64_t resident = plain_resident(c->pid);
        if (resident <= z->base || (uint64_t)(resident - z->base) <= z->k->setup.memory)
            continue;
        c->out_of_memory = true;
        plain_kill(c->pid, SIGKILL);
    }
    z->look_at = now(z) + LOOK_NS;
}

/* ---- Commands ---- */

/* Returns true if the zygote goes on; otherwise `exit` is set. */
static bool handle_command(struct zygote *z, const struct worker_frame *f, enum worker_exit *exit)
{
    switch (f->kind) {
    case WORKER_FORK:
        if (z->passed < 0)
            break;
        fork_child(z, f->fork.id);
        return true;
    case WORKER_KILL:
        kill_child(z, f->fork.id);
        return true;
    case WORKER_STOP:
        *exit = WORKER_EXIT_DONE;
        return false;
    default:
        break;
    }
    *exit = worker_process_garbage(z->k, "what came is not for a worker that forks");
    return false;
}

static bool read_more(struct zygote *z, enum worker_exit *exit)
{
    struct iovec room = worker_process_room(z->k);
    int passed = -1;
    *exit = WORKER_EXIT_FAILED;
    if (!room.iov_base)
        return false;
    ssize_t got = plain_read_passed(PLAIN_CHANNEL, room.iov_base, room.iov_len, &passed);
    *exit = WORKER_EXIT_DONE;
    if (got <= 0)
        return false;
    worker_process_got(z->k, (size_t)got);
    if (passed >= 0 && z->passed >= 0) {
        plain_close(passed);
        *exit = worker_process_garbage(z->k, "a descriptor came without a FORK");
        return false;
    }
    if (passed >= 0)
        z->passed = passed;
    return true;
}

/* The kernel ends a read at the bytes that a descriptor came with: so one read has one at most, and
 * the FORK that it is for ends there, too, or is not all there yet. */
static bool read_commands(struct zygote *z, enum worker_exit *exit)
{
    struct worker_frame f;
    int rc;
    if (!read_more(z, exit))
        return false;
    while ((rc = worker_process_next(z->k, &f, exit)) > 0)
        if (!handle_command(z, &f, exit))
            return false;
    return rc == 0;
}

static enum worker_exit serve(struct zygote *z)
{
    enum worker_exit exit;
    for (;;) {
        struct plain_end ended;
        bool watches = z->count > 0 && z->k->setup.memory > 0;
        int rc = plain_wait(PLAIN_CHANNEL, watches ? z->look_at : INT64_MAX, &ended);
        if (rc < 0)
            return WORKER_EXIT_FAILED;
        if (ended.pid)
            forget(z, &ended, true);
        if (watches)
            look_at_memory(z);
        if (rc == 1 && !read_commands(z, &exit))
            return exit;
        if (z->k->lost || z->k->gone)
            return z->k->lost ? WORKER_EXIT_FAILED : WORKER_EXIT_DONE;
    }
}

static void end_children(struct zygote *z)
{
    for (unsigned i = 0; i < z->count; i++)
        plain_kill(z->children[i].pid, SIGKILL);
    while (z->count > 0) {
        struct plain_end ended;
        if (plain_wait(-1, INT64_MAX, &ended) < 0)
            return;
        forget(z, &ended, false);
    }
}

enum worker_exit zygote_serve(struct worker_process *k)
{
    struct zygote z = {.k = k, .passed = -1};
    enum worker_exit exit;
    entitle(&z, "zygote");
    if (worker_process_ready(k, &exit) != 0)
        return exit;
    plain_join_pages();
    int64_t resident = plain_resident((pid_t)k->io->pid);
    z.base = resident > 0 ? resident : 0;
    exit = serve(&z);
    end_children(&z);
    if (z.passed >= 0)
        plain_close(z.passed);
    mem_free(z.children);
    return exit;
}
