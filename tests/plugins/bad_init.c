/*
 * bad_init.c: steps whose inits fail, in silence or with words, or hang.
 */
#include <weir/step.h>

#include <unistd.h>

static int run(struct weir_task *t)
{
    weir_out_null(t);
    return 0;
}

static int init_silent(struct weir_worker *w, void **state)
{
    return -1;
}

static int init_hangs(struct weir_worker *w, void **state)
{
    while (pause() != 0)
        ; /* a signal came; it hangs on */
    return 0;
}

static int init_fails(struct weir_worker *w, void **state)
{
    return weir_init_fail(w, "cannot read %s", "model.bin");
}

static const struct weir_step steps[] = {
    {.name = "fails", .run = run, .init = init_fails},
    {.name = "silent", .run = run, .init = init_silent},
    {.name = "hangs", .run = run, .init = init_hangs},
};
WEIR_PLUGIN("bad_init", steps);
