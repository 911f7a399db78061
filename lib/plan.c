/* Calls of one sequence or of many, cut into units of work.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "plan.h"

#include <string.h>

static uint64_t plan_min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t plan_max(uint64_t a, uint64_t b) { return a > b ? a : b; }
static int32_t plan_ceil(int64_t a, int64_t b) { return (int32_t)((a + b - 1) / b); }

/* ---------------------------------- parts --------------------------------- */

/* The oldest position of a span whose second copy a query reads. */
static uint64_t plan_recent_from(const sai_job *job, const sai_part *part, sai_place at) {
    uint64_t logical = at.logical + 1 > job->sight.recent ? at.logical + 1 - job->sight.recent : 0;
    /* Whose copy has gone is read where all are stored. */
    return plan_max(logical + job->sight.list[part->span].shift, job->state.spans->recent_from);
}

/* Rows that are no tokens: every query sees all of them. */
static sai_range plan_no_tokens(const sai_job *job, int32_t span) {
    sai_range learned = {0, (uint64_t)job->state.layer->n_sink_kv};
    return span == SAI_PART_LEARNED ? learned : job->state.rows->used[sai_part_kind(span)];
}

sai_range sai_part_visible(const sai_job *job, const sai_part *part, sai_place at) {
    if (part->span < 0) return plan_no_tokens(job, part->span);
    sai_range r = sai_visible(&job->sight, part->span, at);
    if (part->extent == SAI_PART_WHOLE) return r;
    uint64_t recent = plan_min(r.end, plan_max(r.from, plan_recent_from(job, part, at)));
    if (part->extent == SAI_PART_OLD)
        r.end = recent;
    else
        r.from = recent;
    return r;
}

uint64_t sai_part_place(const sai_job *job, const sai_part *part, sai_place at) {
    if (part->span == SAI_PART_AT_DISTANCE) return 0;
    if (part->span < 0) return sai_front_place(&job->sight, at);
    return at.t - sai_offset_of(&job->sight, part->span, at);
}

/* Where the tiles of what the rows see lie. */
static void plan_find_tiles(const sai_job *job, sai_part *part) {
    const sai_layer *l = job->state.layer;
    part->map_first = part->reach.from / 16;
    if (part->span >= 0) {
        int32_t store = part->extent == SAI_PART_NEWEST ? SAI_STORE_RECENT : job->sight.list[part->span].store;
        part->arena = &l->arenas[store];
        part->map = sai_tiles_map(&job->state.tiles[store], part->map_first);
    } else if (part->span == SAI_PART_LEARNED) {
        part->arena = &l->learned;
        part->map = (const uint32_t *)sai_at(job->state.pool, l->learned_map_at);
    } else {
        sai_tiles rows = sai_state_rows(&job->state);
        part->arena = &l->rows;
        part->map = sai_tiles_map(&rows, part->map_first);
    }
}

/* Adds a part, if some row sees anything of it. */
static void plan_add_part(sai_job *job, int32_t span, int32_t extent) {
    const sai_layer *l = job->state.layer;
    sai_part *part = &job->parts[job->n_parts];
    part->span = span;
    part->extent = extent;
    part->reach = sai_part_visible(job, part, job->places[0]);
    if (job->call.n > 1) part->reach.end = sai_part_visible(job, part, job->places[1]).end;
    if (part->reach.from >= part->reach.end) return;
    part->is_sink = span < 0 || job->sight.list[span].kind == SA_SPAN_SINK;
    part->first_block = part->reach.from >> l->block_bits;
    part->n_blocks = (int32_t)(((part->reach.end - 1) >> l->block_bits) - part->first_block + 1);
    part->place[0] = part->place[1] = sai_part_place(job, part, job->places[0]);
    part->tail = UINT64_MAX;
    if (job->depths && span == job->sight.n - 1) part->tail = job->state.spans->seen / SAI_CHUNK * SAI_CHUNK;
    if (job->call.n > 1) part->place[1] = sai_part_place(job, part, job->places[1]);
    plan_find_tiles(job, part);
    job->all_blocks += part->n_blocks;
    job->n_parts++;
}

static void plan_list_parts(sai_job *job) {
    const sai_layer *l = job->state.layer;
    if (l->n_sink_kv) plan_add_part(job, SAI_PART_LEARNED, SAI_PART_WHOLE);
    if (l->n_rows) plan_add_part(job, SAI_PART_IN_FRONT, SAI_PART_WHOLE);
    if (l->n_rows) plan_add_part(job, SAI_PART_AT_DISTANCE, SAI_PART_WHOLE);
    for (int32_t i = 0; i < job->sight.n; i++) {
        const sai_span *a = &job->sight.list[i];
        int twice = l->rules.recent && a->store == SAI_STORE_MAIN && a->kind != SA_SPAN_SINK;
        if (a->store == SAI_STORE_MASKED) continue;
        plan_add_part(job, i, twice ? SAI_PART_OLD : SAI_PART_WHOLE);
        if (twice) plan_add_part(job, i, SAI_PART_NEWEST);
    }
}

