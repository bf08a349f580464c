/*
 * init.c: weir init: writes a small project: a server, or a step in C.
 *
 * The files are in template/; the build embeds them into the program. In those of a step, and in
 * their names, NAME stands for the step's name.
 */
#include "cli/cli.h"

#include "base/bytes.h"
#include "cli_template.h"
#include "step/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARTS_MAX    5
#define PATH_MAX_LEN 4096
#define TEXT_MAX     ((size_t)64 * 1024)

struct part {
    const char *name;
    struct span data;
};

#define EMBEDDED(text)     \
    {                      \
        text, sizeof(text) \
    }

struct project {
    const char *what; /* to do in its directory, and how: */
    const char *then;
    struct part parts[PARTS_MAX];
};

static const struct project server_project = {
    .what = "Start it",
    .then = "weir serve",
    .parts = {{"weir.yaml", EMBEDDED(template_weir_yaml)},
        {"README.md", EMBEDDED(template_readme)}},
};

static const struct project step_project = {
    .what = "Try it",
    .then = "make test && make serve",
    .parts = {{"NAME.c", EMBEDDED(template_step_c)},
        {"NAME_test.c", EMBEDDED(template_step_test_c)},
        {"Makefile", EMBEDDED(template_step_makefile)},
        {"weir.yaml", EMBEDDED(template_step_weir_yaml)},
        {"README.md", EMBEDDED(template_step_readme)}},
};

struct init {
    const struct project *project;
    const char *directory;
    const char *name; /* of the step; NULL: a server */
};

static int fail(const char *what, const char *path, int rc)
{
    return complain(EXIT_STATUS_ENVIRONMENT, "cannot %s %s: %s", what, path, error_text(rc));
}

/* Appends the text with the step's name in place of NAME. */
static int write_named(struct bytes *out, struct span text, const char *name)
{
    static const char placeholder[] = "NAME";
    const char *at = text.ptr;
    const char *end = text.ptr + text.len;
    int rc = 0;
    while (rc == 0 && at < end) {
        const char *found = name ? memmem(at, (size_t)(end - at), placeholder, 4) : NULL;
        rc = bytes_append(out, at, (size_t)((found ? found : end) - at));
        if (rc == 0 && found)
            rc = bytes_append_span(out, span_of(name));
        at = found ? found + 4 : end;
    }
    return rc;
}

/* Appends the path of a part, and a zero byte. */
static int write_path(struct bytes *path, const struct init *init, const struct part *part)
{
    int rc = 0;
    if (strcmp(init->directory, ".") != 0) {
        rc = bytes_append_span(path, span_of(init->directory));
        if (rc == 0)
            rc = bytes_append_byte(path, '/');
    }
    if (rc == 0)
        rc = write_named(path, span_of(part->name), init->name);
    return rc ? rc : bytes_append_byte(path, '\0');
}

static int write_file(struct world *w, const char *path, struct span text)
{
    struct file *f;
    int rc = world_open(w, path, O_WRONLY | O_CREAT | O_EXCL, 0666, &f);
    if (rc)
        return fail("make", path, rc);
    rc = file_write(f, text.ptr, text.len, 0);
    file_close(f);
    if (rc)
        return fail("write", path, rc);
    printf("%s\n", path);
    return EXIT_STATUS_OK;
}

static int write_part(struct world *w, const struct init *init, const struct part *part)
{
    struct bytes path;
    struct bytes text;
    bytes_init(&path, PATH_MAX_LEN);
    bytes_init(&text, TEXT_MAX);
    int rc = write_path(&path, init, part);
    if (rc == 0)
        rc = write_named(&text, part->data, init->name);
    int status = rc ? fail("make", part->name, rc) : write_file(w, path.ptr, bytes_span(&text));
    bytes_release(&path);
    bytes_release(&text);
    return status;
}

