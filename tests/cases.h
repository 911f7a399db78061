/*
 * Random configurations and random streams for them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_CASES_H
#define SA_TESTS_CASES_H

#include "oracle.h"
#include "support.h"

#define CASE_LAYERS 3
#define CASE_HEADS 512

/* The arrays that a config points to. */
typedef struct case_tables {
    double inv_freq[512];
    float short_factors[512], long_factors[512];
    float slopes[CASE_HEADS], sink_logits[CASE_HEADS];
} case_tables;

/* What a case may ask for. */
typedef struct case_limits {
    int64_t work;     /* multiply-adds, about: what the stream may cost the library */
    int64_t elements; /* of k and v of one layer */
    int64_t largest_window;
    int one_layer; /* no overrides */
    int one_thread;
} case_limits;

extern const case_limits case_limits_default;

/* A cache config and its stream. Points into itself: never copy one. */
typedef struct test_case {
    sa_config config;
    sa_config overrides[CASE_LAYERS];
    const sa_config *pointers[CASE_LAYERS];
    case_tables tables[CASE_LAYERS + 1];
    test_pool pool;
    int64_t n_tokens;
    int input_round;  /* all inputs are numbers of this dtype, 0: of all three dtypes at once */
    double amplitude; /* of q and k */
} test_case;

void case_draw(test_case *c, test_rng *rng, const case_limits *limits);

/* The config that layer l is made from. */
const sa_config *case_layer(const test_case *c, int layer);

/* One line with all that is not 0; a buffer that the next call overwrites. */
const char *case_text(const test_case *c);
const char *config_text(const sa_config *config);

/* A dtype that holds the case's inputs exactly. */
int case_input_dtype(const test_case *c, test_rng *rng);

/* x as an input of this case can hold it. */
float case_number(const test_case *c, double x);

/* Raw inputs of one layer for tokens at stream positions first .. first + n - 1. */
typedef struct case_data {
    float *q, *k, *v; /* (n, heads, dim) */
} case_data;

/* Draws them; `o` says which keys could be rounded to f16 in two ways, and those are drawn anew.
 * SA_POSITION_ROPE_APPLIED keys and queries come rotated as their host would. */
void case_fill(const test_case *c, test_rng *rng, oracle *o, int64_t first, int64_t n, case_data *data);
void case_fill_sink_kv(const test_case *c, test_rng *rng, oracle *o, case_data *data);
void case_data_free(case_data *data);

#endif
