/* Rows times one chunk of keys: scores, softmax, value sums.
 *
 * SPDX-License-Identifier: MIT
 *
 * Rows of one panel may see different keys of a chunk (a causal edge, the far end of a window).
 * Scores are computed for whole tiles, since a wasted score costs little and harms nothing. In value
 * sums a key that a row does not see may take part with weight 0 only if its value is finite:
 * another token's NaN must not get in. Integers always are; their scales count for the rows that see them.
 */
#include "exact.h"

#include "panel.h"

#include <math.h>
#include <string.h>

#include "integers.h"
#include "kernels/integer_tiles.h"

/* One chunk, and how its rows are processed: in groups that one call of a kernel takes, each from scores to value sums,
 * so that its weights stay in L1 while keys and values come from L2. */
typedef struct panel_work {
    const sai_panel *panel;
    const sai_kernels *kernels;
    const sai_layer *layer;
    const sai_scratch *scratch;
    uint64_t base;
    int *lo, *hi;                  /* the keys of the chunk that each row sees; lo >= hi: none */
    int first, end;                /* tiles that some row sees */
    int run_end;                   /* those from `first` up to here lie side by side, */
    uint64_t run_tile;             /* from this tile of the arena on */
    int rows;                      /* of a group */
    int width;                     /* value blocks of a strip */
    int wide_k, wide_v;            /* keys, values are converted to f32, once for all rows: */
    int widen_now_k, widen_now_v;  /* by the first group, while it reads them, not before */
    int contiguous;                /* the values lie side by side */
    int same_keys;                 /* all rows see the same keys */
    int finite;                    /* all values that some row sees and another does not are finite */
    int many_rows;                 /* so many that kernels prefetch the next chunk while they process this one: */
    sai_prefetch *next_k, *next_v; /* its keys and values, as they are stored */
} panel_work;

/* What it points to. Apart from it, since for one row it is not worth clearing. */
typedef struct panel_room {
    int lo[SAI_PANEL], hi[SAI_PANEL];
    sai_prefetch next_k, next_v;
} panel_room;

/* Rows [r, r + n) of a chunk. */
typedef struct panel_group {
    int r, n;
    int lo, hi;         /* keys that some row sees; lo >= hi: none */
    int all_lo, all_hi; /* keys that every row sees */
    int direct;         /* one call of a kernel has all their values, so that it can end in their states */
} panel_group;

static int panel_min(int a, int b) { return a < b ? a : b; }
static int panel_max(int a, int b) { return a > b ? a : b; }

static int panel_clamp(uint64_t position, uint64_t base) {
    return position <= base ? 0 : position - base >= SAI_CHUNK ? SAI_CHUNK : (int)(position - base);
}

static panel_group panel_see(const panel_work *w, int r, int n) {
    panel_group g = {r, n, SAI_CHUNK, 0, 0, SAI_CHUNK, 0}, alike = {r, n, w->lo[0], w->hi[0], w->lo[0], w->hi[0], 0};
    if (w->same_keys) return alike;
    for (int i = r; i < r + n; i++) {
        g.all_lo = panel_max(g.all_lo, w->lo[i]);
        g.all_hi = panel_min(g.all_hi, w->hi[i]);
        if (w->lo[i] >= w->hi[i]) continue;
        g.lo = panel_min(g.lo, w->lo[i]);
        g.hi = panel_max(g.hi, w->hi[i]);
    }
    return g;
}

static panel_group panel_look(const panel_work *w, int r, int n) {
    panel_group g = panel_see(w, r, n);
    int same = g.lo == g.all_lo && g.hi == g.all_hi;
    g.direct = w->contiguous && w->width <= w->kernels->blocks[n] && (same || w->finite);
    return g;
}

/* Tiles [t, end) of the chunk that lie side by side; returns their end. */
static int panel_run(const panel_work *w, int t, int end, uint64_t *index) {
    uint64_t number = w->base / 16;
    if (t < w->run_end) {
        *index = w->run_tile + (uint64_t)(t - w->first);
        return panel_min(end, w->run_end);
    }
    *index = sai_run_tile(&w->panel->tiles, number + (uint64_t)t);
    return (int)(sai_run_end(&w->panel->tiles, number + (uint64_t)t, number + (uint64_t)end) - number);
}

