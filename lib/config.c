/* Reads, checks and completes what the host configures.
 *
 * SPDX-License-Identifier: MIT
 *
 * A check is a row of sentences: the first that is not true of the config is why it is refused.
 */
#include "exact.h"

#include "config.h"

#include <math.h>
#include <string.h>

#include "integers.h"
#include "kernels/kernel.h"
#include "lanes.h"
#include "parallel.h"

sa_status sai_read_struct(void *to, size_t size, size_t first, const void *from) {
    uint32_t theirs;
    memcpy(&theirs, from, sizeof theirs);
    if (theirs < first || theirs > 4096 || theirs % 4) return SA_ERR_STRUCT_SIZE;
    for (size_t i = size; i < theirs; i++)
        if (((const unsigned char *)from)[i]) return SA_ERR_STRUCT_SIZE;
    memset(to, 0, size);
    memcpy(to, from, theirs < size ? theirs : size);
    return SA_SUCCESS;
}

/* The size of the first version. New fields come behind; this stays. */
#define CONFIG_FIRST_SIZE (offsetof(sa_config, head_sinks) + sizeof(int32_t *))

#define REFUSE_UNLESS(condition, sentence)                                                                             \
    do {                                                                                                               \
        if (!(condition)) return sentence;                                                                             \
    } while (0)

static int config_in(int64_t x, int64_t low, int64_t high) { return x >= low && x <= high; }
/* A number that is 0 (the default) or finite and at least `low`. */
static int config_real(double x, double low) { return x == 0 || (x >= low && x <= 1e30); }

/* --------------------------------- checks --------------------------------- */

static const char *config_check_unknown(const sa_config *c) {
    REFUSE_UNLESS((c->flags & ~(uint32_t)(SA_CONFIG_YARN_NO_TRUNCATE | SA_CONFIG_COOPERATIVE)) == 0,
                  "unknown bits in flags");
    return NULL;
}

static const char *config_check_cache(const sa_config *c) {
    REFUSE_UNLESS(config_in(c->n_layers, 1, 65536), "n_layers must be 1 .. 65536");
    REFUSE_UNLESS(config_in(c->max_append, 0, 1 << 20), "max_append must be 0 (256) .. 2^20");
    REFUSE_UNLESS(config_in(c->rollback, 0, 1 << 20), "rollback must be 0 .. 2^20");
    REFUSE_UNLESS(config_in(c->n_threads, 0, 1024), "n_threads must be 0 (1) .. 1024");
    REFUSE_UNLESS(config_in(c->n_sequences, 0, 65536), "n_sequences must be 0 (1) .. 65536");
    REFUSE_UNLESS(config_in(c->n_spans, 0, 4096), "n_spans must be 0 .. 4096");
    REFUSE_UNLESS(config_in(c->n_pin, 0, 1 << 30), "n_pin must be 0 .. 2^30");
    REFUSE_UNLESS(c->n_pin == 0 || c->n_spans > 0, "n_pin needs n_spans: each pinned range is a span or two");
    REFUSE_UNLESS(config_in(c->pool_tokens, 0, (int64_t)1 << 40), "pool_tokens must be 0 (the worst case) .. 2^40");
    REFUSE_UNLESS(config_in(c->max_draft, 0, 65536), "max_draft must be 0 .. 65536");
    REFUSE_UNLESS(config_in(c->io_dtype, 0, SA_BF16), "io_dtype must be SA_F32, SA_F16 or SA_BF16");
    REFUSE_UNLESS(sai_dtype_built(c->io_dtype), "io_dtype is not in this library: built with SA_NO_F16 or SA_NO_BF16");
    REFUSE_UNLESS(c->n_threads <= 1 || c->parallel_for || sai_have_openmp() || c->flags & SA_CONFIG_COOPERATIVE,
                  "n_threads > 1 needs parallel_for or SA_CONFIG_COOPERATIVE: this library was built without OpenMP");
    REFUSE_UNLESS(c->parallel_for || !c->parallel_context, "parallel_context is set, but parallel_for is not");
    return NULL;
}

