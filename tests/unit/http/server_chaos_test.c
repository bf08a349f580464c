/*
 * server_chaos_test.c: many clients at once over a bad network: every request gets its own reply,
 * whole, in its turn.
 */
#include "server_scene.h"

#include "base/rand.h"

#define CLIENTS 24
#define ROUNDS  12

struct client {
    struct scene *s;
    int index;
    int answered;
};

/* One request of a client: what is sent, and what must come. */
struct exchange {
    char text[9000];
    char body[8200];
};

static void make_exchange(struct exchange *x, struct rand *r, int client, int number)
{
    char body[8200];
    size_t len = (size_t)snprintf(body, sizeof body, "client %d number %d ", client, number);
    size_t more = rand_below(r, 20) == 0 ? rand_below(r, 8000) : rand_below(r, 60);
    memset(body + len, 'a' + client % 26, more);
    body[len + more] = '\0';
    snprintf(x->body, sizeof x->body, "%s", body);
    switch (rand_below(r, 5)) {
    case 0: {
        size_t cut = rand_below(r, len + more - 1) + 1;
        snprintf(x->text, sizeof x->text,
            "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            "%zx\r\n%.*s\r\n%zx\r\n%s\r\n0\r\nT: v\r\n\r\n",
            cut, (int)cut, body, len + more - cut, body + cut);
        if (cut == len + more)
            make_exchange(x, r, client, number);
        break;
    }
    case 1:
        snprintf(x->text, sizeof x->text, GET("/wait?%d"), (int)rand_below(r, 30));
        snprintf(x->body, sizeof x->body, "waited");
        break;
    case 2:
        snprintf(x->text, sizeof x->text,
            "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s", len + more, body);
        snprintf(x->body, sizeof x->body, "hello");
        break;
    default:
        snprintf(x->text, sizeof x->text,
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s", len + more, body);
    }
}

/* A few requests in one write, then their replies; sometimes a new connection. */
static int be_a_client(void *arg)
{
    struct client *c = arg;
    struct rand *r = sim_rand(c->s->u.sim);
    struct ear *e = call_up(c->s);
    struct exchange *x = malloc(4 * sizeof *x);
    char *all = malloc(4 * sizeof x->text);
    must(x && all);
    for (int round = 0; round < ROUNDS; round++) {
        int count = (int)rand_below(r, 4) + 1;
        size_t len = 0;
        for (int i = 0; i < count; i++) {
            make_exchange(&x[i], r, c->index, round * 4 + i);
            len += (size_t)snprintf(all + len, 4 * sizeof x->text - len, "%s", x[i].text);
        }
        must(send_bytes(e->stream, all, len) == 0);
        for (int i = 0; i < count; i++) {
            must(hear(e) == 200 && heard(e, x[i].body) && e->keep_alive);
            c->answered++;
        }
        if (rand_below(r, 4) == 0) {
            hang_up(e);
            e = call_up(c->s);
        }
        must_sleep(c->s->w, (int64_t)rand_below(r, 20) * NS_PER_MS);
    }
    free(all);
    free(x);
    hang_up(e);
    return 0;
}

static void many(struct scene *s, struct world *w)
{
    static struct client clients[CLIENTS];
    GROUP(all, GROUP_FAIL_FAST);
    must_sleep(w, NS_PER_S); /* it listens */
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.s = s, .index = i};
        must(group_spawn(&all, "client", be_a_client, &clients[i]) == 0);
    }
    must(group_wait(&all) == 0);
    int answered = 0;
    for (int i = 0; i < CLIENTS; i++)
        answered += clients[i].answered;
    must(answered >= CLIENTS * ROUNDS && s->handled == answered && s->done == answered);
    must(FIGURE(s, client_gone) == 0 && s->last_error == 0);
}

static void test_every_request_gets_its_own_reply(void **state)
{
    static const struct sim_link bad = {.latency_ns = 5 * NS_PER_MS,
        .jitter_ns = 5 * NS_PER_MS,
        .jitter = SIM_EXPONENTIAL,
        .loss_ppm = 10000};
    for (uint64_t seed = 1; seed <= 6; seed++) {
        static struct scene s;
        s = new_scene(many);
        s.seed = seed;
        play_with(&s, (struct sim_options){
                          .link = &bad, .short_reads_ppm = 300000, .short_writes_ppm = 300000});
    }
}

TEST_FILE(server_chaos)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_request_gets_its_own_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
