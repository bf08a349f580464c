/*
 * address.c: addresses to text and back.
 *
 * What is printed is what is parsed, character by character: ports have no leading zeros, IPv6
 * stands in brackets in its shortest form, a scope is a number (looking up an interface's name
 * would be I/O). '*' is every address of the machine: it is the IPv6 wildcard, on which a listener
 * takes IPv4 too.
 *
 * The kernel may show addresses that no text names: a Unix socket without a name is printed as
 * "unix:", and a NUL inside an abstract name as '@'.
 */
#include "world/address.h"

#include "base/bug.h"
#include "base/bytes.h"
#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ERROR_TYPE "bad-address"
#define FORMS      "127.0.0.1:80, [::1]:80, *:80, unix:/path or unix:@name"

/* ---- From text ---- */

/* A decimal number without sign, blanks or leading zeros. */
static bool parse_number(struct span text, uint32_t max, uint32_t *out)
{
    if (text.len == 0 || text.len > 10 || (text.ptr[0] == '0' && text.len > 1))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    if (value > max)
        return false;
    *out = (uint32_t)value;
    return true;
}

static int parse_unix(struct address *a, const char *text, const char *path, struct error *e)
{
    bool abstract = path[0] == '@';
    size_t len = strlen(path);
    if (len == 0 || (abstract && len == 1))
        return error_set(e, -EINVAL, ERROR_TYPE,
            "the address '%s' names no socket; expected unix:/path or unix:@name", text);
    /* A path takes its NUL along, an abstract name has a NUL in the place of its '@'. */
    size_t max = sizeof(a->local.sun_path) - (abstract ? 0 : 1);
    if (len > max)
        return error_set(e, -EINVAL, ERROR_TYPE,
            "the Unix socket path in '%.40s...' is %zu bytes long; at most %zu fit", text, len,
            max);
    a->local.sun_family = AF_UNIX;
    memcpy(a->local.sun_path, path, len);
    if (abstract)
        a->local.sun_path[0] = '\0';
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (abstract ? 0 : 1));
    return 0;
}

static bool parse_in4(struct address *a, struct span host)
{
    char literal[INET_ADDRSTRLEN];
    if (host.len >= sizeof(literal))
        return false;
    memcpy(literal, host.ptr, host.len);
    literal[host.len] = '\0';
    a->len = sizeof(a->in4);
    a->in4.sin_family = AF_INET;
    return inet_pton(AF_INET, literal, &a->in4.sin_addr) == 1;
}

static bool parse_in6(struct address *a, struct span host)
{
    char literal[INET6_ADDRSTRLEN];
    const char *scope = memchr(host.ptr, '%', host.len);
    size_t len = scope ? (size_t)(scope - host.ptr) : host.len;
    if (len >= sizeof(literal))
        return false;
    memcpy(literal, host.ptr, len);
    literal[len] = '\0';
    a->len = sizeof(a->in6);
    a->in6.sin6_family = AF_INET6;
    if (inet_pton(AF_INET6, literal, &a->in6.sin6_addr) != 1)
        return false;
    if (!scope)
        return true;
    struct span number = {.ptr = scope + 1, .len = host.len - len - 1};
    return parse_number(number, UINT32_MAX, &a->in6.sin6_scope_id) && a->in6.sin6_scope_id != 0;
}

static bool parse_host(struct address *a, struct span host)
{
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        return parse_in6(a, (struct span){.ptr = host.ptr + 1, .len = host.len - 2});
    if (span_equal(host, SPAN("*")))
        return parse_in6(a, SPAN("::"));
    return parse_in4(a, host);
}

