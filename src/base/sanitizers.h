/*
 * sanitizers.h: which sanitizer this is built with. gcc and clang say it in different words; here
 * it is said once: WITH_ASAN and WITH_TSAN are 0 or 1.
 */
#pragma once

#if defined(__has_feature)
#    define SANITIZER_FEATURE(name) __has_feature(name)
#else
#    define SANITIZER_FEATURE(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || SANITIZER_FEATURE(address_sanitizer)
#    define WITH_ASAN 1
#else
#    define WITH_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || SANITIZER_FEATURE(thread_sanitizer)
#    define WITH_TSAN 1
#else
#    define WITH_TSAN 0
#endif

/* Those whose shadow memory takes terabytes of addresses. */
#if WITH_ASAN || WITH_TSAN
#    define WITH_SHADOW 1
#else
#    define WITH_SHADOW 0
#endif
