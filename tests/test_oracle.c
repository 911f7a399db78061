/*
 * Random configurations and streams against the oracle, in double.
 *
 * What a row may be off by is in bars.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "bars.h"
#include "cases.h"
#include "compare.h"
#include "results.h"
#include "test.h"

#define ORACLE_WORK 6e5

typedef struct run {
    test_case c;
    test_rng rng;
    long index;
    sa_cache *cache;
    oracle *o[CASE_LAYERS];
    double v_max[CASE_LAYERS];
    int64_t seen, highest, floor; /* tokens now, the most since reset, the last jump's target */
    int64_t max_append;
    int partial_pending;
} run;

/* Greatest differences so far, for the report at the end; what passes is decided row by row. */
static double worst[KINDS], worst_lse, worst_mass;
static char worst_text[KINDS][4200];
static long rows_checked, rows_far;

static double output_rounding(int dtype, double x) {
    double half_ulp = dtype == SA_F16 ? ldexp(1.0, -11) : dtype == SA_BF16 ? ldexp(1.0, -8) : 0.0;
    return half_ulp * fabs(x) * 1.0001 + (dtype == SA_F16 ? ldexp(1.0, -25) : 0.0);
}

static void note_worst(const run *r, int layer, double ratio) {
    int kind = kind_of(&r->o[layer]->layer);
    if (!(ratio <= worst[kind])) {
        worst[kind] = compare_greater(worst[kind], ratio);
        snprintf(worst_text[kind], sizeof worst_text[kind], "case %ld layer %d: %s", r->index, layer, case_text(&r->c));
    }
}

static void check_row_facts(const run *r, int layer, const results *s, int64_t at, const oracle_row *row) {
    double lse, size = 1.0 + fabs(row->lse), loose = row->lse > -INFINITY ? logit_bar(&r->o[layer]->layer) : 0.0;
    double bar = BAR_LSE + loose, mass_bar = loose > 0.0 ? BAR_MASS + loose * size : BAR_MASS;
    if (s->is_partial) {
        lse = s->max[at] + log(s->sum[at]);
        CHECK(row->lse == -INFINITY ? s->sum[at] == 0.0f && s->max[at] == -INFINITY
                                    : compare_difference(s->max[at], row->max) <= bar * size,
              "case %ld layer %d: partial max %g, oracle %g", r->index, layer, s->max[at], row->max);
    } else {
        lse = s->lse[at];
    }
    if (row->lse == -INFINITY) {
        CHECK(lse == -INFINITY, "case %ld layer %d: lse %g of nothing", r->index, layer, lse);
    } else {
        if (loose == 0.0) {
            worst_lse = compare_greater(worst_lse, compare_difference(lse, row->lse) / size);
        }
        CHECK(compare_difference(lse, row->lse) <= bar * size, "case %ld layer %d: lse %.9g, oracle %.9g: %s", r->index,
              layer, lse, row->lse, case_text(&r->c));
    }
    if (loose == 0.0) {
        worst_mass = compare_greater(worst_mass, compare_difference(s->mass[at], row->sink_mass));
    }
    CHECK(compare_difference(s->mass[at], row->sink_mass) <= mass_bar && s->mass[at] >= 0.0f && s->mass[at] <= 1.0f,
          "case %ld layer %d: sink mass %.9g, oracle %.9g: %s", r->index, layer, s->mass[at], row->sink_mass,
          case_text(&r->c));
}

/* How far a row's out may be off, for values of up to 1. */
static double row_bar(const oracle_layer *l, const oracle_row *row) {
    double bar = kind_of(l) == KIND_F32 ? BAR_F32 : BAR_F16;
    if (fabs(row->max) > 16.0 && row->max != -INFINITY) {
        bar *= fabs(row->max) / 16.0;
        rows_far++;
    }
    bar += logit_bar(l) * (row->max > 0.0 ? 1.0 + row->max : 1.0);
    return bar + weight_bar(l);
}

/* A row of out, of a dtype, against the oracle's; the sums of a partial result are divided by `sum` first. */
static void check_out(run *r, int layer, const float *out, int dtype, double sum, double bar, const oracle_row *row) {
    int64_t dims = r->o[layer]->layer.v_head_dim, d;
    comparison c = compare_begin();
    for (d = 0; d < dims; d++) {
        compare_add(&c, out[d] / sum, row->out[d], output_rounding(dtype, row->out[d]));
    }
    if (r->v_max[layer] > 0.0) {
        note_worst(r, layer, c.difference / r->v_max[layer]);
    }
    CHECK(compare_holds(&c, dims, bar * r->v_max[layer]),
          "case %ld layer %d: dim %lld: %.9g, oracle %.9g, sees %lld: %s", r->index, layer, (long long)c.at, c.got,
          c.expected, (long long)row->n_visible, case_text(&r->c));
}

