/*
 * problem.c: what is read is well-formed, and survives being written and read again.
 */
#include "wire/problem.h"
#include "base/bug.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t size)
{
    size_t len = strnlen(text, size);
    check(len < size, "a text without an end");
    check(utf8_valid(text, len), "a text that is not UTF-8");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problem p;
    struct problem back;
    struct bytes out;
    if (problem_decode(&p, (struct span){(const char *)data, size}, NULL) != 0)
        return 0;
    check_text(p.type, sizeof p.type);
    check_text(p.title, sizeof p.title);
    check_text(p.detail, sizeof p.detail);
    check_text(p.instance, sizeof p.instance);
    check(p.status == 0 || (p.status >= 100 && p.status <= 599), "a status of %d", p.status);

    bytes_init(&out, 64 * 1024);
    check(problem_encode(&p, &out) == 0, "a problem that was read cannot be written");
    check(problem_decode(&back, bytes_span(&out), NULL) == 0, "what was written cannot be read");
    check(memcmp(&p, &back, sizeof p) == 0, "it reads back as something else");
    bytes_release(&out);
    return 0;
}
