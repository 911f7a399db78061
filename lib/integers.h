/* Which dtypes are integers, and queries for keys of those.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_INTEGERS_H
#define SAI_INTEGERS_H

#include <stddef.h>
#include <stdint.h>

#include "../include/sinkattn.h"

static inline int sai_is_integer(int32_t dtype) { return dtype == SA_I8 || dtype == SA_I4; }

/* Packs a turned query for keys of an integer dtype: sai_query_words(dims) words. */
void sai_pack_query(int32_t dtype, const float *x, int dims, int32_t *packed);

#endif
