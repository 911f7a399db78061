/* A part of the keys as the rows of a unit go through it: what each of them sees, and from where.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_WAY_H
#define SAI_WAY_H

#include "panel.h"
#include "plan.h"

/* A part as a unit's rows go through it. */
typedef struct sai_way {
    const sai_unit *unit;
    const sai_part *part;
    sai_panel panel;
    sai_run path;                /* of nodes of a draft: the tiles from the part's tail on */
    sai_range all;               /* what some row sees of it */
    sai_range seen[SAI_PANEL];   /* what each row sees of it, */
    sai_range within[SAI_PANEL]; /* and of the positions that are processed now */
    float slopes[SAI_PANEL];     /* ALiBi: and where its query stands */
    int64_t places[SAI_PANEL];
} sai_way;

/* Enters a part: looks what the rows see of it, and makes the panel ready, their queries rotated to it, unless none of
 * them sees anything: then way->all is empty. The rows' queries are in the scratch (sai_query_load). */
void sai_way_enter(sai_way *way, const sai_unit *unit, const sai_part *part, const sai_scratch *scratch);

/* Cuts what the rows see down to some positions of the part; returns what some row sees of these. */
sai_range sai_way_cut(sai_way *way, sai_range to);

#endif
