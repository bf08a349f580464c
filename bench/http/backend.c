/*
 * backend.c: the fast server behind the forwarding benchmarks, and the floor under the direct
 * ones: a bare epoll loop with a fixed answer. No parser, no router, no limits, no time: what
 * any server adds to that is its own doing.
 *
 *     backend [MS]   says "listening on 127.0.0.1:PORT"; ends at SIGTERM
 *
 * /wait is answered after MS, a second unless given: so the benchmarks' own tools can be tried on
 * it, and it can be the slow service that others ask.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define BUFFER     4096

struct connection {
    int fd;
    size_t len;
    int64_t due_ms;           /* of a delayed answer */
    struct connection *later; /* the next delayed one */
    char buffer[BUFFER];
};

static const char reply[] = "HTTP/1.1 200 OK\r\nServer: bare\r\nContent-Type: application/json\r\n"
                            "Content-Length: 28\r\n\r\n{\"message\":\"Hello, World!\"}\n";
static struct connection *first_delayed;
static struct connection **last_delayed = &first_delayed;
static int64_t wait_ms = 1000;
static volatile sig_atomic_t ended;

static void on_term(int number)
{
    ended = 1;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static void drop(struct connection *c)
{
    if (c->due_ms != 0) { /* the delayed list still knows it */
        shutdown(c->fd, SHUT_RDWR);
        return;
    }
    close(c->fd);
    free(c);
}

static void answer(struct connection *c)
{
    if (send(c->fd, reply, sizeof reply - 1, MSG_NOSIGNAL) != (ssize_t)sizeof reply - 1)
        drop(c);
}

static void serve(struct connection *c)
{
    ssize_t n = recv(c->fd, c->buffer + c->len, BUFFER - c->len, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || c->len + (size_t)n == BUFFER) {
        drop(c);
        return;
    }
    c->len += (size_t)n;
    if (c->len < 4 || memcmp(c->buffer + c->len - 4, "\r\n\r\n", 4) != 0)
        return;
    bool waits = c->len > 9 && memcmp(c->buffer + 4, "/wait", 5) == 0;
    c->len = 0;
    if (!waits) {
        answer(c);
        return;
    }
    c->due_ms = now_ms() + wait_ms;
    c->later = NULL;
    *last_delayed = c;
    last_delayed = &c->later;
}

/* Answers what is due; how long to wait for the next, or -1. */
static int delayed(void)
{
    int64_t now = first_delayed ? now_ms() : 0;
    while (first_delayed) {
        struct connection *c = first_delayed;
        if (c->due_ms > now)
            return (int)(c->due_ms - now);
        first_delayed = c->later;
        if (!first_delayed)
            last_delayed = &first_delayed;
        c->due_ms = 0;
        answer(c);
    }
    return -1;
}

static void welcome(int loop, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct connection *c = malloc(sizeof *c);
    if (!c)
        die("malloc");
    c->fd = fd;
    c->len = 0;
    c->due_ms = 0;
    int one = 1;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        epoll_ctl(loop, EPOLL_CTL_ADD, fd, &e) != 0)
        drop(c);
    /* The analyzer does not see that the kernel keeps `c` for us. */
} // NOLINT(clang-analyzer-unix.Malloc)

static int listen_somewhere(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, size) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        die("listen");
    printf("listening on 127.0.0.1:%u\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        wait_ms = strtol(argv[1], NULL, 10);
    struct sigaction term = {.sa_handler = on_term};
    sigaction(SIGTERM, &term, NULL);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    int listener = listen_somewhere();
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &e) != 0)
        die("epoll");
    while (!ended) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(loop, events, EVENTS_MAX, delayed());
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                serve(events[i].data.ptr);
            else
                welcome(loop, listener);
        }
    }
    return 0;
}
