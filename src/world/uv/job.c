/*
 * job.c: calls that block (files, names), on threads of their own.
 *
 * Each world has a few threads for them, started when they are needed and kept. They are our own
 * rather than libuv's, which ends the process if one cannot be started: here the job fails with
 * -EAGAIN, or has to wait for the threads that there are.
 *
 * A thread that is inside a system call cannot be called back, and a coroutine whose time is up
 * must not wait for it. So the job owns everything it touches; the coroutine leaves, and what it
 * leaves behind is swept up when the answer comes. The world stays open until then.
 */
#include "world/uv/internal.h"

#include "base/bug.h"

#include <errno.h>
#include <stdio.h>

/* ---- The threads ---- */

void jobs_init(struct jobs *j)
{
    *j = (struct jobs){0};
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->more, NULL);
    list_init(&j->queue);
}

/* Under the lock: the next, or NULL: there will be none any more. */
static struct job *next_job(struct jobs *j)
{
    while (list_empty(&j->queue) && !j->over)
        pthread_cond_wait(&j->more, &j->lock);
    struct list *link = list_pop_front(&j->queue);
    if (!link)
        return NULL;
    j->queued--;
    return list_entry(link, struct job, link);
}

static void *run_jobs(void *arg)
{
    struct uv_world *w = arg;
    struct jobs *j = &w->jobs;
    struct job *job;
    char name[16]; /* all that the kernel keeps */
    snprintf(name, sizeof(name), "%.10s jobs", w->name);
    pthread_setname_np(pthread_self(), name);
    pthread_mutex_lock(&j->lock);
    while ((job = next_job(j))) {
        j->busy++;
        pthread_mutex_unlock(&j->lock);
        job->run(job);
        world_post(&w->world, &job->done);
        pthread_mutex_lock(&j->lock);
        j->busy--;
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* Under the lock: one more thread, if all have something to do and there may be one. 0; or a
 * negative errno, and there is none at all. */
static int have_thread(struct uv_world *w)
{
    struct jobs *j = &w->jobs;
    if (j->count - j->busy > j->queued || j->count == JOB_THREADS_MAX)
        return 0;
    int rc = thread_start(&j->threads[j->count], run_jobs, w);
    if (rc == 0)
        j->count++;
    return j->count > 0 ? 0 : rc;
}

void jobs_end(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    check(list_empty(&j->queue), "a world is closed while a file or a name is asked for");
    j->over = true;
    pthread_cond_broadcast(&j->more);
    pthread_mutex_unlock(&j->lock);
    for (unsigned i = 0; i < j->count; i++)
        pthread_join(j->threads[i], NULL);
    pthread_cond_destroy(&j->more);
    pthread_mutex_destroy(&j->lock);
}

/* ---- A job ---- */

static void is_done(struct message *m)
{
    struct job *job = container_of(m, struct job, done);
    job->answered = true;
    if (job->abandoned) {
        job->w->leaving--;
        job->discard(job);
        return;
    }
    coro_wake(job->waiter, 0);
}

int job_start(struct job *job)
{
    struct jobs *j = &job->w->jobs;
    job->done.deliver = is_done;
    pthread_mutex_lock(&j->lock);
    int rc = have_thread(job->w);
    if (rc == 0) {
        list_push_back(&j->queue, &job->link);
        j->queued++;
        pthread_cond_signal(&j->more);
    }
    pthread_mutex_unlock(&j->lock);
    return rc;
}

void job_forget(struct job *job)
{
    job->abandoned = true;
    job->w->leaving++;
}

/* Whether it has not begun, and need not be done. */
static bool call_back(struct job *job)
{
    struct jobs *j = &job->w->jobs;
    pthread_mutex_lock(&j->lock);
    bool waits = list_linked(&job->link);
    if (waits) {
        list_del(&job->link);
        j->queued--;
    }
    pthread_mutex_unlock(&j->lock);
    return waits;
}

bool job_wait(struct job *job, const char *why, int *rc)
{
    job->waiter = coro_self();
    *rc = coro_park(why);
    job->waiter = NULL;
    if (job->answered)
        return true;
    if (call_back(job))
        job->discard(job);
    else
        job_forget(job);
    return false;
}
