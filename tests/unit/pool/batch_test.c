/*
 * batch_test.c: steps that are called with several tasks at once, in pools of threads and of real
 * worker processes: each task has its own end, whatever becomes of the others.
 */
#include "real_workers.h"

#include <dlfcn.h>

#define PROCESSES CONF_POOL_PROCESSES
#define THREADS   CONF_POOL_THREADS
#define CROWD     24

static char plugin[512];

static struct conf_step batching[] = {
    {.name = "hold", .plugin = plugin, .step = "hold", .batch = {.max = 1}},
    {.name = "twice", .plugin = plugin, .step = "twice", .batch = {.max = 16}},
    {.name = "crash", .step = "crash", .batch = {.max = 64}},
    {.name = "burn", .step = "burn", .batch = {.max = 64}},
    {.name = "echo", .step = "echo", .batch = {.max = 64}},
};

static void use_batches(struct scene *s)
{
    const char *dir = getenv("PLUGINS");
    snprintf(plugin, sizeof(plugin), "%s/batch.so", dir ? dir : ".");
    use_workers(s);
    scene_add(s, "twice");
    scene_add(s, "hold");
    s->steps = batching;
    s->step_count = sizeof(batching) / sizeof(*batching);
}

/* ---- A crowd ---- */

struct hold {
    struct real_call call;
    const char *directory;
    char path[64];
    char input[72];
    int fd;
};

struct crowd {
    struct real_call calls[CROWD];
    char inputs[CROWD][64];
    unsigned count;
};

static void crowd_add(struct crowd *c, struct scene *s, const char *step, const char *input)
{
    struct real_call *r = &c->calls[c->count];
    snprintf(c->inputs[c->count], sizeof(c->inputs[0]), "%s", input);
    *r = (struct real_call){.scene = s, .step = step, .input = c->inputs[c->count]};
    c->count++;
}

/* Has the only worker held, by a task that is in its step when this returns. */
static void hold_begin(struct hold *h, struct scene *s, struct group *g)
{
    h->directory = make_directory();
    snprintf(h->path, sizeof(h->path), "%s/fifo", h->directory);
    snprintf(h->input, sizeof(h->input), "\"%s\"", h->path);
    require(mkfifo(h->path, 0600) == 0);
    h->call = (struct real_call){.scene = s, .step = "hold", .input = h->input};
    require(group_spawn(g, "holds", real_call, &h->call) == 0);
    require(eventually(w, (h->fd = open(h->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) >= 0));
}

static void hold_end(struct hold *h, struct group *g)
{
    close(h->fd);
    require(group_wait(g) == 0);
    check(h->call.outcome == POOL_DONE, "%s", h->call.sentence);
    unlink(h->path);
    remove_directory(h->directory);
}

/* All at once, behind a task that has the only worker: so that they are taken together. When they
 * run the first `leavers` of them are cancelled. */
static void crowd_call_and_leave(struct crowd *c, struct scene *s, unsigned leavers)
{
    struct hold hold;
    GROUP(holding, GROUP_INDEPENDENT);
    GROUP(staying, GROUP_INDEPENDENT);
    GROUP(leaving, GROUP_INDEPENDENT);
    hold_begin(&hold, s, &holding);
    for (unsigned i = 0; i < c->count; i++) {
        struct group *g = i < leavers ? &leaving : &staying;
        require(group_spawn(g, "caller", real_call, &c->calls[i]) == 0);
    }
    require(coro_yield() == 0); /* all have called */
    hold_end(&hold, &holding);
    /* A worker gives what it takes to its worker without a pause. */
    require(leavers == 0 || eventually(w, atomic_load(&s->pool->queue.length) == 0));
    group_cancel(&leaving);
    require(group_wait(&leaving) == 0);
    require(group_wait(&staying) == 0);
}

static void crowd_call(struct crowd *c, struct scene *s)
{
    crowd_call_and_leave(c, s, 0);
}

static void add_numbers(struct crowd *c, struct scene *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char input[32];
        snprintf(input, sizeof(input), "{\"n\": %u}", i);
        crowd_add(c, s, "twice", input);
    }
}

static void gave_twice(const struct real_call *r, unsigned n)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", 2 * n);
    check(r->outcome == POOL_DONE && strcmp(r->output, text) == 0, "%u: %d, %s%s", n,
        (int)r->outcome, r->output, r->sentence);
}

/* ---- What comes back ---- */