/* So many tiles behind a call's own are looked at: as far as kernels prefetch them. */
enum { PANEL_AHEAD = 4 };

/* What the panel's rows read after the tile before number `tile`: how many tiles lie behind it, and in *where the one
 * that comes after them; UINT64_MAX: none of the panel's. */
static uint64_t panel_behind(const panel_work *w, uint64_t tile, uint64_t *where) {
    const sai_run *tiles = &w->panel->tiles;
    uint64_t all = (w->panel->end + 15) / 16, end = all < tile + PANEL_AHEAD ? all : tile + PANEL_AHEAD;
    *where = UINT64_MAX;
    if (tile >= all) return 0;
    uint64_t more = sai_run_end(tiles, tile - 1, end) - tile;
    if (tile + more < all) *where = sai_run_tile(tiles, tile + more);
    return more;
}

static sai_following panel_next_keys(const panel_work *w, uint64_t tile) {
    uint64_t where, n = panel_behind(w, tile, &where);
    const sai_panel *p = w->panel;
    sai_following next = {(int64_t)n, where == UINT64_MAX ? p->next_k : p->tiles.k + where * p->tiles.k_tile};
    return next;
}

/* The same after the values before position `position`, in values: no more than there are. */
static sai_following panel_next_values(const panel_work *w, uint64_t position) {
    const sai_panel *p = w->panel;
    uint64_t where, tile = (position + 15) / 16, end = 16 * (tile + panel_behind(w, tile, &where));
    if (end > p->end) end = p->end;
    sai_following next = {end > position ? (int64_t)(end - position) : 0,
                          where == UINT64_MAX ? p->next_v : p->tiles.v + where * p->tiles.v_tile};
    return next;
}

/* Whether the kernel for many rows can take the group. */
static int panel_is_many(const panel_work *w, const panel_group *g) { return w->many_rows && g->n == w->kernels->rows; }

/* --------------------------------- scores --------------------------------- */

/* Tiles [t, end), side by side at k, for a group that the kernel for many rows can take. */
static void panel_scores_many(const panel_work *w, const panel_group *g, const char *k, int t, int end) {
    const sai_panel *p = w->panel;
    size_t dk = (size_t)w->layer->dk;
    float *wide = w->widen_now_k ? w->scratch->wide_k + 16 * (size_t)t * dk : (float *)(uintptr_t)k;
    w->kernels->score_many[w->wide_k && !w->widen_now_k ? SA_F32 : p->tiles.k_dtype](
        p->q + (size_t)g->r * p->q_stride, p->q_stride, k, wide, end - t, (int)dk, w->scratch->scores + 16 * t,
        SAI_CHUNK, w->next_k);
}

static void panel_scores(const panel_work *w, const panel_group *g) {
    const sai_panel *p = w->panel;
    int wide = w->wide_k && !w->widen_now_k;
    size_t dk = (size_t)w->layer->dk, tile = wide ? 16 * dk * sizeof(float) : p->tiles.k_tile;
    int bytes = sai_is_integer(p->tiles.k_dtype) && w->layer->query_most == SAI_MOST_BYTE;
    sai_score_fn score = (bytes ? w->kernels->score_bytes : w->kernels->score)[wide ? SA_F32 : p->tiles.k_dtype];
    int many = panel_is_many(w, g) && !sai_is_integer(p->tiles.k_dtype);
    uint64_t index;
    for (int t = g->lo / 16, next, end = (g->hi + 15) / 16; t < end; t = next) {
        next = wide ? end : panel_run(w, t, end, &index);
        const char *k = wide ? (const char *)w->scratch->wide_k + (size_t)t * tile : p->tiles.k + index * tile;
        if (many) {
            panel_scores_many(w, g, k, t, next);
            continue;
        }
        sai_following after = panel_next_keys(w, w->base / 16 + (uint64_t)next);
        score(g->n, p->q + (size_t)g->r * p->q_stride, p->q_stride, k, next - t, (int)dk, &after,
              w->scratch->scores + 16 * t, SAI_CHUNK);
    }
}

