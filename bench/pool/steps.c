/*
 * steps.c: a plugin with the steps of this bench: one that takes a large value, one that gives one,
 * and one that has as much loaded as a step with a model.
 */
#include <weir/step.h>

#include <stdlib.h>
#include <string.h>

#define MODEL_BYTES ((size_t)100 * 1000 * 1000)
#define VALUE_BYTES ((size_t)1000 * 1000 - 2) /* and two quotes */

static int touch(struct weir_worker *w, void **state)
{
    *state = malloc(MODEL_BYTES);
    if (!*state)
        return weir_init_fail(w, "there is no memory for a model");
    memset(*state, 1, MODEL_BYTES);
    return 0;
}

static int nothing(struct weir_task *t)
{
    weir_out_bool(t, true);
    return 0;
}

static int take(struct weir_task *t)
{
    size_t length = 0;
    weir_text(weir_input(t), &length);
    weir_out_integer(t, (int64_t)length);
    return 0;
}

static int make(struct weir_worker *w, void **state)
{
    *state = malloc(VALUE_BYTES);
    if (!*state)
        return weir_init_fail(w, "there is no memory for a text");
    memset(*state, 'x', VALUE_BYTES);
    return 0;
}

static int give(struct weir_task *t)
{
    weir_out_text_n(t, weir_state(t), VALUE_BYTES);
    return 0;
}

static const struct weir_step steps[] = {
    {.name = "model", .run = nothing, .init = touch, .teardown = free},
    {.name = "take", .run = take},
    {.name = "give", .run = give, .init = make, .teardown = free},
};
WEIR_PLUGIN("bench", steps);
