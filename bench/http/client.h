/*
 * client.h: what the loads of bench/http share. wrk loads as fast as it can, over connections
 * that never end; these do what it cannot: send at given times and count what failed (open.c),
 * hold thousands of connections (hold.c), be slow (slow.c).
 *
 * A load program, not the house: plain sockets, one thread, and it ends at the first surprise
 * of its own.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECOND_NS INT64_C(1000000000)

struct client_target {
    struct sockaddr_in at;
    const char *name; /* 127.0.0.1:8080, for the Host field */
};

/* The verbs; each returns an exit status. */
int client_open(int argc, char **argv);
int client_plan(int argc, char **argv);
int client_hold(int argc, char **argv);
int client_slow(int argc, char **argv);

int64_t client_now_ns(void);
_Noreturn void client_die(const char *what);
struct client_target client_target(const char *text);
/* One address soon has no port left: the nth connection comes from one of 127.0.0.2 and on. */
void client_bind_source(int fd, unsigned nth);
/* Writes "GET path HTTP/1.1" with what a request needs, and returns its length. */
size_t client_request(char *buffer, size_t size, const char *path, const struct client_target *to);

/* ---- One answer, as it comes ---- */

#define ANSWER_HEAD_MAX 4096

struct answer {
    char head[ANSWER_HEAD_MAX];
    size_t head_len;
    bool head_done;
    bool closes; /* said Connection: close */
    int status;
    int64_t left; /* body bytes still to come */
};

enum answer_state { ANSWER_MORE, ANSWER_WHOLE, ANSWER_MALFORMED };

void answer_clear(struct answer *a);
/* Understands only answers with a Content-Length, one at a time: what comes after is malformed. */
enum answer_state answer_feed(struct answer *a, const char *bytes, size_t len);
/* The value of a field of a whole head, or NULL; behind it the rest of the head. */
const char *answer_field(const struct answer *a, const char *name);
