/*
 * step_value.c: a step that sees any JSON text as its input. It goes through all of it by the
 * accessors of the ABI and writes it anew piece by piece, which must mean the same; and it takes
 * the bytes as orders of what to write, which must come out as one JSON value or as a mistake.
 */
#include "base/bug.h"
#include "base/mem.h"
#include "base/time.h"
#include "step/internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- Steps ---- */

static void copy(struct weir_task *t, const struct weir_value *v);

static void copy_container(struct weir_task *t, const struct weir_value *v)
{
    bool object = weir_type(v) == WEIR_OBJECT;
    struct weir_each each = weir_each(v);
    size_t count = 0;
    if (object)
        weir_out_object(t);
    else
        weir_out_array(t);
    while (weir_next(&each)) {
        check(each.index == count++, "it counts %zu as %zu", count, each.index);
        check(object == !!each.name, "a name of an element, or none of a member");
        if (object) {
            check(each.name[each.name_length] == '\0', "a name that does not end");
            check(weir_member(v, each.name) || strlen(each.name) != each.name_length,
                "the member '%s' cannot be found", each.name);
            weir_out_key_n(t, each.name, each.name_length);
        } else if (count < 100) {
            check(weir_element(v, each.index) == each.value, "an element is another");
        }
        copy(t, each.value);
    }
    check(count == weir_count(v), "it has %zu, and says %zu", count, weir_count(v));
    weir_out_end(t);
}

/* Digits that no double can mean. */
static bool is_too_large(const struct weir_value *v)
{
    struct bytes text;
    bytes_init(&text, SIZE_MAX / 2);
    check(json_write(&text, (const struct json_value *)(const void *)v) == 0 &&
              bytes_append_byte(&text, '\0') == 0,
        "it cannot be written");
    bool is = isinf(strtod(text.ptr, NULL));
    bytes_release(&text);
    return is;
}

/* Each accessor of another type says that it is another. */
static void check_type(const struct weir_value *v)
{
    enum weir_type type = weir_type(v);
    size_t length = 7;
    check(weir_bool(v, true) == weir_bool(v, false) || type != WEIR_BOOL, "a bool that is none");
    bool fits = weir_number(v, 1) == weir_number(v, 2);
    check(fits == (type == WEIR_NUMBER && !is_too_large(v)), "a number?");
    check(weir_integer(v, 1) != weir_integer(v, 2) || type == WEIR_NUMBER, "an integer?");
    check(!!weir_text(v, &length) == (type == WEIR_TEXT), "a text?");
    check(length == 0 || type == WEIR_TEXT, "no text has a length");
    check(weir_count(v) == 0 || type >= WEIR_ARRAY, "a count of nothing");
    check(!weir_member(v, "a") || type == WEIR_OBJECT, "a member?");
    check(!weir_element(v, 0) || type == WEIR_ARRAY, "an element?");
}

static void copy(struct weir_task *t, const struct weir_value *v)
{
    check_type(v);
    size_t length;
    const char *text;
    switch (weir_type(v)) {
    case WEIR_NULL:
        weir_out_null(t);
        break;
    case WEIR_BOOL:
        weir_out_bool(t, weir_bool(v, false));
        break;
    case WEIR_NUMBER:
        if (weir_integer(v, 0) == weir_integer(v, 1))
            weir_out_integer(t, weir_integer(v, 0));
        else
            weir_out_number(t, weir_number(v, 0));
        break;
    case WEIR_TEXT:
        text = weir_text(v, &length);
        check(text[length] == '\0', "a text that does not end");
        weir_out_text_n(t, text, length);
        break;
    case WEIR_ARRAY:
    case WEIR_OBJECT:
        copy_container(t, v);
        break;
    }
}

static int run_copy(struct weir_task *t)
{
    copy(t, weir_input(t));
    return 0;
}

/* Does what the bytes of a text say, one after another. */
static int run_orders(struct weir_task *t)
{
    const struct weir_value *input = weir_input(t);
    size_t length;
    const char *orders = weir_text(weir_element(input, 0), &length);
    const struct weir_value *value = weir_element(input, 1);
    for (size_t i = 0; i < length; i++) {
        switch (orders[i] % 9) {
        case 0:
            weir_out_null(t);
            break;
        case 1:
            weir_out_integer(t, (int64_t)i);
            break;
        case 2:
            weir_out_text_n(t, orders + i, 1);
            break;
        case 3:
            weir_out_array(t);
            break;
        case 4:
            weir_out_object(t);
            break;
        case 5:
            weir_out_key_n(t, orders + i, length - i < 2 ? length - i : 2);
            break;
        case 6:
            weir_out_value(t, value);
            break;
        case 7:
            weir_out_textf(t, "%zu %c", i, orders[i]);
            break;
        default:
            weir_out_end(t);
            break;
        }
    }
    return 0;
}

