/* Tensors and the arguments of calls: their lengths are checked here, before the library sees a pointer.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SINKATTN_STEP_HPP
#define SINKATTN_STEP_HPP

#include "config.hpp"
#include <memory>
#include <vector>
#if defined(__has_include)
#if __has_include(<memory_resource>)
#include <memory_resource>
#endif
#endif

namespace sinkattn {

namespace detail {

/** A tensor of the host: its memory, its strides in elements, and where element [0][0][0] lies. */
struct tensor {
    void *data = nullptr;
    std::int64_t size = 0, first = 0, token_stride = 0, head_stride = 0; /* elements */
    std::int64_t element = 0;                                            /* bytes */
    dtype type = dtype::usual;
    bool strided = false;
};

/** Whether element i * stride, for i in 0 .. n-1, stays within `size` elements before or behind; adds it up. */
inline bool reach(std::int64_t n, std::int64_t stride, std::int64_t size, std::int64_t &low,
                  std::int64_t &high) noexcept {
    if (n < 2 || stride == 0) return true;
    if (stride > size / (n - 1) || stride < -size / (n - 1)) return false;
    (stride < 0 ? low : high) += (n - 1) * stride;
    return true;
}

inline bool fits(const tensor &t, std::int64_t n, std::int64_t heads, std::int64_t dim) noexcept {
    if (!t.strided) return t.size == n * heads * dim;
    if (n == 0) return true;
    std::int64_t low = t.first, high = t.first;
    return t.first >= 0 && t.first <= t.size && reach(n, t.token_stride, t.size, low, high) &&
           reach(heads, t.head_stride, t.size, low, high) && low >= 0 && high <= t.size - dim;
}

/** Of one token or head a stride is not read, and may be any number. */
inline sa_tensor native_of(const tensor &t, std::int64_t n, std::int64_t heads) noexcept {
    sa_tensor to{};
    if (!t.data) return to;
    to.data = static_cast<char *>(t.data) + t.first * t.element;
    to.dtype = static_cast<std::int32_t>(t.type);
    if (!t.strided) return to;
    to.flags = SA_TENSOR_STRIDES_GIVEN;
    to.token_stride = n < 2 ? 0 : t.token_stride * t.element;
    to.head_stride = heads < 2 ? 0 : t.head_stride * t.element;
    return to;
}

} // namespace detail

/** A tensor (tokens, heads, dim) of float, f16 or bf16: contiguous, or with strides. `Void` is const void for what is
 * read, void for what is written. */
template <class Void> class tensor {
public:
    tensor() noexcept = default;
    /** Contiguous: all elements of a container that stays while the tensor is used. */
    template <class C, class T = std::remove_pointer_t<detail::data_of<C>>,
              class = std::enable_if_t<detail::lent<C>::value && std::is_convertible_v<T *, Void *>>,
              dtype Type = dtype_of<std::remove_const_t<T>>::value>
    tensor(C &&elements) noexcept {
        t_.data = const_cast<std::remove_const_t<T> *>(std::data(elements));
        t_.size = static_cast<std::int64_t>(std::size(elements));
        t_.element = sizeof(T);
        t_.type = Type;
    }
    /** Strides in elements; they may be negative, and 0 repeats a token or a head. `first`: the index of [0][0][0]. */
    tensor strides(std::int64_t token, std::int64_t head, std::int64_t first = 0) const noexcept {
        tensor s = *this;
        s.t_.strided = true;
        s.t_.token_stride = token, s.t_.head_stride = head, s.t_.first = first;
        return s;
    }
    const detail::tensor &parts() const noexcept { return t_; }

private:
    detail::tensor t_;
};

using input = tensor<const void>;
using output = tensor<void>;

/** sa_step_args. Empty tensors and spans are not there. */
struct step {
    std::int32_t layer = 0;
    /** -1: as many as k has, or q without k, which must be contiguous. */
    std::int32_t n_tokens = -1;
    input q, k, v;
    output out;
    std::int64_t q_offset = 0;
    span<float> lse, sink_mass;           /**< (n_tokens, n_heads) */
    span<float> partial_max, partial_sum; /**< (n_tokens, n_heads) */
    std::int32_t view_window = 0, view_sinks = 0;
    span<const std::int32_t> parents;  /**< (n_tokens) */
    span<float> key_mass, value_norms; /**< (n_kv_heads, key_stride), key_mass also (n_heads, key_stride) */
    std::int64_t key_stride = 0;
    bool nodes = false, mass_per_head = false;
};

/** sa_read_args. */
struct read_args {
    std::int32_t layer = 0, kv_head = 0, n_kv_heads = 0;
    sinkattn::key_form key_form = sinkattn::key_form::as_stored;
    span<const std::uint64_t> positions;
    output k, v;                     /**< (positions, heads read, dims) or empty */
    span<const std::int64_t> places; /**< (positions) with key_form::at_place */
    bool rows = false;               /**< positions are numbers of rows of the host */
};

