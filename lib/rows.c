/* Rows of the host: keys and values that are no tokens, and that every query sees.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "rows.h"

#include <math.h>
#include <string.h>

#include "bytes.h"
#include "kernels/kernel.h"
#include "store.h"

sai_row_facts *sai_rows_facts(const sa_pool *pool, const sai_layer *l, int32_t kv_head) {
    return (sai_row_facts *)sai_at(pool, l->rows.beside_at + (size_t)kv_head * l->rows.beside_head);
}

/* The facts of a slot's tile, of a kv head's run of the tiles. */
static sai_row_facts *rows_facts_at(const sa_pool *pool, const sai_layer *l, const sai_run *run, int32_t kv_head,
                                    uint64_t slot) {
    return sai_rows_facts(pool, l, kv_head) + sai_run_tile(run, slot / 16);
}

const sai_row_facts *sai_rows_in(const sa_pool *pool, const sai_layer *l, const sai_tiles *t, int32_t kv_head,
                                 uint64_t slot) {
    if (slot >= (uint64_t)l->n_rows || slot / 16 >= t->table->n) return NULL;
    sai_run run = sai_run_of(t->block, t->arena, kv_head, sai_tiles_map(t, 0), 0);
    const sai_row_facts *facts = rows_facts_at(pool, l, &run, kv_head, slot);
    int is_there = facts->bias[SAI_ROWS_IN_FRONT][slot % 16] > -INFINITY ||
                   facts->bias[SAI_ROWS_AT_DISTANCE][slot % 16] > -INFINITY;
    return is_there ? facts : NULL;
}

uint64_t sai_rows_end(const sai_rows *rows) {
    uint64_t a = rows->used[SAI_ROWS_IN_FRONT].end, b = rows->used[SAI_ROWS_AT_DISTANCE].end;
    return a > b ? a : b;
}

void sai_rows_biases(const sai_row_facts *facts, int kind, float slope, int64_t query_place, float *biases) {
    memcpy(biases, facts->bias[kind], sizeof facts->bias[kind]);
    if (slope == 0) return;
    for (int i = 0; i < 16; i++) biases[i] -= slope * (float)(query_place - facts->place[i]);
}

/* --------------------------------- writing -------------------------------- */

/* Who writes rows: its scratch, and the place that its rotation is of. */
typedef struct rows_writer {
    const sa_pool *pool;
    const sai_layer *layer;
    const sai_kernels *kernels;
    sai_scratch scratch;
    int64_t place;
    int rotates, is_ready;
} rows_writer;

static rows_writer rows_writer_of(const sa_pool *pool, const sai_layer *l) {
    rows_writer w = {pool, l, sai_kernels_of(pool->isa), sai_scratch_of(pool, l, 0), 0, 0, 0};
    w.rotates = l->position == SA_POSITION_ROPE && l->rope.pairs;
    return w;
}

/* Neighbours often stand at one place, and a rotation takes longer than all else. */
static void rows_turn_to(rows_writer *w, int64_t place) {
    const uint64_t *frequencies = (const uint64_t *)sai_at(w->pool, w->layer->frequencies_at);
    if (!w->rotates || (w->is_ready && w->place == place)) return;
    w->kernels->rope_row(&w->layer->rope, frequencies, (uint64_t)place, w->scratch.rotation);
    w->place = place;
    w->is_ready = 1;
}

/* Writes a key and a value that lie in the scratch to a slot. */
static void rows_store(const rows_writer *w, const sai_run *run, uint64_t slot) {
    int lane = (int)(slot % 16);
    sai_store_key(w->kernels, run->k_dtype, (char *)(uintptr_t)sai_run_key(run, slot), lane, w->layer->dk,
                  w->scratch.q);
    sai_store_value(w->kernels, run->v_dtype, (char *)(uintptr_t)sai_run_value(run, slot), lane, w->layer->dv,
                    w->scratch.chain);
}

/* Row i of the host's tensors, rotated to its place. */
static void rows_write(rows_writer *w, const sai_run *run, uint64_t slot, const char *k, int32_t k_dtype, const char *v,
                       int32_t v_dtype, int64_t place) {
    w->kernels->load[k_dtype](k, w->layer->dk, w->scratch.q);
    rows_turn_to(w, place);
    if (w->rotates) w->kernels->rope_rotate(&w->layer->rope, w->scratch.rotation, w->scratch.q);
    w->kernels->load[v_dtype](v, w->layer->dv, w->scratch.chain);
    rows_store(w, run, slot);
}

/* A hidden row weighs 0, but 0 times its value must be 0 as well. */
static void rows_write_nothing(const rows_writer *w, const sai_run *run, uint64_t slot) {
    memset(w->scratch.q, 0, (size_t)w->layer->dk * sizeof(float));
    memset(w->scratch.chain, 0, (size_t)w->layer->dv * sizeof(float));
    rows_store(w, run, slot);
}

/* ---------------------------------- tiles --------------------------------- */

/* Tiles that came new hold whatever was in them: no row is there. */
static void rows_clear(const rows_writer *w, const sai_tiles *t, uint64_t number) {
    for (int32_t h = 0; h < w->layer->n_kv_heads; h++) {
        sai_run run = sai_run_of(t->block, t->arena, h, sai_tiles_map(t, 0), 0);
        sai_row_facts *facts = rows_facts_at(w->pool, w->layer, &run, h, 16 * number);
        memset((char *)(uintptr_t)sai_run_key(&run, 16 * number), 0, run.k_tile);
        memset((char *)(uintptr_t)sai_run_value(&run, 16 * number), 0, run.v_tile);
        memset(facts, 0, sizeof *facts);
        for (int i = 0; i < 16; i++)
            facts->bias[SAI_ROWS_IN_FRONT][i] = facts->bias[SAI_ROWS_AT_DISTANCE][i] = -INFINITY;
    }
}

