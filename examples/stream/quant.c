/*
 * The element types of weights, turned into floats block by block.
 *
 * SPDX-License-Identifier: MIT
 */
#include "quant.h"

#include <stdbool.h>
#include <string.h>
#if defined(__F16C__)
#include <immintrin.h>
#endif

static uint32_t u16_at(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static uint32_t u32_at(const uint8_t *p) { return u16_at(p) | u16_at(p + 2) << 16; }

static float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#if defined(__F16C__)
static float half_at(const uint8_t *p) { return _cvtsh_ss((uint16_t)u16_at(p)); }
#else
/* binary16 without branches: the exponent is moved by a multiplication, which also gets subnormals right. */
static float half_at(const uint8_t *p) {
    uint32_t h = u16_at(p), magnitude = h & 0x7fff;
    float x = float_of_bits(magnitude << 13) * float_of_bits((uint32_t)(127 + 112) << 23);
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits |= magnitude >= 0x7c00 ? 0x7f800000u : 0u;
    return float_of_bits(bits | (h & 0x8000) << 16);
}
#endif

static void from_f32(const uint8_t *restrict data, int64_t n, float *restrict out) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = float_of_bits(u32_at(data + 4 * i));
    }
}

static void from_f16(const uint8_t *restrict data, int64_t n, float *restrict out) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = half_at(data + 2 * i);
    }
}

static void from_bf16(const uint8_t *restrict data, int64_t n, float *restrict out) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = float_of_bits(u16_at(data + 2 * i) << 16);
    }
}

/* scale f16, 32 signed bytes */
static void from_q8_0(const uint8_t *restrict b, int64_t n, float *restrict out) {
    for (; n > 0; n -= 32, b += 34, out += 32) {
        float scale = half_at(b);
        for (int i = 0; i < 32; i++) {
            out[i] = scale * (float)(int8_t)b[2 + i];
        }
    }
}

/* Nibbles hold elements i (low) and i + 16 (high): out = scale q + minimum. With vectors by hand, since GCC 12's own of
 * the plain loop took four times as long, and single tokens spent most of their time here. Without AVX2 the loop is
 * the faster one. */
#if defined(__AVX2__) && defined(__has_builtin)
#if __has_builtin(__builtin_convertvector)
#define HAVE_CONVERT 1
#endif
#endif
#ifdef HAVE_CONVERT
typedef uint8_t bytes8 __attribute__((vector_size(8)));
typedef int32_t ints8 __attribute__((vector_size(32)));
typedef float floats8 __attribute__((vector_size(32)));

static void eight_floats(bytes8 q, float scale, float minimum, float *out) {
    floats8 x = __builtin_convertvector(__builtin_convertvector(q, ints8), floats8) * scale + minimum;
    memcpy(out, &x, sizeof x);
}

static void four_bits(const uint8_t *restrict b, float scale, float minimum, float *restrict out) {
    for (int i = 0; i < 16; i += 8) {
        bytes8 both;
        memcpy(&both, b + i, sizeof both);
        eight_floats(both & 15, scale, minimum, out + i);
        eight_floats(both >> 4, scale, minimum, out + 16 + i);
    }
}
#else
static void four_bits(const uint8_t *restrict b, float scale, float minimum, float *restrict out) {
    for (int i = 0; i < 16; i++) {
        out[i] = scale * (float)(b[i] & 15) + minimum;
        out[i + 16] = scale * (float)(b[i] >> 4) + minimum;
    }
}
#endif

/* Q4_0: scale, 16 bytes; x = scale (q - 8). */
static void from_q4_0(const uint8_t *restrict b, int64_t n, float *restrict out) {
    for (; n > 0; n -= 32, b += 18, out += 32) {
        float scale = half_at(b);
        four_bits(b + 2, scale, -8.0f * scale, out);
    }
}

/* Q4_1: scale, minimum, 16 bytes; x = scale q + minimum. */
static void from_q4_1(const uint8_t *restrict b, int64_t n, float *restrict out) {
    for (; n > 0; n -= 32, b += 20, out += 32) {
        four_bits(b + 4, half_at(b), half_at(b + 2), out);
    }
}

/* Five bits: nibbles as above, the fifth bits of elements 0 .. 31 in one 32-bit word before them. */
static void five_bits(const uint8_t *restrict word, float scale, float minimum, float *restrict out) {
    uint32_t high = u32_at(word);
    const uint8_t *nibbles = word + 4;
    for (int i = 0; i < 16; i++) {
        uint32_t low_q = (nibbles[i] & 15u) | (high >> i & 1u) << 4;
        uint32_t high_q = nibbles[i] >> 4 | (high >> (i + 16) & 1u) << 4;
        out[i] = scale * (float)(int32_t)low_q + minimum;
        out[i + 16] = scale * (float)(int32_t)high_q + minimum;
    }
}

static void from_q5_0(const uint8_t *restrict b, int64_t n, float *restrict out) {
    for (; n > 0; n -= 32, b += 22, out += 32) {
        float scale = half_at(b);
        five_bits(b + 2, scale, -16.0f * scale, out);
    }
}

static void from_q5_1(const uint8_t *restrict b, int64_t n, float *restrict out) {
    for (; n > 0; n -= 32, b += 24, out += 32) {
        five_bits(b + 4, half_at(b), half_at(b + 2), out);
    }
}

/* Q4_K and Q5_K: eight groups of 32, each with a 6-bit scale and minimum; twelve bytes hold all sixteen. */
static void six_bit_scales(const uint8_t *packed, int group, float *scale, float *minimum) {
    uint32_t s, m;
    if (group < 4) {
        s = packed[group] & 63u;
        m = packed[group + 4] & 63u;
    } else {
        s = (packed[group + 4] & 15u) | (uint32_t)packed[group - 4] >> 6 << 4;
        m = (uint32_t)packed[group + 4] >> 4 | (uint32_t)packed[group] >> 6 << 4;
    }
    *scale *= (float)(int32_t)s;
    *minimum *= (float)(int32_t)m;
}

