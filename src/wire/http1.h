/*
 * http1.h: HTTP/1.1 and 1.0 messages (RFC 9110, RFC 9112): bytes to meaning and back. Pure.
 *
 * Reading is by pulling: the caller shows what it has, and is told the next thing in it.
 *
 *     struct http1 p;
 *     http1_init(&p, HTTP1_REQUEST, &limits);
 *     switch (http1_next(&p, &in, &data)) {
 *     case HTTP1_HEAD: ...look at p.head...
 *     case HTTP1_DATA: ...data is a piece of the body, and points into `in`...
 *     case HTTP1_END:  ...the message is over; what is left in `in` is the next one's...
 *     case HTTP1_MORE: ...call again when there is more, and with what is left in `in`...
 *     case HTTP1_BAD:  ...p.fault says with which status to refuse it; the connection is lost...
 *     }
 *
 * It is strict: whatever two readers could understand in two ways is refused, so that nothing can
 * be smuggled past us or through us (http1_head.c says what that is). A head is understood as a
 * whole, once all of it is there, and its spans point into the bytes that were shown; the caller
 * keeps those where they are for as long as it uses them. Nothing is allocated.
 *
 * Writing appends to a `struct bytes`. Names and values that would break the framing are refused.
 */
#pragma once

#include "base/bytes.h"
#include "wire/field.h"

#include <stdbool.h>
#include <stdint.h>

enum http_method {
    HTTP_OTHER, /* a registered one (PROPFIND, ...): compare head.method_name */
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_CONNECT,
    HTTP_OPTIONS,
    HTTP_TRACE,
    HTTP_PATCH,
};

/* Finds a method by its name. Returns false if it is unknown; `*method` is HTTP_OTHER then, too. */
bool http_method_find(struct span name, enum http_method *method);

/* How a message's end is known. */
enum http1_framing {
    HTTP1_NO_BODY,
    HTTP1_LENGTH,     /* after head.length bytes */
    HTTP1_CHUNKED,    /* the chunks say */
    HTTP1_UNTIL_CLOSE /* a reply that ends with its connection: http1_eof says that it has */
};

struct http1_head {
    /* Of a request. */
    enum http_method method;
    struct span method_name;
    struct span target;   /* as it was sent */
    struct span path;     /* of the target, still percent-encoded; "*" for OPTIONS * */
    struct span query;    /* after the '?', or {NULL, 0} where there was none */
    struct span host;     /* the authority: of the target if it has one, else Host; {NULL, 0} in 1.0
                         * without */
    bool expect_continue; /* and the version allows it, and a body follows */
    /* Of a reply. */
    int status;
    struct span reason;
    /* Of both. */
    int minor;       /* of HTTP/1.minor: 0 or 1 */
    bool keep_alive; /* version and Connection allow another message after this one */
    bool upgrade;    /* an Upgrade field, named in Connection */
    enum http1_framing framing;
    uint64_t length; /* if HTTP1_LENGTH */
    struct http_field *fields;
    unsigned field_count;
};

/* Each means what it says: a limit of 0 allows nothing. HTTP1_LIMITS_DEFAULT initializes them. */
struct http1_limits {
    size_t line_max;         /* request line or status line, with its CR LF: beyond, 414 */
    size_t head_max;         /* the whole head, with its empty line: beyond, 431 */
    unsigned fields_max;     /* header fields and trailers: beyond, 431; up to HTTP1_FIELDS_MAX */
    size_t trailer_max;      /* the whole trailer section, in bytes: beyond, 431 */
    uint64_t body_max;       /* bytes of body without its framing: beyond, 413 */
    unsigned chunk_line_max; /* a chunk's size, extensions and CR LF: beyond, 400 */
};
#define HTTP1_FIELDS_DEFAULT 100
#define HTTP1_FIELDS_MAX     1000
#define HTTP1_BODY_UNLIMITED UINT64_MAX /* the caller counts */
#define HTTP1_LIMITS_DEFAULT                                                              \
    {                                                                                     \
        .line_max = 8 * 1024, .head_max = 32 * 1024, .fields_max = HTTP1_FIELDS_DEFAULT,  \
        .trailer_max = 8 * 1024, .body_max = HTTP1_BODY_UNLIMITED, .chunk_line_max = 1024 \
    }