/* Makes the tiles of slots [from, end) the sequence's own, and those before them that it does not have yet. */
static void rows_own(const rows_writer *w, const sai_tiles *t, uint64_t from, uint64_t end) {
    uint64_t had = t->table->n;
    sai_tiles_own(t, from < 16 * had ? from : 16 * had, end);
    for (uint64_t number = had; number < t->table->n; number++) rows_clear(w, t, number);
}

/* ----------------------------------- used --------------------------------- */

static int rows_is_used(const rows_writer *w, const sai_tiles *t, int kind, uint64_t slot) {
    for (int32_t h = 0; h < w->layer->n_kv_heads; h++) {
        sai_run run = sai_run_of(t->block, t->arena, h, sai_tiles_map(t, 0), 0);
        if (rows_facts_at(w->pool, w->layer, &run, h, slot)->bias[kind][slot % 16] > -INFINITY) return 1;
    }
    return 0;
}

/* Slots [from, end) may have come to be used, or no longer. */
static void rows_note(const rows_writer *w, const sai_tiles *t, int kind, uint64_t from, uint64_t end,
                      sai_range *used) {
    int empty = used->from >= used->end;
    if (empty || from < used->from) used->from = from;
    if (empty || end > used->end) used->end = end;
    while (used->from < used->end && !rows_is_used(w, t, kind, used->from)) used->from++;
    while (used->from < used->end && !rows_is_used(w, t, kind, used->end - 1)) used->end--;
    if (used->from >= used->end) used->from = used->end = 0;
}

/* ---------------------------------- setting ------------------------------- */

/* Row i of what is given, of one kv head, which is number `given` of those. */
static void rows_set_one(rows_writer *w, const sai_run *run, int32_t h, int32_t given, const sai_rows_given *g,
                         int32_t i) {
    uint64_t slot = (uint64_t)g->first + (uint64_t)i;
    size_t at = (size_t)i * (size_t)g->heads.n + (size_t)given;
    int64_t place = g->places ? g->places[at] : 0;
    float bias = g->biases ? g->biases[at] : 0;
    sai_row_facts *facts = rows_facts_at(w->pool, w->layer, run, h, slot);
    if (g->kind == SAI_ROWS_AT_DISTANCE) place = -place;
    if (!g->k.data) bias = -INFINITY;
    if (bias == -INFINITY) place = 0; /* a row that is not there says nothing, in a snapshot neither */
    facts->bias[g->kind][slot % 16] = bias;
    facts->bias[!g->kind][slot % 16] = -INFINITY;
    facts->place[slot % 16] = place;
    if (bias > -INFINITY)
        rows_write(w, run, slot, sai_row_at(&g->k, i, given), g->k.dtype, sai_row_at(&g->v, i, given), g->v.dtype,
                   place);
    else
        rows_write_nothing(w, run, slot);
}

void sai_rows_set(const sa_pool *pool, const sai_layer *l, const sai_tiles *t, sai_rows *rows,
                  const sai_rows_given *g) {
    rows_writer w = rows_writer_of(pool, l);
    uint64_t first = (uint64_t)g->first, end = first + (uint64_t)g->n;
    /* What was never set need not be taken away. */
    if (!g->k.data && end > 16 * (uint64_t)t->table->n) end = 16 * (uint64_t)t->table->n;
    if (first >= end || !sai_lane_has(pool, l, g->heads)) return;
    rows_own(&w, t, first, end);
    for (int32_t i = 0; (uint64_t)i < end - first; i++)
        for (int32_t h = 0; h < l->n_kv_heads; h++) {
            sai_run run = sai_run_of(t->block, t->arena, h, sai_tiles_map(t, 0), 0);
            int32_t given = sai_head_among(pool, l, h, g->heads);
            if (given >= 0) rows_set_one(&w, &run, h, given, g, i);
        }
    for (int kind = 0; kind < SAI_ROW_KINDS; kind++) rows_note(&w, t, kind, first, end, &rows->used[kind]);
}

/* Goes on with a digest of what lies in the scratch. Of numbers as the host gave them: what is stored may differ
 * in a bit from one instruction set to another. */
static uint64_t rows_digest(uint64_t so_far, const float *numbers, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &numbers[i], sizeof bits);
        so_far = sai_sum_step(so_far, bits);
    }
    return so_far;
}

void sai_rows_learn(const sa_pool *pool, sai_layer *l, const sai_view *k, const sai_view *v) {
    rows_writer w = rows_writer_of(pool, l);
    const uint32_t *map = (const uint32_t *)sai_at(pool, l->learned_map_at);
    uint64_t digest = 0;
    for (int32_t r = 0; r < l->n_sink_kv; r++)
        for (int32_t h = 0; h < l->n_kv_heads; h++) {
            sai_run run = sai_run_of(sai_block_of(pool), &l->learned, h, map, 0);
            int64_t place = l->sink_kv_position == SA_SINK_KV_BEFORE ? (int64_t)r - l->n_sink_kv : 0;
            int32_t host_head = sai_host_head(pool, l, h);
            w.kernels->load[k->dtype](sai_row_at(k, r, host_head), l->dk, w.scratch.q);
            digest = rows_digest(digest, w.scratch.q, l->dk);
            rows_write(&w, &run, (uint64_t)r, sai_row_at(k, r, host_head), k->dtype, sai_row_at(v, r, host_head),
                       v->dtype, place);
            digest = rows_digest(digest, w.scratch.chain, l->dv);
        }
    l->learned_digest = digest ? digest : 1;
    l->sink_kv_ready = 1;
}
