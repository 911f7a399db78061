/* What each key weighs in a call's softmaxes: a second pass over the keys, when these are finished.
 *
 * SPDX-License-Identifier: MIT
 *
 * A unit is a kv head times a range of the list of keys, with all rows. So a key is one worker's, who adds the rows in
 * one order, whatever the ranges are: part by part (a key may be in two, where newest tokens are stored twice, and as a
 * row of the host), and row by row in each. The scores are those of the first pass, bit for bit.
 */
#include "exact.h"

#include "mass.h"

#include <math.h>
#include <string.h>

#include "query.h"
#include "store.h"
#include "way.h"

enum { MASS_LEAST = 512 }; /* keys of a range, since its queries are rotated for it again */

typedef struct mass_unit {
    const sai_job *job;
    int32_t kv_head, host_head;
    sai_range entries; /* of the list */
    const sai_scratch *scratch;
} mass_unit;

/* ---------------------------------- list ---------------------------------- */

static uint64_t mass_logits(const sai_layer *l) { return l->logits_at != 0; }

uint64_t sai_mass_front(const sai_layer *l) { return mass_logits(l) + (uint64_t)l->n_sink_kv + (uint64_t)l->n_rows; }

uint64_t sai_mass_most(const sai_layer *l) {
    return sai_mass_front(l) + l->rules.n_sink + 16 * sai_sequence_most_tiles(&l->rules, SAI_STORE_MAIN);
}

static uint64_t mass_entries(const sai_job *job) {
    return sai_mass_front(job->state.layer) + sai_tokens_held(job->state.spans);
}

/* The entry of a position that is held; or of a learned row or one of the host, of such a part. */
static uint64_t mass_entry(const sai_job *job, int32_t span, uint64_t position) {
    const sai_layer *l = job->state.layer;
    if (span >= 0) return sai_mass_front(l) + sai_tokens_below(job->state.spans, position);
    return mass_logits(l) + (span == SAI_PART_LEARNED ? 0 : (uint64_t)l->n_sink_kv) + position;
}

/* Those of positions [in.from, in.end), of which the first has that entry, whose entries the unit has. */
static sai_range mass_own(const mass_unit *m, sai_range in, uint64_t entry) {
    sai_range own = in;
    if (m->entries.from > entry) own.from += m->entries.from - entry;
    if (m->entries.end < entry + (in.end - in.from)) own.end = in.from + m->entries.end - entry;
    if (m->entries.end <= entry || own.from >= in.end) own.end = own.from;
    return own;
}

/* ---------------------------------- rows ---------------------------------- */

/* (rows) the greatest logit, then (rows) one divided by the sum. */
static float *mass_kept(const sai_job *job, int32_t kv_head) {
    float *kept = (float *)sai_at(job->state.pool, job->state.pool->work.kept_at);
    return kept + job->kept_at + 2 * (size_t)kv_head * (size_t)job->rows;
}

void sai_mass_keep(const sai_job *job, int32_t kv_head, int32_t row, float max, float sum) {
    float *kept = mass_kept(job, kv_head) + row;
    kept[0] = max;
    kept[job->rows] = sum == 0 ? 0 : 1 / sum;
}

static sai_weighing mass_weighing(const mass_unit *m, int32_t row) {
    const sai_job *job = m->job;
    const float *kept = mass_kept(job, m->kv_head) + row;
    int32_t heads = job->call.mass_per_head ? job->state.layer->group : 1;
    int64_t stride = job->call.key_stride;
    sai_weighing w = {
        kept, kept + job->rows, job->call.key_mass + m->host_head * heads * stride, stride, 0, row % heads, heads};
    return w;
}

/* ---------------------------------- mass ---------------------------------- */

