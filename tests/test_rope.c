/*
 * Frequencies, phases and attention factors, seen from outside.
 *
 * One key at position 0, one query far away, both unit vectors of one rotated pair: then the
 * log-sum-exp of the only logit is scale * cos(distance * frequency), or sin.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "bars.h"
#include "cases.h"
#include "compare.h"
#include "test.h"

static sa_config base_config(int dim) {
    sa_config g;
    memset(&g, 0, sizeof g);
    g.struct_size = sizeof g;
    g.n_layers = 1;
    g.max_append = 1;
    g.n_heads = 1;
    g.head_dim = dim;
    g.v_head_dim = 1;
    g.n_sink = 1;
    g.window = 1;
    g.scale = 1.0f;
    g.position = SA_POSITION_ROPE;
    g.position_mode = SA_IN_STREAM;
    return g;
}

/* The logit of a query unit vector at `distance` with a key unit vector at position 0. */
static double unit_logit(sa_cache *cache, int dim, int q_dim, int k_dim, int64_t distance) {
    float q[1024] = {0}, k[1024] = {0}, v = 0.0f, out, lse = NAN;
    sa_step_args a;
    q[q_dim] = 1.0f;
    k[k_dim] = 1.0f;
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.n_tokens = 1;
    a.q.data = q;
    a.out.data = &out;
    a.lse = &lse;
    a.q_offset = distance - 1;
    CHECK(sa_cache_reset(cache, SA_ALL_LAYERS) == SA_SUCCESS && sa_append_kv(cache, 0, 1, k, &v) == SA_SUCCESS,
          "append");
    CHECK(sa_step(cache, &a) == SA_SUCCESS, "probe at %lld of dim %d", (long long)distance, dim);
    return lse;
}

/* cos and sin of every pair at some distances against a table of radians per position. */
static void check_frequencies(const char *name, const sa_config *g, const double *frequencies, double factor,
                              const int64_t *distances, int n_distances) {
    sa_cache *cache = NULL;
    int d = g->rope_dims ? g->rope_dims : g->head_dim, i, j;
    sa_status status = sa_cache_create(g, NULL, &cache);
    CHECK(status == SA_SUCCESS, "%s: create: %s", name, sa_status_string(status));
    for (i = 0; i < d / 2 && cache; i++) {
        int first = g->rope_offset + (g->rope_layout == SA_ROPE_INTERLEAVED ? 2 * i : i);
        int second = g->rope_layout == SA_ROPE_INTERLEAVED ? first + 1 : first + d / 2;
        for (j = 0; j < n_distances; j++) {
            double angle = oracle_angle(frequencies[i], distances[j]);
            double c = unit_logit(cache, g->head_dim, first, first, distances[j]);
            double s = unit_logit(cache, g->head_dim, first, second, distances[j]);
            double bar = factor * factor * 8e-7;
            CHECK(compare_difference(c, factor * factor * cos(angle)) <= bar, "%s: pair %d at %lld: cos %.9g, not %.9g",
                  name, i, (long long)distances[j], c, factor * factor * cos(angle));
            CHECK(compare_difference(s, factor * factor * sin(angle)) <= bar, "%s: pair %d at %lld: sin %.9g, not %.9g",
                  name, i, (long long)distances[j], s, factor * factor * sin(angle));
        }
    }
    sa_cache_destroy(cache);
}

/* Radians per position of the published models below, from the formulas by hand, in double. */
static const int64_t some_distances[] = {1, 2, 7, 100, 1023, 4096, 131072};
#define SOME 7

static void plain(double *out, int d, double theta) {
    int i;
    for (i = 0; i < d / 2; i++) {
        out[i] = 1.0 / pow(theta, (double)(2 * i) / d);
    }
}

static void simple_scalings(void) {
    double f[512];
    sa_config g = base_config(64);
    int i;
    plain(f, 64, 10000.0);
    check_frequencies("theta by default", &g, f, 1.0, some_distances, SOME);
    g.rope_layout = SA_ROPE_INTERLEAVED;
    g.rope_dims = 20;
    g.rope_offset = 7;
    g.rope_theta = 1e6;
    plain(f, 20, 1e6);
    check_frequencies("interleaved, partial", &g, f, 1.0, some_distances, SOME);
    g = base_config(32);
    g.rope_scaling = SA_ROPE_SCALING_LINEAR;
    g.rope_factor = 4.0;
    plain(f, 32, 10000.0);
    for (i = 0; i < 16; i++) {
        f[i] /= 4.0;
    }
    check_frequencies("linear", &g, f, 1.0, some_distances, SOME);
    g.rope_scaling = SA_ROPE_SCALING_NTK;
    plain(f, 32, 10000.0 * pow(4.0, 32.0 / 30.0));
    check_frequencies("ntk", &g, f, 1.0, some_distances, SOME);
    g = base_config(16);
    g.rope_attention_factor = 1.25;
    plain(f, 16, 10000.0);
    check_frequencies("attention factor", &g, f, 1.25, some_distances, SOME);
}

