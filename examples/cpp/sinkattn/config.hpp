/* What a cache is to be: sa_config with types and lengths.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SINKATTN_CONFIG_HPP
#define SINKATTN_CONFIG_HPP

#include "base.hpp"
#include <vector>

namespace sinkattn {

enum class dtype : std::int32_t { usual = 0, f32 = SA_F32, f16 = SA_F16, bf16 = SA_BF16, i8 = SA_I8, i4 = SA_I4 };
enum class policy : std::int32_t {
    sink_window = SA_POLICY_SINK_WINDOW,
    window = SA_POLICY_WINDOW,
    dense = SA_POLICY_DENSE
};
/** There is no default: `unset` is refused. */
enum class position : std::int32_t {
    unset = 0,
    none = SA_POSITION_NONE,
    rope = SA_POSITION_ROPE,
    rope_applied = SA_POSITION_ROPE_APPLIED,
    alibi = SA_POSITION_ALIBI
};
enum class position_mode : std::int32_t { in_cache = SA_IN_CACHE, in_stream = SA_IN_STREAM };
enum class rope_layout : std::int32_t { half_split = SA_ROPE_HALF_SPLIT, interleaved = SA_ROPE_INTERLEAVED };
enum class rope_scaling : std::int32_t {
    none = SA_ROPE_SCALING_NONE,
    linear = SA_ROPE_SCALING_LINEAR,
    ntk = SA_ROPE_SCALING_NTK,
    yarn = SA_ROPE_SCALING_YARN,
    llama3 = SA_ROPE_SCALING_LLAMA3,
    longrope = SA_ROPE_SCALING_LONGROPE
};
enum class sink_kv : std::int32_t { before = SA_SINK_KV_BEFORE, at_zero = SA_SINK_KV_AT_ZERO };
enum class gap : std::int32_t { close = SA_GAP_CLOSE, keep = SA_GAP_KEEP };
enum class key_form : std::int32_t {
    as_stored = SA_KEY_AS_STORED,
    unrotated = SA_KEY_UNROTATED,
    at_place = SA_KEY_AT_PLACE
};

/** In place of a layer, in the calls that change a sequence: all of them. */
constexpr std::int32_t all_layers = SA_ALL_LAYERS;

/** In place of the end of a range: the newest token of each layer meant is its last. */
constexpr std::uint64_t to_end = SA_END;

/** IEEE binary16 and bfloat16 as bits. */
struct f16 {
    std::uint16_t bits;
};
struct bf16 {
    std::uint16_t bits;
};

/** The dtype of a C++ type. Specialise it for a 16-bit type of your own. */
template <class T> struct dtype_of;
template <> struct dtype_of<float> { static constexpr dtype value = dtype::f32; };
template <> struct dtype_of<f16> { static constexpr dtype value = dtype::f16; };
template <> struct dtype_of<bf16> { static constexpr dtype value = dtype::bf16; };

/** sa_config: the same names, units, limits and defaults. What spans refer to is copied when a cache or pool is made. */
struct config {
    std::int32_t n_layers = 0; /**< required, as are n_heads, head_dim, window and position */
    std::int32_t max_append = 0, rollback = 0, isa = SA_ISA_AUTO, n_threads = 0;
    dtype io_dtype = dtype::usual;
    std::int32_t n_heads = 0, n_kv_heads = 0, head_dim = 0, v_head_dim = 0;
    sinkattn::policy policy = sinkattn::policy::sink_window;
    std::int32_t n_sink = 0, window = 0;
    dtype k_dtype = dtype::usual, v_dtype = dtype::usual;
    float scale = 0, softcap = 0;
    std::int32_t n_sink_kv = 0;
    sink_kv sink_kv_position = sink_kv::before;
    sinkattn::position position = sinkattn::position::unset;
    sinkattn::position_mode position_mode = sinkattn::position_mode::in_cache;
    sinkattn::rope_layout rope_layout = sinkattn::rope_layout::half_split;
    std::int32_t rope_dims = 0, rope_offset = 0;
    sinkattn::rope_scaling rope_scaling = sinkattn::rope_scaling::none;
    std::int32_t rope_original_context = 0;
    double rope_theta = 0, rope_factor = 0, rope_attention_factor = 0;
    double rope_beta_fast = 0, rope_beta_slow = 0, rope_low_freq_factor = 0, rope_high_freq_factor = 0;
    span<const double> rope_inv_freq;                        /**< (rope_dims / 2) or empty */
    span<const float> rope_short_factors, rope_long_factors; /**< (rope_dims / 2) or empty */
    span<const float> alibi_slopes, sink_logits;             /**< (n_heads) or empty */
    span<const config *const> layers; /**< (n_layers) or empty; nullptr: the layer is as this config says */
    dtype sink_k_dtype = dtype::usual, sink_v_dtype = dtype::usual;
    std::int32_t n_recent = 0;
    dtype recent_k_dtype = dtype::usual, recent_v_dtype = dtype::usual;
    std::int32_t query_bits = 0, weight_bits = 0;
    std::int32_t n_sequences = 0, n_spans = 0, n_pin = 0, n_rows = 0, max_draft = 0;
    std::int64_t pool_tokens = 0;
    span<const std::int32_t> head_windows, head_sinks; /**< (n_kv_heads) or empty */
    bool yarn_no_truncate = false, cooperative = false;
    sa_parallel_for parallel_for = nullptr; /**< see run_on; kept with its context until the end */
    void *parallel_context = nullptr;

