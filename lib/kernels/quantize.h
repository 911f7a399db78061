/* Keys and values become integers of 8 or 4 bits with a scale per group; keys and queries are rotated first.
 *
 * SPDX-License-Identifier: MIT
 *
 * Keys have channels that are far larger than the rest, and a scale that serves them leaves the others
 * without digits. A Hadamard rotation of key and query (Ashkboos et al., "QuaRot", arXiv 2404.00456)
 * spreads a channel over its block, after which a group of 32 looks normal whatever the model is, and
 * changes no product. It needs no later token, unlike scales per channel (Liu et al., "KIVI",
 * arXiv 2402.02750), so a key is coded once, when it is appended, and chunking changes nothing. Values have no
 * such channels and are coded as they are.
 *
 * The bits are the same on every instruction set, those without fused multiply-add as well: v_fma stands only
 * where the product is exact.
 */

/* -------------------------------- rotation -------------------------------- */

/* The stages of blocks of n <= 16: lanes i and i + half become their sum and their difference. */
V_INLINE v16 k_hadamard_lanes(v16 x, const int n) {
    static const float signs[4][16] = {{1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1},
                                       {1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1},
                                       {1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1},
                                       {1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1}};
    if (n > 1) x = v_fma(x, v_load(signs[0]), v_swap1(x));
    if (n > 2) x = v_fma(x, v_load(signs[1]), v_swap2(x));
    if (n > 4) x = v_fma(x, v_load(signs[2]), v_swap4(x));
    if (n > 8) x = v_fma(x, v_load(signs[3]), v_swap8(x));
    return x;
}

/* A block of N vectors, a power of two, neighbours first. */
V_INLINE void k_hadamard_vectors(const int N, float *x, float factor) {
    v16 y[16], by = v_set(factor);
    V_UNROLL
    for (int i = 0; i < N; i++) y[i] = k_hadamard_lanes(v_load(x + 16 * i), 16);
    V_UNROLL
    for (int stage = 0; stage < 4; stage++) {
        V_UNROLL
        for (int i = 0; i < N; i++) {
            int other = i | 1 << stage;
            if (other == i || other >= N) continue;
            v16 a = y[i], b = y[other];
            y[i] = v_add(a, b);
            y[other] = v_sub(a, b);
        }
    }
    V_UNROLL
    for (int i = 0; i < N; i++) v_save(x + 16 * i, v_mul(y[i], by));
}

static void k_hadamard_few(float *x, int n, float factor) {
    float lane[16] = {0};
    memcpy(lane, x, (size_t)n * sizeof *x);
    v_save(lane, v_mul(k_hadamard_lanes(v_load(lane), n), v_set(factor)));
    memcpy(x, lane, (size_t)n * sizeof *x);
}

/* Blocks of the largest power of two that fits, 256 at most: 80 dims are rotated as 64 and 16. */
static void k_hadamard(float *x, int dims, int is_query) {
    for (int log; dims > 0; x += 1 << log, dims -= 1 << log) {
        for (log = 0; log < 8 && 2 << log <= dims;) log++;
        float factor = 1.0f / (float)(1 << (log + is_query) / 2);
        switch (log) {
        case 8:
            k_hadamard_vectors(16, x, factor);
            break;
        case 7:
            k_hadamard_vectors(8, x, factor);
            break;
        case 6:
            k_hadamard_vectors(4, x, factor);
            break;
        case 5:
            k_hadamard_vectors(2, x, factor);
            break;
        case 4:
            k_hadamard_vectors(1, x, factor);
            break;
        default:
            k_hadamard_few(x, 1 << log, factor);
            break;
        }
    }
}

/* ---------------------------------- codes --------------------------------- */

/* The reciprocal of a scale, of any sign: a 64th of it, so that the least number above 0 has one too. */
V_INLINE v16 k_inverse(uint16_t scale) {
    float x = sai_bf16_to_f32(scale);
    return v_set(x == 0 ? 0.0f : 0x1p-6f / x);
}

/* A number so large that the unit of a sum with it is a 64th: a code in 64ths is rounded to nearest even, and stands
 * in the low bits of the sum, more by `offset`. */
V_INLINE v16 k_magic(int offset) { return v_set(0x1.8p17f + (float)offset * 0x1p-6f); }

/* x / 127 in bfloat16, away from zero, so that no code passes 127. */
V_INLINE uint16_t k_group_i8(v16 a, v16 b, v16 magic, uint8_t *codes) {
    float most = v_greatest(v_max(v_abs(a), v_abs(b)));
    uint16_t scale = (uint16_t)((sai_bits(most / 127.0f) + 0xffffu) >> 16);
    v16 inverse = k_inverse(scale);
    v_save_bytes(codes, v_add(v_mul(a, inverse), magic));
    v_save_bytes(codes + 16, v_add(v_mul(b, inverse), magic));
    return scale;
}