/* Scores of rows [i, i + n) of the group become weights in the states, or shares of softmaxes that are finished. */
static void panel_weigh(const panel_work *w, const panel_group *g, int i, int n, const sai_logit *logit,
                        sai_states *states) {
    const sai_weighing *m = w->panel->weighing;
    float *s = w->scratch->scores + i * SAI_CHUNK;
    int r = g->r + i;
    if (m)
        w->kernels->shares(n, s, w->lo + r, w->hi + r, logit, m->max + r, m->inverse + r);
    else
        w->kernels->softmax(n, s, w->lo + r, w->hi + r, logit, states->max + r, states->sum + r, w->scratch->keep + i);
}

/* Of rows of the host: at once; with ALiBi query row by query row, since their distances have no pattern. */
static void panel_softmax_rows(const panel_work *w, const panel_group *g, sai_states *states) {
    const sai_panel *p = w->panel;
    float biases[SAI_CHUNK];
    sai_logit logit = {w->layer->scale, w->layer->softcap, NULL, NULL, 0, biases};
    int n = p->slopes ? 1 : g->n;
    for (int i = 0; i < g->n; i += n) {
        int r = g->r + i;
        for (int t = g->lo / 16; 16 * t < g->hi; t++)
            sai_rows_biases(p->facts + sai_run_tile(&p->tiles, w->base / 16 + (uint64_t)t), p->kind,
                            p->slopes ? p->slopes[r] : 0, p->slopes ? p->query_places[r] : 0, biases + 16 * t);
        panel_weigh(w, g, i, n, &logit, states);
    }
}

static void panel_softmax(const panel_work *w, const panel_group *g, sai_states *states) {
    const sai_panel *p = w->panel;
    if (p->facts) {
        panel_softmax_rows(w, g, states);
        return;
    }
    float distances[SAI_MOST_ROWS];
    int r = g->r;
    for (int i = 0; p->slopes && i < g->n; i++)
        distances[i] = (float)(p->query_places[r + i] - (p->key_place + p->key_step * (int64_t)w->base));
    sai_logit logit = {w->layer->scale, w->layer->softcap,  p->slopes ? p->slopes + r : NULL,
                       distances,       (float)p->key_step, NULL};
    panel_weigh(w, g, 0, g->n, &logit, states);
}

/* Adds a group's shares, row by row. */
static void panel_add_shares(const panel_work *w, const panel_group *g) {
    const sai_weighing *m = w->panel->weighing;
    for (int i = 0; i < g->n; i++) {
        int lo = w->lo[g->r + i], hi = w->hi[g->r + i];
        const float *share = w->scratch->scores + i * SAI_CHUNK;
        float *to = m->to + (m->head + g->r + i) % m->heads * m->stride;
        int64_t at = (int64_t)(w->base - m->first);
        for (int key = lo; key < hi; key++) to[at + key] += share[key];
    }
}

/* --------------------------------- values --------------------------------- */

/* Keys [first, end) of the chunk, side by side in memory, and a strip of value blocks. */
typedef struct panel_strip {
    const char *v; /* of key `first`, block 0 of the layer */
    int32_t dtype;
    int first, end;
    int block, n_blocks;
} panel_strip;

/* All blocks of tiles from t on: those before `end` that lie side by side. */
static panel_strip panel_values_at(const panel_work *w, int t, int end) {
    const sai_run *tiles = &w->panel->tiles;
    uint64_t index;
    panel_strip s = {NULL, SA_F32, 16 * t, 16 * end, 0, w->layer->dv_pad / 16};
    if (w->wide_v) {
        s.v = (const char *)(w->scratch->wide_v + 16 * (size_t)t * (size_t)w->layer->dv_pad);
        return s;
    }
    end = panel_run(w, t, end, &index);
    s.v = tiles->v + index * tiles->v_tile;
    s.end = 16 * end;
    s.dtype = tiles->v_dtype;
    return s;
}

/* Adds keys [from, to) of a strip, weighted by p (n, 256), to n rows of acc. */
static void panel_value(const panel_work *w, const panel_strip *s, int n, int from, int to, const float *p,
                        const float *keep, float *acc) {
    size_t stride = (size_t)w->layer->dv_pad;
    if (from >= to) return;
    sai_following next = panel_next_values(w, w->base + (uint64_t)to);
    w->kernels->value[s->dtype](n, p + from, SAI_CHUNK,
                                s->v + ((size_t)(from - s->first) * stride + 16 * (size_t)s->block) *
                                           sai_dtype_size(s->dtype),
                                stride, to - from, s->n_blocks, &next, keep, acc + 16 * s->block, stride);
}

