/*
 * uv_memory_test.c: memory may run out at any allocation; each time the answer is -ENOMEM, and
 * nothing is lost. A script that does something of everything is run once for each of its
 * allocations, with that one failing.
 */
#include "uv_fixture.h"

/* Each part returns 0 or the first error, and cleans up whatever happens. */
static int with_streams(void)
{
    struct address at;
    struct listener *l;
    struct stream *ours;
    struct stream *theirs;
    address_parse(&at, "127.0.0.1:0", NULL);
    int rc = world_listen(w, &at, NULL, &l);
    if (rc)
        return rc;
    listener_address(l, &at);
    rc = world_connect(w, &at, &ours);
    if (rc == 0) {
        rc = listener_accept(l, &theirs);
        if (rc == 0)
            stream_close(theirs);
        stream_close(ours);
    }
    listener_close(l);
    return rc;
}

static int with_unix_path(const char *directory)
{
    struct address at;
    struct listener *l;
    char text[160];
    snprintf(text, sizeof(text), "unix:%s/socket", directory);
    address_parse(&at, text, NULL);
    int rc = world_listen(w, &at, NULL, &l);
    if (rc == 0)
        listener_close(l);
    return rc;
}

static int with_files(const char *directory)
{
    struct file *f;
    const char *path = path_in(directory, "file");
    char text[4];
    int rc = world_open(w, path, O_CREAT | O_RDWR, 0600, &f);
    if (rc)
        return rc;
    rc = file_write(f, "text", 4, 0);
    if (rc == 0)
        rc = file_sync(f);
    if (rc == 0) {
        ssize_t n = file_read(f, text, sizeof(text), 0);
        rc = n < 0 ? (int)n : 0;
    }
    if (rc == 0)
        rc = file_truncate(f, 0);
    file_close(f);
    const char *other = path_in(directory, "other");
    if (rc == 0)
        rc = world_rename(w, path, other);
    if (rc == 0)
        rc = world_sync_directory(w, directory);
    int gone = world_unlink(w, rc == 0 ? other : path);
    if (gone) {
        unlink(path);
        unlink(other);
    }
    return rc ? rc : gone;
}

static int with_the_rest(void)
{
    struct child *c;
    struct child_exit exit;
    struct stream *out;
    struct signals *s;
    struct watch *watch;
    struct address a;
    struct spawn_options o = {
        .argv = (const char *const[]){"true", NULL}, .standard = {NULL, &out, NULL}};
    int rc = world_spawn(w, &o, &c);
    if (rc)
        return rc;
    rc = child_wait(c, &exit);
    stream_close(out);
    child_close(c);
    if (rc == 0)
        rc = world_signals(w, (int[]){SIGUSR1, SIGUSR2}, 2, &s);
    if (rc)
        return rc;
    signals_close(s);
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    rc = world_watch(w, fds[0], &watch);
    if (rc == 0)
        watch_close(watch);
    close(fds[0]);
    close(fds[1]);
    if (rc == 0)
        rc = world_resolve(w, "localhost", 1, &a, 1);
    return rc < 0 ? rc : 0;
}

static int share(struct world *own, void *arg)
{
    struct listener *l;
    int rc = world_share_listener(own, arg, &l);
    if (rc == 0)
        listener_close(l);
    return rc;
}

static int with_a_thread(void)
{
    struct address at;
    struct listener *l;
    struct thread *t;
    int result = 0;
    address_parse(&at, "127.0.0.1:0", NULL);
    int rc = world_listen(w, &at, NULL, &l);
    if (rc)
        return rc;
    rc = world_thread(w, "sharer", share, l, &t);
    if (rc == 0) {
        rc = thread_wait(t, &result);
        thread_close(t);
    }
    listener_close(l);
    return rc ? rc : result;
}

static int with_strangers(void)
{
    struct child *c;
    struct child_exit exit;
    struct stream *s;
    struct spawn_options o = {
        .argv = (const char *const[]){"true", NULL}, .env_add = (const char *const[]){"A=1", NULL}};
    int rc = world_spawn(w, &o, &c);
    if (rc)
        return rc;
    rc = child_wait(c, &exit);
    child_close(c);
    if (rc)
        return rc;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    rc = uv_world_adopt_child(w, pid, &c);
    if (rc) {
        waitpid(pid, NULL, 0);
        return rc;
    }
    rc = child_wait(c, &exit);
    child_close(c);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    if (rc == 0)
        rc = uv_world_adopt_stream(w, ends[0], &s);
    if (rc == 0)
        stream_close(s);
    else
        close(ends[0]);
    close(ends[1]);
    return rc;
}

static const char *directory;

static int script(void *arg)
{
    int rc = with_streams();
    if (rc == 0)
        rc = with_unix_path(directory);
    if (rc == 0)
        rc = with_files(directory);
    if (rc == 0)
        rc = with_the_rest();
    if (rc == 0)
        rc = with_a_thread();
    if (rc == 0)
        rc = with_strangers();
    return rc;
}

static int run_script(void)
{
    struct uv_world_options options = {.watchdog_ns = 1000 * NS_PER_S};
    int rc = uv_world_open(&w, &options);
    if (rc)
        return rc;
    rc = uv_world_run(w, "script", script, NULL);
    uv_world_close(w);
    return rc;
}

static void every_allocation_may_fail(void **state)
{
    directory = make_directory();
    mem_fail_at(UINT64_MAX, false);
    assert_int_equal(run_script(), 0);
    uint64_t count = mem_count();
    assert_in_range(count, 20, 500);
    int descriptors = count_descriptors();
    uint64_t failed = 0;
    for (uint64_t i = 1; i <= count; i++) {
        mem_fail_at(i, false);
        int rc = run_script();
        mem_fail_at(0, false);
        if (rc != 0 && rc != -ENOMEM)
            fail_msg("with allocation %d failing the script returned %d", (int)i, rc);
        failed += rc == -ENOMEM;
        assert_int_equal(count_descriptors(), descriptors);
    }
    /* That there is no watchdog is no error: neither for the world nor for its thread. */
    assert_int_equal(failed, count - 2);
    remove_directory(directory);
}

TEST_FILE(uv_memory)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
