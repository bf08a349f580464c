/*
 * sim_link_test.c: what links do to what is sent: latency, bandwidth, loss, partitions.
 */
#include "sim_script.h"

/* ---- Latency and bandwidth ---- */

static int hear_hello(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = accept_one(w);
    must(reads(stream, "hello"));
    s->at = sim_now(s->u.sim);
    stream_close(stream);
    return 0;
}

static int say_hello(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = must_connect(w, s->u.there, 7);
    must(sim_now(s->u.sim) == 2 * NS_PER_MS);
    must(send_text(stream, "hello") == 0);
    must(read_byte(stream) == 0);
    stream_close(stream);
    return 0;
}

static void a_connect_takes_a_round_trip_and_data_one_way(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){0}, hear_hello, say_hello);
    assert_true(s.at == 3 * NS_PER_MS);
}

#define BULK 100000

static int read_bulk(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = accept_one(w);
    char buffer[5000];
    ssize_t n;
    while ((n = stream_read(stream, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            must(buffer[i] == (char)((s->bytes + (size_t)i) % 251));
        s->bytes += (size_t)n;
    }
    must(n == 0);
    s->at = sim_now(s->u.sim);
    stream_close(stream);
    return 0;
}

static int write_bulk(struct world *w, void *arg)
{
    struct script *s = arg;
    char *data = malloc(BULK);
    must(data);
    for (size_t i = 0; i < BULK; i++)
        data[i] = (char)(i % 251);
    struct stream *stream = must_connect(w, s->u.there, 7);
    struct iovec parts[] = {
        {data, 1}, {data + 1, 0}, {data + 1, 49999}, {data + 50000, BULK - 50000}};
    must(stream_write(stream, parts, 4) == 0);
    stream_close(stream);
    free(data);
    return 0;
}

static void bandwidth_takes_its_time_and_keeps_the_order(void **state)
{
    struct sim_link link = {.latency_ns = NS_PER_MS, .bytes_per_second = 1000000};
    struct script s = {0};
    play(&s, (struct sim_options){.link = &link}, read_bulk, write_bulk);
    assert_int_equal(s.bytes, BULK);
    /* The connect and its answer, 100,000 bytes at one a microsecond, and the way. */
    assert_true(s.at == 2 * NS_PER_MS + BULK * NS_PER_US + NS_PER_MS);
}

/* A window of one: each read lets the writer go on, one way later. */
static void a_small_window_makes_the_writer_wait(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){.window = 10000}, read_bulk, write_bulk);
    assert_int_equal(s.bytes, BULK);
    assert_in_range(s.at, 15 * NS_PER_MS, 45 * NS_PER_MS);
}

static void pieces_and_short_reads_lose_nothing(void **state)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct script s = {0};
        struct sim_link link = {.latency_ns = NS_PER_MS,
            .jitter_ns = 5 * NS_PER_MS,
            .jitter = seed % 2 ? SIM_EXPONENTIAL : SIM_UNIFORM};
        s.u = open_universe(seed, (struct sim_options){.link = &link,
                                      .window = 20000,
                                      .short_reads_ppm = 500000,
                                      .short_writes_ppm = 500000});
        start(s.u.there, read_bulk, &s);
        start(s.u.here, write_bulk, &s);
        run_and_close(&s.u);
        assert_int_equal(s.bytes, BULK);
    }
}

/* How many reads of at most 10 bytes, and how many writes of 10 bytes, did less than they could. */
static int count_short(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = must_connect(w, s->u.there, 7);
    for (int i = 0; i < 1000; i++) {
        char ten[10] = "0123456789";
        ssize_t n = stream_write_some(stream, &(struct iovec){ten, sizeof ten}, 1);
        must(n > 0);
        s->bytes += n < 10;
        if (n < 10)
            must(send_bytes(stream, ten + n, (size_t)(10 - n)) == 0);
    }
    stream_close(stream);
    return 0;
}

static int read_tens(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = accept_one(w);
    must_sleep(w, NS_PER_S);
    char ten[10];
    ssize_t n;
    while ((n = stream_read(stream, ten, sizeof ten)) > 0)
        s->rc += n < 10;
    stream_close(stream);
    return 0;
}

static void reads_and_writes_are_short_as_often_as_asked(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){0}, read_tens, count_short);
    assert_int_equal(s.bytes, 0);
    assert_int_equal(s.rc, 0);
    struct script often = {0};
    play(&often, (struct sim_options){.short_reads_ppm = 300000, .short_writes_ppm = 300000},
        read_tens, count_short);
    /* Three in ten, of which one in ten draws the whole length. */
    assert_in_range(often.bytes, 200, 340);
    assert_in_range(often.rc, 200, 500);
}

/* ---- Loss and partitions ---- */

static void loss_delays_and_keeps_the_order(void **state)
{
    struct script clean = {0};
    play(&clean, (struct sim_options){.window = 10000}, read_bulk, write_bulk);
    struct sim_link link = {.latency_ns = NS_PER_MS, .loss_ppm = 300000};
    struct script lossy = {0};
    play(&lossy, (struct sim_options){.link = &link, .window = 10000}, read_bulk, write_bulk);
    assert_int_equal(lossy.bytes, BULK);
    assert_true(lossy.at > clean.at + 200 * NS_PER_MS);
}

static int cut_and_heal(struct sim *sim, void *arg)
{
    struct script *s = arg;
    must(sim_sleep(sim, 2500 * NS_PER_US) == 0);
    must(sim_cut_both(s->u.here, s->u.there) == 0);
    must(sim_sleep(sim, NS_PER_S) == 0);
    sim_heal_both(s->u.here, s->u.there);
    return 0;
}

