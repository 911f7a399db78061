/*
 * The oracle: see oracle.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIM_MOST 1024

static void *take(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) {
        abort();
    }
    return memory;
}

/* x to the nearest number with `bits` significant bits and least quantum 2^lowest. */
static double round_to(double x, int bits, int lowest, double largest) {
    int exponent;
    double quantum, y;
    if (x == 0.0 || !isfinite(x)) {
        return x;
    }
    frexp(x, &exponent);
    exponent = exponent - bits < lowest ? lowest : exponent - bits;
    quantum = ldexp(1.0, exponent);
    y = nearbyint(x / quantum) * quantum;
    return fabs(y) > largest ? copysign(INFINITY, x) : y;
}

double oracle_round_f16(double x) { return round_to(x, 11, -24, 65504.0); }

double oracle_round_bf16(double x) { return round_to(x, 8, -133, 3.3895313892515355e38); }

/* Press et al.: powers of 2^(-8/n) for n a power of two, else those of the next lower power of
 * two, followed by every other one of the next higher. */
static double standard_slope(int head, int n_heads) {
    int lower = 1;
    while (lower * 2 <= n_heads) {
        lower *= 2;
    }
    if (head < lower) {
        return pow(2.0, -8.0 * (head + 1) / lower);
    }
    return pow(2.0, -8.0 * (2 * (head - lower) + 1) / (2.0 * lower));
}

static double attention_factor(const sa_config *c) {
    double s = c->rope_factor;
    if (c->position != SA_POSITION_ROPE) {
        return 1.0;
    }
    if (c->rope_attention_factor != 0.0) {
        return c->rope_attention_factor;
    }
    if (c->rope_scaling == SA_ROPE_SCALING_YARN) {
        return s > 1.0 ? 0.1 * log(s) + 1.0 : 1.0;
    }
    if (c->rope_scaling == SA_ROPE_SCALING_LONGROPE) {
        return s > 1.0 ? sqrt(1.0 + log(s) / log((double)c->rope_original_context)) : 1.0;
    }
    return 1.0;
}

static void fill_rope(oracle_layer *l, const sa_config *c) {
    l->interleaved = c->rope_layout == SA_ROPE_INTERLEAVED;
    l->rope_dims = 0;
    if (c->position == SA_POSITION_ROPE || c->position == SA_POSITION_ROPE_APPLIED) {
        l->rope_dims = c->rope_dims ? c->rope_dims : c->head_dim;
    }
    l->rope_offset = c->rope_offset;
    l->attention_factor = attention_factor(c);
    oracle_rope_fill(l, c);
}

static void fill_heads(oracle_layer *l, const sa_config *c) {
    int h;
    l->sink_logits = take((size_t)l->n_heads, sizeof *l->sink_logits);
    l->slopes = take((size_t)l->n_heads, sizeof *l->slopes);
    for (h = 0; h < l->n_heads; h++) {
        l->sink_logits[h] = c->sink_logits ? c->sink_logits[h] : -INFINITY;
        if (c->position == SA_POSITION_ALIBI) {
            l->slopes[h] = c->alibi_slopes ? c->alibi_slopes[h] : standard_slope(h, l->n_heads);
        }
    }
}

static int either(int dtype, int otherwise) { return dtype ? dtype : otherwise; }

/* Two signed bytes of at most 127, or one. */
static double most_code(int bits) { return bits == 8 ? 127.0 : 127.0 * 256.0 + 127.0; }

static void fill_dtypes(oracle_layer *l, const sa_config *c) {
    l->k_dtype = either(c->k_dtype, SA_F32);
    l->v_dtype = either(c->v_dtype, SA_F32);
    l->sink_k_dtype = either(c->sink_k_dtype, oracle_is_integer(l->k_dtype) ? SA_F16 : l->k_dtype);
    l->sink_v_dtype = either(c->sink_v_dtype, oracle_is_integer(l->v_dtype) ? SA_F16 : l->v_dtype);
    l->n_recent = c->n_recent;
    l->recent_k_dtype = either(c->recent_k_dtype, SA_F16);
    l->recent_v_dtype = either(c->recent_v_dtype, SA_F16);
    l->query_most = most_code(c->query_bits);
    l->weight_most = most_code(c->weight_bits);
}

