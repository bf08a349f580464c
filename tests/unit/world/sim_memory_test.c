/*
 * sim_memory_test.c: memory may run out at any allocation of the simulator or of what runs in it;
 * each time the answer is -ENOMEM or NULL, and nothing is lost.
 */
#include "sim_fixture.h"

#include <fcntl.h>
#include <signal.h>

static void say_nothing(void *ctx, const char *line)
{
}

static int serve(struct world *w, void *arg)
{
    struct address a;
    struct listener *l;
    struct stream *s;
    must(address_parse(&a, "*:7", NULL) == 0);
    int rc = world_listen(w, &a, NULL, &l);
    if (rc)
        return rc;
    CORO_DEADLINE(world_now(w) + 20 * NS_PER_S);
    rc = listener_accept(l, &s);
    if (rc == 0) {
        char buffer[5000];
        ssize_t n;
        while ((n = stream_read(s, buffer, sizeof buffer)) > 0)
            ;
        rc = (int)n;
        stream_close(s);
    }
    listener_close(l);
    return rc;
}

static int talk(struct world *w)
{
    static char data[20000];
    struct address a;
    struct stream *s;
    int rc = world_resolve(w, "there", 7, &a, 1);
    if (rc < 0)
        return rc;
    rc = world_connect(w, &a, &s);
    if (rc)
        return rc;
    rc = stream_write(s, &(struct iovec){data, sizeof data}, 1);
    if (rc == 0)
        rc = stream_shutdown(s);
    if (rc == 0)
        rc = (int)read_byte(s);
    stream_close(s);
    return rc;
}

static int write_things_down(struct world *w)
{
    struct file *f;
    int rc = world_open(w, "/d/f", O_RDWR | O_CREAT, 0600, &f);
    if (rc)
        return rc;
    rc = file_write(f, "text", 4, 0);
    if (rc == 0)
        rc = file_truncate(f, 1000);
    if (rc == 0)
        rc = file_sync(f);
    if (rc == 0)
        rc = world_rename(w, "/d/f", "/d/g");
    if (rc == 0)
        rc = world_sync_directory(w, "/d");
    if (rc == 0)
        rc = world_unlink(w, "/d/g");
    file_close(f);
    return rc;
}

static int have_a_child(struct world *w)
{
    struct stream *in;
    struct child *c;
    struct child_exit end;
    const char *const argv[] = {"child", NULL};
    struct spawn_options options = {.argv = argv, .env = argv, .standard = {&in}};
    int rc = world_spawn(w, &options, &c);
    if (rc)
        return rc;
    rc = child_wait(c, &end);
    if (rc == 0 && end.status != 9)
        rc = -ENOMEM; /* it did not get to its end */
    child_close(c);
    stream_close(in);
    return rc;
}

static int nine(struct world *w, void *arg)
{
    return 9;
}

static int listen_to_signals_and_descriptors(struct world *w)
{
    struct signals *signals;
    struct watch *watch;
    int fd = sim_fd(w);
    if (fd < 0)
        return fd;
    int rc = world_signals(w, (const int[]){SIGTERM}, 1, &signals);
    if (rc)
        return rc;
    rc = world_watch(w, fd, &watch);
    if (rc == 0)
        watch_close(watch);
    signals_close(signals);
    return rc;
}

static int return_nine(struct world *w, void *arg)
{
    struct listener *l;
    int rc = world_share_listener(w, arg, &l);
    if (rc)
        return rc;
    listener_close(l);
    return 9;
}

static int share_with_a_thread_and_a_child(struct world *w)
{
    struct address a;
    struct listener *l;
    struct thread *t;
    struct child *c;
    int result = 0;
    must(address_parse(&a, "*:9", NULL) == 0);
    int rc = world_listen(w, &a, NULL, &l);
    if (rc)
        return rc;
    rc = world_thread(w, "sharer", return_nine, l, &t);
    if (rc == 0) {
        rc = thread_wait(t, &result);
        thread_close(t);
    }
    if (rc == 0 && result != 9)
        rc = result;
    if (rc == 0) {
        struct child_exit end = {0};
        struct spawn_options options = {
            .argv = (const char *const[]){"heir", NULL},
            .env_add = (const char *const[]){"A=1", NULL},
            .listeners = &l,
            .listener_count = 1,
        };
        rc = world_spawn(w, &options, &c);
        if (rc == 0) {
            rc = child_wait(c, &end);
            child_close(c);
        }
        if (rc == 0 && end.status != 9)
            rc = -ENOMEM; /* it did not get to its end */
    }
    listener_close(l);
    return rc;
}

static int take_over(struct world *w, void *arg)
{
    struct listener *l;
    int rc = world_inherited_listener(w, 0, &l);
    if (rc)
        return rc;
    listener_close(l);
    return 9;
}

static int do_everything(struct world *w, void *arg)
{
    struct world *thread;
    CORO_DEADLINE(world_now(w) + 30 * NS_PER_S);
    int rc = talk(w);
    if (rc == 0)
        rc = write_things_down(w);
    if (rc == 0)
        rc = have_a_child(w);
    if (rc == 0)
        rc = listen_to_signals_and_descriptors(w);
    if (rc == 0)
        rc = share_with_a_thread_and_a_child(w);
    if (rc == 0)
        rc = sim_thread(sim_self(w), "thread", nine, NULL, &thread);
    return rc;
}

static int cut_a_moment(struct sim *sim, void *arg)
{
    struct universe *u = arg;
    int rc = sim_cut_both(u->here, u->there);
    if (rc == 0)
        rc = sim_sleep(sim, NS_PER_MS);
    sim_heal_both(u->here, u->there);
    return rc;
}

static int start_all(struct universe *u)
{
    static const struct sim_chaos chaos = {.until = 1, .slow_ns = 1, .disk_ns = 1};
    u->here = sim_host(u->sim, &(struct sim_host_options){.name = "here"});
    if (!u->here)
        return -ENOMEM;
    u->there = sim_host(u->sim, &(struct sim_host_options){.name = "there"});
    if (!u->there)
        return -ENOMEM;
    int rc = sim_program(u->sim, "child", nine, NULL);
    if (rc == 0)
        rc = sim_program(u->sim, "heir", take_over, NULL);
    if (rc == 0)
        rc = sim_file_put(u->here, "/conf", "text", 4);
    if (rc == 0)
        rc = sim_link(u->here, u->there, &perfect_link);
    if (rc == 0)
        rc = sim_direct(u->sim, "director", cut_a_moment, u);
    if (rc == 0)
        rc = sim_chaos(u->sim, &chaos);
    return rc;
}

static bool everything(void)
{
    struct universe u;
    struct sim_options options = {.survive = true, .report = say_nothing, .window = 10000};
    if (sim_open(&u.sim, 1, &options) != 0)
        return false;
    int rc = start_all(&u);
    struct sim_process *server = rc ? NULL : sim_start(u.there, "server", serve, NULL);
    struct sim_process *client = server ? sim_start(u.here, "client", do_everything, NULL) : NULL;
    bool through = false;
    if (client && sim_run(u.sim, 1000 * NS_PER_S) == 0)
        through = sim_process_end(client).result == 0 && sim_process_end(server).result == 0;
    sim_close(u.sim);
    return through;
}

static void memory_may_run_out_anywhere(void **state)
{
    mem_fail_at(UINT64_MAX, false); /* only counts */
    assert_true(everything());
    assert_true(mem_count() > 70);
    torture(everything);
}

TEST_FILE(sim_memory)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
