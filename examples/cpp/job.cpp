/* The job of examples/job.c in C++17: 5,000 tokens, a rollback, a fork, a snapshot, a refusal, and the same digest.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sinkattn.hpp"

#include <array>
#include <cstdio>
#include <cstring>

namespace {

constexpr std::int32_t heads = 8, kv_heads = 2, head_dim = 64;

/** Draws the tokens, and takes the digest of what comes out. */
class stream {
public:
    void feed(sinkattn::cache &cache, int n_tokens) {
        for (int t = 0; t < n_tokens; t++) {
            draw(q_), draw(k_), draw(v_);
            sinkattn::or_throw(cache.append_attend(0, q_, k_, v_, out_));
            take(out_);
        }
    }
    /** A layer that there is not. */
    sinkattn::status misuse(sinkattn::cache &cache) { return cache.append(7, k_, v_); }
    std::uint64_t digest() const { return digest_; }

private:
    template <std::size_t N> void draw(std::array<float, N> &x) {
        for (float &f : x) {
            random_ ^= random_ << 13;
            random_ ^= random_ >> 17;
            random_ ^= random_ << 5;
            f = static_cast<float>(random_ >> 8) * 0x1p-23f - 1.0f;
        }
    }
    template <std::size_t N> void take(const std::array<float, N> &x) {
        for (float f : x) {
            std::uint32_t bits;
            std::memcpy(&bits, &f, sizeof bits);
            for (int b = 0; b < 32; b += 8) digest_ = (digest_ ^ (bits >> b & 255)) * 0x100000001b3u;
        }
    }

    std::uint32_t random_ = 1;
    std::uint64_t digest_ = 0xcbf29ce484222325u;
    std::array<float, heads * head_dim> q_{}, out_{};
    std::array<float, kv_heads * head_dim> k_{}, v_{};
};

void run() {
    sinkattn::config config;
    config.n_layers = 1;
    config.max_append = 1;
    config.rollback = 32;
    config.n_heads = heads;
    config.n_kv_heads = kv_heads;
    config.head_dim = head_dim;
    config.n_sink = 4;
    config.window = 252;
    config.k_dtype = config.v_dtype = sinkattn::dtype::f16;
    config.position = sinkattn::position::rope;
    config.n_sequences = 2;

    stream tokens;
    sinkattn::pool pool = sinkattn::or_throw(sinkattn::pool::create(config));
    std::optional<sinkattn::cache> a = sinkattn::or_throw(pool.open());
    tokens.feed(*a, 3000);
    sinkattn::or_throw(a->rollback(20));
    tokens.feed(*a, 20);
    {
        sinkattn::cache fork = sinkattn::or_throw(a->fork());
        tokens.feed(fork, 500); // a does not see these
    }
    tokens.feed(*a, 1000);
    sinkattn::cache b = sinkattn::or_throw(pool.open());
    const std::vector<std::byte> snapshot = sinkattn::or_throw(a->save());
    sinkattn::or_throw(b.load(snapshot));
    a.reset(); // closes it
    tokens.feed(b, 480);
    std::printf("refused: %s\n", tokens.misuse(b).sentence());
    std::printf("digest %016llx\n", static_cast<unsigned long long>(tokens.digest()));
}

} // namespace

int main() {
    try {
        run();
        return 0;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "job: %s\n", e.what());
        return 1;
    }
}
