/*
 * http1_target.c: a request's target (RFC 9112, 3.2) and the host it names.
 */
#include "wire/http1_internal.h"

#include <arpa/inet.h>

/* What a target may be made of: all that is visible but '#', since fragments are never sent. Bytes
 * that RFC 3986 has no place for, but clients send (|, {, "), are left to the router. */
static const bool is_target_byte[256] = {
    ['!' ... '"'] = true,
    ['$' ... '~'] = true,
};

static const bool is_host_byte[256] = {
    ['0' ... '9'] = true,
    ['A' ... 'Z'] = true,
    ['a' ... 'z'] = true,
    ['-'] = true,
    ['.'] = true,
    ['_'] = true,
    ['~'] = true,
};

/* ---- Hosts ---- */

static bool port_valid(struct span digits)
{
    unsigned port = 0;
    if (digits.len > 5)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
        port = port * 10 + (unsigned)(digits.ptr[i] - '0');
    }
    return port <= 65535;
}

/* "::1", of "[::1]". */
static bool address_valid(struct span text)
{
    char zero_ended[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (text.len >= sizeof zero_ended || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(zero_ended, text.ptr, text.len);
    zero_ended[text.len] = '\0';
    return inet_pton(AF_INET6, zero_ended, &address) == 1;
}

/* Where the name or address ends, or 0. */
static size_t name_end(struct span host)
{
    size_t end = 0;
    if (host.len > 0 && host.ptr[0] == '[') {
        const char *bracket = memchr(host.ptr, ']', host.len);
        end = bracket ? (size_t)(bracket - host.ptr) : 0;
        struct span text = {.ptr = host.ptr + 1, .len = end ? end - 1 : 0};
        return text.len > 0 && address_valid(text) ? end + 1 : 0;
    }
    while (end < host.len && is_host_byte[(unsigned char)host.ptr[end]])
        end++;
    return end;
}

/* The port's digits, {NULL, 0} where there is no colon. False where it is no host. */
static bool split_host(struct span host, struct span *port)
{
    size_t end = name_end(host);
    *port = (struct span){0};
    if (end == 0)
        return false;
    if (end == host.len)
        return true;
    *port = (struct span){.ptr = host.ptr + end + 1, .len = host.len - end - 1};
    return host.ptr[end] == ':' && port_valid(*port);
}

bool http1_host_valid(struct span host)
{
    struct span port;
    return split_host(host, &port);
}

/* ---- Targets ---- */

/* "/path?query", or "", or "?query". */
static void split_path(struct http1_head *head, struct span rest)
{
    const char *mark = rest.len ? memchr(rest.ptr, '?', rest.len) : NULL;
    head->path = rest;
    if (mark) {
        head->path.len = (size_t)(mark - rest.ptr);
        head->query = (struct span){.ptr = mark + 1, .len = rest.len - head->path.len - 1};
    }
}

static bool split_absolute(struct http1 *p)
{
    struct span rest = p->head.target;
    size_t scheme = 0;
    if (rest.len >= 7 && http_same(rest.ptr, "http://", 7))
        scheme = 7;
    else if (rest.len >= 8 && http_same(rest.ptr, "https://", 8))
        scheme = 8;
    else
        return http1_refuse(p, 400, "a target that is neither a path nor an http URI");
    rest.ptr += scheme;
    rest.len -= scheme;

    struct span host = {.ptr = rest.ptr};
    while (host.len < rest.len && rest.ptr[host.len] != '/' && rest.ptr[host.len] != '?')
        host.len++;
    if (!http1_host_valid(host))
        return http1_refuse(p, 400, "a target whose host is no name or address");
    p->head.host = host;
    rest.ptr += host.len;
    rest.len -= host.len;
    split_path(&p->head, rest);
    if (p->head.path.len == 0) /* RFC 9112, 3.2.4, for OPTIONS */
        p->head.path = p->head.method == HTTP_OPTIONS && !p->head.query.ptr ? SPAN("*") : SPAN("/");
    return true;
}

static bool split_authority(struct http1 *p)
{
    struct span port;
    if (!split_host(p->head.target, &port) || port.len == 0)
        return http1_refuse(p, 400, "a CONNECT to what is no host and port");
    p->head.host = p->head.target;
    return true;
}

bool http1_split_target(struct http1 *p)
{
    struct span target = p->head.target;
    p->head.path = p->head.query = p->head.host = (struct span){0};
    if (target.len == 0)
        return http1_refuse(p, 400, "a request line without a target");
    for (size_t i = 0; i < target.len; i++)
        if (!is_target_byte[(unsigned char)target.ptr[i]])
            return http1_refuse(p, 400, "a target with bytes that no URI has");

    if (p->head.method == HTTP_CONNECT)
        return split_authority(p);
    if (target.ptr[0] == '/') {
        split_path(&p->head, target);
        return true;
    }
    if (target.len == 1 && target.ptr[0] == '*') {
        if (p->head.method != HTTP_OPTIONS)
            return http1_refuse(p, 400, "a target '*' of another method than OPTIONS");
        p->head.path = target;
        return true;
    }
    return split_absolute(p);
}
