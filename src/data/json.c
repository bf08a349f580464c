/*
 * json.c: reading JSON and looking into it, on yyjson, with memory from base/mem.h.
 *
 * A `struct json_value` is one of yyjson's values under our name: nothing is wrapped or copied.
 */
#include "data/json.h"

#include "base/bug.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/siphash.h"
#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <yyjson.h>

struct json {
    yyjson_doc *doc;
};

static yyjson_val *as_theirs(const struct json_value *v)
{
    return (yyjson_val *)(uintptr_t)v;
}

static const struct json_value *as_ours(const yyjson_val *v)
{
    return (const struct json_value *)(const void *)v;
}

/* ---- Memory ---- */

/* Of documents: a block with its size before it, so that a large one goes back to the kernel. */
struct sized {
    _Alignas(16) size_t size;
};

static void *resize(struct sized *block, size_t size)
{
    if (size > SIZE_MAX - sizeof *block)
        return NULL;
    struct sized *moved = mem_resize(block, block ? block->size : 0, sizeof *moved + size);
    if (!moved)
        return NULL;
    moved->size = sizeof *moved + size;
    return moved + 1;
}

static void *allocate_sized(void *ctx, size_t size)
{
    return resize(NULL, size);
}

static void *reallocate_sized(void *ctx, void *block, size_t old_size, size_t size)
{
    return resize(block ? (struct sized *)block - 1 : NULL, size);
}

static void release_sized(void *ctx, void *block)
{
    struct sized *mine = block ? (struct sized *)block - 1 : NULL;
    mem_free_sized(mine, mine ? mine->size : 0);
}

static const yyjson_alc documents = {
    .malloc = allocate_sized, .realloc = reallocate_sized, .free = release_sized};

/* Of texts, which their readers free. */
static void *allocate(void *ctx, size_t size)
{
    return mem_alloc(size);
}

static void *reallocate(void *ctx, void *block, size_t old_size, size_t size)
{
    return mem_realloc(block, size);
}

static void release(void *ctx, void *block)
{
    mem_free(block);
}

static const yyjson_alc texts = {.malloc = allocate, .realloc = reallocate, .free = release};

/* ---- Parsing ---- */

static int say_where(struct error *e, int code, struct span text, size_t at, const char *what)
{
    size_t line = 1;
    size_t column = 1;
    size_t character = 0;
    yyjson_locate_pos(text.ptr, text.len, at, &line, &column, &character);
    return error_set(e, code, "invalid-json", "line %zu, column %zu: %s", line, column, what);
}

static bool is_opening(char c)
{
    return (c | 0x20) == '{'; /* or '[' */
}

/* A block's brackets can be counted in a byte, and so by the compiler many at once. */
#define BLOCK ((size_t)128)

/* Brackets that open, those in strings too: in a tenth of the time of the look below. */
static size_t count_openings(struct span text)
{
    size_t count = 0;
    size_t i = 0;
    for (; text.len - i >= BLOCK; i += BLOCK) {
        unsigned char in_block = 0;
        for (size_t k = 0; k < BLOCK; k++)
            in_block = (unsigned char)(in_block + is_opening(text.ptr[i + k]));
        count += in_block;
    }
    for (; i < text.len; i++)
        count += is_opening(text.ptr[i]);
    return count;
}

/* Where the text goes deeper than allowed, or its length. Brackets in strings are none. */
static size_t too_deep_at(struct span text)
{
    size_t depth = 0;
    bool in_string = false;
    if (count_openings(text) <= JSON_DEPTH_MAX)
        return text.len;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '[' || c == '{') && ++depth > JSON_DEPTH_MAX)
            return i;
        else if (!in_string && (c == ']' || c == '}') && depth > 0)
            depth--;
    }
    return text.len;
}

static int check_size(struct span text, size_t max, struct error *e)
{
    if (text.len > max)
        return error_set(e, -EMSGSIZE, "json-too-large",
            "the text has %zu bytes, and at most %zu are read", text.len, max);
    if (text.len == 0)
        return error_set(e, -EINVAL, "invalid-json", "line 1, column 1: the text is empty");
    size_t deep = too_deep_at(text);
    if (deep == text.len)
        return 0;
    char what[96];
    snprintf(
        what, sizeof what, "arrays and objects stand in each other deeper than %d", JSON_DEPTH_MAX);
    return say_where(e, -EMSGSIZE, text, deep, what);
}

