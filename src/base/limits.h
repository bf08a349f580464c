/*
 * limits.h: the bounds that are compiled in and concern more than one file. What a user may set is
 * not here but in the options of the thing it bounds; what one file alone knows stands in that
 * file.
 */
#pragma once

/* A JSON text that is read, in bytes, unless its reader sets a smaller bound. */
#define JSON_TEXT_MAX  (64 * 1024 * 1024)
/* How deep arrays and objects may stand in each other: code that walks a value recurses. */
#define JSON_DEPTH_MAX 128

/* A problem document, in bytes: it is read from strangers, and is short by nature. */
#define PROBLEM_TEXT_MAX (64 * 1024)
