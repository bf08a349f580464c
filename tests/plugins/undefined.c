/*
 * undefined.c: calls what nobody has: a library that was not linked, or (with FUTURE) a newer Weir.
 */
#include <weir/step.h>

#ifdef FUTURE
#    define MISSING weir_out_of_this_world
#else
#    define MISSING cblas_dgemm_batch
#endif

int MISSING(struct weir_task *t);

static int run(struct weir_task *t)
{
    return MISSING(t);
}

static const struct weir_step steps[] = {{.name = "undefined", .run = run}};
WEIR_PLUGIN("undefined", steps);