static void each_gets_its_own(struct scene *s)
{
    struct crowd c = {.count = 0};
    add_numbers(&c, s, CROWD - 2);
    crowd_add(&c, s, "twice", "{\"what\": \"bad\"}");
    crowd_add(&c, s, "twice", "{\"what\": \"refused\"}");
    crowd_call(&c, s);
    for (unsigned i = 0; i < CROWD - 2; i++)
        gave_twice(&c.calls[i], i);
    require(c.calls[CROWD - 2].outcome == POOL_REJECTED);
    require(c.calls[CROWD - 1].outcome == POOL_REJECTED);
    require(strstr(c.calls[CROWD - 1].sentence, "is bad"));
    gives(s, "twice", "{\"n\": 4}", "8");
    gives(s, "echo", "[1]", "[1]");
}

struct batch_counts {
    _Atomic int batches;
    _Atomic int tasks;
    _Atomic int runs;
};

POOL_TEST(threads_call_several_at_once, THREADS, 1, use_batches)
{
    void *handle = dlopen(plugin, RTLD_NOW | RTLD_NODELETE);
    require(handle);
    struct batch_counts *counts = dlsym(handle, "batch_counts");
    require(counts);
    dlclose(handle);
    *counts = (struct batch_counts){0};
    struct crowd c = {.count = 0};
    add_numbers(&c, s, 16);
    crowd_call(&c, s);
    for (unsigned i = 0; i < 16; i++)
        gave_twice(&c.calls[i], i);
    require(counts->tasks + counts->runs == 16);
    check(counts->batches > 0 && counts->tasks > 8, "%d tasks in %d batches", counts->tasks,
        counts->batches);
}

POOL_TEST(in_threads_each_gets_its_own, THREADS, 1, use_batches)
{
    each_gets_its_own(s);
}

POOL_TEST(in_processes_each_gets_its_own, PROCESSES, 1, use_batches)
{
    each_gets_its_own(s);
}

struct many {
    struct scene *scene;
    unsigned from;
};

static int call_many(void *arg)
{
    struct many *m = arg;
    for (unsigned i = m->from; i < m->from + 40; i++) {
        char input[32];
        char output[16];
        snprintf(input, sizeof(input), "{\"n\": %u}", i);
        snprintf(output, sizeof(output), "%u", 2 * i);
        gives(m->scene, "twice", input, output);
    }
    return 0;
}

static void call_from_many(struct scene *s)
{
    struct many many[32];
    GROUP(g, GROUP_INDEPENDENT);
    for (unsigned i = 0; i < 32; i++) {
        many[i] = (struct many){.scene = s, .from = i * 1000};
        require(group_spawn(&g, "caller", call_many, &many[i]) == 0);
    }
    require(group_wait(&g) == 0);
}

POOL_TEST(many_callers_of_threads, THREADS, 2, use_batches)
{
    call_from_many(s);
}

POOL_TEST(many_callers_of_processes, PROCESSES, 2, use_batches)
{
    call_from_many(s);
}

/* ---- Large inputs ---- */

#define LARGE 40000

static int call_large(void *arg)
{
    struct many *m = arg;
    char *input = malloc(LARGE + 64);
    require(input);
    int len = snprintf(input, 64, "{\"n\": %u, \"filler\": \"", m->from);
    memset(input + len, 'x', LARGE);
    memcpy(input + len + LARGE, "\"}", 3);
    char output[16];
    snprintf(output, sizeof(output), "%u", 2 * m->from);
    gives(m->scene, "twice", input, output);
    free(input);
    return 0;
}

static void large_inputs_go_together(struct scene *s)
{
    struct many many[12];
    struct real_call before = {.scene = s, .step = "allocate"};
    before.input = "{\"bytes\": 1, \"keep_ms\": 30}";
    GROUP(g, GROUP_INDEPENDENT);
    require(group_spawn(&g, "before", real_call, &before) == 0);
    require(coro_yield() == 0);
    for (unsigned i = 0; i < 12; i++) {
        many[i] = (struct many){.scene = s, .from = i};
        require(group_spawn(&g, "caller", i % 4 == 3 ? call_many : call_large, &many[i]) == 0);
    }
    require(group_wait(&g) == 0);
}

static void with_small_values(struct scene *s)
{
    use_batches(s);
    s->conf.value = 128 * 1024; /* three of them */
}

