/* Rotary position: frequencies as 64-bit fractions of a full rotation.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "rope.h"

#include <math.h>

static const double ROPE_TAU = 6.283185307179586476925;

/* ------------------------------ frequencies ------------------------------- */

/* The dim that makes so many full rotations over the original context (YaRN, section 3.2). */
static double rope_yarn_dim(const sa_config *c, double rotations) {
    return c->rope_dims * log(c->rope_original_context / (rotations * ROPE_TAU)) / (2 * log(c->rope_theta));
}

/* YaRN: high frequencies stay, low ones are divided by s, a linear ramp over dims between. */
static double rope_yarn(const sa_config *c, int i, double w) {
    double low = rope_yarn_dim(c, c->rope_beta_fast), high = rope_yarn_dim(c, c->rope_beta_slow);
    if (!(c->flags & SA_CONFIG_YARN_NO_TRUNCATE)) {
        low = floor(low);
        high = ceil(high);
    }
    if (low < 0) low = 0;
    if (high > c->rope_dims - 1) high = c->rope_dims - 1;
    if (high == low) high += 0.001; /* the reference's guard against dividing by zero */
    double ramp = (i - low) / (high - low);
    ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
    return w / c->rope_factor * ramp + w * (1 - ramp);
}

/* Llama 3: waves shorter than L/high stay, longer than L/low are divided by s, a blend between. */
static double rope_llama3(const sa_config *c, double w) {
    double rotations = c->rope_original_context * w / ROPE_TAU;
    if (rotations > c->rope_high_freq_factor) return w;
    if (rotations < c->rope_low_freq_factor) return w / c->rope_factor;
    double keep = (rotations - c->rope_low_freq_factor) / (c->rope_high_freq_factor - c->rope_low_freq_factor);
    return (1 - keep) * w / c->rope_factor + keep * w;
}

/* Whether positions may pass the original context. Decided once: stored keys cannot follow a
 * change of frequencies. */
static int rope_is_long(const sa_config *c) {
    int bounded = c->position_mode == SA_IN_CACHE || c->policy == SA_POLICY_DENSE;
    return !bounded || (int64_t)c->n_sink + c->window > c->rope_original_context;
}

/* Radians per position of pair i. */
static double rope_frequency(const sa_config *c, int i) {
    if (c->rope_inv_freq) return c->rope_inv_freq[i];
    double d = c->rope_dims, theta = c->rope_theta;
    if (c->rope_scaling == SA_ROPE_SCALING_NTK) theta *= pow(c->rope_factor, d / (d - 2));
    double w = pow(theta, -2.0 * i / d);
    switch (c->rope_scaling) {
    case SA_ROPE_SCALING_LINEAR:
        return w / c->rope_factor;
    case SA_ROPE_SCALING_YARN:
        return rope_yarn(c, i, w);
    case SA_ROPE_SCALING_LLAMA3:
        return rope_llama3(c, w);
    case SA_ROPE_SCALING_LONGROPE:
        return w / (rope_is_long(c) ? c->rope_long_factors[i] : c->rope_short_factors[i]);
    default:
        return w;
    }
}

/* Radians as a fraction of a full rotation, times 2^64, modulo 2^64, to the last bit but one: the mantissa times
 * 2^64 / tau, kept to 128 bits as two words. In double alone, position 10^12 would be off by 10^-4 of a radian. */
static uint64_t rope_fraction(double radians) {
    static const uint64_t inverse_tau[2] = {0x28be60db9391054aull, 0x7f09d5f47d4d3770ull}; /* 2^128 / tau */
    int exponent;
    uint64_t m = (uint64_t)(frexp(fabs(radians), &exponent) * 0x1p53); /* radians = m * 2^(exponent - 53) */
    /* m * inverse_tau as 192 bits in words of 32, low first; its unit is 2^(exponent - 53 - 128) rotations. */
    uint32_t product[8] = {0}, factor[4];
    for (int i = 0; i < 4; i++) factor[i] = (uint32_t)(inverse_tau[1 - i / 2] >> (32 * (i % 2)));
    for (int i = 0; i < 2; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < 4; j++) {
            carry += (uint64_t)(uint32_t)(m >> (32 * i)) * factor[j] + product[i + j];
            product[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        product[i + 4] = (uint32_t)carry;
    }
    /* The 64 bits below a full rotation start at bit 128 + 53 - exponent - 64. */
    int from = 117 - exponent;
    uint64_t fraction = 0;
    for (int bit = 0; bit < 64; bit++) {
        int at = from + bit;
        if (at >= 0 && at < 256 && (product[at / 32] >> (at % 32) & 1)) fraction |= (uint64_t)1 << bit;
    }
    return radians < 0 ? 0 - fraction : fraction;
}

void sai_rope_frequencies(const sa_config *config, uint64_t *frequency) {
    for (int i = 0; i < config->rope_dims / 2; i++) frequency[i] = rope_fraction(rope_frequency(config, i));
}

sai_rope sai_rope_of(const sa_config *config) {
    sai_rope rope = {0, 0, 0, 1.0f};
    if (config->position != SA_POSITION_ROPE && config->position != SA_POSITION_ROPE_APPLIED) return rope;
    rope.pairs = config->rope_dims / 2;
    rope.offset = config->rope_offset;
    rope.interleaved = config->rope_layout == SA_ROPE_INTERLEAVED;
    rope.factor = (float)config->rope_attention_factor;
    return rope;
}
