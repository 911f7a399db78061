/* Keys, values and queries as integers with a scale per group of 32 dims.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_INTEGERS_H
#define SAI_INTEGERS_H

#include <stddef.h>
#include <stdint.h>

#include "../include/sinkattn.h"

static inline int sai_is_integer(int32_t dtype) { return dtype == SA_I8 || dtype == SA_I4; }

/* Turn a key and a query (dims) by a Hadamard matrix, block by block, so that their product stays: by 1 / sqrt(n)
 * each for a block of n = 4^i; else the key by sqrt(2 / n), the query by 1 / sqrt(2 n). Powers of two, so exact. */
void sai_hadamard_key(float *x, int dims);
void sai_hadamard_query(float *x, int dims);

/* Codes and scales of a row: codes[dims], scales[groups] (bfloat16). A group with a number that is not
 * finite has scale NaN. */
void sai_quantize(int32_t dtype, const float *x, int dims, int8_t *codes, uint16_t *scales);

/* Packs a turned query for keys of an integer dtype: sai_query_words(dims) words. */
void sai_pack_query(int32_t dtype, const float *x, int dims, int32_t *packed);

#endif