/* Llama 3.1: theta 500000, d 128, s 8, L 8192, 1 and 4. Pairs with wavelengths below 2048 stay, above
 * 8192 are divided, between they are blended. */
static void llama3(void) {
    double f[64];
    sa_config g = base_config(128);
    int i;
    plain(f, 128, 500000.0);
    for (i = 0; i < 64; i++) {
        double turns_in_context = 8192.0 * f[i] / 6.283185307179586;
        double blend = (turns_in_context - 1.0) / 3.0;
        blend = blend < 0.0 ? 0.0 : blend > 1.0 ? 1.0 : blend;
        f[i] *= blend + (1.0 - blend) / 8.0;
    }
    g.rope_theta = 500000.0;
    g.rope_scaling = SA_ROPE_SCALING_LLAMA3;
    g.rope_factor = 8.0;
    g.rope_original_context = 8192;
    check_frequencies("llama3", &g, f, 1.0, some_distances, SOME);
}

/* The ramp of YaRN between two dims, given as numbers worked out by hand for each model. */
static void yarn_blend(double *f, int half, double low, double high, double s) {
    int i;
    for (i = 0; i < half; i++) {
        double kept = 1.0 - (i - low) / (high - low);
        kept = kept < 0.0 ? 0.0 : kept > 1.0 ? 1.0 : kept;
        f[i] = kept * f[i] + (1.0 - kept) * f[i] / s;
    }
}

static void yarn(void) {
    double f[64];
    sa_config g = base_config(128);
    /* theta 10000, d 128, L 4096: 32 turns at dim 20.94, 1 turn at 45.02; so 20 .. 46. */
    plain(f, 128, 10000.0);
    yarn_blend(f, 64, 20.0, 46.0, 16.0);
    g.rope_scaling = SA_ROPE_SCALING_YARN;
    g.rope_factor = 16.0;
    g.rope_original_context = 4096;
    check_frequencies("yarn", &g, f, 0.1 * log(16.0) + 1.0, some_distances, SOME);
    /* Equal betas: the ramp is one dim wide, 20 .. 21, or, not rounded, a step at 20.94. */
    plain(f, 128, 10000.0);
    yarn_blend(f, 64, 20.0, 21.0, 16.0);
    g.rope_beta_fast = g.rope_beta_slow = 32.0;
    check_frequencies("yarn, equal betas", &g, f, 0.1 * log(16.0) + 1.0, some_distances, SOME);
    g.flags = SA_CONFIG_YARN_NO_TRUNCATE;
    check_frequencies("yarn, equal betas, not rounded", &g, f, 0.1 * log(16.0) + 1.0, some_distances, SOME);
    /* gpt-oss: theta 150000, d 64, L 4096, s 32, ends not rounded. */
    g = base_config(64);
    plain(f, 64, 150000.0);
    yarn_blend(f, 32, 8.092779115512402, 17.39802450158856, 32.0);
    g.flags = SA_CONFIG_YARN_NO_TRUNCATE;
    g.rope_theta = 150000.0;
    g.rope_scaling = SA_ROPE_SCALING_YARN;
    g.rope_factor = 32.0;
    g.rope_original_context = 4096;
    check_frequencies("yarn, gpt-oss", &g, f, 0.1 * log(32.0) + 1.0, some_distances, 5);
}

