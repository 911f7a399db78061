/* The contract between the cache and its kernels: a table of functions per instruction set.
 *
 * SPDX-License-Identifier: MIT
 *
 * Kernels know no cache, no span and no position. They see tiles and rows:
 *   K tile    [dim][16 keys], V [key][dims padded to 16]; integers: see integer_tiles.h
 *   row       one query head of one token: dk floats of q, 256 scores, dv_pad sums
 *   chunk     256 keys whose stream positions share all but the low 8 bits
 * Every table computes the same bits: a score is one fused multiply-add chain over
 * each 256 dims, their sums added in order; a value sum is one chain over keys; lanes
 * are reduced in one fixed order.
 * Nothing outside the ranges described is read or written.
 */
#ifndef SAI_KERNEL_H
#define SAI_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "../../include/sinkattn.h"
#include "../rope.h"

enum {
    SAI_CHAIN = 256,       /* dims of one chain of a score */
    SAI_CHUNK = 256,       /* keys per softmax chunk: scores of a few rows stay in L1 */
    SAI_CHUNK_TILES = 16,  /* of 16 keys each */
    SAI_STORED_DTYPES = 6, /* kernels are indexed by dtype number; 0 is unused */
    SAI_IO_DTYPES = 4,
    SAI_MOST_ROWS = 8 /* of any table */
};

/* How a dot product becomes a logit. */
typedef struct sai_logit {
    float scale;
    float softcap;          /* 0: none */
    const float *slopes;    /* (rows) ALiBi; NULL: none */
    const float *distances; /* (rows) with slopes: from the row's token to key 0 of the chunk */
    float step;             /* 1, or 0 where all keys are at one distance */
    const float *biases;    /* (256) added to every row's logits of a key: finite, or -infinity, which hides the key,
                               whatever its score is; NULL: none. With them there are no slopes */
} sai_logit;

/* What will be read after a call's tiles or keys: n more that are contiguous with them, then what begins at `at`. A
 * call of few rows is memory-bound: it prefetches the first of those while it processes its own last ones. */
typedef struct sai_following {
    int64_t n;
    const void *at;
} sai_following;

/* s[r][key] = <q[r], k[key]> for 1 <= rows <= table rows. q and s strides in floats. Where the keys are
 * integers, q is packed for them (integer_tiles.h). */
typedef void (*sai_score_fn)(int rows, const float *q, size_t q_stride, const void *k, int n_tiles, int dk,
                             const sai_following *next, float *s, size_t s_stride);

/* A chain over keys, in order, of p[r][key] * v[key] for dims [0, 16 n_blocks): it begins with acc[r] and ends there.
 * With keep, n_blocks <= blocks[rows], it begins with 0, and acc[r] <- keep[r] * acc[r] + chain + 0. That is never -0,
 * so keys of weight 0 before or after a row's own leave its bits alone, if their values are finite. v_stride in
 * elements. */
typedef void (*sai_value_fn)(int rows, const float *p, size_t p_stride, const void *v, size_t v_stride, int n_keys,
                             int n_blocks, const sai_following *next, const float *keep, float *acc, size_t acc_stride);

/* What value sums of integers are made of. A row's weights times the scales of a group are integers, the greatest of
 * the keys that it sees most_code: their products with the values' codes are summed exactly over all the chunk. What
 * comes to acc is the sum times the greatest / most_code, as above. */
typedef struct sai_int_values {
    const float *p;           /* (rows, 256) */
    const int *lo, *hi;       /* (rows) the keys that a row sees; lo >= hi: none */
    int first, end;           /* tiles that some row sees */
    const void *const *tiles; /* (end) V tiles of the chunk, from `first` on */
    int n_blocks;
    const float *keep; /* (rows) */
    float *acc;
    size_t acc_stride;
    float *scratch; /* (rows, sai_weight_words) */
    int most_code;  /* SAI_MOST_CODE or SAI_MOST_BYTE */
} sai_int_values;

typedef void (*sai_int_value_fn)(int rows, const sai_int_values *values);

/* Memory to prefetch: kernels for many rows prefetch the line at `at` every few steps, and advance `at`. */
typedef struct sai_prefetch {
    const char *at, *end;
} sai_prefetch;

