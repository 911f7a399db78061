/* The vector layer on AVX-512 (F, BW, DQ, VL): 16 lanes are one zmm register.
 *
 * SPDX-License-Identifier: MIT
 */
#include <immintrin.h>

#include "half.h"

/* 32 zmm registers: R rows times T tiles, T operands and a broadcast must fit. T divides a chunk's 16. A group of
 * 8 query heads passes over keys and values once; where rows are many, 6 make better use of the registers. */
#define V_ROWS 8
#define V_MANY 6
#define V_MOST_TILES 8
#define V_TILES(R) ((R) <= 2 ? 8 : (R) <= 6 ? 4 : 2)
#define V_BLOCKS(R) V_TILES(R)
#define V_UNROLL SAI_UNROLL_FULLY
#define V_INLINE SAI_INLINE_ALWAYS
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)

typedef __m512 v16;

static inline v16 v_set(float x) { return _mm512_set1_ps(x); }
static inline v16 v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_save(float *p, v16 x) { _mm512_storeu_ps(p, x); }
static inline v16 v_load_f16(const uint16_t *p) {
#ifdef SAI_HALVES_ONE_BY_ONE
    v16 y;
    __asm__("vcvtph2ps %1, %0" : "=v"(y) : "m"(*(const __m256i_u *)p));
    return y;
#else
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
#endif
}
static inline void v_save_f16(uint16_t *p, v16 x) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
static inline v16 v_load_bf16(const uint16_t *p) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static inline v16 v_add(v16 x, v16 z) { return _mm512_add_ps(x, z); }
static inline v16 v_sub(v16 x, v16 z) { return _mm512_sub_ps(x, z); }
static inline v16 v_mul(v16 x, v16 z) { return _mm512_mul_ps(x, z); }
static inline v16 v_div(v16 x, v16 z) { return _mm512_div_ps(x, z); }
static inline v16 v_fma(v16 x, v16 z, v16 c) { return _mm512_fmadd_ps(x, z, c); }
static inline v16 v_max(v16 x, v16 z) { return _mm512_max_ps(x, z); }
static inline v16 v_min(v16 x, v16 z) { return _mm512_min_ps(x, z); }
static inline v16 v_abs(v16 x) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), x); }
static inline v16 v_less(v16 x, v16 z, v16 a, v16 b) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, z, _CMP_LT_OQ), b, a);
}
static inline v16 v_sign(v16 x, v16 s) {
    __m512 m = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(m, x), _mm512_and_ps(m, s));
}
static inline v16 v_range(int lo, int hi, v16 a, v16 b) {
    unsigned above = lo <= 0 ? 0xffffu : lo >= 16 ? 0u : 0xffffu << lo;
    unsigned below = hi <= 0 ? 0u : hi >= 16 ? 0xffffu : (1u << hi) - 1;
    return _mm512_mask_blend_ps((__mmask16)(above & below), b, a);
}
static inline v16 v_exponent(v16 x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x), 23)); }
static inline v16 v_swap1(v16 x) { return _mm512_permute_ps(x, 0xb1); }
static inline v16 v_swap2(v16 x) { return _mm512_permute_ps(x, 0x4e); }
static inline v16 v_swap4(v16 x) { return _mm512_shuffle_f32x4(x, x, 0xb1); }
static inline v16 v_swap8(v16 x) { return _mm512_shuffle_f32x4(x, x, 0x4e); }
static inline void v_save_bytes(uint8_t *p, v16 x) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_castps_si512(x)));
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
static inline __m256 v_upper(v16 x) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)); }
static inline float v_sum(v16 x) { return v_sum_half(_mm256_add_ps(_mm512_castps512_ps256(x), v_upper(x))); }
static inline float v_greatest(v16 x) { return v_greatest_half(_mm256_max_ps(_mm512_castps512_ps256(x), v_upper(x))); }

/* ---- integers: four codes c = 256 h + l as a word of bytes h and one of l; or bytes are paired to 16 bits ---- */

/* The larger of the magnitude of x and z >= 0, as their bits say: NaN is the largest. */
static inline v16 v_larger(v16 x, v16 z) {
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(v_abs(x)), _mm512_castps_si512(z)));
}

#ifdef V_HAVE_VNNI
#define V_HAVE_BYTE_PRODUCTS 1
#define V_INT_TILES(R) ((R) == 1 ? 1 : (R) == 2 ? 4 : 2)
#define V_INT_ROWS 4
#define V_INT_GROUPS(R) ((R) == 1 ? 4 : (R) == 2 ? 2 : 1)
#define V_INT_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4)