/* Weights 0 in those tiles of the group that row i of it does not touch. */
static void panel_clear_weights(const panel_work *w, const panel_group *g, int i) {
    float *p = w->scratch->scores + i * SAI_CHUNK;
    int lo = w->lo[g->r + i], hi = w->hi[g->r + i], from = g->lo / 16 * 16, to = (g->hi + 15) / 16 * 16;
    int own = lo < hi ? lo / 16 * 16 : to;
    for (int u = from; u < own; u++) p[u] = 0;
    for (int u = lo < hi ? (hi + 15) / 16 * 16 : to; u < to; u++) p[u] = 0;
}

/* All at once, by the kernel for many rows. */
static void panel_values_many(const panel_work *w, const panel_group *g, const panel_strip *s, float *acc) {
    const sai_run *tiles = &w->panel->tiles;
    size_t stride = (size_t)w->layer->dv_pad, skipped = (size_t)(g->lo - s->first) * stride;
    int32_t dtype = w->widen_now_v ? tiles->v_dtype : s->dtype;
    const char *v = s->v + skipped * sai_dtype_size(s->dtype);
    float *wide = (float *)(uintptr_t)v;
    uint64_t index;
    if (w->widen_now_v) {
        (void)panel_run(w, s->first / 16, s->end / 16, &index);
        v = tiles->v + index * tiles->v_tile + skipped * sai_dtype_size(tiles->v_dtype);
        wide = w->scratch->wide_v + 16 * (size_t)(s->first / 16) * stride + skipped;
    }
    w->kernels->value_many[dtype](w->scratch->scores + g->lo, SAI_CHUNK, v, wide, stride, g->hi - g->lo, s->n_blocks,
                                  w->scratch->keep, acc, stride, w->next_v);
}

/* In one call for each strip, keys that a row does not see having weight 0. */
static void panel_values_direct(const panel_work *w, const panel_group *g, float *acc) {
    panel_strip s = panel_values_at(w, g->lo / 16, (g->hi + 15) / 16);
    int blocks = s.n_blocks;
    for (int i = 0; i < g->n && (g->lo != g->all_lo || g->hi != g->all_hi); i++) panel_clear_weights(w, g, i);
    if (panel_is_many(w, g)) {
        panel_values_many(w, g, &s, acc);
        return;
    }
    for (; s.block < blocks; s.block += w->width) {
        s.n_blocks = panel_min(w->width, blocks - s.block);
        panel_value(w, &s, g->n, g->lo, g->hi, w->scratch->scores, w->scratch->keep, acc);
    }
}

/* Rows of a group: keys that all of them see together, the others row by row; in order of keys for each. */
static void panel_value_pieces(const panel_work *w, const panel_group *g, const panel_strip *s) {
    const float *p = w->scratch->scores;
    float *chain = w->scratch->chain;
    int lo = panel_max(s->first, g->all_lo), hi = panel_max(lo, panel_min(s->end, g->all_hi));
    size_t stride = (size_t)w->layer->dv_pad;
    int apart = g->lo != g->all_lo || g->hi != g->all_hi;
    for (int i = 0; apart && i < g->n; i++)
        panel_value(w, s, 1, panel_max(s->first, w->lo[g->r + i]), panel_min(panel_min(lo, s->end), w->hi[g->r + i]),
                    p + i * SAI_CHUNK, NULL, chain + (size_t)i * stride);
    panel_value(w, s, g->n, lo, hi, p, NULL, chain);
    for (int i = 0; apart && i < g->n; i++)
        panel_value(w, s, 1, panel_max(hi, w->lo[g->r + i]), panel_min(s->end, w->hi[g->r + i]), p + i * SAI_CHUNK,
                    NULL, chain + (size_t)i * stride);
}

/* Chains that begin with 0, and are folded into the states. */
static void panel_values_folded(const panel_work *w, const panel_group *g, float *acc) {
    int stride = w->layer->dv_pad, end = (g->hi + 15) / 16;
    memset(w->scratch->chain, 0, (size_t)(g->n * stride) * sizeof(float));
    for (int t = g->lo / 16; t < end;) {
        panel_strip s = panel_values_at(w, t, end);
        panel_value_pieces(w, g, &s);
        t = s.end / 16;
    }
    for (int i = 0; i < g->n; i++)
        if (w->lo[g->r + i] < w->hi[g->r + i])
            w->kernels->fold(stride, acc + (size_t)i * (size_t)stride, w->scratch->keep[i],
                             w->scratch->chain + (size_t)i * (size_t)stride);
}

