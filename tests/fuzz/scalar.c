/*
 * scalar.c: amounts with units: what is read can be written, and reads back as the same.
 */
#include "base/bug.h"
#include "conf/type.h" /* for the way back to text */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {.ptr = (const char *)data, .len = size};
    char out[CONF_AMOUNT_MAX];
    struct error e;
    int64_t ns;
    int64_t ns_back;
    uint64_t bytes;
    uint64_t bytes_back;
    if (conf_duration(text, &ns, &e) == 0) {
        check(ns >= 0, "a duration below zero");
        conf_duration_text(ns, out);
        check(
            conf_duration(span_of(out), &ns_back, NULL) == 0 && ns_back == ns, "%s is not it", out);
    } else {
        check(e.sentence[0], "a refusal without a sentence");
    }
    if (conf_size(text, &bytes, &e) == 0) {
        conf_size_text(bytes, out);
        check(conf_size(span_of(out), &bytes_back, NULL) == 0 && bytes_back == bytes,
            "%s is not it", out);
    } else {
        check(e.sentence[0], "a refusal without a sentence");
    }
    const char *const names[] = {"listen", "limits", "routes"};
    check(size < 100 || !conf_nearest(text, names, 3), "a long text is near a short one");
    return 0;
}
