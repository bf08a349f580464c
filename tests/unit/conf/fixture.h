/*
 * fixture.h: a file system and an environment made of tables, and loading from them.
 */
#pragma once

#include "../check.h"

#include "conf/config.h"
#include "conf/schema.h"
#include "flow/flow.h"

#include <errno.h>
#include <stdio.h>

struct file {
    const char *path;
    const char *text;
    size_t len; /* 0: up to the zero byte */
};

struct variable {
    const char *name;
    const char *value;
};

struct disk {
    const struct file *files;
    size_t file_count;
    const struct variable *variables;
    size_t variable_count;
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static inline int disk_file(void *ctx, const char *path, size_t max, char **text, size_t *len)
{
    const struct disk *disk = ctx;
    for (size_t i = 0; i < disk->file_count; i++) {
        const struct file *f = &disk->files[i];
        if (strcmp(f->path, path) != 0)
            continue;
        *len = f->len ? f->len : strlen(f->text);
        if (*len > max)
            return -EMSGSIZE;
        *text = mem_alloc(*len + 1);
        if (!*text)
            return -ENOMEM;
        memcpy(*text, f->text, *len);
        return 0;
    }
    if (strcmp(path, "secret/pipe") == 0)
        return -ESPIPE;
    return strcmp(path, "secret/forbidden") == 0 ? -EACCES : -ENOENT;
}

static inline const char *disk_env(void *ctx, const char *name)
{
    const struct disk *disk = ctx;
    for (size_t i = 0; i < disk->variable_count; i++)
        if (strcmp(disk->variables[i].name, name) == 0)
            return disk->variables[i].value;
    return NULL;
}

static inline struct conf_source source_of(struct disk *disk)
{
    return (struct conf_source){.file = disk_file, .env = disk_env, .ctx = disk};
}

/* The errors as they are told, or "" and the configuration. */
static inline struct conf *load_from(struct disk *disk, const char *path, struct bytes *told)
{
    struct conf *c = NULL;
    struct conf_source source = source_of(disk);
    struct conf_errors *errors = conf_errors_new();
    assert_non_null(errors);
    bytes_init(told, 1024 * 1024);
    int rc = conf_load(&c, path, &source, &flow_kinds, errors);
    assert_int_equal(rc, conf_errors_count(errors) ? -EINVAL : 0);
    assert_int_equal(conf_errors_write(errors, told), 0);
    assert_int_equal(bytes_append_byte(told, '\0'), 0);
    conf_errors_free(errors);
    if (rc) {
        conf_free(c);
        c = NULL;
    }
    return c;
}

/* A configuration that must be good. */
static inline struct conf *load_text(const char *text)
{
    static const struct variable variables[] = {
        {"PORT", "7000"},
        {"TOKEN", "s3cr3t-$body.x"},
        {"EMPTY", ""},
        {"NUMBER", "5"},
    };
    struct file file = {.path = "weir.yaml", .text = text};
    struct disk disk = {&file, 1, variables, COUNT(variables)};
    struct bytes told;
    struct conf *c = load_from(&disk, "weir.yaml", &told);
    if (!c)
        fail_msg("refused: %s", told.ptr);
    bytes_release(&told);
    return c;
}

/* That the configuration as it is printed has this part. */
static inline void assert_shown(const struct conf *c, const char *part)
{
    struct bytes out;
    bytes_init(&out, 1024 * 1024);
    assert_int_equal(conf_print_json(c, &out), 0);
    assert_int_equal(bytes_append_byte(&out, '\0'), 0);
    if (!strstr(out.ptr, part))
        fail_msg("%s is not in %s", part, out.ptr);
    bytes_release(&out);
}

/* What is said of files of which one is refused. */
static inline void assert_told(
    const struct file *files, size_t count, const char *path, const char *expected)
{
    struct disk disk = {.files = files, .file_count = count};
    struct bytes told;
    assert_null(load_from(&disk, path, &told));
    assert_string_equal(told.ptr, expected);
    bytes_release(&told);
}