/* Of integers, all in one call, wherever the tiles lie in the ring. */
static void panel_values_integers(const panel_work *w, const panel_group *g, float *acc) {
    const sai_run *tiles = &w->panel->tiles;
    const void *at[SAI_CHUNK_TILES] = {0};
    sai_int_values v = {w->scratch->scores,
                        w->lo + g->r,
                        w->hi + g->r,
                        g->lo / 16,
                        (g->hi + 15) / 16,
                        at,
                        w->layer->dv_pad / 16,
                        w->scratch->keep,
                        acc,
                        (size_t)w->layer->dv_pad,
                        w->scratch->weights,
                        w->layer->weight_most};
    int bytes = v.most_code == SAI_MOST_BYTE;
    for (int t = v.first; t < v.end; t++)
        at[t] = tiles->v + sai_run_tile(tiles, w->base / 16 + (uint64_t)t) * tiles->v_tile;
    (bytes ? w->kernels->int_value_bytes : w->kernels->int_value)[tiles->v_dtype](g->n, &v);
}

/* Whether 0 times the values of keys [from, to) is 0. */
static int panel_is_finite(const panel_work *w, const panel_strip *s, int from, int to) {
    static const float zeros[SAI_CHUNK] = {0};
    float *sum = w->scratch->chain;
    int strange = 0;
    memset(sum, 0, (size_t)w->layer->dv_pad * sizeof *sum);
    panel_value(w, s, 1, from, to, zeros, NULL, sum);
    for (int i = 0; i < w->layer->dv_pad; i++) strange |= !(sum[i] == 0);
    return !strange;
}

/* Whether all values that some row sees and another does not are finite. To look at them pays with many rows only. */
static int panel_are_finite(const panel_work *w, const panel_group *all) {
    if (!w->contiguous || w->rows == w->panel->n_rows) return 0;
    panel_strip s = panel_values_at(w, w->first, w->end);
    if (all->all_lo >= all->all_hi) return panel_is_finite(w, &s, all->lo, all->hi);
    return panel_is_finite(w, &s, all->lo, all->all_lo) && panel_is_finite(w, &s, all->all_hi, all->hi);
}

/* ---------------------------------- chunk --------------------------------- */

/* Converts the tiles that some row sees to f32. */
static void panel_widen(const panel_work *w) {
    const sai_run *tiles = &w->panel->tiles;
    int dk = w->layer->dk, dv = w->layer->dv_pad;
    uint64_t index;
    for (int t = w->first, next; t < w->end; t = next) {
        next = panel_run(w, t, w->end, &index);
        const char *k = tiles->k + index * tiles->k_tile, *v = tiles->v + index * tiles->v_tile;
        float *to_k = w->scratch->wide_k + (size_t)(16 * t) * (size_t)dk;
        float *to_v = w->scratch->wide_v + (size_t)(16 * t) * (size_t)dv;
        if (w->wide_k && !w->widen_now_k) w->kernels->load[tiles->k_dtype](k, (next - t) * 16 * dk, to_k);
        if (w->wide_v && !w->widen_now_v) w->kernels->load[tiles->v_dtype](v, (next - t) * 16 * dv, to_v);
    }
}

/* Those keys and values of the next chunk that lie side by side, from its first one on. */
static void panel_prefetch_chunk(const panel_work *w) {
    const sai_run *tiles = &w->panel->tiles;
    uint64_t number = w->base / 16 + SAI_CHUNK_TILES, end = (w->panel->end + 15) / 16, n = 0, index = 0;
    if (end > number + SAI_CHUNK_TILES) end = number + SAI_CHUNK_TILES;
    if (number < end) {
        n = sai_run_end(tiles, number, end) - number;
        index = sai_run_tile(tiles, number);
    }
    w->next_k->at = tiles->k + index * tiles->k_tile;
    w->next_v->at = tiles->v + index * tiles->v_tile;
    w->next_k->end = w->next_k->at + n * tiles->k_tile;
    w->next_v->end = w->next_v->at + n * tiles->v_tile;
}

