/*
 * http1_parser.c: see http1_parser.h.
 *
 * llhttp is asked in one go and without any of its leniencies. It pauses at the end of a head, so
 * it never comes to its own opinion about a body that is not chunked, and what it thinks of
 * upgrades does not matter.
 */
#include "wire/http1_parser.h"

#include <llhttp.h>

/* What the callbacks fill in. */
struct call {
    struct http1_table *table;
    uint64_t chunk_size;
    bool over; /* the head or the message is */
};

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct http1_table *table = ((struct call *)parser->data)->table;
    if (table->count == table->max) {
        table->full = true;
        return HPE_USER;
    }
    table->fields[table->count++] = (struct http_field){
        .name = {.ptr = at, .len = len},
        .value = {.ptr = at + len},
    };
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http1_table *table = ((struct call *)parser->data)->table;
    struct http_field *field = &table->fields[table->count - 1];
    if (field->value.len > 0) /* a second line of the same value */
        return HPE_USER;
    field->value = http_trim((struct span){.ptr = at, .len = len});
    return 0;
}

static int on_over(llhttp_t *parser)
{
    ((struct call *)parser->data)->over = true;
    return HPE_PAUSED;
}

static int on_chunk_header(llhttp_t *parser)
{
    ((struct call *)parser->data)->chunk_size = parser->content_length;
    return 0;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_over,
    .on_chunk_header = on_chunk_header,
    .on_message_complete = on_over,
};

static const char *why(enum llhttp_errno code)
{
    switch (code) {
    case HPE_CR_EXPECTED:
    case HPE_LF_EXPECTED:
        return "a line that does not end with CR LF";
    case HPE_INVALID_HEADER_TOKEN:
        return "a header field that is malformed";
    case HPE_INVALID_CONTENT_LENGTH:
        return "a Content-Length that is no number, or beside a Transfer-Encoding";
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return "two Content-Length fields";
    case HPE_INVALID_TRANSFER_ENCODING:
        return "a Transfer-Encoding that does not end with chunked, or beside a Content-Length";
    case HPE_INVALID_CHUNK_SIZE:
        return "a chunk whose size is no hexadecimal number";
    default:
        return "a message that is malformed";
    }
}

void http1_parser_init(void *parser, bool reply)
{
    _Static_assert(sizeof(llhttp_t) <= HTTP1_LLHTTP_SIZE && _Alignof(llhttp_t) <= 8, "its size");
    llhttp_init(parser, reply ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
}

/* Shows it a part at whose end something is over: a head, a message. */
static const char *execute_to_end(llhttp_t *parser, struct span part, struct call *call)
{
    parser->data = call;
    enum llhttp_errno code = llhttp_execute(parser, part.ptr, part.len);
    parser->data = NULL;
    if (code != HPE_PAUSED)
        return why(code);
    if (!call->over || llhttp_get_error_pos(parser) != part.ptr + part.len)
        return "a message that ends where it should not";
    llhttp_resume(parser);
    return NULL;
}

/* Shows it a part in the middle of a body. */
static const char *execute(llhttp_t *parser, struct span part, struct call *call)
{
    parser->data = call;
    enum llhttp_errno code = llhttp_execute(parser, part.ptr, part.len);
    parser->data = NULL;
    return code == HPE_OK ? NULL : why(code);
}

const char *http1_parser_head(void *parser, struct span head, struct http1_table *table)
{
    const char *refused = execute_to_end(parser, head, &(struct call){.table = table});
    table->chunked = (((llhttp_t *)parser)->flags & F_CHUNKED) != 0;
    return refused;
}

/* ---- Chunks ---- */

/* So many hexadecimal digits do not overflow; llhttp would take any number of zeros. */
#define SIZE_DIGITS_MAX 16

static size_t token_len(struct span s)
{
    size_t len = 0;
    while (len < s.len && http_token_valid((struct span){.ptr = s.ptr + len, .len = 1}))
        len++;
    return len;
}

/* Of a quoted string, with its quotes; 0 where it is none. */
static size_t quoted_len(struct span s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] == '"')
            return i + 1;
        if (s.ptr[i] == '\\')
            i++;
    }
    return 0;
}

/* *( ";" token [ "=" ( token / quoted-string ) ] ). llhttp would let empty names and values pass,
 * and DEL. */
static bool extensions_valid(struct span s)
{
    if (!http_value_valid(s))
        return false;
    while (s.len > 0) {
        struct span name = {.ptr = s.ptr + 1, .len = s.len - 1};
        size_t len = token_len(name);
        if (s.ptr[0] != ';' || len == 0)
            return false;
        s = (struct span){.ptr = name.ptr + len, .len = name.len - len};
        if (s.len == 0 || s.ptr[0] != '=')
            continue;
        struct span value = {.ptr = s.ptr + 1, .len = s.len - 1};
        len = value.len > 0 && value.ptr[0] == '"' ? quoted_len(value) : token_len(value);
        if (len == 0)
            return false;
        s = (struct span){.ptr = value.ptr + len, .len = value.len - len};
    }
    return true;
}

/* From there to the line's CR LF, which llhttp sees to. */
static struct span without_end(struct span line, const char *from)
{
    size_t len = line.len - (size_t)(from - line.ptr);
    return (struct span){.ptr = from, .len = len > 2 ? len - 2 : 0};
}

const char *http1_parser_chunk_line(void *parser, struct span line, uint64_t *size)
{
    struct call call = {.chunk_size = UINT64_MAX};
    const char *mark = memchr(line.ptr, ';', line.len);
    size_t digits = mark ? (size_t)(mark - line.ptr) : line.len - 2;
    if (line.len > 2 && digits > SIZE_DIGITS_MAX)
        return "a chunk whose size is beyond reason";
    if (mark && !extensions_valid(without_end(line, mark)))
        return "a chunk whose extensions are malformed";
    const char *refused = execute(parser, line, &call);
    *size = call.chunk_size;
    if (!refused && call.chunk_size == UINT64_MAX)
        return "a chunk without a size";
    return refused;
}

const char *http1_parser_chunk(void *parser, struct span piece)
{
    return execute(parser, piece, &(struct call){0});
}

const char *http1_parser_trailers(void *parser, struct span section, struct http1_table *table)
{
    return execute_to_end(parser, section, &(struct call){.table = table});
}
