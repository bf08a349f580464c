/*
 * quota.c: the kernel's files about groups and processes, read.
 */
#include "world/quota.h"

#include <stdint.h>

/* Beyond it nobody means a limit: of microseconds, some 31 years. */
#define FIGURE_MAX INT64_C(1000000000000000)

/* The digits at the start of `text`, which are taken off it: -1 if there are none. */
static int64_t take_number(struct span *text)
{
    int64_t value = -1;
    while (text->len > 0 && *text->ptr >= '0' && *text->ptr <= '9') {
        value = (value < 0 ? 0 : value) * 10 + (*text->ptr - '0');
        if (value > FIGURE_MAX)
            value = FIGURE_MAX;
        text->ptr++;
        text->len--;
    }
    return value;
}

static void skip_spaces(struct span *text)
{
    while (text->len > 0 && *text->ptr == ' ') {
        text->ptr++;
        text->len--;
    }
}

static unsigned cores_of(int64_t quota, int64_t period)
{
    if (quota <= 0 || period <= 0)
        return QUOTA_NONE;
    int64_t cores = (quota + period - 1) / period;
    return cores > UINT16_MAX ? QUOTA_NONE : (unsigned)cores;
}

unsigned quota_of_v2(struct span cpu_max)
{
    int64_t quota = take_number(&cpu_max);
    skip_spaces(&cpu_max);
    return cores_of(quota, take_number(&cpu_max));
}

unsigned quota_of_v1(struct span quota_us, struct span period_us)
{
    int64_t quota = take_number(&quota_us);
    return cores_of(quota, take_number(&period_us));
}

/* ---- /proc/self/cgroup: lines of "number:controllers:path" ---- */

/* What comes before the next `end`, which is taken off with it; all of it if there is none. */
static struct span take_until(struct span *text, char end)
{
    size_t at = 0;
    while (at < text->len && text->ptr[at] != end)
        at++;
    struct span part = {text->ptr, at};
    size_t taken = at < text->len ? at + 1 : at;
    if (taken > 0)
        text->ptr += taken;
    text->len -= taken;
    return part;
}

static bool has(struct span list, char separator, struct span word)
{
    while (list.len > 0)
        if (span_equal(take_until(&list, separator), word))
            return true;
    return false;
}

bool quota_group(struct span text, struct span controller, struct span *path)
{
    while (text.len > 0) {
        struct span line = take_until(&text, '\n');
        struct span number = take_until(&line, ':');
        struct span controllers = take_until(&line, ':');
        if (line.len == 0 || line.ptr[0] != '/')
            continue;
        bool unified = controllers.len == 0 && span_equal(number, SPAN("0"));
        if (controller.len > 0 ? has(controllers, ',', controller) : unified) {
            *path = line;
            return true;
        }
    }
    return false;
}

bool quota_parent(struct span *path)
{
    while (path->len > 0 && path->ptr[path->len - 1] == '/')
        path->len--;
    if (path->len == 0)
        return false;
    while (path->len > 0 && path->ptr[path->len - 1] != '/')
        path->len--;
    return true;
}

/* ---- Other files of few words ---- */

bool quota_has_word(struct span text, struct span word)
{
    struct span line = take_until(&text, '\n');
    return has(line, ' ', word);
}

int64_t quota_figure(struct span text, struct span name)
{
    while (text.len > 0) {
        struct span line = take_until(&text, '\n');
        if (span_equal(take_until(&line, ' '), name))
            return take_number(&line);
    }
    return -1;
}

bool quota_pages(struct span statm, int64_t *mapped, int64_t *resident)
{
    *mapped = take_number(&statm);
    skip_spaces(&statm);
    *resident = take_number(&statm);
    return *mapped >= 0 && *resident >= 0;
}
