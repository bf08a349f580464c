/* client.c: the load program's verbs and what they share. */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define CONNECTIONS_A_SOURCE 10000

int64_t client_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND_NS + t.tv_nsec;
}

void client_die(const char *what)
{
    fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
    exit(1);
}

struct client_target client_target(const char *text)
{
    struct client_target target = {.at = {.sin_family = AF_INET}, .name = text};
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) {
        fprintf(stderr, "client: '%s' is no address and port\n", text);
        exit(1);
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    target.at.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &target.at.sin_addr) != 1) {
        fprintf(stderr, "client: '%s' is no address\n", host);
        exit(1);
    }
    return target;
}

void client_bind_source(int fd, unsigned nth)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + nth / CONNECTIONS_A_SOURCE);
    int one = 1;
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&from, sizeof from) != 0)
        client_die("bind");
}

size_t client_request(char *buffer, size_t size, const char *path, const struct client_target *to)
{
    int len = snprintf(buffer, size, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, to->name);
    if (len < 0 || (size_t)len >= size) {
        fprintf(stderr, "client: the path is too long\n");
        exit(1);
    }
    return (size_t)len;
}

/* ---- One answer ---- */

void answer_clear(struct answer *a)
{
    a->head_len = 0;
    a->head_done = false;
    a->closes = false;
    a->status = 0;
    a->left = 0;
}

const char *answer_field(const struct answer *a, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = strstr(a->head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " \t");
    }
    return NULL;
}

static bool understand_head(struct answer *a)
{
    if (strncmp(a->head, "HTTP/1.1 ", 9) != 0)
        return false;
    a->status = (int)strtol(a->head + 9, NULL, 10);
    const char *connection = answer_field(a, "connection");
    a->closes = connection && strncasecmp(connection, "close", 5) == 0;
    const char *length = answer_field(a, "content-length");
    if (!length)
        return false;
    a->left = strtoll(length, NULL, 10);
    return a->left >= 0 && a->status >= 100 && a->status <= 599;
}

enum answer_state answer_feed(struct answer *a, const char *bytes, size_t len)
{
    while (!a->head_done && len > 0) {
        if (a->head_len + 1 == sizeof a->head)
            return ANSWER_MALFORMED;
        a->head[a->head_len++] = *bytes++;
        len--;
        if (a->head_len < 4 || memcmp(a->head + a->head_len - 4, "\r\n\r\n", 4) != 0)
            continue;
        a->head[a->head_len] = '\0';
        a->head_done = true;
        if (!understand_head(a))
            return ANSWER_MALFORMED;
    }
    if (!a->head_done)
        return ANSWER_MORE;
    if ((int64_t)len > a->left)
        return ANSWER_MALFORMED;
    a->left -= (int64_t)len;
    return a->left == 0 ? ANSWER_WHOLE : ANSWER_MORE;
}

/* ---- The verbs ---- */

static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        client_die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } verbs[] = {
        {"open", client_open}, {"plan", client_plan}, {"hold", client_hold}, {"slow", client_slow}};

    raise_descriptors();
    prctl(PR_SET_TIMERSLACK, 1UL);
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    fprintf(stderr, "usage: %s open|plan|hold|slow ...\n", argv[0]);
    return 1;
}