oracle *oracle_create(const sa_config *c) {
    oracle *o = take(1, sizeof *o);
    oracle_layer *l = &o->layer;
    l->n_heads = c->n_heads;
    l->n_kv_heads = c->n_kv_heads ? c->n_kv_heads : c->n_heads;
    l->head_dim = c->head_dim;
    l->v_head_dim = c->v_head_dim ? c->v_head_dim : c->head_dim;
    l->n_sink = c->n_sink;
    l->window = c->window;
    l->is_dense = c->policy == SA_POLICY_DENSE;
    fill_dtypes(l, c);
    l->scale = c->scale != 0.0f ? (double)c->scale : 1.0 / sqrt((double)c->head_dim);
    l->softcap = c->softcap;
    l->n_sink_kv = c->n_sink_kv;
    l->sink_kv_at_zero = c->sink_kv_position == SA_SINK_KV_AT_ZERO;
    l->position = c->position;
    l->in_stream = c->position_mode == SA_IN_STREAM;
    fill_rope(l, c);
    fill_heads(l, c);
    o->sink_k = take((size_t)l->n_sink_kv * l->n_kv_heads * l->head_dim, sizeof *o->sink_k);
    o->sink_v = take((size_t)l->n_sink_kv * l->n_kv_heads * l->v_head_dim, sizeof *o->sink_v);
    return o;
}

void oracle_destroy(oracle *o) {
    if (!o) {
        return;
    }
    free(o->layer.frequencies);
    free(o->layer.table);
    free(o->layer.recent);
    free(o->layer.slopes);
    free(o->layer.sink_logits);
    free(o->positions);
    free(o->k);
    free(o->v);
    free(o->k_recent);
    free(o->v_recent);
    free(o->v_scales);
    free(o->sink_k);
    free(o->sink_v);
    free(o);
}

int64_t oracle_sink_kv_position(const oracle_layer *l, int r) {
    return l->sink_kv_at_zero ? 0 : (int64_t)r - l->n_sink_kv;
}

/* Whether keys are kept rotated at their stream position. */
static int keeps_rotated(const oracle_layer *l) {
    int exact = l->k_dtype == SA_F32 && l->sink_k_dtype == SA_F32 && (!l->n_recent || l->recent_k_dtype == SA_F32);
    return l->position == SA_POSITION_ROPE && (!exact || l->in_stream);
}

int oracle_is_loose(const oracle_layer *l) { return l->position == SA_POSITION_ROPE && oracle_is_integer(l->k_dtype); }

static double stored(int dtype, double x) {
    return dtype == SA_F16 ? oracle_round_f16(x) : dtype == SA_BF16 ? oracle_round_bf16(x) : x;
}

static void store_key(oracle_layer *l, int64_t position, int dtype, const float *k, double *out) {
    int i;
    if (oracle_is_integer(dtype) && !oracle_is_loose(l)) {
        oracle_integer_key(dtype, k, l->head_dim, out);
        return;
    }
    for (i = 0; i < l->head_dim; i++) {
        out[i] = k[i];
    }
    if (keeps_rotated(l)) {
        oracle_rotate(l, position, l->attention_factor, out);
    }
    for (i = 0; i < l->head_dim; i++) {
        out[i] = stored(dtype, out[i]);
    }
}

static void store_value(const oracle_layer *l, int dtype, const float *v, double *out, double *scales) {
    int i;
    if (oracle_is_integer(dtype)) {
        oracle_integer_value(dtype, v, l->v_head_dim, out, scales);
        return;
    }
    for (i = 0; i < l->v_head_dim; i++) {
        out[i] = stored(dtype, v[i]);
    }
}