typedef struct sai_kernels {
    int32_t isa;
    int32_t rows;                      /* of one score or value call, where there are many */
    int32_t most_rows;                 /* that one call takes: all of a small group in one pass over K and V */
    int32_t widens;                    /* many rows have f16 and bf16 converted to f32 once, for all of them */
    int32_t blocks[SAI_MOST_ROWS + 1]; /* value blocks that so many rows can hold in registers */
    sai_score_fn score[SAI_STORED_DTYPES];
    sai_value_fn value[SAI_STORED_DTYPES];
    sai_int_value_fn int_value[SAI_STORED_DTYPES];

    /* The same for codes of queries and weights that are bytes, of at most SAI_MOST_BYTE. */
    sai_score_fn score_bytes[SAI_STORED_DTYPES];
    sai_int_value_fn int_value_bytes[SAI_STORED_DTYPES];

    /* Packs a rotated query for integer keys whose codes are stored with an offset (integer_tiles.h): its greatest code
     * is most_code, SAI_MOST_CODE or SAI_MOST_BYTE. Of x (dims padded to 16) what lies beyond the dims does not
     * matter. */
    void (*pack_query)(const float *x, int dims, int offset, int most_code, int32_t *packed);

    /* score, and value with keep, for exactly `rows` rows, and for any n_blocks. If the table widens, what is not
     * stored as f32 is written to `wide` as f32, where it takes the place it has in k and v; else nothing is. */
    void (*score_many[SAI_IO_DTYPES])(const float *q, size_t q_stride, const void *k, float *wide, int n_tiles, int dk,
                                      float *s, size_t s_stride, sai_prefetch *prefetch);
    void (*value_many[SAI_IO_DTYPES])(const float *p, size_t p_stride, const void *v, float *wide, size_t v_stride,
                                      int n_keys, int n_blocks, const float *keep, float *acc, size_t acc_stride,
                                      sai_prefetch *prefetch);

    /* One more chunk, s (rows, 256), for the states (max, sum) of a few rows: scores of keys [lo[r], hi[r]) become
     * exp(logit - max), max now being the greatest of all, the other keys of the tiles touched 0; what the state
     * held before is to be multiplied by keep[r]. Without keys, lo[r] >= hi[r], nothing changes and keep[r] is 1.
     * Here max is in the units of the scores, unless softcap, slopes or biases are given: max * scale is the logit. A
     * state to which only hidden keys came keeps max -infinity and sum 0. */
    void (*softmax)(int rows, float *s, const int *lo, const int *hi, const sai_logit *logit, float *max, float *sum,
                    float *keep);

    /* Scores s (rows, 256) of keys [lo[r], hi[r]) become the keys' shares of rows whose softmax is finished:
     * exp(logit - max) * inverse, max being a logit. The other keys of the tiles touched get arbitrary numbers. */
    void (*shares)(int rows, float *s, const int *lo, const int *hi, const sai_logit *logit, const float *max,
                   const float *inverse);

    /* acc[0 .. n) <- keep * acc + chain + 0; n is a multiple of 16. */
    void (*fold)(int n, float *acc, float keep, const float *chain);

    /* (max, sum, acc (rows, n)) a <- a merged with b; n is a multiple of 16. b empty (sum 0) changes nothing. */
    void (*merge)(int rows, int n, float *max_a, float *sum_a, float *acc_a, const float *max_b, const float *sum_b,
                  const float *acc_b);

    /* acc[0 .. n) /= sum; sum 0 gives 0. */
    void (*divide)(int n, float *acc, float sum);

    /* exp(x) as softmax computes it. */
    float (*exponential)(float x);

    /* The sum of the squares of x[0 .. n); n is a multiple of 16. */
    float (*squares)(const float *x, int n);

    /* Rows of n elements from and to f32, for any n. */
    void (*load[SAI_IO_DTYPES])(const void *from, int n, float *to);
    void (*store[SAI_IO_DTYPES])(const float *from, int n, void *to);

    /* row[0 .. pairs) = factor * cos, row[pairs .. 2 pairs) = factor * sin of the phases at a position, which may be
     * "negative" (modulo 2^64); and a head vector x is rotated by such a row. */
    void (*rope_row)(const sai_rope *rope, const uint64_t *frequency, uint64_t position, float *row);
    void (*rope_rotate)(const sai_rope *rope, const float *row, float *x);

    /* Rotates a key or a query (dims) by a Hadamard matrix, block by block, so that their product stays: scaled by 1
     * / sqrt(n) each for a block of n = 4^i; else the key by sqrt(2 / n), the query by 1 / sqrt(2 n). Powers of two,
     * so exact. */
    void (*hadamard)(float *x, int dims, int is_query);

    /* Codes, more by `offset`, and scales (bfloat16) of a row: whole groups are written, with 0 for dims beyond the
     * last. A group with a number that is not finite has scale NaN and arbitrary codes. */
    void (*quantize[SAI_STORED_DTYPES])(const float *x, int dims, int offset, uint8_t *codes, uint16_t *scales);
} sai_kernels;

/* In one file the tables are static, and stand before dispatch.c, which names them. */
#ifdef SAI_ONE_FILE
#define SAI_TABLE static
#else
#define SAI_TABLE
extern const sai_kernels sai_kernels_plain;
extern const sai_kernels sai_kernels_plain_nofma;
extern const sai_kernels sai_kernels_avx2;
extern const sai_kernels sai_kernels_avx512;
extern const sai_kernels sai_kernels_avx512_vnni;
extern const sai_kernels sai_kernels_neon;
extern const sai_kernels sai_kernels_wasm;
extern const sai_kernels sai_kernels_wasm_relaxed;
extern const sai_kernels sai_kernels_rvv;
extern const sai_kernels sai_kernels_vsx;
extern const sai_kernels sai_kernels_vxe;
extern const sai_kernels sai_kernels_avx2_vnni;
extern const sai_kernels sai_kernels_neon_dot;
#endif

#if defined(__wasm_relaxed_simd__)
/* Whether this engine's relaxed multiply-add is fused. */
int sai_wasm_relaxed_fuses(void);
#endif

/* The table of an instruction set that is available. Costs nothing. */
const sai_kernels *sai_kernels_of(int32_t isa);

/* Whether this build and processor have it, and what SA_ISA_AUTO means here: SA_ISA_AUTO itself where none of the sets
 * of this build is available. Both query the processor. */
int sai_isa_available(int32_t isa);
int32_t sai_isa_best(void);

/* Whether this build has the kernels of a stored dtype (SA_NO_F16, SA_NO_BF16, SA_NO_INTEGERS). */
int sai_dtype_built(int32_t dtype);

#endif
