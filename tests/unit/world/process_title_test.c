/*
 * process_title_test.c: that a title stays where the command line was, whatever its length.
 */
#include "../check.h"

#include "world/process_title.h"
#include "world/small_file.h"

#include <string.h>
#ifdef WEIR_HAVE_VALGRIND
#    include <valgrind/valgrind.h>
#else
#    define RUNNING_ON_VALGRIND 0
#endif

/* The command line has `size` bytes, and they are `title` and zeros. */
static void assert_title(const char *title, size_t size)
{
    char text[4096];
    struct span line = small_file_read("/proc/self/cmdline", text, sizeof(text) - 1);
    text[line.len] = '\0';
    assert_int_equal(line.len, size);
    assert_string_equal(text, title);
    for (size_t i = strlen(title); i < size; i++)
        assert_int_equal(text[i], 0);
}

static void assert_name(const char *name)
{
    char text[64];
    struct span line = small_file_read("/proc/self/comm", text, sizeof(text));
    assert_true(line.len > 0 && line.len - 1 == strlen(name));
    assert_memory_equal(text, name, strlen(name));
}

static void a_title_stays_where_the_command_line_was(void **state)
{
    char before[4096];
    char longer[PROCESS_TITLE_MAX * 2 + 1];
    size_t size = small_file_read("/proc/self/cmdline", before, sizeof(before)).len;
    if (RUNNING_ON_VALGRIND)
        skip(); /* there the kernel's is not the program's own */
    assert_true(size > 8);
    process_title("a title", "a name");
    assert_title("a title", size);
    assert_name("a name");
    process_title("", "a name of more than fifteen");
    assert_title("", size);
    assert_name("a name of more ");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    process_title(longer, "");
    longer[size - 1 < PROCESS_TITLE_MAX ? size - 1 : PROCESS_TITLE_MAX] = '\0';
    assert_title(longer, size);
    assert_name("");
}

TEST_FILE(process_title)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_title_stays_where_the_command_line_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
