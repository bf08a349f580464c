/*
 * backtrace.c: follows frame pointers, and names what it found.
 */
#include "world/uv/backtrace.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

/* A frame further away than this is no caller. */
#define FRAME_DISTANCE_MAX ((uintptr_t)1024 * 1024)

/* On x86-64 and aarch64 alike, what the frame pointer points at. */
struct frame {
    uintptr_t caller;
    uintptr_t return_address;
};

static void where(const ucontext_t *context, uintptr_t *pc, uintptr_t *frame)
{
#if defined(__x86_64__)
    *pc = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    *frame = (uintptr_t)context->uc_mcontext.gregs[REG_RBP];
#elif defined(__aarch64__)
    *pc = context->uc_mcontext.pc;
    *frame = context->uc_mcontext.regs[29];
#else
    *pc = *frame = 0;
#endif
}

/* By system call number: sanitizers wrap the function, and would look at memory that is none of its
 * business. */
static int read_frame(uintptr_t at, struct frame *out)
{
    struct iovec to = {.iov_base = out, .iov_len = sizeof(*out)};
    struct iovec from = {.iov_base = (void *)at, .iov_len = sizeof(*out)};
    return syscall(SYS_process_vm_readv, getpid(), &to, 1, &from, 1, 0) == (long)sizeof(*out);
}

int backtrace_capture(const void *ucontext, void *frames[BACKTRACE_MAX])
{
    uintptr_t pc;
    uintptr_t at;
    where(ucontext, &pc, &at);
    int count = 0;
    while (pc && count < BACKTRACE_MAX) {
        frames[count++] = (void *)pc;
        struct frame f;
        if (at == 0 || at % sizeof(void *) != 0 || !read_frame(at, &f))
            break;
        pc = f.return_address;
        if (f.caller <= at || f.caller - at > FRAME_DISTANCE_MAX)
            f.caller = 0; /* the last one */
        at = f.caller;
    }
    return count;
}

/* Returns the length as snprintf does; 0: this is no code, the chain of frames has led astray. */
static int print_frame(void *frame, int index, char *text, size_t size)
{
    const char *separator = index > 0 ? " < " : "";
    /* A return address may lie behind the end of a function that does not return. */
    char *inside = (char *)frame - (index > 0);
    Dl_info info;
    if (!dladdr(inside, &info) || !info.dli_fname)
        return index > 0 ? 0 : snprintf(text, size, "%p", frame);
    if (info.dli_sname)
        return snprintf(text, size, "%s%s+0x%zx", separator, info.dli_sname,
            (size_t)((char *)frame - (char *)info.dli_saddr));
    const char *slash = strrchr(info.dli_fname, '/');
    return snprintf(text, size, "%s%s+0x%zx", separator, slash ? slash + 1 : info.dli_fname,
        (size_t)(inside - (char *)info.dli_fbase));
}

void backtrace_print(void *const *frames, int count, char *text, size_t size)
{
    size_t len = 0;
    int printed = 1;
    text[0] = '\0';
    for (int i = 0; i < count && len < size && printed > 0; i++) {
        printed = print_frame(frames[i], i, text + len, size - len);
        len += printed > 0 ? (size_t)printed : 0;
    }
}