void sai_view_narrow(const sai_call *call, const sai_rules *rules, sai_sight *sight, sai_span *room) {
    if (!call->window && call->view_sinks < 0) return;
    uint64_t window = call->window ? sai_view_window(call, rules) : rules->is_dense ? UINT64_MAX : rules->window;
    sai_sight_narrow(sight, window, call->view_sinks < 0 ? UINT64_MAX : (uint64_t)call->view_sinks, room);
}

/* Fills in the job's sight: the layer's, or a narrower one; `coming` tokens are looked at as if they had come. */
static void plan_look(const sa_pool *pool, int32_t index, sai_job *job, uint64_t coming) {
    const sai_call *call = &job->call;
    const sai_rules *rules = &job->state.layer->rules;
    sai_span *room = (sai_span *)sai_at(pool, pool->work.views_at) + (int64_t)index * pool->work.most_view_spans;
    sai_sight_look(rules, job->state.spans, &job->sight);
    if (coming) sai_sight_extend(&job->sight, coming, room + pool->work.most_view_spans / 2);
    sai_view_narrow(call, rules, &job->sight, room);
}

/* Where the nodes of a call stand; returns how many tokens are above and at the deepest. */
static uint64_t plan_nodes(sai_job *job) {
    int32_t least = INT32_MAX, most = 0;
    job->depths = sai_nodes_depths(job->state.nodes) + job->call.node;
    for (int32_t i = 0; i < job->call.n; i++) {
        if (job->depths[i] < least) least = job->depths[i];
        if (job->depths[i] > most) most = job->depths[i];
    }
    job->least = least;
    job->apart = most - least;
    job->call.first = job->state.spans->seen + (uint64_t)least;
    return (uint64_t)most + 1;
}

void sai_plan_job(sa_pool *pool, int32_t index) {
    sai_job *job = &sai_jobs(pool)[index];
    const sai_call *call = &job->call;
    uint64_t coming = 0;
    job->depths = NULL;
    job->apart = call->n - 1;
    if (call->is_draft) coming = plan_nodes(job);
    job->kernels = sai_kernels_of(pool->isa);
    job->keys_row = -1;
    job->n_parts = job->all_blocks = 0;
    job->parts = (sai_part *)sai_at(pool, pool->work.parts_at) + (int64_t)index * pool->work.most_parts;
    if (!call->attends) return;
    plan_look(pool, index, job, coming);
    job->places[0] = job->places[1] = sai_place_of(&job->sight, call->first);
    if (job->apart > 0) job->places[1] = sai_place_of(&job->sight, call->first + (uint64_t)job->apart);
    plan_list_parts(job);
}

/* -------------------------------- rotations ------------------------------- */

/* The rotations of a part's queries: n is 0 where none are needed, and step 2 where they are not evenly spaced. */
static sai_rotations plan_rotations(const sai_job *job, const sai_part *part) {
    const sai_layer *l = job->state.layer;
    uint64_t from = part->place[0], to = part->place[1], apart = (uint64_t)job->apart;
    int applied = l->position == SA_POSITION_ROPE_APPLIED;
    if (applied) {
        /* The host has rotated to t: what is left is the way from there. */
        from -= job->places[0].t;
        to -= job->places[1].t;
    }
    sai_rotations r = {l->rope_id, job->apart + 1, 2, from};
    if (from == to)
        r.step = 0;
    else if (to - from == apart)
        r.step = 1;
    else if (from - to == apart)
        r.step = -1;
    if (r.step == 0) r.n = applied && from == 0 ? 0 : 1;
    return r;
}

/* Takes the rows of the new keys; 0 if they have no room. */
static int plan_take_key_rotations(sa_pool *pool, sai_job *job) {
    const sai_layer *l = job->state.layer;
    job->keys_row = -1;
    if (!job->call.appends || l->position != SA_POSITION_ROPE || !l->rope.pairs) return 1;
    sai_rotations keys = {l->rope_id, job->apart + 1, job->apart > 0, job->call.first};
    job->keys_row = sai_rotations_take(pool, l, &keys);
    return job->keys_row >= 0;
}

/* Whether queries stand where the new keys do, as most do: then their rows are the same. */
static int plan_is_at_keys(const sai_job *job, const sai_rotations *r) {
    return job->keys_row >= 0 && r->first == job->call.first && (r->step == 1 || job->apart == 0);
}