static const char *config_check_geometry(const sa_config *c) {
    REFUSE_UNLESS(config_in(c->n_heads, 1, 65536), "n_heads must be 1 .. 65536");
    REFUSE_UNLESS(config_in(c->n_kv_heads, 0, c->n_heads), "n_kv_heads must be 0 (n_heads) .. n_heads");
    REFUSE_UNLESS(!c->n_kv_heads || c->n_heads % c->n_kv_heads == 0, "n_kv_heads must divide n_heads");
    REFUSE_UNLESS(config_in(c->head_dim, 1, 1024), "head_dim must be 1 .. 1024");
    REFUSE_UNLESS(config_in(c->v_head_dim, 0, 1024), "v_head_dim must be 0 (head_dim) .. 1024");
    REFUSE_UNLESS(config_in(c->policy, SA_POLICY_SINK_WINDOW, SA_POLICY_DENSE), "policy is not an SA_POLICY_*");
    REFUSE_UNLESS(config_in(c->n_sink, 0, 1 << 20), "n_sink must be 0 .. 2^20");
    REFUSE_UNLESS(config_in(c->window, 1, 1 << 30), "window must be 1 .. 2^30");
    REFUSE_UNLESS(c->policy == SA_POLICY_SINK_WINDOW || c->n_sink == 0,
                  "n_sink must be 0 with SA_POLICY_WINDOW and SA_POLICY_DENSE");
    return NULL;
}

static const char *config_check_dtypes(const sa_config *c) {
    REFUSE_UNLESS(config_in(c->k_dtype, 0, SA_I4), "k_dtype must be SA_F32, SA_F16, SA_BF16, SA_I8 or SA_I4");
    REFUSE_UNLESS(config_in(c->v_dtype, 0, SA_I4), "v_dtype must be SA_F32, SA_F16, SA_BF16, SA_I8 or SA_I4");
    REFUSE_UNLESS(config_in(c->sink_k_dtype, 0, SA_BF16), "sink_k_dtype must be 0, SA_F32, SA_F16 or SA_BF16");
    REFUSE_UNLESS(config_in(c->sink_v_dtype, 0, SA_BF16), "sink_v_dtype must be 0, SA_F32, SA_F16 or SA_BF16");
    REFUSE_UNLESS(c->n_sink || c->n_sink_kv || c->n_rows || c->head_sinks || (!c->sink_k_dtype && !c->sink_v_dtype),
                  "sink_k_dtype or sink_v_dtype is set, but there are no sinks");
    REFUSE_UNLESS(config_in(c->n_recent, 0, c->window), "n_recent must be 0 .. window");
    REFUSE_UNLESS(config_in(c->recent_k_dtype, 0, SA_BF16), "recent_k_dtype must be 0, SA_F32, SA_F16 or SA_BF16");
    REFUSE_UNLESS(config_in(c->recent_v_dtype, 0, SA_BF16), "recent_v_dtype must be 0, SA_F32, SA_F16 or SA_BF16");
    REFUSE_UNLESS(c->n_recent || (!c->recent_k_dtype && !c->recent_v_dtype),
                  "recent_k_dtype or recent_v_dtype is set, but n_recent is 0");
    REFUSE_UNLESS(!c->query_bits || c->query_bits == 8 || c->query_bits == 16, "query_bits must be 0 (16), 8 or 16");
    REFUSE_UNLESS(!c->weight_bits || c->weight_bits == 8 || c->weight_bits == 16,
                  "weight_bits must be 0 (16), 8 or 16");
    REFUSE_UNLESS(!c->query_bits || sai_is_integer(c->k_dtype), "query_bits is set, but k_dtype is no integer");
    REFUSE_UNLESS(!c->weight_bits || sai_is_integer(c->v_dtype), "weight_bits is set, but v_dtype is no integer");
    return NULL;
}

