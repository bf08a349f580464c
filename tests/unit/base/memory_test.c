/*
 * memory_test.c: the heap and its switches, growing buffers, arenas.
 */
#include "../check.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/sanitizers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef WEIR_HAVE_VALGRIND
#    include <valgrind/valgrind.h>
#else
#    define RUNNING_ON_VALGRIND 0
#endif

/* ---- mem ---- */

static void the_nth_allocation_fails(void **state)
{
    mem_fail_at(2, false);
    void *a = mem_alloc(10);
    void *b = mem_alloc(10);
    void *c = mem_zalloc(10);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    assert_int_equal(mem_count(), 3);
    mem_fail_at(1, true);
    assert_null(mem_realloc(a, 100)); /* the old block is as it was */
    assert_null(mem_strdup("text"));
    mem_fail_at(0, false);
    mem_free(a);
    mem_free(c);
    mem_free(NULL);
}

static void zeroed_memory_is_zero(void **state)
{
    for (size_t size = 1; size < 5000; size *= 3) {
        unsigned char *p = mem_alloc(size);
        memset(p, 0xff, size);
        mem_free(p);
        p = mem_zalloc(size);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        mem_free(p);
    }
}

static void fill(unsigned char *block, size_t size)
{
    for (size_t i = 0; i < size; i++)
        block[i] = (unsigned char)(i * 7 + i / 251);
}

static bool is_filled(const unsigned char *block, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (block[i] != (unsigned char)(i * 7 + i / 251))
            return false;
    return true;
}

/* From the heap to pages of its own, larger ones, and back. */
static void a_block_keeps_its_bytes_as_it_grows(void **state)
{
    static const size_t sizes[] = {
        100, MEM_MAPPED - 1, MEM_MAPPED, MEM_MAPPED + 1, 10 * MEM_MAPPED + 5, 3 * MEM_MAPPED, 50};
    unsigned char *block = NULL;
    size_t size = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *moved = mem_resize(block, size, sizes[i]);
        assert_non_null(moved);
        assert_true(is_filled(moved, size < sizes[i] ? size : sizes[i]));
        block = moved;
        size = sizes[i];
        fill(block, size);
        mem_fail_at(1, false);
        assert_null(mem_resize(block, size, size + MEM_MAPPED)); /* it is as it was */
        mem_fail_at(0, false);
        assert_true(is_filled(block, size));
    }
    if (!WITH_SHADOW) /* which ends the program for it */
        assert_null(mem_resize(block, size, SIZE_MAX));
    mem_free_sized(block, size);
    mem_free_sized(NULL, 0);
}

static size_t resident_pages(void)
{
    unsigned long all = 0;
    unsigned long resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &all, &resident), 2);
    fclose(f);
    return resident;
}

#define MANY 64

/* What is untouched takes nothing; what was freed is the kernel's, though the heap around it is in
 * use. */
static void large_blocks_come_and_go_whole(void **state)
{
    const size_t size = (size_t)1024 * 1024;
    const size_t pages = size / (size_t)sysconf(_SC_PAGESIZE);
    char *large[MANY];
    void *small[MANY];
    if (WITH_SHADOW || RUNNING_ON_VALGRIND) /* whose own memory is counted with it */
        skip();
    size_t before = resident_pages();
    for (int i = 0; i < MANY; i++) {
        large[i] = mem_resize(NULL, 0, size);
        small[i] = mem_alloc(100);
        assert_non_null(large[i]);
    }
    assert_true(resident_pages() - before < pages);
    for (int i = 0; i < MANY; i++)
        memset(large[i], 1, size);
    assert_true(resident_pages() - before >= MANY * pages);
    for (int i = 0; i < MANY; i++)
        mem_free_sized(large[i], size);
    assert_true(resident_pages() - before < pages);
    for (int i = 0; i < MANY; i++)
        mem_free(small[i]);
}

