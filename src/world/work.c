/*
 * work.c: see real_work.h.
 *
 * The clock of a thread's processor time costs a system call, some 0.3 us; the monotonic clock a
 * tenth of that. But a thread never computes for longer than passes: so a burn lets the monotonic
 * clock run for what is left, and only then asks whether it really had the processor all the time.
 * If it had not, it goes on for what it missed. Nothing needs to be calibrated, and nothing goes
 * stale when the processor changes its speed.
 */
#include "world/real_work.h"

#include "base/time.h"

#include <time.h>

/* Burns up to this long do not ask for the processor's time, which would take a good part of it. */
#define SHORT_NS      (4 * NS_PER_US)
/* Between two looks at the monotonic clock, in a short burn: beyond, someone else had the
 * processor. */
#define AWAY_NS       (5 * NS_PER_US)
/* More than that, and it was interrupted while it asked. */
#define ASKING_NS_MAX NS_PER_US

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int64_t real_now(struct work *work)
{
    (void)work;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t real_processor(struct work *work)
{
    (void)work;
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static void spin_until(int64_t moment)
{
    while (read_clock(CLOCK_MONOTONIC) < moment)
        continue;
}

/* What passed between two looks counts as at most AWAY_NS. */
static void burn_short(int64_t began, int64_t ns)
{
    int64_t before = began;
    while (ns > 0) {
        int64_t now = read_clock(CLOCK_MONOTONIC);
        ns -= now - before < AWAY_NS ? now - before : AWAY_NS;
        before = now;
    }
}

/* Asking takes `asking` each time, half of it before the clock is read and half after, all of which
 * belongs to the burn. */
static void burn_long(int64_t began, int64_t ns)
{
    int64_t first = read_clock(CLOCK_THREAD_CPUTIME_ID);
    int64_t from = read_clock(CLOCK_MONOTONIC);
    int64_t asking = from - began < ASKING_NS_MAX ? from - began : ASKING_NS_MAX;
    int64_t left = ns - asking;
    while (left > asking) {
        spin_until(deadline_after(from, left - asking));
        left = ns - asking - (read_clock(CLOCK_THREAD_CPUTIME_ID) - first);
        from = read_clock(CLOCK_MONOTONIC);
    }
    spin_until(deadline_after(from, left));
}

static void real_burn(struct work *work, int64_t ns)
{
    (void)work;
    int64_t began = read_clock(CLOCK_MONOTONIC);
    if (ns > SHORT_NS)
        burn_long(began, ns);
    else
        burn_short(began, ns);
}

void work_real_init(struct work *work)
{
    *work = (struct work){.now = real_now, .processor = real_processor, .burn = real_burn};
}
