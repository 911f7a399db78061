/* The vector layer in the vectors of GNU C, for processors whose compilers turn them into instructions.
 *
 * SPDX-License-Identifier: MIT
 *
 * Set by the including file: V_PART_LANES, 16 (one vector) or 4 (four of them); V_FMA_PART(a, b, c), fused;
 * V_ROWS, V_MOST_TILES, V_TILES, V_CASES. Nothing here is of one processor or one order of bytes.
 */
#include "half.h"

typedef float v_part __attribute__((vector_size(4 * V_PART_LANES)));
typedef int32_t v_bits __attribute__((vector_size(4 * V_PART_LANES)));
typedef uint32_t v_words __attribute__((vector_size(4 * V_PART_LANES)));
typedef uint16_t v_shorts __attribute__((vector_size(2 * V_PART_LANES)));
/* As they lie in memory: aligned like their elements, under pointers to the elements. */
typedef v_part v_part_there __attribute__((aligned(4), may_alias));
typedef v_shorts v_shorts_there __attribute__((aligned(2), may_alias));
typedef uint8_t v_octets __attribute__((vector_size(V_PART_LANES)));
typedef v_octets v_octets_there __attribute__((aligned(1), may_alias));

#define V_BLOCKS(R) V_TILES(R)
#define V_UNROLL SAI_UNROLL_FULLY
#define V_INLINE SAI_INLINE_ALWAYS

#if V_PART_LANES == 16
typedef struct v16 {
    v_part a;
} v16;
#define V_OTHERS(b, c, d)
#define V_SPLAT(x) x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x
#define V_COUNT 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#else
/* Members and not an array, which the compiler would keep in memory until it has unrolled its loops. */
typedef struct v16 {
    v_part a, b, c, d;
} v16;
#define V_OTHERS(b, c, d)                                                                                              \
    b;                                                                                                                 \
    c;                                                                                                                 \
    d
#define V_SPLAT(x) x, x, x, x
#define V_COUNT 0, 1, 2, 3
#endif

/* y from operands x and z, part by part. */
#define V_PARTS1(op)                                                                                                   \
    v16 y;                                                                                                             \
    y.a = op(x.a);                                                                                                     \
    V_OTHERS(y.b = op(x.b), y.c = op(x.c), y.d = op(x.d));                                                             \
    return y
#define V_PARTS2(op)                                                                                                   \
    v16 y;                                                                                                             \
    y.a = op(x.a, z.a);                                                                                                \
    V_OTHERS(y.b = op(x.b, z.b), y.c = op(x.c, z.c), y.d = op(x.d, z.d));                                              \
    return y
/* y from 16 elements at p. */
#define V_PARTS_AT(op)                                                                                                 \
    v16 y;                                                                                                             \
    y.a = op(p);                                                                                                       \
    V_OTHERS(y.b = op(p + 4), y.c = op(p + 8), y.d = op(p + 12));                                                      \
    return y

/* a where the mask is -1, b where it is 0. */
V_INLINE v_part v_choose(v_bits mask, v_part a, v_part b) { return (v_part)((mask & (v_bits)a) | (~mask & (v_bits)b)); }

V_INLINE v_part v_load_part(const float *p) { return *(const v_part_there *)p; }
V_INLINE v16 v_load(const float *p) { V_PARTS_AT(v_load_part); }
V_INLINE void v_save(float *p, v16 x) {
    *(v_part_there *)p = x.a;
    V_OTHERS(*(v_part_there *)(p + 4) = x.b, *(v_part_there *)(p + 8) = x.c, *(v_part_there *)(p + 12) = x.d);
}
V_INLINE v16 v_set(float x) {
    v_part all = {V_SPLAT(x)};
    v16 y;
    y.a = all;
    V_OTHERS(y.b = all, y.c = all, y.d = all);
    return y;
}

/* The exponent's bias differs by 112, which a multiplication mends for subnormals too. What comes out at 2^16 or
 * more was infinity or NaN and gets the largest exponent; NaN is made quiet. */
V_INLINE v_part v_widen_f16(const uint16_t *p) {
    v_words h = __builtin_convertvector(*(const v_shorts_there *)p, v_words);
    v_part y = (v_part)((h & 0x7fffu) << 13) * 0x1p112f;
    v_bits large = y >= 0x1p16f, nan = y > 0x1p16f;
    return (v_part)((v_words)y | ((v_words)large & 0x7f800000u) | ((v_words)nan & 0x400000u) | (h & 0x8000u) << 16);
}
V_INLINE v16 v_load_f16(const uint16_t *p) { V_PARTS_AT(v_widen_f16); }
V_INLINE void v_save_f16(uint16_t *p, v16 x) {
    float lane[16];
    v_save(lane, x);
    for (int i = 0; i < 16; i++) p[i] = sai_f32_to_f16(lane[i]);
}
V_INLINE v_part v_widen_bf16(const uint16_t *p) {
    return (v_part)(__builtin_convertvector(*(const v_shorts_there *)p, v_words) << 16);
}
V_INLINE v16 v_load_bf16(const uint16_t *p) { V_PARTS_AT(v_widen_bf16); }