/* Positions `in` of a part, of which that of entry 0 would be `first`. */
static void mass_panel(const mass_unit *m, const sai_part *part, int32_t row, sai_range in, uint64_t first) {
    const sai_job *job = m->job;
    sai_unit u = {(sai_job *)(uintptr_t)job, NULL, 0, m->kv_head, row, job->rows - row, 0, 0, m->host_head};
    sai_way way;
    if (u.n > SAI_PANEL) u.n = SAI_PANEL;
    sai_query_load(&u, m->scratch);
    sai_way_enter(&way, &u, part, m->scratch);
    if (way.all.from >= way.all.end) return;
    in = sai_way_cut(&way, in);
    sai_weighing weighing = mass_weighing(m, row);
    weighing.first = first;
    way.panel.weighing = &weighing;
    for (uint64_t base = in.from / SAI_CHUNK * SAI_CHUNK; base < in.end; base += SAI_CHUNK)
        sai_panel_chunk(&way.panel, base, NULL);
}

static void mass_part(const mass_unit *m, const sai_part *part) {
    uint64_t entry = mass_entry(m->job, part->span, part->reach.from);
    sai_range in = mass_own(m, part->reach, entry);
    if (in.from >= in.end) return;
    for (int32_t row = 0; row < m->job->rows; row += SAI_PANEL) mass_panel(m, part, row, in, part->reach.from - entry);
}

/* What the sink logit weighs: the first entry. */
static void mass_logit(const mass_unit *m) {
    const sai_job *job = m->job;
    const float *logits = (const float *)sai_at(job->state.pool, job->state.layer->logits_at);
    sai_weighing w = mass_weighing(m, 0);
    for (int32_t r = 0; r < job->rows; r++) {
        float logit = logits[m->host_head * job->state.layer->group + r % job->state.layer->group];
        if (w.inverse[r] == 0) continue; /* a row that sees nothing */
        w.to[r % w.heads * w.stride] += job->kernels->exponential(logit - w.max[r]) * w.inverse[r];
    }
}

/* ---------------------------------- norms --------------------------------- */