static const char *config_check_softmax(const sa_config *c, int32_t n_heads) {
    REFUSE_UNLESS(config_real(c->scale, 1e-30), "scale must be 0 (1/sqrt(head_dim)) or positive and finite");
    REFUSE_UNLESS(config_real(c->softcap, 1e-30), "softcap must be 0 (none) or positive and finite");
    REFUSE_UNLESS(config_in(c->n_sink_kv, 0, 1 << 16), "n_sink_kv must be 0 .. 2^16");
    REFUSE_UNLESS(config_in(c->n_rows, 0, 1 << 16), "n_rows must be 0 .. 2^16");
    REFUSE_UNLESS(config_in(c->sink_kv_position, SA_SINK_KV_BEFORE, SA_SINK_KV_AT_ZERO),
                  "sink_kv_position is not an SA_SINK_KV_*");
    REFUSE_UNLESS(c->n_sink_kv || !c->sink_kv_position, "sink_kv_position is set, but n_sink_kv is 0");
    for (int32_t h = 0; c->sink_logits && h < n_heads; h++)
        REFUSE_UNLESS(c->sink_logits[h] <= 1e30f, "a sink logit is NaN or +infinity");
    return NULL;
}

static int config_rotates(const sa_config *c) {
    return c->position == SA_POSITION_ROPE || c->position == SA_POSITION_ROPE_APPLIED;
}

static const char *config_check_no_rope(const sa_config *c) {
    int set = c->rope_layout || c->rope_dims || c->rope_offset || c->rope_scaling || c->rope_original_context ||
              c->rope_theta != 0 || c->rope_factor != 0 || c->rope_attention_factor != 0 || c->rope_beta_fast != 0 ||
              c->rope_beta_slow != 0 || c->rope_low_freq_factor != 0 || c->rope_high_freq_factor != 0 ||
              c->rope_inv_freq || c->rope_short_factors || c->rope_long_factors || c->flags;
    REFUSE_UNLESS(!set, "a rope_* field or flag is set, but position is not SA_POSITION_ROPE or _ROPE_APPLIED");
    return NULL;
}

static const char *config_check_scaling(const sa_config *c) {
    int s = c->rope_scaling, yarn = s == SA_ROPE_SCALING_YARN, llama3 = s == SA_ROPE_SCALING_LLAMA3;
    int longrope = s == SA_ROPE_SCALING_LONGROPE;
    REFUSE_UNLESS(config_in(s, SA_ROPE_SCALING_NONE, SA_ROPE_SCALING_LONGROPE),
                  "rope_scaling is not SA_ROPE_SCALING_*");
    REFUSE_UNLESS(!s || !c->rope_inv_freq, "rope_inv_freq is used as it is: rope_scaling must be 0 with it");
    REFUSE_UNLESS(config_real(c->rope_factor, 1), "rope_factor must be 0 or at least 1");
    REFUSE_UNLESS(!s || longrope || c->rope_factor != 0, "this rope_scaling needs rope_factor");
    REFUSE_UNLESS(!longrope || c->position != SA_POSITION_ROPE || c->rope_factor != 0 || c->rope_attention_factor != 0,
                  "LONGROPE needs rope_factor (new context / original context), or rope_attention_factor in its place");
    REFUSE_UNLESS(s != SA_ROPE_SCALING_NTK || (c->rope_dims ? c->rope_dims : c->head_dim) > 2,
                  "NTK scaling needs rope_dims > 2: its exponent is d / (d - 2)");
    REFUSE_UNLESS(s || c->rope_factor == 0, "rope_factor is set, but rope_scaling is not");
    REFUSE_UNLESS(config_in(c->rope_original_context, 0, 1 << 30), "rope_original_context must be 0 .. 2^30");
    REFUSE_UNLESS((yarn || llama3 || longrope) == (c->rope_original_context != 0),
                  "rope_original_context goes with YARN, LLAMA3 and LONGROPE, which need it");
    REFUSE_UNLESS(longrope == (c->rope_short_factors && c->rope_long_factors) &&
                      (longrope || (!c->rope_short_factors && !c->rope_long_factors)),
                  "rope_short_factors and rope_long_factors go with LONGROPE, which needs both");
    REFUSE_UNLESS(yarn || (c->rope_beta_fast == 0 && c->rope_beta_slow == 0 && c->flags == 0),
                  "rope_beta_* and SA_CONFIG_YARN_NO_TRUNCATE go with YARN only");
    REFUSE_UNLESS(config_real(c->rope_beta_fast, 1e-9) && config_real(c->rope_beta_slow, 1e-9),
                  "rope_beta_fast and rope_beta_slow must be 0 (32, 1) or positive");
    REFUSE_UNLESS(!yarn || (c->rope_beta_fast != 0 ? c->rope_beta_fast : 32) >=
                               (c->rope_beta_slow != 0 ? c->rope_beta_slow : 1),
                  "rope_beta_fast (by default 32) must not be less than rope_beta_slow (by default 1)");
    REFUSE_UNLESS(llama3 || (c->rope_low_freq_factor == 0 && c->rope_high_freq_factor == 0),
                  "rope_low_freq_factor and rope_high_freq_factor go with LLAMA3 only");
    REFUSE_UNLESS(config_real(c->rope_low_freq_factor, 1e-9) && config_real(c->rope_high_freq_factor, 1e-9),
                  "rope_low_freq_factor and rope_high_freq_factor must be 0 (1, 4) or positive");
    REFUSE_UNLESS(!llama3 || (c->rope_high_freq_factor != 0 ? c->rope_high_freq_factor : 4) >
                                 (c->rope_low_freq_factor != 0 ? c->rope_low_freq_factor : 1),
                  "rope_high_freq_factor must be greater than rope_low_freq_factor");
    return NULL;
}

