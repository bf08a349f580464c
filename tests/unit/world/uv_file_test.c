/*
 * uv_file_test.c: files: what is written is read, errors come through, and who gives up does not
 * wait for the disk.
 */
#include "uv_fixture.h"

static struct file *open_file(const char *path, int flags)
{
    struct file *f;
    assert_int_equal(world_open(w, path, flags, 0600, &f), 0);
    return f;
}

TEST(what_is_written_is_read)
{
    const char *directory = make_directory();
    const char *path = path_in(directory, "file");
    struct file *f = open_file(path, O_CREAT | O_RDWR);
    assert_int_equal(file_size(f), 0);
    assert_int_equal(file_write(f, "hello, world", 12, 0), 0);
    assert_int_equal(file_write(f, "W", 1, 7), 0);
    assert_int_equal(file_sync(f), 0);
    assert_int_equal(file_size(f), 12);
    char text[32];
    assert_int_equal(file_read(f, text, sizeof(text), 0), 12);
    assert_memory_equal(text, "hello, World", 12);
    assert_int_equal(file_read(f, text, 5, 7), 5);
    assert_memory_equal(text, "World", 5);
    assert_int_equal(file_read(f, text, sizeof(text), 12), 0);
    assert_int_equal(file_truncate(f, 5), 0);
    assert_int_equal(file_size(f), 5);
    assert_int_equal(file_write(f, "", 0, 0), 0);
    file_close(f);
    assert_int_equal(world_unlink(w, path), 0);
    remove_directory(directory);
    return 0;
}

