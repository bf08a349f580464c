/*
 * sleepers.c: 100,000 coroutines that sleep a second on the real world: how long until all have
 * woken and ended, counted from the start of the first, and how much memory each takes meanwhile.
 *
 * They are started some at a time, as requests come. A cold run touches every stack for the first
 * time, and most of what it takes beyond the second is the kernel's: so the time that touching as
 * many fresh pages takes without any of our code is told beside it. A warm run finds stacks that
 * an earlier one used.
 */
#include "bench.h"

#include "base/bug.h"
#include "coro/group.h"
#include "world/uv/uv_world.h"

#include <sys/mman.h>
#include <unistd.h>

#define SLEEPERS 100000
#define AT_ONCE  64
#define RUNS     7

static struct world *world;

struct figures {
    struct bench_series seconds;
    struct bench_series bytes;
};

static double resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    check(f && fscanf(f, "%*s %lu", &pages) == 1, "/proc/self/statm cannot be read");
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static int sleep_a_second(void *arg)
{
    return world_sleep(world, NS_PER_S);
}

static int start_and_wait(void *arg)
{
    struct figures *figures = arg;
    double before = resident_bytes();
    int64_t start = bench_now_ns();
    GROUP(sleepers, GROUP_FAIL_FAST);
    for (int i = 0; i < SLEEPERS; i++) {
        int rc = group_spawn(&sleepers, "sleeper", sleep_a_second, NULL);
        if (rc == 0 && i % AT_ONCE == AT_ONCE - 1)
            rc = coro_yield();
        check(rc == 0, "a sleeper could not be started: %d", rc);
    }
    check(coro_yield() == 0, "the last could not start to sleep");
    bench_add(&figures->bytes, (resident_bytes() - before) / SLEEPERS);
    int rc = group_wait(&sleepers);
    bench_add(&figures->seconds, (double)(bench_now_ns() - start) / 1e9);
    return rc;
}

/* The kernel's part: as many pages, as far apart as stacks are. */
static double touch_pages(void)
{
    size_t stride = CORO_STACK_DEFAULT + (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, SLEEPERS * stride, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(pages != MAP_FAILED, "no address space");
    madvise(pages, SLEEPERS * stride, MADV_NOHUGEPAGE);
    int64_t start = bench_now_ns();
    for (size_t i = 0; i < SLEEPERS; i++)
        pages[i * stride] = 1;
    double seconds = (double)(bench_now_ns() - start) / 1e9;
    munmap(pages, SLEEPERS * stride);
    return seconds;
}

int main(void)
{
    static struct figures cold;
    static struct figures warm;
    struct bench_series floor = {0};
    const struct uv_world_options options = {.watchdog_ns = -1, .stacks_idle_max = SIZE_MAX};
    for (int run = 0; run < RUNS; run++) {
        bench_add(&floor, touch_pages());
        check(uv_world_open(&world, &options) == 0, "no world");
        check(uv_world_run(world, "main", start_and_wait, &cold) == 0, "a sleep failed");
        check(uv_world_run(world, "main", start_and_wait, &warm) == 0, "a sleep failed");
        uv_world_close(world);
    }
    printf("sleepers: %d coroutines that sleep 1 s\n", SLEEPERS);
    bench_line("touch_100k_pages_without_us", &floor, "s");
    double at_first = bench_line("sleep_1s_100k_cold", &cold.seconds, "s");
    double later = bench_line("sleep_1s_100k_warm", &warm.seconds, "s");
    double resident = bench_line("sleep_1s_100k_resident_each", &cold.bytes, "bytes");
    bench_must_hold("finished within 1.2 s, cold", at_first <= 1.2);
    bench_must_hold("finished within 1.2 s, warm", later <= 1.2);
    bench_must_hold("<= 8 KB resident each", resident <= 8192);
    return 0;
}
