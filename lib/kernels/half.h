/* binary16 and bfloat16 from and to binary32, in integers: round to nearest even, NaN stays NaN.
 *
 * SPDX-License-Identifier: MIT
 *
 * The same bits as the processors' own conversions (F16C, FCVT) in the default environment.
 */
#ifndef SAI_HALF_H
#define SAI_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t sai_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

static inline float sai_float(uint32_t u) {
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static inline float sai_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7fffu;
    if (rest >= 0x7c00u) /* infinity, NaN (made quiet) */
        return sai_float(sign | 0x7f800000u | ((rest & 0x3ffu) << 13) | (rest > 0x7c00u ? 0x400000u : 0));
    if (rest >= 0x400u) return sai_float(sign | ((rest << 13) + (112u << 23)));
    /* Subnormal: rest * 2^-24 is exact in binary32. */
    return sai_float(sign | sai_bits((float)rest * 0x1p-24f));
}

static inline uint16_t sai_f32_to_f16(float x) {
    uint32_t u = sai_bits(x), sign = (u >> 16) & 0x8000u, rest = u & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((rest >> 13) & 0x3ffu));
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* >= 65520 rounds to infinity */
    if (rest >= 0x38800000u) {                                  /* normal: round the 13 low bits away */
        rest += 0xfffu + ((rest >> 13) & 1u);
        return (uint16_t)(sign | ((rest - (112u << 23)) >> 13));
    }
    /* Subnormal: adding 0.5 puts the 2^-24 unit at the last bit of the sum, correctly rounded. */
    return (uint16_t)(sign | (sai_bits(sai_float(rest) + 0.5f) - 0x3f000000u));
}

static inline float sai_bf16_to_f32(uint16_t h) { return sai_float((uint32_t)h << 16); }

static inline uint16_t sai_f32_to_bf16(float x) {
    uint32_t u = sai_bits(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

#endif
