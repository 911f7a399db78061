/*
 * Rows of the host: random streams with random rows against the oracle, in double, and the laws of rows.
 *
 * The oracle knows the tokens; what rows add to its softmax is added here. Sequences of a pool, forked from each other,
 * get the same tokens, but rows of their own; a twin pool with another instruction set, other threads and other pieces
 * must have the same bits.
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

enum { SEQUENCES = 3, ROWS_MOST = 600 };

/* A row of one kv head, as it is stored. */
typedef struct host_row {
    int is_there, at_distance;
    int64_t place;
    double bias;
    double *k, *v; /* with ROPE and ROPE_APPLIED, the key is at its place */
} host_row;

typedef struct run {
    test_case c;
    test_rng rng;
    long index;
    sa_pool *pool, *twin;
    sa_cache *caches[SEQUENCES], *twins[SEQUENCES]; /* NULL: closed */
    host_row *rows[SEQUENCES];                      /* (n_rows, n_kv_heads) */
    oracle *o;
    double v_max;
    int64_t seen;
} run;

static long rows_checked, sets, forks;

static host_row *row_at(const run *r, int sequence, int row, int head) {
    return r->rows[sequence] + (int64_t)row * r->o->layer.n_kv_heads + head;
}

/* ----------------------------- what is expected ---------------------------- */

static int64_t query_place(const oracle_layer *l, int64_t t) {
    int64_t last = l->n_sink + l->window - 1;
    return l->in_stream || l->is_dense || t < last ? t : last;
}

static double row_logit(const run *r, const host_row *row, int64_t t, int head, const float *q) {
    oracle_layer *l = &r->o->layer;
    int64_t query = row->at_distance ? 0 : query_place(l, t), place = row->at_distance ? -row->place : row->place;
    double a[1024], x = 0;
    for (int i = 0; i < l->head_dim; i++) a[i] = q[i];
    if (l->position == SA_POSITION_ROPE) oracle_rotate(l, query, l->attention_factor, a);
    if (l->position == SA_POSITION_ROPE_APPLIED) oracle_rotate(l, query - t, 1.0, a);
    for (int i = 0; i < l->head_dim; i++) x += a[i] * row->k[i];
    x *= l->scale;
    if (l->softcap > 0) x = l->softcap * tanh(x / l->softcap);
    return x + row->bias - l->slopes[head] * (double)(query - place);
}

/* Adds rows with their logits to what the oracle has of the tokens. */
static void add_rows(const run *r, int sequence, int64_t t, int head, const float *q, oracle_row *row) {
    static double logits[ROWS_MOST];
    const oracle_layer *l = &r->o->layer;
    int kv = head / (l->n_heads / l->n_kv_heads), n = r->c.config.n_rows;
    double max = row->max, sum, sinks;
    for (int i = 0; i < n; i++) {
        const host_row *h = row_at(r, sequence, i, kv);
        logits[i] = h->is_there ? row_logit(r, h, t, head, q) : -INFINITY;
        max = logits[i] > max ? logits[i] : max;
    }
    if (max == -INFINITY) return;
    sum = row->lse > -INFINITY ? exp(row->lse - max) : 0;
    sinks = sum * row->sink_mass;
    for (int d = 0; d < l->v_head_dim; d++) row->out[d] *= sum;
    for (int i = 0; i < n; i++) {
        double weight = logits[i] > -INFINITY ? exp(logits[i] - max) : 0;
        sum += weight;
        sinks += weight;
        for (int d = 0; d < l->v_head_dim && weight > 0; d++) row->out[d] += weight * row_at(r, sequence, i, kv)->v[d];
    }
    for (int d = 0; d < l->v_head_dim; d++) row->out[d] /= sum;
    row->max = max;
    row->lse = max + log(sum);
    row->sink_mass = sinks / sum;
}

static double row_bar(const oracle_layer *l, const oracle_row *row) {
    double bar = kind_of(l) == KIND_F32 ? BAR_F32 : BAR_F16, size = fabs(row->max);
    if (size > 16 && size < INFINITY) bar *= size / 16;
    bar += logit_bar(l) * (row->max > 0 ? 1 + row->max : 1);
    return bar + weight_bar(l);
}

