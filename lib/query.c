/* A unit's queries: read from the host, and rotated when they enter a part of the keys.
 *
 * SPDX-License-Identifier: MIT
 *
 * Keys were rotated once, when they were appended, at their position in the stream. Where a query is nearer to a span's
 * keys than in the stream, it is the query that is rotated to another place, once per span.
 */
#include "exact.h"

#include "query.h"

#include <string.h>

#include "integers.h"
#include "kernels/compiler.h"
#include "kernels/integer_tiles.h"

/* The host's rows lie far apart, so no processor prefetches the next one by itself: done this many rows ahead. */
enum { QUERY_AHEAD = 8 };

static const char *query_row(const sai_unit *u, int32_t i) {
    const sai_call *call = &u->job->call;
    return sai_row_at(&call->q, call->from + sai_row_token(u->job, u->row + i), sai_row_head(u, u->row + i));
}

void sai_query_load(const sai_unit *u, const sai_scratch *s) {
    const sai_layer *l = u->job->state.layer;
    int32_t dtype = u->job->call.q.dtype;
    for (int32_t i = 0; i < u->n; i++) {
        if (i + QUERY_AHEAD < u->n)
            sai_prefetch_lines(query_row(u, i + QUERY_AHEAD), (size_t)l->dk * sai_dtype_size(dtype));
        u->job->kernels->load[dtype](query_row(u, i), l->dk, s->raw + (size_t)i * (size_t)l->dk);
    }
}

/* The rotation of a token's queries for a part. */
static const float *query_rotation(const sai_unit *u, const sai_part *part, int32_t token, const sai_scratch *s) {
    const sai_job *job = u->job;
    const sai_layer *l = job->state.layer;
    if (part->row >= 0)
        return sai_rotation(job->state.pool, part->row + (int64_t)sai_token_step(job, token) * part->row_step);
    sai_place at = sai_token_place(job, token);
    uint64_t place = sai_part_place(job, part, at);
    if (l->position == SA_POSITION_ROPE_APPLIED) place -= at.t;
    job->kernels->rope_row(&l->rope, (const uint64_t *)sai_at(job->state.pool, l->frequencies_at), place, s->rotation);
    return s->rotation;
}

static void query_rotate(const sai_unit *u, const sai_part *part, const sai_scratch *s) {
    const sai_layer *l = u->job->state.layer;
    const float *rotation = NULL;
    int32_t token = -1;
    size_t dk = (size_t)l->dk;
    for (int32_t i = 0; i < u->n; i++) {
        if (sai_row_token(u->job, u->row + i) != token) {
            token = sai_row_token(u->job, u->row + i);
            rotation = query_rotation(u, part, token, s);
        }
        memcpy(s->q + (size_t)i * dk, s->raw + (size_t)i * dk, dk * sizeof(float));
        u->job->kernels->rope_rotate(&l->rope, rotation, s->q + (size_t)i * dk);
    }
}

static void query_pack(const sai_unit *u, int32_t k_dtype, const float *q, const sai_scratch *s) {
    int32_t dk = u->job->state.layer->dk, most = u->job->state.layer->query_most;
    for (int32_t i = 0; i < u->n; i++) {
        memcpy(s->hadamard, q + (size_t)i * (size_t)dk, (size_t)dk * sizeof *q);
        u->job->kernels->hadamard(s->hadamard, dk, 1);
        u->job->kernels->pack_query(s->hadamard, dk, sai_offset(k_dtype), most,
                                    (int32_t *)(void *)(s->packed + (size_t)i * sai_query_words(dk)));
    }
}

sai_query sai_query_enter(const sai_unit *u, const sai_part *part, const sai_scratch *s) {
    int32_t dk = u->job->state.layer->dk;
    int rotates = part->row != SAI_ROW_NONE;
    sai_query query = {rotates ? s->q : s->raw, (size_t)dk};
    if (rotates) query_rotate(u, part, s);
    if (!sai_is_integer(part->arena->k_dtype)) return query;
    query_pack(u, part->arena->k_dtype, query.q, s);
    query.q = s->packed;
    query.stride = sai_query_words(dk);
    return query;
}