enum mischief { NONE, OVERRUN, USE_AFTER_FREE, OVERRUN_BY_ONE, UNDERRUN };

/* Runs itself anew with guarded blocks: how the mischief ended. */
static int end_of_mischief(enum mischief mischief)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char number[2] = {(char)('0' + mischief), '\0'};
        setenv("WEIR_MEM_GUARD", "1", 1);
        if (!freopen("/dev/null", "w", stderr))
            _exit(9);
        execl("/proc/self/exe", "base_tests", "mischief", number, (char *)NULL);
        _exit(9);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int do_mischief(enum mischief mischief)
{
    volatile size_t size = 33; /* the compiler must not see what is wrong here */
    volatile ptrdiff_t before = -1;
    volatile char *p = mem_alloc(size);
    if (!p)
        return 8;
    if (mischief == OVERRUN)
        p[48] = 1;
    if (mischief == OVERRUN_BY_ONE)
        p[33] = 1;
    if (mischief == UNDERRUN)
        p[before] = 1;
    mem_free((void *)(uintptr_t)p);
    if (mischief == USE_AFTER_FREE)
        p[0] = 1;
    return 0;
}

static void guards_catch_overruns_and_use_after_free(void **state)
{
    if (WITH_ASAN || WITH_TSAN)
        skip(); /* the sanitizer catches them itself, its own way */
    assert_int_equal(end_of_mischief(NONE), 0);
    assert_true(WIFSIGNALED(end_of_mischief(OVERRUN)));
    assert_true(WIFSIGNALED(end_of_mischief(OVERRUN_BY_ONE)));
    assert_true(WIFSIGNALED(end_of_mischief(UNDERRUN)));
    assert_true(WIFSIGNALED(end_of_mischief(USE_AFTER_FREE)));
}

/* ---- bytes ---- */

static void a_buffer_grows_to_its_maximum_and_no_further(void **state)
{
    for (size_t max = 0; max < 300; max += 7) {
        struct bytes b;
        bytes_init(&b, max);
        for (size_t i = 0; i < max; i++)
            assert_int_equal(bytes_append_byte(&b, (char)i), 0);
        assert_int_equal(bytes_append_byte(&b, 'x'), -ENOBUFS);
        assert_int_equal(bytes_append(&b, "", 0), 0);
        assert_int_equal(bytes_reserve(&b, SIZE_MAX), -ENOBUFS);
        assert_int_equal(b.len, max);
        assert_true(b.size <= max);
        for (size_t i = 0; i < max; i++)
            assert_int_equal(b.ptr[i], (char)i);
        bytes_release(&b);
    }
}

static void what_does_not_fit_changes_nothing(void **state)
{
    struct bytes b;
    bytes_init(&b, 10);
    assert_int_equal(bytes_append_span(&b, SPAN("seven..")), 0);
    assert_int_equal(bytes_append_span(&b, SPAN("four")), -ENOBUFS);
    assert_int_equal(bytes_printf(&b, "%d", 1234), -ENOBUFS);
    assert_true(span_equal(bytes_span(&b), SPAN("seven..")));
    assert_int_equal(bytes_printf(&b, "%d", 12), 0);
    assert_true(span_equal(bytes_span(&b), SPAN("seven..12")));
    bytes_consume(&b, 5);
    assert_true(span_equal(bytes_span(&b), SPAN("..12")));
    bytes_consume(&b, 4);
    assert_int_equal(b.len, 0);
    bytes_reset(&b);
    bytes_release(&b);
}

/* ---- arena ---- */

static void an_arena_hands_out_aligned_and_separate_memory(void **state)
{
    struct arena a;
    arena_init(&a, 1024 * 1024);
    for (int round = 0; round < 3; round++) {
        unsigned char *blocks[200];
        for (size_t i = 0; i < 200; i++) {
            blocks[i] = arena_alloc(&a, i * 3);
            assert_non_null(blocks[i]);
            assert_int_equal((uintptr_t)blocks[i] % 16, 0);
            memset(blocks[i], (int)i, i * 3);
        }
        for (size_t i = 0; i < 200; i++)
            for (size_t k = 0; k < i * 3; k++)
                assert_int_equal(blocks[i][k], (unsigned char)i);
        arena_reset(&a);
    }
    arena_release(&a);
    assert_int_equal(a.used, 0);
}

