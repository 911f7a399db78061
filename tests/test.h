/*
 * A test harness in one page: counted checks, a printed seed, one last line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_TEST_H
#define SA_TESTS_TEST_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* More failures than this are counted, not printed: the first ones tell the story. */
#define TEST_SHOWN 25

static long test_passed;
static long test_failed;
static int test_is_quick; /* a share of the program's own count was asked for: on slow machines, of other work too */

/* The words are only made when the check fails. */
#define CHECK(condition, ...) ((condition) ? test_pass() : test_fail(__FILE__, __LINE__, #condition, __VA_ARGS__))

static inline int test_pass(void) {
    test_passed++;
    return 1;
}

#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
static inline int
test_fail(const char *file, int line, const char *what, const char *format, ...) {
    va_list arguments;
    test_failed++;
    if (test_failed <= TEST_SHOWN) {
        printf("%s:%d: FAILED %s: ", file, line, what);
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        printf("\n");
        fflush(stdout);
    }
    return 0;
}

/* Reads the optional arguments, a seed and a count, and prints what will be used. A count such as 10% is a share of the
 * program's own. */
static inline void test_begin(const char *name, int argc, char **argv, uint64_t *seed, long *count) {
    if (argc > 1) {
        *seed = strtoull(argv[1], NULL, 0);
    }
    if (argc > 2) {
        char *end;
        long given = strtol(argv[2], &end, 0);
        test_is_quick = *end == '%' && given < 100;
        *count = *end == '%' ? (*count * given + 99) / 100 : given;
    }
    printf("%s: seed %llu, count %ld\n", name, (unsigned long long)*seed, *count);
    fflush(stdout);
}

/* Prints the last line; returns what main should. */
static inline int test_end(void) {
    printf("%ld passed, %ld failed\n", test_passed, test_failed);
    return test_failed == 0 && test_passed > 0 ? 0 : 1;
}

#endif
