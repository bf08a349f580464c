/*
 * router_test.c: which route answers what.
 */
#include "../check.h"

#include "http/router.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint64_t seed[2] = {1, 2};

struct fixture {
    struct router *router;
    struct arena arena;
    struct router_match match;
    struct span allow;
};

static int open_fixture(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    arena_init(&f.arena, 64 * 1024);
    *state = &f;
    return router_new(&f.router, seed);
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    router_free(f->router);
    arena_release(&f->arena);
    return 0;
}

/* Routes are their own value: "GET /a". */
static void add(struct fixture *f, const char *route)
{
    struct error e;
    const char *space = strchr(route, ' ');
    int rc = router_add(f->router, (struct span){route, (size_t)(space - route)},
        span_of(space + 1), (void *)(uintptr_t)route, NULL, &e);
    if (rc)
        fail_msg("%s: %s", route, e.sentence);
}

static enum http_method method_of(const char *name)
{
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = {{"GET", HTTP_GET}, {"HEAD", HTTP_HEAD}, {"POST", HTTP_POST},
        {"OPTIONS", HTTP_OPTIONS}, {"PUT", HTTP_PUT}, {"DELETE", HTTP_DELETE}};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(name, methods[i].name) == 0)
            return methods[i].method;
    return HTTP_OTHER;
}

static int find(struct fixture *f, const char *request)
{
    char method[16];
    const char *space = strchr(request, ' ');
    snprintf(method, sizeof method, "%.*s", (int)(space - request), request);
    return router_find(f->router, method_of(method), span_of(method), span_of(space + 1), &f->arena,
        &f->match, &f->allow);
}

/* Finds the route with these parameters: "name=value,name=value". */
static void finds(struct fixture *f, const char *request, const char *route, const char *params)
{
    char found[512] = "";
    size_t len = 0;
    int rc = find(f, request);
    if (rc)
        fail_msg("%s: %d", request, rc);
    assert_string_equal(f->match.value, route);
    for (unsigned i = 0; i < f->match.param_count; i++)
        len += (size_t)snprintf(found + len, sizeof found - len, "%s%.*s=%.*s", i ? "," : "",
            SPAN_ARG(f->match.params[i].name), SPAN_ARG(f->match.params[i].value));
    assert_string_equal(found, params);
}

static void allows(struct fixture *f, const char *request, const char *methods)
{
    assert_int_equal(find(f, request), -EPERM);
    assert_int_equal(f->allow.len, strlen(methods));
    assert_memory_equal(f->allow.ptr, methods, f->allow.len);
}

/* ---- Finding ---- */

static void literals_are_found(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(find(f, "GET /"), -ENOENT);
    add(f, "GET /");
    add(f, "GET /a");
    add(f, "GET /a/");
    add(f, "GET /a/b");
    add(f, "GET //");
    finds(f, "GET /", "GET /", "");
    finds(f, "GET /a", "GET /a", "");
    finds(f, "GET /a/", "GET /a/", "");
    finds(f, "GET /a/b", "GET /a/b", "");
    finds(f, "GET //", "GET //", "");
    finds(f, "GET /x/../a", "GET /a", "");
    finds(f, "GET /%61", "GET /a", "");
    assert_int_equal(find(f, "GET /A"), -ENOENT);
    assert_int_equal(find(f, "GET /b"), -ENOENT);
    assert_int_equal(find(f, "GET /a/b/"), -ENOENT);
    assert_int_equal(find(f, "GET /a%2Fb"), -ENOENT);
    assert_int_equal(find(f, "GET /.."), -EINVAL);
    assert_int_equal(find(f, "GET a"), -EINVAL);
    assert_int_equal(find(f, "GET /%0"), -EINVAL);
}

static void literals_may_be_written_encoded(void **state)
{
    struct fixture *f = *state;
    add(f, "GET /a b");
    add(f, "GET /c%20d");
    add(f, "GET /%7Bx%7D");
    add(f, "GET /a%2Fb/c");
    finds(f, "GET /a%20b", "GET /a b", "");
    finds(f, "GET /c%20d", "GET /c%20d", "");
    finds(f, "GET /{x}", "GET /%7Bx%7D", "");
    finds(f, "GET /a%2fb/c", "GET /a%2Fb/c", "");
    assert_int_equal(find(f, "GET /a/b/c"), -ENOENT);
}

