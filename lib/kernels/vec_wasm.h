/* The vector layer on WebAssembly SIMD128: 16 lanes as four v128.
 *
 * SPDX-License-Identifier: MIT
 *
 * V_FMA_QUARTER(x, z, c) is set by the including file: relaxed SIMD's, or multiply, then add.
 */
#include <wasm_simd128.h>

#include "half.h"

typedef struct v16 {
    v128_t a, b, c, d;
} v16;

/* Engines on x86-64 have 16 registers for these, so that 12 sums leave room for operands. */
#define V_ROWS 3
#define V_MOST_TILES 2
#define V_TILES(R) ((R) == 1 ? 2 : 1)
#define V_BLOCKS(R) V_TILES(R)
#define V_UNROLL SAI_UNROLL_FULLY
#define V_INLINE SAI_INLINE_ALWAYS
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3)

#define V_QUARTERS(op)                                                                                                 \
    v16 y;                                                                                                             \
    y.a = op(x.a, z.a);                                                                                                \
    y.b = op(x.b, z.b);                                                                                                \
    y.c = op(x.c, z.c);                                                                                                \
    y.d = op(x.d, z.d);                                                                                                \
    return y

static inline v16 v_make(v128_t a, v128_t b, v128_t c, v128_t d) {
    v16 y;
    y.a = a;
    y.b = b;
    y.c = c;
    y.d = d;
    return y;
}
static inline v16 v_set(float x) {
    v128_t all = wasm_f32x4_splat(x);
    return v_make(all, all, all, all);
}
static inline v16 v_load(const float *p) {
    return v_make(wasm_v128_load(p), wasm_v128_load(p + 4), wasm_v128_load(p + 8), wasm_v128_load(p + 12));
}
static inline void v_save(float *p, v16 x) {
    wasm_v128_store(p, x.a);
    wasm_v128_store(p + 4, x.b);
    wasm_v128_store(p + 8, x.c);
    wasm_v128_store(p + 12, x.d);
}
/* Of a sign-extended half: what is below the sign goes where a float has it, and a multiplication by 2^112 makes up for
 * the other bias, of normal numbers and subnormal ones alike: exact. */
