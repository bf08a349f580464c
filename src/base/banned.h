/*
 * banned.h: makes unsafe functions not compile. The build includes it before every C file.
 *
 * It declares them before the C library's headers do, and says that they are not to be had; the
 * compiler then gives the reason to whoever uses one. (Macros, as git has them, would need those
 * headers first, and so bring all their names into every file.) tools/tidy bans more: what is fine
 * in one folder and wrong in another, and alloca, which the headers make a macro.
 */
#pragma once

#ifndef __ASSEMBLER__

#    define BANNED(because) __attribute__((unavailable(because)))

char *strcpy(char *to, const char *from) BANNED("it does not know where its buffer ends");
char *strcat(char *to, const char *from) BANNED("it does not know where its buffer ends");
int sprintf(char *to, const char *format, ...) BANNED("it does not know where its buffer ends");
int vsprintf(char *to, const char *format, __builtin_va_list arguments)
    BANNED("it does not know where its buffer ends");
char *gets(char *to) BANNED("it does not know where its buffer ends");
char *strtok(char *text, const char *separators) BANNED("it keeps its place in a global");
int atoi(const char *text) BANNED("it cannot say that the text was no number");
long atol(const char *text) BANNED("it cannot say that the text was no number");
int rand(void) BANNED("it is a global that no seed of ours decides");
void srand(unsigned seed) BANNED("it is a global that no seed of ours decides");
void (*signal(int number, void (*handler)(int)))(int)
    BANNED("what it does differs between systems");

#    undef BANNED

#endif