static void parameters_take_one_segment(void **state)
{
    struct fixture *f = *state;
    add(f, "GET /users/{id}");
    add(f, "GET /users/{id}/posts/{post}");
    finds(f, "GET /users/7", "GET /users/{id}", "id=7");
    finds(f, "GET /users/%C3%A4%2F..", "GET /users/{id}", "id=\xc3\xa4/..");
    finds(f, "GET /users/7/posts/9", "GET /users/{id}/posts/{post}", "id=7,post=9");
    assert_int_equal(find(f, "GET /users/"), -ENOENT);
    assert_int_equal(find(f, "GET /users//posts/9"), -ENOENT);
    assert_int_equal(find(f, "GET /users/7/"), -ENOENT);
}

static void the_rest_takes_all(void **state)
{
    struct fixture *f = *state;
    add(f, "GET /files/{path...}");
    add(f, "GET /{user}/files/{path...}");
    finds(f, "GET /files/a", "GET /files/{path...}", "path=a");
    finds(f, "GET /files/a/b//c/", "GET /files/{path...}", "path=a/b//c/");
    finds(f, "GET /files/", "GET /files/{path...}", "path=");
    finds(f, "GET /files/a%20b/c", "GET /files/{path...}", "path=a b/c");
    finds(f, "GET /files/a/%62/%63/d", "GET /files/{path...}", "path=a/b/c/d");
    finds(f, "GET /files/a/b/../c", "GET /files/{path...}", "path=a/c");
    finds(f, "GET /files/%41/%42/../%43", "GET /files/{path...}", "path=A/C");
    finds(f, "GET /files/%41/%2F/../%43", "GET /files/{path...}", "path=A/C");
    finds(f, "GET /files/a/b/..", "GET /files/{path...}", "path=a/");
    finds(f, "GET /ann/files/x/y", "GET /{user}/files/{path...}", "user=ann,path=x/y");
    assert_int_equal(find(f, "GET /files"), -ENOENT);
}

static void the_closest_pattern_wins(void **state)
{
    struct fixture *f = *state;
    add(f, "GET /{any...}");
    add(f, "GET /{a}/{b}/{c}");
    add(f, "GET /{a}/y/z");
    add(f, "GET /x/{b...}");
    add(f, "GET /x/{b}/z");
    add(f, "GET /x/y/{c}");
    add(f, "GET /x/y/z");
    finds(f, "GET /x/y/z", "GET /x/y/z", "");
    finds(f, "GET /x/y/1", "GET /x/y/{c}", "c=1");
    finds(f, "GET /x/1/z", "GET /x/{b}/z", "b=1");
    finds(f, "GET /x/1/2", "GET /x/{b...}", "b=1/2");
    finds(f, "GET /1/y/z", "GET /{a}/y/z", "a=1");
    finds(f, "GET /1/y/2", "GET /{a}/{b}/{c}", "a=1,b=y,c=2");
    finds(f, "GET /1/2", "GET /{any...}", "any=1/2");
    finds(f, "GET /1//z", "GET /{any...}", "any=1//z");
    finds(f, "GET /x//z", "GET /x/{b...}", "b=/z");
}

static void a_dead_end_is_left(void **state)
{
    struct fixture *f = *state;
    add(f, "GET /a/b/c");
    add(f, "GET /a/{x}/d");
    add(f, "GET /{y}/b/e");
    finds(f, "GET /a/b/d", "GET /a/{x}/d", "x=b");
    finds(f, "GET /a/b/e", "GET /{y}/b/e", "y=a");
    assert_int_equal(find(f, "GET /a/b/f"), -ENOENT);
}

/* ---- Methods ---- */