/* Codes -8 .. 7 in 64ths. */
V_INLINE v16 k_code_i4(v16 x, v16 inverse) {
    return v_min(v_set(7 * 0x1p-6f), v_max(v_mul(x, inverse), v_set(-8 * 0x1p-6f)));
}

/* The scale that fits the codes of a scale best: <codes, x> / <codes, codes>. The denominator is exact. */
V_INLINE uint16_t k_fit_i4(v16 a, v16 b, uint16_t scale) {
    v16 inverse = k_inverse(scale), magic = k_magic(0), unit = v_set(64.0f);
    v16 c = v_mul(v_sub(v_add(k_code_i4(a, inverse), magic), magic), unit);
    v16 d = v_mul(v_sub(v_add(k_code_i4(b, inverse), magic), magic), unit);
    float square = v_sum(v_fma(c, c, v_mul(d, d)));
    return square > 0 ? sai_f32_to_bf16(v_sum(v_add(v_mul(c, a), v_mul(d, b))) / square) : scale;
}

/* The number of largest magnitude, of two the positive one, becomes -8, so all 16 codes are used; then the scale is
 * fitted to the codes, twice: on normal numbers that takes 3 % off the error. G groups are processed side by side,
 * since each step of one depends on the step before. */
V_INLINE void k_groups_i4(const int G, const v16 *x, v16 magic, uint8_t *codes, uint16_t *scales) {
    uint16_t scale[4];
    V_UNROLL
    for (int g = 0; g < G; g++) {
        float most = v_greatest(v_max(v_abs(x[2 * g]), v_abs(x[2 * g + 1])));
        /* As a bit: a branch would be mispredicted every other time. */
        uint32_t positive = v_greatest(v_max(x[2 * g], x[2 * g + 1])) == most;
        scale[g] = sai_f32_to_bf16(sai_float(sai_bits(most * 0.125f) ^ positive << 31));
    }
    V_UNROLL
    for (int g = 0; g < G; g++) scale[g] = k_fit_i4(x[2 * g], x[2 * g + 1], scale[g]);
    V_UNROLL
    for (int g = 0; g < G; g++) {
        v16 inverse = k_inverse(scale[g]);
        v_save_bytes(codes + 32 * g, v_add(k_code_i4(x[2 * g], inverse), magic));
        v_save_bytes(codes + 32 * g + 16, v_add(k_code_i4(x[2 * g + 1], inverse), magic));
        scales[g] = k_fit_i4(x[2 * g], x[2 * g + 1], scale[g]);
    }
}

/* NaN becomes the scale of each group with a number that is not finite. */
static void k_spoil(const float *x, int dims, uint16_t *scales) {
    for (int d = 0; d < dims; d++)
        if (!(fabsf(x[d]) <= 0x1.fffffep127f)) scales[d / SAI_GROUP] = 0x7fc0u;
}

/* G groups of 32 numbers; `rest` becomes NaN with them. */
V_INLINE void k_groups(const int bits, const int G, const float *x, v16 magic, uint8_t *codes, uint16_t *scales,
                       v16 *rest) {
    v16 y[8], zero = v_set(0.0f);
    V_UNROLL
    for (int i = 0; i < 2 * G; i++) {
        y[i] = v_load(x + 16 * i);
        *rest = v_fma(y[i], zero, *rest);
    }
    if (bits == 4) k_groups_i4(G, y, magic, codes, scales);
    V_UNROLL
    for (int g = 0; g < G; g++)
        if (bits == 8) scales[g] = k_group_i8(y[2 * g], y[2 * g + 1], magic, codes + 32 * g);
}

V_INLINE void k_quantize(const int bits, const float *x, int dims, int offset, uint8_t *codes, uint16_t *scales) {
    v16 rest = v_set(0.0f), magic = k_magic(offset);
    int d = 0;
    for (; d + 128 <= dims; d += 128) k_groups(bits, 4, x + d, magic, codes + d, scales + d / 32, &rest);
    for (; d + 64 <= dims; d += 64) k_groups(bits, 2, x + d, magic, codes + d, scales + d / 32, &rest);
    for (; d < dims; d += SAI_GROUP) {
        float few[SAI_GROUP] = {0};
        const float *from = x + d;
        if (dims - d < SAI_GROUP) from = (const float *)memcpy(few, from, (size_t)(dims - d) * sizeof *x);
        k_groups(bits, 1, from, magic, codes + d, scales + d / 32, &rest);
    }
    if (!(v_sum(rest) == 0)) k_spoil(x, dims, scales);
}

static void k_quantize_i8(const float *x, int dims, int offset, uint8_t *codes, uint16_t *scales) {
    k_quantize(8, x, dims, offset, codes, scales);
}
static void k_quantize_i4(const float *x, int dims, int offset, uint8_t *codes, uint16_t *scales) {
    k_quantize(4, x, dims, offset, codes, scales);
}