/* Takes the rows of the queries of every part; 0 if some have no room, and the workers will have to make them. */
static int plan_take_rotations(sa_pool *pool, sai_job *job) {
    int all = 1;
    for (int32_t i = 0; i < job->n_parts; i++) {
        sai_part *part = &job->parts[i];
        part->row = SAI_ROW_NONE;
        if (!job->state.layer->rope.pairs) continue;
        sai_rotations r = plan_rotations(job, part);
        if (!r.n) continue;
        part->row = SAI_ROW_UNEVEN;
        part->row_step = r.step != 0;
        if (r.step == 2) continue;
        int32_t row = plan_is_at_keys(job, &r) ? job->keys_row : sai_rotations_take(pool, job->state.layer, &r);
        if (row >= 0) part->row = row;
        all &= row >= 0;
    }
    return all;
}

/* Keys of tokens first: they always have room in an empty table, while a worker can work out the rotation of a query,
 * and of the key of a node, for itself. */
static int plan_take_all_rotations(sa_pool *pool, int32_t n_jobs) {
    sai_job *jobs = sai_jobs(pool);
    int all = 1;
    for (int32_t i = 0; i < n_jobs; i++)
        if (!jobs[i].depths) all &= plan_take_key_rotations(pool, &jobs[i]);
    for (int32_t i = 0; i < n_jobs; i++)
        if (jobs[i].depths) all &= plan_take_key_rotations(pool, &jobs[i]);
    for (int32_t i = 0; i < n_jobs; i++) all &= plan_take_rotations(pool, &jobs[i]);
    return all;
}

/* ----------------------------------- cut ---------------------------------- */

uint64_t sai_split_rows(int32_t n_threads) {
    return n_threads > 1 ? (uint64_t)n_threads * SAI_UNITS_A_THREAD * SAI_ROWS_A_UNIT : 0;
}

uint64_t sai_most_blocks(const sai_layer *l) {
    uint64_t size = (uint64_t)1 << l->block_bits;
    uint64_t learned = ((uint64_t)l->n_sink_kv + size - 1) / size, sinks = (l->rules.n_sink + size - 1) / size;
    uint64_t rows = SAI_ROW_KINDS * (((uint64_t)l->n_rows + size - 1) / size);
    uint64_t most = learned + rows + sinks + l->rules.window / size + 2;
    return l->rules.recent ? most + l->rules.recent / size + 2 : most;
}

/* What rows up to a token of a panel cost, about: they see no more than it does. */
static double plan_panel_cost(const sai_job *job, int32_t panel) {
    int32_t row = panel * job->panel, end = row + job->panel < job->rows ? row + job->panel : job->rows;
    sai_place at = sai_token_place(job, sai_row_token(job, end - 1));
    double keys = 32; /* for what does not depend on the keys */
    for (int32_t i = 0; i < job->n_parts; i++) {
        sai_range r = sai_part_visible(job, &job->parts[i], at);
        if (r.end > r.from) keys += (double)(r.end - r.from);
    }
    return keys * (end - row);
}

double sai_plan_cost(const sai_job *job, int32_t index) {
    int32_t panel = index / job->n_segments % job->n_panels;
    return plan_panel_cost(job, panel) / job->n_segments;
}

static double plan_job_cost(const sai_job *job) {
    double cost = 0;
    for (int32_t p = 0; p < job->n_panels; p++) cost += plan_panel_cost(job, p);
    return cost * job->state.layer->n_kv_heads;
}

/* Whether units of one size, dealt out in turn, keep the threads busy nine tenths of the time. */
static int plan_is_even(int64_t units, int32_t threads) {
    return 10 * units >= 9 * (int64_t)plan_ceil(units, threads) * threads;
}

/* Whether a job's units are small enough: of a single one they must come out even; of many, none may be so large that
 * the others wait for it. */
static int plan_is_fine(const sai_job *job, int64_t units, int32_t threads, double share, int32_t n_jobs) {
    if (threads == 1) return 1;
    return n_jobs == 1 ? plan_is_even(units, threads)
                       : share * SAI_UNITS_A_THREAD * threads <= (double)units || job->rows == 0;
}

/* Rows go to panels, as large as may be: a panel reads all keys. Several threads get more and smaller ones if that is
 * what makes their shares even; where rows are too few for that, the blocks are dealt out too, in pieces small enough
 * that their different lengths do not matter. `share`: of the cost of all jobs. */
