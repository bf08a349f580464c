/*
 * address.c: an address that is read prints as one that reads back to the same; a refusal has a
 * sentence.
 */
#include "world/address.h"
#include "base/bug.h"
#include "base/error.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[512];
    char printed[ADDRESS_TEXT_MAX];
    char again[ADDRESS_TEXT_MAX];
    struct address a;
    struct address b;
    struct error e;
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (address_parse(&a, text, &e) != 0) {
        check(e.sentence[0], "a refusal without a sentence");
        return 0;
    }
    address_print(&a, printed);
    check(strnlen(printed, sizeof printed) < sizeof printed, "a print without an end");
    check(address_parse(&b, printed, NULL) == 0, "'%s' prints as '%s', which does not read back",
        text, printed);
    check(
        a.len == b.len && memcmp(&a.any, &b.any, a.len) == 0, "'%s' reads back otherwise", printed);
    check(strcmp(address_print(&b, again), printed) == 0, "'%s' prints otherwise later", printed);
    return 0;
}