enum http1_kind { HTTP1_REQUEST, HTTP1_REPLY };
enum http1_event { HTTP1_MORE, HTTP1_HEAD, HTTP1_DATA, HTTP1_END, HTTP1_BAD };

/* Why a message was refused. */
struct http1_fault {
    int status;      /* what to answer a request with: 400, 413, 414, 417, 431, 501, 505 */
    const char *why; /* a sentence's end, static: "two Content-Length fields that differ" */
};

/* 128 bytes are enough for llhttp's parser; http1.c asserts it. */
#define HTTP1_PARSER_SIZE 128

struct http1 {
    _Alignas(8) unsigned char parser[HTTP1_PARSER_SIZE];
    const struct http1_limits *limits; /* the caller's; must live as long */
    enum http1_kind kind;
    struct http1_head head;
    struct http1_fault fault;
    /* After HTTP1_END of a chunked message: fields of its trailer section. They point into what was
     * shown with that call. */
    struct http_field *trailers;
    unsigned trailer_count;
    /* The rest is http1.c's own. */
    struct http_field *table; /* of fields_max fields: where head.fields and trailers point */
    const char *base;         /* where the start line's spans point into */
    size_t scanned;           /* bytes of an unfinished head, line or section looked at already */
    size_t line;              /* where in them the line begins that is looked at */
    size_t start_len;         /* the start line's, with its CR LF; 0: not there yet */
    uint64_t left;            /* of a body or chunk, still to come */
    uint64_t body_seen;
    uint8_t stage;
    uint8_t blank_lines; /* before a request */
    uint8_t answers;     /* the method that a reply answers */
};

/* `table` has room for limits->fields_max fields and may be shared by parsers whose heads are not
 * looked at at the same time. */
void http1_init(struct http1 *p, enum http1_kind kind, const struct http1_limits *limits,
    struct http_field *table);
/* For the next message on the same connection: after HTTP1_END. What the reply answers is kept
 * after an interim reply and forgotten after a final one. */
void http1_reset(struct http1 *p);
/* Before a reply is read: what it answers decides whether it has a body. GET, until told. */
void http1_replies_to(struct http1 *p, enum http_method method);

/* The next thing in `*in`, which is moved past what was understood. After HTTP1_HEAD: DATA any
 * number of times, then END (at once, where there is no body). Interim replies (1xx) are HEAD and
 * END. */
enum http1_event http1_next(struct http1 *p, struct span *in, struct span *data);
/* The connection's other side has ended. HTTP1_END if that completes the message, HTTP1_MORE if
 * none had begun, HTTP1_BAD if it cut one off. `left` are bytes shown but not yet taken. */
enum http1_event http1_eof(struct http1 *p, struct span left);

/* ---- Writing ---- */
/* All: 0, -ENOMEM, -ENOBUFS; -EINVAL for a name or value that cannot be written. */

int http1_write_request_line(struct bytes *out, struct span method, struct span target)
    __attribute__((warn_unused_result));
/* With the usual reason. */
int http1_write_status_line(struct bytes *out, int status) __attribute__((warn_unused_result));
int http1_write_field(struct bytes *out, struct span name, struct span value)
    __attribute__((warn_unused_result));
/* "Content-Length: n". */
int http1_write_length(struct bytes *out, uint64_t length) __attribute__((warn_unused_result));
/* The empty line. */
int http1_write_head_end(struct bytes *out) __attribute__((warn_unused_result));

/* Before `size` bytes of a chunk; after them "\r\n" follows. `size` is not 0. */
#define HTTP1_CHUNK_HEAD_MAX 20
size_t http1_chunk_head(char out[HTTP1_CHUNK_HEAD_MAX], size_t size);
/* The last chunk and the trailers. */
int http1_write_last_chunk(struct bytes *out, const struct http_field *trailers, unsigned count)
    __attribute__((warn_unused_result));