    /** Lets a thread pool of the host run pieces: executor(n_tasks, task) calls task(i) once for each i in 0 ..
     * n_tasks-1, on any threads, and returns when all have returned. It must live as long as the cache or pool, and
     * must not throw. */
    template <class Executor> void run_on(Executor &executor) noexcept {
        parallel_context = &executor;
        parallel_for = [](void *context, std::int32_t n_tasks, sa_task task, void *task_context) noexcept {
            (*static_cast<Executor *>(context))(n_tasks, [=](std::int32_t i) { task(task_context, i); });
        };
    }
};

namespace detail {

/** What the lengths of a layer's tensors follow from. */
struct shape {
    std::int64_t n_heads, n_kv_heads, head_dim, v_head_dim, n_sink_kv;
};

inline shape shape_of(const config &c) noexcept {
    return {c.n_heads, c.n_kv_heads ? c.n_kv_heads : c.n_heads, c.head_dim, c.v_head_dim ? c.v_head_dim : c.head_dim,
            c.n_sink_kv};
}

/** A config as the library reads it. */
struct native_config {
    sa_config whole{};
    std::vector<sa_config> own;
    std::vector<const sa_config *> layers;
};

template <class Array> bool has(const Array &array, std::int64_t n) noexcept {
    return array.empty() || static_cast<std::int64_t>(array.size()) == n;
}

inline status check_lengths(const config &c) noexcept {
    const std::int64_t pairs = (c.rope_dims ? c.rope_dims : c.head_dim) / 2;
    if (!has(c.rope_inv_freq, pairs) || !has(c.rope_short_factors, pairs) || !has(c.rope_long_factors, pairs))
        return {SA_ERR_CONFIG,
                "rope_inv_freq, rope_short_factors and rope_long_factors must be empty or have rope_dims "
                "/ 2 elements"};
    if (!has(c.alibi_slopes, c.n_heads) || !has(c.sink_logits, c.n_heads))
        return {SA_ERR_CONFIG, "alibi_slopes and sink_logits must be empty or have n_heads elements"};
    if (!has(c.head_windows, shape_of(c).n_kv_heads) || !has(c.head_sinks, shape_of(c).n_kv_heads))
        return {SA_ERR_CONFIG, "head_windows and head_sinks must be empty or have n_kv_heads elements"};
    return {};
}

constexpr std::uint32_t flag(bool is_set, int bit) noexcept { return is_set ? static_cast<std::uint32_t>(bit) : 0; }

template <class T> T *pointer(span<T> s) noexcept { return s.empty() ? nullptr : s.data(); }

inline sa_config native_of(const config &c) noexcept {
    const auto number = [](auto named) { return static_cast<std::int32_t>(named); };
    sa_config n{};
    n.struct_size = sizeof n;
    n.flags = flag(c.yarn_no_truncate, SA_CONFIG_YARN_NO_TRUNCATE) | flag(c.cooperative, SA_CONFIG_COOPERATIVE);
    n.n_layers = c.n_layers, n.max_append = c.max_append, n.rollback = c.rollback;
    n.isa = c.isa, n.n_threads = c.n_threads, n.io_dtype = number(c.io_dtype);
    n.n_heads = c.n_heads, n.n_kv_heads = c.n_kv_heads, n.head_dim = c.head_dim, n.v_head_dim = c.v_head_dim;
    n.policy = number(c.policy), n.n_sink = c.n_sink, n.window = c.window;
    n.k_dtype = number(c.k_dtype), n.v_dtype = number(c.v_dtype);
    n.scale = c.scale, n.softcap = c.softcap;
    n.n_sink_kv = c.n_sink_kv, n.sink_kv_position = number(c.sink_kv_position);
    n.position = number(c.position), n.position_mode = number(c.position_mode);
    n.rope_layout = number(c.rope_layout), n.rope_dims = c.rope_dims, n.rope_offset = c.rope_offset;
    n.rope_scaling = number(c.rope_scaling), n.rope_original_context = c.rope_original_context;
    n.rope_theta = c.rope_theta, n.rope_factor = c.rope_factor, n.rope_attention_factor = c.rope_attention_factor;
    n.rope_beta_fast = c.rope_beta_fast, n.rope_beta_slow = c.rope_beta_slow;
    n.rope_low_freq_factor = c.rope_low_freq_factor, n.rope_high_freq_factor = c.rope_high_freq_factor;
    n.rope_inv_freq = pointer(c.rope_inv_freq);
    n.rope_short_factors = pointer(c.rope_short_factors), n.rope_long_factors = pointer(c.rope_long_factors);
    n.alibi_slopes = pointer(c.alibi_slopes), n.sink_logits = pointer(c.sink_logits);
    n.parallel_for = c.parallel_for, n.parallel_context = c.parallel_context;
    n.sink_k_dtype = number(c.sink_k_dtype), n.sink_v_dtype = number(c.sink_v_dtype), n.n_recent = c.n_recent;
    n.recent_k_dtype = number(c.recent_k_dtype), n.recent_v_dtype = number(c.recent_v_dtype);
    n.query_bits = c.query_bits, n.weight_bits = c.weight_bits;
    n.n_sequences = c.n_sequences, n.n_spans = c.n_spans, n.n_pin = c.n_pin, n.n_rows = c.n_rows;
    n.max_draft = c.max_draft, n.pool_tokens = c.pool_tokens;
    n.head_windows = pointer(c.head_windows), n.head_sinks = pointer(c.head_sinks);
    return n;
}

/** Fills `to`; the pointers in it are good as long as `to` stays where it is. */
inline status translate(const config &c, native_config &to) {
    if (status s = check_lengths(c); !s) return s;
    if (!has(c.layers, c.n_layers)) return {SA_ERR_CONFIG, "layers must be empty or have n_layers elements"};
    to.whole = native_of(c);
    to.own.reserve(c.layers.size());
    for (const config *layer : c.layers) {
        if (layer)
            if (status s = check_lengths(*layer); !s) return s;
        if (layer) to.own.push_back(native_of(*layer));
        to.layers.push_back(layer ? &to.own.back() : nullptr);
    }
    to.whole.layers = to.layers.empty() ? nullptr : to.layers.data();
    return {};
}

/** Why a call that makes something was refused. */
inline status creation(sa_status code, const sa_config &c) noexcept {
    const char *why = "";
    const sa_status checked = sa_config_check(&c, &why, nullptr);
    return {code, checked == code ? why : sa_status_string(code)};
}

} // namespace detail

/** Whether a cache or pool can be made of a config; if not, why, and of which layer (-1: of the whole). */
inline status check(const config &c, std::int32_t *layer_out = nullptr) {
    detail::native_config n;
    if (layer_out) *layer_out = -1;
    if (status s = detail::translate(c, n); !s) return s;
    const char *why = "";
    const sa_status code = sa_config_check(&n.whole, &why, layer_out);
    return {code, why};
}

/** What a block of the host must be: see cache::init, pool::init. */
struct memory_need {
    std::size_t size, alignment; /**< bytes */
};

} // namespace sinkattn

#endif
