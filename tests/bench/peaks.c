/* The rate of the arithmetic that a stored dtype needs, measured in the run that uses it.
 *
 * SPDX-License-Identifier: MIT
 *
 * Chains of independent steps in registers. Floats: fused multiply-adds of binary32, to which every stored float is
 * widened. Integers: the steps of v_dot in lib/kernels/vec_*.h, which multiplies a stored byte by a code of 16 bits
 * and adds exactly:
 *   VNNI          two dot products of bytes for 4 products a lane, since a code is two bytes
 *   AVX2, AVX-512 a multiplication of pairs of 16 bits and an addition for 2 products a lane; products of bytes
 *                 that are added in 16 bits (vpmaddubsw) would saturate
 *   NEON          two dot products of bytes, or without these: four widening products and two additions for 16 products
 * Where codes have 8 bits, one dot product of bytes does; the others take the steps of 16 bits.
 * Reading, widening and packing of bytes, and one scale for 32 dims, are not counted: no program reaches this rate.
 */
#include <stdint.h>
#include <string.h>

#include "bench.h"

#include "../../lib/kernels/target.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(SAI_HAVE_NEON)
#include <arm_neon.h>
#endif

/* Enough to hide the latency of a step on every port; few enough for the registers. */
#if defined(SAI_HAVE_NEON)
enum { PEAK_CHAINS = 16 };
#else
enum { PEAK_CHAINS = 12 };
#endif
enum { PEAK_ROUNDS = 2000000, PEAK_RUNS = 5 };

/* The compiler takes x for another value from here on, so it must multiply anew. */
#define PEAK_ANOTHER(register_class, x) __asm__("" : "+" register_class(x))

/* step() changes sum[i], which begins as begin(i). (Not as 1: clang knows that 1 * x + x stays 1 for x = 0.5.) Returns
 * bits that depend on all. */
#define PEAK_BODY(vector, begin, step)                                                                                 \
    vector sum[PEAK_CHAINS];                                                                                           \
    SAI_UNROLL_FULLY                                                                                                   \
    for (int i = 0; i < PEAK_CHAINS; i++) sum[i] = begin(i);                                                           \
    for (int r = 0; r < PEAK_ROUNDS; r++) {                                                                            \
        SAI_UNROLL_FULLY                                                                                               \
        for (int i = 0; i < PEAK_CHAINS; i++) {                                                                        \
            step(sum[i]);                                                                                              \
        }                                                                                                              \
    }                                                                                                                  \
    uint32_t all = 0, bits;                                                                                            \
    SAI_UNROLL_FULLY                                                                                                   \
    for (int i = 0; i < PEAK_CHAINS; i++) {                                                                            \
        memcpy(&bits, &sum[i], sizeof bits);                                                                           \
        all ^= bits;                                                                                                   \
    }                                                                                                                  \
    return all

/* A loop, and the operations of one of its steps: a product and an addition are two. */
typedef struct peak {
    uint32_t (*loop)(void);
    double step;
} peak;

#if defined(__x86_64__)

/* Sums in lanes of their own type: as __m512i, GCC would move each from register to register at every step. */
typedef uint32_t peak_sixteen __attribute__((vector_size(64)));
typedef uint32_t peak_eight __attribute__((vector_size(32)));

#define PEAK_BEGIN(i) _mm512_set1_ps((float)(i + 2))
#define PEAK_STEP(sum) sum = _mm512_fmadd_ps(sum, x, x)
__attribute__((target("avx512f"), noinline)) static uint32_t peaks_avx512(void) {
    __m512 x = _mm512_set1_ps(0.5f);
    PEAK_BODY(__m512, PEAK_BEGIN, PEAK_STEP);
}
#undef PEAK_BEGIN
#undef PEAK_STEP

#define PEAK_BEGIN(i) _mm256_set1_ps((float)(i + 2))
#define PEAK_STEP(sum) sum = _mm256_fmadd_ps(sum, x, x)
__attribute__((target("avx2,fma"), noinline)) static uint32_t peaks_avx2(void) {
    __m256 x = _mm256_set1_ps(0.5f);
    PEAK_BODY(__m256, PEAK_BEGIN, PEAK_STEP);
}
#undef PEAK_BEGIN
#undef PEAK_STEP