int address_parse(struct address *a, const char *text, struct error *e)
{
    memset(a, 0, sizeof(*a));
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(a, text, text + 5, e);
    const char *colon = strrchr(text, ':');
    if (!colon || strchr(colon, ']'))
        return error_set(e, -EINVAL, ERROR_TYPE,
            "the address '%.120s' has no port; expected the form " FORMS, text);
    uint32_t port;
    if (!parse_number(span_of(colon + 1), UINT16_MAX, &port))
        return error_set(e, -EINVAL, ERROR_TYPE,
            "'%.40s' in the address '%.120s' is no port; expected a number from 0 to 65535",
            colon + 1, text);
    struct span host = {.ptr = text, .len = (size_t)(colon - text)};
    if (memchr(host.ptr, ':', host.len) && host.ptr[0] != '[')
        return error_set(e, -EINVAL, ERROR_TYPE,
            "the IPv6 address in '%.120s' is not in brackets; expected the form [::1]:80", text);
    if (!parse_host(a, host))
        return error_set(e, -EINVAL, ERROR_TYPE,
            "'%.*s' in the address '%.120s' is no IP address; expected the form " FORMS,
            host.len < 120 ? (int)host.len : 120, host.ptr, text);
    address_set_port(a, (uint16_t)port);
    return 0;
}

bool address_is_name(const char *text, char name[ADDRESS_NAME_MAX + 1], uint16_t *port)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    size_t len = strspn(text, all);
    uint32_t number;
    if (len == 0 || len > ADDRESS_NAME_MAX || text[len] != ':' || strcspn(text, letters) >= len ||
        !parse_number(span_of(text + len + 1), UINT16_MAX, &number))
        return false;
    memcpy(name, text, len);
    name[len] = '\0';
    *port = (uint16_t)number;
    return true;
}

/* ---- To text ---- */

static void print_unix(const struct address *a, char text[ADDRESS_TEXT_MAX])
{
    size_t len = a->len - offsetof(struct sockaddr_un, sun_path);
    char path[sizeof(a->local.sun_path) + 1];
    memcpy(path, a->local.sun_path, len);
    path[len] = '\0';
    if (len > 0 && path[0] == '\0')
        for (size_t i = 0; i < len; i++)
            if (path[i] == '\0')
                path[i] = '@';
    snprintf(text, ADDRESS_TEXT_MAX, "unix:%s", path);
}

static void print_in6(const struct address *a, char text[ADDRESS_TEXT_MAX])
{
    char literal[INET6_ADDRSTRLEN] = "";
    inet_ntop(AF_INET6, &a->in6.sin6_addr, literal, sizeof(literal));
    unsigned port = ntohs(a->in6.sin6_port);
    if (a->in6.sin6_scope_id)
        snprintf(text, ADDRESS_TEXT_MAX, "[%s%%%u]:%u", literal, a->in6.sin6_scope_id, port);
    else if (IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr))
        snprintf(text, ADDRESS_TEXT_MAX, "*:%u", port);
    else
        snprintf(text, ADDRESS_TEXT_MAX, "[%s]:%u", literal, port);
}

const char *address_print(const struct address *a, char text[ADDRESS_TEXT_MAX])
{
    char literal[INET_ADDRSTRLEN] = "";
    switch (a->any.sa_family) {
    case AF_UNIX:
        print_unix(a, text);
        break;
    case AF_INET6:
        print_in6(a, text);
        break;
    case AF_INET:
        inet_ntop(AF_INET, &a->in4.sin_addr, literal, sizeof(literal));
        snprintf(text, ADDRESS_TEXT_MAX, "%s:%u", literal, ntohs(a->in4.sin_port));
        break;
    default:
        snprintf(text, ADDRESS_TEXT_MAX, "(family %u)", a->any.sa_family);
    }
    return text;
}

/* ---- Ports ---- */

int address_port(const struct address *a)
{
    switch (a->any.sa_family) {
    case AF_INET:
        return ntohs(a->in4.sin_port);
    case AF_INET6:
        return ntohs(a->in6.sin6_port);
    default:
        return -1;
    }
}

void address_set_port(struct address *a, uint16_t port)
{
    if (a->any.sa_family == AF_INET)
        a->in4.sin_port = htons(port);
    else if (a->any.sa_family == AF_INET6)
        a->in6.sin6_port = htons(port);
    else
        dcheck(false, "a port was given to an address that has none");
}
