/*
 * uv_child_memory_test.c: limits on a child's processor and memory. The test's own program is the
 * child.
 *
 * Groups are somebody's, mostly the init's: a test does not make any where it was not permitted. To
 * have them tested, name a group in WEIR_TEST_CGROUP below which groups can be made.
 */
#include "uv_fixture.h"

#include "base/sanitizers.h"
#include "world/plain.h"

#include <sys/resource.h>

#define MB ((size_t)1 << 20)

/* ---- The child's side ---- */

/* Waits to be told how many megabytes to take, takes them, and says how many it got; again and
 * again. */
static int take_memory(void)
{
    unsigned char wanted;
    if (plain_begin() != 0)
        return 10;
    while (plain_read(PLAIN_CHANNEL, &wanted, 1) == 1) {
        unsigned char got = 0;
        for (; got < wanted; got++) {
            char *block = malloc(MB);
            if (!block)
                break;
            for (size_t i = 0; i < MB; i += 512)
                ((volatile char *)block)[i] = 1;
        }
        if (plain_write(PLAIN_CHANNEL, &(struct iovec){&got, 1}, 1) != 0)
            return 11;
    }
    return 0;
}

/* ---- The parent's ---- */

static struct child *spawn(struct stream **channel)
{
    struct child *c;
    struct spawn_options o = {
        .argv = (const char *const[]){"/proc/self/exe", "taking_memory", NULL},
        .channel = channel,
        .leads_group = true,
    };
    assert_int_equal(world_spawn(w, &o, &c), 0);
    return c;
}

static ssize_t take(struct stream *channel, unsigned char megabytes, unsigned char *got)
{
    assert_int_equal(stream_write(channel, &(struct iovec){&megabytes, 1}, 1), 0);
    return stream_read(channel, got, 1);
}

TEST(a_child_yields_to_others)
{
    struct stream *channel;
    struct child *c = spawn(&channel);
    enum child_memory memory;
    assert_int_equal(child_limit(c, &(struct child_limits){.nice = 7}, &memory), 0);
    assert_int_equal(memory, CHILD_MEMORY_FREE);
    assert_int_equal(getpriority(PRIO_PROCESS, (id_t)child_pid(c)), 7);
    child_close(c);
    stream_close(channel);
    return 0;
}

TEST(resident_memory_is_told)
{
    struct stream *channel;
    struct child *c = spawn(&channel);
    struct child_exit exit;
    unsigned char got;
    assert_int_equal(take(channel, 1, &got), 1);
    int64_t before = child_resident(c);
    assert_in_range(before, 1, 4096 * MB);
    assert_int_equal(take(channel, 40, &got), 1);
    assert_in_range(child_resident(c) - before, 35 * MB, 1000 * MB); /* shadows count */
    assert_int_equal(plain_resident(child_pid(c)) / (int64_t)MB, child_resident(c) / (int64_t)MB);
    assert_int_equal(child_signal(c, SIGKILL), 0);
    assert_int_equal(child_wait(c, &exit), 0);
    assert_int_equal(child_resident(c), -ESRCH);
    assert_false(child_ran_out_of_memory(c));
    enum child_memory memory;
    assert_int_equal(child_limit(c, &(struct child_limits){.nice = 7}, &memory), -ESRCH);
    child_close(c);
    stream_close(channel);
    return 0;
}

TEST(further_addresses_are_refused)
{
    struct stream *channel;
    struct child *c = spawn(&channel);
    enum child_memory memory;
    unsigned char got;
    assert_int_equal(take(channel, 1, &got), 1);
    assert_int_equal(child_limit(c, &(struct child_limits){.memory = 30 * MB}, &memory), 0);
    if (memory == CHILD_MEMORY_ADDRESSES) {
        assert_int_equal(take(channel, 100, &got), 1);
        assert_in_range(got, 20, 30);
    } else if (memory == CHILD_MEMORY_FREE) {
        assert_true(WITH_SHADOW);
    }
    child_close(c);
    stream_close(channel);
    return 0;
}

/* ---- Groups ---- */

static int with_group(const char *path, coro_fn *fn)
{
    struct uv_world_options options = {.watchdog_ns = -1, .cgroup = path};
    assert_int_equal(uv_world_open(&w, &options), 0);
    int rc = uv_world_run(w, "test", fn, NULL);
    uv_world_close(w);
    return rc;
}

static int limit_without_group(void *arg)
{
    struct stream *channel;
    struct child *c = spawn(&channel);
    enum child_memory memory;
    assert_int_equal(child_limit(c, &(struct child_limits){.memory = 30 * MB}, &memory), 0);
    assert_int_equal(memory, WITH_SHADOW ? CHILD_MEMORY_FREE : CHILD_MEMORY_ADDRESSES);
    child_close(c);
    stream_close(channel);
    return 0;
}

static void put(const char *directory, const char *name, const char *text)
{
    int fd = open(path_in(directory, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* Where the kernel refuses, addresses are limited, and no group is left behind: here by directories
 * that only look like groups. */
static void without_a_group_addresses_are_limited(void **state)
{
    const char *directory = make_directory();
    assert_int_equal(with_group(path_in(directory, "nothing"), limit_without_group), 0);
    put(directory, "memory.limit_in_bytes", "");
    assert_int_equal(with_group(directory, limit_without_group), 0);
    unlink(path_in(directory, "memory.limit_in_bytes"));
    put(directory, "cgroup.controllers", "cpu io\n");
    assert_int_equal(with_group(directory, limit_without_group), 0);
    put(directory, "cgroup.controllers", "cpu memory\n");
    assert_int_equal(with_group(directory, limit_without_group), 0);
    put(directory, "cgroup.subtree_control", "memory\n");
    assert_int_equal(with_group(directory, limit_without_group), 0);
    unlink(path_in(directory, "cgroup.subtree_control"));
    unlink(path_in(directory, "cgroup.controllers"));
    remove_directory(directory);
}

static int be_killed_in_a_group(void *arg)
{
    struct stream *channel;
    struct child *c = spawn(&channel);
    struct child_exit exit;
    enum child_memory memory;
    unsigned char got;
    assert_int_equal(take(channel, 1, &got), 1);
    assert_int_equal(child_limit(c, &(struct child_limits){.memory = 30 * MB}, &memory), 0);
    assert_int_equal(memory, CHILD_MEMORY_CGROUP);
    assert_true(take(channel, 100, &got) <= 0);
    assert_int_equal(child_wait(c, &exit), 0);
    assert_int_equal(exit.signal, SIGKILL);
    assert_true(child_ran_out_of_memory(c));
    child_close(c);
    stream_close(channel);
    return 0;
}

static int count_entries(const char *path)
{
    DIR *d = opendir(path);
    assert_non_null(d);
    int count = 0;
    struct dirent *e;
    while ((e = readdir(d)))
        count += strncmp(e->d_name, "weir-child-", 11) == 0;
    closedir(d);
    return count;
}

static void a_group_kills_who_takes_too_much(void **state)
{
    const char *path = getenv("WEIR_TEST_CGROUP");
    if (!path) {
        skip();
        return;
    }
    assert_int_equal(with_group(path, be_killed_in_a_group), 0);
    assert_int_equal(count_entries(path), 0);
}

TEST_ROLE(taking_memory)
{
    return take_memory();
}

TEST_FILE(uv_child_memory)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_yields_to_others),
        cmocka_unit_test(resident_memory_is_told),
        cmocka_unit_test(further_addresses_are_refused),
        cmocka_unit_test(without_a_group_addresses_are_limited),
        cmocka_unit_test(a_group_kills_who_takes_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
