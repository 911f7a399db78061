/* The vector layer on AVX2 + FMA + F16C: 16 lanes as two ymm registers.
 *
 * SPDX-License-Identifier: MIT
 */
#include <immintrin.h>

#include "half.h"

typedef struct v16 {
    __m256 a, b;
} v16;

/* 16 ymm registers: R rows times T tiles take 2RT of them; 12 leave room for operands. */
#define V_ROWS 6
#define V_MOST_TILES 4
#define V_TILES(R) ((R) == 1 ? 4 : (R) == 2 ? 3 : (R) == 3 ? 2 : 1)
#define V_BLOCKS(R) V_TILES(R)
#define V_UNROLL SAI_UNROLL_FULLY
#define V_INLINE SAI_INLINE_ALWAYS
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)

#define V_BOTH(op)                                                                                                     \
    v16 y;                                                                                                             \
    y.a = op(x.a, z.a);                                                                                                \
    y.b = op(x.b, z.b);                                                                                                \
    return y

static inline v16 v_make(__m256 a, __m256 b) {
    v16 y;
    y.a = a;
    y.b = b;
    return y;
}
static inline v16 v_set(float x) { return v_make(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
static inline v16 v_load(const float *p) { return v_make(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }
static inline void v_save(float *p, v16 x) {
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
static inline v16 v_load_f16(const uint16_t *p) {
    return v_make(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
                  _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8))));
}
static inline void v_save_f16(uint16_t *p, v16 x) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
static inline __m256 v_widen_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
static inline v16 v_load_bf16(const uint16_t *p) { return v_make(v_widen_bf16(p), v_widen_bf16(p + 8)); }
static inline v16 v_add(v16 x, v16 z) { V_BOTH(_mm256_add_ps); }
static inline v16 v_sub(v16 x, v16 z) { V_BOTH(_mm256_sub_ps); }
static inline v16 v_mul(v16 x, v16 z) { V_BOTH(_mm256_mul_ps); }
static inline v16 v_div(v16 x, v16 z) { V_BOTH(_mm256_div_ps); }
static inline v16 v_fma(v16 x, v16 z, v16 c) {
    return v_make(_mm256_fmadd_ps(x.a, z.a, c.a), _mm256_fmadd_ps(x.b, z.b, c.b));
}
static inline v16 v_max(v16 x, v16 z) { V_BOTH(_mm256_max_ps); }
static inline v16 v_min(v16 x, v16 z) { V_BOTH(_mm256_min_ps); }
static inline v16 v_abs(v16 x) {
    __m256 sign = _mm256_set1_ps(-0.0f);
    return v_make(_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b));
}
static inline v16 v_less(v16 x, v16 z, v16 a, v16 b) {
    return v_make(_mm256_blendv_ps(b.a, a.a, _mm256_cmp_ps(x.a, z.a, _CMP_LT_OQ)),
                  _mm256_blendv_ps(b.b, a.b, _mm256_cmp_ps(x.b, z.b, _CMP_LT_OQ)));
}
static inline v16 v_sign(v16 x, v16 s) {
    __m256 m = _mm256_set1_ps(-0.0f);
    return v_make(_mm256_or_ps(_mm256_andnot_ps(m, x.a), _mm256_and_ps(m, s.a)),
                  _mm256_or_ps(_mm256_andnot_ps(m, x.b), _mm256_and_ps(m, s.b)));
}
static inline __m256 v_range_half(int lo, int hi, __m256i lane, __m256 a, __m256 b) {
    __m256i in = _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(lo), lane),
                                     _mm256_cmpgt_epi32(_mm256_set1_epi32(hi), lane));
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(in));
}
static inline v16 v_range(int lo, int hi, v16 a, v16 b) {
    return v_make(v_range_half(lo, hi, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), a.a, b.a),
                  v_range_half(lo, hi, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15), a.b, b.b));
}
static inline __m256 v_exponent_half(__m256 a) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 23));
}
static inline v16 v_exponent(v16 x) { return v_make(v_exponent_half(x.a), v_exponent_half(x.b)); }
static inline float v_sum_half(__m256 x) {
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}
static inline float v_greatest_half(__m256 x) {
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
}
static inline float v_sum(v16 x) { return v_sum_half(_mm256_add_ps(x.a, x.b)); }
static inline float v_greatest(v16 x) { return v_greatest_half(_mm256_max_ps(x.a, x.b)); }
#undef V_BOTH
