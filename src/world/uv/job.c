/*
 * job.c: until a request to libuv's threads has been answered: files, names.
 *
 * A thread that is inside a system call cannot be called back, and a coroutine whose time is up
 * must not wait for it. So the request owns everything it touches; the coroutine leaves, and what
 * it leaves behind is swept up when the answer comes. The world stays open until then.
 */
#include "world/uv/internal.h"

int job_wait(struct job *job, uv_req_t *request, const char *why)
{
    job->waiter = coro_self();
    int rc = coro_park(why);
    job->waiter = NULL;
    if (job->answered)
        return rc;
    job->abandoned = true;
    job->w->leaving++;
    uv_cancel(request); /* one that has not begun need not be done; if it has, this does nothing */
    return rc;
}

void job_answered(struct job *job)
{
    job->answered = true;
    if (job->abandoned) {
        job->w->leaving--;
        job->discard(job);
        return;
    }
    coro_wake(job->waiter, 0);
    loop_woke(job->w);
}
