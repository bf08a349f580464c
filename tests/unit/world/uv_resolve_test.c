/*
 * uv_resolve_test.c: names to addresses. Only names that a machine without a network knows are
 * asked for.
 */
#include "uv_fixture.h"

#include <arpa/inet.h>

static void assert_resolves_to(const char *host, const char *expected)
{
    struct address a[4];
    char text[ADDRESS_TEXT_MAX];
    assert_int_equal(world_resolve(w, host, 80, a, 4), 1);
    assert_string_equal(address_print(&a[0], text), expected);
}

TEST(literals_are_their_own_answer)
{
    assert_resolves_to("127.0.0.1", "127.0.0.1:80");
    assert_resolves_to("::1", "[::1]:80");
    assert_resolves_to("2001:db8::7", "[2001:db8::7]:80");
    return 0;
}

TEST(localhost_is_this_machine)
{
    struct address a[8];
    int count = world_resolve(w, "localhost", 4711, a, 8);
    assert_true(count >= 1 && count <= 8);
    for (int i = 0; i < count; i++) {
        assert_int_equal(address_port(&a[i]), 4711);
        bool loopback4 =
            a[i].any.sa_family == AF_INET && (ntohl(a[i].in4.sin_addr.s_addr) >> 24) == 127;
        bool loopback6 =
            a[i].any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a[i].in6.sin6_addr);
        assert_true(loopback4 || loopback6);
    }
    assert_int_equal(world_resolve(w, "localhost", 4711, a, 1), 1);
    return 0;
}

/* No name has an empty label or 300 letters: no server needs to be asked. */
TEST(what_is_no_name_is_not_found)
{
    struct address a;
    char name[300];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_true(world_resolve(w, name, 80, &a, 1) < 0);
    assert_true(world_resolve(w, "a..b", 80, &a, 1) < 0);
    return 0;
}

static int resolve_localhost(void *arg)
{
    struct address a;
    int rc = world_resolve(w, "localhost", 80, &a, 1);
    return rc < 0 ? rc : 0;
}

/* The answer comes after the coroutine has left; the world waits for it before it closes. */
TEST(who_asks_can_be_interrupted)
{
    for (int i = 0; i < 20; i++) {
        struct wait asks = {.fn = resolve_localhost, .result = 1};
        GROUP(g, GROUP_INDEPENDENT);
        assert_int_equal(group_spawn(&g, "asks", run_wait, &asks), 0);
        assert_int_equal(coro_yield(), 0);
        group_cancel(&g);
        assert_int_equal(group_wait(&g), 0);
        assert_int_equal(asks.result, -ECANCELED);
    }
    struct timed past = {.fn = resolve_localhost, .deadline = 1};
    assert_int_equal(run_timed(&past), -ETIMEDOUT);
    struct timed soon = {.fn = resolve_localhost, .deadline = world_now(w) + 1000};
    int rc = run_timed(&soon);
    assert_true(rc == -ETIMEDOUT || rc == 0);
    return 0;
}

TEST_FILE(uv_resolve)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_their_own_answer),
        cmocka_unit_test(localhost_is_this_machine),
        cmocka_unit_test(what_is_no_name_is_not_found),
        cmocka_unit_test(who_asks_can_be_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
