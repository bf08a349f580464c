/*
 * bad_output.c: a step that writes its output as its input says, one call an element, in whatever
 * order that makes: "null", "true", 1, {"text": "..."}, {"key": "..."}, "[", "{", "end", "nan".
 * Tests find the mistakes with it, and the fuzzer.
 */
#include <weir/step.h>

#include <math.h>
#include <string.h>

static void write_named(struct weir_task *t, const char *what)
{
    if (strcmp(what, "null") == 0)
        weir_out_null(t);
    else if (strcmp(what, "true") == 0)
        weir_out_bool(t, true);
    else if (strcmp(what, "[") == 0)
        weir_out_array(t);
    else if (strcmp(what, "{") == 0)
        weir_out_object(t);
    else if (strcmp(what, "end") == 0)
        weir_out_end(t);
    else if (strcmp(what, "nan") == 0)
        weir_out_number(t, NAN);
    else if (strcmp(what, "latin1") == 0)
        weir_out_text(t, "caf\xe9");
    else if (strcmp(what, "NULL") == 0)
        weir_out_text(t, NULL);
    else
        weir_out_text(t, what);
}

static int run(struct weir_task *t)
{
    struct weir_each each = weir_each(weir_input(t));
    while (weir_next(&each)) {
        const struct weir_value *key = weir_member(each.value, "key");
        const struct weir_value *value = weir_member(each.value, "value");
        size_t length;
        const char *name = weir_text(key, &length);
        if (weir_type(each.value) == WEIR_TEXT)
            write_named(t, weir_text(each.value, NULL));
        else if (name)
            weir_out_key_n(t, name, length);
        else if (value)
            weir_out_value(t, value);
        else
            weir_out_integer(t, weir_integer(each.value, 0));
    }
    return 0;
}

static const struct weir_step steps[] = {{.name = "write", .run = run}};
WEIR_PLUGIN("bad_output", steps);
