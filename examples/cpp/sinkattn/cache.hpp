/* A sequence: a cache of its own, or one of a pool.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SINKATTN_CACHE_HPP
#define SINKATTN_CACHE_HPP

#include "step.hpp"
#include <memory>
#include <utility>
#include <vector>

namespace sinkattn {

/** A sequence: a cache of its own, or one of a pool. Moves, and closes when it ends; a copy is a fork(). */
class cache {
public:
    /** Makes a cache of its own, in memory of the C library's malloc. */
    static result<cache> create(const config &c) {
        return make(c, [](detail::home &, const sa_config &native, sa_cache **out) {
            return sa_cache_create(&native, nullptr, out);
        });
    }
#if defined(__cpp_lib_memory_resource)
    /** Makes a cache in one allocation from a resource, which must outlive it. */
    static result<cache> create(const config &c, std::pmr::memory_resource &resource) {
        return make(c, [&](detail::home &h, const sa_config &native, sa_cache **out) {
            const sa_status code = take(h, resource, native);
            return code ? code : sa_cache_init(h.block, h.need.size, &native, out);
        });
    }
#endif
    /** What init needs. */
    static result<memory_need> size(const config &c) { return need_of(c); }
    /** Makes a cache in a block of the host, which must outlive it. */
    static result<cache> init(span<std::byte> block, const config &c) {
        return make(c, [&](detail::home &, const sa_config &native, sa_cache **out) {
            return sa_cache_init(block.data(), block.size(), &native, out);
        });
    }

    /** The three calls. Tensors are contiguous, and say how many tokens there are. */
    status append(std::int32_t layer, input k, input v) noexcept {
        step a;
        a.layer = layer, a.k = k, a.v = v;
        return run(a);
    }
    status attend(std::int32_t layer, input q, output out) noexcept {
        step a;
        a.layer = layer, a.q = q, a.out = out;
        if (const detail::shape *l = home_->layer(layer))
            a.q_offset = -detail::tokens_of(q.parts(), l->n_heads, l->head_dim);
        return run(a);
    }
    status append_attend(std::int32_t layer, input q, input k, input v, output out) noexcept {
        step a;
        a.layer = layer, a.q = q, a.k = k, a.v = v, a.out = out;
        return run(a);
    }
    /** The general step. */
    status run(const step &a) noexcept {
        sa_step_args native;
        if (status s = detail::translate(*home_, a, native); !s) return s;
        return said(sa_step(native_.get(), &native));
    }

    status reset(std::int32_t layer = all_layers) noexcept { return said(sa_cache_reset(native_.get(), layer)); }
    status rollback(std::int64_t n_tokens, std::int32_t layer = all_layers) noexcept {
        return said(sa_cache_rollback(native_.get(), layer, n_tokens));
    }
    status seek(std::uint64_t to, std::int32_t layer = all_layers) noexcept {
        return said(sa_cache_seek(native_.get(), layer, to));
    }
    status restart(std::uint64_t at, std::int32_t layer = all_layers) noexcept {
        return said(sa_cache_restart(native_.get(), layer, at));
    }
    status remove(std::uint64_t from, std::uint64_t end, gap g, std::int32_t layer = all_layers) noexcept {
        return said(sa_cache_remove(native_.get(), layer, from, end, static_cast<std::int32_t>(g)));
    }
    status pin(std::uint64_t from, std::uint64_t end, std::int32_t layer = all_layers) noexcept {
        return said(sa_cache_pin(native_.get(), layer, from, end));
    }
    status unpin(std::uint64_t from, std::uint64_t end, std::int32_t layer = all_layers) noexcept {
        return said(sa_cache_unpin(native_.get(), layer, from, end));
    }
    status anchor(std::uint64_t from, std::uint64_t end, std::int32_t layer = all_layers) noexcept {
        return said(sa_cache_anchor(native_.get(), layer, from, end));
    }
    status accept(span<const std::int32_t> path, std::int32_t layer = all_layers) noexcept {
        const std::size_t n = path.size() < INT32_MAX ? path.size() : INT32_MAX;
        return said(sa_draft_accept(native_.get(), layer, static_cast<std::int32_t>(n), detail::pointer(path)));
    }

    /** Another sequence of the pool that is the equal of this one; no key or value is copied. */
    result<cache> fork() {
        sa_cache *to = nullptr;
        if (status s = said(sa_cache_fork(native_.get(), &to)); !s) return s;
        return cache(home_, to);
    }

    result<sa_cache_facts> info(std::int32_t layer) const noexcept {
        sa_cache_facts facts{};
        facts.struct_size = sizeof facts;
        if (sa_status code = sa_cache_info(native_.get(), layer, &facts)) return quiet(code);
        return facts;
    }
    result<std::vector<sa_span>> spans(std::int32_t layer, std::int32_t kv_head = 0) const {
        return listed<sa_span, std::int32_t>(sa_cache_spans, layer, kv_head);
    }
    result<std::vector<std::uint64_t>> positions(std::int32_t layer, std::int32_t kv_head = 0) const {
        return listed<std::uint64_t, std::int64_t>(sa_cache_positions, layer, kv_head);
    }
    status read(const read_args &a) noexcept {
        sa_read_args native;
        if (status s = detail::translate(*home_, a, native); !s) return s;
        return said(sa_cache_read(native_.get(), &native));
    }