#define PEAK_BEGIN(i) (peak_sixteen) _mm512_set1_epi32(i)
#define PEAK_STEP(sum)                                                                                                 \
    PEAK_ANOTHER("v", x);                                                                                              \
    sum += (peak_sixteen)_mm512_madd_epi16(x, y)
__attribute__((target("avx512f,avx512bw"), noinline)) static uint32_t peaks_avx512_pairs(void) {
    __m512i x = _mm512_set1_epi16(200), y = _mm512_set1_epi16(300);
    PEAK_BODY(peak_sixteen, PEAK_BEGIN, PEAK_STEP);
}
#undef PEAK_STEP
#ifdef SAI_HAVE_AVX512_VNNI
#define PEAK_STEP(sum) sum = (peak_sixteen)_mm512_dpbusd_epi32((__m512i)sum, x, y)
__attribute__((target("avx512f,avx512vnni"), noinline)) static uint32_t peaks_avx512_vnni(void) {
    __m512i x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(5);
    PEAK_BODY(peak_sixteen, PEAK_BEGIN, PEAK_STEP);
}
#undef PEAK_STEP
#endif
#undef PEAK_BEGIN

#define PEAK_BEGIN(i) (peak_eight) _mm256_set1_epi32(i)
#define PEAK_STEP(sum)                                                                                                 \
    PEAK_ANOTHER("x", x);                                                                                              \
    sum += (peak_eight)_mm256_madd_epi16(x, y)
__attribute__((target("avx2"), noinline)) static uint32_t peaks_avx2_pairs(void) {
    __m256i x = _mm256_set1_epi16(200), y = _mm256_set1_epi16(300);
    PEAK_BODY(peak_eight, PEAK_BEGIN, PEAK_STEP);
}
#undef PEAK_STEP
#ifdef SAI_HAVE_AVX2_VNNI
#define PEAK_STEP(sum) sum = (peak_eight)_mm256_dpbusd_avx_epi32((__m256i)sum, x, y)
__attribute__((target("avx2,avxvnni"), noinline)) static uint32_t peaks_avx2_vnni(void) {
    __m256i x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(5);
    PEAK_BODY(peak_eight, PEAK_BEGIN, PEAK_STEP);
}
#undef PEAK_STEP
#endif
#undef PEAK_BEGIN

/* A dot product of bytes does half of its products' work, where codes have 16 bits. */
static peak peaks_of(int32_t isa, int integers) {
    int wide = isa == SA_ISA_AVX512 || isa == SA_ISA_AVX512_VNNI;
    peak floats = {wide ? peaks_avx512 : peaks_avx2, wide ? 32 : 16};
    peak pairs = {wide ? peaks_avx512_pairs : peaks_avx2_pairs, wide ? 64 : 32};
#ifdef SAI_HAVE_AVX512_VNNI
    if (integers && isa == SA_ISA_AVX512_VNNI) return (peak){peaks_avx512_vnni, 64};
#endif
#ifdef SAI_HAVE_AVX2_VNNI
    if (integers && isa == SA_ISA_AVX2_VNNI) return (peak){peaks_avx2_vnni, 32};
#endif
    return integers ? pairs : floats;
}

#elif defined(SAI_HAVE_NEON)

#define PEAK_BEGIN(i) vdupq_n_f32((float)(i + 2))
#define PEAK_STEP(sum) sum = vfmaq_f32(x, sum, x)
__attribute__((noinline)) static uint32_t peaks_neon(void) {
    float32x4_t x = vdupq_n_f32(0.5f);
    PEAK_BODY(float32x4_t, PEAK_BEGIN, PEAK_STEP);
}
#undef PEAK_BEGIN
#undef PEAK_STEP

#define PEAK_BEGIN(i) vdupq_n_s32(i)
#define PEAK_STEP(sum)                                                                                                 \
    PEAK_ANOTHER("w", x);                                                                                              \
    sum = vaddq_s32(sum, vpaddq_s32(vmlal_s16(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vget_low_s16(x), low),      \
                                    vmlal_high_s16(vmull_high_s16(x, y), x, y)))
