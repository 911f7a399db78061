/*
 * Cases that once went wrong and that random configurations hardly meet: calls that begin among the
 * sinks, logits beyond 2^31, layers with more rows than an int counts.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "compare.h"
#include "support.h"
#include "test.h"

static sa_config edge_config(void) {
    sa_config c;
    memset(&c, 0, sizeof c);
    c.struct_size = sizeof c;
    c.n_layers = 1;
    c.n_heads = 1;
    c.head_dim = 2;
    c.n_sink = 4;
    c.window = 4;
    c.position = SA_POSITION_NONE;
    return c;
}

/* A cache that has seen n tokens, token u with value u and all keys alike. */
static sa_cache *edge_cache(const sa_config *config, int n) {
    sa_cache *cache = NULL;
    CHECK(sa_cache_create(config, NULL, &cache) == SA_SUCCESS, "create");
    for (int u = 0; u < n; u++) {
        float k[2] = {0, 0}, v[2] = {(float)u, (float)u};
        sa_append_kv(cache, 0, 1, k, v);
    }
    return cache;
}

/* The first query is a sink's own and has no window; the later ones need keys that are gone. Of 300 tokens, the newest
 * 3 + 256 are held, and the tiles that those begin in: all from 32 on, and the sinks. */
static void queries_that_begin_among_sinks(void) {
    sa_config config = edge_config();
    sa_cache *cache = edge_cache(&config, 300);
    float q[80] = {0}, out[80] = {0};
    CHECK(sa_cache_rollback(cache, SA_ALL_LAYERS, 300 - 34) == SA_ERR_DEPTH, "token 34 would see 31");
    CHECK(sa_cache_rollback(cache, SA_ALL_LAYERS, 300 - 35) == SA_SUCCESS, "rollback to 35");
    CHECK(sa_attend(cache, 0, 35, q, out) == SA_ERR_DEPTH, "tokens 4 to 31 are gone");
    CHECK(sa_attend(cache, 0, 32, q, out) == SA_ERR_DEPTH, "so it is from the last sink on");
    CHECK(sa_attend(cache, 0, 1, q, out) == SA_ERR_DEPTH, "token 34 needs 31");
    float k[2] = {0, 0}, v[2] = {35, 35};
    CHECK(sa_append_attend(cache, 0, 1, q, k, v, out) == SA_SUCCESS, "token 35");
    CHECK(out[0] == (0 + 1 + 2 + 3 + 32 + 33 + 34 + 35) / 8.0f, "token 35 sees 32 to 35: %g", out[0]);
    CHECK(sa_attend(cache, 0, 1, q, out) == SA_SUCCESS, "it is there");
    CHECK(sa_attend(cache, 0, 2, q, out) == SA_ERR_DEPTH, "token 34 still needs 31");
    CHECK(sa_cache_rollback(cache, SA_ALL_LAYERS, 36 - 4) == SA_SUCCESS, "back to the sinks, which need no other");
    CHECK(sa_attend(cache, 0, 4, q, out) == SA_SUCCESS && out[6] == 1.5f, "the sinks' own queries: %g", out[6]);
    sa_cache_destroy(cache);

    cache = edge_cache(&config, 1000);
    sa_step_args args;
    memset(&args, 0, sizeof args);
    args.struct_size = sizeof args;
    args.q.data = q;
    args.out.data = out;
    args.q_offset = 3 - 1000;
    args.n_tokens = 8;
    CHECK(sa_step(cache, &args) == SA_ERR_DEPTH, "tokens 4 to 10 are gone");
    args.q_offset = -1000;
    args.n_tokens = 4;
    CHECK(sa_step(cache, &args) == SA_SUCCESS && out[6] == 1.5f, "the sinks' own queries need only sinks: %g", out[6]);
    sa_cache_destroy(cache);
}

