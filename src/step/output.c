/*
 * output.c: a step's output: JSON written from front to back, straight to where it is to be read.
 *
 * Of what a container is, one bit is kept a level, so writing needs no memory of its own; and
 * whatever is called in whatever order, what comes out is one JSON text or a mistake.
 */
#include "step/internal.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void output_init(struct output *o, struct step_output *to)
{
    *o = (struct output){.to = to};
    to->len = 0;
}

static bool stopped(const struct output *o)
{
    return o->mistake || o->rc;
}

static void mistake(struct output *o, enum step_mistake which)
{
    if (!stopped(o))
        o->mistake = which;
}

/* ---- Bytes ---- */

/* More than is needed, so that not each of many appends asks; where that is too much, just that. */
static int grow(struct step_output *to, size_t needed)
{
    if (!to->grow)
        return -ENOBUFS;
    size_t generous = to->room + to->room / 2;
    int rc = generous > needed ? to->grow(to, generous) : -ENOBUFS;
    if (rc)
        rc = to->grow(to, needed);
    check(rc || to->room >= needed, "an output did not grow to %zu bytes as it said", needed);
    return rc;
}

static void put(struct output *o, const char *text, size_t len)
{
    struct step_output *to = o->to;
    if (stopped(o))
        return;
    if (len > to->room - to->len) {
        o->rc = len > SIZE_MAX - to->len ? -ENOBUFS : grow(to, to->len + len);
        if (o->rc)
            return;
    }
    memcpy(to->base + to->len, text, len);
    to->len += len;
}

static void put_byte(struct output *o, char c)
{
    put(o, &c, 1);
}

static const char hex[] = "0123456789abcdef";

static void put_escaped(struct output *o, unsigned char c)
{
    switch (c) {
    case '"':
        put(o, "\\\"", 2);
        return;
    case '\\':
        put(o, "\\\\", 2);
        return;
    case '\n':
        put(o, "\\n", 2);
        return;
    case '\r':
        put(o, "\\r", 2);
        return;
    case '\t':
        put(o, "\\t", 2);
        return;
    default: {
        char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        put(o, text, sizeof text);
    }
    }
}

static bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

/* How many of the bytes, by the eight, are ASCII that needs no escape: each of the tests has a high
 * bit where a byte is what is looked for. */
