/*
 * value.c: see value.h.
 */
#include "flow/value.h"

#include "base/limits.h"
#include "wire/field.h"
#include "wire/target.h"

#include <errno.h>

/* ---- Looking up ---- */

static struct value text_value(struct span text)
{
    return (struct value){.kind = VALUE_TEXT, .text = text};
}

static struct value json_value(const struct json_value *v)
{
    return (struct value){.kind = v ? VALUE_JSON : VALUE_NULL, .json = v};
}

static const struct json_value *element(const struct json_value *array, uint32_t index)
{
    if (json_type(array) != JSON_ARRAY || index >= json_count(array))
        return NULL;
    struct json_iter it = json_iter(array);
    const struct json_value *v = json_next(&it, NULL);
    while (v && index-- > 0)
        v = json_next(&it, NULL);
    return v;
}

static struct value part_of_json(const struct json_value *v, const struct reference_step *step)
{
    if (!step->name)
        return json_value(element(v, step->index));
    return json_value(json_type(v) == JSON_OBJECT ? json_member(v, step->name) : NULL);
}

static struct value part_of_answer(const struct answer *a, const struct reference_step *step)
{
    if (step->name && strcmp(step->name, "status") == 0)
        return (struct value){.kind = VALUE_INTEGER, .integer = a->head->status};
    if (step->name && strcmp(step->name, "headers") == 0)
        return (struct value){.kind = VALUE_FIELDS, .head = a->head};
    if (step->name && strcmp(step->name, "body") == 0)
        return (struct value){
            .kind = a->is_json ? VALUE_RAW : VALUE_TEXT, .text = a->body, .doc = a->doc};
    if (step->name && strcmp(step->name, "attempts") == 0)
        return (struct value){.kind = VALUE_INTEGER, .integer = a->attempts};
    if (step->name && strcmp(step->name, "server") == 0)
        return text_value(span_of(a->server));
    return (struct value){0};
}