    /** (n_sink_kv, n_kv_heads, dims), contiguous, of config.io_dtype. */
    status set_sink_kv(std::int32_t layer, input k, input v) noexcept {
        const detail::shape *l = home_->layer(layer);
        if (l && (!is_usual(k, l->n_sink_kv, l->n_kv_heads, l->head_dim) ||
                  !is_usual(v, l->n_sink_kv, l->n_kv_heads, l->v_head_dim)))
            return detail::wrong("k and v must be contiguous, of config.io_dtype, with n_sink_kv * n_kv_heads rows");
        return said(sa_set_sink_kv(native_.get(), layer, k.parts().data, v.parts().data));
    }
    status set_rows(const rows &a) noexcept {
        sa_rows native;
        if (status s = detail::translate(*home_, a, native); !s) return s;
        return said(sa_set_rows(native_.get(), &native));
    }

    result<std::size_t> save_size(std::uint64_t from = 0) noexcept {
        std::size_t size = 0;
        if (status s = said(sa_cache_save_size(native_.get(), from, &size)); !s) return s;
        return size;
    }
    /** Writes a snapshot into `to`, and says how long it is. */
    result<std::size_t> save(span<std::byte> to, std::uint64_t from = 0) noexcept {
        std::size_t written = 0;
        if (status s = said(sa_cache_save(native_.get(), from, to.data(), to.size(), &written)); !s) return s;
        return written;
    }
    result<std::vector<std::byte>> save(std::uint64_t from = 0) {
        result<std::size_t> size = save_size(from);
        if (!size) return status(size.code(), size.sentence());
        std::vector<std::byte> to(*size);
        if (result<std::size_t> written = save(span<std::byte>(to), from); !written)
            return status(written.code(), written.sentence());
        return to;
    }
    status load(span<const std::byte> snapshot) noexcept {
        return said(sa_cache_load(native_.get(), snapshot.data(), snapshot.size()));
    }

    /** A step that the host's own threads process; gives the number of phases. See sa_step_begin: the tensors must stay
     * until the last part has returned. */
    result<std::int32_t> begin(const step &a) noexcept {
        sa_step_args native;
        std::int32_t phases = 0;
        if (status s = detail::translate(*home_, a, native); !s) return s;
        if (status s = said(sa_step_begin(native_.get(), &native, &phases)); !s) return s;
        return phases;
    }
    /** Several threads may be in here, as sa_step_part says. */
    status part(std::int32_t phase, std::int32_t index, std::int32_t count) noexcept {
        return quiet(sa_step_part(native_.get(), phase, index, count));
    }

    /** For calls of sinkattn.h itself. */
    sa_cache *native() const noexcept { return native_.get(); }

private:
    friend class pool;
    cache(std::shared_ptr<const detail::home> h, sa_cache *native) noexcept : home_(std::move(h)), native_(native) {}

    template <class Make> static result<cache> make(const config &c, Make &&how) {
        detail::native_config n;
        if (status s = detail::translate(c, n); !s) return s;
        if (c.n_sequences > 1)
            return status(SA_ERR_CONFIG, "n_sequences must be 0 or 1 for a cache of its own: more are a pool's");
        auto h = std::make_shared<detail::home>();
        sa_cache *made = nullptr;
        if (sa_status code = how(*h, n.whole, &made)) return detail::creation(code, n.whole);
        cache whole(h, made);
        h->remember(c);
        return whole;
    }
    static result<memory_need> need_of(const config &c) {
        detail::native_config n;
        memory_need need{};
        if (status s = detail::translate(c, n); !s) return s;
        if (sa_status code = sa_pool_size(&n.whole, &need.size, &need.alignment))
            return detail::creation(code, n.whole);
        return need;
    }
#if defined(__cpp_lib_memory_resource)
    static sa_status take(detail::home &h, std::pmr::memory_resource &resource, const sa_config &native) noexcept {
        if (sa_status code = sa_pool_size(&native, &h.need.size, &h.need.alignment)) return code;
        h.resource = &resource;
#if defined(__cpp_exceptions)
        try {
            h.block = resource.allocate(h.need.size, h.need.alignment);
        } catch (...) {
            return SA_ERR_MEMORY;
        }
#else
        h.block = resource.allocate(h.need.size, h.need.alignment);
#endif
        return h.block ? SA_SUCCESS : SA_ERR_MEMORY;
    }
#endif
    /** The status of a call that leaves its reason in the cache. */
    status said(sa_status code) const noexcept { return code ? status(code, sa_cache_error(native_.get())) : status(); }
    /** Of one that does not. */
    static status quiet(sa_status code) noexcept { return code ? status(code, sa_status_string(code)) : status(); }

    bool is_usual(const input &t, std::int64_t n, std::int64_t heads, std::int64_t dim) const noexcept {
        return t.parts().type == home_->io && !t.parts().strided && detail::fits(t.parts(), n, heads, dim);
    }
    template <class T, class Count, class Call>
    result<std::vector<T>> listed(Call call, std::int32_t layer, std::int32_t kv_head) const {
        Count n = 0;
        if (sa_status code = call(native_.get(), layer, kv_head, 0, nullptr, &n)) return quiet(code);
        std::vector<T> list(static_cast<std::size_t>(n));
        if (n == 0) return list;
        if (sa_status code = call(native_.get(), layer, kv_head, n, list.data(), &n)) return quiet(code);
        return list;
    }

    std::shared_ptr<const detail::home> home_; /* ends after native_ */
    std::unique_ptr<sa_cache, detail::closer> native_;
};

} // namespace sinkattn

#endif