V_INLINE v_part v_add_part(v_part x, v_part z) { return x + z; }
V_INLINE v_part v_sub_part(v_part x, v_part z) { return x - z; }
V_INLINE v_part v_mul_part(v_part x, v_part z) { return x * z; }
V_INLINE v_part v_div_part(v_part x, v_part z) { return x / z; }
V_INLINE v16 v_add(v16 x, v16 z) { V_PARTS2(v_add_part); }
V_INLINE v16 v_sub(v16 x, v16 z) { V_PARTS2(v_sub_part); }
V_INLINE v16 v_mul(v16 x, v16 z) { V_PARTS2(v_mul_part); }
V_INLINE v16 v_div(v16 x, v16 z) { V_PARTS2(v_div_part); }
V_INLINE v16 v_fma(v16 x, v16 z, v16 c) {
    v16 y;
    y.a = V_FMA_PART(x.a, z.a, c.a);
    V_OTHERS(y.b = V_FMA_PART(x.b, z.b, c.b), y.c = V_FMA_PART(x.c, z.c, c.c), y.d = V_FMA_PART(x.d, z.d, c.d));
    return y;
}

/* The second operand where either is NaN. */
V_INLINE v_part v_max_part(v_part x, v_part z) { return v_choose(x > z, x, z); }
V_INLINE v_part v_min_part(v_part x, v_part z) { return v_choose(x < z, x, z); }
V_INLINE v16 v_max(v16 x, v16 z) { V_PARTS2(v_max_part); }
V_INLINE v16 v_min(v16 x, v16 z) { V_PARTS2(v_min_part); }
V_INLINE v_part v_abs_part(v_part x) { return (v_part)((v_words)x & 0x7fffffffu); }
V_INLINE v16 v_abs(v16 x) { V_PARTS1(v_abs_part); }
V_INLINE v16 v_less(v16 x, v16 z, v16 a, v16 b) {
    v16 y;
    y.a = v_choose(x.a < z.a, a.a, b.a);
    V_OTHERS(y.b = v_choose(x.b < z.b, a.b, b.b), y.c = v_choose(x.c < z.c, a.c, b.c),
             y.d = v_choose(x.d < z.d, a.d, b.d));
    return y;
}
V_INLINE v_part v_sign_part(v_part x, v_part s) {
    return (v_part)(((v_words)x & 0x7fffffffu) | ((v_words)s & 0x80000000u));
}
V_INLINE v16 v_sign(v16 x, v16 z) { V_PARTS2(v_sign_part); }
V_INLINE v_part v_range_part(int lo, int hi, v_part a, v_part b) {
    v_bits lane = {V_COUNT};
    return v_choose((lane >= lo) & (lane < hi), a, b);
}
V_INLINE v16 v_range(int lo, int hi, v16 a, v16 b) {
    v16 y;
    y.a = v_range_part(lo, hi, a.a, b.a);
    V_OTHERS(y.b = v_range_part(lo - 4, hi - 4, a.b, b.b), y.c = v_range_part(lo - 8, hi - 8, a.c, b.c),
             y.d = v_range_part(lo - 12, hi - 12, a.d, b.d));
    return y;
}
V_INLINE v_part v_exponent_part(v_part x) { return (v_part)((v_words)x << 23); }
V_INLINE v16 v_exponent(v16 x) { V_PARTS1(v_exponent_part); }
#if defined(__clang__)
#define V_SHUFFLE(x, ...) __builtin_shufflevector(x, x, __VA_ARGS__)
#else
#define V_SHUFFLE(x, ...) __builtin_shuffle(x, (v_bits){__VA_ARGS__})
#endif
#if V_PART_LANES == 16
V_INLINE v_part v_swap1_part(v_part x) { return V_SHUFFLE(x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14); }
V_INLINE v_part v_swap2_part(v_part x) { return V_SHUFFLE(x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13); }
V_INLINE v_part v_swap4_part(v_part x) { return V_SHUFFLE(x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11); }
V_INLINE v_part v_swap8_part(v_part x) { return V_SHUFFLE(x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7); }
V_INLINE v16 v_swap4(v16 x) { V_PARTS1(v_swap4_part); }
V_INLINE v16 v_swap8(v16 x) { V_PARTS1(v_swap8_part); }
#else
V_INLINE v_part v_swap1_part(v_part x) { return V_SHUFFLE(x, 1, 0, 3, 2); }
V_INLINE v_part v_swap2_part(v_part x) { return V_SHUFFLE(x, 2, 3, 0, 1); }
V_INLINE v16 v_swap4(v16 x) {
    v16 y = {x.b, x.a, x.d, x.c};
    return y;
}
V_INLINE v16 v_swap8(v16 x) {
    v16 y = {x.c, x.d, x.a, x.b};
    return y;
}
#endif
#undef V_SHUFFLE
V_INLINE v16 v_swap1(v16 x) { V_PARTS1(v_swap1_part); }
V_INLINE v16 v_swap2(v16 x) { V_PARTS1(v_swap2_part); }
V_INLINE void v_save_octets(uint8_t *p, v_part x) {
    *(v_octets_there *)p = __builtin_convertvector((v_words)x, v_octets);
}
V_INLINE void v_save_bytes(uint8_t *p, v16 x) {
    v_save_octets(p, x.a);
    V_OTHERS(v_save_octets(p + 4, x.b), v_save_octets(p + 8, x.c), v_save_octets(p + 12, x.d));
}
V_INLINE float v_sum(v16 x) {
    float lane[16];
    v_save(lane, x);
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}
V_INLINE float v_greatest(v16 x) {
    float lane[16];
    v_save(lane, x);
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lane[i] = lane[i] > lane[i + half] ? lane[i] : lane[i + half];
    return lane[0];
}
#undef V_OTHERS
#undef V_SPLAT
#undef V_COUNT
#undef V_PARTS1
#undef V_PARTS2
#undef V_PARTS_AT

#include "vec_integers.h"
