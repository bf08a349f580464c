/*
 * main.c: the unit tests of a folder, as one program.
 *
 *   FOLDER_tests                  lists the files of tests
 *   FOLDER_tests FILE [PATTERN]   runs one file's tests; with a pattern (*, ?) only those whose
 *                                 names match it
 *   FOLDER_tests ROLE [WORD]...   what a test starts itself as: a child, a worker
 *
 * The build runs each file in a process of its own.
 */
#include "check.h"

#include <stdio.h>
#include <string.h>

static struct test_entry *entries;

void test_enter(struct test_entry *entry)
{
    entry->next = entries;
    entries = entry;
}

static int list_files(void)
{
    for (const struct test_entry *e = entries; e; e = e->next)
        if (e->file)
            printf("%s\n", e->name);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return list_files();
    for (const struct test_entry *e = entries; e; e = e->next) {
        if (strcmp(e->name, argv[1]) != 0)
            continue;
        if (e->role)
            return e->role(argc - 1, argv + 1);
        if (argc > 2)
            cmocka_set_test_filter(argv[2]);
        return e->file();
    }
    fprintf(stderr, "%s: no file of tests is named '%s'; without arguments it lists them\n",
        argv[0], argv[1]);
    return 2;
}
