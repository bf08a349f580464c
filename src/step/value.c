/*
 * value.c: JSON values as steps see them: those of data/json.h, under the ABI's names. A `struct
 * weir_value` is a `struct json_value`.
 */
#include "step/internal.h"

static const struct json_value *as_json(const struct weir_value *v)
{
    return (const struct json_value *)(const void *)v;
}

static const struct weir_value *as_weir(const struct json_value *v)
{
    return (const struct weir_value *)(const void *)v;
}

enum weir_type weir_type(const struct weir_value *v)
{
    switch (json_type(as_json(v))) {
    case JSON_BOOL:
        return WEIR_BOOL;
    case JSON_NUMBER:
        return WEIR_NUMBER;
    case JSON_STRING:
        return WEIR_TEXT;
    case JSON_ARRAY:
        return WEIR_ARRAY;
    case JSON_OBJECT:
        return WEIR_OBJECT;
    case JSON_NULL:
        break;
    }
    return WEIR_NULL;
}

bool weir_bool(const struct weir_value *v, bool otherwise)
{
    return json_bool(as_json(v), otherwise);
}

double weir_number(const struct weir_value *v, double otherwise)
{
    return json_number(as_json(v), otherwise);
}

int64_t weir_integer(const struct weir_value *v, int64_t otherwise)
{
    int64_t n;
    return json_integer(as_json(v), &n) ? n : otherwise;
}

const char *weir_text(const struct weir_value *v, size_t *length)
{
    struct span text = json_string(as_json(v));
    if (length)
        *length = text.len;
    return text.ptr;
}

size_t weir_count(const struct weir_value *v)
{
    return json_count(as_json(v));
}

const struct weir_value *weir_member(const struct weir_value *v, const char *name)
{
    return as_weir(json_member(as_json(v), name));
}

const struct weir_value *weir_element(const struct weir_value *v, size_t index)
{
    if (json_type(as_json(v)) != JSON_ARRAY || index >= json_count(as_json(v)))
        return NULL;
    struct json_iter it = json_iter(as_json(v));
    for (size_t i = 0; i < index; i++)
        json_next(&it, NULL);
    return as_weir(json_next(&it, NULL));
}

/* Whether it goes through an object shows in the name: for an array it is NULL from the start. */
struct weir_each weir_each(const struct weir_value *v)
{
    struct json_iter it = json_iter(as_json(v));
    return (struct weir_each){
        .name = it.members ? "" : NULL,
        .index = SIZE_MAX, /* one before the first */
        .next = it.next,
        .left = it.left,
    };
}

bool weir_next(struct weir_each *each)
{
    struct json_iter it = {.next = each->next, .left = each->left, .members = each->name != NULL};
    struct span name = {0};
    each->value = as_weir(json_next(&it, &name));
    if (!each->value)
        return false;
    if (it.members) {
        each->name = name.ptr;
        each->name_length = name.len;
    }
    each->index++;
    each->next = it.next;
    each->left = it.left;
    return true;
}
