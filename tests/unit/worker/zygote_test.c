/*
 * zygote_test.c: a process that forks a fresh child for each task.
 */
#include "fixture.h"

enum { ECHO, CRASH, COUNT, BURN, ALLOCATE };

static struct worker_setup_step steps[] = {
    {.name = "echo", .step = "echo"},
    {.name = "crash", .step = "crash"},
    {.name = "count", .step = "count", .options = {"{\"from\":7}", 10}},
    {.name = "burn", .step = "burn"},
    {.name = "allocate", .step = "allocate"},
};

static void start(struct process *p, uint64_t memory)
{
    process_start(p, false);
    send_setup(p, &(struct worker_setup){.pool = "cpu",
                      .forks = true,
                      .steps = steps,
                      .step_count = 5,
                      .threads = 1,
                      .value = 2 * 1024 * 1024,
                      .memory = memory,
                      .unsafe = true});
    hear_ready(p);
}

/* One child and its channel. */
struct task_channel {
    int fd;
    struct bytes in;
    size_t heard;
    pid_t pid;
};

/* The frame with the descriptor that its first byte comes with. */
static void send_passing(int to, struct span frame, int passed)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {(char *)(uintptr_t)frame.ptr, frame.len};
    struct msghdr message = {.msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control.room};
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &passed, sizeof passed);
    assert_int_equal(sendmsg(to, &message, MSG_NOSIGNAL), frame.len);
}

static void ask_fork(struct process *p, struct task_channel *c, uint64_t id)
{
    int pair[2];
    struct bytes out;
    *c = (struct task_channel){0};
    bytes_init(&c->in, 16 * 1024 * 1024);
    bytes_init(&out, 64);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(
        worker_encode(&out, &(struct worker_frame){.kind = WORKER_FORK, .fork.id = id}), 0);
    send_passing(p->fd, bytes_span(&out), pair[1]);
    close(pair[1]);
    bytes_release(&out);
    c->fd = pair[0];
    impatient(c->fd);
}

static void hear_forked(struct process *p, struct task_channel *c, uint64_t id)
{
    struct worker_frame f = hear(p, WORKER_FORKED);
    assert_int_equal(f.fork.id, id);
    assert_true(f.fork.pid != p->pid);
    c->pid = (pid_t)f.fork.pid;
}

static void begin(
    struct process *p, struct task_channel *c, uint64_t id, uint32_t step, const char *input)
{
    ask_fork(p, c, id);
    struct worker_frame f = a_task(id, step, input);
    send_frames(c->fd, &f, 1);
}

static struct worker_frame result(struct task_channel *c)
{
    struct worker_frame f;
    do
        if (!next_frame(c->fd, &c->in, &c->heard, &f))
            fail_msg("the child gave no result");
    while (f.kind == WORKER_LOG);
    return f;
}

static void is_ended(struct process *p, uint64_t id, int status, int signal)
{
    struct worker_frame f = hear(p, WORKER_ENDED);
    assert_int_equal(f.ended.id, id);
    assert_int_equal(f.ended.status, status);
    assert_int_equal(f.ended.signal, signal);
    assert_false(f.ended.out_of_memory);
}

static void finish(struct task_channel *c)
{
    close(c->fd);
    bytes_release(&c->in);
}

