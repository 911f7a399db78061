/* The vector layer on AVX2 + FMA + F16C: 16 lanes as two ymm registers.
 *
 * SPDX-License-Identifier: MIT
 */
#include <immintrin.h>

#include "half.h"

/* 16 ymm registers: R rows times T tiles take 2RT of them; 12 leave room for operands, if these are few (V_AT_ONCE). */
#define V_ROWS 6
#define V_MOST_TILES 4
#define V_TILES(R) ((R) == 1 ? 4 : (R) <= 3 ? 2 : 1)
#define V_AT_ONCE(R) ((R) <= 3)
#define V_BLOCKS(R) V_TILES(R)
/* Conversions are hidden behind the multiplications of six rows, and the second-level cache holds twice as much. */
#define V_WIDENS 0
#define V_UNROLL SAI_UNROLL_FULLY
#define V_UNROLL_STEPS SAI_ROLLED /* 12 % less time in many.h, with gcc 12 */
#define V_INLINE SAI_INLINE_ALWAYS
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)

#define V_BOTH(op)                                                                                                     \
    v16 y;                                                                                                             \
    y.a = op(x.a, z.a);                                                                                                \
    y.b = op(x.b, z.b);                                                                                                \
    return y

typedef struct v16 {
    __m256 a, b;
} v16;

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
static inline __m256 v_widen_f16(const uint16_t *p) {
#ifdef SAI_HALVES_ONE_BY_ONE
    __m256 y;
    __asm__("vcvtph2ps %1, %0" : "=x"(y) : "m"(*(const __m128i_u *)p));
    return y;
#else
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
#endif
}
static inline v16 v_load_f16(const uint16_t *p) { return v_make(v_widen_f16(p), v_widen_f16(p + 8)); }
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
static inline v16 v_swap1(v16 x) { return v_make(_mm256_permute_ps(x.a, 0xb1), _mm256_permute_ps(x.b, 0xb1)); }
static inline v16 v_swap2(v16 x) { return v_make(_mm256_permute_ps(x.a, 0x4e), _mm256_permute_ps(x.b, 0x4e)); }
static inline v16 v_swap4(v16 x) {
    return v_make(_mm256_permute2f128_ps(x.a, x.a, 1), _mm256_permute2f128_ps(x.b, x.b, 1));
}
static inline v16 v_swap8(v16 x) { return v_make(x.b, x.a); }
/* Packing works within 128 bits: it gives lanes 0 .. 3 and 8 .. 11 in one half, the others in the other. */
static inline void v_save_bytes(uint8_t *p, v16 x) {
    __m256i low = _mm256_set1_epi32(0xff);
    __m256i y = _mm256_packs_epi32(_mm256_and_si256(_mm256_castps_si256(x.a), low),
                                   _mm256_and_si256(_mm256_castps_si256(x.b), low));
    y = _mm256_packus_epi16(y, y);
    _mm_storeu_si128((__m128i *)p, _mm_unpacklo_epi32(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1)));
}
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

/* ---- integers: four codes c = 256 h + l as a word of bytes h and one of l; or bytes are paired to 16 bits ---- */

/* The larger of the magnitude of x and z >= 0, as their bits say: NaN is the largest. */
static inline __m256 v_larger_half(__m256 x, __m256 z) {
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(x), _mm256_castps_si256(z)));
}
static inline v16 v_larger(v16 x, v16 z) {
    x = v_abs(x);
    V_BOTH(v_larger_half);
}

#ifdef V_HAVE_VNNI
#define V_HAVE_BYTE_PRODUCTS 1
#define V_INT_TILES(R) 1
#define V_INT_ROWS 1
#define V_INT_GROUPS(R) 1
#define V_INT_CASES(CASE) CASE(1)

typedef struct v16i {
    __m256i high_a, high_b, low_a, low_b;
} v16i;
typedef struct v64b {
    __m256i a, b;
} v64b;

