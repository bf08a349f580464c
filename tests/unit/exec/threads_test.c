/*
 * Pools of threads, real ones: what callers see of them, on one I/O thread and on several.
 */
#include "../world/uv_fixture.h"

#include "../pool/fixture.h"

#include "base/rand.h"
#include "exec/client.h"

#include <dlfcn.h>

#define CALLERS 32
#define CALLS   60

static void calls_come_back_in_pool(struct scene *s)
{
    for (unsigned i = 0; i < 100; i++)
        gives(s, "echo", "{\"a\": [1, \"b\"]}", "{\"a\":[1,\"b\"]}");
    struct pool_call c = call_of(s, "burn", "{\"ms\": 2}");
    require(pool_call(s->client, s->pool, &c) == 0);
    require(c.processor_ns >= 2 * NS_PER_MS && c.wall_ns >= 2 * NS_PER_MS);
    pool_call_release(&c);
    require(eventually(w, pools_ready(s->pools)));
}

static int calls_come_back_main(void *arg)
{
    with_pool(w, CONF_POOL_THREADS, 2, NULL, calls_come_back_in_pool);
    return 0;
}

static void calls_come_back(void **state)
{
    run_in_world(calls_come_back_main);
}

/* ---- Crowds ---- */

struct crowd {
    struct pool_client *client;
    struct pool *pool;
    struct rand rand;
    unsigned outcomes[POOL_OUTCOMES];
    unsigned next;
};

static void call_once(struct crowd *crowd, unsigned n)
{
    char input[32];
    bool burns = rand_ppm(&crowd->rand, 300000);
    if (burns)
        snprintf(input, sizeof(input), "{\"us\": %u}", (unsigned)rand_below(&crowd->rand, 300));
    else
        snprintf(input, sizeof(input), "%u", n);
    int64_t now = world_now(crowd->client->world);
    CORO_DEADLINE(rand_ppm(&crowd->rand, 300000)
                      ? now + (int64_t)rand_below(&crowd->rand, 400) * NS_PER_US
                      : DEADLINE_NEVER);
    struct pool_call c = POOL_CALL(.step = burns ? 1 : 0, .input = span_of(input));
    int rc = pool_call(crowd->client, crowd->pool, &c);
    crowd->outcomes[c.outcome]++;
    switch (c.outcome) {
    case POOL_DONE:
        require(rc == 0);
        require(burns || span_equal(c.output, span_of(input)));
        break;
    case POOL_EXPIRED:
        require(rc == -ETIMEDOUT);
        break;
    case POOL_CANCELLED:
        require(rc == -ECANCELED);
        break;
    case POOL_OVERLOADED: /* it would not have come in time */
        require(rc == -ENOBUFS && c.retry_after > 0);
        break;
    default:
        bug("%s", c.error.sentence);
    }
    pool_call_release(&c);
}

static int call_many(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; i < CALLS && !coro_cancelled(coro_self()); i++)
        call_once(crowd, crowd->next++);
    return 0;
}

/* Twice as many callers as there may be, of whom half are cancelled at some moment. */
static void run_crowd(struct crowd *crowd, uint64_t seed)
{
    rand_init(&crowd->rand, seed);
    GROUP(staying, GROUP_INDEPENDENT);
    GROUP(leaving, GROUP_INDEPENDENT);
    for (unsigned i = 0; i < CALLERS; i++) {
        require(group_spawn(&staying, "stays", call_many, crowd) == 0);
        require(group_spawn(&leaving, "leaves", call_many, crowd) == 0);
    }
    require(world_sleep(
                crowd->client->world, (int64_t)rand_below(&crowd->rand, 3000) * NS_PER_US) == 0);
    group_cancel(&leaving);
    require(group_wait(&leaving) == 0);
    require(group_wait(&staying) == 0);
    unsigned all = 0;
    for (unsigned i = 0; i < POOL_OUTCOMES; i++)
        all += crowd->outcomes[i];
    require(all == crowd->next);
    require(crowd->outcomes[POOL_DONE] > 0);
}

static void a_crowd_comes_and_goes_in_pool(struct scene *s)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct crowd crowd = {.client = s->client, .pool = s->pool};
        run_crowd(&crowd, seed);
    }
}

