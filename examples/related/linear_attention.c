/*
 * Linear attention (Katharopoulos et al. 2020, arXiv 2006.16236): its state as rows of attention.
 *
 * SPDX-License-Identifier: MIT
 *
 * Linear attention keeps, for each of M features f, S_f = sum of f(k) v and z_f = sum of f(k) over all tokens. Its
 * result is sum_f f(q) S_f / sum_f f(q) z_f. That is softmax attention over M rows with values S_f / z_f, if row f has
 * the logit ln f(q) + ln z_f. So it is wherever ln f(q) is a product of something of the query and something of the
 * row:
 *   - exponential features, f(x) = exp(<w_f, x> - |x|^2 / 2) (Choromanski et al. 2021, arXiv 2009.14794): the row's key
 *     is w_f, and what does not depend on f cancels;
 *   - any positive features: the host hands in ln f(q) as the query, and row f's key is the unit vector of f.
 * The rows are learned sink rows, written anew with every token; ln z_f is a bias, put into one more dim of the key, in
 * which every query has a 1.
 */
#include "related.h"

enum { DIM = 16, FEATURES = 32, TOKENS = 500, MOST_DIM = FEATURES + 1 };

typedef void (*feature_map)(const float *x, double *f);

static double directions[FEATURES][DIM];

/* Of FAVOR+; the features of a query or key. */
static void exponential(const float *x, double *f) {
    for (int m = 0; m < FEATURES; m++) {
        double dot = 0, square = 0;
        for (int i = 0; i < DIM; i++) {
            dot += directions[m][i] * (double)x[i];
            square += (double)x[i] * (double)x[i];
        }
        f[m] = exp(dot - square / 2);
    }
}

/* elu(x) + 1, of x and of -x: Katharopoulos's, for twice as many features as dims. */
static void elu_plus_one(const float *x, double *f) {
    for (int m = 0; m < FEATURES; m++) {
        double y = (double)x[m % DIM] * (m < DIM ? 1 : -1);
        f[m] = y > 0 ? y + 1 : exp(y);
    }
}

/* The state of linear attention. */
typedef struct matrix_state {
    double s[FEATURES][DIM], z[FEATURES];
} matrix_state;

static void update(matrix_state *state, const double *f, const float *v) {
    for (int m = 0; m < FEATURES; m++) {
        state->z[m] += f[m];
        for (int i = 0; i < DIM; i++) {
            state->s[m][i] += f[m] * (double)v[i];
        }
    }
}

static void read_exactly(const matrix_state *state, const double *f, double *out) {
    double sum = 0;
    memset(out, 0, DIM * sizeof *out);
    for (int m = 0; m < FEATURES; m++) {
        sum += f[m] * state->z[m];
        for (int i = 0; i < DIM; i++) {
            out[i] += f[m] * state->s[m][i];
        }
    }
    for (int i = 0; i < DIM; i++) {
        out[i] /= sum;
    }
}

/* A row's key without its bias, and the query that goes with it; both of `dim` numbers. */
typedef struct form {
    const char *name;
    feature_map map;
    int dim;
} form;

static void write_rows(sa_cache *cache, const form *form, const matrix_state *state) {
    float k[FEATURES * MOST_DIM] = {0}, v[FEATURES * DIM];
    for (int m = 0; m < FEATURES; m++) {
        float *row = k + m * (form->dim + 1);
        for (int i = 0; i < form->dim; i++) {
            row[i] = form->map == exponential ? (float)directions[m][i] : (float)(i == m);
        }
        row[form->dim] = (float)log(state->z[m]);
        for (int i = 0; i < DIM; i++) {
            v[m * DIM + i] = (float)(state->s[m][i] / state->z[m]);
        }
    }
    must(sa_set_sink_kv(cache, 0, k, v));
}

/* The cache holds no token: a probe sees the rows alone. */
static void read_rows(sa_cache *cache, const form *form, const float *q, const double *f, float *out) {
    float query[MOST_DIM];
    for (int i = 0; i < form->dim; i++) {
        query[i] = form->map == exponential ? q[i] : (float)log(f[i]);
    }
    query[form->dim] = 1;
    sa_step_args args = {.struct_size = sizeof args, .n_tokens = 1, .q = tensor(query), .out = tensor(out)};
    must(sa_step(cache, &args));
}

static double run(const form *form) {
    sa_config config = {.struct_size = sizeof config,
                        .n_layers = 1,
                        .max_append = 1,
                        .n_heads = 1,
                        .head_dim = form->dim + 1,
                        .v_head_dim = DIM,
                        .window = 1,
                        .scale = 1,
                        .n_sink_kv = FEATURES,
                        .sink_kv_position = SA_SINK_KV_AT_ZERO,
                        .position = SA_POSITION_NONE};
    sa_cache *cache = make_cache(&config);
    matrix_state state = {.z = {0}};
    double worst = 0;
    for (int t = 0; t < TOKENS; t++) {
        float q[DIM], k[DIM], v[DIM], out[DIM];
        double of_q[FEATURES], of_k[FEATURES], truth[DIM];
        fill(q, DIM);
        fill(k, DIM);
        fill(v, DIM);
        form->map(q, of_q);
        form->map(k, of_k);
        update(&state, of_k, v);
        write_rows(cache, form, &state);
        read_rows(cache, form, q, of_q, out);
        read_exactly(&state, of_q, truth);
        compare(out, truth, DIM, &worst);
    }
    sa_cache_destroy(cache);
    return worst;
}

int main(void) {
    static const form forms[] = {
        {"exponential features: the row's key is the feature's direction", exponential, DIM},
        {"elu + 1: the query is ln f(q), the row's key a unit vector", elu_plus_one, FEATURES},
    };
    int failed = 0;
    for (int m = 0; m < FEATURES * DIM; m++) {
        directions[m / DIM][m % DIM] = 1.7 * (double)random_number(); /* of variance about 1 */
    }
    printf("linear attention as attention over %d rows, %d tokens, largest error against doubles\n", FEATURES, TOKENS);
    for (int i = 0; i < 2; i++) {
        failed += judge(forms[i].name, run(&forms[i]), 4e-6);
    }
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
