/* What the C++ header adds to the library: owners, lengths, types, errors. Ends with "N passed, N failed".
 *
 * SPDX-License-Identifier: MIT
 *
 * Compiled as C++17, as C++20 with std::span, and without exceptions and run-time type information.
 */
#include "sinkattn.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <thread>
#if __cplusplus >= 202002L
#include <span>
#endif

namespace {

int passed = 0, failed = 0;

void expect(bool good, const char *what, int line) {
    good ? passed++ : failed++;
    if (!good) std::printf("FAIL tests.cpp:%d: %s\n", line, what);
}

#define EXPECT(condition) expect(static_cast<bool>(condition), #condition, __LINE__)

constexpr std::int32_t heads = 4, kv_heads = 2, dim = 16, window = 40;
using floats = std::vector<float>;

/** The value of a call that must succeed here. */
template <class T> T value(sinkattn::result<T> r) {
    if (!r) std::printf("FAIL %s\n", r.sentence());
    if (!r) std::abort();
    return *std::move(r);
}

bool says(const sinkattn::status &s, sa_status code, std::string_view part) {
    const bool good = s.code() == code && std::string_view(s.sentence()).find(part) != std::string_view::npos;
    if (!good) std::printf("     %d: %s\n", static_cast<int>(s.code()), s.sentence());
    return good;
}

template <class T> bool says(const sinkattn::result<T> &r, sa_status code, std::string_view part) {
    return says(sinkattn::status(r.code(), r.sentence()), code, part);
}

sinkattn::config small() {
    sinkattn::config c;
    c.n_layers = 1;
    c.max_append = 16;
    c.rollback = 16;
    c.n_heads = heads;
    c.n_kv_heads = kv_heads;
    c.head_dim = dim;
    c.n_sink = 4;
    c.window = window;
    c.position = sinkattn::position::rope;
    return c;
}

/** Tokens that all tests can have anew. */
struct tokens {
    explicit tokens(int n, std::uint32_t seed = 1)
        : q(draw(n * heads * dim, seed)), k(draw(n * kv_heads * dim, seed + 1)), v(draw(n * kv_heads * dim, seed + 2)),
          out(q.size(), 9.0f) {}
    static floats draw(int n, std::uint32_t x) {
        floats f(static_cast<std::size_t>(n));
        x = x * 2654435761u + 12345u;
        for (float &one : f) {
            x ^= x << 13, x ^= x >> 17, x ^= x << 5;
            one = static_cast<float>(x >> 8) * 0x1p-23f - 1.0f;
        }
        return f;
    }
    floats q, k, v, out;
};

sinkattn::status feed(sinkattn::cache &cache, tokens &t) { return cache.append_attend(0, t.q, t.k, t.v, t.out); }

/** What the next token would get. */
floats next(sinkattn::cache &cache) {
    tokens t(1, 77);
    sinkattn::step probe;
    probe.q = t.q, probe.out = t.out;
    EXPECT(cache.run(probe));
    return t.out;
}

void test_config() {
    sinkattn::config c = small();
    EXPECT(sinkattn::check(c));
    c.head_dim = 0;
    std::int32_t layer = 5;
    EXPECT(says(sinkattn::check(c, &layer), SA_ERR_CONFIG, "head_dim"));
    EXPECT(says(sinkattn::cache::create(c), SA_ERR_CONFIG, "head_dim"));
    EXPECT(says(sinkattn::pool::create(c), SA_ERR_CONFIG, "head_dim"));

    c = small();
    c.n_sequences = 2;
    EXPECT(sinkattn::check(c) && says(sinkattn::cache::create(c), SA_ERR_CONFIG, "n_sequences"));

    c = small();
    const floats logits(heads, 0.5f), factors(3, 1.0f);
    const std::int32_t windows[] = {10, 0, 0};
    c.sink_logits = logits;
    EXPECT(sinkattn::check(c));
    c.rope_inv_freq = {};
    c.rope_long_factors = factors;
    EXPECT(says(sinkattn::check(c), SA_ERR_CONFIG, "rope_dims / 2"));
    c = small();
    c.head_windows = windows;
    EXPECT(says(sinkattn::check(c), SA_ERR_CONFIG, "n_kv_heads"));
    c.head_windows = sinkattn::span<const std::int32_t>(windows, 2);
    EXPECT(sinkattn::check(c));
}

void test_layers() {
    sinkattn::config whole = small(), local = small();
    local.head_dim = 8;
    local.policy = sinkattn::policy::window;
    local.n_sink = 0;
    const sinkattn::config *const layers[] = {&local, nullptr};
    whole.layers = layers;
    EXPECT(says(sinkattn::check(whole), SA_ERR_CONFIG, "n_layers"));
    whole.n_layers = 2;
    sinkattn::cache cache = value(sinkattn::cache::create(whole));
    floats k(kv_heads * 8), other(kv_heads * dim);
    EXPECT(cache.append(0, k, k));
    EXPECT(cache.append(1, other, other));
    EXPECT(says(cache.append(0, other, k), SA_ERR_ARGUMENT, "v must have"));
    EXPECT(value(cache.info(0)).tokens_seen == 1);
}

void test_lengths() {
    sinkattn::cache cache = value(sinkattn::cache::create(small()));
    tokens t(5);
    floats shorter(t.v.begin(), t.v.end() - 1), few(3);
    EXPECT(says(cache.append(0, t.k, shorter), SA_ERR_ARGUMENT, "v must have"));
    EXPECT(says(cache.append(0, few, few), SA_ERR_ARGUMENT, "n_tokens must be given"));
    EXPECT(says(cache.append_attend(0, t.q, t.k, t.v, few), SA_ERR_ARGUMENT, "out must have"));
    EXPECT(says(cache.append(1, t.k, t.v), SA_ERR_ARGUMENT, "layer must be"));
    EXPECT(value(cache.info(0)).tokens_seen == 0);
    EXPECT(feed(cache, t));

    sinkattn::step a;
    a.q = t.q, a.out = t.out, a.q_offset = -5, a.lse = few;
    EXPECT(says(cache.run(a), SA_ERR_ARGUMENT, "lse"));
    a.lse = {};
    const std::int64_t width = heads * dim;
    const std::int64_t bad[][3] = {{width, dim, 1},     {width, dim, -1},        {width + 1, dim, 0}, {-width, dim, 0},
                                   {INT64_MAX, dim, 0}, {INT64_MIN / 2, dim, 0}, {width, 2 * dim, 0}};
    a.n_tokens = 5;
    for (const auto &s : bad) {
        a.q = sinkattn::input(t.q).strides(s[0], s[1], s[2]);
        EXPECT(says(cache.run(a), SA_ERR_ARGUMENT, "q must have"));
    }
    a.q = sinkattn::input(t.q).strides(0, 0, 3);
    EXPECT(cache.run(a));
}

void test_strides() {
    const std::int32_t n = 6;
    sinkattn::cache plain = value(sinkattn::cache::create(small())), other = value(sinkattn::cache::create(small()));
    tokens t(n);
    EXPECT(feed(plain, t));
    /* The same with heads outermost for q, and k with its tokens from last to first. */
    floats q(t.q.size()), k(t.k.size()), out(t.out.size());
    for (int i = 0; i < n; i++)
        for (int h = 0; h < heads; h++)
            std::memcpy(&q[static_cast<std::size_t>((h * n + i) * dim)],
                        &t.q[static_cast<std::size_t>((i * heads + h) * dim)], dim * sizeof(float));
    const std::size_t token = kv_heads * dim;
    for (std::size_t i = 0; i < n; i++) std::memcpy(&k[(n - 1 - i) * token], &t.k[i * token], token * sizeof(float));
    sinkattn::step a;
    a.n_tokens = n;
    a.q = sinkattn::input(q).strides(dim, n * dim);
    a.k = sinkattn::input(k).strides(-kv_heads * dim, dim, (n - 1) * kv_heads * dim);
    a.v = t.v;
    a.out = sinkattn::output(out).strides(dim, n * dim);
    EXPECT(other.run(a));
    bool same = true;
    for (int i = 0; i < n; i++)
        for (int h = 0; h < heads; h++)
            same = same && !std::memcmp(&out[static_cast<std::size_t>((h * n + i) * dim)],
                                        &t.out[static_cast<std::size_t>((i * heads + h) * dim)], dim * sizeof(float));
    EXPECT(same);
}

void test_types() {
    sinkattn::cache cache = value(sinkattn::cache::create(small()));
    const std::vector<sinkattn::bf16> ones(kv_heads * dim, {0x3f80});
    const std::vector<sinkattn::f16> q(heads * dim, {0x3c00});
    std::vector<sinkattn::f16> out(heads * dim);
    EXPECT(cache.append_attend(0, q, ones, ones, out));
    EXPECT(out[0].bits == 0x3c00 && out[heads * dim - 1].bits == 0x3c00);
#if __cplusplus >= 202002L
    const floats k(kv_heads * dim);
    EXPECT(cache.append(0, std::span(k), std::span(k).first(k.size())));
#endif
    static_assert(!std::is_constructible_v<sinkattn::input, floats>, "a temporary would be gone");
    static_assert(!std::is_constructible_v<sinkattn::output, const floats &>, "what is const is not written");
    static_assert(!std::is_constructible_v<sinkattn::input, std::vector<int> &>, "no dtype");
    static_assert(!std::is_copy_constructible_v<sinkattn::cache> &&
                      std::is_nothrow_move_constructible_v<sinkattn::cache>,
                  "one owner");
}

void test_three_calls() {
    sinkattn::cache one = value(sinkattn::cache::create(small())), two = value(sinkattn::cache::create(small()));
    for (std::uint32_t i = 0; i < 20; i++) {
        tokens t(7, i);
        floats out(t.out.size());
        EXPECT(feed(one, t));
        EXPECT(two.append(0, t.k, t.v) && two.attend(0, t.q, out) && out == t.out);
    }
    EXPECT(value(one.info(0)).positions_held == 4 + window);
    tokens many(17);
    EXPECT(says(one.attend(0, many.q, many.out), SA_ERR_ARGUMENT, "max_append"));
}

void test_going_back() {
    sinkattn::cache cache = value(sinkattn::cache::create(small()));
    tokens first(30), more(10, 5);
    EXPECT(feed(cache, first));
    const floats before = next(cache);
    EXPECT(feed(cache, more) && cache.rollback(10) && next(cache) == before);
    EXPECT(says(cache.rollback(1000), SA_ERR_ARGUMENT, "tokens_seen"));
    EXPECT(cache.seek(100) && value(cache.info(0)).tokens_seen == 100);
    EXPECT(cache.restart(100, 0));
    EXPECT(cache.reset() && value(cache.info(0)).tokens_seen == 0);
}

void test_spans() {
    sinkattn::config c = small();
    c.n_spans = 8, c.n_pin = 32;
    sinkattn::cache cache = value(sinkattn::cache::create(c));
    tokens t(100);
    EXPECT(feed(cache, t));
    EXPECT(says(cache.pin(10, 12), SA_ERR_DEPTH, "no longer holds"));
    EXPECT(cache.pin(80, 85) && cache.remove(90, 92, sinkattn::gap::close) && cache.anchor(82, 84));
    std::vector<sa_span> spans = value(cache.spans(0));
    EXPECT(spans.size() > 2 && spans.back().end == 100 && spans.back().shift == 2);
    std::vector<std::uint64_t> held = value(cache.positions(0, 1));
    EXPECT(!held.empty() && held.back() == 99);
    EXPECT(cache.unpin(80, sinkattn::to_end));
    EXPECT(says(cache.positions(0, 2), SA_ERR_ARGUMENT, ""));
}

void test_read() {
    sinkattn::cache cache = value(sinkattn::cache::create(small()));
    tokens t(3);
    EXPECT(feed(cache, t));
    const std::uint64_t positions[] = {2, 0};
    floats k(2 * dim), v(2 * dim);
    sinkattn::read_args a;
    a.kv_head = 1, a.positions = positions, a.k = k, a.v = v, a.key_form = sinkattn::key_form::unrotated;
    EXPECT(cache.read(a));
    EXPECT(!std::memcmp(&v[0], &t.v[(2 * kv_heads + 1) * dim], dim * sizeof(float)));
    EXPECT(std::fabs(k[5] - t.k[(2 * kv_heads + 1) * dim + 5]) < 1e-6f);
    a.kv_head = 0;
    EXPECT(says(cache.read(a), SA_ERR_ARGUMENT, "k and v must have"));
    a.kv_head = INT32_MAX, a.n_kv_heads = INT32_MAX;
    EXPECT(says(cache.read(a), SA_ERR_ARGUMENT, "kv heads that the layer has"));
}

void test_pool() {
    sinkattn::config c = small();
    c.n_sequences = 2;
    std::optional<sinkattn::pool> pool = value(sinkattn::pool::create(c));
    std::optional<sinkattn::cache> a = value(pool->open());
    tokens t(50), more(3, 9), again(3, 9);
    EXPECT(feed(*a, t));
    sinkattn::cache fork = value(a->fork());
    EXPECT(says(pool->open(), SA_ERR_POOL, "all sequences of the pool are open"));
    EXPECT(says(a->fork(), SA_ERR_POOL, "all sequences of the pool are open"));
    EXPECT(value(pool->info()).n_open == 2);
    EXPECT(feed(fork, more) && feed(*a, again) && more.out == again.out);
    a.reset();
    EXPECT(value(pool->info()).n_open == 1);
    pool.reset(); /* the fork keeps the memory */
    EXPECT(feed(fork, more));
    sinkattn::cache moved = std::move(fork);
    EXPECT(value(moved.info(0)).tokens_seen == 56);
}

void test_batch() {
    sinkattn::config c = small();
    c.n_sequences = 3;
    sinkattn::pool pool = value(sinkattn::pool::create(c));
    sinkattn::cache a = value(pool.open()), b = value(pool.open());
    sinkattn::cache alone = value(sinkattn::cache::create(small()));
    tokens one(5, 1), two(9, 2), single(9, 2);
    sinkattn::batch_step steps[2] = {{&a, {}}, {&b, {}}};
    steps[0].what.q = one.q, steps[0].what.k = one.k, steps[0].what.v = one.v, steps[0].what.out = one.out;
    steps[1].what.q = two.q, steps[1].what.k = two.k, steps[1].what.v = two.v, steps[1].what.out = two.out;
    EXPECT(pool.batch(steps) && feed(alone, single) && two.out == single.out);
    std::int32_t which = 7;
    steps[1].what.out = one.out;
    EXPECT(says(pool.batch(steps, &which), SA_ERR_ARGUMENT, "out must have") && which == 1);
    steps[1] = steps[0];
    EXPECT(says(pool.batch(steps, &which), SA_ERR_ARGUMENT, "twice") && which == 1);
    steps[1].sequence = nullptr;
    EXPECT(says(pool.batch(steps, &which), SA_ERR_ARGUMENT, "of this pool") && which == -1);
    EXPECT(value(a.info(0)).tokens_seen == 5);
}

void test_room() {
    sinkattn::config c = small();
    c.n_sequences = 2;
    c.policy = sinkattn::policy::dense, c.n_sink = 0;
    sinkattn::pool pool = value(sinkattn::pool::create(c));
    sinkattn::cache a = value(pool.open()), b = value(pool.open());
    sinkattn::append_need needs[] = {{&a, window}, {&b, window}};
    EXPECT(pool.can_append(needs));
    needs[1].n_tokens++;
    std::int32_t which = 7;
    EXPECT(says(pool.can_append(needs, &which), SA_ERR_FULL, "dense") && which == 1);
    needs[1].sequence = nullptr;
    EXPECT(says(pool.can_append(needs, &which), SA_ERR_ARGUMENT, "pool") && which == -1);
}

void test_drafts() {
    sinkattn::config c = small();
    c.max_draft = 8;
    sinkattn::cache drafted = value(sinkattn::cache::create(c)), plain = value(sinkattn::cache::create(c));
    tokens prompt(20), t(3, 4), path(2, 4);
    EXPECT(feed(drafted, prompt) && feed(plain, prompt));
    const std::int32_t parents[] = {-1, -1, 0}, chosen[] = {0, 2};
    sinkattn::step a;
    a.q = t.q, a.k = t.k, a.v = t.v, a.out = t.out, a.parents = sinkattn::span<const std::int32_t>(parents, 2);
    EXPECT(says(drafted.run(a), SA_ERR_ARGUMENT, "parents"));
    a.parents = parents;
    EXPECT(drafted.run(a) && value(drafted.info(0)).n_draft == 3);
    EXPECT(says(drafted.rollback(1), SA_ERR_STATE, "draft is open"));
    EXPECT(drafted.accept(chosen) && value(drafted.info(0)).tokens_seen == 22);
    const auto take = [](const floats &from, std::size_t row, floats &to) {
        const std::size_t width = to.size() / 2;
        std::memcpy(&to[width], &from[row * width], width * sizeof(float));
    };
    path.q.assign(t.q.begin(), t.q.begin() + 2 * heads * dim), take(t.q, 2, path.q);
    path.k.assign(t.k.begin(), t.k.begin() + 2 * kv_heads * dim), take(t.k, 2, path.k);
    path.v.assign(t.v.begin(), t.v.begin() + 2 * kv_heads * dim), take(t.v, 2, path.v);
    EXPECT(feed(plain, path) && next(plain) == next(drafted));
}

void test_partial() {
    /* Even and odd tokens in two caches, without position: together they give what one cache gives. */
    sinkattn::config c = small();
    c.position = sinkattn::position::none;
    sinkattn::cache whole = value(sinkattn::cache::create(c)), a = value(sinkattn::cache::create(c)),
                    b = value(sinkattn::cache::create(c));
    for (std::uint32_t i = 0; i < 20; i++) {
        tokens t(1, i);
        EXPECT(whole.append(0, t.k, t.v) && (i % 2 ? a : b).append(0, t.k, t.v));
    }
    tokens t(1, 99);
    floats max[2] = {floats(heads), floats(heads)}, sum = max[0], sums = max[0], acc[2] = {t.out, t.out}, lse(heads);
    sinkattn::step s;
    s.q = t.q, s.out = acc[0], s.partial_max = max[0], s.partial_sum = sum;
    EXPECT(a.run(s));
    s.out = acc[1], s.partial_max = max[1], s.partial_sum = sums;
    EXPECT(b.run(s));
    const sinkattn::partial left{max[0], sum, acc[0]}, right{max[1], sums, acc[1]};
    EXPECT(sinkattn::merge(left, right, dim) && sinkattn::finish(left, dim, lse));
    EXPECT(says(sinkattn::merge(left, {max[1], sums, t.k}, dim), SA_ERR_ARGUMENT, "acc"));
    s = {};
    floats own(heads);
    s.q = t.q, s.out = t.out, s.lse = own;
    EXPECT(whole.run(s));
    float worst = 0;
    for (std::size_t i = 0; i < acc[0].size(); i++) worst = std::fmax(worst, std::fabs(acc[0][i] - t.out[i]));
    EXPECT(worst < 1e-6f && std::fabs(lse[0] - own[0]) < 1e-6f);
}

void test_mass() {
    sinkattn::cache cache = value(sinkattn::cache::create(small()));
    tokens t(16);
    EXPECT(feed(cache, t));
    const auto stride = static_cast<std::int64_t>(value(cache.info(0)).keys_most);
    floats mass(static_cast<std::size_t>(stride * heads)), norms(static_cast<std::size_t>(stride * kv_heads));
    sinkattn::step s;
    s.q = t.q, s.out = t.out, s.q_offset = -16, s.key_stride = stride, s.mass_per_head = true;
    s.key_mass = norms;
    EXPECT(says(cache.run(s), SA_ERR_ARGUMENT, "key_stride"));
    s.key_mass = mass, s.value_norms = norms;
    EXPECT(cache.run(s));
    float sum = 0;
    for (std::int64_t i = 0; i < stride; i++) sum += mass[static_cast<std::size_t>(i)];
    EXPECT(std::fabs(sum - 16) < 1e-3f && norms[0] > 0);
}

void test_rows() {
    sinkattn::config c = small();
    c.n_rows = 2, c.n_sink_kv = 1;
    sinkattn::cache cache = value(sinkattn::cache::create(c));
    tokens t(1), two(2, 3);
    EXPECT(says(feed(cache, t), SA_ERR_STATE, "learned sink rows are missing"));
    EXPECT(says(cache.set_sink_kv(0, two.k, t.v), SA_ERR_ARGUMENT, "n_sink_kv"));
    EXPECT(cache.set_sink_kv(0, t.k, t.v) && feed(cache, t));
    const floats before = next(cache);
    sinkattn::rows r;
    const floats biases(4, 1.0f);
    r.n_rows = 2, r.k = two.k, r.v = two.v, r.biases = biases;
    r.n_rows = 1;
    EXPECT(says(cache.set_rows(r), SA_ERR_ARGUMENT, "k and v must have"));
    r.n_rows = 2;
    EXPECT(cache.set_rows(r) && next(cache) != before && value(cache.info(0)).rows_used == 2);
    r = {};
    r.n_rows = 2;
    EXPECT(cache.set_rows(r) && next(cache) == before);
}

void test_snapshots() {
    sinkattn::cache a = value(sinkattn::cache::create(small())), b = value(sinkattn::cache::create(small()));
    tokens t(60);
    EXPECT(feed(a, t));
    std::vector<std::byte> snapshot = value(a.save());
    EXPECT(snapshot.size() == value(a.save_size()));
    EXPECT(b.load(snapshot) && next(a) == next(b));
    snapshot[200] ^= std::byte{1};
    EXPECT(says(b.load(snapshot), SA_ERR_FORMAT, "damaged") && next(a) == next(b));
    EXPECT(says(a.save(sinkattn::span<std::byte>(snapshot.data(), 100)), SA_ERR_BUFFER, "sa_cache_save_size"));
    EXPECT(says(a.save(1000), SA_ERR_ARGUMENT, "from"));
}

void test_memory() {
    sinkattn::memory_need need = value(sinkattn::cache::size(small()));
    EXPECT(need.size > 1000 && need.alignment >= 16);
    std::vector<std::byte> room(need.size + need.alignment);
    void *at = room.data();
    std::size_t left = room.size();
    auto *block = static_cast<std::byte *>(std::align(need.alignment, need.size, at, left));
    tokens t(3), other(3);
    {
        sinkattn::cache cache = value(sinkattn::cache::init({block, need.size}, small()));
        sinkattn::cache usual = value(sinkattn::cache::create(small()));
        EXPECT(feed(cache, t) && feed(usual, other) && t.out == other.out);
    }
    EXPECT(says(sinkattn::cache::init({block, need.size - 1}, small()), SA_ERR_BUFFER, "small"));
#if defined(__cpp_lib_memory_resource)
    struct counting : std::pmr::memory_resource {
        int blocks = 0, calls = 0;
        void *do_allocate(std::size_t size, std::size_t alignment) override {
            blocks++, calls++;
            return std::pmr::new_delete_resource()->allocate(size, alignment);
        }
        void do_deallocate(void *p, std::size_t size, std::size_t alignment) override {
            blocks--;
            std::pmr::new_delete_resource()->deallocate(p, size, alignment);
        }
        bool do_is_equal(const std::pmr::memory_resource &o) const noexcept override { return this == &o; }
    } resource;
    {
        sinkattn::cache cache = value(sinkattn::cache::create(small(), resource));
        sinkattn::pool pool = value(sinkattn::pool::create(small(), resource));
        sinkattn::cache sequence = value(pool.open());
        EXPECT(feed(cache, t) && feed(sequence, other) && t.out == other.out);
        EXPECT(resource.blocks == 2);
    }
    EXPECT(resource.blocks == 0 && resource.calls == 2);
#if defined(__cpp_exceptions)
    EXPECT(says(sinkattn::cache::create(small(), *std::pmr::null_memory_resource()), SA_ERR_MEMORY, "no memory"));
#endif
#endif
}

/** Runs each piece in a thread of its own. */
struct crowd {
    int tasks = 0;
    template <class Task> void operator()(std::int32_t n, Task task) {
        std::vector<std::thread> threads;
        for (std::int32_t i = 1; i < n; i++) threads.emplace_back([task, i] { task(i); });
        task(0);
        for (std::thread &t : threads) t.join();
        tasks += n;
    }
};

void test_threads() {
    crowd executor;
    sinkattn::config c = small(), shared = small();
    c.n_threads = shared.n_threads = 3;
    c.run_on(executor);
    shared.cooperative = true;
    sinkattn::cache by_pool = value(sinkattn::cache::create(c)), together = value(sinkattn::cache::create(shared)),
                    alone = value(sinkattn::cache::create(small()));
    tokens a(16), b(16), d(16);
    EXPECT(feed(alone, a) && feed(by_pool, b) && b.out == a.out && executor.tasks > 0);
    sinkattn::step s;
    s.q = d.q, s.k = d.k, s.v = d.v, s.out = d.out;
    const std::int32_t phases = value(together.begin(s));
    for (std::int32_t p = 0; p < phases; p++) executor(3, [&](std::int32_t i) { (void)together.part(p, i, 3).code(); });
    EXPECT(phases > 0 && d.out == a.out);
    EXPECT(says(together.part(0, 3, 3), SA_ERR_ARGUMENT, ""));
}

void test_throwing() {
#if defined(__cpp_exceptions)
    sinkattn::config c = small();
    c.window = 0;
    sa_status code = 0;
    try {
        sinkattn::or_throw(sinkattn::cache::create(c));
    } catch (const sinkattn::exception &e) {
        code = e.code();
        EXPECT(std::string_view(e.what()).find("window") != std::string_view::npos);
    }
    EXPECT(code == SA_ERR_CONFIG);
    sinkattn::cache cache = sinkattn::or_throw(sinkattn::cache::create(small()));
    EXPECT(cache.native() != nullptr);
#endif
}

} // namespace

int main() {
    static_assert(sizeof(sa_config) == (sizeof(void *) == 8 ? 304 : 264), "a new field: config needs it too");
    static_assert(sizeof(sa_step_args) == (sizeof(void *) == 8 ? 224 : sizeof(sa_step_args)), "step needs it too");
    test_config(), test_layers(), test_lengths(), test_strides(), test_types(), test_three_calls();
    test_going_back(), test_spans(), test_read(), test_pool(), test_batch(), test_room(), test_drafts(), test_partial();
    test_mass(), test_rows(), test_snapshots(), test_memory(), test_threads(), test_throwing();
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
