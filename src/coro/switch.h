/*
 * switch.h: leaving one stack and going on upon another.
 *
 * A `struct context` is a place to come back to. On x86-64 and aarch64 it is a stack pointer, with
 * what the ABI says a call preserves pushed on that stack, floating-point control words included;
 * elsewhere, or when the build says -Dswitch=ucontext, it is a ucontext. The sanitizers are told of
 * every switch, since each would otherwise take the jump for a wild one.
 *
 * Hardware shadow stacks record return addresses of one stack only; a switch would be taken for an
 * attack. The build does not ask for them, and switch_supported refuses clearly should something
 * else have turned them on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#if defined(WEIR_SWITCH_UCONTEXT) || !(defined(__x86_64__) || defined(__aarch64__))
#    define SWITCH_UCONTEXT 1
#    include <ucontext.h>
#endif

struct context {
#ifdef SWITCH_UCONTEXT
    ucontext_t machine;
#else
    void *stack_pointer;
#endif
    /* The stack's extent; ASan tells that of the thread's own stack when it is left. */
    const void *stack_low;
    size_t stack_size;
    void *asan_fake_stack;
    void *tsan_fiber;
};

/* 0, or -ENOTSUP when this thread runs with a shadow stack. */
int switch_supported(void);

/* Makes `c` a context that, when first switched to, calls entry(arg) on the given stack. `entry`
 * never returns, and calls switch_arrived before anything else. */
void switch_prepare(
    struct context *c, void *stack_low, size_t stack_size, void (*entry)(void *arg), void *arg);
/* Makes `c` the context of the thread that calls: what coroutines return to. */
void switch_prepare_thread(struct context *c);

/* Saves the present place in `from` and goes on at `to`; returns when someone switches back. */
void switch_to(struct context *from, struct context *to);
/* The same for a context that will never be come back to. */
_Noreturn void switch_to_last(struct context *from, struct context *to);
/* The first call on a fresh stack: tells the sanitizers that `here` has been reached. */
void switch_arrived(struct context *here);

#define SWITCH_EXPECT_LINES 8

/* Soon to be switched to: has the memory that it will touch first on its way to the processor.
 * With hundreds of coroutines their stacks are in no near cache. */
static inline void switch_expect(const struct context *c)
{
#ifndef SWITCH_UCONTEXT
    for (size_t line = 0; line < SWITCH_EXPECT_LINES; line++)
        __builtin_prefetch((const char *)c->stack_pointer + line * 64);
#endif
}
/* Forgets a context that has been left for the last time. */
void switch_release(struct context *c);