static void check_row(run *r, int layer, const results *s, int64_t i, int head, const float *q) {
    oracle *o = r->o[layer];
    const oracle_layer *l = &o->layer;
    int64_t at = i * l->n_heads + head;
    static oracle_row row;
    double bar, sum = s->is_partial && s->sum[at] != 0.0f ? s->sum[at] : 1.0;
    long failed = test_failed;
    oracle_attend(o, s->first + i, head, q + at * l->head_dim, &row);
    bar = row_bar(l, &row);
    check_out(r, layer, s->out + at * l->v_head_dim, s->out_dtype, sum, bar, &row);
    if (s->again) {
        check_out(r, layer, s->again + at * l->v_head_dim, SA_F32, 1.0, bar, &row);
    }
    check_row_facts(r, layer, s, at, &row);
    if (test_failed > failed && test_failed <= TEST_SHOWN) {
        printf("  that was case %ld layer %d: t=%lld head %d\n", r->index, layer, (long long)(s->first + i), head);
    }
    rows_checked++;
}

/* The oracle is slow: it sees a random part of the rows, so many that each case costs about the same. */
static void check_results(run *r, int layer, const results *s, const float *q) {
    const oracle_layer *l = &r->o[layer]->layer;
    double seen = (double)(l->n_sink + l->window < r->seen ? l->n_sink + l->window : r->seen) + l->n_sink_kv + 1;
    double all = (double)r->c.n_tokens * r->c.config.n_layers * l->n_heads * seen * (4.0 * l->head_dim + l->v_head_dim);
    int percent = all > ORACLE_WORK * 100 ? 1 : all > ORACLE_WORK ? (int)(100.0 * ORACLE_WORK / all) : 100;
    int64_t i;
    int h;
    for (i = 0; i < s->n; i++) {
        for (h = 0; h < l->n_heads; h++) {
            if (rng_chance(&r->rng, percent) && (percent > 1 || rng_chance(&r->rng, 20))) {
                check_row(r, layer, s, i, h, q);
            }
        }
    }
}

static int any_shape(run *r) { return (int)rng_in(&r->rng, 0, SHAPE_COUNT - 1); }

/* A tensor with the values, of a dtype that holds them, said or by default. */
static void make_input(run *r, test_tensor *t, int64_t n, int64_t heads, int64_t dim, const float *values) {
    int dtype = case_input_dtype(&r->c, &r->rng), io = r->c.config.io_dtype ? r->c.config.io_dtype : SA_F32;
    int said = dtype == io && rng_chance(&r->rng, 50) ? 0 : dtype;
    tensor_make(t, &r->rng, any_shape(r), dtype, said, n, heads, dim);
    tensor_write(t, values);
}

static void check_gaps(run *r, test_tensor *t) {
    CHECK(tensor_gaps_intact(t), "case %ld: bytes between elements were written: %s", r->index, case_text(&r->c));
    tensor_free(t);
}

/* One sa_step; q or k may be absent. Results go to s (in floats) if q is there. */
static sa_status step(run *r, int layer, int64_t n, const case_data *data, int with_kv, int64_t q_offset, results *s) {
    const oracle_layer *l = &r->o[layer]->layer;
    test_tensor q, k, v, out;
    sa_step_args a;
    sa_status status;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = layer;
    a.n_tokens = (int32_t)n;
    a.q_offset = q_offset;
    if (with_kv) {
        make_input(r, &k, n, l->n_kv_heads, l->head_dim, data->k);
        make_input(r, &v, n, l->n_kv_heads, l->v_head_dim, data->v);
        a.k = k.tensor;
        a.v = v.tensor;
    }
    if (s) {
        s->is_partial = rng_chance(&r->rng, 25);
        s->out_dtype = s->is_partial ? SA_F32 : (int)rng_in(&r->rng, SA_F32, SA_BF16);
        make_input(r, &q, n, l->n_heads, l->head_dim, data->q);
        tensor_make(&out, &r->rng, any_shape(r), s->out_dtype, s->out_dtype, n, l->n_heads, l->v_head_dim);
        a.q = q.tensor;
        a.out = out.tensor;
        a.lse = s->is_partial ? NULL : s->lse;
        a.sink_mass = s->mass;
        a.partial_max = s->is_partial ? s->max : NULL;
        a.partial_sum = s->is_partial ? s->sum : NULL;
    }
    status = sa_step(r->cache, &a);
    if (s) {
        tensor_read(&out, s->out);
        check_gaps(r, &out);
        tensor_free(&q);
    }
    if (with_kv) {
        tensor_free(&k);
        tensor_free(&v);
    }
    return status;
}

