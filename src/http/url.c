/*
 * url.c: URLs to origins and targets, and origins to endpoints.
 *
 * It takes what it can send as it stands and nothing else: a fragment, which is never sent, or
 * credentials, which would be dropped, are the writer's mistake, and are said to be.
 */
#include "http/url.h"

#include "http/client.h"

#include <errno.h>
#include <stdio.h>

#define ERROR_TYPE   "bad-url"
#define SHOWN_MAX    160
#define PORT_DEFAULT 80
#define UNIX_PREFIX  "unix:"

static int refuse(struct error *e, struct span url, const char *why)
{
    int shown = url.len < SHOWN_MAX ? (int)url.len : SHOWN_MAX;
    return error_set(e, -EINVAL, ERROR_TYPE, "the URL '%.*s%s' %s", shown, url.ptr ? url.ptr : "",
        url.len > SHOWN_MAX ? "..." : "", why);
}

static bool begins(struct span s, const char *lower)
{
    size_t len = strlen(lower);
    if (s.len < len)
        return false;
    return http_name_equal((struct span){s.ptr, len}, lower);
}

static struct span behind(struct span s, size_t len)
{
    return (struct span){s.ptr + len, s.len - len};
}

/* Takes "http://" off. */
static int take_scheme(struct span url, struct span *rest, struct error *e)
{
    if (begins(url, "https://"))
        return refuse(e, url, "wants https, which this client does not speak; expected http://");
    if (!begins(url, "http://"))
        return refuse(e, url, "does not begin with http://");
    *rest = behind(url, strlen("http://"));
    return 0;
}

/* ---- Splitting ---- */

static const char *unfit_for_target(struct span target)
{
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.ptr[i];
        if (c <= ' ' || c >= 0x7f)
            return "has a space, a control or a non-ASCII character; write it as %20, %C3%A9, ...";
        if (c == '#')
            return "has a fragment ('#'), which is never sent; leave it out or write %23";
    }
    return NULL;
}

/* How much of what follows the scheme is the origin's. */
static size_t authority_len(struct span rest)
{
    const char *stops = "/?#";
    size_t at = 0;
    if (begins(rest, UNIX_PREFIX)) {
        at = strlen(UNIX_PREFIX);
        stops = ":?#"; /* a path has slashes; a colon ends it: http://unix:/run/x.sock:/target */
    }
    while (at < rest.len && !strchr(stops, rest.ptr[at]))
        at++;
    return at;
}

int http_url_split(struct span url, struct span *origin, struct span *target, struct error *e)
{
    struct span rest = SPAN("");
    int rc = take_scheme(url, &rest, e);
    if (rc)
        return rc;
    if (rest.len > 0 && memchr(rest.ptr, '\0', rest.len))
        return refuse(e, url, "has a zero byte in it");
    size_t len = authority_len(rest);
    bool local = begins(rest, UNIX_PREFIX);
    *origin = (struct span){url.ptr, (size_t)(rest.ptr + len - url.ptr)};
    *target = behind(rest, len);
    if (local && target->len > 0 && target->ptr[0] == ':')
        *target = behind(*target, 1);
    const char *why = unfit_for_target(*target);
    if (why)
        return refuse(e, url, why);
    if (target->len == 0)
        *target = SPAN("/");
    if (target->ptr[0] != '/')
        return refuse(e, url, "has no path; write a '/' after the host");
    struct http_endpoint endpoint;
    return http_endpoint_parse(&endpoint, *origin, e);
}

