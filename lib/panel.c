/* Rows times one chunk of keys: scores, softmax, value sums.
 *
 * SPDX-License-Identifier: MIT
 *
 * Rows of one panel may see different keys of a chunk (a causal edge, the far end of a window).
 * Scores are worked for whole tiles, since a wasted score costs little and harms nothing. Values
 * are summed over exactly the keys that a row sees: another token's NaN must not get in, not
 * even times zero.
 */
#include "exact.h"

#include "panel.h"

#include <math.h>
#include <string.h>

#include "integers.h"

enum { PANEL_SCORE_TILES = 4 }; /* tiles that stay in L1 while all rows pass over them */

/* The keys of the chunk that each row sees. */
typedef struct panel_keys {
    int lo[SAI_PANEL], hi[SAI_PANEL]; /* lo >= hi: none */
} panel_keys;

static int panel_min(int a, int b) { return a < b ? a : b; }
static int panel_max(int a, int b) { return a > b ? a : b; }

static int panel_clamp(uint64_t position, uint64_t base) {
    return position <= base ? 0 : position - base >= SAI_CHUNK ? SAI_CHUNK : (int)(position - base);
}

/* The union of what rows [r0, r1) see; lo >= hi if nothing. */
static void panel_union(const panel_keys *keys, int r0, int r1, int *lo, int *hi) {
    *lo = SAI_CHUNK;
    *hi = 0;
    for (int r = r0; r < r1; r++) {
        if (keys->lo[r] >= keys->hi[r]) continue;
        *lo = panel_min(*lo, keys->lo[r]);
        *hi = panel_max(*hi, keys->hi[r]);
    }
}

/* Tiles [t, end) of the chunk that lie side by side in the ring, at most `most`; returns their end. */
static int panel_run(const sai_panel *p, uint64_t base, int t, int end, int most, uint64_t *index) {
    *index = (base / 16 + (uint64_t)t) % p->tiles.n_tiles;
    uint64_t room = p->tiles.n_tiles - *index;
    if ((uint64_t)most > room) most = (int)room;
    return panel_min(end, t + most);
}

static void panel_scores(const sai_panel *p, uint64_t base, const panel_keys *keys) {
    const sai_layer *l = p->layer;
    sai_score_fn score = p->kernels->score[p->tiles.k_dtype];
    int lo, hi, rows = p->kernels->rows, most = p->n_rows > rows ? PANEL_SCORE_TILES : SAI_CHUNK_TILES;
    panel_union(keys, 0, p->n_rows, &lo, &hi);
    uint64_t index;
    for (int t = lo / 16, next, end = (hi + 15) / 16; t < end; t = next) {
        next = panel_run(p, base, t, end, most, &index);
        for (int r = 0; r < p->n_rows; r += rows) {
            int n = panel_min(rows, p->n_rows - r);
            panel_union(keys, r, r + n, &lo, &hi);
            int from = panel_max(t, lo / 16), to = panel_min(next, (hi + 15) / 16);
            if (from >= to) continue;
            score(n, p->q + (size_t)r * p->q_stride, p->q_stride,
                  p->tiles.k + (index + (uint64_t)(from - t)) * p->tiles.k_tile, to - from, l->dk,
                  p->scores + (size_t)r * SAI_CHUNK + 16 * from, SAI_CHUNK);
        }
    }
}

static void panel_softmax(const sai_panel *p, uint64_t base, const panel_keys *keys, sai_states *out) {
    sai_logit logit = {p->layer->scale, p->layer->softcap, 0, 0, (float)p->key_step};
    for (int r = 0; r < p->n_rows; r++) {
        out->max[r] = -INFINITY;
        out->sum[r] = 0;
        if (keys->lo[r] >= keys->hi[r]) continue;
        if (p->slopes) {
            logit.slope = p->slopes[r];
            logit.distance = (float)(p->query_places[r] - (p->key_place + p->key_step * (int64_t)base));
        }
        p->kernels->softmax(p->scores + (size_t)r * SAI_CHUNK, keys->lo[r], keys->hi[r], &logit, &out->max[r],
                            &out->sum[r]);
    }
}

/* Keys that lie side by side in memory from key `first` of the chunk on, and a strip of value blocks. */
typedef struct panel_strip {
    const char *v; /* of key `first`, block 0 of the strip */
    int32_t dtype;
    int first, end;
    int block, n_blocks;
} panel_strip;

