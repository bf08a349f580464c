/*
 * coro.c: what a coroutine costs: a switch, a yield, a life, and a group of three.
 */
#include "bench.h"

#include "base/bug.h"
#include "coro/group.h"
#include "coro/switch.h"

#include <sys/mman.h>

#define RUNS 9

static int64_t clock_now(void *ctx)
{
    return bench_now_ns();
}

static struct sched *open_sched(void)
{
    struct sched *s;
    struct sched_options options = {.now = clock_now};
    check(sched_open(&s, &options) == 0, "a sched could not be opened");
    return s;
}

static void must(int rc)
{
    check(rc == 0, "a benchmark's call failed: %d", rc);
}

/* ---- One switch, from stack to stack and nothing else ---- */

#define SWITCHES (10 * 1000 * 1000)

static struct context thread_context;
static struct context contexts[2];
static int switches_left;

/* Both run this: as coroutines do, which all leave from the same place. */
static void ping_pong(void *arg)
{
    intptr_t me = (intptr_t)arg;
    switch_arrived(&contexts[me]);
    for (;;) {
        while (switches_left-- > 0)
            switch_to(&contexts[me], &contexts[!me]);
        switch_to(&contexts[me], &thread_context);
    }
}

static double switch_ns(void)
{
    enum { STACK = 65536 };
    char *stacks =
        mmap(NULL, 2 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(stacks != MAP_FAILED, "no memory for stacks");
    switch_prepare_thread(&thread_context);
    for (intptr_t i = 0; i < 2; i++)
        switch_prepare(&contexts[i], stacks + i * STACK, STACK, ping_pong, (void *)i);
    switches_left = SWITCHES;
    int64_t start = bench_now_ns();
    switch_to(&thread_context, &contexts[0]);
    double ns = (double)(bench_now_ns() - start) / SWITCHES;
    munmap(stacks, 2 * STACK);
    return ns;
}

/* ---- A yield: queue, pick, switch ---- */

#define YIELDS (5 * 1000 * 1000)

static int yields(void *arg)
{
    for (int i = 0; i < YIELDS / 2; i++)
        must(coro_yield());
    return 0;
}

static double yield_ns(void)
{
    struct sched *s = open_sched();
    must(sched_spawn(s, "a", yields, NULL));
    must(sched_spawn(s, "b", yields, NULL));
    int64_t start = bench_now_ns();
    while (sched_run(s) > 0)
        ;
    double ns = (double)(bench_now_ns() - start) / YIELDS;
    sched_close(s);
    return ns;
}

/* ---- Lives ---- */

#define LIVES (1000 * 1000)

static int nothing(void *arg)
{
    return 0;
}

static int one_child_at_a_time(void *arg)
{
    GROUP(g, GROUP_INDEPENDENT);
    int64_t start = bench_now_ns();
    for (int i = 0; i < LIVES; i++) {
        must(group_spawn(&g, "child", nothing, NULL));
        must(group_wait(&g));
    }
    *(double *)arg = (double)(bench_now_ns() - start) / LIVES;
    return 0;
}

static int groups_of_three(void *arg)
{
    int64_t start = bench_now_ns();
    for (int i = 0; i < LIVES; i++) {
        GROUP(g, GROUP_FAIL_FAST);
        must(group_spawn(&g, "a", nothing, NULL));
        must(group_spawn(&g, "b", nothing, NULL));
        must(group_spawn(&g, "c", nothing, NULL));
        must(group_wait(&g));
    }
    *(double *)arg = (double)(bench_now_ns() - start) / LIVES;
    return 0;
}

static double inside(coro_fn *fn)
{
    double ns = 0;
    struct sched *s = open_sched();
    must(sched_spawn(s, "bench", fn, &ns));
    while (sched_run(s) > 0)
        ;
    sched_close(s);
    return ns;
}

int main(void)
{
    struct bench_series one = {0}, yield = {0}, life = {0}, three = {0};
    for (int run = 0; run < RUNS; run++) {
        bench_add(&one, switch_ns());
        bench_add(&yield, yield_ns());
        bench_add(&life, inside(one_child_at_a_time));
        bench_add(&three, inside(groups_of_three));
    }

    printf("coro\n");
    double switching = bench_line("switch_one", &one, "ns");
    bench_line("yield_two", &yield, "ns");
    double living = bench_line("spawn_join_one", &life, "ns");
    double joining = bench_line("spawn_join_group_of_3", &three, "ns");
    bench_must_hold("a switch <= 10 ns", switching <= 10);
    bench_must_hold("a coroutine made, run and ended <= 250 ns", living <= 250);
    bench_must_hold("spawn and join of a group of 3 <= 1 us", joining <= 1000);
    return 0;
}
