/*
 * set.c: which code each name stands for: built in, or of a plugin.
 */
#include "step/internal.h"

#include "base/mem.h"
#include "conf/node.h"
#include "step/builtin/builtin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct builtin {
    const struct weir_step *code;
    bool unsafe;
};

static const struct builtin builtins[] = {
    {&step_allocate, false},
    {&step_burn, false},
    {&step_crash, true},
    {&step_echo, false},
};

#define BUILTINS  (sizeof builtins / sizeof *builtins)
/* How many names are told or thought of when one is not found. */
#define NAMES_MAX 32

static const struct builtin *find_builtin(const char *name)
{
    for (size_t i = 0; i < BUILTINS; i++)
        if (strcmp(builtins[i].code->name, name) == 0)
            return &builtins[i];
    return NULL;
}

bool step_is_builtin(const char *name, bool *unsafe)
{
    const struct builtin *b = find_builtin(name);
    if (b && unsafe)
        *unsafe = b->unsafe;
    return b;
}

/* "; did you mean 'burn'?", and which there are. */
static void write_hint(
    char *hint, size_t size, const char *name, const char *const *names, size_t count)
{
    const char *near = conf_nearest(span_of(name), names, count);
    size_t len = 0;
    if (near)
        len = (size_t)snprintf(hint, size, "; did you mean '%s'?", near);
    for (size_t i = 0; i < count && len < size; i++)
        len += (size_t)snprintf(hint + len, size - len, "%s%s",
            i > 0  ? ", "
            : near ? " It has "
                   : "; it has ",
            names[i]);
}

static int add_builtin(struct step_entry *s, const char *wanted, bool unsafe, struct error *e)
{
    const struct builtin *b = find_builtin(wanted);
    if (!b) {
        const char *names[BUILTINS];
        for (size_t i = 0; i < BUILTINS; i++)
            names[i] = builtins[i].code->name;
        const char *near = conf_nearest(span_of(wanted), names, BUILTINS);
        return error_set(e, -EINVAL, "unknown-step",
            "there is no built-in step '%s'%s%s%s; one of your own needs 'plugin: FILE'", wanted,
            near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    if (b->unsafe && !unsafe)
        return error_set(e, -EINVAL, "unsafe-step",
            "the built-in step '%s' does harm on purpose, to test what survives it; where that is "
            "wanted, weir serve --unsafe-steps allows it",
            wanted);
    s->code = *b->code;
    return 0;
}

static int add_of_plugin(struct step_entry *s, const char *wanted, struct error *e)
{
    const struct weir_plugin *table;
    int rc = step_plugin_open(s->spec->plugin, &s->plugin, &table, e);
    if (rc)
        return rc;
    if (step_table_find(table, wanted, &s->code) == 0)
        return 0;
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (; count < step_table_count(table) && count < NAMES_MAX; count++)
        names[count] = step_table_at(table, count).name;
    char hint[256];
    write_hint(hint, sizeof hint, wanted, names, count);
    return error_set(e, -EINVAL, "unknown-step", "the plugin %s has no step '%s'%s",
        s->spec->plugin, wanted, hint);
}

static int find_code(struct step_entry *s, const char *wanted, const struct weir_plugin *overrides,
    bool unsafe, struct error *e)
{
    if (s->spec->plugin)
        return add_of_plugin(s, wanted, e);
    if (overrides && step_table_find(overrides, wanted, &s->code) == 0)
        return 0;
    return add_builtin(s, wanted, unsafe, e);
}

static int add(struct step_set *set, const struct step_spec *spec,
    const struct weir_plugin *overrides, bool unsafe, struct error *e)
{
    const char *wanted = spec->step ? spec->step : spec->name;
    if (!step_name_valid(spec->name) || !step_name_valid(wanted))
        return error_set(e, -EINVAL, "invalid-name",
            "'%.80s' is no name for a step: it has 1 to %d letters, digits, '-' and '_'",
            step_name_valid(spec->name) ? wanted : spec->name, STEP_NAME_MAX);
    for (unsigned i = 0; i < set->count; i++)
        if (strcmp(set->entries[i].name, spec->name) == 0)
            return error_set(e, -EINVAL, "two-steps", "there are two steps named '%s'", spec->name);
    struct step_entry *s = &set->entries[set->count++];
    *s = (struct step_entry){.spec = spec, .name = spec->name, .options = spec->options};
    int rc = find_code(s, wanted, overrides, unsafe, e);
    if (rc)
        error_prefix(e, "step '%s'", spec->name);
    return rc;
}

int step_set_new(struct step_set **out, const struct step_spec *specs, unsigned count,
    const struct weir_plugin *overrides, bool unsafe, struct error *e)
{
    struct step_set *set = mem_alloc(sizeof *set + count * sizeof set->entries[0]);
    if (!set)
        return error_set(e, -ENOMEM, "out-of-memory", "no memory for %u steps", count);
    set->count = 0;
    set->entries = (struct step_entry *)(void *)(set + 1);
    for (unsigned i = 0; i < count; i++) {
        int rc = add(set, &specs[i], overrides, unsafe, e);
        if (rc) {
            step_set_free(set);
            return rc;
        }
    }
    *out = set;
    return 0;
}

void step_set_free(struct step_set *set)
{
    if (!set)
        return;
    while (set->count > 0)
        step_plugin_close(set->entries[--set->count].plugin);
    mem_free(set);
}

unsigned step_set_count(const struct step_set *set)
{
    return set->count;
}

const char *step_set_name(const struct step_set *set, unsigned step)
{
    return set->entries[step].name;
}