/* The contiguous calls, in the cache's io_dtype; together: sa_append_attend. */
static sa_status plain_calls(run *r, int layer, int64_t n, const case_data *data, int together, results *s) {
    const oracle_layer *l = &r->o[layer]->layer;
    int io = r->c.config.io_dtype ? r->c.config.io_dtype : SA_F32;
    test_tensor q, k, v, out;
    sa_status status;
    tensor_make(&q, &r->rng, SHAPE_CONTIGUOUS, io, 0, n, l->n_heads, l->head_dim);
    tensor_make(&k, &r->rng, SHAPE_CONTIGUOUS, io, 0, n, l->n_kv_heads, l->head_dim);
    tensor_make(&v, &r->rng, SHAPE_CONTIGUOUS, io, 0, n, l->n_kv_heads, l->v_head_dim);
    tensor_make(&out, &r->rng, SHAPE_CONTIGUOUS, io, 0, n, l->n_heads, l->v_head_dim);
    tensor_write(&q, data->q);
    tensor_write(&k, data->k);
    tensor_write(&v, data->v);
    if (together) {
        status =
            sa_append_attend(r->cache, layer, (int32_t)n, q.tensor.data, k.tensor.data, v.tensor.data, out.tensor.data);
    } else {
        status = sa_append_kv(r->cache, layer, (int32_t)n, k.tensor.data, v.tensor.data);
        if (status == SA_SUCCESS) {
            status = sa_attend(r->cache, layer, (int32_t)n, q.tensor.data, out.tensor.data);
        }
    }
    s->out_dtype = io;
    tensor_read(&out, s->out);
    check_gaps(r, &out);
    tensor_free(&q);
    tensor_free(&k);
    tensor_free(&v);
    return status;
}

static void note_values(run *r, int layer, int64_t n, const float *v) {
    const oracle_layer *l = &r->o[layer]->layer;
    int64_t i;
    for (i = 0; i < n * l->n_kv_heads * l->v_head_dim; i++) {
        r->v_max[layer] = fabs(v[i]) > r->v_max[layer] ? fabs(v[i]) : r->v_max[layer];
    }
}

/* The plain calls give no lse and no sink mass: a second call reads the same rows once more and gives them. The oracle
 * is what both calls are compared with, this one's out as well. */
static void read_again(run *r, int layer, results *s, const case_data *data) {
    sa_step_args a;
    test_tensor out, q;
    const oracle_layer *l = &r->o[layer]->layer;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.layer = layer;
    a.n_tokens = (int32_t)s->n;
    a.q_offset = -s->n;
    tensor_make(&q, &r->rng, SHAPE_SAID, SA_F32, SA_F32, s->n, l->n_heads, l->head_dim);
    tensor_make(&out, &r->rng, SHAPE_SAID, SA_F32, SA_F32, s->n, l->n_heads, l->v_head_dim);
    tensor_write(&q, data->q);
    a.q = q.tensor;
    a.out = out.tensor;
    a.lse = s->lse;
    a.sink_mass = s->mass;
    CHECK(sa_step(r->cache, &a) == SA_SUCCESS, "case %ld: reading again: %s", r->index, case_text(&r->c));
    s->again = unwritten((size_t)(s->n * l->n_heads * l->v_head_dim));
    tensor_read(&out, s->again);
    check_gaps(r, &out);
    tensor_free(&q);
}

static void append_piece(run *r, int layer, int64_t n) {
    case_data data;
    results s;
    sa_status status;
    int way = (int)rng_in(&r->rng, 0, 3), reads = 1;
    case_fill(&r->c, &r->rng, r->o[layer], r->seen, n, &data);
    note_values(r, layer, n, data.v);
    results_take(&s, &r->o[layer]->layer, n, r->seen);
    if (n > r->max_append && way != 1) {
        way = 2;
    }
    if (way <= 1) {
        status = plain_calls(r, layer, n, &data, way, &s);
        reads = n <= r->max_append;
        if (status == SA_SUCCESS && reads) {
            read_again(r, layer, &s, &data);
        }
    } else if (way == 2) {
        status = step(r, layer, n, &data, 1, 0, &s);
    } else {
        status = step(r, layer, n, &data, 1, 0, NULL);
        if (status == SA_SUCCESS) {
            status = step(r, layer, n, &data, 0, -n, &s);
        }
    }
    CHECK(status == SA_SUCCESS, "case %ld way %d n %lld: %s: %s", r->index, way, (long long)n, sa_status_string(status),
          case_text(&r->c));
    oracle_append(r->o[layer], n, data.k, data.v);
    if (status == SA_SUCCESS && reads) {
        check_results(r, layer, &s, data.q);
    }
    results_free(&s);
    case_data_free(&data);
}

