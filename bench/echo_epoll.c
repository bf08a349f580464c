/*
 * echo_epoll.c: the peer of the echo benchmark: a bare epoll loop in C, without a library,
 * coroutines, deadlines or a log.
 *
 * It speaks examples/echo's protocol: frames of a 4-byte big-endian length and that many bytes,
 * sent back as they came. Level-triggered; a ready connection costs one read and one write. What a
 * client does not take is kept, and that client not read from until it has.
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
#include <sys/socket.h>
#include <unistd.h>

#define HEADER     4
#define BUFFER     (64 * 1024)
#define EVENTS_MAX 256

struct connection {
    int fd;
    bool waits_to_write;
    size_t len;   /* bytes in the buffer */
    size_t whole; /* of these, in whole frames */
    size_t sent;  /* of these, sent back already */
    char buffer[BUFFER];
};

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

static void drop(struct connection *c)
{
    close(c->fd);
    free(c);
}

/* Counts whole frames. False: the next one will never fit. */
static bool parse(struct connection *c)
{
    while (c->len - c->whole >= HEADER) {
        uint32_t length;
        memcpy(&length, c->buffer + c->whole, HEADER);
        size_t frame = HEADER + (size_t)ntohl(length);
        if (frame > BUFFER)
            return false;
        if (frame > c->len - c->whole)
            break;
        c->whole += frame;
    }
    return true;
}

static bool watch(int loop, struct connection *c, bool to_write)
{
    if (c->waits_to_write == to_write)
        return true;
    c->waits_to_write = to_write;
    struct epoll_event e = {.events = to_write ? EPOLLOUT : EPOLLIN, .data.ptr = c};
    return epoll_ctl(loop, EPOLL_CTL_MOD, c->fd, &e) == 0;
}

static bool send_back(int loop, struct connection *c)
{
    if (c->whole == 0)
        return true;
    ssize_t n = send(c->fd, c->buffer + c->sent, c->whole - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        return false;
    c->sent += n > 0 ? (size_t)n : 0;
    if (c->sent < c->whole)
        return watch(loop, c, true);
    c->len -= c->whole;
    if (c->len > 0)
        memmove(c->buffer, c->buffer + c->whole, c->len);
    c->whole = c->sent = 0;
    return watch(loop, c, false);
}

static bool serve(int loop, struct connection *c)
{
    if (c->waits_to_write)
        return send_back(loop, c);
    ssize_t n = recv(c->fd, c->buffer + c->len, BUFFER - c->len, 0);
    if (n < 0)
        return errno == EAGAIN;
    if (n == 0)
        return false;
    c->len += (size_t)n;
    return parse(c) && send_back(loop, c);
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
    c->waits_to_write = false;
    c->len = c->whole = c->sent = 0;
    int one = 1;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        epoll_ctl(loop, EPOLL_CTL_ADD, fd, &e) != 0)
        drop(c);
    /* The analyzer does not see that the kernel keeps `c` for us. */
} // NOLINT(clang-analyzer-unix.Malloc)

static int listen_on(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    int one = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&at, size) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        die("listen");
    printf("listening on 127.0.0.1:%u\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    struct sigaction term = {.sa_handler = on_term};
    sigaction(SIGTERM, &term, NULL);
    int listener = listen_on(argc > 1 ? (uint16_t)strtoul(argv[1], NULL, 10) : 0);
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &e) != 0)
        die("epoll");
    while (!ended) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(loop, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c)
                welcome(loop, listener);
            else if (!serve(loop, c))
                drop(c);
        }
    }
    return 0;
}