static inline v128_t v_widen_finite(v128_t h) {
    v128_t moved = wasm_v128_and(wasm_i32x4_shl(h, 13), wasm_i32x4_splat(~0x70000000));
    return wasm_f32x4_mul(moved, wasm_f32x4_splat(0x1p112f));
}
/* Infinity and NaN (made quiet) get the largest exponent. */
static inline v128_t v_widen_any(v128_t h) {
    v128_t rest = wasm_v128_and(h, wasm_i32x4_splat(0x7fff));
    v128_t large = wasm_v128_and(wasm_i32x4_gt(rest, wasm_i32x4_splat(0x7bff)), wasm_i32x4_splat(0x7f800000));
    v128_t quiet = wasm_v128_and(wasm_i32x4_gt(rest, wasm_i32x4_splat(0x7c00)), wasm_i32x4_splat(0x400000));
    return wasm_v128_or(v_widen_finite(h), wasm_v128_or(large, quiet));
}
static inline v128_t v_large_f16(v128_t h) {
    v128_t exponent = wasm_i16x8_splat(0x7c00);
    return wasm_i16x8_eq(wasm_v128_and(h, exponent), exponent);
}
/* Infinities and NaNs are rare enough for a branch, and what they take is half of the work. */
static inline v16 v_load_f16(const uint16_t *p) {
    v128_t low = wasm_v128_load(p), high = wasm_v128_load(p + 8);
    v128_t a = wasm_i32x4_extend_low_i16x8(low), b = wasm_i32x4_extend_high_i16x8(low);
    v128_t c = wasm_i32x4_extend_low_i16x8(high), d = wasm_i32x4_extend_high_i16x8(high);
    if (wasm_v128_any_true(wasm_v128_or(v_large_f16(low), v_large_f16(high))))
        return v_make(v_widen_any(a), v_widen_any(b), v_widen_any(c), v_widen_any(d));
    return v_make(v_widen_finite(a), v_widen_finite(b), v_widen_finite(c), v_widen_finite(d));
}
static inline void v_save_f16(uint16_t *p, v16 x) {
    float lane[16];
    v_save(lane, x);
    for (int i = 0; i < 16; i++) p[i] = sai_f32_to_f16(lane[i]);
}
static inline v128_t v_widen_bf16(const uint16_t *p) { return wasm_i32x4_shl(wasm_u32x4_load16x4(p), 16); }
static inline v16 v_load_bf16(const uint16_t *p) {
    return v_make(v_widen_bf16(p), v_widen_bf16(p + 4), v_widen_bf16(p + 8), v_widen_bf16(p + 12));
}
static inline v16 v_add(v16 x, v16 z) { V_QUARTERS(wasm_f32x4_add); }
static inline v16 v_sub(v16 x, v16 z) { V_QUARTERS(wasm_f32x4_sub); }
static inline v16 v_mul(v16 x, v16 z) { V_QUARTERS(wasm_f32x4_mul); }
static inline v16 v_div(v16 x, v16 z) { V_QUARTERS(wasm_f32x4_div); }
static inline v16 v_fma(v16 x, v16 z, v16 c) {
    return v_make(V_FMA_QUARTER(x.a, z.a, c.a), V_FMA_QUARTER(x.b, z.b, c.b), V_FMA_QUARTER(x.c, z.c, c.c),
                  V_FMA_QUARTER(x.d, z.d, c.d));
}
/* pmax(z, x) is z < x ? x : z: the second operand where either is NaN, as wanted. pmin(z, x) is x < z ? x : z. */
static inline v128_t v_max_quarter(v128_t x, v128_t z) { return wasm_f32x4_pmax(z, x); }
static inline v128_t v_min_quarter(v128_t x, v128_t z) { return wasm_f32x4_pmin(z, x); }
static inline v16 v_max(v16 x, v16 z) { V_QUARTERS(v_max_quarter); }
static inline v16 v_min(v16 x, v16 z) { V_QUARTERS(v_min_quarter); }
static inline v16 v_abs(v16 x) {
    return v_make(wasm_f32x4_abs(x.a), wasm_f32x4_abs(x.b), wasm_f32x4_abs(x.c), wasm_f32x4_abs(x.d));
}
static inline v128_t v_less_quarter(v128_t x, v128_t z, v128_t a, v128_t b) {
    return wasm_v128_bitselect(a, b, wasm_f32x4_lt(x, z));
}
static inline v16 v_less(v16 x, v16 z, v16 a, v16 b) {
    return v_make(v_less_quarter(x.a, z.a, a.a, b.a), v_less_quarter(x.b, z.b, a.b, b.b),
                  v_less_quarter(x.c, z.c, a.c, b.c), v_less_quarter(x.d, z.d, a.d, b.d));
}
static inline v128_t v_sign_quarter(v128_t x, v128_t s) { return wasm_v128_bitselect(s, x, wasm_f32x4_splat(-0.0f)); }
static inline v16 v_sign(v16 x, v16 z) { V_QUARTERS(v_sign_quarter); }
static inline v128_t v_range_quarter(int lo, int hi, int first, v128_t a, v128_t b) {
    v128_t lane = wasm_i32x4_add(wasm_i32x4_const(0, 1, 2, 3), wasm_i32x4_splat(first));
    v128_t from_lo = wasm_i32x4_ge(lane, wasm_i32x4_splat(lo)), below_hi = wasm_i32x4_lt(lane, wasm_i32x4_splat(hi));
    return wasm_v128_bitselect(a, b, wasm_v128_and(from_lo, below_hi));
}
static inline v16 v_range(int lo, int hi, v16 a, v16 b) {
    return v_make(v_range_quarter(lo, hi, 0, a.a, b.a), v_range_quarter(lo, hi, 4, a.b, b.b),
                  v_range_quarter(lo, hi, 8, a.c, b.c), v_range_quarter(lo, hi, 12, a.d, b.d));
}
static inline v128_t v_exponent_quarter(v128_t a) { return wasm_i32x4_shl(a, 23); }
static inline v16 v_exponent(v16 x) {
    return v_make(v_exponent_quarter(x.a), v_exponent_quarter(x.b), v_exponent_quarter(x.c), v_exponent_quarter(x.d));
}
static inline v128_t v_swap1_quarter(v128_t x) { return wasm_i32x4_shuffle(x, x, 1, 0, 3, 2); }
static inline v128_t v_swap2_quarter(v128_t x) { return wasm_i32x4_shuffle(x, x, 2, 3, 0, 1); }
static inline v16 v_swap1(v16 x) {
    return v_make(v_swap1_quarter(x.a), v_swap1_quarter(x.b), v_swap1_quarter(x.c), v_swap1_quarter(x.d));
}
static inline v16 v_swap2(v16 x) {
    return v_make(v_swap2_quarter(x.a), v_swap2_quarter(x.b), v_swap2_quarter(x.c), v_swap2_quarter(x.d));
}
static inline v16 v_swap4(v16 x) { return v_make(x.b, x.a, x.d, x.c); }
static inline v16 v_swap8(v16 x) { return v_make(x.c, x.d, x.a, x.b); }
static inline void v_save_bytes(uint8_t *p, v16 x) {
    v128_t low = wasm_i32x4_splat(0xff);
    v128_t first = wasm_i16x8_narrow_i32x4(wasm_v128_and(x.a, low), wasm_v128_and(x.b, low));
    v128_t rest = wasm_i16x8_narrow_i32x4(wasm_v128_and(x.c, low), wasm_v128_and(x.d, low));
    wasm_v128_store(p, wasm_u8x16_narrow_i16x8(first, rest));
}
static inline float v_sum(v16 x) {
    v128_t y = wasm_f32x4_add(wasm_f32x4_add(x.a, x.c), wasm_f32x4_add(x.b, x.d));
    y = wasm_f32x4_add(y, wasm_i32x4_shuffle(y, y, 2, 3, 2, 3));
    return wasm_f32x4_extract_lane(y, 0) + wasm_f32x4_extract_lane(y, 1);
}
static inline float v_greatest(v16 x) {
    v128_t y = v_max_quarter(v_max_quarter(x.a, x.c), v_max_quarter(x.b, x.d));
    y = v_max_quarter(y, wasm_i32x4_shuffle(y, y, 2, 3, 2, 3));
    return wasm_f32x4_extract_lane(v_max_quarter(y, wasm_i32x4_shuffle(y, y, 1, 1, 1, 1)), 0);
}
#undef V_QUARTERS

#include "vec_wasm_integers.h"