/* Adds keys [from, to) of a strip to rows [r, r + n). */
static void panel_value(const sai_panel *p, const panel_strip *s, int r, int n, int from, int to, sai_states *out) {
    const sai_layer *l = p->layer;
    size_t stride = (size_t)l->dv_pad;
    if (from >= to) return;
    p->kernels->value[s->dtype](n, p->scores + (size_t)r * SAI_CHUNK + from, SAI_CHUNK,
                                s->v + (size_t)(from - s->first) * stride * sai_dtype_size(s->dtype), stride, to - from,
                                s->n_blocks, out->acc + (size_t)r * stride + 16 * s->block, stride);
}

/* Rows [r, r + n): keys that all of them see together, the others row by row; in order of keys for each. */
static void panel_value_rows(const sai_panel *p, const panel_strip *s, const panel_keys *keys, int r, int n,
                             sai_states *out) {
    int lo = s->first, hi = s->end;
    for (int i = r; i < r + n; i++) {
        lo = panel_max(lo, keys->lo[i]);
        hi = panel_min(hi, keys->hi[i]);
    }
    if (hi < lo) hi = lo;
    for (int i = r; i < r + n; i++)
        panel_value(p, s, i, 1, panel_max(s->first, keys->lo[i]), panel_min(panel_min(lo, s->end), keys->hi[i]), out);
    panel_value(p, s, r, n, lo, hi, out);
    for (int i = r; i < r + n; i++)
        panel_value(p, s, i, 1, panel_max(hi, keys->lo[i]), panel_min(s->end, keys->hi[i]), out);
}

/* All rows over the keys of tiles [t, next), whose values lie at v in a float dtype. */
static void panel_value_tiles(const sai_panel *p, const char *v, int32_t dtype, int t, int next, const panel_keys *keys,
                              sai_states *out) {
    int rows = p->kernels->rows, blocks = p->layer->dv_pad / 16;
    /* With many rows a narrow strip of V stays in L1 for all of them; with few, V passes once. */
    int width = p->n_rows > rows ? p->kernels->strip : blocks;
    for (int b = 0; b < blocks; b += width) {
        panel_strip s = {
            v + (size_t)(16 * b) * sai_dtype_size(dtype), dtype, 16 * t, 16 * next, b, panel_min(width, blocks - b)};
        for (int r = 0; r < p->n_rows; r += rows) panel_value_rows(p, &s, keys, r, panel_min(rows, p->n_rows - r), out);
    }
}

/* Integers become floats, a few tiles at a time. */
static const char *panel_unpack(const sai_panel *p, const char *v, int n_tiles) {
    size_t dv_pad = (size_t)p->layer->dv_pad;
    for (int t = 0; t < n_tiles; t++)
        p->kernels->unpack[p->tiles.v_dtype](v + (size_t)t * p->tiles.v_tile, 0, 16, (int)dv_pad / 16,
                                             p->unpacked + 16 * (size_t)t * dv_pad);
    return (const char *)p->unpacked;
}

static void panel_values(const sai_panel *p, uint64_t base, const panel_keys *keys, sai_states *out) {
    int integers = sai_is_integer(p->tiles.v_dtype), lo, hi;
    int most = integers ? SAI_UNPACK_KEYS / 16 : SAI_CHUNK_TILES;
    memset(out->acc, 0, (size_t)p->n_rows * (size_t)p->layer->dv_pad * sizeof(float));
    panel_union(keys, 0, p->n_rows, &lo, &hi);
    uint64_t index;
    for (int t = lo / 16, next, end = (hi + 15) / 16; t < end; t = next) {
        next = panel_run(p, base, t, end, most, &index);
        const char *v = p->tiles.v + index * p->tiles.v_tile;
        if (integers) v = panel_unpack(p, v, next - t);
        panel_value_tiles(p, v, integers ? SA_F32 : p->tiles.v_dtype, t, next, keys, out);
    }
}

void sai_panel_chunk(const sai_panel *panel, uint64_t base, sai_states *out) {
    panel_keys keys;
    for (int r = 0; r < panel->n_rows; r++) {
        keys.lo[r] = panel_clamp(panel->visible[r].from, base);
        keys.hi[r] = panel_clamp(panel->visible[r].end, base);
    }
    panel_scores(panel, base, &keys);
    panel_softmax(panel, base, &keys, out);
    panel_values(panel, base, &keys, out);
}
