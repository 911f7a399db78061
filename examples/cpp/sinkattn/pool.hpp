/* Many sequences of one model, and attention over several caches.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SINKATTN_POOL_HPP
#define SINKATTN_POOL_HPP

#include "cache.hpp"
#include <memory>
#include <utility>
#include <vector>

namespace sinkattn {

/** A step of one sequence in a batch. */
struct batch_step {
    cache *sequence;
    step what;
};

/** Tokens that a sequence is to append. */
struct append_need {
    const cache *sequence;
    std::int32_t n_tokens;
};

/** Many sequences of one model. Its memory lives until the last of its sequences has ended too. */
class pool {
public:
    static result<pool> create(const config &c) {
        return make(c, [](detail::home &, const sa_config &native, sa_pool **out) {
            return sa_pool_create(&native, nullptr, out);
        });
    }
#if defined(__cpp_lib_memory_resource)
    static result<pool> create(const config &c, std::pmr::memory_resource &resource) {
        return make(c, [&](detail::home &h, const sa_config &native, sa_pool **out) {
            const sa_status code = cache::take(h, resource, native);
            return code ? code : sa_pool_init(h.block, h.need.size, &native, out);
        });
    }
#endif
    static result<memory_need> size(const config &c) { return cache::need_of(c); }
    static result<pool> init(span<std::byte> block, const config &c) {
        return make(c, [&](detail::home &, const sa_config &native, sa_pool **out) {
            return sa_pool_init(block.data(), block.size(), &native, out);
        });
    }

    /** Opens an empty sequence. */
    result<cache> open() noexcept {
        sa_cache *to = nullptr;
        if (status s = said(sa_pool_open(home_->pool, &to)); !s) return s;
        return cache(home_, to);
    }
    /** One step for each of several sequences; of a refusal, *failed says which step (-1: the batch itself). */
    status batch(span<const batch_step> steps, std::int32_t *failed = nullptr) {
        std::int32_t none = -1, *which = failed ? failed : &none;
        arguments a;
        if (status s = translate(steps, a, which); !s) return s;
        return said(sa_batch(home_->pool, a.n, a.caches.data(), a.pointers.data(), which));
    }
    /** Whether all of them could append so many tokens now, in every layer; if not, *failed says which could not. */
    status can_append(span<const append_need> needs, std::int32_t *failed = nullptr) {
        std::int32_t none = -1, *which = failed ? failed : &none;
        std::vector<sa_cache *> caches;
        std::vector<std::int32_t> tokens;
        *which = -1;
        for (const append_need &need : needs) {
            caches.push_back(need.sequence ? need.sequence->native() : nullptr);
            tokens.push_back(need.n_tokens);
        }
        const std::size_t n = needs.size() < INT32_MAX ? needs.size() : INT32_MAX;
        return said(sa_pool_can_append(home_->pool, static_cast<std::int32_t>(n), caches.data(), tokens.data(), which));
    }
    /** A batch that the host's own threads process; gives the number of phases. */
    result<std::int32_t> begin(span<const batch_step> steps, std::int32_t *failed = nullptr) {
        std::int32_t none = -1, *which = failed ? failed : &none, phases = 0;
        arguments a;
        if (status s = translate(steps, a, which); !s) return s;
        if (status s = said(sa_batch_begin(home_->pool, a.n, a.caches.data(), a.pointers.data(), &phases, which)); !s)
            return s;
        return phases;
    }
    status part(std::int32_t phase, std::int32_t index, std::int32_t count) noexcept {
        return cache::quiet(sa_batch_part(home_->pool, phase, index, count));
    }
    result<sa_pool_facts> info(std::int32_t layer = 0, std::int32_t kv_head = 0) const noexcept {
        sa_pool_facts facts{};
        facts.struct_size = sizeof facts;
        if (sa_status code = sa_pool_info(home_->pool, layer, kv_head, &facts)) return cache::quiet(code);
        return facts;
    }
    sa_pool *native() const noexcept { return home_->pool; }

private:
    explicit pool(std::shared_ptr<const detail::home> h) noexcept : home_(std::move(h)) {}

    struct arguments {
        std::int32_t n = 0;
        std::vector<sa_cache *> caches;
        std::vector<sa_step_args> args;
        std::vector<const sa_step_args *> pointers;
    };
    status translate(span<const batch_step> steps, arguments &to, std::int32_t *failed) const {
        *failed = -1;
        if (steps.size() > INT32_MAX) return detail::wrong("the batch has more than 2^31 - 1 steps");
        to.n = static_cast<std::int32_t>(steps.size());
        to.args.resize(steps.size());
        for (std::size_t i = 0; i < steps.size(); i++) {
            if (status s = detail::translate(*home_, steps[i].what, to.args[i]); !s) {
                *failed = static_cast<std::int32_t>(i);
                return s;
            }
            to.caches.push_back(steps[i].sequence ? steps[i].sequence->native() : nullptr);
            to.pointers.push_back(&to.args[i]);
        }
        return {};
    }
    template <class Make> static result<pool> make(const config &c, Make &&how) {
        detail::native_config n;
        if (status s = detail::translate(c, n); !s) return s;
        auto h = std::make_shared<detail::home>();
        if (sa_status code = how(*h, n.whole, &h->pool)) return detail::creation(code, n.whole);
        h->remember(c);
        return pool(std::move(h));
    }
    status said(sa_status code) const noexcept { return code ? status(code, sa_pool_error(home_->pool)) : status(); }

    std::shared_ptr<const detail::home> home_;
};

/** The state of a softmax over some keys: max and sum of (rows), acc of (rows, v_head_dim). */
struct partial {
    span<float> max, sum, acc;
};

namespace detail {
inline bool is_partial(const partial &p, std::int32_t v_head_dim) noexcept {
    return v_head_dim >= 1 && p.sum.size() == p.max.size() &&
           p.acc.size() / static_cast<std::size_t>(v_head_dim) == p.max.size() &&
           p.acc.size() % static_cast<std::size_t>(v_head_dim) == 0;
}
constexpr const char *partial_lengths = "max and sum must have one element a row, acc v_head_dim, of equally many rows";
} // namespace detail

/** a becomes the state over both sets of keys. */
inline status merge(const partial &a, const partial &b, std::int32_t v_head_dim) noexcept {
    if (!detail::is_partial(a, v_head_dim) || !detail::is_partial(b, v_head_dim) || a.max.size() != b.max.size())
        return detail::wrong(detail::partial_lengths);
    const sa_status code = sa_merge_partial(static_cast<std::int64_t>(a.max.size()), v_head_dim, a.max.data(),
                                            a.sum.data(), a.acc.data(), b.max.data(), b.sum.data(), b.acc.data());
    return code ? status(code, sa_status_string(code)) : status();
}

/** acc becomes the result; lse may be empty. */
inline status finish(const partial &a, std::int32_t v_head_dim, span<float> lse = {}) noexcept {
    if (!detail::is_partial(a, v_head_dim) || !detail::has(lse, static_cast<std::int64_t>(a.max.size())))
        return detail::wrong(detail::partial_lengths);
    const sa_status code = sa_finish_partial(static_cast<std::int64_t>(a.max.size()), v_head_dim, a.max.data(),
                                             a.sum.data(), a.acc.data(), detail::pointer(lse));
    return code ? status(code, sa_status_string(code)) : status();
}

} // namespace sinkattn

#endif
