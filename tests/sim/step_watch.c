/*
 * step_watch.c: see step_watch.h.
 */
#include "step_watch.h"

#include "pool/internal.h"
#include "step/builtin/builtin.h"
#include "step/internal.h"

static step_watch_fn *tell_begins;
static step_watch_fn *tell_ends;

static void tell(step_watch_fn *fn, struct weir_task *const *tasks, size_t count)
{
    for (size_t i = 0; fn && i < count; i++)
        fn(tasks[i], count);
}

static int run_echo(struct weir_task *t)
{
    tell(tell_begins, &t, 1);
    int rc = step_echo.run(t);
    tell(tell_ends, &t, 1);
    return rc;
}

static int run_burn(struct weir_task *t)
{
    tell(tell_begins, &t, 1);
    int rc = step_burn.run(t);
    tell(tell_ends, &t, 1);
    return rc;
}

static int run_burns(struct weir_task *const *tasks, size_t count)
{
    tell(tell_begins, tasks, count);
    int rc = step_burn.run_batch(tasks, count);
    tell(tell_ends, tasks, count);
    return rc;
}

const struct weir_plugin *step_watch(step_watch_fn *begins, step_watch_fn *ends)
{
    static struct weir_step steps[2];
    static const struct weir_plugin watched = {
        WEIR_STEP_ABI, sizeof steps[0], "watched", steps, sizeof steps / sizeof *steps};
    tell_begins = begins;
    tell_ends = ends;
    steps[0] = step_echo;
    steps[0].run = run_echo;
    steps[1] = step_burn;
    steps[1].run = run_burn;
    steps[1].run_batch = run_burns;
    return &watched;
}

const struct step_call *step_watch_call(const struct weir_task *t)
{
    return t->call;
}

const struct task *step_watch_task(const struct weir_task *t)
{
    return t->call->cancelled == task_cancelled ? t->call->cancelled_ctx : NULL;
}
