/* Picks the kernel table of an instruction set at run time. No state: the cache keeps the number.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../exact.h"

#include <stddef.h>
#include <stdint.h>

#include "kernel.h"
#include "target.h"

#if defined(SAI_HAVE_VXE) || (defined(SAI_HAVE_NEON_DOT) && !defined(__ARM_FEATURE_DOTPROD)) ||                        \
    (defined(SAI_HAVE_RVV) && !defined(__riscv_v))
#include <sys/auxv.h>
#endif

#if defined(SAI_HAVE_AVX2) || defined(SAI_HAVE_AVX512)
#if defined(__GNUC__)
#include <cpuid.h>

static void dispatch_cpuid(unsigned leaf, unsigned r[4]) {
    if (!__get_cpuid_count(leaf, 0, &r[0], &r[1], &r[2], &r[3])) r[0] = r[1] = r[2] = r[3] = 0;
}

/* The register state that the system saves: bits 1 (xmm), 2 (ymm). */
static unsigned dispatch_saved_state(void) {
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}
#else
#include <intrin.h>

static void dispatch_cpuid(unsigned leaf, unsigned r[4]) { __cpuidex((int *)r, (int)leaf, 0); }
static unsigned dispatch_saved_state(void) { return (unsigned)_xgetbv(0); }
#endif

/* Whether the processor has AVX2, FMA and F16C, and the system saves ymm registers. */
static int dispatch_has_avx2(void) {
    unsigned leaf1[4], leaf7[4], needed = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29; /* FMA, OSXSAVE, AVX, F16C */
    dispatch_cpuid(1, leaf1);
    dispatch_cpuid(7, leaf7);
    return (leaf1[2] & needed) == needed && (leaf7[1] & 1u << 5) && (dispatch_saved_state() & 6) == 6;
}

/* And AVX-VNNI: leaf 7, second part. */
static int dispatch_has_avx2_vnni(void) {
#ifdef SAI_HAVE_AVX2_VNNI
    unsigned a, b, c, d;
    return dispatch_has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
#else
    return 0;
#endif
}

/* The same for AVX-512 F, BW, DQ, VL and the zmm and mask registers. */
static int dispatch_has_avx512(void) {
    unsigned leaf7[4], needed = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    dispatch_cpuid(7, leaf7);
    return dispatch_has_avx2() && (leaf7[1] & needed) == needed && (dispatch_saved_state() & 0xe6) == 0xe6;
}

/* With them, integer products that are added in one go. */
static int dispatch_has_avx512_vnni(void) {
#ifdef SAI_HAVE_AVX512_VNNI
    unsigned leaf7[4];
    dispatch_cpuid(7, leaf7);
    return dispatch_has_avx512() && (leaf7[2] & 1u << 11);
#else
    return 0;
#endif
}
#else
static int dispatch_has_avx2(void) { return 0; }
static int dispatch_has_avx2_vnni(void) { return 0; }
static int dispatch_has_avx512(void) { return 0; }
static int dispatch_has_avx512_vnni(void) { return 0; }
#endif

/* These are known when the library is compiled. */
static int dispatch_has_neon(void) {
#ifdef SAI_HAVE_NEON
    return 1;
#else
    return 0;
#endif
}

static int dispatch_has_wasm(void) {
#ifdef SAI_HAVE_WASM
    return 1;
#else
    return 0;
#endif
}

static int dispatch_has_vsx(void) {
#ifdef SAI_HAVE_VSX
    return 1;
#else
    return 0;
#endif
}

/* A run-time check: it depends on the engine. */
static int dispatch_has_wasm_relaxed(void) {
#ifdef SAI_HAVE_WASM_RELAXED
    return sai_wasm_relaxed_fuses();
#else
    return 0;
#endif
}

/* Linux says what an AArch64, an S/390 and a RISC-V have. */
static int dispatch_has_neon_dot(void) {
#if defined(__ARM_FEATURE_DOTPROD)
    return dispatch_has_neon();
#elif defined(SAI_HAVE_NEON_DOT)
    return (getauxval(AT_HWCAP) & 1u << 20) != 0;
#else
    return 0;
#endif
}

static int dispatch_has_vxe(void) {
#ifdef SAI_HAVE_VXE
    return (getauxval(AT_HWCAP) & 1u << 13) != 0; /* vector enhancements 1 */
#else
    return 0;
#endif
}

#if defined(SAI_HAVE_RVV) && defined(__riscv_v)
static int dispatch_has_rvv(void) { return 1; }
#elif defined(SAI_HAVE_RVV)
/* The systems of processors with a draft of V (0.7.1) say "V" too. There the two policies at the end make the
 * type an illegal one, and the length 0. */
__attribute__((target("arch=+v"))) static int dispatch_has_rvv(void) {
    unsigned long length;
    if (!(getauxval(AT_HWCAP) & 1u << ('V' - 'A'))) return 0;
    __asm__ volatile("vsetvli %0, zero, e32, m4, ta, ma" : "=r"(length) : : "vl", "vtype");
    return length >= 16;
}
#else
static int dispatch_has_rvv(void) { return 0; }
#endif

