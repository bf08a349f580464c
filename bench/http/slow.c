/*
 * slow.c: clients that do all things a byte a second.
 *
 *     client slow ADDRESS PATH WRITERS BODIES READERS
 *
 * WRITERS send a request's head a byte a second; BODIES send a POST's head at once and its body
 * so; READERS ask for PATH, which should be a big reply, and read it so, through as small a
 * window as the kernel gives. One whose connection the server ends comes back at its next turn,
 * so there are always as many. Turns are spread evenly over the second. Says "{}" when all are
 * connected, and at the end of standard input what became of them.
 */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STATUS_MAX 600

enum manner { WRITES_HEAD, WRITES_BODY, READS, MANNERS };

struct slow {
    enum manner manner;
    int fd;      /* -1: comes back at its next turn */
    size_t sent; /* of the head that is sent slowly */
};

struct slows {
    struct client_target to;
    char asks[512]; /* the readers' request */
    size_t asks_len;
    char head[512]; /* how a slow head begins; its last field goes on for ever */
    size_t head_len;
    char posts[512];
    size_t posts_len;
    unsigned count;
    struct slow *all;
    uint64_t ended_by_server[MANNERS];
    uint64_t bytes[MANNERS];
    unsigned statuses[STATUS_MAX];
};

static void come_back(struct slows *s, struct slow *c, unsigned nth)
{
    int small = 1; /* the kernel makes it its least */
    c->sent = 0;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        client_die("socket");
    client_bind_source(c->fd, nth);
    if ((c->manner == READS &&
            setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) != 0) ||
        connect(c->fd, (const struct sockaddr *)&s->to.at, sizeof s->to.at) != 0)
        client_die("connect");
    const char *first = c->manner == READS ? s->asks : s->posts;
    size_t len = c->manner == READS ? s->asks_len : s->posts_len;
    if (c->manner != WRITES_HEAD && send(c->fd, first, len, MSG_NOSIGNAL) != (ssize_t)len)
        client_die("send");
}

/* Reads what the server said to a writer, which is why it ends the connection. False: it ended. */
static bool look_for_status(struct slows *s, struct slow *c)
{
    char bytes[4096];
    ssize_t n = recv(c->fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return false;
    bytes[n] = '\0';
    long status = n > 12 && memcmp(bytes, "HTTP/1.1 ", 9) == 0 ? strtol(bytes + 9, NULL, 10) : 0;
    if (status > 0 && status < STATUS_MAX)
        s->statuses[status]++;
    return true;
}

static bool a_byte(struct slows *s, struct slow *c)
{
    char byte = 'x';
    if (c->manner == READS) {
        ssize_t n = recv(c->fd, &byte, 1, MSG_DONTWAIT);
        return n == 1 || (n < 0 && errno == EAGAIN);
    }
    if (!look_for_status(s, c))
        return false;
    if (c->manner == WRITES_HEAD && c->sent < s->head_len)
        byte = s->head[c->sent++];
    return send(c->fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

static void turn(struct slows *s, unsigned nth)
{
    struct slow *c = &s->all[nth];
    if (c->fd < 0) {
        come_back(s, c, nth);
        return;
    }
    if (a_byte(s, c)) {
        s->bytes[c->manner]++;
        return;
    }
    s->ended_by_server[c->manner]++;
    close(c->fd);
    c->fd = -1;
}

static bool told_to_end(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&in, 1, 0) > 0;
}

static void run(struct slows *s)
{
    int64_t began = client_now_ns();
    uint64_t turns = 0;
    for (int64_t tick = 1; !told_to_end(); tick++) {
        int64_t until = began + tick * SECOND_NS / 1000;
        struct timespec t = {.tv_sec = until / SECOND_NS, .tv_nsec = until % SECOND_NS};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        uint64_t due = (uint64_t)(client_now_ns() - began) * s->count / (uint64_t)SECOND_NS;
        for (; turns < due; turns++)
            turn(s, (unsigned)(turns % s->count));
    }
}

static void tell(const struct slows *s)
{
    printf("{\"head_bytes\": %llu, \"body_bytes\": %llu, \"read_bytes\": %llu",
        (unsigned long long)s->bytes[WRITES_HEAD], (unsigned long long)s->bytes[WRITES_BODY],
        (unsigned long long)s->bytes[READS]);
    printf(", \"heads_ended\": %llu, \"bodies_ended\": %llu, \"readers_ended\": %llu",
        (unsigned long long)s->ended_by_server[WRITES_HEAD],
        (unsigned long long)s->ended_by_server[WRITES_BODY],
        (unsigned long long)s->ended_by_server[READS]);
    for (int i = 0; i < STATUS_MAX; i++)
        if (s->statuses[i] > 0)
            printf(", \"status_%d\": %u", i, s->statuses[i]);
    printf("}\n");
}

int client_slow(int argc, char **argv)
{
    struct slows s = {0};
    if (argc != 6) {
        fprintf(stderr, "usage: client slow ADDRESS PATH WRITERS BODIES READERS\n");
        return 1;
    }
    unsigned heads = (unsigned)strtoul(argv[3], NULL, 10);
    unsigned bodies = (unsigned)strtoul(argv[4], NULL, 10);
    s.to = client_target(argv[1]);
    s.asks_len = client_request(s.asks, sizeof s.asks, argv[2], &s.to);
    s.posts_len = (size_t)snprintf(s.posts, sizeof s.posts,
        "POST /body HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
        "Content-Length: 100000\r\n\r\n",
        s.to.name);
    s.head_len = (size_t)snprintf(
        s.head, sizeof s.head, "GET /json HTTP/1.1\r\nHost: %s\r\nX-Slow: ", s.to.name);
    s.count = heads + bodies + (unsigned)strtoul(argv[5], NULL, 10);
    s.all = calloc(s.count + 1, sizeof *s.all);
    if (!s.all || s.count == 0)
        client_die("slow");
    for (unsigned i = 0; i < s.count; i++) {
        s.all[i].manner = i < heads ? WRITES_HEAD : i < heads + bodies ? WRITES_BODY : READS;
        come_back(&s, &s.all[i], i);
    }
    printf("{}\n");
    fflush(stdout);
    run(&s);
    tell(&s);
    return 0;
}
