/*
 * tsan.c: see tsan.h.
 */
#include "world/uv/tsan.h"

#if WITH_TSAN

#    include <pthread.h>
#    include <signal.h>

static _Thread_local sigset_t before;
static _Thread_local sigset_t most;

void tsan_block_signals(void)
{
    sigfillset(&most);
    /* Faults are the code's own, and the watchdog's signal is meant for a running coroutine. */
    static const int others[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGURG};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        sigdelset(&most, others[i]);
    pthread_sigmask(SIG_BLOCK, &most, &before);
}

/* What a coroutine has unblocked meanwhile stays so. */
void tsan_unblock_signals(void)
{
    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    for (int number = 1; number < NSIG; number++)
        if (sigismember(&most, number) == 1 && sigismember(&now, number) == 0)
            sigdelset(&before, number);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* libuv closes descriptors by system call number, unseen; when another thread is given the same
 * number next, that looks like a race for it. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race_top:^__interceptor_pipe2$\n"
           "race_top:^__interceptor_eventfd$\n"
           "race_top:^__interceptor_epoll_create1$\n"
           "race_top:^__interceptor_socket$\n"
           "race_top:^__interceptor_socketpair$\n"
           "race_top:^__interceptor_accept4$\n"
           "race_top:^__interceptor_dup$\n"
           "race_top:^__interceptor_open$\n";
}

#endif
