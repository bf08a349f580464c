/*
 * hold.c: many connections at once.
 *
 *     client hold ADDRESS PATH CONNECTIONS
 *
 * Opens them all and says so; then, for each line on standard input, sends one request on each
 * at once, awaits all answers and tells how long that took: a line of JSON each. They stay open
 * until the end of standard input.
 */
#include "client.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define GIVE_UP_MS 10000

struct held {
    int fd;
    bool waits;
    struct answer answer;
};

struct crowd {
    struct client_target to;
    char request[512];
    size_t request_len;
    int loop;
    unsigned count;
    unsigned waiting;
    unsigned answered;
    unsigned failed;
    struct held *held;
};

static void open_one(struct crowd *crowd, unsigned nth)
{
    struct held *h = &crowd->held[nth];
    int one = 1;
    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (h->fd < 0)
        client_die("socket");
    client_bind_source(h->fd, nth);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = h};
    if (connect(h->fd, (const struct sockaddr *)&crowd->to.at, sizeof crowd->to.at) != 0 ||
        setsockopt(h->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        epoll_ctl(crowd->loop, EPOLL_CTL_ADD, h->fd, &e) != 0)
        client_die("connect");
}

static void end(struct crowd *crowd, struct held *h, bool well)
{
    h->waits = false;
    crowd->waiting--;
    crowd->answered += well;
    crowd->failed += !well;
}

static void drop(struct crowd *crowd, struct held *h)
{
    if (h->waits)
        end(crowd, h, false);
    close(h->fd);
    h->fd = -1;
}

static void hear(struct crowd *crowd, struct held *h)
{
    char bytes[4096];
    ssize_t n = recv(h->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || !h->waits) {
        drop(crowd, h);
        return;
    }
    enum answer_state state = answer_feed(&h->answer, bytes, (size_t)n);
    if (state == ANSWER_MALFORMED)
        drop(crowd, h);
    else if (state == ANSWER_WHOLE)
        end(crowd, h, h->answer.status == 200);
}

static void ask(struct crowd *crowd)
{
    for (unsigned i = 0; i < crowd->count; i++) {
        struct held *h = &crowd->held[i];
        if (h->fd < 0) {
            crowd->failed++;
            continue;
        }
        answer_clear(&h->answer);
        h->waits = true;
        crowd->waiting++;
        if (send(h->fd, crowd->request, crowd->request_len, MSG_NOSIGNAL) !=
            (ssize_t)crowd->request_len)
            drop(crowd, h);
    }
}

static void listen_to_all(struct crowd *crowd)
{
    while (crowd->waiting > 0) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(crowd->loop, events, EVENTS_MAX, GIVE_UP_MS);
        for (int i = 0; i < n; i++)
            hear(crowd, events[i].data.ptr);
        if (n == 0) {
            crowd->failed += crowd->waiting;
            return;
        }
    }
}

static void one_round(struct crowd *crowd)
{
    crowd->waiting = crowd->answered = crowd->failed = 0;
    int64_t began = client_now_ns();
    ask(crowd);
    int64_t sent = client_now_ns();
    listen_to_all(crowd);
    int64_t ended = client_now_ns();
    printf("{\"answered\": %u, \"failed\": %u, \"sending_ms\": %.1f, "
           "\"last_send_to_last_answer_ms\": %.1f}\n",
        crowd->answered, crowd->failed, (double)(sent - began) / 1e6, (double)(ended - sent) / 1e6);
    fflush(stdout);
}

int client_hold(int argc, char **argv)
{
    struct crowd crowd = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: client hold ADDRESS PATH CONNECTIONS\n");
        return 1;
    }
    crowd.to = client_target(argv[1]);
    crowd.request_len = client_request(crowd.request, sizeof crowd.request, argv[2], &crowd.to);
    crowd.count = (unsigned)strtoul(argv[3], NULL, 10);
    crowd.loop = epoll_create1(EPOLL_CLOEXEC);
    crowd.held = calloc(crowd.count + 1, sizeof *crowd.held);
    if (crowd.loop < 0 || !crowd.held)
        client_die("hold");
    int64_t began = client_now_ns();
    for (unsigned i = 0; i < crowd.count; i++)
        open_one(&crowd, i);
    printf("{\"connected\": %u, \"took_ms\": %.1f}\n", crowd.count,
        (double)(client_now_ns() - began) / 1e6);
    fflush(stdout);
    char line[64];
    while (fgets(line, sizeof line, stdin))
        one_round(&crowd);
    free(crowd.held);
    close(crowd.loop);
    return 0;
}