static void methods_are_told_apart(void **state)
{
    struct fixture *f = *state;
    add(f, "GET /a/{x}");
    add(f, "POST /a/{y}");
    add(f, "PROPFIND /a/{z}");
    finds(f, "GET /a/1", "GET /a/{x}", "x=1");
    finds(f, "POST /a/1", "POST /a/{y}", "y=1");
    finds(f, "PROPFIND /a/1", "PROPFIND /a/{z}", "z=1");
    allows(f, "PUT /a/1", "GET, HEAD, POST, PROPFIND, OPTIONS");
    allows(f, "LOCK /a/1", "GET, HEAD, POST, PROPFIND, OPTIONS");
    allows(f, "OPTIONS /a/1", "GET, HEAD, POST, PROPFIND, OPTIONS");
    assert_int_equal(find(f, "PUT /b/1"), -ENOENT);
    assert_int_equal(
        router_find(f->router, HTTP_PUT, SPAN("PUT"), SPAN("/a/1"), &f->arena, &f->match, NULL),
        -EPERM);
}

static void get_answers_head(void **state)
{
    struct fixture *f = *state;
    add(f, "GET /a");
    add(f, "GET /b");
    add(f, "HEAD /b");
    add(f, "POST /c");
    add(f, "HEAD /{any}");
    finds(f, "HEAD /a", "GET /a", "");
    finds(f, "HEAD /b", "HEAD /b", "");
    finds(f, "HEAD /c", "HEAD /{any}", "any=c");
    finds(f, "GET /b", "GET /b", "");
    allows(f, "PUT /b", "GET, HEAD, OPTIONS");
}

static void any_method_is_the_last_choice(void **state)
{
    struct fixture *f = *state;
    add(f, "* /a");
    add(f, "GET /a");
    add(f, "POST /{x}");
    finds(f, "GET /a", "GET /a", "");
    finds(f, "HEAD /a", "GET /a", "");
    finds(f, "POST /a", "* /a", "");
    finds(f, "OPTIONS /a", "* /a", "");
    finds(f, "LOCK /a", "* /a", "");
    allows(f, "GET /b", "POST, OPTIONS");
}

static void another_pattern_may_have_the_method(void **state)
{
    struct fixture *f = *state;
    add(f, "GET /a/me");
    add(f, "PUT /a/{id}");
    add(f, "OPTIONS /{all...}");
    finds(f, "PUT /a/me", "PUT /a/{id}", "id=me");
    finds(f, "OPTIONS /a/me", "OPTIONS /{all...}", "all=a/me");
    allows(f, "POST /a/me", "GET, HEAD, PUT, OPTIONS");
    allows(f, "POST /a/you", "PUT, OPTIONS");
}

/* ---- Refusing ---- */

static void conflicts_are_told(void **state)
{
    struct fixture *f = *state;
    static const char *const same[][2] = {{"GET", "/a/{y}"}, {"GET", "/%61/{x}"}};
    void *other;
    struct error e;
    add(f, "GET /a/{x}");
    add(f, "POST /a/{x}");
    add(f, "GET /{x}/a");
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        other = NULL;
        assert_int_equal(
            router_add(f->router, span_of(same[i][0]), span_of(same[i][1]), f, &other, &e),
            -EEXIST);
        assert_string_equal(other, "GET /a/{x}");
        assert_non_null(strstr(e.sentence, "'/a/{x}'"));
        assert_non_null(strstr(e.sentence, same[i][1]));
    }
    finds(f, "GET /a/1", "GET /a/{x}", "x=1");
}

static void refuses(struct fixture *f, const char *method, const char *pattern, const char *why)
{
    struct error e;
    assert_int_equal(
        router_add(f->router, span_of(method), span_of(pattern), f, NULL, &e), -EINVAL);
    if (!strstr(e.sentence, why))
        fail_msg("%s: %s", pattern, e.sentence);
    assert_true(strstr(e.sentence, pattern) || strlen(pattern) > 100);
}