static void check_row(run *r, int sequence, const results *s, int64_t i, int head, const float *q) {
    static oracle_row row;
    const oracle_layer *l = &r->o->layer;
    int64_t at = i * l->n_heads + head;
    const float *query = q + at * l->head_dim;
    comparison c = compare_begin();
    oracle_attend(r->o, s->first + i, head, query, &row);
    add_rows(r, sequence, s->first + i, head, query, &row);
    double loose = logit_bar(l), bar = row_bar(l, &row), size = 1 + fabs(row.lse);
    for (int d = 0; d < l->v_head_dim; d++) compare_add(&c, s->out[at * l->v_head_dim + d], row.out[d], 0);
    CHECK(compare_holds(&c, l->v_head_dim, bar * r->v_max), "case %ld sequence %d t %lld dim %lld: %.9g, not %.9g: %s",
          r->index, sequence, (long long)(s->first + i), (long long)c.at, c.got, c.expected, case_text(&r->c));
    CHECK(row.lse == -INFINITY ? s->lse[at] == -INFINITY
                               : compare_difference(s->lse[at], row.lse) <= (BAR_LSE + loose) * size,
          "case %ld: lse %.9g, not %.9g: %s", r->index, s->lse[at], row.lse, case_text(&r->c));
    CHECK(compare_difference(s->mass[at], row.sink_mass) <= BAR_MASS + loose * size,
          "case %ld: mass %.9g, not %.9g: %s", r->index, s->mass[at], row.sink_mass, case_text(&r->c));
    rows_checked++;
}

/* ---------------------------------- steps ---------------------------------- */

static sa_step_args args_of(const oracle_layer *l, const case_data *d, const results *s, int64_t from, int64_t n) {
    sa_step_args a;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.n_tokens = (int32_t)n;
    a.q.data = d->q + from * l->n_heads * l->head_dim;
    a.k.data = d->k + from * l->n_kv_heads * l->head_dim;
    a.v.data = d->v + from * l->n_kv_heads * l->v_head_dim;
    a.out.data = s->out + from * l->n_heads * l->v_head_dim;
    a.q.dtype = a.k.dtype = a.v.dtype = a.out.dtype = SA_F32;
    a.lse = s->lse + from * l->n_heads;
    a.sink_mass = s->mass + from * l->n_heads;
    return a;
}

/* All open sequences in one batch. */
static void step_all(run *r, const case_data *d, results *s, int64_t n) {
    sa_cache *caches[SEQUENCES];
    sa_step_args args[SEQUENCES];
    const sa_step_args *pointers[SEQUENCES];
    int m = 0;
    for (int i = 0; i < SEQUENCES; i++) {
        if (!r->caches[i]) continue;
        args[m] = args_of(&r->o->layer, d, &s[i], 0, n);
        pointers[m] = &args[m];
        caches[m++] = r->caches[i];
    }
    CHECK(sa_batch(r->pool, m, caches, pointers, NULL) == SA_SUCCESS, "case %ld: %s", r->index, sa_pool_error(r->pool));
}

/* One sequence of the twins, in pieces. */
static void step_twin(run *r, int sequence, const case_data *d, results *s, int64_t n) {
    for (int64_t from = 0, piece; from < n; from += piece) {
        piece = rng_in(&r->rng, 1, n - from);
        sa_step_args a = args_of(&r->o->layer, d, s, from, piece);
        CHECK(sa_step(r->twins[sequence], &a) == SA_SUCCESS, "case %ld: %s", r->index,
              sa_cache_error(r->twins[sequence]));
    }
}

static void check_bits(const run *r, const results *a, const results *b, int64_t n) {
    int64_t rows = n * r->o->layer.n_heads, outs = rows * r->o->layer.v_head_dim;
    CHECK(compare_bits(a->out, outs, b->out, outs) < 0 && compare_bits(a->lse, rows, b->lse, rows) < 0 &&
              compare_bits(a->mass, rows, b->mass, rows) < 0,
          "case %ld: the twin has other bits: %s", r->index, case_text(&r->c));
}

