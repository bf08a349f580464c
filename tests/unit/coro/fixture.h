/*
 * fixture.h: a sched on a clock that the test moves, and a loop that drives it to the end.
 */
#pragma once

#include "../check.h"

#include "coro/coro.h"
#include "coro/group.h"
#include "coro/sync.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct sched *sched;
    int64_t now;
};

static inline int64_t fixture_now(void *ctx)
{
    return ((struct fixture *)ctx)->now;
}

static inline void fixture_open_with(struct fixture *f, struct sched_options options)
{
    f->now = 1000;
    options.now = fixture_now;
    options.now_ctx = f;
    assert_int_equal(sched_open(&f->sched, &options), 0);
}

static inline void fixture_open(struct fixture *f)
{
    fixture_open_with(f, (struct sched_options){0});
}

/* Runs until nothing is ready and no deadline is left; time jumps to each deadline. */
static inline void fixture_drain(struct fixture *f)
{
    for (;;) {
        if (sched_run(f->sched) > 0)
            continue;
        int64_t next = sched_next_deadline(f->sched);
        if (next == DEADLINE_NEVER)
            return;
        f->now = next > f->now ? next : f->now;
        sched_expire(f->sched, f->now);
    }
}

static inline void fixture_close(struct fixture *f)
{
    assert_int_equal(sched_count(f->sched), 0);
    sched_close(f->sched);
}

/* Runs `fn` as the one root of a fresh sched, to the end. */
static inline void run_coroutine(struct fixture *f, coro_fn *fn)
{
    fixture_open(f);
    assert_int_equal(sched_spawn(f->sched, "test", fn, f), 0);
    fixture_drain(f);
    fixture_close(f);
}