/* One layer holds all, the next one too little: then neither goes back. */
static void a_rollback_that_one_layer_refuses(void) {
    sa_config config = edge_config(), wide = edge_config();
    const sa_config *layers[2] = {&wide, NULL};
    sa_cache *cache = NULL;
    sa_cache_facts info;
    float k[2] = {0, 0};
    wide.window = 128;
    config.n_layers = 2;
    config.max_append = 1;
    config.layers = layers;
    info.struct_size = sizeof info;
    CHECK(sa_cache_create(&config, NULL, &cache) == SA_SUCCESS, "create");
    for (int u = 0; u < 200; u++) CHECK(sa_append_kv(cache, u % 2, 1, k, k) == SA_SUCCESS, "append");
    CHECK(sa_cache_rollback(cache, SA_ALL_LAYERS, 50) == SA_ERR_DEPTH, "the window of layer 1 at token 50 is gone");
    for (int l = 0; l < 2; l++)
        CHECK(sa_cache_info(cache, l, &info) == SA_SUCCESS && info.tokens_seen == 100, "layer %d has seen %d", l,
              (int)info.tokens_seen);
    sa_cache_destroy(cache);
}

/* The stream begins anew, also where it had begun at a jump: its first tokens are seen again. */
static void a_reset_after_a_jump(void) {
    sa_config config = edge_config();
    sa_cache *cache = edge_cache(&config, 3);
    float q[2] = {0}, k[2] = {0}, out[2] = {NAN, NAN};
    CHECK(sa_cache_seek(cache, SA_ALL_LAYERS, 1000) == SA_SUCCESS && sa_append_kv(cache, 0, 1, k, q) == SA_SUCCESS,
          "jump");
    CHECK(sa_cache_reset(cache, SA_ALL_LAYERS) == SA_SUCCESS, "reset");
    for (int t = 0; t < 8; t++) {
        float v[2] = {(float)t, (float)t};
        CHECK(sa_append_attend(cache, 0, 1, q, k, v, out) == SA_SUCCESS, "append");
        CHECK(fabsf(out[0] - (float)t / 2) < 1e-5f, "token %d sees all before it: %g", t, out[0]);
    }
    sa_cache_destroy(cache);
}

/* The rounding error of such a logit is more than exp can take; with one key the answer is its value. */
static void a_single_huge_logit(void) {
    for (int32_t isa = 1; isa < 32; isa++) {
        sa_config config = edge_config();
        config.isa = isa;
        if (!sa_isa_available(isa)) continue;
        test_rng rng = {(uint64_t)isa};
        for (int i = 0; i < 200; i++) {
            sa_cache *cache = NULL;
            float k[2] = {2.6e5f * rng_normal(&rng), 1e5f}, q[2] = {2.6e5f, 1e5f * rng_normal(&rng)};
            float v[2] = {3, -7}, out[2] = {0, 0};
            sa_cache_create(&config, NULL, &cache);
            sa_append_attend(cache, 0, 1, q, k, v, out);
            CHECK(out[0] == 3 && out[1] == -7, "%s: %g %g", sa_isa_name(isa), out[0], out[1]);
            sa_cache_destroy(cache);
        }
    }
}

/* A logit far beyond softcap is softcap: e^2x of it has no number, and must not be asked for. */
static void logits_far_beyond_softcap(void) {
    for (int32_t isa = 1; isa < 32; isa++) {
        sa_config config = edge_config();
        config.isa = isa;
        config.softcap = 1;
        config.scale = 1;
        if (!sa_isa_available(isa)) continue;
        for (float size = 20; size < 1e5f; size *= 1.02f) {
            sa_cache *cache = NULL;
            float k[4] = {size, 0, -size, 0}, v[4] = {1, 1, 0, 0}, q[4] = {1, 0, 1, 0}, out[4] = {0};
            float truth = 1 / (1 + expf(-2));
            CHECK(sa_cache_create(&config, NULL, &cache) == SA_SUCCESS, "create");
            CHECK(sa_append_attend(cache, 0, 2, q, k, v, out) == SA_SUCCESS, "attend");
            CHECK(fabsf(out[2] - truth) < 1e-6f, "%s: logits +-%g: %g, not %g", sa_isa_name(isa), size, out[2], truth);
            sa_cache_destroy(cache);
        }
    }
}