static void step(run *r, int64_t n) {
    const oracle_layer *l = &r->o->layer;
    case_data d;
    results s[SEQUENCES], twin;
    case_fill(&r->c, &r->rng, r->o, r->seen, n, &d);
    for (int64_t i = 0; i < n * l->n_kv_heads * l->v_head_dim; i++) r->v_max = fmax(r->v_max, fabs(d.v[i]));
    for (int i = 0; i < SEQUENCES; i++) results_take(&s[i], l, n, r->seen);
    step_all(r, &d, s, n);
    oracle_append(r->o, n, d.k, d.v);
    for (int i = 0; i < SEQUENCES; i++) {
        if (!r->caches[i]) continue;
        results_take(&twin, l, n, r->seen);
        step_twin(r, i, &d, &twin, n);
        check_bits(r, &s[i], &twin, n);
        results_free(&twin);
        for (int k = 0; k < 3; k++)
            check_row(r, i, &s[i], rng_in(&r->rng, 0, n - 1), (int)rng_in(&r->rng, 0, l->n_heads - 1), d.q);
    }
    for (int i = 0; i < SEQUENCES; i++) results_free(&s[i]);
    case_data_free(&d);
    r->seen += n;
}

/* ----------------------------------- rows ---------------------------------- */

/* A key as the host hands it in, whose rounding as stored does not hang on a last bit. */
static void draw_key(run *r, int64_t place, float *out) {
    unsigned char marks[1024];
    oracle_layer *l = &r->o->layer;
    double x[1024];
    for (int i = 0; i < l->head_dim; i++) x[i] = rng_normal(&r->rng);
    if (l->position == SA_POSITION_ROPE_APPLIED) oracle_rotate(l, place, 1.0, x);
    for (int i = 0; i < l->head_dim; i++) out[i] = (float)x[i];
    while (oracle_delicate_dims(r->o, place, out, marks) > 0)
        for (int i = 0; i < l->head_dim; i++) out[i] = marks[i] ? rng_normal(&r->rng) : out[i];
}

static void store_row(run *r, host_row *h, const float *k, const float *v) {
    oracle_layer *l = &r->o->layer;
    for (int i = 0; i < l->head_dim; i++) h->k[i] = k[i];
    if (l->position == SA_POSITION_ROPE)
        oracle_rotate(l, h->at_distance ? -h->place : h->place, l->attention_factor, h->k);
    for (int i = 0; i < l->head_dim; i++)
        h->k[i] = l->sink_k_dtype == SA_F32 ? h->k[i] : dtype_round(l->sink_k_dtype, h->k[i]);
    for (int i = 0; i < l->v_head_dim; i++) h->v[i] = dtype_round(l->sink_v_dtype, v[i]);
}

/* What is handed in for n rows. */
typedef struct drawn {
    sa_rows args;
    float *k, *v, *biases;
    int64_t *places;
} drawn;

static void draw_row(run *r, drawn *d, int64_t at, host_row *h) {
    const oracle_layer *l = &r->o->layer;
    float *k = d->k + at * l->head_dim, *v = d->v + at * l->v_head_dim;
    h->at_distance = d->args.flags == SA_ROWS_AT_DISTANCE;
    h->place = d->places[at] = d->args.places ? rng_in(&r->rng, -40, 40) : 0;
    h->bias = d->biases[at] = d->args.biases ? 2 * rng_normal(&r->rng) : 0;
    h->is_there = !d->args.biases || !rng_chance(&r->rng, 20);
    if (!h->is_there) {
        d->biases[at] = -INFINITY;
        compare_forget(k, (size_t)l->head_dim * sizeof *k);
        compare_forget(v, (size_t)l->v_head_dim * sizeof *v);
        return;
    }
    draw_key(r, h->at_distance ? -h->place : h->place, k);
    for (int i = 0; i < l->v_head_dim; i++) {
        v[i] = rng_normal(&r->rng);
        r->v_max = fmax(r->v_max, fabs(v[i]));
    }
    store_row(r, h, k, v);
}

static void set_both(run *r, int sequence, const sa_rows *rows) {
    CHECK(sa_set_rows(r->caches[sequence], rows) == SA_SUCCESS, "case %ld: %s", r->index,
          sa_cache_error(r->caches[sequence]));
    CHECK(sa_set_rows(r->twins[sequence], rows) == SA_SUCCESS, "case %ld: %s", r->index,
          sa_cache_error(r->twins[sequence]));
}

