/*
 * table.c: what a plugin shows, read with suspicion: it was compiled by others, at another time,
 * against a header that may have been another.
 *
 * Within one ABI number a `struct weir_step` only ever grows, by members whose zero means 'not
 * used'. So a shorter one is filled up with zeros, and a longer one is taken if what this Weir does
 * not know is zero.
 */
#include "step/internal.h"

#include <errno.h>
#include <string.h>

#define SIZE_FIRST 32 /* of the first struct weir_step of ABI 1, with pointers of 8 bytes */
#define SIZE_MOST  4096
#define STEPS_MOST 1024

_Static_assert(sizeof(void *) != 8 || sizeof(struct weir_step) >= SIZE_FIRST, "it only grows");

bool step_name_valid(const char *name)
{
    size_t len = 0;
    for (; name[len]; len++) {
        char c = name[len];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
        if (len == STEP_NAME_MAX)
            return false;
    }
    return len > 0;
}

size_t step_table_count(const struct weir_plugin *p)
{
    return p->step_count;
}

static const char *raw_at(const struct weir_plugin *p, size_t index)
{
    return (const char *)p->steps + index * p->size;
}

struct weir_step step_table_at(const struct weir_plugin *p, size_t index)
{
    struct weir_step s = {0};
    memcpy(&s, raw_at(p, index), p->size < sizeof s ? p->size : sizeof s);
    return s;
}

/* Where the first step of that name is, or the count. */
static size_t index_of(const struct weir_plugin *p, const char *name)
{
    size_t i = 0;
    while (i < p->step_count && strcmp(step_table_at(p, i).name, name) != 0)
        i++;
    return i;
}

int step_table_find(const struct weir_plugin *p, const char *name, struct weir_step *out)
{
    size_t i = index_of(p, name);
    if (i == p->step_count)
        return -ENOENT;
    *out = step_table_at(p, i);
    return 0;
}

static bool wants_more_than_we_know(const struct weir_plugin *p, size_t index)
{
    for (size_t i = sizeof(struct weir_step); i < p->size; i++)
        if (raw_at(p, index)[i])
            return true;
    return false;
}

static int check_step(const struct weir_plugin *p, size_t index, const char *where, struct error *e)
{
    struct weir_step s = step_table_at(p, index);
    if (!s.name || !step_name_valid(s.name))
        return error_set(e, -EINVAL, "invalid-plugin",
            "%s: the name of its step number %zu is not 1 to %d letters, digits, '-' and '_'",
            where, index + 1, STEP_NAME_MAX);
    if (!s.run)
        return error_set(
            e, -EINVAL, "invalid-plugin", "%s: its step '%s' has no 'run'", where, s.name);
    if (wants_more_than_we_know(p, index))
        return error_set(e, -EINVAL, "invalid-plugin",
            "%s: its step '%s' uses what a newer Weir has; run that one, or leave out the members "
            "of "
            "struct weir_step that %s does not know",
            where, s.name, WEIR_VERSION);
    if (index_of(p, s.name) != index)
        return error_set(
            e, -EINVAL, "invalid-plugin", "%s: it has two steps named '%s'", where, s.name);
    return 0;
}

int step_table_check(const struct weir_plugin *p, const char *where, struct error *e)
{
    if (p->abi != WEIR_STEP_ABI)
        return error_set(e, -EINVAL, "invalid-plugin",
            "%s was built for ABI %u of weir/step.h, and this is Weir %s with ABI %u; rebuild it "
            "against this Weir's header",
            where, (unsigned)p->abi, WEIR_VERSION, (unsigned)WEIR_STEP_ABI);
    if (p->size < SIZE_FIRST || p->size > SIZE_MOST || p->size % sizeof(void *) != 0)
        return error_set(e, -EINVAL, "invalid-plugin",
            "%s: its weir_plugin says that a step has %u bytes, which none has; let the macro "
            "WEIR_PLUGIN make it",
            where, (unsigned)p->size);
    if (!p->steps || p->step_count == 0 || p->step_count > STEPS_MOST)
        return error_set(e, -EINVAL, "invalid-plugin", "%s has %zu steps, and not 1 to %d", where,
            p->steps ? p->step_count : 0, STEPS_MOST);
    for (size_t i = 0; i < p->step_count; i++) {
        int rc = check_step(p, i, where, e);
        if (rc)
            return rc;
    }
    return 0;
}
