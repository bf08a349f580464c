/*
 * sim_file_test.c: files, and what crashes, full disks and failing disks do to them.
 */
#include "sim_fixture.h"

#include <fcntl.h>
#include <signal.h>

static struct file *must_open(struct world *w, const char *path, int flags)
{
    struct file *f;
    must(world_open(w, path, flags, 0600, &f) == 0);
    return f;
}

static bool holds(struct world *w, const char *path, const char *text)
{
    char got[256];
    struct file *f;
    if (world_open(w, path, O_RDONLY, 0, &f) != 0)
        return false;
    ssize_t n = file_read(f, got, sizeof got, 0);
    file_close(f);
    return n == (ssize_t)strlen(text) && memcmp(got, text, (size_t)n) == 0;
}

static bool host_holds(struct sim_host *host, const char *path, const char *text)
{
    char got[256];
    int64_t size = sim_file_get(host, path, got, sizeof got);
    return size == (int64_t)strlen(text) && memcmp(got, text, (size_t)size) == 0;
}

/* ---- As on any disk ---- */

static int use_files(struct world *w, void *arg)
{
    char got[16];
    struct file *f;
    must(world_open(w, "/d/a", O_RDWR, 0, &f) == -ENOENT);
    int64_t began = world_now(w);
    f = must_open(w, "/d/a", O_RDWR | O_CREAT | O_EXCL);
    must(world_now(w) > began);
    must(file_size(f) == 0);
    must(file_write(f, "hello", 5, 0) == 0);
    must(file_write(f, "far", 3, 10) == 0);
    must(file_size(f) == 13);
    must(file_read(f, got, sizeof got, 0) == 13);
    must(memcmp(got, "hello\0\0\0\0\0far", 13) == 0);
    must(file_read(f, got, 2, 3) == 2 && memcmp(got, "lo", 2) == 0);
    must(file_read(f, got, sizeof got, 13) == 0);
    must(file_read(f, got, sizeof got, 1000) == 0);
    must(file_truncate(f, 4) == 0);
    must(file_truncate(f, 6) == 0);
    must(file_read(f, got, sizeof got, 0) == 6 && memcmp(got, "hell\0\0", 6) == 0);
    must(file_write(f, "x", 1, UINT64_MAX) == -EFBIG);
    began = world_now(w);
    must(file_sync(f) == 0);
    must(world_now(w) - began >= NS_PER_MS);
    file_close(f);

    must(world_open(w, "/d/a", O_RDWR | O_CREAT | O_EXCL, 0600, &f) == -EEXIST);
    must(world_open(w, "/d/a", O_RDONLY | O_DIRECTORY, 0600, &f) == -ENOTDIR);
    f = must_open(w, "/d/a", O_RDONLY);
    must(file_write(f, "x", 1, 0) == -EBADF);
    must(file_truncate(f, 0) == -EINVAL);
    file_close(f);
    f = must_open(w, "/d/a", O_WRONLY | O_TRUNC);
    must(file_size(f) == 0);
    must(file_read(f, got, 1, 0) == -EBADF);
    file_close(f);
    f = must_open(w, "/d/a", O_WRONLY | O_APPEND);
    must(file_write(f, "one", 3, 0) == 0);
    must(file_write(f, "two", 3, 0) == 0);
    file_close(f);
    must(holds(w, "/d/a", "onetwo"));
    return 0;
}

static void files_are_written_and_read(void **state)
{
    run_alone(use_files);
}

static int use_names(struct world *w, void *arg)
{
    struct file *a = must_open(w, "a", O_RDWR | O_CREAT);
    struct file *b = must_open(w, "b", O_RDWR | O_CREAT);
    must(file_write(a, "A", 1, 0) == 0);
    must(file_write(b, "B", 1, 0) == 0);
    must(world_rename(w, "c", "d") == -ENOENT);
    must(world_rename(w, "a", "a") == 0);
    must(world_rename(w, "a", "b") == 0);
    must(holds(w, "b", "A"));
    must(world_unlink(w, "a") == -ENOENT);
    must(world_unlink(w, "b") == 0);
    must(world_unlink(w, "b") == -ENOENT);
    char got[4];
    must(file_read(a, got, 4, 0) == 1 && got[0] == 'A'); /* open files outlive their names */
    must(file_read(b, got, 4, 0) == 1 && got[0] == 'B');
    must(world_sync_directory(w, ".") == 0);
    must(world_sync_directory(w, "/no/such") == 0);
    file_close(a);
    file_close(b);
    return 0;
}

