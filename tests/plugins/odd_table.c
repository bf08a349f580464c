/*
 * odd_table.c: tables that WEIR_PLUGIN would not make, one for each TABLE.
 */
#include <weir/step.h>

__attribute__((unused)) static int run(struct weir_task *t)
{
    weir_out_null(t);
    return 0;
}

struct longer {
    struct weir_step step;
    int (*of_the_future)(void);
};

/* As it was before run_batch. */
struct older {
    const char *name;
    int (*run)(struct weir_task *t);
    int (*init)(struct weir_worker *w, void **state);
    void (*teardown)(void *state);
};

#define IS_TWICE  1 /* two steps of one name */
#define IS_NAME   2 /* a name that is none */
#define IS_NO_RUN 3
#define IS_EMPTY  4
#define IS_SIZE   5 /* a size that is none */
#define IS_NEWER  6 /* longer, and uses it */
#define IS_LONGER 7 /* longer, and does not: fine */
#define IS_OLDER  8 /* shorter, as the first ones were: fine */

#if TABLE == IS_NEWER || TABLE == IS_LONGER
#    if TABLE == IS_NEWER
static int future(void)
{
    return 0;
}
#    else
#        define future NULL
#    endif
static const struct longer steps[] = {
    {{.name = "one", .run = run}, NULL}, {{.name = "two", .run = run}, future}};
#elif TABLE == IS_OLDER
static const struct older steps[] = {{"one", run, NULL, NULL}, {"two", run, NULL, NULL}};
#elif TABLE == IS_NAME
static const struct weir_step steps[] = {{.name = "a step", .run = run}};
#elif TABLE == IS_NO_RUN
static const struct weir_step steps[] = {{.name = "idle"}};
#else
static const struct weir_step steps[] = {{.name = "one", .run = run}, {.name = "one", .run = run}};
#endif

extern WEIR_EXPORT const struct weir_plugin weir_plugin;
const struct weir_plugin weir_plugin = {
    WEIR_STEP_ABI,
    TABLE == IS_SIZE ? 7 : sizeof steps[0],
    "odd",
    (const struct weir_step *)(const void *)steps,
    TABLE == IS_EMPTY ? 0 : sizeof steps / sizeof steps[0],
};
