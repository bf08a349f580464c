/*
 * respawn.c: see respawn.h. A failed start is tried again with exponential back-off. A process that
 * died of a task is replaced at once: that says nothing about the next one.
 */
#include "exec/respawn.h"

#include "base/log.h"

#include <errno.h>

#define BACKOFF_FIRST_NS (50 * NS_PER_MS)
#define BACKOFF_MOST_NS  (5 * NS_PER_S)

void respawn_init(struct respawn *k, struct pool *p, struct pool_client *client, struct group *g,
    unsigned number, unsigned workers, void (*changed)(void *ctx), void *ctx)
{
    *k = (struct respawn){.pool = p,
        .client = client,
        .world = client->world,
        .group = g,
        .number = number,
        .workers = workers,
        .changed = changed,
        .ctx = ctx};
}

static void say_started(struct respawn *k, const struct error *refused)
{
    for (; k->workers > 0; k->workers--)
        pool_client_worker_started(k->client, refused);
}

/* With jitter of a quarter, so that processes that fail together do not retry together. */
static void back_off(struct respawn *k)
{
    uint32_t chance;
    world_random(k->world, &chance, sizeof(chance));
    k->backoff_ns =
        k->backoff_ns ? deadline_sooner(k->backoff_ns * 2, BACKOFF_MOST_NS) : BACKOFF_FIRST_NS;
    int64_t wait = k->backoff_ns * 3 / 4 + k->backoff_ns / 2 * (int64_t)(chance % 1024) / 1024;
    k->try_at = deadline_after(world_now(k->world), wait);
}

static void failed(struct respawn *k, const struct error *why, bool refused)
{
    bool first = k->workers > 0;
    back_off(k);
    pool_worker_failed(k->pool, RESTART_DIED);
    if (!refused || !first)
        log_with(pool_log(k->pool), LOG_WARN, LOG_FIELDS(LOG_TEXT("pool", k->pool->conf->name)),
            "%s; another is started in %lld ms", why->sentence,
            (long long)((k->try_at - world_now(k->world)) / NS_PER_MS));
    say_started(k, refused ? why : NULL);
}

static void open_next(struct respawn *k)
{
    int rc =
        pool_process_open(&k->next, k->pool, k->client, k->number, k->group, k->changed, k->ctx);
    if (rc == 0)
        return;
    struct error why;
    error_set(&why, rc, "pool", "pool '%s': no worker can be started: %s", k->pool->conf->name,
        error_text_task(rc));
    failed(k, &why, false);
}

static void forget(struct pool_process **p)
{
    pool_process_drop(*p);
    *p = NULL;
}

/* It died while it was idle. */
static void note_end(struct respawn *k)
{
    struct pool_process *p = k->now;
    log_with(pool_log(k->pool), LOG_WARN, POOL_FIELDS(k->pool, LOG_NUMBER("pid", p->pid)),
        "pool '%s': worker %d %s, while it had nothing to do%s", k->pool->conf->name, p->pid,
        p->out_of_memory ? "used more than its `memory`"
                         : pool_process_end_text(p->exit.status, p->exit.signal).text,
        worker_log_last(&p->log));
    if (!k->worked)
        back_off(k);
    respawn_dismiss(k, p->out_of_memory ? RESTART_OUT_OF_MEMORY : RESTART_DIED);
}

static void take_over(struct respawn *k)
{
    struct pool_process *old = k->now;
    k->now = k->next;
    k->next = NULL;
    k->replace = false;
    k->worked = false;
    pool_worker_up(k->pool, k->client);
    if (old) {
        pool_worker_down(k->pool, RESTART_MAX_TASKS);
        pool_process_retire(old, k->group);
    }
    say_started(k, NULL);
}

int64_t respawn_step(struct respawn *k)
{
    struct pool_process *next = k->next;
    if (k->now && k->now->ended)
        note_end(k);
    if (next && next->stage == PROCESS_READY && !next->ended) {
        take_over(k);
    } else if (next && next->ended) {
        if (next->stage == PROCESS_READY)
            error_set(&next->why, -ECHILD, "pool", "pool '%s': worker %d died at its start",
                k->pool->conf->name, next->pid);
        failed(k, &next->why, next->stage == PROCESS_REFUSED);
        forget(&k->next);
    }
    if (k->next || (k->now && !k->replace))
        return DEADLINE_NEVER;
    if (world_now(k->world) < k->try_at)
        return k->try_at;
    open_next(k);
    return k->next ? DEADLINE_NEVER : k->try_at;
}

void respawn_dismiss(struct respawn *k, enum pool_restart why)
{
    if (k->worked)
        k->backoff_ns = 0;
    pool_process_kill(k->now);
    forget(&k->now);
    k->replace = false;
    pool_worker_down(k->pool, why);
}

void respawn_end(struct respawn *k)
{
    if (k->next) {
        pool_process_kill(k->next);
        forget(&k->next);
    }
    if (k->now) {
        pool_process_stop(k->now);
        k->now = NULL;
        pool_worker_down(k->pool, RESTARTS);
    }
}
