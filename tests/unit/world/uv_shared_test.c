/*
 * uv_shared_test.c: memory that a process shares with a child, who may be hostile. The test's own
 * program is the child.
 */
#include "uv_fixture.h"

#include "world/plain.h"

#include <sys/mman.h>

#define MAX ((size_t)1 << 20)

/* ---- The child's side ---- */

static int write_into_it(void)
{
    char *base;
    if (plain_begin() != 0 || plain_shared_map(PLAIN_SHARED, MAX, &base) != 0)
        return 10;
    if (plain_shared_size(PLAIN_SHARED) != 4096 || strcmp(base, "from the parent") != 0)
        return 11;
    if (plain_shared_grow(PLAIN_SHARED, 3 * 4096) != 0)
        return 12;
    if (plain_shared_grow(PLAIN_SHARED, 100) != 0 || plain_shared_size(PLAIN_SHARED) != 3 * 4096)
        return 13; /* no shrinking */
    strncpy(base + 2 * 4096, "from the child", 20);
    return 0;
}

static int be_hostile(void)
{
    if (ftruncate(PLAIN_SHARED, 0) == 0 || errno != EPERM)
        return 20;
    if (fcntl(PLAIN_SHARED, F_ADD_SEALS, F_SEAL_GROW) == 0 || errno != EPERM)
        return 21;
    if (fallocate(PLAIN_SHARED, FALLOC_FL_COLLAPSE_RANGE, 0, 4096) == 0)
        return 22;
    if (fallocate(PLAIN_SHARED, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) != 0)
        return 23;
    if (ftruncate(PLAIN_SHARED, INT64_C(1) << 40) != 0)
        return 24;
    return 0;
}

static void assert_child_succeeds(const char *what, struct shared *shared)
{
    struct child *c;
    struct stream *channel;
    struct child_exit exit;
    struct spawn_options o = {
        .argv = (const char *const[]){"/proc/self/exe", "sharing", what, NULL},
        .channel = &channel,
        .shared = shared,
    };
    assert_int_equal(world_spawn(w, &o, &c), 0);
    assert_int_equal(child_wait(c, &exit), 0);
    assert_int_equal(exit.signal, 0);
    assert_int_equal(exit.status, 0);
    child_close(c);
    stream_close(channel);
}

/* ---- Tests ---- */

static struct shared *share(size_t max)
{
    struct shared *s;
    assert_int_equal(world_shared(w, max, &s), 0);
    return s;
}

TEST(it_grows_up_to_its_maximum)
{
    struct shared *s = share(MAX);
    char *base = shared_base(s);
    assert_int_equal(shared_size(s), 0);
    assert_int_equal(shared_grow(s, 100), 0);
    assert_int_equal(shared_size(s), 100);
    assert_int_equal(base[99], 0);
    base[99] = 'x';
    assert_int_equal(shared_grow(s, MAX), 0);
    assert_ptr_equal(shared_base(s), base);
    assert_int_equal(base[99], 'x');
    assert_int_equal(base[MAX - 1], 0);
    assert_int_equal(shared_grow(s, 10), 0);
    assert_int_equal(shared_size(s), MAX);
    assert_int_equal(shared_grow(s, MAX + 1), -ENOSPC);
    shared_close(s);
    return 0;
}

TEST(its_memory_can_be_given_back)
{
    struct shared *s = share(MAX);
    char *base = shared_base(s);
    unsigned char resident[MAX / 4096];
    assert_int_equal(shared_grow(s, MAX), 0);
    memset(base, 'x', MAX);
    shared_trim(s, 4096 + 10);
    assert_int_equal(base[4096 + 9], 'x');
    assert_int_equal(mincore(base, MAX, resident), 0);
    assert_int_equal(resident[0] & 1, 1);
    for (size_t i = 2; i < sizeof(resident); i++)
        assert_int_equal(resident[i] & 1, 0);
    assert_int_equal(base[4096 + 10], 0);
    assert_int_equal(base[MAX - 1], 0);
    assert_int_equal(shared_size(s), MAX);
    shared_trim(s, MAX);
    shared_trim(s, 2 * MAX);
    assert_int_equal(base[4096 + 9], 'x');
    shared_close(s);
    return 0;
}

TEST(most_of_a_large_one_is_addresses_only)
{
    struct shared *s = share((size_t)1 << 36);
    assert_int_equal(shared_grow(s, (size_t)1 << 35), 0);
    shared_base(s)[((size_t)1 << 35) - 1] = 1;
    shared_close(s);
    return 0;
}

TEST(a_child_sees_it_too)
{
    struct shared *s = share(MAX);
    assert_int_equal(shared_grow(s, 4096), 0);
    strncpy(shared_base(s), "from the parent", 20);
    assert_child_succeeds("write", s);
    assert_int_equal(shared_size(s), 3 * 4096);
    assert_string_equal(shared_base(s) + 2 * 4096, "from the child");
    shared_close(s);
    return 0;
}

TEST(a_hostile_child_cannot_take_it_away)
{
    struct shared *s = share(MAX);
    assert_int_equal(shared_grow(s, 2 * 4096), 0);
    memset(shared_base(s), 'x', 2 * 4096);
    assert_child_succeeds("hostile", s);
    assert_int_equal(shared_base(s)[0], 0); /* it may empty it, but it is there */
    assert_int_equal(shared_base(s)[4096], 'x');
    assert_int_equal(shared_size(s), MAX); /* all that there are addresses for */
    assert_int_equal(shared_grow(s, MAX), 0);
    shared_trim(s, 0);
    assert_int_equal(shared_base(s)[4096], 0);
    shared_close(s);
    return 0;
}

TEST(what_there_are_no_addresses_for_is_refused)
{
    struct shared *s;
    assert_int_equal(world_shared(w, SIZE_MAX / 2, &s), -ENOMEM);
    mem_fail_at(1, false);
    assert_int_equal(world_shared(w, MAX, &s), -ENOMEM);
    mem_fail_at(0, false);
    return 0;
}

TEST_ROLE(sharing)
{
    return argc == 2 && strcmp(argv[1], "write") == 0 ? write_into_it() : be_hostile();
}

TEST_FILE(uv_shared)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_up_to_its_maximum),
        cmocka_unit_test(its_memory_can_be_given_back),
        cmocka_unit_test(most_of_a_large_one_is_addresses_only),
        cmocka_unit_test(a_child_sees_it_too),
        cmocka_unit_test(a_hostile_child_cannot_take_it_away),
        cmocka_unit_test(what_there_are_no_addresses_for_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