/* Nothing is left of what had that pid: it was reaped. */
static void is_gone(pid_t pid)
{
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void each_task_has_a_fresh_child(void **state)
{
    struct process p;
    struct task_channel c;
    pid_t last = 0;
    start(&p, 0);
    for (uint64_t id = 1; id < 6; id++) {
        begin(&p, &c, id, COUNT, "null");
        hear_forked(&p, &c, id);
        assert_int_not_equal(c.pid, last);
        last = c.pid;
        struct worker_frame f = result(&c);
        is_done(&f, id, "7"); /* each starts from what init made */
        is_ended(&p, id, 0, 0);
        is_gone(c.pid);
        finish(&c);
    }
    send_frames(p.fd, &(struct worker_frame){.kind = WORKER_STOP}, 1);
    assert_int_equal(process_wait(&p), 0);
    process_close(&p);
}

static void several_run_at_once(void **state)
{
    struct process p;
    struct task_channel c[8];
    start(&p, 0);
    for (uint64_t i = 0; i < 8; i++) {
        ask_fork(&p, &c[i], i + 1);
        hear_forked(&p, &c[i], i + 1);
    }
    for (uint64_t i = 8; i-- > 0;) { /* all wait; the last is served first */
        struct worker_frame f = a_task(i + 1, ECHO, "[1]");
        send_frames(c[i].fd, &f, 1);
        f = result(&c[i]);
        is_done(&f, i + 1, "[1]");
        is_ended(&p, i + 1, 0, 0);
        finish(&c[i]);
    }
    process_close(&p);
}

static void forks_and_kills_may_come_together(void **state)
{
    struct process p;
    struct task_channel a, b;
    start(&p, 0);
    /* While it stands still, so that it finds all of it at once. */
    assert_int_equal(kill(p.pid, SIGSTOP), 0);
    ask_fork(&p, &a, 1);
    ask_fork(&p, &b, 2);
    send_frames(p.fd, &(struct worker_frame){.kind = WORKER_KILL, .fork.id = 1}, 1);
    send_frames(p.fd, &(struct worker_frame){.kind = WORKER_KILL, .fork.id = 99}, 1);
    assert_int_equal(kill(p.pid, SIGCONT), 0);
    hear_forked(&p, &a, 1);
    hear_forked(&p, &b, 2);
    is_ended(&p, 1, 0, SIGKILL);
    struct worker_frame f = a_task(2, ECHO, "2");
    send_frames(b.fd, &f, 1);
    f = result(&b);
    is_done(&f, 2, "2");
    is_ended(&p, 2, 0, 0);
    finish(&a);
    finish(&b);
    process_close(&p);
}

static void a_childs_death_is_its_own(void **state)
{
    struct process p;
    struct task_channel c;
    struct worker_frame f;
    start(&p, 0);
    begin(&p, &c, 1, CRASH, "{\"how\":\"kill\"}");
    hear_forked(&p, &c, 1);
    assert_false(next_frame(c.fd, &c.in, &c.heard, &f));
    is_ended(&p, 1, 0, SIGKILL);
    finish(&c);
    begin(&p, &c, 2, CRASH, "{\"how\":\"exit\",\"status\":5}");
    hear_forked(&p, &c, 2);
    is_ended(&p, 2, 5, 0);
    finish(&c);
    begin(&p, &c, 3, CRASH, "{\"how\":\"close\"}"); /* its channel is one of them */
    hear_forked(&p, &c, 3);
    is_ended(&p, 3, 0, 0);
    finish(&c);
    begin(&p, &c, 4, ECHO, "4");
    hear_forked(&p, &c, 4);
    f = result(&c);
    is_done(&f, 4, "4");
    finish(&c);
    process_close(&p);
}

static void a_child_that_forks_is_killed(void **state)
{
    struct process p;
    struct task_channel c;
    struct worker_frame f;
    start(&p, 0);
    begin(&p, &c, 1, CRASH, "{\"how\":\"fork\"}");
    hear_forked(&p, &c, 1);
    bool came = next_frame(c.fd, &c.in, &c.heard, &f);
    if (!came)
        is_ended(&p, 1, 0, SIGSYS);
    finish(&c);
    process_close(&p);
    if (came)
        skip(); /* it said that its kernel cannot */
}

static void memory_has_a_limit(void **state)
{
    struct process p;
    struct task_channel c;
    start(&p, 32 * 1024 * 1024);
    begin(&p, &c, 1, ALLOCATE, "{\"bytes\":\"8MiB\"}");
    hear_forked(&p, &c, 1);
    struct worker_frame f = result(&c);
    is_done(&f, 1, "{\"bytes\":8388608}");
    is_ended(&p, 1, 0, 0);
    finish(&c);
    /* Either the kernel gives it no more; or, where sanitizers need all addresses, it is seen. */
    begin(&p, &c, 2, ALLOCATE, "{\"bytes\":\"200MiB\",\"keep_ms\":60000}");
    hear_forked(&p, &c, 2);
    if (next_frame(c.fd, &c.in, &c.heard, &f) && f.kind == WORKER_LOG)
        next_frame(c.fd, &c.in, &c.heard, &f);
    if (f.kind == WORKER_RESULT && f.result.id == 2)
        assert_int_equal(f.result.outcome, WORKER_OUT_OF_MEMORY);
    struct worker_frame ended = hear(&p, WORKER_ENDED);
    assert_int_equal(ended.ended.id, 2);
    if (ended.ended.signal)
        assert_true(ended.ended.out_of_memory);
    finish(&c);
    process_close(&p);
}

static void children_end_with_their_zygote(void **state)
{
    static const bool by_stop[] = {true, false};
    for (int i = 0; i < 2; i++) {
        struct process p;
        struct task_channel c;
        start(&p, 0);
        begin(&p, &c, 1, CRASH, "{\"how\":\"hang\"}");
        hear_forked(&p, &c, 1);
        if (by_stop[i])
            send_frames(p.fd, &(struct worker_frame){.kind = WORKER_STOP}, 1);
        else
            shutdown(p.fd, SHUT_RDWR);
        assert_int_equal(process_wait(&p), 0);
        is_gone(c.pid);
        finish(&c);
        process_close(&p);
    }
}

static void garbage_ends_it(void **state)
{
    static const struct worker_frame frames[] = {
        {.kind = WORKER_FORK, .fork.id = 1}, /* without a descriptor */
        {.kind = WORKER_TASK, .task = {.id = 1, .input.inside = {"1", 1}}},
    };
    for (int i = 0; i < 2; i++) {
        struct process p;
        start(&p, 0);
        send_frames(p.fd, &frames[i], 1);
        assert_int_equal(WEXITSTATUS(process_wait(&p)), 2);
        complained(&p, "not for a worker that forks");
        process_close(&p);
    }
}

static void garbage_ends_a_child(void **state)
{
    struct process p;
    struct task_channel c;
    start(&p, 0);
    ask_fork(&p, &c, 1);
    hear_forked(&p, &c, 1);
    send_bytes(c.fd, SPAN("GET / HTTP/1.1\r\n\r\n"));
    is_ended(&p, 1, 2, 0);
    finish(&c);
    ask_fork(&p, &c, 2);
    hear_forked(&p, &c, 2);
    finish(&c); /* nobody wants it */
    is_ended(&p, 2, 0, 0);
    process_close(&p);
}

TEST_FILE(zygote)
{
    static char plugin[4096];
    const char *folder = getenv("PLUGINS");
    snprintf(plugin, sizeof plugin, "%s/good.so", folder ? folder : "build/tests/plugins");
    steps[COUNT].plugin = plugin;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_task_has_a_fresh_child),
        cmocka_unit_test(several_run_at_once),
        cmocka_unit_test(forks_and_kills_may_come_together),
        cmocka_unit_test(a_childs_death_is_its_own),
        cmocka_unit_test(a_child_that_forks_is_killed),
        cmocka_unit_test(memory_has_a_limit),
        cmocka_unit_test(children_end_with_their_zygote),
        cmocka_unit_test(garbage_ends_it),
        cmocka_unit_test(garbage_ends_a_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
