/*
 * Attention Matching (arXiv 2602.16284): a few rows that give some queries what many tokens gave them.
 *
 * SPDX-License-Identifier: MIT
 *
 * Both fits are held to what stands there before, by a small part of their own size (RIDGE): otherwise queries that
 * hardly look at a row would give it any value at all.
 */
#include "match.h"

#include <math.h>
#include <string.h>

#define RIDGE 1e-3

typedef double square[MATCH_MOST][MATCH_MOST];

/* By the sum of squares: a token that one query needs comes before one that many look at a little. */
static void choose(const match *it, int32_t m, int32_t *chosen) {
    float looks[MATCH_TOKENS] = {0.0f};
    for (int32_t r = 0; r < it->queries; r++) {
        for (int32_t i = 0; i < it->n; i++) {
            looks[i] += it->shares[r * it->stride + i] * it->shares[r * it->stride + i];
        }
    }
    for (int32_t taken = 0; taken < m; taken++) {
        int32_t most = 0;
        for (int32_t i = 1; i < it->n; i++) {
            most = looks[i] > looks[most] ? i : most;
        }
        looks[most] = -1.0f;
        chosen[taken] = most;
    }
}

static void sum_up(match *it, int32_t m, const int32_t *chosen) {
    memset(it->wanted, 0, (size_t)it->queries * (size_t)(it->dims + 1) * sizeof *it->wanted);
    for (int32_t r = 0; r < it->queries; r++) {
        float *wanted = it->wanted + r * (it->dims + 1);
        for (int32_t i = 0; i < it->n; i++) {
            float share = it->shares[r * it->stride + i];
            for (int32_t d = 0; d < it->dims; d++) {
                wanted[d] += share * it->values[i * it->dims + d];
            }
            wanted[it->dims] += share;
        }
        for (int32_t i = 0; i < m; i++) {
            it->kept[r * MATCH_MOST + i] = it->shares[r * it->stride + chosen[i]];
        }
    }
}

/* a = kept' kept + ridge; returns the ridge. Where no query looks at all, what stands there before stays. */
static double normal_matrix(const match *it, int32_t m, square a) {
    double trace = 0.0;
    for (int32_t i = 0; i < m; i++) {
        for (int32_t j = 0; j < m; j++) {
            a[i][j] = 0.0;
            for (int32_t r = 0; r < it->queries; r++) {
                a[i][j] += (double)it->kept[r * MATCH_MOST + i] * (double)it->kept[r * MATCH_MOST + j];
            }
        }
        trace += a[i][i];
    }
    double ridge = trace > 0.0 ? RIDGE * trace / m : 1.0;
    for (int32_t i = 0; i < m; i++) {
        a[i][i] += ridge;
    }
    return ridge;
}

/* What a dim is to be, seen from each row: kept' wanted + ridge * before. */
static void goal_of(const match *it, int32_t m, int32_t dim, double ridge, const double *before, double *goal) {
    for (int32_t i = 0; i < m; i++) {
        goal[i] = ridge * before[i];
        for (int32_t r = 0; r < it->queries; r++) {
            goal[i] += (double)it->kept[r * MATCH_MOST + i] * (double)it->wanted[r * (it->dims + 1) + dim];
        }
    }
}

/* The w >= 0 that weigh together what all tokens do; one at a time, since the error never grows by that. */
static void fit_weights(const match *it, int32_t m, double *w) {
    square a;
    double goal[MATCH_MOST];
    for (int32_t i = 0; i < m; i++) {
        w[i] = 1.0;
    }
    goal_of(it, m, it->dims, normal_matrix(it, m, a), w, goal);
    for (int32_t i = 0; i < 50 * m; i++) {
        double rest = goal[i % m];
        for (int32_t j = 0; j < m; j++) {
            rest -= j == i % m ? 0.0 : a[i % m][j] * w[j];
        }
        w[i % m] = rest > 0.0 ? rest / a[i % m][i % m] : 0.0;
    }
}

/* a = L L', in the lower half. */
static void factor(int32_t m, square a) {
    for (int32_t j = 0; j < m; j++) {
        for (int32_t i = j; i < m; i++) {
            for (int32_t l = 0; l < j; l++) {
                a[i][j] -= a[i][l] * a[j][l];
            }
            a[i][j] = i == j ? sqrt(a[j][j]) : a[i][j] / a[j][j];
        }
    }
}

static void solve(int32_t m, square a, double *x) {
    for (int32_t i = 0; i < m; i++) {
        for (int32_t l = 0; l < i; l++) {
            x[i] -= a[i][l] * x[l];
        }
        x[i] /= a[i][i];
    }
    for (int32_t i = m - 1; i >= 0; i--) {
        for (int32_t l = i + 1; l < m; l++) {
            x[i] -= a[l][i] * x[l];
        }
        x[i] /= a[i][i];
    }
}

void match_tokens(match *it, int32_t m, int32_t *chosen, float *biases, float *values) {
    square a;
    double w[MATCH_MOST], x[MATCH_MOST], before[MATCH_MOST];
    choose(it, m, chosen);
    sum_up(it, m, chosen);
    fit_weights(it, m, w);
    for (int32_t i = 0; i < it->queries * m; i++) {
        it->kept[i / m * MATCH_MOST + i % m] *= (float)w[i % m];
    }
    double ridge = normal_matrix(it, m, a);
    factor(m, a);
    for (int32_t d = 0; d < it->dims; d++) {
        for (int32_t i = 0; i < m; i++) {
            before[i] = (double)it->values[chosen[i] * it->dims + d];
        }
        goal_of(it, m, d, ridge, before, x);
        solve(m, a, x);
        for (int32_t i = 0; i < m; i++) {
            values[i * it->dims + d] = (float)x[i];
        }
    }
    for (int32_t i = 0; i < m; i++) {
        biases[i] = logf((float)w[i]);
    }
}
