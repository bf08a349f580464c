/*
 * error.c: sentences for errors, put together without the heap: running out of memory is one of
 * them.
 */
#include "base/error.h"

#include "base/bug.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The sentence may be longer than there is room for; what does not fit goes, up to a character. */
static void set_sentence(struct error *e, const char *text, size_t len)
{
    len = utf8_cut(text, len, ERROR_SENTENCE_MAX - 1);
    memcpy(e->sentence, text, len);
    e->sentence[len] = '\0';
}

/* Formats into `text` and returns how much of it is used. A few bytes more than fit in a sentence
 * tell a text that is too long from one that just fits. */
#define ROOM (ERROR_SENTENCE_MAX + 4)

__attribute__((format(printf, 2, 0))) static size_t format_text(
    char text[ROOM], const char *format, va_list args)
{
    int n = vsnprintf(text, ROOM, format, args);
    if (n < 0)
        return 0;
    return (size_t)n < ROOM ? (size_t)n : ROOM - 1;
}

#undef error_set /* see error.h */
int error_set(struct error *e, int code, const char *type, const char *format, ...)
{
    if (!e)
        return code;
    dcheck(strlen(type) < ERROR_TYPE_MAX, "the error type '%s' is too long", type);
    /* Formatted aside: the arguments may come from `e` itself. */
    char text[ROOM];
    va_list args;
    va_start(args, format);
    size_t len = format_text(text, format, args);
    va_end(args);

    e->code = code;
    if (type != e->type)
        snprintf(e->type, sizeof(e->type), "%s", type);
    set_sentence(e, text, len);
    return code;
}

void error_prefix(struct error *e, const char *format, ...)
{
    if (!e)
        return;
    char text[ROOM];
    va_list args;
    va_start(args, format);
    size_t len = format_text(text, format, args);
    va_end(args);

    int n = snprintf(text + len, sizeof(text) - len, ": %s", e->sentence);
    if (n > 0)
        len += (size_t)n < sizeof(text) - len ? (size_t)n : sizeof(text) - len - 1;
    set_sentence(e, text, len);
}

/* Ours, where the system's words would puzzle who reads them in a sentence. */
static const char *own_text(int number)
{
    switch (number) {
    case 0:
        return "no error";
    case ENOENT:
        return "no such file or directory";
    case EINTR:
        return "interrupted";
    case EIO:
        return "input or output error";
    case EBADF:
        return "closed or not open";
    case EAGAIN:
        return "not ready now";
    case ENOMEM:
        return "out of memory";
    case EACCES:
    case EPERM:
        return "permission denied";
    case EEXIST:
        return "it exists already";
    case EINVAL:
        return "invalid argument";
    case EMFILE:
    case ENFILE:
        return "too many open files";
    case ENOSPC:
        return "no space left on the device";
    case EPIPE:
        return "closed by the other side";
    case EPROTO:
        return "protocol error";
    case EMSGSIZE:
        return "message too long";
    case ENOBUFS:
        return "a limit is reached";
    case EADDRINUSE:
        return "address already in use";
    case EADDRNOTAVAIL:
        return "address not available on this machine";
    case ENETUNREACH:
        return "network unreachable";
    case EHOSTUNREACH:
        return "host unreachable";
    case ECONNREFUSED:
        return "connection refused";
    case ECONNRESET:
        return "connection reset by the other side";
    case ECONNABORTED:
        return "connection aborted";
    case ENOTCONN:
        return "not connected";
    case ETIMEDOUT:
        return "timed out";
    case ECANCELED:
        return "canceled";
    default:
        return NULL;
    }
}

const char *error_text(int code)
{
    int number = code < 0 ? -code : code;
    const char *text = own_text(number);
    if (!text)
        text = strerrordesc_np(number); /* constant texts, no locale: fit for any thread */
    return text ? text : "unknown error";
}

const char *error_text_task(int code)
{
    return code == -EAGAIN ? "the system allows no more threads and processes (look at `ulimit "
                             "-u`, at pids.max "
                             "of the cgroup, and at kernel.threads-max)"
                           : error_text(code);
}