/* Whether fmaf is an instruction wherever this runs, so that plain C with it is not slow. */
static int dispatch_has_fast_fma(void) {
#if defined(__FMA__) || defined(__aarch64__) || defined(_M_ARM64) || defined(__riscv_fdiv) ||                          \
    defined(__powerpc64__) || defined(__s390x__) || defined(__ARM_FEATURE_FMA)
    return 1;
#else
    return 0;
#endif
}

/* Asking the processor is slow (in a virtual machine, tens of microseconds), so it is done once, at
 * creation; afterwards the number alone leads to the table. */
const sai_kernels *sai_kernels_of(int32_t isa) {
    static const sai_kernels *const tables[] = {
#ifdef SAI_HAVE_PLAIN
        [SA_ISA_PLAIN] = &sai_kernels_plain,
        [SA_ISA_PLAIN_NOFMA] = &sai_kernels_plain_nofma,
#endif
#ifdef SAI_HAVE_AVX2
        [SA_ISA_AVX2] = &sai_kernels_avx2,
#endif
#ifdef SAI_HAVE_AVX512
        [SA_ISA_AVX512] = &sai_kernels_avx512,
#endif
#ifdef SAI_HAVE_AVX512_VNNI
        [SA_ISA_AVX512_VNNI] = &sai_kernels_avx512_vnni,
#endif
#ifdef SAI_HAVE_NEON
        [SA_ISA_NEON] = &sai_kernels_neon,
#endif
#ifdef SAI_HAVE_WASM
        [SA_ISA_WASM] = &sai_kernels_wasm,
#endif
#ifdef SAI_HAVE_WASM_RELAXED
        [SA_ISA_WASM_RELAXED] = &sai_kernels_wasm_relaxed,
#endif
#ifdef SAI_HAVE_RVV
        [SA_ISA_RVV] = &sai_kernels_rvv,
#endif
#ifdef SAI_HAVE_VSX
        [SA_ISA_VSX] = &sai_kernels_vsx,
#endif
#ifdef SAI_HAVE_VXE
        [SA_ISA_VXE] = &sai_kernels_vxe,
#endif
#ifdef SAI_HAVE_AVX2_VNNI
        [SA_ISA_AVX2_VNNI] = &sai_kernels_avx2_vnni,
#endif
#ifdef SAI_HAVE_NEON_DOT
        [SA_ISA_NEON_DOT] = &sai_kernels_neon_dot,
#endif
    };
    return isa >= 0 && isa < (int32_t)(sizeof tables / sizeof *tables) ? tables[isa] : NULL;
}

int sai_isa_available(int32_t isa) {
    if (!sai_kernels_of(isa)) return 0; /* not in this build */
    switch (isa) {
    case SA_ISA_PLAIN:
    case SA_ISA_PLAIN_NOFMA:
        return 1;
    case SA_ISA_AVX2:
        return dispatch_has_avx2();
    case SA_ISA_AVX512:
        return dispatch_has_avx512();
    case SA_ISA_AVX512_VNNI:
        return dispatch_has_avx512_vnni();
    case SA_ISA_NEON:
        return dispatch_has_neon();
    case SA_ISA_WASM:
        return dispatch_has_wasm();
    case SA_ISA_WASM_RELAXED:
        return dispatch_has_wasm_relaxed();
    case SA_ISA_RVV:
        return dispatch_has_rvv();
    case SA_ISA_VSX:
        return dispatch_has_vsx();
    case SA_ISA_VXE:
        return dispatch_has_vxe();
    case SA_ISA_AVX2_VNNI:
        return dispatch_has_avx2_vnni();
    case SA_ISA_NEON_DOT:
        return dispatch_has_neon_dot();
    default:
        return 0;
    }
}

/* The fastest first. Plain C is fast where fmaf is an instruction; else it multiplies and adds. */
int32_t sai_isa_best(void) {
    static const int32_t order[] = {SA_ISA_AVX512_VNNI, SA_ISA_AVX512, SA_ISA_AVX2_VNNI,    SA_ISA_AVX2,
                                    SA_ISA_NEON_DOT,    SA_ISA_NEON,   SA_ISA_WASM_RELAXED, SA_ISA_WASM,
                                    SA_ISA_RVV,         SA_ISA_VSX,    SA_ISA_VXE};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (sai_isa_available(order[i])) return order[i];
    int32_t plain = dispatch_has_fast_fma() ? SA_ISA_PLAIN : SA_ISA_PLAIN_NOFMA;
    return sai_isa_available(plain) ? plain : SA_ISA_AUTO;
}

int sai_dtype_built(int32_t dtype) {
    switch (dtype) {
#ifdef SA_NO_F16
    case SA_F16:
        return 0;
#endif
#ifdef SA_NO_BF16
    case SA_BF16:
        return 0;
#endif
#ifdef SA_NO_INTEGERS
    case SA_I8:
    case SA_I4:
        return 0;
#endif
    default:
        return 1;
    }
}