typedef struct v16i {
    __m512i high, low;
} v16i;
typedef __m512i v64b;

static inline v16i v_int(int32_t x) {
    v16i y;
    y.high = _mm512_setzero_si512();
    y.low = _mm512_set1_epi32(x);
    return y;
}
static inline __m512i v_join(v16i x) { return _mm512_add_epi32(_mm512_slli_epi32(x.high, 8), x.low); }
static inline v16 v_from_int(v16i x) { return _mm512_cvtepi32_ps(v_join(x)); }
static inline v16i v_load_int(const int32_t *p) {
    v16i y;
    y.high = _mm512_setzero_si512();
    y.low = _mm512_loadu_si512(p);
    return y;
}
static inline void v_save_int(int32_t *p, v16i x) { _mm512_storeu_si512(p, v_join(x)); }
static inline v64b v_bytes(const uint8_t *p) { return _mm512_loadu_si512(p); }
static inline v64b v_nibbles(const uint8_t *p, int high) {
    __m512i x = _mm512_loadu_si512(p);
    return _mm512_and_si512(high ? _mm512_srli_epi16(x, 4) : x, _mm512_set1_epi8(15));
}
/* Of codes whose high bytes are 0. */
static inline v16i v_dot_low(v16i sum, v64b k, const int32_t *quad) {
    sum.low = _mm512_dpbusd_epi32(sum.low, k, _mm512_set1_epi32(quad[1]));
    return sum;
}
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    sum.high = _mm512_dpbusd_epi32(sum.high, k, _mm512_set1_epi32(quad[0]));
    return v_dot_low(sum, k, quad);
}
/* The low byte is signed: add 128 before taking the high byte, then xor the low byte with 0x80. */
static inline void v_pack(v16 x, int32_t *pack) {
    __m512i code = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(128));
    __m512i bytes = _mm512_shuffle_epi8(
        code, _mm512_broadcast_i32x4(_mm_setr_epi8(1, 5, 9, 13, 0, 4, 8, 12, 1, 5, 9, 13, 0, 4, 8, 12)));
    __m512i words = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 0, 2, 4, 6), bytes);
    _mm256_storeu_si256((__m256i *)pack, _mm256_xor_si256(_mm512_castsi512_si256(words),
                                                          _mm256_set1_epi64x((int64_t)0x8080808000000000u)));
}
#else
#define V_INT_TILES(R) ((R) <= 2 ? 4 : (R) == 3 ? 2 : 1)
#define V_INT_ROWS 8
#define V_INT_GROUPS(R) ((R) <= 2 ? 4 : (R) <= 4 ? 2 : 1)
#define V_INT_CASES(CASE) V_CASES(CASE)

typedef __m512i v16i;
typedef struct v64b {
    __m512i even, odd;
} v64b;

static inline v16i v_int(int32_t x) { return _mm512_set1_epi32(x); }
static inline v16 v_from_int(v16i x) { return _mm512_cvtepi32_ps(x); }
static inline v16i v_load_int(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline void v_save_int(int32_t *p, v16i x) { _mm512_storeu_si512(p, x); }
static inline v64b v_pair(__m512i bytes) {
    v64b y;
    y.even = _mm512_and_si512(bytes, _mm512_set1_epi16(0xff));
    y.odd = _mm512_srli_epi16(bytes, 8);
    return y;
}
static inline v64b v_bytes(const uint8_t *p) { return v_pair(_mm512_loadu_si512(p)); }
static inline v64b v_nibbles(const uint8_t *p, int high) {
    __m512i x = _mm512_loadu_si512(p);
    return v_pair(_mm512_and_si512(high ? _mm512_srli_epi16(x, 4) : x, _mm512_set1_epi8(15)));
}
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    __m512i even = _mm512_madd_epi16(k.even, v_int(quad[0]));
    return _mm512_add_epi32(sum, _mm512_add_epi32(even, _mm512_madd_epi16(k.odd, v_int(quad[1]))));
}
/* Of four codes, 0 and 2 in one word, 1 and 3 in the next. */
static inline void v_pack(v16 x, int32_t *pack) {
    __m512i code = _mm512_castps_si512(x), next = _mm512_slli_epi32(_mm512_bsrli_epi128(code, 8), 16);
    __m512i pairs = _mm512_mask_blend_epi16(0xaaaaaaaau, code, next);
    _mm256_storeu_si256((__m256i *)pack, _mm512_castsi512_si256(_mm512_permutexvar_epi64(
                                             _mm512_setr_epi64(0, 2, 4, 6, 0, 2, 4, 6), pairs)));
}
#endif