static void names_are_made_moved_and_removed(void **state)
{
    run_alone(use_names);
}

static int hold_much(struct world *w, void *arg)
{
    static char data[1500];
    struct file *f = must_open(w, "/a", O_RDWR | O_CREAT);
    struct file *g = must_open(w, "/b", O_RDWR | O_CREAT);
    must(file_write(f, data, 800, 0) == 0);
    must(file_write(g, data, 300, 0) == -ENOSPC);
    must(file_size(g) == 0);
    must(file_truncate(g, 300) == -ENOSPC);
    must(file_write(g, data, 200, 0) == 0);
    must(file_write(f, data, 1, 800) == -ENOSPC);
    must(file_write(f, data, 800, 0) == 0); /* in place */
    must(file_truncate(f, 100) == 0);
    must(file_write(g, data, 900, 0) == 0);
    file_close(f);
    must(world_unlink(w, "/a") == 0);
    must(world_sync_directory(w, "/") == 0);
    must(file_write(g, data, 1000, 0) == 0);
    file_close(g);
    return 0;
}

static void a_disk_is_full_at_some_point(void **state)
{
    struct universe u = open_default();
    struct sim_host *small =
        sim_host(u.sim, &(struct sim_host_options){.name = "small", .disk = {.bytes = 1000}});
    assert_non_null(small);
    start(small, hold_much, NULL);
    run_and_close(&u);
}

/* ---- Crashes ---- */

static int write_and_wait(struct world *w, void *arg)
{
    struct file *f = must_open(w, "/dir/log", O_RDWR | O_CREAT);
    must(file_write(f, "synced", 6, 0) == 0);
    must(file_sync(f) == 0);
    must(world_sync_directory(w, "/dir/") == 0);
    must(file_write(f, "abcdefgh", 8, 6) == 0);
    return world_sleep(w, 100 * NS_PER_S);
}

static int crash_here(struct sim *sim, void *arg)
{
    struct universe *u = arg;
    must(sim_sleep(sim, NS_PER_S) == 0);
    sim_crash(u->here);
    return sim_restart(u->here);
}

static void crash_during(struct universe *u, uint64_t seed, sim_main *main)
{
    *u = open_universe(seed, (struct sim_options){0});
    start(u->here, main, NULL);
    assert_int_equal(sim_direct(u->sim, "director", crash_here, u), 0);
    run(u);
}

static void a_crash_keeps_what_was_synced_and_may_lose_or_tear_the_rest(void **state)
{
    bool lost = false;
    bool torn = false;
    bool kept = false;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct universe u;
        crash_during(&u, seed, write_and_wait);
        char got[32];
        int64_t size = sim_file_get(u.here, "/dir/log", got, sizeof got);
        assert_in_range(size, 6, 14);
        assert_memory_equal(got, "syncedabcdefgh", (size_t)size);
        lost |= size == 6;
        kept |= size == 14;
        torn |= size > 6 && size < 14;
        sim_close(u.sim);
    }
    assert_true(lost && torn && kept);
}

static int append_and_wait(struct world *w, void *arg)
{
    struct file *f = must_open(w, "/log", O_RDWR | O_CREAT);
    must(world_sync_directory(w, "/") == 0);
    must(file_write(f, "11", 2, 0) == 0);
    must(file_write(f, "22", 2, 2) == 0);
    must(file_write(f, "33", 2, 4) == 0);
    return world_sleep(w, 100 * NS_PER_S);
}