static void longrope(void) {
    static float short_factors[16], long_factors[16];
    double f[16];
    sa_config g = base_config(32);
    int i, is_long;
    for (i = 0; i < 16; i++) {
        short_factors[i] = 1.0f + 0.05f * (float)i;
        long_factors[i] = 1.0f + 3.0f * (float)i;
    }
    g.rope_scaling = SA_ROPE_SCALING_LONGROPE;
    g.rope_factor = 32.0;
    g.rope_original_context = 4096;
    g.rope_short_factors = short_factors;
    g.rope_long_factors = long_factors;
    for (is_long = 0; is_long < 2; is_long++) {
        plain(f, 32, 10000.0);
        for (i = 0; i < 16; i++) {
            f[i] /= (double)(is_long ? long_factors[i] : short_factors[i]);
        }
        g.position_mode = is_long ? SA_IN_STREAM : SA_IN_CACHE;
        g.window = is_long ? 1 : 4095; /* n_sink + window == L is still short */
        check_frequencies(is_long ? "longrope, long" : "longrope, short", &g, f, sqrt(1.0 + log(32.0) / log(4096.0)),
                          some_distances, 5);
    }
    g.position_mode = SA_IN_CACHE;
    g.window = 4096; /* one more: long */
    check_frequencies("longrope, one more", &g, f, sqrt(1.0 + log(32.0) / log(4096.0)), some_distances, 5);
}

/* A given table is exact to 10^12 positions and beyond: the phases are whole numbers. */
static void far_phases(void) {
    static const int64_t distances[] = {1, 1000, 1000000, 1000000000, 1000000000000, 1000000000007, 123456789012345};
    double f[32];
    sa_config g = base_config(64);
    int i;
    for (i = 0; i < 32; i++) {
        f[i] = exp(-0.3 * i) * 1.0123456789;
    }
    /* Backwards, and more than a turn a position: whole turns count for nothing, but only if all digits are kept. */
    f[29] = -f[3];
    f[30] = 1e6 / 3.0;
    f[31] = -54321.0123456789;
    g.rope_inv_freq = f;
    check_frequencies("far, table", &g, f, 1.0, distances, 6);
}

/* The same tokens anywhere in the stream give the same window attention. Weights that meet integers are rounded
 * together with those of a chunk of positions, and another start cuts other chunks. */
static void shift_invariance(uint64_t seed, long index) {
    static const int64_t starts[] = {1, 16, 255, 1000, 1000000, 1000000000, 1000000000000, (int64_t)1 << 61};
    static const case_limits limits = {200000, 20000, 300, 1, 0};
    static test_case c;
    float *out[2];
    int64_t n, count;
    case_data data;
    oracle *o;
    test_rng rng;
    int i, s;
    rng.state = seed + (uint64_t)index * 31;
    do {
        case_draw(&c, &rng, &limits);
    } while (c.config.n_sink > 0 || c.config.n_sink_kv > 0 || c.config.position == SA_POSITION_ROPE_APPLIED ||
             c.config.k_dtype > SA_F32 || c.config.n_recent > 0);
    c.config.io_dtype = SA_F32;
    o = oracle_create(&c.config);
    n = c.n_tokens;
    case_fill(&c, &rng, o, 0, n, &data);
    count = n * o->layer.n_heads * o->layer.v_head_dim;
    for (i = 0; i < 2; i++) {
        out[i] = test_take((size_t)count * sizeof(float));
    }
    for (s = -1; s < 8; s++) {
        sa_cache *cache = NULL;
        double bound = 4.0 * (oracle_is_integer(c.config.v_dtype) ? weight_bar(&o->layer) : 4e-6);
        comparison difference;
        compare_forget(out[s >= 0], (size_t)count * sizeof(float));
        CHECK(sa_cache_create(&c.config, NULL, &cache) == SA_SUCCESS, "create: %s", case_text(&c));
        CHECK(s < 0 || sa_cache_seek(cache, SA_ALL_LAYERS, (uint64_t)starts[s]) == SA_SUCCESS, "seek");
        CHECK(sa_append_attend(cache, 0, (int32_t)n, data.q, data.k, data.v, out[s >= 0]) == SA_SUCCESS, "run");
        difference = compare_floats(out[s >= 0], out[0], count);
        CHECK(compare_holds(&difference, count, bound), "case %ld from %lld: off by %g: %s", index,
              (long long)(s < 0 ? 0 : starts[s]), difference.difference, case_text(&c));
        sa_cache_destroy(cache);
    }
    free(out[0]);
    free(out[1]);
    case_data_free(&data);
    oracle_destroy(o);
}

int main(int argc, char **argv) {
    uint64_t seed = 1717;
    long count = 150, i;
    test_begin("test_rope", argc, argv, &seed, &count);
    simple_scalings();
    llama3();
    yarn();
    longrope();
    far_phases();
    for (i = 0; i < count; i++) {
        shift_invariance(seed, i);
    }
    return test_end();
}
