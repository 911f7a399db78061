/* The vector layer on AArch64's Advanced SIMD (NEON): 16 lanes as four q registers.
 *
 * SPDX-License-Identifier: MIT
 *
 * Fused multiply-add and the conversions of binary16 are in every AArch64 processor.
 */
#include <arm_neon.h>

#include "half.h"

/* 32 q registers: R rows times T tiles take 4RT of them, the operands 4T and a broadcast. */
#define V_ROWS 6
#define V_MOST_TILES 4
#define V_TILES(R) ((R) == 1 ? 4 : (R) == 2 ? 2 : 1)
#define V_BLOCKS(R) V_TILES(R)
#define V_UNROLL SAI_UNROLL_FULLY
#define V_INLINE SAI_INLINE_ALWAYS
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)

typedef struct v16 {
    float32x4_t a, b, c, d;
} v16;

#define V_QUARTERS(op)                                                                                                 \
    v16 y;                                                                                                             \
    y.a = op(x.a, z.a);                                                                                                \
    y.b = op(x.b, z.b);                                                                                                \
    y.c = op(x.c, z.c);                                                                                                \
    y.d = op(x.d, z.d);                                                                                                \
    return y

static inline v16 v_make(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d) {
    v16 y;
    y.a = a;
    y.b = b;
    y.c = c;
    y.d = d;
    return y;
}
static inline v16 v_set(float x) {
    float32x4_t all = vdupq_n_f32(x);
    return v_make(all, all, all, all);
}
static inline v16 v_load(const float *p) {
    return v_make(vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12));
}
static inline void v_save(float *p, v16 x) {
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
    vst1q_f32(p + 8, x.c);
    vst1q_f32(p + 12, x.d);
}
static inline float32x4_t v_widen_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
static inline v16 v_load_f16(const uint16_t *p) {
    return v_make(v_widen_f16(p), v_widen_f16(p + 4), v_widen_f16(p + 8), v_widen_f16(p + 12));
}
static inline void v_narrow_f16(uint16_t *p, float32x4_t x) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x))); }
static inline void v_save_f16(uint16_t *p, v16 x) {
    v_narrow_f16(p, x.a);
    v_narrow_f16(p + 4, x.b);
    v_narrow_f16(p + 8, x.c);
    v_narrow_f16(p + 12, x.d);
}
static inline float32x4_t v_widen_bf16(const uint16_t *p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
static inline v16 v_load_bf16(const uint16_t *p) {
    return v_make(v_widen_bf16(p), v_widen_bf16(p + 4), v_widen_bf16(p + 8), v_widen_bf16(p + 12));
}
static inline v16 v_add(v16 x, v16 z) { V_QUARTERS(vaddq_f32); }
static inline v16 v_sub(v16 x, v16 z) { V_QUARTERS(vsubq_f32); }
static inline v16 v_mul(v16 x, v16 z) { V_QUARTERS(vmulq_f32); }
static inline v16 v_div(v16 x, v16 z) { V_QUARTERS(vdivq_f32); }
static inline v16 v_fma(v16 x, v16 z, v16 c) {
    return v_make(vfmaq_f32(c.a, x.a, z.a), vfmaq_f32(c.b, x.b, z.b), vfmaq_f32(c.c, x.c, z.c),
                  vfmaq_f32(c.d, x.d, z.d));
}
/* Not FMAX and FMIN: they give NaN where either is NaN, and here the second operand is wanted. */
static inline float32x4_t v_max_quarter(float32x4_t x, float32x4_t z) { return vbslq_f32(vcgtq_f32(x, z), x, z); }
static inline float32x4_t v_min_quarter(float32x4_t x, float32x4_t z) { return vbslq_f32(vcltq_f32(x, z), x, z); }
static inline v16 v_max(v16 x, v16 z) { V_QUARTERS(v_max_quarter); }
static inline v16 v_min(v16 x, v16 z) { V_QUARTERS(v_min_quarter); }
static inline v16 v_abs(v16 x) { return v_make(vabsq_f32(x.a), vabsq_f32(x.b), vabsq_f32(x.c), vabsq_f32(x.d)); }
static inline v16 v_less(v16 x, v16 z, v16 a, v16 b) {
    return v_make(vbslq_f32(vcltq_f32(x.a, z.a), a.a, b.a), vbslq_f32(vcltq_f32(x.b, z.b), a.b, b.b),
                  vbslq_f32(vcltq_f32(x.c, z.c), a.c, b.c), vbslq_f32(vcltq_f32(x.d, z.d), a.d, b.d));
}
static inline float32x4_t v_sign_quarter(float32x4_t x, float32x4_t s) {
    return vbslq_f32(vdupq_n_u32(0x80000000u), s, x);
}
static inline v16 v_sign(v16 x, v16 z) { V_QUARTERS(v_sign_quarter); }
static inline float32x4_t v_range_quarter(int lo, int hi, int first, float32x4_t a, float32x4_t b) {
    static const int32_t lanes[4] = {0, 1, 2, 3};
    int32x4_t lane = vaddq_s32(vld1q_s32(lanes), vdupq_n_s32(first));
    return vbslq_f32(vandq_u32(vcgeq_s32(lane, vdupq_n_s32(lo)), vcltq_s32(lane, vdupq_n_s32(hi))), a, b);
}
static inline v16 v_range(int lo, int hi, v16 a, v16 b) {
    return v_make(v_range_quarter(lo, hi, 0, a.a, b.a), v_range_quarter(lo, hi, 4, a.b, b.b),
                  v_range_quarter(lo, hi, 8, a.c, b.c), v_range_quarter(lo, hi, 12, a.d, b.d));
}
static inline float32x4_t v_exponent_quarter(float32x4_t a) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(a), 23));
}
static inline v16 v_exponent(v16 x) {
    return v_make(v_exponent_quarter(x.a), v_exponent_quarter(x.b), v_exponent_quarter(x.c), v_exponent_quarter(x.d));
}
static inline v16 v_swap1(v16 x) {
    return v_make(vrev64q_f32(x.a), vrev64q_f32(x.b), vrev64q_f32(x.c), vrev64q_f32(x.d));
}
static inline v16 v_swap2(v16 x) {
    return v_make(vextq_f32(x.a, x.a, 2), vextq_f32(x.b, x.b, 2), vextq_f32(x.c, x.c, 2), vextq_f32(x.d, x.d, 2));
}
static inline v16 v_swap4(v16 x) { return v_make(x.b, x.a, x.d, x.c); }
static inline v16 v_swap8(v16 x) { return v_make(x.c, x.d, x.a, x.b); }
static inline uint16x8_t v_low_halves(float32x4_t x, float32x4_t z) {
    return vcombine_u16(vmovn_u32(vreinterpretq_u32_f32(x)), vmovn_u32(vreinterpretq_u32_f32(z)));
}
static inline void v_save_bytes(uint8_t *p, v16 x) {
    vst1q_u8(p, vcombine_u8(vmovn_u16(v_low_halves(x.a, x.b)), vmovn_u16(v_low_halves(x.c, x.d))));
}
static inline float v_sum(v16 x) {
    float32x4_t y = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
    float32x2_t z = vadd_f32(vget_low_f32(y), vget_high_f32(y));
    return vget_lane_f32(z, 0) + vget_lane_f32(z, 1);
}
static inline float v_greatest(v16 x) {
    float32x4_t y = v_max_quarter(v_max_quarter(x.a, x.c), v_max_quarter(x.b, x.d));
    y = v_max_quarter(y, vextq_f32(y, y, 2));
    return vgetq_lane_f32(v_max_quarter(y, vextq_f32(y, y, 1)), 0);
}
#undef V_QUARTERS

#include "vec_neon_integers.h"
