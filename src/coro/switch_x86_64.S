/*
 * switch_x86_64.S: the System V ABI's callee-saved state, saved on the stack that is left and taken
 * from the one that is entered: rbx, rbp, r12 to r15, and the control bits of SSE and x87.
 *
 * Loading a control word that differs costs the processor some 30 ns, and the SSE word differs in
 * its sticky status bits all the time, which the ABI does not ask to keep. So control words are
 * compared, without those bits, and loaded only where two coroutines really round differently.
 *
 * It ends in a plain return, which the processor predicts well because all calls come from one
 * place: see change() in switch.c. The object carries no CET note, so nothing linked with it gets a
 * shadow stack.
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
    movl    (%rsp), %eax
    movzwl  4(%rsp), %edx

    movq    %rsi, %rsp
    xorl    (%rsp), %eax
    testl   $0xffc0, %eax
    jne     2f
1:  cmpw    4(%rsp), %dx
    jne     4f
3:  addq    $8, %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbx
    popq    %rbp
    ret
2:  ldmxcsr (%rsp)
    jmp     1b
4:  fldcw   4(%rsp)
    jmp     3b
    .cfi_endproc
    .size   switch_machine, .-switch_machine

    .globl  switch_machine_entry
    .hidden switch_machine_entry
    .type   switch_machine_entry, @function
    .p2align 4
/* The first thing on a fresh stack: r12 is the argument, r13 the function. Nothing is above it, and
 * the unwinders are told so. */
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
