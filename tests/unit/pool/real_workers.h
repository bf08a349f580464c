/*
 * real_workers.h: pools of worker processes in the real world. The test program is its own worker:
 * as_worker.c.
 *
 * What the pools log is kept, so that tests can ask what was said.
 */
#pragma once

#include "../world/uv_fixture.h"
#include "fixture.h"

#include "exec/client.h"

#include <pthread.h>

static struct {
    pthread_mutex_t lock;
    char text[64 * 1024];
    size_t len;
} said = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void keep_line(void *ctx, const char *line, size_t len)
{
    pthread_mutex_lock(&said.lock);
    if (len < sizeof(said.text) - said.len) {
        memcpy(said.text + said.len, line, len);
        said.len += len;
        said.text[said.len] = '\0';
    }
    pthread_mutex_unlock(&said.lock);
    if (getenv("SHOW_LOG"))
        fprintf(stderr, "%.*s", (int)len, line);
}

static inline int64_t no_time(void *ctx)
{
    return 0;
}

static inline int times_said(const char *text)
{
    int times = 0;
    pthread_mutex_lock(&said.lock);
    for (const char *at = said.text; (at = strstr(at, text)); at++)
        times++;
    pthread_mutex_unlock(&said.lock);
    return times;
}

static inline bool was_said(const char *text)
{
    return times_said(text) > 0;
}

static struct log test_log = {.level = LOG_INFO, .sink = keep_line, .wall_ns = no_time};
static const char *worker_argv[] = {"/proc/self/exe", "as_worker", NULL};

/* What `change` of with_pool begins with. */
static inline void use_workers(struct scene *s)
{
    s->worker_argv = worker_argv;
    s->unsafe = true;
    s->log = &test_log;
    scene_add(s, "crash");
}

static inline uint64_t restarts(struct scene *s, enum pool_restart why)
{
    return atomic_load(&s->pool->restarts[why]);
}

/* Calibration may have had one killed, too, if the machine let it stand; that is over then. */
static inline uint64_t cancelled_so_far(struct scene *s)
{
    gives(s, "echo", "[1]", "[1]");
    return restarts(s, RESTART_CANCELLED);
}

static inline void open_logged_world(void)
{
    struct uv_world_options options = {.name = "test", .watchdog_ns = -1, .log = &test_log};
    assert_int_equal(uv_world_open(&w, &options), 0);
}

static inline int count_children(void)
{
    char path[64];
    char text[256] = "";
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    char *got = fgets(text, sizeof(text), f);
    fclose(f);
    int count = 0;
    for (char *c = text; got && *c; c++)
        count += *c == ' ';
    return count;
}

static inline void run_logged(coro_fn *fn)
{
    open_world(&w); /* what libuv makes once is not counted */
    uv_world_close(w);
    int before = count_descriptors();
    said.len = 0;
    said.text[0] = '\0';
    open_logged_world();
    assert_int_equal(uv_world_run(w, "test", fn, NULL), 0);
    uv_world_close(w);
    assert_int_equal(count_descriptors(), before);
    assert_int_equal(count_children(), 0);
}

/* A cmocka test `name` with a pool of `workers` workers. */
#define POOL_TEST(name, kind, workers, change)               \
    static void name##_in_pool(struct scene *s);             \
    static int name##_fn(void *arg)                          \
    {                                                        \
        with_pool(w, kind, workers, change, name##_in_pool); \
        return 0;                                            \
    }                                                        \
    static void name(void **state)                           \
    {                                                        \
        run_logged(name##_fn);                               \
    }                                                        \
    static void name##_in_pool(struct scene *s)

/* ---- Calls ---- */

struct real_call {
    struct scene *scene;
    const char *step;
    const char *input;
    bool retry;
    int64_t within_ns; /* 0: a minute */
    int rc;
    enum pool_outcome outcome;
    char sentence[ERROR_SENTENCE_MAX];
    char output[256];
    int64_t took_ns;
};

static inline int real_call(void *arg)
{
    struct real_call *r = arg;
    int64_t began = world_now(w);
    CORO_DEADLINE(began + (r->within_ns ? r->within_ns : 60 * NS_PER_S));
    struct pool_call c = call_of(r->scene, r->step, r->input);
    c.retry = r->retry;
    c.name = SPAN("request-7");
    r->rc = pool_call(r->scene->client, r->scene->pool, &c);
    r->outcome = c.outcome;
    snprintf(r->sentence, sizeof(r->sentence), "%s", c.error.sentence);
    snprintf(r->output, sizeof(r->output), "%.*s", SPAN_ARG(c.output));
    r->took_ns = world_now(w) - began;
    pool_call_release(&c);
    return 0;
}

static inline struct real_call crash(struct scene *s, const char *input)
{
    return (struct real_call){.scene = s, .step = "crash", .input = input};
}

/* A caller leaves a task that never ends. False: it had left before the task was begun, which then
 * costs no worker. */
static inline bool left_task_is_killed(struct scene *s)
{
    struct real_call r = crash(s, "{\"how\": \"hang\"}");
    uint64_t before = cancelled_so_far(s);
    r.within_ns = 500 * NS_PER_MS; /* time: to be begun in, which may be tried again */
    real_call(&r);
    assert_int_equal(r.rc, -ETIMEDOUT);
    gives(s, "echo", "[1]", "[1]");
    assert_in_range(restarts(s, RESTART_CANCELLED), before, before + 1);
    return restarts(s, RESTART_CANCELLED) == before + 1;
}

/* A crash that is to have this outcome, with a sentence that says this; and the pool is whole
 * after. */
static inline void crashes(
    struct scene *s, const char *input, enum pool_outcome outcome, const char *sentence)
{
    struct real_call r = crash(s, input);
    real_call(&r);
    check(
        r.rc < 0 && r.outcome == outcome, "%s: outcome %d: %s", input, (int)r.outcome, r.sentence);
    check(strstr(r.sentence, sentence), "%s: %s", input, r.sentence);
    gives(s, "echo", "[1]", "[1]");
}
