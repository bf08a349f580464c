/*
 * tsan.h: helps ThreadSanitizer with what it does not understand of us; empty in every other build.
 *
 * It holds a signal back until the code that was interrupted makes a call that it knows. If that is
 * a coroutine which parks instead, the signal is lost to the loop. So in its builds signals are
 * blocked while coroutines run.
 */
#pragma once

#include "base/sanitizers.h"

#if WITH_TSAN
void tsan_block_signals(void);
void tsan_unblock_signals(void);
#else
static inline void tsan_block_signals(void)
{
}
static inline void tsan_unblock_signals(void)
{
}
#endif
