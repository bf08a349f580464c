/*
 * address_test.c: addresses from text and back.
 */
#include "../check.h"

#include "base/error.h"
#include "world/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void assert_prints_as(const char *text, const char *expected)
{
    struct address a;
    struct error e;
    char printed[ADDRESS_TEXT_MAX];
    error_clear(&e);
    if (address_parse(&a, text, &e) != 0)
        fail_msg("'%s' was refused: %s", text, e.sentence);
    assert_string_equal(address_print(&a, printed), expected);
}

static void what_is_parsed_is_printed(void **state)
{
    static const char *const texts[] = {"127.0.0.1:8080", "0.0.0.0:0", "255.255.255.255:65535",
        "[::1]:8080", "[2001:db8::1]:1", "[fe80::1%3]:80", "[fe80::1%4294967295]:80",
        "[::ffff:1.2.3.4]:80", "*:8080", "unix:/run/weir.sock", "unix:weir.sock", "unix:@abstract",
        "unix:@@", "unix:/with:colon", "unix:/with space"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_prints_as(texts[i], texts[i]);
    assert_prints_as("[::]:8080", "*:8080");
    assert_prints_as("[0:0::1]:80", "[::1]:80");
    assert_prints_as("[2001:DB8::1]:80", "[2001:db8::1]:80");
}

static void the_kernel_understands_them(void **state)
{
    struct address a;
    assert_int_equal(address_parse(&a, "127.0.0.1:80", NULL), 0);
    assert_int_equal(a.len, sizeof(struct sockaddr_in));
    assert_int_equal(a.in4.sin_family, AF_INET);
    assert_int_equal(a.in4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_int_equal(a.in4.sin_port, htons(80));
    assert_int_equal(address_parse(&a, "[::1]:80", NULL), 0);
    assert_int_equal(a.len, sizeof(struct sockaddr_in6));
    assert_true(IN6_IS_ADDR_LOOPBACK(&a.in6.sin6_addr));
    assert_int_equal(address_parse(&a, "[fe80::1%7]:80", NULL), 0);
    assert_int_equal(a.in6.sin6_scope_id, 7);
    assert_int_equal(address_parse(&a, "unix:/a", NULL), 0);
    assert_int_equal(a.len, offsetof(struct sockaddr_un, sun_path) + 3);
    assert_int_equal(address_parse(&a, "unix:@a", NULL), 0);
    assert_int_equal(a.len, offsetof(struct sockaddr_un, sun_path) + 2);
    assert_memory_equal(a.local.sun_path, "\0a", 2);
}

static void assert_refused(const char *text, const char *why)
{
    struct address a;
    struct error e;
    error_clear(&e);
    assert_int_equal(address_parse(&a, text, NULL), -EINVAL);
    assert_int_equal(address_parse(&a, text, &e), -EINVAL);
    assert_string_equal(e.type, "bad-address");
    if (!strstr(e.sentence, why))
        fail_msg("of '%s' it was said: %s", text, e.sentence);
}

static void what_is_no_address_is_refused_with_a_reason(void **state)
{
    assert_refused("", "has no port");
    assert_refused("localhost", "has no port");
    assert_refused("127.0.0.1", "has no port");
    assert_refused("[::1]", "has no port");
    assert_refused("8080", "has no port");
    assert_refused(":", "is no port");
    assert_refused("127.0.0.1:", "is no port");
    assert_refused("127.0.0.1:65536", "is no port");
    assert_refused("127.0.0.1:99999999999999999999", "is no port");
    assert_refused("127.0.0.1:-1", "is no port");
    assert_refused("127.0.0.1:+1", "is no port");
    assert_refused("127.0.0.1: 1", "is no port");
    assert_refused("127.0.0.1:080", "is no port");
    assert_refused("127.0.0.1:80x", "is no port");
    assert_refused(":80", "is no IP address");
    assert_refused("localhost:80", "is no IP address");
    assert_refused("127.0.0:80", "is no IP address");
    assert_refused("127.0.0.256:80", "is no IP address");
    assert_refused("127.0.0.1.1:80", "is no IP address");
    assert_refused("127.0.0.1111111111111111:80", "is no IP address");
    assert_refused("[]:80", "is no IP address");
    assert_refused("[127.0.0.1]:80", "is no IP address");
    assert_refused("[::1:80", "is no IP address");
    assert_refused("[fe80::1%eth0]:80", "is no IP address");
    assert_refused("[fe80::1%0]:80", "is no IP address");
    assert_refused("[fe80::1%]:80", "is no IP address");
    assert_refused("[fe80::1%4294967296]:80", "is no IP address");
    assert_refused("::1:80", "is not in brackets");
    assert_refused("unix:", "names no socket");
    assert_refused("unix:@", "names no socket");
}

static void paths_have_a_length_of_their_own(void **state)
{
    char text[256] = "unix:";
    struct address a;
    char printed[ADDRESS_TEXT_MAX];
    memset(text + 5, 'p', 107);
    assert_int_equal(address_parse(&a, text, NULL), 0);
    assert_string_equal(address_print(&a, printed), text);
    text[5 + 107] = 'p';
    assert_refused(text, "at most 107 fit");
    text[5] = '@';
    assert_int_equal(address_parse(&a, text, NULL), 0);
    assert_string_equal(address_print(&a, printed), text);
    text[5 + 108] = 'p';
    assert_refused(text, "at most 108 fit");
}

static void addresses_without_text_are_printed_somehow(void **state)
{
    char printed[ADDRESS_TEXT_MAX];
    struct address nameless = {
        .len = offsetof(struct sockaddr_un, sun_path), .local.sun_family = AF_UNIX};
    assert_string_equal(address_print(&nameless, printed), "unix:");
    struct address strange = {
        .len = offsetof(struct sockaddr_un, sun_path) + 4, .local.sun_family = AF_UNIX};
    memcpy(strange.local.sun_path, "\0a\0b", 4);
    assert_string_equal(address_print(&strange, printed), "unix:@a@b");
    struct address unknown = {.len = sizeof(struct sockaddr), .any.sa_family = AF_APPLETALK};
    assert_string_equal(address_print(&unknown, printed), "(family 5)");
}

static void ports_can_be_changed(void **state)
{
    struct address a;
    assert_int_equal(address_parse(&a, "127.0.0.1:0", NULL), 0);
    address_set_port(&a, 8080);
    assert_int_equal(address_port(&a), 8080);
    assert_int_equal(address_parse(&a, "[::1]:1", NULL), 0);
    assert_int_equal(address_port(&a), 1);
    address_set_port(&a, 65535);
    assert_int_equal(address_port(&a), 65535);
    assert_int_equal(address_parse(&a, "unix:/a", NULL), 0);
    assert_int_equal(address_port(&a), -1);
}

TEST_FILE(address)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_parsed_is_printed),
        cmocka_unit_test(the_kernel_understands_them),
        cmocka_unit_test(what_is_no_address_is_refused_with_a_reason),
        cmocka_unit_test(paths_have_a_length_of_their_own),
        cmocka_unit_test(addresses_without_text_are_printed_somehow),
        cmocka_unit_test(ports_can_be_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
