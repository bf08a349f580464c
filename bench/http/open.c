/*
 * open.c: load at a given rate, whatever the server does, and an account of every request.
 *
 *     client open ADDRESS PATH RATE CONNECTIONS SECONDS
 *     client plan ADDRESS PATH CONNECTIONS TIMES RECORDS
 *
 * Request i is meant to be sent at the start plus i / RATE, or when a file of TIMES says (plan.h);
 * its latency counts from then, so a
 * server that stands still is charged for all that should have come meanwhile. Requests take
 * the kept connections in turn. One that said `Connection: close`, or closed while it was idle,
 * is opened again for its next request, as a client should; nothing is tried again, and a
 * request that got no whole answer has failed:
 *
 *     refused     the connection was refused
 *     unopened    it could not be opened for another reason
 *     unanswered  it was closed before any byte of the answer
 *     cut         it was closed in the middle of the answer
 *     malformed   the answer was none
 *     status      it was not a 2xx
 *     late        it did not come within two seconds
 *
 * Standard output gets one line of JSON at the end. End of standard input ends the load early.
 */
#include "client.h"
#include "plan.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LATE_NS         (2 * SECOND_NS)
#define CONNECTIONS_MAX 4096
#define EVENTS_MAX      256

enum outcome { ANSWERED, REFUSED, UNOPENED, UNANSWERED, CUT, MALFORMED, STATUS, LATE, OUTCOMES };

static const char *const outcome_names[OUTCOMES] = {
    "answered", "refused", "unopened", "unanswered", "cut", "malformed", "status", "late"};

struct connection {
    enum { CLOSED, CONNECTING, IDLE, BUSY } state;
    int fd;
    uint64_t nth;     /* of the request it bears */
    int64_t intended; /* likewise */
    struct answer answer;
};

struct load {
    struct client_target to;
    char request[512];
    size_t request_len;
    int loop;
    int64_t began;
    int64_t interval_ns;
    struct plan *plan; /* or NULL: at a steady rate */
    int64_t last_answer;
    int64_t longest_silence_ns;
    uint64_t planned;
    uint64_t given; /* to connections, so far */
    uint64_t outcomes[OUTCOMES];
    uint64_t opened;
    uint64_t closed_idle; /* by the server, with no request under way */
    uint64_t asked_to_close;
    uint32_t *latencies_us;
    unsigned busy; /* connections with a request */
    unsigned next;
    unsigned count;
    struct connection connections[CONNECTIONS_MAX];
};

static void drop(struct connection *c)
{
    close(c->fd);
    c->fd = -1;
    c->state = CLOSED;
}

/* When the nth request is meant to be sent. */
static int64_t due(const struct load *l, uint64_t nth)
{
    return l->began + (l->plan ? l->plan->due_ns[nth] : (int64_t)nth * l->interval_ns);
}

static void end_request(struct load *l, struct connection *c, enum outcome outcome)
{
    int64_t now = client_now_ns();
    l->busy--;
    if (l->plan && (outcome == ANSWERED || outcome == STATUS))
        plan_answered(l->plan, c->nth, now - c->intended, &c->answer);
    if (outcome == ANSWERED) {
        l->latencies_us[l->outcomes[ANSWERED]] = (uint32_t)((now - c->intended) / 1000);
        if (now - l->last_answer > l->longest_silence_ns)
            l->longest_silence_ns = now - l->last_answer;
        l->last_answer = now;
    }
    l->outcomes[outcome]++;
    if (outcome != ANSWERED && outcome != STATUS)
        drop(c);
}

static void say(struct load *l, struct connection *c)
{
    c->state = BUSY;
    answer_clear(&c->answer);
    if (l->plan)
        plan_sent(l->plan, c->nth, client_now_ns() - c->intended);
    if (send(c->fd, l->request, l->request_len, MSG_NOSIGNAL) != (ssize_t)l->request_len)
        end_request(l, c, UNANSWERED);
}

/* Whether a connection could be made, or will be. */
static void begin(struct load *l, struct connection *c)
{
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
        client_die("socket");
    l->opened++;
    c->state = CONNECTING;
    int status = connect(c->fd, (const struct sockaddr *)&l->to.at, sizeof l->to.at);
    if (status != 0 && errno != EINPROGRESS) {
        end_request(l, c, errno == ECONNREFUSED ? REFUSED : UNOPENED);
        return;
    }
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(l->loop, EPOLL_CTL_ADD, c->fd, &e) != 0)
        client_die("epoll_ctl");
}

/* What is late before it could be sent has failed, too; sending it would only delay the next. */
static bool is_late_already(struct load *l, int64_t now)
{
    if (now - due(l, l->given) <= LATE_NS)
        return false;
    l->given++;
    l->outcomes[LATE]++;
    return true;
}

/* Gives the next request to the next connection that is free. False: none is. */
static bool give(struct load *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        struct connection *c = &l->connections[(l->next + i) % l->count];
        if (c->state == CONNECTING || c->state == BUSY)
            continue;
        l->next = (l->next + i + 1) % l->count;
        c->nth = l->given;
        c->intended = due(l, l->given);
        l->given++;
        l->busy++;
        if (c->state == CLOSED)
            begin(l, c);
        else
            say(l, c);
        return true;
    }
    return false;
}

static void hear_end(struct load *l, struct connection *c)
{
    if (c->state == BUSY) {
        end_request(l, c, c->answer.head_len > 0 ? CUT : UNANSWERED);
        return;
    }
    l->closed_idle++;
    drop(c);
}