POOL_TEST(large_inputs_go_together_in_processes, PROCESSES, 1, use_batches)
{
    large_inputs_go_together(s);
}

POOL_TEST(as_many_as_there_is_room_for_in_processes, PROCESSES, 1, with_small_values)
{
    large_inputs_go_together(s);
}

POOL_TEST(as_many_as_there_is_room_for_in_threads, THREADS, 1, with_small_values)
{
    large_inputs_go_together(s);
}

/* ---- Deaths ---- */

static void add_survivors(struct crowd *c, struct scene *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        crowd_add(c, s, "crash", "{\"how\": \"none\"}");
}

static void all_survive(const struct crowd *c, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        check(c->calls[i].outcome == POOL_DONE, "%u: %s", i, c->calls[i].sentence);
}

POOL_TEST(a_death_is_told_to_the_one_that_kills_alone, PROCESSES, 1, use_batches)
{
    struct crowd c = {.count = 0};
    add_survivors(&c, s, 5);
    crowd_add(&c, s, "crash", "{\"how\": \"kill\"}");
    add_survivors(&c, s, 6);
    crowd_call(&c, s);
    all_survive(&c, 0, 5);
    all_survive(&c, 6, 12);
    require(c.calls[5].outcome == POOL_DIED);
    require(strstr(c.calls[5].sentence, "was killed by signal 9"));
    require(restarts(s, RESTART_DIED) == 2);
    require(was_said(" and 11 others together"));
    gives(s, "echo", "[1]", "[1]");
}

POOL_TEST(what_may_be_tried_again_kills_three, PROCESSES, 1, use_batches)
{
    struct crowd c = {.count = 0};
    add_survivors(&c, s, 3);
    crowd_add(&c, s, "crash", "{\"how\": \"kill\"}");
    c.calls[3].retry = true;
    crowd_call(&c, s);
    all_survive(&c, 0, 3);
    require(c.calls[3].outcome == POOL_DIED);
    require(restarts(s, RESTART_DIED) == 3);
    require(was_said("poison"));
}

static void limit_time(struct scene *s)
{
    use_batches(s);
    s->conf.hard_timeout = 2 * NS_PER_S; /* time: what is held and what survives must end in it */
}

POOL_TEST(so_is_what_takes_too_long, PROCESSES, 1, limit_time)
{
    struct crowd c = {.count = 0};
    add_survivors(&c, s, 3);
    crowd_add(&c, s, "crash", "{\"how\": \"hang\"}");
    crowd_call(&c, s);
    all_survive(&c, 0, 3);
    require(c.calls[3].outcome == POOL_TIMEOUT);
    require(restarts(s, RESTART_TIMEOUT) == 2);
}

/* ---- Who leaves ---- */

POOL_TEST(a_batch_that_all_have_left_gives_up, PROCESSES, 1, use_batches)
{
    struct crowd c = {.count = 0};
    for (unsigned i = 0; i < 3; i++)
        crowd_add(&c, s, "burn", "{\"ms\": 60000}");
    int64_t began = world_now(w);
    crowd_call_and_leave(&c, s, 3);
    gives(s, "echo", "[1]", "[1]");
    require(world_now(w) - began < HANG_NS); /* time: and not the three minutes that they compute */
    for (unsigned i = 0; i < 3; i++)
        require(c.calls[i].outcome == POOL_CANCELLED);
}

static void kill_on_cancel(struct scene *s)
{
    use_batches(s);
    s->conf.on_cancel = CONF_KILL;
}

POOL_TEST(it_is_killed_when_all_have_left, PROCESSES, 1, kill_on_cancel)
{
    struct crowd c = {.count = 0};
    uint64_t before = cancelled_so_far(s);
    for (unsigned i = 0; i < 3; i++)
        crowd_add(&c, s, "crash", "{\"how\": \"hang\"}");
    crowd_call_and_leave(&c, s, 3);
    gives(s, "echo", "[1]", "[1]");
    require(restarts(s, RESTART_CANCELLED) == before + 1);
}

POOL_TEST(who_stays_gets_his_answer, PROCESSES, 1, kill_on_cancel)
{
    struct crowd c = {.count = 0};
    uint64_t before = cancelled_so_far(s);
    for (unsigned i = 0; i < 4; i++)
        crowd_add(&c, s, "burn", "{\"ms\": 60}");
    crowd_call_and_leave(&c, s, 3);
    check(c.calls[3].outcome == POOL_DONE, "%s", c.calls[3].sentence);
    require(restarts(s, RESTART_CANCELLED) == before);
}

