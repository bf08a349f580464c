/*
 * check.c: weir check: reports all errors of a configuration.
 */
#include "cli/cli.h"

#include "app/check.h"
#include "flow/flow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PRINTED_MAX (64u << 20)

struct check {
    const char *config;
    const char *path;
    bool schema;
    struct conf_source files; /* for files that are no pipe */
    bool print;
    bool quiet;
    bool unsafe;
};

static const char *plural(unsigned count)
{
    return count == 1 ? "" : "s";
}

static int print_bytes(int rc, struct bytes *text, FILE *to)
{
    if (rc == 0)
        fwrite(text->ptr, 1, text->len, to);
    bytes_release(text);
    return rc ? complain(EXIT_STATUS_ENVIRONMENT, "%s", error_text(rc)) : EXIT_STATUS_OK;
}

static int print_ok(const struct check *c, const struct conf *conf)
{
    const struct config *config = conf_config(conf);
    if (c->print) {
        struct bytes text;
        bytes_init(&text, PRINTED_MAX);
        return print_bytes(conf_print(conf, &text), &text, stdout);
    }
    if (!c->quiet)
        printf("%s: ok: %u route%s, %u listener%s\n", c->path, config->route_count,
            plural(config->route_count), config->listen_count, plural(config->listen_count));
    return EXIT_STATUS_OK;
}

static int print_errors(const struct check *c, const struct conf_errors *errors, int rc)
{
    struct bytes text;
    if (!conf_errors_count(errors))
        return complain(EXIT_STATUS_ENVIRONMENT, "cannot load %s: %s", c->path, error_text(rc));
    bytes_init(&text, PRINTED_MAX);
    int status = print_bytes(conf_errors_write(errors, &text), &text, stderr);
    return status ? status : EXIT_STATUS_REFUSED;
}

/* ---- Where it comes from ---- */

static int append_all(int fd, size_t max, struct bytes *out)
{
    for (;;) {
        int rc = bytes_reserve(out, 4096);
        if (rc)
            return rc == -ENOBUFS ? -EFBIG : rc;
        ssize_t got = read(fd, out->ptr + out->len, out->size - out->len);
        if (got == 0)
            return out->len > max ? -EFBIG : 0;
        if (got < 0 && errno != EINTR)
            return -errno;
        out->len += got > 0 ? (size_t)got : 0;
    }
}

/* Reading a pipe blocks, which is fine: nothing else runs. */
static int read_pipe(const char *path, size_t max, char **text, size_t *len)
{
    struct bytes all;
    /* tidy: allow open because no world's call waits for a pipe in the file system */
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    bytes_init(&all, max + 4096);
    int rc = append_all(fd, max, &all);
    close(fd);
    if (rc) {
        bytes_release(&all);
        return rc;
    }
    *text = all.ptr;
    *len = all.len;
    return 0;
}

/* The configuration may be a pipe; the files that it includes may not. */
static int read_file(void *ctx, const char *path, size_t max, char **text, size_t *len)
{
    const struct check *c = ctx;
    if (strcmp(path, c->path) == 0 && strcmp(path, "-") == 0)
        return read_pipe(path, max, text, len);
    int rc = c->files.file(c->files.ctx, path, max, text, len);
    return rc == -ESPIPE && strcmp(path, c->path) == 0 ? read_pipe(path, max, text, len) : rc;
}

static const char *read_variable(void *ctx, const char *name)
{
    const struct check *c = ctx;
    return c->files.env(c->files.ctx, name);
}

static int find_folder(void *ctx, char **path)
{
    const struct check *c = ctx;
    return c->files.folder(c->files.ctx, path);
}

/* ---- The check ---- */

static int check_file(struct world *w, void *arg)
{
    struct check *c = arg;
    struct conf_source files = {
        .file = read_file, .env = read_variable, .folder = find_folder, .ctx = c};
    c->files = real_source(w);
    struct loaded_config_source source = {.path = c->path, .files = &files, .unsafe = c->unsafe};
    struct conf_errors *errors = conf_errors_new();
    struct conf *conf = NULL;
    if (!errors)
        return complain(EXIT_STATUS_ENVIRONMENT, "%s", error_text(-ENOMEM));
    int rc = loaded_config_read(&conf, &source, errors);
    if (conf) {
        int checked = app_check_plugins(conf, errors);
        rc = checked ? checked : rc;
    }
    int status = rc ? print_errors(c, errors, rc) : print_ok(c, conf);
    conf_free(conf);
    conf_errors_free(errors);
    return status;
}

static int print_schema(void)
{
    struct bytes text;
    bytes_init(&text, PRINTED_MAX);
    return print_bytes(conf_schema_write(&flow_kinds, &text), &text, stdout);
}

static const struct option options[] = {
    {.letter = 'c',
        .name = "config",
        .at = offsetof(struct check, config),
        .kind = VALUE_FILE,
        .value = "FILE",
        .help = "the configuration; the same as FILE"},
    {.letter = 'q',
        .name = "quiet",
        .at = offsetof(struct check, quiet),
        .help = "print nothing when there are no errors"},
    {.name = "print",
        .at = offsetof(struct check, print),
        .help = "print the configuration with every default filled in\n"
                "(values from ${...} are printed as ***)"},
    {.name = "schema",
        .at = offsetof(struct check, schema),
        .help = "print the JSON Schema of configuration files, for editors"},
    {.name = "unsafe-steps",
        .at = offsetof(struct check, unsafe),
        .help = "accept built-in steps that do harm on purpose (crash)"},
};

static int run(int argc, char **argv)
{
    struct check c = {0};
    const char *operands[1];
    int count = parse_arguments(&verb_check, &c, argc, argv, operands, 1);
    if (count < 0)
        return EXIT_STATUS_USAGE;
    c.path = config_path("check", c.config, operands, count);
    if (!c.path)
        return EXIT_STATUS_USAGE;
    return c.schema ? print_schema() : run_in_world(NULL, check_file, &c);
}

const struct verb verb_check = {
    .name = "check",
    .summary = "report every error in a configuration",
    .usage = "[--print] [--quiet] [--unsafe-steps] [FILE]\n--schema\n",
    .about =
        "Reads the configuration FILE (weir.yaml) and the files it includes, and reports every\n"
        "error on standard error, one a line: where it is, what it is, and how to correct it.\n"
        "Plugins are loaded, to see whether they have their steps; no address is bound.\n"
        "\n"
        "FILE may be a pipe, and - is standard input: paths in it are seen from the working\n"
        "directory.\n",
    .notes =
        "Exit status: 0 no errors; 1 the configuration is wrong; 2 the command line is wrong;\n"
        "3 the system refused.\n",
    VERB_OPTIONS(options),
    .operand = VALUE_FILE,
    .run = run,
};
