/*
 * A session that begins on one processor and goes on on another.
 *
 *     handoff begin ISA               writes a file of snapshots, one for each dtype, to its output
 *     handoff go ISA OUTPUTS          reads such a file from its input, and writes what the session gives from there
 *     handoff stay ISA OUTPUTS        the same of a session that never moved
 *     handoff compare FILE FILE       how many bits of two results differ
 *     handoff example DTYPE FILE      one snapshot into a file, and what is in it to standard output
 *
 * Nothing here asks the system's libm: its last bits are its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sinkattn.h"
#include "snapshots.h"

enum { LAYERS = 2, HEADS = 4, KV_HEADS = 2, DIM = 32, PAIRS = DIM / 2, MOST = 8, ROLLBACK = 12, RECENT = 10 };
enum { BEFORE = 397, DTYPES = 4 };
static const int dtypes[DTYPES] = {SA_F32, SA_F16, SA_I8, SA_I4};

static void die(const char *why) {
    fprintf(stderr, "handoff: %s\n", why);
    exit(1);
}

static void done(sa_cache *cache, sa_status status) {
    if (status) die(sa_cache_error(cache));
}

/* --------------------------------- sessions -------------------------------- */

/* A number in [-2, 2) for each place of a token's vectors: the same whoever asks, and when. */
static float number_at(uint64_t token, uint32_t place) {
    uint64_t x = (token << 16 | place) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    return (float)((int32_t)(x >> 40) - (1 << 23)) * 0x1p-22f;
}

typedef struct token {
    float q[HEADS * DIM], k[KV_HEADS * DIM], v[KV_HEADS * DIM];
} token;

static token token_of(uint64_t id, int layer) {
    token t;
    uint32_t place = (uint32_t)layer << 12;
    for (int i = 0; i < HEADS * DIM; i++) t.q[i] = number_at(id, place++);
    for (int i = 0; i < KV_HEADS * DIM; i++) t.k[i] = number_at(id, place++);
    for (int i = 0; i < KV_HEADS * DIM; i++) t.v[i] = number_at(id, place++);
    return t;
}

static sa_cache *open_cache(int isa, int dtype) {
    static const float slopes[HEADS] = {0.5f, 0.25f, 0.0625f, 0.01f}, logits[HEADS] = {1, -1, 0, 0.3f};
    double frequencies[PAIRS];
    sa_config c = {.struct_size = sizeof c,
                   .n_layers = LAYERS,
                   .max_append = MOST,
                   .rollback = ROLLBACK,
                   .isa = isa,
                   .n_heads = HEADS,
                   .n_kv_heads = KV_HEADS,
                   .head_dim = DIM,
                   .n_sink = 4,
                   .window = 60,
                   .k_dtype = dtype,
                   .v_dtype = dtype,
                   .position = SA_POSITION_ROPE,
                   .rope_inv_freq = frequencies,
                   .n_spans = 6,
                   .n_pin = 20};
    sa_config alibi = c;
    const sa_config *const layers[LAYERS] = {NULL, &alibi};
    sa_cache *cache;
    for (int i = 0; i < PAIRS; i++) frequencies[i] = 1.0 / (1 + i * i);
    if (dtype == SA_I8 || dtype == SA_I4) c.n_recent = RECENT;
    alibi.position = SA_POSITION_ALIBI;
    alibi.rope_inv_freq = NULL;
    alibi.alibi_slopes = slopes;
    alibi.sink_logits = logits;
    alibi.softcap = 20;
    c.layers = layers;
    if (sa_cache_create(&c, NULL, &cache)) die("no cache of that config and instruction set");
    return cache;
}

/* Feeds the token of that name to all layers, and writes what they give. */
static void feed(sa_cache *cache, uint64_t id, FILE *out) {
    unsigned char bytes[4 * HEADS * DIM];
    float results[HEADS * DIM];
    for (int layer = 0; layer < LAYERS; layer++) {
        token t = token_of(id, layer);
        done(cache, sa_append_attend(cache, layer, 1, t.q, t.k, t.v, results));
        for (int i = 0; out && i < HEADS * DIM; i++) {
            uint32_t bits;
            memcpy(&bits, &results[i], 4);
            snapshot_set(bytes + 4 * i, bits, 4);
        }
        if (out && fwrite(bytes, sizeof bytes, 1, out) != 1) die("cannot write results");
    }
}

static uint64_t rollback_now(sa_cache *cache, int layer) {
    sa_cache_facts info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    done(cache, sa_cache_info(cache, layer, &info));
    return info.rollback_now;
}

/* The window goes round some times; tokens are pinned, removed and taken back on the way. */
static sa_cache *begin(int isa, int dtype) {
    sa_cache *cache = open_cache(isa, dtype);
    for (uint64_t id = 0; id < BEFORE; id++) {
        feed(cache, id, NULL);
        if (id == 120) done(cache, sa_cache_pin(cache, SA_ALL_LAYERS, 97, 108));
        if (id == 250) done(cache, sa_cache_remove(cache, SA_ALL_LAYERS, 230, 239, SA_GAP_CLOSE));
        if (id == 380) done(cache, sa_cache_remove(cache, SA_ALL_LAYERS, 360, 363, SA_GAP_KEEP));
        if (id == 390) done(cache, sa_cache_rollback(cache, SA_ALL_LAYERS, 5));
    }
    return cache;
}

