/*
 * errors.c: all that is wrong with a configuration, told at once: by file, line and column.
 *
 * At most ERRORS_MAX are kept, the rest is counted: who has that many wrong mends the first hundred
 * first. The sentences own their text, so they outlive the tree they speak of.
 */
#include "conf/internal.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

#define ERRORS_MAX   100
#define SENTENCE_MAX 1000

struct entry {
    char *file;
    unsigned line;
    unsigned column;
    unsigned order; /* of telling: two at one place stay in it */
    char *sentence;
};

struct conf_errors {
    struct entry entries[ERRORS_MAX];
    unsigned kept;
    unsigned count;
    bool starved;
};

struct conf_errors *conf_errors_new(void)
{
    return mem_zalloc(sizeof(struct conf_errors));
}

void conf_errors_free(struct conf_errors *errors)
{
    if (!errors)
        return;
    for (unsigned i = 0; i < errors->kept; i++) {
        mem_free(errors->entries[i].file);
        mem_free(errors->entries[i].sentence);
    }
    mem_free(errors);
}

unsigned conf_errors_count(const struct conf_errors *errors)
{
    return errors->count;
}

bool conf_errors_starved(const struct conf_errors *errors)
{
    return errors->starved;
}

/* One error is one line: a control character would make it two, or play with the terminal. */
static void without_controls(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

__attribute__((format(printf, 1, 0))) static char *print_sentence(const char *format, va_list args)
{
    char *text = mem_alloc(SENTENCE_MAX);
    if (!text)
        return NULL;
    int len = vsnprintf(text, SENTENCE_MAX, format, args);
    if (len >= SENTENCE_MAX)
        text[utf8_cut(text, SENTENCE_MAX - 1, SENTENCE_MAX - 1)] = '\0';
    without_controls(text);
    return text;
}

void conf_error(struct conf_errors *errors, const struct conf_mark *at, const char *format, ...)
{
    errors->count++;
    if (errors->kept == ERRORS_MAX)
        return;
    va_list args;
    va_start(args, format);
    struct entry entry = {
        .file = mem_strdup(at->file),
        .line = at->line,
        .column = at->column,
        .order = errors->count,
        .sentence = print_sentence(format, args),
    };
    va_end(args);
    if (!entry.file || !entry.sentence) {
        mem_free(entry.file);
        mem_free(entry.sentence);
        errors->starved = true;
        return;
    }
    without_controls(entry.file);
    errors->entries[errors->kept++] = entry;
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a;
    const struct entry *y = *(const struct entry *const *)b;
    int files = strcmp(x->file, y->file);
    if (files)
        return files;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static int write_entry(const struct entry *e, struct bytes *out)
{
    /* Line 0 is the file as a whole: it could not be read. */
    if (e->line == 0)
        return bytes_printf(out, "%s: %s\n", e->file, e->sentence);
    return bytes_printf(out, "%s:%u:%u: %s\n", e->file, e->line, e->column, e->sentence);
}

int conf_errors_write(const struct conf_errors *errors, struct bytes *out)
{
    const struct entry *sorted[ERRORS_MAX];
    size_t before = out->len;
    int rc = 0;
    for (unsigned i = 0; i < errors->kept; i++)
        sorted[i] = &errors->entries[i];
    qsort(sorted, errors->kept, sizeof *sorted, compare);
    for (unsigned i = 0; rc == 0 && i < errors->kept; i++)
        rc = write_entry(sorted[i], out);
    if (rc == 0 && errors->count > errors->kept)
        rc = bytes_printf(out, "… and %u more\n", errors->count - errors->kept);
    if (rc)
        out->len = before;
    return rc;
}

/* ---- Words for sentences ---- */

const char *conf_quoted(struct span text, char out[CONF_FOUND_MAX])
{
    size_t len = utf8_cut(text.ptr, text.len, CONF_FOUND_MAX - 24);
    snprintf(out, CONF_FOUND_MAX, "'%.*s%s'", (int)len, text.ptr, len < text.len ? "..." : "");
    without_controls(out);
    return out;
}

const char *conf_found(const struct conf_node *n, char out[CONF_FOUND_MAX])
{
    switch (n->kind) {
    case CONF_LIST:
        return "a list";
    case CONF_MAP:
        return "a map";
    default:
        if (n->secret)
            return "a value from outside, which is not shown";
        if (conf_scalar(n, NULL, NULL, NULL) == CONF_IS_NULL)
            return "nothing";
        return conf_quoted(n->text, out);
    }
}

/* ---- Did you mean ---- */

#define NEAR_LENGTH_MAX 48

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* How many letters must be added, removed, changed or swapped with their neighbour. */
static unsigned distance(struct span a, struct span b)
{
    unsigned rows[3][NEAR_LENGTH_MAX + 1];
    unsigned *before = rows[0];
    unsigned *above = rows[1];
    unsigned *row = rows[2];
    for (unsigned j = 0; j <= b.len; j++)
        above[j] = before[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            bool same = a.ptr[i - 1] == b.ptr[j - 1];
            row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + !same);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1] &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        unsigned *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[b.len];
}

const char *conf_nearest(struct span found, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    unsigned best_distance = 0;
    if (found.len > NEAR_LENGTH_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct span candidate = span_of(candidates[i]);
        if (candidate.len > NEAR_LENGTH_MAX)
            continue;
        unsigned d = distance(found, candidate);
        /* One letter in three may be wrong: beyond it is another word. */
        size_t longer = found.len > candidate.len ? found.len : candidate.len;
        if (d > (longer + 2) / 3 || d >= longer || (best && d >= best_distance))
            continue;
        best = candidates[i];
        best_distance = d;
    }
    return best;
}
