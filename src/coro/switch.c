/*
 * switch.c: contexts for C: fresh stacks laid out as the assembly expects them, the ucontext
 * fallback, and what the sanitizers want to hear.
 */
#include "coro/switch.h"

#include "base/bug.h"
#include "base/sanitizers.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>

#ifndef PR_GET_SHADOW_STACK_STATUS
#    define PR_GET_SHADOW_STACK_STATUS 74 /* of aarch64's guarded control stack; Linux 6.13 */
#endif

#if WITH_ASAN
#    include <sanitizer/asan_interface.h>
#    include <sanitizer/common_interface_defs.h>
#endif
#if WITH_TSAN
#    include <sanitizer/tsan_interface.h>
#endif

/* TSan counts calls and returns on the current fiber's own account, so no function may be called on
 * one fiber and return on another: all that stands between change() and the assembly is inlined. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* ---- The machine ---- */

int switch_supported(void)
{
#if defined(__x86_64__)
    /* rdsspq leaves its register alone where there is no shadow stack. */
    uint64_t shadow = 0;
    __asm__ volatile("rdsspq %0" : "+r"(shadow));
    if (shadow != 0)
        return -ENOTSUP;
#elif defined(__aarch64__)
    unsigned long status = 0;
    if (prctl(PR_GET_SHADOW_STACK_STATUS, &status, 0, 0, 0) == 0 && status & 1)
        return -ENOTSUP;
#endif
    return 0;
}

#ifdef SWITCH_UCONTEXT

/* makecontext passes ints only, so the two pointers travel in halves. */
static void enter_halves(
    unsigned entry_high, unsigned entry_low, unsigned arg_high, unsigned arg_low)
{
    void (*entry)(void *) =
        (void (*)(void *))(uintptr_t)((uint64_t)entry_high << 32 | (uint64_t)entry_low);
    entry((void *)(uintptr_t)((uint64_t)arg_high << 32 | (uint64_t)arg_low));
}

static void prepare_machine(
    struct context *c, void *stack_low, size_t stack_size, void (*entry)(void *), void *arg)
{
    check(getcontext(&c->machine) == 0, "getcontext failed");
    c->machine.uc_stack.ss_sp = stack_low;
    c->machine.uc_stack.ss_size = stack_size;
    c->machine.uc_link = NULL;
    uint64_t e = (uintptr_t)entry;
    uint64_t a = (uintptr_t)arg;
    makecontext(&c->machine, (void (*)(void))enter_halves, 4, (unsigned)(e >> 32), (unsigned)e,
        (unsigned)(a >> 32), (unsigned)a);
}

static ALWAYS_INLINE void switch_context(struct context *from, struct context *to)
{
    swapcontext(&from->machine, &to->machine);
}

#else

void switch_machine(void **from, void *to);
void switch_machine_entry(void);

#    if defined(__x86_64__)

/* As switch_machine pops it. */
struct fresh_frame {
    uint32_t mxcsr;
    uint16_t x87_control;
    uint16_t unused;
    uint64_t r15, r14, r13, r12, rbx, rbp;
    uint64_t return_address;
    uint64_t end[2]; /* keeps the entry's stack aligned to 16, and ends the chain of frames */
};

static void fill_frame(struct fresh_frame *f, void (*entry)(void *), void *arg)
{
    /* The new coroutine starts with the rounding and exceptions of the thread that makes it. */
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(f->mxcsr), "=m"(f->x87_control));
    f->r12 = (uintptr_t)arg;
    f->r13 = (uintptr_t)entry;
    f->return_address = (uintptr_t)switch_machine_entry;
}

#    else

struct fresh_frame {
    uint64_t x19, x20, x21_to_x29[9], x30;
    uint64_t d8_to_d15[8];
    uint64_t fpcr;
    uint64_t unused;
};

static void fill_frame(struct fresh_frame *f, void (*entry)(void *), void *arg)
{
    __asm__ volatile("mrs %0, fpcr" : "=r"(f->fpcr));
    f->x19 = (uintptr_t)arg;
    f->x20 = (uintptr_t)entry;
    f->x30 = (uintptr_t)switch_machine_entry;
}

#    endif

static void prepare_machine(
    struct context *c, void *stack_low, size_t stack_size, void (*entry)(void *), void *arg)
{
    uintptr_t top = ((uintptr_t)stack_low + stack_size) & ~(uintptr_t)15;
    struct fresh_frame *frame = (struct fresh_frame *)(top - sizeof *frame);
    memset(frame, 0, sizeof *frame);
    fill_frame(frame, entry, arg);
    c->stack_pointer = frame;
}

static ALWAYS_INLINE void switch_context(struct context *from, struct context *to)
{
    switch_machine(&from->stack_pointer, to->stack_pointer);
}

#endif

/* ---- The sanitizers ---- */

#if WITH_ASAN
/* Who left last on this thread: the one that arrives tells ASan, and learns the other stack's
 * extent for the way back. */
static _Thread_local struct context *left;
#endif

/* Before a switch. ASan keeps the left stack's fake frames with `from`, or drops them for good. */
static ALWAYS_INLINE void announce(struct context *from, struct context *to, bool last)
{
    (void)from;
    (void)to;
    (void)last;
#if WITH_ASAN
    left = from;
    __sanitizer_start_switch_fiber(
        last ? NULL : &from->asan_fake_stack, to->stack_low, to->stack_size);
#endif
#if WITH_TSAN
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
}

/* After a switch, on the stack of `here`. */
static ALWAYS_INLINE void confirm(struct context *here)
{
    (void)here;
#if WITH_ASAN
    __sanitizer_finish_switch_fiber(here->asan_fake_stack, &left->stack_low, &left->stack_size);
#endif
}

void switch_arrived(struct context *here)
{
    confirm(here);
}

/* ---- Switching ---- */

void switch_prepare(
    struct context *c, void *stack_low, size_t stack_size, void (*entry)(void *arg), void *arg)
{
    c->stack_low = stack_low;
    c->stack_size = stack_size;
    c->asan_fake_stack = NULL;
    c->tsan_fiber = NULL;
#if WITH_TSAN
    c->tsan_fiber = __tsan_create_fiber(0);
#endif
#if WITH_ASAN
    /* The stack's last user left the red zones of frames that never returned. */
    ASAN_UNPOISON_MEMORY_REGION(stack_low, stack_size);
#endif
    prepare_machine(c, stack_low, stack_size, entry, arg);
}

void switch_prepare_thread(struct context *c)
{
    memset(c, 0, sizeof *c);
#if WITH_TSAN
    c->tsan_fiber = __tsan_get_current_fiber();
#endif
}

/* The one place from which every stack is left and at which every stack goes on, so that the
 * processor, which predicts returns from the order of calls, is right about this one and those
 * above it although the stack has changed between. */
__attribute__((noinline)) static void change(struct context *from, struct context *to, bool last)
{
    announce(from, to, last);
    switch_context(from, to);
    confirm(from);
}

void switch_to(struct context *from, struct context *to)
{
    change(from, to, false);
}

_Noreturn void switch_to_last(struct context *from, struct context *to)
{
    change(from, to, true);
    __builtin_unreachable();
}

void switch_release(struct context *c)
{
    (void)c;
#if WITH_TSAN
    __tsan_destroy_fiber(c->tsan_fiber);
#endif
}
