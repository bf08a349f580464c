/*
 * main.c: the echo example's command line: a server, and a client to try it with.
 */
#include "client.h"
#include "server.h"

#include "base/error.h"
#include "base/log.h"
#include "coro/group.h"
#include "world/uv/uv_world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: echo serve [ADDRESS]         send back every frame, until SIGINT or SIGTERM\n"
    "       echo send ADDRESS TEXT...    send each TEXT as a frame and print what comes back\n"
    "\n"
    "An ADDRESS is 127.0.0.1:7070 (the default), [::1]:7070, or unix:/some/path; port 0 takes a "
    "free one.\n"
    "A frame is its length, four bytes, most significant first, and then its payload: try\n"
    "\n"
    "    printf '\\000\\000\\000\\005hello' | nc -N 127.0.0.1 7070 | od -c\n"
    "\n"
    "Exit status: 0 done; 1 it failed, and standard error says why; 2 the call was wrong.\n";

struct command {
    struct world *world;
    struct address at;
    char **texts; /* send: ends with NULL */
};

static int fail(const char *what, const struct address *at, int code)
{
    char text[ADDRESS_TEXT_MAX];
    fprintf(stderr, "echo: cannot %s %s: %s\n", what, address_print(at, text), error_text(code));
    return code;
}

/* ---- echo serve ---- */

static void say_ready(void *ctx, const struct address *at)
{
    (void)ctx;
    char text[ADDRESS_TEXT_MAX];
    printf("listening on %s\n", address_print(at, text));
    fflush(stdout);
}

static int serve(void *arg)
{
    struct command *c = arg;
    int rc = echo_serve(c->world, &c->at, &(struct echo_options){.ready = say_ready});
    return rc == -ECANCELED ? 0 : fail("serve on", &c->at, rc);
}

static int wait_for_signal(void *arg)
{
    struct command *c = arg;
    static const int ends[] = {SIGINT, SIGTERM};
    struct signals *signals;
    int rc = world_signals(c->world, ends, 2, &signals);
    if (rc) {
        fprintf(stderr, "echo: cannot wait for signals: %s\n", error_text(rc));
        return rc;
    }
    rc = signals_next(signals);
    signals_close(signals);
    return rc > 0 ? -EINTR : rc; /* an error ends the group, the server with it */
}

static int serve_until_signal(void *arg)
{
    GROUP(both, GROUP_FAIL_FAST);
    int rc = group_spawn(&both, "signals", wait_for_signal, arg);
    if (rc == 0)
        rc = group_spawn(&both, "accept", serve, arg);
    if (rc == 0)
        rc = group_wait(&both);
    return rc == -EINTR ? 0 : rc;
}

/* ---- echo send ---- */

static int send_texts(void *arg)
{
    struct command *c = arg;
    struct echo_client client;
    CORO_DEADLINE(deadline_after(world_now(c->world), 5 * NS_PER_S));
    int rc = echo_client_open(&client, c->world, &c->at);
    if (rc)
        return fail("connect to", &c->at, rc);
    for (char **text = c->texts; *text && rc == 0; text++) {
        struct span reply;
        rc = echo_call(&client, span_of(*text), &reply);
        if (rc == 0)
            printf("%.*s\n", SPAN_ARG(reply));
    }
    echo_client_close(&client);
    return rc ? fail("get an answer from", &c->at, rc) : 0;
}

/* ---- The command line ---- */

static int run(const char *name, coro_fn *fn, struct command *c)
{
    struct log log;
    stderr_log_init(&log, LOG_INFO);
    int rc = uv_world_open(&c->world, &(struct uv_world_options){.log = &log});
    if (rc) {
        fprintf(stderr, "echo: cannot start a loop: %s\n", error_text(rc));
        return 1;
    }
    rc = uv_world_run(c->world, name, fn, c);
    uv_world_close(c->world);
    return rc ? 1 : 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    bool serves = strcmp(verb, "serve") == 0 && argc <= 3;
    bool sends = strcmp(verb, "send") == 0 && argc >= 4;
    if (strcmp(verb, "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (!serves && !sends) {
        fputs(usage, stderr);
        return 2;
    }
    struct command c = {.texts = argv + 3};
    struct error e;
    if (address_parse(&c.at, argc > 2 ? argv[2] : "127.0.0.1:7070", &e)) {
        fprintf(stderr, "echo: %s\n", e.sentence);
        return 2;
    }
    int rc = coro_catch_overflow();
    if (rc) {
        fprintf(stderr, "echo: cannot watch for stack overflows: %s\n", error_text(rc));
        return 1;
    }
    return serves ? run("serve", serve_until_signal, &c) : run("send", send_texts, &c);
}