static const char *config_check_rope(const sa_config *c) {
    int32_t dims = c->rope_dims ? c->rope_dims : c->head_dim;
    REFUSE_UNLESS(config_in(c->rope_layout, SA_ROPE_HALF_SPLIT, SA_ROPE_INTERLEAVED), "rope_layout is not SA_ROPE_*");
    REFUSE_UNLESS(config_in(c->rope_dims, 0, c->head_dim), "rope_dims must be 0 (head_dim) .. head_dim");
    REFUSE_UNLESS(dims % 2 == 0, "rope_dims (by default head_dim) must be even");
    REFUSE_UNLESS(config_in(c->rope_offset, 0, c->head_dim - dims), "rope_offset + rope_dims must be <= head_dim");
    REFUSE_UNLESS(c->rope_theta == 0 || (c->rope_theta > 1 && c->rope_theta <= 1e30),
                  "rope_theta must be 0 (10000) or > 1");
    REFUSE_UNLESS(c->rope_theta == 0 || !c->rope_inv_freq, "rope_theta has no effect with rope_inv_freq");
    REFUSE_UNLESS(config_real(c->rope_attention_factor, 1e-9), "rope_attention_factor must be 0 or positive");
    REFUSE_UNLESS(c->position == SA_POSITION_ROPE || c->rope_attention_factor == 0,
                  "rope_attention_factor must be 0 with SA_POSITION_ROPE_APPLIED: the host has applied it");
    const char *why = config_check_scaling(c);
    for (int32_t i = 0; !why && c->rope_inv_freq && i < dims / 2; i++)
        REFUSE_UNLESS(fabs(c->rope_inv_freq[i]) <= 1e6, "a rope_inv_freq is not finite or beyond 10^6");
    for (int32_t i = 0; !why && c->rope_short_factors && i < dims / 2; i++)
        REFUSE_UNLESS(c->rope_short_factors[i] > 0 && c->rope_short_factors[i] <= 1e30f &&
                          c->rope_long_factors[i] > 0 && c->rope_long_factors[i] <= 1e30f,
                      "a LONGROPE factor is not positive and finite");
    return why;
}

