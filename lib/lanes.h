/* Which kv heads of a layer keep the same tokens.
 *
 * SPDX-License-Identifier: MIT
 *
 * A lane is the kv heads of a layer whose sinks and window are equal: they share spans and tables of tiles. Most layers
 * are one lane. What the library calls a sai_layer is one lane; only what the host sees, its tensors and the numbers of
 * its layers and heads, knows that several may stand side by side.
 */
#ifndef SAI_LANES_H
#define SAI_LANES_H

#include "../include/sinkattn.h"

/* More are refused: jobs of a batch are counted in 32 bits, and every lane is a job. */
enum { SAI_MOST_LANES = 256 };

/* The lanes of a layer, in the order of their first kv heads. */
typedef struct sai_lanes {
    int32_t n; /* SAI_MOST_LANES + 1: too many */
    int32_t heads[SAI_MOST_LANES];
} sai_lanes;

/* Of a layer's config, whose numbers of heads, sinks and window are checked and complete. */
sai_lanes sai_lanes_of(const sa_config *layer);

/* The config of one lane: that of a layer of these heads alone. Arrays of the layer's heads stay the layer's. */
sa_config sai_lanes_config(const sa_config *layer, const sai_lanes *lanes, int32_t lane);

/* Lists the kv heads of a lane in rising order. */
void sai_lanes_heads(const sa_config *layer, const sai_lanes *lanes, int32_t lane, int32_t *heads);

#endif