/* The length of a vector, also where squares are beyond what a float can be. */
static float mass_norm(const sai_kernels *kernels, const float *x, int32_t n, int32_t padded) {
    float squares = kernels->squares(x, padded);
    double sum = 0;
    if (squares > 1e-30f && squares < 1e30f) return sqrtf(squares);
    for (int32_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return (float)sqrt(sum);
}

/* The values of positions of one store, from a run of its tiles. */
static void mass_norms_of(const mass_unit *m, const sai_run *run, sai_range in, uint64_t entry) {
    const sai_layer *l = m->job->state.layer;
    float *value = m->scratch->chain, *to = m->job->call.value_norms + m->host_head * m->job->call.key_stride + entry;
    memset(value, 0, (size_t)l->dv_pad * sizeof *value);
    for (uint64_t p = in.from; p < in.end; p++) {
        sai_fetch_value(m->job->kernels, run->v_dtype, sai_run_value(run, p), (int)(p % 16), l->dv, value);
        to[p - in.from] = mass_norm(m->job->kernels, value, l->dv, l->dv_pad);
    }
}

static void mass_span_norms(const mass_unit *m, const sai_span *span) {
    sai_range all = {span->from, span->end};
    uint64_t entry = mass_entry(m->job, 0, span->from);
    sai_range in = mass_own(m, all, entry);
    if (in.from >= in.end) return;
    const sai_tiles *t = &m->job->state.tiles[span->store];
    sai_run run = sai_run_of(t->block, t->arena, m->kv_head, sai_tiles_map(t, in.from / 16), in.from / 16);
    mass_norms_of(m, &run, in, entry + (in.from - span->from));
}

/* Rows that are no tokens, [0, n) of such a part. */
static void mass_row_norms(const mass_unit *m, int32_t span, uint64_t n, const sai_arena *arena, const uint32_t *map) {
    sai_range all = {0, n};
    uint64_t entry = mass_entry(m->job, span, 0);
    sai_range in = mass_own(m, all, entry);
    if (in.from >= in.end) return;
    sai_run run = sai_run_of(sai_block_of(m->job->state.pool), arena, m->kv_head, map, 0);
    mass_norms_of(m, &run, in, entry + in.from);
}

static void mass_norms(const mass_unit *m) {
    const sai_state *s = &m->job->state;
    const sai_layer *l = s->layer;
    if (l->n_sink_kv)
        mass_row_norms(m, SAI_PART_LEARNED, (uint64_t)l->n_sink_kv, &l->learned,
                       (const uint32_t *)sai_at(s->pool, l->learned_map_at));
    if (l->n_rows) {
        sai_tiles rows = sai_state_rows(s);
        mass_row_norms(m, SAI_PART_IN_FRONT, sai_rows_end(s->rows), &l->rows, sai_tiles_map(&rows, 0));
    }
    for (int32_t i = 0; i < s->spans->n; i++)
        if (s->spans->list[i].store != SAI_STORE_MASKED) mass_span_norms(m, &s->spans->list[i]);
}

/* ---------------------------------- units --------------------------------- */

static void mass_work(const mass_unit *m) {
    const sai_job *job = m->job;
    if (job->call.key_mass) {
        if (m->entries.from == 0 && job->state.layer->logits_at) mass_logit(m);
        for (int32_t i = 0; i < job->n_parts; i++) mass_part(m, &job->parts[i]);
    }
    if (job->call.value_norms) mass_norms(m);
}

/* Into how many ranges the list of a job is cut: several for each worker, since the newest keys have fewer rows. */
static uint64_t mass_ranges(const sai_job *job, uint64_t entries, int32_t n_workers) {
    uint64_t units = (uint64_t)n_workers * SAI_UNITS_A_THREAD, kv = (uint64_t)job->state.layer->n_kv_heads;
    uint64_t ranges = (units + kv - 1) / kv, most = entries / MASS_LEAST + 1;
    return n_workers == 1 ? 1 : ranges < most ? ranges : most;
}

static void mass_clear(const sai_job *job) {
    const sai_call *call = &job->call;
    const sai_layer *l = job->state.layer;
    int64_t entries = (int64_t)mass_entries(job);
    int32_t heads = call->mass_per_head ? l->group : 1;
    for (int32_t h = 0; h < l->n_kv_heads * heads && call->key_mass; h++) {
        int64_t head = (int64_t)sai_host_head(job->state.pool, l, h / heads) * heads + h % heads;
        memset(call->key_mass + head * call->key_stride, 0, (size_t)entries * sizeof(float));
    }
    for (int32_t h = 0; h < l->n_kv_heads && call->value_norms; h++)
        memset(call->value_norms + sai_host_head(job->state.pool, l, h) * call->key_stride, 0,
               (size_t)sai_mass_front(l) * sizeof(float));
}

void sai_mass_begin(const sa_pool *pool, int32_t n_jobs) {
    for (int32_t i = 0; i < n_jobs; i++)
        if (sai_jobs(pool)[i].call.wants_keys) mass_clear(&sai_jobs(pool)[i]);
}

void sai_mass_part(const sa_pool *pool, int32_t n_jobs, int32_t worker, int32_t n_workers) {
    uint64_t unit = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        const sai_job *job = &sai_jobs(pool)[i];
        if (!job->call.wants_keys) continue;
        sai_scratch s = sai_scratch_of(pool, job->state.layer, worker);
        uint64_t entries = mass_entries(job), ranges = mass_ranges(job, entries, n_workers);
        for (uint64_t k = 0; k < ranges * (uint64_t)job->state.layer->n_kv_heads; k++, unit++) {
            uint64_t range = k % ranges;
            sai_range in = {entries * range / ranges, entries * (range + 1) / ranges};
            mass_unit m = {job, (int32_t)(k / ranges), 0, in, &s};
            m.host_head = sai_host_head(pool, job->state.layer, m.kv_head);
            if (unit % (uint64_t)n_workers == (uint64_t)worker) mass_work(&m);
        }
    }
}
