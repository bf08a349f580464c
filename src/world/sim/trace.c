/*
 * trace.c: writing events down, and making text of them.
 */
#include "world/sim/trace.h"

#include "base/error.h"
#include "world/sim/internal.h"

#include <stdarg.h>
#include <stdio.h>

/* What the numbers of each kind of event are called; one without a name is not shown. The first
 * character of a name may say how the number is shown: @ as the host with this index, # as a
 * hash (of a name or path), ! as an error if it is negative and not at all if it is 0, ~ as a
 * kind of segment. */
static const struct {
    const char *name;
    const char *a;
    const char *b;
    const char *outcome;
} kinds[TRACE_KINDS] = {
    [TRACE_NOTE] = {"note", NULL, NULL, "value"},
    [TRACE_HOST] = {"host", "cores", NULL, NULL},
    [TRACE_CRASH] = {"crash", NULL, NULL, NULL},
    [TRACE_RESTART] = {"restart", "boots", NULL, NULL},
    [TRACE_PAUSE] = {"pause", "ns", NULL, NULL},
    [TRACE_RESUME] = {"resume", NULL, NULL, NULL},
    [TRACE_SLOW] = {"slow", "percent", NULL, NULL},
    [TRACE_WALL_JUMP] = {"wall-jump", NULL, NULL, "ns"},
    [TRACE_LINK] = {"link", "@to", "latency-ns", "loss-ppm"},
    [TRACE_CUT] = {"cut", "@to", NULL, NULL},
    [TRACE_HEAL] = {"heal", "@to", NULL, NULL},
    [TRACE_DISK] = {"disk", "bytes", "error-ppm", NULL},
    [TRACE_START] = {"start", "pid", "parent", NULL},
    [TRACE_THREAD] = {"thread", "pid", NULL, NULL},
    [TRACE_TASKS] = {"tasks", "fail-nth", "fail-ppm", NULL},
    [TRACE_TASK_FAILED] = {"task-failed", "asked", NULL, "!rc"},
    [TRACE_END] = {"end", "pid", "state", "result"},
    [TRACE_SIGNAL] = {"signal", "pid", "signal", NULL},
    [TRACE_POST] = {"post", "pid", NULL, NULL},
    [TRACE_DELIVER] = {"deliver", "pid", NULL, NULL},
    [TRACE_BURN] = {"burn", "pid", "ns", NULL},
    [TRACE_BURNT] = {"burnt", "pid", NULL, NULL},
    [TRACE_LISTEN] = {"listen", "pid", "port", "!rc"},
    [TRACE_UNLISTEN] = {"unlisten", "port", NULL, NULL},
    [TRACE_CONNECT] = {"connect", "stream", "@to", "port"},
    [TRACE_CONNECTED] = {"connected", "stream", NULL, "!rc"},
    [TRACE_INCOMING] = {"incoming", "stream", "waiting", NULL},
    [TRACE_ACCEPT] = {"accept", "stream", NULL, NULL},
    [TRACE_WRITE] = {"write", "stream", "bytes", NULL},
    [TRACE_ARRIVE] = {"arrive", "stream", "bytes", "~what"},
    [TRACE_READ] = {"read", "stream", "bytes", NULL},
    [TRACE_SHUTDOWN] = {"shutdown", "stream", NULL, NULL},
    [TRACE_CLOSE] = {"close", "stream", "unread", NULL},
    [TRACE_LOST] = {"lost", "stream", "bytes", "again-ns"},
    [TRACE_RESET] = {"reset", "stream", NULL, NULL},
    [TRACE_BROKEN] = {"broken", "stream", NULL, "!rc"},
    [TRACE_RESOLVE] = {"resolve", "#name", NULL, "!rc"},
    [TRACE_OPEN] = {"open", "#path", "flags", "!rc"},
    [TRACE_FILE_READ] = {"file-read", "offset", "size", "!rc"},
    [TRACE_FILE_WRITE] = {"file-write", "offset", "size", "!rc"},
    [TRACE_FILE_TRUNCATE] = {"file-truncate", "size", NULL, "!rc"},
    [TRACE_FILE_SYNC] = {"file-sync", "changes", NULL, "!rc"},
    [TRACE_RENAME] = {"rename", "#from", "#to", "!rc"},
    [TRACE_UNLINK] = {"unlink", "#path", NULL, "!rc"},
    [TRACE_SYNC_DIRECTORY] = {"sync-directory", "#path", "changes", "!rc"},
    [TRACE_SETTLE] = {"settle", "change", "size", "kept"},
    [TRACE_READY_FD] = {"ready-fd", "fd", "events", NULL},
};

static const char *const segment_names[] = {"syn", "syn-ack", "data", "fin", "window", "reset"};

int trace_init(struct trace *t)
{
    *t = (struct trace){.ring = mem_alloc(TRACE_RING * sizeof *t->ring)};
    return t->ring ? 0 : -ENOMEM;
}

void trace_release(struct trace *t)
{
    mem_free(t->ring);
}

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