/* Queries that append nothing, at positions whose keys the header promises to hold. */
static void probe(run *r, int layer) {
    int64_t slack = r->max_append > r->c.config.rollback + 1 ? r->max_append : r->c.config.rollback + 1;
    int64_t least = r->highest - slack > r->floor ? r->highest - slack : r->floor, n, first;
    case_data data;
    results s;
    sa_status status;
    least = least < 0 ? 0 : least > r->seen ? r->seen : least;
    first = rng_chance(&r->rng, 50) ? r->seen : rng_in(&r->rng, least, r->seen + r->o[layer]->layer.window + 5);
    n = rng_in(&r->rng, 1, r->max_append < 4 ? r->max_append : 4);
    case_fill(&r->c, &r->rng, r->o[layer], first, n, &data);
    results_take(&s, &r->o[layer]->layer, n, first);
    status = step(r, layer, n, &data, 0, first - r->seen, &s);
    CHECK(status == SA_SUCCESS, "case %ld: probe at %lld of %lld: %s: %s", r->index, (long long)first,
          (long long)r->seen, sa_status_string(status), case_text(&r->c));
    if (status == SA_SUCCESS) {
        check_results(r, layer, &s, data.q);
    }
    results_free(&s);
    case_data_free(&data);
}

static void go_back(run *r) {
    int64_t depth = r->c.config.rollback - (r->highest - r->seen), m;
    sa_status status;
    int l;
    depth = depth > r->seen - r->floor ? r->seen - r->floor : depth;
    if (depth <= 0) {
        return;
    }
    m = rng_in(&r->rng, 0, depth);
    status = sa_cache_rollback(r->cache, SA_ALL_LAYERS, m);
    CHECK(status == SA_SUCCESS, "case %ld: rollback %lld: %s: %s", r->index, (long long)m, sa_status_string(status),
          case_text(&r->c));
    for (l = 0; l < r->c.config.n_layers; l++) {
        oracle_rollback(r->o[l], m);
    }
    r->seen -= m;
}

/* Frequencies are doubles, and two ways to compute one may differ in its last bit: 1e-4 radians at
 * position 10^12. Where the result depends on the distance from token 0 (keys that the host has rotated,
 * sinks at their stream distance) or on the stored key's phase (rounded to f16), only frequencies
 * that are handed in are the same for both. */
static int64_t farthest(const run *r) {
    int l;
    for (l = 0; l < r->c.config.n_layers; l++) {
        const sa_config *g = case_layer(&r->c, l);
        int relative = g->position == SA_POSITION_ROPE && g->position_mode == SA_IN_CACHE &&
                       kind_of(&r->o[l]->layer) == KIND_F32 && !(g->policy == SA_POLICY_DENSE && g->n_sink_kv > 0);
        int rotates = g->position == SA_POSITION_ROPE || g->position == SA_POSITION_ROPE_APPLIED;
        if (rotates && !relative && !g->rope_inv_freq) {
            return 100000000;
        }
    }
    return 1000000000000LL;
}

static void jump(run *r) {
    int64_t to = r->seen + rng_in(&r->rng, 0, rng_chance(&r->rng, 40) ? 1000 : farthest(r));
    int l;
    CHECK(sa_cache_seek(r->cache, SA_ALL_LAYERS, (uint64_t)to) == SA_SUCCESS, "case %ld: seek %lld", r->index,
          (long long)to);
    for (l = 0; l < r->c.config.n_layers; l++) {
        oracle_seek(r->o[l], to);
    }
    if (to != r->seen) {
        r->seen = r->highest = r->floor = to;
    }
}

