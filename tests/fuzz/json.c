/*
 * json.c: what is read can be walked and written, and what was written reads back to the same text.
 */
#include "data/json.h"
#include "base/bug.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const struct json_value *v)
{
    size_t seen = 1 + json_string(v).len;
    struct json_iter it = json_iter(v);
    struct span name;
    const struct json_value *child;
    while ((child = json_next(&it, &name)))
        seen += walk(child);
    return seen;
}

static bool has_twin_of(const struct json_value *object, struct span wanted)
{
    struct json_iter it = json_iter(object);
    struct span name;
    unsigned found = 0;
    while (json_next(&it, &name))
        found += span_equal(name, wanted);
    return found > 1;
}

/* As slow as it is simple. */
static bool has_twins(const struct json_value *v)
{
    struct json_iter it = json_iter(v);
    struct span name = {0};
    const struct json_value *child;
    while ((child = json_next(&it, &name)))
        if ((json_type(v) == JSON_OBJECT && has_twin_of(v, name)) || has_twins(child))
            return true;
    return false;
}

static void check_twins(const struct json *j)
{
    static const uint64_t seed[2] = {3, 4};
    struct span name;
    check(json_twins(j, seed, &name) == has_twins(json_root(j)), "twins are there and not found");
}

static void check_round_trip(const struct json *j)
{
    struct bytes once;
    struct bytes twice;
    struct json *back;
    bytes_init(&once, 16 * 1024 * 1024);
    bytes_init(&twice, 16 * 1024 * 1024);
    check(json_write(&once, json_root(j)) == 0, "a value that was read cannot be written");
    check(json_parse(&back, bytes_span(&once), JSON_TEXT_MAX, NULL) == 0,
        "what was written cannot be read");
    check(json_write(&twice, json_root(back)) == 0, "it cannot be written twice");
    check(span_equal(bytes_span(&once), bytes_span(&twice)), "it reads back as something else");
    check(walk(json_root(j)) == walk(json_root(back)), "it reads back with other parts");
    json_free(back);
    bytes_release(&once);
    bytes_release(&twice);
}

/* Any bytes at all, written as a string, are a JSON text. */
static void check_string(struct span bytes)
{
    struct bytes out;
    struct json *j;
    bytes_init(&out, 16 * 1024 * 1024);
    check(json_write_string(&out, bytes) == 0, "bytes cannot be written as a string");
    check(json_parse(&j, bytes_span(&out), JSON_TEXT_MAX, NULL) == 0, "the string cannot be read");
    json_free(j);
    bytes_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {.ptr = (const char *)data, .len = size};
    struct json *j;
    struct error e;
    if (json_parse(&j, text, JSON_TEXT_MAX, &e) == 0) {
        check_round_trip(j);
        check_twins(j);
        json_free(j);
    } else {
        check(e.sentence[0], "a refusal without a sentence");
    }
    check_string(text);
    return 0;
}