/** sa_rows; k and v empty: the rows are taken away. */
struct rows {
    std::int32_t layer = 0, first = 0, n_rows = 0;
    std::int32_t kv_head = 0, n_kv_heads = 0; /**< whose rows are replaced; n_kv_heads 0: all from kv_head on */
    input k, v;                               /**< (n_rows, heads replaced, dims) */
    span<const std::int64_t> places;          /**< (n_rows, heads replaced) or empty */
    span<const float> biases;                 /**< (n_rows, heads replaced) or empty */
    bool at_distance = false;
};

namespace detail {

/** What sequences share: the shapes of their layers, and the memory that all of them lie in. */
class home {
public:
    home() = default;
    home(const home &) = delete;
    home &operator=(const home &) = delete;
    ~home() {
        sa_pool_destroy(pool);
#if defined(__cpp_lib_memory_resource)
        if (block) resource->deallocate(block, need.size, need.alignment);
#endif
    }
    const shape *layer(std::int32_t l) const noexcept {
        return l >= 0 && static_cast<std::size_t>(l) < shapes.size() ? &shapes[static_cast<std::size_t>(l)] : nullptr;
    }
    void remember(const config &c) {
        io = c.io_dtype == dtype::usual ? dtype::f32 : c.io_dtype;
        for (std::int32_t l = 0; l < c.n_layers; l++) {
            const config *own = c.layers.empty() ? nullptr : c.layers[static_cast<std::size_t>(l)];
            shapes.push_back(shape_of(own ? *own : c));
        }
    }