/* The second write may be missing while the third is there: a hole of zeros. */
static void unsynced_writes_are_lost_one_by_one(void **state)
{
    bool hole = false;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct universe u;
        crash_during(&u, seed, append_and_wait);
        char got[6];
        int64_t size = sim_file_get(u.here, "/log", got, sizeof got);
        hole |= size == 6 && memcmp(got,
                                 "11\0\0"
                                 "33",
                                 6) == 0;
        sim_close(u.sim);
    }
    assert_true(hole);
}

static int make_names_and_wait(struct world *w, void *arg)
{
    struct file *f = must_open(w, "/old", O_RDWR | O_CREAT);
    must(file_write(f, "old", 3, 0) == 0);
    must(file_sync(f) == 0);
    file_close(f);
    must(world_sync_directory(w, "/") == 0);
    f = must_open(w, "/new", O_RDWR | O_CREAT);
    must(file_write(f, "new", 3, 0) == 0);
    must(file_sync(f) == 0);
    file_close(f);
    must(world_rename(w, "/new", "/old") == 0);
    must(holds(w, "/old", "new"));
    return world_sleep(w, 100 * NS_PER_S);
}

/* The two changes of names: whether /new was made, whether it was moved. The content is there
 * either way, since it was synced. */
static void unsynced_names_are_kept_or_lost(void **state)
{
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct universe u;
        crash_during(&u, seed, make_names_and_wait);
        bool replaced = host_holds(u.here, "/old", "new");
        bool there = sim_file_get(u.here, "/new", NULL, 0) >= 0;
        assert_true(replaced || host_holds(u.here, "/old", "old"));
        assert_true(!there || host_holds(u.here, "/new", "new"));
        assert_false(replaced && there);
        seen |= 1u << (replaced * 2 + there);
        sim_close(u.sim);
    }
    assert_int_equal(seen, 1 << 0 | 1 << 1 | 1 << 2);
}

static int replace_safely_and_wait(struct world *w, void *arg)
{
    struct file *f = must_open(w, "/d/new", O_RDWR | O_CREAT);
    must(file_write(f, "new", 3, 0) == 0);
    must(file_sync(f) == 0);
    file_close(f);
    must(world_rename(w, "/d/new", "/d/old") == 0);
    must(world_sync_directory(w, "/d") == 0);
    struct file *other = must_open(w, "/e/other", O_RDWR | O_CREAT);
    must(file_sync(other) == 0);
    must(world_unlink(w, "/d/old") == 0);
    must(world_sync_directory(w, "/e") == 0); /* another directory: the unlink is not synced */
    return world_sleep(w, 100 * NS_PER_S);
}

static void what_was_synced_of_names_stays(void **state)
{
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct universe u;
        crash_during(&u, seed, replace_safely_and_wait);
        assert_true(sim_file_get(u.here, "/e/other", NULL, 0) == 0);
        assert_true(sim_file_get(u.here, "/d/new", NULL, 0) == -ENOENT);
        bool there = host_holds(u.here, "/d/old", "new");
        assert_true(there || sim_file_get(u.here, "/d/old", NULL, 0) == -ENOENT);
        seen |= 1u << there;
        sim_close(u.sim);
    }
    assert_int_equal(seen, 3);
}

static int write_during_sync(void *arg)
{
    struct file *f = arg;
    must(file_write(f, "BB", 2, 2) == 0);
    return 0;
}

/* The second write ends while the sync is on its way. */
static int sync_and_write(struct world *w, void *arg)
{
    sim_disk(
        sim_process_host(sim_self(w)), &(struct sim_disk){.op_ns = 1000, .sync_ns = NS_PER_S / 10});
    struct file *f = must_open(w, "/f", O_RDWR | O_CREAT);
    must(world_sync_directory(w, "/") == 0);
    must(file_write(f, "AA", 2, 0) == 0);
    GROUP(g, GROUP_FAIL_FAST);
    must(group_spawn(&g, "writer", write_during_sync, f) == 0);
    must(file_sync(f) == 0);
    must(group_wait(&g) == 0);
    must(holds(w, "/f", "AABB"));
    return world_sleep(w, 100 * NS_PER_S);
}

