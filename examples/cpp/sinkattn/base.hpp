/* Spans, and what a call came to.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SINKATTN_BASE_HPP
#define SINKATTN_BASE_HPP

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>
#include <sinkattn.h>
#if defined(__cpp_exceptions)
#include <stdexcept>
#endif
#if __cplusplus >= 202002L
#include <ranges>
#endif

namespace sinkattn {

template <class T> class span;

namespace detail {

/** Whether elements stay when an object of type C&& has gone: it is no temporary, or does not own them. */
template <class C> struct lent : std::is_lvalue_reference<C> {};
template <class T> struct lent<span<T>> : std::true_type {};
#if defined(__cpp_lib_ranges)
template <class C>
requires(!std::is_reference_v<C> && std::ranges::enable_borrowed_range<C>) struct lent<C> : std::true_type {};
#endif

template <class C> using data_of = decltype(std::data(std::declval<C &>()));
template <class From, class To>
constexpr bool same_elements =
    std::is_convertible_v<std::remove_pointer_t<From> (*)[], std::remove_pointer_t<To> (*)[]>;

} // namespace detail

/** A pointer and a length. Made from any container, array or std::span, but not from a temporary that owns its
 * elements. */
template <class T> class span {
public:
    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <class C, class = std::enable_if_t<detail::lent<C>::value && !std::is_same_v<std::decay_t<C>, span> &&
                                                detail::same_elements<detail::data_of<C>, T *>>>
    constexpr span(C &&container) noexcept : span(std::data(container), std::size(container)) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }
    constexpr T &operator[](std::size_t i) const noexcept { return data_[i]; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

/** What a call came to: true is success. */
class [[nodiscard]] status {
public:
    constexpr status() noexcept = default;
    constexpr status(sa_status code, const char *sentence) noexcept : code_(code), sentence_(sentence) {}
    constexpr explicit operator bool() const noexcept { return code_ == SA_SUCCESS; }
    /** SA_SUCCESS or SA_ERR_*. */
    constexpr sa_status code() const noexcept { return code_; }
    /** One English sentence that says which argument is wrong and why; "" on success. A constant. */
    constexpr const char *sentence() const noexcept { return sentence_; }

private:
    sa_status code_ = SA_SUCCESS;
    const char *sentence_ = "";
};

/** A value, or the status that says why there is none. */
template <class T> class [[nodiscard]] result {
public:
    result(T value) : value_(std::move(value)) {}
    result(status error) : error_(error) {}
    explicit operator bool() const noexcept { return value_.has_value(); }
    T &operator*() &noexcept { return *value_; }
    T &&operator*() &&noexcept { return *std::move(value_); }
    T *operator->() noexcept { return &*value_; }
    sa_status code() const noexcept { return error_.code(); }
    const char *sentence() const noexcept { return error_.sentence(); }

private:
    std::optional<T> value_;
    status error_;
};

#if defined(__cpp_exceptions)
/** What or_throw throws: what() is the sentence. */
class exception : public std::runtime_error {
public:
    exception(sa_status code, const char *sentence) : std::runtime_error(sentence), code_(code) {}
    sa_status code() const noexcept { return code_; }

private:
    sa_status code_;
};

inline void or_throw(const status &s) {
    if (!s) throw exception(s.code(), s.sentence());
}

template <class T> T or_throw(result<T> r) {
    if (!r) throw exception(r.code(), r.sentence());
    return *std::move(r);
}
#endif

} // namespace sinkattn

#endif