static int rounds_either_way(const oracle_layer *l, double x, double slack) {
    int dtypes[3] = {l->k_dtype, l->sink_k_dtype, l->n_recent ? l->recent_k_dtype : SA_F32}, i;
    for (i = 0; i < 3; i++) {
        if (stored(dtypes[i], x - slack) != stored(dtypes[i], x + slack) &&
            (dtypes[i] == SA_F16 || dtypes[i] == SA_BF16)) {
            return 1;
        }
    }
    return 0;
}

int oracle_delicate_dims(oracle *o, int64_t position, const float *k, unsigned char *marks) {
    oracle_layer *l = &o->layer;
    double x[DIM_MOST];
    int i, n = 0, half = l->rope_dims / 2;
    memset(marks, 0, (size_t)l->head_dim);
    if (l->position != SA_POSITION_ROPE) {
        return 0;
    }
    for (i = 0; i < l->head_dim; i++) {
        x[i] = k[i];
    }
    oracle_rotate(l, position, l->attention_factor, x);
    for (i = 0; i < half; i++) {
        int a = l->rope_offset + (l->interleaved ? 2 * i : i), b = l->interleaved ? a + 1 : a + half;
        double slack = 1e-6 * (fabs(k[a]) + fabs(k[b])) * l->attention_factor;
        if (rounds_either_way(l, x[a], slack) || rounds_either_way(l, x[b], slack)) {
            marks[a] = marks[b] = 1;
            n += 2;
        }
    }
    return n;
}

static void grow(oracle *o, int64_t n) {
    const oracle_layer *l = &o->layer;
    if (o->count + n <= o->capacity) {
        return;
    }
    o->capacity = 2 * (o->count + n);
    o->positions = realloc(o->positions, (size_t)o->capacity * sizeof *o->positions);
    o->k = realloc(o->k, (size_t)o->capacity * l->n_kv_heads * l->head_dim * sizeof *o->k);
    o->v = realloc(o->v, (size_t)o->capacity * l->n_kv_heads * l->v_head_dim * sizeof *o->v);
    o->k_recent = realloc(o->k_recent, (size_t)o->capacity * l->n_kv_heads * l->head_dim * sizeof *o->k);
    o->v_recent = realloc(o->v_recent, (size_t)o->capacity * l->n_kv_heads * l->v_head_dim * sizeof *o->v);
    o->v_scales = realloc(o->v_scales, (size_t)o->capacity * l->n_kv_heads * ORACLE_GROUPS * sizeof *o->v_scales);
    if (!o->positions || !o->k || !o->v || !o->k_recent || !o->v_recent || !o->v_scales) {
        abort();
    }
}

void oracle_append(oracle *o, int64_t n, const float *k, const float *v) {
    oracle_layer *l = &o->layer;
    int64_t i;
    int g, is_sink;
    grow(o, n);
    for (i = 0; i < n; i++, o->count++, o->seen++) {
        o->positions[o->count] = o->seen;
        for (g = 0; g < l->n_kv_heads; g++) {
            int64_t from = i * l->n_kv_heads + g, to = o->count * l->n_kv_heads + g;
            const float *key = k + from * l->head_dim, *value = v + from * l->v_head_dim;
            is_sink = o->seen < l->n_sink;
            store_key(l, o->seen, is_sink ? l->sink_k_dtype : l->k_dtype, key, o->k + to * l->head_dim);
            store_value(l, is_sink ? l->sink_v_dtype : l->v_dtype, value, o->v + to * l->v_head_dim,
                        o->v_scales + to * ORACLE_GROUPS);
            store_key(l, o->seen, l->recent_k_dtype, key, o->k_recent + to * l->head_dim);
            store_value(l, l->recent_v_dtype, value, o->v_recent + to * l->v_head_dim, NULL);
        }
    }
}

