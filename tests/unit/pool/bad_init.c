/*
 * bad_init.c: a plugin whose steps' inits fail, or take their time.
 */
#include <weir/step.h>

#include <stdatomic.h>
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

static atomic_int inits;

/* Of a pool with one hand: its worker's init is quick, those of I/O threads are not. */
static int dawdle_inline(struct weir_worker *w, void **state)
{
    struct timespec t = {.tv_sec = 2, .tv_nsec = 600 * 1000 * 1000};
    if (atomic_fetch_add(&inits, 1) > 0)
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
    {.name = "dawdle-inline", .run = run, .init = dawdle_inline},
};
WEIR_PLUGIN("bad-init", steps);