static const char *config_check_position(const sa_config *c) {
    REFUSE_UNLESS(config_in(c->position, SA_POSITION_NONE, SA_POSITION_ALIBI),
                  "position must be chosen: SA_POSITION_NONE, _ROPE, _ROPE_APPLIED or _ALIBI");
    REFUSE_UNLESS(config_in(c->position_mode, SA_IN_CACHE, SA_IN_STREAM), "position_mode is not SA_IN_*");
    REFUSE_UNLESS(c->position != SA_POSITION_NONE || !c->position_mode, "position_mode has no effect without position");
    REFUSE_UNLESS(c->position == SA_POSITION_ALIBI || !c->alibi_slopes, "alibi_slopes go with SA_POSITION_ALIBI only");
    for (int32_t h = 0; c->alibi_slopes && h < c->n_heads; h++)
        REFUSE_UNLESS(fabsf(c->alibi_slopes[h]) <= 1e30f, "an alibi slope is not finite");
    return config_rotates(c) ? config_check_rope(c) : config_check_no_rope(c);
}

/* -------------------------------- defaults -------------------------------- */

#define DEFAULT(field, value)                                                                                          \
    do {                                                                                                               \
        if (!(field)) (field) = (value);                                                                               \
    } while (0)

/* Attention factors as in Hugging Face transformers, where the model's file gives none. */
static double config_attention_factor(const sa_config *c) {
    if (c->position == SA_POSITION_ROPE_APPLIED) return 1;
    double s = c->rope_factor;
    if (c->rope_scaling == SA_ROPE_SCALING_YARN) return s > 1 ? 0.1 * log(s) + 1 : 1;
    if (c->rope_scaling == SA_ROPE_SCALING_LONGROPE && s > 1 && c->rope_original_context > 1)
        return sqrt(1 + log(s) / log(c->rope_original_context));
    return 1;
}

static void config_complete_layer(sa_config *c) {
    DEFAULT(c->n_kv_heads, c->n_heads);
    DEFAULT(c->v_head_dim, c->head_dim);
    DEFAULT(c->k_dtype, SA_F32);
    DEFAULT(c->v_dtype, SA_F32);
    DEFAULT(c->sink_k_dtype, sai_is_integer(c->k_dtype) ? SA_F16 : c->k_dtype);
    DEFAULT(c->sink_v_dtype, sai_is_integer(c->v_dtype) ? SA_F16 : c->v_dtype);
    DEFAULT(c->recent_k_dtype, SA_F16);
    DEFAULT(c->recent_v_dtype, SA_F16);
    DEFAULT(c->query_bits, 16);
    DEFAULT(c->weight_bits, 16);
    if (c->scale == 0) c->scale = (float)(1 / sqrt(c->head_dim));
    if (!config_rotates(c)) return;
    DEFAULT(c->rope_dims, c->head_dim);
    if (c->rope_theta == 0) c->rope_theta = 10000;
    if (c->rope_attention_factor == 0) c->rope_attention_factor = config_attention_factor(c);
    if (c->rope_beta_fast == 0) c->rope_beta_fast = 32;
    if (c->rope_beta_slow == 0) c->rope_beta_slow = 1;
    if (c->rope_low_freq_factor == 0) c->rope_low_freq_factor = 1;
    if (c->rope_high_freq_factor == 0) c->rope_high_freq_factor = 4;
}

/* A completed config may name what the build leaves out, by a default as well: the dtype of sinks beside integers and
 * that of the recent tokens is SA_F16. */
static const char *config_check_built(const sa_config *c) {
    int sinks = c->n_sink || c->n_sink_kv || c->n_rows || c->head_sinks;
    REFUSE_UNLESS(sai_dtype_built(c->k_dtype) && sai_dtype_built(c->v_dtype),
                  "k_dtype or v_dtype is not in this library: built with SA_NO_F16, SA_NO_BF16 or SA_NO_INTEGERS");
    REFUSE_UNLESS(!sinks || (sai_dtype_built(c->sink_k_dtype) && sai_dtype_built(c->sink_v_dtype)),
                  "sink_k_dtype or sink_v_dtype is not in this library: built with SA_NO_F16 or SA_NO_BF16");
    REFUSE_UNLESS(!c->n_recent || (sai_dtype_built(c->recent_k_dtype) && sai_dtype_built(c->recent_v_dtype)),
                  "recent_k_dtype or recent_v_dtype is not in this library: built with SA_NO_F16 or SA_NO_BF16");
    return NULL;
}

