/*
 * yaml.c: any bytes are a configuration or have errors; what is a configuration comes back the same
 * when it is handed on.
 */
#include "base/bug.h"
#include "base/mem.h"
#include "conf/config.h"
#include "flow/flow.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUT_MAX (64 * 1024 * 1024)

static void check_handed_on(const struct conf *c, struct conf_errors *errors)
{
    struct bytes once;
    struct bytes twice;
    struct conf *back;
    bytes_init(&once, OUT_MAX);
    bytes_init(&twice, OUT_MAX);
    check(conf_write(c, &once) == 0, "a configuration that was read cannot be written");
    if (conf_parse(&back, bytes_span(&once), &flow_kinds, errors) != 0) {
        check(conf_errors_write(errors, &twice) == 0, "nor the errors");
        bug("what was written cannot be read: %.*s\n%.*s", SPAN_ARG(once), SPAN_ARG(twice));
    }
    check(conf_write(back, &twice) == 0, "it cannot be written twice");
    check(span_equal(bytes_span(&once), bytes_span(&twice)),
        "it reads back as something else:\n%.*s\n%.*s", SPAN_ARG(once), SPAN_ARG(twice));
    conf_free(back);
    bytes_release(&once);
    bytes_release(&twice);
}

static int no_file(void *ctx, const char *path, size_t max, char **text, size_t *len)
{
    return -ENOENT;
}

static const char *env(void *ctx, const char *name)
{
    return name[0] == 'A' ? "a $text: {}" : NULL;
}

struct only_file {
    struct span text;
};

static int file(void *ctx, const char *path, size_t max, char **text, size_t *len)
{
    const struct only_file *f = ctx;
    if (strcmp(path, "fuzz.yaml") != 0 || f->text.len > max)
        return no_file(NULL, path, max, text, len);
    *text = mem_alloc(f->text.len + 1);
    check(*text, "no memory");
    if (f->text.len > 0)
        memcpy(*text, f->text.ptr, f->text.len);
    *len = f->text.len;
    return 0;
}

/* As people write it: what is printed loads and prints the same. */
static void check_loaded(struct span text, struct conf_errors *errors)
{
    struct only_file only = {text};
    struct conf_source source = {file, env, &only};
    struct conf *c;
    if (conf_load(&c, "fuzz.yaml", &source, &flow_kinds, errors) != 0) {
        conf_free(c);
        return;
    }
    struct bytes once;
    struct bytes twice;
    bytes_init(&once, OUT_MAX);
    bytes_init(&twice, OUT_MAX);
    check_handed_on(c, errors);
    check(conf_print(c, &once) == 0, "a configuration that was loaded cannot be printed");
    check(once.ptr, "a configuration is printed as nothing");
    conf_free(c);
    if (!memmem(once.ptr, once.len, "***", 3)) {
        only.text = bytes_span(&once);
        if (conf_load(&c, "fuzz.yaml", &source, &flow_kinds, errors) != 0) {
            check(conf_errors_write(errors, &twice) == 0, "nor the errors");
            bug("what was printed cannot be loaded: %.*s\n%.*s", SPAN_ARG(once), SPAN_ARG(twice));
        }
        check(conf_print(c, &twice) == 0, "it cannot be printed twice");
        check(span_equal(bytes_span(&once), bytes_span(&twice)),
            "it is printed as something else:\n%.*s\n%.*s", SPAN_ARG(once), SPAN_ARG(twice));
        conf_free(c);
    }
    bytes_release(&once);
    bytes_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {.ptr = (const char *)data, .len = size};
    struct conf *c;
    struct bytes told;
    struct conf_errors *errors = conf_errors_new();
    check(errors, "no memory");
    bytes_init(&told, OUT_MAX);
    if (conf_parse(&c, text, &flow_kinds, errors) == 0) {
        check(conf_errors_count(errors) == 0, "accepted with errors");
        check_handed_on(c, errors);
        conf_free(c);
    } else {
        conf_free(c);
        check(conf_errors_count(errors) > 0, "a refusal without a sentence");
        check(
            conf_errors_write(errors, &told) == 0 && told.len > 0, "errors that cannot be written");
    }
    check_loaded(text, errors);
    bytes_release(&told);
    conf_errors_free(errors);
    return 0;
}