static void a_sync_is_for_what_was_written_before(void **state)
{
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct universe u;
        crash_during(&u, seed, sync_and_write);
        char got[4];
        int64_t size = sim_file_get(u.here, "/f", got, sizeof got);
        assert_in_range(size, 2, 4);
        assert_memory_equal(got, "AABB", (size_t)size);
        seen |= 1u << size;
        sim_close(u.sim);
    }
    assert_int_equal(seen, 1 << 2 | 1 << 3 | 1 << 4);
}

static int make_and_sync(struct world *w, const char *path, const char *text)
{
    struct file *f = must_open(w, path, O_RDWR | O_CREAT | O_EXCL);
    must(file_write(f, text, strlen(text), 0) == 0);
    must(file_sync(f) == 0);
    file_close(f);
    return 0;
}

/* The move is synced after its old name has been taken by another file. */
static int reuse_a_name(struct world *w, void *arg)
{
    make_and_sync(w, "/d/a", "first");
    must(world_sync_directory(w, "/d") == 0);
    must(world_rename(w, "/d/a", "/e/a") == 0);
    make_and_sync(w, "/d/a", "second");
    must(world_sync_directory(w, "/d") == 0);
    must(world_sync_directory(w, "/e") == 0);
    return world_sleep(w, 100 * NS_PER_S);
}

static void a_late_sync_of_a_move_spares_who_took_the_name(void **state)
{
    struct universe u;
    crash_during(&u, 1, reuse_a_name);
    assert_true(host_holds(u.here, "/d/a", "second"));
    assert_true(host_holds(u.here, "/e/a", "first"));
    sim_close(u.sim);
}

static int write_unsynced(struct world *w, void *arg)
{
    struct file *f = must_open(w, "/unsynced", O_RDWR | O_CREAT);
    must(file_write(f, "still there", 11, 0) == 0);
    return world_sleep(w, 100 * NS_PER_S);
}

static int kill_process(struct sim *sim, void *arg)
{
    must(sim_sleep(sim, NS_PER_S) == 0);
    return sim_signal(arg, SIGKILL);
}

static void a_killed_process_loses_nothing_it_wrote(void **state)
{
    struct universe u = open_default();
    struct sim_process *p = start(u.here, write_unsynced, NULL);
    assert_int_equal(sim_direct(u.sim, "director", kill_process, p), 0);
    run(&u);
    assert_true(host_holds(u.here, "/unsynced", "still there"));
    sim_close(u.sim);
}

static void a_file_put_is_there_and_survives_crashes(void **state)
{
    struct universe u = open_default();
    assert_int_equal(sim_file_put(u.here, "/conf", "first", 5), 0);
    assert_int_equal(sim_file_put(u.here, "/conf", "two", 3), 0);
    assert_true(host_holds(u.here, "/conf", "two"));
    sim_crash(u.here);
    assert_true(host_holds(u.here, "/conf", "two"));
    assert_int_equal(sim_restart(u.here), 0);
    assert_true(sim_file_get(u.here, "/none", NULL, 0) == -ENOENT);
    sim_close(u.sim);
}

/* ---- Disks that fail ---- */

static int use_a_bad_disk(struct world *w, void *arg)
{
    struct universe *u = arg;
    char got[4];
    struct file *none;
    struct file *f = must_open(w, "/f", O_RDWR | O_CREAT);
    must(file_write(f, "text", 4, 0) == 0);
    sim_disk(u->here, &(struct sim_disk){.error_ppm = 1000000});
    must(world_open(w, "/f", O_RDONLY, 0, &none) == -EIO);
    must(file_read(f, got, 4, 0) == -EIO);
    must(file_write(f, "more", 4, 4) == -EIO);
    must(file_truncate(f, 0) == -EIO);
    must(file_sync(f) == -EIO);
    must(world_rename(w, "/f", "/g") == -EIO);
    must(world_unlink(w, "/h") == -EIO);
    must(world_sync_directory(w, "/") == -EIO);
    sim_disk(u->here, &(struct sim_disk){.op_ns = 100 * NS_PER_MS});
    int64_t began = world_now(w);
    must(file_write(f, "text", 4, 0) == 0);
    must(world_now(w) >= began + 50 * NS_PER_MS && world_now(w) <= began + 150 * NS_PER_MS);
    file_close(f);
    return 0;
}

