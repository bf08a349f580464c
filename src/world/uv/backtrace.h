/*
 * backtrace.h: where a thread is, as a line of text.
 *
 * Frame pointers are followed, which the build keeps in every function of ours; one function of a
 * library without them may be missing from the line. Nothing is read but through the kernel, which
 * refuses bad addresses instead of faulting, so a stack in any state may be walked.
 */
#pragma once

#include <stddef.h>

#define BACKTRACE_MAX 48

/* From a signal handler: the code addresses of the context that was interrupted, the innermost
 * first. Returns how many. */
int backtrace_capture(const void *ucontext, void *frames[BACKTRACE_MAX]);

/* "burn+0x1c < handle+0x33 < libfoo.so+0x1234": a name where the executable exports it, otherwise
 * an offset into the file for addr2line. What does not fit is cut. Not from a signal handler. */
void backtrace_print(void *const *frames, int count, char *text, size_t size);
