/*
 * Average context vector (after Hilsenbek 2024, arXiv 2406.10906): the mean of what the window has left, as one row.
 *
 * SPDX-License-Identifier: MIT
 *
 * Sinks and a window keep some tokens whole. Of all others the program keeps the running mean of their keys and of
 * their values, which costs one row however long the stream is. Every query sees that row just before token 0:
 *   - as one token among the others, by sa_set_sink_kv, replaced whenever a token leaves;
 *   - as the n tokens that it stands for: its logit plus ln(n). The row's state comes from a cache of its own; ln(n) is
 *     added to the state's max, and sa_merge_partial puts it and that of the stream together.
 * Both are checked against attention in doubles over the same rows.
 */
#include "related.h"

enum { HEADS = 4, DIM = 32, ROW = HEADS * DIM, SINKS = 4, WINDOW = 60, TOKENS = 1000 };

static float queries[TOKENS * ROW], keys[TOKENS * ROW], values[TOKENS * ROW];

/* The mean of the tokens that have left, and how many they are. Kept in doubles: it is added to for ever. */
typedef struct memory {
    double k[ROW], v[ROW];
    float k_row[ROW], v_row[ROW];
    int n;
} memory;

/* Takes in token `left`; the mean moves by 1/n of the way to it. */
static void memory_add(memory *m, int left) {
    m->n++;
    for (int i = 0; i < ROW; i++) {
        m->k[i] += ((double)keys[left * ROW + i] - m->k[i]) / m->n;
        m->v[i] += ((double)values[left * ROW + i] - m->v[i]) / m->n;
        m->k_row[i] = (float)m->k[i];
        m->v_row[i] = (float)m->v[i];
    }
}

/* ----------------------------- the model in doubles --------------------------- */

/* Adds a row at `distance` behind the query of token t to (sum, acc) of a head, `times` over. */
static void add_row(int t, int h, const float *k, const float *v, int distance, double times, double *sum,
                    double *acc) {
    const float *q = queries + t * ROW + h * DIM;
    double logit = 0;
    for (int i = 0, j = DIM / 2; i < DIM / 2; i++, j++) {
        double angle = distance * pow(10000, -2.0 * i / DIM), c = cos(angle), s = sin(angle);
        double q1 = (double)q[i], q2 = (double)q[j], k1 = (double)k[h * DIM + i], k2 = (double)k[h * DIM + j];
        logit += c * (q1 * k1 + q2 * k2) + s * (q1 * k2 - q2 * k1);
    }
    double weight = times * exp(logit / sqrt(DIM));
    *sum += weight;
    for (int i = 0; i < DIM; i++) {
        acc[i] += weight * (double)v[h * DIM + i];
    }
}

/* Sinks, window and the memory's row; the row counts `times` over. */
static void attend_exactly(int t, const memory *m, double times, double *out) {
    int place = t < SINKS + WINDOW ? t : SINKS + WINDOW - 1;
    for (int h = 0; h < HEADS; h++) {
        double sum = 0, *acc = out + h * DIM;
        memset(acc, 0, DIM * sizeof *acc);
        if (times > 0) {
            add_row(t, h, m->k_row, m->v_row, place + 1, times, &sum, acc);
        }
        for (int u = 0; u <= t; u++) {
            if (u < SINKS || u > t - WINDOW) {
                int distance = u < SINKS ? place - u : t - u;
                add_row(t, h, keys + u * ROW, values + u * ROW, distance, 1, &sum, acc);
            }
        }
        for (int i = 0; i < DIM; i++) {
            acc[i] /= sum;
        }
    }
}

/* -------------------------------- with the cache ------------------------------ */

/* One token; the memory's row is a learned row, and 0 until a token has left: then it weighs as a zero sink does. */
static void attend_as_one(sa_cache *stream, int t, const memory *m, float *out) {
    must(sa_set_sink_kv(stream, 0, m->k_row, m->v_row));
    must(sa_append_attend(stream, 0, 1, queries + t * ROW, keys + t * ROW, values + t * ROW, out));
}

typedef struct state {
    float max[HEADS], sum[HEADS], acc[ROW];
} state;

/* The state of attention of token t's query over a cache: behind an append of the token's own key and value, or, with
 * q_offset, over what is there. */
static void attend_state(sa_cache *cache, int t, int appends, int64_t q_offset, state *s) {
    sa_step_args args = {.struct_size = sizeof args,
                         .n_tokens = 1,
                         .q = tensor(queries + t * ROW),
                         .out = tensor(s->acc),
                         .q_offset = q_offset,
                         .partial_max = s->max,
                         .partial_sum = s->sum};
    if (appends) {
        args.k = tensor(keys + t * ROW);
        args.v = tensor(values + t * ROW);
    }
    must(sa_step(cache, &args));
}

/* One token; the row alone in a cache, where it stands as far behind the query as before token 0 of the stream. */
static void attend_as_many(sa_cache *stream, sa_cache *row, int t, const memory *m, float *out) {
    int place = t < SINKS + WINDOW ? t : SINKS + WINDOW - 1;
    state s, of_row;
    attend_state(stream, t, 1, 0, &s);
    if (m->n > 0) {
        must(sa_cache_reset(row, 0));
        must(sa_append_kv(row, 0, 1, m->k_row, m->v_row));
        attend_state(row, t, 0, place, &of_row); /* the row is at 0, so the next token at 1: place more is place + 1 */
        for (int h = 0; h < HEADS; h++) {
            of_row.max[h] += logf((float)m->n);
        }
        must(sa_merge_partial(HEADS, DIM, s.max, s.sum, s.acc, of_row.max, of_row.sum, of_row.acc));
    }
    memcpy(out, s.acc, sizeof s.acc);
    must(sa_finish_partial(HEADS, DIM, s.max, s.sum, out, NULL));
}

int main(void) {
    sa_config config = {.struct_size = sizeof config,
                        .n_layers = 1,
                        .max_append = 1,
                        .n_heads = HEADS,
                        .head_dim = DIM,
                        .n_sink = SINKS,
                        .window = WINDOW,
                        .position = SA_POSITION_ROPE};
    sa_cache *stream = make_cache(&config);
    config.n_sink_kv = 1;
    sa_cache *with_row = make_cache(&config);
    config.n_sink_kv = config.n_sink = 0;
    config.policy = SA_POLICY_DENSE;
    config.window = 1;
    sa_cache *row = make_cache(&config);
    memory m = {.n = 0};
    double worst_one = 0, worst_many = 0, truth[ROW];
    float out[ROW];
    fill(queries, TOKENS * ROW);
    fill(keys, TOKENS * ROW);
    fill(values, TOKENS * ROW);
    for (int t = 0; t < TOKENS; t++) {
        if (t - WINDOW >= SINKS) {
            memory_add(&m, t - WINDOW); /* token t takes its place in the window */
        }
        attend_as_one(with_row, t, &m, out);
        attend_exactly(t, &m, 1, truth);
        compare(out, truth, ROW, &worst_one);
        attend_as_many(stream, row, t, &m, out);
        attend_exactly(t, &m, m.n, truth);
        compare(out, truth, ROW, &worst_many);
    }
    printf("%d sinks, a window of %d, and the mean of the %d tokens between; largest error against doubles\n", SINKS,
           WINDOW, m.n);
    int failed = judge("the row counts as one token (sa_set_sink_kv)", worst_one, 2e-6);
    failed += judge("the row counts as all that it stands for (ln n, sa_merge_partial)", worst_many, 2e-6);
    sa_cache_destroy(stream);
    sa_cache_destroy(with_row);
    sa_cache_destroy(row);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