/* What each kv head keeps, of a completed config. */
static const char *config_check_heads(const sa_config *c) {
    for (int32_t h = 0; h < c->n_kv_heads; h++) {
        int32_t window = c->head_windows ? c->head_windows[h] : 0, sinks = c->head_sinks ? c->head_sinks[h] : 0;
        int streams = c->policy == SA_POLICY_DENSE && window != 0;
        REFUSE_UNLESS(config_in(window, 0, c->window), "a head_windows is not 0 (the layer's) .. window");
        REFUSE_UNLESS(sinks >= -1, "a head_sinks is not -1 (none), 0 (the layer's) or a number of sink tokens");
        REFUSE_UNLESS(
            streams || sinks <= c->n_sink,
            "a head_sinks is larger than n_sink, or of a head of a dense layer that has no window of its own");
        REFUSE_UNLESS(!streams || sinks <= 0 || (sinks <= c->window - window && sinks <= 1 << 20),
                      "a head_sinks of a dense layer is larger than window - head_windows, or than 2^20");
    }
    REFUSE_UNLESS(sai_lanes_of(c).n <= SAI_MOST_LANES,
                  "head_sinks and head_windows have more than 256 different pairs");
    return NULL;
}

/* --------------------------------- entries -------------------------------- */

static sa_status config_verdict(const char *why, int32_t layer, sai_verdict *verdict) {
    verdict->why = why ? why : "";
    verdict->layer = layer;
    return why ? SA_ERR_CONFIG : SA_SUCCESS;
}

static sa_status config_read(const sa_config *from, int32_t layer, sa_config *out, sai_verdict *verdict) {
    sa_status status = sai_read_struct(out, sizeof *out, CONFIG_FIRST_SIZE, from);
    out->struct_size = sizeof *out; /* the copy is ours, and may be read again */
    verdict->why = status ? "struct_size is below the first version's, or fields beyond this version are set" : "";
    verdict->layer = layer;
    return status;
}

sa_status sai_config_cache(const sa_config *config, sa_config *out, sai_verdict *verdict) {
    sa_status status = config_read(config, -1, out, verdict);
    if (status) return status;
    const char *why = config_check_unknown(out);
    status = config_verdict(why ? why : config_check_cache(out), -1, verdict);
    if (status) return status;
    if (out->isa != SA_ISA_AUTO && !sai_isa_available(out->isa)) {
        verdict->why = "isa is not available in this build on this processor";
        return SA_ERR_ISA;
    }
    DEFAULT(out->max_append, 256);
    DEFAULT(out->n_threads, 1);
    DEFAULT(out->n_sequences, 1);
    DEFAULT(out->io_dtype, SA_F32);
    if (out->isa == SA_ISA_AUTO) out->isa = sai_isa_best();
    if (out->isa == SA_ISA_AUTO) {
        verdict->why = "no instruction set of this build is available on this processor: built with SA_NO_PLAIN";
        return SA_ERR_ISA;
    }
    return SA_SUCCESS;
}

sa_status sai_config_layer(const sa_config *cache_config, int32_t layer, sa_config *out, sai_verdict *verdict) {
    const sa_config *own = cache_config->layers ? cache_config->layers[layer] : NULL;
    sa_status status = config_read(own ? own : cache_config, layer, out, verdict);
    if (status) return status;
    const char *why = config_check_unknown(out);
    out->flags &= ~(uint32_t)SA_CONFIG_COOPERATIVE; /* of the cache, like n_threads: not read here */
    if (!why) why = config_check_geometry(out);
    if (!why) why = config_check_dtypes(out);
    if (!why) why = config_check_softmax(out, out->n_heads);
    if (!why) why = config_check_position(out);
    status = config_verdict(why, layer, verdict);
    if (status) return status;
    config_complete_layer(out);
    if (out->head_windows || out->head_sinks) why = config_check_heads(out);
    if (!why) why = config_check_built(out);
    return config_verdict(why, layer, verdict);
}