static bool same_name(struct span a, struct span b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

/* A cookie may have commas in it: these fields alone cannot be joined (RFC 9110, 5.3). */
static bool is_cookie(struct span name)
{
    return http_name_equal(name, "set-cookie");
}

/* The value of the field with those of the later ones of its name, as if they were one; RFC 9113,
 * 8.2.3 has it for Cookie. */
static int append_joined(const struct http1_head *head, unsigned at, struct bytes *out)
{
    bool cookie = http_name_equal(head->fields[at].name, "cookie");
    int rc = bytes_append_span(out, head->fields[at].value);
    for (unsigned i = at + 1; rc == 0 && i < head->field_count; i++) {
        if (!same_name(head->fields[i].name, head->fields[at].name))
            continue;
        rc = bytes_append_span(out, cookie ? SPAN("; ") : SPAN(", "));
        if (rc == 0)
            rc = bytes_append_span(out, head->fields[i].value);
    }
    return rc;
}

static int join(struct value *out, const struct http1_head *head, unsigned at, struct arena *arena)
{
    struct bytes joined;
    bytes_init(&joined, JSON_TEXT_MAX);
    int rc = append_joined(head, at, &joined);
    char *copy = rc ? NULL : arena_copy(arena, bytes_span(&joined));
    *out = text_value((struct span){copy, joined.len});
    bytes_release(&joined);
    return copy ? 0 : -ENOMEM;
}

/* All fields of the name, as one value. */
static int find_field(
    struct value *out, const struct http1_head *head, const char *name, struct arena *arena)
{
    struct span wanted = span_of(name);
    unsigned found = 0;
    unsigned first = 0;
    for (unsigned i = head->field_count; i-- > 0;)
        if (same_name(head->fields[i].name, wanted)) {
            first = i;
            found++;
        }
    if (found == 0)
        *out = (struct value){0};
    else if (is_cookie(wanted))
        *out = (struct value){.kind = VALUE_COOKIES, .head = head};
    else if (found > 1)
        return join(out, head, first, arena);
    else
        *out = text_value(head->fields[first].value);
    return 0;
}

static struct value cookie(const struct http1_head *head, const struct reference_step *step)
{
    uint32_t left = step->index;
    for (unsigned i = 0; !step->name && i < head->field_count; i++)
        if (is_cookie(head->fields[i].name) && left-- == 0)
            return text_value(head->fields[i].value);
    return (struct value){0};
}

static struct value part_of(const struct value *v, const struct reference_step *step)
{
    switch (v->kind) {
    case VALUE_JSON:
        return part_of_json(v->json, step);
    case VALUE_RAW:
        return v->doc ? part_of_json(json_root(v->doc), step) : (struct value){0};
    case VALUE_COOKIES:
        return cookie(v->head, step);
    case VALUE_ANSWER:
        return part_of_answer(v->answers, step);
    case VALUE_ANSWERS:
        if (step->name || step->index >= v->count)
            return (struct value){0};
        return (struct value){
            .kind = VALUE_ANSWER, .count = 1, .answers = v->answers + step->index};
    case VALUE_FIELDS: /* see step_into */
    case VALUE_NULL:
    case VALUE_INTEGER:
    case VALUE_TEXT:
        break;
    }
    return (struct value){0};
}

static int step_into(struct value *v, const struct reference_step *step, struct arena *arena)
{
    if (v->kind == VALUE_FIELDS && step->name)
        return find_field(v, v->head, step->name, arena);
    *v = part_of(v, step);
    return 0;
}

static struct value param_value(const struct flow_data *data, const char *name)
{
    for (unsigned i = 0; i < data->param_count; i++)
        if (span_equal(data->params[i].name, span_of(name)))
            return text_value(data->params[i].value);
    return (struct value){0};
}

static int decode(struct span in, struct arena *arena, struct span *out, struct error *e)
{
    *out = in;
    if (in.len == 0 || (!memchr(in.ptr, '%', in.len) && !memchr(in.ptr, '+', in.len)))
        return 0;
    char *text = arena_alloc(arena, in.len);
    if (!text)
        return error_set(e, -ENOMEM, "out-of-memory", "no memory to read the query");
    out->ptr = text;
    if (percent_decode(in, true, text, &out->len))
        return error_set(e, -EINVAL, "invalid-query",
            "the query has a '%%' that two hexadecimal digits other than 00 do not follow");
    return 0;
}

/* The first parameter of that name. */
static int query_value(
    struct value *out, const struct flow_data *data, const char *wanted, struct error *e)
{
    struct span query = data->head->query;
    struct span name;
    struct span value;
    *out = (struct value){0};
    while (query_next(&query, &name, &value)) {
        struct span decoded;
        int rc = decode(name, data->arena, &decoded, e);
        if (rc)
            return rc;
        if (!span_equal(decoded, span_of(wanted)))
            continue;
        rc = decode(value, data->arena, &decoded, e);
        if (rc == 0)
            *out = text_value(decoded);
        return rc;
    }
    return 0;
}

static struct value request_value(const struct flow_data *data, unsigned which)
{
    if (which == REQUEST_ID)
        return text_value(data->id);
    if (which == REQUEST_CLIENT)
        return data->client.ptr ? text_value(data->client) : (struct value){0};
    return text_value(which == REQUEST_METHOD ? data->head->method_name : data->head->path);
}

static int no_memory(struct error *e)
{
    return error_set(e, -ENOMEM, "out-of-memory", "no memory for header fields");
}

int value_of(
    struct value *out, const struct reference *r, const struct flow_data *data, struct error *e)
{
    switch (r->root) {
    case REFERENCE_PATH:
        *out = param_value(data, r->name);
        return 0;
    case REFERENCE_QUERY:
        return query_value(out, data, r->name, e);
    case REFERENCE_HEADER:
        return find_field(out, data->head, r->name, data->arena) ? no_memory(e) : 0;
    case REFERENCE_REQUEST:
        *out = request_value(data, r->index);
        return 0;
    case REFERENCE_BODY:
        *out = data->body;
        break;
    case REFERENCE_NODE:
        *out = data->nodes[r->index];
        break;
    }
    for (unsigned i = 0; i < r->step_count && out->kind != VALUE_NULL; i++)
        if (step_into(out, &r->steps[i], data->arena))
            return no_memory(e);
    return 0;
}

void value_release(struct value *v)
{
    if (v->kind == VALUE_RAW)
        json_free(v->doc);
    if (v->kind == VALUE_ANSWER || v->kind == VALUE_ANSWERS)
        for (unsigned i = 0; i < v->count; i++)
            json_free(v->answers[i].doc);
    *v = (struct value){0};
}

/* ---- As JSON ---- */

/* A document often ends in a line break, which means nothing within another. */
static struct span trim_json(struct span json)
{
    while (json.len > 0 && memchr(" \t\r\n", json.ptr[json.len - 1], 4))
        json.len--;
    while (json.len > 0 && memchr(" \t\r\n", json.ptr[0], 4)) {
        json.ptr++;
        json.len--;
    }
    return json;
}

static int write_joined(const struct http1_head *head, unsigned at, struct bytes *out)
{
    struct bytes joined;
    bytes_init(&joined, out->max);
    int rc = append_joined(head, at, &joined);
    if (rc == 0)
        rc = json_write_string(out, bytes_span(&joined));
    bytes_release(&joined);
    return rc;
}

static int write_cookies(const struct http1_head *head, struct bytes *out)
{
    int rc = bytes_append_byte(out, '[');
    bool first = true;
    for (unsigned i = 0; rc == 0 && i < head->field_count; i++) {
        if (!is_cookie(head->fields[i].name))
            continue;
        if (!first)
            rc = bytes_append_byte(out, ',');
        first = false;
        if (rc == 0)
            rc = json_write_string(out, head->fields[i].value);
    }
    return rc ? rc : bytes_append_byte(out, ']');
}

static int write_lower(struct span name, struct bytes *out)
{
    size_t before = out->len;
    int rc = json_write_string(out, name);
    for (size_t i = before; rc == 0 && i < out->len; i++)
        if (out->ptr[i] >= 'A' && out->ptr[i] <= 'Z')
            out->ptr[i] = (char)(out->ptr[i] - 'A' + 'a');
    return rc;
}

static int write_fields(const struct http1_head *head, struct bytes *out)
{
    int rc = bytes_append_byte(out, '{');
    bool first = true;
    for (unsigned i = 0; rc == 0 && i < head->field_count; i++) {
        bool written = false;
        for (unsigned j = 0; j < i && !written; j++)
            written = same_name(head->fields[i].name, head->fields[j].name);
        if (written)
            continue;
        if (!first)
            rc = bytes_append_byte(out, ',');
        first = false;
        if (rc == 0)
            rc = write_lower(head->fields[i].name, out);
        if (rc == 0)
            rc = bytes_append_byte(out, ':');
        if (rc == 0)
            rc = is_cookie(head->fields[i].name) ? write_cookies(head, out)
                                                 : write_joined(head, i, out);
    }
    return rc ? rc : bytes_append_byte(out, '}');
}

static int write_answer(const struct answer *a, struct bytes *out)
{
    int rc = bytes_printf(out, "{\"status\":%d,\"headers\":", a->head->status);
    if (rc == 0)
        rc = write_fields(a->head, out);
    if (rc == 0)
        rc = bytes_append_span(out, SPAN(",\"body\":"));
    if (rc == 0)
        rc = a->is_json ? bytes_append_span(out, a->body) : json_write_string(out, a->body);
    return rc ? rc : bytes_append_byte(out, '}');
}

static int write_answers(const struct value *v, struct bytes *out)
{
    int rc = bytes_append_byte(out, '[');
    for (unsigned i = 0; rc == 0 && i < v->count; i++) {
        if (i > 0)
            rc = bytes_append_byte(out, ',');
        if (rc == 0)
            rc = write_answer(&v->answers[i], out);
    }
    return rc ? rc : bytes_append_byte(out, ']');
}

int value_write_json(const struct value *v, struct bytes *out)
{
    switch (v->kind) {
    case VALUE_NULL:
        break;
    case VALUE_INTEGER:
        return json_write_integer(out, v->integer);
    case VALUE_TEXT:
        return json_write_string(out, v->text);
    case VALUE_JSON:
        return json_write(out, v->json);
    case VALUE_RAW:
        return bytes_append_span(out, trim_json(v->text));
    case VALUE_FIELDS:
        return write_fields(v->head, out);
    case VALUE_COOKIES:
        return write_cookies(v->head, out);
    case VALUE_ANSWER:
        return write_answer(v->answers, out);
    case VALUE_ANSWERS:
        return write_answers(v, out);
    }
    return bytes_append_span(out, SPAN("null"));
}

/* ---- As text ---- */

static int text_of_json(const struct json_value *v, struct bytes *scratch, struct span *text)
{
    *text = (struct span){.ptr = "", .len = 0};
    if (json_type(v) == JSON_NULL)
        return 0;
    if (json_type(v) == JSON_STRING) {
        *text = json_string(v);
        return 0;
    }
    int rc = json_write(scratch, v);
    *text = bytes_span(scratch);
    return rc;
}

/* A text that was passed on unread: its string is between quotes, and may have escapes. */
static int text_of_raw(struct span raw, struct bytes *scratch, struct span *text)
{
    struct json *doc;
    int rc = json_parse(&doc, raw, raw.len, NULL);
    if (rc)
        return rc == -ENOMEM ? rc : -EINVAL;
    rc = text_of_json(json_root(doc), scratch, text);
    if (rc == 0 && text->len > 0 && text->ptr != scratch->ptr) {
        rc = bytes_append_span(scratch, *text);
        *text = bytes_span(scratch);
    }
    json_free(doc);
    return rc;
}

int value_text(const struct value *v, struct bytes *scratch, struct span *text)
{
    bytes_reset(scratch);
    *text = (struct span){.ptr = "", .len = 0};
    if (v->kind == VALUE_NULL)
        return 0;
    if (v->kind == VALUE_TEXT) {
        *text = v->text;
        return 0;
    }
    if (v->kind == VALUE_JSON)
        return text_of_json(v->json, scratch, text);
    if (v->kind == VALUE_RAW)
        return v->doc ? text_of_json(json_root(v->doc), scratch, text)
                      : text_of_raw(v->text, scratch, text);
    int rc = value_write_json(v, scratch);
    *text = bytes_span(scratch);
    return rc;
}

/* ---- Lists ---- */

static int copy_text(const struct json_value *v, struct arena *arena, struct span *out)
{
    struct bytes scratch;
    bytes_init(&scratch, JSON_TEXT_MAX);
    int rc = text_of_json(v, &scratch, out);
    char *copy = rc ? NULL : arena_copy(arena, *out);
    out->ptr = copy;
    bytes_release(&scratch);
    return rc ? rc : (copy ? 0 : -ENOMEM);
}

static int texts_of_json(const struct json_value *list, struct arena *arena, struct span *out)
{
    struct json_iter it = json_iter(list);
    int rc = 0;
    for (const struct json_value *v; rc == 0 && (v = json_next(&it, NULL)) != NULL;)
        rc = copy_text(v, arena, out++);
    return rc;
}

static unsigned texts_of_cookies(const struct http1_head *head, struct span *out)
{
    unsigned count = 0;
    for (unsigned i = 0; i < head->field_count && count < VALUE_TEXTS_MAX; i++)
        if (is_cookie(head->fields[i].name))
            out[count++] = head->fields[i].value;
    return count;
}

int value_texts(const struct value *v, struct arena *arena, struct span **texts, unsigned *count)
{
    struct json *doc = v->kind == VALUE_RAW ? v->doc : NULL;
    struct json *own = NULL;
    if (v->kind == VALUE_RAW && !doc) {
        int rc = json_parse(&own, v->text, v->text.len, NULL);
        if (rc)
            return rc == -ENOMEM ? rc : -EINVAL;
        doc = own;
    }
    const struct json_value *list = doc ? json_root(doc) : v->json;
    bool cookies = v->kind == VALUE_COOKIES;
    size_t most = cookies ? VALUE_TEXTS_MAX : json_count(list);
    int rc = most > VALUE_TEXTS_MAX ? -ENOBUFS : 0;
    *texts = rc ? NULL : arena_alloc(arena, (most + 1) * sizeof **texts);
    if (rc == 0 && !*texts)
        rc = -ENOMEM;
    *count = (unsigned)most;
    if (rc == 0 && cookies)
        *count = texts_of_cookies(v->head, *texts);
    else if (rc == 0)
        rc = texts_of_json(list, arena, *texts);
    json_free(own);
    return rc;
}

/* ---- What it is ---- */

static char first_byte(struct span json)
{
    json = trim_json(json);
    return json.len > 0 ? json.ptr[0] : '\0';
}

bool value_is_list(const struct value *v)
{
    return v->kind == VALUE_COOKIES ||
           (v->kind == VALUE_JSON && json_type(v->json) == JSON_ARRAY) ||
           (v->kind == VALUE_RAW && first_byte(v->text) == '[');
}

bool value_is_null(const struct value *v)
{
    return v->kind == VALUE_NULL || (v->kind == VALUE_JSON && json_type(v->json) == JSON_NULL) ||
           (v->kind == VALUE_RAW && first_byte(v->text) == 'n');
}

bool value_is_text(const struct value *v)
{
    return v->kind == VALUE_TEXT || (v->kind == VALUE_JSON && json_type(v->json) == JSON_STRING) ||
           (v->kind == VALUE_RAW && first_byte(v->text) == '"');
}

static bool read_integer(struct span digits, int64_t *out)
{
    bool negative = digits.len > 0 && digits.ptr[0] == '-';
    if (negative)
        digits = (struct span){digits.ptr + 1, digits.len - 1};
    *out = 0;
    if (digits.len == 0 || digits.len > 18)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
        *out = *out * 10 + (digits.ptr[i] - '0');
    }
    *out = negative ? -*out : *out;
    return true;
}

bool value_integer(const struct value *v, int64_t *out)
{
    if (v->kind == VALUE_INTEGER) {
        *out = v->integer;
        return true;
    }
    if (v->kind == VALUE_JSON && json_type(v->json) == JSON_NUMBER)
        return json_integer(v->json, out);
    if (v->kind == VALUE_JSON)
        return read_integer(json_string(v->json), out);
    if (v->kind == VALUE_RAW && v->doc)
        return json_integer(json_root(v->doc), out);
    if (v->kind == VALUE_RAW || v->kind == VALUE_TEXT)
        return read_integer(v->text, out);
    return false;
}

bool media_is_json(struct span type)
{
    const char *end = type.len ? memchr(type.ptr, ';', type.len) : NULL;
    if (end)
        type.len = (size_t)(end - type.ptr);
    type = http_trim(type);
    static const char suffix[] = "+json";
    size_t n = sizeof suffix - 1;
    if (http_name_equal(type, "application/json"))
        return true;
    return type.len > n && strncasecmp(type.ptr + type.len - n, suffix, n) == 0;
}