/* ---- Places ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* ":9001", or nothing at all. */
static bool parse_port(struct span text, uint16_t *out)
{
    uint32_t port = text.len ? 0 : PORT_DEFAULT;
    if (text.len == 1 || text.len > 6)
        return false;
    for (size_t i = 1; i < text.len; i++) {
        if (!is_digit(text.ptr[i]))
            return false;
        port = port * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    *out = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX;
}

/* Letters, digits and "-_." without empty labels; lower case. */
static bool copy_name(struct http_endpoint *p, struct span name)
{
    if (name.len == 0 || name.len > HTTP_HOST_MAX || name.ptr[0] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = to_lower(name.ptr[i]);
        if (!is_digit(c) && !(c >= 'a' && c <= 'z') && !strchr("-_.", c))
            return false;
        if (c == '.' && i > 0 && name.ptr[i - 1] == '.')
            return false;
        p->host[i] = c;
    }
    p->host[name.len] = '\0';
    return true;
}

/* As a resolver would take it: a name whose last label is a number is an address, or nothing. */
static bool looks_like_address(struct span host)
{
    size_t at = host.len;
    while (at > 0 && is_digit(host.ptr[at - 1]))
        at--;
    return at < host.len && (at == 0 || host.ptr[at - 1] == '.');
}

static int parse_literal(
    struct http_endpoint *p, struct span url, struct span host, struct error *e)
{
    char text[ADDRESS_TEXT_MAX];
    snprintf(text, sizeof text, "%.*s:%u", host.len < 100 ? (int)host.len : 100, host.ptr, p->port);
    if (address_parse(&p->address, text, NULL))
        return refuse(e, url, "has a host that is no IP address");
    address_print(&p->address, text);
    if (text[0] == '*') /* the text of the wildcard address, which cannot be connected to */
        return refuse(e, url, "has the address [::], at which nobody can be reached");
    if (p->port == PORT_DEFAULT)
        *strrchr(text, ':') = '\0';
    snprintf(p->authority, sizeof p->authority, "%s", text);
    snprintf(p->text, sizeof p->text, "http://%s", text);
    return 0;
}

static int parse_unix(struct http_endpoint *p, struct span url, struct span rest, struct error *e)
{
    char text[ADDRESS_TEXT_MAX];
    if (rest.len >= sizeof text)
        return refuse(e, url, "has a Unix socket's path that is too long");
    snprintf(text, sizeof text, UNIX_PREFIX "%.*s", (int)(rest.len - strlen(UNIX_PREFIX)),
        rest.ptr + strlen(UNIX_PREFIX));
    if (address_parse(&p->address, text, NULL))
        return refuse(e, url, "names no Unix socket; expected http://unix:/path");
    snprintf(p->authority, sizeof p->authority, "localhost");
    snprintf(p->text, sizeof p->text, "http://%s", text);
    return 0;
}

int http_endpoint_parse(struct http_endpoint *p, struct span text, struct error *e)
{
    *p = (struct http_endpoint){0};
    struct span rest = SPAN("");
    int rc = take_scheme(text, &rest, e);
    if (rc)
        return rc;
    if (rest.len > 0 && memchr(rest.ptr, '\0', rest.len))
        return refuse(e, text, "has a zero byte in it");
    if (begins(rest, UNIX_PREFIX))
        return parse_unix(p, text, rest, e);
    if (memchr(rest.ptr, '@', rest.len))
        return refuse(e, text, "has a user in it ('@'); send an Authorization field instead");
    bool brackets = rest.len > 0 && rest.ptr[0] == '[';
    const char *end = memchr(rest.ptr, brackets ? ']' : ':', rest.len);
    size_t len = end ? (size_t)(end - rest.ptr) + (brackets ? 1 : 0) : rest.len;
    struct span port = behind(rest, len);
    rest.len = len;
    if ((port.len > 0 && port.ptr[0] != ':') || !parse_port(port, &p->port))
        return refuse(e, text, "has no port from 1 to 65535 after its host's ':'");
    if (brackets || looks_like_address(rest))
        return parse_literal(p, text, rest, e);
    if (!copy_name(p, rest))
        return refuse(e, text, "has no host; expected a name or an address, as in http://host:80");
    if (p->port == PORT_DEFAULT)
        snprintf(p->authority, sizeof p->authority, "%s", p->host);
    else
        snprintf(p->authority, sizeof p->authority, "%s:%u", p->host, p->port);
    snprintf(p->text, sizeof p->text, "http://%s", p->authority);
    return 0;
}