/* Sent at 2 ms, it would have come at 3 ms, and is tried again at 203, 603 and 1403 ms. */
static void a_partition_holds_up_what_is_on_its_way(void **state)
{
    struct script s = {.u = open_default()};
    start(s.u.there, hear_hello, &s);
    start(s.u.here, say_hello, &s);
    assert_int_equal(sim_direct(s.u.sim, "director", cut_and_heal, &s), 0);
    run_and_close(&s.u);
    assert_true(s.at == 1403 * NS_PER_MS);
}

static int write_into_the_void(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = must_connect(w, s->u.there, 7);
    must(sim_cut(s->u.here, s->u.there) == 0);
    must(send_text(stream, "hello") == 0);
    s->rc = (int)read_byte(stream);
    s->at = sim_now(s->u.sim);
    must(read_byte(stream) == 0);
    must(send_text(stream, "more") == -EPIPE);
    must(stream_shutdown(stream) == -ENOTCONN);
    stream_close(stream);
    return 0;
}

static int read_to_any_end(struct world *w, void *arg)
{
    struct stream *stream = accept_one(w);
    CORO_DEADLINE(world_now(w) + 200 * NS_PER_S);
    must(read_byte(stream) == -ETIMEDOUT);
    stream_close(stream);
    return 0;
}

static void what_never_gets_through_breaks_the_connection(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){0}, read_to_any_end, write_into_the_void);
    assert_int_equal(s.rc, -ECONNRESET);
    assert_true(s.at == 3 * NS_PER_MS + 60 * NS_PER_S);
    play(
        &s, (struct sim_options){.give_up_ns = 5 * NS_PER_S}, read_to_any_end, write_into_the_void);
    assert_true(s.at == 3 * NS_PER_MS + 5 * NS_PER_S);
}

static int write_unheard(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = must_connect(w, s->u.there, 7);
    must(sim_cut(s->u.there, s->u.here) == 0);
    must(send_text(stream, "hello") == 0);
    s->rc = (int)read_byte(stream);
    s->at = sim_now(s->u.sim);
    stream_close(stream);
    return 0;
}

static int hear_and_stay(struct world *w, void *arg)
{
    struct stream *stream = accept_one(w);
    must(reads(stream, "hello"));
    must_sleep(w, 100 * NS_PER_S);
    stream_close(stream);
    return 0;
}

/* The data arrives, but its sender does not learn of it. */
static void a_partition_of_the_way_back_breaks_the_senders_end(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){0}, hear_and_stay, write_unheard);
    assert_int_equal(s.rc, -ECONNRESET);
    assert_true(s.at == 3 * NS_PER_MS + 60 * NS_PER_S);
}

static int write_unheard_for_a_while(struct world *w, void *arg)
{
    struct script *s = arg;
    struct stream *stream = must_connect(w, s->u.there, 7);
    must(sim_cut(s->u.there, s->u.here) == 0);
    must(send_text(stream, "hello") == 0);
    must_sleep(w, 30 * NS_PER_S);
    sim_heal(s->u.there, s->u.here);
    s->rc = (int)read_byte(stream);
    stream_close(stream);
    return 0;
}

static void a_healed_way_back_is_forgiven(void **state)
{
    struct script s = {.rc = -1};
    play(&s, (struct sim_options){0}, hear_and_stay, write_unheard_for_a_while);
    assert_int_equal(s.rc, 0);
}

/* ---- Links of their own ---- */

static int measure_connect(struct world *w, void *arg)
{
    struct script *s = arg;
    for (int i = 0; i < 3; i++) {
        int64_t began = world_now(w);
        stream_close(must_connect(w, s->u.there, 7));
        int64_t took = world_now(w) - began;
        if (i == 0)
            must(sim_link(
                     s->u.here, s->u.there, &(struct sim_link){.latency_ns = 50 * NS_PER_MS}) == 0);
        if (i == 1)
            must(sim_link_both(s->u.here, s->u.there, NULL) == 0);
        must(took == (i == 1 ? 51 : 2) * NS_PER_MS);
    }
    return 0;
}

static int accept_three(struct world *w, void *arg)
{
    struct listener *l = must_listen(w, "*:7");
    for (int i = 0; i < 3; i++)
        stream_close(must_accept(l));
    listener_close(l);
    return 0;
}

static void each_direction_of_a_link_can_be_changed(void **state)
{
    struct script s = {0};
    play(&s, (struct sim_options){0}, accept_three, measure_connect);
}

TEST_FILE(sim_link)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connect_takes_a_round_trip_and_data_one_way),
        cmocka_unit_test(bandwidth_takes_its_time_and_keeps_the_order),
        cmocka_unit_test(a_small_window_makes_the_writer_wait),
        cmocka_unit_test(pieces_and_short_reads_lose_nothing),
        cmocka_unit_test(reads_and_writes_are_short_as_often_as_asked),
        cmocka_unit_test(loss_delays_and_keeps_the_order),
        cmocka_unit_test(a_partition_holds_up_what_is_on_its_way),
        cmocka_unit_test(what_never_gets_through_breaks_the_connection),
        cmocka_unit_test(a_partition_of_the_way_back_breaks_the_senders_end),
        cmocka_unit_test(a_healed_way_back_is_forgiven),
        cmocka_unit_test(each_direction_of_a_link_can_be_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