static void malformed_patterns_are_refused(void **state)
{
    struct fixture *f = *state;
    char many[ROUTER_PATTERN_MAX + 2];
    refuses(f, "GET", "", "begin");
    refuses(f, "GET", "a", "begin");
    refuses(f, "GET", "/{}", "name");
    refuses(f, "GET", "/{1}", "name");
    refuses(f, "GET", "/{a b}", "name");
    refuses(f, "GET", "/{...}", "name");
    refuses(f, "GET", "/{a..}", "name");
    refuses(f, "GET", "/x{a}", "whole segment");
    refuses(f, "GET", "/{a}x", "whole segment");
    refuses(f, "GET", "/{", "whole segment");
    refuses(f, "GET", "/{a...}/b", "follow");
    refuses(f, "GET", "/{a...}/", "follow");
    refuses(f, "GET", "/{a}/{a}", "same name");
    refuses(f, "GET", "/{a}/{a...}", "same name");
    refuses(f, "GET", "/a?b", "'?'");
    refuses(f, "GET", "/a#b", "'#'");
    refuses(f, "GET", "/a\n", "control");
    refuses(f, "GET", "/%4", "hexadecimal");
    refuses(f, "GET", "/%00", "hexadecimal");
    refuses(f, "GET", "/a/../b", "resolved");
    refuses(f, "GET", "/%2e", "resolved");
    refuses(f, "get", "/a", "upper case");
    refuses(f, "G T", "/a", "upper case");
    refuses(f, "", "/a", "upper case");
    memset(many, '/', sizeof many);
    many[65] = '\0';
    refuses(f, "GET", many, "64 segments");
    memset(many, 'a', sizeof many);
    many[0] = '/';
    many[ROUTER_PATTERN_MAX + 1] = '\0';
    refuses(f, "GET", many, "1024 bytes");
    refuses(f, "GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}",
        "16 parameters");
    assert_int_equal(find(f, "GET /a"), -ENOENT);
}

static void names_are_told(void **state)
{
    struct span names[ROUTER_PARAMS_MAX];
    struct error e;
    assert_int_equal(router_pattern_params(SPAN("/a"), names, &e), 0);
    assert_int_equal(router_pattern_params(SPAN("/{a}/x/{b-2}/{_c...}"), names, &e), 3);
    assert_true(span_equal(names[0], SPAN("a")));
    assert_true(span_equal(names[1], SPAN("b-2")));
    assert_true(span_equal(names[2], SPAN("_c")));
    assert_int_equal(router_pattern_params(SPAN("/{a"), names, &e), -EINVAL);
    assert_int_equal(router_pattern_params(SPAN("/{a"), names, NULL), -EINVAL);
}

/* ---- Bounds ---- */

static void long_paths_have_no_route(void **state)
{
    struct fixture *f = *state;
    char request[256] = "GET ";
    add(f, "GET /{all...}");
    for (size_t i = 0; i < 65; i++)
        memcpy(request + 4 + 2 * i, "/a", 3);
    assert_int_equal(find(f, request), -ENOENT);
    request[4 + 2 * 64] = '\0';
    assert_int_equal(find(f, request), 0);
    assert_int_equal(f->match.params[0].value.len, 127);
}

/* All mixtures of literals and parameters in six segments are 64 shapes: whoever wants to make
 * matching slow gets no further. */
static void shapes_are_bounded(void **state)
{
    struct fixture *f = *state;
    static char routes[64][64];
    struct error e;
    for (unsigned bits = 0; bits < 64; bits++) {
        size_t len = (size_t)snprintf(routes[bits], sizeof *routes, "GET ");
        for (unsigned i = 0; i < 6; i++)
            len += (size_t)snprintf(
                routes[bits] + len, sizeof *routes - len, bits >> i & 1 ? "/{p%u}" : "/a", i);
        add(f, routes[bits]);
    }
    refuses(f, "GET", "/{all...}", "64 different orders");
    assert_int_equal(router_add(f->router, SPAN("GET"), SPAN("/b/{x}/b/b/b/b"), f, NULL, &e), 0);
    add(f, "GET /a/a/a/a/a/a/{other-length}");
    finds(f, "GET /a/a/a/a/a/a", "GET /a/a/a/a/a/a", "");
    finds(f, "GET /1/2/3/4/5/6", routes[63], "p0=1,p1=2,p2=3,p3=4,p4=5,p5=6");
    finds(f, "GET /1/a/3/a/a/6", routes[37], "p0=1,p2=3,p5=6");
    assert_int_equal(find(f, "GET /1/a/3/a/a/"), -ENOENT);
}

