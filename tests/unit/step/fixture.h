/*
 * fixture.h: a place with a clock that only burning moves, and calls of steps in it.
 */
#pragma once

#include "../check.h"

#include "base/bytes.h"
#include "base/time.h"
#include "step/step.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_work {
    struct work work;
    int64_t now;
    int64_t processor;
    unsigned readings;  /* of the processor time */
    int64_t now_passes; /* with each look at the clock */
    int64_t too_much;   /* that each burn takes */
};

static inline int64_t fake_now(struct work *work)
{
    struct fake_work *f = (struct fake_work *)(void *)work;
    return f->now += f->now_passes;
}

static inline int64_t fake_processor(struct work *work)
{
    struct fake_work *f = (struct fake_work *)(void *)work;
    f->readings++;
    return f->processor;
}

static inline void fake_burn(struct work *work, int64_t ns)
{
    struct fake_work *f = (struct fake_work *)(void *)work;
    f->now += ns + f->too_much;
    f->processor += ns + f->too_much;
}

/* An output that grows by the heap, up to `max`. */
struct growing {
    struct step_output output;
    size_t max;
};

static inline int growing_grow(struct step_output *o, size_t room)
{
    struct growing *g = (struct growing *)(void *)o;
    if (room > g->max)
        return -ENOBUFS;
    char *bigger = mem_realloc(o->base, room);
    if (!bigger)
        return -ENOMEM;
    o->base = bigger;
    o->room = room;
    return 0;
}

struct fixture {
    struct fake_work work;
    struct step_place place;
    struct step_set *set;
    struct step_worker *worker;
    struct growing out;
    struct step_call call;
    struct error error;
    char log[512]; /* the last line */
    enum log_level log_level;
};

static inline void keep_line(void *ctx, enum log_level level, const char *line)
{
    struct fixture *f = ctx;
    f->log_level = level;
    snprintf(f->log, sizeof f->log, "%s", line);
}

/* The path of one of tests/plugins. */
static inline const char *plugin_path(const char *name)
{
    static char path[8][512];
    static unsigned at;
    const char *dir = getenv("PLUGINS");
    at = (at + 1) % 8;
    snprintf(path[at], sizeof path[at], "%s/%s.so", dir ? dir : ".", name);
    return path[at];
}

/* 0, or what the set or the worker said no with. */
static inline int fixture_try_with(struct fixture *f, const struct step_spec *specs, unsigned count,
    const struct weir_plugin *overrides, bool unsafe)
{
    *f = (struct fixture){.work = {{fake_now, fake_processor, fake_burn}, .now = 1000}};
    f->place =
        (struct step_place){.work = &f->work.work, .threads = 2, .log = keep_line, .log_ctx = f};
    f->out = (struct growing){.output.grow = growing_grow, .max = 1 << 20};
    int rc = step_set_new(&f->set, specs, count, overrides, unsafe, &f->error);
    if (rc)
        return rc;
    rc = step_worker_new(&f->worker, f->set, &f->place, &f->error);
    if (rc)
        step_set_free(f->set);
    return rc;
}

static inline int fixture_try(
    struct fixture *f, const struct step_spec *specs, unsigned count, bool unsafe)
{
    return fixture_try_with(f, specs, count, NULL, unsafe);
}

static inline void fixture_open(
    struct fixture *f, const struct step_spec *specs, unsigned count, bool unsafe)
{
    if (fixture_try(f, specs, count, unsafe))
        fail_msg("%s", f->error.sentence);
}

static inline void fixture_close(struct fixture *f)
{
    step_worker_free(f->worker);
    step_set_free(f->set);
    mem_free(f->out.output.base);
}

static inline enum step_outcome fixture_call(struct fixture *f, unsigned step, struct span input)
{
    if (f->call.deadline == 0)
        f->call.deadline = DEADLINE_NEVER;
    f->call.step = step;
    f->call.input = input;
    f->call.output = &f->out.output;
    step_worker_call(f->worker, &f->call);
    return f->call.outcome;
}

#define check_output(f, text)                                                             \
    do {                                                                                  \
        struct span is_ = {(f)->out.output.base, (f)->out.output.len};                    \
        if ((f)->call.outcome != STEP_DONE)                                               \
            fail_msg("outcome %d: %s", (int)(f)->call.outcome, (f)->call.error.sentence); \
        if (!span_equal(is_, span_of(text)))                                              \
            fail_msg("%.*s, and not %s", SPAN_ARG(is_), text);                            \
    } while (0)

#define check_error(f, outcome_, type_, sentence_)                                 \
    do {                                                                           \
        assert_int_equal((f)->call.outcome, outcome_);                             \
        assert_string_equal((f)->call.error.type, type_);                          \
        if (!strstr((f)->call.error.sentence, sentence_))                          \
            fail_msg("%s, and not ...%s...", (f)->call.error.sentence, sentence_); \
        assert_int_equal((f)->out.output.len, 0);                                  \
    } while (0)