/* Says first how far the session could go back, then does so every now and then. */
static void go_on(sa_cache *cache, long outputs, FILE *out) {
    unsigned char depth[8];
    for (int layer = 0; layer < LAYERS; layer++) {
        if (rollback_now(cache, layer) < ROLLBACK) die("the session cannot go back as far as it must");
        snapshot_set(depth, rollback_now(cache, layer), 8);
        if (fwrite(depth, sizeof depth, 1, out) != 1) die("cannot write results");
    }
    for (long i = 0; i < outputs; i++) {
        if (i % 100 == 10) done(cache, sa_cache_rollback(cache, SA_ALL_LAYERS, ROLLBACK));
        feed(cache, BEFORE + (uint64_t)i, out);
    }
    sa_cache_destroy(cache);
}

/* ----------------------------------- files --------------------------------- */

static unsigned char *save(sa_cache *cache, uint64_t *size_out) {
    size_t size, written;
    done(cache, sa_cache_save_size(cache, 0, &size));
    unsigned char *data = malloc(size);
    if (!data) die("no memory");
    done(cache, sa_cache_save(cache, 0, data, size, &written));
    *size_out = written;
    return data;
}

static void write_snapshot(sa_cache *cache, FILE *out) {
    uint64_t size;
    unsigned char *data = save(cache, &size), head[8];
    snapshot_set(head, size, 8);
    if (fwrite(head, 8, 1, out) != 1 || fwrite(data, size, 1, out) != 1) die("cannot write a snapshot");
    free(data);
}

static void read_snapshot(sa_cache *cache, FILE *in) {
    unsigned char head[8];
    if (fread(head, 8, 1, in) != 1) die("no snapshot to read");
    size_t size = snapshot_get(head, 8);
    unsigned char *data = malloc(size);
    if (!data || fread(data, size, 1, in) != 1) die("half a snapshot");
    done(cache, sa_cache_load(cache, data, size));
    free(data);
}

static int isa_of(const char *name) {
    for (int isa = 0; isa < 32; isa++)
        if (strcmp(sa_isa_name(isa), name) == 0) return isa;
    die("no instruction set has that name");
    return 0;
}

static void run_all(const char *what, int isa, long outputs) {
    for (int i = 0; i < DTYPES; i++) {
        sa_cache *cache = what[0] == 'g' ? open_cache(isa, dtypes[i]) : begin(isa, dtypes[i]);
        if (what[0] == 'g') read_snapshot(cache, stdin);
        if (what[0] == 'b') {
            write_snapshot(cache, stdout);
            sa_cache_destroy(cache);
        } else {
            go_on(cache, outputs, stdout);
        }
    }
    if (fflush(stdout)) die("cannot write");
}

static int compare(const char *one, const char *other) {
    FILE *a = fopen(one, "rb"), *b = fopen(other, "rb");
    long bits = 0, bytes = 0;
    if (!a || !b) die("cannot read results");
    for (;; bytes++) {
        int x = getc(a), y = getc(b);
        if (x == EOF && y == EOF) break;
        for (unsigned apart = x == EOF || y == EOF ? 255 : (unsigned)(x ^ y); apart; apart &= apart - 1) bits++;
    }
    fclose(a);
    fclose(b);
    printf("%ld\n", bytes ? bits : 1);
    return bits || !bytes;
}

/* --------------------------------- an example ------------------------------ */

/* A snapshot of the second layer's kind, whose keys are not rotated, and some of the numbers in it:
 * "key|value layer position kv_head number..." */
static void example(int dtype, const char *name) {
    sa_cache *cache = begin(SA_ISA_AUTO, dtype);
    FILE *out = fopen(name, "wb");
    uint64_t size;
    unsigned char *data = save(cache, &size);
    const uint64_t some[] = {0, 3, 97, 107, 355, BEFORE - 8};
    if (!out || fwrite(data, size, 1, out) != 1 || fclose(out)) die("cannot write the snapshot");
    free(data);
    for (int layer = 0; layer < LAYERS; layer++) {
        sa_span spans[16];
        int32_t n;
        done(cache, sa_cache_spans(cache, layer, 0, 16, spans, &n));
        printf("layer %d:", layer);
        for (int32_t i = 0; i < n; i++)
            printf(" [%llu, %llu) -%llu %s%s", (unsigned long long)spans[i].from, (unsigned long long)spans[i].end,
                   (unsigned long long)spans[i].shift,
                   spans[i].kind == SA_SPAN_SINK  ? "sink"
                   : spans[i].kind == SA_SPAN_PIN ? "pin"
                                                  : "window",
                   spans[i].masked ? " masked" : "");
        printf("\n");
    }
    for (int s = 0; s < (int)(sizeof some / sizeof *some); s++)
        for (int h = 0; h < KV_HEADS; h++) {
            /* Positions from 386 on were taken back, and given to tokens 391 and on. */
            token t = token_of(some[s] < 386 ? some[s] : some[s] + 5, 1);
            for (int is_value = 0; is_value < 2; is_value++) {
                printf("%s 1 %d %d", is_value ? "value" : "key", (int)some[s], h);
                for (int d = 0; d < DIM; d++) printf(" %.9g", (is_value ? t.v : t.k)[h * DIM + d]);
                printf("\n");
            }
        }
    sa_cache_destroy(cache);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (argc == 4 && !strcmp(what, "compare")) return compare(argv[2], argv[3]);
    if (argc == 4 && !strcmp(what, "example")) {
        example(atoi(argv[2]), argv[3]);
        return 0;
    }
    if ((argc == 3 && !strcmp(what, "begin")) || (argc == 4 && (!strcmp(what, "go") || !strcmp(what, "stay")))) {
        run_all(what, isa_of(argv[2]), argc == 4 ? atol(argv[3]) : 0);
        return 0;
    }
    fprintf(stderr, "usage: handoff begin ISA | go ISA OUTPUTS | stay ISA OUTPUTS | compare FILE FILE\n");
    return 2;
}