/* scale, minimum (f16), 12 bytes of group scales, 128 bytes: group 2g in the low nibbles, 2g+1 in the high */
static void from_q4_k(const uint8_t *restrict b, int64_t n, float *restrict out) {
    for (; n > 0; n -= 256, b += 144) {
        for (int group = 0; group < 8; group++, out += 32) {
            float scale = half_at(b), minimum = half_at(b + 2);
            six_bit_scales(b + 4, group, &scale, &minimum);
            const uint8_t *q = b + 16 + 32 * (group / 2);
            int shift = 4 * (group & 1);
            for (int i = 0; i < 32; i++) {
                out[i] = scale * (float)(q[i] >> shift & 15) - minimum;
            }
        }
    }
}

/* The same with 32 bytes of fifth bits in between: bit g of byte i belongs to element i of group g. */
static void from_q5_k(const uint8_t *restrict b, int64_t n, float *restrict out) {
    for (; n > 0; n -= 256, b += 176) {
        for (int group = 0; group < 8; group++, out += 32) {
            float scale = half_at(b), minimum = half_at(b + 2);
            six_bit_scales(b + 4, group, &scale, &minimum);
            const uint8_t *high = b + 16, *q = b + 48 + 32 * (group / 2);
            int shift = 4 * (group & 1);
            for (int i = 0; i < 32; i++) {
                int value = (q[i] >> shift & 15) | (high[i] >> group & 1) << 4;
                out[i] = scale * (float)value - minimum;
            }
        }
    }
}

/* 128 bytes of low nibbles, 64 of high bit pairs, 16 signed scales (one for 16 elements), scale f16 */
static void from_q6_k(const uint8_t *restrict b, int64_t n, float *restrict out) {
    for (; n > 0; n -= 256, b += 210) {
        float scale = half_at(b + 208);
        for (int group = 0; group < 8; group++, out += 32) {
            int half = group / 4, part = group % 4; /* each half of 128 has four groups in its 64 + 32 bytes */
            const uint8_t *low = b + 64 * half + 32 * (part & 1), *high = b + 128 + 32 * half;
            const uint8_t *scales = b + 192 + 2 * group;
            int low_shift = 4 * (part / 2), high_shift = 2 * part;
            for (int i = 0; i < 32; i++) {
                int q = (low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4;
                out[i] = scale * (float)(int8_t)scales[i / 16] * (float)(q - 32);
            }
        }
    }
}

static const struct quant_type {
    const char *name;
    int16_t elements, bytes;
    void (*to_float)(const uint8_t *data, int64_t n, float *out);
} types[] = {
    [QUANT_F32] = {"F32", 1, 4, from_f32},        [QUANT_F16] = {"F16", 1, 2, from_f16},
    [QUANT_Q4_0] = {"Q4_0", 32, 18, from_q4_0},   [QUANT_Q4_1] = {"Q4_1", 32, 20, from_q4_1},
    [QUANT_Q5_0] = {"Q5_0", 32, 22, from_q5_0},   [QUANT_Q5_1] = {"Q5_1", 32, 24, from_q5_1},
    [QUANT_Q8_0] = {"Q8_0", 32, 34, from_q8_0},   [QUANT_Q4_K] = {"Q4_K", 256, 144, from_q4_k},
    [QUANT_Q5_K] = {"Q5_K", 256, 176, from_q5_k}, [QUANT_Q6_K] = {"Q6_K", 256, 210, from_q6_k},
    [QUANT_BF16] = {"BF16", 1, 2, from_bf16},
};

/* Types that a file may contain and that cannot be read here: their names are for the message that says so. */
static const char *const other_types[] = {
    [4] = "Q4_2",     [5] = "Q4_3",        [9] = "Q8_1",        [10] = "Q2_K",       [11] = "Q3_K",     [15] = "Q8_K",
    [16] = "IQ2_XXS", [17] = "IQ2_XS",     [18] = "IQ3_XXS",    [19] = "IQ1_S",      [20] = "IQ4_NL",   [21] = "IQ3_S",
    [22] = "IQ2_S",   [23] = "IQ4_XS",     [24] = "I8",         [25] = "I16",        [26] = "I32",      [27] = "I64",
    [28] = "F64",     [29] = "IQ1_M",      [31] = "Q4_0_4_4",   [32] = "Q4_0_4_8",   [33] = "Q4_0_8_8", [34] = "TQ1_0",
    [35] = "TQ2_0",   [36] = "IQ4_NL_4_4", [37] = "IQ4_NL_4_8", [38] = "IQ4_NL_8_8", [39] = "MXFP4",    [40] = "NVFP4",
    [41] = "Q1_0",    [42] = "Q2_0",
};

static const struct quant_type *find(int32_t type) {
    static const struct quant_type unknown = {NULL, 0, 0, NULL};
    bool known = type >= 0 && (size_t)type < sizeof types / sizeof types[0] && types[type].name != NULL;
    return known ? &types[type] : &unknown;
}

int32_t quant_block_elements(int32_t type) { return find(type)->elements; }

size_t quant_block_bytes(int32_t type) { return (size_t)find(type)->bytes; }

const char *quant_name(int32_t type) {
    const char *name = find(type)->name;
    if (name == NULL && type >= 0 && (size_t)type < sizeof other_types / sizeof other_types[0]) {
        name = other_types[type];
    }
    return name != NULL ? name : "a type that is not known here";
}

void quant_to_float(int32_t type, const uint8_t *data, int64_t n, float *out) { find(type)->to_float(data, n, out); }