static void a_bad_disk_fails_every_operation(void **state)
{
    run_alone(use_a_bad_disk);
}

static int trust_a_second_sync(struct world *w, void *arg)
{
    struct sim_host *host = sim_process_host(sim_self(w));
    struct file *f = must_open(w, "/f", O_RDWR | O_CREAT);
    must(world_sync_directory(w, "/") == 0);
    must(file_write(f, "text", 4, 0) == 0);
    sim_disk(host, &(struct sim_disk){.error_ppm = 1000000});
    must(file_sync(f) == -EIO);
    sim_disk(host, &(struct sim_disk){0});
    must(file_sync(f) == 0);
    must(holds(w, "/f", "text"));
    return world_sleep(w, 100 * NS_PER_S);
}

static void after_a_failed_sync_the_next_one_proves_nothing(void **state)
{
    bool kept = false;
    bool lost = false;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct universe u;
        crash_during(&u, seed, trust_a_second_sync);
        bool there = host_holds(u.here, "/f", "text");
        kept |= there;
        lost |= !there;
        sim_close(u.sim);
    }
    assert_true(kept && lost);
}

static int interrupt_a_write(struct world *w, void *arg)
{
    struct file *f = must_open(w, "/f", O_RDWR | O_CREAT);
    {
        CORO_DEADLINE(world_now(w) + 1);
        must(file_write(f, "text", 4, 0) == -ETIMEDOUT);
    }
    *(bool *)arg = file_size(f) == 4;
    must(file_size(f) == 0 || file_size(f) == 4);
    file_close(f);
    return 0;
}

static void an_interrupted_write_has_happened_or_not(void **state)
{
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct universe u = open_universe(seed, (struct sim_options){0});
        bool happened;
        start(u.here, interrupt_a_write, &happened);
        run_and_close(&u);
        seen |= 1u << happened;
    }
    assert_int_equal(seen, 3);
}

static int sync_it(void *arg)
{
    must(file_sync(arg) == -EBADF);
    return 0;
}

static int close_during_sync(struct world *w, void *arg)
{
    struct file *f = must_open(w, "/f", O_RDWR | O_CREAT);
    GROUP(g, GROUP_FAIL_FAST);
    must(group_spawn(&g, "sync", sync_it, f) == 0);
    must_sleep(w, 1);
    file_close(f);
    return group_wait(&g);
}

static void an_operation_goes_on_when_its_file_is_closed_and_fails(void **state)
{
    run_alone(close_during_sync);
}

TEST_FILE(sim_file)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_written_and_read),
        cmocka_unit_test(names_are_made_moved_and_removed),
        cmocka_unit_test(a_disk_is_full_at_some_point),
        cmocka_unit_test(a_crash_keeps_what_was_synced_and_may_lose_or_tear_the_rest),
        cmocka_unit_test(unsynced_writes_are_lost_one_by_one),
        cmocka_unit_test(unsynced_names_are_kept_or_lost),
        cmocka_unit_test(what_was_synced_of_names_stays),
        cmocka_unit_test(a_sync_is_for_what_was_written_before),
        cmocka_unit_test(a_late_sync_of_a_move_spares_who_took_the_name),
        cmocka_unit_test(a_killed_process_loses_nothing_it_wrote),
        cmocka_unit_test(a_file_put_is_there_and_survives_crashes),
        cmocka_unit_test(a_bad_disk_fails_every_operation),
        cmocka_unit_test(after_a_failed_sync_the_next_one_proves_nothing),
        cmocka_unit_test(an_interrupted_write_has_happened_or_not),
        cmocka_unit_test(an_operation_goes_on_when_its_file_is_closed_and_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