static void hear(struct load *l, struct connection *c)
{
    while (c->state == IDLE || c->state == BUSY) {
        char bytes[4096];
        ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            hear_end(l, c);
            return;
        }
        enum answer_state state = ANSWER_MALFORMED; /* nothing was asked */
        if (c->state == BUSY)
            state = answer_feed(&c->answer, bytes, (size_t)n);
        else
            l->busy++; /* which end_request takes away again */
        if (state == ANSWER_MALFORMED) {
            end_request(l, c, MALFORMED);
        } else if (state == ANSWER_WHOLE) {
            c->state = IDLE;
            end_request(l, c, c->answer.status / 100 == 2 ? ANSWERED : STATUS);
            if (c->answer.closes) {
                l->asked_to_close++;
                drop(c);
            }
        }
    }
}

static void turn(struct load *l, struct connection *c, uint32_t events)
{
    if (c->state == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
            client_die("getsockopt");
        if (error != 0)
            end_request(l, c, error == ECONNREFUSED ? REFUSED : UNOPENED);
        else if (events & EPOLLOUT)
            say(l, c);
    }
    hear(l, c);
}

static void give_up_late_ones(struct load *l, int64_t now)
{
    for (unsigned i = 0; i < l->count; i++) {
        struct connection *c = &l->connections[i];
        if ((c->state == BUSY || c->state == CONNECTING) && now - c->intended > LATE_NS)
            end_request(l, c, LATE);
    }
}

static bool told_to_end(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&in, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static void wait_for(struct load *l, int64_t ns)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec span = {.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
    int n = epoll_pwait2(l->loop, events, EVENTS_MAX, &span, NULL);
    for (int i = 0; i < n; i++)
        turn(l, events[i].data.ptr, events[i].events);
}

static void run(struct load *l)
{
    int64_t next_look = l->began;
    bool ending = false;
    while (l->given < l->planned || l->busy > 0) {
        int64_t now = client_now_ns();
        if (now >= next_look) {
            next_look = now + SECOND_NS / 20;
            give_up_late_ones(l, now);
            if (!ending && told_to_end()) {
                while (l->planned > l->given && due(l, l->planned - 1) > now)
                    l->planned--;
                ending = true;
                continue;
            }
        }
        while (l->given < l->planned && now >= due(l, l->given) &&
               (is_late_already(l, now) || give(l)))
            ;
        int64_t until = next_look;
        if (l->given < l->planned && due(l, l->given) < until)
            until = due(l, l->given);
        now = client_now_ns();
        /* An overdue request found no free connection: wait for one. */
        wait_for(l, until > now ? until - now : SECOND_NS / 10000);
    }
}

/* ---- The account ---- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(const struct load *l, double p)
{
    uint64_t n = l->outcomes[ANSWERED];
    return n == 0 ? 0 : l->latencies_us[(uint64_t)(p * (double)(n - 1))];
}

static void tell(struct load *l)
{
    int64_t now = client_now_ns();
    if (now - l->last_answer > l->longest_silence_ns)
        l->longest_silence_ns = now - l->last_answer;
    qsort(l->latencies_us, l->outcomes[ANSWERED], sizeof *l->latencies_us, compare);
    printf("{\"sent\": %llu", (unsigned long long)l->given);
    for (int i = 0; i < OUTCOMES; i++)
        printf(", \"%s\": %llu", outcome_names[i], (unsigned long long)l->outcomes[i]);
    printf(", \"opened\": %llu, \"closed_idle\": %llu, \"asked_to_close\": %llu",
        (unsigned long long)l->opened, (unsigned long long)l->closed_idle,
        (unsigned long long)l->asked_to_close);
    printf(", \"p50_us\": %u, \"p99_us\": %u, \"max_us\": %u, \"longest_silence_ms\": %.1f}\n",
        percentile(l, 0.50), percentile(l, 0.99), percentile(l, 1.0),
        (double)l->longest_silence_ns / 1e6);
}

static int load_all(struct load *l, const char *address, const char *path, const char *connections)
{
    l->to = client_target(address);
    l->request_len = client_request(l->request, sizeof l->request, path, &l->to);
    l->count = (unsigned)strtoul(connections, NULL, 10);
    if (l->planned == 0 || l->count == 0 || l->count > CONNECTIONS_MAX) {
        fprintf(stderr, "client: some requests, 1 to %d connections\n", CONNECTIONS_MAX);
        return 1;
    }
    l->latencies_us = calloc(l->planned, sizeof *l->latencies_us);
    l->loop = epoll_create1(EPOLL_CLOEXEC);
    if (!l->latencies_us || l->loop < 0)
        client_die("open");
    l->began = l->last_answer = client_now_ns();
    run(l);
    tell(l);
    return 0;
}

int client_open(int argc, char **argv)
{
    static struct load l;
    double rate = argc == 6 ? strtod(argv[3], NULL) : 0;
    if (rate <= 0) {
        fprintf(stderr, "usage: client open ADDRESS PATH RATE CONNECTIONS SECONDS\n");
        return 1;
    }
    l.planned = (uint64_t)(rate * strtod(argv[5], NULL));
    l.interval_ns = (int64_t)(1e9 / rate);
    return load_all(&l, argv[1], argv[2], argv[4]);
}

int client_plan(int argc, char **argv)
{
    static struct load l;
    if (argc != 6) {
        fprintf(stderr, "usage: client plan ADDRESS PATH CONNECTIONS TIMES RECORDS\n");
        return 1;
    }
    struct plan plan = plan_read(argv[4]);
    l.plan = &plan;
    l.planned = plan.count;
    int status = load_all(&l, argv[1], argv[2], argv[3]);
    if (status == 0)
        plan_write(&plan, argv[5]);
    l.plan = NULL;
    plan_release(&plan);
    return status;
}
