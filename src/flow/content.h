/*
 * content.h: header fields and a body made of templates: what a reply and an http node's request
 * have in common.
 *
 * The body is JSON, with a content type that says so, unless the header fields give another type:
 * then a body that is a text is sent as it is. If that type is HTML or XML, values in it are
 * escaped, unless the body is, as a whole, what another server or a step has made: that is its
 * document.
 */
#pragma once

#include "flow/template.h"
#include "wire/field.h"

struct content_field {
    struct span name;
    struct template value;
};

enum content_kind { CONTENT_JSON, CONTENT_TEXT, CONTENT_MARKUP };

struct content {
    struct content_field *fields;
    unsigned field_count;
    struct http_field *literal; /* the fields, if all are literal; with the content type */
    unsigned literal_count;
    enum content_kind literal_kind;
    bool has_type; /* `fields` have a Content-Type */
    bool has_body;
    struct template json;
    struct template text; /* has pieces only if the body may be sent as a text */
    bool may_be_text;
};

/* What was rendered; `body` borrows from `buffer`, the data, or the message. */
struct content_parts {
    const struct http_field *fields;
    unsigned field_count;
    struct span body;
    struct bytes buffer;
};

/* `headers` and `body` may be NULL. `reserved`: fields that may not be given, in lower case,
 * ends with NULL. 0; -EINVAL, and the errors say why; -ENOMEM. */
int content_compile(struct content *m, const struct conf_node *headers,
    const struct conf_node *body, const char *const *reserved, const struct template_site *site)
    __attribute__((warn_unused_result));
/* The same with a body that was compiled elsewhere. */
int content_compile_json(struct content *m, const struct conf_node *headers,
    const struct template *body, const char *const *reserved, const struct template_site *site)
    __attribute__((warn_unused_result));
bool content_has_field(const struct content *m, const char *lower);

/* Whether it has no references, and so is the same for each request. */
bool content_is_literal(const struct content *m);

/* Fields in the data's arena, with room for `more` of the caller's behind them. 0 or a negative
 * errno with a sentence. The parts are to be released either way. */
int content_render(const struct content *m, unsigned more, const struct flow_data *data,
    struct content_parts *out, struct error *e) __attribute__((warn_unused_result));
void content_parts_release(struct content_parts *parts);
