/* Rotary position: frequencies as 64-bit fractions of a full rotation.
 *
 * SPDX-License-Identifier: MIT
 *
 * Su et al., "RoFormer", arXiv 2104.09864. A phase is position * frequency modulo 2^64, which is
 * modulo one full rotation, exactly; so position 10^12 is rotated as accurately as position 10.
 */
#ifndef SAI_ROPE_H
#define SAI_ROPE_H

#include <stddef.h>
#include <stdint.h>

#include "../include/sinkattn.h"

typedef struct sai_rope {
    int32_t pairs; /* rotary dims / 2; 0: no rotation */
    int32_t offset;
    int32_t interleaved;
    float factor; /* multiplies cos and sin: the attention factor */
} sai_rope;

/* The rotation of a checked config with its defaults filled in, and its table of frequencies. */
sai_rope sai_rope_of(const sa_config *config);
void sai_rope_frequencies(const sa_config *config, uint64_t *frequency);

#endif