static void plan_cut_job(const sa_pool *pool, sai_job *job, double share, int32_t n_jobs, uint64_t *split_used) {
    int32_t kv = job->state.layer->n_kv_heads, threads = pool->n_threads;
    if (threads == 1 && job->n_panels == 1) return;
    while (!plan_is_fine(job, (int64_t)kv * job->n_panels, threads, share, n_jobs) &&
           job->rows / (job->n_panels + 1) >= SAI_ROWS_A_UNIT)
        job->n_panels++;
    job->panel = plan_ceil(job->rows, job->n_panels);
    /* Whole groups of rows, if that leaves as many panels. */
    int32_t grouped = plan_ceil(job->panel, job->kernels->rows) * job->kernels->rows;
    if (grouped < job->rows && plan_ceil(job->rows, grouped) == job->n_panels) job->panel = grouped;
    job->n_panels = plan_ceil(job->rows, job->panel);
    int64_t panels = (int64_t)kv * job->n_panels;
    uint64_t states = (uint64_t)kv * (uint64_t)job->rows;
    uint64_t floats = states * (uint64_t)job->all_blocks * ((uint64_t)job->state.layer->dv_pad + 2);
    if (plan_is_fine(job, panels, threads, share, n_jobs) || job->all_blocks < 2 || states > sai_split_rows(threads) ||
        floats > pool->work.split_floats - *split_used)
        return;
    int32_t segments = plan_ceil((int64_t)threads * SAI_UNITS_A_THREAD, panels);
    if (segments > job->all_blocks) segments = job->all_blocks;
    job->segment = plan_ceil(job->all_blocks, segments);
    job->n_segments = plan_ceil(job->all_blocks, job->segment);
    job->split_at = *split_used;
    *split_used += floats;
}

static void plan_rows(sai_job *job) {
    job->rows = job->call.attends ? job->call.n * job->state.layer->group : 0;
    job->n_segments = 1;
    job->n_panels = (job->rows + SAI_PANEL - 1) / SAI_PANEL;
    job->panel = job->n_panels > 1 ? plan_ceil(job->rows, job->n_panels) : job->rows;
}

void sai_plan_cut(sa_pool *pool, int32_t n_jobs) {
    sai_job *jobs = sai_jobs(pool);
    double cost = 0;
    uint64_t split_used = 0, kept = 0;
    if (!plan_take_all_rotations(pool, n_jobs)) {
        sai_rotations_clear(pool);
        (void)plan_take_all_rotations(pool, n_jobs);
    }
    for (int32_t i = 0; i < n_jobs; i++) plan_rows(&jobs[i]);
    for (int32_t i = 0; n_jobs > 1 && pool->n_threads > 1 && i < n_jobs; i++) cost += plan_job_cost(&jobs[i]);
    for (int32_t i = 0; i < n_jobs; i++) {
        double share = cost > 0 ? plan_job_cost(&jobs[i]) / cost : 1;
        if (jobs[i].rows) plan_cut_job(pool, &jobs[i], share, n_jobs, &split_used);
        jobs[i].kept_at = kept;
        if (jobs[i].call.wants_keys) kept += 2 * (uint64_t)jobs[i].rows * (uint64_t)jobs[i].state.layer->n_kv_heads;
        jobs[i].stores_by_head = jobs[i].call.appends && jobs[i].n_panels == 1 && jobs[i].n_segments == 1;
    }
}

/* ---------------------------------- units --------------------------------- */

int64_t sai_plan_units(const sa_pool *pool, int32_t n_jobs) {
    int64_t units = 0;
    for (int32_t i = 0; i < n_jobs; i++) units += sai_job_units(&sai_jobs(pool)[i]);
    return units;
}

int32_t sai_plan_phases(const sa_pool *pool, int32_t n_jobs) {
    int32_t phases = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        const sai_job *job = &sai_jobs(pool)[i];
        int32_t own = !job->rows ? 0 : job->call.wants_keys ? 3 : job->n_segments > 1 ? 2 : 1;
        if (own > phases) phases = own;
    }
    return phases;
}

sai_unit sai_plan_unit(const sa_pool *pool, int32_t n_jobs, int32_t j, int32_t index) {
    sai_job *job = &sai_jobs(pool)[j];
    int32_t segment = job->n_segments > 1 ? index % job->n_segments : 0;
    int32_t panel = job->n_segments > 1 ? index / job->n_segments : index;
    sai_unit u = {job, job, 0, panel, 0, 0, 0, job->all_blocks, 0};
    if (job->n_panels > 1) {
        u.kv_head = panel / job->n_panels;
        u.row = panel % job->n_panels * job->panel;
    }
    u.n = job->rows - u.row < job->panel ? job->rows - u.row : job->panel;
    if (job->n_segments > 1) {
        u.block = segment * job->segment;
        u.block_end = u.block + job->segment < job->all_blocks ? u.block + job->segment : job->all_blocks;
    }
    u.host_head = sai_host_head(pool, job->state.layer, u.kv_head);
    u.next_head = u.kv_head + 1;
    if (u.next_head < job->state.layer->n_kv_heads) return u;
    u.next_head = 0;
    u.next = j + 1 < n_jobs && job[1].call.attends ? job + 1 : NULL;
    return u;
}
