/*
 * weir/step_test.h: a plugin's tests: its steps called as Weir calls them, in a program of its own.
 *
 *     #include <weir/step_test.h>
 *
 *     int main(void)
 *     {
 *         int wrong = 0;
 *         wrong += weir_step_expect(&weir_plugin, "greet", NULL, "{\"name\":\"Ann\"}",
 *             "{\"greeting\":\"Hello, Ann!\"}");
 *         wrong += weir_step_expect(&weir_plugin, "greet", NULL, "{}", "no-name");
 *         return wrong > 0;
 *     }
 *
 *     cc -o greetings_test greetings_test.c greetings.c $(pkg-config --cflags --libs weir-step)
 *
 * Each call is a worker's whole life: init, one task (or a batch of them) without a deadline,
 * teardown. What steps log goes to standard error. With WEIR_MEM_FAIL=N in the environment the Nth
 * allocation that Weir makes fails, so that a test can see what the step does then.
 */
#pragma once

#include "weir/step.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The plugin that this program is linked with. */
extern const struct weir_plugin weir_plugin;

enum weir_test_outcome {
    WEIR_TEST_DONE,          /* the answer is the output, a JSON text; otherwise "code: sentence" */
    WEIR_TEST_FAILED,        /* by weir_fail, or for a mistake in its output: "invalid-output" */
    WEIR_TEST_REJECTED,      /* by weir_reject, or because the input is no JSON: "invalid-input" */
    WEIR_TEST_OUT_OF_MEMORY, /* "out-of-memory" */
    WEIR_TEST_NO_WORKER      /* "unknown-step", "invalid-plugin", "init-failed" */
};

/* `options` and `input` are JSON texts; NULL: none, and null. The answer is yours to free(); it is
 * NULL where there is no memory for it. */
enum weir_test_outcome weir_step_test(const struct weir_plugin *plugin, const char *step,
    const char *options, const char *input, char **answer);

/* The same, where it is known what should come: a JSON text that means what the output means
 * (members in the same order), or the code that it fails or is rejected with. 0; or 1, and standard
 * error is told what came instead. */
int weir_step_expect(const struct weir_plugin *plugin, const char *step, const char *options,
    const char *input, const char *expected);

/* ---- Batches ---- */

struct weir_test_case {
    const char *input;
    const char *expected; /* as of weir_step_expect */
};

#define WEIR_TEST_BATCH_MAX 64 /* as in Weir */

/* All of these at once by the step's run_batch, as Weir does where the configuration says `batch`;
 * and then each alone by `run`, by the same worker: the answers are to be as expected both times.
 * If all are outputs run_batch is to be called just once; only where something is wrong with some
 * of them it may fail, and Weir then finds out which as it always does. How many things came
 * otherwise, which standard error is told; 1 of a step without run_batch. `count` is 2 to
 * WEIR_TEST_BATCH_MAX. */
int weir_step_expect_batch(const struct weir_plugin *plugin, const char *step, const char *options,
    const struct weir_test_case *cases, size_t count);

#ifdef __cplusplus
}
#endif