static size_t plain_run(const char *text, size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t high = ones << 7;
    size_t i = 0;
    for (; len - i >= sizeof ones; i += sizeof ones) {
        uint64_t x;
        memcpy(&x, text + i, sizeof x);
        uint64_t quote = x ^ (ones * '"');
        uint64_t backslash = x ^ (ones * '\\');
        uint64_t control = (x - ones * 0x20) & ~x;
        if ((x | control | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & high)
            break;
    }
    return i;
}

static void put_text(struct output *o, const char *text, size_t len)
{
    put_byte(o, '"');
    size_t plain = 0; /* start of what can be copied as it is */
    for (size_t i = plain_run(text, len); i < len && !stopped(o);
         i += plain_run(text + i, len - i)) {
        unsigned char c = (unsigned char)text[i];
        size_t character = c < 0x80 ? 1 : utf8_length(text + i, len - i);
        if (character == 0) {
            mistake(o, MISTAKE_NO_UTF8);
        } else if (needs_escape(c)) {
            put(o, text + plain, i - plain);
            put_escaped(o, c);
            plain = i + 1;
        }
        i += character;
    }
    if (len > plain)
        put(o, text + plain, len - plain);
    put_byte(o, '"');
}

/* ---- Values ---- */

static bool in_object(const struct output *o)
{
    return o->depth > 0 && (o->objects[(o->depth - 1) / 64] >> ((o->depth - 1) % 64) & 1);
}

/* Whether a value may stand here; and then what stands before it is there. */
static bool begin_value(struct output *o)
{
    if (stopped(o))
        return false;
    if (o->depth == 0 && o->complete)
        mistake(o, MISTAKE_SECOND_VALUE);
    else if (in_object(o) && !o->keyed)
        mistake(o, MISTAKE_KEY_MISSING);
    else if (o->depth > 0 && !o->keyed && !o->empty)
        put_byte(o, ',');
    return !stopped(o);
}

static void end_value(struct output *o)
{
    o->keyed = o->empty = false;
    o->complete = o->depth == 0;
}

static void put_plain(struct output *o, const char *text, size_t len)
{
    if (!begin_value(o))
        return;
    put(o, text, len);
    end_value(o);
}

static void put_string(struct output *o, const char *text, size_t len)
{
    if (!text && len > 0)
        mistake(o, MISTAKE_NO_TEXT);
    if (!begin_value(o))
        return;
    put_text(o, text, len);
    end_value(o);
}

static void put_key(struct output *o, const char *name, size_t len)
{
    if (!name && len > 0)
        mistake(o, MISTAKE_NO_TEXT);
    if (!in_object(o))
        mistake(o, MISTAKE_KEY_OUTSIDE);
    if (o->keyed)
        mistake(o, MISTAKE_KEY_WITHOUT_VALUE);
    if (stopped(o))
        return;
    if (!o->empty)
        put_byte(o, ',');
    put_text(o, name, len);
    put_byte(o, ':');
    o->keyed = true;
}

static void open_container(struct output *o, bool object)
{
    if (!begin_value(o))
        return;
    if (o->depth == JSON_DEPTH_MAX) {
        mistake(o, MISTAKE_TOO_DEEP);
        return;
    }
    uint64_t bit = UINT64_C(1) << (o->depth % 64);
    uint64_t *word = &o->objects[o->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    o->depth++;
    o->keyed = false;
    o->empty = true;
    put_byte(o, object ? '{' : '[');
}

static void close_container(struct output *o)
{
    if (o->depth == 0)
        mistake(o, MISTAKE_END_OF_NOTHING);
    if (o->keyed)
        mistake(o, MISTAKE_KEY_WITHOUT_VALUE);
    if (stopped(o))
        return;
    put_byte(o, in_object(o) ? '}' : ']');
    o->depth--;
    end_value(o);
}

/* Recurses at most `levels` deep. */
static bool deeper_than(const struct json_value *v, unsigned levels)
{
    enum json_type type = json_type(v);
    if (type != JSON_ARRAY && type != JSON_OBJECT)
        return false;
    if (levels == 0)
        return true;
    struct json_iter it = json_iter(v);
    const struct json_value *child;
    while ((child = json_next(&it, NULL)))
        if (deeper_than(child, levels - 1))
            return true;
    return false;
}

static void put_value(struct output *o, const struct json_value *v)
{
    if (stopped(o))
        return;
    /* What was read is at most JSON_DEPTH_MAX deep. */
    if (o->depth > 0 && deeper_than(v, JSON_DEPTH_MAX - o->depth)) {
        mistake(o, MISTAKE_TOO_DEEP);
        return;
    }
    char *text;
    size_t len;
    o->rc = json_text(v, &text, &len);
    if (o->rc)
        return;
    put_plain(o, text, len);
    mem_free(text);
}

void output_finish(struct output *o)
{
    if (o->depth > 0)
        mistake(o, MISTAKE_LEFT_OPEN);
    else if (!o->complete)
        mistake(o, MISTAKE_NO_VALUE);
}

const char *output_mistake_text(enum step_mistake mistake)
{
    switch (mistake) {
    case MISTAKE_NO_VALUE:
        return "wrote no output";
    case MISTAKE_SECOND_VALUE:
        return "wrote a second value";
    case MISTAKE_LEFT_OPEN:
        return "left an array or an object open: weir_out_end is missing";
    case MISTAKE_END_OF_NOTHING:
        return "called weir_out_end where nothing was open";
    case MISTAKE_KEY_OUTSIDE:
        return "called weir_out_key outside an object";
    case MISTAKE_KEY_MISSING:
        return "wrote a value into an object without weir_out_key before it";
    case MISTAKE_KEY_WITHOUT_VALUE:
        return "wrote a key without a value";
    case MISTAKE_TOO_DEEP:
        return "wrote arrays and objects deeper in each other than 128";
    case MISTAKE_NO_NUMBER:
        return "wrote a number that JSON has not (NaN, or an infinity)";
    case MISTAKE_NO_TEXT:
        return "gave NULL for a text";
    case MISTAKE_NO_UTF8:
        return "wrote a text that is not UTF-8";
    case MISTAKE_NONE:
        break;
    }
    return "made no mistake";
}

/* ---- The ABI ---- */

void weir_out_null(struct weir_task *t)
{
    put_plain(&t->output, "null", 4);
}

void weir_out_bool(struct weir_task *t, bool b)
{
    put_plain(&t->output, b ? "true" : "false", b ? 4 : 5);
}

void weir_out_integer(struct weir_task *t, int64_t n)
{
    char text[24];
    put_plain(&t->output, text, (size_t)snprintf(text, sizeof text, "%" PRId64, n));
}

void weir_out_number(struct weir_task *t, double n)
{
    char text[JSON_NUMBER_MAX];
    size_t len = json_format_number(text, n);
    if (len == 0)
        mistake(&t->output, MISTAKE_NO_NUMBER);
    put_plain(&t->output, text, len);
}

void weir_out_text(struct weir_task *t, const char *text)
{
    put_string(&t->output, text, text ? strlen(text) : 1);
}

void weir_out_text_n(struct weir_task *t, const char *text, size_t length)
{
    put_string(&t->output, text, length);
}

void weir_out_textf(struct weir_task *t, const char *format, ...)
{
    char small[256];
    char *text = small;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (len >= (int)sizeof small) {
        text = mem_alloc((size_t)len + 1);
        if (!text) {
            t->output.rc = -ENOMEM;
            return;
        }
        va_start(args, format);
        len = vsnprintf(text, (size_t)len + 1, format, args);
        va_end(args);
    }
    /* What cannot be printed at all (a wide character that is none) has no UTF-8 either. */
    if (len < 0)
        mistake(&t->output, MISTAKE_NO_UTF8);
    else
        put_string(&t->output, text, (size_t)len);
    if (text != small)
        mem_free(text);
}

void weir_out_value(struct weir_task *t, const struct weir_value *v)
{
    if (v)
        put_value(&t->output, (const struct json_value *)(const void *)v);
    else
        weir_out_null(t);
}

void weir_out_array(struct weir_task *t)
{
    open_container(&t->output, false);
}

void weir_out_object(struct weir_task *t)
{
    open_container(&t->output, true);
}

void weir_out_key(struct weir_task *t, const char *name)
{
    put_key(&t->output, name, name ? strlen(name) : 1);
}

void weir_out_key_n(struct weir_task *t, const char *name, size_t length)
{
    put_key(&t->output, name, length);
}

void weir_out_end(struct weir_task *t)
{
    close_container(&t->output);
}
