/*
 * reference_test.c: doc/guide/configuration.md is what the table says. With WEIR_WRITE_REFERENCE
 * set it is written anew instead.
 */
#include "../check.h"

#include "conf/config.h"
#include "flow/flow.h"

#include <stdio.h>
#include <stdlib.h>

static void the_page_is_what_the_table_says(void **state)
{
    const char *path = getenv("WEIR_REFERENCE");
    struct bytes page;
    struct bytes text;
    bytes_init(&page, 1 << 20);
    bytes_init(&text, 1 << 20);
    assert_int_equal(conf_reference_write(&flow_kinds, &page), 0);
    assert_non_null(path);
    FILE *file = fopen(path, getenv("WEIR_WRITE_REFERENCE") ? "w+" : "r");
    assert_non_null(file);
    if (getenv("WEIR_WRITE_REFERENCE")) {
        assert_int_equal(fwrite(page.ptr, 1, page.len, file), page.len);
        rewind(file);
    }
    assert_int_equal(bytes_reserve(&text, (1 << 20) - 1), 0);
    text.len = fread(text.ptr, 1, text.size, file);
    fclose(file);
    if (!span_equal(bytes_span(&page), bytes_span(&text)))
        fail_msg(
            "doc/guide/configuration.md is out of date; its first lines say how to write it anew");
    bytes_release(&page);
    bytes_release(&text);
}

TEST_FILE(reference)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_what_the_table_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
