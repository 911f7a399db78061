/*
 * The readable truth: sink + window attention of one layer in double, as slowly and plainly as
 * the paper's text. Shares no code with the library.
 *
 * Keys are kept unrotated and are rotated at their cache index for every query (in stream mode,
 * at their stream position). Only stored f16 and bf16 keys under SA_POSITION_ROPE cannot be treated so,
 * because the number that is rounded is the rotated one: they are rotated once at their stream
 * position, rounded to f16, taken as exact, and the query is rotated relative to them. A library
 * that rotates in f32 may round a key that lies next to the middle of two f16 numbers to the
 * other side; oracle_key_is_delicate says so of a key, and the tests draw another in its place.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_ORACLE_H
#define SA_TESTS_ORACLE_H

#include <stdint.h>

#include "sinkattn.h"

#define ORACLE_RECENT 4
#define ORACLE_GROUPS 32 /* of a value, at most */
#define ORACLE_GROUP 32  /* dims that share a scale */
#define ORACLE_CHUNK 256 /* positions whose weights are rounded together */

/* A layer's config with every default filled in. */
typedef struct oracle_layer {
    int n_heads, n_kv_heads, head_dim, v_head_dim;
    int64_t n_sink, window;
    int is_dense;
    int64_t n_recent;                          /* newest tokens that are read in recent_*_dtype */
    int k_dtype, sink_k_dtype, recent_k_dtype; /* as stored: window, sinks and learned rows, newest */
    int v_dtype, sink_v_dtype, recent_v_dtype;
    double query_most, weight_most; /* the greatest codes of queries and weights that meet integers */
    double scale, softcap;          /* softcap 0: none */
    int n_sink_kv, sink_kv_at_zero;
    int position, in_stream;
    int interleaved, rope_dims, rope_offset;
    double attention_factor;
    long double *frequencies; /* (rope_dims / 2) radians per position */
    double *slopes;           /* (n_heads), 0 without ALiBi */
    double *sink_logits;      /* (n_heads), -infinity is none */
    /* For speed alone, cos and sin are kept of the positions near 0 and of a few others. */
    int64_t table_first, table_count;
    double *table; /* (table_count, rope_dims / 2, cos and sin) */
    int64_t recent_positions[ORACLE_RECENT];
    double *recent; /* (ORACLE_RECENT, rope_dims / 2, cos and sin) */
    int recent_next;
} oracle_layer;

/* One layer's stream: every token that came, whatever has been evicted since. */
typedef struct oracle {
    oracle_layer layer;
    int64_t seen;  /* stream position of the next token */
    int64_t floor; /* the window sees no token below: where the last jump went */
    int64_t count, capacity;
    int64_t *positions; /* (count) stream positions */
    double *k;          /* (count, n_kv_heads, head_dim) as stored in window or sinks */
    double *v;          /* (count, n_kv_heads, v_head_dim) likewise */
    double *v_scales;   /* (count, n_kv_heads, ORACLE_GROUPS) of integers */
    double *k_recent;   /* the same as stored among the newest */
    double *v_recent;
    double *sink_k; /* (n_sink_kv, n_kv_heads, head_dim) as stored */
    double *sink_v; /* (n_sink_kv, n_kv_heads, v_head_dim) as stored */
} oracle;

/* What one row's attention gives. */
typedef struct oracle_row {
    double out[1024];
    double lse, sink_mass, max;
    int64_t n_visible; /* tokens, without learned rows and sink logit */
} oracle_row;

/* The oracle of one layer; `config` is the layer's own (not the cache's, if `layers` is used). */
oracle *oracle_create(const sa_config *config);
void oracle_destroy(oracle *o);

/* k (n, n_kv_heads, head_dim) and v (n, n_kv_heads, v_head_dim): what the host hands in, as floats. */
void oracle_append(oracle *o, int64_t n, const float *k, const float *v);
void oracle_set_sink_kv(oracle *o, const float *k, const float *v);
void oracle_reset(oracle *o);
void oracle_rollback(oracle *o, int64_t n);
void oracle_seek(oracle *o, int64_t position);

/* Attention of a query of `head` at stream position t, q (head_dim). */
void oracle_attend(oracle *o, int64_t t, int head, const float *q, oracle_row *row);

/* Adds the shares of the softmax of such a row: of the sink logit and the learned rows to front (1 + n_sink_kv), of the
 * token that came i-th to tokens[i] (count). */
void oracle_weigh(oracle *o, int64_t t, int head, const float *q, double *front, double *tokens);

/* The stream positions that t sees, in order; returns how many. `out` needs room for them. */
int64_t oracle_visible(const oracle *o, int64_t t, int64_t *out);

/* What is left of a row in an integer dtype. Keys: after the Hadamard rotation and back, on the float that the
 * library has too; so the codes of rotated keys can differ, and oracle_is_loose says so. */
void oracle_integer_key(int dtype, const float *x, int dims, double *out);
void oracle_integer_value(int dtype, const float *x, int dims, double *out, double *scales);
int oracle_is_integer(int dtype);

/* A value that was coded: what is left of it, and the scales of its groups (NULL: it was not). */
typedef struct oracle_value {
    const double *v, *scales;
} oracle_value;

/* Adds n <= 256 values of a chunk to out (dims), their weights times scales rounded to 1 / most_code of the largest. */
void oracle_integer_sum(int n, const double *weights, const oracle_value *values, int dims, double most_code,
                        double *out);
int oracle_is_loose(const oracle_layer *layer);

/* Sets marks (head_dim) to 1 at the dims of a key, to be stored at `position`, whose rounding to f16 or
 * bf16 could go either way, else 0; returns how many. */
int oracle_delicate_dims(oracle *o, int64_t position, const float *k, unsigned char *marks);

/* Rotates x (head_dim) in place as a host that applies RoPE itself does, attention factor `factor`. */
void oracle_rotate(oracle_layer *layer, int64_t position, double factor, double *x);

/* Fills the frequencies and the kept phases from a config; oracle_create calls it. */
void oracle_rope_fill(oracle_layer *layer, const sa_config *config);

/* The stream position of learned sink row r. */
int64_t oracle_sink_kv_position(const oracle_layer *layer, int r);

/* x to the nearest IEEE binary16 or bfloat16 number, ties to even, as a double. */
double oracle_round_f16(double x);
double oracle_round_bf16(double x);

/* position * frequency radians, -pi .. pi, as good at position 10^15 as at 1. */
double oracle_angle(long double frequency, int64_t position);

/* Radians per position of rotation i of a layer's config, before the attention factor. */
long double oracle_frequency(const sa_config *config, int i);

#endif
