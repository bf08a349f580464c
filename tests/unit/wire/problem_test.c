/*
 * problem_test.c: problem+json as RFC 9457 has it.
 */
#include "../check.h"

#include "base/utf8.h"
#include "data/json.h"
#include "wire/problem.h"

#include <errno.h>
#include <string.h>

static struct span encode(const struct problem *p, struct bytes *out)
{
    bytes_init(out, 8192);
    assert_int_equal(problem_encode(p, out), 0);
    return bytes_span(out);
}

static void an_error_becomes_a_problem(void **state)
{
    struct error e;
    struct problem p;
    struct bytes out;
    error_set(&e, -ETIMEDOUT, "deadline", "the \"model\" took too long");
    problem_from_error(&p, &e, "4f2a");
    assert_true(span_equal(encode(&p, &out),
        SPAN("{\"type\":\"urn:weir:problem:deadline\",\"title\":\"Gateway Timeout\",\"status\":504,"
             "\"detail\":\"the \\\"model\\\" took too "
             "long\",\"instance\":\"urn:weir:request:4f2a\"}")));
    struct problem back;
    assert_int_equal(problem_decode(&back, bytes_span(&out), NULL), 0);
    assert_memory_equal(&back, &p, sizeof p);
    bytes_release(&out);
}

static void an_empty_problem_is_an_empty_object(void **state)
{
    struct problem p = {0};
    struct bytes out;
    assert_true(span_equal(encode(&p, &out), SPAN("{}")));
    assert_int_equal(problem_decode(&p, SPAN("{}"), NULL), 0);
    assert_string_equal(p.type, "about:blank");
    assert_int_equal(p.status, 0);
    bytes_release(&out);
}

static void others_problems_are_read(void **state)
{
    struct problem p;
    assert_int_equal(
        problem_decode(&p,
            SPAN("{\"type\":\"https://example.com/probs/out-of-credit\",\"title\":\"You do not "
                 "have enough credit.\",\"detail\":\"Your current balance is 30, but that costs "
                 "50.\",\"instance\":\"/account/12345/msgs/abc\",\"balance\":30,"
                 "\"accounts\":[\"/account/12345\"]}"),
            NULL),
        0);
    assert_string_equal(p.type, "https://example.com/probs/out-of-credit");
    assert_string_equal(p.instance, "/account/12345/msgs/abc");
    assert_int_equal(p.status, 0);
}

static void members_of_a_wrong_type_are_ignored(void **state)
{
    struct problem p;
    static const char *const texts[] = {
        "{\"type\":7,\"title\":[],\"status\":\"404\",\"detail\":{},\"instance\":null}",
        "{\"status\":99}",
        "{\"status\":600}",
        "{\"status\":404.5}",
        "{\"status\":1e300}",
        "{\"type\":\"overloaded\"}", /* a stranger's relative reference is not our name */
        "{\"type\":\"urn:weir:problem:overloaded\\u0000x\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(problem_decode(&p, span_of(texts[i]), NULL), 0);
        assert_string_equal(p.type, "about:blank");
        assert_int_equal(p.status, 0);
        assert_string_equal(p.title, "");
    }
}

static void what_is_no_object_is_refused(void **state)
{
    struct problem p;
    struct error e;
    assert_int_equal(problem_decode(&p, SPAN("[]"), &e), -EINVAL);
    assert_string_equal(e.sentence, "a problem is a JSON object; this is none");
    assert_int_equal(problem_decode(&p, SPAN("{\"type\":"), &e), -EINVAL);
    assert_non_null(strstr(e.sentence, "line 1, column"));
    assert_int_equal(problem_decode(&p, SPAN(""), &e), -EINVAL);
}

static void long_texts_are_cut_at_a_character(void **state)
{
    struct bytes text;
    struct problem p;
    bytes_init(&text, 20000);
    assert_int_equal(bytes_append_span(&text, SPAN("{\"detail\":\"x")), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(bytes_append_span(&text, SPAN("\xe2\x82\xac")), 0);
    assert_int_equal(bytes_append_span(&text, SPAN("\"}")), 0);
    assert_int_equal(problem_decode(&p, bytes_span(&text), NULL), 0);
    assert_in_range(strlen(p.detail), PROBLEM_DETAIL_MAX - 4, PROBLEM_DETAIL_MAX - 1);
    assert_true(utf8_valid(p.detail, strlen(p.detail)));
    bytes_release(&text);
}

/* Each length around the two bounds, the plain one and the one that the prefix moves. */
static void long_identifiers_come_back_whole_or_not_at_all(void **state)
{
    static const char *const tails[] = {"", ":tail"};
    for (size_t len = PROBLEM_TYPE_MAX - 40; len < PROBLEM_TYPE_MAX + 40; len++)
        for (int i = 0; i < 4; i++) {
            char name[PROBLEM_TYPE_MAX + 40] = "";
            memset(name, 'x', len);
            struct bytes text, out;
            bytes_init(&text, 4096);
            assert_int_equal(bytes_printf(&text, "{\"type\":\"%s%s%s\"}", i < 2 ? PROBLEM_URN : "",
                                 name, tails[i % 2]),
                0);
            struct problem p, back;
            assert_int_equal(problem_decode(&p, bytes_span(&text), NULL), 0);
            assert_int_equal(problem_decode(&back, encode(&p, &out), NULL), 0);
            assert_string_equal(p.type, back.type);
            bool whole = strncmp(p.type, i < 2 && p.type[0] == 'u' ? PROBLEM_URN : name, 17) == 0;
            assert_true(whole || strcmp(p.type, "about:blank") == 0);
            bytes_release(&text);
            bytes_release(&out);
        }
}

static void the_statuses_of_errors(void **state)
{
    assert_int_equal(problem_status(-EINVAL), 400);
    assert_int_equal(problem_status(-ENOBUFS), 503);
    assert_int_equal(problem_status(-ECONNREFUSED), 502);
    assert_int_equal(problem_status(-EXDEV), 500);
    for (int code = -200; code < 0; code++)
        assert_string_not_equal(problem_title(problem_status(code)), "");
    assert_string_equal(problem_title(299), "");
}

static bool round_trip(void)
{
    struct problem p = {.status = 404, .type = "not-found", .detail = "no such route"};
    struct bytes out;
    bytes_init(&out, 4096);
    int rc = problem_encode(&p, &out);
    assert_true(rc == 0 || out.len == 0);
    if (rc == 0)
        rc = problem_decode(&p, bytes_span(&out), NULL);
    bytes_release(&out);
    return rc == 0;
}

static void both_ways_survive_the_loss_of_memory(void **state)
{
    torture(round_trip);
}

TEST_FILE(problem)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_becomes_a_problem),
        cmocka_unit_test(an_empty_problem_is_an_empty_object),
        cmocka_unit_test(others_problems_are_read),
        cmocka_unit_test(members_of_a_wrong_type_are_ignored),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(long_texts_are_cut_at_a_character),
        cmocka_unit_test(long_identifiers_come_back_whole_or_not_at_all),
        cmocka_unit_test(the_statuses_of_errors),
        cmocka_unit_test(both_ways_survive_the_loss_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
