/*
 * zygote.c: see zygote.h. One coroutine alone reads from the zygote; workers write under a lock.
 */
#include "exec/fork/zygote.h"

#include "base/log.h"

#include <errno.h>

/* ---- Its reports ---- */

static struct fork *find(struct zygote *z, uint64_t id)
{
    list_each (link, &z->forks) {
        struct fork *f = list_entry(link, struct fork, link);
        if (f->id == id && f->zygote == z->respawn.now)
            return f;
    }
    return NULL;
}

static void notice(struct fork *f)
{
    loop_worker_notice(&container_of(f, struct fork_worker, fork)->base);
}

/* 0, or -EBADMSG. Most reported ends are of forks whose task is done and released. */
static int handle_frame(struct zygote *z, const struct worker_frame *frame)
{
    if (frame->kind != WORKER_FORKED && frame->kind != WORKER_ENDED)
        return -EBADMSG;
    bool forked = frame->kind == WORKER_FORKED;
    struct fork *f = find(z, forked ? frame->fork.id : frame->ended.id);
    if (f && forked)
        f->forked = true;
    if (!f || forked)
        return 0;
    f->ended = true;
    f->status = frame->ended.status;
    f->signal = frame->ended.signal;
    f->out_of_memory = frame->ended.out_of_memory;
    notice(f);
    return 0;
}

/* ---- Its life ---- */

static void changed(void *ctx)
{
    struct zygote *z = ctx;
    struct coro *c = z->parked;
    z->parked = NULL;
    if (c)
        coro_wake(c, 0);
}

static int rest(struct zygote *z, int64_t until)
{
    CORO_DEADLINE(until);
    z->parked = coro_self();
    int rc = coro_park("zygote");
    z->parked = NULL;
    return rc == -ETIMEDOUT ? 0 : rc;
}

static void lost(struct zygote *z, int rc, const char *sentence)
{
    struct respawn *k = &z->respawn;
    struct pool_process *p = k->now;
    bool ended =
        rc != -EBADMSG && pool_process_wait(p, deadline_after(world_now(z->world), PROCESS_END_NS));
    log_with(pool_log(z->pool), LOG_WARN, POOL_FIELDS(z->pool, LOG_NUMBER("pid", p->pid)),
        "pool '%s': the process %d that forks its workers %s%s", z->pool->conf->name, p->pid,
        ended            ? pool_process_end_text(p->exit.status, p->exit.signal).text
        : rc == -EBADMSG ? sentence
                         : "closed its channel",
        worker_log_last(&p->log));
    k->worked = !list_empty(&z->forks);
    respawn_dismiss(k, ended ? RESTART_DIED : RESTART_MISBEHAVED);
    list_each (link, &z->forks)
        notice(list_entry(link, struct fork, link));
}

static int run_once(struct zygote *z)
{
    struct respawn *k = &z->respawn;
    const struct pool_process *before = k->now;
    int64_t until = respawn_step(k);
    if (k->now && k->now != before) {
        z->broken = NULL;
        for (unsigned i = 0; i < z->size; i++)
            loop_worker_notice(&z->workers[i].base);
    }
    if (!k->now)
        return rest(z, until);
    struct worker_frame f;
    struct error e = {.sentence = "wrote a frame that is not for its server"};
    int rc = frames_next(&k->now->frames, DEADLINE_NEVER, &f, &e);
    if (rc == 0)
        rc = handle_frame(z, &f);
    if (rc == 0 || rc == -ECANCELED)
        return rc;
    lost(z, rc, e.sentence);
    return 0;
}

int zygote_run(void *arg)
{
    struct zygote *z = arg;
    GROUP(processes, GROUP_INDEPENDENT);
    respawn_init(&z->respawn, z->pool, z->client, &processes, 0, z->size, changed, z);
    int rc = 0;
    while (rc == 0)
        rc = run_once(z);
    respawn_end(&z->respawn);
    return 0;
}

/* ---- Orders ---- */

/* Takes the lock, within the time that a write may take: 0 or a negative errno. */
static int begin_order(struct zygote *z)
{
    CORO_DEADLINE(deadline_after(world_now(z->world), FRAMES_WRITE_NS));
    return mutex_lock(&z->writing);
}

static int encode(struct bytes *out, const struct fork *f, enum worker_kind kind)
{
    struct worker_frame frame = {.kind = kind, .fork = {.id = f->id}};
    bytes_init(out, 256);
    return worker_encode(out, &frame);
}

int zygote_fork(struct zygote *z, const struct fork *f, struct stream *passed)
{
    struct bytes out;
    int rc = encode(&out, f, WORKER_FORK);
    if (rc == 0)
        rc = begin_order(z);
    if (rc) {
        stream_close(passed);
    } else {
        CORO_DEADLINE(deadline_after(world_now(z->world), FRAMES_WRITE_NS));
        rc = stream_write_passing(f->zygote->channel, out.ptr, out.len, passed);
        mutex_unlock(&z->writing);
    }
    bytes_release(&out);
    if (rc && rc != -ECANCELED) {
        z->broken = f->zygote;
        pool_process_kill(f->zygote); /* half an order may have been written */
    }
    return rc;
}

void zygote_kill(struct zygote *z, const struct fork *f)
{
    struct bytes out;
    CORO_SHIELD(deadline_after(world_now(z->world), FRAMES_WRITE_NS));
    if (f->ended || f->zygote->ended)
        return;
    int rc = encode(&out, f, WORKER_KILL);
    if (rc == 0)
        rc = begin_order(z);
    if (rc == 0) {
        rc = frames_write(&f->zygote->frames, &out);
        mutex_unlock(&z->writing);
    }
    bytes_release(&out);
    if (rc)
        pool_process_kill(f->zygote);
}