/* ---- Figures ---- */

static void sizes_are_told(struct scene *s)
{
    struct bytes text;
    struct crowd c = {.count = 0};
    meter_seal(s->meter);
    add_numbers(&c, s, 16);
    crowd_call(&c, s);
    gives(s, "twice", "{\"n\": 4}", "8");
    bytes_init(&text, 1 << 20);
    require(meter_write(s->meter, &text) == 0 && bytes_append_byte(&text, '\0') == 0);
    /* Whoever was there when the first went; the last went alone. */
    require(
        strstr(text.ptr, "weir_pool_batch_tasks_sum{pool=\"p\",step=\"twice\"} 17.000000000\n"));
    require(!strstr(text.ptr, "weir_pool_batch_tasks_sum{pool=\"p\",step=\"allocate\"}"));
    require(!strstr(text.ptr, "weir_pool_batch_tasks_count{pool=\"p\",step=\"twice\"} 17\n"));
    bytes_release(&text);
}

static struct meter *meter;

static void use_meter(struct scene *s)
{
    use_batches(s);
    s->meter = meter;
}

static int tell_sizes(void *arg)
{
    const enum conf_pool_kind kinds[] = {THREADS, PROCESSES};
    for (unsigned i = 0; i < 2; i++) {
        require(meter_new(&meter, 1) == 0);
        with_pool(w, kinds[i], 1, use_meter, sizes_are_told);
        meter_free(meter);
    }
    return 0;
}

static void sizes_of_batches_are_told(void **state)
{
    run_logged(tell_sizes);
}

/* ---- Without memory ---- */

/* Each that was not done had no memory for it; and nothing hangs. */
static bool call_with_failing_memory(struct scene *s, uint64_t nth, bool onwards)
{
    struct crowd c = {.count = 0};
    add_numbers(&c, s, 6);
    crowd_add(&c, s, "twice", "{\"what\": \"bad\"}");
    struct real_call before = {.scene = s, .step = "allocate"};
    before.input = "{\"bytes\": 1, \"keep_ms\": 2}";
    GROUP(g, GROUP_INDEPENDENT);
    require(group_spawn(&g, "before", real_call, &before) == 0);
    require(coro_yield() == 0);
    for (unsigned i = 0; i < c.count; i++)
        require(group_spawn(&g, "caller", real_call, &c.calls[i]) == 0);
    mem_fail_at(nth, onwards);
    require(group_wait(&g) == 0);
    bool met = mem_count() >= nth;
    mem_fail_at(0, false);
    for (unsigned i = 0; i < 6; i++)
        if (c.calls[i].outcome != POOL_OUT_OF_MEMORY)
            gave_twice(&c.calls[i], i);
    require(c.calls[6].outcome == POOL_OUT_OF_MEMORY || c.calls[6].outcome == POOL_REJECTED);
    return met;
}

POOL_TEST(memory_may_run_out_in_threads, THREADS, 1, use_batches)
{
    for (int onwards = 0; onwards < 2; onwards++)
        for (uint64_t nth = 1; nth < 60; nth++)
            if (!call_with_failing_memory(s, nth, onwards))
                break;
    gives(s, "twice", "{\"n\": 4}", "8");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(threads_call_several_at_once),
    cmocka_unit_test(in_threads_each_gets_its_own),
    cmocka_unit_test(in_processes_each_gets_its_own),
    cmocka_unit_test(many_callers_of_threads),
    cmocka_unit_test(many_callers_of_processes),
    cmocka_unit_test(large_inputs_go_together_in_processes),
    cmocka_unit_test(as_many_as_there_is_room_for_in_processes),
    cmocka_unit_test(as_many_as_there_is_room_for_in_threads),
    cmocka_unit_test(a_death_is_told_to_the_one_that_kills_alone),
    cmocka_unit_test(what_may_be_tried_again_kills_three),
    cmocka_unit_test(so_is_what_takes_too_long),
    cmocka_unit_test(a_batch_that_all_have_left_gives_up),
    cmocka_unit_test(it_is_killed_when_all_have_left),
    cmocka_unit_test(who_stays_gets_his_answer),
    cmocka_unit_test(sizes_of_batches_are_told),
    cmocka_unit_test(memory_may_run_out_in_threads),
};

TEST_FILE(batch)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
