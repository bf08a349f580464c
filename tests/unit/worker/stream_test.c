/*
 * worker_stream_test.c: the same worker as a program in a simulated world: set up over its channel,
 * large values through memory, the clock as the simulation has it, and a death in the middle.
 */
#include "../world/sim_fixture.h"

#include "worker/io_stream.h"

#include <signal.h>
#include <stdatomic.h>

#define SHARED  ((size_t)1024 * 1024)
#define OUTPUTS ((size_t)512 * 1024)
#define LARGE   ((size_t)300000)

static int be_worker(struct world *w, void *arg)
{
    struct worker_stream s;
    struct stream *channel = sim_channel(w);
    struct shared *shared = sim_shared(w);
    worker_stream_init(&s, w, channel, shared, 77);
    int exit = (int)worker_serve(&s.io, true);
    stream_close(channel);
    if (shared)
        shared_close(shared);
    return exit;
}

/* ---- The server ---- */

struct scene {
    struct child *child;
    struct stream *channel;
    struct shared *shared;
    struct bytes in;
    size_t heard;
};

static void say(struct scene *s, const struct worker_frame *f)
{
    struct bytes out;
    bytes_init(&out, 65536);
    must(worker_encode(&out, f) == 0);
    must(stream_write(s->channel, &(struct iovec){out.ptr, out.len}, 1) == 0);
    bytes_release(&out);
}

/* The next frame; false at the end. */
static bool hear(struct scene *s, struct worker_frame *f)
{
    for (;;) {
        size_t left = s->in.len - s->heard;
        struct span rest = {left ? s->in.ptr + s->heard : NULL, left};
        ssize_t n = worker_decode(f, rest, NULL);
        must(n >= 0);
        s->heard += (size_t)n;
        if (n > 0)
            return true;
        if (stream_read_into(s->channel, &s->in, 4096) <= 0)
            return false;
    }
}

static void begin(struct world *w, struct scene *s)
{
    static const struct worker_setup_step steps[] = {
        {.name = "echo", .step = "echo"}, {.name = "burn", .step = "burn"}};
    const struct worker_setup setup = {.pool = "p",
        .steps = steps,
        .step_count = 2,
        .threads = 1,
        .value = 400000,
        .shared = SHARED,
        .outputs = OUTPUTS};
    struct bytes text;
    struct worker_frame f;
    int64_t pid;
    *s = (struct scene){0};
    bytes_init(&s->in, 1024 * 1024);
    bytes_init(&text, 65536);
    must(world_shared(w, SHARED, &s->shared) == 0);
    must(shared_grow(s->shared, WORKER_CONTROL_SIZE) == 0);
    must(world_spawn(w,
             &(struct spawn_options){.argv = (const char *const[]){"worker", NULL},
                 .channel = &s->channel,
                 .shared = s->shared},
             &s->child) == 0);
    must(worker_setup_write(&text, &setup) == 0);
    say(s, &(struct worker_frame){.kind = WORKER_SETUP, .text = bytes_span(&text)});
    bytes_release(&text);
    must(hear(s, &f) && f.kind == WORKER_READY);
    must(worker_ready_read(&pid, f.text, NULL) == 0 && pid == 77);
}

static void end(struct scene *s)
{
    child_close(s->child);
    stream_close(s->channel);
    shared_close(s->shared);
    bytes_release(&s->in);
}

static struct worker_frame a_task(uint64_t id, uint32_t step, const char *input)
{
    return (struct worker_frame){.kind = WORKER_TASK,
        .task = {.id = id, .step = step, .deadline = INT64_MAX, .input.inside = span_of(input)}};
}

/* ---- What it does ---- */

static int ask(struct world *w, void *arg)
{
    struct scene s;
    struct worker_frame f;
    begin(w, &s);
    int64_t before = world_now(w);
    f = a_task(1, 1, "{\"ms\":30}");
    say(&s, &f);
    must(hear(&s, &f) && f.kind == WORKER_RESULT && f.result.id == 1);
    must(f.result.outcome == WORKER_DONE && f.result.wall_ns == 30 * NS_PER_MS);
    must(world_now(w) - before >= 30 * NS_PER_MS);

    must(shared_grow(s.shared, WORKER_CONTROL_SIZE + LARGE + 8) == 0);
    char *in = shared_base(s.shared) + WORKER_CONTROL_SIZE;
    memset(in, 'x', LARGE);
    in[0] = in[LARGE - 1] = '"';
    f = (struct worker_frame){.kind = WORKER_TASK,
        .task = {.id = 2,
            .deadline = INT64_MAX,
            .input = {.shared = true, .offset = WORKER_CONTROL_SIZE, .length = LARGE}}};
    say(&s, &f);
    must(hear(&s, &f) && f.kind == WORKER_RESULT && f.result.id == 2);
    must(f.result.outcome == WORKER_DONE && f.result.output.shared);
    must(f.result.output.offset == OUTPUTS && f.result.output.length == LARGE);
    must(shared_size(s.shared) >= OUTPUTS + LARGE);
    must(shared_base(s.shared)[OUTPUTS + LARGE / 2] == 'x');

    struct child_exit exit;
    say(&s, &(struct worker_frame){.kind = WORKER_STOP});
    must(child_wait(s.child, &exit) == 0 && exit.status == 0 && exit.signal == 0);
    end(&s);
    return 0;
}

static int kill_it(struct world *w, void *arg)
{
    struct scene s;
    struct worker_frame f;
    struct child_exit exit;
    begin(w, &s);
    f = a_task(1, 0, "1");
    say(&s, &f);
    must(hear(&s, &f) && f.result.id == 1);
    f = a_task(2, 1, "{\"ms\":3000}");
    say(&s, &f);
    must(world_sleep(w, NS_PER_S) == 0);
    struct worker_control *control = (struct worker_control *)(void *)shared_base(s.shared);
    must(atomic_load(&control->running) == 2);
    must(child_signal(s.child, SIGKILL) == 0);
    must(child_wait(s.child, &exit) == 0 && exit.signal == SIGKILL);
    must(!hear(&s, &f));
    must(atomic_load(&control->running) == 2);
    end(&s);
    return 0;
}

static void run_with_worker(sim_main *main)
{
    struct universe u = open_default();
    assert_int_equal(sim_program(u.sim, "worker", be_worker, NULL), 0);
    struct sim_process *p = start(u.here, main, NULL);
    run(&u);
    assert_int_equal(sim_process_end(p).state, SIM_EXITED);
    assert_int_equal(sim_process_end(p).result, 0);
    sim_close(u.sim);
}

static void it_works_in_a_simulation(void **state)
{
    run_with_worker(ask);
}

static void it_is_killed_in_a_simulation(void **state)
{
    run_with_worker(kill_it);
}

TEST_FILE(stream)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_works_in_a_simulation),
        cmocka_unit_test(it_is_killed_in_a_simulation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
