/*
 * switch_aarch64.S: what AAPCS64 says a call preserves, saved on the stack that is left and taken
 * from the one that is entered: x19 to x30, d8 to d15, and the floating-point control register.
 *
 * It ends in a plain return: see change() in switch.c. The object carries no BTI or GCS note.
 */
#if defined(__aarch64__)

    .text
    .globl  switch_machine
    .hidden switch_machine
    .type   switch_machine, %function
    .p2align 4
/* void switch_machine(void **from, void *to) */
switch_machine:
    .cfi_startproc
    sub     sp, sp, #176
    stp     x19, x20, [sp, #0]
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    stp     d8,  d9,  [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    mrs     x9, fpcr
    str     x9, [sp, #160]
    mov     x9, sp
    str     x9, [x0]

    mov     sp, x1
    ldr     x9, [sp, #160]
    msr     fpcr, x9
    ldp     x19, x20, [sp, #0]
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    ldp     d8,  d9,  [sp, #96]
    ldp     d10, d11, [sp, #112]
    ldp     d12, d13, [sp, #128]
    ldp     d14, d15, [sp, #144]
    add     sp, sp, #176
    ret
    .cfi_endproc
    .size   switch_machine, .-switch_machine

    .globl  switch_machine_entry
    .hidden switch_machine_entry
    .type   switch_machine_entry, %function
    .p2align 4
/* The first thing on a fresh stack: x19 is the argument, x20 the function. */
switch_machine_entry:
    .cfi_startproc
    .cfi_undefined x30
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x19
    blr     x20
    brk     #1
    .cfi_endproc
    .size   switch_machine_entry, .-switch_machine_entry

#endif
    .section .note.GNU-stack, "", %progbits
