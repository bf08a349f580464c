/*
 * check.c: weir check: everything that is wrong with a configuration, at once.
 */
#include "cli/cli.h"

#include "app/check.h"

#include <errno.h>
#include <stdio.h>

#define PRINTED_MAX (64u << 20)

struct check {
    const char *config;
    const char *path;
    bool schema;
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

static int say_good(const struct check *c, const struct conf *conf)
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

static int say_bad(const struct check *c, const struct conf_errors *errors, int rc)
{
    struct bytes text;
    if (!conf_errors_count(errors))
        return complain(EXIT_STATUS_ENVIRONMENT, "cannot load %s: %s", c->path, error_text(rc));
    bytes_init(&text, PRINTED_MAX);
    int status = print_bytes(conf_errors_write(errors, &text), &text, stderr);
    return status ? status : EXIT_STATUS_REFUSED;
}

static int check_file(struct world *w, void *arg)
{
    const struct check *c = arg;
    struct conf_source files = real_source(w);
    struct plan_source source = {.path = c->path, .files = &files, .unsafe = c->unsafe};
    struct conf_errors *errors = conf_errors_new();
    struct conf *conf;
    if (!errors)
        return complain(EXIT_STATUS_ENVIRONMENT, "%s", error_text(-ENOMEM));
    int rc = plan_read(&conf, &source, errors);
    if (rc == 0) {
        rc = app_check_plugins(conf, errors);
        if (rc)
            conf_free(conf);
    }
    int status = rc ? say_bad(c, errors, rc) : say_good(c, conf);
    if (rc == 0)
        conf_free(conf);
    conf_errors_free(errors);
    return status;
}

static int print_schema(void)
{
    struct bytes text;
    bytes_init(&text, PRINTED_MAX);
    return print_bytes(conf_schema_write(&text), &text, stdout);
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
        "Plugins are loaded, to see whether they have their steps; no address is bound.\n",
    .notes =
        "Exit status: 0 no errors; 1 the configuration is wrong; 2 the command line is wrong;\n"
        "3 the system refused.\n",
    VERB_OPTIONS(options),
    .operand = VALUE_FILE,
    .run = run,
};
