/*
 * other_abi.c: built against a header of another time. Only the first member is what it was.
 */
#include <weir/step.h>

extern WEIR_EXPORT const struct {
    uint32_t abi;
    char the_rest[60];
} weir_plugin;
const __typeof__(weir_plugin) weir_plugin = {.abi = 2, .the_rest = "nothing that ABI 1 knows"};
