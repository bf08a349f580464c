/*
 * bad_init.c: a plugin whose steps' inits fail, or last until the test lets them end.
 */
#include <weir/step.h>

#include <stdatomic.h>
#include <time.h>

static int refuse(struct weir_worker *w, void **state)
{
    return weir_init_fail(w, "the model is not there");
}

struct bad_inits {
    atomic_bool held; /* the test's: while it is set, those that dawdle last */
    atomic_int ended; /* of those that dawdle */
};
extern WEIR_EXPORT struct bad_inits bad_inits;
struct bad_inits bad_inits;

static int dawdle(struct weir_worker *w, void **state)
{
    while (bad_inits.held)
        nanosleep(
            &(struct timespec){.tv_nsec = 1000 * 1000}, NULL); /* time: only how often it looks */
    bad_inits.ended++;
    return 0;
}

static atomic_int inits;

/* Of a pool with one worker: its worker's init is quick, those of I/O threads are not. */
static int dawdle_inline(struct weir_worker *w, void **state)
{
    return atomic_fetch_add(&inits, 1) > 0 ? dawdle(w, state) : 0;
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