static void an_arena_stops_at_its_maximum(void **state)
{
    struct arena a;
    arena_init(&a, 10000);
    assert_null(arena_alloc(&a, 10001));
    volatile size_t absurd = SIZE_MAX;
    assert_null(arena_alloc(&a, absurd));
    size_t got = 0;
    while (arena_alloc(&a, 100))
        got++;
    assert_in_range(got, 70, 100);
    assert_true(a.used <= 10000);
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 100));
    arena_release(&a);
}

static void a_large_allocation_leaves_the_rest_of_an_arena_as_it_was(void **state)
{
    struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    assert_non_null(arena_alloc(&a, 100));
    size_t used = a.used;
    assert_non_null(arena_alloc(&a, 10 * 1024 * 1024));
    size_t both = a.used;
    assert_non_null(arena_alloc(&a, 100)); /* from the chunk that was in use */
    assert_int_equal(a.used, both);
    arena_reset(&a);
    assert_int_equal(a.used, used); /* the large one is given back */
    assert_non_null(arena_alloc(&a, 10 * 1024 * 1024));
    arena_reset(&a);
    arena_release(&a);
    assert_int_equal(a.used, 0);
    arena_init(&a, SIZE_MAX);
    volatile size_t absurd = SIZE_MAX - 3;
    assert_null(arena_alloc(&a, absurd));
    arena_release(&a);
}

static void an_arena_makes_text(void **state)
{
    struct arena a;
    arena_init(&a, 4096);
    assert_string_equal(arena_copy(&a, (struct span){"weird", 4}), "weir");
    assert_string_equal(arena_copy(&a, (struct span){NULL, 0}), "");
    assert_string_equal(arena_printf(&a, "%s-%03d", "x", 7), "x-007");
    arena_release(&a);
}

static bool use_arena(void)
{
    struct arena a;
    arena_init(&a, 1024 * 1024);
    bool through = true;
    for (int i = 0; i < 100 && through; i++)
        through = arena_zalloc(&a, 500) && arena_printf(&a, "%d", i);
    arena_release(&a);
    return through;
}

static bool use_bytes(void)
{
    struct bytes b;
    bytes_init(&b, 100000);
    int rc = 0;
    for (int i = 0; i < 1000 && rc == 0; i++)
        rc = bytes_printf(&b, "line %d\n", i);
    bytes_release(&b);
    return rc == 0;
}

static void both_survive_the_loss_of_memory(void **state)
{
    torture(use_arena);
    torture(use_bytes);
}

TEST_ROLE(mischief)
{
    return argc == 2 ? do_mischief((enum mischief)(argv[1][0] - '0')) : 2;
}

TEST_FILE(memory)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_allocation_fails),
        cmocka_unit_test(zeroed_memory_is_zero),
        cmocka_unit_test(a_block_keeps_its_bytes_as_it_grows),
        cmocka_unit_test(large_blocks_come_and_go_whole),
        cmocka_unit_test(guards_catch_overruns_and_use_after_free),
        cmocka_unit_test(a_buffer_grows_to_its_maximum_and_no_further),
        cmocka_unit_test(what_does_not_fit_changes_nothing),
        cmocka_unit_test(an_arena_hands_out_aligned_and_separate_memory),
        cmocka_unit_test(an_arena_stops_at_its_maximum),
        cmocka_unit_test(a_large_allocation_leaves_the_rest_of_an_arena_as_it_was),
        cmocka_unit_test(an_arena_makes_text),
        cmocka_unit_test(both_survive_the_loss_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
