/*
 * template.h: any YAML value in which texts may refer to other values: compiled to pieces, then
 * rendered for each request. Pure.
 *
 * A compiled template is a chain of pieces: literal text, then perhaps a reference. What has no
 * references is one literal piece, so that rendering it is one copy, or none.
 */
#pragma once

#include "base/bug.h"
#include "base/limits.h"
#include "flow/reference.h"
#include "flow/value.h"

/* The most that a template may become, in bytes. */
#define TEMPLATE_TEXT_MAX JSON_TEXT_MAX

enum template_form {
    TEMPLATE_JSON, /* the whole value as a JSON text; a reference alone keeps its type */
    TEMPLATE_TEXT, /* a text; references become text */
    TEMPLATE_HTML, /* the same, references escaped for HTML and XML */
    TEMPLATE_URL,  /* path and query of a URL: see url.h */
    TEMPLATE_FIELD /* the same; references that cannot stand in a header field are refused */
};

struct template_piece {
    struct template_piece *next;
    struct span literal;               /* comes first; may be empty */
    const struct reference *reference; /* NULL: none */
    bool within;                       /* JSON: the reference stands within a string */
};

struct template
{
    struct template_piece *first; /* never NULL once it was compiled */
    enum template_form form;
};

/* Where and for whom templates are compiled. */
struct template_site {
    struct arena *arena; /* keeps the result */
    struct conf_errors *errors;
    struct reference_scope scope;
    /* Told each reference. 0 or -ENOMEM. */
    int (*refers)(void *ctx, const struct reference *r, const struct conf_mark *at);
    void *ctx;
};

/* 0; -EINVAL, and the errors say why; -ENOMEM. */
int template_compile(struct template *out, const struct conf_node *node, enum template_form form,
    const struct template_site *site) __attribute__((warn_unused_result));
/* The same for a text that is only part of a node's. */
int template_compile_text(struct template *out, struct span text, const struct conf_mark *mark,
    enum template_form form, const struct template_site *site) __attribute__((warn_unused_result));
/* JSON: {"a": <the value of a>, ...} of references that were made elsewhere. */
int template_of_nodes(struct template *out, const struct template_site *site)
    __attribute__((warn_unused_result));

/* Appends a line break, unless the template is one whole reference: what that brings is passed on
 * as it is. 0 or -ENOMEM. */
int template_end_line(struct template *t, struct arena *arena) __attribute__((warn_unused_result));

static inline bool template_is_literal(const struct template *t)
{
    dcheck(t->first, "a template that was not compiled");
    return !t->first->reference;
}

/* The reference that is all of the template, or NULL. */
const struct reference *template_whole(const struct template *t);

/* Whether a text may stand in a header field; `r` brought it. 0, or as template_render says. */
int template_check_field(const struct reference *r, struct span text, struct error *e)
    __attribute__((warn_unused_result));
/* Appends what it becomes. 0; or a negative errno with a type and sentence: -EINVAL if the
 * request's data do not fit, -EPROTO if an upstream's do not, -ENOBUFS, -ENOMEM. */
int template_render(const struct template *t, const struct flow_data *data, struct bytes *out,
    struct error *e) __attribute__((warn_unused_result));
