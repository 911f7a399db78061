/* Rotations by position: a row of cos and sin from exact phases, and a head vector rotated by it.
 *
 * SPDX-License-Identifier: MIT
 *
 * The first is plain C that compilers turn into vectors of any instruction set: 16 phases at a time, numbers instead
 * of branches, no conversion that only some processors have. Sums and products of doubles, so the same everywhere.
 */

V_INLINE double k_double(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
V_INLINE uint64_t k_double_bits(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* A word of two's complement, rounded once: its halves, more by 2^31 and 0, become the low bits of 2^84 and of 2^52. */
V_INLINE double k_from_word(uint64_t x) {
    double high = k_double(0x4530000000000000ull | (x + 0x8000000000000000ull) >> 32);
    return high - (0x1p84 + 0x1p63 + 0x1p52) + k_double(0x4330000000000000ull | (x & 0xffffffffu));
}

/* cos and sin of a phase: the nearest multiple of a quarter turn is subtracted exactly, then Taylor to x^12 and x^11,
 * which below pi/4 are good to 1e-11. */
V_INLINE void k_cos_sin(uint64_t phase, double *cos_out, double *sin_out) {
    uint64_t quarter = (phase + 0x2000000000000000ull) >> 62;
    double x = k_from_word(phase - (quarter << 62)) * (6.283185307179586476925 * 0x1p-64), z = x * x;
    double s =
        x * (1 + z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 + z * (-1.0 / 39916800))))));
    double c =
        1 + z * (-0.5 +
                 z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800 + z * (1.0 / 479001600))))));
    uint64_t swap = 0 - (quarter & 1), difference = (k_double_bits(c) ^ k_double_bits(s)) & swap;
    *cos_out = k_double(k_double_bits(c) ^ difference ^ ((quarter + 1) & 2) << 62);
    *sin_out = k_double(k_double_bits(s) ^ difference ^ (quarter & 2) << 62);
}

/* Of 16 pairs; the results are local arrays, so that a compiler sees that writing them does not change the
 * frequencies. */
V_INLINE void k_rope_pairs(const uint64_t *frequency, uint64_t position, float factor, float *cosine, float *sine) {
    float c_all[16], s_all[16];
    for (int i = 0; i < 16; i++) {
        double c, s;
        k_cos_sin(position * frequency[i], &c, &s);
        c_all[i] = (float)c * factor;
        s_all[i] = (float)s * factor;
    }
    v_save(cosine, v_load(c_all));
    v_save(sine, v_load(s_all));
}

static void k_rope_row(const sai_rope *rope, const uint64_t *frequency, uint64_t position, float *row) {
    int i = 0;
    for (; i + 16 <= rope->pairs; i += 16)
        k_rope_pairs(frequency + i, position, rope->factor, row + i, row + rope->pairs + i);
    if (i < rope->pairs) {
        uint64_t rest[16] = {0};
        float cosine[16], sine[16];
        size_t n = (size_t)(rope->pairs - i);
        memcpy(rest, frequency + i, n * sizeof *rest);
        k_rope_pairs(rest, position, rope->factor, cosine, sine);
        memcpy(row + i, cosine, n * sizeof *row);
        memcpy(row + rope->pairs + i, sine, n * sizeof *row);
    }
}

static void k_rope_rotate(const sai_rope *rope, const float *row, float *x) {
    const float *cosine = row, *sine = row + rope->pairs;
    int step = rope->interleaved ? 2 : 1, other = rope->interleaved ? 1 : rope->pairs, i = 0;
    x += rope->offset;
    for (; !rope->interleaved && i + 16 <= rope->pairs; i += 16) {
        v16 a = v_load(x + i), b = v_load(x + i + other), c = v_load(cosine + i), s = v_load(sine + i);
        v_save(x + i, v_sub(v_mul(a, c), v_mul(b, s)));
        v_save(x + i + other, v_add(v_mul(b, c), v_mul(a, s)));
    }
    for (; i < rope->pairs; i++) {
        float a = x[i * step], b = x[i * step + other];
        x[i * step] = a * cosine[i] - b * sine[i];
        x[i * step + other] = b * cosine[i] + a * sine[i];
    }
}