static int a_crowd_comes_and_goes_main(void *arg)
{
    with_pool(w, CONF_POOL_THREADS, 3, NULL, a_crowd_comes_and_goes_in_pool);
    return 0;
}

static void a_crowd_comes_and_goes(void **state)
{
    run_in_world(a_crowd_comes_and_goes_main);
}

/* ---- Several I/O threads ---- */

#define DESKS 3

struct io {
    struct scene *scene;
    unsigned index;
    struct thread *thread;
};

static int run_io(struct world *world, void *arg)
{
    struct io *io = arg;
    struct pool_client *d;
    struct error e;
    require(pool_client_new(&d, io->scene->pools, io->index, world) == 0);
    GROUP(client, GROUP_FAIL_FAST);
    require(group_spawn(&client, "desk", pool_client_run, d) == 0);
    check(pool_client_ready(d, &e) == 0, "%s", e.sentence);
    struct crowd crowd = {.client = d, .pool = io->scene->pool};
    run_crowd(&crowd, io->index);
    pool_client_leave(d);
    require(group_wait(&client) == 0);
    pool_client_free(d);
    return 0;
}

static int several_threads_share_a_pool_main(void *arg)
{
    struct scene s;
    struct error e;
    scene_init(&s, CONF_POOL_THREADS, 2);
    s.clients = DESKS;
    scene_add(&s, "echo");
    scene_add(&s, "burn");
    check(scene_make(&s, NULL, &e) == 0, "%s", e.sentence);
    struct io io[DESKS];
    for (unsigned i = 0; i < DESKS; i++) {
        io[i] = (struct io){.scene = &s, .index = i};
        require(world_thread(w, "io", run_io, &io[i], &io[i].thread) == 0);
    }
    for (unsigned i = 0; i < DESKS; i++) {
        int result;
        require(thread_wait(io[i].thread, &result) == 0 && result == 0);
    }
    for (unsigned i = 0; i < DESKS; i++)
        thread_close(io[i].thread);
    pools_free(s.pools);
    return 0;
}

static void several_threads_share_a_pool(void **state)
{
    run_in_world(several_threads_share_a_pool_main);
}

/* ---- The end ---- */

/* As queue.c does it, up to the moment before it wakes. */
static struct worker *pick_a_hand(struct queue *q)
{
    struct worker *h = NULL;
    while (!h) {
        require(world_sleep(w, NS_PER_MS) == 0); /* time: how often it looks */
        pthread_mutex_lock(&q->lock);
        if (!list_empty(&q->idle)) {
            h = list_first(&q->idle, struct worker, idle);
            list_del(&h->idle);
            q->idle_count--;
            h->picked++;
        }
        pthread_mutex_unlock(&q->lock);
    }
    return h;
}

/* Who was kept from running between picking a worker and waking it finds it alive, although the end
 * of the other worker has ended this one meanwhile. */
static int the_end_waits_for_who_wakes_main(void *arg)
{
    struct scene s;
    struct error e = {0};
    scene_init(&s, CONF_POOL_THREADS, 2);
    scene_add(&s, "echo");
    require(scene_make(&s, w, &e) == 0);
    s.ended = -EBUSY;
    GROUP(client, GROUP_INDEPENDENT);
    check(scene_begin(&s, &client, &e) == 0, "%s", e.sentence);
    struct worker *h = pick_a_hand(&s.pool->queue);
    pool_client_leave(s.client);
    require(world_sleep(w, 50 * NS_PER_MS) == 0); /* time: enough for an end that does not wait */
    require(s.ended == -EBUSY);
    h->wake(h, NULL);
    require(group_wait(&client) == 0 && s.ended == 0);
    pool_client_free(s.client);
    pools_free(s.pools);
    return 0;
}

static void the_end_waits_for_who_wakes(void **state)
{
    run_in_world(the_end_waits_for_who_wakes_main);
}

/* ---- Inits ---- */

struct bad_inits {
    atomic_bool held;
    atomic_int ended;
};

static struct bad_inits *bad_inits(void)
{
    void *handle = dlopen(getenv("BAD_INIT_PLUGIN"), RTLD_NOW | RTLD_NODELETE);
    require(handle);
    struct bad_inits *inits = dlsym(handle, "bad_inits");
    require(inits);
    dlclose(handle);
    return inits;
}

