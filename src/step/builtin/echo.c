/*
 * echo.c: gives its input back: what a pool alone costs, and its canary.
 */
#include "step/builtin/builtin.h"

static int run(struct weir_task *t)
{
    weir_out_value(t, weir_input(t));
    return 0;
}

const struct weir_step step_echo = {.name = "echo", .run = run};
