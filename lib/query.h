/* A unit's queries: read from the host, and rotated when they enter a part of the keys.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_QUERY_H
#define SAI_QUERY_H

#include "plan.h"

/* Reads the queries of a unit's rows into scratch->raw. */
void sai_query_load(const sai_unit *unit, const sai_scratch *scratch);

/* Queries as a part's keys want them: rotated to their place, packed for integer keys. */
typedef struct sai_query {
    const float *q;
    size_t stride; /* floats from a row to the next */
} sai_query;
sai_query sai_query_enter(const sai_unit *unit, const sai_part *part, const sai_scratch *scratch);

#endif