/* On the loop that waits for the init, too: so the wait's end always comes first. */
static int let_go_later(void *arg)
{
    int rc = world_sleep(w, 600 * NS_PER_MS); /* time: later than a `start` of 100 ms */
    bad_inits()->held = false;
    return rc;
}

static int refusal(enum conf_pool_kind kind, const char *step, int64_t start, const char *sentence)
{
    struct conf_step conf = {
        .name = step, .plugin = getenv("BAD_INIT_PLUGIN"), .step = step, .pool = "p"};
    struct scene s;
    struct error e = {0};
    scene_init(&s, kind, 2);
    s.conf.start = start;
    s.steps = &conf;
    s.step_count = 1;
    scene_add(&s, step);
    check(scene_make(&s, w, &e) == 0, "%s", e.sentence);
    GROUP(client, GROUP_INDEPENDENT);
    GROUP(later, GROUP_INDEPENDENT);
    bad_inits()->held = true;
    require(group_spawn(&later, "later", let_go_later, NULL) == 0);
    require(scene_begin(&s, &client, &e) == -EINVAL);
    require(group_wait(&later) == 0);
    check(strstr(e.sentence, sentence) && strstr(e.sentence, "pool 'p'"), "%s", e.sentence);
    /* time: none; an init that was only late has ended by now, so its worker may be ready. */
    require(start < NS_PER_S || !pools_ready(s.pools));
    scene_end(&s, &client);
    return 0;
}

static int a_failing_init_is_refused_main(void *arg)
{
    refusal(CONF_POOL_THREADS, "refuse", 30 * NS_PER_S, "the model is not there");
    return refusal(CONF_POOL_INLINE, "refuse", 30 * NS_PER_S, "the model is not there");
}

static void a_failing_init_is_refused(void **state)
{
    run_in_world(a_failing_init_is_refused_main);
}

static int a_hanging_init_is_refused_main(void *arg)
{
    refusal(CONF_POOL_THREADS, "dawdle", 100 * NS_PER_MS, "did not end within 0.1 s");
    return refusal(CONF_POOL_INLINE, "dawdle", 100 * NS_PER_MS, "did not end within 0.1 s");
}

static void a_hanging_init_is_refused(void **state)
{
    run_in_world(a_hanging_init_is_refused_main);
}

/* Its init takes longer than `start`: the pool's worker does the work, and the client ends well
 * since the init has ended by then. */
static int a_late_inline_worker_is_done_without_main(void *arg)
{
    struct conf_step conf = {
        .name = "late", .plugin = getenv("BAD_INIT_PLUGIN"), .step = "dawdle-inline", .pool = "p"};
    struct scene s;
    struct error e = {0};
    scene_init(&s, CONF_POOL_THREADS, 1);
    s.conf.start = 2 * NS_PER_S; /* time: in which the worker must have begun */
    s.steps = &conf;
    s.step_count = 1;
    scene_add(&s, "late");
    check(scene_make(&s, w, &e) == 0, "%s", e.sentence);
    GROUP(client, GROUP_INDEPENDENT);
    bad_inits()->held = true;
    int ended = bad_inits()->ended;
    check(scene_begin(&s, &client, &e) == 0, "%s", e.sentence);
    struct pool_call c = call_of(&s, "late", "1");
    struct pool_call *calls[] = {&c};
    enum placement placed;
    require(pool_call_all(s.client, s.pool, calls, 1, POOL_INLINE, &placed) == 0);
    require(c.outcome == POOL_DONE && placed == PLACE_FANOUT);
    pool_call_release(&c);
    bad_inits()->held = false;
    require(eventually(w, bad_inits()->ended > ended));
    gives(&s, "late", "1", "null");
    scene_end(&s, &client);
    return 0;
}

static void a_late_inline_worker_is_done_without(void **state)
{
    run_in_world(a_late_inline_worker_is_done_without_main);
}

TEST_FILE(threads)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_come_back),
        cmocka_unit_test(a_crowd_comes_and_goes),
        cmocka_unit_test(several_threads_share_a_pool),
        cmocka_unit_test(the_end_waits_for_who_wakes),
        cmocka_unit_test(a_failing_init_is_refused),
        cmocka_unit_test(a_hanging_init_is_refused),
        cmocka_unit_test(a_late_inline_worker_is_done_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