static int parse(
    struct json **out, char *data, size_t len, yyjson_read_flag how, size_t max, struct error *e)
{
    struct span text = {data, len};
    int rc = check_size(text, max, e);
    if (rc)
        return rc;
    struct json *j = mem_alloc(sizeof *j);
    if (!j)
        return error_set(e, -ENOMEM, "out-of-memory", "no memory to read a JSON text");
    yyjson_read_err wrong;
    j->doc = yyjson_read_opts(data, len, how | YYJSON_READ_NUMBER_AS_RAW, &documents, &wrong);
    if (j->doc) {
        *out = j;
        return 0;
    }
    mem_free(j);
    if (wrong.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return error_set(e, -ENOMEM, "out-of-memory", "no memory to read a JSON text");
    return say_where(e, -EINVAL, text, wrong.pos, wrong.msg);
}

int json_parse(struct json **out, struct span text, size_t max, struct error *e)
{
    /* Without the in-place flag the text is only read. */
    return parse(out, (char *)(uintptr_t)text.ptr, text.len, YYJSON_READ_NOFLAG, max, e);
}

_Static_assert(JSON_PARSE_PADDING >= YYJSON_PADDING_SIZE, "the reader wants more room behind");

int json_parse_in_place(struct json **out, char *text, size_t len, size_t max, struct error *e)
{
    /* The reader looks for the end of a number there. */
    memset(text + len, 0, JSON_PARSE_PADDING);
    return parse(out, text, len, YYJSON_READ_INSITU, max, e);
}

void json_free(struct json *j)
{
    if (!j)
        return;
    yyjson_doc_free(j->doc);
    mem_free(j);
}

/* ---- Members of one name ---- */

/* Up to as many are compared each with each: that needs no memory, and less time. */
#define FEW 8

/* Most differ in length or in their first byte, be that the zero behind an empty one. */
static bool same_key(yyjson_val *a, yyjson_val *b)
{
    size_t len = unsafe_yyjson_get_len(a);
    const char *in_a = unsafe_yyjson_get_str(a);
    const char *in_b = unsafe_yyjson_get_str(b);
    return len == unsafe_yyjson_get_len(b) && *in_a == *in_b && memcmp(in_a, in_b, len) == 0;
}

/* A name behind its value, and behind all that is in that. */
static yyjson_val *next_key(yyjson_val *key)
{
    return unsafe_yyjson_get_next(key + 1);
}

static yyjson_val *twin_of_few(yyjson_val *object)
{
    yyjson_val *keys[FEW];
    size_t count = unsafe_yyjson_get_len(object);
    yyjson_val *key = object + 1;
    for (size_t i = 0; i < count; i++, key = next_key(key)) {
        for (size_t k = 0; k < i; k++)
            if (same_key(keys[k], key))
                return key;
        keys[i] = key;
    }
    return NULL;
}

/* Names by their hash: how far behind the object each is, in values; 0: none. At least twice as
 * many slots as names. */
struct table {
    uint32_t *slots;
    size_t room;
    const uint64_t *seed;
};

static int make_slots(struct table *t, size_t size)
{
    if (size > t->room) {
        mem_free(t->slots);
        t->slots = mem_alloc(size * sizeof *t->slots);
        t->room = t->slots ? size : 0;
    }
    if (!t->slots)
        return -ENOMEM;
    memset(t->slots, 0, size * sizeof *t->slots);
    return 0;
}

static int twin_of_many(struct table *t, yyjson_val *object, yyjson_val **twin)
{
    size_t count = unsafe_yyjson_get_len(object);
    size_t size = 4 * FEW;
    while (size < 2 * count)
        size *= 2;
    int rc = make_slots(t, size);
    if (rc)
        return rc;
    yyjson_val *key = object + 1;
    for (size_t i = 0; i < count; i++, key = next_key(key)) {
        struct span name = {unsafe_yyjson_get_str(key), unsafe_yyjson_get_len(key)};
        size_t at = siphash(t->seed, name) & (size - 1);
        while (t->slots[at] && !same_key(object + t->slots[at], key))
            at = (at + 1) & (size - 1);
        if (t->slots[at]) {
            *twin = key;
            return 0;
        }
        t->slots[at] = (uint32_t)(key - object); /* a text is too short for more values */
    }
    return 0;
}

_Static_assert(JSON_TEXT_MAX <= UINT32_MAX, "a value's place does not fit into a slot");

int json_twins(const struct json *j, const uint64_t seed[2], struct span *name)
{
    struct table t = {.seed = seed};
    yyjson_val *root = yyjson_doc_get_root(j->doc);
    yyjson_val *twin = NULL;
    size_t count = yyjson_doc_get_val_count(j->doc); /* they stand one behind the other */
    int rc = 0;
    for (size_t i = 0; rc == 0 && !twin && i < count; i++) {
        if (!yyjson_is_obj(root + i))
            continue;
        if (unsafe_yyjson_get_len(root + i) <= FEW)
            twin = twin_of_few(root + i);
        else
            rc = twin_of_many(&t, root + i, &twin);
    }
    mem_free(t.slots);
    if (rc || !twin)
        return rc;
    *name = json_string(as_ours(twin));
    return 1;
}

const struct json_value *json_root(const struct json *j)
{
    return as_ours(yyjson_doc_get_root(j->doc));
}

/* ---- Looking into values ---- */

enum json_type json_type(const struct json_value *v)
{
    switch (yyjson_get_type(as_theirs(v))) {
    case YYJSON_TYPE_BOOL:
        return JSON_BOOL;
    case YYJSON_TYPE_RAW: /* nothing else is read so */
        return JSON_NUMBER;
    case YYJSON_TYPE_STR:
        return JSON_STRING;
    case YYJSON_TYPE_ARR:
        return JSON_ARRAY;
    case YYJSON_TYPE_OBJ:
        return JSON_OBJECT;
    default:
        return JSON_NULL;
    }
}

bool json_bool(const struct json_value *v, bool otherwise)
{
    return yyjson_is_bool(as_theirs(v)) ? yyjson_get_bool(as_theirs(v)) : otherwise;
}

/* What a number's text means; false: it is no number, or too large. */
static bool read_number(const struct json_value *v, yyjson_val *out)
{
    const char *text = yyjson_get_raw(as_theirs(v)); /* ends with a zero byte */
    return text && yyjson_read_number(text, out, YYJSON_READ_NOFLAG, &documents, NULL);
}

double json_number(const struct json_value *v, double otherwise)
{
    yyjson_val n;
    return read_number(v, &n) ? yyjson_get_num(&n) : otherwise;
}

bool json_integer(const struct json_value *v, int64_t *out)
{
    yyjson_val number;
    yyjson_val *n = &number;
    if (!read_number(v, n))
        return false;
    if (yyjson_is_uint(n) && yyjson_get_uint(n) <= INT64_MAX)
        *out = (int64_t)yyjson_get_uint(n);
    else if (yyjson_is_sint(n))
        *out = yyjson_get_sint(n);
    else if (yyjson_is_real(n) && rint(yyjson_get_real(n)) == yyjson_get_real(n) &&
             fabs(yyjson_get_real(n)) <
                 9007199254740992.0) /* from there, a double skips integers */
        *out = (int64_t)yyjson_get_real(n);
    else
        return false;
    return true;
}

struct span json_string(const struct json_value *v)
{
    yyjson_val *s = as_theirs(v);
    return (struct span){.ptr = yyjson_get_str(s), .len = yyjson_is_str(s) ? yyjson_get_len(s) : 0};
}

size_t json_count(const struct json_value *v)
{
    return yyjson_is_ctn(as_theirs(v)) ? yyjson_get_len(as_theirs(v)) : 0;
}

const struct json_value *json_member(const struct json_value *v, const char *name)
{
    return as_ours(yyjson_obj_get(as_theirs(v), name));
}

struct json_iter json_iter(const struct json_value *v)
{
    size_t count = json_count(v);
    return (struct json_iter){
        .next = count ? as_ours(unsafe_yyjson_get_first(as_theirs(v))) : NULL,
        .left = count,
        .members = yyjson_is_obj(as_theirs(v)),
    };
}

const struct json_value *json_next(struct json_iter *it, struct span *name)
{
    if (it->left == 0)
        return NULL;
    it->left--;
    if (it->members) {
        if (name)
            *name = json_string(it->next);
        it->next = as_ours(as_theirs(it->next) + 1); /* a member's value follows its name */
    }
    const struct json_value *v = it->next;
    it->next = it->left ? as_ours(unsafe_yyjson_get_next(as_theirs(v))) : NULL;
    return v;
}

/* ---- Writing ---- */

/* How a character is written that may not stand in a string as it is, or NULL. */
static const char *escape_of(unsigned char c, char text[8])
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        if (c >= 0x20)
            return NULL;
        snprintf(text, 8, "\\u%04x", c);
        return text;
    }
}

