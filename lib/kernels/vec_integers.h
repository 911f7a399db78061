/* The integer part of a vector layer in plain C: the definition of its operations.
 *
 * SPDX-License-Identifier: MIT
 *
 * Sums of products stay below 2^31 (32 * 255 * 32767), so every instruction set computes the same; a sum becomes
 * a float rounded to nearest even. Also taken by instruction sets that have no better.
 */

/* Keys worked at once in a score of R rows, in tiles. */
#define V_INT_TILES(R) 1

/* Rows that are worked on integers as they are, and blocks of their values at once. */
#define V_INT_ROWS 1
#define V_INT_BLOCKS(R) 2
#define V_INT_CASES(CASE) CASE(1)

typedef struct v16i {
    int32_t lane[16];
} v16i;

/* 16 keys times 4 dims, unsigned. */
typedef struct v64b {
    uint8_t byte[64];
} v64b;

static inline v16i v_int(int32_t x) {
    v16i y;
    for (int i = 0; i < 16; i++) y.lane[i] = x;
    return y;
}
static inline v16 v_from_int(v16i x) {
    float y[16];
    for (int i = 0; i < 16; i++) y[i] = (float)x.lane[i];
    return v_load(y);
}
static inline v64b v_bytes(const uint8_t *p) {
    v64b y;
    memcpy(y.byte, p, 64);
    return y;
}
static inline v64b v_nibbles(const uint8_t *p, int high) {
    v64b y;
    for (int i = 0; i < 64; i++) y.byte[i] = high ? p[i] >> 4 : p[i] & 15;
    return y;
}
/* sum[lane] += the four products of a key's bytes with codes 0 .. 3 of the query, packed in q[0], q[1]. */
static inline v16i v_dot(v16i sum, v64b k, const int32_t *q) {
    int16_t code[4]; /* 0, 2, 1, 3 */
    memcpy(code, q, sizeof code);
    for (int i = 0; i < 16; i++)
        sum.lane[i] += code[0] * k.byte[4 * i] + code[2] * k.byte[4 * i + 1] + code[1] * k.byte[4 * i + 2] +
                       code[3] * k.byte[4 * i + 3];
    return sum;
}
/* 16 signed bytes; 16 nibbles less 8. */
static inline v16 v_load_i8(const uint8_t *p) {
    float y[16];
    for (int i = 0; i < 16; i++) y[i] = (float)(int8_t)p[i];
    return v_load(y);
}
static inline v16 v_load_i4(const uint8_t *p, int high) {
    float y[16];
    for (int i = 0; i < 16; i++) y[i] = (float)((high ? p[i] >> 4 : p[i] & 15) - 8);
    return v_load(y);
}
/* Nibbles less 8, times a scale. */
static inline v16 v_scaled_i4(const uint8_t *p, int high, v16 scale) { return v_mul(v_load_i4(p, high), scale); }
