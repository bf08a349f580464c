/*
 * bad_init.c: a plugin whose steps' inits fail, or take their time.
 */
#include <weir/step.h>

#include <time.h>

static int refuse(struct weir_worker *w, void **state)
{
    return weir_init_fail(w, "the model is not there");
}

/* Longer than a pool waits that is given little time, and not for ever. */
static int dawdle(struct weir_worker *w, void **state)
{
    struct timespec t = {.tv_nsec = 600 * 1000 * 1000};
    nanosleep(&t, NULL);
    return 0;
}

static int run(struct weir_task *t)
{
    weir_out_null(t);
    return 0;
}

static const struct weir_step steps[] = {
    {.name = "refuse", .run = run, .init = refuse},
    {.name = "dawdle", .run = run, .init = dawdle},
};
WEIR_PLUGIN("bad-init", steps);
