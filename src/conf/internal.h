/*
 * internal.h: what the parts of conf/ know of each other.
 *
 * A loading goes: text -> libyaml's events -> tree (yaml.c, with expand.c at each scalar) -> one
 * tree of all files (include.c) -> struct config (read.c, by schema.c's tables and the types).
 * Going back: struct config -> tree (show.c, by the same tables) -> text (print.c).
 */
#pragma once

#include "conf/config.h"

#include "base/arena.h"

struct conf {
    struct arena arena;
    struct conf_node *root; /* of all files; a map, or NULL: they say nothing */
    const struct conf_flow_kinds *kinds;
    struct config config;
};

/* ---- From text to a tree ---- */

#define CONF_NAME_MAX \
    500 /* bytes of a key: libyaml reads no more than 1,024 characters, escapes included */
#define CONF_DEPTH_MAX 64 /* of maps and lists in each other */
#define CONF_TEXT_MAX \
    (1024 * 1024) /* bytes of a scalar in which `${...}` was replaced, and of a `${file:...}` */

struct conf_bounds {
    size_t file; /* bytes */
    size_t text; /* bytes of all scalars, those that aliases repeat included */
    unsigned nodes;
    unsigned depth;
};

/* One loading, over all its files. */
struct conf_reading {
    struct arena *arena;
    const struct conf_source *source; /* NULL: `${...}` is not special, {"${}": text} is a secret */
    struct conf_errors *errors;
    struct conf_bounds bounds;
    unsigned nodes;
    size_t text;
};

/* A file's tree; NULL if the file says nothing. 0; -EINVAL: no tree could be made, and an error
 * says why; -ENOMEM. Other mistakes (a key twice, an unset variable) are errors too, but a tree is
 * made. */
int conf_yaml_read(struct conf_reading *r, const char *file, struct span text,
    struct conf_node **root) __attribute__((warn_unused_result));
/* That it is UTF-8 without control characters, and not too long. As conf_yaml_read. */
int conf_text_check(struct conf_reading *r, const char *file, struct span text)
    __attribute__((warn_unused_result));
/* The sentence for what libyaml did not understand. */
struct yaml_parser_s;
void conf_yaml_explain(struct conf_errors *errors, const char *file, struct span text,
    const struct yaml_parser_s *parser);
/* Replaces `${...}` in a scalar. 0, also after a mistake, which is told; -ENOMEM. */
int conf_expand(struct conf_reading *r, struct conf_node *n) __attribute__((warn_unused_result));
/* The tree of a file and what it includes. As conf_yaml_read. */
int conf_include(struct conf_reading *r, const char *path, struct conf_node **root)
    __attribute__((warn_unused_result));
/* Why a source could not give a file. */
const char *conf_file_text(int rc);
/* `path` as seen from the folder of `file`; NULL without memory. */
char *conf_path_beside(struct arena *arena, const char *file, struct span path);

/* ---- Errors ---- */

bool conf_errors_starved(const struct conf_errors *errors); /* one was lost for want of memory */

#define CONF_FOUND_MAX 96
/* What stands there, for 'found ...': "'lots'", "a list", "nothing". Secrets are not shown. */
const char *conf_found(const struct conf_node *n, char out[CONF_FOUND_MAX]);
/* A text for a sentence: in quotes, cut, without control characters. */
const char *conf_quoted(struct span text, char out[CONF_FOUND_MAX]);

/* ---- From a tree to text ---- */

enum conf_secrets { CONF_SECRETS_PLAIN, CONF_SECRETS_WRAPPED, CONF_SECRETS_HIDDEN };
int conf_node_write(const struct conf_node *n, struct bytes *out, enum conf_secrets secrets)
    __attribute__((warn_unused_result));
/* A text in quotes that JSON and YAML read alike. With `dollars`, "${" is written "$${". */
int conf_write_text(struct bytes *out, struct span text, bool dollars)
    __attribute__((warn_unused_result));
/* The whole configuration as a tree, every default filled in; NULL without memory. */
const struct conf_node *conf_show(const struct conf *c, struct arena *arena);
