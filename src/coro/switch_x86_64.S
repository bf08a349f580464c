/*
 * switch_x86_64.S: the System V ABI's callee-saved state, saved on the stack that is left and taken from the one that is
 * entered: rbx, rbp, r12 to r15, the SSE control and status word and the x87 control word.
 *
 * The end jumps instead of returning: the processor's return predictor expects the other stack's caller and would be
 * wrong every time. The object carries no CET note, so nothing linked with it gets a shadow stack.
 */
#if defined(__x86_64__)

    .text
    .globl  switch_machine
    .hidden switch_machine
    .type   switch_machine, @function
    .p2align 4
/* void switch_machine(void **from, void *to) */
switch_machine:
    .cfi_startproc
    pushq   %rbp
    pushq   %rbx
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    subq    $8, %rsp
    stmxcsr (%rsp)
    fnstcw  4(%rsp)
    movq    %rsp, (%rdi)

    movq    %rsi, %rsp
    ldmxcsr (%rsp)
    fldcw   4(%rsp)
    addq    $8, %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbx
    popq    %rbp
    popq    %rcx
    jmpq    *%rcx
    .cfi_endproc
    .size   switch_machine, .-switch_machine

    .globl  switch_machine_entry
    .hidden switch_machine_entry
    .type   switch_machine_entry, @function
    .p2align 4
/* The first thing on a fresh stack: r12 is the argument, r13 the function. Nothing is above it, and the unwinders
 * are told so. */
switch_machine_entry:
    .cfi_startproc
    .cfi_undefined rip
    xorl    %ebp, %ebp
    movq    %r12, %rdi
    callq   *%r13
    ud2
    .cfi_endproc
    .size   switch_machine_entry, .-switch_machine_entry

#endif
    .section .note.GNU-stack, "", %progbits
