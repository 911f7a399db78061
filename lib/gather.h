/* The keys of a node's path, put where they would lie had they been appended.
 *
 * SPDX-License-Identifier: MIT
 *
 * From the tile of the stream's newest token on, each node sees keys of its own. They are gathered in tiles of the
 * worker, so that kernels see the same keys in the same lanes, and so compute the same bits, as after an append.
 */
#ifndef SAI_GATHER_H
#define SAI_GATHER_H

#include "plan.h"

/* Begins with a part whose tail differs from node to node: *run receives its tiles from part->tail on. */
void sai_gather_begin(const sai_unit *unit, const sai_part *part, const sai_scratch *scratch, sai_run *run);

/* Puts the path of a node of the draft there, as far as it is not there yet. */
void sai_gather_path(const sai_unit *unit, const sai_part *part, int32_t node, const sai_scratch *scratch,
                     const sai_run *run);

#endif