TEST(long_writes_go_through_in_pieces)
{
    enum { SIZE = 1000003 };
    const char *directory = make_directory();
    const char *path = path_in(directory, "long");
    char *data = malloc(SIZE);
    char *read_back = malloc(SIZE);
    for (int i = 0; i < SIZE; i++)
        data[i] = (char)(i * 17 >> 6);
    struct file *f = open_file(path, O_CREAT | O_RDWR);
    assert_int_equal(file_write(f, data, SIZE, 10), 0);
    assert_int_equal(file_size(f), SIZE + 10);
    size_t len = 0;
    while (len < SIZE) {
        ssize_t n = file_read(f, read_back + len, SIZE - len, len + 10);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_memory_equal(data, read_back, SIZE);
    file_close(f);
    free(data);
    free(read_back);
    unlink(path);
    remove_directory(directory);
    return 0;
}

TEST(names_can_be_changed)
{
    const char *directory = make_directory();
    const char *before = path_in(directory, "before");
    const char *after = path_in(directory, "after");
    file_close(open_file(before, O_CREAT | O_WRONLY));
    assert_int_equal(world_rename(w, before, after), 0);
    assert_int_equal(world_sync_directory(w, directory), 0);
    assert_int_equal(access(before, F_OK), -1);
    assert_int_equal(world_unlink(w, after), 0);
    assert_int_equal(world_unlink(w, after), -ENOENT);
    assert_int_equal(world_rename(w, before, after), -ENOENT);
    remove_directory(directory);
    return 0;
}

TEST(errors_come_through)
{
    struct file *f;
    assert_int_equal(world_open(w, "/nowhere/at/all", O_RDONLY, 0, &f), -ENOENT);
    assert_int_equal(world_sync_directory(w, "/nowhere/at/all"), -ENOENT);
    assert_int_equal(world_sync_directory(w, "/dev/null"), -ENOTDIR);
    f = open_file("/dev/full", O_WRONLY);
    assert_int_equal(file_write(f, "x", 1, 0), -ENOSPC);
    file_close(f);
    f = open_file("/dev/null", O_RDONLY);
    assert_int_equal(file_write(f, "x", 1, 0), -EBADF);
    char byte;
    assert_int_equal(file_read(f, &byte, 1, UINT64_MAX), -EINVAL);
    assert_int_equal(file_write(f, "x", 1, UINT64_MAX), -EINVAL);
    assert_int_equal(file_truncate(f, UINT64_MAX), -EINVAL);
    file_close(f);
    return 0;
}

/* ---- Giving up ---- */

/* A FIFO without a writer keeps the thread that opens it, as a disk that hangs would. */
static int open_fifo(void *arg)
{
    struct file *f;
    int rc = world_open(w, arg, O_RDONLY, 0, &f);
    if (rc == 0)
        file_close(f);
    return rc;
}

TEST(who_gives_up_does_not_wait_for_the_disk)
{
    const char *directory = make_directory();
    const char *fifo = path_in(directory, "fifo");
    char path[128];
    snprintf(path, sizeof(path), "%s", fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_can_be_cancelled(open_fifo, path);
    assert_can_time_out(open_fifo, path);
    assert_cancel_wins(open_fifo, path);
    /* Lets the threads go: what they open now is closed by the world. */
    int fd = open(fifo, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(open_fifo(path), 0);
    close(fd);
    unlink(fifo);
    remove_directory(directory);
    return 0;
}

static int read_some(void *arg)
{
    char text[8];
    ssize_t n = file_read(arg, text, sizeof(text), 0);
    return n < 0 ? (int)n : 0;
}

/* The descriptor must outlive the request that is under way, and be gone in the end. */
TEST(a_file_closed_in_the_middle_of_a_read_is_closed_after_it)
{
    const char *directory = make_directory();
    const char *path = path_in(directory, "file");
    struct file *f = open_file(path, O_CREAT | O_RDWR);
    assert_int_equal(file_write(f, "content", 7, 0), 0);
    struct wait reads;
    {
        GROUP(g, GROUP_INDEPENDENT);
        reads = (struct wait){.fn = read_some, .arg = f, .result = 1};
        assert_int_equal(group_spawn(&g, "reads", run_wait, &reads), 0);
        assert_int_equal(coro_yield(), 0);
        file_close(f);
        assert_int_equal(group_wait(&g), 0);
    }
    assert_int_equal(reads.result, 0);
    unlink(path);
    remove_directory(directory);
    return 0;
}

static int many_operations(void *arg)
{
    struct file *f = arg;
    char text[16];
    for (;;) {
        ssize_t rc = file_write(f, "0123456789abcdef", 16, 0);
        if (rc == 0)
            rc = file_read(f, text, sizeof(text), 0);
        if (rc >= 0)
            rc = file_sync(f);
        if (rc < 0)
            return (int)rc;
    }
}

TEST(operations_can_be_abandoned_at_any_point)
{
    const char *directory = make_directory();
    const char *path = path_in(directory, "file");
    for (int i = 0; i < 50; i++) {
        struct file *f = open_file(path, O_CREAT | O_RDWR);
        struct wait busy[3];
        GROUP(g, GROUP_INDEPENDENT);
        for (int j = 0; j < 3; j++) {
            busy[j] = (struct wait){.fn = many_operations, .arg = f};
            assert_int_equal(group_spawn(&g, "busy", run_wait, &busy[j]), 0);
        }
        for (int j = 0; j < i; j++)
            assert_int_equal(coro_yield(), 0);
        group_cancel(&g);
        assert_int_equal(group_wait(&g), 0);
        for (int j = 0; j < 3; j++)
            assert_true(busy[j].result == -ECANCELED);
        file_close(f);
    }
    unlink(path);
    remove_directory(directory);
    return 0;
}

TEST_FILE(uv_file)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(long_writes_go_through_in_pieces),
        cmocka_unit_test(names_can_be_changed),
        cmocka_unit_test(errors_come_through),
        cmocka_unit_test(who_gives_up_does_not_wait_for_the_disk),
        cmocka_unit_test(a_file_closed_in_the_middle_of_a_read_is_closed_after_it),
        cmocka_unit_test(operations_can_be_abandoned_at_any_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