static void set_rows(run *r, int sequence) {
    const oracle_layer *l = &r->o->layer;
    int32_t all = r->c.config.n_rows, first = (int32_t)rng_in(&r->rng, 0, all - 1);
    int32_t n = (int32_t)rng_in(&r->rng, 0, rng_chance(&r->rng, 30) || all - first < 8 ? all - first : 8);
    int64_t count = (int64_t)n * l->n_kv_heads;
    int takes_away = rng_chance(&r->rng, 20);
    drawn d;
    memset(&d, 0, sizeof d);
    d.args.struct_size = sizeof d.args;
    d.args.first = first;
    d.args.n_rows = n;
    d.k = test_take((size_t)(count * l->head_dim + 1) * sizeof *d.k);
    d.v = test_take((size_t)(count * l->v_head_dim + 1) * sizeof *d.v);
    d.places = test_take((size_t)(count + 1) * sizeof *d.places);
    d.biases = test_take((size_t)(count + 1) * sizeof *d.biases);
    d.args.flags = !takes_away && rng_chance(&r->rng, 40) ? SA_ROWS_AT_DISTANCE : 0;
    d.args.places = !takes_away && rng_chance(&r->rng, 80) ? d.places : NULL;
    d.args.biases = !takes_away && rng_chance(&r->rng, 80) ? d.biases : NULL;
    for (int64_t i = 0; i < count; i++) {
        host_row *h = row_at(r, sequence, first, 0) + i;
        h->is_there = 0;
        if (!takes_away) draw_row(r, &d, i, h);
    }
    if (!takes_away) {
        test_tensor k, v;
        tensor_make(&k, &r->rng, (int)rng_in(&r->rng, 0, SHAPE_COUNT - 1), SA_F32, SA_F32, n, l->n_kv_heads,
                    l->head_dim);
        tensor_make(&v, &r->rng, (int)rng_in(&r->rng, 0, SHAPE_COUNT - 1), SA_F32, SA_F32, n, l->n_kv_heads,
                    l->v_head_dim);
        tensor_write(&k, d.k);
        tensor_write(&v, d.v);
        d.args.k = k.tensor;
        d.args.v = v.tensor;
        set_both(r, sequence, &d.args);
        tensor_free(&k);
        tensor_free(&v);
    } else {
        set_both(r, sequence, &d.args);
    }
    free(d.k);
    free(d.v);
    free(d.places);
    free(d.biases);
    sets++;
}

static void copy_rows(run *r, int from, int to) {
    const oracle_layer *l = &r->o->layer;
    for (int64_t i = 0; i < (int64_t)r->c.config.n_rows * l->n_kv_heads; i++) {
        host_row *a = r->rows[from] + i, *b = r->rows[to] + i, kept = *b;
        *b = *a;
        b->k = kept.k;
        b->v = kept.v;
        memcpy(b->k, a->k, (size_t)l->head_dim * sizeof *a->k);
        memcpy(b->v, a->v, (size_t)l->v_head_dim * sizeof *a->v);
    }
}

/* Closes an open sequence that is not the only one, or forks one into a place that is free. */
static void open_or_close(run *r) {
    int at = (int)rng_in(&r->rng, 0, SEQUENCES - 1), from = (at + 1) % SEQUENCES;
    from = r->caches[from] ? from : (at + 2) % SEQUENCES;
    if (!r->caches[from]) return;
    if (r->caches[at]) {
        sa_cache_destroy(r->caches[at]);
        sa_cache_destroy(r->twins[at]);
        r->caches[at] = r->twins[at] = NULL;
        return;
    }
    CHECK(sa_cache_fork(r->caches[from], &r->caches[at]) == SA_SUCCESS, "fork");
    CHECK(sa_cache_fork(r->twins[from], &r->twins[at]) == SA_SUCCESS, "fork");
    copy_rows(r, from, at);
    forks++;
}

/* ----------------------------------- runs ---------------------------------- */

static void begin_rows(run *r, int sequence) {
    const oracle_layer *l = &r->o->layer;
    size_t n = (size_t)r->c.config.n_rows * (size_t)l->n_kv_heads;
    r->rows[sequence] = test_take(n * sizeof(host_row));
    for (size_t i = 0; i < n; i++) {
        r->rows[sequence][i].k = test_take((size_t)l->head_dim * sizeof(double));
        r->rows[sequence][i].v = test_take((size_t)l->v_head_dim * sizeof(double));
    }
}

static void end_rows(run *r, int sequence) {
    size_t n = (size_t)r->c.config.n_rows * (size_t)r->o->layer.n_kv_heads;
    for (size_t i = 0; i < n; i++) {
        free(r->rows[sequence][i].k);
        free(r->rows[sequence][i].v);
    }
    free(r->rows[sequence]);
}