void oracle_set_sink_kv(oracle *o, const float *k, const float *v) {
    oracle_layer *l = &o->layer;
    int r, g;
    for (r = 0; r < l->n_sink_kv; r++) {
        for (g = 0; g < l->n_kv_heads; g++) {
            int64_t at = (int64_t)r * l->n_kv_heads + g;
            store_key(l, oracle_sink_kv_position(l, r), l->sink_k_dtype, k + at * l->head_dim,
                      o->sink_k + at * l->head_dim);
            store_value(l, l->sink_v_dtype, v + at * l->v_head_dim, o->sink_v + at * l->v_head_dim, NULL);
        }
    }
}

void oracle_reset(oracle *o) { o->count = o->seen = o->floor = 0; }

void oracle_rollback(oracle *o, int64_t n) {
    o->seen -= n;
    while (o->count > 0 && o->positions[o->count - 1] >= o->seen) {
        o->count--;
    }
}

/* A jump of no distance is none. Sinks that were jumped over never come; others may come after. */
void oracle_seek(oracle *o, int64_t position) {
    if (position != o->seen) {
        o->floor = o->seen = position;
    }
}

/* visible(t) of the header's first page, of the tokens that have come. */
static int sees(const oracle *o, int64_t t, int64_t u) {
    const oracle_layer *l = &o->layer;
    if (u > t) {
        return 0;
    }
    return u < l->n_sink || (u >= o->floor && (l->is_dense || u >= t - l->window + 1));
}

int64_t oracle_visible(const oracle *o, int64_t t, int64_t *out) {
    int64_t i, n = 0;
    for (i = 0; i < o->count; i++) {
        if (sees(o, t, o->positions[i])) {
            out[n++] = o->positions[i];
        }
    }
    return n;
}

/* The place of the query at t: in the cache, or in the stream. */
static int64_t query_place(const oracle_layer *l, int64_t t) {
    int64_t last = l->n_sink + l->window - 1;
    return l->in_stream || l->is_dense || t < last ? t : last;
}

