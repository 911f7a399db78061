/*
 * What the tests of the kernels share: memory between pages that cannot be touched, awkward numbers, stored elements,
 * and the tables that this processor can run.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_KERNELS_H
#define SA_TESTS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "../lib/kernels/kernel.h"
#include "support.h"

/* ---------------------------------- fences ---------------------------------- */

/* Memory of one argument of a kernel, in a slot that is used again and again. It begins right behind a page that cannot
 * be touched, or ends right before one; the bytes around it, and those that are not filled, are NaN or signalling NaN
 * in one of the element types. Where there are no pages to protect, the bytes around it are all there is. */
enum { FENCES = 12 };

void *fence_place(int slot, test_rng *rng, size_t size);

/* Makes the slot's memory one that can only be read, until it is placed again. */
void fence_lock(int slot);

/* 1 if no byte has changed since fence_place but those of rows [i * stride, i * stride + row), i < rows. */
int fence_intact(int slot, size_t row, size_t stride, size_t rows);

/* Calls call(context). Returns 0 if that touched a page beyond a fence or wrote to a locked slot. */
int fence_run(void (*call)(void *context), void *context);

/* A copy of rows of `row` bytes, which lie side by side, into a slot: `stride` bytes apart, nothing behind the last. */
void *fence_rows(int slot, test_rng *rng, const void *from, size_t row, size_t stride, size_t rows);

/* The same without contents, for results: rows that nobody has written. */
void *fence_result(int slot, test_rng *rng, size_t row, size_t stride, size_t rows);

/* ---------------------------------- numbers --------------------------------- */

enum { NUMBERS_NORMAL, NUMBERS_EQUAL, NUMBERS_HUGE, NUMBERS_ZERO, NUMBERS_DENORMAL, NUMBERS_INF, NUMBERS_NAN };
#define NUMBER_KINDS 7

/* Mostly normal numbers, sometimes one of the others. */
int numbers_kind(test_rng *rng);

/* n elements of SA_F32, SA_F16 or SA_BF16. */
void numbers_fill(test_rng *rng, int kind, int dtype, void *to, size_t n);

/* Element i of an array of such a dtype, as a float. */
float numbers_at(int dtype, const void *from, size_t i);

/* Equal bits, or both NaN: which NaN it is differs between processors. */
int numbers_same(float a, float b);

/* ---------------------------------- tables ---------------------------------- */

/* The next table after *isa that this processor can run, NULL behind the last; *isa begins with 0. */
const sai_kernels *kernels_next(int32_t *isa);

/* Whether the table's bits are those of plain C with fmaf; else they are those of multiply, then add. */
int kernels_fuse(const sai_kernels *table);

/* The plain table whose bits a table has. */
const sai_kernels *kernels_plain(const sai_kernels *table);

/* A result (rows, n) with a stride in floats, against plain C's (rows, n), whose bits it must have, and against double,
 * which it may be off by `bounds`; where a bound is not finite, only plain C counts. Returns the first element that is
 * wrong, -1 if none is. */
typedef struct kernel_result {
    const float *got;
    size_t stride;
    int rows, n;
    const float *plain;
    const double *truth, *bounds;
} kernel_result;

int64_t kernels_first_wrong(const kernel_result *result);

#endif
