/* Prints what the bits of many results come to: one number for the sets that fuse, one for the others. They are the
 * same on every processor, with every compiler and all its flags.
 *
 * SPDX-License-Identifier: MIT
 *
 * Nothing here asks the system's libm for more than a square root: its last bits are its own.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sinkattn.h"

enum { TOKENS = 300, HEADS = 6, KV_HEADS = 2, DIM = 80, V_DIM = 48, FREQUENCIES = 40 };

static uint64_t state;

/* Any float of 24 bits in [-2, 2). */
static float draw(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((int32_t)(state >> 40) - (1 << 23)) * 0x1p-22f;
}

static void draw_all(float *to, int n) {
    for (int i = 0; i < n; i++) to[i] = draw();
}

static uint64_t hash(uint64_t so_far, const float *x, int n) {
    for (int i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &x[i], 4);
        so_far = (so_far ^ u) * 1099511628211u;
    }
    return so_far;
}

/* A stream in pieces of 1, 2, 4 ... tokens. */
static uint64_t play(const sa_config *config, uint64_t so_far) {
    static float q[TOKENS * HEADS * DIM], k[TOKENS * KV_HEADS * DIM], v[TOKENS * KV_HEADS * V_DIM],
        out[TOKENS * HEADS * V_DIM];
    sa_cache *cache;
    if (sa_cache_create(config, NULL, &cache)) exit(1);
    state = 1;
    for (int at = 0, n = 1; at < TOKENS; at += n, n *= 2) {
        if (n > TOKENS - at) n = TOKENS - at;
        draw_all(q, n * HEADS * DIM);
        draw_all(k, n * KV_HEADS * DIM);
        draw_all(v, n * KV_HEADS * V_DIM);
        if (sa_append_attend(cache, 0, n, q, k, v, out)) exit(1);
        so_far = hash(so_far, out, n * HEADS * V_DIM);
    }
    sa_cache_destroy(cache);
    return so_far;
}

static uint64_t play_all(int isa) {
    static const float slopes[HEADS] = {0.5f, 0.25f, 0.1f, 0.03f, 0.01f, 0.003f}, logits[HEADS] = {1, -1, 0, 2, 0.3f};
    double frequencies[FREQUENCIES];
    uint64_t sum = 1469598103934665603u;
    for (int i = 0; i < FREQUENCIES; i++) frequencies[i] = 1.0 / (1 + i * i);
    for (int dtype = SA_F32; dtype <= SA_I4; dtype++) {
        sa_config c = {.struct_size = sizeof c,
                       .isa = isa,
                       .n_layers = 1,
                       .n_heads = HEADS,
                       .n_kv_heads = KV_HEADS,
                       .head_dim = DIM,
                       .v_head_dim = V_DIM,
                       .n_sink = 4,
                       .window = 100,
                       .k_dtype = dtype,
                       .v_dtype = dtype,
                       .position = SA_POSITION_ROPE,
                       .rope_inv_freq = frequencies};
        sum = play(&c, sum);
        c.rope_inv_freq = NULL;
        c.position = SA_POSITION_ALIBI;
        c.alibi_slopes = slopes;
        c.sink_logits = logits;
        c.softcap = 20;
        sum = play(&c, sum);
    }
    return sum;
}

int main(void) {
    uint64_t fused = play_all(SA_ISA_PLAIN), other = play_all(SA_ISA_PLAIN_NOFMA);
    int differ = fused == other;
    for (int isa = 3; isa < 32; isa++)
        if (sa_isa_available(isa)) differ |= play_all(isa) != (isa == SA_ISA_WASM ? other : fused);
    printf("%016llx %016llx%s\n", (unsigned long long)fused, (unsigned long long)other,
           differ ? " but the sets differ" : "");
    return differ;
}
