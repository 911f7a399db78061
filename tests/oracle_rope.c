/*
 * The oracle's rotary frequencies in long double, and its phases in pairs of doubles.
 *
 * Written from the papers' formulas and the behaviour of Hugging Face's modeling_rope_utils.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <stdlib.h>

#include "oracle.h"

#define TABLE_MOST 4096

static const long double two_pi = 6.283185307179586476925286766559005768L;

static int rope_dims_of(const sa_config *c) { return c->rope_dims ? c->rope_dims : c->head_dim; }

static long double theta_of(const sa_config *c) { return c->rope_theta != 0.0 ? (long double)c->rope_theta : 10000.0L; }

/* The dim whose frequency makes `rotations` full turns over the original context. */
static long double yarn_dim(long double rotations, int d, long double theta, long double context) {
    return d * logl(context / (rotations * two_pi)) / (2.0L * logl(theta));
}

static long double yarn_frequency(const sa_config *c, int i) {
    int d = rope_dims_of(c);
    long double theta = theta_of(c), s = c->rope_factor, context = c->rope_original_context;
    long double low = yarn_dim(c->rope_beta_fast != 0.0 ? c->rope_beta_fast : 32.0, d, theta, context);
    long double high = yarn_dim(c->rope_beta_slow != 0.0 ? c->rope_beta_slow : 1.0, d, theta, context);
    long double plain = powl(theta, -2.0L * i / d), ramp;
    if (!(c->flags & SA_CONFIG_YARN_NO_TRUNCATE)) {
        low = floorl(low);
        high = ceill(high);
    }
    low = low < 0 ? 0 : low;
    high = high > d - 1 ? d - 1 : high;
    if (low == high) {
        high += 0.001L;
    }
    ramp = (i - low) / (high - low);
    ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
    return plain / s * ramp + plain * (1.0L - ramp);
}

static long double llama3_frequency(const sa_config *c, long double plain) {
    long double low = c->rope_low_freq_factor != 0.0 ? c->rope_low_freq_factor : 1.0;
    long double high = c->rope_high_freq_factor != 0.0 ? c->rope_high_freq_factor : 4.0;
    long double context = c->rope_original_context, s = c->rope_factor;
    long double wavelength = two_pi / plain, smooth;
    if (wavelength > context / low) {
        return plain / s;
    }
    if (wavelength < context / high) {
        return plain;
    }
    smooth = (context / wavelength - low) / (high - low);
    return (1.0L - smooth) * plain / s + smooth * plain;
}

static int longrope_is_long(const sa_config *c) {
    int streams = c->position_mode == SA_IN_STREAM && c->policy != SA_POLICY_DENSE;
    return streams || (int64_t)c->n_sink + c->window > c->rope_original_context;
}

long double oracle_frequency(const sa_config *c, int i) {
    int d = rope_dims_of(c);
    long double theta = theta_of(c), plain = powl(theta, -2.0L * i / d);
    if (c->rope_inv_freq) {
        return c->rope_inv_freq[i];
    }
    switch (c->rope_scaling) {
    case SA_ROPE_SCALING_LINEAR:
        return plain / c->rope_factor;
    case SA_ROPE_SCALING_NTK:
        return powl(theta * powl(c->rope_factor, (long double)d / (d - 2)), -2.0L * i / d);
    case SA_ROPE_SCALING_YARN:
        return yarn_frequency(c, i);
    case SA_ROPE_SCALING_LLAMA3:
        return llama3_frequency(c, plain);
    case SA_ROPE_SCALING_LONGROPE:
        return plain / (longrope_is_long(c) ? c->rope_long_factors[i] : c->rope_short_factors[i]);
    default:
        return plain;
    }
}

/* An unevaluated sum: what a double cannot hold. Some machines (and valgrind) have no longer long double. */
typedef struct pair {
    double high, low;
} pair;

/* The upper half of x's bits (Veltkamp). */
static double upper(double x) {
    double big = 134217729.0 * x;
    return big - (big - x);
}

/* a * b exactly (Dekker). */
static pair product(double a, double b) {
    double ah = upper(a), al = a - ah, bh = upper(b), bl = b - bh, p = a * b;
    pair out = {p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
    return out;
}

static pair times(pair a, double b) {
    pair p = product(a.high, b), out;
    p.low += a.low * b;
    out.high = p.high + p.low;
    out.low = p.low - (out.high - p.high);
    return out;
}

double oracle_angle(long double frequency, int64_t position) {
    static const pair turns_per_radian = {0.15915494309189535, -9.839338337591243e-18};
    double high = (double)frequency, place = (double)position;
    pair turns = times(turns_per_radian, high);
    turns.low += (double)(frequency - (long double)high) * turns_per_radian.high;
    turns = times(turns, place); /* places are below 2^53, or powers of two: exact */
    turns.high -= rint(turns.high);
    turns.high += turns.low;
    return (turns.high - rint(turns.high)) * (double)two_pi;
}

static void fill_phases(const oracle_layer *l, int64_t position, double *out) {
    int i;
    for (i = 0; i < l->rope_dims / 2; i++) {
        double angle = oracle_angle(l->frequencies[i], position);
        out[2 * i] = cos(angle);
        out[2 * i + 1] = sin(angle);
    }
}

static const double *phases(oracle_layer *l, int64_t position) {
    int64_t at = position - l->table_first;
    int slot;
    if (at >= 0 && at < l->table_count) {
        return l->table + at * l->rope_dims;
    }
    for (slot = 0; slot < ORACLE_RECENT; slot++) {
        if (l->recent_positions[slot] == position) {
            return l->recent + (size_t)slot * l->rope_dims;
        }
    }
    slot = l->recent_next++ % ORACLE_RECENT;
    l->recent_positions[slot] = position;
    fill_phases(l, position, l->recent + (size_t)slot * l->rope_dims);
    return l->recent + (size_t)slot * l->rope_dims;
}

void oracle_rope_fill(oracle_layer *l, const sa_config *c) {
    int64_t p;
    int i;
    l->frequencies = calloc((size_t)l->rope_dims + 1, sizeof *l->frequencies);
    for (i = 0; i < l->rope_dims / 2; i++) {
        l->frequencies[i] = oracle_frequency(c, i);
    }
    l->table_first = -l->n_sink_kv;
    l->table_count = l->n_sink + l->window + l->n_sink_kv;
    l->table_count = l->table_count > TABLE_MOST ? TABLE_MOST : l->table_count;
    l->table = calloc((size_t)l->table_count * l->rope_dims + 1, sizeof *l->table);
    for (p = 0; p < l->table_count; p++) {
        fill_phases(l, l->table_first + p, l->table + p * l->rope_dims);
    }
    l->recent = calloc((size_t)ORACLE_RECENT * l->rope_dims + 1, sizeof *l->recent);
    for (i = 0; i < ORACLE_RECENT; i++) {
        l->recent_positions[i] = INT64_MIN;
    }
}

void oracle_rotate(oracle_layer *l, int64_t position, double factor, double *x) {
    int half = l->rope_dims / 2, i;
    const double *phase = half > 0 ? phases(l, position) : NULL;
    for (i = 0; i < half; i++) {
        int first = l->rope_offset + (l->interleaved ? 2 * i : i);
        int second = l->interleaved ? first + 1 : first + half;
        double a = x[first], b = x[second], c = phase[2 * i], s = phase[2 * i + 1];
        x[first] = factor * (a * c - b * s);
        x[second] = factor * (a * s + b * c);
    }
}
