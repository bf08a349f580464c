/*
 * plain_pages_test.c: memory that was in small pages is in large ones, and says the same as before;
 * what is hardly used stays as small as it was.
 */
#include "../check.h"

#include "base/sanitizers.h"
#include "world/plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE ((size_t)2 * 1024 * 1024)
#define SIZE  (4 * LARGE)

/* Bytes of this process that the field says, of /proc/self/smaps_rollup. */
static size_t bytes_of(const char *field)
{
    char line[256];
    size_t found = 0;
    FILE *rollup = fopen("/proc/self/smaps_rollup", "re");
    assert_non_null(rollup);
    while (fgets(line, sizeof line, rollup))
        if (strncmp(line, field, strlen(field)) == 0)
            found = strtoul(line + strlen(field), NULL, 10) * 1024;
    fclose(rollup);
    return found;
}

static unsigned char *map(void)
{
    void *memory =
        mmap(NULL, SIZE + LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    (void)!madvise(memory, SIZE + LARGE, MADV_NOHUGEPAGE); /* until it is filled */
    return memory;
}

static bool kernel_can(unsigned char *memory)
{
    size_t into = LARGE - (uintptr_t)memory % LARGE;
    return madvise(memory + into, LARGE, 25 /* MADV_COLLAPSE */) == 0;
}

static void used_memory_is_in_large_pages_and_unharmed(void **state)
{
    if (WITH_SHADOW)
        skip();
    unsigned char *probe = map();
    unsigned char *memory = map();
    for (size_t i = 0; i < SIZE + LARGE; i++)
        memory[i] = (unsigned char)(i * 7 / 5);
    memset(probe, 1, SIZE + LARGE);
    (void)!madvise(probe, SIZE + LARGE, 14 /* MADV_HUGEPAGE */);
    (void)!madvise(memory, SIZE + LARGE, 14);
    bool can = kernel_can(probe);
    size_t before = bytes_of("AnonHugePages:");
    plain_join_pages();
    for (size_t i = 0; i < SIZE + LARGE; i++)
        if (memory[i] != (unsigned char)(i * 7 / 5))
            fail_msg("byte %zu is another", i);
    if (can)
        assert_true(bytes_of("AnonHugePages:") >= before + SIZE);
    munmap(probe, SIZE + LARGE);
    munmap(memory, SIZE + LARGE);
}

static void memory_that_is_hardly_used_is_left(void **state)
{
    if (WITH_SHADOW)
        skip();
    unsigned char *memory = map();
    for (size_t i = 0; i < SIZE; i += LARGE)
        memory[i] = 1;
    (void)!madvise(memory, SIZE + LARGE, 14);
    size_t before = bytes_of("Rss:");
    plain_join_pages();
    assert_true(bytes_of("Rss:") < before + LARGE);
    munmap(memory, SIZE + LARGE);
}

TEST_FILE(plain_pages)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(used_memory_is_in_large_pages_and_unharmed),
        cmocka_unit_test(memory_that_is_hardly_used_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
