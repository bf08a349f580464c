/*
 * no_table.c: a shared object without `weir_plugin`.
 */
#include <weir/step.h>

extern WEIR_EXPORT const int no_plugin;
const int no_plugin = 1;
