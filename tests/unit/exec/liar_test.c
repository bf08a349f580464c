/*
 * A worker process that speaks the protocol and lies: what the server believes of it.
 */
#include "../pool/real_workers.h"

#include "base/bytes.h"
#include "wire/worker.h"
#include "world/plain.h"

/* ---- The worker: its tasks' inputs say how it lies ---- */

static void say(const struct worker_frame *f)
{
    struct bytes out;
    bytes_init(&out, 1 << 16);
    check(worker_encode(&out, f) == 0, "no memory");
    int rc = plain_write(PLAIN_CHANNEL, &(struct iovec){out.ptr, out.len}, 1);
    (void)rc; /* it has been killed for it already */
    bytes_release(&out);
}

static bool wants(struct span input, const char *how)
{
    return input.len > 2 && span_equal((struct span){input.ptr + 1, input.len - 2}, span_of(how));
}

static void answer(const struct worker_task *t)
{
    struct worker_frame f = {.kind = WORKER_RESULT,
        .result = {.id = t->id, .outcome = WORKER_DONE, .output.inside = t->input.inside}};
    if (wants(t->input.inside, "long"))
        f.result.wall_ns = f.result.processor_ns = INT64_MAX;
    if (wants(t->input.inside, "busy"))
        f.result.processor_ns = INT64_MAX;
    if (wants(t->input.inside, "nothing"))
        f.result.output.inside = (struct span){0};
    say(&f);
}

static void obey(const struct worker_frame *f)
{
    if (f->kind == WORKER_SETUP)
        say(&(struct worker_frame){
            .kind = WORKER_READY, .text = SPAN("{\"protocol\":1,\"pid\":1}")});
    if (f->kind == WORKER_TASK)
        answer(&f->task);
}

static int lie(void)
{
    struct bytes in;
    struct worker_frame f;
    struct error e;
    bytes_init(&in, 1 << 16);
    if (plain_begin() != 0)
        return 1;
    for (;;) {
        ssize_t n = bytes_reserve(&in, 4096) == 0
                        ? plain_read(PLAIN_CHANNEL, in.ptr + in.len, in.size - in.len)
                        : 0;
        if (n <= 0)
            break;
        in.len += (size_t)n;
        while ((n = worker_decode(&f, bytes_span(&in), &e)) > 0) {
            obey(&f);
            bytes_consume(&in, (size_t)n);
        }
    }
    bytes_release(&in);
    return 0;
}

/* ---- Its server ---- */

TEST_ROLE(lying_worker)
{
    return lie();
}

static const char *liar_argv[] = {"/proc/self/exe", "lying_worker", NULL};

static void use_liars(struct scene *s)
{
    use_workers(s);
    s->worker_argv = liar_argv;
}

static void claims(struct scene *s, const char *input)
{
    struct pool_call c = call_of(s, "echo", input);
    int64_t began = world_now(w);
    assert_int_equal(pool_call(s->client, s->pool, &c), 0);
    int64_t took = world_now(w) - began;
    assert_in_range(c.wall_ns, 0, took);
    assert_in_range(c.processor_ns, 0, c.wall_ns);
    pool_call_release(&c);
}

POOL_TEST(no_task_takes_longer_than_it_was_waited_for, CONF_POOL_PROCESSES, 1, use_liars)
{
    gives(s, "echo", "\"true\"", "\"true\"");
    claims(s, "\"long\"");
    claims(s, "\"busy\"");
    claims(s, "\"true\"");
    int64_t cost = cost_average(&s->pool->costs[pool_step(s->pool, "echo")], 6);
    assert_in_range(cost, 0, HANG_NS); /* time: and not the centuries that it claims */
}

POOL_TEST(nothing_is_no_output, CONF_POOL_PROCESSES, 1, use_liars)
{
    struct real_call r = {.scene = s, .step = "echo", .input = "\"nothing\""};
    real_call(&r);
    assert_int_equal(r.outcome, POOL_DIED);
    assert_non_null(strstr(r.sentence, "what is done has no output"));
    gives(s, "echo", "\"true\"", "\"true\"");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_task_takes_longer_than_it_was_waited_for),
    cmocka_unit_test(nothing_is_no_output),
};

TEST_FILE(liar)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
