/*
 * resolve.c: names to addresses, by the system's resolver on a thread (job.c). Literals need
 * no thread.
 *
 * The resolver's own order is kept: it has sorted by what can be reached from here (RFC 6724).
 */
#include "base/mem.h"
#include "world/uv/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>

struct lookup {
    struct job job;
    int status; /* as of getaddrinfo */
    int error;  /* errno, if that is EAI_SYSTEM */
    struct addrinfo *found;
    char host[];
};

static void lookup_free(struct lookup *l)
{
    if (l->found)
        freeaddrinfo(l->found);
    mem_free(l);
}

static void discard(struct job *job)
{
    lookup_free(container_of(job, struct lookup, job));
}

static void look_up(struct job *job)
{
    struct lookup *l = container_of(job, struct lookup, job);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    l->status = getaddrinfo(l->host, NULL, &hints, &l->found);
    l->error = errno;
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

static int to_errno(const struct lookup *l)
{
    switch (l->status) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return -ENOENT;
    case EAI_AGAIN:
    case EAI_FAIL:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return l->error ? -l->error : -EAGAIN;
    default:
        return -EINVAL;
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
    size_t size = strlen(host) + 1;
    struct lookup *l = mem_zalloc(sizeof(*l) + size);
    if (!l)
        return -ENOMEM;
    l->job = (struct job){.w = w, .run = look_up, .discard = discard};
    memcpy(l->host, host, size);
    int rc = job_start(&l->job);
    if (rc) {
        mem_free(l);
        return rc;
    }
    if (!job_wait(&l->job, "resolve", &rc))
        return rc;
    if (rc == 0)
        rc = l->status ? to_errno(l) : copy_found(l->found, port, out, max);
    lookup_free(l);
    return rc;
}
