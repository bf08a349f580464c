/*
 * value.h: what references become: the values that a request has brought and its nodes have made.
 *
 * A value borrows: from the request, its arena, or a JSON document. JSON that is only passed on is
 * kept as the text it came as, and parsed only where something looks into it.
 */
#pragma once

#include "base/arena.h"
#include "data/json.h"
#include "flow/flow.h"
#include "flow/reference.h"
#include "wire/http1.h"

/* A reply from an upstream. */
struct answer {
    const struct http1_head *head;
    struct span body;
    bool is_json;     /* the body is a JSON text; it was checked if anything refers to it */
    struct json *doc; /* the body, if anything looks into it; owned by the value */
    unsigned attempts;
    const char *server; /* that sent it */
};

enum value_kind {
    VALUE_NULL,
    VALUE_INTEGER,
    VALUE_TEXT,
    VALUE_JSON,    /* a value in a document */
    VALUE_RAW,     /* a JSON text, and perhaps its document */
    VALUE_FIELDS,  /* header fields */
    VALUE_COOKIES, /* those of them named Set-Cookie: a list */
    VALUE_ANSWER,
    VALUE_ANSWERS
};

struct value {
    enum value_kind kind;
    bool document;  /* of a node: another server or a step has made it, and no template */
    unsigned count; /* of answers */
    union {
        int64_t integer;
        struct span text; /* of TEXT and RAW */
        const struct json_value *json;
        const struct http1_head *head;
        struct answer *answers;
    };
    struct json *doc; /* of RAW; owned where the value is a node's */
};

/* Where references are looked up. */
struct flow_data {
    const struct http1_head *head;
    const struct flow_param *params;
    unsigned param_count;
    struct span id;
    struct span client; /* its address without the port; {NULL, 0}: it has none */
    struct value body;
    struct value *nodes;
    struct arena *arena; /* decoded text goes there */
};

/* 0; -EINVAL (a query that cannot be decoded) or -ENOMEM, with a sentence. What is not there is
 * null. */
int value_of(struct value *out, const struct reference *r, const struct flow_data *data,
    struct error *e) __attribute__((warn_unused_result));
/* Frees the documents that a node's value or the body owns. */
void value_release(struct value *v);

/* All: 0, -ENOMEM, -ENOBUFS. */
int value_write_json(const struct value *v, struct bytes *out) __attribute__((warn_unused_result));
/* As text: a text is itself, null is "", everything else its JSON. It is borrowed if that can
 * be, or else written to `scratch`. */
int value_text(const struct value *v, struct bytes *scratch, struct span *text)
    __attribute__((warn_unused_result));

/* Whether it is a list, and may so become several header fields. */
bool value_is_list(const struct value *v);
/* The texts of its elements, in the arena. -ENOBUFS: more than VALUE_TEXTS_MAX. */
#define VALUE_TEXTS_MAX 256
int value_texts(const struct value *v, struct arena *arena, struct span **texts, unsigned *count)
    __attribute__((warn_unused_result));

bool value_is_null(const struct value *v);
/* Whether it is a text, as a JSON string is. */
bool value_is_text(const struct value *v);
/* Whether it is an integer, or a text that reads as one; and then which. */
bool value_integer(const struct value *v, int64_t *out);

/* Whether a content type says JSON: application/json, or anything that ends in +json. */
bool media_is_json(struct span content_type);
