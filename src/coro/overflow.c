/*
 * overflow.c: turns a fault in a guard page into a sentence with the coroutine's name.
 *
 * The handler runs on a stack of its own, since the coroutine's has just ended. After it, and for
 * faults elsewhere, comes whoever handled them before (a sanitizer, or the default: a core dump).
 */
#include "coro/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SIGNAL_STACK_SIZE (32 * 1024)

static bool installed;
static struct sigaction before_segv;
static struct sigaction before_bus;

static void say_overflow(const struct coro *c)
{
    /* snprintf is not async-signal-safe by the letter, but this thread is in a coroutine's own
     * code, and about to end. */
    char text[256];
    int len = snprintf(text, sizeof text,
        "bug: coroutine '%s' overflowed its stack of %zu KiB; find what it recurses into or keeps "
        "on its stack, or give its sched a larger stack_size\n",
        c->name, c->stack.size / 1024);
    if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0)
        return; /* nowhere to say it; the core dump remains */
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    const struct coro *c = coro_self();
    const char *address = info->si_addr;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (c && address < c->stack.low && address >= c->stack.low - page)
        say_overflow(c);
    const struct sigaction *before = number == SIGSEGV ? &before_segv : &before_bus;
    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(number, info, context);
        return;
    }
    if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(number);
        return;
    }
    /* Returning repeats the fault, now with its default action: the core shows the overflowing
     * frame. */
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigaction(number, &by_default, NULL);
    if (info->si_code <= 0)
        raise(number); /* was sent, by kill(2) or raise(3): nothing would repeat it */
}

int coro_catch_overflow(void)
{
    if (installed)
        return 0;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSEGV, &action, &before_segv) != 0)
        return -errno;
    if (sigaction(SIGBUS, &action, &before_bus) != 0)
        return -errno;
    installed = true;
    return 0;
}

/* The stack is the thread's own storage: pages that no fault touches are never there, and it goes
 * with the thread. */
void overflow_prepare_thread(void)
{
    static _Thread_local bool prepared;
    static _Thread_local char stack[SIGNAL_STACK_SIZE];
    if (prepared)
        return;
    prepared = true;
    stack_t present;
    if (sigaltstack(NULL, &present) != 0 || !(present.ss_flags & SS_DISABLE))
        return; /* a sanitizer has given the thread one already */
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
}