    sa_pool *pool = nullptr;
    std::vector<shape> shapes;
    dtype io = dtype::f32;
#if defined(__cpp_lib_memory_resource)
    std::pmr::memory_resource *resource = nullptr;
    void *block = nullptr;
    memory_need need{};
#endif
};

inline std::int64_t tokens_of(const tensor &t, std::int64_t heads, std::int64_t dim) noexcept {
    return !t.strided && t.size % (heads * dim) == 0 ? t.size / (heads * dim) : -1;
}

inline status wrong(const char *sentence) noexcept { return {SA_ERR_ARGUMENT, sentence}; }

inline bool fits_if_there(const sinkattn::tensor<const void> &t, std::int64_t n, std::int64_t heads,
                          std::int64_t dim) noexcept {
    return !t.parts().data || fits(t.parts(), n, heads, dim);
}

inline bool fits_if_there(const sinkattn::tensor<void> &t, std::int64_t n, std::int64_t heads,
                          std::int64_t dim) noexcept {
    return !t.parts().data || fits(t.parts(), n, heads, dim);
}

inline status check_tensors(const step &a, const shape &l, std::int64_t n) noexcept {
    if (!fits_if_there(a.k, n, l.n_kv_heads, l.head_dim))
        return wrong("k must have n_tokens * n_kv_heads * head_dim elements, or strides that stay in its memory");
    if (!fits_if_there(a.v, n, l.n_kv_heads, l.v_head_dim))
        return wrong("v must have n_tokens * n_kv_heads * v_head_dim elements, or strides that stay in its memory");
    if (!fits_if_there(a.q, n, l.n_heads, l.head_dim))
        return wrong("q must have n_tokens * n_heads * head_dim elements, or strides that stay in its memory");
    if (!fits_if_there(a.out, n, l.n_heads, l.v_head_dim))
        return wrong("out must have n_tokens * n_heads * v_head_dim elements, or strides that stay in its memory");
    return {};
}

inline bool has_heads(span<float> s, std::int64_t heads, std::int64_t key_stride) noexcept {
    return s.empty() || (key_stride >= 0 && key_stride <= static_cast<std::int64_t>(s.size()) / heads);
}

inline status check_arrays(const step &a, const shape &l, std::int64_t n) noexcept {
    const std::int64_t n_rows = n * l.n_heads;
    if (!has(a.lse, n_rows) || !has(a.sink_mass, n_rows))
        return wrong("lse and sink_mass must be empty or have n_tokens * n_heads elements");
    if (!has(a.partial_max, n_rows) || !has(a.partial_sum, n_rows))
        return wrong("partial_max and partial_sum must be empty or have n_tokens * n_heads elements");
    if (!has(a.parents, n)) return wrong("parents must be empty or have n_tokens elements");
    if (!has_heads(a.key_mass, a.mass_per_head ? l.n_heads : l.n_kv_heads, a.key_stride) ||
        !has_heads(a.value_norms, l.n_kv_heads, a.key_stride))
        return wrong("key_mass and value_norms must be empty or have key_stride elements for each head");
    return {};
}

/** A step as the library reads it. Of a layer that there is not, nothing but its number: the library then says so. */
inline status translate(const home &h, const step &a, sa_step_args &to) noexcept {
    to = sa_step_args{};
    to.struct_size = sizeof to;
    to.layer = a.layer;
    const shape *l = h.layer(a.layer);
    if (!l) return {};
    const bool appends = a.k.parts().data != nullptr;
    std::int64_t n = a.n_tokens;
    if (n < 0) n = tokens_of(appends ? a.k.parts() : a.q.parts(), appends ? l->n_kv_heads : l->n_heads, l->head_dim);
    if (n < 0 || n > INT32_MAX)
        return wrong("n_tokens must be given, since k, or q without k, is not a whole number of tokens");
    if (status s = check_tensors(a, *l, n); !s) return s;
    if (status s = check_arrays(a, *l, n); !s) return s;
    to.flags = flag(a.nodes, SA_STEP_NODES) | flag(a.mass_per_head, SA_STEP_MASS_PER_HEAD);
    to.n_tokens = static_cast<std::int32_t>(n);
    to.q = native_of(a.q.parts(), n, l->n_heads), to.out = native_of(a.out.parts(), n, l->n_heads);
    to.k = native_of(a.k.parts(), n, l->n_kv_heads), to.v = native_of(a.v.parts(), n, l->n_kv_heads);
    to.q_offset = a.q_offset;
    to.lse = pointer(a.lse), to.sink_mass = pointer(a.sink_mass);
    to.partial_max = pointer(a.partial_max), to.partial_sum = pointer(a.partial_sum);
    to.view_window = a.view_window, to.view_sinks = a.view_sinks, to.parents = pointer(a.parents);
    to.key_mass = pointer(a.key_mass), to.value_norms = pointer(a.value_norms), to.key_stride = a.key_stride;
    return {};
}

/** How many kv heads a call is about: n of them from `first` on; 0: all from that one on. */
inline status kv_heads_of(const shape &l, std::int32_t first, std::int32_t n, std::int64_t &heads) noexcept {
    heads = n ? n : l.n_kv_heads - first;
    if (first < 0 || heads < 1 || first + heads > l.n_kv_heads)
        return wrong("kv_head and n_kv_heads must be kv heads that the layer has");
    return {};
}

inline status translate(const home &h, const read_args &a, sa_read_args &to) noexcept {
    to = sa_read_args{};
    to.struct_size = sizeof to;
    to.layer = a.layer;
    const shape *l = h.layer(a.layer);
    if (!l) return {};
    const std::int64_t n = static_cast<std::int64_t>(a.positions.size());
    std::int64_t heads = 0;
    if (n > INT32_MAX) return wrong("positions has more than 2^31 - 1 elements");
    if (const status s = kv_heads_of(*l, a.kv_head, a.n_kv_heads, heads); !s) return s;
    if (!fits_if_there(a.k, n, heads, l->head_dim) || !fits_if_there(a.v, n, heads, l->v_head_dim))
        return wrong("k and v must have a row for each position and kv head that is read");
    if (!has(a.places, n)) return wrong("places must be empty or have one element for each position");
    to.n_tokens = static_cast<std::int32_t>(n), to.kv_head = a.kv_head, to.n_kv_heads = a.n_kv_heads;
    to.key_form = static_cast<std::int32_t>(a.key_form);
    to.flags = flag(a.rows, SA_READ_ROWS);
    to.positions = pointer(a.positions), to.places = pointer(a.places);
    to.k = native_of(a.k.parts(), n, heads), to.v = native_of(a.v.parts(), n, heads);
    return {};
}

inline status translate(const home &h, const rows &a, sa_rows &to) noexcept {
    to = sa_rows{};
    to.struct_size = sizeof to;
    to.layer = a.layer;
    const shape *l = h.layer(a.layer);
    if (!l) return {};
    std::int64_t heads = 0;
    if (const status s = kv_heads_of(*l, a.kv_head, a.n_kv_heads, heads); !s) return s;
    const std::int64_t pairs = a.n_rows * heads;
    if (!fits_if_there(a.k, a.n_rows, heads, l->head_dim) || !fits_if_there(a.v, a.n_rows, heads, l->v_head_dim))
        return wrong("k and v must have a row for each row and kv head that is replaced");
    if (!has(a.places, pairs) || !has(a.biases, pairs))
        return wrong("places and biases must be empty or have an element for each row and kv head that is replaced");
    to.flags = flag(a.at_distance, SA_ROWS_AT_DISTANCE);
    to.first = a.first, to.n_rows = a.n_rows;
    to.kv_head = a.kv_head, to.n_kv_heads = a.n_kv_heads;
    to.k = native_of(a.k.parts(), a.n_rows, heads), to.v = native_of(a.v.parts(), a.n_rows, heads);
    to.places = pointer(a.places), to.biases = pointer(a.biases);
    return {};
}

struct closer {
    void operator()(sa_cache *c) const noexcept { sa_cache_destroy(c); }
};

} // namespace detail

} // namespace sinkattn

#endif