static inline v64b v_tie(__m256i a, __m256i b) {
    v64b y;
    y.a = a;
    y.b = b;
    return y;
}
static inline v16i v_int(int32_t x) {
    v16i y;
    y.high_a = y.high_b = _mm256_setzero_si256();
    y.low_a = y.low_b = _mm256_set1_epi32(x);
    return y;
}
static inline __m256i v_join(__m256i high, __m256i low) { return _mm256_add_epi32(_mm256_slli_epi32(high, 8), low); }
static inline v16 v_from_int(v16i x) {
    return v_make(_mm256_cvtepi32_ps(v_join(x.high_a, x.low_a)), _mm256_cvtepi32_ps(v_join(x.high_b, x.low_b)));
}
static inline v16i v_load_int(const int32_t *p) {
    v16i y;
    y.high_a = y.high_b = _mm256_setzero_si256();
    y.low_a = _mm256_loadu_si256((const __m256i *)p);
    y.low_b = _mm256_loadu_si256((const __m256i *)(p + 8));
    return y;
}
static inline void v_save_int(int32_t *p, v16i x) {
    _mm256_storeu_si256((__m256i *)p, v_join(x.high_a, x.low_a));
    _mm256_storeu_si256((__m256i *)(p + 8), v_join(x.high_b, x.low_b));
}
/* Of codes whose high bytes are 0. */
static inline v16i v_dot_low(v16i sum, v64b k, const int32_t *quad) {
    __m256i low = _mm256_set1_epi32(quad[1]);
    sum.low_a = _mm256_dpbusd_avx_epi32(sum.low_a, k.a, low);
    sum.low_b = _mm256_dpbusd_avx_epi32(sum.low_b, k.b, low);
    return sum;
}
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    __m256i high = _mm256_set1_epi32(quad[0]);
    sum.high_a = _mm256_dpbusd_avx_epi32(sum.high_a, k.a, high);
    sum.high_b = _mm256_dpbusd_avx_epi32(sum.high_b, k.b, high);
    return v_dot_low(sum, k, quad);
}
/* The low byte is signed: add 128 before taking the high byte, then xor the low byte with 0x80. */
static inline __m256i v_pack_half(__m256 x) {
    __m256i code = _mm256_add_epi32(_mm256_castps_si256(x), _mm256_set1_epi32(128));
    __m128i order = _mm_setr_epi8(1, 5, 9, 13, 0, 4, 8, 12, 1, 5, 9, 13, 0, 4, 8, 12);
    return _mm256_shuffle_epi8(code, _mm256_broadcastsi128_si256(order));
}
static inline void v_pack(v16 x, int32_t *pack) {
    __m256i words = _mm256_unpacklo_epi64(v_pack_half(x.a), v_pack_half(x.b));
    words = _mm256_xor_si256(_mm256_permute4x64_epi64(words, 0xd8), _mm256_set1_epi64x((int64_t)0x8080808000000000u));
    _mm256_storeu_si256((__m256i *)pack, words);
}
#else
#define V_INT_TILES(R) ((R) == 1 ? 2 : 1)
#define V_INT_ROWS 4
#define V_INT_STRIP 8
#define V_INT_GROUPS(R) ((R) == 1 ? 2 : 1)
#define V_INT_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4)

typedef struct v16i {
    __m256i a, b;
} v16i;
typedef struct v64b {
    v16i even, odd;
} v64b;

static inline v64b v_tie(__m256i a, __m256i b) {
    __m256i low = _mm256_set1_epi16(0xff);
    v64b y;
    y.even.a = _mm256_and_si256(a, low);
    y.even.b = _mm256_and_si256(b, low);
    y.odd.a = _mm256_srli_epi16(a, 8);
    y.odd.b = _mm256_srli_epi16(b, 8);
    return y;
}
static inline v16i v_int(int32_t x) {
    v16i y;
    y.a = y.b = _mm256_set1_epi32(x);
    return y;
}
static inline v16 v_from_int(v16i x) { return v_make(_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)); }
static inline v16i v_load_int(const int32_t *p) {
    v16i y;
    y.a = _mm256_loadu_si256((const __m256i *)p);
    y.b = _mm256_loadu_si256((const __m256i *)(p + 8));
    return y;
}
static inline void v_save_int(int32_t *p, v16i x) {
    _mm256_storeu_si256((__m256i *)p, x.a);
    _mm256_storeu_si256((__m256i *)(p + 8), x.b);
}
static inline __m256i v_dot_half(__m256i sum, __m256i k_even, __m256i k_odd, __m256i even, __m256i odd) {
    return _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(k_even, even), _mm256_madd_epi16(k_odd, odd)));
}
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    __m256i even = _mm256_set1_epi32(quad[0]), odd = _mm256_set1_epi32(quad[1]);
    sum.a = v_dot_half(sum.a, k.even.a, k.odd.a, even, odd);
    sum.b = v_dot_half(sum.b, k.even.b, k.odd.b, even, odd);
    return sum;
}
/* Of four codes, 0 and 2 in one word, 1 and 3 in the next. */
static inline __m256i v_pack_half(__m256 x) {
    __m256i code = _mm256_castps_si256(x), next = _mm256_slli_epi32(_mm256_srli_si256(code, 8), 16);
    return _mm256_blend_epi16(code, next, 0xaa);
}
static inline void v_pack(v16 x, int32_t *pack) {
    __m256i words = _mm256_unpacklo_epi64(v_pack_half(x.a), v_pack_half(x.b));
    _mm256_storeu_si256((__m256i *)pack, _mm256_permute4x64_epi64(words, 0xd8));
}
#endif

static inline v64b v_bytes(const uint8_t *p) {
    return v_tie(_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)(p + 32)));
}
static inline v64b v_nibbles(const uint8_t *p, int high) {
    __m256i a = _mm256_loadu_si256((const __m256i *)p), b = _mm256_loadu_si256((const __m256i *)(p + 32));
    __m256i low = _mm256_set1_epi8(15);
    if (high) {
        a = _mm256_srli_epi16(a, 4);
        b = _mm256_srli_epi16(b, 4);
    }
    return v_tie(_mm256_and_si256(a, low), _mm256_and_si256(b, low));
}
#undef V_BOTH