static void set_sinks(run *r, int layer) {
    case_data data;
    sa_status status;
    test_tensor k, v;
    const oracle_layer *l = &r->o[layer]->layer;
    int io = r->c.config.io_dtype ? r->c.config.io_dtype : SA_F32;
    if (l->n_sink_kv == 0) {
        return;
    }
    case_fill_sink_kv(&r->c, &r->rng, r->o[layer], &data);
    tensor_make(&k, &r->rng, SHAPE_CONTIGUOUS, io, 0, l->n_sink_kv, l->n_kv_heads, l->head_dim);
    tensor_make(&v, &r->rng, SHAPE_CONTIGUOUS, io, 0, l->n_sink_kv, l->n_kv_heads, l->v_head_dim);
    tensor_write(&k, data.k);
    tensor_write(&v, data.v);
    status = sa_set_sink_kv(r->cache, layer, k.tensor.data, v.tensor.data);
    CHECK(status == SA_SUCCESS, "case %ld: set_sink_kv: %s", r->index, sa_status_string(status));
    oracle_set_sink_kv(r->o[layer], data.k, data.v);
    note_values(r, layer, l->n_sink_kv, data.v);
    tensor_free(&k);
    tensor_free(&v);
    case_data_free(&data);
}

/* Room for n more tokens in every dense layer, rollbacks included. */
static int64_t room(const run *r, int64_t n) {
    int l;
    for (l = 0; l < r->c.config.n_layers; l++) {
        const sa_config *g = case_layer(&r->c, l);
        int64_t left = g->window - (r->seen - r->floor);
        n = g->policy == SA_POLICY_DENSE && n > left ? left : n;
    }
    return n;
}

static void stream(run *r) {
    int64_t left = r->c.n_tokens;
    int l;
    while (left > 0) {
        int64_t most = rng_chance(&r->rng, 60) ? 4 : rng_chance(&r->rng, 70) ? 64 : left;
        int64_t n = room(r, rng_in(&r->rng, 1, most < left ? most : left));
        for (l = 0; l < r->c.config.n_layers && n > 0; l++) {
            append_piece(r, l, n);
        }
        r->seen += n;
        left -= n > 0 ? n : left;
        r->highest = r->seen > r->highest ? r->seen : r->highest;
        if (rng_chance(&r->rng, 15)) {
            go_back(r);
        }
        if (rng_chance(&r->rng, 10)) {
            probe(r, (int)rng_in(&r->rng, 0, r->c.config.n_layers - 1));
        }
        if (rng_chance(&r->rng, 2)) {
            jump(r);
        }
    }
}

static void run_case(run *r, uint64_t seed, long index) {
    const char *why = "";
    int l, layer = -2;
    sa_status status;
    memset(r, 0, sizeof *r);
    r->index = index;
    r->rng.state = seed + (uint64_t)index * 0x632BE59BD9B4E019u;
    case_draw(&r->c, &r->rng, &case_limits_default);
    if (r->c.config.n_threads == 0 && rng_chance(&r->rng, 10)) {
        r->c.config.isa = SA_ISA_PLAIN;
    }
    r->max_append = r->c.config.max_append ? r->c.config.max_append : 256;
    status = sa_config_check(&r->c.config, &why, &layer);
    CHECK(status == SA_SUCCESS, "case %ld: refused, layer %d: %s: %s", index, layer, why, case_text(&r->c));
    if (status != SA_SUCCESS || sa_cache_create(&r->c.config, NULL, &r->cache) != SA_SUCCESS) {
        return;
    }
    for (l = 0; l < r->c.config.n_layers; l++) {
        r->o[l] = oracle_create(case_layer(&r->c, l));
        set_sinks(r, l);
    }
    if (rng_chance(&r->rng, 40)) {
        jump(r);
    }
    stream(r);
    for (l = 0; l < r->c.config.n_layers; l++) {
        oracle_destroy(r->o[l]);
    }
    sa_cache_destroy(r->cache);
}

int main(int argc, char **argv) {
    uint64_t seed = 20230917;
    long count = 2000, i, first = argc > 3 ? strtol(argv[3], NULL, 0) : 0;
    double began = test_seconds();
    static run r;
    test_begin("test_oracle", argc, argv, &seed, &count);
    for (i = first; i < first + count; i++) {
        run_case(&r, seed, i);
    }
    printf("%ld rows in %.1f s; worst lse %.3g, sink mass %.3g\n", rows_checked, test_seconds() - began, worst_lse,
           worst_mass);
    printf("%ld rows with all logits beyond 16\n", rows_far);
    for (i = 0; i < KINDS; i++) {
        printf("worst |out - oracle| / max |v|, %s: %.3g, %s\n", kind_names[i], worst[i], worst_text[i]);
    }
    return test_end();
}