/* Rows and their keys; some row sees a key of the chunk. */
static void panel_set_rows(const sai_panel *p, panel_work *w) {
    w->same_keys = p->n_rows > 0;
    for (int r = 0; r < p->n_rows; r++) {
        int lo = panel_clamp(p->visible[r].from, w->base), hi = panel_clamp(p->visible[r].end, w->base);
        w->lo[r] = lo, w->hi[r] = hi;
        w->same_keys &= lo < hi && lo == w->lo[0] && hi == w->hi[0];
    }
}

/* How rows are taken together. */
static void panel_set_groups(const sai_panel *p, panel_work *w) {
    int groups = 1, most = w->kernels->most_rows;
    w->rows = p->n_rows;
    if (w->rows > most) {
        /* A single tile, as sinks are, takes most rows to keep the multipliers busy. */
        if (w->end - w->first > 1) most = w->kernels->rows;
        groups = (p->n_rows + most - 1) / most;
        w->rows = (p->n_rows + groups - 1) / groups;
    }
    /* With many rows, a narrow strip of V stays in the registers; with few, all of V is read once. */
    w->width = groups > 1 ? w->kernels->blocks[most] : w->layer->dv_pad / 16;
}

static void panel_plan(const sai_panel *p, uint64_t base, panel_room *room, panel_work *w) {
    w->panel = p;
    w->kernels = p->kernels;
    w->layer = p->layer;
    w->scratch = p->scratch;
    w->base = base;
    w->run_end = 0;
    w->lo = room->lo;
    w->hi = room->hi;
    w->many_rows = p->n_rows >= SAI_WIDEN_ROWS;
    w->next_k = &room->next_k;
    w->next_v = &room->next_v;
    panel_set_rows(p, w);
    panel_group all = panel_see(w, 0, p->n_rows);
    w->first = all.lo / 16;
    w->end = (all.hi + 15) / 16;
    if (w->first < w->end) w->run_end = panel_run(w, w->first, w->end, &w->run_tile);
    panel_set_groups(p, w);
    w->wide_k = p->kernels->widens && sai_panel_widens(p->tiles.k_dtype, (uint64_t)p->n_rows);
    w->wide_v = p->kernels->widens && !p->weighing && sai_panel_widens(p->tiles.v_dtype, (uint64_t)p->n_rows);
    int side_by_side = w->run_end == w->end, widen_now = w->same_keys && side_by_side && w->rows == w->kernels->rows;
    w->widen_now_k = widen_now && w->wide_k;
    w->widen_now_v = widen_now && w->wide_v;
    if (w->wide_k || w->wide_v) panel_widen(w);
    w->contiguous = w->wide_v || (side_by_side && !sai_is_integer(p->tiles.v_dtype));
    w->finite = !p->weighing && panel_are_finite(w, &all);
    if (w->many_rows) panel_prefetch_chunk(w);
}

static void panel_values(const panel_work *w, const panel_group *g, float *acc) {
    if (sai_is_integer(w->panel->tiles.v_dtype))
        panel_values_integers(w, g, acc);
    else if (g->direct)
        panel_values_direct(w, g, acc);
    else
        panel_values_folded(w, g, acc);
}

void sai_panel_chunk(const sai_panel *panel, uint64_t base, sai_states *states) {
    panel_room room;
    panel_work w;
    panel_plan(panel, base, &room, &w);
    for (int r = 0; r < panel->n_rows; r += w.rows) {
        panel_group g = panel_look(&w, r, panel_min(w.rows, panel->n_rows - r));
        if (g.lo >= g.hi) continue;
        panel_scores(&w, &g);
        panel_softmax(&w, &g, states);
        if (panel->weighing)
            panel_add_shares(&w, &g);
        else
            panel_values(&w, &g, states->acc + (size_t)r * (size_t)w.layer->dv_pad);
        w.widen_now_k = w.widen_now_v = 0;
    }
}

void sai_panel_end(const sai_panel *p, sai_states *states) {
    if (p->layer->softcap != 0 || p->slopes || p->facts) return;
    for (int r = 0; r < p->n_rows; r++) states->max[r] *= p->layer->scale;
}
