/*
 * start.c: see start.h. The result comes as a message: a future cannot be set from another thread.
 */
#include "exec/start.h"

#include <errno.h>

static void log_step_line(void *ctx, enum log_level level, const char *line)
{
    struct pool *p = ctx;
    log_at(p->pools->log, level, "pool '%s', %s", p->conf->name, line);
}

struct step_place pool_place(struct pool *p, struct work *work)
{
    return (struct step_place){
        .work = work, .threads = p->step_threads, .log = log_step_line, .log_ctx = p};
}

static void told(struct message *m)
{
    struct worker_start *s = container_of(m, struct worker_start, message);
    future_set(&s->told, s->rc);
}

void worker_start_init(struct worker_start *s, struct pool *p, struct pool_client *client)
{
    *s = (struct worker_start){
        .pool = p, .world = client->world, .message = {.deliver = told}, .rc = -ECANCELED};
    future_init(&s->told);
}

int worker_start_make(struct worker_start *s, struct companion *self)
{
    s->place = pool_place(s->pool, companion_work(self));
    s->rc = step_worker_new(&s->worker, s->pool->steps, &s->place, &s->error);
    return s->rc;
}

void worker_start_tell(struct worker_start *s)
{
    world_post(s->world, &s->message);
}

int worker_start_wait(struct worker_start *s, int64_t until, struct error *refused)
{
    const struct conf_pool *conf = s->pool->conf;
    bool late = until <= coro_deadline();
    CORO_DEADLINE(until);
    int rc = future_wait(&s->told);
    if (rc == 0 || rc == -ECANCELED)
        return rc;
    if (!s->told.done && late)
        return error_set(refused, -EINVAL, "pool",
            "pool '%s': the init of a step (the first is '%s') did not end within %g s; what it "
            "waits for is to be mended, or the pool's `start` to be longer",
            conf->name, s->pool->specs[0].name, (double)conf->start / (double)NS_PER_S);
    if (!s->told.done)
        return rc;
    *refused = s->error;
    error_prefix(refused, "pool '%s'", conf->name);
    return refused->code = -EINVAL;
}
