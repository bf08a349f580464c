/*
 * slice.c: how long a thread may run before the kernel looks whether another should.
 *
 * A thread that is woken does not get the processor at once from one that computes, however nice
 * that one is: the kernel lets it finish its slice first, some milliseconds. Since Linux 6.12 a
 * thread may ask for a slice of its own, and one with a shorter slice need not wait for one with a
 * longer one. So loops, which do a little and wait again, ask for the shortest there is. It takes
 * no permission, and gives no larger share of the processor. Earlier kernels ignore it.
 */
#include "world/uv/internal.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the system calls want, as it was first: the C library has no such thing, and the kernel's
 * header cannot stand beside the C library's. */
struct attributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime; /* the slice */
    uint64_t deadline;
    uint64_t period;
};

/* Who runs under another policy was put there by someone who knows why. */
void thread_slice(pid_t thread, int64_t ns)
{
    struct attributes a = {0};
    if (syscall(SYS_sched_getattr, thread, &a, sizeof(a), 0) != 0)
        return;
    if (a.policy != SCHED_OTHER && a.policy != SCHED_BATCH)
        return;
    a.runtime = (uint64_t)ns;
    (void)syscall(SYS_sched_setattr, thread, &a, 0); /* slices are an optimization */
}