__attribute__((noinline)) static uint32_t peaks_neon_pairs(void) {
    int16x8_t x = vdupq_n_s16(200), y = vdupq_n_s16(300);
    int16x4_t low = vdup_n_s16(301);
    PEAK_BODY(int32x4_t, PEAK_BEGIN, PEAK_STEP);
}
#undef PEAK_STEP
#ifdef SAI_HAVE_NEON_DOT
#define PEAK_STEP(sum) sum = vdotq_s32(sum, x, y)
#if defined(__clang__)
#define PEAK_TARGET "dotprod"
#else
#define PEAK_TARGET "arch=armv8.2-a+dotprod"
#endif
__attribute__((target(PEAK_TARGET), noinline)) static uint32_t peaks_neon_dot(void) {
    int8x16_t x = vdupq_n_s8(3), y = vdupq_n_s8(5);
    PEAK_BODY(int32x4_t, PEAK_BEGIN, PEAK_STEP);
}
#undef PEAK_STEP
#endif
#undef PEAK_BEGIN

static peak peaks_of(int32_t isa, int integers) {
#ifdef SAI_HAVE_NEON_DOT
    if (integers && isa == SA_ISA_NEON_DOT) return (peak){peaks_neon_dot, 16};
#endif
    (void)isa;
    return integers ? (peak){peaks_neon_pairs, 32} : (peak){peaks_neon, 8};
}

#else

/* Four lanes, as the kernels' narrowest vectors, by the compiler's choice of instructions. */
typedef float peak_floats __attribute__((vector_size(16)));
typedef uint32_t peak_integers __attribute__((vector_size(16)));
#if defined(SAI_FMA_VECTOR) && (!defined(__s390x__) || __ARCH__ >= 12) /* z14 */
#define PEAK_FUSED(a, b, c) SAI_FMA_VECTOR(a, b, c)
#else
#define PEAK_FUSED(a, b, c) ((a) * (b) + (c))
#endif

#define PEAK_BEGIN(i) ((peak_floats){(float)(i) + 2, (float)(i) + 3, (float)(i) + 4, (float)(i) + 5})
#define PEAK_STEP(sum) sum = PEAK_FUSED(sum, x, x)
__attribute__((noinline)) static uint32_t peaks_floats(void) {
    peak_floats x = {0.5f, 0.5f, 0.5f, 0.5f};
    PEAK_BODY(peak_floats, PEAK_BEGIN, PEAK_STEP);
}
#undef PEAK_BEGIN
#undef PEAK_STEP

#define PEAK_BEGIN(i) ((peak_integers){(uint32_t)(i), (uint32_t)(i), (uint32_t)(i), (uint32_t)(i)})
#define PEAK_STEP(sum) sum = sum * x + x
__attribute__((noinline)) static uint32_t peaks_integers(void) {
    uint32_t any = (uint32_t)sa_isa_best(); /* not known when this is compiled */
    peak_integers x = {any, any, any, any};
    PEAK_BODY(peak_integers, PEAK_BEGIN, PEAK_STEP);
}
#undef PEAK_BEGIN
#undef PEAK_STEP

static peak peaks_of(int32_t isa, int integers) {
    (void)isa;
    return integers ? (peak){peaks_integers, 8} : (peak){peaks_floats, 8};
}

#endif

static volatile uint32_t peaks_sink; /* keeps the loops from being dropped */

static void peaks_part(void *context, int32_t i) {
    (void)i;
    peaks_sink = ((const peak *)context)->loop();
}

/* Whether a set multiplies bytes: one dot product does what two do where codes have 16 bits. */
static int peaks_are_bytes(int32_t isa) {
    return isa == SA_ISA_AVX512_VNNI || isa == SA_ISA_AVX2_VNNI || isa == SA_ISA_NEON_DOT;
}

double bench_peak(int32_t isa, int dtype, int code_bits, int threads) {
    double rates[PEAK_RUNS];
    int integers = dtype == SA_I8 || dtype == SA_I4;
    peak p = peaks_of(isa, integers);
    if (integers && code_bits == 8 && peaks_are_bytes(isa)) p.step *= 2;
    for (int i = 0; i < PEAK_RUNS; i++) {
        double start = bench_now();
        if (threads == 1)
            peaks_part(&p, 0);
        else
            bench_pool_run(NULL, threads, peaks_part, &p);
        rates[i] = p.step * PEAK_CHAINS * PEAK_ROUNDS * threads / (bench_now() - start);
    }
    return bench_median(rates, PEAK_RUNS);
}
