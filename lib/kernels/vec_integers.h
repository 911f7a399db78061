/* The integer part of a vector layer in plain C: the definition of its operations.
 *
 * SPDX-License-Identifier: MIT
 *
 * Sums of products stay below 2^31 (256 * 255 * 32639), so every instruction set computes the same; a sum becomes
 * a float rounded to nearest even. Also taken by instruction sets that have no better.
 */

/* Tiles of keys that a score of R rows processes at once. */
#define V_INT_TILES(R) 1

/* Rows and groups of values that are processed at once. */
#define V_INT_ROWS 1
#define V_INT_GROUPS(R) 1
#define V_INT_CASES(CASE) CASE(1)

/* The larger of the magnitude of x and z >= 0, as their bits say: NaN is the largest. */
static inline v16 v_larger(v16 x, v16 z) {
    float from[2][16], to[16];
    int32_t bits[2][16];
    v_save(from[0], v_abs(x));
    v_save(from[1], z);
    memcpy(bits, from, sizeof bits);
    for (int i = 0; i < 16; i++) bits[0][i] = bits[0][i] > bits[1][i] ? bits[0][i] : bits[1][i];
    memcpy(to, bits[0], sizeof to);
    return v_load(to);
}

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
static inline v16i v_load_int(const int32_t *p) {
    v16i y;
    memcpy(y.lane, p, sizeof y.lane);
    return y;
}
static inline void v_save_int(int32_t *p, v16i x) { memcpy(p, x.lane, sizeof x.lane); }
/* sum[lane] += the four products of a lane's bytes with a quad of codes. */
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    int16_t code[4];
    memcpy(code, quad, sizeof code);
    for (int i = 0; i < 16; i++)
        sum.lane[i] += code[0] * k.byte[4 * i] + code[1] * k.byte[4 * i + 1] + code[2] * k.byte[4 * i + 2] +
                       code[3] * k.byte[4 * i + 3];
    return sum;
}
/* Packs the codes in the low 16 bits of the lanes, as they are. */
static inline void v_pack(v16 x, int32_t *pack) {
    float lane[16];
    uint32_t bits[16];
    uint16_t code[16];
    v_save(lane, x);
    memcpy(bits, lane, sizeof bits);
    for (int i = 0; i < 16; i++) code[i] = (uint16_t)bits[i];
    memcpy(pack, code, sizeof code);
}
