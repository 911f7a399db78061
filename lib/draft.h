/* Drafts of a sequence: checked, drafted, accepted.
 *
 * SPDX-License-Identifier: MIT
 *
 * A draft lies beside the sequence: spans know nothing of it. A node whose depth is d stands at position seen + d. What
 * it sees follows from the spans as they would be had its path been appended, which sai_sight_extend says; the bytes
 * that it reads are put together by gather.c.
 */
#ifndef SAI_DRAFT_H
#define SAI_DRAFT_H

#include "error.h"
#include "plan.h"

static inline int sai_draft_is_open(const sai_state *s) { return s->nodes && s->nodes->n > 0; }

/* Whether call->n nodes may be drafted with these parents; writes parents and depths behind the nodes that there are,
 * where they mean nothing yet. */
sai_error sai_draft_check(const sai_state *s, const int32_t *parents, sai_call *call);

/* Whether call->n nodes from number `node` on are there, for queries alone. */
sai_error sai_draft_check_queries(const sai_state *s, int64_t node, sai_call *call);

/* Takes the tiles for the nodes of a call. */
void sai_draft_step(const sai_state *s, const sai_call *call);

/* Whether n nodes are a path from the stream's newest token on, and have room in the stream. */
sai_error sai_draft_check_path(const sai_state *s, int32_t n, const int32_t *path);

/* Makes them the newest tokens of the stream, and drops all other nodes. */
void sai_draft_accept(const sai_state *s, int32_t n, const int32_t *path);

#endif
