/*
 * plain_seccomp.c: from now on no further processes: a filter of the kernel's on system calls.
 *
 * What would make a process, or make this one another program, kills it at once, so that its parent
 * sees a plain SIGSYS. Threads are made with the same call as processes, and told apart by a flag;
 * but in clone3 the flags are behind a pointer, where a filter cannot look: it is said not to
 * exist, and the C library asks clone instead.
 */
#include "base/sanitizers.h"
#include "world/plain.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#    define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#    define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef ARCHITECTURE

/* AddressSanitizer looks for leaks at exit from a helper that shares all but the thread group. */
#    if WITH_ASAN
#        define PERMITTED (CLONE_THREAD | CLONE_UNTRACED)
#    else
#        define PERMITTED CLONE_THREAD
#    endif

#    define FIELD(name)         offsetof(struct seccomp_data, name)
#    define LOAD(offset)        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#    define ANSWER(answer)      BPF_STMT(BPF_RET | BPF_K, answer)
/* Unless it is that, or has one of these bits, the next one is skipped. */
#    define UNLESS_EQUAL(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1)
#    define UNLESS_BITS(value)  BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, value, 0, 1)
#    define KILL(call)          UNLESS_EQUAL(call), ANSWER(SECCOMP_RET_KILL_PROCESS)

static const struct sock_filter program[] = {
    LOAD(FIELD(arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
    ANSWER(SECCOMP_RET_KILL_PROCESS),
    LOAD(FIELD(nr)),
#    ifdef __x86_64__
    UNLESS_BITS(0x40000000), /* x32, whose numbers are others */
    ANSWER(SECCOMP_RET_KILL_PROCESS),
    KILL(SYS_fork),
    KILL(SYS_vfork),
#    endif
    KILL(SYS_execve),
    KILL(SYS_execveat),
    UNLESS_EQUAL(SYS_clone3),
    ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
    ANSWER(SECCOMP_RET_ALLOW),
    LOAD(FIELD(args[0])), /* its low half: the flags */
    UNLESS_BITS(PERMITTED),
    ANSWER(SECCOMP_RET_ALLOW),
    ANSWER(SECCOMP_RET_KILL_PROCESS),
};

/* For all its threads. */
int plain_forbid_processes(void)
{
    /* The kernel does not write to it, but takes it without const. */
    struct sock_filter copy[sizeof(program) / sizeof(*program)];
    for (size_t i = 0; i < sizeof(program) / sizeof(*program); i++)
        copy[i] = program[i];
    struct sock_fprog filter = {.len = sizeof(copy) / sizeof(*copy), .filter = copy};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -ENOSYS;
    long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
    if (rc == 0)
        return 0;
    if (rc > 0)
        return -EBUSY; /* a thread has a filter of its own */
    return errno == EINVAL ? -ENOSYS : -errno;
}

#else

int plain_forbid_processes(void)
{
    return -ENOSYS;
}

#endif