/* 65536 heads on one kv head: 2^24 rows and more in a call, worked in pieces. */
static void more_rows_than_one_piece(void) {
    enum { HEADS = 65536, TOKENS = 260 };
    sa_config config = edge_config();
    config.n_heads = HEADS;
    config.n_kv_heads = 1;
    config.head_dim = 1;
    config.max_append = 512;
    sa_cache *cache = NULL;
    CHECK(sa_cache_create(&config, NULL, &cache) == SA_SUCCESS, "create");
    float *q = (float *)test_take(sizeof(float) * HEADS * TOKENS),
          *out = (float *)test_take(sizeof(float) * HEADS * TOKENS);
    float k[TOKENS] = {0}, v[TOKENS];
    for (int u = 0; u < TOKENS; u++) v[u] = (float)u;
    CHECK(sa_append_kv(cache, 0, TOKENS, k, v) == SA_SUCCESS, "append");
    CHECK(sa_attend(cache, 0, TOKENS, q, out) == SA_SUCCESS, "attend");
    for (int t = 8; t < TOKENS; t++) {
        float truth = (float)(6 + 4 * t - 6) / 8;
        CHECK(compare_difference(out[(size_t)t * HEADS + 77], truth) < 1e-4 * truth, "token %d: %g, not %g", t,
              out[(size_t)t * HEADS + 77], truth);
    }
    free(q);
    free(out);
    sa_cache_destroy(cache);
}

/* Whether n tokens can be rolled back after `seen`; then token `seen - n` comes again and must see what it saw. */
static int rolls_back(const sa_config *config, int seen, int n) {
    sa_cache *cache = edge_cache(config, seen);
    sa_status status = sa_cache_rollback(cache, SA_ALL_LAYERS, n);
    int target = seen - n, from = target < config->window ? 0 : target - config->window + 1;
    float q[2] = {0}, k[2] = {0}, v[2] = {(float)target, (float)target}, out[2] = {NAN, NAN};
    float mean = (float)(from + target) / 2;
    if (!status) {
        CHECK(sa_append_attend(cache, 0, 1, q, k, v, out) == SA_SUCCESS, "append after rollback %d of %d", n, seen);
        CHECK(fabsf(out[0] - mean) <= 1e-5f * mean, "rollback %d of %d: %g, not %g", n, seen, out[0], mean);
    } else {
        CHECK(status == SA_ERR_DEPTH, "rollback %d of %d: %s", n, seen, sa_status_string(status));
    }
    sa_cache_destroy(cache);
    return !status;
}

/* The newest tokens are read from a ring of their own, which may be overwritten while the other still holds all. */
static void rollbacks_of_recent_tokens(void) {
    sa_config config = edge_config();
    config.n_sink = 0;
    config.window = 64;
    config.n_recent = 2;
    config.max_append = 1;
    for (int seen = 1; seen < 140; seen += 6) {
        sa_cache_facts info;
        sa_cache *cache = edge_cache(&config, seen);
        info.struct_size = sizeof info;
        CHECK(sa_cache_info(cache, 0, &info) == SA_SUCCESS, "info");
        sa_cache_destroy(cache);
        for (int n = 0; n <= seen; n++) {
            int can = rolls_back(&config, seen, n);
            CHECK(can || (uint64_t)n > info.rollback_now, "rollback %d of %d is promised", n, seen);
        }
    }
}

int main(int argc, char **argv) {
    uint64_t seed = 0;
    long count = 1000;
    test_begin("test_edges", argc, argv, &seed, &count);
    queries_that_begin_among_sinks();
    a_rollback_that_one_layer_refuses();
    a_reset_after_a_jump();
    a_single_huge_logit();
    logits_far_beyond_softcap();
    rollbacks_of_recent_tokens();
    if (count >= 1000)
        more_rows_than_one_piece();
    else
        printf("skipped: 2^24 rows, which take a slow build minutes; asked for %ld of 1000 cases\n", count);
    return test_end();
}