/* ---- Calls ---- */

static int64_t no_time(struct work *work)
{
    return 0;
}

static int grow(struct step_output *o, size_t room)
{
    char *bigger = mem_realloc(o->base, room);
    if (!bigger)
        return -ENOMEM;
    o->base = bigger;
    o->room = room;
    return 0;
}

static enum step_outcome call(
    int (*run)(struct weir_task *), struct span input, struct step_output *out)
{
    struct work work = {.now = no_time, .processor = no_time};
    struct step_place place = {.work = &work};
    struct step_entry entry = {.name = "fuzzed", .code = {.run = run}};
    struct step_set set = {.count = 1, .entries = &entry};
    struct step_worker *k;
    check(step_worker_new(&k, &set, &place, NULL) == 0, "no worker");
    struct step_call c = {.input = input, .deadline = DEADLINE_NEVER, .output = out};
    step_worker_call(k, &c);
    step_worker_free(k);
    check(c.outcome == STEP_DONE || (c.error.sentence[0] && out->len == 0), "no sentence");
    return c.outcome;
}

/* What a value means, whatever way it is written: as Weir writes it. */
static void write_plainly(struct bytes *out, const struct json_value *v)
{
    struct json_iter it = json_iter(v);
    struct span name;
    const struct json_value *child;
    int64_t n;
    int rc = 0;
    bool object = json_type(v) == JSON_OBJECT;
    if (json_type(v) == JSON_NUMBER) {
        rc = json_integer(v, &n) ? json_write_integer(out, n)
                                 : json_write_number(out, json_number(v, 0));
    } else if (json_type(v) == JSON_ARRAY || object) {
        rc = bytes_append_byte(out, object ? '{' : '[');
        for (size_t i = 0; rc == 0 && (child = json_next(&it, &name)); i++) {
            rc = bytes_append_byte(out, i ? ',' : ' ');
            if (rc == 0 && object)
                rc = json_write_string(out, name);
            write_plainly(out, child);
        }
        if (rc == 0)
            rc = bytes_append_byte(out, object ? '}' : ']');
    } else {
        rc = json_write(out, v);
    }
    check(rc == 0, "it cannot be written: %d", rc);
}

static void check_copy(const struct json *j, struct span input)
{
    struct step_output out = {.grow = grow};
    struct bytes before;
    struct bytes after;
    struct json *back;
    check(call(run_copy, input, &out) == STEP_DONE, "it was not copied");
    check(json_parse(&back, (struct span){out.base, out.len}, SIZE_MAX, NULL) == 0, "no JSON");
    bytes_init(&before, SIZE_MAX / 2);
    bytes_init(&after, SIZE_MAX / 2);
    write_plainly(&before, json_root(j));
    write_plainly(&after, json_root(back));
    check(span_equal(bytes_span(&before), bytes_span(&after)), "it means something else: %.*s",
        (int)out.len, out.base);
    bytes_release(&before);
    bytes_release(&after);
    json_free(back);
    mem_free(out.base);
}

static void check_orders(struct span input)
{
    struct step_output out = {.grow = grow};
    struct json *j;
    struct error e;
    if (call(run_orders, input, &out) == STEP_DONE) {
        if (json_parse(&j, (struct span){out.base, out.len}, SIZE_MAX, &e))
            bug("%s: %.*s", e.sentence, (int)out.len, out.base);
        json_free(j);
    }
    mem_free(out.base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {.ptr = (const char *)data, .len = size};
    struct json *j;
    struct step_output out = {.grow = grow};
    if (json_parse(&j, text, JSON_TEXT_MAX, NULL) == 0) {
        check_copy(j, text);
        check_orders(text);
        json_free(j);
    } else {
        check(call(run_copy, text, &out) == STEP_REJECTED, "what is no JSON was not rejected");
    }
    mem_free(out.base);
    return 0;
}
