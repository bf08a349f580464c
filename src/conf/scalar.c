/*
 * scalar.c: amounts with units: durations and sizes, from text and back, exactly: no floating
 * point.
 */
#include "conf/internal.h"
#include "conf/type.h"

#include "base/time.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct unit {
    const char *name;
    uint64_t size;
};

#define KIB UINT64_C(1024)

/* Largest first. */
static const struct unit durations[] = {
    {"h", 3600 * NS_PER_S},
    {"m", 60 * NS_PER_S},
    {"s", NS_PER_S},
    {"ms", NS_PER_MS},
    {"us", NS_PER_US},
    {"ns", 1},
};
static const struct unit sizes[] = {
    {"GiB", KIB *KIB *KIB},
    {"GB", 1000 * 1000 * 1000},
    {"MiB", KIB *KIB},
    {"MB", 1000 * 1000},
    {"KiB", KIB},
    {"kB", 1000},
    {"B", 1},
};

#define COUNT(a)      (sizeof(a) / sizeof *(a))
#define DIGITS_MAX    19
#define EXPECTED_TIME "a duration such as 250ms, 1.5s or 2m"
#define EXPECTED_SIZE "a size such as 64KiB or 1MiB"

/* A number as it was written: digits * 10^-decimals. */
struct decimal {
    uint64_t digits;
    unsigned decimals;
    size_t len; /* of its text; 0: none */
};

static struct decimal read_decimal(struct span text)
{
    struct decimal d = {0};
    unsigned count = 0;
    bool point = false;
    size_t i = 0;
    for (; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '.' && !point && i > 0) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        if (++count > DIGITS_MAX)
            return (struct decimal){0};
        d.digits = d.digits * 10 + (uint64_t)(c - '0');
        d.decimals += point;
    }
    if (i > 0 && text.ptr[i - 1] != '.')
        d.len = i;
    return d;
}

static const struct unit *find_unit(const struct unit *units, size_t count, struct span name)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal(name, span_of(units[i].name)))
            return &units[i];
    return NULL;
}

/* digits * unit / 10^decimals, if that is whole and fits. */
static bool multiply(struct decimal d, uint64_t unit, uint64_t max, uint64_t *out)
{
    unsigned __int128 value = (unsigned __int128)d.digits * unit;
    for (unsigned i = 0; i < d.decimals; i++) {
        if (value % 10)
            return false;
        value /= 10;
    }
    *out = (uint64_t)value;
    return value <= max;
}

static int wrong(struct error *e, struct span text, const char *expected, const char *why)
{
    char found[CONF_FOUND_MAX];
    return error_set(e, -EINVAL, "bad-amount", "found %s, expected %s%s", conf_quoted(text, found),
        expected, why);
}

int conf_duration(struct span text, int64_t *ns, struct error *e)
{
    struct decimal d = read_decimal(text);
    struct span name = {text.ptr + d.len, text.len - d.len};
    uint64_t value;
    if (d.len == 0)
        return wrong(e, text, EXPECTED_TIME, "");
    if (name.len == 0 && d.digits != 0)
        return wrong(e, text, EXPECTED_TIME, "; the unit is missing: ns, us, ms, s, m or h");
    const struct unit *unit = name.len == 0 ? &durations[COUNT(durations) - 1]
                                            : find_unit(durations, COUNT(durations), name);
    if (!unit)
        return wrong(e, text, EXPECTED_TIME, "; the units are ns, us, ms, s, m and h");
    if (!multiply(d, unit->size, INT64_MAX, &value))
        return wrong(e, text, EXPECTED_TIME, " of whole nanoseconds, at most 292 years");
    *ns = (int64_t)value;
    return 0;
}

int conf_size(struct span text, uint64_t *bytes, struct error *e)
{
    struct decimal d = read_decimal(text);
    struct span name = {text.ptr + d.len, text.len - d.len};
    if (d.len == 0)
        return wrong(e, text, EXPECTED_SIZE, "");
    const struct unit *unit =
        name.len == 0 ? &sizes[COUNT(sizes) - 1] : find_unit(sizes, COUNT(sizes), name);
    if (!unit)
        return wrong(e, text, EXPECTED_SIZE, "; the units are B, kB, KiB, MB, MiB, GB and GiB");
    if (!multiply(d, unit->size, INT64_MAX, bytes))
        return wrong(e, text, EXPECTED_SIZE, " of whole bytes");
    return 0;
}

static const struct unit *largest_unit(const struct unit *units, size_t count, uint64_t value)
{
    for (size_t i = 0; i < count; i++)
        if (value % units[i].size == 0)
            return &units[i];
    return &units[count - 1];
}

const char *conf_duration_text(int64_t ns, char out[CONF_AMOUNT_MAX])
{
    const struct unit *unit = largest_unit(durations, COUNT(durations), (uint64_t)ns);
    if (ns == 0)
        snprintf(out, CONF_AMOUNT_MAX, "0");
    else
        snprintf(out, CONF_AMOUNT_MAX, "%" PRIu64 "%s", (uint64_t)ns / unit->size, unit->name);
    return out;
}

const char *conf_size_text(uint64_t bytes, char out[CONF_AMOUNT_MAX])
{
    const struct unit *unit = largest_unit(sizes, COUNT(sizes), bytes);
    if (bytes == 0 || unit->size == 1)
        snprintf(out, CONF_AMOUNT_MAX, "%" PRIu64, bytes);
    else
        snprintf(out, CONF_AMOUNT_MAX, "%" PRIu64 "%s", bytes / unit->size, unit->name);
    return out;
}