static int other_isa(test_rng *rng, int isa) {
    int fused = isa != SA_ISA_PLAIN_NOFMA && isa != SA_ISA_WASM;
    for (int i = 0; i < 20; i++) {
        int other = (int)rng_in(rng, 1, 13);
        if (sa_isa_available(other) && fused == (other != SA_ISA_PLAIN_NOFMA && other != SA_ISA_WASM)) return other;
    }
    return isa;
}

static void set_learned(run *r) {
    case_data d;
    if (!r->o->layer.n_sink_kv) return;
    case_fill_sink_kv(&r->c, &r->rng, r->o, &d);
    for (int64_t i = 0; i < (int64_t)r->o->layer.n_sink_kv * r->o->layer.n_kv_heads * r->o->layer.v_head_dim; i++)
        r->v_max = fmax(r->v_max, fabs(d.v[i]));
    CHECK(sa_set_sink_kv(r->caches[0], 0, d.k, d.v) == SA_SUCCESS, "learned rows");
    CHECK(sa_set_sink_kv(r->twins[0], 0, d.k, d.v) == SA_SUCCESS, "learned rows");
    oracle_set_sink_kv(r->o, d.k, d.v);
    case_data_free(&d);
}

static void open_run(run *r) {
    static test_pool threads = {3, 1};
    sa_config *g = &r->c.config, other;
    g->io_dtype = SA_F32;
    g->n_sequences = SEQUENCES;
    g->n_rows = (int32_t)(rng_chance(&r->rng, 70) ? rng_in(&r->rng, 1, 40) : rng_in(&r->rng, 41, ROWS_MOST));
    g->isa = sa_isa_available(SA_ISA_PLAIN_NOFMA) && rng_chance(&r->rng, 10) ? SA_ISA_PLAIN_NOFMA : sa_isa_best();
    other = *g;
    other.isa = other_isa(&r->rng, g->isa);
    other.n_threads = threads.n_threads;
    other.parallel_for = test_parallel_for;
    other.parallel_context = &threads;
    other.max_append = (int32_t)rng_in(&r->rng, 1, 50);
    const char *why = NULL;
    sa_config_check(g, &why, NULL);
    CHECK(sa_pool_create(g, NULL, &r->pool) == SA_SUCCESS && sa_pool_create(&other, NULL, &r->twin) == SA_SUCCESS,
          "case %ld: %s", r->index, why);
    CHECK(sa_pool_open(r->pool, &r->caches[0]) == SA_SUCCESS && sa_pool_open(r->twin, &r->twins[0]) == SA_SUCCESS,
          "open");
    r->o = oracle_create(g);
    for (int i = 0; i < SEQUENCES; i++) begin_rows(r, i);
    set_learned(r);
}

static void random_run(long index, uint64_t seed) {
    static const case_limits limits = {300000, 20000, 300, 1, 0};
    static run r;
    memset(&r, 0, sizeof r);
    r.index = index;
    r.rng.state = seed + (uint64_t)index * 7919;
    case_draw(&r.c, &r.rng, &limits);
    open_run(&r);
    for (int64_t left = r.c.n_tokens; left > 0;) {
        int64_t n = rng_in(&r.rng, 1, rng_chance(&r.rng, 60) || left < 40 ? (left < 4 ? left : 4) : 40);
        int sequence = (int)rng_in(&r.rng, 0, SEQUENCES - 1);
        for (int i = 0; i < 2; i++)
            if (r.caches[sequence] && rng_chance(&r.rng, 40)) set_rows(&r, sequence);
        if (rng_chance(&r.rng, 25)) open_or_close(&r);
        step(&r, n);
        left -= n;
    }
    sa_pool_destroy(r.pool);
    sa_pool_destroy(r.twin);
    for (int i = 0; i < SEQUENCES; i++) end_rows(&r, i);
    oracle_destroy(r.o);
}

int main(int argc, char **argv) {
    uint64_t seed = 11;
    long count = 500;
    test_begin("test_rows", argc, argv, &seed, &count);
    for (long i = 0; i < count; i++) random_run(i, seed);
    printf("%ld rows checked, %ld sets, %ld forks\n", rows_checked, sets, forks);
    return test_end();
}
