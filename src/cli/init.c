/*
 * init.c: weir init: a small project that runs at once.
 *
 * Its files are in template/, where they can be read and tried; the build makes them part of the
 * program.
 */
#include "cli/cli.h"

#include "cli_template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct part {
    const char *name;
    const char *data;
    size_t size;
} parts[] = {
    {"weir.yaml", template_weir_yaml, sizeof(template_weir_yaml)},
    {"README.md", template_readme, sizeof(template_readme)},
};

#define PARTS        (sizeof(parts) / sizeof(parts[0]))
#define PATH_MAX_LEN 4096

struct init {
    const char *directory;
};

static int fail(const char *what, const char *path, int rc)
{
    return complain(EXIT_STATUS_ENVIRONMENT, "cannot %s %s: %s", what, path, error_text(rc));
}

/* False: it would be too long. */
static bool path_of(char path[PATH_MAX_LEN], const char *directory, const char *name)
{
    int len = strcmp(directory, ".") == 0 ? snprintf(path, PATH_MAX_LEN, "%s", name)
                                          : snprintf(path, PATH_MAX_LEN, "%s/%s", directory, name);
    return len >= 0 && len < PATH_MAX_LEN;
}

static int write_part(struct world *w, const char *path, const struct part *part)
{
    struct file *f;
    int rc = world_open(w, path, O_WRONLY | O_CREAT | O_EXCL, 0666, &f);
    if (rc)
        return fail("make", path, rc);
    rc = file_write(f, part->data, part->size, 0);
    file_close(f);
    return rc ? fail("write", path, rc) : EXIT_STATUS_OK;
}

/* Before anything is written, so that either all of it is new or nothing has happened. */
static int refuse_what_exists(const char *directory)
{
    char path[PATH_MAX_LEN];
    for (size_t i = 0; i < PARTS; i++) {
        if (!path_of(path, directory, parts[i].name))
            return fail("use", directory, -ENAMETOOLONG);
        if (access(path, F_OK) == 0)
            return complain(EXIT_STATUS_REFUSED,
                "%s exists, and is not overwritten; choose another directory: weir init DIR", path);
    }
    return EXIT_STATUS_OK;
}

static int write_project(struct world *w, void *arg)
{
    const struct init *init = arg;
    char path[PATH_MAX_LEN];
    int status = refuse_what_exists(init->directory);
    for (size_t i = 0; i < PARTS && status == 0; i++) {
        path_of(path, init->directory, parts[i].name);
        status = write_part(w, path, &parts[i]);
        if (status == 0)
            printf("%s\n", path);
    }
    return status;
}

static int run(int argc, char **argv)
{
    const char *operands[1];
    int count = parse_arguments("init", NULL, 0, argc, argv, operands, 1);
    if (count < 0)
        return EXIT_STATUS_USAGE;
    struct init init = {.directory = count > 0 ? operands[0] : "."};
    if (mkdir(init.directory, 0777) != 0 && errno != EEXIST)
        return fail("make the directory", init.directory, -errno);
    int status = run_in_world(NULL, write_project, &init);
    if (status == EXIT_STATUS_OK)
        printf("\nStart it:  %s%s%sweir serve\n", count > 0 ? "cd " : "",
            count > 0 ? init.directory : "", count > 0 ? " && " : "");
    return status;
}

const struct verb verb_init = {
    .name = "init",
    .summary = "write a small project that runs at once",
    .help = "usage: weir init [DIR]\n"
            "\n"
            "Writes weir.yaml, a commented configuration, and README.md, what to try with it,\n"
            "into DIR (the current directory), which is made if it does not exist. Files that\n"
            "exist are never overwritten.\n"
            "\n"
            "Exit status: 0 done; 1 a file exists already, and nothing was written; 2 the command\n"
            "line is wrong; 3 the machine says no.\n",
    .run = run,
};
