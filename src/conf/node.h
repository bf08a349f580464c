/*
 * node.h: what stood in the YAML, with where it stood: the tree between text and configuration.
 *
 * Includes, `${ENV}` and `${file:...}` are resolved already. The tree belongs to the `struct conf`
 * it came from, and does not change.
 */
#pragma once

#include "base/bytes.h"
#include "base/error.h"

#include <stdbool.h>

/* Where something stood: "weir.yaml:12:5". */
struct conf_mark {
    const char *file;
    unsigned line;
    unsigned column;
};

enum conf_kind { CONF_NULL, CONF_SCALAR, CONF_LIST, CONF_MAP };

struct conf_node {
    enum conf_kind kind;
    struct conf_mark mark;
    struct span text; /* of a scalar; ends with a zero byte that is not counted */
    bool quoted;      /* a scalar in quotes, or a block: always text, never a number or a null */
    bool secret;      /* came from ${ENV} or ${file:...}: is not shown */
    bool expanded;    /* `${...}` was replaced in it: text in a template, a number where a key wants
                         one */
    bool told;        /* ... and something was wrong, which was told already */
    struct span escaped; /* of a secret that no template has taken yet: `text`, with the dollars
                            from outside doubled, since they are no references */
    unsigned count;      /* elements of a list, members of a map */
    struct conf_member *members; /* of a map, in order */
    struct conf_node **elements; /* of a list */
};

struct conf_member {
    struct span name;
    struct conf_mark mark; /* of the name */
    struct conf_node *value;
};

/* The member of a map, or NULL. */
const struct conf_node *conf_member(const struct conf_node *map, const char *name);

/* What an unquoted scalar means in YAML's core schema, which is JSON's: null, true, false, an
 * integer, a number, or text. */
enum conf_scalar { CONF_IS_NULL, CONF_IS_BOOL, CONF_IS_INTEGER, CONF_IS_NUMBER, CONF_IS_TEXT };
enum conf_scalar conf_scalar(const struct conf_node *n, bool *b, int64_t *i, double *d);

/* Appends the node as JSON text; secrets are written as they are. 0, -ENOMEM, -ENOBUFS. */
int conf_node_write_json(const struct conf_node *n, struct bytes *out)
    __attribute__((warn_unused_result));

/* ---- Errors: all of them at once ---- */

struct conf_errors; /* a bounded list of (mark, sentence), sorted by place when written */

/* Adds one: "weir.yaml:12:5: unknown key 'lisen' in the configuration; did you mean 'listen'?". */
void conf_error(struct conf_errors *errors, const struct conf_mark *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
unsigned conf_errors_count(const struct conf_errors *errors);

/* The candidate nearest to `found` by edit distance, or NULL if none is near: for 'did you mean'.
 */
const char *conf_nearest(struct span found, const char *const *candidates, size_t count);

/* A duration ("250ms", "1.5s", "2m", "1h", "0") in ns and a size ("64MiB", "10kB", "512") in bytes:
 * 0 or -EINVAL with a sentence that says what was found and what was expected. */
int conf_duration(struct span text, int64_t *ns, struct error *e)
    __attribute__((warn_unused_result));
int conf_size(struct span text, uint64_t *bytes, struct error *e)
    __attribute__((warn_unused_result));
