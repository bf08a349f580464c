/*
 * environment.h: the arguments and the environment a child is given; pure, for the worlds.
 */
#pragma once

/* The strings of `base`, but for those whose name one of `add` has, and then those of `add`; both
 * end with NULL, and NULL is none. An array that ends with NULL, whose strings are theirs still,
 * and which you free with mem_free; NULL: no memory. */
const char **environment_merge(const char *const *base, const char *const *add)
    __attribute__((warn_unused_result));
/* The strings of `argv`, the first one being `title`; NULL: as it is. Likewise yours to free. */
const char **arguments_titled(const char *const *argv, const char *title)
    __attribute__((warn_unused_result));