static int refuse_if_it_exists(const struct init *init, const struct part *part)
{
    struct bytes path;
    bytes_init(&path, PATH_MAX_LEN);
    int status = EXIT_STATUS_OK;
    int rc = write_path(&path, init, part);
    if (rc)
        status = fail("use", init->directory, rc);
    else if (access(path.ptr, F_OK) == 0)
        status = complain(EXIT_STATUS_REFUSED, "%s exists already; %s", path.ptr,
            init->name ? "choose another name" : "choose another directory: weir init DIR");
    bytes_release(&path);
    return status;
}

static int write_project(struct world *w, void *arg)
{
    const struct init *init = arg;
    const struct part *parts = init->project->parts;
    int status = EXIT_STATUS_OK;
    /* Checked before anything is written: all files are written, or none. */
    for (size_t i = 0; i < PARTS_MAX && parts[i].name && status == 0; i++)
        status = refuse_if_it_exists(init, &parts[i]);
    for (size_t i = 0; i < PARTS_MAX && parts[i].name && status == 0; i++)
        status = write_part(w, init, &parts[i]);
    return status;
}

static int write_into(const struct init *init)
{
    if (mkdir(init->directory, 0777) != 0 && errno != EEXIST)
        return fail("make the directory", init->directory, -errno);
    int status = run_in_world(NULL, write_project, (void *)(uintptr_t)init);
    if (status == EXIT_STATUS_OK) {
        bool here = strcmp(init->directory, ".") == 0;
        printf("\n%s:  %s%s%s%s\n", init->project->what, here ? "" : "cd ",
            here ? "" : init->directory, here ? "" : " && ", init->project->then);
    }
    return status;
}

/* A letter, then letters, digits, '-' and '_', as in configurations; also the file's name and part
 * of a C identifier. */
static bool is_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    bool letter = (name[0] >= 'a' && name[0] <= 'z') || (name[0] >= 'A' && name[0] <= 'Z');
    return letter && !name[len] && len <= STEP_NAME_MAX;
}

static int init_step(const char *name)
{
    if (!name)
        return complain(EXIT_STATUS_USAGE,
            "'init step' needs the step's name: weir init step NAME; for a directory named 'step', "
            "weir init ./step");
    if (!is_name(name))
        return complain(EXIT_STATUS_USAGE,
            "'%s' cannot be a step's name: use a letter, then at most %d letters, digits, '-' and "
            "'_'",
            name, STEP_NAME_MAX - 1);
    if (step_is_builtin(name, NULL))
        return complain(
            EXIT_STATUS_USAGE, "a built-in step has the name '%s'; choose another name", name);
    struct init init = {.project = &step_project, .directory = name, .name = name};
    return write_into(&init);
}

static int run(int argc, char **argv)
{
    const char *operands[2] = {NULL, NULL};
    int count = parse_arguments(&verb_init, NULL, argc, argv, operands, 2);
    if (count < 0)
        return EXIT_STATUS_USAGE;
    if (count > 0 && strcmp(operands[0], "step") == 0)
        return init_step(operands[1]);
    if (count > 1)
        return complain(
            EXIT_STATUS_USAGE, "unexpected argument '%s'; see 'weir help init'", operands[1]);
    struct init init = {.project = &server_project, .directory = count > 0 ? operands[0] : "."};
    return write_into(&init);
}

static const char *const first_operands[] = {"step", NULL};

const struct verb verb_init = {
    .name = "init",
    .summary = "write a small project (a server, or a step in C)",
    .usage = "[DIR]\nstep NAME\n",
    .about =
        "Writes weir.yaml, a commented configuration, and README.md, which lists commands to try,\n"
        "into DIR (the current directory), which is created if it does not exist.\n"
        "\n"
        "'step' writes a step in C into the directory NAME: its source, its test, a Makefile,\n"
        "and a weir.yaml that serves it. Building it needs a C compiler, make and pkg-config.\n"
        "\n"
        "Existing files are never overwritten.\n",
    .notes =
        "Exit status: 0 success; 1 a file exists already, and nothing was written; 2 the command\n"
        "line is wrong; 3 the system refused.\n",
    .operand = VALUE_FOLDER,
    .operand_choices = first_operands,
    .run = run,
};
