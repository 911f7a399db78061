/* Undoes the parameters of a vector layer and of a pass over the kernels, so that the next one may set its own.
 *
 * SPDX-License-Identifier: MIT
 */
#undef V_INT_ROWS
#undef V_INT_GROUPS
#undef V_INT_CASES
#undef V_INT_TILES
#undef V_INT_STRIP
#undef V_AT_ONCE
#undef V_TILES
#undef V_BLOCKS
#undef V_ROWS
#undef V_MANY
#undef V_WIDENS
#undef V_MOST_TILES
#undef V_CASES
#undef V_UNROLL
#undef V_UNROLL_STEPS
#undef V_INLINE
#undef V_HAVE_VNNI
#undef V_HAVE_DOT
#undef V_HAVE_BYTE_PRODUCTS
#undef V_FMA_LANE
#undef V_FMA_PART
#undef V_FMA_QUARTER
#undef V_PART_LANES
#undef SAI_SUFFIX
#undef SAI_BASE
#undef SAI_ISA