static void many_routes_are_found(void **state)
{
    enum { ROUTES = 3000 };
    struct fixture *f = *state;
    static char patterns[ROUTES][64];
    char request[64];
    char params[32];
    for (int i = 0; i < ROUTES; i++) {
        snprintf(patterns[i], sizeof *patterns, "GET /service/%d/items/{id}", i);
        add(f, patterns[i]);
    }
    for (int i = 0; i < ROUTES; i++) {
        snprintf(request, sizeof request, "GET /service/%d/items/x%d", i, i);
        snprintf(params, sizeof params, "id=x%d", i);
        finds(f, request, patterns[i], params);
    }
    assert_int_equal(find(f, "GET /service/3000/items/x"), -ENOENT);
}

static void what_is_not_encoded_allocates_nothing(void **state)
{
    struct fixture *f = *state;
    add(f, "GET /a/{x}/b/{rest...}");
    mem_fail_at(1, true);
    finds(f, "GET /a/1/b/c/d/", "GET /a/{x}/b/{rest...}", "x=1,rest=c/d/");
    assert_int_equal(mem_count(), 0);
    assert_int_equal(find(f, "GET /a/%31/b/c"), -ENOMEM);
    assert_int_equal(find(f, "PUT /a/1/b/c"), -ENOMEM);
    mem_fail_at(0, false);
}

static bool build_and_find(void)
{
    struct router *r;
    struct arena arena;
    struct router_match match;
    struct span allow;
    bool through = false;
    if (router_new(&r, seed) != 0)
        return false;
    arena_init(&arena, 64 * 1024);
    int rc = router_add(r, SPAN("GET"), SPAN("/a/{x}"), &arena, NULL, NULL);
    if (rc == 0)
        rc = router_add(r, SPAN("GET"), SPAN("/b/{y}/{z...}"), &match, NULL, NULL);
    bool first = rc == 0;
    for (int i = 0; i < 5 && rc == 0; i++)
        rc = router_add(
            r, SPAN("GET"), (struct span){&"/q/r/s/t/u/"[0], (size_t)(2 * i + 2)}, &rc, NULL, NULL);
    if (rc == 0) {
        int found = router_find(r, HTTP_GET, SPAN("GET"), SPAN("/a/%31"), &arena, &match, &allow);
        through = found == 0;
        found = router_find(r, HTTP_PUT, SPAN("PUT"), SPAN("/a/1"), &arena, &match, &allow);
        assert_true(found == -EPERM || found == -ENOMEM);
        through &= found == -EPERM;
    } else {
        assert_int_equal(rc, -ENOMEM);
        /* What was added before is there, and nothing that was not. */
        int found = router_find(r, HTTP_GET, SPAN("GET"), SPAN("/a/1"), &arena, &match, &allow);
        assert_true(found == 0 || (!first && found == -ENOENT));
    }
    arena_release(&arena);
    router_free(r);
    return through;
}

static void memory_may_run_out(void **state)
{
    torture(build_and_find);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

TEST_FILE(router)
{
    const struct CMUnitTest tests[] = {
        TEST(literals_are_found),
        TEST(literals_may_be_written_encoded),
        TEST(parameters_take_one_segment),
        TEST(the_rest_takes_all),
        TEST(the_closest_pattern_wins),
        TEST(a_dead_end_is_left),
        TEST(methods_are_told_apart),
        TEST(get_answers_head),
        TEST(any_method_is_the_last_choice),
        TEST(another_pattern_may_have_the_method),
        TEST(conflicts_are_told),
        TEST(malformed_patterns_are_refused),
        cmocka_unit_test(names_are_told),
        TEST(long_paths_have_no_route),
        TEST(shapes_are_bounded),
        TEST(many_routes_are_found),
        TEST(what_is_not_encoded_allocates_nothing),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
