/*
 * url_test.c: URLs taken apart, and the one way in which an origin is written.
 */
#include "../check.h"

#include "http/client.h"
#include "http/url.h"

#include <errno.h>
#include <string.h>

static void assert_splits(const char *url, const char *origin, const char *target)
{
    struct span o;
    struct span t;
    struct error e = {0};
    int rc = http_url_split(span_of(url), &o, &t, &e);
    if (rc)
        print_message("%s\n", e.sentence);
    assert_int_equal(rc, 0);
    assert_true(span_equal(o, span_of(origin)));
    assert_true(span_equal(t, span_of(target)));
}

static void test_urls_are_split(void **state)
{
    assert_splits("http://127.0.0.1:9001/users/1", "http://127.0.0.1:9001", "/users/1");
    assert_splits("http://name/a?b=c:d/e", "http://name", "/a?b=c:d/e");
    assert_splits("HTTP://Name:80", "HTTP://Name:80", "/");
    assert_splits("http://[::1]:80/", "http://[::1]:80", "/");
    assert_splits("http://unix:/run/x.sock:/users/1", "http://unix:/run/x.sock", "/users/1");
    assert_splits("http://unix:/run/x.sock", "http://unix:/run/x.sock", "/");
    assert_splits("http://unix:/run/x.sock:", "http://unix:/run/x.sock", "/");
    assert_splits("http://unix:@name:/", "http://unix:@name", "/");
    assert_splits("http://a.b/%20//../x", "http://a.b", "/%20//../x");
}

static void assert_refused(const char *url, const char *why)
{
    struct span o;
    struct span t;
    struct error e = {0};
    int rc = http_url_split(span_of(url), &o, &t, &e);
    if (rc == 0 || !strstr(e.sentence, why))
        print_message("%s: %d '%s'\n", url, rc, e.sentence);
    assert_int_equal(rc, -EINVAL);
    assert_int_equal(e.code, -EINVAL);
    assert_non_null(strstr(e.sentence, why));
    assert_non_null(strstr(e.sentence, "the URL '"));
}

static void test_what_cannot_be_asked_is_refused_with_a_reason(void **state)
{
    assert_refused("", "http://");
    assert_refused("127.0.0.1:80/", "does not begin with http://");
    assert_refused("ftp://x/", "does not begin with http://");
    assert_refused("https://x/", "https");
    assert_refused("http://", "host");
    assert_refused("http:///path", "host");
    assert_refused("http://:80/", "host");
    assert_refused("http://x:/", "port");
    assert_refused("http://x:0/", "port");
    assert_refused("http://x:65536/", "port");
    assert_refused("http://x:99999999/", "port");
    assert_refused("http://x:8a/", "port");
    assert_refused("http://x:-1/", "port");
    assert_refused("http://user:secret@x/", "user");
    assert_refused("http://user@x/", "user");
    assert_refused("http://1.2.3/", "no IP address");
    assert_refused("http://300.1.1.1/", "no IP address");
    assert_refused("http://[::1/", "no IP address");
    assert_refused("http://[zz]/", "no IP address");
    assert_refused("http://[::1]x/", "port");
    assert_refused("http://::1/", "port");
    assert_refused("http://a..b/", "host");
    assert_refused("http://.a/", "host");
    assert_refused("http://a b/", "host");
    assert_refused("http://a%20b/", "host");
    assert_refused("http://*/", "host");
    assert_refused("http://x?a=b", "path");
    assert_refused("http://x/a b", "space");
    assert_refused("http://x/a\tb", "control");
    assert_refused("http://x/\xc3\xa9", "non-ASCII");
    assert_refused("http://x/a#b", "fragment");
    assert_refused("http://x#b", "fragment");
    assert_refused("http://unix:", "Unix");
    assert_refused("http://unix:/x:y", "path");
    assert_refused("http://x/\r\nHost: y", "control");
}

static void test_a_zero_byte_is_refused(void **state)
{
    struct span o;
    struct span t;
    struct error e;
    assert_int_equal(http_url_split(SPAN("http://a\0b/"), &o, &t, &e), -EINVAL);
    assert_int_equal(http_url_split(SPAN("http://a/\0"), &o, &t, &e), -EINVAL);
    assert_int_equal(http_url_split(SPAN("http://unix:/a\0b:/"), &o, &t, &e), -EINVAL);
    assert_int_equal(http_url_split(SPAN("http://127.0.0.1\0:80/"), &o, &t, &e), -EINVAL);
}

static void assert_place(const char *url, const char *text, const char *authority, const char *host)
{
    struct http_endpoint p;
    assert_int_equal(http_endpoint_parse(&p, span_of(url), NULL), 0);
    assert_string_equal(p.text, text);
    assert_string_equal(p.authority, authority);
    assert_string_equal(p.host, host);
}

static void test_a_place_is_written_in_one_way(void **state)
{
    assert_place("http://Name", "http://name", "name", "name");
    assert_place("HTTP://name:80", "http://name", "name", "name");
    assert_place("http://name:080", "http://name", "name", "name");
    assert_place("http://name:8080", "http://name:8080", "name:8080", "name");
    assert_place("http://127.0.0.1:80", "http://127.0.0.1", "127.0.0.1", "");
    assert_place("http://127.0.0.1:81", "http://127.0.0.1:81", "127.0.0.1:81", "");
    assert_place("http://[0:0::1]:81", "http://[::1]:81", "[::1]:81", "");
    assert_place("http://[::1]", "http://[::1]", "[::1]", "");
    assert_place("http://unix:/a/b", "http://unix:/a/b", "localhost", "");
}

static void test_long_hosts_meet_their_bound(void **state)
{
    char url[600] = "http://";
    memset(url + 7, 'a', HTTP_HOST_MAX);
    strncat(url, ":65535", 7);
    struct http_endpoint p;
    assert_int_equal(http_endpoint_parse(&p, span_of(url), NULL), 0);
    assert_int_equal(strlen(p.text), strlen(url));
    assert_int_equal(strlen(p.host), HTTP_HOST_MAX);
    memset(url + 7, 'a', HTTP_HOST_MAX + 1);
    url[7 + HTTP_HOST_MAX + 1] = '\0';
    assert_int_equal(http_endpoint_parse(&p, span_of(url), NULL), -EINVAL);
    memset(url + 7, '1', 500);
    assert_int_equal(http_endpoint_parse(&p, span_of(url), NULL), -EINVAL);
    memcpy(url + 7, "unix:/", 6);
    assert_int_equal(http_endpoint_parse(&p, span_of(url), NULL), -EINVAL);
}

TEST_FILE(url)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls_are_split),
        cmocka_unit_test(test_what_cannot_be_asked_is_refused_with_a_reason),
        cmocka_unit_test(test_a_zero_byte_is_refused),
        cmocka_unit_test(test_a_place_is_written_in_one_way),
        cmocka_unit_test(test_long_hosts_meet_their_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