/* One round a record: its numbers are spread by independent multiplications, which the processor
 * does side by side, and only then go into the running hash. */
static inline uint64_t fold(uint64_t hash, const struct trace_record *r)
{
    uint64_t head = (uint64_t)r->kind << 32 | r->host;
    uint64_t mixed = (uint64_t)r->when * UINT64_C(0x9e3779b97f4a7c15) ^
                     rotate(head * UINT64_C(0xbf58476d1ce4e5b9), 13) ^
                     rotate(r->a * UINT64_C(0x94d049bb133111eb), 29) ^
                     rotate(r->b * UINT64_C(0xd6e8feb86659fd93), 41) ^
                     rotate((uint64_t)r->outcome * UINT64_C(0xc2b2ae3d27d4eb4f), 53);
    return (rotate(hash ^ mixed, 23) + 1) * UINT64_C(0x9fb21c651e98df25);
}

/* ---- Text ---- */

static int append(char *line, int len, int size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int append(char *line, int len, int size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + len, (size_t)(size - len), format, args);
    va_end(args);
    return len + n < size ? len + n : size - 1;
}

static const char *host_name(const struct sim *sim, uint32_t host)
{
    return host ? sim->hosts[host - 1]->name : "-";
}

static int print_when(char *line, int size, int64_t when)
{
    return append(
        line, 0, size, "%5lld.%09lld ", (long long)(when / NS_PER_S), (long long)(when % NS_PER_S));
}

static int print_error(char *line, int len, int size, const char *name, int64_t value)
{
    if (value < 0)
        return append(line, len, size, ": %s", error_text((int)value));
    return value == 0 ? len : append(line, len, size, " %s=%lld", name, (long long)value);
}

static int print_value(
    const struct sim *sim, char *line, int len, int size, const char *name, int64_t value)
{
    if (!name)
        return len;
    switch (name[0]) {
    case '@':
        return append(line, len, size, " %s=%s", name + 1, host_name(sim, (uint32_t)value + 1));
    case '#':
        return append(line, len, size, " %s=#%016llx", name + 1, (unsigned long long)value);
    case '!':
        return print_error(line, len, size, name + 1, value);
    case '~':
        return append(line, len, size, " %s=%s", name + 1, segment_names[value]);
    default:
        return append(line, len, size, " %s=%lld", name, (long long)value);
    }
}

static void print(const struct sim *sim, const struct trace_record *r, char *line, int size)
{
    int len = print_when(line, size, r->when);
    len = append(line, len, size, "%-12s %-14s", host_name(sim, r->host), kinds[r->kind].name);
    if (r->note)
        len = append(line, len, size, " %s", r->note);
    len = print_value(sim, line, len, size, kinds[r->kind].a, (int64_t)r->a);
    len = print_value(sim, line, len, size, kinds[r->kind].b, (int64_t)r->b);
    print_value(sim, line, len, size, kinds[r->kind].outcome, r->outcome);
}

/* ---- Writing down ---- */

static void show(struct sim *sim, const struct trace_record *r)
{
    char line[256];
    print(sim, r, line, sizeof line);
    sim->options.text(sim->options.ctx, line);
}

static inline void put(struct sim *sim, struct trace_record record)
{
    struct trace *t = &sim->trace;
    t->hash = fold(t->hash, &record);
    t->ring[t->count++ % TRACE_RING] = record;
    if (__builtin_expect(sim->options.text != NULL, 0))
        show(sim, &record);
}

void trace(struct sim *sim, enum trace_kind kind, const struct sim_host *host, uint64_t a,
    uint64_t b, int64_t outcome)
{
    put(sim, (struct trace_record){.when = sim->now,
                 .kind = kind,
                 .host = host ? host->index + 1 : 0,
                 .a = a,
                 .b = b,
                 .outcome = outcome});
}

void trace_note(struct sim *sim, const char *text, int64_t value)
{
    put(sim, (struct trace_record){.when = sim->now,
                 .kind = TRACE_NOTE,
                 .a = text_hash(text),
                 .outcome = value,
                 .note = text});
}

void trace_report(struct sim *sim, uint64_t count)
{
    struct trace *t = &sim->trace;
    uint64_t kept = t->count < TRACE_RING ? t->count : TRACE_RING;
    if (count > kept)
        count = kept;
    for (uint64_t i = t->count - count; i < t->count; i++) {
        char line[256];
        print(sim, &t->ring[i % TRACE_RING], line, sizeof line);
        sim_say(sim, "%s", line);
    }
}

void trace_log_line(
    struct sim *sim, const struct sim_host *host, const char *name, const char *line, int len)
{
    if (!sim->options.text)
        return;
    char text[LOG_LINE_MAX + 128];
    int at = print_when(text, sizeof text, sim->now);
    append(text, at, sizeof text, "%-12s log %s: %.*s", host ? host->name : "-", name, len, line);
    sim->options.text(sim->options.ctx, text);
}
