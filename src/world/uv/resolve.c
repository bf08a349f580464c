/*
 * resolve.c: names to addresses, by the system's resolver on one of libuv's threads. Literals need
 * no thread.
 *
 * The resolver's own order is kept: it has sorted by what can be reached from here (RFC 6724).
 */
#include "base/mem.h"
#include "world/uv/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

struct lookup {
    struct job job;
    uv_getaddrinfo_t request;
    int status;
    struct addrinfo *found;
};

static void lookup_free(struct lookup *l)
{
    uv_freeaddrinfo(l->found);
    mem_free(l);
}

static void discard(struct job *job)
{
    lookup_free(container_of(job, struct lookup, job));
}

static void on_answer(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct lookup *l = container_of(request, struct lookup, request);
    l->status = status;
    l->found = found;
    job_answered(&l->job);
}

static bool is_literal(const char *host, uint16_t port, struct address *out)
{
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, host, &out->in4.sin_addr) == 1) {
        out->in4.sin_family = AF_INET;
        out->len = sizeof(out->in4);
    } else if (inet_pton(AF_INET6, host, &out->in6.sin6_addr) == 1) {
        out->in6.sin6_family = AF_INET6;
        out->len = sizeof(out->in6);
    } else {
        return false;
    }
    address_set_port(out, port);
    return true;
}

static int to_errno(int status)
{
    switch (status) {
    case UV_EAI_NONAME:
    case UV_EAI_NODATA:
    case UV_EAI_ADDRFAMILY:
        return -ENOENT;
    case UV_EAI_AGAIN:
    case UV_EAI_FAIL:
        return -EAGAIN;
    case UV_EAI_MEMORY:
        return -ENOMEM;
    default:
        /* libuv's own codes for the resolver lie beyond every errno. */
        return status > -4000 && status < -3000 ? -EINVAL : status;
    }
}

static int copy_found(const struct addrinfo *found, uint16_t port, struct address *out, int max)
{
    int count = 0;
    for (const struct addrinfo *i = found; i && count < max; i = i->ai_next) {
        if (i->ai_family != AF_INET && i->ai_family != AF_INET6)
            continue;
        struct address *a = &out[count++];
        memset(a, 0, sizeof(*a));
        memcpy(&a->any, i->ai_addr, i->ai_addrlen);
        a->len = i->ai_addrlen;
        address_set_port(a, port);
    }
    return count > 0 ? count : -ENOENT;
}

int uv_world_resolve(
    struct world *world, const char *host, uint16_t port, struct address *out, int max)
{
    if (is_literal(host, port, &out[0]))
        return 1;
    struct uv_world *w = uv_world_of(world);
    struct lookup *l = mem_zalloc(sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->job.w = w;
    l->job.discard = discard;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int rc = uv_getaddrinfo(&w->loop, &l->request, on_answer, host, NULL, &hints);
    if (rc) {
        mem_free(l);
        return rc;
    }
    rc = job_wait(&l->job, (uv_req_t *)&l->request, "resolve");
    if (!l->job.answered)
        return rc;
    if (rc == 0)
        rc = l->status ? to_errno(l->status) : copy_found(l->found, port, out, max);
    lookup_free(l);
    return rc;
}
