/*
 * switch_smoke.c: a plain program without a test library, so that it can be built for another
 * processor and run under an emulator: coroutines of a few depths switch, keep their registers and
 * rounding, and add up to a known sum.
 */
#include "coro/coro.h"
#include "coro/group.h"

#include <fenv.h>
#include <stdio.h>

static int64_t no_time(void *ctx)
{
    return 0;
}

static double sum;

static int adds(void *arg)
{
    int mode = *(int *)arg;
    fesetround(mode);
    double a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8;
    long i = 11, j = 12, k = 13, l = 14, m = 15, n = 16;
    for (int round = 0; round < 1000; round++) {
        if (coro_yield() != 0 || fegetround() != mode)
            return -1;
        a += 1, b += 1, c += 1, d += 1, e += 1, f += 1, g += 1, h += 1;
        i += 1, j += 1, k += 1, l += 1, m += 1, n += 1;
    }
    sum += a + b + c + d + e + f + g + h + (double)(i + j + k + l + m + n);
    return 0;
}

static int parent(void *arg)
{
    int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TONEAREST, FE_TOWARDZERO};
    GROUP(g, GROUP_FAIL_FAST);
    for (int i = 0; i < 100; i++) {
        int rc = group_spawn(&g, "adds", adds, &modes[i % 4]);
        if (rc)
            return rc;
    }
    *(int *)arg = group_wait(&g);
    return 0;
}

int main(void)
{
    struct sched *s;
    struct sched_options options = {.now = no_time};
    int result = 1;
    if (sched_open(&s, &options) != 0 || sched_spawn(s, "parent", parent, &result) != 0)
        return 2;
    while (sched_run(s) > 0)
        ;
    bool good = result == 0 && sum == 100 * (36.0 + 81 + 14 * 1000) && sched_count(s) == 0;
    sched_close(s);
    printf("%s\n", good ? "ok" : "coroutines lost their registers, their rounding or themselves");
    return good ? 0 : 1;
}
