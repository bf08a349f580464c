/*
 * bug.c: how the process ends when it finds a mistake of ours.
 *
 * The sentence is put together on the stack and leaves with write(2): the heap, stdio and the log
 * may be what is broken.
 */
#include "base/bug.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SENTENCE_MAX 1024

static _Thread_local void (*hook_of_thread)(void *arg);
static _Thread_local void *hook_arg;

void bug_hook(void (*hook)(void *arg), void *arg)
{
    hook_of_thread = hook;
    hook_arg = arg;
}

static void write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t wrote = write(fd, text, len);
        if (wrote <= 0)
            return;
        text += wrote;
        len -= (size_t)wrote;
    }
}

void bug_at(const char *file, int line, const char *function, const char *format, ...)
{
    char text[SENTENCE_MAX];
    const size_t room = sizeof(text) - 1; /* the last byte is the newline's */
    size_t len = 0;
    int n = snprintf(text, room, "bug: %s:%d: %s: ", file, line, function);
    if (n > 0)
        len = (size_t)n < room ? (size_t)n : room - 1;

    va_list args;
    va_start(args, format);
    n = vsnprintf(text + len, room - len, format, args);
    va_end(args);
    if (n > 0)
        len += (size_t)n < room - len ? (size_t)n : room - len - 1;
    text[len++] = '\n';
    write_all(STDERR_FILENO, text, len);

    /* Taken off first: a bug in the hook must not call it again. */
    void (*hook)(void *) = hook_of_thread;
    hook_of_thread = NULL;
    if (hook)
        hook(hook_arg);
    abort();
}