/* <q, k> for a key of stream position u (sink: at its own place; else at its distance from t). */
static double product(oracle_layer *l, int64_t t, int64_t u, int is_sink, const float *q, const double *k) {
    double a[DIM_MOST], b[DIM_MOST], sum = 0.0;
    int64_t place = query_place(l, t);
    int i;
    for (i = 0; i < l->head_dim; i++) {
        a[i] = q[i];
        b[i] = k[i];
    }
    if (l->position == SA_POSITION_ROPE_APPLIED && is_sink) {
        oracle_rotate(l, place - t, 1.0, a);
    } else if (l->position == SA_POSITION_ROPE && keeps_rotated(l)) {
        oracle_rotate(l, is_sink ? place : t, l->attention_factor, a);
    } else if (l->position == SA_POSITION_ROPE) {
        oracle_rotate(l, place, l->attention_factor, a);
        oracle_rotate(l, is_sink ? u : place - (t - u), l->attention_factor, b);
    }
    for (i = 0; i < l->head_dim; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static double logit(oracle_layer *l, int64_t t, int64_t u, int is_sink, int head, const float *q, const double *k) {
    double x = l->scale * product(l, t, u, is_sink, q, k);
    if (l->softcap > 0.0) {
        x = l->softcap * tanh(x / l->softcap);
    }
    return x - l->slopes[head] * (double)((is_sink ? query_place(l, t) : t) - u);
}

typedef struct term {
    double logit;
    oracle_value value; /* v NULL: the sink logit */
    int is_sink;
    int64_t chunk; /* with scales */
    int64_t entry; /* of oracle_weigh: the token, or as a negative number what stands in front: -1 the last of it */
} term;

static int64_t gather(oracle *o, int64_t t, int head, const float *q, term *terms) {
    oracle_layer *l = &o->layer;
    int64_t n = 0, i;
    int g = head / (l->n_heads / l->n_kv_heads), r;
    if (l->sink_logits[head] != -INFINITY) {
        terms[n++] = (term){l->sink_logits[head], {NULL, NULL}, 1, 0, -1 - l->n_sink_kv};
    }
    for (r = 0; r < l->n_sink_kv; r++) {
        int64_t at = (int64_t)r * l->n_kv_heads + g;
        double x = logit(l, t, oracle_sink_kv_position(l, r), 1, head, q, o->sink_k + at * l->head_dim);
        terms[n++] = (term){x, {o->sink_v + at * l->v_head_dim, NULL}, 1, 0, r - l->n_sink_kv};
    }
    for (i = 0; i < o->count; i++) {
        int64_t u = o->positions[i], at = i * l->n_kv_heads + g;
        if (sees(o, t, u)) {
            int is_sink = u < l->n_sink, is_recent = !is_sink && u > t - l->n_recent;
            double x = logit(l, t, u, is_sink, head, q, (is_recent ? o->k_recent : o->k) + at * l->head_dim);
            oracle_value value = {(is_recent ? o->v_recent : o->v) + at * l->v_head_dim, NULL};
            if (!is_sink && !is_recent && oracle_is_integer(l->v_dtype)) {
                value.scales = o->v_scales + at * ORACLE_GROUPS;
            }
            terms[n++] = (term){x, value, is_sink, u / ORACLE_CHUNK, i};
        }
    }
    return n;
}

/* Adds the coded values at the beginning of terms that are of one chunk; returns how many. */
static int64_t add_coded(const oracle_layer *l, const term *terms, int64_t n, double max, double *out) {
    double weights[ORACLE_CHUNK];
    oracle_value values[ORACLE_CHUNK];
    int64_t i;
    for (i = 0; i < n && terms[i].value.scales && terms[i].chunk == terms[0].chunk; i++) {
        weights[i] = exp(terms[i].logit - max);
        values[i] = terms[i].value;
    }
    oracle_integer_sum((int)i, weights, values, l->v_head_dim, l->weight_most, out);
    return i;
}

void oracle_attend(oracle *o, int64_t t, int head, const float *q, oracle_row *row) {
    const oracle_layer *l = &o->layer;
    term *terms = take((size_t)(o->count + l->n_sink_kv + 1), sizeof *terms);
    int64_t n = gather(o, t, head, q, terms), j;
    double sum = 0.0, sinks = 0.0;
    int i;
    memset(row, 0, sizeof *row);
    row->max = -INFINITY;
    for (j = 0; j < n; j++) {
        row->max = terms[j].logit > row->max ? terms[j].logit : row->max;
    }
    for (j = 0; j < n; j++) {
        double weight = exp(terms[j].logit - row->max);
        sum += weight;
        sinks += terms[j].is_sink ? weight : 0.0;
        for (i = 0; i < l->v_head_dim && terms[j].value.v && !terms[j].value.scales; i++) {
            row->out[i] += weight * terms[j].value.v[i];
        }
    }
    for (j = 0; j < n;) {
        j += terms[j].value.scales ? add_coded(l, terms + j, n - j, row->max, row->out) : 1;
    }
    for (i = 0; i < l->v_head_dim && n > 0; i++) {
        row->out[i] /= sum;
    }
    row->lse = n > 0 ? row->max + log(sum) : -INFINITY;
    row->sink_mass = n > 0 ? sinks / sum : 0.0;
    row->n_visible = n - l->n_sink_kv - (l->sink_logits[head] != -INFINITY);
    free(terms);
}

void oracle_weigh(oracle *o, int64_t t, int head, const float *q, double *front, double *tokens) {
    const oracle_layer *l = &o->layer;
    term *terms = take((size_t)(o->count + l->n_sink_kv + 1), sizeof *terms);
    int64_t n = gather(o, t, head, q, terms), j;
    double sum = 0.0, max = -INFINITY;
    for (j = 0; j < n; j++) {
        max = terms[j].logit > max ? terms[j].logit : max;
    }
    for (j = 0; j < n; j++) {
        sum += exp(terms[j].logit - max);
    }
    for (j = 0; j < n; j++) {
        double *to = terms[j].entry < 0 ? front + 1 + l->n_sink_kv + terms[j].entry : tokens + terms[j].entry;
        *to += exp(terms[j].logit - max) / sum;
    }
    free(terms);
}
