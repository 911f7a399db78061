/*
 * The one comparator of the tests: a NaN, an infinity where none belongs or of the wrong sign, a result that
 * was never written and a result of the wrong size are failures, whatever the bound is.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_COMPARE_H
#define SA_TESTS_COMPARE_H

#include <stddef.h>
#include <stdint.h>

/* Fills a result before the call that is to write it: a NaN in every element type that the library has, so what the
 * call leaves out cannot pass for a number. */
#define COMPARE_CANARY 0xFF
void compare_forget(void *result, size_t size);

/* The difference of two numbers, never NaN: 0 if both are the same infinity, and infinity if either is NaN or only one
 * is infinite, or if they are infinities of different sign. */
double compare_difference(double got, double expected);

/* The greater of two differences; one that is NaN counts as infinity, and so is never lost. */
double compare_greater(double difference, double other);

/* The greatest difference of many pairs of numbers. */
typedef struct comparison {
    int64_t count;        /* pairs compared */
    int64_t at;           /* the pair that differs most; -1: none compared */
    double difference;    /* of that pair, less its allowance; never NaN */
    double got, expected; /* that pair */
} comparison;

comparison compare_begin(void);

/* One more pair. `allowance` is taken off its difference: what a rounding of the result may add. */
void compare_add(comparison *c, double got, double expected, double allowance);

/* All pairs of two arrays. */
comparison compare_floats(const float *got, const float *expected, int64_t count);

/* 1 if exactly `count` > 0 pairs were compared and none differs by more than the bound. A bound that is NaN or infinite
 * holds for nothing. */
int compare_holds(const comparison *c, int64_t count, double bound);

/* For results that must have equal bits: the first element that differs or is NaN in either; where the lengths differ,
 * the first that one of them lacks; -1 if all is well. Equal infinities of one sign are equal. */
int64_t compare_bits(const float *got, int64_t n_got, const float *expected, int64_t n_expected);

/* The first element that is not a finite number, -1 if there is none. */
int64_t compare_finite(const float *got, int64_t count);

#endif
