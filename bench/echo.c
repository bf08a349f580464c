/*
 * echo.c: what libuv, coroutines and the world's header cost together: examples/echo against a bare
 * epoll loop (echo_epoll.c), in the same run, turn by turn.
 *
 *     bench_echo PEER_SERVER WEIR_SERVER [connections [seconds [rounds]]]
 *
 * 64 connections, one message of 64 bytes outstanding on each. Servers run on the first of the
 * processors we may use, the load on the second. Besides messages a second, the server's own
 * processor time a message is told: it does not depend on how good the load generator is.
 */
#include "bench.h"
#include "pin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAYLOAD         64
#define FRAME           (4 + PAYLOAD)
#define CONNECTIONS_MAX 1024
#define EVENTS_MAX      256
#define WARM_UP_NS      INT64_C(200000000)

struct server {
    const char *name;
    char **argv;
    pid_t pid;
    struct sockaddr_in at;
    struct bench_series rate;
    struct bench_series cpu_ns;
};

struct load {
    int loop;
    int count;
    struct client {
        int fd;
        size_t got;
    } clients[CONNECTIONS_MAX];
    char frame[FRAME];
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- The servers ---- */

static void run_server(const struct server *s, const cpu_set_t *all, int out)
{
    sched_setaffinity(0, sizeof *all, all);
    bench_pin(NULL, 0);
    dup2(out, STDOUT_FILENO);
    execv(s->argv[0], s->argv);
    die(s->argv[0]);
}

static void start(struct server *s, const cpu_set_t *all)
{
    int out[2];
    if (pipe(out) != 0)
        die("pipe");
    s->pid = fork();
    if (s->pid < 0)
        die("fork");
    if (s->pid == 0)
        run_server(s, all, out[1]);
    close(out[1]);
    FILE *said = fdopen(out[0], "r");
    char line[256] = "";
    unsigned port = 0;
    while (port == 0 && fgets(line, sizeof line, said))
        sscanf(line, "listening on 127.0.0.1:%u", &port);
    fclose(said);
    if (port == 0) {
        fprintf(stderr, "%s did not say where it listens; its last line was '%s'\n", s->name, line);
        exit(1);
    }
    s->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    s->at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static void stop(struct server *s)
{
    kill(s->pid, SIGTERM);
    int status;
    if (waitpid(s->pid, &status, 0) == s->pid && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        fprintf(stderr, "%s ended badly (status %#x)\n", s->name, (unsigned)status);
}

static int64_t cpu_of(pid_t pid)
{
    clockid_t clock;
    struct timespec t = {0};
    if (clock_getcpuclockid(pid, &clock) == 0)
        clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* ---- The load ---- */

static void say(struct load *l, struct client *c)
{
    if (send(c->fd, l->frame, FRAME, MSG_NOSIGNAL) != FRAME)
        die("send");
}

static void open_load(struct load *l, const struct sockaddr_in *to, int count)
{
    uint32_t length = htonl(PAYLOAD);
    memset(l->frame, 'x', FRAME);
    memcpy(l->frame, &length, sizeof length);
    l->loop = epoll_create1(EPOLL_CLOEXEC);
    l->count = count;
    for (int i = 0; i < count; i++) {
        struct client *c = &l->clients[i];
        int one = 1;
        c->got = 0;
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)to, sizeof *to) != 0 ||
            setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
            epoll_ctl(l->loop, EPOLL_CTL_ADD, c->fd, &e) != 0)
            die("connect");
    }
    for (int i = 0; i < count; i++)
        say(l, &l->clients[i]);
}

static void close_load(struct load *l)
{
    for (int i = 0; i < l->count; i++)
        close(l->clients[i].fd);
    close(l->loop);
}

/* Answers come and the next message goes, until `end`. Returns how many came. */
static uint64_t exchange(struct load *l, int64_t end)
{
    uint64_t answers = 0;
    while (bench_now_ns() < end) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(l->loop, events, EVENTS_MAX, 100);
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            char answer[FRAME];
            ssize_t got = recv(c->fd, answer, FRAME - c->got, 0);
            if (got <= 0)
                die("the server hung up");
            c->got += (size_t)got;
            if (c->got < FRAME)
                continue;
            c->got = 0;
            answers++;
            say(l, c);
        }
    }
    return answers;
}

static void measure(struct server *s, const cpu_set_t *all, int connections, double seconds)
{
    static struct load load;
    start(s, all);
    open_load(&load, &s->at, connections);
    exchange(&load, bench_now_ns() + WARM_UP_NS);
    int64_t cpu = cpu_of(s->pid);
    int64_t began = bench_now_ns();
    uint64_t answers = exchange(&load, began + (int64_t)(seconds * 1e9));
    int64_t took = bench_now_ns() - began;
    cpu = cpu_of(s->pid) - cpu;
    close_load(&load);
    stop(s);
    if (answers == 0) {
        fprintf(stderr, "%s answered nothing\n", s->name);
        exit(1);
    }
    bench_add(&s->rate, (double)answers * 1e9 / (double)took);
    bench_add(&s->cpu_ns, (double)cpu / (double)answers);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s PEER_SERVER WEIR_SERVER [connections [seconds [rounds]]]\n",
            argv[0]);
        return 1;
    }
    char verb[] = "serve";
    char at[] = "127.0.0.1:0";
    char *peer_argv[] = {argv[1], NULL};
    char *weir_argv[] = {argv[2], verb, at, NULL};
    struct server peer = {.name = "bare epoll", .argv = peer_argv};
    struct server weir = {.name = "weir", .argv = weir_argv};
    int connections = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 64;
    double seconds = argc > 4 ? strtod(argv[4], NULL) : 1.0;
    int rounds = argc > 5 ? (int)strtol(argv[5], NULL, 10) : 11;
    if (connections < 1 || connections > CONNECTIONS_MAX) {
        fprintf(stderr, "%s: 1 to %d connections\n", argv[0], CONNECTIONS_MAX);
        return 1;
    }
    cpu_set_t all;
    sched_getaffinity(0, sizeof all, &all);
    bench_pin(NULL, 1);
    printf("echo over loopback TCP, %d connections, %d-byte messages, %d rounds\n", connections,
        PAYLOAD, rounds);
    struct bench_series ratio = {0};
    for (int i = 0; i < rounds; i++) {
        /* Each goes first every other time: what else the machine does comes and goes. */
        measure(i % 2 ? &weir : &peer, &all, connections, seconds);
        measure(i % 2 ? &peer : &weir, &all, connections, seconds);
        bench_add(&ratio, weir.rate.samples[i] / peer.rate.samples[i]);
    }
    bench_line("bare epoll: messages", &peer.rate, "/s");
    bench_line("weir: messages", &weir.rate, "/s");
    bench_line("bare epoll: server time a message", &peer.cpu_ns, "ns");
    bench_line("weir: server time a message", &weir.cpu_ns, "ns");
    double r = bench_line("weir / bare epoll", &ratio, "");
    bench_must_hold("ratio >= 0.90", r >= 0.90);
    return 0;
}
