/*
 * http1_cat.c: reads streams of HTTP/1 on standard input and prints what our reader makes of the
 * first message in each, so that other implementations, in other languages, can be asked whether
 * they agree.
 *
 * A stream is a line "request LENGTH PIECE" or "reply METHOD LENGTH PIECE" and LENGTH bytes, which
 * are shown PIECE bytes at a time (0: at once). The answer is its transcript (http1_feed.h), one
 * JSON object a line, and an empty line.
 */
#include "http1_feed.h"

#include <stdio.h>

#define STREAM_MAX ((size_t)16 * 1024 * 1024)

static enum http_method method_of(const char *name)
{
    return strcmp(name, "HEAD") == 0 ? HTTP_HEAD : HTTP_GET;
}

static void answer(enum http1_kind kind, const char *method, struct span stream, size_t piece)
{
    struct http1_feed f;
    http1_feed_init(&f, kind);
    f.answers = method_of(method);
    f.single = true;
    struct span said = http1_feed_stream(&f, stream, 0, piece ? piece : stream.len);
    printf("%.*s\n", SPAN_ARG(said));
    http1_feed_release(&f);
}

int main(void)
{
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        char method[16] = "GET";
        size_t len;
        size_t piece;
        enum http1_kind kind = HTTP1_REQUEST;
        if (sscanf(line, "request %zu %zu", &len, &piece) != 2) {
            kind = HTTP1_REPLY;
            check(sscanf(line, "reply %15s %zu %zu", method, &len, &piece) == 3,
                "a line that announces no stream: %s", line);
        }
        check(len <= STREAM_MAX, "a stream of %zu bytes is too long", len);
        char *stream = mem_alloc(len + 1);
        check(stream && fread(stream, 1, len, stdin) == len, "a stream that is cut off");
        answer(kind, method, (struct span){.ptr = stream, .len = len}, piece);
        mem_free(stream);
        fflush(stdout);
    }
    return 0;
}