static int write_escaped(struct bytes *out, struct span s)
{
    size_t plain = 0; /* start of what can be copied as it is */
    size_t i = 0;
    while (i < s.len) {
        char text[8];
        size_t character = utf8_length(s.ptr + i, s.len - i);
        const char *instead =
            character ? escape_of((unsigned char)s.ptr[i], text) : "\xef\xbf\xbd"; /* U+FFFD */
        if (instead) {
            int rc = bytes_append(out, s.ptr + plain, i - plain);
            if (rc == 0)
                rc = bytes_append_span(out, span_of(instead));
            if (rc)
                return rc;
            plain = i + 1;
        }
        i += character ? character : 1;
    }
    return bytes_append(out, s.ptr + plain, s.len - plain);
}

int json_write_string(struct bytes *out, struct span s)
{
    size_t before = out->len;
    int rc = bytes_append_byte(out, '"');
    if (rc == 0 && s.len > 0)
        rc = write_escaped(out, s);
    if (rc == 0)
        rc = bytes_append_byte(out, '"');
    if (rc)
        out->len = before;
    return rc;
}

int json_write_integer(struct bytes *out, int64_t n)
{
    return bytes_printf(out, "%" PRId64, n);
}

size_t json_format_number(char text[JSON_NUMBER_MAX], double n)
{
    if (!isfinite(n))
        return 0;
    if (n == 0)
        return (size_t)snprintf(text, JSON_NUMBER_MAX, "%s", signbit(n) ? "-0.0" : "0");
    /* Their writer knows the fewest digits. It takes memory for its answer: this, on the stack. */
    char room[512];
    yyjson_alc alc;
    yyjson_val v = {0};
    size_t len = 0;
    yyjson_alc_pool_init(&alc, room, sizeof room);
    yyjson_set_real(&v, n);
    const char *digits = yyjson_val_write_opts(&v, YYJSON_WRITE_NOFLAG, &alc, &len, NULL);
    check(digits && len < JSON_NUMBER_MAX, "the number %.17g cannot be written", n);
    if (len > 2 && memcmp(digits + len - 2, ".0", 2) == 0)
        len -= 2;
    memcpy(text, digits, len);
    text[len] = '\0';
    return len;
}

int json_write_number(struct bytes *out, double n)
{
    char text[JSON_NUMBER_MAX];
    size_t len = json_format_number(text, n);
    return len ? bytes_append(out, text, len) : -EINVAL;
}

int json_text(const struct json_value *v, char **text, size_t *len)
{
    *text = yyjson_val_write_opts(as_theirs(v), YYJSON_WRITE_NOFLAG, &texts, len, NULL);
    return *text ? 0 : -ENOMEM;
}

int json_write(struct bytes *out, const struct json_value *v)
{
    if (!v)
        return bytes_append_span(out, SPAN("null"));
    char *text;
    size_t len;
    int rc = json_text(v, &text, &len);
    if (rc)
        return rc;
    rc = bytes_append(out, text, len);
    mem_free(text);
    return rc;
}
