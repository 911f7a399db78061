/* Which dtypes are integers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_INTEGERS_H
#define SAI_INTEGERS_H

#include <stddef.h>
#include <stdint.h>

#include "../include/sinkattn.h"

static inline int sai_is_integer(int32_t dtype) { return dtype == SA_I8 || dtype == SA_I4; }

/* Codes are stored unsigned, with this added. */
static inline int sai_offset(int32_t dtype) { return dtype == SA_I8 ? 128 : 8; }

#endif
