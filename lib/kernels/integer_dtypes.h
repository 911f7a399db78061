/* The kernels of both stored integer dtypes, named K_I8 and K_I4, with the products K_DOT.
 *
 * SPDX-License-Identifier: MIT
 */
#define K_DTYPE K_I8
#define K_UNIT 4
#define K_ROW 32
#define K_OFFSET 128
#define K_BYTES(p, part) v_bytes(p)
#define K_VALUES(p, half) v_bytes((p) + 64 * (half))
#include "integers.h"

#define K_DTYPE K_I4
#define K_UNIT 8
#define K_ROW 16
#define K_OFFSET 8
#define K_BYTES(p, part) v_nibbles(p, part)
#define K_VALUES(p, half) v_nibbles(p, half)
#include "integers.h"

#undef K_I8
#undef K_I4
#undef K_DOT
