/* sinkattn 0.1.0 in one file: compile it with sinkattn.h beside it, link libm.
 *
 * SPDX-License-Identifier: MIT
 *
 * Made from the sources of the library by lib/amalgamate.sh. Under another name than sinkattn.c this file needs
 * SA_THIS_FILE defined to that name, in quotes: it includes itself, once per instruction set.
 */
#if defined(__cplusplus)
#error "sinkattn.c is C: compile it with a C compiler. sinkattn.h is for C++ as well"

#elif !defined(SAI_PART)
#ifndef SA_THIS_FILE
#define SA_THIS_FILE "sinkattn.c"
#endif
#define SAI_ONE_FILE 1
#if defined(__linux__) && !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE 1 /* before the first system header: lib/memory.c asks for large pages */
#endif
#include "sinkattn.h"
/* ---- lib/api.c ---- */
/* The public functions for versions, instruction sets, configs, and a cache's life and facts. (pool.c has pools,
 * stream.c what is held, step.c what appends and attends.)
 *
 */
/* ---- lib/exact.h ---- */
/* First in every source: floating-point operations are done as the source says, whatever the compiler's flags are.
 *
 * Results have the same bits in every build. So a multiplication and an addition are fused where the source says so and
 * nowhere else, sums keep their order, and NaN and infinity are seen. It stands before all other headers, so that GCC
 * sees the same options in all functions, those of the intrinsics as well, and inlines them.
 *
 * GCC keeps to these pragmas under -ffast-math and -Ofast. Clang does not: with them it fuses what it likes and assumes
 * that there is no NaN, so it is refused. Clang's -ffp-contract=fast and -funsafe-math-optimizations alone define no
 * macro by which they could be refused; the Makefile and CMake take them back, and the README warns of them.
 *
 * What no source can prevent: a program that is linked with -ffast-math or -Ofast may start with subnormal numbers
 * flushed to zero in the whole process (GCC links crtfastmath.o). That is another floating-point environment than the
 * default one, for which sinkattn.h promises the bits.
 */
#ifndef SAI_EXACT_H
#define SAI_EXACT_H
#if defined(__GNUC__) && !defined(__clang__)
#if !defined(__OPTIMIZE__) && !defined(SA_DEBUG)
/* Without -O the kernels take 30 times as long: who compiles sinkattn.c beside a program may not have thought of it. */
#pragma GCC optimize("O3")
#endif
#pragma GCC optimize("no-fast-math", "no-unsafe-math-optimizations", "no-associative-math", "no-reciprocal-math")
#pragma GCC optimize("no-finite-math-only", "signed-zeros", "trapping-math", "fp-contract=off")
#if defined(__s390__)
/* Under -std=c99, sums and products of floats would be doubles there. */
#pragma GCC optimize("excess-precision=fast")
#endif
#elif defined(__clang__)
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "sinkattn: clang changes results under -ffast-math, -Ofast and -ffinite-math-only: add -fno-fast-math after them"
#endif
#if defined(__x86_64__) || defined(__i386__)
#pragma float_control(precise, on) /* unknown, with a warning, on some other processors */
#endif
#pragma clang fp reassociate(off) contract(off)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma float_control(precise, on)
#pragma fp_contract(off)
#else
#pragma STDC FP_CONTRACT OFF
#endif
/* S/390 apart, which is told above to do without. */
#if defined(__FLT_EVAL_METHOD__) && (__FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2) && !defined(__s390__)
#error "sinkattn: this compiler computes float in a wider type (x87): add -msse2 -mfpmath=sse"
#elif defined(_M_IX86_FP) && _M_IX86_FP < 2
#error "sinkattn: this compiler computes float in a wider type (x87): add /arch:SSE2"
#endif
#endif
#include <string.h>
/* ---- lib/error.h ---- */
/* Why a call was refused: a number that the cache keeps, with a status and a constant sentence for each.
 *
 * The block of a cache may be copied into another process, so it holds the number and not the sentence.
 */
#ifndef SAI_ERROR_H
#define SAI_ERROR_H
/* ---- lib/pool.h ---- */
/* What a pool is made of: one block of memory, and where everything lies in it.
 *
 *     sa_cache (a sequence) [n_sequences] | sa_pool | sai_layer[n_lanes] | tables | keys and values | workspace
 *
 * The first sequence stands at the start of the block, so that a cache of its own is its block.
 */
#ifndef SAI_POOL_H
#define SAI_POOL_H
/* ---- lib/model.h ---- */
/* What is the same for all sequences of a pool: the layers and their lanes, their shapes, tables, and room for tiles.
 *
 * Places in the pool's block and in a sequence are offsets, not pointers, so that a block may be copied byte by byte.
 */
#ifndef SAI_MODEL_H
#define SAI_MODEL_H
#include <stddef.h>
#include <stdint.h>
/* ---- lib/rope.h ---- */
/* Rotary position: frequencies as 64-bit fractions of a full rotation.
 *
 * Su et al., "RoFormer", arXiv 2104.09864. A phase is position * frequency modulo 2^64, which is
 * modulo one full rotation, exactly; so position 10^12 is rotated as accurately as position 10.
 */
#ifndef SAI_ROPE_H
#define SAI_ROPE_H
#include <stddef.h>
#include <stdint.h>
typedef struct sai_rope {
    int32_t pairs; /* rotary dims / 2; 0: no rotation */
    int32_t offset;
    int32_t interleaved;
    float factor; /* multiplies cos and sin: the attention factor */
} sai_rope;
/* The rotation of a checked config with its defaults filled in, and its table of frequencies. */
static sai_rope sai_rope_of(const sa_config *config);
static void sai_rope_frequencies(const sa_config *config, uint64_t *frequency);
#endif
/* ---- lib/spans.h ---- */
/* Which stream positions a layer of a sequence holds, and which of them a token sees, at what distance.
 *
 * Integers only: this file knows no tile, no byte and no float. A span is a run of stream positions [from, end) with
 * one shift. Stream positions are names and never change; logical(p) = p - shift is what windows are counted in and
 * distances are taken from. Removing a range, pinning one or moving the sinks changes spans, and no stored key.
 */
#ifndef SAI_SPANS_H
#define SAI_SPANS_H
#include <stddef.h>
#include <stdint.h>
/* Positions and counts stay below this, so that their sums cannot wrap. */
#define SAI_POSITION_LIMIT ((uint64_t)1 << 62)
static inline uint64_t sai_max(uint64_t a, uint64_t b) { return a > b ? a : b; }
static inline uint64_t sai_min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t sai_minus(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }
/* The half-open range of positions [from, end); empty if from >= end. */
typedef struct sai_range {
    uint64_t from, end;
} sai_range;
/* Where the tokens of a span are stored. A masked span stands for positions that count, but hold no token: a gap that
 * was kept, or a jump. The newest tokens are stored a second time in SAI_STORE_RECENT, which no span names. */
enum { SAI_STORE_MAIN, SAI_STORE_SINKS, SAI_STORE_RECENT, SAI_STORES, SAI_STORE_MASKED };
typedef struct sai_span {
    uint64_t from, end; /* stream positions */
    uint64_t shift;     /* logical position = stream position - shift */
    int32_t kind;       /* SA_SPAN_* */
    int32_t store;      /* SAI_STORE_MAIN, _SINKS or _MASKED */
} sai_span;
/* What a layer's config says about its tokens: the same for all sequences. */
typedef struct sai_rules {
    uint64_t n_sink, window;
    uint64_t hold;                /* window tokens, counted back from the newest, that are held at least */
    uint64_t recent, recent_hold; /* the same of the newest tokens that are stored a second time; 0: none are */
    uint64_t most_pinned;         /* tokens outside SAI_STORE_SINKS that may be kept beyond the window */
    int32_t most_spans;
    int32_t is_dense; /* a query sees all tokens, and appending beyond `window` tokens is refused */
    int32_t in_stream;
} sai_rules;
/* The state of one layer of a sequence: spans in the order of their positions, which is that of their logical ones. */
typedef struct sai_spans {
    uint64_t seen;          /* the position of the next token, and */
    uint64_t shift;         /* its shift */
    uint64_t floor;         /* rollback ends here: where the last jump went */
    uint64_t sink_end;      /* tokens that come at positions below become sinks */
    uint64_t recent_from;   /* the second copy holds all unmasked main positions [recent_from, seen) */
    uint64_t floor_logical; /* of the floor: positions before were jumped over or left, and are not missed */
    /* Closing a gap brings older tokens nearer. What was not held for sure by then does not come back: window tokens
     * below `left` are gone, and queries at positions from there on do not miss them. The same of second copies. */
    uint64_t left, left_copy;
    uint64_t left_logical; /* of `left` */
    int32_t n;
    int32_t reserved;
    sai_span list[];
} sai_spans;
/* Bytes of the state of a layer whose rules allow so many spans. Cutting needs three more for a moment; the second half
 * keeps the list as it was, for a change that turns out not to fit. */
static inline int32_t sai_spans_room(int32_t most) { return most + 3; }
static inline size_t sai_spans_size(int32_t most) {
    return sizeof(sai_spans) + 2 * (size_t)sai_spans_room(most) * sizeof(sai_span);
}
static void sai_spans_reset(const sai_rules *rules, sai_spans *s);
/* Whether n more tokens may come: SA_SUCCESS, SA_ERR_FULL or SA_ERR_OVERFLOW. */
static sa_status sai_spans_can_append(const sai_rules *rules, const sai_spans *s, uint64_t n);
/* Adds positions [seen, seen + n). What is to be evicted goes by sai_spans_evict. */
static void sai_spans_append(const sai_rules *rules, sai_spans *s, uint64_t n);
/* Takes away window tokens that are more than `hold` back from the newest of seen + n tokens, down to a whole tile of
 * 16 positions; one span at a time. Returns whether there were any, and which. */
static int sai_spans_evict(const sai_rules *rules, sai_spans *s, uint64_t n, sai_range *gone);
/* Moves the edge of the second copy along, by whole tiles, for seen + n tokens. */
static void sai_spans_evict_recent(const sai_rules *rules, sai_spans *s, uint64_t n);
/* Whether tokens at positions >= target may be taken back: SA_SUCCESS, or SA_ERR_DEPTH if something that is visible
 * at the target is no longer held. */
static sa_status sai_spans_can_truncate(const sai_rules *rules, const sai_spans *s, uint64_t target);
static void sai_spans_truncate(const sai_rules *rules, sai_spans *s, uint64_t target);
/* The lowest position from which on every target is legal. */
static uint64_t sai_spans_lowest_target(const sai_rules *rules, const sai_spans *s);
/* Whether it may jump there: SA_SUCCESS, or SA_ERR_FULL where jumps have cut the sinks in too many spans. */
static sa_status sai_spans_can_jump(const sai_rules *rules, const sai_spans *s, uint64_t position);
/* Jumps to position >= seen: window tokens go, a masked span stands for what was jumped over. */
static void sai_spans_jump(sai_spans *s, uint64_t position);
/* Removes [from, end), end <= seen; with `keep` its positions go on counting. SA_ERR_FULL: not enough spans, and
 * nothing has changed. */
static sa_status sai_spans_remove(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end, int keep);
/* Window tokens of [from, end) become pinned, pinned ones window tokens, and all kept ones window tokens but those of
 * [from, end), which become sinks. SA_SUCCESS, SA_ERR_DEPTH (not all are held), SA_ERR_FULL. */
static sa_status sai_spans_pin(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end);
static sa_status sai_spans_unpin(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end);
static sa_status sai_spans_anchor(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end);
/* The first run of positions of [from, end) that hold no token; empty at `end` if there is none. */
static sai_range sai_spans_unheld(const sai_spans *s, uint64_t from, uint64_t end);
/* Whether a change leaves room for what may come next: a sink, a jump over sinks, a window. Whether a list has as few
 * spans as any that calls leave: one more may come of each kind, as jumps do not ask for so much room. */
static int sai_spans_fit(const sai_rules *rules, const sai_spans *s);
static int sai_spans_are_bounded(const sai_rules *rules, const sai_spans *s);
/* Whether all of [from, end) is held by a list of n spans. */
static int sai_spans_cover(const sai_span *list, int32_t n, uint64_t from, uint64_t end);
/* Whether a tile of 16 positions holds a token of that store. */
static int sai_spans_touch(const sai_spans *s, int32_t store, uint64_t tile);
/* ---------------------------------- sight --------------------------------- */
/* What a call looks at: a layer's spans under its own rules, or under narrower ones. */
typedef struct sai_sight {
    const sai_span *list;
    int32_t n;
    int32_t is_dense, in_stream;
    uint64_t window;
    uint64_t seen, shift; /* of the next token */
    uint64_t recent;
    uint64_t sink_end; /* positions from `seen` up to here will be sinks */
    const sai_spans *of;
} sai_sight;
/* The sight of a layer under its own rules. */
static inline void sai_sight_look(const sai_rules *rules, const sai_spans *s, sai_sight *g) {
    g->list = s->list;
    g->n = s->n;
    g->is_dense = rules->is_dense;
    g->in_stream = rules->in_stream;
    g->window = rules->window;
    g->seen = s->seen;
    g->shift = s->shift;
    g->recent = rules->recent;
    g->sink_end = s->sink_end;
    g->of = s;
}
static inline sai_sight sai_sight_of(const sai_rules *rules, const sai_spans *s) {
    sai_sight g;
    sai_sight_look(rules, s, &g);
    return g;
}
/* Narrows it to a smaller window, and to the first n_sinks sink tokens; the others become window tokens. `room`
 * receives the spans, one more than there are. */
static void sai_sight_narrow(sai_sight *sight, uint64_t window, uint64_t n_sinks, sai_span *room);
/* Looks at n more window tokens as if they had come. All sinks have. `room` receives the spans, one more than there
 * are; the new tokens belong to the last one. */
static void sai_sight_extend(sai_sight *sight, uint64_t n, sai_span *room);
/* Where a query stands: at a stream position, and at a logical one. */
typedef struct sai_place {
    uint64_t t, logical;
} sai_place;
static sai_place sai_place_of(const sai_sight *sight, uint64_t t);
/* What a query sees of a span of the sight. */
static sai_range sai_visible(const sai_sight *sight, int32_t span, sai_place at);
/* How much nearer than in the stream that span's keys are to a query: distance = t - u - offset, modulo 2^64. */
static uint64_t sai_offset_of(const sai_sight *sight, int32_t span, sai_place at);
/* The number of positions that count for a query, itself included, minus 1: its place behind learned sink rows. */
static uint64_t sai_front_place(const sai_sight *sight, sai_place at);
/* Whether span b goes on where a ends, in all respects. */
static int sai_spans_continue(const sai_span *a, const sai_span *b);
/* The logical position of p <= seen in a list of n spans. A position that was removed has that of the next one that was
 * not. */
static uint64_t sai_spans_logical(const sai_span *list, int32_t n, uint64_t seen, uint64_t shift, uint64_t p);
/* Whether all that a query there sees below `end` is still held. */
static int sai_sight_holds(const sai_sight *sight, sai_place at, uint64_t end);
/* Whether queries at positions [first, first + n) find all keys that they see: SA_SUCCESS or SA_ERR_DEPTH. n > 0. */
static sa_status sai_sight_can_query(const sai_sight *sight, uint64_t first, uint64_t n);
/* How many tokens are held at positions below. */
static uint64_t sai_tokens_below(const sai_spans *s, uint64_t position);
/* Tokens held, and those that the newest token sees. */
static uint64_t sai_tokens_held(const sai_spans *s);
static uint64_t sai_tokens_visible(const sai_sight *sight);
#endif
/* ---- lib/tiles.h ---- */
/* Where a position lies: tiles of 16 tokens, shared by sequences, and the one map from positions to addresses.
 *
 * An arena is the room of one layer for tokens of one store: for each kv head, n_tiles tiles of keys side by side, and
 * as many of values. The same tile number means the same tokens in all kv heads. A sequence finds the tile of a
 * position in its table. A tile may stand in several tables; who writes into it first takes a copy.
 */
#ifndef SAI_TILES_H
#define SAI_TILES_H
#include <stddef.h>
#include <stdint.h>
/* Offsets are bytes from the start of the pool's block. */
typedef struct sai_arena {
    size_t k_at, v_at;                          /* keys and values */
    size_t k_head, v_head;                      /* bytes from a kv head to the next */
    size_t k_tile, v_tile;                      /* bytes of a tile */
    size_t beside_at, beside_head, beside_tile; /* the same of what lies beside the keys; beside_tile 0: nothing */
    size_t uses_at;                             /* uint32_t[n_tiles]: how many tables a tile stands in */
    uint32_t n_tiles, n_free;
    uint32_t homes; /* sequences begin that many tiles apart, so that each finds its tiles side by side */
    int32_t n_kv_heads;
    int32_t k_dtype, v_dtype;
} sai_arena;
/* A sequence's tiles of one store, in the order of their positions: position p is in the tile of number p / 16.
 * Offsets are bytes from the start of the sequence. */
typedef struct sai_table {
    size_t numbers_at; /* uint64_t[capacity] */
    size_t tiles_at;   /* uint32_t[capacity]: where in the arena */
    uint32_t capacity;
    uint32_t first, n; /* entries [first, first + n) are in use */
    uint32_t home;     /* where in the arena the sequence begins to look for tiles */
} sai_table;
/* A table and an arena with their addresses. */
typedef struct sai_tiles {
    char *block;
    sai_arena *arena;
    sai_table *table;
    uint64_t *numbers;
    uint32_t *tiles;
    uint32_t *uses;
} sai_tiles;
static inline sai_tiles sai_tiles_of(void *block, void *sequence, sai_arena *arena, sai_table *table) {
    sai_tiles t = {(char *)block,
                   arena,
                   table,
                   (uint64_t *)(void *)((char *)sequence + table->numbers_at),
                   (uint32_t *)(void *)((char *)sequence + table->tiles_at),
                   (uint32_t *)(void *)((char *)block + arena->uses_at)};
    return t;
}
/* How many tiles the arena must give for positions [from, end) to be written: those that are not in the table, and
 * those that others use too. */
static uint64_t sai_tiles_needed(const sai_tiles *t, uint64_t from, uint64_t end);
/* Whether the table has tile `number`, and no other has. */
static int sai_tiles_is_own(const sai_tiles *t, uint64_t number);
/* Makes the tiles of positions [from, end) the sequence's own; the caller has seen that there are enough. New ones lie
 * behind those of the table. */
static void sai_tiles_own(const sai_tiles *t, uint64_t from, uint64_t end);
/* Gives back those of the tiles [number, end) that the table has. */
static void sai_tiles_drop(const sai_tiles *t, uint64_t number, uint64_t end);
static void sai_tiles_drop_all(const sai_tiles *t);
/* Makes an empty table an equal of another one of the same arena: the tiles are shared. */
static void sai_tiles_copy_table(const sai_tiles *from, const sai_tiles *to);
/* --------------------------------- reading -------------------------------- */
/* The tiles of one kv head. Position p is in tile map[p / 16 - first]. */
typedef struct sai_run {
    const char *k, *v; /* tile 0 of the arena */
    size_t k_tile, v_tile;
    int32_t k_dtype, v_dtype;
    const uint32_t *map;
    uint64_t first;
} sai_run;
/* Whether the table has tile `number`. */
static int sai_tiles_has(const sai_tiles *t, uint64_t number);
/* The map of a table from tile `number` on, which it has. */
static const uint32_t *sai_tiles_map(const sai_tiles *t, uint64_t number);
/* The tiles of a kv head of an arena by such a map. */
static inline sai_run sai_run_of(const void *block, const sai_arena *a, int32_t kv_head, const uint32_t *map,
                                 uint64_t first) {
    sai_run r;
    r.k = (const char *)block + a->k_at + (size_t)kv_head * a->k_head;
    r.v = (const char *)block + a->v_at + (size_t)kv_head * a->v_head;
    r.k_tile = a->k_tile;
    r.v_tile = a->v_tile;
    r.k_dtype = a->k_dtype;
    r.v_dtype = a->v_dtype;
    r.map = map;
    r.first = first;
    return r;
}
static inline uint32_t sai_run_tile(const sai_run *r, uint64_t number) { return r->map[number - r->first]; }
/* The first entry of a table whose number is not below `number`, and where the tile of an entry begins. */
static uint32_t sai_tiles_entry(const sai_tiles *t, uint64_t number);
static inline char *sai_tiles_key(const sai_tiles *t, uint32_t entry, int32_t kv_head) {
    return t->block + t->arena->k_at + (size_t)kv_head * t->arena->k_head + t->tiles[entry] * t->arena->k_tile;
}
static inline char *sai_tiles_value(const sai_tiles *t, uint32_t entry, int32_t kv_head) {
    return t->block + t->arena->v_at + (size_t)kv_head * t->arena->v_head + t->tiles[entry] * t->arena->v_tile;
}
/* Where the tile of a position begins. */
static inline const char *sai_run_key(const sai_run *r, uint64_t position) {
    return r->k + sai_run_tile(r, position / 16) * r->k_tile;
}
static inline const char *sai_run_value(const sai_run *r, uint64_t position) {
    return r->v + sai_run_tile(r, position / 16) * r->v_tile;
}
/* Of tiles [number, end), those that lie side by side; returns where they end. */
static inline uint64_t sai_run_end(const sai_run *r, uint64_t number, uint64_t end) {
    const uint32_t *map = r->map + (number - r->first);
    uint64_t n = 1;
    while (number + n < end && map[n] == map[0] + n) n++;
    return number + n;
}
#endif
enum {
    SAI_ALIGNMENT = 64,    /* a cache line, a zmm register */
    SAI_PANEL = 192,       /* most rows of a panel: enough to amortise loading a chunk; their states fit in L2 */
    SAI_WIDEN_ROWS = 13,   /* so many rows have stored keys and values widened to f32 for all of them at once */
    SAI_ROWS_A_UNIT = 8,   /* threads split rows down to this, then keys: fewer rows would read keys again */
    SAI_UNITS_A_THREAD = 4 /* pieces of keys per thread: their lengths differ */
};
/* Where nodes of drafts are stored, until they become tokens of the stores with the same dtypes. */
enum { SAI_NODES_MAIN, SAI_NODES_RECENT, SAI_NODE_STORES };
/* One lane of a layer (lanes.h): kv heads that keep the same tokens, with their query heads. */
typedef struct sai_layer {
    int32_t n_heads, n_kv_heads, group;  /* group: query heads per kv head */
    int32_t layer_heads, layer_kv_heads; /* of all lanes of the layer: what the host's tensors have */
    int32_t layer_window;                /* the most that a lane of the layer may have */
    size_t heads_at;                     /* int32_t[n_kv_heads]: their numbers in the layer; 0: all of them */
    int32_t dk, dv, dv_pad;
    int32_t position;
    int32_t n_sink_kv, sink_kv_position, sink_kv_ready;
    float scale, softcap;
    int32_t block_bits; /* 2^block_bits keys a block: partial states are merged inside a block, then over blocks */
    sai_rope rope;
    uint64_t learned_digest; /* of the learned sink rows as the host gave them; 0: none yet */
    int32_t rope_id;         /* layers with the same id rotate alike */
    size_t frequencies_at;   /* uint64_t[rope.pairs] */
    size_t slopes_at;        /* float[layer_heads], 0: none */
    size_t logits_at;        /* float[layer_heads], 0: none */
    size_t learned_map_at;   /* uint32_t[]: tile i of the learned rows is tile i */
    sai_rules rules;
    sai_arena arenas[SAI_STORES];
    sai_arena learned; /* learned sink rows: every sequence sees them */
    sai_arena rows;    /* rows of the host: each sequence has its own */
    int32_t n_rows;
    int32_t max_draft; /* nodes; 0: there are no drafts */
    sai_arena drafts[SAI_NODE_STORES];
    int32_t path_tiles; /* of a worker, behind the arenas' own: where the newest tokens of a node's path are put */
    int32_t reserved;
    /* Bytes from the start of a sequence. */
    size_t nodes_at;  /* sai_nodes */
    size_t spans_at;  /* sai_spans */
    size_t tables_at; /* sai_table[SAI_STORES] */
    size_t rows_at;   /* sai_rows, with n_rows */
} sai_layer;
static inline size_t sai_dtype_size(int32_t dtype) { return dtype == SA_F32 ? 4 : 2; }
/* The most nodes of a path: it may be accepted, which is to append it in one piece. */
static inline int32_t sai_most_depth(int32_t max_draft, int32_t max_append) {
    return max_draft < max_append ? max_draft : max_append;
}
static inline int32_t sai_round16(int32_t n) { return (n + 15) & ~15; }
#endif
/* ---- lib/workspace.h ---- */
/* What calls need beside keys and values: one for a whole pool, since one call runs at a time.
 *
 */
#ifndef SAI_WORKSPACE_H
#define SAI_WORKSPACE_H
/* ---- lib/config.h ---- */
/* Reads, checks and completes what the host configures.
 *
 */
#ifndef SAI_CONFIG_H
#define SAI_CONFIG_H
#include <stddef.h>
#include <stdint.h>
/* Copies a struct that starts with its size: a shorter one (>= first bytes, the first version) is completed
 * with zeros, a longer one is taken if all we do not know is zero. SA_SUCCESS or SA_ERR_STRUCT_SIZE. */
static sa_status sai_read_struct(void *to, size_t size, size_t first, const void *from);
/* Where a check ended: the reason is a constant sentence, the layer -1 for the whole cache. */
typedef struct sai_verdict {
    const char *why;
    int32_t layer;
} sai_verdict;
/* Both copy, check, and put defaults in place of zeros; pointers stay the host's. */
static sa_status sai_config_cache(const sa_config *config, sa_config *out, sai_verdict *verdict);
static sa_status sai_config_layer(const sa_config *cache_config, int32_t layer, sa_config *out, sai_verdict *verdict);
#endif
/* Rotations that were worked out: rows of cos and sin for positions first, first + step, ... (modulo 2^64). Layers run
 * one after the other over the same tokens, so most find theirs ready. */
typedef struct sai_rotations_key {
    uint64_t first;
    int32_t rope_id, n, step; /* step 1, 0 (then n is 1) or -1 */
    int32_t row;
    uint32_t filled; /* 0, or the number of the filling of the table that this is of */
} sai_rotations_key;
enum { SAI_ROTATION_KEYS = 512 }; /* a power of two */
typedef struct sai_workspace {
    size_t rotations_at;   /* float[rotation_rows][rotation_stride] */
    size_t keys_at;        /* sai_rotations_key[SAI_ROTATION_KEYS] */
    int32_t rotation_rows; /* of the table, and how many are in use */
    int32_t rotation_used;
    int32_t rotation_stride; /* floats */
    uint32_t rotation_filling;
    size_t workers_at, worker_size; /* n_threads times scratch of a worker */
    size_t splits_at;               /* states of key blocks that are worked by several threads */
    uint64_t split_floats;
    size_t kept_at;               /* float[]: the ends of rows' softmaxes, for a second pass over the keys */
    size_t calls_at;              /* sai_batch_call[n_sequences] */
    size_t jobs_at;               /* sai_job[n_sequences * most_lanes]: what runs */
    size_t parts_at;              /* sai_part[]: what the jobs look at */
    size_t views_at;              /* sai_span[]: the spans of narrowed views */
    size_t claims_at;             /* int64_t[most_lanes]: tiles that the steps of a call take, while they are checked */
    int32_t most_lanes, reserved; /* of a layer */
    int32_t most_parts, most_view_spans;
    int32_t begun_layer; /* of the step that the host's threads work together; -1: none */
    int32_t begun_jobs, begun_phases, reserved2;
} sai_workspace;
/* A partial softmax of some rows: sum of exp(logit - max), and of that times v. */
typedef struct sai_states {
    float *max, *sum, *acc; /* (rows), (rows), (rows, dv_pad) */
} sai_states;
/* A worker's scratch, cut for a layer. */
typedef struct sai_scratch {
    float *raw;         /* (rows, dk): queries as the host gave them */
    float *q;           /* (rows, dk): rotated for the span that is processed */
    float *packed;      /* (rows, words): the same for integer keys */
    float *hadamard;    /* (dk) */
    float *rotation;    /* (2 pairs): a row that the workspace does not have */
    float *scores;      /* (8, 256): of the rows that a kernel takes at a time */
    float *keep;        /* (8) */
    float *chain;       /* (8, dv_pad): value sums of one chunk */
    float *wide_k;      /* (256, dk): keys as f32, where many rows use them */
    float *wide_v;      /* (256, dv_pad): values as f32 */
    float *weights;     /* (8, sai_weight_words): weights as integers, where values are */
    uint32_t *path_map; /* (16 + path_tiles): tiles from the chunk of the newest token on, and */
    int32_t *path;      /* (sai_most_depth): nodes, those of the path that lies in a worker's tiles */
    int32_t worker;
    sai_states block, total; /* of a block of keys, of all before */
    sai_states sinks;        /* max and sum alone: of the sinks */
} sai_scratch;
/* Floats of a worker's scratch for a layer. */
static uint64_t sai_scratch_floats(const sai_layer *layer, int32_t max_append);
/* The scratch of worker w. */
static sai_scratch sai_scratch_of(const struct sa_pool *pool, const sai_layer *layer, int32_t w);
#endif
struct sa_pool {
    uint64_t size;
    size_t at; /* bytes from the block's start */
    int32_t n_layers, n_threads, max_append, io_dtype, isa;
    int32_t n_sequences, n_open;
    int32_t has_budget; /* the tiles may not suffice for all sequences */
    int32_t error;      /* of the last call: a number of errors.h */
    size_t sequence_size;
    int32_t n_lanes;  /* of all layers */
    size_t layers_at; /* sai_layer[n_lanes]: the lanes of the first layer, of the second, ... */
    size_t lanes_at;  /* int32_t[n_layers + 1]: the first lane of each layer, and n_lanes */
    sai_workspace work;
    sa_parallel_for parallel_for;
    void *parallel_context;
    void (*release)(void *user, void *memory, size_t size); /* NULL: the host owns the block */
    void *release_user;
};
/* A sequence: this, and behind it the spans and tables of every lane. */
struct sa_cache {
    size_t at;      /* bytes from the block's start */
    size_t pool_at; /* of the pool */
    int32_t is_open;
    int32_t is_alone; /* made by sa_cache_create: the pool ends with it */
    int32_t error;    /* of the last call: a number of errors.h */
    int32_t in_batch; /* while a batch is checked: it stands in it already */
};
static inline void *sai_block_of(const sa_pool *pool) { return (char *)(uintptr_t)pool - pool->at; }
static inline sa_pool *sai_pool_of(const sa_cache *cache) {
    return (sa_pool *)(void *)((char *)(uintptr_t)cache - cache->at + cache->pool_at);
}
static inline void *sai_at(const sa_pool *pool, size_t at) { return (char *)sai_block_of(pool) + at; }
static inline sai_layer *sai_lane_of(const sa_pool *pool, int32_t lane) {
    return (sai_layer *)sai_at(pool, pool->layers_at) + lane;
}
/* The first lane of a layer, and with n_layers the end of all: the lanes of layer l are [first(l), first(l + 1)). */
static inline int32_t sai_first_lane(const sa_pool *pool, int32_t layer) {
    return ((const int32_t *)sai_at(pool, pool->lanes_at))[layer];
}
/* The first lane of a layer, for what is the same in all of them. */
static inline sai_layer *sai_layer_of(const sa_pool *pool, int32_t layer) {
    return sai_lane_of(pool, sai_first_lane(pool, layer));
}
/* The number that a lane's kv head has in the host's tensors. */
static inline int32_t sai_host_head(const sa_pool *pool, const sai_layer *lane, int32_t kv_head) {
    return lane->heads_at ? ((const int32_t *)sai_at(pool, lane->heads_at))[kv_head] : kv_head;
}
static inline sa_cache *sai_sequence_at(const sa_pool *pool, int32_t index) {
    return (sa_cache *)sai_at(pool, (size_t)index * pool->sequence_size);
}
/* A host tensor with every stride and dtype filled in; strides in bytes. */
typedef struct sai_view {
    char *data;
    int64_t token_stride, head_stride;
    int32_t dtype, reserved;
} sai_view;
static inline char *sai_row_at(const sai_view *v, int64_t token, int64_t head) {
    return v->data + token * v->token_stride + head * v->head_stride;
}
/* The size of a pool, after checking all of its config. */
static sa_status sai_layout_size(const sa_config *config, size_t *size_out, sai_verdict *verdict);
/* Builds a pool without open sequences in a zeroed block of that size; the config has been checked. */
static sa_pool *sai_layout_build(void *memory, const sa_config *config);
#endif
/* Of a host tensor: five, in this order for every tensor, so that step.c can count from the first one. */
#define SAI_TENSOR_ERRORS(X, NAME, name)                                                                               \
    X(NAME##_DTYPE, SA_ERR_ARGUMENT, name ".dtype must be 0 (config.io_dtype), SA_F32, SA_F16 or SA_BF16")             \
    X(NAME##_FLAGS, SA_ERR_ARGUMENT, name ".flags has unknown bits: SA_TENSOR_STRIDES_GIVEN is the only one")          \
    X(NAME##_ADDRESS, SA_ERR_ALIGNMENT, name " is misaligned: its address must be a multiple of its element size")     \
    X(NAME##_STRIDE, SA_ERR_ALIGNMENT,                                                                                 \
      name ".token_stride and " name ".head_stride must be multiples of its element size")                             \
    X(NAME##_EXTENT, SA_ERR_OVERFLOW, name " reaches beyond the address space: n_tokens or a stride is too large")
/* Of an array of floats beside the result: three, in this order. */
#define SAI_ARRAY_ERRORS(X, NAME, name)                                                                                \
    X(NAME##_ALONE, SA_ERR_ARGUMENT, name " is set, but q.data is NULL: there is nothing to attend")                   \
    X(NAME##_ADDRESS, SA_ERR_ALIGNMENT, name " is misaligned: its address must be a multiple of sizeof(float)")        \
    X(NAME##_EXTENT, SA_ERR_OVERFLOW, name " reaches beyond the address space: n_tokens is too large")
#define SAI_ERRORS(X)                                                                                                  \
    X(NONE, SA_SUCCESS, "")                                                                                            \
    SAI_TENSOR_ERRORS(X, Q, "q")                                                                                       \
    SAI_TENSOR_ERRORS(X, K, "k")                                                                                       \
    SAI_TENSOR_ERRORS(X, V, "v")                                                                                       \
    SAI_TENSOR_ERRORS(X, OUT, "out")                                                                                   \
    SAI_ARRAY_ERRORS(X, LSE, "lse")                                                                                    \
    SAI_ARRAY_ERRORS(X, SINK_MASS, "sink_mass")                                                                        \
    SAI_ARRAY_ERRORS(X, PARTIAL_MAX, "partial_max")                                                                    \
    SAI_ARRAY_ERRORS(X, PARTIAL_SUM, "partial_sum")                                                                    \
    X(KEY_MASS_ALONE, SA_ERR_ARGUMENT, "key_mass is set, but q.data is NULL: there is nothing to attend")              \
    X(VALUE_NORMS_ALONE, SA_ERR_ARGUMENT, "value_norms is set, but q.data is NULL: there is nothing to attend")        \
    X(KEY_MASS_ADDRESS, SA_ERR_ALIGNMENT, "key_mass is misaligned: its address must be a multiple of sizeof(float)")   \
    X(KEY_MASS_EXTENT, SA_ERR_OVERFLOW, "key_mass reaches beyond the address space: key_stride is too large")          \
    X(VALUE_NORMS_ADDRESS, SA_ERR_ALIGNMENT,                                                                           \
      "value_norms is misaligned: its address must be a multiple of sizeof(float)")                                    \
    X(VALUE_NORMS_EXTENT, SA_ERR_OVERFLOW, "value_norms reaches beyond the address space: key_stride is too large")    \
    X(KEY_STRIDE, SA_ERR_ARGUMENT,                                                                                     \
      "key_stride is smaller than the number of keys after the step: keys_most of sa_cache_info always suffices")      \
    X(KEY_NODES, SA_ERR_ARGUMENT, "key_mass and value_norms cannot be asked for with nodes of a draft")                \
    X(KEY_TOKENS, SA_ERR_ARGUMENT,                                                                                     \
      "n_tokens is too large for key_mass and value_norms: such a step is one piece, of at most max_append tokens")    \
    X(OUT_OVERLAPS, SA_ERR_ARGUMENT, "out has rows that overlap each other: a stride is 0 or smaller than a row")      \
    X(ARGS_NULL, SA_ERR_ARGUMENT, "args is NULL")                                                                      \
    X(ARGS_SIZE, SA_ERR_STRUCT_SIZE,                                                                                   \
      "args.struct_size must be sizeof(sa_step_args), and fields beyond this library's version must be 0")             \
    X(ARGS_FLAGS, SA_ERR_ARGUMENT, "args.flags has unknown bits: only those of SA_STEP_* are allowed")                 \
    X(READ_SIZE, SA_ERR_STRUCT_SIZE,                                                                                   \
      "args.struct_size must be sizeof(sa_read_args), and fields beyond this library's version must be 0")             \
    X(READ_RESERVED, SA_ERR_ARGUMENT, "args.flags and args.reserved must be 0")                                        \
    X(READ_NOTHING, SA_ERR_ARGUMENT, "n_tokens is not 0, but neither k.data nor v.data is set")                        \
    X(KV_HEADS, SA_ERR_ARGUMENT, "kv_head and n_kv_heads must be heads of the layer: 0 .. n_kv_heads - 1")           \
    X(READ_OVERLAPS, SA_ERR_ARGUMENT, "k or v has rows that overlap each other: a stride is 0 or smaller than a row")  \
    X(KEY_FORM, SA_ERR_ARGUMENT, "key_form must be one of SA_KEY_*")                                                   \
    X(POSITIONS_NULL, SA_ERR_ARGUMENT, "positions is NULL, but n_tokens is not 0")                                     \
    X(PLACES, SA_ERR_ARGUMENT, "places must be set with SA_KEY_AT_PLACE, and NULL with any other key_form")            \
    X(POSITION_LOST, SA_ERR_DEPTH, "positions has one that the layer does not hold: sa_cache_positions lists them")    \
    X(LAYER, SA_ERR_ARGUMENT, "layer must be 0 .. n_layers - 1")                                                       \
    X(N_TOKENS, SA_ERR_ARGUMENT, "n_tokens must not be negative")                                                      \
    X(Q_NULL, SA_ERR_ARGUMENT, "q is NULL, but n_tokens is not 0")                                                     \
    X(K_NULL, SA_ERR_ARGUMENT, "k is NULL, but n_tokens is not 0")                                                     \
    X(V_NULL, SA_ERR_ARGUMENT, "v is NULL, but n_tokens is not 0")                                                     \
    X(OUT_NULL, SA_ERR_ARGUMENT, "out is NULL, but n_tokens is not 0")                                                 \
    X(Q_ALONE, SA_ERR_ARGUMENT, "q.data is set, but out.data is NULL")                                                 \
    X(OUT_ALONE, SA_ERR_ARGUMENT, "out.data is set, but q.data is NULL")                                               \
    X(K_ALONE, SA_ERR_ARGUMENT, "k.data is set, but v.data is NULL")                                                   \
    X(V_ALONE, SA_ERR_ARGUMENT, "v.data is set, but k.data is NULL")                                                   \
    X(NOTHING, SA_ERR_ARGUMENT, "n_tokens is not 0, but neither k.data nor q.data is set")                             \
    X(MAX_WITHOUT_SUM, SA_ERR_ARGUMENT, "partial_max is set, but partial_sum is NULL")                                 \
    X(SUM_WITHOUT_MAX, SA_ERR_ARGUMENT, "partial_sum is set, but partial_max is NULL")                                 \
    X(PARTIAL_DTYPE, SA_ERR_ARGUMENT, "out.dtype must be SA_F32 with partial_max and partial_sum")                     \
    X(Q_OFFSET_UNUSED, SA_ERR_ARGUMENT, "q_offset must be 0, unless q is set and k is not")                            \
    X(Q_OFFSET_RANGE, SA_ERR_ARGUMENT, "q_offset must be -2^62 .. 2^62")                                               \
    X(MAX_APPEND, SA_ERR_ARGUMENT,                                                                                     \
      "n_tokens is larger than max_append: sa_attend, and sa_step without k, take at most max_append tokens")          \
    X(BEGIN_TOKENS, SA_ERR_ARGUMENT,                                                                                   \
      "n_tokens is too large for sa_step_begin: at most max_append tokens, and n_tokens * n_heads at most 2^24")       \
    X(N_PHASES_OUT, SA_ERR_ARGUMENT, "n_phases_out is NULL")                                                           \
    X(SINK_KV_MISSING, SA_ERR_STATE,                                                                                   \
      "the layer's learned sink rows are missing: n_sink_kv is not 0, so attention needs sa_set_sink_kv before")       \
    X(FULL, SA_ERR_FULL, "n_tokens is more than the dense layer has room for: it holds `window` tokens")               \
    X(STREAM_END, SA_ERR_OVERFLOW, "n_tokens would take the stream to position 2^62")                                  \
    X(QUERY_BEFORE, SA_ERR_DEPTH,                                                                                      \
      "n_tokens or -q_offset is larger than tokens_seen: a query would stand before position 0")                       \
    X(QUERY_END, SA_ERR_OVERFLOW, "q_offset would put a query at position 2^62 or beyond")                             \
    X(QUERY_LOST, SA_ERR_DEPTH,                                                                                        \
      "n_tokens or -q_offset reaches too far back: a query's own token, or keys that it would see, are no longer held" \
      " (the window has left them, they were removed, or they came before a jump)")                                    \
    X(NO_SINK_KV, SA_ERR_ARGUMENT, "the layer has no learned sink rows to set: n_sink_kv of its config is 0")          \
    X(SINK_K_NULL, SA_ERR_ARGUMENT, "k is NULL: sa_set_sink_kv takes n_sink_kv keys")                                  \
    X(SINK_V_NULL, SA_ERR_ARGUMENT, "v is NULL: sa_set_sink_kv takes n_sink_kv values")                                \
    X(ROWS_NULL, SA_ERR_ARGUMENT, "rows is NULL")                                                                      \
    X(ROWS_SIZE, SA_ERR_STRUCT_SIZE,                                                                                   \
      "rows.struct_size must be sizeof(sa_rows), and fields beyond this library's version must be 0")                  \
    X(ROWS_FLAGS, SA_ERR_ARGUMENT,                                                                                     \
      "rows.flags has unknown bits (SA_ROWS_AT_DISTANCE is the only one), or rows.reserved is not 0")                  \
    X(ROWS_RANGE, SA_ERR_ARGUMENT,                                                                                     \
      "rows.first .. rows.first + rows.n_rows must lie within the rows that the layer has: n_rows of its config")      \
    X(ROWS_TAKEN, SA_ERR_ARGUMENT,                                                                                     \
      "rows.places, rows.biases and rows.flags must be 0 without k.data: such rows are taken away")                    \
    X(ROWS_PLACE, SA_ERR_OVERFLOW, "a number of rows.places is 2^62 or beyond, in either direction")                   \
    X(ROWS_BIAS, SA_ERR_ARGUMENT, "a number of rows.biases is NaN or above 1e30")                                      \
    X(PLACES_ADDRESS, SA_ERR_ALIGNMENT,                                                                                \
      "rows.places is misaligned: its address must be a multiple of sizeof(int64_t)")                                  \
    X(PLACES_EXTENT, SA_ERR_OVERFLOW, "rows.places reaches beyond the address space: rows.n_rows is too large")        \
    X(BIASES_ADDRESS, SA_ERR_ALIGNMENT, "rows.biases is misaligned: its address must be a multiple of sizeof(float)")  \
    X(BIASES_EXTENT, SA_ERR_OVERFLOW, "rows.biases reaches beyond the address space: rows.n_rows is too large")        \
    X(ROLLBACK_LENGTH, SA_ERR_ARGUMENT, "n_tokens is larger than the largest tokens_seen of all layers")               \
    X(ROLLBACK_LOST, SA_ERR_DEPTH,                                                                                     \
      "n_tokens reaches too far back: the next token would see tokens that are no longer held (rollback_now)")         \
    X(POSITION_LIMIT, SA_ERR_OVERFLOW, "position must be below 2^62")                                                  \
    X(POSITION_BEHIND, SA_ERR_ARGUMENT, "position is behind tokens that have come: it must be at least tokens_seen")   \
    X(ANY_LAYER, SA_ERR_ARGUMENT, "layer must be 0 .. n_layers - 1, or SA_ALL_LAYERS")                                 \
    X(CLOSED, SA_ERR_STATE, "the sequence is closed: sa_pool_open or sa_cache_fork gives another one")                 \
    X(NO_TILE, SA_ERR_POOL,                                                                                            \
      "n_tokens is more than the pool has free tiles for: close or shorten a sequence, or give pool_tokens more")      \
    X(NO_SEQUENCE, SA_ERR_POOL, "all sequences of the pool are open: close one, or give n_sequences more")             \
    X(CACHE_OUT, SA_ERR_ARGUMENT, "cache_out or fork_out is NULL")                                                     \
    X(RANGE, SA_ERR_ARGUMENT, "from and end must be 0 <= from < end <= tokens_seen of every layer meant")              \
    X(GAP, SA_ERR_ARGUMENT, "gap must be SA_GAP_CLOSE or SA_GAP_KEEP")                                                 \
    X(RANGE_LOST, SA_ERR_DEPTH, "from .. end has tokens that a layer meant no longer holds")                           \
    X(NO_SPAN, SA_ERR_FULL,                                                                                            \
      "the layer has no room for another span (config.n_spans) or for so many pinned tokens (config.n_pin)")           \
    X(VIEW_WINDOW, SA_ERR_ARGUMENT, "args.view_window must be 0 (the layer's) .. window")                              \
    X(VIEW_SINKS, SA_ERR_ARGUMENT, "args.view_sinks must be -1 (none), 0 (the layer's) or a number of sink tokens")    \
    X(VIEW_ALONE, SA_ERR_ARGUMENT, "args.view_window or args.view_sinks is set, but q.data is NULL")                   \
    X(PARENTS_ALONE, SA_ERR_ARGUMENT, "args.parents is set, but k.data is NULL: there is nothing to draft")            \
    X(NODES_UNUSED, SA_ERR_ARGUMENT, "SA_STEP_NODES needs q without k: the nodes have been drafted before")            \
    X(NODES, SA_ERR_ARGUMENT, "q_offset .. q_offset + n_tokens - 1 are not all nodes of the layer's draft")            \
    X(NO_DRAFT, SA_ERR_ARGUMENT, "the cache keeps no drafts: max_draft of its config is 0")                            \
    X(DRAFT_SINKS, SA_ERR_STATE, "sinks are still to come: a draft begins behind the first n_sink tokens")             \
    X(DRAFT_FULL, SA_ERR_FULL, "n_tokens is more than the layer's draft has room for: max_draft of its config")        \
    X(PARENT, SA_ERR_ARGUMENT, "args.parents must be -1 or numbers of nodes that were drafted before")                 \
    X(NODE_DEPTH, SA_ERR_ARGUMENT, "a node is too deep: its path, itself included, may be max_append tokens long")     \
    X(DRAFT_OPEN, SA_ERR_STATE, "a draft is open in a layer meant: sa_draft_accept ends it, with n = 0 too")           \
    X(PATH_LENGTH, SA_ERR_ARGUMENT, "n must be 0 .. max_append, and path is NULL only with n = 0")                     \
    X(PATH, SA_ERR_ARGUMENT,                                                                                           \
      "path must be nodes of the draft of every layer meant, the first's parent -1, each the next one's parent")       \
    X(BATCH_LENGTH, SA_ERR_ARGUMENT, "n must be 0 .. n_sequences")                                                     \
    X(BATCH_NULL, SA_ERR_ARGUMENT, "caches, or args or n_tokens, is NULL")                                             \
    X(BATCH_CACHE, SA_ERR_ARGUMENT, "a cache of the batch is NULL or not of this pool")                                \
    X(BATCH_TWICE, SA_ERR_ARGUMENT, "the cache stands in the batch twice")                                             \
    X(BATCH_LAYER, SA_ERR_ARGUMENT, "all calls of a batch must have the same layer")                                   \
    X(BATCH_TOKENS, SA_ERR_ARGUMENT,                                                                                   \
      "the batch has too many tokens for sa_batch_begin: max_append each, and the larger of that and n_sequences in "  \
      "all")                                                                                                           \
    X(SAVE_FROM, SA_ERR_ARGUMENT, "from must not be larger than tokens_seen of any layer")                             \
    X(SAVE_OUT, SA_ERR_ARGUMENT, "data, size_out or written_out is NULL")                                              \
    X(SAVE_ROOM, SA_ERR_BUFFER, "size is smaller than sa_cache_save_size says")                                        \
    X(SAVE_SIZE, SA_ERR_OVERFLOW, "the snapshot would be larger than memory can be")                                   \
    X(LOAD_DATA, SA_ERR_ARGUMENT, "data is NULL")                                                                      \
    X(LOAD_FOREIGN, SA_ERR_FORMAT, "the data is no snapshot: it does not begin as one")                                \
    X(LOAD_VERSION, SA_ERR_FORMAT, "the snapshot has a version that this library does not know")                       \
    X(LOAD_DAMAGED, SA_ERR_FORMAT, "the snapshot is damaged: its size or its checksum is not what it says")            \
    X(LOAD_FIELDS, SA_ERR_FORMAT, "the snapshot says what no cache can hold")                                          \
    X(LOAD_SECTION, SA_ERR_FORMAT, "the snapshot has a section that this library does not know and must not skip")     \
    X(LOAD_LAYERS, SA_ERR_CONFIG, "the snapshot has another number of layers")                                         \
    X(LOAD_LANES, SA_ERR_CONFIG,                                                                                       \
      "the snapshot has other kv heads of a layer keep the same tokens: head_sinks or head_windows differ")            \
    X(LOAD_GEOMETRY, SA_ERR_CONFIG,                                                                                    \
      "the snapshot is of another geometry: n_heads, n_kv_heads, head_dim, v_head_dim or n_sink_kv of a layer differ") \
    X(LOAD_DTYPES, SA_ERR_CONFIG, "the snapshot stores keys or values of a layer in another dtype")                    \
    X(LOAD_POSITION, SA_ERR_CONFIG,                                                                                    \
      "the snapshot is of another position scheme: position, position_mode, sink_kv_position, rope_* or alibi_slopes " \
      "of a layer differ")                                                                                             \
    X(LOAD_SOFTMAX, SA_ERR_CONFIG,                                                                                     \
      "the snapshot is of another softmax: scale, softcap or sink_logits of a layer differ")                           \
    X(LOAD_RULES, SA_ERR_CONFIG,                                                                                       \
      "the snapshot is of other rules: n_sink, n_recent, or whether a layer is dense, differ")                         \
    X(LOAD_LEARNED, SA_ERR_STATE,                                                                                      \
      "the snapshot was saved with other learned sink rows, with some or without: sa_set_sink_kv comes before "        \
      "loading")                                                                                                       \
    X(LOAD_WINDOW, SA_ERR_DEPTH,                                                                                       \
      "the snapshot lacks tokens that the next one would see here: this layer's window is larger than the saved one")  \
    X(LOAD_FULL, SA_ERR_FULL,                                                                                          \
      "the layer has no room for the snapshot's spans (config.n_spans), pinned tokens (config.n_pin) or, dense, "      \
      "tokens (window)")                                                                                               \
    X(LOAD_ROWS, SA_ERR_FULL, "the snapshot has more rows of the host than there is room for (config.n_rows)")         \
    X(LOAD_POOL, SA_ERR_POOL, "the pool has not as many free tiles as the snapshot needs")                             \
    X(LOAD_BASE, SA_ERR_DEPTH,                                                                                         \
      "the snapshot is of the tokens from a position on: each layer must have seen just those before, and hold those " \
      "of them that the snapshot lists")
#define SAI_ERROR_NAME(name, status, sentence) SAI_ERROR_##name,
typedef enum sai_error { SAI_ERRORS(SAI_ERROR_NAME) SAI_N_ERRORS } sai_error;
#undef SAI_ERROR_NAME
/* Ends a call that has the cache, or the pool, to itself: keeps the reason, and returns its status. */
static sa_status sai_error_keep(sa_cache *cache, sai_error error);
static sa_status sai_error_keep_pool(sa_pool *pool, sai_error error);
#endif
/* ---- lib/kernels/kernel.h ---- */
/* The contract between the cache and its kernels: a table of functions per instruction set.
 *
 * Kernels know no cache, no span and no position. They see tiles and rows:
 *   K tile    [dim][16 keys], V [key][dims padded to 16]; integers: see integer_tiles.h
 *   row       one query head of one token: dk floats of q, 256 scores, dv_pad sums
 *   chunk     256 keys whose stream positions share all but the low 8 bits
 * Every table computes the same bits: a score is one fused multiply-add chain over
 * each 256 dims, their sums added in order; a value sum is one chain over keys; lanes
 * are reduced in one fixed order.
 * Nothing outside the ranges described is read or written.
 */
#ifndef SAI_KERNEL_H
#define SAI_KERNEL_H
#include <stddef.h>
#include <stdint.h>
enum {
    SAI_CHAIN = 256,       /* dims of one chain of a score */
    SAI_CHUNK = 256,       /* keys per softmax chunk: scores of a few rows stay in L1 */
    SAI_CHUNK_TILES = 16,  /* of 16 keys each */
    SAI_STORED_DTYPES = 6, /* kernels are indexed by dtype number; 0 is unused */
    SAI_IO_DTYPES = 4,
    SAI_MOST_ROWS = 8 /* of any table */
};
/* How a dot product becomes a logit. */
typedef struct sai_logit {
    float scale;
    float softcap;          /* 0: none */
    const float *slopes;    /* (rows) ALiBi; NULL: none */
    const float *distances; /* (rows) with slopes: from the row's token to key 0 of the chunk */
    float step;             /* 1, or 0 where all keys are at one distance */
    const float *biases;    /* (256) added to every row's logits of a key: finite, or -infinity, which hides the key,
                               whatever its score is; NULL: none. With them there are no slopes */
} sai_logit;
/* What will be read after a call's tiles or keys: n more that are contiguous with them, then what begins at `at`. A
 * call of few rows is memory-bound: it prefetches the first of those while it processes its own last ones. */
typedef struct sai_following {
    int64_t n;
    const void *at;
} sai_following;
/* s[r][key] = <q[r], k[key]> for 1 <= rows <= table rows. q and s strides in floats. Where the keys are
 * integers, q is packed for them (integer_tiles.h). */
typedef void (*sai_score_fn)(int rows, const float *q, size_t q_stride, const void *k, int n_tiles, int dk,
                             const sai_following *next, float *s, size_t s_stride);
/* A chain over keys, in order, of p[r][key] * v[key] for dims [0, 16 n_blocks): it begins with acc[r] and ends there.
 * With keep, n_blocks <= blocks[rows], it begins with 0, and acc[r] <- keep[r] * acc[r] + chain + 0. That is never -0,
 * so keys of weight 0 before or after a row's own leave its bits alone, if their values are finite. v_stride in
 * elements. */
typedef void (*sai_value_fn)(int rows, const float *p, size_t p_stride, const void *v, size_t v_stride, int n_keys,
                             int n_blocks, const sai_following *next, const float *keep, float *acc, size_t acc_stride);
/* What value sums of integers are made of. A row's weights times the scales of a group are integers of 16 bits, the
 * greatest of the keys that it sees 127 * 256 + 127: their products with the values' codes are summed exactly over all
 * the chunk. What comes to acc is the sum times the greatest / (127 * 256 + 127), as above. */
typedef struct sai_int_values {
    const float *p;           /* (rows, 256) */
    const int *lo, *hi;       /* (rows) the keys that a row sees; lo >= hi: none */
    int first, end;           /* tiles that some row sees */
    const void *const *tiles; /* (end) V tiles of the chunk, from `first` on */
    int n_blocks;
    const float *keep; /* (rows) */
    float *acc;
    size_t acc_stride;
    float *scratch; /* (rows, sai_weight_words) */
} sai_int_values;
typedef void (*sai_int_value_fn)(int rows, const sai_int_values *values);
/* Memory to prefetch: kernels for many rows prefetch the line at `at` every few steps, and advance `at`. */
typedef struct sai_prefetch {
    const char *at, *end;
} sai_prefetch;
typedef struct sai_kernels {
    int32_t isa;
    int32_t rows;                      /* of one score or value call, where there are many */
    int32_t most_rows;                 /* that one call takes: all of a small group in one pass over K and V */
    int32_t blocks[SAI_MOST_ROWS + 1]; /* value blocks that so many rows can hold in registers */
    sai_score_fn score[SAI_STORED_DTYPES];
    sai_value_fn value[SAI_STORED_DTYPES];
    sai_int_value_fn int_value[SAI_STORED_DTYPES];
    /* Packs a rotated query for integer keys whose codes are stored with an offset (integer_tiles.h). Of x (dims padded
     * to 16) what lies beyond the dims does not matter. */
    void (*pack_query)(const float *x, int dims, int offset, int32_t *packed);
    /* score, and value with keep, for exactly `rows` rows, and for any n_blocks. What is not stored as f32 is written
     * to `wide` as f32, where it takes the place it has in k and v; else nothing is, and `wide` is what k or v is. */
    void (*score_many[SAI_IO_DTYPES])(const float *q, size_t q_stride, const void *k, float *wide, int n_tiles, int dk,
                                      float *s, size_t s_stride, sai_prefetch *prefetch);
    void (*value_many[SAI_IO_DTYPES])(const float *p, size_t p_stride, const void *v, float *wide, size_t v_stride,
                                      int n_keys, int n_blocks, const float *keep, float *acc, size_t acc_stride,
                                      sai_prefetch *prefetch);
    /* One more chunk, s (rows, 256), for the states (max, sum) of a few rows: scores of keys [lo[r], hi[r]) become
     * exp(logit - max), max now being the greatest of all, the other keys of the tiles touched 0; what the state
     * held before is to be multiplied by keep[r]. Without keys, lo[r] >= hi[r], nothing changes and keep[r] is 1.
     * Here max is in the units of the scores, unless softcap, slopes or biases are given: max * scale is the logit. A
     * state to which only hidden keys came keeps max -infinity and sum 0. */
    void (*softmax)(int rows, float *s, const int *lo, const int *hi, const sai_logit *logit, float *max, float *sum,
                    float *keep);
    /* Scores s (rows, 256) of keys [lo[r], hi[r]) become the keys' shares of rows whose softmax is finished:
     * exp(logit - max) * inverse, max being a logit. The other keys of the tiles touched get arbitrary numbers. */
    void (*shares)(int rows, float *s, const int *lo, const int *hi, const sai_logit *logit, const float *max,
                   const float *inverse);
    /* acc[0 .. n) <- keep * acc + chain + 0; n is a multiple of 16. */
    void (*fold)(int n, float *acc, float keep, const float *chain);
    /* (max, sum, acc (rows, n)) a <- a merged with b; n is a multiple of 16. b empty (sum 0) changes nothing. */
    void (*merge)(int rows, int n, float *max_a, float *sum_a, float *acc_a, const float *max_b, const float *sum_b,
                  const float *acc_b);
    /* acc[0 .. n) /= sum; sum 0 gives 0. */
    void (*divide)(int n, float *acc, float sum);
    /* exp(x) as softmax computes it. */
    float (*exponential)(float x);
    /* The sum of the squares of x[0 .. n); n is a multiple of 16. */
    float (*squares)(const float *x, int n);
    /* Rows of n elements from and to f32, for any n. */
    void (*load[SAI_IO_DTYPES])(const void *from, int n, float *to);
    void (*store[SAI_IO_DTYPES])(const float *from, int n, void *to);
    /* row[0 .. pairs) = factor * cos, row[pairs .. 2 pairs) = factor * sin of the phases at a position, which may be
     * "negative" (modulo 2^64); and a head vector x is rotated by such a row. */
    void (*rope_row)(const sai_rope *rope, const uint64_t *frequency, uint64_t position, float *row);
    void (*rope_rotate)(const sai_rope *rope, const float *row, float *x);
    /* Rotates a key or a query (dims) by a Hadamard matrix, block by block, so that their product stays: scaled by 1
     * / sqrt(n) each for a block of n = 4^i; else the key by sqrt(2 / n), the query by 1 / sqrt(2 n). Powers of two,
     * so exact. */
    void (*hadamard)(float *x, int dims, int is_query);
    /* Codes, more by `offset`, and scales (bfloat16) of a row: whole groups are written, with 0 for dims beyond the
     * last. A group with a number that is not finite has scale NaN and arbitrary codes. */
    void (*quantize[SAI_STORED_DTYPES])(const float *x, int dims, int offset, uint8_t *codes, uint16_t *scales);
} sai_kernels;
/* In one file the tables are static, and stand before dispatch.c, which names them. */
#ifdef SAI_ONE_FILE
#define SAI_TABLE static
#else
#define SAI_TABLE
extern const sai_kernels sai_kernels_plain;
extern const sai_kernels sai_kernels_plain_nofma;
extern const sai_kernels sai_kernels_avx2;
extern const sai_kernels sai_kernels_avx512;
extern const sai_kernels sai_kernels_avx512_vnni;
extern const sai_kernels sai_kernels_neon;
extern const sai_kernels sai_kernels_wasm;
extern const sai_kernels sai_kernels_wasm_relaxed;
extern const sai_kernels sai_kernels_rvv;
extern const sai_kernels sai_kernels_vsx;
extern const sai_kernels sai_kernels_vxe;
extern const sai_kernels sai_kernels_avx2_vnni;
extern const sai_kernels sai_kernels_neon_dot;
#endif
#if defined(__wasm_relaxed_simd__)
/* Whether this engine's relaxed multiply-add is fused. */
static int sai_wasm_relaxed_fuses(void);
#endif
/* The table of an instruction set that is available. Costs nothing. */
static const sai_kernels *sai_kernels_of(int32_t isa);
/* Whether this build and processor have it, and what SA_ISA_AUTO means here: SA_ISA_AUTO itself where none of the sets
 * of this build is available. Both query the processor. */
static int sai_isa_available(int32_t isa);
static int32_t sai_isa_best(void);
/* Whether this build has the kernels of a stored dtype (SA_NO_F16, SA_NO_BF16, SA_NO_INTEGERS). */
static int sai_dtype_built(int32_t dtype);
#endif
/* ---- lib/mass.h ---- */
/* What each key weighs in a call's softmaxes: a second pass over the keys, when these are finished.
 *
 * A layer's keys are listed as the host knows them: the sink logit where there is one, learned sink rows, the slots
 * for rows of the host, the positions held. What is in front of these has no position.
 */
#ifndef SAI_MASS_H
#define SAI_MASS_H
/* ---- lib/plan.h ---- */
/* Calls of one sequence or of many, cut into units of work.
 *
 * The keys that a call sees are a list of parts: learned sink rows, rows of the host, then the spans of the sequence;
 * where newest tokens are stored a second time, a span is two parts. Each part is cut into blocks at multiples of
 * 2^block_bits. A row's state over a block is the merge, in order, of its states over the block's chunks; its result
 * the merge, in order, of the states of all blocks. That order is all that decides the bits. Who works a block, and
 * beside which other rows, is free: a unit is some rows of a kv head times all blocks or some (Flash-Decoding's split,
 * fixed by position).
 */
#ifndef SAI_PLAN_H
#define SAI_PLAN_H
/* ---- lib/rotations.h ---- */
/* Rows of cos and sin that calls need, kept from layer to layer.
 *
 */
#ifndef SAI_ROTATIONS_H
#define SAI_ROTATIONS_H
/* Rows for positions first, first + step, ... (n of them; modulo 2^64): step 1 or -1, or 0, where one row does. */
typedef struct sai_rotations {
    int32_t rope_id, n, step;
    uint64_t first;
} sai_rotations;
/* The row of the table where such rows begin. Those that are not there are made; -1 if they have no room beside all
 * that were made since the last sai_rotations_clear, which forgets all rows. */
static int32_t sai_rotations_take(sa_pool *pool, const sai_layer *layer, const sai_rotations *rows);
static void sai_rotations_clear(sa_pool *pool);
static inline const float *sai_rotation(const sa_pool *pool, int64_t row) {
    return (const float *)sai_at(pool, pool->work.rotations_at) + row * pool->work.rotation_stride;
}
#endif
/* ---- lib/sequence.h ---- */
/* A sequence: per lane of a layer, spans and the tiles that hold them. Whatever changes both, changes them here.
 *
 */
#ifndef SAI_SEQUENCE_H
#define SAI_SEQUENCE_H
/* ---- lib/held.h ---- */
/* Which tiles of 16 positions a list of spans touches, and with which of their positions.
 *
 */
#ifndef SAI_HELD_H
#define SAI_HELD_H
/* A walk over the tiles of one store, in the order of their numbers. */
typedef struct sai_held {
    const sai_span *list;
    int32_t n, store;
    uint64_t from; /* positions below do not count */
    int32_t i;     /* the span that comes next, and */
    uint64_t tile; /* the least tile that is left of it */
    /* What sai_held_next found. */
    uint64_t number;
    uint32_t lanes; /* bit p % 16 of each position p that is held */
} sai_held;
/* Of a list of n spans whose second copy begins at recent_from. */
static sai_held sai_held_begin(const sai_span *list, int32_t n, uint64_t recent_from, int32_t store, uint64_t from);
/* Goes to the next tile; 0 if there is none. */
static int sai_held_next(sai_held *h);
/* How many tiles the walk has. Counts spans, not tiles: they may be any number. */
static uint64_t sai_held_count(const sai_held *h);
#endif
/* ---- lib/nodes.h ---- */
/* The nodes of a draft: tokens that may become a stream's next ones. Who is whose parent, and the tiles that hold them.
 *
 * A node's number takes the place of a position: node i is stored in the draft's tile i / 16. Its key is rotated to
 * where it would stand, so its bytes are those that it would have in the stream, and only need to be copied there.
 */
#ifndef SAI_NODES_H
#define SAI_NODES_H
typedef struct sai_nodes {
    int32_t n; /* nodes drafted; 0: no draft is open */
    int32_t most;
    sai_table tables[SAI_NODE_STORES]; /* offsets from here */
    int32_t list[];                    /* parents (most), depths (most); tiles */
} sai_nodes;
/* A node's parent, -1: the stream's newest token; and how many nodes are above it. */
static inline int32_t *sai_nodes_parents(sai_nodes *nodes) { return nodes->list; }
static inline int32_t *sai_nodes_depths(sai_nodes *nodes) { return nodes->list + nodes->most; }
/* Tiles for so many nodes, and bytes of a layer's part of a sequence. */
static inline uint64_t sai_nodes_most_tiles(int32_t most) { return ((uint64_t)most + 15) / 16; }
static uint64_t sai_nodes_size(int32_t most);
/* Makes an empty draft of a layer; `index` is that of the sequence. */
static void sai_nodes_build(sai_nodes *nodes, const sai_layer *layer, int32_t index);
static sai_tiles sai_nodes_tiles(void *block, sai_layer *layer, sai_nodes *nodes, int32_t store);
/* Adds n nodes, whose parents and depths have been written behind those that there are. */
static void sai_nodes_add(void *block, sai_layer *layer, sai_nodes *nodes, int32_t n);
static void sai_nodes_drop(void *block, sai_layer *layer, sai_nodes *nodes);
/* Makes an equal of a draft in another sequence, whose own is empty. */
static void sai_nodes_fork(void *block, sai_layer *layer, sai_nodes *from, sai_nodes *to);
#endif
/* ---- lib/rows.h ---- */
/* Rows of the host: keys and values that are no tokens, and that every query sees.
 *
 * A sequence has n_rows slots a layer, in tiles as tokens are: slot i is number i % 16 of tile i / 16 of its table,
 * which holds all tiles from the first to the last that was ever needed. Beside each tile stands what the host says of
 * its rows, so that forks share and copy both together. A row is of one of two kinds, and each kind is a part of the
 * plan: a query is rotated once for a part. Both look at the same tiles, and in either the rows of the other kind are
 * hidden. Learned sink rows are the plain case: in front, without a bias, never replaced, the same for all sequences.
 */
#ifndef SAI_ROWS_H
#define SAI_ROWS_H
/* What a row's place means: counted in the cache from the first token on, or from the query on. */
enum { SAI_ROWS_IN_FRONT, SAI_ROWS_AT_DISTANCE, SAI_ROW_KINDS };
/* What stands beside the 16 rows of a tile, for each kv head. */
typedef struct sai_row_facts {
    float bias[SAI_ROW_KINDS][16]; /* of the logit; -infinity: no row of that kind is there */
    int64_t place[16];             /* the distance to a query is the query's place less this */
} sai_row_facts;
/* The rows of one lane of a sequence. */
typedef struct sai_rows {
    sai_table table;
    sai_range used[SAI_ROW_KINDS]; /* slots from the first row of that kind to the last */
} sai_rows;
/* Rows that the host hands in for slots [first, first + n) of some kv heads; k.data NULL takes rows away. */
typedef struct sai_rows_given {
    sai_view k, v;
    const int64_t *places; /* (n, n_heads), or NULL: 0 */
    const float *biases;   /* likewise */
    int32_t first, n, kind;
    int32_t head, n_heads; /* of the host's numbering */
} sai_rows_given;
/* Tiles that the rows of one sequence can take. */
static inline uint64_t sai_rows_tiles(const sai_layer *l) { return ((uint64_t)l->n_rows + 15) / 16; }
/* The slot behind the last row. */
static uint64_t sai_rows_end(const sai_rows *rows);
/* The facts of tile 0 of the arena, of a kv head. */
static sai_row_facts *sai_rows_facts(const sa_pool *pool, const sai_layer *layer, int32_t kv_head);
/* The biases of a tile's rows of one kind; with a slope, less what ALiBi takes at a query's place. */
static void sai_rows_biases(const sai_row_facts *facts, int kind, float slope, int64_t query_place, float *biases);
/* Replaces rows of a lane of a sequence; there is always a free tile for that. */
static void sai_rows_set(const sa_pool *pool, const sai_layer *layer, const sai_tiles *tiles, sai_rows *rows,
                  const sai_rows_given *given);
/* Fills a lane's learned sink rows. */
static void sai_rows_learn(const sa_pool *pool, sai_layer *layer, const sai_view *k, const sai_view *v);
#endif
/* One lane of a sequence, with the addresses of what it is made of. */
typedef struct sai_state {
    sa_pool *pool;
    sai_layer *layer;
    sai_spans *spans;
    sai_tiles tiles[SAI_STORES];
    sai_rows *rows;   /* with n_rows */
    sai_nodes *nodes; /* of its draft; NULL: there are no drafts */
} sai_state;
/* `lane` counts those of all layers: see sai_first_lane. */
static void sai_lane_look_up(const sa_cache *cache, int32_t lane, sai_state *state);
static inline sai_state sai_lane_state(const sa_cache *cache, int32_t lane) {
    sai_state s;
    sai_lane_look_up(cache, lane, &s);
    return s;
}
/* The lane of a layer that has the host's kv head. */
static int32_t sai_lane_with(const sa_pool *pool, int32_t layer, int32_t kv_head);
/* The tiles of the layer's rows of the host, with n_rows. */
static sai_tiles sai_state_rows(const sai_state *s);
/* Tiles that one sequence can have of a store at most. */
static uint64_t sai_sequence_most_tiles(const sai_rules *rules, int32_t store);
/* Sets the places of a lane's part in every sequence, from byte `at` on; returns where it ends. Then makes that part's
 * empty tables. */
static uint64_t sai_sequence_place(sai_layer *layer, uint64_t at);
static void sai_sequence_tables(const sa_cache *cache, const sai_layer *layer);
/* Makes an open, empty sequence of what is free; `index` says where its tiles should begin. */
static void sai_sequence_open(sa_cache *cache, int32_t index);
/* Gives back all tiles. */
static void sai_sequence_close(sa_cache *cache);
/* Makes `to` an equal of an open sequence. */
static void sai_sequence_fork(const sa_cache *from, sa_cache *to);
/* Whether n tokens may be appended, `piece` at a time, when `claimed` tiles of the lane's main store are spoken for
 * already; adds those of this call. SA_SUCCESS, SA_ERR_FULL, SA_ERR_OVERFLOW, SA_ERR_POOL. */
static sa_status sai_state_can_append(const sai_state *s, uint64_t n, uint64_t piece, int64_t *claimed);
/* Evicts what n <= max_append more tokens leave behind, and gives the lane their tiles and positions. */
static void sai_state_append(const sai_state *s, uint64_t n);
static void sai_state_drop_draft(const sai_state *s);
/* How many tokens the layer holds after that. */
static uint64_t sai_state_held_after(const sai_state *s, uint64_t n);
static void sai_state_reset(const sai_state *s);
static void sai_state_truncate(const sai_state *s, uint64_t target);
static void sai_state_jump(const sai_state *s, uint64_t position);
/* When the spans have become others, of which positions from `from` on are new: whether a sequence and its pool have
 * tiles for them, SA_SUCCESS, SA_ERR_FULL or SA_ERR_POOL; and gives them theirs. What lies there is left to the caller;
 * tokens before `from` stay. */
static sa_status sai_state_can_replace(const sai_state *s, uint64_t from);
static void sai_state_replace(const sai_state *s, uint64_t from);
/* The walk over the tiles of a store that hold tokens from `from` on. */
static sai_held sai_state_held(const sai_state *s, int32_t store, uint64_t from);
/* A change of a lane's spans: `how` it is made. Of SA_ERR_* nothing has changed. */
typedef enum sai_change { SAI_REMOVE_CLOSE, SAI_REMOVE_KEEP, SAI_PIN, SAI_UNPIN, SAI_ANCHOR } sai_change;
/* Whether the change can be made; leaves all as it was. */
static sa_status sai_state_can_change(const sai_state *s, sai_change how, uint64_t from, uint64_t end);
static void sai_state_change(const sai_state *s, sai_change how, uint64_t from, uint64_t end);
#endif
/* What a host wants of one layer of a sequence, or of one lane of it; every pointer but those of the views in use may
 * be NULL. Row (i, h) of the (tokens, heads) arrays belongs to token i of the views. */
typedef struct sai_call {
    sai_view k, v, q, out;
    float *lse, *sink_mass, *partial_max, *partial_sum;
    float *key_mass, *value_norms; /* (heads, key_stride) and (n_kv_heads, key_stride) */
    int64_t key_stride;
    int32_t mass_per_head; /* heads: the query heads, not the kv heads */
    int32_t wants_keys;    /* either array is wanted */
    int64_t from;          /* the first token of the views that is worked now */
    int32_t n;             /* tokens, <= max_append */
    int32_t appends, attends;
    uint64_t first;     /* stream position of token `from` */
    uint64_t window;    /* of a narrower view; 0: the lane's */
    int64_t view_sinks; /* sink tokens of a narrower view; -1: the lane's */
    int32_t is_draft;   /* the tokens are nodes of a draft, */
    int32_t node;       /* from this one on */
} sai_call;
/* A call of a batch, the first lane that it is about, and how many of its tokens have become jobs. */
typedef struct sai_batch_call {
    const sa_cache *cache;
    sai_state state;
    sai_call call;
    int64_t done;
} sai_batch_call;
enum { SAI_PART_WHOLE, SAI_PART_OLD, SAI_PART_NEWEST };
/* Learned sink rows, and those of the host: these are listed in the order of their kinds (rows.h). */
enum { SAI_PART_LEARNED = -1, SAI_PART_IN_FRONT = -2, SAI_PART_AT_DISTANCE = -3 };
static inline int32_t sai_part_kind(int32_t span) { return SAI_PART_IN_FRONT - span; }
typedef struct sai_part {
    int32_t span;   /* of the sight, or one of the SAI_PART_* below 0, which are no tokens */
    int32_t extent; /* SAI_PART_* */
    int32_t is_sink;
    int32_t n_blocks;
    uint64_t first_block; /* in blocks of positions */
    sai_range reach;      /* what the rows see together: from that of the first to that of the last */
    uint64_t place[2]; /* of the first token's queries and the last one's: the distance to a key is place - position */
    const sai_arena *arena;
    const uint32_t *map; /* tiles, from that of number map_first on */
    uint64_t map_first;
    int32_t row, row_step; /* of the pool's rotations: that of token i is row + i * row_step */
    uint64_t tail;         /* keys from this multiple of 256 on differ from node to node; UINT64_MAX: none do */
} sai_part;
/* A part's row, if queries are not rotated for it; and if each worker works the rotations out for itself. */
enum { SAI_ROW_NONE = -1, SAI_ROW_UNEVEN = -2 };
typedef struct sai_job {
    sai_call call;
    sai_state state;
    const sai_kernels *kernels;
    sai_sight sight;
    sai_place places[2];   /* of the first token and the last; of nodes, the least deep and the deepest */
    int32_t apart;         /* positions between the two */
    int32_t least;         /* depth of the least deep node */
    const int32_t *depths; /* (n) of nodes; NULL: tokens stand one after the other */
    sai_part *parts;
    int32_t n_parts, all_blocks;
    int32_t rows;                /* of a kv head: tokens times group */
    int32_t panel, n_panels;     /* rows of a panel, panels of a kv head */
    int32_t segment, n_segments; /* blocks of a segment, segments; 1 segment: not split */
    int32_t stores_by_head;      /* the units store the tokens, each those of its kv head */
    int32_t keys_row;            /* of the pool's rotations: that of the first token's key, or -1 */
    uint64_t split_at;           /* floats: where its split states begin */
    uint64_t kept_at;            /* floats: where the ends of its rows' softmaxes are kept for a second pass */
} sai_job;
/* Rows [row, row + n) of a kv head of a job, over the blocks [block, block_end) of all. */
typedef struct sai_unit {
    sai_job *job;
    const sai_job *next; /* what is read after it, with its kv head; NULL: nothing is known */
    int32_t next_head;
    int32_t kv_head, row, n;
    int32_t block, block_end;
    int32_t host_head; /* the kv head's number in the host's tensors */
} sai_unit;
/* Most rows of a call whose keys are split over threads, and most blocks that a row of it sees. */
static uint64_t sai_split_rows(int32_t n_threads);
static uint64_t sai_most_blocks(const sai_layer *layer);
/* The window of a call's narrower view, in a lane whose own may be narrower still; 0: the lane's. */
static inline uint64_t sai_view_window(const sai_call *call, const sai_rules *rules) {
    return call->window < rules->window || rules->is_dense ? call->window : rules->window;
}
/* Jobs of the pool's workspace. */
static inline sai_job *sai_jobs(const sa_pool *pool) { return (sai_job *)sai_at(pool, pool->work.jobs_at); }
/* Plans job `index` of the pool's workspace, whose state and call are set; its tokens, if it appends, are in the spans
 * already. */
static void sai_plan_job(sa_pool *pool, int32_t index);
/* Cuts the workspace's first n jobs into units, and works out the rotations that they need. */
static void sai_plan_cut(sa_pool *pool, int32_t n_jobs);
/* How many units there are, and phases: 1, 2 where states are merged at the end, or 3 where keys are weighed then. */
static int64_t sai_plan_units(const sa_pool *pool, int32_t n_jobs);
static int32_t sai_plan_phases(const sa_pool *pool, int32_t n_jobs);
/* Unit `index` of a job. */
static sai_unit sai_plan_unit(const sa_pool *pool, int32_t n_jobs, int32_t job, int32_t index);
/* What a job's first units cost, in multiplications: all of it with index = its number of units. */
static inline int32_t sai_job_units(const sai_job *job) {
    return job->call.attends ? job->state.layer->n_kv_heads * job->n_panels * job->n_segments : 0;
}
static double sai_plan_cost(const sai_job *job, int32_t index);
/* ---------------------------------- rows ---------------------------------- */
/* The token of a row of a kv head, and its query head in the host's tensors: without a division for a single token. */
static inline int32_t sai_row_token(const sai_job *job, int32_t row) {
    return job->call.n == 1 ? 0 : row / job->state.layer->group;
}
static inline int32_t sai_row_head(const sai_unit *unit, int32_t row) {
    int32_t group = unit->job->state.layer->group;
    return unit->host_head * group + (unit->job->call.n == 1 ? row : row % group);
}
/* How far behind call.first it stands. */
static inline int32_t sai_token_step(const sai_job *job, int32_t token) {
    return job->depths ? job->depths[token] - job->least : token;
}
static inline sai_place sai_token_place(const sai_job *job, int32_t token) {
    return sai_place_of(&job->sight, job->call.first + (uint64_t)sai_token_step(job, token));
}
/* What a query there sees of a part. */
static sai_range sai_part_visible(const sai_job *job, const sai_part *part, sai_place at);
/* The place of the query for the part's keys: their distance is place - position. */
static uint64_t sai_part_place(const sai_job *job, const sai_part *part, sai_place at);
#endif
/* How many entries of the list stand before the positions, and how many there are at most. */
static uint64_t sai_mass_front(const sai_layer *layer);
static uint64_t sai_mass_most(const sai_layer *layer);
/* Before the workspace's first n jobs run: nothing weighs anything yet. */
static void sai_mass_begin(const sa_pool *pool, int32_t n_jobs);
/* Keeps the end of a row's softmax: the greatest logit and the sum of exp(logit - max). */
static void sai_mass_keep(const sai_job *job, int32_t kv_head, int32_t row, float max, float sum);
/* What worker `worker` of n_workers does when all rows of the jobs are finished. */
static void sai_mass_part(const sa_pool *pool, int32_t n_jobs, int32_t worker, int32_t n_workers);
#endif
/* The size of the first version. New fields come behind; this stays. */
#define API_FIRST_INFO (offsetof(sa_cache_facts, keys_most) + sizeof(uint64_t))
/* ---------------------------------- facts --------------------------------- */
#define API_STRING2(x) #x
#define API_STRING(x) API_STRING2(x)
int32_t sa_version(void) { return SA_VERSION_NUMBER; }
const char *sa_version_string(void) {
    return API_STRING(SA_VERSION_MAJOR) "." API_STRING(SA_VERSION_MINOR) "." API_STRING(SA_VERSION_PATCH);
}
const char *sa_status_string(sa_status status) {
    switch (status) {
    case SA_SUCCESS:
        return "success";
    case SA_ERR_ARGUMENT:
        return "an argument is NULL, negative or out of range";
    case SA_ERR_CONFIG:
        return "the configuration is refused; sa_config_check says why";
    case SA_ERR_STRUCT_SIZE:
        return "struct_size is too small, or fields that this library does not know are set";
    case SA_ERR_MEMORY:
        return "the allocator returned no memory";
    case SA_ERR_BUFFER:
        return "the memory block is smaller than is needed";
    case SA_ERR_ALIGNMENT:
        return "a pointer or stride is not aligned as required";
    case SA_ERR_ISA:
        return "the instruction set is not available here";
    case SA_ERR_FORMAT:
        return "the data is not a snapshot, damaged, or of an unknown version";
    case SA_ERR_STATE:
        return "the layer's learned sink rows have not been set, no step has begun, or the sequence is closed";
    case SA_ERR_OVERFLOW:
        return "a size does not fit memory, or a position is 2^62 or more";
    case SA_ERR_FULL:
        return "the dense layer is full, or a layer has no room for more spans or pinned tokens";
    case SA_ERR_DEPTH:
        return "the cache does not hold the tokens that this needs";
    case SA_ERR_POOL:
        return "the pool has no free tile or no free sequence";
    default:
        return "unknown status";
    }
}
int32_t sa_isa_best(void) { return sai_isa_best(); }
int32_t sa_isa_available(int32_t isa) { return sai_isa_available(isa); }
const char *sa_isa_name(int32_t isa) {
    static const char *const names[] = {"auto", "plain",       "plain-nofma",  "avx2",    "avx512",
                                        "neon", "wasm",        "wasm-relaxed", "rvv",     "vsx",
                                        "vxe",  "avx512-vnni", "avx2-vnni",    "neon-dot"};
    return isa >= 0 && isa < (int32_t)(sizeof names / sizeof *names) ? names[isa] : "unknown";
}
/* -------------------------------- lifetime -------------------------------- */
sa_status sa_config_check(const sa_config *config, const char **why_out, int32_t *layer_out) {
    sai_verdict verdict = {"config is NULL", -1};
    size_t size;
    sa_status status = config ? sai_layout_size(config, &size, &verdict) : SA_ERR_ARGUMENT;
    if (why_out) *why_out = verdict.why;
    if (layer_out) *layer_out = verdict.layer;
    return status;
}
sa_status sa_cache_size(const sa_config *config, size_t *size_out, size_t *alignment_out) {
    return sa_pool_size(config, size_out, alignment_out);
}
/* A cache of its own is the one sequence of a pool. */
static sa_status api_open(sa_pool *pool, sa_cache **cache_out) {
    sa_status status = sa_pool_open(pool, cache_out);
    if (!status) (*cache_out)->is_alone = 1;
    return status;
}
/* Whether the config is one of a single sequence: more are a pool's. */
static sa_status api_is_single(const sa_config *config) {
    sa_config whole;
    sai_verdict verdict;
    sa_status status = sa_config_check(config, NULL, NULL);
    if (!status) status = sai_config_cache(config, &whole, &verdict);
    return status || whole.n_sequences == 1 ? status : SA_ERR_CONFIG;
}
sa_status sa_cache_init(void *memory, size_t size, const sa_config *config, sa_cache **cache_out) {
    sa_pool *pool;
    if (cache_out) *cache_out = NULL;
    if (!memory || !config || !cache_out) return SA_ERR_ARGUMENT;
    sa_status status = api_is_single(config);
    if (!status) status = sa_pool_init(memory, size, config, &pool);
    return status ? status : api_open(pool, cache_out);
}
sa_status sa_cache_create(const sa_config *config, const sa_allocator *allocator, sa_cache **cache_out) {
    sa_pool *pool;
    if (cache_out) *cache_out = NULL;
    if (!config || !cache_out) return SA_ERR_ARGUMENT;
    sa_status status = api_is_single(config);
    if (!status) status = sa_pool_create(config, allocator, &pool);
    return status ? status : api_open(pool, cache_out);
}
void sa_cache_destroy(sa_cache *cache) {
    if (!cache) return;
    if (cache->is_alone)
        sa_pool_destroy(sai_pool_of(cache));
    else if (cache->is_open)
        sai_sequence_close(cache);
}
/* ---------------------------------- facts --------------------------------- */
static uint64_t api_kv_size(const sai_layer *l) {
    uint64_t size = (uint64_t)(l->learned.k_head + l->learned.v_head);
    size += (uint64_t)(l->rows.k_head + l->rows.v_head + l->rows.beside_head);
    for (int i = 0; i < SAI_STORES; i++) size += (uint64_t)(l->arenas[i].k_head + l->arenas[i].v_head);
    for (int i = 0; i < SAI_NODE_STORES; i++) size += (uint64_t)(l->drafts[i].k_head + l->drafts[i].v_head);
    return size * (uint64_t)l->n_kv_heads;
}
static uint64_t api_max(uint64_t a, uint64_t b) { return a > b ? a : b; }
/* Adds what a lane holds to the facts of its layer. */
static void api_add_lane(const sa_cache *cache, int32_t lane, sa_cache_facts *info) {
    sai_state state = sai_lane_state(cache, lane);
    sai_sight sight = sai_sight_of(&state.layer->rules, state.spans);
    uint64_t back = state.spans->seen - sai_spans_lowest_target(&state.layer->rules, state.spans);
    info->tokens_seen = state.spans->seen;
    info->tokens_held = api_max(info->tokens_held, sai_tokens_held(state.spans));
    info->positions_held = api_max(info->positions_held, sai_tokens_visible(&sight));
    if (back < info->rollback_now) info->rollback_now = back;
    info->kv_size += api_kv_size(state.layer);
    info->keys_in_front = sai_mass_front(state.layer);
    info->keys_most = api_max(info->keys_most, sai_mass_most(state.layer));
    if (state.layer->n_rows) info->rows_used = api_max(info->rows_used, sai_rows_end(state.rows));
    info->n_lanes++;
    info->n_draft = state.nodes ? state.nodes->n : 0;
}
sa_status sa_cache_info(const sa_cache *cache, int32_t layer, sa_cache_facts *info_out) {
    if (!cache || !info_out || layer < 0 || layer >= sai_pool_of(cache)->n_layers) return SA_ERR_ARGUMENT;
    if (!cache->is_open) return SA_ERR_STATE;
    uint32_t size = info_out->struct_size;
    if (size < API_FIRST_INFO || size > 4096 || size % 4) return SA_ERR_STRUCT_SIZE;
    const sa_pool *pool = sai_pool_of(cache);
    sa_cache_facts info;
    memset(&info, 0, sizeof info);
    info.struct_size = size;
    info.isa = pool->isa;
    info.cache_size = pool->size;
    info.n_threads = pool->n_threads;
    info.max_append = pool->max_append;
    info.rollback_now = UINT64_MAX;
    for (int32_t l = sai_first_lane(pool, layer); l < sai_first_lane(pool, layer + 1); l++)
        api_add_lane(cache, l, &info);
    memset(info_out, 0, size);
    memcpy(info_out, &info, size < sizeof info ? size : sizeof info);
    return SA_SUCCESS;
}
/* ---- lib/append.c ---- */
/* Takes the host's keys and values in: to f32, rotated to their position, stored.
 *
 * A key is rotated once, at its position in the stream, and never touched again: what later moves relative to the
 * queries (sinks, pins, what comes after a removed range) is met by rotating the query.
 */
/* ---- lib/append.h ---- */
/* Takes the host's keys and values in: to f32, rotated to their position, stored.
 *
 */
#ifndef SAI_APPEND_H
#define SAI_APPEND_H
/* Stores the tokens of a job for one kv head, by any thread with a scratch of its own. */
static void sai_append_head(const sai_job *job, int32_t kv_head, const sai_scratch *scratch);
/* Prefetches the lines that a kv head's first token goes to. */
static void sai_append_prefetch(const sai_job *job, int32_t kv_head);
/* Stores the tokens of those of the workspace's first n jobs that append and whose units do not store them: by as many
 * threads as that pays for, or by the calling one. */
static void sai_append_all(const sa_pool *pool, int32_t n_jobs, int may_share);
#endif
/* ---- lib/kernels/compiler.h ---- */
/* What a kernel needs of the compiler beyond C.
 *
 */
#ifndef SAI_COMPILER_H
#define SAI_COMPILER_H
#include <stddef.h>
/* With a sanitizer in every operation, compilers take minutes over what is unrolled. GCC says so of some of them only;
 * for the others, define SAI_NO_UNROLL. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SAI_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SAI_SANITIZED
#endif
#if defined(SAI_SANITIZED) && !defined(SAI_NO_UNROLL)
#define SAI_NO_UNROLL
#endif
/* Unrolls a loop of constant length, so that an array of accumulators becomes registers. */
#if defined(SAI_NO_UNROLL)
#define SAI_UNROLL_FULLY
#elif defined(__clang__)
#define SAI_UNROLL_FULLY _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define SAI_UNROLL_FULLY _Pragma("GCC unroll 64")
#else
#define SAI_UNROLL_FULLY
#endif
/* Leaves a loop as it is, where unrolling would take the registers of its accumulators. */
#if defined(__clang__)
#define SAI_ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define SAI_ROLLED _Pragma("GCC unroll 1")
#else
#define SAI_ROLLED
#endif
/* Unrolls a few steps that all use the same accumulators. Not with clang: it would read the operands of all steps
 * before it multiplies those of the first, has too few registers for them, and takes twice as long. */
#if defined(__clang__)
#define SAI_UNROLL_STEPS SAI_ROLLED
#else
#define SAI_UNROLL_STEPS SAI_UNROLL_FULLY
#endif
/* Fused multiply-add of vectors of GNU C (vec_gnu.h). Not defined: no such thing here. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_elementwise_fma)
#define SAI_FMA_VECTOR(a, b, c) __builtin_elementwise_fma(a, b, c)
#endif
#endif
#if !defined(SAI_FMA_VECTOR) && defined(__GNUC__) && !defined(__clang__)
#if defined(__VSX__)
#define SAI_FMA_VECTOR(a, b, c) __builtin_vsx_xvmaddsp(a, b, c)
#elif defined(__s390x__)
#define SAI_FMA_VECTOR(a, b, c) __builtin_s390_vfmasb(a, b, c)
#endif
#endif
/* Clang before 15 merges a load of 16 halves with their conversion to f32 into 16 loads of one half each, which is five
 * times slower. An empty statement that may change the register keeps the two apart. The register class is "x" or "v"
 * (the one that AVX-512 adds registers to). */
#if defined(__clang__) && __clang_major__ < 15
#define SAI_KEEP_LOAD(register_class, x) __asm__("" : "+" register_class(x))
#else
#define SAI_KEEP_LOAD(register_class, x) ((void)0)
#endif
#if defined(__GNUC__)
#define SAI_KEEP_ORDER() __asm__ volatile("" ::: "memory") /* loads and prefetches keep their order across it */
#define SAI_INLINE_ALWAYS static inline __attribute__((always_inline))
#define SAI_PREFETCH(p) __builtin_prefetch(p)
#define SAI_PREFETCH_FAR(p) __builtin_prefetch(p, 0, 2) /* not into the first cache */
#else
#define SAI_INLINE_ALWAYS static inline
#define SAI_PREFETCH(p) ((void)(p))
#define SAI_PREFETCH_FAR(p) ((void)(p))
#define SAI_KEEP_ORDER() ((void)0)
#endif
/* Prefetches the lines of some bytes. Always inlined: GCC takes a function that only prefetches for one without effect,
 * and drops its calls. */
SAI_INLINE_ALWAYS void sai_prefetch_lines(const char *p, size_t size) {
    for (size_t at = 0; at < size; at += 64) SAI_PREFETCH(p + at);
}
/* Copies 16 bytes to an address that is a multiple of 16, past the caches where the compiler's processor always can;
 * sai_stream_end before other threads may see them. */
#if defined(__SSE2__)
#include <emmintrin.h>
static inline void sai_stream16(void *to, const void *from) {
    _mm_stream_si128((__m128i *)to, _mm_loadu_si128((const __m128i *)from));
}
static inline void sai_stream_end(void) { _mm_sfence(); }
#else
#include <string.h>
static inline void sai_stream16(void *to, const void *from) { memcpy(to, from, 16); }
static inline void sai_stream_end(void) {}
#endif
#endif
/* ---- lib/integers.h ---- */
/* Which dtypes are integers.
 *
 */
#ifndef SAI_INTEGERS_H
#define SAI_INTEGERS_H
#include <stddef.h>
#include <stdint.h>
static inline int sai_is_integer(int32_t dtype) { return dtype == SA_I8 || dtype == SA_I4; }
/* Codes are stored unsigned, with this added. */
static inline int sai_offset(int32_t dtype) { return dtype == SA_I8 ? 128 : 8; }
#endif
/* ---- lib/parallel.h ---- */
/* Runs a few tasks: in this thread, on the host's pool, or with OpenMP.
 *
 */
#ifndef SAI_PARALLEL_H
#define SAI_PARALLEL_H
/* 1 if this library can start threads of its own (OpenMP), when config.n_threads asks for them. */
static int sai_have_openmp(void);
/* task(context, i) for i in [0, n): on the pool if there is one, else with OpenMP, else here. */
static void sai_parallel(sa_parallel_for pool, void *pool_context, int32_t n, sa_task task, void *context);
#endif
/* ---- lib/store.h ---- */
/* Writes keys and values of each dtype into tiles, and reads them back.
 *
 */
#ifndef SAI_STORE_H
#define SAI_STORE_H
#include <stddef.h>
#include <stdint.h>
/* Bytes of a tile of 16 keys or values of a stored dtype. */
static size_t sai_key_tile(int32_t dtype, int32_t dk);
static size_t sai_value_tile(int32_t dtype, int32_t dv_pad);
/* Bytes from a tile's start to its value number `lane`: 0 for integers, whose values lie interleaved. */
static size_t sai_value_in_tile(int32_t dtype, int32_t dv_pad, int lane);
/* Writes a key (dk) or a value (dv) of one kv head to number `lane` of a tile. A key stored as integers is changed. */
static void sai_store_key(const sai_kernels *kernels, int32_t dtype, char *tile, int lane, int32_t dk, float *key);
static void sai_store_value(const sai_kernels *kernels, int32_t dtype, char *tile, int lane, int32_t dv, const float *value);
/* Reads them back as f32: a key turned back, where its dtype had it rotated by a Hadamard matrix. */
static void sai_fetch_key(const sai_kernels *kernels, int32_t dtype, const char *tile, int lane, int32_t dk, float *key);
static void sai_fetch_value(const sai_kernels *kernels, int32_t dtype, const char *tile, int lane, int32_t dv, float *value);
/* How a tile lies in memory, for those who move tokens without knowing what they mean. */
typedef struct sai_tile_form {
    int32_t dtype, dims, is_value;
    size_t size;
} sai_tile_form;
static sai_tile_form sai_key_form(int32_t dtype, int32_t dk);
static sai_tile_form sai_value_form(int32_t dtype, int32_t dv_pad);
/* Clears the tokens of a tile that are not in `lanes` (bit i: token i of 16); copies those that are. */
static void sai_tile_keep(const sai_tile_form *form, char *tile, uint32_t lanes);
static void sai_tile_copy(const sai_tile_form *form, char *tile, const char *from, uint32_t lanes);
/* Turns the order of bytes in every number round. Codes of integers are bytes, and stay. */
static void sai_tile_swap(const sai_tile_form *form, char *tile);
/* Copies the key and the value of a position to another one, of tiles of the same kv head and the same dtypes, bit by
 * bit. */
static void sai_store_copy(const sai_layer *layer, const sai_run *from, uint64_t from_position, const sai_run *to,
                    uint64_t to_position);
#endif
/* Keys or values of consecutive positions of one kv head: where they come from and where they go. */
typedef struct append_rows {
    const sai_view *from;
    int64_t token;        /* of the view, */
    int32_t host_head, n; /* and kv head of it */
    uint64_t first;       /* position, and number in its tile, of the first */
    char *tile, *copy;    /* in the store, and in that of the newest tokens or NULL; positions share one tile */
} append_rows;
/* `rotation`: of the first key, and behind it those of the others; or NULL. */
static void append_keys(const sai_job *job, const append_rows *r, int32_t dtype, int32_t copy_dtype,
                        const float *rotation, const sai_scratch *s) {
    const sai_layer *l = job->state.layer;
    for (int32_t i = 0; i < r->n; i++) {
        int lane = (int)((r->first + (uint64_t)i) % 16);
        job->kernels->load[r->from->dtype](sai_row_at(r->from, r->token + i, r->host_head), l->dk, s->q);
        if (rotation)
            job->kernels->rope_rotate(&l->rope, rotation + (int64_t)i * job->state.pool->work.rotation_stride, s->q);
        if (r->copy) sai_store_key(job->kernels, copy_dtype, r->copy, lane, l->dk, s->q);
        sai_store_key(job->kernels, dtype, r->tile, lane, l->dk, s->q); /* last: it may change the key */
    }
}
static void append_values(const sai_job *job, const append_rows *r, int32_t dtype, int32_t copy_dtype,
                          const sai_scratch *s) {
    int32_t dv = job->state.layer->dv;
    for (int32_t i = 0; i < r->n; i++) {
        int lane = (int)((r->first + (uint64_t)i) % 16);
        job->kernels->load[r->from->dtype](sai_row_at(r->from, r->token + i, r->host_head), dv, s->chain);
        if (r->copy) sai_store_value(job->kernels, copy_dtype, r->copy, lane, dv, s->chain);
        sai_store_value(job->kernels, dtype, r->tile, lane, dv, s->chain);
    }
}
/* The tiles of a store of one kv head from a position on. */
static sai_run append_run(const sai_job *job, int32_t store, int32_t kv_head, uint64_t from) {
    const sai_tiles *t = &job->state.tiles[store];
    return sai_run_of(t->block, t->arena, kv_head, sai_tiles_map(t, from / 16), from / 16);
}
/* Keys and values of one tile of a run, and of its second copy, if that has tiles. */
static void append_tile(const sai_job *job, append_rows *rows, const sai_run *run, const sai_run *copy,
                        const float *rotation, const sai_scratch *s) {
    rows->from = &job->call.k;
    rows->tile = (char *)(uintptr_t)sai_run_key(run, rows->first);
    if (copy->map) rows->copy = (char *)(uintptr_t)sai_run_key(copy, rows->first);
    append_keys(job, rows, run->k_dtype, copy->k_dtype, rotation, s);
    rows->from = &job->call.v;
    rows->tile = (char *)(uintptr_t)sai_run_value(run, rows->first);
    if (copy->map) rows->copy = (char *)(uintptr_t)sai_run_value(copy, rows->first);
    append_values(job, rows, run->v_dtype, copy->v_dtype, s);
}
/* Positions [first, end), all of one store, tile by tile: the tile that they go to stays in the first cache. */
static void append_range(const sai_job *job, int32_t store, int32_t kv_head, sai_range in, const sai_scratch *s) {
    if (in.from >= in.end) return;
    sai_run run = append_run(job, store, kv_head, in.from), copy = {0};
    int32_t host_head = sai_host_head(job->state.pool, job->state.layer, kv_head);
    if (store == SAI_STORE_MAIN && job->state.layer->rules.recent)
        copy = append_run(job, SAI_STORE_RECENT, kv_head, in.from);
    for (uint64_t first = in.from, end; first < in.end; first = end) {
        end = (first / 16 + 1) * 16 < in.end ? (first / 16 + 1) * 16 : in.end;
        int64_t token = (int64_t)(first - job->call.first);
        append_rows rows = {NULL, job->call.from + token, host_head, (int32_t)(end - first), first, NULL, NULL};
        append_tile(job, &rows, &run, &copy,
                    job->keys_row < 0 ? NULL : sai_rotation(job->state.pool, job->keys_row + token), s);
    }
}
/* The rotation of a node's key. A batch of deep nodes may need more than the pool has room for. */
static const float *append_node_rotation(const sai_job *job, int32_t token, const sai_scratch *s) {
    const sai_layer *l = job->state.layer;
    int32_t step = sai_token_step(job, token);
    if (l->position != SA_POSITION_ROPE || !l->rope.pairs) return NULL;
    if (job->keys_row >= 0) return sai_rotation(job->state.pool, (int64_t)job->keys_row + step);
    job->kernels->rope_row(&l->rope, (const uint64_t *)sai_at(job->state.pool, l->frequencies_at),
                           job->call.first + (uint64_t)step, s->rotation);
    return s->rotation;
}
/* The nodes of a draft, to the tiles of their numbers. */
static void append_nodes(const sai_job *job, int32_t kv_head, const sai_scratch *s) {
    const sai_state *state = &job->state;
    int32_t host_head = sai_host_head(state->pool, state->layer, kv_head);
    sai_run runs[SAI_NODE_STORES] = {{0}, {0}};
    for (int32_t i = 0; i < SAI_NODE_STORES; i++) {
        sai_tiles t = sai_nodes_tiles(sai_block_of(state->pool), state->layer, state->nodes, i);
        if (t.table->n) runs[i] = sai_run_of(t.block, t.arena, kv_head, sai_tiles_map(&t, 0), 0);
    }
    for (int32_t i = 0; i < job->call.n; i++) {
        append_rows rows = {NULL, job->call.from + i, host_head, 1, (uint64_t)(job->call.node + i), NULL, NULL};
        append_tile(job, &rows, &runs[SAI_NODES_MAIN], &runs[SAI_NODES_RECENT], append_node_rotation(job, i, s), s);
    }
}
/* The tokens of the call that are sinks, and the others. */
static void append_split(const sai_job *job, sai_range *sinks, sai_range *others) {
    uint64_t from = job->call.first, end = from + (uint64_t)job->call.n, sink_end = job->state.spans->sink_end;
    uint64_t middle = sink_end < from ? from : sink_end < end ? sink_end : end;
    sinks->from = from;
    sinks->end = others->from = middle;
    others->end = end;
}
static void sai_append_head(const sai_job *job, int32_t kv_head, const sai_scratch *scratch) {
    sai_range sinks, others;
    if (job->depths) {
        append_nodes(job, kv_head, scratch);
        return;
    }
    append_split(job, &sinks, &others);
    append_range(job, SAI_STORE_SINKS, kv_head, sinks, scratch);
    append_range(job, SAI_STORE_MAIN, kv_head, others, scratch);
}
static void sai_append_prefetch(const sai_job *job, int32_t kv_head) {
    sai_range sinks, others;
    if (job->depths) return;
    append_split(job, &sinks, &others);
    int is_sink = sinks.from < sinks.end;
    uint64_t first = is_sink ? sinks.from : others.from;
    sai_run run = append_run(job, is_sink ? SAI_STORE_SINKS : SAI_STORE_MAIN, kv_head, first);
    /* A key goes to a few bytes of every line of its tile. */
    sai_prefetch_lines(sai_run_key(&run, first), run.k_tile);
    const sai_layer *l = job->state.layer;
    if (!sai_is_integer(run.v_dtype))
        sai_prefetch_lines(sai_run_value(&run, first) + sai_value_in_tile(run.v_dtype, l->dv_pad, (int)(first % 16)),
                           run.v_tile / 16);
}
/* --------------------------------- threads -------------------------------- */
enum { APPEND_NUMBERS = 1 << 15 }; /* numbers to store that are worth another thread */
typedef struct append_share {
    const sa_pool *pool;
    int32_t n_jobs, n_workers;
} append_share;
/* kv heads worker, worker + n_workers, ... of every job. */
static void append_task(void *context, int32_t worker) {
    const append_share *share = (const append_share *)context;
    for (int32_t i = 0; i < share->n_jobs; i++) {
        const sai_job *job = &sai_jobs(share->pool)[i];
        const sai_layer *l = job->state.layer;
        if (!job->call.appends || job->stores_by_head) continue;
        sai_scratch s = sai_scratch_of(share->pool, l, worker);
        if (worker < l->n_kv_heads) sai_append_prefetch(job, worker);
        for (int32_t h = worker; h < l->n_kv_heads; h += share->n_workers) {
            if (h + share->n_workers < l->n_kv_heads) sai_append_prefetch(job, h + share->n_workers);
            sai_append_head(job, h, &s);
        }
    }
}
static void sai_append_all(const sa_pool *pool, int32_t n_jobs, int may_share) {
    append_share share = {pool, n_jobs, 1};
    int64_t numbers = 0;
    int any = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        const sai_job *job = &sai_jobs(pool)[i];
        const sai_layer *l = job->state.layer;
        if (!job->call.appends || job->stores_by_head) continue;
        any = 1;
        numbers += (int64_t)job->call.n * l->n_kv_heads * (l->dk + l->dv);
    }
    if (!any) return;
    if (!may_share || numbers < APPEND_NUMBERS || pool->n_threads == 1) {
        append_task(&share, 0);
        return;
    }
    share.n_workers = pool->n_threads;
    sai_parallel(pool->parallel_for, pool->parallel_context, share.n_workers, append_task, &share);
}
/* ---- lib/arguments.c ---- */
/* Checks the arguments of a step, and looks up what they mean.
 *
 */
/* ---- lib/arguments.h ---- */
/* Checks the arguments of a step, and looks up what they mean.
 *
 */
#ifndef SAI_ARGUMENTS_H
#define SAI_ARGUMENTS_H
/* What a call says of a tensor, and of its size. `first_error` is the first of its SAI_TENSOR_ERRORS. */
typedef struct sai_tensor_check {
    const sa_tensor *tensor;
    int32_t first_error, n, heads, dim;
} sai_tensor_check;
/* Completes and checks a host tensor of (tokens, heads, dim). */
static sai_error sai_arguments_view(const sa_pool *pool, const sai_tensor_check *tensor, sai_view *out);
/* Whether any two rows of a checked tensor share a byte. */
static int sai_arguments_overlaps(const sai_tensor_check *tensor, const sai_view *view);
/* Checks an array of n numbers of a size, or NULL. `address_error` is followed by the error of its extent. */
static sai_error sai_arguments_array(uint64_t n, size_t size, const void *array, sai_error address_error);
/* Copies the args of a host that may be older or newer. */
static sai_error sai_arguments_read(const sa_step_args *args, sa_step_args *own);
/* What the steps of one call take of a pool together. */
typedef struct sai_claim {
    int64_t *tiles; /* (lanes of the layer): those that steps checked before will take; in the workspace */
    int32_t piece;  /* tokens that are processed at once, where that is less than usual; else 0 */
} sai_claim;
/* Of no steps yet. */
static sai_claim sai_arguments_claim(const sa_pool *pool, int32_t piece);
/* Checks all of a step against its sequence, in every lane of the layer; *state receives the first of them. */
static sai_error sai_arguments_check(const sa_cache *cache, const sa_step_args *args, sai_call *call, sai_state *state,
                              const sai_claim *claim);
/* Whether a layer of the sequence takes n tokens more, beside those of the claim, which grows by them. */
static sai_error sai_arguments_check_room(const sa_cache *cache, int32_t layer, int32_t n, const sai_claim *claim);
/* Tokens that are processed at once: as many as the scratch allows, and few enough that rows are counted in 32 bits. */
static int32_t sai_arguments_piece(const sa_pool *pool, const sai_layer *layer);
#endif
/* ---- lib/draft.h ---- */
/* Drafts of a sequence: checked, drafted, accepted.
 *
 * A draft lies beside the sequence: spans know nothing of it. A node whose depth is d stands at position seen + d. What
 * it sees follows from the spans as they would be had its path been appended, which sai_sight_extend says; the bytes
 * that it reads are put together by gather.c.
 */
#ifndef SAI_DRAFT_H
#define SAI_DRAFT_H
static inline int sai_draft_is_open(const sai_state *s) { return s->nodes && s->nodes->n > 0; }
/* Whether call->n nodes may be drafted with these parents; writes parents and depths behind the nodes that there are,
 * where they mean nothing yet. */
static sai_error sai_draft_check(const sai_state *s, const int32_t *parents, sai_call *call);
/* Whether call->n nodes from number `node` on are there, for queries alone. */
static sai_error sai_draft_check_queries(const sai_state *s, int64_t node, sai_call *call);
/* Takes the tiles for the nodes of a call. */
static void sai_draft_step(const sai_state *s, const sai_call *call);
/* Whether n nodes are a path from the stream's newest token on, and have room in the stream. */
static sai_error sai_draft_check_path(const sai_state *s, int32_t n, const int32_t *path);
/* Makes them the newest tokens of the stream, and drops all other nodes. */
static void sai_draft_accept(const sai_state *s, int32_t n, const int32_t *path);
#endif
#include <string.h>
/* The size of the first version. New fields come behind; this stays. */
#define ARGUMENTS_FIRST_SIZE (offsetof(sa_step_args, key_stride) + sizeof(int64_t))
/* ---------------------------------- views --------------------------------- */
/* How far a tensor reaches from its address, in bytes. */
typedef struct arguments_extent {
    uint64_t below, above;
} arguments_extent;
/* Adds n steps of a stride; 0 if that is more than an object can be large. */
static int arguments_add(arguments_extent *e, int64_t stride, int64_t n) {
    const uint64_t most = SIZE_MAX / 2;
    uint64_t length = stride < 0 ? 0 - (uint64_t)stride : (uint64_t)stride;
    if (n < 1 || stride == 0) return 1;
    if (length > UINT32_MAX && length > most / (uint64_t)n) return 0; /* n < 2^32, so others do not wrap */
    length *= (uint64_t)n;
    if (length > most - e->below - e->above) return 0;
    *(stride < 0 ? &e->below : &e->above) += length;
    return 1;
}
/* Whether all of that is in the address space. */
static int arguments_is_reachable(const void *data, const arguments_extent *e) {
    return (uintptr_t)data >= e->below && UINTPTR_MAX - (uintptr_t)data >= e->above;
}
static sai_error arguments_error(const sai_tensor_check *t, sai_error which) {
    return (sai_error)(t->first_error + (int32_t)which - (int32_t)SAI_ERROR_Q_DTYPE);
}
/* Fills in the strides; 0 if they are more than 64 bits. */
static int arguments_strides(const sai_tensor_check *t, int64_t size, sai_view *out) {
    int is_given = (t->tensor->flags & SA_TENSOR_STRIDES_GIVEN) != 0;
    out->head_stride = t->tensor->head_stride || is_given ? t->tensor->head_stride : t->dim * size;
    out->token_stride = t->tensor->token_stride;
    if (out->token_stride || is_given || t->n < 2) return 1;
    if (out->head_stride > INT64_MAX / t->heads || out->head_stride < -(INT64_MAX / t->heads)) return 0;
    out->token_stride = t->heads * out->head_stride;
    return 1;
}
static sai_error arguments_check_extent(const sai_tensor_check *t, int64_t size, sai_view *out) {
    arguments_extent extent = {0, (uint64_t)(t->dim * size)};
    if (!arguments_strides(t, size, out)) return SAI_ERROR_Q_EXTENT;
    if ((out->head_stride | out->token_stride) & (size - 1)) return SAI_ERROR_Q_STRIDE;
    if (!arguments_add(&extent, out->head_stride, t->heads - 1) ||
        !arguments_add(&extent, out->token_stride, (int64_t)t->n - 1) || !arguments_is_reachable(out->data, &extent))
        return SAI_ERROR_Q_EXTENT;
    return SAI_ERROR_NONE;
}
/* The same of a contiguous tensor, as most are: at most 2^31 * 2^16 * 2^10 * 4 bytes, which 64 bits hold. */
static sai_error arguments_check_length(const sai_tensor_check *t, int64_t size, sai_view *out) {
    out->head_stride = t->dim * size;
    out->token_stride = t->heads * out->head_stride;
    arguments_extent extent = {0, (uint64_t)(t->n > 1 ? t->n : 1) * (uint64_t)out->token_stride};
    int fits = extent.above <= SIZE_MAX / 2 && arguments_is_reachable(out->data, &extent);
    return fits ? SAI_ERROR_NONE : SAI_ERROR_Q_EXTENT;
}
/* Completes and checks a host tensor of (tokens, heads, dim). */
static sai_error sai_arguments_view(const sa_pool *pool, const sai_tensor_check *t, sai_view *out) {
    const sa_tensor *from = t->tensor;
    out->data = (char *)from->data;
    out->token_stride = out->head_stride = 0;
    out->reserved = 0;
    out->dtype = from->dtype ? from->dtype : pool->io_dtype;
    if (out->dtype < SA_F32 || out->dtype > SA_BF16) return arguments_error(t, SAI_ERROR_Q_DTYPE);
    if (from->flags & ~(uint32_t)SA_TENSOR_STRIDES_GIVEN) return arguments_error(t, SAI_ERROR_Q_FLAGS);
    if (!out->data) return SAI_ERROR_NONE;
    int64_t size = (int64_t)sai_dtype_size(out->dtype); /* a power of two */
    int is_contiguous = !from->token_stride && !from->head_stride && !from->flags;
    if ((uintptr_t)out->data & (uintptr_t)(size - 1)) return arguments_error(t, SAI_ERROR_Q_ADDRESS);
    sai_error error = is_contiguous ? arguments_check_length(t, size, out) : arguments_check_extent(t, size, out);
    return error ? arguments_error(t, error) : SAI_ERROR_NONE;
}
static int64_t arguments_length(int64_t stride) {
    return stride == INT64_MIN ? INT64_MAX : stride < 0 ? -stride : stride;
}
/* Whether the row of another token, `heads` heads further, comes within `size` bytes of a row. token_stride != 0. */
static int arguments_meets(const sai_view *v, int64_t n, int64_t heads, int64_t size) {
    int64_t away = heads * v->head_stride, nearest = -away / v->token_stride;
    for (int64_t tokens = nearest - 1; tokens <= nearest + 1; tokens++)
        if (tokens > -n && tokens < n && arguments_length(away + tokens * v->token_stride) < size) return 1;
    return 0;
}
static int sai_arguments_overlaps(const sai_tensor_check *t, const sai_view *v) {
    int64_t n = t->n, heads = t->heads, size = t->dim * (int64_t)sai_dtype_size(v->dtype);
    int64_t token = arguments_length(v->token_stride), head = arguments_length(v->head_stride);
    if ((n > 1 && token < size) || (heads > 1 && head < size)) return n > 0;
    if (n < 2 || heads < 2) return 0;
    /* The usual layouts: heads within a token, or tokens within a head. */
    if (token >= (heads - 1) * head + size || head >= (n - 1) * token + size) return 0;
    for (int64_t h = 1; h < heads; h++)
        if (arguments_meets(v, n, h, size)) return 1;
    return 0;
}
/* ---------------------------------- checks -------------------------------- */
static sai_error arguments_check_beside(const sa_step_args *a) {
    if (!a->q.data && a->lse) return SAI_ERROR_LSE_ALONE;
    if (!a->q.data && a->sink_mass) return SAI_ERROR_SINK_MASS_ALONE;
    if (!a->q.data && a->key_mass) return SAI_ERROR_KEY_MASS_ALONE;
    if (!a->q.data && a->value_norms) return SAI_ERROR_VALUE_NORMS_ALONE;
    if (!a->q.data && a->partial_max) return SAI_ERROR_PARTIAL_MAX_ALONE;
    if (!a->q.data && a->partial_sum) return SAI_ERROR_PARTIAL_SUM_ALONE;
    if (a->partial_max && !a->partial_sum) return SAI_ERROR_MAX_WITHOUT_SUM;
    if (a->partial_sum && !a->partial_max) return SAI_ERROR_SUM_WITHOUT_MAX;
    return SAI_ERROR_NONE;
}
static sai_error arguments_check_draft(const sa_step_args *a, sai_call *call) {
    int queries = (a->flags & SA_STEP_NODES) != 0;
    if (a->parents && !call->appends) return SAI_ERROR_PARENTS_ALONE;
    if (queries && (call->appends || !call->attends)) return SAI_ERROR_NODES_UNUSED;
    call->is_draft = queries || a->parents;
    return SAI_ERROR_NONE;
}
static sai_error arguments_check_set(const sa_step_args *a) {
    if (a->k.data && !a->v.data) return SAI_ERROR_K_ALONE;
    if (a->v.data && !a->k.data) return SAI_ERROR_V_ALONE;
    if (a->q.data && !a->out.data) return SAI_ERROR_Q_ALONE;
    if (a->out.data && !a->q.data) return SAI_ERROR_OUT_ALONE;
    if (a->n_tokens && !a->k.data && !a->q.data) return SAI_ERROR_NOTHING;
    return arguments_check_beside(a);
}
static sai_error arguments_check_view(const sa_step_args *a, const sai_layer *l, sai_call *call) {
    call->view_sinks = -1;
    if ((a->view_window || a->view_sinks) && !a->q.data) return SAI_ERROR_VIEW_ALONE;
    if (a->view_window < 0 || a->view_window > l->layer_window) return SAI_ERROR_VIEW_WINDOW;
    if (a->view_sinks < -1) return SAI_ERROR_VIEW_SINKS;
    call->window = (uint64_t)a->view_window;
    if (a->view_sinks) call->view_sinks = a->view_sinks < 0 ? 0 : a->view_sinks;
    return SAI_ERROR_NONE;
}
static sai_error arguments_check_shape(const sa_pool *pool, const sa_step_args *a, sai_call *call) {
    const int64_t limit = (int64_t)SAI_POSITION_LIMIT;
    if (a->flags & ~(uint32_t)(SA_STEP_NODES | SA_STEP_MASS_PER_HEAD)) return SAI_ERROR_ARGS_FLAGS;
    if (a->layer < 0 || a->layer >= pool->n_layers) return SAI_ERROR_LAYER;
    if (a->n_tokens < 0) return SAI_ERROR_N_TOKENS;
    call->appends = a->k.data != NULL;
    call->attends = a->q.data != NULL;
    call->n = a->n_tokens;
    sai_error error = arguments_check_set(a);
    if (!error && (a->parents || a->flags)) error = arguments_check_draft(a, call);
    if (!error) error = arguments_check_view(a, sai_layer_of(pool, a->layer), call);
    if (error) return error;
    if (a->q_offset && (call->appends || !call->attends)) return SAI_ERROR_Q_OFFSET_UNUSED;
    if (call->attends && !call->appends && a->n_tokens > pool->max_append) return SAI_ERROR_MAX_APPEND;
    return a->q_offset < -limit || a->q_offset > limit ? SAI_ERROR_Q_OFFSET_RANGE : SAI_ERROR_NONE;
}
static sai_error sai_arguments_array(uint64_t n, size_t size, const void *array, sai_error address_error) {
    arguments_extent extent = {0, n * size};
    if ((uintptr_t)array & (size - 1)) return address_error;
    if (array && (extent.above > SIZE_MAX / 2 || !arguments_is_reachable(array, &extent)))
        return (sai_error)(address_error + 1);
    return SAI_ERROR_NONE;
}
static sai_error arguments_check_tensors(const sa_pool *pool, const sa_step_args *a, sai_call *call) {
    const sai_layer *l = sai_layer_of(pool, a->layer);
    const sai_tensor_check tensors[] = {{&a->k, SAI_ERROR_K_DTYPE, call->n, l->layer_kv_heads, l->dk},
                                        {&a->v, SAI_ERROR_V_DTYPE, call->n, l->layer_kv_heads, l->dv},
                                        {&a->q, SAI_ERROR_Q_DTYPE, call->n, l->layer_heads, l->dk},
                                        {&a->out, SAI_ERROR_OUT_DTYPE, call->n, l->layer_heads, l->dv}};
    sai_view *const views[] = {&call->k, &call->v, &call->q, &call->out};
    for (int i = 0; i < 4; i++) {
        sai_error error = sai_arguments_view(pool, &tensors[i], views[i]);
        if (error) return error;
    }
    if (a->out.data && sai_arguments_overlaps(&tensors[3], &call->out)) return SAI_ERROR_OUT_OVERLAPS;
    return a->partial_max && call->out.dtype != SA_F32 ? SAI_ERROR_PARTIAL_DTYPE : SAI_ERROR_NONE;
}
static sai_error arguments_check_arrays(const sa_pool *pool, const sa_step_args *a, sai_call *call) {
    uint64_t floats = (uint64_t)call->n * (uint64_t)sai_layer_of(pool, a->layer)->layer_heads;
    call->lse = a->lse;
    call->sink_mass = a->sink_mass;
    call->partial_max = a->partial_max;
    call->partial_sum = a->partial_sum;
    if (!a->lse && !a->sink_mass && !a->partial_max && !a->partial_sum) return SAI_ERROR_NONE;
    sai_error error = sai_arguments_array(floats, sizeof(float), a->lse, SAI_ERROR_LSE_ADDRESS);
    if (!error) error = sai_arguments_array(floats, sizeof(float), a->sink_mass, SAI_ERROR_SINK_MASS_ADDRESS);
    if (!error) error = sai_arguments_array(floats, sizeof(float), a->partial_max, SAI_ERROR_PARTIAL_MAX_ADDRESS);
    return error ? error : sai_arguments_array(floats, sizeof(float), a->partial_sum, SAI_ERROR_PARTIAL_SUM_ADDRESS);
}
/* The most keys that a lane of the layer will hold after the step. */
static uint64_t arguments_keys_after(const sa_cache *cache, const sa_step_args *a, int appends) {
    const sa_pool *pool = sai_pool_of(cache);
    uint64_t most = 0;
    for (int32_t lane = sai_first_lane(pool, a->layer); lane < sai_first_lane(pool, a->layer + 1); lane++) {
        sai_state state = sai_lane_state(cache, lane);
        uint64_t held = sai_state_held_after(&state, appends ? (uint64_t)a->n_tokens : 0);
        if (held > most) most = held;
    }
    return most;
}
/* The arrays that have an entry for each key. */
static sai_error arguments_check_keys(const sa_cache *cache, const sa_step_args *a, sai_call *call,
                                      const sai_claim *claim) {
    const sa_pool *pool = sai_pool_of(cache);
    const sai_layer *l = sai_layer_of(pool, a->layer);
    int32_t most = sai_arguments_piece(pool, l);
    call->mass_per_head = (a->flags & SA_STEP_MASS_PER_HEAD) != 0;
    call->key_mass = a->key_mass;
    call->value_norms = a->value_norms;
    call->key_stride = a->key_stride;
    call->wants_keys = a->key_mass || a->value_norms;
    if (!call->wants_keys || !call->n) return SAI_ERROR_NONE;
    if (a->parents || a->flags & SA_STEP_NODES) return SAI_ERROR_KEY_NODES;
    if (call->n > (claim->piece && claim->piece < most ? claim->piece : most)) return SAI_ERROR_KEY_TOKENS;
    uint64_t keys = sai_mass_front(l) + arguments_keys_after(cache, a, call->appends);
    if (a->key_stride < 0 || (uint64_t)a->key_stride < keys) return SAI_ERROR_KEY_STRIDE;
    if ((uint64_t)a->key_stride > SIZE_MAX / 8 / (uint64_t)l->layer_heads) return SAI_ERROR_KEY_MASS_EXTENT;
    uint64_t norms = (uint64_t)l->layer_kv_heads * (uint64_t)a->key_stride;
    uint64_t masses = call->mass_per_head ? (uint64_t)l->layer_heads * (uint64_t)a->key_stride : norms;
    sai_error error = sai_arguments_array(masses, sizeof(float), a->key_mass, SAI_ERROR_KEY_MASS_ADDRESS);
    return error ? error : sai_arguments_array(norms, sizeof(float), a->value_norms, SAI_ERROR_VALUE_NORMS_ADDRESS);
}
static sai_error arguments_check_append(const sai_state *state, int32_t n, const sai_claim *claim, int32_t lane) {
    if (sai_draft_is_open(state)) return SAI_ERROR_DRAFT_OPEN;
    int32_t most = sai_arguments_piece(state->pool, state->layer);
    int32_t piece = claim->piece && claim->piece < most ? claim->piece : most;
    switch (sai_state_can_append(state, (uint64_t)n, (uint64_t)piece, &claim->tiles[lane])) {
    case SA_SUCCESS:
        return SAI_ERROR_NONE;
    case SA_ERR_FULL:
        return SAI_ERROR_FULL;
    case SA_ERR_POOL:
        return SAI_ERROR_NO_TILE;
    default:
        return SAI_ERROR_STREAM_END;
    }
}
static sai_error sai_arguments_check_room(const sa_cache *cache, int32_t layer, int32_t n, const sai_claim *claim) {
    const sa_pool *pool = sai_pool_of(cache);
    int32_t first = sai_first_lane(pool, layer), end = sai_first_lane(pool, layer + 1);
    sai_error error = n < 0 ? SAI_ERROR_N_TOKENS : SAI_ERROR_NONE;
    for (int32_t lane = first; !error && n && lane < end; lane++) {
        sai_state state = sai_lane_state(cache, lane);
        error = arguments_check_append(&state, n, claim, lane - first);
    }
    return error;
}
/* Whether lane `lane` of the layer can do it. */
static sai_error arguments_check_lane(const sai_state *state, const sa_step_args *a, sai_call *call,
                                      const sai_claim *claim, int32_t lane) {
    if (call->attends && state->layer->n_sink_kv && !state->layer->sink_kv_ready) return SAI_ERROR_SINK_KV_MISSING;
    if (call->is_draft && call->appends) return sai_draft_check(state, a->parents, call);
    if (call->is_draft) return sai_draft_check_queries(state, a->q_offset, call);
    if (call->appends) return arguments_check_append(state, call->n, claim, lane);
    if (!call->attends) return SAI_ERROR_NONE;
    int64_t first = (int64_t)state->spans->seen + a->q_offset;
    if (first < 0) return SAI_ERROR_QUERY_BEFORE;
    if (first >= (int64_t)SAI_POSITION_LIMIT - call->n) return SAI_ERROR_QUERY_END;
    call->first = (uint64_t)first;
    sai_sight sight = sai_sight_of(&state->layer->rules, state->spans);
    if (call->window) {
        /* Tokens that a narrower window does not reach need not be held. */
        sight.window = sai_view_window(call, &state->layer->rules);
        sight.is_dense = 0;
    }
    return sai_sight_can_query(&sight, call->first, (uint64_t)call->n) ? SAI_ERROR_QUERY_LOST : SAI_ERROR_NONE;
}
static int32_t sai_arguments_piece(const sa_pool *pool, const sai_layer *layer) {
    int32_t most = (1 << 24) / layer->layer_heads;
    return pool->max_append < most ? pool->max_append : most;
}
static sai_error arguments_check_stream(const sa_cache *cache, const sa_step_args *a, sai_call *call, sai_state *state,
                                        const sai_claim *claim) {
    const sa_pool *pool = sai_pool_of(cache);
    int32_t first = sai_first_lane(pool, a->layer), n = sai_first_lane(pool, a->layer + 1) - first;
    sai_lane_look_up(cache, first, state);
    if (!call->n) return SAI_ERROR_NONE;
    sai_error error = arguments_check_lane(state, a, call, claim, 0);
    for (int32_t i = 1; !error && i < n; i++) {
        sai_state other = sai_lane_state(cache, first + i);
        error = arguments_check_lane(&other, a, call, claim, i);
    }
    return error;
}
static sai_claim sai_arguments_claim(const sa_pool *pool, int32_t piece) {
    sai_claim claim = {(int64_t *)sai_at(pool, pool->work.claims_at), piece};
    if (pool->has_budget) memset(claim.tiles, 0, (size_t)pool->work.most_lanes * sizeof *claim.tiles);
    return claim;
}
static sai_error sai_arguments_check(const sa_cache *cache, const sa_step_args *a, sai_call *call, sai_state *state,
                              const sai_claim *claim) {
    const sa_pool *pool = sai_pool_of(cache);
    /* The views are filled in. To clear all would take long, see step_plain. */
    memset(&call->lse, 0, sizeof *call - offsetof(sai_call, lse));
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    sai_error error = arguments_check_shape(pool, a, call);
    if (!error) error = arguments_check_tensors(pool, a, call);
    if (!error) error = arguments_check_arrays(pool, a, call);
    if (!error) error = arguments_check_stream(cache, a, call, state, claim);
    return error ? error : arguments_check_keys(cache, a, call, claim);
}
static sai_error sai_arguments_read(const sa_step_args *args, sa_step_args *own) {
    if (!args) return SAI_ERROR_ARGS_NULL;
    return sai_read_struct(own, sizeof *own, ARGUMENTS_FIRST_SIZE, args) ? SAI_ERROR_ARGS_SIZE : SAI_ERROR_NONE;
}
/* ---- lib/attend.c ---- */
/* Runs units of work: rows times blocks of keys, merged in one fixed order, written out.
 *
 */
/* ---- lib/attend.h ---- */
/* Runs the jobs of a pool's workspace: attention of some queries over the keys that they see.
 *
 */
#ifndef SAI_ATTEND_H
#define SAI_ATTEND_H
/* Stores tokens and attends for the workspace's first n jobs, by the pool's workers. */
static void sai_attend(sa_pool *pool, int32_t n_jobs);
/* The same by threads of the host: what worker `worker` of n_workers <= n_threads does in a phase. No thread may begin
 * a phase before all have ended the one before. Tokens are stored already. */
static void sai_attend_part(const sa_pool *pool, int32_t n_jobs, int32_t phase, int32_t worker, int32_t n_workers);
#endif
#include <math.h>
#include <string.h>
/* ---- lib/gather.h ---- */
/* The keys of a node's path, put where they would lie had they been appended.
 *
 * From the tile of the stream's newest token on, each node sees keys of its own. They are gathered in tiles of the
 * worker, so that kernels see the same keys in the same lanes, and so compute the same bits, as after an append.
 */
#ifndef SAI_GATHER_H
#define SAI_GATHER_H
/* Begins with a part whose tail differs from node to node: *run receives its tiles from part->tail on. */
static void sai_gather_begin(const sai_unit *unit, const sai_part *part, const sai_scratch *scratch, sai_run *run);
/* Puts the path of a node of the draft there, as far as it is not there yet. */
static void sai_gather_path(const sai_unit *unit, const sai_part *part, int32_t node, const sai_scratch *scratch,
                     const sai_run *run);
#endif
/* ---- lib/partial.h ---- */
/* States of attention over some of the keys.
 *
 */
#ifndef SAI_PARTIAL_H
#define SAI_PARTIAL_H
/* max + ln(sum), -infinity for an empty state. */
static float sai_log_sum_exp(float max, float sum);
#endif
/* ---- lib/query.h ---- */
/* A unit's queries: read from the host, and rotated when they enter a part of the keys.
 *
 */
#ifndef SAI_QUERY_H
#define SAI_QUERY_H
/* Reads the queries of a unit's rows into scratch->raw. */
static void sai_query_load(const sai_unit *unit, const sai_scratch *scratch);
/* Queries as a part's keys want them: rotated to their place, packed for integer keys. */
typedef struct sai_query {
    const float *q;
    size_t stride; /* floats from a row to the next */
} sai_query;
static sai_query sai_query_enter(const sai_unit *unit, const sai_part *part, const sai_scratch *scratch);
#endif
/* ---- lib/way.h ---- */
/* A part of the keys as the rows of a unit go through it: what each of them sees, and from where.
 *
 */
#ifndef SAI_WAY_H
#define SAI_WAY_H
/* ---- lib/panel.h ---- */
/* Rows times one chunk of keys: scores, softmax, value sums.
 *
 */
#ifndef SAI_PANEL_H
#define SAI_PANEL_H
/* What keys weigh in softmaxes that are finished, summed over rows: that of row r at position u is added to
 * to[(head + r) % heads * stride + u - first]. */
typedef struct sai_weighing {
    const float *max, *inverse; /* (n_rows): of exp(logit - max) * inverse */
    float *to;
    int64_t stride;
    uint64_t first; /* modulo 2^64 */
    int32_t head, heads;
} sai_weighing;
/* What is the same for all chunks of a panel. */
typedef struct sai_panel {
    const sai_kernels *kernels;
    const sai_layer *layer;
    sai_run tiles;
    const float *q; /* (n_rows, q_stride), packed for keys of integers */
    size_t q_stride;
    int32_t n_rows;
    const sai_range *visible;    /* (n_rows) */
    uint64_t end;                /* of what some row sees of the span, also beyond `visible` */
    const float *slopes;         /* (n_rows) ALiBi, or NULL */
    const int64_t *query_places; /* (n_rows) with slopes: where the row stands ... */
    int64_t key_place;           /* ... and where key 0 of the span does */
    int key_step;                /* 1, or 0 where all keys of the span stand at one place */
    const sai_row_facts *facts;  /* of the tiles of rows of the host, and their kind; NULL: keys of tokens */
    int kind;
    const sai_scratch *scratch;
    const sai_weighing *weighing; /* NULL, or in place of states: what the keys weigh; values are not looked at */
    const char *next_k, *next_v;  /* what to prefetch after this span: keys and values that are read next */
} sai_panel;
/* Adds the keys of the chunk [base, base + 256) that each row sees to the states of all rows. Their max is that of
 * the kernels' softmax, until sai_panel_end. With panel->weighing, states may be NULL. */
static void sai_panel_chunk(const sai_panel *panel, uint64_t base, sai_states *states);
/* Whether stored keys or values are converted to f32, once for so many rows. Integers are multiplied by integers. */
static inline int sai_panel_widens(int32_t dtype, uint64_t rows) {
    return rows >= SAI_WIDEN_ROWS && dtype != SA_F32 && !sai_is_integer(dtype);
}
/* After the last chunk: every max becomes a logit. */
static void sai_panel_end(const sai_panel *panel, sai_states *states);
#endif
/* A part as a unit's rows go through it. */
typedef struct sai_way {
    const sai_unit *unit;
    const sai_part *part;
    sai_panel panel;
    sai_run path;                /* of nodes of a draft: the tiles from the part's tail on */
    sai_range all;               /* what some row sees of it */
    sai_range seen[SAI_PANEL];   /* what each row sees of it, */
    sai_range within[SAI_PANEL]; /* and of the positions that are processed now */
    float slopes[SAI_PANEL];     /* ALiBi: and where its query stands */
    int64_t places[SAI_PANEL];
} sai_way;
/* Enters a part: looks what the rows see of it, and makes the panel ready, their queries rotated to it, unless none of
 * them sees anything: then way->all is empty. The rows' queries are in the scratch (sai_query_load). */
static void sai_way_enter(sai_way *way, const sai_unit *unit, const sai_part *part, const sai_scratch *scratch);
/* Cuts what the rows see down to some positions of the part; returns what some row sees of these. */
static sai_range sai_way_cut(sai_way *way, sai_range to);
#endif
/* --------------------------------- states --------------------------------- */
static void attend_clear(const sai_unit *u, sai_states *s) {
    for (int32_t r = 0; r < u->n; r++) {
        s->max[r] = -INFINITY;
        s->sum[r] = 0;
    }
    memset(s->acc, 0, (size_t)u->n * (size_t)u->job->state.layer->dv_pad * sizeof(float));
}
static void attend_copy_sums(int32_t n, sai_states *to, const sai_states *from) {
    memcpy(to->max, from->max, (size_t)n * sizeof(float));
    memcpy(to->sum, from->sum, (size_t)n * sizeof(float));
}
/* The state before any key: empty, or a sink logit with value 0. */
static void attend_begin(const sai_unit *u, sai_scratch *s) {
    const sai_layer *l = u->job->state.layer;
    attend_clear(u, &s->total);
    if (l->logits_at) {
        const float *logits = (const float *)sai_at(u->job->state.pool, l->logits_at);
        for (int32_t r = 0; r < u->n; r++) {
            s->total.max[r] = logits[sai_row_head(u, u->row + r)];
            s->total.sum[r] = s->total.max[r] > -INFINITY ? 1.0f : 0.0f;
        }
    }
    if (u->job->call.sink_mass) attend_copy_sums(u->n, &s->sinks, &s->total);
}
/* Adds a block's state to the total, and to that of the sinks. */
static void attend_merge(const sai_unit *u, const sai_part *part, sai_scratch *s) {
    void (*merge)(int, int, float *, float *, float *, const float *, const float *, const float *) =
        u->job->kernels->merge;
    const sai_states *b = &s->block;
    if (part->is_sink && u->job->call.sink_mass)
        merge(u->n, 0, s->sinks.max, s->sinks.sum, s->sinks.acc, b->max, b->sum, b->acc);
    merge(u->n, u->job->state.layer->dv_pad, s->total.max, s->total.sum, s->total.acc, b->max, b->sum, b->acc);
}
/* --------------------------------- blocks --------------------------------- */
/* Rows of nodes of which each is the next one's parent: [row, end), whose last node's path is that of all. */
typedef struct attend_chain {
    int32_t row, end, node;
} attend_chain;
static attend_chain attend_chain_from(const sai_unit *u, int32_t row) {
    const int32_t *parents = sai_nodes_parents(u->job->state.nodes);
    attend_chain c = {row, row, -1};
    for (; c.end < u->n; c.end++) {
        int32_t node = u->job->call.node + sai_row_token(u->job, u->row + c.end);
        if (node != c.node && c.node >= 0 && parents[node] != c.node) break;
        c.node = node;
    }
    return c;
}
/* Whether some row of the chain sees a key of the chunk. */
static int attend_chain_sees(const sai_way *way, const attend_chain *c, uint64_t base, uint64_t *end) {
    int sees = 0;
    for (int32_t r = c->row; r < c->end; r++) {
        const sai_range *in = &way->within[r];
        sees |= in->from < in->end && in->from < base + SAI_CHUNK && in->end > base;
        if (in->end > *end) *end = in->end;
    }
    return sees;
}
/* A chunk of the part's tail, chain by chain. */
static void attend_tail(sai_way *way, uint64_t base, const sai_states *to) {
    const sai_unit *u = way->unit;
    attend_chain c;
    for (int32_t row = 0; row < u->n; row = c.end) {
        uint64_t end = 0;
        c = attend_chain_from(u, row);
        if (!attend_chain_sees(way, &c, base, &end)) continue;
        sai_gather_path(u, way->part, c.node, way->panel.scratch, &way->path);
        sai_panel panel = way->panel;
        sai_states states = {to->max + row, to->sum + row, to->acc + (size_t)row * (size_t)panel.layer->dv_pad};
        panel.tiles = way->path;
        panel.q += (size_t)row * panel.q_stride;
        panel.n_rows = c.end - row;
        panel.visible += row;
        panel.end = end;
        if (panel.slopes) panel.slopes += row;
        if (panel.slopes) panel.query_places += row;
        sai_panel_chunk(&panel, base, &states);
    }
}
/* The state of a unit's rows over the positions of one block of the part, into an empty one. */
static void attend_block(sai_way *way, uint64_t block, sai_states *to) {
    int32_t bits = way->unit->job->state.layer->block_bits;
    sai_range in = {block << bits, (block + 1) << bits};
    in = sai_way_cut(way, in);
    for (uint64_t base = in.from / SAI_CHUNK * SAI_CHUNK; base < in.end; base += SAI_CHUNK)
        if (base < way->part->tail)
            sai_panel_chunk(&way->panel, base, to);
        else
            attend_tail(way, base, to);
    sai_panel_end(&way->panel, to);
}
/* --------------------------------- results -------------------------------- */
static void attend_write_row(const sai_unit *u, int32_t r, const sai_scratch *s) {
    const sai_call *call = &u->job->call;
    const sai_layer *l = u->job->state.layer;
    int32_t head = sai_row_head(u, u->row + r);
    int64_t token = call->from + sai_row_token(u->job, u->row + r), at = token * l->layer_heads + head;
    float max = s->total.max[r], sum = s->total.sum[r], *acc = s->total.acc + (size_t)r * (size_t)l->dv_pad;
    if (call->wants_keys) sai_mass_keep(u->job, u->kv_head, u->row + r, max, sum);
    if (call->lse) call->lse[at] = sai_log_sum_exp(max, sum);
    if (call->sink_mass)
        call->sink_mass[at] =
            s->sinks.sum[r] == 0 ? 0 : s->sinks.sum[r] * u->job->kernels->exponential(s->sinks.max[r] - max) / sum;
    if (call->partial_max) {
        call->partial_max[at] = max;
        call->partial_sum[at] = sum;
    } else {
        u->job->kernels->divide(l->dv_pad, acc, sum);
    }
    u->job->kernels->store[call->out.dtype](acc, l->dv, sai_row_at(&call->out, token, head));
}
/* The host's rows lie far apart, so no processor prefetches the next one by itself: done this many rows ahead. */
enum { ATTEND_AHEAD = 8 };
static void attend_write(const sai_unit *u, const sai_scratch *s) {
    const sai_call *call = &u->job->call;
    for (int32_t r = 0; r < u->n; r++) {
        int32_t ahead = u->row + r + ATTEND_AHEAD;
        if (r + ATTEND_AHEAD < u->n)
            sai_prefetch_lines(
                sai_row_at(&call->out, call->from + sai_row_token(u->job, ahead), sai_row_head(u, ahead)),
                (size_t)u->job->state.layer->dv * sai_dtype_size(call->out.dtype));
        attend_write_row(u, r, s);
    }
}
/* ---------------------------------- units --------------------------------- */
/* Rows of one panel over all that they see. */
static void attend_panel(const sai_unit *u, sai_scratch *s) {
    const sai_layer *l = u->job->state.layer;
    int empty = !l->logits_at;
    sai_way way;
    sai_query_load(u, s);
    attend_begin(u, s);
    for (int32_t i = 0; i < u->job->n_parts; i++) {
        const sai_part *part = &u->job->parts[i];
        sai_way_enter(&way, u, part, s);
        for (uint64_t b = way.all.from >> l->block_bits; b << l->block_bits < way.all.end; b++) {
            if (!empty) attend_clear(u, &s->block);
            attend_block(&way, b, empty ? &s->total : &s->block);
            /* Merged with an empty state, that of the first block would stay what it is. */
            if (!empty) attend_merge(u, part, s);
            if (empty && part->is_sink && u->job->call.sink_mass) attend_copy_sums(u->n, &s->sinks, &s->total);
            empty = 0;
        }
    }
    attend_write(u, s);
}
/* Where the state of a row over a block waits to be merged: max, sum, acc. */
static float *attend_split_state(const sai_job *job, int32_t kv_head, int32_t row, int32_t block) {
    size_t index = ((size_t)kv_head * (size_t)job->rows + (size_t)row) * (size_t)job->all_blocks + (size_t)block;
    float *splits = (float *)sai_at(job->state.pool, job->state.pool->work.splits_at);
    return splits + job->split_at + index * ((size_t)job->state.layer->dv_pad + 2);
}
static void attend_keep_state(const sai_unit *u, int32_t block, const sai_scratch *s) {
    size_t dv_pad = (size_t)u->job->state.layer->dv_pad;
    for (int32_t r = 0; r < u->n; r++) {
        float *state = attend_split_state(u->job, u->kv_head, u->row + r, block);
        state[0] = s->block.max[r];
        state[1] = s->block.sum[r];
        memcpy(state + 2, s->block.acc + (size_t)r * dv_pad, dv_pad * sizeof(float));
    }
}
/* Rows of one panel over the blocks of one segment, left for attend_join. */
static void attend_segment(const sai_unit *u, sai_scratch *s) {
    sai_way way;
    int32_t first = 0;
    sai_query_load(u, s);
    for (int32_t i = 0; i < u->job->n_parts; first += u->job->parts[i++].n_blocks) {
        const sai_part *part = &u->job->parts[i];
        int32_t from = u->block > first ? u->block : first, end = first + part->n_blocks;
        if (end > u->block_end) end = u->block_end;
        if (from >= end) continue;
        sai_way_enter(&way, u, part, s);
        for (int32_t b = from; b < end; b++) {
            attend_clear(u, &s->block);
            if (way.all.from < way.all.end) attend_block(&way, part->first_block + (uint64_t)(b - first), &s->block);
            attend_keep_state(u, b, s);
        }
    }
}
/* One row's blocks, merged in order. */
static void attend_join(sai_job *job, int32_t index, sai_scratch *s) {
    sai_unit u = {job, NULL, 0, index / job->rows, index % job->rows, 1, 0, 0, 0};
    sai_scratch one = *s;
    int32_t b = 0;
    u.host_head = sai_host_head(job->state.pool, job->state.layer, u.kv_head);
    attend_begin(&u, &one);
    for (int32_t i = 0; i < job->n_parts; i++)
        for (int32_t end = b + job->parts[i].n_blocks; b < end; b++) {
            one.block.max = attend_split_state(job, u.kv_head, u.row, b);
            one.block.sum = one.block.max + 1;
            one.block.acc = one.block.max + 2;
            attend_merge(&u, &job->parts[i], &one);
        }
    attend_write_row(&u, 0, &one);
}
/* ---------------------------------- phases -------------------------------- */
static void attend_unit(const sai_unit *u, sai_scratch *s) {
    if (u->job->n_segments > 1) {
        attend_segment(u, s);
        return;
    }
    if (u->job->stores_by_head) {
        if (u->next && u->next->stores_by_head) sai_append_prefetch(u->next, u->next_head);
        sai_append_head(u->job, u->kv_head, s);
    }
    attend_panel(u, s);
}
/* The cost of all units: what the workers share out evenly. */
static double attend_cost(const sa_pool *pool, int32_t n_jobs) {
    double cost = 0;
    for (int32_t i = 0; i < n_jobs; i++)
        for (int32_t n = sai_job_units(&sai_jobs(pool)[i]), k = 0; k < n; k++)
            cost += sai_plan_cost(&sai_jobs(pool)[i], k);
    return cost;
}
/* Units in their order, the worker's share of their cost: neighbours in memory go to one worker, and who works what
 * needs no agreement. */
static void attend_units(const sa_pool *pool, int32_t n_jobs, int32_t worker, int32_t n_workers) {
    double all = n_workers > 1 ? attend_cost(pool, n_jobs) : 0, done = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        sai_job *job = &sai_jobs(pool)[i];
        sai_scratch s = sai_scratch_of(pool, job->state.layer, worker);
        for (int32_t n = sai_job_units(job), k = 0; k < n; k++) {
            if (n_workers > 1) {
                double cost = sai_plan_cost(job, k), middle = done + cost / 2;
                done += cost;
                if (middle * n_workers < all * worker) continue;
                if (middle * n_workers >= all * (worker + 1) && worker + 1 < n_workers) continue;
            }
            sai_unit unit = sai_plan_unit(pool, n_jobs, i, k);
            attend_unit(&unit, &s);
        }
    }
}
/* Every n-th row of the jobs that were split. */
static void attend_rows(const sa_pool *pool, int32_t n_jobs, int32_t worker, int32_t n_workers) {
    for (int32_t i = 0; i < n_jobs; i++) {
        sai_job *job = &sai_jobs(pool)[i];
        sai_scratch s = sai_scratch_of(pool, job->state.layer, worker);
        int32_t n = job->n_segments > 1 ? job->state.layer->n_kv_heads * job->rows : 0;
        for (int32_t k = worker; k < n; k += n_workers) attend_join(job, k, &s);
    }
}
static void sai_attend_part(const sa_pool *pool, int32_t n_jobs, int32_t phase, int32_t worker, int32_t n_workers) {
    if (phase == 0)
        attend_units(pool, n_jobs, worker, n_workers);
    else if (phase == 1)
        attend_rows(pool, n_jobs, worker, n_workers);
    else
        sai_mass_part(pool, n_jobs, worker, n_workers);
}
typedef struct attend_pass {
    const sa_pool *pool;
    int32_t n_jobs, phase, n_workers;
} attend_pass;
static void attend_task(void *context, int32_t worker) {
    const attend_pass *pass = (const attend_pass *)context;
    sai_attend_part(pass->pool, pass->n_jobs, pass->phase, worker, pass->n_workers);
}
static void sai_attend(sa_pool *pool, int32_t n_jobs) {
    int64_t units = sai_plan_units(pool, n_jobs);
    attend_pass pass = {pool, n_jobs, 0, units < pool->n_threads ? (int32_t)units : pool->n_threads};
    sai_append_all(pool, n_jobs, 1);
    sai_mass_begin(pool, n_jobs);
    for (int32_t phases = sai_plan_phases(pool, n_jobs); pass.phase < phases; pass.phase++)
        sai_parallel(pool->parallel_for, pool->parallel_context, pass.n_workers, attend_task, &pass);
}
/* ---- lib/bytes.c ---- */
/* The checksum of a snapshot, and copies of whole lines.
 *
 * Against damage, not against an enemy: who can write a snapshot can write its checksum too.
 */
/* ---- lib/bytes.h ---- */
/* Numbers as little-endian bytes, and the checksum of a snapshot.
 *
 * A snapshot is made of lines of 128 bytes, of 16 words. The checksum takes words i and i + 8 of a line into lane i, so
 * that the eight chains do not wait for each other, and multiplies once for both: with a product for each word it would
 * be slower than memory is.
 */
#ifndef SAI_BYTES_H
#define SAI_BYTES_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define SAI_SUM_FACTOR UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio, odd */
enum { SAI_LINE = 128, SAI_SUM_LANES = 8 };
static inline uint64_t sai_round_line(uint64_t size) { return (size + SAI_LINE - 1) / SAI_LINE * SAI_LINE; }
/* Compilers know the answer. */
static inline int sai_is_big_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}
static inline uint32_t sai_get32(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}
static inline uint64_t sai_get64(const unsigned char *at) {
    return (uint64_t)sai_get32(at) | (uint64_t)sai_get32(at + 4) << 32;
}
static inline void sai_set32(unsigned char *at, uint32_t x) {
    for (int i = 0; i < 4; i++) at[i] = (unsigned char)(x >> (8 * i));
}
static inline void sai_set64(unsigned char *at, uint64_t x) {
    sai_set32(at, (uint32_t)x);
    sai_set32(at + 4, (uint32_t)(x >> 32));
}
static inline float sai_get_float(const unsigned char *at) {
    uint32_t bits = sai_get32(at);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline void sai_set_float(unsigned char *at, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    sai_set32(at, bits);
}
/* Takes one more word into a chain. */
static inline uint64_t sai_sum_step(uint64_t lane, uint64_t word) {
    lane ^= word;
    return (lane << 29 | lane >> 35) * SAI_SUM_FACTOR;
}
typedef struct sai_sum {
    uint64_t lanes[SAI_SUM_LANES];
} sai_sum;
static void sai_sum_begin(sai_sum *sum);
static void sai_sum_add(sai_sum *sum, const unsigned char *lines, size_t size); /* whole lines */
/* Copies whole lines, past the caches where that is possible: they are not read again soon, and memory need not be read
 * before it is written. Before others may see them, sai_lines_end. */
static void sai_lines_copy(unsigned char *to, const unsigned char *from, size_t size);
static void sai_lines_end(void);
/* The same, and adds them. */
static void sai_sum_copy(sai_sum *sum, unsigned char *to, const unsigned char *from, size_t size);
static uint64_t sai_sum_end(const sai_sum *sum);
#endif
static void sai_sum_begin(sai_sum *sum) {
    for (int i = 0; i < SAI_SUM_LANES; i++) sum->lanes[i] = (uint64_t)(i + 1) * SAI_SUM_FACTOR;
}
enum {
    BYTES_AHEAD = 2048
}; /* processors that fetch ahead by themselves do not do so far enough: a third of the time */
/* Fetches a line that comes later, or lies behind the last one, which does no harm. */
static inline void bytes_prefetch(const unsigned char *at) {
    SAI_PREFETCH((const unsigned char *)((uintptr_t)at + BYTES_AHEAD));
    SAI_PREFETCH((const unsigned char *)((uintptr_t)at + BYTES_AHEAD + SAI_LINE / 2));
}
/* As sai_get64, in one load where the order of bytes is ours: what takes many operations is not put in line. */
static inline uint64_t bytes_word(const unsigned char *at) {
    uint64_t word;
    if (sai_is_big_endian()) return sai_get64(at);
    memcpy(&word, at, sizeof word);
    return word;
}
/* Words i and i + 8 of a line. */
static inline uint64_t bytes_take(uint64_t lane, const unsigned char *word) {
    uint64_t first = bytes_word(word), later = bytes_word(word + SAI_LINE / 2);
    return sai_sum_step(lane, first) + (later << 17 | later >> 47);
}
/* Eight names in place of an array: they stay in registers. With `to`, copies too. */
SAI_INLINE_ALWAYS void bytes_add(sai_sum *sum, unsigned char *to, const unsigned char *at, size_t size) {
    uint64_t *lanes = sum->lanes;
    uint64_t a = lanes[0], b = lanes[1], c = lanes[2], d = lanes[3];
    uint64_t e = lanes[4], f = lanes[5], g = lanes[6], h = lanes[7];
    for (const unsigned char *end = at + size; at < end; at += SAI_LINE) {
        bytes_prefetch(at);
        a = bytes_take(a, at);
        b = bytes_take(b, at + 8);
        c = bytes_take(c, at + 16);
        d = bytes_take(d, at + 24);
        e = bytes_take(e, at + 32);
        f = bytes_take(f, at + 40);
        g = bytes_take(g, at + 48);
        h = bytes_take(h, at + 56);
        if (!to) continue;
        for (int i = 0; i < SAI_LINE; i += 16) sai_stream16(to + i, at + i);
        to += SAI_LINE;
    }
    lanes[0] = a, lanes[1] = b, lanes[2] = c, lanes[3] = d;
    lanes[4] = e, lanes[5] = f, lanes[6] = g, lanes[7] = h;
}
static void sai_sum_add(sai_sum *sum, const unsigned char *lines, size_t size) { bytes_add(sum, NULL, lines, size); }
static int bytes_can_stream(const unsigned char *to) { return (uintptr_t)to % 16 == 0; }
static void sai_sum_copy(sai_sum *sum, unsigned char *to, const unsigned char *from, size_t size) {
    if (bytes_can_stream(to)) {
        bytes_add(sum, to, from, size);
        return;
    }
    memcpy(to, from, size);
    bytes_add(sum, NULL, from, size);
}
static void sai_lines_copy(unsigned char *to, const unsigned char *from, size_t size) {
    if (!bytes_can_stream(to)) memcpy(to, from, size);
    for (const unsigned char *end = from + size; bytes_can_stream(to) && from < end; from += SAI_LINE, to += SAI_LINE) {
        bytes_prefetch(from);
        for (int i = 0; i < SAI_LINE; i += 16) sai_stream16(to + i, from + i);
    }
}
static void sai_lines_end(void) { sai_stream_end(); }
static uint64_t sai_sum_end(const sai_sum *sum) {
    uint64_t all = 0;
    for (int i = 0; i < SAI_SUM_LANES; i++) all = sai_sum_step(all, sum->lanes[i]);
    return all ^ all >> 32;
}
/* ---- lib/config.c ---- */
/* Reads, checks and completes what the host configures.
 *
 * A check is a row of sentences: the first that is not true of the config is why it is refused.
 */
#include <math.h>
#include <string.h>
/* ---- lib/lanes.h ---- */
/* Which kv heads of a layer keep the same tokens.
 *
 * A lane is the kv heads of a layer whose sinks and window are equal: they share spans and tables of tiles. Most layers
 * are one lane. What the library calls a sai_layer is one lane; only what the host sees, its tensors and the numbers of
 * its layers and heads, knows that several may stand side by side.
 */
#ifndef SAI_LANES_H
#define SAI_LANES_H
/* More are refused: jobs of a batch are counted in 32 bits, and every lane is a job. */
enum { SAI_MOST_LANES = 256 };
/* The lanes of a layer, in the order of their first kv heads. */
typedef struct sai_lanes {
    int32_t n; /* SAI_MOST_LANES + 1: too many */
    int32_t heads[SAI_MOST_LANES];
} sai_lanes;
/* Of a layer's config, whose numbers of heads, sinks and window are checked and complete. */
static sai_lanes sai_lanes_of(const sa_config *layer);
/* The config of one lane: that of a layer of these heads alone. Arrays of the layer's heads stay the layer's. */
static sa_config sai_lanes_config(const sa_config *layer, const sai_lanes *lanes, int32_t lane);
/* Lists the kv heads of a lane in rising order. */
static void sai_lanes_heads(const sa_config *layer, const sai_lanes *lanes, int32_t lane, int32_t *heads);
#endif
static sa_status sai_read_struct(void *to, size_t size, size_t first, const void *from) {
    uint32_t theirs;
    memcpy(&theirs, from, sizeof theirs);
    if (theirs < first || theirs > 4096 || theirs % 4) return SA_ERR_STRUCT_SIZE;
    for (size_t i = size; i < theirs; i++)
        if (((const unsigned char *)from)[i]) return SA_ERR_STRUCT_SIZE;
    memset(to, 0, size);
    memcpy(to, from, theirs < size ? theirs : size);
    return SA_SUCCESS;
}
/* The size of the first version. New fields come behind; this stays. */
#define CONFIG_FIRST_SIZE (offsetof(sa_config, head_sinks) + sizeof(int32_t *))
#define REFUSE_UNLESS(condition, sentence)                                                                             \
    do {                                                                                                               \
        if (!(condition)) return sentence;                                                                             \
    } while (0)
static int config_in(int64_t x, int64_t low, int64_t high) { return x >= low && x <= high; }
/* A number that is 0 (the default) or finite and at least `low`. */
static int config_real(double x, double low) { return x == 0 || (x >= low && x <= 1e30); }
/* --------------------------------- checks --------------------------------- */
static const char *config_check_unknown(const sa_config *c) {
    REFUSE_UNLESS((c->flags & ~(uint32_t)(SA_CONFIG_YARN_NO_TRUNCATE | SA_CONFIG_COOPERATIVE)) == 0,
                  "unknown bits in flags");
    return NULL;
}
static const char *config_check_cache(const sa_config *c) {
    REFUSE_UNLESS(config_in(c->n_layers, 1, 65536), "n_layers must be 1 .. 65536");
    REFUSE_UNLESS(config_in(c->max_append, 0, 1 << 20), "max_append must be 0 (256) .. 2^20");
    REFUSE_UNLESS(config_in(c->rollback, 0, 1 << 20), "rollback must be 0 .. 2^20");
    REFUSE_UNLESS(config_in(c->n_threads, 0, 1024), "n_threads must be 0 (1) .. 1024");
    REFUSE_UNLESS(config_in(c->n_sequences, 0, 65536), "n_sequences must be 0 (1) .. 65536");
    REFUSE_UNLESS(config_in(c->n_spans, 0, 4096), "n_spans must be 0 .. 4096");
    REFUSE_UNLESS(config_in(c->n_pin, 0, 1 << 30), "n_pin must be 0 .. 2^30");
    REFUSE_UNLESS(c->n_pin == 0 || c->n_spans > 0, "n_pin needs n_spans: each pinned range is a span or two");
    REFUSE_UNLESS(config_in(c->pool_tokens, 0, (int64_t)1 << 40), "pool_tokens must be 0 (the worst case) .. 2^40");
    REFUSE_UNLESS(config_in(c->max_draft, 0, 65536), "max_draft must be 0 .. 65536");
    REFUSE_UNLESS(config_in(c->io_dtype, 0, SA_BF16), "io_dtype must be SA_F32, SA_F16 or SA_BF16");
    REFUSE_UNLESS(sai_dtype_built(c->io_dtype), "io_dtype is not in this library: built with SA_NO_F16 or SA_NO_BF16");
    REFUSE_UNLESS(c->n_threads <= 1 || c->parallel_for || sai_have_openmp() || c->flags & SA_CONFIG_COOPERATIVE,
                  "n_threads > 1 needs parallel_for or SA_CONFIG_COOPERATIVE: this library was built without OpenMP");
    REFUSE_UNLESS(c->parallel_for || !c->parallel_context, "parallel_context is set, but parallel_for is not");
    return NULL;
}
static const char *config_check_geometry(const sa_config *c) {
    REFUSE_UNLESS(config_in(c->n_heads, 1, 65536), "n_heads must be 1 .. 65536");
    REFUSE_UNLESS(config_in(c->n_kv_heads, 0, c->n_heads), "n_kv_heads must be 0 (n_heads) .. n_heads");
    REFUSE_UNLESS(!c->n_kv_heads || c->n_heads % c->n_kv_heads == 0, "n_kv_heads must divide n_heads");
    REFUSE_UNLESS(config_in(c->head_dim, 1, 1024), "head_dim must be 1 .. 1024");
    REFUSE_UNLESS(config_in(c->v_head_dim, 0, 1024), "v_head_dim must be 0 (head_dim) .. 1024");
    REFUSE_UNLESS(config_in(c->policy, SA_POLICY_SINK_WINDOW, SA_POLICY_DENSE), "policy is not an SA_POLICY_*");
    REFUSE_UNLESS(config_in(c->n_sink, 0, 1 << 20), "n_sink must be 0 .. 2^20");
    REFUSE_UNLESS(config_in(c->window, 1, 1 << 30), "window must be 1 .. 2^30");
    REFUSE_UNLESS(c->policy == SA_POLICY_SINK_WINDOW || c->n_sink == 0,
                  "n_sink must be 0 with SA_POLICY_WINDOW and SA_POLICY_DENSE");
    return NULL;
}
static const char *config_check_dtypes(const sa_config *c) {
    REFUSE_UNLESS(config_in(c->k_dtype, 0, SA_I4), "k_dtype must be SA_F32, SA_F16, SA_BF16, SA_I8 or SA_I4");
    REFUSE_UNLESS(config_in(c->v_dtype, 0, SA_I4), "v_dtype must be SA_F32, SA_F16, SA_BF16, SA_I8 or SA_I4");
    REFUSE_UNLESS(config_in(c->sink_k_dtype, 0, SA_BF16), "sink_k_dtype must be 0, SA_F32, SA_F16 or SA_BF16");
    REFUSE_UNLESS(config_in(c->sink_v_dtype, 0, SA_BF16), "sink_v_dtype must be 0, SA_F32, SA_F16 or SA_BF16");
    REFUSE_UNLESS(c->n_sink || c->n_sink_kv || c->n_rows || c->head_sinks || (!c->sink_k_dtype && !c->sink_v_dtype),
                  "sink_k_dtype or sink_v_dtype is set, but there are no sinks");
    REFUSE_UNLESS(config_in(c->n_recent, 0, c->window), "n_recent must be 0 .. window");
    REFUSE_UNLESS(config_in(c->recent_k_dtype, 0, SA_BF16), "recent_k_dtype must be 0, SA_F32, SA_F16 or SA_BF16");
    REFUSE_UNLESS(config_in(c->recent_v_dtype, 0, SA_BF16), "recent_v_dtype must be 0, SA_F32, SA_F16 or SA_BF16");
    REFUSE_UNLESS(c->n_recent || (!c->recent_k_dtype && !c->recent_v_dtype),
                  "recent_k_dtype or recent_v_dtype is set, but n_recent is 0");
    return NULL;
}
static const char *config_check_softmax(const sa_config *c, int32_t n_heads) {
    REFUSE_UNLESS(config_real(c->scale, 1e-30), "scale must be 0 (1/sqrt(head_dim)) or positive and finite");
    REFUSE_UNLESS(config_real(c->softcap, 1e-30), "softcap must be 0 (none) or positive and finite");
    REFUSE_UNLESS(config_in(c->n_sink_kv, 0, 1 << 16), "n_sink_kv must be 0 .. 2^16");
    REFUSE_UNLESS(config_in(c->n_rows, 0, 1 << 16), "n_rows must be 0 .. 2^16");
    REFUSE_UNLESS(config_in(c->sink_kv_position, SA_SINK_KV_BEFORE, SA_SINK_KV_AT_ZERO),
                  "sink_kv_position is not an SA_SINK_KV_*");
    REFUSE_UNLESS(c->n_sink_kv || !c->sink_kv_position, "sink_kv_position is set, but n_sink_kv is 0");
    for (int32_t h = 0; c->sink_logits && h < n_heads; h++)
        REFUSE_UNLESS(c->sink_logits[h] <= 1e30f, "a sink logit is NaN or +infinity");
    return NULL;
}
static int config_rotates(const sa_config *c) {
    return c->position == SA_POSITION_ROPE || c->position == SA_POSITION_ROPE_APPLIED;
}
static const char *config_check_no_rope(const sa_config *c) {
    int set = c->rope_layout || c->rope_dims || c->rope_offset || c->rope_scaling || c->rope_original_context ||
              c->rope_theta != 0 || c->rope_factor != 0 || c->rope_attention_factor != 0 || c->rope_beta_fast != 0 ||
              c->rope_beta_slow != 0 || c->rope_low_freq_factor != 0 || c->rope_high_freq_factor != 0 ||
              c->rope_inv_freq || c->rope_short_factors || c->rope_long_factors || c->flags;
    REFUSE_UNLESS(!set, "a rope_* field or flag is set, but position is not SA_POSITION_ROPE or _ROPE_APPLIED");
    return NULL;
}
static const char *config_check_scaling(const sa_config *c) {
    int s = c->rope_scaling, yarn = s == SA_ROPE_SCALING_YARN, llama3 = s == SA_ROPE_SCALING_LLAMA3;
    int longrope = s == SA_ROPE_SCALING_LONGROPE;
    REFUSE_UNLESS(config_in(s, SA_ROPE_SCALING_NONE, SA_ROPE_SCALING_LONGROPE),
                  "rope_scaling is not SA_ROPE_SCALING_*");
    REFUSE_UNLESS(!s || !c->rope_inv_freq, "rope_inv_freq is used as it is: rope_scaling must be 0 with it");
    REFUSE_UNLESS(config_real(c->rope_factor, 1), "rope_factor must be 0 or at least 1");
    REFUSE_UNLESS(!s || longrope || c->rope_factor != 0, "this rope_scaling needs rope_factor");
    REFUSE_UNLESS(!longrope || c->position != SA_POSITION_ROPE || c->rope_factor != 0 || c->rope_attention_factor != 0,
                  "LONGROPE needs rope_factor (new context / original context), or rope_attention_factor in its place");
    REFUSE_UNLESS(s != SA_ROPE_SCALING_NTK || (c->rope_dims ? c->rope_dims : c->head_dim) > 2,
                  "NTK scaling needs rope_dims > 2: its exponent is d / (d - 2)");
    REFUSE_UNLESS(s || c->rope_factor == 0, "rope_factor is set, but rope_scaling is not");
    REFUSE_UNLESS(config_in(c->rope_original_context, 0, 1 << 30), "rope_original_context must be 0 .. 2^30");
    REFUSE_UNLESS((yarn || llama3 || longrope) == (c->rope_original_context != 0),
                  "rope_original_context goes with YARN, LLAMA3 and LONGROPE, which need it");
    REFUSE_UNLESS(longrope == (c->rope_short_factors && c->rope_long_factors) &&
                      (longrope || (!c->rope_short_factors && !c->rope_long_factors)),
                  "rope_short_factors and rope_long_factors go with LONGROPE, which needs both");
    REFUSE_UNLESS(yarn || (c->rope_beta_fast == 0 && c->rope_beta_slow == 0 && c->flags == 0),
                  "rope_beta_* and SA_CONFIG_YARN_NO_TRUNCATE go with YARN only");
    REFUSE_UNLESS(config_real(c->rope_beta_fast, 1e-9) && config_real(c->rope_beta_slow, 1e-9),
                  "rope_beta_fast and rope_beta_slow must be 0 (32, 1) or positive");
    REFUSE_UNLESS(!yarn || (c->rope_beta_fast != 0 ? c->rope_beta_fast : 32) >=
                               (c->rope_beta_slow != 0 ? c->rope_beta_slow : 1),
                  "rope_beta_fast (by default 32) must not be less than rope_beta_slow (by default 1)");
    REFUSE_UNLESS(llama3 || (c->rope_low_freq_factor == 0 && c->rope_high_freq_factor == 0),
                  "rope_low_freq_factor and rope_high_freq_factor go with LLAMA3 only");
    REFUSE_UNLESS(config_real(c->rope_low_freq_factor, 1e-9) && config_real(c->rope_high_freq_factor, 1e-9),
                  "rope_low_freq_factor and rope_high_freq_factor must be 0 (1, 4) or positive");
    REFUSE_UNLESS(!llama3 || (c->rope_high_freq_factor != 0 ? c->rope_high_freq_factor : 4) >
                                 (c->rope_low_freq_factor != 0 ? c->rope_low_freq_factor : 1),
                  "rope_high_freq_factor must be greater than rope_low_freq_factor");
    return NULL;
}
static const char *config_check_rope(const sa_config *c) {
    int32_t dims = c->rope_dims ? c->rope_dims : c->head_dim;
    REFUSE_UNLESS(config_in(c->rope_layout, SA_ROPE_HALF_SPLIT, SA_ROPE_INTERLEAVED), "rope_layout is not SA_ROPE_*");
    REFUSE_UNLESS(config_in(c->rope_dims, 0, c->head_dim), "rope_dims must be 0 (head_dim) .. head_dim");
    REFUSE_UNLESS(dims % 2 == 0, "rope_dims (by default head_dim) must be even");
    REFUSE_UNLESS(config_in(c->rope_offset, 0, c->head_dim - dims), "rope_offset + rope_dims must be <= head_dim");
    REFUSE_UNLESS(c->rope_theta == 0 || (c->rope_theta > 1 && c->rope_theta <= 1e30),
                  "rope_theta must be 0 (10000) or > 1");
    REFUSE_UNLESS(c->rope_theta == 0 || !c->rope_inv_freq, "rope_theta has no effect with rope_inv_freq");
    REFUSE_UNLESS(config_real(c->rope_attention_factor, 1e-9), "rope_attention_factor must be 0 or positive");
    REFUSE_UNLESS(c->position == SA_POSITION_ROPE || c->rope_attention_factor == 0,
                  "rope_attention_factor must be 0 with SA_POSITION_ROPE_APPLIED: the host has applied it");
    const char *why = config_check_scaling(c);
    for (int32_t i = 0; !why && c->rope_inv_freq && i < dims / 2; i++)
        REFUSE_UNLESS(fabs(c->rope_inv_freq[i]) <= 1e6, "a rope_inv_freq is not finite or beyond 10^6");
    for (int32_t i = 0; !why && c->rope_short_factors && i < dims / 2; i++)
        REFUSE_UNLESS(c->rope_short_factors[i] > 0 && c->rope_short_factors[i] <= 1e30f &&
                          c->rope_long_factors[i] > 0 && c->rope_long_factors[i] <= 1e30f,
                      "a LONGROPE factor is not positive and finite");
    return why;
}
static const char *config_check_position(const sa_config *c) {
    REFUSE_UNLESS(config_in(c->position, SA_POSITION_NONE, SA_POSITION_ALIBI),
                  "position must be chosen: SA_POSITION_NONE, _ROPE, _ROPE_APPLIED or _ALIBI");
    REFUSE_UNLESS(config_in(c->position_mode, SA_IN_CACHE, SA_IN_STREAM), "position_mode is not SA_IN_*");
    REFUSE_UNLESS(c->position != SA_POSITION_NONE || !c->position_mode, "position_mode has no effect without position");
    REFUSE_UNLESS(c->position == SA_POSITION_ALIBI || !c->alibi_slopes, "alibi_slopes go with SA_POSITION_ALIBI only");
    for (int32_t h = 0; c->alibi_slopes && h < c->n_heads; h++)
        REFUSE_UNLESS(fabsf(c->alibi_slopes[h]) <= 1e30f, "an alibi slope is not finite");
    return config_rotates(c) ? config_check_rope(c) : config_check_no_rope(c);
}
/* -------------------------------- defaults -------------------------------- */
#define DEFAULT(field, value)                                                                                          \
    do {                                                                                                               \
        if (!(field)) (field) = (value);                                                                               \
    } while (0)
/* Attention factors as in Hugging Face transformers, where the model's file gives none. */
static double config_attention_factor(const sa_config *c) {
    if (c->position == SA_POSITION_ROPE_APPLIED) return 1;
    double s = c->rope_factor;
    if (c->rope_scaling == SA_ROPE_SCALING_YARN) return s > 1 ? 0.1 * log(s) + 1 : 1;
    if (c->rope_scaling == SA_ROPE_SCALING_LONGROPE && s > 1 && c->rope_original_context > 1)
        return sqrt(1 + log(s) / log(c->rope_original_context));
    return 1;
}
static void config_complete_layer(sa_config *c) {
    DEFAULT(c->n_kv_heads, c->n_heads);
    DEFAULT(c->v_head_dim, c->head_dim);
    DEFAULT(c->k_dtype, SA_F32);
    DEFAULT(c->v_dtype, SA_F32);
    DEFAULT(c->sink_k_dtype, sai_is_integer(c->k_dtype) ? SA_F16 : c->k_dtype);
    DEFAULT(c->sink_v_dtype, sai_is_integer(c->v_dtype) ? SA_F16 : c->v_dtype);
    DEFAULT(c->recent_k_dtype, SA_F16);
    DEFAULT(c->recent_v_dtype, SA_F16);
    if (c->scale == 0) c->scale = (float)(1 / sqrt(c->head_dim));
    if (!config_rotates(c)) return;
    DEFAULT(c->rope_dims, c->head_dim);
    if (c->rope_theta == 0) c->rope_theta = 10000;
    if (c->rope_attention_factor == 0) c->rope_attention_factor = config_attention_factor(c);
    if (c->rope_beta_fast == 0) c->rope_beta_fast = 32;
    if (c->rope_beta_slow == 0) c->rope_beta_slow = 1;
    if (c->rope_low_freq_factor == 0) c->rope_low_freq_factor = 1;
    if (c->rope_high_freq_factor == 0) c->rope_high_freq_factor = 4;
}
/* A completed config may name what the build leaves out, by a default as well: the dtype of sinks beside integers and
 * that of the recent tokens is SA_F16. */
static const char *config_check_built(const sa_config *c) {
    int sinks = c->n_sink || c->n_sink_kv || c->n_rows || c->head_sinks;
    REFUSE_UNLESS(sai_dtype_built(c->k_dtype) && sai_dtype_built(c->v_dtype),
                  "k_dtype or v_dtype is not in this library: built with SA_NO_F16, SA_NO_BF16 or SA_NO_INTEGERS");
    REFUSE_UNLESS(!sinks || (sai_dtype_built(c->sink_k_dtype) && sai_dtype_built(c->sink_v_dtype)),
                  "sink_k_dtype or sink_v_dtype is not in this library: built with SA_NO_F16 or SA_NO_BF16");
    REFUSE_UNLESS(!c->n_recent || (sai_dtype_built(c->recent_k_dtype) && sai_dtype_built(c->recent_v_dtype)),
                  "recent_k_dtype or recent_v_dtype is not in this library: built with SA_NO_F16 or SA_NO_BF16");
    return NULL;
}
/* What each kv head keeps, of a completed config. */
static const char *config_check_heads(const sa_config *c) {
    for (int32_t h = 0; h < c->n_kv_heads; h++) {
        int32_t window = c->head_windows ? c->head_windows[h] : 0, sinks = c->head_sinks ? c->head_sinks[h] : 0;
        int streams = c->policy == SA_POLICY_DENSE && window != 0;
        REFUSE_UNLESS(config_in(window, 0, c->window), "a head_windows is not 0 (the layer's) .. window");
        REFUSE_UNLESS(sinks >= -1, "a head_sinks is not -1 (none), 0 (the layer's) or a number of sink tokens");
        REFUSE_UNLESS(
            streams || sinks <= c->n_sink,
            "a head_sinks is larger than n_sink, or of a head of a dense layer that has no window of its own");
        REFUSE_UNLESS(!streams || sinks <= 0 || (sinks <= c->window - window && sinks <= 1 << 20),
                      "a head_sinks of a dense layer is larger than window - head_windows, or than 2^20");
    }
    REFUSE_UNLESS(sai_lanes_of(c).n <= SAI_MOST_LANES,
                  "head_sinks and head_windows have more than 256 different pairs");
    return NULL;
}
/* --------------------------------- entries -------------------------------- */
static sa_status config_verdict(const char *why, int32_t layer, sai_verdict *verdict) {
    verdict->why = why ? why : "";
    verdict->layer = layer;
    return why ? SA_ERR_CONFIG : SA_SUCCESS;
}
static sa_status config_read(const sa_config *from, int32_t layer, sa_config *out, sai_verdict *verdict) {
    sa_status status = sai_read_struct(out, sizeof *out, CONFIG_FIRST_SIZE, from);
    out->struct_size = sizeof *out; /* the copy is ours, and may be read again */
    verdict->why = status ? "struct_size is below the first version's, or fields beyond this version are set" : "";
    verdict->layer = layer;
    return status;
}
static sa_status sai_config_cache(const sa_config *config, sa_config *out, sai_verdict *verdict) {
    sa_status status = config_read(config, -1, out, verdict);
    if (status) return status;
    const char *why = config_check_unknown(out);
    status = config_verdict(why ? why : config_check_cache(out), -1, verdict);
    if (status) return status;
    if (out->isa != SA_ISA_AUTO && !sai_isa_available(out->isa)) {
        verdict->why = "isa is not available in this build on this processor";
        return SA_ERR_ISA;
    }
    DEFAULT(out->max_append, 256);
    DEFAULT(out->n_threads, 1);
    DEFAULT(out->n_sequences, 1);
    DEFAULT(out->io_dtype, SA_F32);
    if (out->isa == SA_ISA_AUTO) out->isa = sai_isa_best();
    if (out->isa == SA_ISA_AUTO) {
        verdict->why = "no instruction set of this build is available on this processor: built with SA_NO_PLAIN";
        return SA_ERR_ISA;
    }
    return SA_SUCCESS;
}
static sa_status sai_config_layer(const sa_config *cache_config, int32_t layer, sa_config *out, sai_verdict *verdict) {
    const sa_config *own = cache_config->layers ? cache_config->layers[layer] : NULL;
    sa_status status = config_read(own ? own : cache_config, layer, out, verdict);
    if (status) return status;
    const char *why = config_check_unknown(out);
    out->flags &= ~(uint32_t)SA_CONFIG_COOPERATIVE; /* of the cache, like n_threads: not read here */
    if (!why) why = config_check_geometry(out);
    if (!why) why = config_check_dtypes(out);
    if (!why) why = config_check_softmax(out, out->n_heads);
    if (!why) why = config_check_position(out);
    status = config_verdict(why, layer, verdict);
    if (status) return status;
    config_complete_layer(out);
    if (out->head_windows || out->head_sinks) why = config_check_heads(out);
    if (!why) why = config_check_built(out);
    return config_verdict(why, layer, verdict);
}
/* ---- lib/draft.c ---- */
/* Drafts of a sequence: checked, drafted, accepted.
 *
 */
/* ---------------------------------- checks -------------------------------- */
/* Whether so many tokens could be appended in one piece. */
static sai_error draft_check_depth(const sai_state *s, int32_t tokens) {
    if (tokens > s->pool->max_append) return SAI_ERROR_NODE_DEPTH;
    switch (sai_spans_can_append(&s->layer->rules, s->spans, (uint64_t)tokens)) {
    case SA_SUCCESS:
        return SAI_ERROR_NONE;
    case SA_ERR_FULL:
        return SAI_ERROR_FULL;
    default:
        return SAI_ERROR_STREAM_END;
    }
}
static sai_error sai_draft_check(const sai_state *s, const int32_t *parents, sai_call *call) {
    if (!s->nodes) return SAI_ERROR_NO_DRAFT;
    if (s->spans->seen < s->spans->sink_end) return SAI_ERROR_DRAFT_SINKS;
    if (call->n > s->nodes->most - s->nodes->n) return SAI_ERROR_DRAFT_FULL;
    int32_t *depths = sai_nodes_depths(s->nodes), deepest = 0;
    call->node = s->nodes->n;
    for (int32_t i = 0, node = call->node; i < call->n; i++, node++) {
        if (parents[i] < -1 || parents[i] >= node) return SAI_ERROR_PARENT;
        sai_nodes_parents(s->nodes)[node] = parents[i];
        depths[node] = parents[i] < 0 ? 0 : depths[parents[i]] + 1;
        if (depths[node] > deepest) deepest = depths[node];
    }
    return draft_check_depth(s, deepest + 1);
}
static sai_error sai_draft_check_queries(const sai_state *s, int64_t node, sai_call *call) {
    if (!s->nodes) return SAI_ERROR_NO_DRAFT;
    if (node < 0 || node > s->nodes->n - call->n) return SAI_ERROR_NODES;
    call->node = (int32_t)node;
    return SAI_ERROR_NONE;
}
static sai_error sai_draft_check_path(const sai_state *s, int32_t n, const int32_t *path) {
    int64_t claimed = 0;
    if (n && !sai_draft_is_open(s)) return SAI_ERROR_PATH;
    for (int32_t i = 0; i < n; i++) {
        if (path[i] < 0 || path[i] >= s->nodes->n) return SAI_ERROR_PATH;
        if (sai_nodes_parents(s->nodes)[path[i]] != (i ? path[i - 1] : -1)) return SAI_ERROR_PATH;
    }
    return sai_state_can_append(s, (uint64_t)n, (uint64_t)n, &claimed) ? SAI_ERROR_NO_TILE : SAI_ERROR_NONE;
}
/* --------------------------------- changes -------------------------------- */
static void sai_draft_step(const sai_state *s, const sai_call *call) {
    if (call->appends) sai_nodes_add(sai_block_of(s->pool), s->layer, s->nodes, call->n);
}
/* Copies the nodes of a path from a store of the draft to positions from `first` on, which have tiles. */
static void draft_copy(const sai_state *s, int32_t n, const int32_t *path, uint64_t first, int32_t from, int32_t to) {
    char *block = (char *)sai_block_of(s->pool);
    const sai_tiles nodes = sai_nodes_tiles(block, s->layer, s->nodes, from), *tokens = &s->tiles[to];
    const uint32_t *node_map = sai_tiles_map(&nodes, 0), *token_map = sai_tiles_map(tokens, first / 16);
    for (int32_t h = 0; h < s->layer->n_kv_heads; h++) {
        sai_run a = sai_run_of(block, nodes.arena, h, node_map, 0);
        sai_run b = sai_run_of(block, tokens->arena, h, token_map, first / 16);
        for (int32_t i = 0; i < n; i++) sai_store_copy(s->layer, &a, (uint64_t)path[i], &b, first + (uint64_t)i);
    }
}
static void sai_draft_accept(const sai_state *s, int32_t n, const int32_t *path) {
    uint64_t first = s->spans->seen;
    if (n) {
        sai_state_append(s, (uint64_t)n);
        draft_copy(s, n, path, first, SAI_NODES_MAIN, SAI_STORE_MAIN);
        if (s->layer->rules.recent) draft_copy(s, n, path, first, SAI_NODES_RECENT, SAI_STORE_RECENT);
    }
    sai_state_drop_draft(s);
}
/* ---- lib/error.c ---- */
/* Why a call was refused: the sentences.
 *
 */
typedef struct error_entry {
    sa_status status;
    const char *sentence;
} error_entry;
#define ERROR_ENTRY(name, status, sentence) {status, sentence},
static const error_entry error_table[SAI_N_ERRORS] = {SAI_ERRORS(ERROR_ENTRY)};
static sa_status sai_error_keep(sa_cache *cache, sai_error error) {
    cache->error = (int32_t)error;
    return error_table[error].status;
}
static sa_status sai_error_keep_pool(sa_pool *pool, sai_error error) {
    pool->error = (int32_t)error;
    return error_table[error].status;
}
static const char *error_sentence(int32_t error) {
    return error >= 0 && error < SAI_N_ERRORS ? error_table[error].sentence
                                              : "the last error is not one of this library";
}
const char *sa_cache_error(const sa_cache *cache) { return cache ? error_sentence(cache->error) : "cache is NULL"; }
const char *sa_pool_error(const sa_pool *pool) { return pool ? error_sentence(pool->error) : "pool is NULL"; }
/* ---- lib/gather.c ---- */
/* The keys of a node's path, put where they would lie had they been appended.
 *
 */
#include <string.h>
/* The stream's newest tile, if it is not full, with what is in it. */
static void gather_copy_tile(const sai_state *s, const sai_tiles *t, uint64_t number, int32_t kv_head,
                             const sai_run *run) {
    if (s->spans->seen % 16 == 0 || !sai_tiles_has(t, number)) return;
    sai_run from = sai_run_of(t->block, t->arena, kv_head, sai_tiles_map(t, number), number);
    memcpy((char *)(uintptr_t)sai_run_key(run, 16 * number), sai_run_key(&from, 16 * number), run->k_tile);
    memcpy((char *)(uintptr_t)sai_run_value(run, 16 * number), sai_run_value(&from, 16 * number), run->v_tile);
}
static void sai_gather_begin(const sai_unit *u, const sai_part *part, const sai_scratch *s, sai_run *run) {
    const sai_state *state = &u->job->state;
    const sai_layer *l = state->layer;
    uint64_t first = part->tail / 16, newest = state->spans->seen / 16;
    for (uint64_t number = first; number < newest; number++)
        s->path_map[number - first] = number < part->map_first ? 0 : part->map[number - part->map_first];
    for (int32_t i = 0; i < l->path_tiles; i++)
        s->path_map[newest - first + (uint64_t)i] = part->arena->n_tiles + (uint32_t)(s->worker * l->path_tiles + i);
    for (int32_t i = 0; i < sai_most_depth(l->max_draft, state->pool->max_append); i++) s->path[i] = -1;
    *run = sai_run_of(sai_block_of(state->pool), part->arena, u->kv_head, s->path_map, first);
    int32_t store = part->extent == SAI_PART_NEWEST ? SAI_STORE_RECENT : SAI_STORE_MAIN;
    gather_copy_tile(state, &state->tiles[store], newest, u->kv_head, run);
}
static void sai_gather_path(const sai_unit *u, const sai_part *part, int32_t node, const sai_scratch *s, const sai_run *run) {
    const sai_state *state = &u->job->state;
    int32_t store = part->extent == SAI_PART_NEWEST ? SAI_NODES_RECENT : SAI_NODES_MAIN;
    sai_tiles t = sai_nodes_tiles(sai_block_of(state->pool), state->layer, state->nodes, store);
    sai_run nodes = sai_run_of(t.block, t.arena, u->kv_head, sai_tiles_map(&t, 0), 0);
    const int32_t *parents = sai_nodes_parents(state->nodes), *depths = sai_nodes_depths(state->nodes);
    for (; node >= 0; node = parents[node]) {
        if (s->path[depths[node]] == node) continue;
        s->path[depths[node]] = node;
        sai_store_copy(state->layer, &nodes, (uint64_t)node, run, state->spans->seen + (uint64_t)depths[node]);
    }
}
/* ---- lib/held.c ---- */
/* Which tiles of 16 positions a list of spans touches.
 *
 */
static uint64_t held_from(const sai_held *h, int32_t i) {
    return h->list[i].from > h->from ? h->list[i].from : h->from;
}
static int held_counts(const sai_held *h, int32_t i) {
    return h->list[i].store == h->store && h->list[i].end > h->from;
}
/* Goes to the next span that counts, and to its first tile; *i stops at n. */
static void held_skip(const sai_held *h, int32_t *i, uint64_t *tile) {
    while (*i < h->n && !held_counts(h, *i)) ++*i;
    if (*i < h->n && *tile < held_from(h, *i) / 16) *tile = held_from(h, *i) / 16;
}
static sai_held sai_held_begin(const sai_span *list, int32_t n, uint64_t recent_from, int32_t store, uint64_t from) {
    sai_held h = {list, n, store, from, 0, 0, 0, 0};
    if (store == SAI_STORE_RECENT) {
        /* The second copy of main positions. */
        h.store = SAI_STORE_MAIN;
        if (recent_from > from) h.from = recent_from;
    }
    return h;
}
/* The positions of a span in a tile. */
static uint32_t held_lanes(const sai_held *h, int32_t i, uint64_t number) {
    uint64_t first = 16 * number, from = held_from(h, i), end = h->list[i].end;
    uint32_t low = from > first ? (uint32_t)(from - first) : 0;
    uint32_t high = end < first + 16 ? (uint32_t)(end - first) : 16;
    return ((uint32_t)1 << high) - ((uint32_t)1 << low);
}
static int sai_held_next(sai_held *h) {
    held_skip(h, &h->i, &h->tile);
    if (h->i >= h->n) return 0;
    h->number = h->tile;
    h->lanes = held_lanes(h, h->i, h->number);
    /* Later spans may begin in the same tile. */
    while (h->list[h->i].end <= 16 * h->number + 16) {
        h->i++;
        held_skip(h, &h->i, &h->tile);
        if (h->i >= h->n || h->tile > h->number) return 1;
        h->lanes |= held_lanes(h, h->i, h->number);
    }
    h->tile = h->number + 1;
    return 1;
}
static uint64_t sai_held_count(const sai_held *h) {
    uint64_t count = 0, next = 0;
    for (int32_t i = 0; i < h->n; i++) {
        if (!held_counts(h, i)) continue;
        uint64_t first = held_from(h, i) / 16, end = (h->list[i].end - 1) / 16 + 1;
        if (first < next) first = next; /* the last tile of the span before */
        if (end > first) count += end - first;
        next = end;
    }
    return count;
}
/* ---- lib/lanes.c ---- */
/* Which kv heads of a layer keep the same tokens.
 *
 */
/* What decides which tokens a kv head keeps. */
typedef struct lanes_rule {
    int32_t policy, n_sink, window;
} lanes_rule;
static lanes_rule lanes_rule_of(const sa_config *c, int32_t head) {
    int32_t window = c->head_windows ? c->head_windows[head] : 0, sinks = c->head_sinks ? c->head_sinks[head] : 0;
    lanes_rule r = {c->policy, c->n_sink, c->window};
    if (sinks) r.n_sink = sinks < 0 ? 0 : sinks;
    if (!window) return r;
    r.window = window;
    /* A head of a dense layer that has a window streams. */
    if (r.policy == SA_POLICY_DENSE) r.policy = SA_POLICY_SINK_WINDOW;
    return r;
}
static int lanes_are_equal(const sa_config *c, int32_t a, int32_t b) {
    lanes_rule x = lanes_rule_of(c, a), y = lanes_rule_of(c, b);
    return x.policy == y.policy && x.n_sink == y.n_sink && x.window == y.window;
}
static sai_lanes sai_lanes_of(const sa_config *c) {
    sai_lanes lanes;
    lanes.n = 1;
    lanes.heads[0] = 0;
    for (int32_t h = 1; (c->head_sinks || c->head_windows) && h < c->n_kv_heads; h++) {
        int32_t i = 0;
        while (i < lanes.n && !lanes_are_equal(c, lanes.heads[i], h)) i++;
        if (i < lanes.n) continue;
        if (lanes.n++ == SAI_MOST_LANES) return lanes;
        lanes.heads[i] = h;
    }
    return lanes;
}
static sa_config sai_lanes_config(const sa_config *c, const sai_lanes *lanes, int32_t lane) {
    sa_config own = *c;
    lanes_rule rule = lanes_rule_of(c, lanes->heads[lane]);
    int32_t n = lanes->n == 1 ? c->n_kv_heads : 0;
    for (int32_t h = 0; lanes->n > 1 && h < c->n_kv_heads; h++) n += lanes_are_equal(c, lanes->heads[lane], h);
    own.policy = rule.policy;
    own.n_sink = rule.n_sink;
    own.window = rule.window;
    if (own.n_recent > own.window) own.n_recent = own.window;
    own.n_kv_heads = n;
    own.n_heads = c->n_heads / c->n_kv_heads * n;
    return own;
}
static void sai_lanes_heads(const sa_config *c, const sai_lanes *lanes, int32_t lane, int32_t *heads) {
    int32_t n = 0;
    for (int32_t h = 0; h < c->n_kv_heads; h++)
        if (lanes_are_equal(c, lanes->heads[lane], h)) heads[n++] = h;
}
/* ---- lib/layout.c ---- */
/* Where everything lies in a pool's block, and so its size: one walk serves both.
 *
 */
#include <math.h>
#include <string.h>
/* A place in the block that sticks at the top instead of wrapping. */
typedef struct layout_cursor {
    uint64_t at;
    int overflow;
} layout_cursor;
static uint64_t layout_times(layout_cursor *c, uint64_t a, uint64_t b) {
    if (a && b > UINT64_MAX / a) c->overflow = 1;
    return c->overflow ? 0 : a * b;
}
/* Takes n elements of a size and returns where they start. */
static size_t layout_take(layout_cursor *c, uint64_t n, uint64_t size) {
    uint64_t bytes = layout_times(c, n, size), start = (c->at + SAI_ALIGNMENT - 1) / SAI_ALIGNMENT * SAI_ALIGNMENT;
    if (bytes > ((uint64_t)1 << 62) - start || start + bytes > SIZE_MAX / 2) c->overflow = 1;
    if (!c->overflow) c->at = start + bytes;
    return (size_t)start;
}
/* --------------------------------- layers --------------------------------- */
/* `paths`: tiles behind those of the arena that no table knows. */
static void layout_arena(layout_cursor *c, const sai_layer *l, uint64_t tiles, uint64_t paths, int32_t k_dtype,
                         int32_t v_dtype, sai_arena *a) {
    if (tiles > UINT32_MAX / 2 || paths > UINT32_MAX / 2) c->overflow = 1;
    a->n_tiles = a->n_free = (uint32_t)tiles;
    a->n_kv_heads = l->n_kv_heads;
    a->k_dtype = k_dtype;
    a->v_dtype = v_dtype;
    a->k_tile = sai_key_tile(k_dtype, l->dk);
    a->v_tile = sai_value_tile(v_dtype, l->dv_pad);
    uint64_t k_head = layout_times(c, tiles + paths, a->k_tile), v_head = layout_times(c, tiles + paths, a->v_tile);
    a->k_at = layout_take(c, k_head, (uint64_t)l->n_kv_heads);
    a->v_at = layout_take(c, v_head, (uint64_t)l->n_kv_heads);
    a->uses_at = layout_take(c, tiles, sizeof(uint32_t));
    a->k_head = (size_t)k_head;
    a->v_head = (size_t)v_head;
}
static sai_rules layout_rules(const sa_config *c, const sa_config *whole) {
    sai_rules r;
    memset(&r, 0, sizeof r);
    uint64_t slack = (uint64_t)(whole->max_append > whole->rollback + 1 ? whole->max_append : whole->rollback + 1);
    r.n_sink = (uint64_t)c->n_sink;
    r.window = (uint64_t)c->window;
    r.is_dense = c->policy == SA_POLICY_DENSE;
    r.in_stream = c->position_mode == SA_IN_STREAM;
    r.hold = r.is_dense ? r.window : r.window - 1 + slack;
    r.recent = (uint64_t)c->n_recent;
    r.recent_hold = r.recent ? r.recent - 1 + slack : 0;
    r.most_pinned = (uint64_t)whole->n_pin;
    r.most_spans = 5 + whole->n_spans;
    return r;
}
/* Keys per block: 1024, doubled until a window has at most 64 of them. It depends on the config
 * alone, since it decides the order in which partial states are merged. */
static int32_t layout_block_bits(const sa_config *c) {
    int32_t most = c->window > c->n_sink ? c->window : c->n_sink, bits = 10;
    if (c->n_sink_kv > most) most = c->n_sink_kv;
    while ((uint64_t)most > (uint64_t)64 << bits) bits++;
    return bits;
}
/* Tiles of a store for all sequences: of the main one, no more than the budget asks for. */
static uint64_t layout_tiles(layout_cursor *c, const sai_layer *l, const sa_config *whole, int32_t store) {
    uint64_t n = (uint64_t)whole->n_sequences;
    uint64_t most = layout_times(c, n, sai_sequence_most_tiles(&l->rules, store));
    uint64_t budget = ((uint64_t)whole->pool_tokens + 15) / 16;
    return store == SAI_STORE_MAIN && whole->pool_tokens && budget < most ? budget : most;
}
/* Rows of the host: for every sequence as many as it may have, so that there is always one more tile to copy to. */
static void layout_rows(layout_cursor *cursor, sai_layer *l, const sa_config *whole, const sa_config *c) {
    uint64_t tiles = layout_times(cursor, (uint64_t)whole->n_sequences, sai_rows_tiles(l));
    sai_arena *a = &l->rows;
    layout_arena(cursor, l, tiles, 0, c->sink_k_dtype, c->sink_v_dtype, a);
    a->homes = (uint32_t)sai_rows_tiles(l);
    a->beside_tile = sizeof(sai_row_facts);
    a->beside_head = (size_t)layout_times(cursor, tiles, a->beside_tile);
    a->beside_at = layout_take(cursor, (uint64_t)l->n_kv_heads, a->beside_head);
}
/* Nodes are stored as what they may become, in tiles that each sequence has to itself. */
static void layout_drafts(layout_cursor *cursor, sai_layer *l, const sa_config *whole, int32_t store) {
    const sai_arena *like = &l->arenas[store == SAI_NODES_MAIN ? SAI_STORE_MAIN : SAI_STORE_RECENT];
    uint64_t tiles = like->n_tiles ? sai_nodes_most_tiles(l->max_draft) : 0;
    layout_arena(cursor, l, layout_times(cursor, (uint64_t)whole->n_sequences, tiles), 0, like->k_dtype, like->v_dtype,
                 &l->drafts[store]);
    l->drafts[store].homes = tiles ? (uint32_t)tiles : 1;
}
static void layout_arenas(layout_cursor *cursor, sai_layer *l, const sa_config *whole, const sa_config *c) {
    const int32_t k_dtypes[SAI_STORES] = {c->k_dtype, c->sink_k_dtype, c->recent_k_dtype};
    const int32_t v_dtypes[SAI_STORES] = {c->v_dtype, c->sink_v_dtype, c->recent_v_dtype};
    for (int32_t i = 0; i < SAI_STORES; i++) {
        uint64_t tiles = layout_tiles(cursor, l, whole, i);
        uint64_t paths = tiles && i != SAI_STORE_SINKS ? (uint64_t)l->path_tiles * (uint64_t)whole->n_threads : 0;
        layout_arena(cursor, l, tiles, paths, k_dtypes[i], v_dtypes[i], &l->arenas[i]);
        l->arenas[i].homes = (uint32_t)(tiles / (uint64_t)whole->n_sequences);
        if (!l->arenas[i].homes) l->arenas[i].homes = 1;
    }
    uint64_t learned = ((uint64_t)c->n_sink_kv + 15) / 16;
    layout_arena(cursor, l, learned, 0, c->sink_k_dtype, c->sink_v_dtype, &l->learned);
    l->learned_map_at = layout_take(cursor, learned, sizeof(uint32_t));
    if (l->n_rows) layout_rows(cursor, l, whole, c);
    for (int32_t i = 0; i < SAI_NODE_STORES; i++) layout_drafts(cursor, l, whole, i);
}
/* Tables that all lanes of a layer share. */
static void layout_tables(layout_cursor *cursor, sai_layer *l, const sa_config *layer) {
    l->frequencies_at = layout_take(cursor, (uint64_t)l->rope.pairs, sizeof(uint64_t));
    if (layer->position == SA_POSITION_ALIBI)
        l->slopes_at = layout_take(cursor, (uint64_t)layer->n_heads, sizeof(float));
    if (layer->sink_logits) l->logits_at = layout_take(cursor, (uint64_t)layer->n_heads, sizeof(float));
}
/* A lane of its own config, all but its place. */
static sai_layer layout_lane(const sa_config *whole, const sa_config *c) {
    sai_layer l;
    memset(&l, 0, sizeof l);
    l.n_heads = c->n_heads;
    l.n_kv_heads = c->n_kv_heads;
    l.group = c->n_heads / c->n_kv_heads;
    l.dk = c->head_dim;
    l.dv = c->v_head_dim;
    l.dv_pad = sai_round16(c->v_head_dim);
    l.position = c->position;
    l.n_sink_kv = c->n_sink_kv;
    l.sink_kv_position = c->sink_kv_position;
    l.n_rows = c->n_rows;
    l.scale = c->scale;
    l.softcap = c->softcap;
    l.block_bits = layout_block_bits(c);
    l.rope = sai_rope_of(c);
    l.rules = layout_rules(c, whole);
    l.max_draft = whole->max_draft;
    /* A path begins anywhere in its first tile. */
    if (l.max_draft) l.path_tiles = (sai_most_depth(whole->max_draft, whole->max_append) + 30) / 16;
    return l;
}
/* A lane of a layer and its place, all but the contents of its tables; *sequence_at: where its part of a sequence
 * begins. `first`: the layer's first lane, or NULL if it is this one. */
static sai_layer layout_layer(layout_cursor *cursor, const sa_config *whole, const sa_config *layer,
                              const sa_config *lane, const sai_layer *first, uint64_t *sequence_at) {
    sai_layer l = layout_lane(whole, lane);
    l.layer_heads = layer->n_heads;
    l.layer_kv_heads = layer->n_kv_heads;
    l.layer_window = layer->window;
    if (first) {
        l.frequencies_at = first->frequencies_at;
        l.slopes_at = first->slopes_at;
        l.logits_at = first->logits_at;
    } else {
        layout_tables(cursor, &l, layer);
    }
    if (l.n_kv_heads < l.layer_kv_heads) l.heads_at = layout_take(cursor, (uint64_t)l.n_kv_heads, sizeof(int32_t));
    layout_arenas(cursor, &l, whole, lane);
    *sequence_at = sai_sequence_place(&l, *sequence_at);
    return l;
}
/* Slopes of Press et al. for n heads: 2^(-8 i / n) where n is a power of two; else those of the
 * power below, then every other one of twice that power. */
static void layout_alibi_slopes(int32_t n, float *slopes) {
    int32_t power = 1;
    while (2 * power <= n) power *= 2;
    for (int32_t h = 0; h < n; h++)
        slopes[h] = (float)(h < power ? pow(2, -8.0 * (h + 1) / power) : pow(2, -4.0 * (2 * (h - power) + 1) / power));
}
/* The earliest of the few layers before this one that rotates alike, or the layer itself. */
static int32_t layout_rope_id(const sa_pool *pool, int32_t layer) {
    const sai_layer *l = sai_layer_of(pool, layer);
    for (int32_t other = layer - 1; other >= 0 && other >= layer - 8; other--) {
        const sai_layer *o = sai_layer_of(pool, other);
        if (o->rope.pairs == l->rope.pairs && o->rope.factor == l->rope.factor &&
            !memcmp(sai_at(pool, o->frequencies_at), sai_at(pool, l->frequencies_at),
                    (size_t)l->rope.pairs * sizeof(uint64_t)))
            return o->rope_id;
    }
    return layer;
}
/* The tables that all lanes share, by the first one. */
static void layout_fill_tables(sa_pool *pool, int32_t layer, const sa_config *c) {
    sai_layer *l = sai_layer_of(pool, layer);
    if (l->rope.pairs) sai_rope_frequencies(c, (uint64_t *)sai_at(pool, l->frequencies_at));
    l->rope_id = layout_rope_id(pool, layer);
    if (l->slopes_at) {
        float *slopes = (float *)sai_at(pool, l->slopes_at);
        if (c->alibi_slopes)
            memcpy(slopes, c->alibi_slopes, (size_t)l->layer_heads * sizeof *slopes);
        else
            layout_alibi_slopes(l->layer_heads, slopes);
    }
    if (l->logits_at) memcpy(sai_at(pool, l->logits_at), c->sink_logits, (size_t)l->layer_heads * sizeof(float));
}
static void layout_fill_lane(sa_pool *pool, int32_t layer, const sa_config *c, const sai_lanes *lanes, int32_t lane) {
    sai_layer *l = sai_layer_of(pool, layer) + lane;
    l->rope_id = sai_layer_of(pool, layer)->rope_id;
    if (l->heads_at) sai_lanes_heads(c, lanes, lane, (int32_t *)sai_at(pool, l->heads_at));
    for (uint32_t i = 0; i < l->learned.n_tiles; i++) ((uint32_t *)sai_at(pool, l->learned_map_at))[i] = i;
    for (int32_t i = 0; i < pool->n_sequences; i++) sai_sequence_tables(sai_sequence_at(pool, i), l);
}
/* -------------------------------- workspace ------------------------------- */
/* What a walk over the layers finds that they need at most. */
typedef struct layout_needs {
    uint64_t worker, split, pairs, heads;
    int32_t lanes;
} layout_needs;
/* What one lane needs; *split: floats for all lanes of the layer, since they run together. */
static void layout_need(layout_needs *needs, const sa_config *whole, const sai_layer *l, uint64_t *split) {
    uint64_t worker = sai_scratch_floats(l, whole->max_append);
    uint64_t rows = (uint64_t)l->n_heads * (uint64_t)whole->max_append * (uint64_t)whole->n_sequences;
    uint64_t split_rows = sai_split_rows(whole->n_threads);
    *split += (rows < split_rows ? rows : split_rows) * sai_most_blocks(l) * ((uint64_t)l->dv_pad + 2);
    if (worker > needs->worker) needs->worker = worker;
    if (*split > needs->split) needs->split = *split;
    if ((uint64_t)l->layer_heads > needs->heads) needs->heads = (uint64_t)l->layer_heads;
    if ((uint64_t)l->rope.pairs > needs->pairs) needs->pairs = (uint64_t)l->rope.pairs;
}
static void layout_workspace(layout_cursor *cursor, const layout_needs *needs, const sa_config *whole,
                             sai_workspace *work) {
    uint64_t n = (uint64_t)whole->n_sequences, jobs = n * (uint64_t)needs->lanes;
    /* Two sets of rows: some models rotate every other layer by another theta; and some for spans and sequences. A lane
     * more may have its sinks at a place of its own. */
    work->rotation_rows =
        (1 + needs->lanes) * (whole->max_append > whole->n_sequences ? whole->max_append : whole->n_sequences) + 16;
    work->rotation_stride = (int32_t)(2 * needs->pairs);
    work->rotation_filling = 1;
    work->rotations_at = layout_take(cursor, (uint64_t)work->rotation_rows, 2 * needs->pairs * sizeof(float));
    work->keys_at = layout_take(cursor, needs->pairs ? SAI_ROTATION_KEYS : 1, sizeof(sai_rotations_key));
    work->worker_size = (size_t)((needs->worker * sizeof(float) + SAI_ALIGNMENT - 1) / SAI_ALIGNMENT * SAI_ALIGNMENT);
    work->workers_at = layout_take(cursor, (uint64_t)whole->n_threads, work->worker_size);
    work->split_floats = needs->split;
    work->splits_at = layout_take(cursor, needs->split, sizeof(float));
    work->most_view_spans = 2 * sai_spans_room(5 + whole->n_spans);
    work->most_parts = 2 * work->most_view_spans + 1 + SAI_ROW_KINDS;
    uint64_t tokens = (uint64_t)(whole->max_append > whole->n_sequences ? whole->max_append : whole->n_sequences);
    work->kept_at = layout_take(cursor, layout_times(cursor, 2 * needs->heads, tokens), sizeof(float));
    work->calls_at = layout_take(cursor, n, sizeof(sai_batch_call));
    work->jobs_at = layout_take(cursor, jobs, sizeof(sai_job));
    work->parts_at = layout_take(cursor, layout_times(cursor, jobs, (uint64_t)work->most_parts), sizeof(sai_part));
    work->views_at = layout_take(cursor, layout_times(cursor, jobs, (uint64_t)work->most_view_spans), sizeof(sai_span));
    work->claims_at = layout_take(cursor, (uint64_t)needs->lanes, sizeof(int64_t));
    work->most_lanes = needs->lanes;
    work->begun_layer = -1;
}
/* ---------------------------------- walk ---------------------------------- */
/* A walk over all layers: on paper, or while the pool is built. */
typedef struct layout_walker {
    const sa_config *whole;
    sa_pool *pool;
    int builds;
    layout_cursor cursor;
    layout_needs needs;
    uint64_t sequence_at;
} layout_walker;
static void layout_pool(const sa_config *whole, size_t at, sa_pool *pool) {
    pool->at = at;
    pool->n_layers = whole->n_layers;
    pool->n_threads = whole->n_threads;
    pool->max_append = whole->max_append;
    pool->io_dtype = whole->io_dtype;
    pool->isa = whole->isa;
    pool->n_sequences = whole->n_sequences;
    pool->has_budget = whole->pool_tokens != 0;
    pool->parallel_for = whole->parallel_for;
    pool->parallel_context = whole->parallel_context;
}
/* The size of a sequence, and how many lanes it has: its lanes' parts do not depend on where they lie. */
static sa_status layout_sequence(const sa_config *whole, uint64_t *size, int32_t *n_lanes, sai_verdict *verdict) {
    *size = sizeof(sa_cache);
    *n_lanes = 0;
    for (int32_t l = 0; l < whole->n_layers; l++) {
        sa_config own;
        sai_layer place;
        sa_status status = sai_config_layer(whole, l, &own, verdict);
        if (status) return status;
        sai_lanes lanes = sai_lanes_of(&own);
        *n_lanes += lanes.n;
        for (int32_t i = 0; i < lanes.n; i++) {
            sa_config lane = sai_lanes_config(&own, &lanes, i);
            place.rules = layout_rules(&lane, whole);
            place.n_rows = own.n_rows;
            place.max_draft = whole->max_draft;
            *size = sai_sequence_place(&place, *size);
        }
    }
    *size = (*size + SAI_ALIGNMENT - 1) / SAI_ALIGNMENT * SAI_ALIGNMENT;
    return SA_SUCCESS;
}
/* The lanes of layer `l`, the first of which is number `at` of all; returns the number behind the last. */
static int32_t layout_lanes(layout_walker *w, int32_t l, int32_t at, const sa_config *layer) {
    sai_lanes lanes = sai_lanes_of(layer);
    sai_layer first;
    uint64_t split = 0;
    if (lanes.n > w->needs.lanes) w->needs.lanes = lanes.n;
    for (int32_t i = 0; i < lanes.n; i++) {
        sa_config own = sai_lanes_config(layer, &lanes, i);
        sai_layer lane = layout_layer(&w->cursor, w->whole, layer, &own, i ? &first : NULL, &w->sequence_at);
        layout_need(&w->needs, w->whole, &lane, &split);
        if (!i) first = lane;
        if (w->builds) *sai_lane_of(w->pool, at + i) = lane;
    }
    if (!w->builds) return at + lanes.n;
    ((int32_t *)sai_at(w->pool, w->pool->lanes_at))[l] = at;
    layout_fill_tables(w->pool, l, layer);
    for (int32_t i = 0; i < lanes.n; i++) layout_fill_lane(w->pool, l, layer, &lanes, i);
    return at + lanes.n;
}
static sa_status layout_layers(layout_walker *w, sai_verdict *verdict) {
    sa_pool *pool = w->pool;
    int32_t at = 0;
    pool->layers_at = layout_take(&w->cursor, (uint64_t)pool->n_lanes, sizeof(sai_layer));
    pool->lanes_at = layout_take(&w->cursor, (uint64_t)pool->n_layers + 1, sizeof(int32_t));
    for (int32_t l = 0; l < pool->n_layers; l++) {
        sa_config own;
        sa_status status = sai_config_layer(w->whole, l, &own, verdict);
        if (status) return status;
        at = layout_lanes(w, l, at, &own);
    }
    if (w->builds) ((int32_t *)sai_at(pool, pool->lanes_at))[pool->n_layers] = at;
    return SA_SUCCESS;
}
/* Lays out a checked or yet unchecked config; with `memory`, also builds the pool there. */
static sa_status layout_walk(const sa_config *config, void *memory, sa_pool **pool_out, uint64_t *size,
                             sai_verdict *verdict) {
    sa_config whole;
    sa_pool on_paper, *pool = &on_paper;
    uint64_t sequence_size = 0;
    int32_t n_lanes = 0;
    sa_status status = sai_config_cache(config, &whole, verdict);
    if (!status) status = layout_sequence(&whole, &sequence_size, &n_lanes, verdict);
    if (status) return status;
    layout_walker w = {&whole, NULL, memory != NULL, {0, 0}, {0, 0, 0, 0, 0}, sizeof(sa_cache)};
    layout_take(&w.cursor, (uint64_t)whole.n_sequences, sequence_size);
    size_t at = layout_take(&w.cursor, 1, sizeof *pool);
    if (memory) pool = (sa_pool *)(void *)((char *)memory + at);
    memset(pool, 0, sizeof *pool);
    layout_pool(&whole, at, pool);
    w.pool = pool;
    pool->n_lanes = n_lanes;
    pool->sequence_size = (size_t)sequence_size;
    for (int32_t i = 0; memory && i < whole.n_sequences; i++) {
        sa_cache *cache = sai_sequence_at(pool, i);
        cache->at = (size_t)i * pool->sequence_size;
        cache->pool_at = at;
    }
    status = layout_layers(&w, verdict);
    if (status) return status;
    layout_workspace(&w.cursor, &w.needs, &whole, &pool->work);
    pool->size = (w.cursor.at + SAI_ALIGNMENT - 1) / SAI_ALIGNMENT * SAI_ALIGNMENT;
    *size = pool->size;
    if (memory) *pool_out = pool;
    verdict->layer = -1;
    verdict->why = w.cursor.overflow ? "the cache would be larger than memory can be" : "";
    return w.cursor.overflow ? SA_ERR_OVERFLOW : SA_SUCCESS;
}
static sa_status sai_layout_size(const sa_config *config, size_t *size_out, sai_verdict *verdict) {
    uint64_t size;
    sa_status status = layout_walk(config, NULL, NULL, &size, verdict);
    if (!status) *size_out = (size_t)size;
    return status;
}
static sa_pool *sai_layout_build(void *memory, const sa_config *config) {
    sai_verdict verdict;
    sa_pool *pool = NULL;
    uint64_t size;
    return layout_walk(config, memory, &pool, &size, &verdict) ? NULL : pool;
}
/* ---- lib/load.c ---- */
/* Loads a sequence from a snapshot in the host's memory.
 *
 * The data is not trusted. All of it is checked before anything changes; the spans of a layer are put in the place of
 * the old ones for that, which then return.
 */
/* ---- lib/snapshot.h ---- */
/* The form of a snapshot: what docs/snapshot.md says, in numbers.
 *
 *     header | per layer, per lane: meaning, spans, tiles of each store, rows of the host
 *
 * All are sections but the header; all are whole lines of 128 bytes; all numbers are little-endian.
 */
#ifndef SAI_SNAPSHOT_H
#define SAI_SNAPSHOT_H
#define SAI_SNAPSHOT_MAGIC "sinkattn"
enum { SAI_SNAPSHOT_VERSION = 1 };
/* Bytes from the start of the header. */
enum {
    SAI_HEADER_MAGIC = 0,
    SAI_HEADER_SUM = 8, /* of all bytes, these 8 taken as 0 */
    SAI_HEADER_VERSION = 16,
    SAI_HEADER_LAYERS = 20,
    SAI_HEADER_SIZE = 24,  /* of the snapshot */
    SAI_HEADER_FROM = 32,  /* tokens before are listed, and not there */
    SAI_HEADER_LANES = 40, /* of all layers */
    SAI_HEADER_END = 44    /* zeros follow */
};
/* Kinds of sections. A reader leaves out those that it does not know if their flags allow that. */
enum {
    SAI_SECTION_MEANING = 1,
    SAI_SECTION_SPANS = 2,
    SAI_SECTION_TILES = 3,
    SAI_SECTION_ROWS = 4,
    SAI_SECTION_KINDS = 5
};
enum { SAI_SECTION_MAY_SKIP = 1 };
/* Bytes from the start of a section. */
enum {
    SAI_AT_KIND = 0,
    SAI_AT_FLAGS = 4,
    SAI_AT_SIZE = 8, /* this line included */
    SAI_AT_LAYER = 16,
    SAI_AT_LANE = 20,  /* of the layer: kv heads that keep the same tokens */
    SAI_AT_STORE = 24, /* these four are of tiles, else 0 */
    SAI_AT_TILES = 32,
    SAI_AT_KEY_TILE = 40,
    SAI_AT_VALUE_TILE = 48
};
/* Rows: where each kind begins and ends. Of each kv head come tiles of keys, of values, and what stands beside them:
 * biases of both kinds, and places, of 16 rows. */
enum { SAI_AT_USED = 64, SAI_FACTS_SIZE = 256 };
/* Spans: counters, the list, and the numbers of the lane's kv heads. */
enum {
    SAI_AT_N_HEADS = 64, /* kv heads of the lane */
    SAI_AT_N_SINK = 72,
    SAI_AT_WINDOW = 80,
    SAI_AT_N_RECENT = 88,
    SAI_AT_DENSE = 96,
    SAI_AT_N_SPANS = 100,
    SAI_AT_SEEN = 104,
    SAI_AT_SHIFT = 112,
    SAI_AT_FLOOR = 120,
    SAI_AT_FLOOR_LOGICAL = 128,
    SAI_AT_SINK_END = 136,
    SAI_AT_RECENT_FROM = 144,
    SAI_AT_LEFT = 152,
    SAI_AT_LEFT_LOGICAL = 160,
    SAI_AT_LEFT_COPY = 168,
    SAI_AT_LIST = 192,
    SAI_LIST_STEP = 32, /* from, end, shift, kind, store */
    SAI_LIST_MASKED = 255
};
/* ------------------------------- meaning.c -------------------------------- */
/* The section that says what a lane's numbers mean: its bytes; writes it, all but its first line; and whether the
 * snapshot's numbers mean the same here. */
static uint64_t sai_meaning_size(const sai_layer *l);
static void sai_meaning_write(const sa_pool *pool, const sai_layer *l, unsigned char *section);
static sai_error sai_meaning_check(const sa_pool *pool, const sai_layer *l, const unsigned char *section, uint64_t size);
/* ------------------------------ saved_rows.c ------------------------------ */
/* The section of a lane's rows of the host: its bytes; writes it, all but what every section says; whether a
 * sequence can take it; and takes it. */
static uint64_t sai_saved_rows_size(const sai_state *s);
static void sai_saved_rows_write(const sai_state *s, unsigned char *section);
static sai_error sai_saved_rows_check(const sai_state *s, const unsigned char *section, uint64_t size);
static void sai_saved_rows_load(const sai_state *s, const unsigned char *section);
/* -------------------------------- sound.c --------------------------------- */
/* Whether a list that came from outside is such as calls can leave, whatever the rules that the layer had. */
static int sai_spans_are_sound(const sai_spans *s, uint64_t n_sink);
/* ----------------------------- save.c, load.c ----------------------------- */
/* Bytes of the tiles of a store from a position on, with the section's first line, and of a lane's list of n spans. */
static inline uint64_t sai_tiles_section(const sai_arena *a, uint64_t tiles) {
    uint64_t tile = sai_round_line(a->k_tile) + sai_round_line(a->v_tile);
    return SAI_LINE + tiles * tile * (uint64_t)a->n_kv_heads;
}
static inline uint64_t sai_spans_section(const sai_layer *lane, uint64_t n) {
    return sai_round_line(SAI_AT_LIST + SAI_LIST_STEP * n + 4 * (uint64_t)lane->n_kv_heads);
}
/* The forms of a store's tiles. */
static inline sai_tile_form sai_form_of(const sai_layer *l, const sai_arena *a, int is_value) {
    return is_value ? sai_value_form(a->v_dtype, l->dv_pad) : sai_key_form(a->k_dtype, l->dk);
}
#endif
/* --------------------------------- sections ------------------------------- */
typedef struct load_reader {
    const unsigned char *at, *end;
    int32_t layer, lane; /* that come next */
} load_reader;
/* Lane `lane` of all layers is to come next. */
static void load_go_to(load_reader *r, const sa_pool *pool, int32_t lane) {
    while (lane >= sai_first_lane(pool, r->layer + 1)) r->layer++;
    r->lane = lane - sai_first_lane(pool, r->layer);
}
typedef struct load_section {
    const unsigned char *at;
    uint64_t size;
} load_section;
/* Takes the next section, if it is whole. */
static sai_error load_take(load_reader *r, load_section *out) {
    uint64_t left = (uint64_t)(r->end - r->at);
    if (left < SAI_LINE) return SAI_ERROR_LOAD_FIELDS;
    out->at = r->at;
    out->size = sai_get64(r->at + SAI_AT_SIZE);
    if (out->size < SAI_LINE || out->size % SAI_LINE || out->size > left) return SAI_ERROR_LOAD_FIELDS;
    r->at += out->size;
    return SAI_ERROR_NONE;
}
/* Leaves out the sections that come next and are not of this version. */
static sai_error load_skip(load_reader *r) {
    load_section s;
    while (r->at < r->end) {
        load_reader before = *r;
        sai_error error = load_take(r, &s);
        if (error) return error;
        uint32_t kind = sai_get32(s.at + SAI_AT_KIND);
        if (kind > 0 && kind < SAI_SECTION_KINDS) {
            *r = before;
            break;
        }
        if (!(sai_get32(s.at + SAI_AT_FLAGS) & SAI_SECTION_MAY_SKIP)) return SAI_ERROR_LOAD_SECTION;
    }
    return SAI_ERROR_NONE;
}
/* The next section of those that are known, which must be that one. */
static sai_error load_next(load_reader *r, uint32_t kind, load_section *out) {
    sai_error error = load_skip(r);
    if (!error) error = load_take(r, out);
    if (error) return error;
    return sai_get32(out->at + SAI_AT_KIND) == kind && sai_get32(out->at + SAI_AT_LAYER) == (uint32_t)r->layer &&
                   sai_get32(out->at + SAI_AT_LANE) == (uint32_t)r->lane
               ? SAI_ERROR_NONE
               : SAI_ERROR_LOAD_FIELDS;
}
/* The sections of a lane. */
typedef struct load_lane {
    load_section meaning, spans, tiles[SAI_STORES], rows;
} load_lane;
static sai_error load_next_lane(load_reader *r, load_lane *out) {
    sai_error error = load_next(r, SAI_SECTION_MEANING, &out->meaning);
    if (!error) error = load_next(r, SAI_SECTION_SPANS, &out->spans);
    for (int32_t i = 0; i < SAI_STORES && !error; i++) error = load_next(r, SAI_SECTION_TILES, &out->tiles[i]);
    if (!error) error = load_next(r, SAI_SECTION_ROWS, &out->rows);
    return error;
}
/* ---------------------------------- spans --------------------------------- */
static sai_error load_check_rules(const sai_state *s, const load_section *section) {
    const sai_rules *rules = &s->layer->rules;
    const unsigned char *at = section->at;
    if (section->size < SAI_AT_LIST) return SAI_ERROR_LOAD_FIELDS;
    uint64_t n = sai_get32(at + SAI_AT_N_SPANS);
    if (sai_get32(at + SAI_AT_N_HEADS) != (uint32_t)s->layer->n_kv_heads) return SAI_ERROR_LOAD_LANES;
    if (section->size != sai_spans_section(s->layer, n)) return SAI_ERROR_LOAD_FIELDS;
    for (int32_t h = 0; h < s->layer->n_kv_heads; h++)
        if (sai_get32(at + SAI_AT_LIST + SAI_LIST_STEP * n + 4 * (uint64_t)h) !=
            (uint32_t)sai_host_head(s->pool, s->layer, h))
            return SAI_ERROR_LOAD_LANES;
    if (sai_get64(at + SAI_AT_N_SINK) != rules->n_sink || sai_get64(at + SAI_AT_N_RECENT) != rules->recent ||
        sai_get32(at + SAI_AT_DENSE) != (uint32_t)rules->is_dense)
        return SAI_ERROR_LOAD_RULES;
    return n > (uint64_t)sai_spans_room(rules->most_spans) ? SAI_ERROR_LOAD_FULL : SAI_ERROR_NONE;
}
static sai_span load_span(const unsigned char *at) {
    uint32_t kind = sai_get32(at + 24), store = sai_get32(at + 28);
    sai_span a = {sai_get64(at), sai_get64(at + 8), sai_get64(at + 16), -1, -1};
    if (kind <= SA_SPAN_PIN) a.kind = (int32_t)kind;
    if (store == SAI_STORE_MAIN || store == SAI_STORE_SINKS) a.store = (int32_t)store;
    if (store == SAI_LIST_MASKED) a.store = SAI_STORE_MASKED;
    return a;
}
static void load_spans(sai_spans *s, const unsigned char *section) {
    s->seen = sai_get64(section + SAI_AT_SEEN);
    s->shift = sai_get64(section + SAI_AT_SHIFT);
    s->floor = sai_get64(section + SAI_AT_FLOOR);
    s->floor_logical = sai_get64(section + SAI_AT_FLOOR_LOGICAL);
    s->sink_end = sai_get64(section + SAI_AT_SINK_END);
    s->recent_from = sai_get64(section + SAI_AT_RECENT_FROM);
    s->left = sai_get64(section + SAI_AT_LEFT);
    s->left_logical = sai_get64(section + SAI_AT_LEFT_LOGICAL);
    s->left_copy = sai_get64(section + SAI_AT_LEFT_COPY);
    s->n = (int32_t)sai_get32(section + SAI_AT_N_SPANS);
    for (int32_t i = 0; i < s->n; i++) s->list[i] = load_span(section + SAI_AT_LIST + SAI_LIST_STEP * i);
}
/* What a smaller window or a shallower rollback does not keep. */
static void load_evict(const sai_state *s) {
    sai_range gone;
    while (sai_spans_evict(&s->layer->rules, s->spans, 0, &gone)) continue;
    sai_spans_evict_recent(&s->layer->rules, s->spans, 0);
}
/* Whether the tiles' sections are as large as the spans say. */
static sai_error load_check_tiles(const sai_state *s, const load_lane *in, uint64_t from) {
    for (int32_t i = 0; i < SAI_STORES; i++) {
        sai_held held = sai_state_held(s, i, from);
        const sai_arena *a = s->tiles[i].arena;
        const unsigned char *at = in->tiles[i].at;
        uint64_t n = sai_held_count(&held), tile = sai_tiles_section(a, 1) - SAI_LINE;
        if (n > in->tiles[i].size / tile || in->tiles[i].size != sai_tiles_section(a, n)) return SAI_ERROR_LOAD_FIELDS;
        if (sai_get32(at + SAI_AT_STORE) != (uint32_t)i || sai_get64(at + SAI_AT_TILES) != n ||
            sai_get64(at + SAI_AT_KEY_TILE) != a->k_tile || sai_get64(at + SAI_AT_VALUE_TILE) != a->v_tile)
            return SAI_ERROR_LOAD_FIELDS;
    }
    return SAI_ERROR_NONE;
}
/* Whether all that the new list has before `from` is there, in a list of n that has seen `from` tokens. */
static int load_has_base(const sai_state *s, const sai_span *list, int32_t n, uint64_t recent_from, uint64_t from) {
    for (int32_t i = 0; i < s->spans->n; i++) {
        const sai_span *a = &s->spans->list[i];
        uint64_t end = a->end < from ? a->end : from;
        if (a->store == SAI_STORE_MASKED || a->from >= end) continue;
        if (!sai_spans_cover(list, n, a->from, end)) return 0;
        for (int32_t j = 0; j < n; j++)
            if (list[j].from < end && list[j].end > a->from && list[j].store != a->store) return 0;
        uint64_t copied = s->spans->recent_from > a->from ? s->spans->recent_from : a->from;
        if (s->layer->rules.recent && a->store == SAI_STORE_MAIN && copied < end && copied < recent_from) return 0;
    }
    return 1;
}
/* Whether the layer can hold the new spans, which are in place. */
static sai_error load_check_room(const sai_state *s, uint64_t from, uint64_t window) {
    const sai_rules *rules = &s->layer->rules;
    sai_sight sight = sai_sight_of(rules, s->spans);
    if (!sai_spans_are_bounded(rules, s->spans)) return SAI_ERROR_LOAD_FULL;
    if (rules->is_dense && sai_tokens_held(s->spans) > rules->window) return SAI_ERROR_LOAD_FULL;
    if (rules->window > window && sai_sight_can_query(&sight, s->spans->seen, 1)) return SAI_ERROR_LOAD_WINDOW;
    sa_status status = sai_state_can_replace(s, from);
    return !status ? SAI_ERROR_NONE : status == SA_ERR_FULL ? SAI_ERROR_LOAD_FULL : SAI_ERROR_LOAD_POOL;
}
/* With the new spans in place; the old ones are `before`, and their list lies behind. */
static sai_error load_check_spans(const sai_state *s, const sai_spans *before, const load_lane *in, uint64_t from) {
    const sai_span *list = s->spans->list + sai_spans_room(s->layer->rules.most_spans);
    if (!sai_spans_are_sound(s->spans, s->layer->rules.n_sink) || s->spans->seen < from) return SAI_ERROR_LOAD_FIELDS;
    sai_error error = load_check_tiles(s, in, from);
    if (error) return error;
    load_evict(s);
    if (from && (before->seen != from || !load_has_base(s, list, before->n, before->recent_from, from)))
        return SAI_ERROR_LOAD_BASE;
    return load_check_room(s, from, sai_get64(in->spans.at + SAI_AT_WINDOW));
}
static sai_error load_check_lane(const sa_cache *cache, int32_t lane, load_reader *r, uint64_t from) {
    load_lane in;
    sai_state s = sai_lane_state(cache, lane);
    sai_span *kept = s.spans->list + sai_spans_room(s.layer->rules.most_spans);
    load_go_to(r, s.pool, lane);
    sai_error error = load_next_lane(r, &in);
    if (!error) error = sai_meaning_check(s.pool, s.layer, in.meaning.at, in.meaning.size);
    if (!error) error = load_check_rules(&s, &in.spans);
    if (!error) error = sai_saved_rows_check(&s, in.rows.at, in.rows.size);
    if (error) return error;
    sai_spans before = *s.spans;
    memcpy(kept, s.spans->list, (size_t)before.n * sizeof *kept);
    load_spans(s.spans, in.spans.at);
    error = load_check_spans(&s, &before, &in, from);
    *s.spans = before;
    memcpy(s.spans->list, kept, (size_t)before.n * sizeof *kept);
    return error;
}
/* ---------------------------------- check --------------------------------- */
static sai_error load_check_header(const unsigned char *data, size_t size) {
    unsigned char header[SAI_LINE];
    sai_sum sum;
    if (size < SAI_LINE || memcmp(data, SAI_SNAPSHOT_MAGIC, 8)) return SAI_ERROR_LOAD_FOREIGN;
    if (sai_get32(data + SAI_HEADER_VERSION) != SAI_SNAPSHOT_VERSION) return SAI_ERROR_LOAD_VERSION;
    if (size % SAI_LINE || sai_get64(data + SAI_HEADER_SIZE) != size) return SAI_ERROR_LOAD_DAMAGED;
    memcpy(header, data, SAI_LINE);
    sai_set64(header + SAI_HEADER_SUM, 0);
    sai_sum_begin(&sum);
    sai_sum_add(&sum, header, SAI_LINE);
    sai_sum_add(&sum, data + SAI_LINE, size - SAI_LINE);
    if (sai_get64(data + SAI_HEADER_SUM) != sai_sum_end(&sum)) return SAI_ERROR_LOAD_DAMAGED;
    for (int i = SAI_HEADER_END; i < SAI_LINE; i++)
        if (header[i]) return SAI_ERROR_LOAD_FIELDS;
    return SAI_ERROR_NONE;
}
static sai_error load_check(const sa_cache *cache, const unsigned char *data, size_t size) {
    const sa_pool *pool = sai_pool_of(cache);
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    if (!data) return SAI_ERROR_LOAD_DATA;
    sai_error error = load_check_header(data, size);
    if (error) return error;
    if (sai_get32(data + SAI_HEADER_LAYERS) != (uint32_t)pool->n_layers) return SAI_ERROR_LOAD_LAYERS;
    if (sai_get32(data + SAI_HEADER_LANES) != (uint32_t)pool->n_lanes) return SAI_ERROR_LOAD_LANES;
    load_reader r = {data + SAI_LINE, data + size, 0, 0};
    for (int32_t lane = 0; lane < pool->n_lanes && !error; lane++)
        error = load_check_lane(cache, lane, &r, sai_get64(data + SAI_HEADER_FROM));
    if (!error) error = load_skip(&r);
    return error || r.at == r.end ? error : SAI_ERROR_LOAD_FIELDS;
}
/* ----------------------------------- tiles -------------------------------- */
/* Takes a tile's tokens in; of the tile that `from` lies in, those that were saved. */
static void load_tile(const sai_tile_form *form, char *tile, const unsigned char *saved, const sai_held *held,
                      uint64_t from) {
    int is_part = from % 16 && held->number == from / 16;
    if (!is_part && form->size % SAI_LINE == 0 && !sai_is_big_endian()) {
        sai_lines_copy((unsigned char *)tile, saved, form->size);
        return;
    }
    if (!is_part) memcpy(tile, saved, form->size);
    if (sai_is_big_endian()) sai_tile_swap(form, tile);
    if (!is_part) return;
    sai_tile_copy(form, tile, (const char *)saved, held->lanes);
    if (sai_is_big_endian()) sai_tile_swap(form, tile);
}
/* The keys or the values of a kv head: what of `held` has still a tile. Returns where they end. */
static const unsigned char *load_head(const sai_state *s, int32_t store, int32_t kv_head, int is_value, sai_held held,
                                      uint64_t from, const unsigned char *saved) {
    const sai_tiles *t = &s->tiles[store];
    sai_tile_form form = sai_form_of(s->layer, t->arena, is_value);
    uint32_t entry = sai_tiles_entry(t, from / 16), end = t->table->first + t->table->n;
    for (; sai_held_next(&held); saved += sai_round_line(form.size)) {
        while (entry < end && t->numbers[entry] < held.number) entry++;
        if (entry == end || t->numbers[entry] != held.number) continue;
        char *tile = is_value ? sai_tiles_value(t, entry, kv_head) : sai_tiles_key(t, entry, kv_head);
        load_tile(&form, tile, saved, &held, from);
    }
    return saved;
}
static void load_lane_of(const sa_cache *cache, int32_t lane, load_reader *r, uint64_t from) {
    load_lane in;
    sai_state s = sai_lane_state(cache, lane);
    sai_held held[SAI_STORES];
    sai_span *saved = s.spans->list + sai_spans_room(s.layer->rules.most_spans);
    load_go_to(r, s.pool, lane);
    (void)load_next_lane(r, &in);
    load_spans(s.spans, in.spans.at);
    memcpy(saved, s.spans->list, (size_t)s.spans->n * sizeof *saved);
    for (int32_t i = 0; i < SAI_STORES; i++) {
        held[i] = sai_state_held(&s, i, from);
        held[i].list = saved;
    }
    load_evict(&s);
    sai_state_replace(&s, from);
    sai_saved_rows_load(&s, in.rows.at);
    for (int32_t i = 0; i < SAI_STORES; i++) {
        const unsigned char *at = in.tiles[i].at + SAI_LINE;
        for (int32_t h = 0; h < s.layer->n_kv_heads; h++)
            for (int is_value = 0; is_value < 2; is_value++) at = load_head(&s, i, h, is_value, held[i], from, at);
    }
}
sa_status sa_cache_load(sa_cache *cache, const void *data, size_t size) {
    const unsigned char *bytes = (const unsigned char *)data;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = load_check(cache, bytes, size);
    if (error) return sai_error_keep(cache, error);
    sa_pool *pool = sai_pool_of(cache);
    load_reader r = {bytes + SAI_LINE, bytes + size, 0, 0};
    pool->work.begun_layer = -1;
    for (int32_t lane = 0; lane < pool->n_lanes; lane++)
        load_lane_of(cache, lane, &r, sai_get64(bytes + SAI_HEADER_FROM));
    sai_lines_end();
    return sai_error_keep(cache, SAI_ERROR_NONE);
}
/* ---- lib/mass.c ---- */
/* What each key weighs in a call's softmaxes: a second pass over the keys, when these are finished.
 *
 * A unit is a kv head times a range of the list of keys, with all rows. So a key is one worker's, who adds the rows in
 * one order, whatever the ranges are: part by part (a key may be in two, where newest tokens are stored twice, and as a
 * row of the host), and row by row in each. The scores are those of the first pass, bit for bit.
 */
#include <math.h>
#include <string.h>
enum { MASS_LEAST = 512 }; /* keys of a range, since its queries are rotated for it again */
typedef struct mass_unit {
    const sai_job *job;
    int32_t kv_head, host_head;
    sai_range entries; /* of the list */
    const sai_scratch *scratch;
} mass_unit;
/* ---------------------------------- list ---------------------------------- */
static uint64_t mass_logits(const sai_layer *l) { return l->logits_at != 0; }
static uint64_t sai_mass_front(const sai_layer *l) { return mass_logits(l) + (uint64_t)l->n_sink_kv + (uint64_t)l->n_rows; }
static uint64_t sai_mass_most(const sai_layer *l) {
    return sai_mass_front(l) + l->rules.n_sink + 16 * sai_sequence_most_tiles(&l->rules, SAI_STORE_MAIN);
}
static uint64_t mass_entries(const sai_job *job) {
    return sai_mass_front(job->state.layer) + sai_tokens_held(job->state.spans);
}
/* The entry of a position that is held; or of a learned row or one of the host, of such a part. */
static uint64_t mass_entry(const sai_job *job, int32_t span, uint64_t position) {
    const sai_layer *l = job->state.layer;
    if (span >= 0) return sai_mass_front(l) + sai_tokens_below(job->state.spans, position);
    return mass_logits(l) + (span == SAI_PART_LEARNED ? 0 : (uint64_t)l->n_sink_kv) + position;
}
/* Those of positions [in.from, in.end), of which the first has that entry, whose entries the unit has. */
static sai_range mass_own(const mass_unit *m, sai_range in, uint64_t entry) {
    sai_range own = in;
    if (m->entries.from > entry) own.from += m->entries.from - entry;
    if (m->entries.end < entry + (in.end - in.from)) own.end = in.from + m->entries.end - entry;
    if (m->entries.end <= entry || own.from >= in.end) own.end = own.from;
    return own;
}
/* ---------------------------------- rows ---------------------------------- */
/* (rows) the greatest logit, then (rows) one divided by the sum. */
static float *mass_kept(const sai_job *job, int32_t kv_head) {
    float *kept = (float *)sai_at(job->state.pool, job->state.pool->work.kept_at);
    return kept + job->kept_at + 2 * (size_t)kv_head * (size_t)job->rows;
}
static void sai_mass_keep(const sai_job *job, int32_t kv_head, int32_t row, float max, float sum) {
    float *kept = mass_kept(job, kv_head) + row;
    kept[0] = max;
    kept[job->rows] = sum == 0 ? 0 : 1 / sum;
}
static sai_weighing mass_weighing(const mass_unit *m, int32_t row) {
    const sai_job *job = m->job;
    const float *kept = mass_kept(job, m->kv_head) + row;
    int32_t heads = job->call.mass_per_head ? job->state.layer->group : 1;
    int64_t stride = job->call.key_stride;
    sai_weighing w = {
        kept, kept + job->rows, job->call.key_mass + m->host_head * heads * stride, stride, 0, row % heads, heads};
    return w;
}
/* ---------------------------------- mass ---------------------------------- */
/* Positions `in` of a part, of which that of entry 0 would be `first`. */
static void mass_panel(const mass_unit *m, const sai_part *part, int32_t row, sai_range in, uint64_t first) {
    const sai_job *job = m->job;
    sai_unit u = {(sai_job *)(uintptr_t)job, NULL, 0, m->kv_head, row, job->rows - row, 0, 0, m->host_head};
    sai_way way;
    if (u.n > SAI_PANEL) u.n = SAI_PANEL;
    sai_query_load(&u, m->scratch);
    sai_way_enter(&way, &u, part, m->scratch);
    if (way.all.from >= way.all.end) return;
    in = sai_way_cut(&way, in);
    sai_weighing weighing = mass_weighing(m, row);
    weighing.first = first;
    way.panel.weighing = &weighing;
    for (uint64_t base = in.from / SAI_CHUNK * SAI_CHUNK; base < in.end; base += SAI_CHUNK)
        sai_panel_chunk(&way.panel, base, NULL);
}
static void mass_part(const mass_unit *m, const sai_part *part) {
    uint64_t entry = mass_entry(m->job, part->span, part->reach.from);
    sai_range in = mass_own(m, part->reach, entry);
    if (in.from >= in.end) return;
    for (int32_t row = 0; row < m->job->rows; row += SAI_PANEL) mass_panel(m, part, row, in, part->reach.from - entry);
}
/* What the sink logit weighs: the first entry. */
static void mass_logit(const mass_unit *m) {
    const sai_job *job = m->job;
    const float *logits = (const float *)sai_at(job->state.pool, job->state.layer->logits_at);
    sai_weighing w = mass_weighing(m, 0);
    for (int32_t r = 0; r < job->rows; r++) {
        float logit = logits[m->host_head * job->state.layer->group + r % job->state.layer->group];
        if (w.inverse[r] == 0) continue; /* a row that sees nothing */
        w.to[r % w.heads * w.stride] += job->kernels->exponential(logit - w.max[r]) * w.inverse[r];
    }
}
/* ---------------------------------- norms --------------------------------- */
/* The length of a vector, also where squares are beyond what a float can be. */
static float mass_norm(const sai_kernels *kernels, const float *x, int32_t n, int32_t padded) {
    float squares = kernels->squares(x, padded);
    double sum = 0;
    if (squares > 1e-30f && squares < 1e30f) return sqrtf(squares);
    for (int32_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return (float)sqrt(sum);
}
/* The values of positions of one store, from a run of its tiles. */
static void mass_norms_of(const mass_unit *m, const sai_run *run, sai_range in, uint64_t entry) {
    const sai_layer *l = m->job->state.layer;
    float *value = m->scratch->chain, *to = m->job->call.value_norms + m->host_head * m->job->call.key_stride + entry;
    memset(value, 0, (size_t)l->dv_pad * sizeof *value);
    for (uint64_t p = in.from; p < in.end; p++) {
        sai_fetch_value(m->job->kernels, run->v_dtype, sai_run_value(run, p), (int)(p % 16), l->dv, value);
        to[p - in.from] = mass_norm(m->job->kernels, value, l->dv, l->dv_pad);
    }
}
static void mass_span_norms(const mass_unit *m, const sai_span *span) {
    sai_range all = {span->from, span->end};
    uint64_t entry = mass_entry(m->job, 0, span->from);
    sai_range in = mass_own(m, all, entry);
    if (in.from >= in.end) return;
    const sai_tiles *t = &m->job->state.tiles[span->store];
    sai_run run = sai_run_of(t->block, t->arena, m->kv_head, sai_tiles_map(t, in.from / 16), in.from / 16);
    mass_norms_of(m, &run, in, entry + (in.from - span->from));
}
/* Rows that are no tokens, [0, n) of such a part. */
static void mass_row_norms(const mass_unit *m, int32_t span, uint64_t n, const sai_arena *arena, const uint32_t *map) {
    sai_range all = {0, n};
    uint64_t entry = mass_entry(m->job, span, 0);
    sai_range in = mass_own(m, all, entry);
    if (in.from >= in.end) return;
    sai_run run = sai_run_of(sai_block_of(m->job->state.pool), arena, m->kv_head, map, 0);
    mass_norms_of(m, &run, in, entry + in.from);
}
static void mass_norms(const mass_unit *m) {
    const sai_state *s = &m->job->state;
    const sai_layer *l = s->layer;
    if (l->n_sink_kv)
        mass_row_norms(m, SAI_PART_LEARNED, (uint64_t)l->n_sink_kv, &l->learned,
                       (const uint32_t *)sai_at(s->pool, l->learned_map_at));
    if (l->n_rows) {
        sai_tiles rows = sai_state_rows(s);
        mass_row_norms(m, SAI_PART_IN_FRONT, sai_rows_end(s->rows), &l->rows, sai_tiles_map(&rows, 0));
    }
    for (int32_t i = 0; i < s->spans->n; i++)
        if (s->spans->list[i].store != SAI_STORE_MASKED) mass_span_norms(m, &s->spans->list[i]);
}
/* ---------------------------------- units --------------------------------- */
static void mass_work(const mass_unit *m) {
    const sai_job *job = m->job;
    if (job->call.key_mass) {
        if (m->entries.from == 0 && job->state.layer->logits_at) mass_logit(m);
        for (int32_t i = 0; i < job->n_parts; i++) mass_part(m, &job->parts[i]);
    }
    if (job->call.value_norms) mass_norms(m);
}
/* Into how many ranges the list of a job is cut: several for each worker, since the newest keys have fewer rows. */
static uint64_t mass_ranges(const sai_job *job, uint64_t entries, int32_t n_workers) {
    uint64_t units = (uint64_t)n_workers * SAI_UNITS_A_THREAD, kv = (uint64_t)job->state.layer->n_kv_heads;
    uint64_t ranges = (units + kv - 1) / kv, most = entries / MASS_LEAST + 1;
    return n_workers == 1 ? 1 : ranges < most ? ranges : most;
}
static void mass_clear(const sai_job *job) {
    const sai_call *call = &job->call;
    const sai_layer *l = job->state.layer;
    int64_t entries = (int64_t)mass_entries(job);
    int32_t heads = call->mass_per_head ? l->group : 1;
    for (int32_t h = 0; h < l->n_kv_heads * heads && call->key_mass; h++) {
        int64_t head = (int64_t)sai_host_head(job->state.pool, l, h / heads) * heads + h % heads;
        memset(call->key_mass + head * call->key_stride, 0, (size_t)entries * sizeof(float));
    }
    for (int32_t h = 0; h < l->n_kv_heads && call->value_norms; h++)
        memset(call->value_norms + sai_host_head(job->state.pool, l, h) * call->key_stride, 0,
               (size_t)sai_mass_front(l) * sizeof(float));
}
static void sai_mass_begin(const sa_pool *pool, int32_t n_jobs) {
    for (int32_t i = 0; i < n_jobs; i++)
        if (sai_jobs(pool)[i].call.wants_keys) mass_clear(&sai_jobs(pool)[i]);
}
static void sai_mass_part(const sa_pool *pool, int32_t n_jobs, int32_t worker, int32_t n_workers) {
    uint64_t unit = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        const sai_job *job = &sai_jobs(pool)[i];
        if (!job->call.wants_keys) continue;
        sai_scratch s = sai_scratch_of(pool, job->state.layer, worker);
        uint64_t entries = mass_entries(job), ranges = mass_ranges(job, entries, n_workers);
        for (uint64_t k = 0; k < ranges * (uint64_t)job->state.layer->n_kv_heads; k++, unit++) {
            uint64_t range = k % ranges;
            sai_range in = {entries * range / ranges, entries * (range + 1) / ranges};
            mass_unit m = {job, (int32_t)(k / ranges), 0, in, &s};
            m.host_head = sai_host_head(pool, job->state.layer, m.kv_head);
            if (unit % (uint64_t)n_workers == (uint64_t)worker) mass_work(&m);
        }
    }
}
/* ---- lib/meaning.c ---- */
/* What the numbers of a lane of a layer mean, as a snapshot says it: who loads keys must read them as they were
 * written.
 *
 * Counts and schemes must be equal. Frequencies, slopes and factors come from the system's pow and log, whose last
 * bits differ from one to another: they must be equal but for that.
 */
#include <math.h>
/* Bytes from the start of the section. */
enum {
    MEANING_GEOMETRY = 64,  /* n_heads, n_kv_heads, head_dim, v_head_dim, n_sink_kv */
    MEANING_DTYPES = 84,    /* of keys and of values, per store */
    MEANING_POSITION = 108, /* position, in stream, of learned rows; rope: pairs, offset, interleaved; has slopes */
    MEANING_HAS_LOGITS = 136,
    MEANING_FLOATS = 140, /* scale, softcap, rope factor */
    MEANING_LEARNED = 152,
    MEANING_TABLES = 192 /* frequencies, slopes, logits */
};
static uint64_t meaning_tables(const sai_layer *l) {
    uint64_t n_floats = (uint64_t)l->layer_heads * (uint64_t)((l->slopes_at != 0) + (l->logits_at != 0));
    return MEANING_TABLES + 8 * (uint64_t)l->rope.pairs + 4 * n_floats;
}
static uint64_t sai_meaning_size(const sai_layer *l) { return sai_round_line(meaning_tables(l)); }
/* --------------------------------- writing -------------------------------- */
static void meaning_put(unsigned char *at, const int32_t *numbers, int n) {
    for (int i = 0; i < n; i++) sai_set32(at + 4 * i, (uint32_t)numbers[i]);
}
static int meaning_same(const unsigned char *at, const int32_t *numbers, int n) {
    for (int i = 0; i < n; i++)
        if (sai_get32(at + 4 * i) != (uint32_t)numbers[i]) return 0;
    return 1;
}
/* A layer's numbers, in the order of the section. */
typedef struct meaning_of {
    int32_t geometry[5], dtypes[2 * SAI_STORES], position[7], has_logits;
} meaning_of;
static meaning_of meaning_of_layer(const sai_layer *l) {
    meaning_of m = {{l->layer_heads, l->layer_kv_heads, l->dk, l->dv, l->n_sink_kv},
                    {0},
                    {l->position, l->rules.in_stream, l->sink_kv_position, l->rope.pairs, l->rope.offset,
                     l->rope.interleaved, l->slopes_at != 0},
                    l->logits_at != 0};
    for (int i = 0; i < SAI_STORES; i++) {
        m.dtypes[2 * i] = l->arenas[i].k_dtype;
        m.dtypes[2 * i + 1] = l->arenas[i].v_dtype;
    }
    return m;
}
static unsigned char *meaning_put_floats(const sa_pool *pool, size_t table_at, int32_t n, unsigned char *at) {
    const float *table = (const float *)sai_at(pool, table_at);
    for (int32_t i = 0; table_at && i < n; i++, at += 4) sai_set_float(at, table[i]);
    return at;
}
static void sai_meaning_write(const sa_pool *pool, const sai_layer *l, unsigned char *section) {
    meaning_of m = meaning_of_layer(l);
    const uint64_t *frequencies = (const uint64_t *)sai_at(pool, l->frequencies_at);
    unsigned char *at = section + MEANING_TABLES;
    meaning_put(section + MEANING_GEOMETRY, m.geometry, 5);
    meaning_put(section + MEANING_DTYPES, m.dtypes, 2 * SAI_STORES);
    meaning_put(section + MEANING_POSITION, m.position, 7);
    meaning_put(section + MEANING_HAS_LOGITS, &m.has_logits, 1);
    sai_set_float(section + MEANING_FLOATS, l->scale);
    sai_set_float(section + MEANING_FLOATS + 4, l->softcap);
    sai_set_float(section + MEANING_FLOATS + 8, l->rope.factor);
    sai_set64(section + MEANING_LEARNED, l->learned_digest);
    for (int32_t i = 0; i < l->rope.pairs; i++, at += 8) sai_set64(at, frequencies[i]);
    at = meaning_put_floats(pool, l->slopes_at, l->layer_heads, at);
    (void)meaning_put_floats(pool, l->logits_at, l->layer_heads, at);
}
/* -------------------------------- comparing ------------------------------- */
static int meaning_is_near(float a, float b) { return a == b || fabsf(a - b) <= 0x1p-20f * fabsf(a); }
static int meaning_near_floats(const sa_pool *pool, size_t table_at, int32_t n, const unsigned char *at) {
    const float *table = (const float *)sai_at(pool, table_at);
    for (int32_t i = 0; table_at && i < n; i++)
        if (!meaning_is_near(table[i], sai_get_float(at + 4 * i))) return 0;
    return 1;
}
/* The last bits of a double are about 2^-52 of it; far less than this is no visible angle in a window of millions. */
static int meaning_near_frequencies(const sa_pool *pool, const sai_layer *l, const unsigned char *at) {
    const uint64_t *own = (const uint64_t *)sai_at(pool, l->frequencies_at);
    for (int32_t i = 0; i < l->rope.pairs; i++) {
        uint64_t other = sai_get64(at + 8 * i), apart = own[i] - other;
        if (apart > UINT64_MAX / 2) apart = 0 - apart;
        if (apart > (own[i] >> 40) + 16) return 0;
    }
    return 1;
}
static int meaning_same_tables(const sa_pool *pool, const sai_layer *l, const unsigned char *section,
                               sai_error *error) {
    const unsigned char *slopes = section + MEANING_TABLES + 8 * l->rope.pairs;
    const unsigned char *logits = slopes + (l->slopes_at ? 4 * l->layer_heads : 0);
    *error = SAI_ERROR_LOAD_POSITION;
    if (!meaning_near_frequencies(pool, l, section + MEANING_TABLES)) return 0;
    if (!meaning_near_floats(pool, l->slopes_at, l->layer_heads, slopes)) return 0;
    *error = SAI_ERROR_LOAD_SOFTMAX;
    return meaning_near_floats(pool, l->logits_at, l->layer_heads, logits);
}
static sai_error sai_meaning_check(const sa_pool *pool, const sai_layer *l, const unsigned char *section, uint64_t size) {
    meaning_of m = meaning_of_layer(l);
    sai_error error;
    if (size < MEANING_TABLES) return SAI_ERROR_LOAD_FIELDS;
    const unsigned char *floats = section + MEANING_FLOATS;
    if (!meaning_same(section + MEANING_GEOMETRY, m.geometry, 5)) return SAI_ERROR_LOAD_GEOMETRY;
    if (!meaning_same(section + MEANING_DTYPES, m.dtypes, 2 * SAI_STORES)) return SAI_ERROR_LOAD_DTYPES;
    if (!meaning_same(section + MEANING_POSITION, m.position, 7)) return SAI_ERROR_LOAD_POSITION;
    if (!meaning_is_near(l->rope.factor, sai_get_float(floats + 8))) return SAI_ERROR_LOAD_POSITION;
    if (!meaning_same(section + MEANING_HAS_LOGITS, &m.has_logits, 1)) return SAI_ERROR_LOAD_SOFTMAX;
    if (!meaning_is_near(l->scale, sai_get_float(floats))) return SAI_ERROR_LOAD_SOFTMAX;
    if (!meaning_is_near(l->softcap, sai_get_float(floats + 4))) return SAI_ERROR_LOAD_SOFTMAX;
    if (size != sai_meaning_size(l)) return SAI_ERROR_LOAD_FIELDS;
    if (!meaning_same_tables(pool, l, section, &error)) return error;
    return sai_get64(section + MEANING_LEARNED) == l->learned_digest ? SAI_ERROR_NONE : SAI_ERROR_LOAD_LEARNED;
}
/* ---- lib/memory.c ---- */
/* The default allocator: the only caller of malloc and free.
 *
 * C99 has no aligned allocation: a larger block is taken, and its start kept just below ours.
 */
#if defined(__linux__) && !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE 1 /* for madvise */
#endif
/* ---- lib/memory.h ---- */
/* The default allocator: the only caller of malloc and free.
 *
 */
#ifndef SAI_MEMORY_H
#define SAI_MEMORY_H
#include <stddef.h>
/* Zeroed memory at a multiple of `alignment` (a power of two), or NULL. */
static void *sai_memory_alloc(void *user, size_t size, size_t alignment);
static void sai_memory_free(void *user, void *memory, size_t size);
#endif
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif
/* Asks for large pages: a token reads the whole cache, and with pages of 4 KiB waits for their
 * addresses. A refusal changes nothing. */
static void memory_advise_large_pages(void *memory, size_t size) {
#ifdef MADV_HUGEPAGE
    const uintptr_t page = (uintptr_t)1 << 21;
    uintptr_t start = ((uintptr_t)memory + page - 1) / page * page, end = ((uintptr_t)memory + size) / page * page;
    if (start < end) (void)madvise((void *)start, end - start, MADV_HUGEPAGE);
#else
    (void)memory;
    (void)size;
#endif
}
static void *sai_memory_alloc(void *user, size_t size, size_t alignment) {
    (void)user;
    size_t extra = alignment + sizeof(void *);
    if (size > SIZE_MAX - extra) return NULL;
    char *block = (char *)calloc(1, size + extra); /* zeroed by the system, page by page as touched */
    if (!block) return NULL;
    memory_advise_large_pages(block, size + extra);
    char *memory = block + sizeof(void *);
    memory += (alignment - (uintptr_t)memory % alignment) % alignment;
    memcpy(memory - sizeof(void *), &block, sizeof block);
    return memory;
}
static void sai_memory_free(void *user, void *memory, size_t size) {
    (void)user;
    (void)size;
    char *block;
    memcpy(&block, (char *)memory - sizeof(void *), sizeof block);
    free(block);
}
/* ---- lib/nodes.c ---- */
/* The nodes of a draft: parents, depths and tiles.
 *
 */
#include <string.h>
static uint64_t nodes_lists(int32_t most) {
    return (sizeof(sai_nodes) + 2 * (uint64_t)most * sizeof(int32_t) + 7) / 8 * 8;
}
static uint64_t sai_nodes_size(int32_t most) {
    uint64_t entries = SAI_NODE_STORES * sai_nodes_most_tiles(most);
    return nodes_lists(most) + entries * (sizeof(uint64_t) + sizeof(uint32_t));
}
static void sai_nodes_build(sai_nodes *nodes, const sai_layer *l, int32_t index) {
    size_t capacity = (size_t)sai_nodes_most_tiles(l->max_draft), at = (size_t)nodes_lists(l->max_draft);
    nodes->n = 0;
    nodes->most = l->max_draft;
    for (size_t i = 0; i < SAI_NODE_STORES; i++) {
        sai_table *t = &nodes->tables[i];
        t->numbers_at = at + i * capacity * sizeof(uint64_t);
        t->tiles_at = at + SAI_NODE_STORES * capacity * sizeof(uint64_t) + i * capacity * sizeof(uint32_t);
        t->capacity = (uint32_t)capacity;
        t->first = t->n = 0;
        t->home = l->drafts[i].n_tiles ? l->drafts[i].homes * (uint32_t)index : 0;
    }
}
static sai_tiles sai_nodes_tiles(void *block, sai_layer *l, sai_nodes *nodes, int32_t store) {
    return sai_tiles_of(block, nodes, &l->drafts[store], &nodes->tables[store]);
}
/* Of the second copy there may be none. */
static int nodes_has(const sai_layer *l, int32_t store) { return l->drafts[store].n_tiles > 0; }
static void sai_nodes_add(void *block, sai_layer *l, sai_nodes *nodes, int32_t n) {
    for (int32_t i = 0; i < SAI_NODE_STORES; i++) {
        if (!nodes_has(l, i)) continue;
        sai_tiles t = sai_nodes_tiles(block, l, nodes, i);
        sai_tiles_own(&t, (uint64_t)nodes->n, (uint64_t)nodes->n + (uint64_t)n);
    }
    nodes->n += n;
}
static void sai_nodes_drop(void *block, sai_layer *l, sai_nodes *nodes) {
    for (int32_t i = 0; i < SAI_NODE_STORES; i++) {
        sai_tiles t = sai_nodes_tiles(block, l, nodes, i);
        sai_tiles_drop_all(&t);
    }
    nodes->n = 0;
}
static void sai_nodes_fork(void *block, sai_layer *l, sai_nodes *from, sai_nodes *to) {
    size_t lists = 2 * (size_t)from->most * sizeof(int32_t);
    memcpy(to->list, from->list, lists);
    to->n = from->n;
    for (int32_t i = 0; i < SAI_NODE_STORES; i++) {
        sai_tiles a = sai_nodes_tiles(block, l, from, i), b = sai_nodes_tiles(block, l, to, i);
        sai_tiles_copy_table(&a, &b);
    }
}
/* ---- lib/panel.c ---- */
/* Rows times one chunk of keys: scores, softmax, value sums.
 *
 * Rows of one panel may see different keys of a chunk (a causal edge, the far end of a window).
 * Scores are computed for whole tiles, since a wasted score costs little and harms nothing. In value
 * sums a key that a row does not see may take part with weight 0 only if its value is finite:
 * another token's NaN must not get in. Integers always are; their scales count for the rows that see them.
 */
#include <math.h>
#include <string.h>
/* One chunk, and how its rows are processed: in groups that one call of a kernel takes, each from scores to value sums,
 * so that its weights stay in L1 while keys and values come from L2. */
typedef struct panel_work {
    const sai_panel *panel;
    const sai_kernels *kernels;
    const sai_layer *layer;
    const sai_scratch *scratch;
    uint64_t base;
    int *lo, *hi;                  /* the keys of the chunk that each row sees; lo >= hi: none */
    int first, end;                /* tiles that some row sees */
    int run_end;                   /* those from `first` up to here lie side by side, */
    uint64_t run_tile;             /* from this tile of the arena on */
    int rows;                      /* of a group */
    int width;                     /* value blocks of a strip */
    int wide_k, wide_v;            /* keys, values are converted to f32, once for all rows: */
    int widen_now_k, widen_now_v;  /* by the first group, while it reads them, not before */
    int contiguous;                /* the values lie side by side */
    int same_keys;                 /* all rows see the same keys */
    int finite;                    /* all values that some row sees and another does not are finite */
    int many_rows;                 /* so many that kernels prefetch the next chunk while they process this one: */
    sai_prefetch *next_k, *next_v; /* its keys and values, as they are stored */
} panel_work;
/* What it points to. Apart from it, since for one row it is not worth clearing. */
typedef struct panel_room {
    int lo[SAI_PANEL], hi[SAI_PANEL];
    sai_prefetch next_k, next_v;
} panel_room;
/* Rows [r, r + n) of a chunk. */
typedef struct panel_group {
    int r, n;
    int lo, hi;         /* keys that some row sees; lo >= hi: none */
    int all_lo, all_hi; /* keys that every row sees */
    int direct;         /* one call of a kernel has all their values, so that it can end in their states */
} panel_group;
static int panel_min(int a, int b) { return a < b ? a : b; }
static int panel_max(int a, int b) { return a > b ? a : b; }
static int panel_clamp(uint64_t position, uint64_t base) {
    return position <= base ? 0 : position - base >= SAI_CHUNK ? SAI_CHUNK : (int)(position - base);
}
static panel_group panel_see(const panel_work *w, int r, int n) {
    panel_group g = {r, n, SAI_CHUNK, 0, 0, SAI_CHUNK, 0}, alike = {r, n, w->lo[0], w->hi[0], w->lo[0], w->hi[0], 0};
    if (w->same_keys) return alike;
    for (int i = r; i < r + n; i++) {
        g.all_lo = panel_max(g.all_lo, w->lo[i]);
        g.all_hi = panel_min(g.all_hi, w->hi[i]);
        if (w->lo[i] >= w->hi[i]) continue;
        g.lo = panel_min(g.lo, w->lo[i]);
        g.hi = panel_max(g.hi, w->hi[i]);
    }
    return g;
}
static panel_group panel_look(const panel_work *w, int r, int n) {
    panel_group g = panel_see(w, r, n);
    int same = g.lo == g.all_lo && g.hi == g.all_hi;
    g.direct = w->contiguous && w->width <= w->kernels->blocks[n] && (same || w->finite);
    return g;
}
/* Tiles [t, end) of the chunk that lie side by side; returns their end. */
static int panel_run(const panel_work *w, int t, int end, uint64_t *index) {
    uint64_t number = w->base / 16;
    if (t < w->run_end) {
        *index = w->run_tile + (uint64_t)(t - w->first);
        return panel_min(end, w->run_end);
    }
    *index = sai_run_tile(&w->panel->tiles, number + (uint64_t)t);
    return (int)(sai_run_end(&w->panel->tiles, number + (uint64_t)t, number + (uint64_t)end) - number);
}
/* So many tiles behind a call's own are looked at: as far as kernels prefetch them. */
enum { PANEL_AHEAD = 4 };
/* What the panel's rows read after the tile before number `tile`: how many tiles lie behind it, and in *where the one
 * that comes after them; UINT64_MAX: none of the panel's. */
static uint64_t panel_behind(const panel_work *w, uint64_t tile, uint64_t *where) {
    const sai_run *tiles = &w->panel->tiles;
    uint64_t all = (w->panel->end + 15) / 16, end = all < tile + PANEL_AHEAD ? all : tile + PANEL_AHEAD;
    *where = UINT64_MAX;
    if (tile >= all) return 0;
    uint64_t more = sai_run_end(tiles, tile - 1, end) - tile;
    if (tile + more < all) *where = sai_run_tile(tiles, tile + more);
    return more;
}
static sai_following panel_next_keys(const panel_work *w, uint64_t tile) {
    uint64_t where, n = panel_behind(w, tile, &where);
    const sai_panel *p = w->panel;
    sai_following next = {(int64_t)n, where == UINT64_MAX ? p->next_k : p->tiles.k + where * p->tiles.k_tile};
    return next;
}
/* The same after the values before position `position`, in values: no more than there are. */
static sai_following panel_next_values(const panel_work *w, uint64_t position) {
    const sai_panel *p = w->panel;
    uint64_t where, tile = (position + 15) / 16, end = 16 * (tile + panel_behind(w, tile, &where));
    if (end > p->end) end = p->end;
    sai_following next = {end > position ? (int64_t)(end - position) : 0,
                          where == UINT64_MAX ? p->next_v : p->tiles.v + where * p->tiles.v_tile};
    return next;
}
/* Whether the kernel for many rows can take the group. */
static int panel_is_many(const panel_work *w, const panel_group *g) { return w->many_rows && g->n == w->kernels->rows; }
/* --------------------------------- scores --------------------------------- */
/* Tiles [t, end), side by side at k, for a group that the kernel for many rows can take. */
static void panel_scores_many(const panel_work *w, const panel_group *g, const char *k, int t, int end) {
    const sai_panel *p = w->panel;
    size_t dk = (size_t)w->layer->dk;
    float *wide = w->widen_now_k ? w->scratch->wide_k + 16 * (size_t)t * dk : (float *)(uintptr_t)k;
    w->kernels->score_many[w->widen_now_k ? p->tiles.k_dtype : SA_F32](
        p->q + (size_t)g->r * p->q_stride, p->q_stride, k, wide, end - t, (int)dk, w->scratch->scores + 16 * t,
        SAI_CHUNK, w->next_k);
}
static void panel_scores(const panel_work *w, const panel_group *g) {
    const sai_panel *p = w->panel;
    int wide = w->wide_k && !w->widen_now_k;
    size_t dk = (size_t)w->layer->dk, tile = wide ? 16 * dk * sizeof(float) : p->tiles.k_tile;
    sai_score_fn score = w->kernels->score[wide ? SA_F32 : p->tiles.k_dtype];
    int many = panel_is_many(w, g) && (w->wide_k || p->tiles.k_dtype == SA_F32);
    uint64_t index;
    for (int t = g->lo / 16, next, end = (g->hi + 15) / 16; t < end; t = next) {
        next = wide ? end : panel_run(w, t, end, &index);
        const char *k = wide ? (const char *)w->scratch->wide_k + (size_t)t * tile : p->tiles.k + index * tile;
        if (many) {
            panel_scores_many(w, g, k, t, next);
            continue;
        }
        sai_following after = panel_next_keys(w, w->base / 16 + (uint64_t)next);
        score(g->n, p->q + (size_t)g->r * p->q_stride, p->q_stride, k, next - t, (int)dk, &after,
              w->scratch->scores + 16 * t, SAI_CHUNK);
    }
}
/* Scores of rows [i, i + n) of the group become weights in the states, or shares of softmaxes that are finished. */
static void panel_weigh(const panel_work *w, const panel_group *g, int i, int n, const sai_logit *logit,
                        sai_states *states) {
    const sai_weighing *m = w->panel->weighing;
    float *s = w->scratch->scores + i * SAI_CHUNK;
    int r = g->r + i;
    if (m)
        w->kernels->shares(n, s, w->lo + r, w->hi + r, logit, m->max + r, m->inverse + r);
    else
        w->kernels->softmax(n, s, w->lo + r, w->hi + r, logit, states->max + r, states->sum + r, w->scratch->keep + i);
}
/* Of rows of the host: at once; with ALiBi query row by query row, since their distances have no pattern. */
static void panel_softmax_rows(const panel_work *w, const panel_group *g, sai_states *states) {
    const sai_panel *p = w->panel;
    float biases[SAI_CHUNK];
    sai_logit logit = {w->layer->scale, w->layer->softcap, NULL, NULL, 0, biases};
    int n = p->slopes ? 1 : g->n;
    for (int i = 0; i < g->n; i += n) {
        int r = g->r + i;
        for (int t = g->lo / 16; 16 * t < g->hi; t++)
            sai_rows_biases(p->facts + sai_run_tile(&p->tiles, w->base / 16 + (uint64_t)t), p->kind,
                            p->slopes ? p->slopes[r] : 0, p->slopes ? p->query_places[r] : 0, biases + 16 * t);
        panel_weigh(w, g, i, n, &logit, states);
    }
}
static void panel_softmax(const panel_work *w, const panel_group *g, sai_states *states) {
    const sai_panel *p = w->panel;
    if (p->facts) {
        panel_softmax_rows(w, g, states);
        return;
    }
    float distances[SAI_MOST_ROWS];
    int r = g->r;
    for (int i = 0; p->slopes && i < g->n; i++)
        distances[i] = (float)(p->query_places[r + i] - (p->key_place + p->key_step * (int64_t)w->base));
    sai_logit logit = {w->layer->scale, w->layer->softcap,  p->slopes ? p->slopes + r : NULL,
                       distances,       (float)p->key_step, NULL};
    panel_weigh(w, g, 0, g->n, &logit, states);
}
/* Adds a group's shares, row by row. */
static void panel_add_shares(const panel_work *w, const panel_group *g) {
    const sai_weighing *m = w->panel->weighing;
    for (int i = 0; i < g->n; i++) {
        int lo = w->lo[g->r + i], hi = w->hi[g->r + i];
        const float *share = w->scratch->scores + i * SAI_CHUNK;
        float *to = m->to + (m->head + g->r + i) % m->heads * m->stride;
        int64_t at = (int64_t)(w->base - m->first);
        for (int key = lo; key < hi; key++) to[at + key] += share[key];
    }
}
/* --------------------------------- values --------------------------------- */
/* Keys [first, end) of the chunk, side by side in memory, and a strip of value blocks. */
typedef struct panel_strip {
    const char *v; /* of key `first`, block 0 of the layer */
    int32_t dtype;
    int first, end;
    int block, n_blocks;
} panel_strip;
/* All blocks of tiles from t on: those before `end` that lie side by side. */
static panel_strip panel_values_at(const panel_work *w, int t, int end) {
    const sai_run *tiles = &w->panel->tiles;
    uint64_t index;
    panel_strip s = {NULL, SA_F32, 16 * t, 16 * end, 0, w->layer->dv_pad / 16};
    if (w->wide_v) {
        s.v = (const char *)(w->scratch->wide_v + 16 * (size_t)t * (size_t)w->layer->dv_pad);
        return s;
    }
    end = panel_run(w, t, end, &index);
    s.v = tiles->v + index * tiles->v_tile;
    s.end = 16 * end;
    s.dtype = tiles->v_dtype;
    return s;
}
/* Adds keys [from, to) of a strip, weighted by p (n, 256), to n rows of acc. */
static void panel_value(const panel_work *w, const panel_strip *s, int n, int from, int to, const float *p,
                        const float *keep, float *acc) {
    size_t stride = (size_t)w->layer->dv_pad;
    if (from >= to) return;
    sai_following next = panel_next_values(w, w->base + (uint64_t)to);
    w->kernels->value[s->dtype](n, p + from, SAI_CHUNK,
                                s->v + ((size_t)(from - s->first) * stride + 16 * (size_t)s->block) *
                                           sai_dtype_size(s->dtype),
                                stride, to - from, s->n_blocks, &next, keep, acc + 16 * s->block, stride);
}
/* Weights 0 in those tiles of the group that row i of it does not touch. */
static void panel_clear_weights(const panel_work *w, const panel_group *g, int i) {
    float *p = w->scratch->scores + i * SAI_CHUNK;
    int lo = w->lo[g->r + i], hi = w->hi[g->r + i], from = g->lo / 16 * 16, to = (g->hi + 15) / 16 * 16;
    int own = lo < hi ? lo / 16 * 16 : to;
    for (int u = from; u < own; u++) p[u] = 0;
    for (int u = lo < hi ? (hi + 15) / 16 * 16 : to; u < to; u++) p[u] = 0;
}
/* All at once, by the kernel for many rows. */
static void panel_values_many(const panel_work *w, const panel_group *g, const panel_strip *s, float *acc) {
    const sai_run *tiles = &w->panel->tiles;
    size_t stride = (size_t)w->layer->dv_pad, skipped = (size_t)(g->lo - s->first) * stride;
    const char *v = s->v + skipped * sizeof(float);
    float *wide = (float *)(uintptr_t)v;
    uint64_t index;
    if (w->widen_now_v) {
        (void)panel_run(w, s->first / 16, s->end / 16, &index);
        v = tiles->v + index * tiles->v_tile + skipped * sai_dtype_size(tiles->v_dtype);
        wide = w->scratch->wide_v + 16 * (size_t)(s->first / 16) * stride + skipped;
    }
    w->kernels->value_many[w->widen_now_v ? tiles->v_dtype : SA_F32](w->scratch->scores + g->lo, SAI_CHUNK, v, wide,
                                                                     stride, g->hi - g->lo, s->n_blocks,
                                                                     w->scratch->keep, acc, stride, w->next_v);
}
/* In one call for each strip, keys that a row does not see having weight 0. */
static void panel_values_direct(const panel_work *w, const panel_group *g, float *acc) {
    panel_strip s = panel_values_at(w, g->lo / 16, (g->hi + 15) / 16);
    int blocks = s.n_blocks;
    for (int i = 0; i < g->n && (g->lo != g->all_lo || g->hi != g->all_hi); i++) panel_clear_weights(w, g, i);
    if (panel_is_many(w, g) && s.dtype == SA_F32) {
        panel_values_many(w, g, &s, acc);
        return;
    }
    for (; s.block < blocks; s.block += w->width) {
        s.n_blocks = panel_min(w->width, blocks - s.block);
        panel_value(w, &s, g->n, g->lo, g->hi, w->scratch->scores, w->scratch->keep, acc);
    }
}
/* Rows of a group: keys that all of them see together, the others row by row; in order of keys for each. */
static void panel_value_pieces(const panel_work *w, const panel_group *g, const panel_strip *s) {
    const float *p = w->scratch->scores;
    float *chain = w->scratch->chain;
    int lo = panel_max(s->first, g->all_lo), hi = panel_max(lo, panel_min(s->end, g->all_hi));
    size_t stride = (size_t)w->layer->dv_pad;
    int apart = g->lo != g->all_lo || g->hi != g->all_hi;
    for (int i = 0; apart && i < g->n; i++)
        panel_value(w, s, 1, panel_max(s->first, w->lo[g->r + i]), panel_min(panel_min(lo, s->end), w->hi[g->r + i]),
                    p + i * SAI_CHUNK, NULL, chain + (size_t)i * stride);
    panel_value(w, s, g->n, lo, hi, p, NULL, chain);
    for (int i = 0; apart && i < g->n; i++)
        panel_value(w, s, 1, panel_max(hi, w->lo[g->r + i]), panel_min(s->end, w->hi[g->r + i]), p + i * SAI_CHUNK,
                    NULL, chain + (size_t)i * stride);
}
/* Chains that begin with 0, and are folded into the states. */
static void panel_values_folded(const panel_work *w, const panel_group *g, float *acc) {
    int stride = w->layer->dv_pad, end = (g->hi + 15) / 16;
    memset(w->scratch->chain, 0, (size_t)(g->n * stride) * sizeof(float));
    for (int t = g->lo / 16; t < end;) {
        panel_strip s = panel_values_at(w, t, end);
        panel_value_pieces(w, g, &s);
        t = s.end / 16;
    }
    for (int i = 0; i < g->n; i++)
        if (w->lo[g->r + i] < w->hi[g->r + i])
            w->kernels->fold(stride, acc + (size_t)i * (size_t)stride, w->scratch->keep[i],
                             w->scratch->chain + (size_t)i * (size_t)stride);
}
/* Of integers, all in one call, wherever the tiles lie in the ring. */
static void panel_values_integers(const panel_work *w, const panel_group *g, float *acc) {
    const sai_run *tiles = &w->panel->tiles;
    const void *at[SAI_CHUNK_TILES] = {0};
    sai_int_values v = {w->scratch->scores,
                        w->lo + g->r,
                        w->hi + g->r,
                        g->lo / 16,
                        (g->hi + 15) / 16,
                        at,
                        w->layer->dv_pad / 16,
                        w->scratch->keep,
                        acc,
                        (size_t)w->layer->dv_pad,
                        w->scratch->weights};
    for (int t = v.first; t < v.end; t++)
        at[t] = tiles->v + sai_run_tile(tiles, w->base / 16 + (uint64_t)t) * tiles->v_tile;
    w->kernels->int_value[tiles->v_dtype](g->n, &v);
}
/* Whether 0 times the values of keys [from, to) is 0. */
static int panel_is_finite(const panel_work *w, const panel_strip *s, int from, int to) {
    static const float zeros[SAI_CHUNK] = {0};
    float *sum = w->scratch->chain;
    int strange = 0;
    memset(sum, 0, (size_t)w->layer->dv_pad * sizeof *sum);
    panel_value(w, s, 1, from, to, zeros, NULL, sum);
    for (int i = 0; i < w->layer->dv_pad; i++) strange |= !(sum[i] == 0);
    return !strange;
}
/* Whether all values that some row sees and another does not are finite. To look at them pays with many rows only. */
static int panel_are_finite(const panel_work *w, const panel_group *all) {
    if (!w->contiguous || w->rows == w->panel->n_rows) return 0;
    panel_strip s = panel_values_at(w, w->first, w->end);
    if (all->all_lo >= all->all_hi) return panel_is_finite(w, &s, all->lo, all->hi);
    return panel_is_finite(w, &s, all->lo, all->all_lo) && panel_is_finite(w, &s, all->all_hi, all->hi);
}
/* ---------------------------------- chunk --------------------------------- */
/* Converts the tiles that some row sees to f32. */
static void panel_widen(const panel_work *w) {
    const sai_run *tiles = &w->panel->tiles;
    int dk = w->layer->dk, dv = w->layer->dv_pad;
    uint64_t index;
    for (int t = w->first, next; t < w->end; t = next) {
        next = panel_run(w, t, w->end, &index);
        const char *k = tiles->k + index * tiles->k_tile, *v = tiles->v + index * tiles->v_tile;
        float *to_k = w->scratch->wide_k + (size_t)(16 * t) * (size_t)dk;
        float *to_v = w->scratch->wide_v + (size_t)(16 * t) * (size_t)dv;
        if (w->wide_k && !w->widen_now_k) w->kernels->load[tiles->k_dtype](k, (next - t) * 16 * dk, to_k);
        if (w->wide_v && !w->widen_now_v) w->kernels->load[tiles->v_dtype](v, (next - t) * 16 * dv, to_v);
    }
}
/* Those keys and values of the next chunk that lie side by side, from its first one on. */
static void panel_prefetch_chunk(const panel_work *w) {
    const sai_run *tiles = &w->panel->tiles;
    uint64_t number = w->base / 16 + SAI_CHUNK_TILES, end = (w->panel->end + 15) / 16, n = 0, index = 0;
    if (end > number + SAI_CHUNK_TILES) end = number + SAI_CHUNK_TILES;
    if (number < end) {
        n = sai_run_end(tiles, number, end) - number;
        index = sai_run_tile(tiles, number);
    }
    w->next_k->at = tiles->k + index * tiles->k_tile;
    w->next_v->at = tiles->v + index * tiles->v_tile;
    w->next_k->end = w->next_k->at + n * tiles->k_tile;
    w->next_v->end = w->next_v->at + n * tiles->v_tile;
}
/* Rows and their keys; some row sees a key of the chunk. */
static void panel_set_rows(const sai_panel *p, panel_work *w) {
    w->same_keys = p->n_rows > 0;
    for (int r = 0; r < p->n_rows; r++) {
        int lo = panel_clamp(p->visible[r].from, w->base), hi = panel_clamp(p->visible[r].end, w->base);
        w->lo[r] = lo, w->hi[r] = hi;
        w->same_keys &= lo < hi && lo == w->lo[0] && hi == w->hi[0];
    }
}
/* How rows are taken together. */
static void panel_set_groups(const sai_panel *p, panel_work *w) {
    int groups = 1, most = w->kernels->most_rows;
    w->rows = p->n_rows;
    if (w->rows > most) {
        /* A single tile, as sinks are, takes most rows to keep the multipliers busy. */
        if (w->end - w->first > 1) most = w->kernels->rows;
        groups = (p->n_rows + most - 1) / most;
        w->rows = (p->n_rows + groups - 1) / groups;
    }
    /* With many rows, a narrow strip of V stays in the registers; with few, all of V is read once. */
    w->width = groups > 1 ? w->kernels->blocks[most] : w->layer->dv_pad / 16;
}
static void panel_plan(const sai_panel *p, uint64_t base, panel_room *room, panel_work *w) {
    w->panel = p;
    w->kernels = p->kernels;
    w->layer = p->layer;
    w->scratch = p->scratch;
    w->base = base;
    w->run_end = 0;
    w->lo = room->lo;
    w->hi = room->hi;
    w->many_rows = p->n_rows >= SAI_WIDEN_ROWS;
    w->next_k = &room->next_k;
    w->next_v = &room->next_v;
    panel_set_rows(p, w);
    panel_group all = panel_see(w, 0, p->n_rows);
    w->first = all.lo / 16;
    w->end = (all.hi + 15) / 16;
    if (w->first < w->end) w->run_end = panel_run(w, w->first, w->end, &w->run_tile);
    panel_set_groups(p, w);
    w->wide_k = sai_panel_widens(p->tiles.k_dtype, (uint64_t)p->n_rows);
    w->wide_v = !p->weighing && sai_panel_widens(p->tiles.v_dtype, (uint64_t)p->n_rows);
    int side_by_side = w->run_end == w->end, widen_now = w->same_keys && side_by_side && w->rows == w->kernels->rows;
    w->widen_now_k = widen_now && w->wide_k;
    w->widen_now_v = widen_now && w->wide_v;
    if (w->wide_k || w->wide_v) panel_widen(w);
    w->contiguous = w->wide_v || (side_by_side && !sai_is_integer(p->tiles.v_dtype));
    w->finite = !p->weighing && panel_are_finite(w, &all);
    if (w->many_rows) panel_prefetch_chunk(w);
}
static void panel_values(const panel_work *w, const panel_group *g, float *acc) {
    if (sai_is_integer(w->panel->tiles.v_dtype))
        panel_values_integers(w, g, acc);
    else if (g->direct)
        panel_values_direct(w, g, acc);
    else
        panel_values_folded(w, g, acc);
}
static void sai_panel_chunk(const sai_panel *panel, uint64_t base, sai_states *states) {
    panel_room room;
    panel_work w;
    panel_plan(panel, base, &room, &w);
    for (int r = 0; r < panel->n_rows; r += w.rows) {
        panel_group g = panel_look(&w, r, panel_min(w.rows, panel->n_rows - r));
        if (g.lo >= g.hi) continue;
        panel_scores(&w, &g);
        panel_softmax(&w, &g, states);
        if (panel->weighing)
            panel_add_shares(&w, &g);
        else
            panel_values(&w, &g, states->acc + (size_t)r * (size_t)w.layer->dv_pad);
        w.widen_now_k = w.widen_now_v = 0;
    }
}
static void sai_panel_end(const sai_panel *p, sai_states *states) {
    if (p->layer->softcap != 0 || p->slopes || p->facts) return;
    for (int r = 0; r < p->n_rows; r++) states->max[r] *= p->layer->scale;
}
/* ---- lib/parallel.c ---- */
/* Runs a few tasks: in this thread, on the host's pool, or with OpenMP.
 *
 */
static int sai_have_openmp(void) {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}
static void sai_parallel(sa_parallel_for pool, void *pool_context, int32_t n, sa_task task, void *context) {
    if (n == 1) {
        task(context, 0);
        return;
    }
    if (pool) {
        pool(pool_context, n, task, context);
        return;
    }
#ifdef _OPENMP
#pragma omp parallel for num_threads(n) schedule(static, 1)
#endif
    for (int32_t i = 0; i < n; i++) task(context, i);
}
/* ---- lib/partial.c ---- */
/* States of attention over some of the keys: merged and finished for the host.
 *
 * A state (max, sum, acc) stands for sum of exp(logit - max) and sum of exp(logit - max) * v.
 * Merging is a host's rare operation: plain loops here, any instruction set.
 */
#include <math.h>
static float sai_log_sum_exp(float max, float sum) { return sum == 0 ? -INFINITY : (float)((double)max + log((double)sum)); }
static void partial_merge_row(int32_t n, float *max_a, float *sum_a, float *acc_a, float max_b, float sum_b,
                              const float *acc_b) {
    if (sum_b == 0) return;
    float max = *sum_a == 0 || max_b > *max_a ? max_b : *max_a;
    double a = *sum_a == 0 ? 0 : exp((double)*max_a - max), b = exp((double)max_b - max);
    for (int32_t i = 0; i < n; i++) acc_a[i] = (float)(acc_a[i] * a + acc_b[i] * b);
    *sum_a = (float)(*sum_a * a + sum_b * b);
    *max_a = max;
}
sa_status sa_merge_partial(int64_t n_rows, int32_t v_head_dim, float *max_a, float *sum_a, float *acc_a,
                           const float *max_b, const float *sum_b, const float *acc_b) {
    if (n_rows < 0 || v_head_dim < 1) return SA_ERR_ARGUMENT;
    if (n_rows && !(max_a && sum_a && acc_a && max_b && sum_b && acc_b)) return SA_ERR_ARGUMENT;
    for (int64_t r = 0; r < n_rows; r++)
        partial_merge_row(v_head_dim, max_a + r, sum_a + r, acc_a + r * v_head_dim, max_b[r], sum_b[r],
                          acc_b + r * v_head_dim);
    return SA_SUCCESS;
}
sa_status sa_finish_partial(int64_t n_rows, int32_t v_head_dim, const float *max, const float *sum, float *acc,
                            float *lse) {
    if (n_rows < 0 || v_head_dim < 1) return SA_ERR_ARGUMENT;
    if (n_rows && !(max && sum && acc)) return SA_ERR_ARGUMENT;
    for (int64_t r = 0; r < n_rows; r++) {
        for (int32_t i = 0; i < v_head_dim && sum[r] != 0; i++) acc[r * v_head_dim + i] /= sum[r];
        for (int32_t i = 0; i < v_head_dim && sum[r] == 0; i++) acc[r * v_head_dim + i] = 0;
        if (lse) lse[r] = sai_log_sum_exp(max[r], sum[r]);
    }
    return SA_SUCCESS;
}
/* ---- lib/plan.c ---- */
/* Calls of one sequence or of many, cut into units of work.
 *
 */
#include <string.h>
static uint64_t plan_min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t plan_max(uint64_t a, uint64_t b) { return a > b ? a : b; }
static int32_t plan_ceil(int64_t a, int64_t b) { return (int32_t)((a + b - 1) / b); }
/* ---------------------------------- parts --------------------------------- */
/* The oldest position of a span whose second copy a query reads. */
static uint64_t plan_recent_from(const sai_job *job, const sai_part *part, sai_place at) {
    uint64_t logical = at.logical + 1 > job->sight.recent ? at.logical + 1 - job->sight.recent : 0;
    /* Whose copy has gone is read where all are stored. */
    return plan_max(logical + job->sight.list[part->span].shift, job->state.spans->recent_from);
}
/* Rows that are no tokens: every query sees all of them. */
static sai_range plan_no_tokens(const sai_job *job, int32_t span) {
    sai_range learned = {0, (uint64_t)job->state.layer->n_sink_kv};
    return span == SAI_PART_LEARNED ? learned : job->state.rows->used[sai_part_kind(span)];
}
static sai_range sai_part_visible(const sai_job *job, const sai_part *part, sai_place at) {
    if (part->span < 0) return plan_no_tokens(job, part->span);
    sai_range r = sai_visible(&job->sight, part->span, at);
    if (part->extent == SAI_PART_WHOLE) return r;
    uint64_t recent = plan_min(r.end, plan_max(r.from, plan_recent_from(job, part, at)));
    if (part->extent == SAI_PART_OLD)
        r.end = recent;
    else
        r.from = recent;
    return r;
}
static uint64_t sai_part_place(const sai_job *job, const sai_part *part, sai_place at) {
    if (part->span == SAI_PART_AT_DISTANCE) return 0;
    if (part->span < 0) return sai_front_place(&job->sight, at);
    return at.t - sai_offset_of(&job->sight, part->span, at);
}
/* Where the tiles of what the rows see lie. */
static void plan_find_tiles(const sai_job *job, sai_part *part) {
    const sai_layer *l = job->state.layer;
    part->map_first = part->reach.from / 16;
    if (part->span >= 0) {
        int32_t store = part->extent == SAI_PART_NEWEST ? SAI_STORE_RECENT : job->sight.list[part->span].store;
        part->arena = &l->arenas[store];
        part->map = sai_tiles_map(&job->state.tiles[store], part->map_first);
    } else if (part->span == SAI_PART_LEARNED) {
        part->arena = &l->learned;
        part->map = (const uint32_t *)sai_at(job->state.pool, l->learned_map_at);
    } else {
        sai_tiles rows = sai_state_rows(&job->state);
        part->arena = &l->rows;
        part->map = sai_tiles_map(&rows, part->map_first);
    }
}
/* Adds a part, if some row sees anything of it. */
static void plan_add_part(sai_job *job, int32_t span, int32_t extent) {
    const sai_layer *l = job->state.layer;
    sai_part *part = &job->parts[job->n_parts];
    part->span = span;
    part->extent = extent;
    part->reach = sai_part_visible(job, part, job->places[0]);
    if (job->call.n > 1) part->reach.end = sai_part_visible(job, part, job->places[1]).end;
    if (part->reach.from >= part->reach.end) return;
    part->is_sink = span < 0 || job->sight.list[span].kind == SA_SPAN_SINK;
    part->first_block = part->reach.from >> l->block_bits;
    part->n_blocks = (int32_t)(((part->reach.end - 1) >> l->block_bits) - part->first_block + 1);
    part->place[0] = part->place[1] = sai_part_place(job, part, job->places[0]);
    part->tail = UINT64_MAX;
    if (job->depths && span == job->sight.n - 1) part->tail = job->state.spans->seen / SAI_CHUNK * SAI_CHUNK;
    if (job->call.n > 1) part->place[1] = sai_part_place(job, part, job->places[1]);
    plan_find_tiles(job, part);
    job->all_blocks += part->n_blocks;
    job->n_parts++;
}
static void plan_list_parts(sai_job *job) {
    const sai_layer *l = job->state.layer;
    if (l->n_sink_kv) plan_add_part(job, SAI_PART_LEARNED, SAI_PART_WHOLE);
    if (l->n_rows) plan_add_part(job, SAI_PART_IN_FRONT, SAI_PART_WHOLE);
    if (l->n_rows) plan_add_part(job, SAI_PART_AT_DISTANCE, SAI_PART_WHOLE);
    for (int32_t i = 0; i < job->sight.n; i++) {
        const sai_span *a = &job->sight.list[i];
        int twice = l->rules.recent && a->store == SAI_STORE_MAIN && a->kind != SA_SPAN_SINK;
        if (a->store == SAI_STORE_MASKED) continue;
        plan_add_part(job, i, twice ? SAI_PART_OLD : SAI_PART_WHOLE);
        if (twice) plan_add_part(job, i, SAI_PART_NEWEST);
    }
}
/* Fills in the job's sight: the layer's, or a narrower one; `coming` tokens are looked at as if they had come. */
static void plan_look(const sa_pool *pool, int32_t index, sai_job *job, uint64_t coming) {
    const sai_call *call = &job->call;
    const sai_rules *rules = &job->state.layer->rules;
    int is_narrow = call->window || call->view_sinks >= 0;
    sai_sight_look(rules, job->state.spans, &job->sight);
    if (!coming && !is_narrow) return;
    sai_span *room = (sai_span *)sai_at(pool, pool->work.views_at) + (int64_t)index * pool->work.most_view_spans;
    if (coming) sai_sight_extend(&job->sight, coming, room + pool->work.most_view_spans / 2);
    if (!is_narrow) return;
    uint64_t window = call->window ? sai_view_window(call, rules) : rules->is_dense ? UINT64_MAX : rules->window;
    sai_sight_narrow(&job->sight, window, call->view_sinks < 0 ? UINT64_MAX : (uint64_t)call->view_sinks, room);
}
/* Where the nodes of a call stand; returns how many tokens are above and at the deepest. */
static uint64_t plan_nodes(sai_job *job) {
    int32_t least = INT32_MAX, most = 0;
    job->depths = sai_nodes_depths(job->state.nodes) + job->call.node;
    for (int32_t i = 0; i < job->call.n; i++) {
        if (job->depths[i] < least) least = job->depths[i];
        if (job->depths[i] > most) most = job->depths[i];
    }
    job->least = least;
    job->apart = most - least;
    job->call.first = job->state.spans->seen + (uint64_t)least;
    return (uint64_t)most + 1;
}
static void sai_plan_job(sa_pool *pool, int32_t index) {
    sai_job *job = &sai_jobs(pool)[index];
    const sai_call *call = &job->call;
    uint64_t coming = 0;
    job->depths = NULL;
    job->apart = call->n - 1;
    if (call->is_draft) coming = plan_nodes(job);
    job->kernels = sai_kernels_of(pool->isa);
    job->keys_row = -1;
    job->n_parts = job->all_blocks = 0;
    job->parts = (sai_part *)sai_at(pool, pool->work.parts_at) + (int64_t)index * pool->work.most_parts;
    if (!call->attends) return;
    plan_look(pool, index, job, coming);
    job->places[0] = job->places[1] = sai_place_of(&job->sight, call->first);
    if (job->apart > 0) job->places[1] = sai_place_of(&job->sight, call->first + (uint64_t)job->apart);
    plan_list_parts(job);
}
/* -------------------------------- rotations ------------------------------- */
/* The rotations of a part's queries: n is 0 where none are needed, and step 2 where they are not evenly spaced. */
static sai_rotations plan_rotations(const sai_job *job, const sai_part *part) {
    const sai_layer *l = job->state.layer;
    uint64_t from = part->place[0], to = part->place[1], apart = (uint64_t)job->apart;
    int applied = l->position == SA_POSITION_ROPE_APPLIED;
    if (applied) {
        /* The host has rotated to t: what is left is the way from there. */
        from -= job->places[0].t;
        to -= job->places[1].t;
    }
    sai_rotations r = {l->rope_id, job->apart + 1, 2, from};
    if (from == to)
        r.step = 0;
    else if (to - from == apart)
        r.step = 1;
    else if (from - to == apart)
        r.step = -1;
    if (r.step == 0) r.n = applied && from == 0 ? 0 : 1;
    return r;
}
/* Takes the rows of the new keys; 0 if they have no room. */
static int plan_take_key_rotations(sa_pool *pool, sai_job *job) {
    const sai_layer *l = job->state.layer;
    job->keys_row = -1;
    if (!job->call.appends || l->position != SA_POSITION_ROPE || !l->rope.pairs) return 1;
    sai_rotations keys = {l->rope_id, job->apart + 1, job->apart > 0, job->call.first};
    job->keys_row = sai_rotations_take(pool, l, &keys);
    return job->keys_row >= 0;
}
/* Whether queries stand where the new keys do, as most do: then their rows are the same. */
static int plan_is_at_keys(const sai_job *job, const sai_rotations *r) {
    return job->keys_row >= 0 && r->first == job->call.first && (r->step == 1 || job->apart == 0);
}
/* Takes the rows of the queries of every part; 0 if some have no room, and the workers will have to make them. */
static int plan_take_rotations(sa_pool *pool, sai_job *job) {
    int all = 1;
    for (int32_t i = 0; i < job->n_parts; i++) {
        sai_part *part = &job->parts[i];
        part->row = SAI_ROW_NONE;
        if (!job->state.layer->rope.pairs) continue;
        sai_rotations r = plan_rotations(job, part);
        if (!r.n) continue;
        part->row = SAI_ROW_UNEVEN;
        part->row_step = r.step != 0;
        if (r.step == 2) continue;
        int32_t row = plan_is_at_keys(job, &r) ? job->keys_row : sai_rotations_take(pool, job->state.layer, &r);
        if (row >= 0) part->row = row;
        all &= row >= 0;
    }
    return all;
}
/* Keys of tokens first: they always have room in an empty table, while a worker can work out the rotation of a query,
 * and of the key of a node, for itself. */
static int plan_take_all_rotations(sa_pool *pool, int32_t n_jobs) {
    sai_job *jobs = sai_jobs(pool);
    int all = 1;
    for (int32_t i = 0; i < n_jobs; i++)
        if (!jobs[i].depths) all &= plan_take_key_rotations(pool, &jobs[i]);
    for (int32_t i = 0; i < n_jobs; i++)
        if (jobs[i].depths) all &= plan_take_key_rotations(pool, &jobs[i]);
    for (int32_t i = 0; i < n_jobs; i++) all &= plan_take_rotations(pool, &jobs[i]);
    return all;
}
/* ----------------------------------- cut ---------------------------------- */
static uint64_t sai_split_rows(int32_t n_threads) {
    return n_threads > 1 ? (uint64_t)n_threads * SAI_UNITS_A_THREAD * SAI_ROWS_A_UNIT : 0;
}
static uint64_t sai_most_blocks(const sai_layer *l) {
    uint64_t size = (uint64_t)1 << l->block_bits;
    uint64_t learned = ((uint64_t)l->n_sink_kv + size - 1) / size, sinks = (l->rules.n_sink + size - 1) / size;
    uint64_t rows = SAI_ROW_KINDS * (((uint64_t)l->n_rows + size - 1) / size);
    uint64_t most = learned + rows + sinks + l->rules.window / size + 2;
    return l->rules.recent ? most + l->rules.recent / size + 2 : most;
}
/* What rows up to a token of a panel cost, about: they see no more than it does. */
static double plan_panel_cost(const sai_job *job, int32_t panel) {
    int32_t row = panel * job->panel, end = row + job->panel < job->rows ? row + job->panel : job->rows;
    sai_place at = sai_token_place(job, sai_row_token(job, end - 1));
    double keys = 32; /* for what does not depend on the keys */
    for (int32_t i = 0; i < job->n_parts; i++) {
        sai_range r = sai_part_visible(job, &job->parts[i], at);
        if (r.end > r.from) keys += (double)(r.end - r.from);
    }
    return keys * (end - row);
}
static double sai_plan_cost(const sai_job *job, int32_t index) {
    int32_t panel = index / job->n_segments % job->n_panels;
    return plan_panel_cost(job, panel) / job->n_segments;
}
static double plan_job_cost(const sai_job *job) {
    double cost = 0;
    for (int32_t p = 0; p < job->n_panels; p++) cost += plan_panel_cost(job, p);
    return cost * job->state.layer->n_kv_heads;
}
/* Whether units of one size, dealt out in turn, keep the threads busy nine tenths of the time. */
static int plan_is_even(int64_t units, int32_t threads) {
    return 10 * units >= 9 * (int64_t)plan_ceil(units, threads) * threads;
}
/* Whether a job's units are small enough: of a single one they must come out even; of many, none may be so large that
 * the others wait for it. */
static int plan_is_fine(const sai_job *job, int64_t units, int32_t threads, double share, int32_t n_jobs) {
    if (threads == 1) return 1;
    return n_jobs == 1 ? plan_is_even(units, threads)
                       : share * SAI_UNITS_A_THREAD * threads <= (double)units || job->rows == 0;
}
/* Rows go to panels, as large as may be: a panel reads all keys. Several threads get more and smaller ones if that is
 * what makes their shares even; where rows are too few for that, the blocks are dealt out too, in pieces small enough
 * that their different lengths do not matter. `share`: of the cost of all jobs. */
static void plan_cut_job(const sa_pool *pool, sai_job *job, double share, int32_t n_jobs, uint64_t *split_used) {
    int32_t kv = job->state.layer->n_kv_heads, threads = pool->n_threads;
    if (threads == 1 && job->n_panels == 1) return;
    while (!plan_is_fine(job, (int64_t)kv * job->n_panels, threads, share, n_jobs) &&
           job->rows / (job->n_panels + 1) >= SAI_ROWS_A_UNIT)
        job->n_panels++;
    job->panel = plan_ceil(job->rows, job->n_panels);
    /* Whole groups of rows, if that leaves as many panels. */
    int32_t grouped = plan_ceil(job->panel, job->kernels->rows) * job->kernels->rows;
    if (grouped < job->rows && plan_ceil(job->rows, grouped) == job->n_panels) job->panel = grouped;
    job->n_panels = plan_ceil(job->rows, job->panel);
    int64_t panels = (int64_t)kv * job->n_panels;
    uint64_t states = (uint64_t)kv * (uint64_t)job->rows;
    uint64_t floats = states * (uint64_t)job->all_blocks * ((uint64_t)job->state.layer->dv_pad + 2);
    if (plan_is_fine(job, panels, threads, share, n_jobs) || job->all_blocks < 2 || states > sai_split_rows(threads) ||
        floats > pool->work.split_floats - *split_used)
        return;
    int32_t segments = plan_ceil((int64_t)threads * SAI_UNITS_A_THREAD, panels);
    if (segments > job->all_blocks) segments = job->all_blocks;
    job->segment = plan_ceil(job->all_blocks, segments);
    job->n_segments = plan_ceil(job->all_blocks, job->segment);
    job->split_at = *split_used;
    *split_used += floats;
}
static void plan_rows(sai_job *job) {
    job->rows = job->call.attends ? job->call.n * job->state.layer->group : 0;
    job->n_segments = 1;
    job->n_panels = (job->rows + SAI_PANEL - 1) / SAI_PANEL;
    job->panel = job->n_panels > 1 ? plan_ceil(job->rows, job->n_panels) : job->rows;
}
static void sai_plan_cut(sa_pool *pool, int32_t n_jobs) {
    sai_job *jobs = sai_jobs(pool);
    double cost = 0;
    uint64_t split_used = 0, kept = 0;
    if (!plan_take_all_rotations(pool, n_jobs)) {
        sai_rotations_clear(pool);
        (void)plan_take_all_rotations(pool, n_jobs);
    }
    for (int32_t i = 0; i < n_jobs; i++) plan_rows(&jobs[i]);
    for (int32_t i = 0; n_jobs > 1 && pool->n_threads > 1 && i < n_jobs; i++) cost += plan_job_cost(&jobs[i]);
    for (int32_t i = 0; i < n_jobs; i++) {
        double share = cost > 0 ? plan_job_cost(&jobs[i]) / cost : 1;
        if (jobs[i].rows) plan_cut_job(pool, &jobs[i], share, n_jobs, &split_used);
        jobs[i].kept_at = kept;
        if (jobs[i].call.wants_keys) kept += 2 * (uint64_t)jobs[i].rows * (uint64_t)jobs[i].state.layer->n_kv_heads;
        jobs[i].stores_by_head = jobs[i].call.appends && jobs[i].n_panels == 1 && jobs[i].n_segments == 1;
    }
}
/* ---------------------------------- units --------------------------------- */
static int64_t sai_plan_units(const sa_pool *pool, int32_t n_jobs) {
    int64_t units = 0;
    for (int32_t i = 0; i < n_jobs; i++) units += sai_job_units(&sai_jobs(pool)[i]);
    return units;
}
static int32_t sai_plan_phases(const sa_pool *pool, int32_t n_jobs) {
    int32_t phases = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        const sai_job *job = &sai_jobs(pool)[i];
        int32_t own = !job->rows ? 0 : job->call.wants_keys ? 3 : job->n_segments > 1 ? 2 : 1;
        if (own > phases) phases = own;
    }
    return phases;
}
static sai_unit sai_plan_unit(const sa_pool *pool, int32_t n_jobs, int32_t j, int32_t index) {
    sai_job *job = &sai_jobs(pool)[j];
    int32_t segment = job->n_segments > 1 ? index % job->n_segments : 0;
    int32_t panel = job->n_segments > 1 ? index / job->n_segments : index;
    sai_unit u = {job, job, 0, panel, 0, 0, 0, job->all_blocks, 0};
    if (job->n_panels > 1) {
        u.kv_head = panel / job->n_panels;
        u.row = panel % job->n_panels * job->panel;
    }
    u.n = job->rows - u.row < job->panel ? job->rows - u.row : job->panel;
    if (job->n_segments > 1) {
        u.block = segment * job->segment;
        u.block_end = u.block + job->segment < job->all_blocks ? u.block + job->segment : job->all_blocks;
    }
    u.host_head = sai_host_head(pool, job->state.layer, u.kv_head);
    u.next_head = u.kv_head + 1;
    if (u.next_head < job->state.layer->n_kv_heads) return u;
    u.next_head = 0;
    u.next = j + 1 < n_jobs && job[1].call.attends ? job + 1 : NULL;
    return u;
}
/* ---- lib/pool.c ---- */
/* The public functions of pools: made, ended, opened, forked.
 *
 */
#include <string.h>
/* The sizes of the first version. New fields come behind; these stay. */
#define POOL_FIRST_FACTS (offsetof(sa_pool_facts, tile_size) + sizeof(uint64_t))
#define POOL_FIRST_ALLOCATOR (offsetof(sa_allocator, user) + sizeof(void *))
sa_status sa_pool_size(const sa_config *config, size_t *size_out, size_t *alignment_out) {
    sai_verdict verdict;
    size_t size;
    if (!config || !size_out || !alignment_out) return SA_ERR_ARGUMENT;
    sa_status status = sai_layout_size(config, &size, &verdict);
    if (status) return status;
    *size_out = size;
    *alignment_out = SAI_ALIGNMENT;
    return SA_SUCCESS;
}
sa_status sa_pool_init(void *memory, size_t size, const sa_config *config, sa_pool **pool_out) {
    sai_verdict verdict;
    size_t needed;
    if (pool_out) *pool_out = NULL;
    if (!memory || !config || !pool_out) return SA_ERR_ARGUMENT;
    sa_status status = sai_layout_size(config, &needed, &verdict);
    if (status) return status;
    if (size < needed) return SA_ERR_BUFFER;
    if ((uintptr_t)memory % SAI_ALIGNMENT) return SA_ERR_ALIGNMENT;
    memset(memory, 0, needed);
    *pool_out = sai_layout_build(memory, config);
    return SA_SUCCESS;
}
/* The allocator to use: the host's, checked, or ours. */
static sa_status pool_allocator(const sa_allocator *theirs, sa_allocator *out) {
    sa_allocator ours = {sizeof ours, 0, sai_memory_alloc, sai_memory_free, NULL};
    *out = ours;
    if (!theirs) return SA_SUCCESS;
    sa_status status = sai_read_struct(out, sizeof *out, POOL_FIRST_ALLOCATOR, theirs);
    if (status) return status;
    return out->alloc && out->free && !out->reserved ? SA_SUCCESS : SA_ERR_ARGUMENT;
}
sa_status sa_pool_create(const sa_config *config, const sa_allocator *allocator, sa_pool **pool_out) {
    sai_verdict verdict;
    sa_allocator from;
    size_t size;
    if (pool_out) *pool_out = NULL;
    if (!config || !pool_out) return SA_ERR_ARGUMENT;
    sa_status status = sai_layout_size(config, &size, &verdict);
    if (!status) status = pool_allocator(allocator, &from);
    if (status) return status;
    void *memory = from.alloc(from.user, size, SAI_ALIGNMENT);
    if (!memory) return SA_ERR_MEMORY;
    if ((uintptr_t)memory % SAI_ALIGNMENT) {
        from.free(from.user, memory, size);
        return SA_ERR_ALIGNMENT;
    }
    if (allocator) memset(memory, 0, size); /* our own comes zeroed */
    sa_pool *pool = sai_layout_build(memory, config);
    pool->release = from.free;
    pool->release_user = from.user;
    *pool_out = pool;
    return SA_SUCCESS;
}
void sa_pool_destroy(sa_pool *pool) {
    if (pool && pool->release) pool->release(pool->release_user, sai_block_of(pool), (size_t)pool->size);
}
/* -------------------------------- sequences ------------------------------- */
/* A sequence that is not open, or NULL. */
static sa_cache *pool_free_sequence(const sa_pool *pool, int32_t *index) {
    for (*index = 0; *index < pool->n_sequences; ++*index) {
        sa_cache *cache = sai_sequence_at(pool, *index);
        if (!cache->is_open) return cache;
    }
    return NULL;
}
static sai_error pool_open(sa_pool *pool, sa_cache **cache_out) {
    int32_t index;
    if (!cache_out) return SAI_ERROR_CACHE_OUT;
    sa_cache *cache = pool_free_sequence(pool, &index);
    if (!cache) return SAI_ERROR_NO_SEQUENCE;
    pool->work.begun_layer = -1;
    sai_sequence_open(cache, index);
    cache->error = SAI_ERROR_NONE;
    *cache_out = cache;
    return SAI_ERROR_NONE;
}
sa_status sa_pool_open(sa_pool *pool, sa_cache **cache_out) {
    if (cache_out) *cache_out = NULL;
    return pool ? sai_error_keep_pool(pool, pool_open(pool, cache_out)) : SA_ERR_ARGUMENT;
}
sa_status sa_cache_fork(sa_cache *cache, sa_cache **fork_out) {
    if (fork_out) *fork_out = NULL;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = cache->is_open ? pool_open(sai_pool_of(cache), fork_out) : SAI_ERROR_CLOSED;
    if (!error) sai_sequence_fork(cache, *fork_out);
    return sai_error_keep(cache, error);
}
/* ---------------------------------- facts --------------------------------- */
sa_status sa_pool_info(const sa_pool *pool, int32_t layer, int32_t kv_head, sa_pool_facts *info_out) {
    if (!pool || !info_out || layer < 0 || layer >= pool->n_layers) return SA_ERR_ARGUMENT;
    if (kv_head < 0 || kv_head >= sai_layer_of(pool, layer)->layer_kv_heads) return SA_ERR_ARGUMENT;
    uint32_t size = info_out->struct_size;
    if (size < POOL_FIRST_FACTS || size > 4096 || size % 4) return SA_ERR_STRUCT_SIZE;
    const sai_layer *l = sai_lane_of(pool, sai_lane_with(pool, layer, kv_head));
    const sai_arena *arena = &l->arenas[SAI_STORE_MAIN];
    sa_pool_facts info;
    memset(&info, 0, sizeof info);
    info.struct_size = size;
    info.n_sequences = pool->n_sequences;
    info.n_open = pool->n_open;
    info.pool_size = pool->size;
    info.tiles = arena->n_tiles;
    info.tiles_free = arena->n_free;
    info.tile_size = (uint64_t)(arena->k_tile + arena->v_tile) * (uint64_t)l->n_kv_heads;
    memset(info_out, 0, size);
    memcpy(info_out, &info, size < sizeof info ? size : sizeof info);
    return SA_SUCCESS;
}
/* ---- lib/query.c ---- */
/* A unit's queries: read from the host, and rotated when they enter a part of the keys.
 *
 * Keys were rotated once, when they were appended, at their position in the stream. Where a query is nearer to a span's
 * keys than in the stream, it is the query that is rotated to another place, once per span.
 */
#include <string.h>
/* ---- lib/kernels/integer_tiles.h ---- */
/* How keys and values stored as integers lie in their tiles, and queries and weights packed for them.
 *
 * A group is 32 dims of one key or value; it has one scale, a bfloat16, so that a code of 8 bits times
 * its scale is exact in binary32. Codes are stored unsigned: code + 128, or nibbles code + 8.
 *   K tile   units of 64 bytes, [unit][16 keys][4 bytes], then scales [group][16 keys]. A unit holds dims
 *            4u .. 4u+3, or 8u .. 8u+3 in the low and 8u+4 .. 8u+7 in the high nibbles
 *   V tile   [4 quads of keys][group], each two units [16 dims][4 keys], or one: dims i in the low and 16 + i in
 *            the high nibbles; then scales [group][16 keys]
 *   pack     16 codes of 16 bits of a query or of weights: 8 words, in the order that the dot products of an
 *   instruction set need query    packs; then per group what the keys' offset adds, negated; then the query's scale
 *   weights  of a row and a chunk: packs [16 tiles][group]; then what sai_weights names
 */
#ifndef SAI_INTEGER_TILES_H
#define SAI_INTEGER_TILES_H
#include <stddef.h>
#include <stdint.h>
enum { SAI_GROUP = 32, SAI_PACK = 8, SAI_QUERY_MOST = 127 * 256 + 127 };
static inline int sai_groups(int dims) { return (dims + SAI_GROUP - 1) / SAI_GROUP; }
static inline int sai_packs(int dims) { return (dims + 15) / 16; }
static inline int sai_query_quads(int dims) { return (dims + 7) / 8 * 2; }
static inline size_t sai_query_words(int dims) { return (size_t)(SAI_PACK * sai_packs(dims) + sai_groups(dims) + 1); }
/* Bytes; `unit` is the dims of a unit, `row` the bytes of a group of V. */
static inline size_t sai_int_key_codes(int dims, int unit) {
    return (size_t)sai_query_quads(dims) * 256 / (size_t)unit;
}
static inline size_t sai_int_key_tile(int dims, int unit) {
    return sai_int_key_codes(dims, unit) + ((size_t)sai_groups(dims) * 32 + 63) / 64 * 64;
}
static inline size_t sai_int_value_codes(int dims, int row) { return (size_t)sai_groups(dims) * 16 * (size_t)row; }
static inline size_t sai_int_value_tile(int dims, int row) {
    return sai_int_value_codes(dims, row) + ((size_t)sai_groups(dims) * 32 + 63) / 64 * 64;
}
/* A row's weights in scratch. */
typedef struct sai_weights {
    int32_t *codes; /* (16, groups) packs */
    int32_t *sums;  /* (32 groups) sums of products, while they are not in registers */
    int32_t *start; /* (groups) what the values' offset adds, negated */
    float *step;    /* (groups) the factor of a sum of products */
} sai_weights;
static inline size_t sai_weight_words(int dims) {
    return ((size_t)sai_groups(dims) * (16 * SAI_PACK + 34) + 15) / 16 * 16;
}
static inline sai_weights sai_weights_at(float *scratch, int r, int groups) {
    sai_weights w;
    w.codes = (int32_t *)(void *)(scratch + (size_t)r * sai_weight_words(SAI_GROUP * groups));
    w.sums = w.codes + 16 * SAI_PACK * (size_t)groups;
    w.start = w.sums + SAI_GROUP * (size_t)groups;
    w.step = (float *)(void *)(w.start + groups);
    return w;
}
#endif
/* The host's rows lie far apart, so no processor prefetches the next one by itself: done this many rows ahead. */
enum { QUERY_AHEAD = 8 };
static const char *query_row(const sai_unit *u, int32_t i) {
    const sai_call *call = &u->job->call;
    return sai_row_at(&call->q, call->from + sai_row_token(u->job, u->row + i), sai_row_head(u, u->row + i));
}
static void sai_query_load(const sai_unit *u, const sai_scratch *s) {
    const sai_layer *l = u->job->state.layer;
    int32_t dtype = u->job->call.q.dtype;
    for (int32_t i = 0; i < u->n; i++) {
        if (i + QUERY_AHEAD < u->n)
            sai_prefetch_lines(query_row(u, i + QUERY_AHEAD), (size_t)l->dk * sai_dtype_size(dtype));
        u->job->kernels->load[dtype](query_row(u, i), l->dk, s->raw + (size_t)i * (size_t)l->dk);
    }
}
/* The rotation of a token's queries for a part. */
static const float *query_rotation(const sai_unit *u, const sai_part *part, int32_t token, const sai_scratch *s) {
    const sai_job *job = u->job;
    const sai_layer *l = job->state.layer;
    if (part->row >= 0)
        return sai_rotation(job->state.pool, part->row + (int64_t)sai_token_step(job, token) * part->row_step);
    sai_place at = sai_token_place(job, token);
    uint64_t place = sai_part_place(job, part, at);
    if (l->position == SA_POSITION_ROPE_APPLIED) place -= at.t;
    job->kernels->rope_row(&l->rope, (const uint64_t *)sai_at(job->state.pool, l->frequencies_at), place, s->rotation);
    return s->rotation;
}
static void query_rotate(const sai_unit *u, const sai_part *part, const sai_scratch *s) {
    const sai_layer *l = u->job->state.layer;
    const float *rotation = NULL;
    int32_t token = -1;
    size_t dk = (size_t)l->dk;
    for (int32_t i = 0; i < u->n; i++) {
        if (sai_row_token(u->job, u->row + i) != token) {
            token = sai_row_token(u->job, u->row + i);
            rotation = query_rotation(u, part, token, s);
        }
        memcpy(s->q + (size_t)i * dk, s->raw + (size_t)i * dk, dk * sizeof(float));
        u->job->kernels->rope_rotate(&l->rope, rotation, s->q + (size_t)i * dk);
    }
}
static void query_pack(const sai_unit *u, int32_t k_dtype, const float *q, const sai_scratch *s) {
    int32_t dk = u->job->state.layer->dk;
    for (int32_t i = 0; i < u->n; i++) {
        memcpy(s->hadamard, q + (size_t)i * (size_t)dk, (size_t)dk * sizeof *q);
        u->job->kernels->hadamard(s->hadamard, dk, 1);
        u->job->kernels->pack_query(s->hadamard, dk, sai_offset(k_dtype),
                                    (int32_t *)(void *)(s->packed + (size_t)i * sai_query_words(dk)));
    }
}
static sai_query sai_query_enter(const sai_unit *u, const sai_part *part, const sai_scratch *s) {
    int32_t dk = u->job->state.layer->dk;
    int rotates = part->row != SAI_ROW_NONE;
    sai_query query = {rotates ? s->q : s->raw, (size_t)dk};
    if (rotates) query_rotate(u, part, s);
    if (!sai_is_integer(part->arena->k_dtype)) return query;
    query_pack(u, part->arena->k_dtype, query.q, s);
    query.q = s->packed;
    query.stride = sai_query_words(dk);
    return query;
}
/* ---- lib/read.c ---- */
/* The public function that reads rows out: keys and values of positions that a layer holds, as the host wants them.
 *
 * A key was rotated at its position in the stream. Rotations add up, so one more takes it to any other place, or back.
 */
#include <string.h>
/* The size of the first version. New fields come behind; this stays. */
#define READ_FIRST_SIZE (offsetof(sa_read_args, places) + sizeof(int64_t *))
enum { READ_MOST_DIMS = 1024 };
/* What a call reads, of one lane of the layer. */
typedef struct read_call {
    sai_state state;
    const sai_kernels *kernels;
    const sa_read_args *args;
    sai_view k, v;
    int32_t layer_heads; /* that are read, from args->kv_head on */
} read_call;
/* The span that holds a position, or NULL. */
static const sai_span *read_span(const sai_spans *s, uint64_t position) {
    for (int32_t i = 0; i < s->n; i++) {
        const sai_span *a = &s->list[i];
        if (a->from <= position && position < a->end) return a->store == SAI_STORE_MASKED ? NULL : a;
    }
    return NULL;
}
/* ---------------------------------- keys ---------------------------------- */
/* The rotation that takes a token's key to where it is wanted, into row (2 pairs); 0 if it stays as it is. */
static int read_rotation(const read_call *c, int32_t token, float *row) {
    const sai_layer *l = c->state.layer;
    const sa_read_args *a = c->args;
    sai_rope rope = l->rope;
    uint64_t place = 0;
    if (a->key_form == SA_KEY_AS_STORED || !rope.pairs) return 0;
    /* Only what the library has rotated has its factor, which an unrotated key gives back. */
    rope.factor = a->key_form == SA_KEY_UNROTATED ? 1 / l->rope.factor : 1;
    if (a->key_form == SA_KEY_AT_PLACE) place = (uint64_t)a->places[token];
    c->kernels->rope_row(&rope, (const uint64_t *)sai_at(c->state.pool, l->frequencies_at), place - a->positions[token],
                         row);
    return 1;
}
static void read_key(const read_call *c, int32_t token, const sai_run *run, int32_t to, const float *rotation) {
    float key[READ_MOST_DIMS];
    uint64_t position = c->args->positions[token];
    int32_t dk = c->state.layer->dk;
    sai_fetch_key(c->kernels, run->k_dtype, sai_run_key(run, position), (int)(position % 16), dk, key);
    if (rotation) c->kernels->rope_rotate(&c->state.layer->rope, rotation, key);
    c->kernels->store[c->k.dtype](key, dk, sai_row_at(&c->k, token, to));
}
static void read_value(const read_call *c, int32_t token, const sai_run *run, int32_t to) {
    float value[READ_MOST_DIMS];
    uint64_t position = c->args->positions[token];
    int32_t dv = c->state.layer->dv;
    sai_fetch_value(c->kernels, run->v_dtype, sai_run_value(run, position), (int)(position % 16), dv, value);
    c->kernels->store[c->v.dtype](value, dv, sai_row_at(&c->v, token, to));
}
/* Which of the heads that are read a kv head of the lane is; negative or too large: none of them. */
static int32_t read_head(const read_call *c, int32_t kv_head) {
    return sai_host_head(c->state.pool, c->state.layer, kv_head) - c->args->kv_head;
}
static void read_token(const read_call *c, int32_t token) {
    float row[READ_MOST_DIMS];
    uint64_t position = c->args->positions[token];
    const sai_tiles *t = &c->state.tiles[read_span(c->state.spans, position)->store];
    const uint32_t *map = sai_tiles_map(t, position / 16);
    int rotates = c->k.data && read_rotation(c, token, row);
    for (int32_t h = 0; h < c->state.layer->n_kv_heads; h++) {
        int32_t to = read_head(c, h);
        if (to < 0 || to >= c->layer_heads) continue;
        sai_run run = sai_run_of(t->block, t->arena, h, map, position / 16);
        if (c->k.data) read_key(c, token, &run, to, rotates ? row : NULL);
        if (c->v.data) read_value(c, token, &run, to);
    }
}
/* Makes lane `lane` that of the call; returns whether heads of it are read. */
static int read_lane(read_call *c, const sa_cache *cache, int32_t lane) {
    int any = 0;
    c->state = sai_lane_state(cache, lane);
    for (int32_t h = 0; h < c->state.layer->n_kv_heads; h++)
        any |= read_head(c, h) >= 0 && read_head(c, h) < c->layer_heads;
    return any;
}
/* --------------------------------- checks --------------------------------- */
static sai_error read_check_tensors(read_call *c, const sa_pool *pool) {
    const sa_read_args *a = c->args;
    const sai_layer *l = sai_layer_of(pool, a->layer);
    const sai_tensor_check k = {&a->k, SAI_ERROR_K_DTYPE, a->n_tokens, c->layer_heads, l->dk},
                           v = {&a->v, SAI_ERROR_V_DTYPE, a->n_tokens, c->layer_heads, l->dv};
    sai_error error = sai_arguments_view(pool, &k, &c->k);
    if (!error) error = sai_arguments_view(pool, &v, &c->v);
    if (error) return error;
    if (!a->k.data && !a->v.data && a->n_tokens) return SAI_ERROR_READ_NOTHING;
    if (a->k.data && sai_arguments_overlaps(&k, &c->k)) return SAI_ERROR_READ_OVERLAPS;
    return a->v.data && sai_arguments_overlaps(&v, &c->v) ? SAI_ERROR_READ_OVERLAPS : SAI_ERROR_NONE;
}
static sai_error read_check_heads(read_call *c, const sa_pool *pool) {
    const sa_read_args *a = c->args;
    int32_t kv_heads = sai_layer_of(pool, a->layer)->layer_kv_heads;
    if (a->kv_head < 0 || a->kv_head >= kv_heads || a->n_kv_heads < 0) return SAI_ERROR_KV_HEADS;
    c->layer_heads = a->n_kv_heads ? a->n_kv_heads : kv_heads - a->kv_head;
    return c->layer_heads > kv_heads - a->kv_head ? SAI_ERROR_KV_HEADS : SAI_ERROR_NONE;
}
static sai_error read_check_lanes(read_call *c, const sa_cache *cache) {
    const sa_pool *pool = sai_pool_of(cache);
    int32_t first = sai_first_lane(pool, c->args->layer), end = sai_first_lane(pool, c->args->layer + 1);
    for (int32_t lane = first; lane < end; lane++)
        for (int32_t i = 0, n = read_lane(c, cache, lane) ? c->args->n_tokens : 0; i < n; i++)
            if (!read_span(c->state.spans, c->args->positions[i])) return SAI_ERROR_POSITION_LOST;
    return SAI_ERROR_NONE;
}
static sai_error read_check(const sa_cache *cache, read_call *c) {
    const sa_pool *pool = sai_pool_of(cache);
    const sa_read_args *a = c->args;
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    if (a->flags || a->reserved) return SAI_ERROR_READ_RESERVED;
    if (a->layer < 0 || a->layer >= pool->n_layers) return SAI_ERROR_LAYER;
    if (a->n_tokens < 0) return SAI_ERROR_N_TOKENS;
    if (a->key_form < SA_KEY_AS_STORED || a->key_form > SA_KEY_AT_PLACE) return SAI_ERROR_KEY_FORM;
    if (a->n_tokens && !a->positions) return SAI_ERROR_POSITIONS_NULL;
    if (a->n_tokens && a->k.data && (a->key_form == SA_KEY_AT_PLACE) != (a->places != NULL)) return SAI_ERROR_PLACES;
    c->kernels = sai_kernels_of(pool->isa);
    sai_error error = read_check_heads(c, pool);
    if (!error) error = read_check_tensors(c, pool);
    return error ? error : read_check_lanes(c, cache);
}
static sai_error read_rows(const sa_cache *cache, const sa_read_args *args) {
    sa_read_args own;
    read_call call = {.args = &own};
    if (!args) return SAI_ERROR_ARGS_NULL;
    if (sai_read_struct(&own, sizeof own, READ_FIRST_SIZE, args)) return SAI_ERROR_READ_SIZE;
    sai_error error = read_check(cache, &call);
    if (error) return error;
    const sa_pool *pool = sai_pool_of(cache);
    for (int32_t lane = sai_first_lane(pool, own.layer); lane < sai_first_lane(pool, own.layer + 1); lane++)
        for (int32_t i = 0, n = read_lane(&call, cache, lane) ? own.n_tokens : 0; i < n; i++) read_token(&call, i);
    return SAI_ERROR_NONE;
}
sa_status sa_cache_read(sa_cache *cache, const sa_read_args *args) {
    return cache ? sai_error_keep(cache, read_rows(cache, args)) : SA_ERR_ARGUMENT;
}
/* ---- lib/room.c ---- */
/* Whether a list of spans leaves room for what may come.
 *
 */
/* What a list comes to when tokens come and nothing else happens: sinks, and then a window. */
typedef struct room_needs {
    int32_t spans, main; /* all of them, and those of the main store */
    int32_t opens;       /* 1: the window's next token begins a span */
    uint64_t pinned;
} room_needs;
static room_needs room_needs_of(const sai_spans *s) {
    room_needs needs = {s->n, 0, 1, 0};
    sai_span sink = {s->seen, s->seen, s->shift, SA_SPAN_SINK, SAI_STORE_SINKS};
    const sai_span *last = s->n ? &s->list[s->n - 1] : NULL;
    for (int32_t i = 0; i < s->n; i++) {
        const sai_span *a = &s->list[i];
        if (a->store == SAI_STORE_MAIN) needs.main++;
        if (a->store == SAI_STORE_MAIN && a->kind != SA_SPAN_WINDOW) needs.pinned += a->end - a->from;
    }
    if (last && last->kind == SA_SPAN_WINDOW && last->store == SAI_STORE_MAIN)
        needs.opens = last->end != s->seen || last->shift != s->shift;
    needs.main += needs.opens;
    needs.spans += needs.opens;
    if (s->seen < s->sink_end && !(last && sai_spans_continue(last, &sink))) needs.spans++;
    return needs;
}
/* All but four spans are of the main store's making, and each of those may take up to two tiles more. */
static int room_has_tiles(const sai_rules *rules, const room_needs *needs) {
    return needs->main <= rules->most_spans - 4 && needs->pinned <= rules->most_pinned;
}
static int sai_spans_fit(const sai_rules *rules, const sai_spans *s) {
    room_needs needs = room_needs_of(s);
    /* A jump may leave a masked span among the sinks that come. */
    needs.spans = s->n + (s->seen < s->sink_end ? 2 : 0) + needs.opens;
    return needs.spans <= rules->most_spans && room_has_tiles(rules, &needs);
}
static int sai_spans_are_bounded(const sai_rules *rules, const sai_spans *s) {
    room_needs needs = room_needs_of(s);
    return needs.spans <= rules->most_spans + 1 && room_has_tiles(rules, &needs);
}
static sa_status sai_spans_can_jump(const sai_rules *rules, const sai_spans *s, uint64_t position) {
    sai_span next = {s->seen, s->seen, s->shift, SA_SPAN_SINK, SAI_STORE_MASKED};
    const sai_span *last = NULL;
    int32_t n = 1; /* a window comes */
    for (int32_t i = 0; i < s->n; i++) {
        if (s->list[i].kind == SA_SPAN_WINDOW) continue;
        last = &s->list[i];
        n++;
    }
    if (position < s->sink_end) n++;
    if (position > s->seen && s->seen < s->sink_end && !(last && sai_spans_continue(last, &next))) n++;
    return n <= rules->most_spans + 1 || s->seen >= s->sink_end ? SA_SUCCESS : SA_ERR_FULL;
}
/* ---- lib/rope.c ---- */
/* Rotary position: frequencies as 64-bit fractions of a full rotation.
 *
 */
#include <math.h>
static const double ROPE_TAU = 6.283185307179586476925;
/* ------------------------------ frequencies ------------------------------- */
/* The dim that makes so many full rotations over the original context (YaRN, section 3.2). */
static double rope_yarn_dim(const sa_config *c, double rotations) {
    return c->rope_dims * log(c->rope_original_context / (rotations * ROPE_TAU)) / (2 * log(c->rope_theta));
}
/* YaRN: high frequencies stay, low ones are divided by s, a linear ramp over dims between. */
static double rope_yarn(const sa_config *c, int i, double w) {
    double low = rope_yarn_dim(c, c->rope_beta_fast), high = rope_yarn_dim(c, c->rope_beta_slow);
    if (!(c->flags & SA_CONFIG_YARN_NO_TRUNCATE)) {
        low = floor(low);
        high = ceil(high);
    }
    if (low < 0) low = 0;
    if (high > c->rope_dims - 1) high = c->rope_dims - 1;
    if (high == low) high += 0.001; /* the reference's guard against dividing by zero */
    double ramp = (i - low) / (high - low);
    ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
    return w / c->rope_factor * ramp + w * (1 - ramp);
}
/* Llama 3: waves shorter than L/high stay, longer than L/low are divided by s, a blend between. */
static double rope_llama3(const sa_config *c, double w) {
    double rotations = c->rope_original_context * w / ROPE_TAU;
    if (rotations > c->rope_high_freq_factor) return w;
    if (rotations < c->rope_low_freq_factor) return w / c->rope_factor;
    double keep = (rotations - c->rope_low_freq_factor) / (c->rope_high_freq_factor - c->rope_low_freq_factor);
    return (1 - keep) * w / c->rope_factor + keep * w;
}
/* Whether positions may pass the original context. Decided once: stored keys cannot follow a
 * change of frequencies. */
static int rope_is_long(const sa_config *c) {
    int bounded = c->position_mode == SA_IN_CACHE || c->policy == SA_POLICY_DENSE;
    return !bounded || (int64_t)c->n_sink + c->window > c->rope_original_context;
}
/* Radians per position of pair i. */
static double rope_frequency(const sa_config *c, int i) {
    if (c->rope_inv_freq) return c->rope_inv_freq[i];
    double d = c->rope_dims, theta = c->rope_theta;
    if (c->rope_scaling == SA_ROPE_SCALING_NTK) theta *= pow(c->rope_factor, d / (d - 2));
    double w = pow(theta, -2.0 * i / d);
    switch (c->rope_scaling) {
    case SA_ROPE_SCALING_LINEAR:
        return w / c->rope_factor;
    case SA_ROPE_SCALING_YARN:
        return rope_yarn(c, i, w);
    case SA_ROPE_SCALING_LLAMA3:
        return rope_llama3(c, w);
    case SA_ROPE_SCALING_LONGROPE:
        return w / (rope_is_long(c) ? c->rope_long_factors[i] : c->rope_short_factors[i]);
    default:
        return w;
    }
}
/* Radians as a fraction of a full rotation, times 2^64, modulo 2^64, to the last bit but one: the mantissa times
 * 2^64 / tau, kept to 128 bits as two words. In double alone, position 10^12 would be off by 10^-4 of a radian. */
static uint64_t rope_fraction(double radians) {
    static const uint64_t inverse_tau[2] = {0x28be60db9391054aull, 0x7f09d5f47d4d3770ull}; /* 2^128 / tau */
    int exponent;
    uint64_t m = (uint64_t)(frexp(fabs(radians), &exponent) * 0x1p53); /* radians = m * 2^(exponent - 53) */
    /* m * inverse_tau as 192 bits in words of 32, low first; its unit is 2^(exponent - 53 - 128) rotations. */
    uint32_t product[8] = {0}, factor[4];
    for (int i = 0; i < 4; i++) factor[i] = (uint32_t)(inverse_tau[1 - i / 2] >> (32 * (i % 2)));
    for (int i = 0; i < 2; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < 4; j++) {
            carry += (uint64_t)(uint32_t)(m >> (32 * i)) * factor[j] + product[i + j];
            product[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        product[i + 4] = (uint32_t)carry;
    }
    /* The 64 bits below a full rotation start at bit 128 + 53 - exponent - 64. */
    int from = 117 - exponent;
    uint64_t fraction = 0;
    for (int bit = 0; bit < 64; bit++) {
        int at = from + bit;
        if (at >= 0 && at < 256 && (product[at / 32] >> (at % 32) & 1)) fraction |= (uint64_t)1 << bit;
    }
    return radians < 0 ? 0 - fraction : fraction;
}
static void sai_rope_frequencies(const sa_config *config, uint64_t *frequency) {
    for (int i = 0; i < config->rope_dims / 2; i++) frequency[i] = rope_fraction(rope_frequency(config, i));
}
static sai_rope sai_rope_of(const sa_config *config) {
    sai_rope rope = {0, 0, 0, 1.0f};
    if (config->position != SA_POSITION_ROPE && config->position != SA_POSITION_ROPE_APPLIED) return rope;
    rope.pairs = config->rope_dims / 2;
    rope.offset = config->rope_offset;
    rope.interleaved = config->rope_layout == SA_ROPE_INTERLEAVED;
    rope.factor = (float)config->rope_attention_factor;
    return rope;
}
/* ---- lib/rotations.c ---- */
/* Rows of cos and sin that calls need, kept from layer to layer.
 *
 * Rows are found by a key that stands at one place of a small table: a second set with the same place replaces the
 * first, which costs time and nothing else. The rows themselves are taken one after the other, until all are forgotten.
 */
static sai_rotations_key *rotations_place(const sa_pool *pool, const sai_rotations *r) {
    uint64_t hash =
        (r->first ^ (uint64_t)(uint32_t)r->rope_id << 40 ^ (uint64_t)(r->step + 2) << 60) * 0x9e3779b97f4a7c15u;
    return (sai_rotations_key *)sai_at(pool, pool->work.keys_at) + (hash >> 32) % SAI_ROTATION_KEYS;
}
/* Where the next n rows go, or -1. */
static int32_t rotations_room(sai_workspace *work, int32_t n) {
    if (n > work->rotation_rows - work->rotation_used) return -1;
    work->rotation_used += n;
    return work->rotation_used - n;
}
static void sai_rotations_clear(sa_pool *pool) {
    pool->work.rotation_used = 0;
    pool->work.rotation_filling++;
}
static int32_t sai_rotations_take(sa_pool *pool, const sai_layer *layer, const sai_rotations *r) {
    sai_workspace *work = &pool->work;
    sai_rotations_key *k = rotations_place(pool, r);
    if (k->filled == work->rotation_filling && k->first == r->first && k->rope_id == r->rope_id && k->step == r->step &&
        k->n >= r->n)
        return k->row;
    sai_rotations_key key = {r->first, r->rope_id, r->n, r->step, rotations_room(work, r->n), work->rotation_filling};
    if (key.row < 0) return -1;
    const uint64_t *frequencies = (const uint64_t *)sai_at(pool, layer->frequencies_at);
    float *row = (float *)sai_at(pool, work->rotations_at) + (size_t)key.row * (size_t)work->rotation_stride;
    uint64_t position = r->first;
    for (int32_t i = 0; i < r->n; i++, row += work->rotation_stride, position += (uint64_t)(int64_t)r->step)
        sai_kernels_of(pool->isa)->rope_row(&layer->rope, frequencies, position, row);
    *k = key;
    return key.row;
}
/* ---- lib/rows.c ---- */
/* Rows of the host: keys and values that are no tokens, and that every query sees.
 *
 */
#include <math.h>
#include <string.h>
static sai_row_facts *sai_rows_facts(const sa_pool *pool, const sai_layer *l, int32_t kv_head) {
    return (sai_row_facts *)sai_at(pool, l->rows.beside_at + (size_t)kv_head * l->rows.beside_head);
}
static uint64_t sai_rows_end(const sai_rows *rows) {
    uint64_t a = rows->used[SAI_ROWS_IN_FRONT].end, b = rows->used[SAI_ROWS_AT_DISTANCE].end;
    return a > b ? a : b;
}
static void sai_rows_biases(const sai_row_facts *facts, int kind, float slope, int64_t query_place, float *biases) {
    memcpy(biases, facts->bias[kind], sizeof facts->bias[kind]);
    if (slope == 0) return;
    for (int i = 0; i < 16; i++) biases[i] -= slope * (float)(query_place - facts->place[i]);
}
/* --------------------------------- writing -------------------------------- */
/* Who writes rows: its scratch, and the place that its rotation is of. */
typedef struct rows_writer {
    const sa_pool *pool;
    const sai_layer *layer;
    const sai_kernels *kernels;
    sai_scratch scratch;
    int64_t place;
    int rotates, is_ready;
} rows_writer;
static rows_writer rows_writer_of(const sa_pool *pool, const sai_layer *l) {
    rows_writer w = {pool, l, sai_kernels_of(pool->isa), sai_scratch_of(pool, l, 0), 0, 0, 0};
    w.rotates = l->position == SA_POSITION_ROPE && l->rope.pairs;
    return w;
}
/* Neighbours often stand at one place, and a rotation takes longer than all else. */
static void rows_turn_to(rows_writer *w, int64_t place) {
    const uint64_t *frequencies = (const uint64_t *)sai_at(w->pool, w->layer->frequencies_at);
    if (!w->rotates || (w->is_ready && w->place == place)) return;
    w->kernels->rope_row(&w->layer->rope, frequencies, (uint64_t)place, w->scratch.rotation);
    w->place = place;
    w->is_ready = 1;
}
/* Writes a key and a value that lie in the scratch to a slot. */
static void rows_store(const rows_writer *w, const sai_run *run, uint64_t slot) {
    int lane = (int)(slot % 16);
    sai_store_key(w->kernels, run->k_dtype, (char *)(uintptr_t)sai_run_key(run, slot), lane, w->layer->dk,
                  w->scratch.q);
    sai_store_value(w->kernels, run->v_dtype, (char *)(uintptr_t)sai_run_value(run, slot), lane, w->layer->dv,
                    w->scratch.chain);
}
/* Row i of the host's tensors, rotated to its place. */
static void rows_write(rows_writer *w, const sai_run *run, uint64_t slot, const char *k, int32_t k_dtype, const char *v,
                       int32_t v_dtype, int64_t place) {
    w->kernels->load[k_dtype](k, w->layer->dk, w->scratch.q);
    rows_turn_to(w, place);
    if (w->rotates) w->kernels->rope_rotate(&w->layer->rope, w->scratch.rotation, w->scratch.q);
    w->kernels->load[v_dtype](v, w->layer->dv, w->scratch.chain);
    rows_store(w, run, slot);
}
/* A hidden row weighs 0, but 0 times its value must be 0 as well. */
static void rows_write_nothing(const rows_writer *w, const sai_run *run, uint64_t slot) {
    memset(w->scratch.q, 0, (size_t)w->layer->dk * sizeof(float));
    memset(w->scratch.chain, 0, (size_t)w->layer->dv * sizeof(float));
    rows_store(w, run, slot);
}
/* ---------------------------------- tiles --------------------------------- */
static sai_row_facts *rows_facts_at(const rows_writer *w, const sai_run *run, int32_t kv_head, uint64_t slot) {
    return sai_rows_facts(w->pool, w->layer, kv_head) + sai_run_tile(run, slot / 16);
}
/* Tiles that came new hold whatever was in them: no row is there. */
static void rows_clear(const rows_writer *w, const sai_tiles *t, uint64_t number) {
    for (int32_t h = 0; h < w->layer->n_kv_heads; h++) {
        sai_run run = sai_run_of(t->block, t->arena, h, sai_tiles_map(t, 0), 0);
        sai_row_facts *facts = rows_facts_at(w, &run, h, 16 * number);
        memset((char *)(uintptr_t)sai_run_key(&run, 16 * number), 0, run.k_tile);
        memset((char *)(uintptr_t)sai_run_value(&run, 16 * number), 0, run.v_tile);
        memset(facts, 0, sizeof *facts);
        for (int i = 0; i < 16; i++)
            facts->bias[SAI_ROWS_IN_FRONT][i] = facts->bias[SAI_ROWS_AT_DISTANCE][i] = -INFINITY;
    }
}
/* Makes the tiles of slots [from, end) the sequence's own, and those before them that it does not have yet. */
static void rows_own(const rows_writer *w, const sai_tiles *t, uint64_t from, uint64_t end) {
    uint64_t had = t->table->n;
    sai_tiles_own(t, from < 16 * had ? from : 16 * had, end);
    for (uint64_t number = had; number < t->table->n; number++) rows_clear(w, t, number);
}
/* ----------------------------------- used --------------------------------- */
static int rows_is_used(const rows_writer *w, const sai_tiles *t, int kind, uint64_t slot) {
    for (int32_t h = 0; h < w->layer->n_kv_heads; h++) {
        sai_run run = sai_run_of(t->block, t->arena, h, sai_tiles_map(t, 0), 0);
        if (rows_facts_at(w, &run, h, slot)->bias[kind][slot % 16] > -INFINITY) return 1;
    }
    return 0;
}
/* Slots [from, end) may have come to be used, or no longer. */
static void rows_note(const rows_writer *w, const sai_tiles *t, int kind, uint64_t from, uint64_t end,
                      sai_range *used) {
    int empty = used->from >= used->end;
    if (empty || from < used->from) used->from = from;
    if (empty || end > used->end) used->end = end;
    while (used->from < used->end && !rows_is_used(w, t, kind, used->from)) used->from++;
    while (used->from < used->end && !rows_is_used(w, t, kind, used->end - 1)) used->end--;
    if (used->from >= used->end) used->from = used->end = 0;
}
/* ---------------------------------- setting ------------------------------- */
/* Row i of what is given, of one kv head, which is number `given` of those. */
static void rows_set_one(rows_writer *w, const sai_run *run, int32_t h, int32_t given, const sai_rows_given *g,
                         int32_t i) {
    uint64_t slot = (uint64_t)g->first + (uint64_t)i;
    size_t at = (size_t)i * (size_t)g->n_heads + (size_t)given;
    int64_t place = g->places ? g->places[at] : 0;
    float bias = g->biases ? g->biases[at] : 0;
    sai_row_facts *facts = rows_facts_at(w, run, h, slot);
    if (g->kind == SAI_ROWS_AT_DISTANCE) place = -place;
    if (!g->k.data) bias = -INFINITY;
    if (bias == -INFINITY) place = 0; /* a row that is not there says nothing, in a snapshot neither */
    facts->bias[g->kind][slot % 16] = bias;
    facts->bias[!g->kind][slot % 16] = -INFINITY;
    facts->place[slot % 16] = place;
    if (bias > -INFINITY)
        rows_write(w, run, slot, sai_row_at(&g->k, i, given), g->k.dtype, sai_row_at(&g->v, i, given), g->v.dtype,
                   place);
    else
        rows_write_nothing(w, run, slot);
}
/* A kv head's number among those that are given, or -1. */
static int32_t rows_given_head(const rows_writer *w, const sai_rows_given *g, int32_t h) {
    int32_t given = sai_host_head(w->pool, w->layer, h) - g->head;
    return given < 0 || given >= g->n_heads ? -1 : given;
}
static int rows_concern(const rows_writer *w, const sai_rows_given *g) {
    for (int32_t h = 0; h < w->layer->n_kv_heads; h++)
        if (rows_given_head(w, g, h) >= 0) return 1;
    return 0;
}
static void sai_rows_set(const sa_pool *pool, const sai_layer *l, const sai_tiles *t, sai_rows *rows,
                  const sai_rows_given *g) {
    rows_writer w = rows_writer_of(pool, l);
    uint64_t first = (uint64_t)g->first, end = first + (uint64_t)g->n;
    /* What was never set need not be taken away. */
    if (!g->k.data && end > 16 * (uint64_t)t->table->n) end = 16 * (uint64_t)t->table->n;
    if (first >= end || !rows_concern(&w, g)) return;
    rows_own(&w, t, first, end);
    for (int32_t i = 0; (uint64_t)i < end - first; i++)
        for (int32_t h = 0; h < l->n_kv_heads; h++) {
            sai_run run = sai_run_of(t->block, t->arena, h, sai_tiles_map(t, 0), 0);
            int32_t given = rows_given_head(&w, g, h);
            if (given >= 0) rows_set_one(&w, &run, h, given, g, i);
        }
    for (int kind = 0; kind < SAI_ROW_KINDS; kind++) rows_note(&w, t, kind, first, end, &rows->used[kind]);
}
/* Goes on with a digest of what lies in the scratch. Of numbers as the host gave them: what is stored may differ
 * in a bit from one instruction set to another. */
static uint64_t rows_digest(uint64_t so_far, const float *numbers, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &numbers[i], sizeof bits);
        so_far = sai_sum_step(so_far, bits);
    }
    return so_far;
}
static void sai_rows_learn(const sa_pool *pool, sai_layer *l, const sai_view *k, const sai_view *v) {
    rows_writer w = rows_writer_of(pool, l);
    const uint32_t *map = (const uint32_t *)sai_at(pool, l->learned_map_at);
    uint64_t digest = 0;
    for (int32_t r = 0; r < l->n_sink_kv; r++)
        for (int32_t h = 0; h < l->n_kv_heads; h++) {
            sai_run run = sai_run_of(sai_block_of(pool), &l->learned, h, map, 0);
            int64_t place = l->sink_kv_position == SA_SINK_KV_BEFORE ? (int64_t)r - l->n_sink_kv : 0;
            int32_t host_head = sai_host_head(pool, l, h);
            w.kernels->load[k->dtype](sai_row_at(k, r, host_head), l->dk, w.scratch.q);
            digest = rows_digest(digest, w.scratch.q, l->dk);
            rows_write(&w, &run, (uint64_t)r, sai_row_at(k, r, host_head), k->dtype, sai_row_at(v, r, host_head),
                       v->dtype, place);
            digest = rows_digest(digest, w.scratch.chain, l->dv);
        }
    l->learned_digest = digest ? digest : 1;
    l->sink_kv_ready = 1;
}
/* ---- lib/save.c ---- */
/* Saves a sequence to the host's memory.
 *
 * A snapshot depends on the state alone: what lies in tiles beside the tokens that are held is written as 0.
 */
/* ---------------------------------- sizes --------------------------------- */
static uint64_t save_tiles(const sai_state *s, int32_t store, uint64_t from) {
    sai_held tiles = sai_state_held(s, store, from);
    return sai_held_count(&tiles);
}
static uint64_t save_lane_size(const sai_state *s, uint64_t from) {
    uint64_t size = sai_meaning_size(s->layer) + sai_spans_section(s->layer, (uint64_t)s->spans->n);
    size += sai_saved_rows_size(s);
    for (int32_t i = 0; i < SAI_STORES; i++) size += sai_tiles_section(s->tiles[i].arena, save_tiles(s, i, from));
    return size;
}
static sai_error save_size(const sa_cache *cache, uint64_t from, uint64_t *size) {
    *size = SAI_LINE;
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    for (int32_t l = 0; l < sai_pool_of(cache)->n_lanes; l++) {
        sai_state s = sai_lane_state(cache, l);
        if (from > s.spans->seen) return SAI_ERROR_SAVE_FROM;
        *size += save_lane_size(&s, from);
    }
    return *size > SIZE_MAX / 2 ? SAI_ERROR_SAVE_SIZE : SAI_ERROR_NONE;
}
sa_status sa_cache_save_size(sa_cache *cache, uint64_t from, size_t *size_out) {
    uint64_t size;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = size_out ? save_size(cache, from, &size) : SAI_ERROR_SAVE_OUT;
    if (!error) *size_out = (size_t)size;
    return sai_error_keep(cache, error);
}
/* --------------------------------- sections ------------------------------- */
/* What has been written lies before `at`, and is in the sum. */
typedef struct save_writer {
    unsigned char *at;
    sai_sum sum;
    int32_t layer, lane; /* that are being written */
} save_writer;
/* The next section, of zeros but for what all of them say. */
static unsigned char *save_section(const save_writer *w, uint32_t kind, uint64_t size) {
    memset(w->at, 0, (size_t)size);
    sai_set32(w->at + SAI_AT_KIND, kind);
    sai_set64(w->at + SAI_AT_SIZE, size);
    sai_set32(w->at + SAI_AT_LAYER, (uint32_t)w->layer);
    sai_set32(w->at + SAI_AT_LANE, (uint32_t)w->lane);
    return w->at;
}
static void save_done(save_writer *w, uint64_t size) {
    sai_sum_add(&w->sum, w->at, (size_t)size);
    w->at += size;
}
static void save_meaning(save_writer *w, const sai_state *s) {
    uint64_t size = sai_meaning_size(s->layer);
    sai_meaning_write(s->pool, s->layer, save_section(w, SAI_SECTION_MEANING, size));
    save_done(w, size);
}
static void save_span(unsigned char *at, const sai_span *a) {
    sai_set64(at, a->from);
    sai_set64(at + 8, a->end);
    sai_set64(at + 16, a->shift);
    sai_set32(at + 24, (uint32_t)a->kind);
    sai_set32(at + 28, a->store == SAI_STORE_MASKED ? SAI_LIST_MASKED : (uint32_t)a->store);
}
static void save_rules(unsigned char *section, const sai_state *s) {
    const sai_rules *rules = &s->layer->rules;
    sai_set32(section + SAI_AT_N_HEADS, (uint32_t)s->layer->n_kv_heads);
    sai_set64(section + SAI_AT_N_SINK, rules->n_sink);
    sai_set64(section + SAI_AT_WINDOW, rules->window);
    sai_set64(section + SAI_AT_N_RECENT, rules->recent);
    sai_set32(section + SAI_AT_DENSE, (uint32_t)rules->is_dense);
}
static void save_spans(save_writer *w, const sai_state *state) {
    const sai_spans *s = state->spans;
    uint64_t size = sai_spans_section(state->layer, (uint64_t)s->n);
    unsigned char *section = save_section(w, SAI_SECTION_SPANS, size);
    save_rules(section, state);
    sai_set32(section + SAI_AT_N_SPANS, (uint32_t)s->n);
    sai_set64(section + SAI_AT_SEEN, s->seen);
    sai_set64(section + SAI_AT_SHIFT, s->shift);
    sai_set64(section + SAI_AT_FLOOR, s->floor);
    sai_set64(section + SAI_AT_FLOOR_LOGICAL, s->floor_logical);
    sai_set64(section + SAI_AT_SINK_END, s->sink_end);
    sai_set64(section + SAI_AT_RECENT_FROM, s->recent_from);
    sai_set64(section + SAI_AT_LEFT, s->left);
    sai_set64(section + SAI_AT_LEFT_LOGICAL, s->left_logical);
    sai_set64(section + SAI_AT_LEFT_COPY, s->left_copy);
    unsigned char *at = section + SAI_AT_LIST;
    for (int32_t i = 0; i < s->n; i++, at += SAI_LIST_STEP) save_span(at, &s->list[i]);
    for (int32_t h = 0; h < state->layer->n_kv_heads; h++, at += 4)
        sai_set32(at, (uint32_t)sai_host_head(state->pool, state->layer, h));
    save_done(w, size);
}
/* ----------------------------------- tiles -------------------------------- */
static void save_tile(save_writer *w, const sai_tile_form *form, const char *tile, uint32_t lanes) {
    size_t size = (size_t)sai_round_line(form->size);
    if (lanes == 0xffff && size == form->size && !sai_is_big_endian()) {
        sai_sum_copy(&w->sum, w->at, (const unsigned char *)tile, size);
        w->at += size;
        return;
    }
    memset(w->at + form->size, 0, size - form->size);
    memcpy(w->at, tile, form->size);
    sai_tile_keep(form, (char *)w->at, lanes);
    if (sai_is_big_endian()) sai_tile_swap(form, (char *)w->at);
    save_done(w, size);
}
/* The keys or the values of a kv head. */
static void save_head(save_writer *w, const sai_state *s, int32_t store, int32_t kv_head, int is_value, uint64_t from) {
    const sai_tiles *t = &s->tiles[store];
    sai_tile_form form = sai_form_of(s->layer, t->arena, is_value);
    sai_held held = sai_state_held(s, store, from);
    uint32_t entry = sai_tiles_entry(t, from / 16);
    while (sai_held_next(&held)) {
        while (t->numbers[entry] < held.number) entry++;
        save_tile(w, &form, is_value ? sai_tiles_value(t, entry, kv_head) : sai_tiles_key(t, entry, kv_head),
                  held.lanes);
    }
}
static void save_store(save_writer *w, const sai_state *s, int32_t store, uint64_t from) {
    const sai_arena *a = s->tiles[store].arena;
    uint64_t n = save_tiles(s, store, from);
    unsigned char *section = save_section(w, SAI_SECTION_TILES, SAI_LINE);
    sai_set64(section + SAI_AT_SIZE, sai_tiles_section(a, n));
    sai_set32(section + SAI_AT_STORE, (uint32_t)store);
    sai_set64(section + SAI_AT_TILES, n);
    sai_set64(section + SAI_AT_KEY_TILE, a->k_tile);
    sai_set64(section + SAI_AT_VALUE_TILE, a->v_tile);
    save_done(w, SAI_LINE);
    for (int32_t h = 0; h < a->n_kv_heads; h++)
        for (int is_value = 0; is_value < 2; is_value++) save_head(w, s, store, h, is_value, from);
}
static void save_rows(save_writer *w, const sai_state *s) {
    uint64_t size = sai_saved_rows_size(s);
    sai_saved_rows_write(s, save_section(w, SAI_SECTION_ROWS, size));
    save_done(w, size);
}
static void save_header(const sa_pool *pool, uint64_t from, uint64_t size, unsigned char *data) {
    memset(data, 0, SAI_LINE);
    memcpy(data + SAI_HEADER_MAGIC, SAI_SNAPSHOT_MAGIC, 8);
    sai_set32(data + SAI_HEADER_VERSION, SAI_SNAPSHOT_VERSION);
    sai_set32(data + SAI_HEADER_LAYERS, (uint32_t)pool->n_layers);
    sai_set64(data + SAI_HEADER_SIZE, size);
    sai_set64(data + SAI_HEADER_FROM, from);
    sai_set32(data + SAI_HEADER_LANES, (uint32_t)pool->n_lanes);
}
static void save_all(const sa_cache *cache, uint64_t from, unsigned char *data, uint64_t size) {
    save_writer w = {data, {{0}}, 0, 0};
    const sa_pool *pool = sai_pool_of(cache);
    save_header(pool, from, size, data);
    sai_sum_begin(&w.sum);
    save_done(&w, SAI_LINE);
    for (int32_t lane = 0; lane < pool->n_lanes; lane++) {
        sai_state s = sai_lane_state(cache, lane);
        while (lane >= sai_first_lane(pool, w.layer + 1)) w.layer++;
        w.lane = lane - sai_first_lane(pool, w.layer);
        save_meaning(&w, &s);
        save_spans(&w, &s);
        for (int32_t i = 0; i < SAI_STORES; i++) save_store(&w, &s, i, from);
        save_rows(&w, &s);
    }
    sai_set64(data + SAI_HEADER_SUM, sai_sum_end(&w.sum));
    sai_lines_end();
}
sa_status sa_cache_save(sa_cache *cache, uint64_t from, void *data, size_t size, size_t *written_out) {
    uint64_t needed = 0;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = data && written_out ? save_size(cache, from, &needed) : SAI_ERROR_SAVE_OUT;
    if (!error && size < needed) error = SAI_ERROR_SAVE_ROOM;
    if (error) return sai_error_keep(cache, error);
    save_all(cache, from, (unsigned char *)data, needed);
    *written_out = (size_t)needed;
    return sai_error_keep(cache, SAI_ERROR_NONE);
}
/* ---- lib/saved_rows.c ---- */
/* Rows of the host in a snapshot.
 *
 * All tiles up to the last row are there, whatever a partial snapshot begins with: rows are no tokens.
 */
#include <math.h>
static uint64_t saved_rows_tiles(const sai_state *s) {
    return s->layer->n_rows ? (sai_rows_end(s->rows) + 15) / 16 : 0;
}
/* Bytes of n tiles of all kv heads. */
static uint64_t saved_rows_section(const sai_layer *l, uint64_t n) {
    uint64_t tile = sai_round_line(sai_key_tile(l->arenas[SAI_STORE_SINKS].k_dtype, l->dk)) +
                    sai_round_line(sai_value_tile(l->arenas[SAI_STORE_SINKS].v_dtype, l->dv_pad)) + SAI_FACTS_SIZE;
    return SAI_LINE + n * tile * (uint64_t)l->n_kv_heads;
}
static uint64_t sai_saved_rows_size(const sai_state *s) { return saved_rows_section(s->layer, saved_rows_tiles(s)); }
/* Without rows in the config there is no arena of them, but sinks have the same dtypes. */
static sai_tile_form saved_rows_form(const sai_layer *l, int is_value) {
    return sai_form_of(l, &l->arenas[SAI_STORE_SINKS], is_value);
}
static sai_row_facts *saved_rows_facts(const sai_state *s, const sai_tiles *t, uint32_t entry, int32_t kv_head) {
    return sai_rows_facts(s->pool, s->layer, kv_head) + t->tiles[entry];
}
/* --------------------------------- writing -------------------------------- */
static unsigned char *saved_rows_put_tile(const sai_tile_form *form, const char *tile, unsigned char *at) {
    memcpy(at, tile, form->size);
    if (sai_is_big_endian()) sai_tile_swap(form, (char *)at);
    return at + sai_round_line(form->size);
}
static unsigned char *saved_rows_put_facts(const sai_row_facts *facts, unsigned char *at) {
    for (int i = 0; i < 32; i++) sai_set_float(at + 4 * i, facts->bias[i / 16][i % 16]);
    for (int i = 0; i < 16; i++) sai_set64(at + 128 + 8 * i, (uint64_t)facts->place[i]);
    return at + SAI_FACTS_SIZE;
}
static unsigned char *saved_rows_put_head(const sai_state *s, int32_t kv_head, uint32_t n, unsigned char *at) {
    sai_tiles t = sai_state_rows(s);
    sai_tile_form key = saved_rows_form(s->layer, 0), value = saved_rows_form(s->layer, 1);
    for (uint32_t i = 0; i < n; i++) at = saved_rows_put_tile(&key, sai_tiles_key(&t, t.table->first + i, kv_head), at);
    for (uint32_t i = 0; i < n; i++)
        at = saved_rows_put_tile(&value, sai_tiles_value(&t, t.table->first + i, kv_head), at);
    for (uint32_t i = 0; i < n; i++)
        at = saved_rows_put_facts(saved_rows_facts(s, &t, t.table->first + i, kv_head), at);
    return at;
}
static void sai_saved_rows_write(const sai_state *s, unsigned char *section) {
    uint32_t n = (uint32_t)saved_rows_tiles(s);
    unsigned char *at = section + SAI_LINE;
    sai_set64(section + SAI_AT_TILES, n);
    sai_set64(section + SAI_AT_KEY_TILE, saved_rows_form(s->layer, 0).size);
    sai_set64(section + SAI_AT_VALUE_TILE, saved_rows_form(s->layer, 1).size);
    for (int kind = 0; kind < SAI_ROW_KINDS && n; kind++) {
        sai_set64(section + SAI_AT_USED + 16 * kind, s->rows->used[kind].from);
        sai_set64(section + SAI_AT_USED + 16 * kind + 8, s->rows->used[kind].end);
    }
    for (int32_t h = 0; h < s->layer->n_kv_heads && n; h++) at = saved_rows_put_head(s, h, n, at);
}
/* -------------------------------- checking -------------------------------- */
static sai_range saved_rows_used(const unsigned char *section, int kind) {
    sai_range used = {sai_get64(section + SAI_AT_USED + 16 * kind), sai_get64(section + SAI_AT_USED + 16 * kind + 8)};
    return used;
}
/* Biases and places are such as sa_set_rows takes: sums with them do not wrap. */
static int saved_rows_facts_are_sound(const unsigned char *at) {
    for (int i = 0; i < 32; i++)
        if (!(sai_get_float(at + 4 * i) <= 1e30f)) return 0;
    for (int i = 0; i < 16; i++) {
        uint64_t place = sai_get64(at + 128 + 8 * i) + SAI_POSITION_LIMIT;
        if (place > 2 * SAI_POSITION_LIMIT) return 0;
    }
    return 1;
}
static int saved_rows_all_sound(const sai_layer *l, uint64_t n, const unsigned char *at) {
    uint64_t tiles = n * (sai_round_line(saved_rows_form(l, 0).size) + sai_round_line(saved_rows_form(l, 1).size));
    for (int32_t h = 0; h < l->n_kv_heads; h++) {
        at += tiles;
        for (uint64_t i = 0; i < n; i++, at += SAI_FACTS_SIZE)
            if (!saved_rows_facts_are_sound(at)) return 0;
    }
    return 1;
}
static sai_error sai_saved_rows_check(const sai_state *s, const unsigned char *section, uint64_t size) {
    uint64_t n = sai_get64(section + SAI_AT_TILES), end = 0;
    if (n > size / SAI_LINE || size != saved_rows_section(s->layer, n)) return SAI_ERROR_LOAD_FIELDS;
    if (sai_get64(section + SAI_AT_KEY_TILE) != saved_rows_form(s->layer, 0).size ||
        sai_get64(section + SAI_AT_VALUE_TILE) != saved_rows_form(s->layer, 1).size)
        return SAI_ERROR_LOAD_FIELDS;
    for (int kind = 0; kind < SAI_ROW_KINDS; kind++) {
        sai_range used = saved_rows_used(section, kind);
        if (used.from >= used.end && (used.from || used.end)) return SAI_ERROR_LOAD_FIELDS;
        if (used.end > end) end = used.end;
    }
    if ((end + 15) / 16 != n || end > 16 * n) return SAI_ERROR_LOAD_FIELDS;
    if (end > (uint64_t)s->layer->n_rows) return SAI_ERROR_LOAD_ROWS;
    return saved_rows_all_sound(s->layer, n, section + SAI_LINE) ? SAI_ERROR_NONE : SAI_ERROR_LOAD_FIELDS;
}
/* --------------------------------- loading -------------------------------- */
static const unsigned char *saved_rows_get_tile(const sai_tile_form *form, char *tile, const unsigned char *at) {
    memcpy(tile, at, form->size);
    if (sai_is_big_endian()) sai_tile_swap(form, tile);
    return at + sai_round_line(form->size);
}
static const unsigned char *saved_rows_get_facts(sai_row_facts *facts, const unsigned char *at) {
    for (int i = 0; i < 32; i++) facts->bias[i / 16][i % 16] = sai_get_float(at + 4 * i);
    for (int i = 0; i < 16; i++) {
        uint64_t place = sai_get64(at + 128 + 8 * i);
        memcpy(&facts->place[i], &place, sizeof place);
    }
    return at + SAI_FACTS_SIZE;
}
static const unsigned char *saved_rows_get_head(const sai_state *s, int32_t kv_head, const unsigned char *at) {
    sai_tiles t = sai_state_rows(s);
    sai_tile_form key = saved_rows_form(s->layer, 0), value = saved_rows_form(s->layer, 1);
    uint32_t first = t.table->first, end = first + t.table->n;
    for (uint32_t i = first; i < end; i++) at = saved_rows_get_tile(&key, sai_tiles_key(&t, i, kv_head), at);
    for (uint32_t i = first; i < end; i++) at = saved_rows_get_tile(&value, sai_tiles_value(&t, i, kv_head), at);
    for (uint32_t i = first; i < end; i++) at = saved_rows_get_facts(saved_rows_facts(s, &t, i, kv_head), at);
    return at;
}
static void sai_saved_rows_load(const sai_state *s, const unsigned char *section) {
    const unsigned char *at = section + SAI_LINE;
    if (!s->layer->n_rows) return;
    sai_tiles t = sai_state_rows(s);
    sai_tiles_drop_all(&t);
    sai_tiles_own(&t, 0, 16 * sai_get64(section + SAI_AT_TILES));
    for (int kind = 0; kind < SAI_ROW_KINDS; kind++) s->rows->used[kind] = saved_rows_used(section, kind);
    for (int32_t h = 0; h < s->layer->n_kv_heads; h++) at = saved_rows_get_head(s, h, at);
}
/* ---- lib/sequence.c ---- */
/* A sequence: per lane of a layer, spans and the tiles that hold them.
 *
 * Spans say which positions are held; a tile is held as long as it touches one of them.
 */
#include <string.h>
static void sai_lane_look_up(const sa_cache *cache, int32_t lane, sai_state *s) {
    char *at = (char *)(uintptr_t)cache;
    s->pool = sai_pool_of(cache);
    s->layer = sai_lane_of(s->pool, lane);
    s->spans = (sai_spans *)(void *)(at + s->layer->spans_at);
    sai_table *tables = (sai_table *)(void *)(at + s->layer->tables_at);
    for (int32_t i = 0; i < SAI_STORES; i++)
        s->tiles[i] = sai_tiles_of(sai_block_of(s->pool), at, &s->layer->arenas[i], &tables[i]);
    s->rows = (sai_rows *)(void *)(at + s->layer->rows_at);
    s->nodes = s->layer->max_draft ? (sai_nodes *)(void *)(at + s->layer->nodes_at) : NULL;
}
static sai_tiles sai_state_rows(const sai_state *s) {
    char *sequence = (char *)s->spans - s->layer->spans_at;
    return sai_tiles_of(sai_block_of(s->pool), sequence, &s->layer->rows, &s->rows->table);
}
static int32_t sai_lane_with(const sa_pool *pool, int32_t layer, int32_t kv_head) {
    int32_t lane = sai_first_lane(pool, layer);
    for (;; lane++) {
        const sai_layer *l = sai_lane_of(pool, lane);
        for (int32_t h = 0; h < l->n_kv_heads; h++)
            if (sai_host_head(pool, l, h) == kv_head) return lane;
    }
}
static uint64_t sai_sequence_most_tiles(const sai_rules *rules, int32_t store) {
    uint64_t cuts = 2 * (uint64_t)(rules->most_spans - 5);
    if (store == SAI_STORE_SINKS) return (rules->n_sink + 15) / 16;
    if (store == SAI_STORE_RECENT) return rules->recent ? (rules->recent_hold + 15) / 16 + 1 + cuts : 0;
    return (rules->hold + rules->most_pinned + 15) / 16 + 1 + cuts;
}
/* ----------------------------- opening, closing --------------------------- */
static void sequence_begin(const sai_tiles *t, int32_t index) {
    uint64_t home = (uint64_t)t->arena->homes * (uint64_t)index;
    t->table->first = t->table->n = 0;
    t->table->home = home < t->arena->n_tiles ? (uint32_t)home : 0;
}
static void sequence_forget_rows(const sai_state *s) {
    sai_tiles rows = sai_state_rows(s);
    sai_tiles_drop_all(&rows);
    memset(s->rows->used, 0, sizeof s->rows->used);
}
static void sai_sequence_open(sa_cache *cache, int32_t index) {
    sa_pool *pool = sai_pool_of(cache);
    for (int32_t l = 0; l < pool->n_lanes; l++) {
        sai_state s = sai_lane_state(cache, l);
        sai_spans_reset(&s.layer->rules, s.spans);
        for (int32_t i = 0; i < SAI_STORES; i++) sequence_begin(&s.tiles[i], index);
        if (s.nodes) sai_nodes_build(s.nodes, s.layer, index);
        if (!s.layer->n_rows) continue;
        sai_tiles rows = sai_state_rows(&s);
        sequence_begin(&rows, index);
        sequence_forget_rows(&s);
    }
    cache->is_open = 1;
    pool->n_open++;
}
static void sai_sequence_close(sa_cache *cache) {
    sa_pool *pool = sai_pool_of(cache);
    for (int32_t l = 0; l < pool->n_lanes; l++) {
        sai_state s = sai_lane_state(cache, l);
        for (int32_t i = 0; i < SAI_STORES; i++) sai_tiles_drop_all(&s.tiles[i]);
        if (s.layer->n_rows) sequence_forget_rows(&s);
        sai_state_drop_draft(&s);
    }
    cache->is_open = 0;
    pool->n_open--;
}
static void sai_sequence_fork(const sa_cache *from, sa_cache *to) {
    for (int32_t l = 0; l < sai_pool_of(from)->n_lanes; l++) {
        sai_state a = sai_lane_state(from, l), b = sai_lane_state(to, l);
        memcpy(b.spans, a.spans, sizeof *a.spans + (size_t)a.spans->n * sizeof *a.spans->list);
        for (int32_t i = 0; i < SAI_STORES; i++) sai_tiles_copy_table(&a.tiles[i], &b.tiles[i]);
        if (a.nodes) sai_nodes_fork(sai_block_of(a.pool), a.layer, a.nodes, b.nodes);
        if (!a.layer->n_rows) continue;
        sai_tiles from_rows = sai_state_rows(&a), to_rows = sai_state_rows(&b);
        sai_tiles_copy_table(&from_rows, &to_rows);
        memcpy(b.rows->used, a.rows->used, sizeof a.rows->used);
    }
}
/* ---------------------------------- tiles --------------------------------- */
/* Gives back the tiles of a store in [from, end), where no span is any more; those at the edges may touch others. */
static void sequence_drop(const sai_state *s, int32_t store, uint64_t from, uint64_t end) {
    const sai_tiles *t = &s->tiles[store];
    if (from >= end || !t->table->n) return;
    uint64_t first = from / 16, last = (end - 1) / 16, inside = (from + 15) / 16;
    if (inside < end / 16) sai_tiles_drop(t, inside, end / 16);
    if (from % 16 && !sai_spans_touch(s->spans, store, first)) sai_tiles_drop(t, first, first + 1);
    if (end % 16 && !sai_spans_touch(s->spans, store, last)) sai_tiles_drop(t, last, last + 1);
}
static void sequence_drop_all_stores(const sai_state *s, uint64_t from, uint64_t end) {
    for (int32_t i = 0; i < SAI_STORES; i++) sequence_drop(s, i, from, end);
}
static void sequence_evict(const sai_state *s, uint64_t n) {
    sai_range gone;
    while (sai_spans_evict(&s->layer->rules, s->spans, n, &gone)) sequence_drop_all_stores(s, gone.from, gone.end);
    if (!s->layer->rules.recent) return;
    uint64_t copied_from = s->spans->recent_from;
    sai_spans_evict_recent(&s->layer->rules, s->spans, n);
    sequence_drop(s, SAI_STORE_RECENT, copied_from, s->spans->recent_from);
}
/* -------------------------------- appending ------------------------------- */
/* Tiles of the main store that come free with the evicted range `gone`: those that nothing else uses. Tiles from number
 * `first_new` on have been taken since; those below *counted have been counted. */
static int64_t sequence_frees(const sai_state *s, sai_range gone, uint64_t first_new, uint64_t *counted) {
    int64_t frees = 0;
    uint64_t number = gone.from / 16 > *counted ? gone.from / 16 : *counted;
    for (; number <= (gone.end - 1) / 16; number++) {
        if (sai_spans_touch(s->spans, SAI_STORE_MAIN, number)) continue;
        frees += number >= first_new || sai_tiles_is_own(&s->tiles[SAI_STORE_MAIN], number);
        *counted = number + 1;
    }
    return frees;
}
static uint64_t sai_state_held_after(const sai_state *s, uint64_t n) {
    sai_spans before = *s->spans;
    sai_span *kept = s->spans->list + sai_spans_room(s->layer->rules.most_spans);
    sai_range gone;
    memcpy(kept, s->spans->list, (size_t)s->spans->n * sizeof *kept);
    while (n && sai_spans_evict(&s->layer->rules, s->spans, n, &gone)) continue;
    uint64_t held = sai_tokens_held(s->spans) + n;
    *s->spans = before;
    memcpy(s->spans->list, kept, (size_t)before.n * sizeof *kept);
    return held;
}
/* The most tiles that n tokens which come `piece` at a time take more than they have given back by then. They come to
 * the spans as sai_state_append lets them come, but to no tile. */
static int64_t sequence_peak(const sai_state *s, uint64_t n, uint64_t piece) {
    const sai_rules *rules = &s->layer->rules;
    uint64_t from = s->spans->seen > s->spans->sink_end ? s->spans->seen : s->spans->sink_end, counted = 0;
    /* When all that was held is gone, what is taken and given back comes round every 16 pieces. */
    uint64_t enough = from - s->spans->seen + rules->hold + 17 * piece + 32;
    int64_t frees = 0, peak = INT64_MIN;
    sai_range gone;
    if (n > enough && !rules->is_dense) n = enough;
    for (uint64_t done = 0; done < n; done += piece) {
        uint64_t now = n - done < piece ? n - done : piece;
        while (sai_spans_evict(rules, s->spans, now, &gone)) frees += sequence_frees(s, gone, from / 16, &counted);
        sai_spans_append(rules, s->spans, now);
        int64_t taken = (int64_t)sai_tiles_needed(&s->tiles[SAI_STORE_MAIN], from, s->spans->seen) - frees;
        if (taken > peak) peak = taken;
    }
    return peak;
}
static sa_status sequence_claim(const sai_state *s, uint64_t n, uint64_t piece, int64_t *claimed) {
    sai_spans before = *s->spans;
    sai_span *kept = s->spans->list + sai_spans_room(s->layer->rules.most_spans);
    memcpy(kept, s->spans->list, (size_t)before.n * sizeof *kept);
    *claimed += sequence_peak(s, n, piece);
    *s->spans = before;
    memcpy(s->spans->list, kept, (size_t)before.n * sizeof *kept);
    return *claimed <= (int64_t)s->tiles[SAI_STORE_MAIN].arena->n_free ? SA_SUCCESS : SA_ERR_POOL;
}
static sa_status sai_state_can_append(const sai_state *s, uint64_t n, uint64_t piece, int64_t *claimed) {
    sa_status status = sai_spans_can_append(&s->layer->rules, s->spans, n);
    return status || !s->pool->has_budget || !n ? status : sequence_claim(s, n, piece, claimed);
}
static void sai_state_append(const sai_state *s, uint64_t n) {
    uint64_t from = s->spans->seen, end = from + n, main = s->spans->sink_end;
    sequence_evict(s, n);
    if (main < from) main = from;
    if (main > end) main = end;
    sai_tiles_own(&s->tiles[SAI_STORE_SINKS], from, main);
    sai_tiles_own(&s->tiles[SAI_STORE_MAIN], main, end);
    if (s->layer->rules.recent) sai_tiles_own(&s->tiles[SAI_STORE_RECENT], main, end);
    sai_spans_append(&s->layer->rules, s->spans, n);
}
/* ------------------------------- going back ------------------------------- */
static void sai_state_drop_draft(const sai_state *s) {
    if (s->nodes) sai_nodes_drop(sai_block_of(s->pool), s->layer, s->nodes);
}
static void sai_state_reset(const sai_state *s) {
    sai_spans_reset(&s->layer->rules, s->spans);
    for (int32_t i = 0; i < SAI_STORES; i++) sai_tiles_drop_all(&s->tiles[i]);
    if (s->layer->n_rows) sequence_forget_rows(s);
    sai_state_drop_draft(s);
}
static void sai_state_truncate(const sai_state *s, uint64_t target) {
    uint64_t seen = s->spans->seen;
    sai_spans_truncate(&s->layer->rules, s->spans, target);
    sequence_drop_all_stores(s, target, seen);
}
static void sai_state_jump(const sai_state *s, uint64_t position) {
    sai_spans_jump(s->spans, position);
    for (int32_t i = 0; i < SAI_STORES; i++) {
        const sai_table *t = s->tiles[i].table;
        for (uint32_t back = t->n; back > 0; back--) {
            uint64_t tile = s->tiles[i].numbers[t->first + back - 1];
            if (!sai_spans_touch(s->spans, i, tile)) sai_tiles_drop(&s->tiles[i], tile, tile + 1);
        }
    }
}
/* --------------------------------- changes -------------------------------- */
static sa_status sequence_change(const sai_state *s, sai_change how, uint64_t from, uint64_t end) {
    const sai_rules *rules = &s->layer->rules;
    switch (how) {
    case SAI_PIN:
        return sai_spans_pin(rules, s->spans, from, end);
    case SAI_UNPIN:
        return sai_spans_unpin(rules, s->spans, from, end);
    case SAI_ANCHOR:
        return sai_spans_anchor(rules, s->spans, from, end);
    default:
        return sai_spans_remove(rules, s->spans, from, end, how == SAI_REMOVE_KEEP);
    }
}
static sa_status sai_state_can_change(const sai_state *s, sai_change how, uint64_t from, uint64_t end) {
    sai_spans before = *s->spans;
    sa_status status = sequence_change(s, how, from, end);
    if (status) return status;
    *s->spans = before;
    memcpy(s->spans->list, s->spans->list + sai_spans_room(s->layer->rules.most_spans),
           (size_t)before.n * sizeof *s->spans->list);
    return SA_SUCCESS;
}
/* Gives back the tiles of what was held by the list of n spans that a change has kept behind the list, and is no
 * more. */
static void sequence_drop_old(const sai_state *s, int32_t n) {
    const sai_span *old = s->spans->list + sai_spans_room(s->layer->rules.most_spans);
    for (int32_t i = 0; i < n; i++) {
        sai_range gone = {old[i].from, old[i].from};
        while (old[i].store != SAI_STORE_MASKED && gone.end < old[i].end) {
            gone = sai_spans_unheld(s->spans, gone.end, old[i].end);
            sequence_drop_all_stores(s, gone.from, gone.end);
        }
    }
}
static void sai_state_change(const sai_state *s, sai_change how, uint64_t from, uint64_t end) {
    uint64_t copied_from = s->spans->recent_from;
    int32_t n = s->spans->n;
    (void)sequence_change(s, how, from, end);
    sequence_drop_old(s, n);
    sequence_drop(s, SAI_STORE_RECENT, copied_from, s->spans->recent_from);
    sequence_evict(s, 0);
}
/* -------------------------------- replacing ------------------------------- */
static sai_held sai_state_held(const sai_state *s, int32_t store, uint64_t from) {
    int32_t n = store == SAI_STORE_RECENT && !s->layer->rules.recent ? 0 : s->spans->n;
    return sai_held_begin(s->spans->list, n, s->spans->recent_from, store, from);
}
static int sequence_keeps(const sai_state *s, int32_t store, uint64_t number, uint64_t from) {
    return 16 * number < from && sai_spans_touch(s->spans, store, number);
}
static sa_status sequence_can_replace(const sai_state *s, int32_t store, uint64_t from) {
    const sai_tiles *t = &s->tiles[store];
    sai_held all = sai_state_held(s, store, 0), taken = sai_state_held(s, store, from);
    uint64_t needed = sai_held_count(&taken), frees = 0;
    if (sai_held_count(&all) > sai_sequence_most_tiles(&s->layer->rules, store)) return SA_ERR_FULL;
    int at_edge = from % 16 && sai_held_next(&taken) && taken.number == from / 16;
    for (uint32_t i = t->table->first; i < t->table->first + t->table->n; i++) {
        int alone = t->uses[t->tiles[i]] == 1;
        if (!sequence_keeps(s, store, t->numbers[i], from))
            frees += alone;
        else if (at_edge && t->numbers[i] == from / 16)
            needed -= alone;
    }
    return needed <= frees + t->arena->n_free ? SA_SUCCESS : SA_ERR_POOL;
}
static sa_status sai_state_can_replace(const sai_state *s, uint64_t from) {
    for (int32_t i = 0; i < SAI_STORES; i++) {
        sa_status status = sequence_can_replace(s, i, from);
        if (status) return status;
    }
    return SA_SUCCESS;
}
/* Drops what a predicate does not keep, from the newest on: so little is moved. */
static void sequence_drop_replaced(const sai_state *s, int32_t store, uint64_t from) {
    const sai_tiles *t = &s->tiles[store];
    sai_tiles_drop(t, (from + 15) / 16, UINT64_MAX);
    for (uint32_t back = t->table->n; back > 0; back--) {
        uint64_t number = t->numbers[t->table->first + back - 1];
        if (!sequence_keeps(s, store, number, from)) sai_tiles_drop(t, number, number + 1);
    }
}
static void sai_state_replace(const sai_state *s, uint64_t from) {
    sai_state_drop_draft(s);
    for (int32_t i = 0; i < SAI_STORES; i++) {
        sai_held new_tiles = sai_state_held(s, i, from);
        sequence_drop_replaced(s, i, from);
        while (sai_held_next(&new_tiles)) sai_tiles_own(&s->tiles[i], 16 * new_tiles.number, 16 * new_tiles.number + 1);
    }
}
/* --------------------------------- memory --------------------------------- */
static size_t sequence_take(uint64_t *at, uint64_t size) {
    uint64_t start = (*at + 7) / 8 * 8;
    *at = start + size;
    return (size_t)start;
}
static uint64_t sequence_place_rows(sai_layer *layer, uint64_t at) {
    layer->rows_at = sequence_take(&at, sizeof(sai_rows));
    (void)sequence_take(&at, sai_rows_tiles(layer) * sizeof(uint64_t));
    (void)sequence_take(&at, sai_rows_tiles(layer) * sizeof(uint32_t));
    return at;
}
static uint64_t sai_sequence_place(sai_layer *layer, uint64_t at) {
    layer->spans_at = sequence_take(&at, sai_spans_size(layer->rules.most_spans));
    layer->tables_at = sequence_take(&at, SAI_STORES * sizeof(sai_table));
    for (int32_t i = 0; i < SAI_STORES; i++) {
        /* Twice the entries, so that they are moved to the front once in a round. */
        uint64_t entries = 2 * sai_sequence_most_tiles(&layer->rules, i);
        (void)sequence_take(&at, entries * sizeof(uint64_t));
        (void)sequence_take(&at, entries * sizeof(uint32_t));
    }
    layer->rows_at = 0;
    if (layer->max_draft) layer->nodes_at = sequence_take(&at, sai_nodes_size(layer->max_draft));
    return layer->n_rows ? sequence_place_rows(layer, at) : at;
}
static void sai_sequence_tables(const sa_cache *cache, const sai_layer *layer) {
    sai_table *tables = (sai_table *)(void *)((char *)(uintptr_t)cache + layer->tables_at);
    uint64_t at = layer->tables_at + SAI_STORES * sizeof(sai_table);
    for (int32_t i = 0; i < SAI_STORES; i++) {
        uint64_t entries = 2 * sai_sequence_most_tiles(&layer->rules, i);
        tables[i].capacity = (uint32_t)entries;
        tables[i].numbers_at = sequence_take(&at, entries * sizeof(uint64_t));
        tables[i].tiles_at = sequence_take(&at, entries * sizeof(uint32_t));
    }
    if (!layer->n_rows) return;
    sai_rows *rows = (sai_rows *)(void *)((char *)(uintptr_t)cache + layer->rows_at);
    at = layer->rows_at + sizeof *rows;
    rows->table.capacity = (uint32_t)sai_rows_tiles(layer);
    rows->table.numbers_at = sequence_take(&at, sai_rows_tiles(layer) * sizeof(uint64_t));
    rows->table.tiles_at = sequence_take(&at, sai_rows_tiles(layer) * sizeof(uint32_t));
}
/* ---- lib/set_rows.c ---- */
/* The public functions that take rows of the host: those that a model has learned, and those that the host computes.
 *
 */
#include <stddef.h>
/* The size of the first version. New fields come behind; this stays. */
#define SET_ROWS_FIRST_SIZE (offsetof(sa_rows, biases) + sizeof(float *))
/* --------------------------- learned sink rows ---------------------------- */
static sai_error set_rows_learned(const sa_cache *cache, int32_t layer, const void *k, const void *v) {
    sa_pool *pool = sai_pool_of(cache);
    sai_view keys, values;
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    if (layer < 0 || layer >= pool->n_layers) return SAI_ERROR_LAYER;
    const sai_layer *l = sai_layer_of(pool, layer);
    if (!l->n_sink_kv) return SAI_ERROR_NO_SINK_KV;
    if (!k) return SAI_ERROR_SINK_K_NULL;
    if (!v) return SAI_ERROR_SINK_V_NULL;
    const sa_tensor k_tensor = {(void *)(uintptr_t)k, 0, 0, 0, 0}, v_tensor = {(void *)(uintptr_t)v, 0, 0, 0, 0};
    const sai_tensor_check k_rows = {&k_tensor, SAI_ERROR_K_DTYPE, l->n_sink_kv, l->layer_kv_heads, l->dk},
                           v_rows = {&v_tensor, SAI_ERROR_V_DTYPE, l->n_sink_kv, l->layer_kv_heads, l->dv};
    sai_error error = sai_arguments_view(pool, &k_rows, &keys);
    if (!error) error = sai_arguments_view(pool, &v_rows, &values);
    if (error) return error;
    pool->work.begun_layer = -1;
    for (int32_t lane = sai_first_lane(pool, layer); lane < sai_first_lane(pool, layer + 1); lane++)
        sai_rows_learn(pool, sai_lane_of(pool, lane), &keys, &values);
    return SAI_ERROR_NONE;
}
sa_status sa_set_sink_kv(sa_cache *cache, int32_t layer, const void *k, const void *v) {
    return cache ? sai_error_keep(cache, set_rows_learned(cache, layer, k, v)) : SA_ERR_ARGUMENT;
}
/* ---------------------------- rows of the host ---------------------------- */
static sai_error set_rows_check_shape(const sa_pool *pool, const sa_rows *r) {
    if (r->flags & ~(uint32_t)SA_ROWS_AT_DISTANCE || r->reserved) return SAI_ERROR_ROWS_FLAGS;
    if (r->layer < 0 || r->layer >= pool->n_layers) return SAI_ERROR_LAYER;
    int32_t heads = sai_layer_of(pool, r->layer)->layer_kv_heads;
    if (r->kv_head < 0 || r->kv_head >= heads || r->n_kv_heads < 0 || r->n_kv_heads > heads - r->kv_head)
        return SAI_ERROR_KV_HEADS;
    if (r->first < 0 || r->n_rows < 0 || r->n_rows > sai_layer_of(pool, r->layer)->n_rows - r->first)
        return SAI_ERROR_ROWS_RANGE;
    if (r->k.data && !r->v.data) return SAI_ERROR_K_ALONE;
    if (r->v.data && !r->k.data) return SAI_ERROR_V_ALONE;
    return !r->k.data && (r->places || r->biases || r->flags) ? SAI_ERROR_ROWS_TAKEN : SAI_ERROR_NONE;
}
static sai_error set_rows_check_numbers(const sai_rows_given *g, uint64_t n) {
    sai_error error = sai_arguments_array(n, sizeof *g->places, g->places, SAI_ERROR_PLACES_ADDRESS);
    if (!error) error = sai_arguments_array(n, sizeof *g->biases, g->biases, SAI_ERROR_BIASES_ADDRESS);
    if (error) return error;
    const int64_t limit = (int64_t)SAI_POSITION_LIMIT;
    for (uint64_t i = 0; g->places && i < n; i++)
        if (g->places[i] <= -limit || g->places[i] >= limit) return SAI_ERROR_ROWS_PLACE;
    for (uint64_t i = 0; g->biases && i < n; i++)
        if (!(g->biases[i] <= 1e30f)) return SAI_ERROR_ROWS_BIAS;
    return SAI_ERROR_NONE;
}
static sai_error set_rows_check(const sa_pool *pool, const sa_rows *r, sai_rows_given *g) {
    sai_error error = set_rows_check_shape(pool, r);
    if (error) return error;
    const sai_layer *l = sai_layer_of(pool, r->layer);
    g->head = r->kv_head;
    g->n_heads = r->n_kv_heads ? r->n_kv_heads : l->layer_kv_heads - r->kv_head;
    const sai_tensor_check k_rows = {&r->k, SAI_ERROR_K_DTYPE, r->n_rows, g->n_heads, l->dk},
                           v_rows = {&r->v, SAI_ERROR_V_DTYPE, r->n_rows, g->n_heads, l->dv};
    error = sai_arguments_view(pool, &k_rows, &g->k);
    if (!error) error = sai_arguments_view(pool, &v_rows, &g->v);
    if (error) return error;
    g->places = r->places;
    g->biases = r->biases;
    g->first = r->first;
    g->n = r->n_rows;
    g->kind = r->flags & SA_ROWS_AT_DISTANCE ? SAI_ROWS_AT_DISTANCE : SAI_ROWS_IN_FRONT;
    return set_rows_check_numbers(g, (uint64_t)g->n * (uint64_t)g->n_heads);
}
static sai_error set_rows(const sa_cache *cache, const sa_rows *theirs) {
    sa_pool *pool = sai_pool_of(cache);
    sa_rows r;
    sai_rows_given given;
    if (!theirs) return SAI_ERROR_ROWS_NULL;
    if (sai_read_struct(&r, sizeof r, SET_ROWS_FIRST_SIZE, theirs)) return SAI_ERROR_ROWS_SIZE;
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    sai_error error = set_rows_check(pool, &r, &given);
    if (error || !given.n) return error;
    pool->work.begun_layer = -1;
    for (int32_t lane = sai_first_lane(pool, r.layer); lane < sai_first_lane(pool, r.layer + 1); lane++) {
        sai_state state = sai_lane_state(cache, lane);
        sai_tiles tiles = sai_state_rows(&state);
        sai_rows_set(pool, state.layer, &tiles, state.rows, &given);
    }
    return SAI_ERROR_NONE;
}
sa_status sa_set_rows(sa_cache *cache, const sa_rows *rows) {
    return cache ? sai_error_keep(cache, set_rows(cache, rows)) : SA_ERR_ARGUMENT;
}
/* ---- lib/sight.c ---- */
/* What a query sees of a list of spans, and at what distance.
 *
 */
#include <string.h>
static void sai_sight_narrow(sai_sight *g, uint64_t window, uint64_t n_sinks, sai_span *room) {
    int32_t n = 0;
    for (int32_t i = 0; i < g->n; i++) {
        sai_span a = g->list[i], rest = a;
        uint64_t kept = a.kind == SA_SPAN_SINK ? sai_min((a.end - a.from), n_sinks) : (a.end - a.from);
        a.end = rest.from = a.from + kept;
        if (a.kind == SA_SPAN_SINK) n_sinks -= kept;
        rest.kind = SA_SPAN_WINDOW;
        if (a.from < a.end) room[n++] = a;
        if (rest.from < rest.end) room[n++] = rest;
    }
    g->list = room;
    g->n = n;
    g->window = window;
    g->is_dense = g->is_dense && window == UINT64_MAX;
    if (n_sinks < sai_minus(g->sink_end, g->seen)) g->sink_end = g->seen + n_sinks;
}
static void sai_sight_extend(sai_sight *g, uint64_t n, sai_span *room) {
    sai_span next = {g->seen, g->seen + n, g->shift, SA_SPAN_WINDOW, SAI_STORE_MAIN};
    memcpy(room, g->list, (size_t)g->n * sizeof *room);
    if (g->n && sai_spans_continue(&room[g->n - 1], &next))
        room[g->n - 1].end = next.end;
    else
        room[g->n++] = next;
    g->list = room;
    g->seen += n;
}
static sai_place sai_place_of(const sai_sight *g, uint64_t t) {
    sai_place at = {t, sai_spans_logical(g->list, g->n, g->seen, g->shift, t)};
    return at;
}
/* The oldest logical position that is inside the window. */
static uint64_t sight_edge(const sai_sight *g, sai_place at) {
    return g->is_dense ? 0 : sai_minus(at.logical + 1, g->window);
}
static sai_range sai_visible(const sai_sight *g, int32_t span, sai_place at) {
    const sai_span *a = &g->list[span];
    sai_range r = {a->from, sai_min(a->end, at.t + 1)};
    if (a->kind == SA_SPAN_WINDOW) r.from = sai_max(r.from, sight_edge(g, at) + a->shift);
    if (a->store == SAI_STORE_MASKED || r.from > r.end) r.end = r.from;
    return r;
}
/* Kept positions of the spans from i on that lie before the window, and sinks that will come before the query. */
static uint64_t sight_kept(const sai_sight *g, int32_t i, sai_place at, uint64_t edge) {
    uint64_t kept = sai_minus(sai_min(sai_min(at.t + 1, g->sink_end), edge + g->shift), g->seen);
    for (; i < g->n; i++) {
        const sai_span *a = &g->list[i];
        if (a->from - a->shift >= edge) break;
        if (a->kind != SA_SPAN_WINDOW) kept += sai_min(a->end - a->shift, edge) - (a->from - a->shift);
    }
    return kept;
}
static uint64_t sai_offset_of(const sai_sight *g, int32_t span, sai_place at) {
    const sai_span *a = &g->list[span];
    uint64_t edge = sight_edge(g, at);
    if (g->in_stream || a->end - a->shift > edge) return at.t - at.logical - a->shift;
    /* Its newest key is one place before the kept ones that come after it, and those are before the window. */
    uint64_t distance = at.logical - edge + 1 + sight_kept(g, span + 1, at, edge);
    return at.t - (a->end - 1) - distance;
}
static uint64_t sai_front_place(const sai_sight *g, sai_place at) {
    uint64_t edge = sight_edge(g, at);
    return g->in_stream ? at.logical : at.logical - edge + sight_kept(g, 0, at, edge);
}
static sa_status sai_sight_can_query(const sai_sight *g, uint64_t first, uint64_t n) {
    if (first < g->of->floor || !sai_spans_cover(g->list, g->n, first, sai_min(first + n, g->seen)))
        return SA_ERR_DEPTH;
    for (uint64_t t = first; t < first + n; t++)
        if (!sai_sight_holds(g, sai_place_of(g, t), sai_min(t + 1, g->seen))) return SA_ERR_DEPTH;
    return SA_SUCCESS;
}
static uint64_t sai_tokens_visible(const sai_sight *g) {
    uint64_t visible = 0;
    if (g->seen == 0) return 0;
    sai_place at = sai_place_of(g, g->seen - 1);
    for (int32_t i = 0; i < g->n; i++) {
        sai_range r = sai_visible(g, i, at);
        visible += r.end - r.from;
    }
    return visible;
}
/* ---- lib/sound.c ---- */
/* Whether a list of spans that came from outside is such as calls can leave.
 *
 * What spans.c takes for granted: positions ascend, and so do shifts, never by more than the positions between; numbers
 * are so small that sums do not wrap; no two neighbours are one. (What other counters say decides at most
 * which queries are refused.)
 */
/* Whether a span of that shift may begin, or the stream end, at a position behind the span before. */
static int sound_follows(uint64_t end, uint64_t shift, uint64_t position, uint64_t next_shift) {
    return position >= end && next_shift >= shift && next_shift - shift <= position - end;
}
static int sound_span(const sai_span *a, uint64_t n_sink) {
    if (a->from >= a->end || a->kind < SA_SPAN_WINDOW || a->kind > SA_SPAN_PIN) return 0;
    if (a->store == SAI_STORE_SINKS) return a->end <= n_sink;
    return a->store == SAI_STORE_MAIN || a->store == SAI_STORE_MASKED;
}
static int sound_is_apart(const sai_span *a, const sai_span *b) {
    return a->end != b->from || a->kind != b->kind || a->store != b->store || a->shift != b->shift;
}
static int sound_counters(const sai_spans *s, uint64_t n_sink) {
    if (s->seen >= SAI_POSITION_LIMIT || s->floor > s->seen || s->recent_from > s->seen) return 0;
    if (s->sink_end && s->sink_end != n_sink) return 0;
    return s->left <= s->seen && s->left_copy <= s->seen;
}
static int sai_spans_are_sound(const sai_spans *s, uint64_t n_sink) {
    uint64_t end = 0, shift = 0;
    for (int32_t i = 0; i < s->n; i++) {
        const sai_span *a = &s->list[i];
        if (!sound_span(a, n_sink) || !sound_follows(end, shift, a->from, a->shift)) return 0;
        if (i && !sound_is_apart(a - 1, a)) return 0;
        end = a->end;
        shift = a->shift;
    }
    return sound_follows(end, shift, s->seen, s->shift) && sound_counters(s, n_sink);
}
/* ---- lib/spans.c ---- */
/* Which stream positions a layer of a sequence holds: appending, evicting, going back, removing, pinning.
 *
 * The list is canonical: neighbours differ in kind, store or shift, or positions lie between them. So it depends on
 * what was done to the sequence, not on the sizes of the calls that did it, and neither do the bits of a result. The
 * positions between two spans were removed with their gap closed, as many as the shifts differ by, or else evicted.
 */
#include <string.h>
/* --------------------------------- the list ------------------------------- */
static void spans_delete(sai_spans *s, int32_t i) {
    s->n--;
    memmove(s->list + i, s->list + i + 1, (size_t)(s->n - i) * sizeof *s->list);
}
/* Cuts a span in two at a position inside it. */
static void spans_cut(sai_spans *s, uint64_t position) {
    for (int32_t i = 0; i < s->n; i++) {
        if (s->list[i].from >= position || s->list[i].end <= position) continue;
        memmove(s->list + i + 1, s->list + i, (size_t)(s->n - i) * sizeof *s->list);
        s->n++;
        s->list[i].end = s->list[i + 1].from = position;
        return;
    }
}
static int sai_spans_continue(const sai_span *a, const sai_span *b) {
    return a->end == b->from && a->shift == b->shift && a->kind == b->kind && a->store == b->store;
}
static void spans_normalize(sai_spans *s) {
    for (int32_t i = s->n - 1; i > 0; i--) {
        if (!sai_spans_continue(&s->list[i - 1], &s->list[i])) continue;
        s->list[i - 1].end = s->list[i].end;
        spans_delete(s, i);
    }
}
/* The span of the next tokens, of which n are added: the last one, or a new one. */
static void spans_extend(sai_spans *s, int32_t kind, int32_t store, uint64_t n) {
    sai_span next = {s->seen, s->seen + n, s->shift, kind, store};
    if (n && s->n && sai_spans_continue(&s->list[s->n - 1], &next))
        s->list[s->n - 1].end = next.end;
    else if (n)
        s->list[s->n++] = next;
    s->seen += n;
}
/* A change is made on the list; one that does not fit is taken back. */
static void spans_keep(const sai_rules *rules, sai_spans *s) {
    memcpy(s->list + sai_spans_room(rules->most_spans), s->list, (size_t)s->n * sizeof *s->list);
}
static sa_status spans_settle(const sai_rules *rules, sai_spans *s, const sai_spans *before) {
    spans_normalize(s);
    if (sai_spans_fit(rules, s)) return SA_SUCCESS;
    *s = *before;
    memcpy(s->list, s->list + sai_spans_room(rules->most_spans), (size_t)s->n * sizeof *s->list);
    return SA_ERR_FULL;
}
/* ----------------------------------- gaps --------------------------------- */
/* What lies before span i of a list, or behind the last one: first `lost` positions that were evicted, then those that
 * were removed. */
typedef struct spans_gap {
    uint64_t from, lost, end, shift; /* shift: of what is before */
} spans_gap;
static spans_gap spans_gap_before(const sai_span *list, int32_t n, int32_t i, uint64_t seen, uint64_t shift) {
    spans_gap g = {i ? list[i - 1].end : 0, 0, i < n ? list[i].from : seen, i ? list[i - 1].shift : 0};
    uint64_t removed = (i < n ? list[i].shift : shift) - g.shift;
    g.lost = g.end - g.from - removed;
    return g;
}
/* The logical position of p <= seen. A position that was removed has that of the next one that was not. */
static uint64_t sai_spans_logical(const sai_span *list, int32_t n, uint64_t seen, uint64_t shift, uint64_t p) {
    if (p >= seen) return p - shift;
    int32_t i = n;
    while (i > 0 && list[i - 1].from > p) i--;
    if (i > 0 && p < list[i - 1].end) return p - list[i - 1].shift;
    spans_gap g = spans_gap_before(list, n, i, seen, shift);
    return sai_min(p, g.from + g.lost) - g.shift;
}
/* The newest of the evicted positions below `end`, and its logical one; 0 if there are none above the floor. */
static int spans_newest_lost(const sai_sight *g, uint64_t end, sai_place *lost) {
    for (int32_t i = g->n; i >= 0; i--) {
        spans_gap gap = spans_gap_before(g->list, g->n, i, g->seen, g->shift);
        uint64_t top = sai_min(gap.from + gap.lost, end);
        if (top <= gap.from) continue;
        lost->t = top - 1;
        lost->logical = top - 1 - gap.shift;
        return lost->logical >= g->of->floor_logical;
    }
    return 0;
}
/* Whether a span's newest tokens are read from the second copy. */
static int spans_has_recent(const sai_span *s) { return s->store == SAI_STORE_MAIN && s->kind != SA_SPAN_SINK; }
/* The newest token below `end`, but not below the floor, that the second copy does not hold. */
static int spans_newest_uncopied(const sai_sight *g, uint64_t end, sai_place *lost) {
    if (!g->recent) return 0;
    end = sai_min(end, g->of->recent_from);
    for (int32_t i = g->n - 1; i >= 0; i--) {
        if (!spans_has_recent(&g->list[i]) || g->list[i].from >= end) continue;
        lost->t = sai_min(end, g->list[i].end) - 1;
        lost->logical = lost->t - g->list[i].shift;
        return lost->t >= g->of->floor;
    }
    return 0;
}
/* Whether all that a query there sees below `end` is still held. */
static int sai_sight_holds(const sai_sight *g, sai_place at, uint64_t end) {
    sai_place lost;
    uint64_t window = g->is_dense ? UINT64_MAX : g->window;
    const sai_spans *s = g->of;
    if (spans_newest_lost(g, end, &lost) && at.logical - lost.logical < window &&
        !(at.t >= s->left && lost.logical < s->left_logical))
        return 0;
    return !spans_newest_uncopied(g, end, &lost) || at.logical - lost.logical >= sai_min(g->recent, window) ||
           (at.t >= s->left_copy && lost.t < s->left_copy);
}
/* ------------------------------ the stream -------------------------------- */
static void sai_spans_reset(const sai_rules *rules, sai_spans *s) {
    memset(s, 0, sizeof *s);
    s->sink_end = rules->n_sink;
}
static sa_status sai_spans_can_append(const sai_rules *rules, const sai_spans *s, uint64_t n) {
    if (n >= SAI_POSITION_LIMIT - s->seen) return SA_ERR_OVERFLOW;
    if (rules->is_dense && sai_tokens_held(s) + n > rules->window) return SA_ERR_FULL;
    return SA_SUCCESS;
}
static void sai_spans_append(const sai_rules *rules, sai_spans *s, uint64_t n) {
    uint64_t sinks = sai_min(n, sai_minus(s->sink_end, s->seen));
    spans_extend(s, SA_SPAN_SINK, SAI_STORE_SINKS, sinks);
    spans_extend(s, SA_SPAN_WINDOW, SAI_STORE_MAIN, n - sinks);
    (void)rules;
}
/* Where a span would begin if what comes before logical position `edge` went, in whole tiles. */
static uint64_t spans_evicted_to(const sai_span *a, uint64_t edge) {
    return sai_max(a->from, sai_min(a->end, (edge + a->shift) / 16 * 16));
}
/* Takes away [from, end) at the beginning of span i. */
static int spans_give_up(sai_spans *s, int32_t i, uint64_t end, sai_range *gone) {
    sai_span *a = &s->list[i];
    gone->from = a->from;
    gone->end = a->from = end;
    if (a->from == a->end) spans_delete(s, i);
    return 1;
}
static int sai_spans_evict(const sai_rules *rules, sai_spans *s, uint64_t n, sai_range *gone) {
    uint64_t edge = rules->is_dense ? 0 : sai_minus(s->seen + n - s->shift, rules->hold);
    for (int32_t i = 0; i < s->n && !rules->is_dense; i++) {
        const sai_span *a = &s->list[i];
        if (a->kind == SA_SPAN_WINDOW && a->store != SAI_STORE_MASKED && spans_evicted_to(a, edge) > a->from)
            return spans_give_up(s, i, spans_evicted_to(a, edge), gone);
    }
    /* A masked span has no tokens to lose, so nothing is missed of it: it goes when tokens behind it have gone. */
    for (int32_t i = s->n - 1; i >= 0; i--) {
        const sai_span *a = &s->list[i];
        if (a->kind == SA_SPAN_WINDOW && a->store == SAI_STORE_MASKED && a->end - a->shift <= edge &&
            spans_gap_before(s->list, s->n, i + 1, s->seen, s->shift).lost)
            return spans_give_up(s, i, a->end, gone);
    }
    return 0;
}
static void spans_copy_from(sai_spans *s, uint64_t position) {
    s->recent_from = sai_max(s->recent_from, position / 16 * 16);
}
static void sai_spans_evict_recent(const sai_rules *rules, sai_spans *s, uint64_t n) {
    uint64_t edge = sai_minus(s->seen + n - s->shift, rules->recent_hold);
    if (!rules->recent) return;
    /* The coming tokens count as a span, so that it is the same before they are in the list and afterwards. */
    if (n && s->seen - s->shift <= edge) {
        spans_copy_from(s, s->seen);
        return;
    }
    for (int32_t i = s->n - 1; i >= 0; i--) {
        const sai_span *a = &s->list[i];
        if (a->from - a->shift > edge) continue;
        spans_copy_from(s, sai_min(a->end, edge + a->shift));
        return;
    }
}
/* The end of the newest gap before `below` where some positions were evicted and others removed, in an order that is
 * not kept; 0: there is none. */
static uint64_t spans_mixed_end(const sai_spans *s, uint64_t below) {
    for (int32_t i = s->n; i >= 0; i--) {
        spans_gap g = spans_gap_before(s->list, s->n, i, s->seen, s->shift);
        if (g.from < below && g.lost && g.from + g.lost < g.end) return g.end;
    }
    return 0;
}
static sa_status sai_spans_can_truncate(const sai_rules *rules, const sai_spans *s, uint64_t target) {
    if (target >= s->seen) return SA_SUCCESS;
    sai_sight g = sai_sight_of(rules, s);
    if (target < s->floor || target < spans_mixed_end(s, target)) return SA_ERR_DEPTH;
    return sai_sight_holds(&g, sai_place_of(&g, target), target) ? SA_SUCCESS : SA_ERR_DEPTH;
}
static void sai_spans_truncate(const sai_rules *rules, sai_spans *s, uint64_t target) {
    if (target >= s->seen) return;
    s->shift = target - sai_spans_logical(s->list, s->n, s->seen, s->shift, target);
    while (s->n && s->list[s->n - 1].from >= target) s->n--;
    if (s->n && s->list[s->n - 1].end > target) s->list[s->n - 1].end = target;
    s->seen = target;
    s->recent_from = sai_min(s->recent_from, target);
    s->left_copy = sai_min(s->left_copy, target);
    if (s->left > target) {
        s->left = target;
        s->left_logical = target - s->shift;
    }
    /* Also where the sinks had been moved. */
    if (!target) s->sink_end = rules->n_sink;
}
/* The lowest position whose logical one is at least `logical`. */
static uint64_t spans_position(const sai_spans *s, uint64_t logical) {
    for (int32_t i = 0; i < s->n; i++) {
        const sai_span *a = &s->list[i];
        if (a->end - a->shift < logical) continue;
        spans_gap g = spans_gap_before(s->list, s->n, i, s->seen, s->shift);
        return a->from - a->shift >= logical ? g.from + g.lost : logical + a->shift;
    }
    return sai_min(s->seen, logical + s->shift);
}
static uint64_t sai_spans_lowest_target(const sai_rules *rules, const sai_spans *s) {
    sai_sight g = sai_sight_of(rules, s);
    uint64_t lowest = sai_max(s->floor, spans_mixed_end(s, s->seen)), target;
    sai_place lost;
    /* A window of one token needs nothing but the token that comes. */
    if (g.window > 1 && spans_newest_lost(&g, s->seen, &lost)) {
        target = g.is_dense ? s->seen : spans_position(s, lost.logical + g.window);
        lowest = sai_max(lowest, lost.logical < s->left_logical ? sai_min(s->left, target) : target);
    }
    if (g.recent > 1 && spans_newest_uncopied(&g, s->seen, &lost)) {
        target = spans_position(s, lost.logical + g.recent);
        lowest = sai_max(lowest, lost.t < s->left_copy ? sai_min(s->left_copy, target) : target);
    }
    return sai_min(lowest, s->seen);
}
static void sai_spans_jump(sai_spans *s, uint64_t position) {
    for (int32_t i = s->n - 1; i >= 0; i--)
        if (s->list[i].kind == SA_SPAN_WINDOW) spans_delete(s, i);
    spans_extend(s, SA_SPAN_SINK, SAI_STORE_MASKED, sai_minus(sai_min(position, s->sink_end), s->seen));
    s->seen = s->floor = s->recent_from = position;
    s->floor_logical = position - s->shift;
}
/* ------------------------------- the rules -------------------------------- */
/* How many tokens before the next one are held for sure. */
static uint64_t spans_reach(const sai_rules *rules) { return rules->is_dense ? UINT64_MAX : rules->hold; }
/* The first position of a span within `reach` of the next token; a kept span is, whole. Tiles hold up to 15 tokens
 * more, which must not make a difference. */
static uint64_t spans_within(const sai_spans *s, const sai_span *a, uint64_t reach) {
    uint64_t edge = sai_minus(s->seen - s->shift, reach) + a->shift;
    return a->kind == SA_SPAN_WINDOW ? sai_min(sai_max(a->from, edge), a->end) : a->from;
}
/* How many positions of [from, end) are within reach or kept, whether they hold a token or not. */
static uint64_t spans_counting(const sai_spans *s, uint64_t reach, uint64_t from, uint64_t end) {
    uint64_t n = 0;
    for (int32_t i = 0; i < s->n; i++)
        n += sai_minus(sai_min(s->list[i].end, end), sai_max(spans_within(s, &s->list[i], reach), from));
    return n;
}
/* The oldest window position within reach. */
static uint64_t spans_oldest(const sai_spans *s, uint64_t reach) {
    for (int32_t i = 0; i < s->n; i++)
        if (s->list[i].kind == SA_SPAN_WINDOW && spans_within(s, &s->list[i], reach) < s->list[i].end)
            return spans_within(s, &s->list[i], reach);
    return s->seen;
}
/* What is out of reach when a gap is closed is gone for good: sets `left`, and takes the gap's positions off the
 * logical ones that are kept. */
static void spans_leave(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end) {
    uint64_t reach = spans_reach(rules), left = spans_oldest(s, reach);
    s->floor_logical -= spans_counting(s, reach, from, sai_min(end, s->floor));
    s->left_logical -= spans_counting(s, reach, from, sai_min(end, s->left));
    if (left > s->left) {
        s->left = left;
        s->left_logical = sai_spans_logical(s->list, s->n, s->seen, s->shift, left) -
                          spans_counting(s, reach, from, sai_min(end, left));
    }
    if (rules->recent) s->left_copy = sai_max(s->left_copy, spans_oldest(s, rules->recent_hold));
    s->recent_from = sai_max(s->recent_from, s->left_copy);
}
/* Takes [from, end) out of the list, and window tokens below `left`. */
static void spans_take(sai_spans *s, uint64_t from, uint64_t end, uint64_t left) {
    for (int32_t i = s->n - 1; i >= 0; i--) {
        sai_span *a = &s->list[i];
        if (a->kind == SA_SPAN_WINDOW) a->from = sai_min(a->end, sai_max(a->from, left));
        if (a->from == a->end || (a->from >= from && a->end <= end)) spans_delete(s, i);
    }
}
/* Its tokens are gone, its positions stay where they are. */
static void spans_mask(sai_spans *s, uint64_t from, uint64_t end) {
    for (int32_t i = 0; i < s->n; i++)
        if (s->list[i].from >= from && s->list[i].end <= end) s->list[i].store = SAI_STORE_MASKED;
}
static sa_status sai_spans_remove(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end, int keep) {
    sai_spans before = *s;
    uint64_t counted = keep ? 0 : spans_counting(s, spans_reach(rules), from, end);
    spans_keep(rules, s);
    if (counted) spans_leave(rules, s, from, end);
    spans_cut(s, from);
    spans_cut(s, end);
    if (keep)
        spans_mask(s, from, end);
    else
        spans_take(s, from, end, counted ? s->left : 0);
    for (int32_t i = 0; i < s->n; i++)
        if (s->list[i].from >= end) s->list[i].shift += counted;
    s->shift += counted;
    return spans_settle(rules, s, &before);
}
static int sai_spans_cover(const sai_span *list, int32_t n, uint64_t from, uint64_t end) {
    for (int32_t i = 0; i < n && from < end; i++)
        if (list[i].from <= from && from < list[i].end && list[i].store != SAI_STORE_MASKED) from = list[i].end;
    return from >= end;
}
/* Gives spans of [from, end) that are of kind `of` another one. */
static void spans_change(sai_spans *s, sai_range in, int32_t of, int32_t to) {
    for (int32_t i = 0; i < s->n; i++) {
        sai_span *a = &s->list[i];
        if (a->from >= in.from && a->end <= in.end && a->kind == of) a->kind = to;
    }
}
static sa_status sai_spans_pin(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end) {
    sai_range in = {from, end};
    sai_spans before = *s;
    if (!sai_spans_cover(s->list, s->n, from, end)) return SA_ERR_DEPTH;
    spans_keep(rules, s);
    spans_cut(s, from);
    spans_cut(s, end);
    spans_change(s, in, SA_SPAN_WINDOW, SA_SPAN_PIN);
    return spans_settle(rules, s, &before);
}
static sa_status sai_spans_unpin(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end) {
    sai_range in = {from, end};
    sai_spans before = *s;
    spans_keep(rules, s);
    spans_cut(s, from);
    spans_cut(s, end);
    spans_change(s, in, SA_SPAN_PIN, SA_SPAN_WINDOW);
    spans_take(s, 0, 0, sai_max(s->floor, s->left));
    return spans_settle(rules, s, &before);
}
static sa_status sai_spans_anchor(const sai_rules *rules, sai_spans *s, uint64_t from, uint64_t end) {
    sai_range in = {from, end}, all = {0, UINT64_MAX};
    sai_spans before = *s;
    if (!sai_spans_cover(s->list, s->n, from, end)) return SA_ERR_DEPTH;
    spans_keep(rules, s);
    spans_change(s, all, SA_SPAN_SINK, SA_SPAN_WINDOW);
    spans_cut(s, from);
    spans_cut(s, end);
    spans_change(s, in, SA_SPAN_PIN, SA_SPAN_SINK);
    spans_change(s, in, SA_SPAN_WINDOW, SA_SPAN_SINK);
    s->sink_end = 0;
    spans_take(s, 0, 0, sai_max(s->floor, s->left));
    return spans_settle(rules, s, &before);
}
static sai_range sai_spans_unheld(const sai_spans *s, uint64_t from, uint64_t end) {
    sai_range gone = {from, end};
    for (int32_t i = 0; i < s->n && s->list[i].from < end; i++) {
        const sai_span *a = &s->list[i];
        if (a->store == SAI_STORE_MASKED || a->end <= gone.from) continue;
        if (a->from > gone.from) {
            gone.end = a->from;
            break;
        }
        gone.from = sai_min(a->end, end);
    }
    return gone;
}
static int sai_spans_touch(const sai_spans *s, int32_t store, uint64_t tile) {
    int32_t of = store == SAI_STORE_RECENT ? SAI_STORE_MAIN : store;
    for (int32_t i = 0; i < s->n; i++) {
        const sai_span *a = &s->list[i];
        uint64_t from = store == SAI_STORE_RECENT ? sai_max(a->from, s->recent_from) : a->from;
        if (a->store == of && from < a->end && from < 16 * tile + 16 && a->end > 16 * tile) return 1;
    }
    return 0;
}
static uint64_t sai_tokens_below(const sai_spans *s, uint64_t position) {
    uint64_t below = 0;
    for (int32_t i = 0; i < s->n && s->list[i].from < position; i++)
        if (s->list[i].store != SAI_STORE_MASKED) below += sai_min(s->list[i].end, position) - s->list[i].from;
    return below;
}
static uint64_t sai_tokens_held(const sai_spans *s) { return sai_tokens_below(s, UINT64_MAX); }
/* ---- lib/step.c ---- */
/* The public functions that append and attend: of one sequence, or of many in one call.
 *
 */
#include <string.h>
/* ---------------------------------- steps --------------------------------- */
/* Makes tokens [from, from + n) of a job's call, of which `first` is the position of token 0, its work. */
static void step_job(sa_pool *pool, int32_t index, int64_t from, int32_t n) {
    sai_job *job = &sai_jobs(pool)[index];
    job->call.first = job->call.appends ? job->state.spans->seen : job->call.first + (uint64_t)(from - job->call.from);
    job->call.node += (int32_t)(from - job->call.from);
    job->call.from = from;
    job->call.n = n;
    if (job->call.is_draft)
        sai_draft_step(&job->state, &job->call);
    else if (job->call.appends)
        sai_state_append(&job->state, (uint64_t)n);
    sai_plan_job(pool, index);
}
/* Makes jobs of tokens [from, from + n) of a checked call, from job `index` on: one for each lane of the layer. Returns
 * the index of the job behind them. `state`: the first lane's. */
static int32_t step_lanes(const sa_cache *cache, int32_t layer, const sai_call *call, const sai_state *state,
                          int32_t index, int64_t from, int32_t n) {
    sa_pool *pool = sai_pool_of(cache);
    int32_t first = sai_first_lane(pool, layer), end = sai_first_lane(pool, layer + 1);
    for (int32_t lane = first; lane < end; lane++, index++) {
        sai_job *job = &sai_jobs(pool)[index];
        job->call = *call;
        if (lane == first)
            job->state = *state;
        else
            sai_lane_look_up(cache, lane, &job->state);
        step_job(pool, index, from, n);
    }
    return index;
}
static sa_status step_checked(sa_cache *cache, const sa_step_args *a) {
    sa_pool *pool = sai_pool_of(cache);
    sai_call call;
    sai_state state;
    sai_claim claim = sai_arguments_claim(pool, 0);
    sai_error error = sai_arguments_check(cache, a, &call, &state, &claim);
    if (error) return sai_error_keep(cache, error);
    pool->work.begun_layer = -1;
    if (!call.n) return sai_error_keep(cache, SAI_ERROR_NONE);
    int32_t piece = call.n > 1 ? sai_arguments_piece(pool, state.layer) : 1;
    for (int64_t from = 0; from < call.n; from += piece) {
        int32_t n = call.n - from < piece ? (int32_t)(call.n - from) : piece;
        int32_t n_jobs = step_lanes(cache, a->layer, &call, &state, 0, from, n);
        sai_plan_cut(pool, n_jobs);
        sai_attend(pool, n_jobs);
    }
    return sai_error_keep(cache, SAI_ERROR_NONE);
}
sa_status sa_step(sa_cache *cache, const sa_step_args *args) {
    sa_step_args own;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = sai_arguments_read(args, &own);
    return error ? sai_error_keep(cache, error) : step_checked(cache, &own);
}
/* --------------------------------- batches -------------------------------- */
static sai_batch_call *step_calls(const sa_pool *pool) { return (sai_batch_call *)sai_at(pool, pool->work.calls_at); }
/* `each`: the array that comes with the caches. */
static sai_error step_check_batch(const sa_pool *pool, int32_t n, sa_cache *const *caches, const void *each) {
    uintptr_t block = (uintptr_t)sai_block_of(pool);
    if (n < 0 || n > pool->n_sequences) return SAI_ERROR_BATCH_LENGTH;
    if (n && (!caches || !each)) return SAI_ERROR_BATCH_NULL;
    for (int32_t i = 0; i < n; i++) {
        size_t at = (uintptr_t)caches[i] - block;
        if (at >= (size_t)pool->n_sequences * pool->sequence_size || at % pool->sequence_size)
            return SAI_ERROR_BATCH_CACHE;
    }
    return SAI_ERROR_NONE;
}
/* Checks a step, and leaves its call in `to`. */
static sai_error step_check_one(sa_cache *cache, const sa_step_args *args, int32_t *layer, const sai_claim *claim,
                                sai_batch_call *to) {
    sa_step_args own;
    if (cache->in_batch) return SAI_ERROR_BATCH_TWICE;
    sai_error error = sai_arguments_read(args, &own);
    if (error) return error;
    if (*layer < 0) *layer = own.layer;
    if (own.layer != *layer) return SAI_ERROR_BATCH_LAYER;
    to->cache = cache;
    to->done = 0;
    return sai_arguments_check(cache, &own, &to->call, &to->state, claim);
}
/* How many tokens of all steps are processed at once: the rotations of so many have room. */
static int32_t step_batch_room(const sa_pool *pool) {
    return pool->max_append > pool->n_sequences ? pool->max_append : pool->n_sequences;
}
/* How many tokens of each of n steps are processed at once: all of them, where they have room together (0), or as many
 * as have room if every step has so many. */
static int32_t step_piece(const sa_pool *pool, int32_t n, int64_t tokens) {
    return tokens <= step_batch_room(pool) ? 0 : step_batch_room(pool) / n;
}
/* The same for args that have not been checked yet. */
static int32_t step_batch_piece(const sa_pool *pool, int32_t n, const sa_step_args *const *args) {
    int64_t tokens = 0;
    for (int32_t i = 0; args && i < n; i++)
        if (args[i] && args[i]->struct_size >= offsetof(sa_step_args, q) && args[i]->n_tokens > 0)
            tokens += args[i]->n_tokens;
    return step_piece(pool, n, tokens);
}
/* Checks all steps; *failed is the one that is wrong, and *layer what they have in common. */
static sai_error step_check_all(sa_pool *pool, int32_t n, sa_cache *const *caches, const sa_step_args *const *args,
                                int32_t *layer, int32_t *failed) {
    int32_t i;
    *failed = *layer = -1;
    sai_error error = step_check_batch(pool, n, caches, args);
    if (error) return error;
    sai_claim claim = sai_arguments_claim(pool, step_batch_piece(pool, n, args));
    for (i = 0; i < n; i++) {
        error = step_check_one(caches[i], args[i], layer, &claim, &step_calls(pool)[i]);
        (void)sai_error_keep(caches[i], error);
        if (error) break;
        caches[i]->in_batch = 1;
    }
    if (error) *failed = i;
    while (i > 0) caches[--i]->in_batch = 0;
    return error;
}
/* Makes jobs of the next tokens of all calls that have some left; returns how many. */
static int32_t step_batch_jobs(sa_pool *pool, int32_t n, int32_t layer, int32_t piece) {
    int32_t n_jobs = 0, most = sai_arguments_piece(pool, sai_layer_of(pool, layer));
    if (piece && piece < most) most = piece;
    for (int32_t i = 0; i < n; i++) {
        sai_batch_call *c = &step_calls(pool)[i];
        int64_t left = c->call.n - c->done;
        if (!left) continue;
        int32_t own = left < most ? (int32_t)left : most;
        n_jobs = step_lanes(c->cache, layer, &c->call, &c->state, n_jobs, c->done, own);
        c->done += own;
    }
    sai_plan_cut(pool, n_jobs);
    return n_jobs;
}
sa_status sa_batch(sa_pool *pool, int32_t n, sa_cache *const *caches, const sa_step_args *const *args,
                   int32_t *failed_out) {
    int32_t layer, failed, n_jobs;
    if (failed_out) *failed_out = -1;
    if (!pool) return SA_ERR_ARGUMENT;
    pool->work.begun_layer = -1;
    sai_error error = step_check_all(pool, n, caches, args, &layer, &failed);
    if (failed_out) *failed_out = failed;
    if (error) return sai_error_keep_pool(pool, error);
    int32_t piece = step_batch_piece(pool, n, args);
    while (n && (n_jobs = step_batch_jobs(pool, n, layer, piece)) > 0) sai_attend(pool, n_jobs);
    return sai_error_keep_pool(pool, error);
}
/* Whether a layer takes the tokens of all sequences together; *failed is the first that it does not. */
static sai_error step_check_room(const sa_pool *pool, int32_t layer, int32_t n, sa_cache *const *caches,
                                 const int32_t *n_tokens, int32_t *failed) {
    int64_t tokens = 0;
    for (int32_t i = 0; i < n; i++) tokens += n_tokens[i] > 0 ? n_tokens[i] : 0;
    sai_claim claim = sai_arguments_claim(pool, step_piece(pool, n, tokens));
    for (int32_t i = 0; i < n; i++) {
        sai_error error = caches[i]->is_open ? SAI_ERROR_NONE : SAI_ERROR_CLOSED;
        if (!error) error = sai_arguments_check_room(caches[i], layer, n_tokens[i], &claim);
        (void)sai_error_keep(caches[i], error);
        *failed = error ? i : -1;
        if (error) return error;
    }
    return SAI_ERROR_NONE;
}
static sai_error step_check_once_each(int32_t n, sa_cache *const *caches) {
    sai_error error = SAI_ERROR_NONE;
    int32_t i;
    for (i = 0; i < n && !error; i++) {
        if (caches[i]->in_batch) error = SAI_ERROR_BATCH_TWICE;
        caches[i]->in_batch = 1;
    }
    while (i > 0) caches[--i]->in_batch = 0;
    return error;
}
sa_status sa_pool_can_append(sa_pool *pool, int32_t n, sa_cache *const *caches, const int32_t *n_tokens,
                             int32_t *failed_out) {
    int32_t failed = -1;
    if (failed_out) *failed_out = -1;
    if (!pool) return SA_ERR_ARGUMENT;
    sai_error error = step_check_batch(pool, n, caches, n_tokens);
    if (!error) error = step_check_once_each(n, caches);
    for (int32_t layer = 0; !error && layer < pool->n_layers; layer++)
        error = step_check_room(pool, layer, n, caches, n_tokens, &failed);
    if (failed_out) *failed_out = failed;
    return sai_error_keep_pool(pool, error);
}
/* --------------------------- the host's threads --------------------------- */
/* Stores the tokens of the jobs, and leaves attention for sai_attend_part; returns how many phases it has. */
static int32_t step_begin(sa_pool *pool, int32_t layer, int32_t n_jobs) {
    for (int32_t i = 0; i < n_jobs; i++) sai_jobs(pool)[i].stores_by_head = 0;
    sai_append_all(pool, n_jobs, 0);
    sai_mass_begin(pool, n_jobs);
    pool->work.begun_layer = layer;
    pool->work.begun_jobs = n_jobs;
    pool->work.begun_phases = sai_plan_phases(pool, n_jobs);
    return pool->work.begun_phases;
}
sa_status sa_step_begin(sa_cache *cache, const sa_step_args *args, int32_t *n_phases_out) {
    sa_step_args own;
    sai_call call;
    sai_state state;
    int32_t n_jobs = 0;
    if (n_phases_out) *n_phases_out = 0;
    if (!cache) return SA_ERR_ARGUMENT;
    sa_pool *pool = sai_pool_of(cache);
    sai_claim claim = sai_arguments_claim(pool, 0);
    pool->work.begun_layer = -1;
    sai_error error = sai_arguments_read(args, &own);
    if (!error && !n_phases_out) error = SAI_ERROR_N_PHASES_OUT;
    if (!error) error = sai_arguments_check(cache, &own, &call, &state, &claim);
    if (!error && call.n > sai_arguments_piece(pool, state.layer)) error = SAI_ERROR_BEGIN_TOKENS;
    if (error) return sai_error_keep(cache, error);
    if (call.n) n_jobs = step_lanes(cache, own.layer, &call, &state, 0, 0, call.n);
    sai_plan_cut(pool, n_jobs);
    *n_phases_out = step_begin(pool, own.layer, n_jobs);
    return sai_error_keep(cache, SAI_ERROR_NONE);
}
sa_status sa_batch_begin(sa_pool *pool, int32_t n, sa_cache *const *caches, const sa_step_args *const *args,
                         int32_t *n_phases_out, int32_t *failed_out) {
    int32_t layer, failed;
    int64_t tokens = 0;
    if (n_phases_out) *n_phases_out = 0;
    if (failed_out) *failed_out = -1;
    if (!pool) return SA_ERR_ARGUMENT;
    pool->work.begun_layer = -1;
    if (!n_phases_out) return sai_error_keep_pool(pool, SAI_ERROR_N_PHASES_OUT);
    sai_error error = step_check_all(pool, n, caches, args, &layer, &failed);
    if (failed_out) *failed_out = failed;
    for (int32_t i = 0; !error && i < n; i++) {
        int32_t own = step_calls(pool)[i].call.n;
        tokens += own;
        if (own > sai_arguments_piece(pool, step_calls(pool)[i].state.layer) || tokens > step_batch_room(pool))
            error = SAI_ERROR_BATCH_TOKENS;
    }
    if (!error && n) *n_phases_out = step_begin(pool, layer, step_batch_jobs(pool, n, layer, 0));
    return sai_error_keep_pool(pool, error);
}
sa_status sa_batch_part(sa_pool *pool, int32_t phase, int32_t index, int32_t count) {
    if (!pool || phase < 0 || phase > 2 || index < 0 || index >= count) return SA_ERR_ARGUMENT;
    const sai_workspace *work = &pool->work;
    if (work->begun_layer < 0) return SA_ERR_STATE;
    int32_t workers = count < pool->n_threads ? count : pool->n_threads;
    if (phase < work->begun_phases && index < workers) sai_attend_part(pool, work->begun_jobs, phase, index, workers);
    return SA_SUCCESS;
}
sa_status sa_step_part(sa_cache *cache, int32_t phase, int32_t index, int32_t count) {
    return cache ? sa_batch_part(sai_pool_of(cache), phase, index, count) : SA_ERR_ARGUMENT;
}
/* ----------------------------- the plain calls ---------------------------- */
/* A contiguous tensor. */
static void step_tensor(sa_tensor *tensor, const void *data) {
    memset(tensor, 0, sizeof *tensor);
    tensor->data = (void *)(uintptr_t)data;
}
/* Contiguous tensors, nothing beside. Without tokens the pointers do not count. Cleared piece by piece: more than about
 * 100 bytes at once become an instruction that takes 30 cycles to start (rep stos). */
static sa_step_args step_plain(int32_t layer, int32_t n_tokens, const void *q, const void *k, const void *v,
                               void *out) {
    sa_step_args a;
    a.struct_size = sizeof a;
    a.flags = 0;
    a.layer = layer;
    a.n_tokens = n_tokens;
    step_tensor(&a.q, n_tokens ? q : NULL);
    step_tensor(&a.k, n_tokens ? k : NULL);
    step_tensor(&a.v, n_tokens ? v : NULL);
    step_tensor(&a.out, n_tokens ? out : NULL);
    memset(&a.q_offset, 0, sizeof a - offsetof(sa_step_args, q_offset));
    return a;
}
sa_status sa_append_kv(sa_cache *cache, int32_t layer, int32_t n_tokens, const void *k, const void *v) {
    if (!cache) return SA_ERR_ARGUMENT;
    if (n_tokens && !k) return sai_error_keep(cache, SAI_ERROR_K_NULL);
    if (n_tokens && !v) return sai_error_keep(cache, SAI_ERROR_V_NULL);
    sa_step_args a = step_plain(layer, n_tokens, NULL, k, v, NULL);
    return step_checked(cache, &a);
}
sa_status sa_attend(sa_cache *cache, int32_t layer, int32_t n_tokens, const void *q, void *out) {
    if (!cache) return SA_ERR_ARGUMENT;
    if (n_tokens && !q) return sai_error_keep(cache, SAI_ERROR_Q_NULL);
    if (n_tokens && !out) return sai_error_keep(cache, SAI_ERROR_OUT_NULL);
    sa_step_args a = step_plain(layer, n_tokens, q, NULL, NULL, out);
    a.q_offset = -(int64_t)n_tokens;
    return step_checked(cache, &a);
}
sa_status sa_append_attend(sa_cache *cache, int32_t layer, int32_t n_tokens, const void *q, const void *k,
                           const void *v, void *out) {
    if (!cache) return SA_ERR_ARGUMENT;
    if (n_tokens && !q) return sai_error_keep(cache, SAI_ERROR_Q_NULL);
    if (n_tokens && !k) return sai_error_keep(cache, SAI_ERROR_K_NULL);
    if (n_tokens && !v) return sai_error_keep(cache, SAI_ERROR_V_NULL);
    if (n_tokens && !out) return sai_error_keep(cache, SAI_ERROR_OUT_NULL);
    sa_step_args a = step_plain(layer, n_tokens, q, k, v, out);
    return step_checked(cache, &a);
}
/* ---- lib/store.c ---- */
/* Writes keys and values of each dtype into tiles, and reads them back.
 *
 */
#include <string.h>
/* ---- lib/kernels/half.h ---- */
/* binary16 and bfloat16 from and to binary32, in integers: round to nearest even, NaN stays NaN.
 *
 * The same bits as the processors' own conversions (F16C, FCVT) in the default environment.
 */
#ifndef SAI_HALF_H
#define SAI_HALF_H
#include <stdint.h>
#include <string.h>
static inline uint32_t sai_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}
static inline float sai_float(uint32_t u) {
    float x;
    memcpy(&x, &u, 4);
    return x;
}
static inline float sai_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7fffu;
    if (rest >= 0x7c00u) /* infinity, NaN (made quiet) */
        return sai_float(sign | 0x7f800000u | ((rest & 0x3ffu) << 13) | (rest > 0x7c00u ? 0x400000u : 0));
    if (rest >= 0x400u) return sai_float(sign | ((rest << 13) + (112u << 23)));
    /* Subnormal: rest * 2^-24 is exact in binary32. */
    return sai_float(sign | sai_bits((float)rest * 0x1p-24f));
}
static inline uint16_t sai_f32_to_f16(float x) {
    uint32_t u = sai_bits(x), sign = (u >> 16) & 0x8000u, rest = u & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((rest >> 13) & 0x3ffu));
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* >= 65520 rounds to infinity */
    if (rest >= 0x38800000u) {                                  /* normal: round the 13 low bits away */
        rest += 0xfffu + ((rest >> 13) & 1u);
        return (uint16_t)(sign | ((rest - (112u << 23)) >> 13));
    }
    /* Subnormal: adding 0.5 puts the 2^-24 unit at the last bit of the sum, correctly rounded. */
    return (uint16_t)(sign | (sai_bits(sai_float(rest) + 0.5f) - 0x3f000000u));
}
static inline float sai_bf16_to_f32(uint16_t h) { return sai_float((uint32_t)h << 16); }
static inline uint16_t sai_f32_to_bf16(float x) {
    uint32_t u = sai_bits(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
#endif
enum { STORE_MOST_DIMS = 1024 };
/* Dims of 64 bytes of a K tile, and bytes of a group of V. */
static int store_unit(int32_t dtype) { return dtype == SA_I8 ? 4 : 8; }
static int store_row(int32_t dtype) { return dtype == SA_I8 ? 32 : 16; }
static size_t sai_key_tile(int32_t dtype, int32_t dk) {
    if (sai_is_integer(dtype)) return sai_int_key_tile(dk, store_unit(dtype));
    return 16 * (size_t)dk * (dtype == SA_F32 ? 4 : 2);
}
static size_t sai_value_tile(int32_t dtype, int32_t dv_pad) {
    if (sai_is_integer(dtype)) return sai_int_value_tile(dv_pad, store_row(dtype));
    return 16 * (size_t)dv_pad * (dtype == SA_F32 ? 4 : 2);
}
/* ---------------------------------- keys ---------------------------------- */
static void store_key_f32(char *tile, size_t lane, int32_t dk, const float *key) {
    float *to = (float *)(void *)tile + lane;
    for (int32_t d = 0; d < dk; d++) to[16 * d] = key[d];
}
static void store_key_half(char *tile, size_t lane, int32_t dk, const uint16_t *key) {
    uint16_t *to = (uint16_t *)(void *)tile + lane;
    for (int32_t d = 0; d < dk; d++) to[16 * d] = key[d];
}
/* Four codes at a time; of int4, those of 8 dims as nibbles. */
static void store_key_codes(int32_t dtype, char *tile, int32_t dk, const uint8_t *codes) {
    int unit = store_unit(dtype);
    for (int32_t d = 0; d < dk; d += unit, tile += 64) {
        uint32_t low, high = 0;
        memcpy(&low, codes + d, 4);
        if (unit == 8) memcpy(&high, codes + d + 4, 4);
        low |= high << 4;
        memcpy(tile, &low, 4);
    }
}
static void store_key_integers(const sai_kernels *kernels, int32_t dtype, char *tile, size_t lane, int32_t dk,
                               float *key) {
    uint8_t codes[STORE_MOST_DIMS];
    uint16_t scales[STORE_MOST_DIMS / SAI_GROUP], *to;
    kernels->hadamard(key, dk, 0);
    kernels->quantize[dtype](key, dk, sai_offset(dtype), codes, scales);
    store_key_codes(dtype, tile + 4 * lane, dk, codes);
    to = (uint16_t *)(void *)(tile + sai_int_key_codes(dk, store_unit(dtype))) + lane;
    for (int g = 0; g < sai_groups(dk); g++) to[16 * g] = scales[g];
}
static void sai_store_key(const sai_kernels *kernels, int32_t dtype, char *tile, int lane, int32_t dk, float *key) {
    if (sai_is_integer(dtype)) {
        store_key_integers(kernels, dtype, tile, (size_t)lane, dk, key);
    } else if (dtype == SA_F32) {
        store_key_f32(tile, (size_t)lane, dk, key);
    } else {
        uint16_t half[STORE_MOST_DIMS];
        kernels->store[dtype](key, dk, half);
        store_key_half(tile, (size_t)lane, dk, half);
    }
}
/* --------------------------------- values --------------------------------- */
static void store_value_integers(const sai_kernels *kernels, int32_t dtype, char *tile, size_t key, int32_t dv,
                                 int32_t dv_pad, const float *value) {
    uint8_t codes[STORE_MOST_DIMS];
    int row = store_row(dtype), groups = sai_groups(dv_pad);
    unsigned char *to = (unsigned char *)tile + key / 4 * (size_t)(4 * groups * row) + key % 4;
    uint16_t scales[STORE_MOST_DIMS / SAI_GROUP], *to_scales;
    kernels->quantize[dtype](value, dv, sai_offset(dtype), codes, scales);
    to_scales = (uint16_t *)(void *)(tile + sai_int_value_codes(dv_pad, row)) + key;
    for (int g = 0; g < groups; g++, to += 4 * row) {
        const uint8_t *c = codes + SAI_GROUP * g;
        for (int i = 0; i < SAI_GROUP && dtype == SA_I8; i++) to[4 * i] = c[i];
        for (int i = 0; i < 16 && dtype == SA_I4; i++) to[4 * i] = (unsigned char)(c[i] | c[16 + i] << 4);
        to_scales[16 * g] = scales[g];
    }
}
static void sai_store_value(const sai_kernels *kernels, int32_t dtype, char *tile, int lane, int32_t dv, const float *value) {
    int32_t dv_pad = (dv + 15) / 16 * 16;
    if (sai_is_integer(dtype))
        store_value_integers(kernels, dtype, tile, (size_t)lane, dv, dv_pad, value);
    else
        kernels->store[dtype](value, dv, tile + sai_value_in_tile(dtype, dv_pad, lane));
}
static size_t sai_value_in_tile(int32_t dtype, int32_t dv_pad, int lane) {
    return sai_is_integer(dtype) ? 0 : (size_t)lane * (size_t)dv_pad * (dtype == SA_F32 ? 4 : 2);
}
/* --------------------------------- reading -------------------------------- */
static void store_fetch_key_integers(int32_t dtype, const char *tile, size_t lane, int32_t dk, float *key) {
    int unit = store_unit(dtype), offset = sai_offset(dtype);
    const uint16_t *scales = (const uint16_t *)(const void *)(tile + sai_int_key_codes(dk, unit)) + lane;
    for (int32_t d = 0; d < dk; d++) {
        unsigned code = ((const uint8_t *)tile)[d / unit * 64 + 4 * (int32_t)lane + d % 4];
        if (unit == 8) code = d % 8 < 4 ? code & 15 : code >> 4;
        key[d] = (float)((int)code - offset) * sai_bf16_to_f32(scales[d / SAI_GROUP * 16]);
    }
}
static void sai_fetch_key(const sai_kernels *kernels, int32_t dtype, const char *tile, int lane, int32_t dk, float *key) {
    if (sai_is_integer(dtype)) {
        store_fetch_key_integers(dtype, tile, (size_t)lane, dk, key);
        kernels->hadamard(key, dk, 1);
    } else if (dtype == SA_F32) {
        const float *from = (const float *)(const void *)tile + lane;
        for (int32_t d = 0; d < dk; d++) key[d] = from[16 * d];
    } else {
        uint16_t half[STORE_MOST_DIMS];
        const uint16_t *from = (const uint16_t *)(const void *)tile + lane;
        for (int32_t d = 0; d < dk; d++) half[d] = from[16 * d];
        kernels->load[dtype](half, dk, key);
    }
}
static void store_fetch_value_integers(int32_t dtype, const char *tile, int lane, int32_t dv, float *value) {
    int row = store_row(dtype), groups = sai_groups(sai_round16(dv)), offset = sai_offset(dtype);
    const uint8_t *codes = (const uint8_t *)tile + lane / 4 * (4 * groups * row) + lane % 4;
    const uint16_t *scales = (const uint16_t *)(const void *)(tile + sai_int_value_codes(sai_round16(dv), row)) + lane;
    for (int32_t d = 0; d < dv; d++) {
        int32_t group = d / SAI_GROUP, dim = d % SAI_GROUP;
        unsigned code = codes[4 * (group * row + dim % row)];
        if (row == 16) code = dim < 16 ? code & 15 : code >> 4;
        value[d] = (float)((int)code - offset) * sai_bf16_to_f32(scales[16 * group]);
    }
}
static void sai_fetch_value(const sai_kernels *kernels, int32_t dtype, const char *tile, int lane, int32_t dv, float *value) {
    if (sai_is_integer(dtype))
        store_fetch_value_integers(dtype, tile, lane, dv, value);
    else
        kernels->load[dtype](tile + sai_value_in_tile(dtype, sai_round16(dv), lane), dv, value);
}
/* ------------------------------- moved tokens ----------------------------- */
/* Where one token's numbers lie in a tile: n pieces of `width` bytes, `step` bytes apart. */
typedef struct store_pieces {
    size_t at, n, step, width;
} store_pieces;
/* Of integers, the bytes of codes before the scales; else 0. */
static size_t store_codes(const sai_tile_form *form) {
    if (!sai_is_integer(form->dtype)) return 0;
    return form->is_value ? sai_int_value_codes(form->dims, store_row(form->dtype))
                          : sai_int_key_codes(form->dims, store_unit(form->dtype));
}
/* The numbers of a token or its codes, and then its scales. */
static store_pieces store_numbers(const sai_tile_form *form, size_t lane) {
    size_t codes = store_codes(form), width = form->dtype == SA_F32 ? 4 : 2, dims = (size_t)form->dims;
    store_pieces key = {width * lane, dims, 16 * width, width}, value = {dims * width * lane, 1, 0, dims * width};
    store_pieces key_codes = {4 * lane, codes / 64, 64, 4},
                 value_codes = {lane / 4 * (codes / 4) + lane % 4, codes / 16, 4, 1};
    if (codes) return form->is_value ? value_codes : key_codes;
    return form->is_value ? value : key;
}
static store_pieces store_scales(const sai_tile_form *form, size_t lane) {
    size_t codes = store_codes(form);
    store_pieces scales = {codes + 2 * lane, codes ? (size_t)sai_groups(form->dims) : 0, 32, 2};
    return scales;
}
/* Copies the pieces from another tile, or clears them. */
static void store_move(store_pieces p, char *tile, const char *from) {
    for (size_t i = 0; i < p.n; i++, p.at += p.step) {
        if (from)
            memcpy(tile + p.at, from + p.at, p.width);
        else
            memset(tile + p.at, 0, p.width);
    }
}
static sai_tile_form sai_key_form(int32_t dtype, int32_t dk) {
    sai_tile_form form = {dtype, dk, 0, sai_key_tile(dtype, dk)};
    return form;
}
static sai_tile_form sai_value_form(int32_t dtype, int32_t dv_pad) {
    sai_tile_form form = {dtype, dv_pad, 1, sai_value_tile(dtype, dv_pad)};
    return form;
}
static void sai_tile_keep(const sai_tile_form *form, char *tile, uint32_t lanes) { sai_tile_copy(form, tile, NULL, ~lanes); }
static void sai_tile_copy(const sai_tile_form *form, char *tile, const char *from, uint32_t lanes) {
    for (size_t lane = 0; lane < 16; lane++) {
        if (!(lanes >> lane & 1)) continue;
        store_move(store_numbers(form, lane), tile, from);
        store_move(store_scales(form, lane), tile, from);
    }
}
static void sai_tile_swap(const sai_tile_form *form, char *tile) {
    size_t width = form->dtype == SA_F32 ? 4 : 2;
    for (size_t at = store_codes(form); at < form->size; at += width)
        for (size_t i = 0; i < width / 2; i++) {
            char byte = tile[at + i];
            tile[at + i] = tile[at + width - 1 - i];
            tile[at + width - 1 - i] = byte;
        }
}
/* Copies token a of one tile to token b of another. */
static void store_copy(const sai_tile_form *form, const char *from, size_t a, char *to, size_t b) {
    store_pieces pieces[2][2] = {{store_numbers(form, a), store_numbers(form, b)},
                                 {store_scales(form, a), store_scales(form, b)}};
    for (int part = 0; part < 2; part++) {
        store_pieces p = pieces[part][0], q = pieces[part][1];
        for (size_t i = 0; i < p.n; i++) memcpy(to + q.at + i * q.step, from + p.at + i * p.step, p.width);
    }
}
static void sai_store_copy(const sai_layer *l, const sai_run *from, uint64_t a, const sai_run *to, uint64_t b) {
    sai_tile_form key = sai_key_form(from->k_dtype, l->dk), value = sai_value_form(from->v_dtype, l->dv_pad);
    store_copy(&key, sai_run_key(from, a), a % 16, (char *)(uintptr_t)sai_run_key(to, b), b % 16);
    store_copy(&value, sai_run_value(from, a), a % 16, (char *)(uintptr_t)sai_run_value(to, b), b % 16);
}
/* ---- lib/stream.c ---- */
/* The public functions that change what a sequence holds, and say it: going back, jumping, removing, pinning.
 *
 * Each first asks every lane of every layer that is meant, and then changes them all.
 */
/* The lanes of the layers that a call means: [first, end). */
typedef struct stream_lanes {
    int32_t first, end;
} stream_lanes;
static sai_error stream_lanes_of(const sa_cache *cache, int32_t layer, stream_lanes *out) {
    const sa_pool *pool = sai_pool_of(cache);
    if (!cache->is_open) return SAI_ERROR_CLOSED;
    if (layer < SA_ALL_LAYERS || layer >= pool->n_layers) return SAI_ERROR_ANY_LAYER;
    out->first = layer == SA_ALL_LAYERS ? 0 : sai_first_lane(pool, layer);
    out->end = layer == SA_ALL_LAYERS ? pool->n_lanes : sai_first_lane(pool, layer + 1);
    return SAI_ERROR_NONE;
}
/* The most tokens that a lane has seen. */
static uint64_t stream_seen(const sa_cache *cache, stream_lanes lanes) {
    uint64_t most = 0;
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        uint64_t seen = sai_lane_state(cache, l).spans->seen;
        if (seen > most) most = seen;
    }
    return most;
}
/* The call is going to change the sequence: a step that has begun is over. */
static void stream_begin(const sa_cache *cache) { sai_pool_of(cache)->work.begun_layer = -1; }
/* What moves the place of the next token cannot be done while nodes stand there. */
static sai_error stream_check_no_draft(const sa_cache *cache, stream_lanes lanes) {
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        if (sai_draft_is_open(&state)) return SAI_ERROR_DRAFT_OPEN;
    }
    return SAI_ERROR_NONE;
}
/* -------------------------- reset, rollback, jumps ------------------------ */
sa_status sa_cache_reset(sa_cache *cache, int32_t layer) {
    stream_lanes lanes;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = stream_lanes_of(cache, layer, &lanes);
    if (error) return sai_error_keep(cache, error);
    stream_begin(cache);
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        sai_state_reset(&state);
    }
    return sai_error_keep(cache, SAI_ERROR_NONE);
}
static sai_error stream_check_rollback(const sa_cache *cache, stream_lanes lanes, int64_t n_tokens, uint64_t seen) {
    if (n_tokens < 0) return SAI_ERROR_N_TOKENS;
    if ((uint64_t)n_tokens > seen) return SAI_ERROR_ROLLBACK_LENGTH;
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        if (sai_spans_can_truncate(&state.layer->rules, state.spans, seen - (uint64_t)n_tokens))
            return SAI_ERROR_ROLLBACK_LOST;
    }
    return SAI_ERROR_NONE;
}
sa_status sa_cache_rollback(sa_cache *cache, int32_t layer, int64_t n_tokens) {
    stream_lanes lanes;
    uint64_t seen = 0;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = stream_lanes_of(cache, layer, &lanes);
    if (!error) error = stream_check_no_draft(cache, lanes);
    if (!error) seen = stream_seen(cache, lanes);
    if (!error) error = stream_check_rollback(cache, lanes, n_tokens, seen);
    if (error) return sai_error_keep(cache, error);
    stream_begin(cache);
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        sai_state_truncate(&state, seen - (uint64_t)n_tokens);
    }
    return sai_error_keep(cache, SAI_ERROR_NONE);
}
/* Jumps; a lane that stands there already is left alone, or emptied as well. */
static sa_status stream_jump(sa_cache *cache, int32_t layer, uint64_t position, int empties) {
    stream_lanes lanes;
    sai_error error = stream_lanes_of(cache, layer, &lanes);
    if (!error) error = stream_check_no_draft(cache, lanes);
    if (!error && position >= SAI_POSITION_LIMIT) error = SAI_ERROR_POSITION_LIMIT;
    if (!error && position < stream_seen(cache, lanes)) error = SAI_ERROR_POSITION_BEHIND;
    for (int32_t l = lanes.first; l < lanes.end && !error; l++) {
        sai_state state = sai_lane_state(cache, l);
        if (!empties && state.spans->seen == position) continue;
        if (sai_spans_can_jump(&state.layer->rules, state.spans, position)) error = SAI_ERROR_NO_SPAN;
    }
    if (error) return sai_error_keep(cache, error);
    stream_begin(cache);
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        if (empties || state.spans->seen != position) sai_state_jump(&state, position);
    }
    return sai_error_keep(cache, SAI_ERROR_NONE);
}
sa_status sa_cache_seek(sa_cache *cache, int32_t layer, uint64_t position) {
    return cache ? stream_jump(cache, layer, position, 0) : SA_ERR_ARGUMENT;
}
sa_status sa_cache_restart(sa_cache *cache, int32_t layer, uint64_t position) {
    return cache ? stream_jump(cache, layer, position, 1) : SA_ERR_ARGUMENT;
}
/* -------------------------- removing, pinning, sinks ---------------------- */
static uint64_t stream_end(const sai_state *state, sai_range in) {
    return in.end == SA_END ? state->spans->seen : in.end;
}
static sai_error stream_check_change(const sa_cache *cache, stream_lanes lanes, sai_change how, sai_range in) {
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        uint64_t end = stream_end(&state, in);
        if (end > state.spans->seen || in.from > end || (in.from == end && how != SAI_ANCHOR)) return SAI_ERROR_RANGE;
        sa_status status = sai_state_can_change(&state, how, in.from, end);
        if (status) return status == SA_ERR_DEPTH ? SAI_ERROR_RANGE_LOST : SAI_ERROR_NO_SPAN;
    }
    return SAI_ERROR_NONE;
}
static sa_status stream_change(sa_cache *cache, int32_t layer, sai_change how, uint64_t from, uint64_t end) {
    stream_lanes lanes;
    sai_range in = {from, end};
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = stream_lanes_of(cache, layer, &lanes);
    if (!error) error = stream_check_change(cache, lanes, how, in);
    if (error) return sai_error_keep(cache, error);
    stream_begin(cache);
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        sai_state_change(&state, how, from, stream_end(&state, in));
    }
    return sai_error_keep(cache, SAI_ERROR_NONE);
}
sa_status sa_cache_remove(sa_cache *cache, int32_t layer, uint64_t from, uint64_t end, int32_t gap) {
    if (cache && gap != SA_GAP_CLOSE && gap != SA_GAP_KEEP) return sai_error_keep(cache, SAI_ERROR_GAP);
    return stream_change(cache, layer, gap == SA_GAP_KEEP ? SAI_REMOVE_KEEP : SAI_REMOVE_CLOSE, from, end);
}
sa_status sa_cache_pin(sa_cache *cache, int32_t layer, uint64_t from, uint64_t end) {
    return stream_change(cache, layer, SAI_PIN, from, end);
}
sa_status sa_cache_unpin(sa_cache *cache, int32_t layer, uint64_t from, uint64_t end) {
    return stream_change(cache, layer, SAI_UNPIN, from, end);
}
sa_status sa_cache_anchor(sa_cache *cache, int32_t layer, uint64_t from, uint64_t end) {
    return stream_change(cache, layer, SAI_ANCHOR, from, end);
}
/* ---------------------------------- drafts -------------------------------- */
static sai_error stream_check_accept(const sa_cache *cache, stream_lanes lanes, int32_t n, const int32_t *path) {
    if (n < 0 || n > sai_pool_of(cache)->max_append || (n && !path)) return SAI_ERROR_PATH_LENGTH;
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        sai_error error = sai_draft_check_path(&state, n, path);
        if (error) return error;
    }
    return SAI_ERROR_NONE;
}
sa_status sa_draft_accept(sa_cache *cache, int32_t layer, int32_t n, const int32_t *path) {
    stream_lanes lanes;
    if (!cache) return SA_ERR_ARGUMENT;
    sai_error error = stream_lanes_of(cache, layer, &lanes);
    if (!error) error = stream_check_accept(cache, lanes, n, path);
    if (error) return sai_error_keep(cache, error);
    stream_begin(cache);
    for (int32_t l = lanes.first; l < lanes.end; l++) {
        sai_state state = sai_lane_state(cache, l);
        sai_draft_accept(&state, n, path);
    }
    return sai_error_keep(cache, SAI_ERROR_NONE);
}
/* --------------------------------- the list ------------------------------- */
sa_status sa_cache_spans(const sa_cache *cache, int32_t layer, int32_t kv_head, int32_t capacity, sa_span *spans_out,
                         int32_t *n_out) {
    if (!cache || !n_out || capacity < 0 || (capacity && !spans_out)) return SA_ERR_ARGUMENT;
    const sa_pool *pool = sai_pool_of(cache);
    if (layer < 0 || layer >= pool->n_layers || kv_head < 0 || kv_head >= sai_layer_of(pool, layer)->layer_kv_heads)
        return SA_ERR_ARGUMENT;
    if (!cache->is_open) return SA_ERR_STATE;
    const sai_spans *s = sai_lane_state(cache, sai_lane_with(pool, layer, kv_head)).spans;
    for (int32_t i = 0; i < s->n && i < capacity; i++) {
        const sai_span *a = &s->list[i];
        sa_span out = {a->from, a->end, a->shift, a->kind, a->store == SAI_STORE_MASKED};
        spans_out[i] = out;
    }
    *n_out = s->n;
    return SA_SUCCESS;
}
sa_status sa_cache_positions(const sa_cache *cache, int32_t layer, int32_t kv_head, int64_t capacity,
                             uint64_t *positions_out, int64_t *n_out) {
    if (!cache || !n_out || capacity < 0 || (capacity && !positions_out)) return SA_ERR_ARGUMENT;
    const sa_pool *pool = sai_pool_of(cache);
    if (layer < 0 || layer >= pool->n_layers || kv_head < 0 || kv_head >= sai_layer_of(pool, layer)->layer_kv_heads)
        return SA_ERR_ARGUMENT;
    if (!cache->is_open) return SA_ERR_STATE;
    const sai_spans *s = sai_lane_state(cache, sai_lane_with(pool, layer, kv_head)).spans;
    int64_t n = 0;
    for (int32_t i = 0; i < s->n; i++)
        for (uint64_t p = s->list[i].from; s->list[i].store != SAI_STORE_MASKED && p < s->list[i].end; p++, n++)
            if (n < capacity) positions_out[n] = p;
    *n_out = n;
    return SA_SUCCESS;
}
/* ---- lib/tiles.c ---- */
/* Where a position lies: taking, sharing and giving back tiles of 16 tokens.
 *
 * A stream takes the tile after its newest one if that is free, so its tiles lie side by side; when it comes to where
 * the next sequence begins, it looks from its own beginning on. So a single stream goes round its arena as round a
 * ring, and many keep to their parts as long as these suffice.
 */
#include <string.h>
/* The first entry whose number is not below `number`. Most are asked for the newest tile, or for one of the window,
 * whose numbers are consecutive up to that. */
static uint32_t tiles_find(const sai_tiles *t, uint64_t number) {
    uint32_t low = t->table->first, high = low + t->table->n;
    if (low == high || t->numbers[high - 1] < number) return high;
    uint64_t back = t->numbers[high - 1] - number;
    if (back < t->table->n && t->numbers[high - 1 - back] == number) return high - 1 - (uint32_t)back;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
static int tiles_has(const sai_tiles *t, uint32_t entry, uint64_t number) {
    return entry < t->table->first + t->table->n && t->numbers[entry] == number;
}
static uint64_t sai_tiles_needed(const sai_tiles *t, uint64_t from, uint64_t end) {
    uint64_t needed = 0;
    if (from >= end) return 0;
    uint32_t entry = tiles_find(t, from / 16);
    for (uint64_t number = from / 16; number <= (end - 1) / 16; number++) {
        if (!tiles_has(t, entry, number)) return needed + (end - 1) / 16 - number + 1;
        needed += t->uses[t->tiles[entry++]] > 1;
    }
    return needed;
}
static int sai_tiles_is_own(const sai_tiles *t, uint64_t number) {
    uint32_t entry = tiles_find(t, number);
    return tiles_has(t, entry, number) && t->uses[t->tiles[entry]] == 1;
}
/* ---------------------------------- taking -------------------------------- */
/* The tile to take after `last`, or for a table without tiles. There is a free one. */
static uint32_t tiles_choose(const sai_tiles *t, int is_first, uint32_t last) {
    const sai_arena *a = t->arena;
    uint32_t next = is_first ? t->table->home : last + 1;
    int elsewhere = next >= a->n_tiles || (!is_first && next % a->homes == 0);
    if (elsewhere || t->uses[next]) next = t->table->home;
    while (t->uses[next]) next = next + 1 < a->n_tiles ? next + 1 : 0;
    return next;
}
static uint32_t tiles_take(const sai_tiles *t) {
    uint32_t end = t->table->first + t->table->n;
    uint32_t taken = tiles_choose(t, t->table->n == 0, t->table->n ? t->tiles[end - 1] : 0);
    t->uses[taken] = 1;
    t->arena->n_free--;
    return taken;
}
static void tiles_release(const sai_tiles *t, uint32_t tile) {
    if (--t->uses[tile] == 0) t->arena->n_free++;
}
static void tiles_copy(const sai_tiles *t, uint32_t from, uint32_t to) {
    const sai_arena *a = t->arena;
    for (int32_t h = 0; h < a->n_kv_heads; h++) {
        char *k = t->block + a->k_at + (size_t)h * a->k_head, *v = t->block + a->v_at + (size_t)h * a->v_head;
        memcpy(k + to * a->k_tile, k + from * a->k_tile, a->k_tile);
        memcpy(v + to * a->v_tile, v + from * a->v_tile, a->v_tile);
        if (!a->beside_tile) continue;
        char *beside = t->block + a->beside_at + (size_t)h * a->beside_head;
        memcpy(beside + to * a->beside_tile, beside + from * a->beside_tile, a->beside_tile);
    }
}
/* A place behind the last entry: the entries move to the front when they have come to the end of the table. */
static uint32_t tiles_append(const sai_tiles *t) {
    sai_table *table = t->table;
    if (table->first + table->n == table->capacity) {
        memmove(t->numbers, t->numbers + table->first, table->n * sizeof *t->numbers);
        memmove(t->tiles, t->tiles + table->first, table->n * sizeof *t->tiles);
        table->first = 0;
    }
    return table->first + table->n;
}
static void sai_tiles_own(const sai_tiles *t, uint64_t from, uint64_t end) {
    if (from >= end) return;
    uint32_t entry = tiles_find(t, from / 16);
    for (uint64_t number = from / 16; number <= (end - 1) / 16; number++, entry++) {
        if (!tiles_has(t, entry, number)) {
            uint32_t taken = tiles_take(t);
            entry = tiles_append(t);
            t->numbers[entry] = number;
            t->tiles[entry] = taken;
            t->table->n++;
        } else if (t->uses[t->tiles[entry]] > 1) {
            uint32_t taken = tiles_take(t);
            tiles_copy(t, t->tiles[entry], taken);
            tiles_release(t, t->tiles[entry]);
            t->tiles[entry] = taken;
        }
    }
}
/* ------------------------------- giving back ------------------------------ */
static void sai_tiles_drop(const sai_tiles *t, uint64_t number, uint64_t end) {
    sai_table *table = t->table;
    uint32_t entry = tiles_find(t, number), behind = tiles_find(t, end), n = behind - entry;
    uint32_t before = entry - table->first, after = table->first + table->n - behind;
    for (uint32_t i = entry; i < behind; i++) tiles_release(t, t->tiles[i]);
    table->n -= n;
    if (before <= after) {
        /* The older ones, which are the few that are kept, move up. */
        memmove(t->numbers + table->first + n, t->numbers + table->first, before * sizeof *t->numbers);
        memmove(t->tiles + table->first + n, t->tiles + table->first, before * sizeof *t->tiles);
        table->first += n;
    } else {
        memmove(t->numbers + entry, t->numbers + behind, after * sizeof *t->numbers);
        memmove(t->tiles + entry, t->tiles + behind, after * sizeof *t->tiles);
    }
}
static void sai_tiles_drop_all(const sai_tiles *t) {
    for (uint32_t i = 0; i < t->table->n; i++) tiles_release(t, t->tiles[t->table->first + i]);
    t->table->first = t->table->n = 0;
}
static void sai_tiles_copy_table(const sai_tiles *from, const sai_tiles *to) {
    sai_table *table = to->table;
    table->first = 0;
    table->n = from->table->n;
    memcpy(to->numbers, from->numbers + from->table->first, table->n * sizeof *to->numbers);
    memcpy(to->tiles, from->tiles + from->table->first, table->n * sizeof *to->tiles);
    for (uint32_t i = 0; i < table->n; i++) to->uses[to->tiles[i]]++;
}
/* --------------------------------- reading -------------------------------- */
static int sai_tiles_has(const sai_tiles *t, uint64_t number) { return tiles_has(t, tiles_find(t, number), number); }
static const uint32_t *sai_tiles_map(const sai_tiles *t, uint64_t number) { return t->tiles + tiles_find(t, number); }
static uint32_t sai_tiles_entry(const sai_tiles *t, uint64_t number) { return tiles_find(t, number); }
/* ---- lib/way.c ---- */
/* A part of the keys as the rows of a unit go through it: what each of them sees, and from where.
 *
 */
static void way_look(sai_way *way) {
    const sai_unit *u = way->unit;
    const sai_layer *l = u->job->state.layer;
    if (u->job->call.n == 1) {
        for (int32_t r = 0; r < u->n; r++) {
            way->seen[r] = way->part->reach;
            way->places[r] = (int64_t)way->part->place[0];
        }
        way->all = way->part->reach;
        return;
    }
    sai_range seen = {0, 0};
    int64_t place = 0;
    int32_t token = -1;
    way->all.from = UINT64_MAX;
    way->all.end = 0;
    for (int32_t r = 0; r < u->n; r++) {
        if (sai_row_token(u->job, u->row + r) != token) {
            token = sai_row_token(u->job, u->row + r);
            sai_place at = sai_token_place(u->job, token);
            seen = sai_part_visible(u->job, way->part, at);
            if (l->slopes_at) place = (int64_t)sai_part_place(u->job, way->part, at);
            if (seen.from < seen.end && seen.from < way->all.from) way->all.from = seen.from;
            if (seen.from < seen.end && seen.end > way->all.end) way->all.end = seen.end;
        }
        way->seen[r] = seen;
        way->places[r] = place;
    }
}
/* Rows that are no tokens: learned ones stand at a place each, or all at 0; those of the host as they say. */
static void way_set_rows(sai_way *way) {
    const sai_job *job = way->unit->job;
    const sai_layer *l = job->state.layer;
    if (way->part->span != SAI_PART_LEARNED) {
        way->panel.facts = sai_rows_facts(job->state.pool, l, way->unit->kv_head);
        way->panel.kind = sai_part_kind(way->part->span);
    } else if (l->sink_kv_position == SA_SINK_KV_AT_ZERO) {
        way->panel.key_step = 0;
    } else {
        way->panel.key_place = -(int64_t)l->n_sink_kv;
    }
}
static void way_set_bias(sai_way *way) {
    const sai_unit *u = way->unit;
    const sai_layer *l = u->job->state.layer;
    way->panel.key_place = 0;
    way->panel.key_step = 1;
    way->panel.facts = NULL;
    if (way->part->span < 0) way_set_rows(way);
    if (!l->slopes_at) return;
    const float *slopes = (const float *)sai_at(u->job->state.pool, l->slopes_at);
    for (int32_t r = 0; r < u->n; r++) way->slopes[r] = slopes[sai_row_head(u, u->row + r)];
    way->panel.slopes = way->slopes;
    way->panel.query_places = way->places;
}
/* What is read after a part's last keys: the next part's first ones, or those of the unit that comes next. */
static void way_set_next(sai_way *way) {
    const sai_unit *u = way->unit;
    sai_panel *p = &way->panel;
    const sai_part *last = u->job->parts + u->job->n_parts - 1, *next = way->part < last ? way->part + 1 : NULL;
    const sai_job *job = u->job;
    int32_t head = u->kv_head;
    if (!next && u->next) {
        job = u->next;
        head = u->next_head;
        next = job->n_parts ? job->parts + job->n_parts - 1 : NULL;
    }
    p->next_k = p->tiles.k;
    p->next_v = p->tiles.v;
    if (!next || next->reach.from >= next->tail) return;
    sai_run run = sai_run_of(sai_block_of(job->state.pool), next->arena, head, next->map, next->map_first);
    uint64_t from = next->reach.from;
    p->next_k = sai_run_key(&run, from);
    p->next_v = sai_run_value(&run, from);
}
static void sai_way_enter(sai_way *way, const sai_unit *u, const sai_part *part, const sai_scratch *s) {
    const sai_job *job = u->job;
    const sai_layer *l = job->state.layer;
    way->unit = u;
    way->part = part;
    way_look(way);
    if (way->all.from >= way->all.end) return;
    sai_query query = sai_query_enter(u, part, s);
    sai_panel *panel = &way->panel;
    panel->kernels = job->kernels;
    panel->layer = l;
    panel->tiles = sai_run_of(sai_block_of(job->state.pool), part->arena, u->kv_head, part->map, part->map_first);
    panel->q = query.q;
    panel->q_stride = query.stride;
    panel->n_rows = u->n;
    panel->visible = way->within;
    panel->end = way->all.end < part->tail ? way->all.end : part->tail;
    panel->slopes = NULL;
    panel->weighing = NULL;
    panel->scratch = s;
    way_set_bias(way);
    way_set_next(way);
    if (way->all.end > part->tail) sai_gather_begin(u, part, s, &way->path);
}
static sai_range sai_way_cut(sai_way *way, sai_range to) {
    for (int32_t r = 0; r < way->unit->n; r++) {
        way->within[r].from = way->seen[r].from > to.from ? way->seen[r].from : to.from;
        way->within[r].end = way->seen[r].end < to.end ? way->seen[r].end : to.end;
    }
    if (to.from < way->all.from) to.from = way->all.from;
    if (to.end > way->all.end) to.end = way->all.end;
    return to;
}
/* ---- lib/workspace.c ---- */
/* A worker's scratch: how much it needs, and where each part lies.
 *
 */
/* Cuts n floats off, in whole cache lines; with a NULL base it only counts. */
static float *workspace_carve(float *base, uint64_t *at, uint64_t n) {
    float *p = base ? base + *at : NULL;
    *at += (n + 15) / 16 * 16;
    return p;
}
static sai_states workspace_carve_states(float *base, uint64_t *at, uint64_t rows, uint64_t dv_pad) {
    sai_states s;
    s.max = workspace_carve(base, at, rows);
    s.sum = workspace_carve(base, at, rows);
    s.acc = workspace_carve(base, at, rows * dv_pad);
    return s;
}
/* Whether keys or values of some store of a layer are converted to f32 for so many rows. */
static int workspace_widens(const sai_layer *l, uint64_t rows, int values) {
    int widens = l->learned.n_tiles && sai_panel_widens(values ? l->learned.v_dtype : l->learned.k_dtype, rows);
    widens |= l->rows.n_tiles && sai_panel_widens(values ? l->rows.v_dtype : l->rows.k_dtype, rows);
    for (int i = 0; i < SAI_STORES; i++) {
        const sai_arena *a = &l->arenas[i];
        if (a->n_tiles) widens |= sai_panel_widens(values ? a->v_dtype : a->k_dtype, rows);
    }
    return widens;
}
/* How many keys and values are converted at a time where so many rows use them: a chunk of them, or none. */
static uint64_t workspace_wide_keys(const sai_layer *l, uint64_t rows) {
    return rows >= SAI_WIDEN_ROWS && workspace_widens(l, rows, 0) ? SAI_CHUNK : 0;
}
static uint64_t workspace_wide_values(const sai_layer *l, uint64_t rows) {
    return rows >= SAI_WIDEN_ROWS && workspace_widens(l, rows, 1) ? SAI_CHUNK : 0;
}
static uint64_t workspace_carve_scratch(const sai_layer *l, int32_t max_append, float *base, sai_scratch *s) {
    uint64_t at = 0, rows = (uint64_t)max_append * (uint64_t)l->group, dv_pad = (uint64_t)l->dv_pad;
    if (rows > SAI_PANEL) rows = SAI_PANEL;
    uint64_t group = rows < SAI_MOST_ROWS ? rows : SAI_MOST_ROWS, dk = (uint64_t)l->dk;
    int integer_keys = sai_is_integer(l->arenas[SAI_STORE_MAIN].k_dtype);
    int integer_values = sai_is_integer(l->arenas[SAI_STORE_MAIN].v_dtype);
    s->raw = workspace_carve(base, &at, rows * dk);
    s->q = workspace_carve(base, &at, rows * dk);
    s->hadamard = workspace_carve(base, &at, integer_keys ? dk : 0);
    s->packed = workspace_carve(base, &at, integer_keys ? rows * (uint64_t)sai_query_words(l->dk) : 0);
    s->rotation = workspace_carve(base, &at, 2 * (uint64_t)l->rope.pairs);
    s->scores = workspace_carve(base, &at, group * SAI_CHUNK);
    s->wide_k = workspace_carve(base, &at, workspace_wide_keys(l, rows) * dk);
    s->wide_v = workspace_carve(base, &at, workspace_wide_values(l, rows) * dv_pad);
    s->weights = workspace_carve(base, &at, integer_values ? group * sai_weight_words(l->dv_pad) : 0);
    s->keep = workspace_carve(base, &at, group);
    s->chain = workspace_carve(base, &at, group * dv_pad);
    if (l->max_draft) {
        s->path_map = (uint32_t *)(void *)workspace_carve(base, &at, 16 + (uint64_t)l->path_tiles);
        s->path = (int32_t *)(void *)workspace_carve(base, &at, (uint64_t)sai_most_depth(l->max_draft, max_append));
    }
    s->block = workspace_carve_states(base, &at, rows, dv_pad);
    s->total = workspace_carve_states(base, &at, rows, dv_pad);
    s->sinks = workspace_carve_states(base, &at, rows, 0);
    return at;
}
static uint64_t sai_scratch_floats(const sai_layer *layer, int32_t max_append) {
    sai_scratch s;
    return workspace_carve_scratch(layer, max_append, NULL, &s);
}
static sai_scratch sai_scratch_of(const sa_pool *pool, const sai_layer *layer, int32_t w) {
    sai_scratch s;
    float *base = (float *)sai_at(pool, pool->work.workers_at + (size_t)w * pool->work.worker_size);
    workspace_carve_scratch(layer, pool->max_append, base, &s);
    s.worker = w;
    return s;
}
/* ---- lib/kernels/plain.c ---- */
/* The kernels in plain C with fmaf: the definition of the bits.
 *
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* ---- lib/kernels/names.h ---- */
/* Gives the functions and types of a vector layer and of the kernels the suffix of their instruction set.
 *
 * Written by names.sh; do not edit. The kernels are one source, compiled once per instruction set, and several of them
 * stand in one translation unit. SAI_SUFFIX says which one: a macro is expanded where it is used, so these names follow
 * SAI_SUFFIX without being defined again.
 */
#ifndef SAI_NAMES_H
#define SAI_NAMES_H
#define SAI_PASTE_2(name, suffix) name##_##suffix
#define SAI_PASTE(name, suffix) SAI_PASTE_2(name, suffix)
#define SAI_NAME(name) SAI_PASTE(name, SAI_SUFFIX)
/* k_<stem>_<suffix>, and k_<stem>_<dtype>_<suffix> of the dtype that K_DTYPE names. */
#define SAI_KERNEL_2(stem, suffix) k_##stem##_##suffix
#define SAI_KERNEL(stem, suffix) SAI_KERNEL_2(stem, suffix)
#define K_NAME_3(stem, dtype, suffix) k_##stem##_##dtype##_##suffix
#define K_NAME_2(stem, dtype, suffix) K_NAME_3(stem, dtype, suffix)
#define K_NAME(stem) K_NAME_2(stem, K_DTYPE, SAI_SUFFIX)
#define k_code_i4 SAI_NAME(k_code_i4)
#define k_cos_sin SAI_NAME(k_cos_sin)
#define k_divide SAI_NAME(k_divide)
#define k_double SAI_NAME(k_double)
#define k_double_bits SAI_NAME(k_double_bits)
#define k_exp SAI_NAME(k_exp)
#define k_exponential SAI_NAME(k_exponential)
#define k_fit_i4 SAI_NAME(k_fit_i4)
#define k_fold SAI_NAME(k_fold)
#define k_from_word SAI_NAME(k_from_word)
#define k_greatest SAI_NAME(k_greatest)
#define k_group_i8 SAI_NAME(k_group_i8)
#define k_groups SAI_NAME(k_groups)
#define k_groups_i4 SAI_NAME(k_groups_i4)
#define k_hadamard SAI_NAME(k_hadamard)
#define k_hadamard_few SAI_NAME(k_hadamard_few)
#define k_hadamard_lanes SAI_NAME(k_hadamard_lanes)
#define k_hadamard_vectors SAI_NAME(k_hadamard_vectors)
#define k_inverse SAI_NAME(k_inverse)
#define k_load_bf16 SAI_NAME(k_load_bf16)
#define k_load_f16 SAI_NAME(k_load_f16)
#define k_load_f32 SAI_NAME(k_load_f32)
#define k_logits SAI_NAME(k_logits)
#define k_magic SAI_NAME(k_magic)
#define k_many_width SAI_NAME(k_many_width)
#define k_mask SAI_NAME(k_mask)
#define k_merge SAI_NAME(k_merge)
#define k_merge_weights SAI_NAME(k_merge_weights)
#define k_pack_query SAI_NAME(k_pack_query)
#define k_pack_weights SAI_NAME(k_pack_weights)
#define k_power SAI_NAME(k_power)
#define k_prefetch SAI_NAME(k_prefetch)
#define k_prepare SAI_NAME(k_prepare)
#define k_quantize SAI_NAME(k_quantize)
#define k_quantize_i4 SAI_NAME(k_quantize_i4)
#define k_quantize_i8 SAI_NAME(k_quantize_i8)
#define k_rope_pairs SAI_NAME(k_rope_pairs)
#define k_rope_rotate SAI_NAME(k_rope_rotate)
#define k_rope_row SAI_NAME(k_rope_row)
#define k_scaled SAI_NAME(k_scaled)
#define k_shares SAI_NAME(k_shares)
#define k_softmax SAI_NAME(k_softmax)
#define k_spoil SAI_NAME(k_spoil)
#define k_squares SAI_NAME(k_squares)
#define k_store_bf16 SAI_NAME(k_store_bf16)
#define k_store_f16 SAI_NAME(k_store_f16)
#define k_store_f32 SAI_NAME(k_store_f32)
#define k_tanh SAI_NAME(k_tanh)
#define k_weigh SAI_NAME(k_weigh)
#define k_weigh_groups SAI_NAME(k_weigh_groups)
#define v16 SAI_NAME(v16)
#define v16i SAI_NAME(v16i)
#define v16s SAI_NAME(v16s)
#define v64b SAI_NAME(v64b)
#define v64u SAI_NAME(v64u)
#define v_abs SAI_NAME(v_abs)
#define v_abs_part SAI_NAME(v_abs_part)
#define v_add SAI_NAME(v_add)
#define v_add_part SAI_NAME(v_add_part)
#define v_bits SAI_NAME(v_bits)
#define v_bytes SAI_NAME(v_bytes)
#define v_choose SAI_NAME(v_choose)
#define v_div SAI_NAME(v_div)
#define v_div_part SAI_NAME(v_div_part)
#define v_dot SAI_NAME(v_dot)
#define v_dot_bytes SAI_NAME(v_dot_bytes)
#define v_dot_half SAI_NAME(v_dot_half)
#define v_dot_quarter SAI_NAME(v_dot_quarter)
#define v_exponent SAI_NAME(v_exponent)
#define v_exponent_half SAI_NAME(v_exponent_half)
#define v_exponent_part SAI_NAME(v_exponent_part)
#define v_exponent_quarter SAI_NAME(v_exponent_quarter)
#define v_fma SAI_NAME(v_fma)
#define v_from_int SAI_NAME(v_from_int)
#define v_greatest SAI_NAME(v_greatest)
#define v_greatest_half SAI_NAME(v_greatest_half)
#define v_high_nibbles SAI_NAME(v_high_nibbles)
#define v_int SAI_NAME(v_int)
#define v_join SAI_NAME(v_join)
#define v_larger SAI_NAME(v_larger)
#define v_larger_half SAI_NAME(v_larger_half)
#define v_larger_quarter SAI_NAME(v_larger_quarter)
#define v_less SAI_NAME(v_less)
#define v_less_128 SAI_NAME(v_less_128)
#define v_less_8 SAI_NAME(v_less_8)
#define v_less_quarter SAI_NAME(v_less_quarter)
#define v_load SAI_NAME(v_load)
#define v_load_64 SAI_NAME(v_load_64)
#define v_load_bf16 SAI_NAME(v_load_bf16)
#define v_load_f16 SAI_NAME(v_load_f16)
#define v_load_int SAI_NAME(v_load_int)
#define v_load_nibbles SAI_NAME(v_load_nibbles)
#define v_load_part SAI_NAME(v_load_part)
#define v_low_halves SAI_NAME(v_low_halves)
#define v_low_nibbles SAI_NAME(v_low_nibbles)
#define v_make SAI_NAME(v_make)
#define v_max SAI_NAME(v_max)
#define v_max_part SAI_NAME(v_max_part)
#define v_max_quarter SAI_NAME(v_max_quarter)
#define v_min SAI_NAME(v_min)
#define v_min_part SAI_NAME(v_min_part)
#define v_min_quarter SAI_NAME(v_min_quarter)
#define v_mul SAI_NAME(v_mul)
#define v_mul_part SAI_NAME(v_mul_part)
#define v_narrow_f16 SAI_NAME(v_narrow_f16)
#define v_nibbles SAI_NAME(v_nibbles)
#define v_octets SAI_NAME(v_octets)
#define v_octets_there SAI_NAME(v_octets_there)
#define v_pack SAI_NAME(v_pack)
#define v_pack_half SAI_NAME(v_pack_half)
#define v_pack_quarter SAI_NAME(v_pack_quarter)
#define v_pair SAI_NAME(v_pair)
#define v_part SAI_NAME(v_part)
#define v_part_there SAI_NAME(v_part_there)
#define v_range SAI_NAME(v_range)
#define v_range_half SAI_NAME(v_range_half)
#define v_range_part SAI_NAME(v_range_part)
#define v_range_quarter SAI_NAME(v_range_quarter)
#define v_save SAI_NAME(v_save)
#define v_save_bytes SAI_NAME(v_save_bytes)
#define v_save_f16 SAI_NAME(v_save_f16)
#define v_save_int SAI_NAME(v_save_int)
#define v_save_octets SAI_NAME(v_save_octets)
#define v_set SAI_NAME(v_set)
#define v_shorts SAI_NAME(v_shorts)
#define v_shorts_there SAI_NAME(v_shorts_there)
#define v_sign SAI_NAME(v_sign)
#define v_sign_part SAI_NAME(v_sign_part)
#define v_sign_quarter SAI_NAME(v_sign_quarter)
#define v_sub SAI_NAME(v_sub)
#define v_sub_part SAI_NAME(v_sub_part)
#define v_sum SAI_NAME(v_sum)
#define v_sum_half SAI_NAME(v_sum_half)
#define v_swap1 SAI_NAME(v_swap1)
#define v_swap1_part SAI_NAME(v_swap1_part)
#define v_swap1_quarter SAI_NAME(v_swap1_quarter)
#define v_swap2 SAI_NAME(v_swap2)
#define v_swap2_part SAI_NAME(v_swap2_part)
#define v_swap2_quarter SAI_NAME(v_swap2_quarter)
#define v_swap4 SAI_NAME(v_swap4)
#define v_swap4_part SAI_NAME(v_swap4_part)
#define v_swap8 SAI_NAME(v_swap8)
#define v_swap8_part SAI_NAME(v_swap8_part)
#define v_tie SAI_NAME(v_tie)
#define v_upper SAI_NAME(v_upper)
#define v_widen_bf16 SAI_NAME(v_widen_bf16)
#define v_widen_f16 SAI_NAME(v_widen_f16)
#define v_words SAI_NAME(v_words)
#endif
/* ---- lib/kernels/target.h ---- */
/* Which instruction sets this compiler can build for this processor family, and which of them the build leaves out.
 *
 * Whoever builds the library may define, for all of its sources: SA_NO_AVX2, SA_NO_AVX512, SA_NO_NEON and SA_NO_PLAIN,
 * which leave out instruction sets; SA_NO_F16, SA_NO_BF16 and SA_NO_INTEGERS, which leave out stored dtypes. README
 * says what that saves. A config that asks for what was left out is refused.
 */
#ifndef SAI_TARGET_H
#define SAI_TARGET_H
#if defined(__x86_64__) || defined(_M_X64)
#if defined(__GNUC__) || defined(_MSC_VER)
#ifndef SA_NO_AVX2
#define SAI_HAVE_AVX2 1
#endif
#ifndef SA_NO_AVX512
#define SAI_HAVE_AVX512 1
#endif
#endif
#endif
#ifndef SA_NO_PLAIN
#define SAI_HAVE_PLAIN 1
#endif
/* Sets that differ from another one in their integers alone. Older compilers do not know these. */
#ifndef SA_NO_INTEGERS
#if defined(SAI_HAVE_AVX2) && defined(__GNUC__) && (__clang_major__ >= 12 || (__GNUC__ >= 11 && !defined(__clang__)))
#define SAI_HAVE_AVX2_VNNI 1
#endif
#if defined(SAI_HAVE_AVX512) && (!defined(__GNUC__) || __clang_major__ >= 7 || (__GNUC__ >= 8 && !defined(__clang__)))
#define SAI_HAVE_AVX512_VNNI 1
#endif
#endif
#if defined(__aarch64__) && defined(__ARM_NEON) && defined(__GNUC__) && !defined(SA_NO_NEON)
#define SAI_HAVE_NEON 1
#ifndef SA_NO_INTEGERS
/* Older clangs have its intrinsics only where the whole program is for it. */
#if defined(__ARM_FEATURE_DOTPROD) ||                                                                                  \
    (defined(__linux__) && ((__GNUC__ >= 8 && !defined(__clang__)) || __clang_major__ >= 16))
#define SAI_HAVE_NEON_DOT 1
#endif
#endif
#endif
/* Set by -msimd128. */
#if defined(__wasm_simd128__)
#define SAI_HAVE_WASM 1
#endif
/* Set by -mrelaxed-simd. */
#if defined(__wasm_relaxed_simd__)
#define SAI_HAVE_WASM_RELAXED 1
#endif
/* The vectors of GNU C. For RISC-V, clang from 17 on can build a part of a program for V; earlier ones need
 * -march=rv64gcv. GCC has no fused multiply-add of such vectors. */
#if defined(SAI_FMA_VECTOR)
#if defined(__riscv) && (defined(__riscv_v) || (defined(__linux__) && __clang_major__ >= 17))
#define SAI_HAVE_RVV 1
#endif
#if defined(__VSX__)
#define SAI_HAVE_VSX 1
#endif
#if defined(__s390x__) && defined(__linux__)
#define SAI_HAVE_VXE 1
#endif
#endif
#if !defined(SAI_HAVE_PLAIN) && !defined(SAI_HAVE_AVX2) && !defined(SAI_HAVE_AVX512) && !defined(SAI_HAVE_NEON) &&     \
    !defined(SAI_HAVE_WASM) && !defined(SAI_HAVE_RVV) && !defined(SAI_HAVE_VSX) && !defined(SAI_HAVE_VXE)
#error "SA_NO_* leaves no instruction set: remove SA_NO_PLAIN"
#endif
#endif
#ifdef SAI_HAVE_PLAIN
#define SAI_SUFFIX plain
#define SAI_ISA SA_ISA_PLAIN
#define V_FMA_LANE(a, b, c) fmaf(a, b, c)
#define SAI_PART 1 /* lib/kernels/vec_plain.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2 /* lib/kernels/body.h */
#include SA_THIS_FILE
#undef SAI_PART
#endif
/* ---- lib/kernels/plain_nofma.c ---- */
/* The kernels in plain C with multiply, then add: for processors without fused multiply-add,
 * where fmaf is a slow software routine.
 *
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef SAI_HAVE_PLAIN
#define SAI_SUFFIX plain_nofma
#define SAI_ISA SA_ISA_PLAIN_NOFMA
#define V_FMA_LANE(a, b, c) ((a) * (b) + (c))
#define SAI_PART 1 /* lib/kernels/vec_plain.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2 /* lib/kernels/body.h */
#include SA_THIS_FILE
#undef SAI_PART
#endif
/* ---- lib/kernels/avx2.c ---- */
/* The kernels on AVX2, FMA and F16C. Empty where the compiler or the processor family has none.
 *
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef SAI_HAVE_AVX2
#include <immintrin.h>
/* The target is a region, so that this file needs no compiler flag of its own. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif
#define SAI_SUFFIX avx2
#define SAI_ISA SA_ISA_AVX2
#define SAI_PART 3 /* lib/kernels/vec_avx2.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2 /* lib/kernels/body.h */
#include SA_THIS_FILE
#undef SAI_PART
#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif
/* The same with AVX-VNNI, for stored integers. */
#ifdef SAI_HAVE_AVX2_VNNI
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avxvnni")
#endif
#define V_HAVE_VNNI 1
#define SAI_SUFFIX avx2_vnni
#define SAI_BASE avx2
#define SAI_ISA SA_ISA_AVX2_VNNI
#define SAI_PART 3 /* lib/kernels/vec_avx2.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2 /* lib/kernels/body.h */
#include SA_THIS_FILE
#undef SAI_PART
#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif
/* ---- lib/kernels/avx512.c ---- */
/* The kernels on AVX-512 (F, BW, DQ, VL). Empty where the compiler or the processor family has none.
 *
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef SAI_HAVE_AVX512
#include <immintrin.h>
/* The target is a region, so that this file needs no compiler flag of its own. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c"))),                   \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c")
#endif
#define SAI_SUFFIX avx512
#define SAI_ISA SA_ISA_AVX512
#define SAI_PART 4 /* lib/kernels/vec_avx512.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2 /* lib/kernels/body.h */
#include SA_THIS_FILE
#undef SAI_PART
#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif
/* The same with VNNI, for stored integers. */
#ifdef SAI_HAVE_AVX512_VNNI
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c"))),        \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")
#endif
#define V_HAVE_VNNI 1
#define SAI_SUFFIX avx512_vnni
#define SAI_BASE avx512
#define SAI_ISA SA_ISA_AVX512_VNNI
#define SAI_PART 4 /* lib/kernels/vec_avx512.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2 /* lib/kernels/body.h */
#include SA_THIS_FILE
#undef SAI_PART
#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif
/* ---- lib/kernels/neon.c ---- */
/* The kernels on AArch64's Advanced SIMD (NEON). Empty where the compiler or the processor family has none.
 *
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef SAI_HAVE_NEON
#include <arm_neon.h>
#define SAI_SUFFIX neon
#define SAI_ISA SA_ISA_NEON
#define SAI_PART 5 /* lib/kernels/vec_neon.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2 /* lib/kernels/body.h */
#include SA_THIS_FILE
#undef SAI_PART
#endif
/* The same with the dot products of bytes (Armv8.2), for stored integers. */
#ifdef SAI_HAVE_NEON_DOT
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif
#define V_HAVE_DOT 1
#define SAI_SUFFIX neon_dot
#define SAI_BASE neon
#define SAI_ISA SA_ISA_NEON_DOT
#define SAI_PART 5 /* lib/kernels/vec_neon.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2 /* lib/kernels/body.h */
#include SA_THIS_FILE
#undef SAI_PART
#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif
/* ---- lib/kernels/wasm.c ---- */
/* The kernels on WebAssembly SIMD128. Empty where the compiler was not told to use it (-msimd128): an
 * engine refuses a whole module with instructions that it does not know, so nothing is chosen at run time.
 *
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef SAI_HAVE_WASM
#include <wasm_simd128.h>
#define SAI_SUFFIX wasm
#define SAI_ISA SA_ISA_WASM
#define V_FMA_QUARTER(x, z, c) wasm_f32x4_add(wasm_f32x4_mul(x, z), c)
#define SAI_PART 6 /* lib/kernels/vec_wasm.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2 /* lib/kernels/body.h */
#include SA_THIS_FILE
#undef SAI_PART
#endif
/* ---- lib/kernels/wasm_relaxed.c ---- */
/* The kernels on WebAssembly's relaxed SIMD. Empty where the compiler was not told to use it (-mrelaxed-simd).
 *
 * Its multiply-add is fused or not as the engine likes, always the same within one engine. Where it is, these
 * are the bits of plain C; where it is not, nothing is gained over SIMD128 and this set is not available.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef SAI_HAVE_WASM_RELAXED
#include <wasm_simd128.h>
#define SAI_SUFFIX wasm_relaxed
#define SAI_ISA SA_ISA_WASM_RELAXED
#define V_FMA_QUARTER(x, z, c) wasm_f32x4_relaxed_madd(x, z, c)
#define SAI_PART 6 /* lib/kernels/vec_wasm.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2 /* lib/kernels/body.h */
#include SA_THIS_FILE
#undef SAI_PART
/* (1 + 2^-12)^2 is 1 + 2^-11 + 2^-24, whose last term is lost where the product is rounded. */
static int sai_wasm_relaxed_fuses(void) {
    volatile float factor = 0x1.001p0f, minus = -0x1.002p0f; /* or the compiler could take its own way */
    v128_t x = wasm_f32x4_splat(factor), rest = wasm_f32x4_relaxed_madd(x, x, wasm_f32x4_splat(minus));
    return wasm_i32x4_all_true(wasm_f32x4_eq(rest, wasm_f32x4_splat(0x1p-24f)));
}
#endif
/* ---- lib/kernels/rvv.c ---- */
/* The kernels on RISC-V's vector extension (V 1.0). Empty where the compiler or the processor family has none.
 *
 * Its own vector types have no size that C knows, so they cannot stand in a struct or an array. Vectors of GNU C
 * can: the compiler works one of 16 lanes in as many registers as 128 bits each would take (LMUL 4), with a
 * vector length of 16, which is right on every processor of 128 bits and more.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef SAI_HAVE_RVV
/* The target is a region, so that this file needs no compiler flag of its own. */
#if defined(__clang__) && !defined(__riscv_v)
#pragma clang attribute push(__attribute__((target("arch=+v"))), apply_to = function)
#endif
#define SAI_SUFFIX rvv
#define SAI_ISA SA_ISA_RVV
/* 8 groups of registers, one of them for masks: 4 sums, the operand, two for its conversion. The factor
 * that is alike in all lanes stays a scalar. */
#define V_PART_LANES 16
#define V_FMA_PART SAI_FMA_VECTOR
#define V_ROWS 4
#define V_MOST_TILES 2
#define V_TILES(R) ((R) <= 2 ? 2 : 1)
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4)
#define SAI_PART 7 /* lib/kernels/vec_gnu.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2 /* lib/kernels/body.h */
#include SA_THIS_FILE
#undef SAI_PART
#if defined(__clang__) && !defined(__riscv_v)
#pragma clang attribute pop
#endif
#endif
/* ---- lib/kernels/vsx.c ---- */
/* The kernels on POWER's VSX. Empty where the compiler or the processor family has none.
 *
 * Fused multiply-add is in every processor with VSX.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef SAI_HAVE_VSX
#define SAI_SUFFIX vsx
#define SAI_ISA SA_ISA_VSX
/* 64 registers: 8 sums of four, four for the operand and a few for its conversion. */
#define V_PART_LANES 4
#define V_FMA_PART SAI_FMA_VECTOR
#define V_ROWS 8
#define V_MOST_TILES 4
#define V_TILES(R) ((R) == 1 ? 4 : (R) == 2 ? 3 : (R) <= 4 ? 2 : 1)
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
#define SAI_PART 7 /* lib/kernels/vec_gnu.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2 /* lib/kernels/body.h */
#include SA_THIS_FILE
#undef SAI_PART
#endif
/* ---- lib/kernels/vxe.c ---- */
/* The kernels on S/390's vectors of single precision (z14 and later). Empty where the compiler or the family has none.
 *
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef SAI_HAVE_VXE
/* The target is a region, so that this file needs no compiler flag of its own. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("vector,vector-enhancements-1"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("arch=z14")
#endif
#define SAI_SUFFIX vxe
#define SAI_ISA SA_ISA_VXE
/* 32 registers, as many as NEON has. */
#define V_PART_LANES 4
#define V_FMA_PART SAI_FMA_VECTOR
#define V_ROWS 6
#define V_MOST_TILES 4
#define V_TILES(R) ((R) == 1 ? 4 : (R) == 2 ? 2 : 1)
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#define SAI_PART 7 /* lib/kernels/vec_gnu.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2 /* lib/kernels/body.h */
#include SA_THIS_FILE
#undef SAI_PART
#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif
/* ---- lib/kernels/dispatch.c ---- */
/* Picks the kernel table of an instruction set at run time. No state: the cache keeps the number.
 *
 */
#include <stddef.h>
#include <stdint.h>
#if defined(SAI_HAVE_VXE) || (defined(SAI_HAVE_NEON_DOT) && !defined(__ARM_FEATURE_DOTPROD)) ||                        \
    (defined(SAI_HAVE_RVV) && !defined(__riscv_v))
#include <sys/auxv.h>
#endif
#if defined(SAI_HAVE_AVX2) || defined(SAI_HAVE_AVX512)
#if defined(__GNUC__)
#include <cpuid.h>
static void dispatch_cpuid(unsigned leaf, unsigned r[4]) {
    if (!__get_cpuid_count(leaf, 0, &r[0], &r[1], &r[2], &r[3])) r[0] = r[1] = r[2] = r[3] = 0;
}
/* The register state that the system saves: bits 1 (xmm), 2 (ymm). */
static unsigned dispatch_saved_state(void) {
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}
#else
#include <intrin.h>
static void dispatch_cpuid(unsigned leaf, unsigned r[4]) { __cpuidex((int *)r, (int)leaf, 0); }
static unsigned dispatch_saved_state(void) { return (unsigned)_xgetbv(0); }
#endif
/* Whether the processor has AVX2, FMA and F16C, and the system saves ymm registers. */
static int dispatch_has_avx2(void) {
    unsigned leaf1[4], leaf7[4], needed = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29; /* FMA, OSXSAVE, AVX, F16C */
    dispatch_cpuid(1, leaf1);
    dispatch_cpuid(7, leaf7);
    return (leaf1[2] & needed) == needed && (leaf7[1] & 1u << 5) && (dispatch_saved_state() & 6) == 6;
}
/* And AVX-VNNI: leaf 7, second part. */
static int dispatch_has_avx2_vnni(void) {
#ifdef SAI_HAVE_AVX2_VNNI
    unsigned a, b, c, d;
    return dispatch_has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
#else
    return 0;
#endif
}
/* The same for AVX-512 F, BW, DQ, VL and the zmm and mask registers. */
static int dispatch_has_avx512(void) {
    unsigned leaf7[4], needed = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    dispatch_cpuid(7, leaf7);
    return dispatch_has_avx2() && (leaf7[1] & needed) == needed && (dispatch_saved_state() & 0xe6) == 0xe6;
}
/* With them, integer products that are added in one go. */
static int dispatch_has_avx512_vnni(void) {
#ifdef SAI_HAVE_AVX512_VNNI
    unsigned leaf7[4];
    dispatch_cpuid(7, leaf7);
    return dispatch_has_avx512() && (leaf7[2] & 1u << 11);
#else
    return 0;
#endif
}
#else
static int dispatch_has_avx2(void) { return 0; }
static int dispatch_has_avx2_vnni(void) { return 0; }
static int dispatch_has_avx512(void) { return 0; }
static int dispatch_has_avx512_vnni(void) { return 0; }
#endif
/* These are known when the library is compiled. */
static int dispatch_has_neon(void) {
#ifdef SAI_HAVE_NEON
    return 1;
#else
    return 0;
#endif
}
static int dispatch_has_wasm(void) {
#ifdef SAI_HAVE_WASM
    return 1;
#else
    return 0;
#endif
}
static int dispatch_has_vsx(void) {
#ifdef SAI_HAVE_VSX
    return 1;
#else
    return 0;
#endif
}
/* A run-time check: it depends on the engine. */
static int dispatch_has_wasm_relaxed(void) {
#ifdef SAI_HAVE_WASM_RELAXED
    return sai_wasm_relaxed_fuses();
#else
    return 0;
#endif
}
/* Linux says what an AArch64, an S/390 and a RISC-V have. */
static int dispatch_has_neon_dot(void) {
#if defined(__ARM_FEATURE_DOTPROD)
    return dispatch_has_neon();
#elif defined(SAI_HAVE_NEON_DOT)
    return (getauxval(AT_HWCAP) & 1u << 20) != 0;
#else
    return 0;
#endif
}
static int dispatch_has_vxe(void) {
#ifdef SAI_HAVE_VXE
    return (getauxval(AT_HWCAP) & 1u << 13) != 0; /* vector enhancements 1 */
#else
    return 0;
#endif
}
#if defined(SAI_HAVE_RVV) && defined(__riscv_v)
static int dispatch_has_rvv(void) { return 1; }
#elif defined(SAI_HAVE_RVV)
/* The systems of processors with a draft of V (0.7.1) say "V" too. There the two policies at the end make the
 * type an illegal one, and the length 0. */
__attribute__((target("arch=+v"))) static int dispatch_has_rvv(void) {
    unsigned long length;
    if (!(getauxval(AT_HWCAP) & 1u << ('V' - 'A'))) return 0;
    __asm__ volatile("vsetvli %0, zero, e32, m4, ta, ma" : "=r"(length) : : "vl", "vtype");
    return length >= 16;
}
#else
static int dispatch_has_rvv(void) { return 0; }
#endif
/* Whether fmaf is an instruction wherever this runs, so that plain C with it is not slow. */
static int dispatch_has_fast_fma(void) {
#if defined(__FMA__) || defined(__aarch64__) || defined(_M_ARM64) || defined(__riscv_fdiv) ||                          \
    defined(__powerpc64__) || defined(__s390x__) || defined(__ARM_FEATURE_FMA)
    return 1;
#else
    return 0;
#endif
}
/* Asking the processor is slow (in a virtual machine, tens of microseconds), so it is done once, at
 * creation; afterwards the number alone leads to the table. */
static const sai_kernels *sai_kernels_of(int32_t isa) {
    static const sai_kernels *const tables[] = {
#ifdef SAI_HAVE_PLAIN
        [SA_ISA_PLAIN] = &sai_kernels_plain,
        [SA_ISA_PLAIN_NOFMA] = &sai_kernels_plain_nofma,
#endif
#ifdef SAI_HAVE_AVX2
        [SA_ISA_AVX2] = &sai_kernels_avx2,
#endif
#ifdef SAI_HAVE_AVX512
        [SA_ISA_AVX512] = &sai_kernels_avx512,
#endif
#ifdef SAI_HAVE_AVX512_VNNI
        [SA_ISA_AVX512_VNNI] = &sai_kernels_avx512_vnni,
#endif
#ifdef SAI_HAVE_NEON
        [SA_ISA_NEON] = &sai_kernels_neon,
#endif
#ifdef SAI_HAVE_WASM
        [SA_ISA_WASM] = &sai_kernels_wasm,
#endif
#ifdef SAI_HAVE_WASM_RELAXED
        [SA_ISA_WASM_RELAXED] = &sai_kernels_wasm_relaxed,
#endif
#ifdef SAI_HAVE_RVV
        [SA_ISA_RVV] = &sai_kernels_rvv,
#endif
#ifdef SAI_HAVE_VSX
        [SA_ISA_VSX] = &sai_kernels_vsx,
#endif
#ifdef SAI_HAVE_VXE
        [SA_ISA_VXE] = &sai_kernels_vxe,
#endif
#ifdef SAI_HAVE_AVX2_VNNI
        [SA_ISA_AVX2_VNNI] = &sai_kernels_avx2_vnni,
#endif
#ifdef SAI_HAVE_NEON_DOT
        [SA_ISA_NEON_DOT] = &sai_kernels_neon_dot,
#endif
    };
    return isa >= 0 && isa < (int32_t)(sizeof tables / sizeof *tables) ? tables[isa] : NULL;
}
static int sai_isa_available(int32_t isa) {
    if (!sai_kernels_of(isa)) return 0; /* not in this build */
    switch (isa) {
    case SA_ISA_PLAIN:
    case SA_ISA_PLAIN_NOFMA:
        return 1;
    case SA_ISA_AVX2:
        return dispatch_has_avx2();
    case SA_ISA_AVX512:
        return dispatch_has_avx512();
    case SA_ISA_AVX512_VNNI:
        return dispatch_has_avx512_vnni();
    case SA_ISA_NEON:
        return dispatch_has_neon();
    case SA_ISA_WASM:
        return dispatch_has_wasm();
    case SA_ISA_WASM_RELAXED:
        return dispatch_has_wasm_relaxed();
    case SA_ISA_RVV:
        return dispatch_has_rvv();
    case SA_ISA_VSX:
        return dispatch_has_vsx();
    case SA_ISA_VXE:
        return dispatch_has_vxe();
    case SA_ISA_AVX2_VNNI:
        return dispatch_has_avx2_vnni();
    case SA_ISA_NEON_DOT:
        return dispatch_has_neon_dot();
    default:
        return 0;
    }
}
/* The fastest first. Plain C is fast where fmaf is an instruction; else it multiplies and adds. */
static int32_t sai_isa_best(void) {
    static const int32_t order[] = {SA_ISA_AVX512_VNNI, SA_ISA_AVX512, SA_ISA_AVX2_VNNI,    SA_ISA_AVX2,
                                    SA_ISA_NEON_DOT,    SA_ISA_NEON,   SA_ISA_WASM_RELAXED, SA_ISA_WASM,
                                    SA_ISA_RVV,         SA_ISA_VSX,    SA_ISA_VXE};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (sai_isa_available(order[i])) return order[i];
    int32_t plain = dispatch_has_fast_fma() ? SA_ISA_PLAIN : SA_ISA_PLAIN_NOFMA;
    return sai_isa_available(plain) ? plain : SA_ISA_AUTO;
}
static int sai_dtype_built(int32_t dtype) {
    switch (dtype) {
#ifdef SA_NO_F16
    case SA_F16:
        return 0;
#endif
#ifdef SA_NO_BF16
    case SA_BF16:
        return 0;
#endif
#ifdef SA_NO_INTEGERS
    case SA_I8:
    case SA_I4:
        return 0;
#endif
    default:
        return 1;
    }
}

#elif SAI_PART == 1
/* ---- lib/kernels/vec_plain.h ---- */
/* The vector layer in plain C: 16 float lanes as an array. The definition of every operation.
 *
 * V_FMA_LANE(a, b, c) is set by the including file: fmaf, or multiply then add.
 */
#include <math.h>
#include <string.h>
typedef struct v16 {
    float lane[16];
} v16;
/* Tiles of a score that R rows process at once, and blocks of values: plain C has no registers to fill. */
#define V_ROWS 2
#define V_MOST_TILES 1
#define V_TILES(R) 1
#define V_BLOCKS(R) 1
#define V_UNROLL
#define V_INLINE static inline
#define V_CASES(CASE) CASE(1) CASE(2)
#define V_EACH(expr)                                                                                                   \
    v16 y;                                                                                                             \
    for (int i = 0; i < 16; i++) y.lane[i] = (expr);                                                                   \
    return y
static inline v16 v_set(float a) { V_EACH(a); }
static inline v16 v_load(const float *a) { V_EACH(a[i]); }
static inline void v_save(float *to, v16 a) { memcpy(to, a.lane, sizeof a.lane); }
static inline v16 v_load_f16(const uint16_t *a) { V_EACH(sai_f16_to_f32(a[i])); }
static inline void v_save_f16(uint16_t *to, v16 a) {
    for (int i = 0; i < 16; i++) to[i] = sai_f32_to_f16(a.lane[i]);
}
static inline v16 v_load_bf16(const uint16_t *a) { V_EACH(sai_bf16_to_f32(a[i])); }
static inline v16 v_add(v16 a, v16 b) { V_EACH(a.lane[i] + b.lane[i]); }
static inline v16 v_sub(v16 a, v16 b) { V_EACH(a.lane[i] - b.lane[i]); }
static inline v16 v_mul(v16 a, v16 b) { V_EACH(a.lane[i] * b.lane[i]); }
static inline v16 v_div(v16 a, v16 b) { V_EACH(a.lane[i] / b.lane[i]); }
static inline v16 v_fma(v16 a, v16 b, v16 c) { V_EACH(V_FMA_LANE(a.lane[i], b.lane[i], c.lane[i])); }
/* The second operand where either is NaN. */
static inline v16 v_max(v16 a, v16 b) { V_EACH(a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]); }
static inline v16 v_min(v16 a, v16 b) { V_EACH(a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]); }
static inline v16 v_abs(v16 a) { V_EACH(fabsf(a.lane[i])); }
/* a where x < z, else b. */
static inline v16 v_less(v16 x, v16 z, v16 a, v16 b) { V_EACH(x.lane[i] < z.lane[i] ? a.lane[i] : b.lane[i]); }
/* The sign of s on the magnitude of a. */
static inline v16 v_sign(v16 a, v16 s) { V_EACH(copysignf(a.lane[i], s.lane[i])); }
/* a in lanes [lo, hi), b elsewhere. */
static inline v16 v_range(int lo, int hi, v16 a, v16 b) { V_EACH(i >= lo && i < hi ? a.lane[i] : b.lane[i]); }
/* 2^(n - 127) where a = 1.5 * 2^23 + n holds the integer n in its low bits; 0 <= n <= 254, and 0 gives 0. */
static inline v16 v_exponent(v16 a) {
    v16 y;
    for (int i = 0; i < 16; i++) {
        uint32_t u;
        memcpy(&u, &a.lane[i], 4);
        u <<= 23;
        memcpy(&y.lane[i], &u, 4);
    }
    return y;
}
/* Lane i is lane i ^ 1, i ^ 2, i ^ 4, i ^ 8. */
static inline v16 v_swap1(v16 a) { V_EACH(a.lane[i ^ 1]); }
static inline v16 v_swap2(v16 a) { V_EACH(a.lane[i ^ 2]); }
static inline v16 v_swap4(v16 a) { V_EACH(a.lane[i ^ 4]); }
static inline v16 v_swap8(v16 a) { V_EACH(a.lane[i ^ 8]); }
/* The low byte of each lane's bits. */
static inline void v_save_bytes(uint8_t *to, v16 a) {
    for (int i = 0; i < 16; i++) to[i] = (uint8_t)sai_bits(a.lane[i]);
}
/* Of the lanes: those 8 apart first, then 4, 2, 1. The greatest is the second of two where either is NaN. */
static inline float v_sum(v16 a) {
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) a.lane[i] += a.lane[i + half];
    return a.lane[0];
}
static inline float v_greatest(v16 a) {
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) a.lane[i] = a.lane[i] > a.lane[i + half] ? a.lane[i] : a.lane[i + half];
    return a.lane[0];
}
#undef V_EACH
#undef SAI_PART
#define SAI_PART 8 /* lib/kernels/vec_integers.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 1

#elif SAI_PART == 2
/* ---- lib/kernels/body.h ---- */
/* The kernels, written once over a vector layer of 16 lanes. See kernel.h for the contract.
 *
 * Included once per instruction set, after names.h and vec_*.h. The order of every
 * floating-point operation on a value is fixed here; how many rows, tiles or blocks are in
 * flight (V_TILES, V_BLOCKS, V_ROWS) only says which values are processed side by side.
 *
 * With SAI_BASE, the suffix of another pass in the same file, only what meets stored integers is compiled; the other
 * entries of the table are the functions of that pass.
 */
/* Entries of the table: of this pass, and those that another pass has compiled already. */
#define SAI_OWN(stem) SAI_KERNEL(stem, SAI_SUFFIX)
#ifdef SAI_BASE
#define SAI_SHARED(stem) SAI_KERNEL(stem, SAI_BASE)
#else
#define SAI_SHARED(stem) SAI_OWN(stem)
#endif
/* Rows of a group, where there are many groups; a single one may have up to V_ROWS. */
#ifndef V_MANY
#define V_MANY V_ROWS
#endif
/* Entries that a build may leave out. */
#ifdef SA_NO_F16
#define SAI_F16(entry) NULL
#else
#define SAI_F16(entry) entry
#endif
#ifdef SA_NO_BF16
#define SAI_BF16(entry) NULL
#else
#define SAI_BF16(entry) entry
#endif
#ifdef SA_NO_INTEGERS
#define SAI_INTEGERS(entry) NULL
#else
#define SAI_INTEGERS(entry) entry
#endif
#ifndef SAI_BASE
#undef SAI_PART
#define SAI_PART 9 /* lib/kernels/floats.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2
#undef SAI_PART
#define SAI_PART 10 /* lib/kernels/rotate.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2
#ifndef SA_NO_INTEGERS
#undef SAI_PART
#define SAI_PART 11 /* lib/kernels/quantize.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2
#endif
#endif
/* ---------------------------- stored integers ----------------------------- */
#ifndef SA_NO_INTEGERS
#undef SAI_PART
#define SAI_PART 12 /* lib/kernels/integer_codes.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2
#define K_DTYPE i8
#define K_UNIT 4
#define K_ROW 32
#define K_OFFSET 128
#define K_BYTES(p, part) v_bytes(p)
#define K_VALUES(p, half) v_bytes((p) + 64 * (half))
#undef SAI_PART
#define SAI_PART 13 /* lib/kernels/integers.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2
#undef K_DTYPE
#undef K_UNIT
#undef K_ROW
#undef K_OFFSET
#undef K_BYTES
#undef K_VALUES
#define K_DTYPE i4
#define K_UNIT 8
#define K_ROW 16
#define K_OFFSET 8
#define K_BYTES(p, part) v_nibbles(p, part)
#define K_VALUES(p, half) v_nibbles(p, half)
#undef SAI_PART
#define SAI_PART 13 /* lib/kernels/integers.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2
#undef K_DTYPE
#undef K_UNIT
#undef K_ROW
#undef K_OFFSET
#undef K_BYTES
#undef K_VALUES
#endif
/* -------------------------------- the table ------------------------------- */
SAI_TABLE const sai_kernels SAI_PASTE(sai_kernels, SAI_SUFFIX) = {
    SAI_ISA,
    V_MANY,
    V_ROWS,
    {0, V_BLOCKS(1), V_BLOCKS(2), V_BLOCKS(3), V_BLOCKS(4), V_BLOCKS(5), V_BLOCKS(6), V_BLOCKS(7), V_BLOCKS(8)},
    {NULL, SAI_SHARED(score_f32), SAI_F16(SAI_SHARED(score_f16)), SAI_BF16(SAI_SHARED(score_bf16)),
     SAI_INTEGERS(SAI_OWN(score_i8)), SAI_INTEGERS(SAI_OWN(score_i4))},
    {NULL, SAI_SHARED(value_f32), SAI_F16(SAI_SHARED(value_f16)), SAI_BF16(SAI_SHARED(value_bf16)), NULL, NULL},
    {NULL, NULL, NULL, NULL, SAI_INTEGERS(SAI_OWN(value_i8)), SAI_INTEGERS(SAI_OWN(value_i4))},
    SAI_INTEGERS(SAI_OWN(pack_query)),
    {NULL, SAI_SHARED(score_many_f32), SAI_F16(SAI_SHARED(score_many_f16)), SAI_BF16(SAI_SHARED(score_many_bf16))},
    {NULL, SAI_SHARED(value_many_f32), SAI_F16(SAI_SHARED(value_many_f16)), SAI_BF16(SAI_SHARED(value_many_bf16))},
    SAI_SHARED(softmax),
    SAI_SHARED(shares),
    SAI_SHARED(fold),
    SAI_SHARED(merge),
    SAI_SHARED(divide),
    SAI_SHARED(exponential),
    SAI_SHARED(squares),
    {NULL, SAI_SHARED(load_f32), SAI_F16(SAI_SHARED(load_f16)), SAI_BF16(SAI_SHARED(load_bf16))},
    {NULL, SAI_SHARED(store_f32), SAI_F16(SAI_SHARED(store_f16)), SAI_BF16(SAI_SHARED(store_bf16))},
    SAI_SHARED(rope_row),
    SAI_SHARED(rope_rotate),
    SAI_INTEGERS(SAI_SHARED(hadamard)),
    {NULL, NULL, NULL, NULL, SAI_INTEGERS(SAI_SHARED(quantize_i8)), SAI_INTEGERS(SAI_SHARED(quantize_i4))},
};
#undef SAI_OWN
#undef SAI_F16
#undef SAI_BF16
#undef SAI_INTEGERS
#undef SAI_SHARED
#undef SAI_PART
#define SAI_PART 14 /* lib/kernels/parameters_end.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 2

#elif SAI_PART == 3
/* ---- lib/kernels/vec_avx2.h ---- */
/* The vector layer on AVX2 + FMA + F16C: 16 lanes as two ymm registers.
 *
 */
#include <immintrin.h>
/* 16 ymm registers: R rows times T tiles take 2RT of them; 12 leave room for operands. */
#define V_ROWS 6
#define V_MOST_TILES 4
#define V_TILES(R) ((R) == 1 ? 4 : (R) == 2 ? 3 : (R) == 3 ? 2 : 1)
#define V_BLOCKS(R) V_TILES(R)
#define V_UNROLL SAI_UNROLL_FULLY
#define V_INLINE SAI_INLINE_ALWAYS
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#define V_BOTH(op)                                                                                                     \
    v16 y;                                                                                                             \
    y.a = op(x.a, z.a);                                                                                                \
    y.b = op(x.b, z.b);                                                                                                \
    return y
typedef struct v16 {
    __m256 a, b;
} v16;
static inline v16 v_make(__m256 a, __m256 b) {
    v16 y;
    y.a = a;
    y.b = b;
    return y;
}
static inline v16 v_set(float x) { return v_make(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
static inline v16 v_load(const float *p) { return v_make(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }
static inline void v_save(float *p, v16 x) {
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
static inline __m256 v_widen_f16(const uint16_t *p) {
    __m128i half = _mm_loadu_si128((const __m128i *)p);
    SAI_KEEP_LOAD("x", half);
    return _mm256_cvtph_ps(half);
}
static inline v16 v_load_f16(const uint16_t *p) { return v_make(v_widen_f16(p), v_widen_f16(p + 8)); }
static inline void v_save_f16(uint16_t *p, v16 x) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
static inline __m256 v_widen_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
static inline v16 v_load_bf16(const uint16_t *p) { return v_make(v_widen_bf16(p), v_widen_bf16(p + 8)); }
static inline v16 v_add(v16 x, v16 z) { V_BOTH(_mm256_add_ps); }
static inline v16 v_sub(v16 x, v16 z) { V_BOTH(_mm256_sub_ps); }
static inline v16 v_mul(v16 x, v16 z) { V_BOTH(_mm256_mul_ps); }
static inline v16 v_div(v16 x, v16 z) { V_BOTH(_mm256_div_ps); }
static inline v16 v_fma(v16 x, v16 z, v16 c) {
    return v_make(_mm256_fmadd_ps(x.a, z.a, c.a), _mm256_fmadd_ps(x.b, z.b, c.b));
}
static inline v16 v_max(v16 x, v16 z) { V_BOTH(_mm256_max_ps); }
static inline v16 v_min(v16 x, v16 z) { V_BOTH(_mm256_min_ps); }
static inline v16 v_abs(v16 x) {
    __m256 sign = _mm256_set1_ps(-0.0f);
    return v_make(_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b));
}
static inline v16 v_less(v16 x, v16 z, v16 a, v16 b) {
    return v_make(_mm256_blendv_ps(b.a, a.a, _mm256_cmp_ps(x.a, z.a, _CMP_LT_OQ)),
                  _mm256_blendv_ps(b.b, a.b, _mm256_cmp_ps(x.b, z.b, _CMP_LT_OQ)));
}
static inline v16 v_sign(v16 x, v16 s) {
    __m256 m = _mm256_set1_ps(-0.0f);
    return v_make(_mm256_or_ps(_mm256_andnot_ps(m, x.a), _mm256_and_ps(m, s.a)),
                  _mm256_or_ps(_mm256_andnot_ps(m, x.b), _mm256_and_ps(m, s.b)));
}
static inline __m256 v_range_half(int lo, int hi, __m256i lane, __m256 a, __m256 b) {
    __m256i in = _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(lo), lane),
                                     _mm256_cmpgt_epi32(_mm256_set1_epi32(hi), lane));
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(in));
}
static inline v16 v_range(int lo, int hi, v16 a, v16 b) {
    return v_make(v_range_half(lo, hi, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), a.a, b.a),
                  v_range_half(lo, hi, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15), a.b, b.b));
}
static inline __m256 v_exponent_half(__m256 a) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 23));
}
static inline v16 v_exponent(v16 x) { return v_make(v_exponent_half(x.a), v_exponent_half(x.b)); }
static inline v16 v_swap1(v16 x) { return v_make(_mm256_permute_ps(x.a, 0xb1), _mm256_permute_ps(x.b, 0xb1)); }
static inline v16 v_swap2(v16 x) { return v_make(_mm256_permute_ps(x.a, 0x4e), _mm256_permute_ps(x.b, 0x4e)); }
static inline v16 v_swap4(v16 x) {
    return v_make(_mm256_permute2f128_ps(x.a, x.a, 1), _mm256_permute2f128_ps(x.b, x.b, 1));
}
static inline v16 v_swap8(v16 x) { return v_make(x.b, x.a); }
/* Packing works within 128 bits: it gives lanes 0 .. 3 and 8 .. 11 in one half, the others in the other. */
static inline void v_save_bytes(uint8_t *p, v16 x) {
    __m256i low = _mm256_set1_epi32(0xff);
    __m256i y = _mm256_packs_epi32(_mm256_and_si256(_mm256_castps_si256(x.a), low),
                                   _mm256_and_si256(_mm256_castps_si256(x.b), low));
    y = _mm256_packus_epi16(y, y);
    _mm_storeu_si128((__m128i *)p, _mm_unpacklo_epi32(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1)));
}
static inline float v_sum_half(__m256 x) {
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}
static inline float v_greatest_half(__m256 x) {
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
}
static inline float v_sum(v16 x) { return v_sum_half(_mm256_add_ps(x.a, x.b)); }
static inline float v_greatest(v16 x) { return v_greatest_half(_mm256_max_ps(x.a, x.b)); }
/* ---- integers: four codes c = 256 h + l as a word of bytes h and one of l; or bytes are paired to 16 bits ---- */
/* The larger of the magnitude of x and z >= 0, as their bits say: NaN is the largest. */
static inline __m256 v_larger_half(__m256 x, __m256 z) {
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(x), _mm256_castps_si256(z)));
}
static inline v16 v_larger(v16 x, v16 z) {
    x = v_abs(x);
    V_BOTH(v_larger_half);
}
#ifdef V_HAVE_VNNI
#define V_INT_TILES(R) 1
#define V_INT_ROWS 1
#define V_INT_GROUPS(R) 1
#define V_INT_CASES(CASE) CASE(1)
typedef struct v16i {
    __m256i high_a, high_b, low_a, low_b;
} v16i;
typedef struct v64b {
    __m256i a, b;
} v64b;
static inline v64b v_tie(__m256i a, __m256i b) {
    v64b y;
    y.a = a;
    y.b = b;
    return y;
}
static inline v16i v_int(int32_t x) {
    v16i y;
    y.high_a = y.high_b = _mm256_setzero_si256();
    y.low_a = y.low_b = _mm256_set1_epi32(x);
    return y;
}
static inline __m256i v_join(__m256i high, __m256i low) { return _mm256_add_epi32(_mm256_slli_epi32(high, 8), low); }
static inline v16 v_from_int(v16i x) {
    return v_make(_mm256_cvtepi32_ps(v_join(x.high_a, x.low_a)), _mm256_cvtepi32_ps(v_join(x.high_b, x.low_b)));
}
static inline v16i v_load_int(const int32_t *p) {
    v16i y;
    y.high_a = y.high_b = _mm256_setzero_si256();
    y.low_a = _mm256_loadu_si256((const __m256i *)p);
    y.low_b = _mm256_loadu_si256((const __m256i *)(p + 8));
    return y;
}
static inline void v_save_int(int32_t *p, v16i x) {
    _mm256_storeu_si256((__m256i *)p, v_join(x.high_a, x.low_a));
    _mm256_storeu_si256((__m256i *)(p + 8), v_join(x.high_b, x.low_b));
}
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    __m256i high = _mm256_set1_epi32(quad[0]), low = _mm256_set1_epi32(quad[1]);
    sum.high_a = _mm256_dpbusd_avx_epi32(sum.high_a, k.a, high);
    sum.high_b = _mm256_dpbusd_avx_epi32(sum.high_b, k.b, high);
    sum.low_a = _mm256_dpbusd_avx_epi32(sum.low_a, k.a, low);
    sum.low_b = _mm256_dpbusd_avx_epi32(sum.low_b, k.b, low);
    return sum;
}
/* The low byte is signed: add 128 before taking the high byte, then xor the low byte with 0x80. */
static inline __m256i v_pack_half(__m256 x) {
    __m256i code = _mm256_add_epi32(_mm256_castps_si256(x), _mm256_set1_epi32(128));
    __m128i order = _mm_setr_epi8(1, 5, 9, 13, 0, 4, 8, 12, 1, 5, 9, 13, 0, 4, 8, 12);
    return _mm256_shuffle_epi8(code, _mm256_broadcastsi128_si256(order));
}
static inline void v_pack(v16 x, int32_t *pack) {
    __m256i words = _mm256_unpacklo_epi64(v_pack_half(x.a), v_pack_half(x.b));
    words = _mm256_xor_si256(_mm256_permute4x64_epi64(words, 0xd8), _mm256_set1_epi64x((int64_t)0x8080808000000000u));
    _mm256_storeu_si256((__m256i *)pack, words);
}
#else
#define V_INT_TILES(R) ((R) == 1 ? 2 : 1)
#define V_INT_ROWS 2
#define V_INT_GROUPS(R) ((R) == 1 ? 2 : 1)
#define V_INT_CASES(CASE) CASE(1) CASE(2)
typedef struct v16i {
    __m256i a, b;
} v16i;
typedef struct v64b {
    v16i even, odd;
} v64b;
static inline v64b v_tie(__m256i a, __m256i b) {
    __m256i low = _mm256_set1_epi16(0xff);
    v64b y;
    y.even.a = _mm256_and_si256(a, low);
    y.even.b = _mm256_and_si256(b, low);
    y.odd.a = _mm256_srli_epi16(a, 8);
    y.odd.b = _mm256_srli_epi16(b, 8);
    return y;
}
static inline v16i v_int(int32_t x) {
    v16i y;
    y.a = y.b = _mm256_set1_epi32(x);
    return y;
}
static inline v16 v_from_int(v16i x) { return v_make(_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)); }
static inline v16i v_load_int(const int32_t *p) {
    v16i y;
    y.a = _mm256_loadu_si256((const __m256i *)p);
    y.b = _mm256_loadu_si256((const __m256i *)(p + 8));
    return y;
}
static inline void v_save_int(int32_t *p, v16i x) {
    _mm256_storeu_si256((__m256i *)p, x.a);
    _mm256_storeu_si256((__m256i *)(p + 8), x.b);
}
static inline __m256i v_dot_half(__m256i sum, __m256i k_even, __m256i k_odd, __m256i even, __m256i odd) {
    return _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(k_even, even), _mm256_madd_epi16(k_odd, odd)));
}
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    __m256i even = _mm256_set1_epi32(quad[0]), odd = _mm256_set1_epi32(quad[1]);
    sum.a = v_dot_half(sum.a, k.even.a, k.odd.a, even, odd);
    sum.b = v_dot_half(sum.b, k.even.b, k.odd.b, even, odd);
    return sum;
}
/* Of four codes, 0 and 2 in one word, 1 and 3 in the next. */
static inline __m256i v_pack_half(__m256 x) {
    __m256i code = _mm256_castps_si256(x), next = _mm256_slli_epi32(_mm256_srli_si256(code, 8), 16);
    return _mm256_blend_epi16(code, next, 0xaa);
}
static inline void v_pack(v16 x, int32_t *pack) {
    __m256i words = _mm256_unpacklo_epi64(v_pack_half(x.a), v_pack_half(x.b));
    _mm256_storeu_si256((__m256i *)pack, _mm256_permute4x64_epi64(words, 0xd8));
}
#endif
static inline v64b v_bytes(const uint8_t *p) {
    return v_tie(_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)(p + 32)));
}
static inline v64b v_nibbles(const uint8_t *p, int high) {
    __m256i a = _mm256_loadu_si256((const __m256i *)p), b = _mm256_loadu_si256((const __m256i *)(p + 32));
    __m256i low = _mm256_set1_epi8(15);
    if (high) {
        a = _mm256_srli_epi16(a, 4);
        b = _mm256_srli_epi16(b, 4);
    }
    return v_tie(_mm256_and_si256(a, low), _mm256_and_si256(b, low));
}
#undef V_BOTH

#elif SAI_PART == 4
/* ---- lib/kernels/vec_avx512.h ---- */
/* The vector layer on AVX-512 (F, BW, DQ, VL): 16 lanes are one zmm register.
 *
 */
#include <immintrin.h>
/* 32 zmm registers: R rows times T tiles, T operands and a broadcast must fit. T divides a chunk's 16. A group of
 * 8 query heads passes over keys and values once; where rows are many, 6 make better use of the registers. */
#define V_ROWS 8
#define V_MANY 6
#define V_MOST_TILES 8
#define V_TILES(R) ((R) <= 2 ? 8 : (R) <= 6 ? 4 : 2)
#define V_BLOCKS(R) V_TILES(R)
#define V_UNROLL SAI_UNROLL_FULLY
#define V_INLINE SAI_INLINE_ALWAYS
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
typedef __m512 v16;
static inline v16 v_set(float x) { return _mm512_set1_ps(x); }
static inline v16 v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_save(float *p, v16 x) { _mm512_storeu_ps(p, x); }
static inline v16 v_load_f16(const uint16_t *p) {
    __m256i half = _mm256_loadu_si256((const __m256i *)p);
    SAI_KEEP_LOAD("v", half);
    return _mm512_cvtph_ps(half);
}
static inline void v_save_f16(uint16_t *p, v16 x) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
static inline v16 v_load_bf16(const uint16_t *p) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static inline v16 v_add(v16 x, v16 z) { return _mm512_add_ps(x, z); }
static inline v16 v_sub(v16 x, v16 z) { return _mm512_sub_ps(x, z); }
static inline v16 v_mul(v16 x, v16 z) { return _mm512_mul_ps(x, z); }
static inline v16 v_div(v16 x, v16 z) { return _mm512_div_ps(x, z); }
static inline v16 v_fma(v16 x, v16 z, v16 c) { return _mm512_fmadd_ps(x, z, c); }
static inline v16 v_max(v16 x, v16 z) { return _mm512_max_ps(x, z); }
static inline v16 v_min(v16 x, v16 z) { return _mm512_min_ps(x, z); }
static inline v16 v_abs(v16 x) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), x); }
static inline v16 v_less(v16 x, v16 z, v16 a, v16 b) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, z, _CMP_LT_OQ), b, a);
}
static inline v16 v_sign(v16 x, v16 s) {
    __m512 m = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(m, x), _mm512_and_ps(m, s));
}
static inline v16 v_range(int lo, int hi, v16 a, v16 b) {
    unsigned above = lo <= 0 ? 0xffffu : lo >= 16 ? 0u : 0xffffu << lo;
    unsigned below = hi <= 0 ? 0u : hi >= 16 ? 0xffffu : (1u << hi) - 1;
    return _mm512_mask_blend_ps((__mmask16)(above & below), b, a);
}
static inline v16 v_exponent(v16 x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x), 23)); }
static inline v16 v_swap1(v16 x) { return _mm512_permute_ps(x, 0xb1); }
static inline v16 v_swap2(v16 x) { return _mm512_permute_ps(x, 0x4e); }
static inline v16 v_swap4(v16 x) { return _mm512_shuffle_f32x4(x, x, 0xb1); }
static inline v16 v_swap8(v16 x) { return _mm512_shuffle_f32x4(x, x, 0x4e); }
static inline void v_save_bytes(uint8_t *p, v16 x) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_castps_si512(x)));
}
static inline float v_sum_half(__m256 x) {
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}
static inline float v_greatest_half(__m256 x) {
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
}
static inline __m256 v_upper(v16 x) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)); }
static inline float v_sum(v16 x) { return v_sum_half(_mm256_add_ps(_mm512_castps512_ps256(x), v_upper(x))); }
static inline float v_greatest(v16 x) { return v_greatest_half(_mm256_max_ps(_mm512_castps512_ps256(x), v_upper(x))); }
/* ---- integers: four codes c = 256 h + l as a word of bytes h and one of l; or bytes are paired to 16 bits ---- */
/* The larger of the magnitude of x and z >= 0, as their bits say: NaN is the largest. */
static inline v16 v_larger(v16 x, v16 z) {
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(v_abs(x)), _mm512_castps_si512(z)));
}
#ifdef V_HAVE_VNNI
#define V_INT_TILES(R) ((R) == 1 ? 1 : (R) == 2 ? 4 : 2)
#define V_INT_ROWS 4
#define V_INT_GROUPS(R) ((R) == 1 ? 4 : (R) == 2 ? 2 : 1)
#define V_INT_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4)
typedef struct v16i {
    __m512i high, low;
} v16i;
typedef __m512i v64b;
static inline v16i v_int(int32_t x) {
    v16i y;
    y.high = _mm512_setzero_si512();
    y.low = _mm512_set1_epi32(x);
    return y;
}
static inline __m512i v_join(v16i x) { return _mm512_add_epi32(_mm512_slli_epi32(x.high, 8), x.low); }
static inline v16 v_from_int(v16i x) { return _mm512_cvtepi32_ps(v_join(x)); }
static inline v16i v_load_int(const int32_t *p) {
    v16i y;
    y.high = _mm512_setzero_si512();
    y.low = _mm512_loadu_si512(p);
    return y;
}
static inline void v_save_int(int32_t *p, v16i x) { _mm512_storeu_si512(p, v_join(x)); }
static inline v64b v_bytes(const uint8_t *p) { return _mm512_loadu_si512(p); }
static inline v64b v_nibbles(const uint8_t *p, int high) {
    __m512i x = _mm512_loadu_si512(p);
    return _mm512_and_si512(high ? _mm512_srli_epi16(x, 4) : x, _mm512_set1_epi8(15));
}
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    sum.high = _mm512_dpbusd_epi32(sum.high, k, _mm512_set1_epi32(quad[0]));
    sum.low = _mm512_dpbusd_epi32(sum.low, k, _mm512_set1_epi32(quad[1]));
    return sum;
}
/* The low byte is signed: add 128 before taking the high byte, then xor the low byte with 0x80. */
static inline void v_pack(v16 x, int32_t *pack) {
    __m512i code = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(128));
    __m512i bytes = _mm512_shuffle_epi8(
        code, _mm512_broadcast_i32x4(_mm_setr_epi8(1, 5, 9, 13, 0, 4, 8, 12, 1, 5, 9, 13, 0, 4, 8, 12)));
    __m512i words = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 0, 2, 4, 6), bytes);
    _mm256_storeu_si256((__m256i *)pack, _mm256_xor_si256(_mm512_castsi512_si256(words),
                                                          _mm256_set1_epi64x((int64_t)0x8080808000000000u)));
}
#else
#define V_INT_TILES(R) ((R) <= 2 ? 4 : (R) == 3 ? 2 : 1)
#define V_INT_ROWS 8
#define V_INT_GROUPS(R) ((R) <= 2 ? 4 : (R) <= 4 ? 2 : 1)
#define V_INT_CASES(CASE) V_CASES(CASE)
typedef __m512i v16i;
typedef struct v64b {
    __m512i even, odd;
} v64b;
static inline v16i v_int(int32_t x) { return _mm512_set1_epi32(x); }
static inline v16 v_from_int(v16i x) { return _mm512_cvtepi32_ps(x); }
static inline v16i v_load_int(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline void v_save_int(int32_t *p, v16i x) { _mm512_storeu_si512(p, x); }
static inline v64b v_pair(__m512i bytes) {
    v64b y;
    y.even = _mm512_and_si512(bytes, _mm512_set1_epi16(0xff));
    y.odd = _mm512_srli_epi16(bytes, 8);
    return y;
}
static inline v64b v_bytes(const uint8_t *p) { return v_pair(_mm512_loadu_si512(p)); }
static inline v64b v_nibbles(const uint8_t *p, int high) {
    __m512i x = _mm512_loadu_si512(p);
    return v_pair(_mm512_and_si512(high ? _mm512_srli_epi16(x, 4) : x, _mm512_set1_epi8(15)));
}
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    __m512i even = _mm512_madd_epi16(k.even, v_int(quad[0]));
    return _mm512_add_epi32(sum, _mm512_add_epi32(even, _mm512_madd_epi16(k.odd, v_int(quad[1]))));
}
/* Of four codes, 0 and 2 in one word, 1 and 3 in the next. */
static inline void v_pack(v16 x, int32_t *pack) {
    __m512i code = _mm512_castps_si512(x), next = _mm512_slli_epi32(_mm512_bsrli_epi128(code, 8), 16);
    __m512i pairs = _mm512_mask_blend_epi16(0xaaaaaaaau, code, next);
    _mm256_storeu_si256((__m256i *)pack, _mm512_castsi512_si256(_mm512_permutexvar_epi64(
                                             _mm512_setr_epi64(0, 2, 4, 6, 0, 2, 4, 6), pairs)));
}
#endif

#elif SAI_PART == 5
/* ---- lib/kernels/vec_neon.h ---- */
/* The vector layer on AArch64's Advanced SIMD (NEON): 16 lanes as four q registers.
 *
 * Fused multiply-add and the conversions of binary16 are in every AArch64 processor.
 */
#include <arm_neon.h>
/* 32 q registers: R rows times T tiles take 4RT of them, the operands 4T and a broadcast. */
#define V_ROWS 6
#define V_MOST_TILES 4
#define V_TILES(R) ((R) == 1 ? 4 : (R) == 2 ? 2 : 1)
#define V_BLOCKS(R) V_TILES(R)
#define V_UNROLL SAI_UNROLL_FULLY
#define V_INLINE SAI_INLINE_ALWAYS
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
typedef struct v16 {
    float32x4_t a, b, c, d;
} v16;
#define V_QUARTERS(op)                                                                                                 \
    v16 y;                                                                                                             \
    y.a = op(x.a, z.a);                                                                                                \
    y.b = op(x.b, z.b);                                                                                                \
    y.c = op(x.c, z.c);                                                                                                \
    y.d = op(x.d, z.d);                                                                                                \
    return y
static inline v16 v_make(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d) {
    v16 y;
    y.a = a;
    y.b = b;
    y.c = c;
    y.d = d;
    return y;
}
static inline v16 v_set(float x) {
    float32x4_t all = vdupq_n_f32(x);
    return v_make(all, all, all, all);
}
static inline v16 v_load(const float *p) {
    return v_make(vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12));
}
static inline void v_save(float *p, v16 x) {
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
    vst1q_f32(p + 8, x.c);
    vst1q_f32(p + 12, x.d);
}
static inline float32x4_t v_widen_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
static inline v16 v_load_f16(const uint16_t *p) {
    return v_make(v_widen_f16(p), v_widen_f16(p + 4), v_widen_f16(p + 8), v_widen_f16(p + 12));
}
static inline void v_narrow_f16(uint16_t *p, float32x4_t x) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x))); }
static inline void v_save_f16(uint16_t *p, v16 x) {
    v_narrow_f16(p, x.a);
    v_narrow_f16(p + 4, x.b);
    v_narrow_f16(p + 8, x.c);
    v_narrow_f16(p + 12, x.d);
}
static inline float32x4_t v_widen_bf16(const uint16_t *p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
static inline v16 v_load_bf16(const uint16_t *p) {
    return v_make(v_widen_bf16(p), v_widen_bf16(p + 4), v_widen_bf16(p + 8), v_widen_bf16(p + 12));
}
static inline v16 v_add(v16 x, v16 z) { V_QUARTERS(vaddq_f32); }
static inline v16 v_sub(v16 x, v16 z) { V_QUARTERS(vsubq_f32); }
static inline v16 v_mul(v16 x, v16 z) { V_QUARTERS(vmulq_f32); }
static inline v16 v_div(v16 x, v16 z) { V_QUARTERS(vdivq_f32); }
static inline v16 v_fma(v16 x, v16 z, v16 c) {
    return v_make(vfmaq_f32(c.a, x.a, z.a), vfmaq_f32(c.b, x.b, z.b), vfmaq_f32(c.c, x.c, z.c),
                  vfmaq_f32(c.d, x.d, z.d));
}
/* Not FMAX and FMIN: they give NaN where either is NaN, and here the second operand is wanted. */
static inline float32x4_t v_max_quarter(float32x4_t x, float32x4_t z) { return vbslq_f32(vcgtq_f32(x, z), x, z); }
static inline float32x4_t v_min_quarter(float32x4_t x, float32x4_t z) { return vbslq_f32(vcltq_f32(x, z), x, z); }
static inline v16 v_max(v16 x, v16 z) { V_QUARTERS(v_max_quarter); }
static inline v16 v_min(v16 x, v16 z) { V_QUARTERS(v_min_quarter); }
static inline v16 v_abs(v16 x) { return v_make(vabsq_f32(x.a), vabsq_f32(x.b), vabsq_f32(x.c), vabsq_f32(x.d)); }
static inline v16 v_less(v16 x, v16 z, v16 a, v16 b) {
    return v_make(vbslq_f32(vcltq_f32(x.a, z.a), a.a, b.a), vbslq_f32(vcltq_f32(x.b, z.b), a.b, b.b),
                  vbslq_f32(vcltq_f32(x.c, z.c), a.c, b.c), vbslq_f32(vcltq_f32(x.d, z.d), a.d, b.d));
}
static inline float32x4_t v_sign_quarter(float32x4_t x, float32x4_t s) {
    return vbslq_f32(vdupq_n_u32(0x80000000u), s, x);
}
static inline v16 v_sign(v16 x, v16 z) { V_QUARTERS(v_sign_quarter); }
static inline float32x4_t v_range_quarter(int lo, int hi, int first, float32x4_t a, float32x4_t b) {
    static const int32_t lanes[4] = {0, 1, 2, 3};
    int32x4_t lane = vaddq_s32(vld1q_s32(lanes), vdupq_n_s32(first));
    return vbslq_f32(vandq_u32(vcgeq_s32(lane, vdupq_n_s32(lo)), vcltq_s32(lane, vdupq_n_s32(hi))), a, b);
}
static inline v16 v_range(int lo, int hi, v16 a, v16 b) {
    return v_make(v_range_quarter(lo, hi, 0, a.a, b.a), v_range_quarter(lo, hi, 4, a.b, b.b),
                  v_range_quarter(lo, hi, 8, a.c, b.c), v_range_quarter(lo, hi, 12, a.d, b.d));
}
static inline float32x4_t v_exponent_quarter(float32x4_t a) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(a), 23));
}
static inline v16 v_exponent(v16 x) {
    return v_make(v_exponent_quarter(x.a), v_exponent_quarter(x.b), v_exponent_quarter(x.c), v_exponent_quarter(x.d));
}
static inline v16 v_swap1(v16 x) {
    return v_make(vrev64q_f32(x.a), vrev64q_f32(x.b), vrev64q_f32(x.c), vrev64q_f32(x.d));
}
static inline v16 v_swap2(v16 x) {
    return v_make(vextq_f32(x.a, x.a, 2), vextq_f32(x.b, x.b, 2), vextq_f32(x.c, x.c, 2), vextq_f32(x.d, x.d, 2));
}
static inline v16 v_swap4(v16 x) { return v_make(x.b, x.a, x.d, x.c); }
static inline v16 v_swap8(v16 x) { return v_make(x.c, x.d, x.a, x.b); }
static inline uint16x8_t v_low_halves(float32x4_t x, float32x4_t z) {
    return vcombine_u16(vmovn_u32(vreinterpretq_u32_f32(x)), vmovn_u32(vreinterpretq_u32_f32(z)));
}
static inline void v_save_bytes(uint8_t *p, v16 x) {
    vst1q_u8(p, vcombine_u8(vmovn_u16(v_low_halves(x.a, x.b)), vmovn_u16(v_low_halves(x.c, x.d))));
}
static inline float v_sum(v16 x) {
    float32x4_t y = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
    float32x2_t z = vadd_f32(vget_low_f32(y), vget_high_f32(y));
    return vget_lane_f32(z, 0) + vget_lane_f32(z, 1);
}
static inline float v_greatest(v16 x) {
    float32x4_t y = v_max_quarter(v_max_quarter(x.a, x.c), v_max_quarter(x.b, x.d));
    y = v_max_quarter(y, vextq_f32(y, y, 2));
    return vgetq_lane_f32(v_max_quarter(y, vextq_f32(y, y, 1)), 0);
}
#undef V_QUARTERS
#undef SAI_PART
#define SAI_PART 15 /* lib/kernels/vec_neon_integers.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 5

#elif SAI_PART == 6
/* ---- lib/kernels/vec_wasm.h ---- */
/* The vector layer on WebAssembly SIMD128: 16 lanes as four v128.
 *
 * V_FMA_QUARTER(x, z, c) is set by the including file: relaxed SIMD's, or multiply, then add.
 */
#include <wasm_simd128.h>
typedef struct v16 {
    v128_t a, b, c, d;
} v16;
/* Engines on x86-64 have 16 registers for these, so that 12 sums leave room for operands. */
#define V_ROWS 3
#define V_MOST_TILES 2
#define V_TILES(R) ((R) == 1 ? 2 : 1)
#define V_BLOCKS(R) V_TILES(R)
#define V_UNROLL SAI_UNROLL_FULLY
#define V_INLINE SAI_INLINE_ALWAYS
#define V_CASES(CASE) CASE(1) CASE(2) CASE(3)
#define V_QUARTERS(op)                                                                                                 \
    v16 y;                                                                                                             \
    y.a = op(x.a, z.a);                                                                                                \
    y.b = op(x.b, z.b);                                                                                                \
    y.c = op(x.c, z.c);                                                                                                \
    y.d = op(x.d, z.d);                                                                                                \
    return y
static inline v16 v_make(v128_t a, v128_t b, v128_t c, v128_t d) {
    v16 y;
    y.a = a;
    y.b = b;
    y.c = c;
    y.d = d;
    return y;
}
static inline v16 v_set(float x) {
    v128_t all = wasm_f32x4_splat(x);
    return v_make(all, all, all, all);
}
static inline v16 v_load(const float *p) {
    return v_make(wasm_v128_load(p), wasm_v128_load(p + 4), wasm_v128_load(p + 8), wasm_v128_load(p + 12));
}
static inline void v_save(float *p, v16 x) {
    wasm_v128_store(p, x.a);
    wasm_v128_store(p + 4, x.b);
    wasm_v128_store(p + 8, x.c);
    wasm_v128_store(p + 12, x.d);
}
/* Of a sign-extended half: what is below the sign goes where a float has it, and a multiplication by 2^112 makes up for
 * the other bias, of normal numbers and subnormal ones alike: exact. */
static inline v128_t v_widen_finite(v128_t h) {
    v128_t moved = wasm_v128_and(wasm_i32x4_shl(h, 13), wasm_i32x4_splat(~0x70000000));
    return wasm_f32x4_mul(moved, wasm_f32x4_splat(0x1p112f));
}
/* Infinity and NaN (made quiet) get the largest exponent. */
static inline v128_t v_widen_any(v128_t h) {
    v128_t rest = wasm_v128_and(h, wasm_i32x4_splat(0x7fff));
    v128_t large = wasm_v128_and(wasm_i32x4_gt(rest, wasm_i32x4_splat(0x7bff)), wasm_i32x4_splat(0x7f800000));
    v128_t quiet = wasm_v128_and(wasm_i32x4_gt(rest, wasm_i32x4_splat(0x7c00)), wasm_i32x4_splat(0x400000));
    return wasm_v128_or(v_widen_finite(h), wasm_v128_or(large, quiet));
}
static inline v128_t v_large_f16(v128_t h) {
    v128_t exponent = wasm_i16x8_splat(0x7c00);
    return wasm_i16x8_eq(wasm_v128_and(h, exponent), exponent);
}
/* Infinities and NaNs are rare enough for a branch, and what they take is half of the work. */
static inline v16 v_load_f16(const uint16_t *p) {
    v128_t low = wasm_v128_load(p), high = wasm_v128_load(p + 8);
    v128_t a = wasm_i32x4_extend_low_i16x8(low), b = wasm_i32x4_extend_high_i16x8(low);
    v128_t c = wasm_i32x4_extend_low_i16x8(high), d = wasm_i32x4_extend_high_i16x8(high);
    if (wasm_v128_any_true(wasm_v128_or(v_large_f16(low), v_large_f16(high))))
        return v_make(v_widen_any(a), v_widen_any(b), v_widen_any(c), v_widen_any(d));
    return v_make(v_widen_finite(a), v_widen_finite(b), v_widen_finite(c), v_widen_finite(d));
}
static inline void v_save_f16(uint16_t *p, v16 x) {
    float lane[16];
    v_save(lane, x);
    for (int i = 0; i < 16; i++) p[i] = sai_f32_to_f16(lane[i]);
}
static inline v128_t v_widen_bf16(const uint16_t *p) { return wasm_i32x4_shl(wasm_u32x4_load16x4(p), 16); }
static inline v16 v_load_bf16(const uint16_t *p) {
    return v_make(v_widen_bf16(p), v_widen_bf16(p + 4), v_widen_bf16(p + 8), v_widen_bf16(p + 12));
}
static inline v16 v_add(v16 x, v16 z) { V_QUARTERS(wasm_f32x4_add); }
static inline v16 v_sub(v16 x, v16 z) { V_QUARTERS(wasm_f32x4_sub); }
static inline v16 v_mul(v16 x, v16 z) { V_QUARTERS(wasm_f32x4_mul); }
static inline v16 v_div(v16 x, v16 z) { V_QUARTERS(wasm_f32x4_div); }
static inline v16 v_fma(v16 x, v16 z, v16 c) {
    return v_make(V_FMA_QUARTER(x.a, z.a, c.a), V_FMA_QUARTER(x.b, z.b, c.b), V_FMA_QUARTER(x.c, z.c, c.c),
                  V_FMA_QUARTER(x.d, z.d, c.d));
}
/* pmax(z, x) is z < x ? x : z: the second operand where either is NaN, as wanted. pmin(z, x) is x < z ? x : z. */
static inline v128_t v_max_quarter(v128_t x, v128_t z) { return wasm_f32x4_pmax(z, x); }
static inline v128_t v_min_quarter(v128_t x, v128_t z) { return wasm_f32x4_pmin(z, x); }
static inline v16 v_max(v16 x, v16 z) { V_QUARTERS(v_max_quarter); }
static inline v16 v_min(v16 x, v16 z) { V_QUARTERS(v_min_quarter); }
static inline v16 v_abs(v16 x) {
    return v_make(wasm_f32x4_abs(x.a), wasm_f32x4_abs(x.b), wasm_f32x4_abs(x.c), wasm_f32x4_abs(x.d));
}
static inline v128_t v_less_quarter(v128_t x, v128_t z, v128_t a, v128_t b) {
    return wasm_v128_bitselect(a, b, wasm_f32x4_lt(x, z));
}
static inline v16 v_less(v16 x, v16 z, v16 a, v16 b) {
    return v_make(v_less_quarter(x.a, z.a, a.a, b.a), v_less_quarter(x.b, z.b, a.b, b.b),
                  v_less_quarter(x.c, z.c, a.c, b.c), v_less_quarter(x.d, z.d, a.d, b.d));
}
static inline v128_t v_sign_quarter(v128_t x, v128_t s) { return wasm_v128_bitselect(s, x, wasm_f32x4_splat(-0.0f)); }
static inline v16 v_sign(v16 x, v16 z) { V_QUARTERS(v_sign_quarter); }
static inline v128_t v_range_quarter(int lo, int hi, int first, v128_t a, v128_t b) {
    v128_t lane = wasm_i32x4_add(wasm_i32x4_const(0, 1, 2, 3), wasm_i32x4_splat(first));
    v128_t from_lo = wasm_i32x4_ge(lane, wasm_i32x4_splat(lo)), below_hi = wasm_i32x4_lt(lane, wasm_i32x4_splat(hi));
    return wasm_v128_bitselect(a, b, wasm_v128_and(from_lo, below_hi));
}
static inline v16 v_range(int lo, int hi, v16 a, v16 b) {
    return v_make(v_range_quarter(lo, hi, 0, a.a, b.a), v_range_quarter(lo, hi, 4, a.b, b.b),
                  v_range_quarter(lo, hi, 8, a.c, b.c), v_range_quarter(lo, hi, 12, a.d, b.d));
}
static inline v128_t v_exponent_quarter(v128_t a) { return wasm_i32x4_shl(a, 23); }
static inline v16 v_exponent(v16 x) {
    return v_make(v_exponent_quarter(x.a), v_exponent_quarter(x.b), v_exponent_quarter(x.c), v_exponent_quarter(x.d));
}
static inline v128_t v_swap1_quarter(v128_t x) { return wasm_i32x4_shuffle(x, x, 1, 0, 3, 2); }
static inline v128_t v_swap2_quarter(v128_t x) { return wasm_i32x4_shuffle(x, x, 2, 3, 0, 1); }
static inline v16 v_swap1(v16 x) {
    return v_make(v_swap1_quarter(x.a), v_swap1_quarter(x.b), v_swap1_quarter(x.c), v_swap1_quarter(x.d));
}
static inline v16 v_swap2(v16 x) {
    return v_make(v_swap2_quarter(x.a), v_swap2_quarter(x.b), v_swap2_quarter(x.c), v_swap2_quarter(x.d));
}
static inline v16 v_swap4(v16 x) { return v_make(x.b, x.a, x.d, x.c); }
static inline v16 v_swap8(v16 x) { return v_make(x.c, x.d, x.a, x.b); }
static inline void v_save_bytes(uint8_t *p, v16 x) {
    v128_t low = wasm_i32x4_splat(0xff);
    v128_t first = wasm_i16x8_narrow_i32x4(wasm_v128_and(x.a, low), wasm_v128_and(x.b, low));
    v128_t rest = wasm_i16x8_narrow_i32x4(wasm_v128_and(x.c, low), wasm_v128_and(x.d, low));
    wasm_v128_store(p, wasm_u8x16_narrow_i16x8(first, rest));
}
static inline float v_sum(v16 x) {
    v128_t y = wasm_f32x4_add(wasm_f32x4_add(x.a, x.c), wasm_f32x4_add(x.b, x.d));
    y = wasm_f32x4_add(y, wasm_i32x4_shuffle(y, y, 2, 3, 2, 3));
    return wasm_f32x4_extract_lane(y, 0) + wasm_f32x4_extract_lane(y, 1);
}
static inline float v_greatest(v16 x) {
    v128_t y = v_max_quarter(v_max_quarter(x.a, x.c), v_max_quarter(x.b, x.d));
    y = v_max_quarter(y, wasm_i32x4_shuffle(y, y, 2, 3, 2, 3));
    return wasm_f32x4_extract_lane(v_max_quarter(y, wasm_i32x4_shuffle(y, y, 1, 1, 1, 1)), 0);
}
#undef V_QUARTERS
#undef SAI_PART
#define SAI_PART 16 /* lib/kernels/vec_wasm_integers.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 6

#elif SAI_PART == 7
/* ---- lib/kernels/vec_gnu.h ---- */
/* The vector layer in the vectors of GNU C, for processors whose compilers turn them into instructions.
 *
 * Set by the including file: V_PART_LANES, 16 (one vector) or 4 (four of them); V_FMA_PART(a, b, c), fused;
 * V_ROWS, V_MOST_TILES, V_TILES, V_CASES. Nothing here is of one processor or one order of bytes.
 */
typedef float v_part __attribute__((vector_size(4 * V_PART_LANES)));
typedef int32_t v_bits __attribute__((vector_size(4 * V_PART_LANES)));
typedef uint32_t v_words __attribute__((vector_size(4 * V_PART_LANES)));
typedef uint16_t v_shorts __attribute__((vector_size(2 * V_PART_LANES)));
/* As they lie in memory: aligned like their elements, under pointers to the elements. */
typedef v_part v_part_there __attribute__((aligned(4), may_alias));
typedef v_shorts v_shorts_there __attribute__((aligned(2), may_alias));
typedef uint8_t v_octets __attribute__((vector_size(V_PART_LANES)));
typedef v_octets v_octets_there __attribute__((aligned(1), may_alias));
#define V_BLOCKS(R) V_TILES(R)
#define V_UNROLL SAI_UNROLL_FULLY
#define V_INLINE SAI_INLINE_ALWAYS
#if V_PART_LANES == 16
typedef struct v16 {
    v_part a;
} v16;
#define V_OTHERS(b, c, d)
#define V_SPLAT(x) x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x
#define V_COUNT 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#else
/* Members and not an array, which the compiler would keep in memory until it has unrolled its loops. */
typedef struct v16 {
    v_part a, b, c, d;
} v16;
#define V_OTHERS(b, c, d)                                                                                              \
    b;                                                                                                                 \
    c;                                                                                                                 \
    d
#define V_SPLAT(x) x, x, x, x
#define V_COUNT 0, 1, 2, 3
#endif
/* y from operands x and z, part by part. */
#define V_PARTS1(op)                                                                                                   \
    v16 y;                                                                                                             \
    y.a = op(x.a);                                                                                                     \
    V_OTHERS(y.b = op(x.b), y.c = op(x.c), y.d = op(x.d));                                                             \
    return y
#define V_PARTS2(op)                                                                                                   \
    v16 y;                                                                                                             \
    y.a = op(x.a, z.a);                                                                                                \
    V_OTHERS(y.b = op(x.b, z.b), y.c = op(x.c, z.c), y.d = op(x.d, z.d));                                              \
    return y
/* y from 16 elements at p. */
#define V_PARTS_AT(op)                                                                                                 \
    v16 y;                                                                                                             \
    y.a = op(p);                                                                                                       \
    V_OTHERS(y.b = op(p + 4), y.c = op(p + 8), y.d = op(p + 12));                                                      \
    return y
/* a where the mask is -1, b where it is 0. */
V_INLINE v_part v_choose(v_bits mask, v_part a, v_part b) { return (v_part)((mask & (v_bits)a) | (~mask & (v_bits)b)); }
V_INLINE v_part v_load_part(const float *p) { return *(const v_part_there *)p; }
V_INLINE v16 v_load(const float *p) { V_PARTS_AT(v_load_part); }
V_INLINE void v_save(float *p, v16 x) {
    *(v_part_there *)p = x.a;
    V_OTHERS(*(v_part_there *)(p + 4) = x.b, *(v_part_there *)(p + 8) = x.c, *(v_part_there *)(p + 12) = x.d);
}
V_INLINE v16 v_set(float x) {
    v_part all = {V_SPLAT(x)};
    v16 y;
    y.a = all;
    V_OTHERS(y.b = all, y.c = all, y.d = all);
    return y;
}
/* The exponent's bias differs by 112, which a multiplication mends for subnormals too. What comes out at 2^16 or
 * more was infinity or NaN and gets the largest exponent; NaN is made quiet. */
V_INLINE v_part v_widen_f16(const uint16_t *p) {
    v_words h = __builtin_convertvector(*(const v_shorts_there *)p, v_words);
    v_part y = (v_part)((h & 0x7fffu) << 13) * 0x1p112f;
    v_bits large = y >= 0x1p16f, nan = y > 0x1p16f;
    return (v_part)((v_words)y | ((v_words)large & 0x7f800000u) | ((v_words)nan & 0x400000u) | (h & 0x8000u) << 16);
}
V_INLINE v16 v_load_f16(const uint16_t *p) { V_PARTS_AT(v_widen_f16); }
V_INLINE void v_save_f16(uint16_t *p, v16 x) {
    float lane[16];
    v_save(lane, x);
    for (int i = 0; i < 16; i++) p[i] = sai_f32_to_f16(lane[i]);
}
V_INLINE v_part v_widen_bf16(const uint16_t *p) {
    return (v_part)(__builtin_convertvector(*(const v_shorts_there *)p, v_words) << 16);
}
V_INLINE v16 v_load_bf16(const uint16_t *p) { V_PARTS_AT(v_widen_bf16); }
V_INLINE v_part v_add_part(v_part x, v_part z) { return x + z; }
V_INLINE v_part v_sub_part(v_part x, v_part z) { return x - z; }
V_INLINE v_part v_mul_part(v_part x, v_part z) { return x * z; }
V_INLINE v_part v_div_part(v_part x, v_part z) { return x / z; }
V_INLINE v16 v_add(v16 x, v16 z) { V_PARTS2(v_add_part); }
V_INLINE v16 v_sub(v16 x, v16 z) { V_PARTS2(v_sub_part); }
V_INLINE v16 v_mul(v16 x, v16 z) { V_PARTS2(v_mul_part); }
V_INLINE v16 v_div(v16 x, v16 z) { V_PARTS2(v_div_part); }
V_INLINE v16 v_fma(v16 x, v16 z, v16 c) {
    v16 y;
    y.a = V_FMA_PART(x.a, z.a, c.a);
    V_OTHERS(y.b = V_FMA_PART(x.b, z.b, c.b), y.c = V_FMA_PART(x.c, z.c, c.c), y.d = V_FMA_PART(x.d, z.d, c.d));
    return y;
}
/* The second operand where either is NaN. */
V_INLINE v_part v_max_part(v_part x, v_part z) { return v_choose(x > z, x, z); }
V_INLINE v_part v_min_part(v_part x, v_part z) { return v_choose(x < z, x, z); }
V_INLINE v16 v_max(v16 x, v16 z) { V_PARTS2(v_max_part); }
V_INLINE v16 v_min(v16 x, v16 z) { V_PARTS2(v_min_part); }
V_INLINE v_part v_abs_part(v_part x) { return (v_part)((v_words)x & 0x7fffffffu); }
V_INLINE v16 v_abs(v16 x) { V_PARTS1(v_abs_part); }
V_INLINE v16 v_less(v16 x, v16 z, v16 a, v16 b) {
    v16 y;
    y.a = v_choose(x.a < z.a, a.a, b.a);
    V_OTHERS(y.b = v_choose(x.b < z.b, a.b, b.b), y.c = v_choose(x.c < z.c, a.c, b.c),
             y.d = v_choose(x.d < z.d, a.d, b.d));
    return y;
}
V_INLINE v_part v_sign_part(v_part x, v_part s) {
    return (v_part)(((v_words)x & 0x7fffffffu) | ((v_words)s & 0x80000000u));
}
V_INLINE v16 v_sign(v16 x, v16 z) { V_PARTS2(v_sign_part); }
V_INLINE v_part v_range_part(int lo, int hi, v_part a, v_part b) {
    v_bits lane = {V_COUNT};
    return v_choose((lane >= lo) & (lane < hi), a, b);
}
V_INLINE v16 v_range(int lo, int hi, v16 a, v16 b) {
    v16 y;
    y.a = v_range_part(lo, hi, a.a, b.a);
    V_OTHERS(y.b = v_range_part(lo - 4, hi - 4, a.b, b.b), y.c = v_range_part(lo - 8, hi - 8, a.c, b.c),
             y.d = v_range_part(lo - 12, hi - 12, a.d, b.d));
    return y;
}
V_INLINE v_part v_exponent_part(v_part x) { return (v_part)((v_words)x << 23); }
V_INLINE v16 v_exponent(v16 x) { V_PARTS1(v_exponent_part); }
#if defined(__clang__)
#define V_SHUFFLE(x, ...) __builtin_shufflevector(x, x, __VA_ARGS__)
#else
#define V_SHUFFLE(x, ...) __builtin_shuffle(x, (v_bits){__VA_ARGS__})
#endif
#if V_PART_LANES == 16
V_INLINE v_part v_swap1_part(v_part x) { return V_SHUFFLE(x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14); }
V_INLINE v_part v_swap2_part(v_part x) { return V_SHUFFLE(x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13); }
V_INLINE v_part v_swap4_part(v_part x) { return V_SHUFFLE(x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11); }
V_INLINE v_part v_swap8_part(v_part x) { return V_SHUFFLE(x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7); }
V_INLINE v16 v_swap4(v16 x) { V_PARTS1(v_swap4_part); }
V_INLINE v16 v_swap8(v16 x) { V_PARTS1(v_swap8_part); }
#else
V_INLINE v_part v_swap1_part(v_part x) { return V_SHUFFLE(x, 1, 0, 3, 2); }
V_INLINE v_part v_swap2_part(v_part x) { return V_SHUFFLE(x, 2, 3, 0, 1); }
V_INLINE v16 v_swap4(v16 x) {
    v16 y = {x.b, x.a, x.d, x.c};
    return y;
}
V_INLINE v16 v_swap8(v16 x) {
    v16 y = {x.c, x.d, x.a, x.b};
    return y;
}
#endif
#undef V_SHUFFLE
V_INLINE v16 v_swap1(v16 x) { V_PARTS1(v_swap1_part); }
V_INLINE v16 v_swap2(v16 x) { V_PARTS1(v_swap2_part); }
V_INLINE void v_save_octets(uint8_t *p, v_part x) {
    *(v_octets_there *)p = __builtin_convertvector((v_words)x, v_octets);
}
V_INLINE void v_save_bytes(uint8_t *p, v16 x) {
    v_save_octets(p, x.a);
    V_OTHERS(v_save_octets(p + 4, x.b), v_save_octets(p + 8, x.c), v_save_octets(p + 12, x.d));
}
V_INLINE float v_sum(v16 x) {
    float lane[16];
    v_save(lane, x);
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}
V_INLINE float v_greatest(v16 x) {
    float lane[16];
    v_save(lane, x);
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lane[i] = lane[i] > lane[i + half] ? lane[i] : lane[i + half];
    return lane[0];
}
#undef V_OTHERS
#undef V_SPLAT
#undef V_COUNT
#undef V_PARTS1
#undef V_PARTS2
#undef V_PARTS_AT
#undef SAI_PART
#define SAI_PART 8 /* lib/kernels/vec_integers.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 7

#elif SAI_PART == 8
/* ---- lib/kernels/vec_integers.h ---- */
/* The integer part of a vector layer in plain C: the definition of its operations.
 *
 * Sums of products stay below 2^31 (256 * 255 * 32639), so every instruction set computes the same; a sum becomes
 * a float rounded to nearest even. Also taken by instruction sets that have no better.
 */
/* Tiles of keys that a score of R rows processes at once. */
#define V_INT_TILES(R) 1
/* Rows and groups of values that are processed at once. */
#define V_INT_ROWS 1
#define V_INT_GROUPS(R) 1
#define V_INT_CASES(CASE) CASE(1)
/* The larger of the magnitude of x and z >= 0, as their bits say: NaN is the largest. */
static inline v16 v_larger(v16 x, v16 z) {
    float from[2][16], to[16];
    int32_t bits[2][16];
    v_save(from[0], v_abs(x));
    v_save(from[1], z);
    memcpy(bits, from, sizeof bits);
    for (int i = 0; i < 16; i++) bits[0][i] = bits[0][i] > bits[1][i] ? bits[0][i] : bits[1][i];
    memcpy(to, bits[0], sizeof to);
    return v_load(to);
}
typedef struct v16i {
    int32_t lane[16];
} v16i;
/* 16 keys times 4 dims, unsigned. */
typedef struct v64b {
    uint8_t byte[64];
} v64b;
static inline v16i v_int(int32_t x) {
    v16i y;
    for (int i = 0; i < 16; i++) y.lane[i] = x;
    return y;
}
static inline v16 v_from_int(v16i x) {
    float y[16];
    for (int i = 0; i < 16; i++) y[i] = (float)x.lane[i];
    return v_load(y);
}
static inline v64b v_bytes(const uint8_t *p) {
    v64b y;
    memcpy(y.byte, p, 64);
    return y;
}
static inline v64b v_nibbles(const uint8_t *p, int high) {
    v64b y;
    for (int i = 0; i < 64; i++) y.byte[i] = high ? p[i] >> 4 : p[i] & 15;
    return y;
}
static inline v16i v_load_int(const int32_t *p) {
    v16i y;
    memcpy(y.lane, p, sizeof y.lane);
    return y;
}
static inline void v_save_int(int32_t *p, v16i x) { memcpy(p, x.lane, sizeof x.lane); }
/* sum[lane] += the four products of a lane's bytes with a quad of codes. */
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    int16_t code[4];
    memcpy(code, quad, sizeof code);
    for (int i = 0; i < 16; i++)
        sum.lane[i] += code[0] * k.byte[4 * i] + code[1] * k.byte[4 * i + 1] + code[2] * k.byte[4 * i + 2] +
                       code[3] * k.byte[4 * i + 3];
    return sum;
}
/* Packs the codes in the low 16 bits of the lanes, as they are. */
static inline void v_pack(v16 x, int32_t *pack) {
    float lane[16];
    uint32_t bits[16];
    uint16_t code[16];
    v_save(lane, x);
    memcpy(bits, lane, sizeof bits);
    for (int i = 0; i < 16; i++) code[i] = (uint16_t)bits[i];
    memcpy(pack, code, sizeof code);
}

#elif SAI_PART == 9
/* ---- lib/kernels/floats.h ---- */
/* Softmax and what surrounds it, rows from and to f32, scores and value sums of floats.
 *
 * Included by body.h.
 */
/* ------------------------------- functions -------------------------------- */
/* 2^(d c), c > 0, d c <= 127: d c = n + r, |r| <= 1/2, and the polynomial of degree 5 that is 1 at 0: the
 * minimax polynomial, relative error 9e-8. n is rounded off by a number so large that its units are whole, and stands
 * in the low bits of the sum as an exponent: `low`, where d c is -127, makes that 0, and so the result. NaN stays. */
V_INLINE v16 k_power(v16 d, v16 c, v16 low) {
    v16 magic = v_set(0x1.8p23f + 127.0f);
    d = v_max(low, d);
    v16 big = v_fma(d, c, magic), r = v_fma(d, c, v_sub(magic, big));
    v16 p = v_set(0x1.5bda4p-10f);
    p = v_fma(p, r, v_set(0x1.3ce8acp-7f));
    p = v_fma(p, r, v_set(0x1.c6b6d8p-5f));
    p = v_fma(p, r, v_set(0x1.ebf9c2p-3f));
    p = v_fma(p, r, v_set(0x1.62e42ap-1f));
    p = v_fma(p, r, v_set(1.0f));
    return v_mul(p, v_exponent(big));
}
#define K_LOG2_E 0x1.715476p0f
/* exp(x) for x <= 88. */
V_INLINE v16 k_exp(v16 x) { return k_power(x, v_set(K_LOG2_E), v_set(-127.0f / K_LOG2_E)); }
/* tanh(x): near 0 the Taylor series to x^17 (its error below 0.5 is 1e-9), since 1 - 2/(e^2x + 1)
 * cancels there. NaN stays NaN. */
V_INLINE v16 k_tanh(v16 x) {
    v16 a = v_abs(x), z = v_mul(x, x), one = v_set(1.0f), two = v_set(2.0f);
    v16 p = v_set((float)(6404582.0 / 10854718875.0));
    p = v_fma(p, z, v_set((float)(-929569.0 / 638512875.0)));
    p = v_fma(p, z, v_set((float)(21844.0 / 6081075.0)));
    p = v_fma(p, z, v_set((float)(-1382.0 / 155925.0)));
    p = v_fma(p, z, v_set((float)(62.0 / 2835.0)));
    p = v_fma(p, z, v_set((float)(-17.0 / 315.0)));
    p = v_fma(p, z, v_set((float)(2.0 / 15.0)));
    p = v_fma(p, z, v_set((float)(-1.0 / 3.0)));
    v16 near = v_fma(v_mul(p, z), x, x);
    v16 e = k_exp(v_min(v_set(40.0f), v_mul(two, a)));
    v16 far = v_sign(v_sub(one, v_div(two, v_add(e, one))), x);
    return v_less(a, v_set(0.5f), near, far);
}
static float k_exponential(float x) {
    float a[16];
    v_save(a, k_exp(v_set(x)));
    return a[0];
}
/* -------------------------------- softmax --------------------------------- */
/* Dot products become logits, where that is more than one multiplication. */
V_INLINE v16 k_logits(v16 s, int tile, int row, const sai_logit *logit) {
    static const float lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    v16 x = v_mul(s, v_set(logit->scale));
    if (logit->softcap != 0) x = v_mul(k_tanh(v_div(x, v_set(logit->softcap))), v_set(logit->softcap));
    if (logit->biases) {
        v16 bias = v_load(logit->biases + 16 * tile), hidden = v_set(-INFINITY);
        return v_less(hidden, bias, v_add(x, bias), hidden);
    }
    if (!logit->slopes) return x;
    v16 key = v_mul(v_add(v_load(lanes), v_set((float)(16 * tile))), v_set(logit->step));
    v16 distance = v_sub(v_set(logit->distances[row]), key);
    return v_fma(v_set(-logit->slopes[row]), distance, x);
}
/* Scores beyond keys [lo, hi) of the tiles touched become -infinity, which weighs 0. */
V_INLINE void k_mask(float *s, int lo, int hi) {
    v16 lowest = v_set(-INFINITY);
    float *first = s + lo / 16 * 16, *last = s + hi / 16 * 16;
    if (lo % 16) v_save(first, v_range(lo % 16, 16, v_load(first), lowest));
    if (hi % 16) v_save(last, v_range(0, hi % 16, v_load(last), lowest));
}
/* The greatest of tiles [first, end): several chains, since each step of a chain depends on the one before. */
V_INLINE float k_greatest(const float *s, int first, int end) {
    v16 a = v_load(s + 16 * first), b = a, c = a, d = a;
    int i = first + 1;
    for (; i + 4 <= end; i += 4) {
        a = v_max(a, v_load(s + 16 * i));
        b = v_max(b, v_load(s + 16 * i + 16));
        c = v_max(c, v_load(s + 16 * i + 32));
        d = v_max(d, v_load(s + 16 * i + 48));
    }
    for (; i < end; i++) a = v_max(a, v_load(s + 16 * i));
    return v_greatest(v_max(v_max(a, b), v_max(c, d)));
}
/* Tiles [first, end) become 2^((s - top) c): difference, then product, so exact near the top, however large the
 * scores are. Returns their sum. */
V_INLINE float k_weigh(float *s, int first, int end, float top, v16 c, v16 low) {
    v16 sum = v_set(0.0f), most = v_set(top);
    for (int i = first; i < end; i++) {
        v16 p = k_power(v_sub(v_load(s + 16 * i), most), c, low);
        v_save(s + 16 * i, p);
        sum = v_add(sum, p);
    }
    return v_sum(sum);
}
/* Scores of one row become logits, all of them masked. */
V_INLINE void k_prepare(float *s, int row, int lo, int hi, int simple, const sai_logit *logit) {
    for (int i = lo / 16; !simple && 16 * i < hi; i++) v_save(s + 16 * i, k_logits(v_load(s + 16 * i), i, row, logit));
    k_mask(s, lo, hi);
}
/* First the greatest score of every row, then the weights of every row: a row's weights depend on its own greatest
 * score, and rows do not wait for each other. */
static void k_softmax(int rows, float *s, const int *lo, const int *hi, const sai_logit *logit, float *max, float *sum,
                      float *keep) {
    int simple = logit->softcap == 0 && !logit->slopes && !logit->biases;
    float factor = (simple ? logit->scale : 1.0f) * K_LOG2_E;
    v16 c = v_set(factor), low = v_set(-127.0f / factor);
    float before[16] = {0}, now[16] = {0}, added[16] = {0};
    for (int r = 0; r < rows; r++) {
        float *row = s + r * SAI_CHUNK;
        if (lo[r] >= hi[r]) continue;
        k_prepare(row, r, lo[r], hi[r], simple, logit);
        float top = k_greatest(row, lo[r] / 16, (hi[r] + 15) / 16);
        before[r] = max[r];
        now[r] = max[r] = max[r] > top ? max[r] : top;
        /* All keys are hidden, and there were none before: any finite number makes their weights 0. */
        if (logit->biases && now[r] == -INFINITY) now[r] = 0;
    }
    for (int r = 0; r < rows; r++)
        if (lo[r] < hi[r]) added[r] = k_weigh(s + r * SAI_CHUNK, lo[r] / 16, (hi[r] + 15) / 16, now[r], c, low);
    float weights[16];
    v_save(weights, k_power(v_sub(v_load(before), v_load(now)), c, low));
    for (int r = 0; r < rows; r++) {
        keep[r] = weights[r];
        sum[r] = sum[r] * weights[r] + added[r];
    }
}
/* Scores of rows become shares of softmaxes that are finished. Without softcap, slopes and biases the logit is one
 * product, and the difference from max is taken before it is rounded. */
static void k_shares(int rows, float *s, const int *lo, const int *hi, const sai_logit *logit, const float *max,
                     const float *inverse) {
    int simple = logit->softcap == 0 && !logit->slopes && !logit->biases;
    v16 scale = v_set(logit->scale);
    for (int r = 0; r < rows; r++) {
        /* Where all that a row sees is hidden, its max is -infinity, and every share is 0. */
        v16 less = v_set(inverse[r] == 0 ? -INFINITY : -max[r]), by = v_set(inverse[r]);
        for (int i = lo[r] / 16; lo[r] < hi[r] && 16 * i < hi[r]; i++) {
            float *at = s + r * SAI_CHUNK + 16 * i;
            v16 x = simple ? v_fma(v_load(at), scale, less) : v_add(k_logits(v_load(at), i, r, logit), less);
            v_save(at, v_mul(k_exp(x), by));
        }
    }
}
static void k_fold(int n, float *acc, float keep, const float *chain) {
    v16 weight = v_set(keep);
    for (int i = 0; i < n; i += 16)
        v_save(acc + i, v_add(v_fma(v_load(acc + i), weight, v_load(chain + i)), v_set(0.0f)));
}
/* The weights of up to 16 rows' states, b's and then a's, once their max is common; an empty a has none. */
static void k_merge_weights(int rows, float *max_a, const float *sum_a, const float *max_b, const float *sum_b,
                            float *weights) {
    float a[16] = {0}, b[16] = {0};
    for (int r = 0; r < rows; r++) {
        if (sum_b[r] == 0) continue;
        float max = max_a[r] > max_b[r] ? max_a[r] : max_b[r];
        a[r] = max_a[r] - max;
        b[r] = max_b[r] - max;
        max_a[r] = max;
    }
    v_save(weights, k_exp(v_load(b)));
    v_save(weights + 16, k_exp(v_load(a)));
    for (int r = 0; r < rows; r++)
        if (sum_a[r] == 0) weights[16 + r] = 0;
}
static void k_merge(int rows, int n, float *max_a, float *sum_a, float *acc_a, const float *max_b, const float *sum_b,
                    const float *acc_b) {
    float weights[32];
    for (int r = 0; r < rows; r++, acc_a += n, acc_b += n) {
        if (r % 16 == 0)
            k_merge_weights(rows - r < 16 ? rows - r : 16, max_a + r, sum_a + r, max_b + r, sum_b + r, weights);
        if (sum_b[r] == 0) continue;
        v16 a = v_set(weights[16 + r % 16]), b = v_set(weights[r % 16]);
        for (int i = 0; i < n; i += 16) v_save(acc_a + i, v_fma(v_load(acc_a + i), a, v_mul(v_load(acc_b + i), b)));
        sum_a[r] = sum_a[r] * weights[16 + r % 16] + sum_b[r] * weights[r % 16];
    }
}
static void k_divide(int n, float *acc, float sum) {
    v16 by = v_set(sum == 0 ? 1.0f : sum);
    for (int i = 0; i < n; i += 16) v_save(acc + i, v_div(v_load(acc + i), by));
}
static float k_squares(const float *x, int n) {
    v16 sum = v_set(0.0f);
    for (int i = 0; i < n; i += 16) sum = v_fma(v_load(x + i), v_load(x + i), sum);
    return v_sum(sum);
}
/* -------------------------- rows from and to f32 -------------------------- */
static void k_load_f32(const void *from, int n, float *to) { memcpy(to, from, (size_t)n * sizeof *to); }
static void k_store_f32(const float *from, int n, void *to) { memcpy(to, from, (size_t)n * sizeof *from); }
#ifndef SA_NO_F16
static void k_load_f16(const void *from, int n, float *to) {
    const uint16_t *h = (const uint16_t *)from;
    int i = 0;
    for (; i + 16 <= n; i += 16) v_save(to + i, v_load_f16(h + i));
    for (; i < n; i++) to[i] = sai_f16_to_f32(h[i]);
}
static void k_store_f16(const float *from, int n, void *to) {
    uint16_t *h = (uint16_t *)to;
    int i = 0;
    for (; i + 16 <= n; i += 16) v_save_f16(h + i, v_load(from + i));
    for (; i < n; i++) h[i] = sai_f32_to_f16(from[i]);
}
#endif
#ifndef SA_NO_BF16
static void k_load_bf16(const void *from, int n, float *to) {
    const uint16_t *h = (const uint16_t *)from;
    int i = 0;
    for (; i + 16 <= n; i += 16) v_save(to + i, v_load_bf16(h + i));
    for (; i < n; i++) to[i] = sai_bf16_to_f32(h[i]);
}
static void k_store_bf16(const float *from, int n, void *to) {
    uint16_t *h = (uint16_t *)to;
    for (int i = 0; i < n; i++) h[i] = sai_f32_to_bf16(from[i]);
}
#endif
/* ------------------------- scores and value sums -------------------------- */
/* Prefetches the line at `at`, and returns the line after it, where there is one before `end`. */
V_INLINE const char *k_prefetch(const char *at, const char *end) {
    SAI_PREFETCH_FAR(at);
    return at < end ? at + 64 : at;
}
/* How many tiles or blocks V_MANY rows take next, of `left`. One tile alone has too few chains to keep the multipliers
 * busy, so five are taken as three and two. */
V_INLINE int k_many_width(int left) {
    const int most = V_TILES(V_MANY);
    return left < most ? left : left == most + 1 && most > 2 ? most - 1 : most;
}
#define K_T float
#define K_LOAD v_load
#define K_DTYPE f32
#undef SAI_PART
#define SAI_PART 17 /* lib/kernels/products.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 9
#undef K_T
#undef K_LOAD
#undef K_DTYPE
#ifndef SA_NO_F16
#define K_T uint16_t
#define K_LOAD v_load_f16
#define K_DTYPE f16
#undef SAI_PART
#define SAI_PART 17 /* lib/kernels/products.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 9
#undef K_T
#undef K_LOAD
#undef K_DTYPE
#endif
#ifndef SA_NO_BF16
#define K_T uint16_t
#define K_LOAD v_load_bf16
#define K_DTYPE bf16
#undef SAI_PART
#define SAI_PART 17 /* lib/kernels/products.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 9
#undef K_T
#undef K_LOAD
#undef K_DTYPE
#endif

#elif SAI_PART == 10
/* ---- lib/kernels/rotate.h ---- */
/* Rotations by position: a row of cos and sin from exact phases, and a head vector rotated by it.
 *
 * The first is plain C that compilers turn into vectors of any instruction set: 16 phases at a time, numbers instead
 * of branches, no conversion that only some processors have. Sums and products of doubles, so the same everywhere.
 */
V_INLINE double k_double(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
V_INLINE uint64_t k_double_bits(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
/* A word of two's complement, rounded once: its halves, more by 2^31 and 0, become the low bits of 2^84 and of 2^52. */
V_INLINE double k_from_word(uint64_t x) {
    double high = k_double(0x4530000000000000ull | (x + 0x8000000000000000ull) >> 32);
    return high - (0x1p84 + 0x1p63 + 0x1p52) + k_double(0x4330000000000000ull | (x & 0xffffffffu));
}
/* cos and sin of a phase: the nearest multiple of a quarter turn is subtracted exactly, then Taylor to x^12 and x^11,
 * which below pi/4 are good to 1e-11. */
V_INLINE void k_cos_sin(uint64_t phase, double *cos_out, double *sin_out) {
    uint64_t quarter = (phase + 0x2000000000000000ull) >> 62;
    double x = k_from_word(phase - (quarter << 62)) * (6.283185307179586476925 * 0x1p-64), z = x * x;
    double s =
        x * (1 + z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 + z * (-1.0 / 39916800))))));
    double c =
        1 + z * (-0.5 +
                 z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800 + z * (1.0 / 479001600))))));
    uint64_t swap = 0 - (quarter & 1), difference = (k_double_bits(c) ^ k_double_bits(s)) & swap;
    *cos_out = k_double(k_double_bits(c) ^ difference ^ ((quarter + 1) & 2) << 62);
    *sin_out = k_double(k_double_bits(s) ^ difference ^ (quarter & 2) << 62);
}
/* Of 16 pairs; the results are local arrays, so that a compiler sees that writing them does not change the
 * frequencies. */
V_INLINE void k_rope_pairs(const uint64_t *frequency, uint64_t position, float factor, float *cosine, float *sine) {
    float c_all[16], s_all[16];
    for (int i = 0; i < 16; i++) {
        double c, s;
        k_cos_sin(position * frequency[i], &c, &s);
        c_all[i] = (float)c * factor;
        s_all[i] = (float)s * factor;
    }
    v_save(cosine, v_load(c_all));
    v_save(sine, v_load(s_all));
}
static void k_rope_row(const sai_rope *rope, const uint64_t *frequency, uint64_t position, float *row) {
    int i = 0;
    for (; i + 16 <= rope->pairs; i += 16)
        k_rope_pairs(frequency + i, position, rope->factor, row + i, row + rope->pairs + i);
    if (i < rope->pairs) {
        uint64_t rest[16] = {0};
        float cosine[16], sine[16];
        size_t n = (size_t)(rope->pairs - i);
        memcpy(rest, frequency + i, n * sizeof *rest);
        k_rope_pairs(rest, position, rope->factor, cosine, sine);
        memcpy(row + i, cosine, n * sizeof *row);
        memcpy(row + rope->pairs + i, sine, n * sizeof *row);
    }
}
static void k_rope_rotate(const sai_rope *rope, const float *row, float *x) {
    const float *cosine = row, *sine = row + rope->pairs;
    int step = rope->interleaved ? 2 : 1, other = rope->interleaved ? 1 : rope->pairs, i = 0;
    x += rope->offset;
    for (; !rope->interleaved && i + 16 <= rope->pairs; i += 16) {
        v16 a = v_load(x + i), b = v_load(x + i + other), c = v_load(cosine + i), s = v_load(sine + i);
        v_save(x + i, v_sub(v_mul(a, c), v_mul(b, s)));
        v_save(x + i + other, v_add(v_mul(b, c), v_mul(a, s)));
    }
    for (; i < rope->pairs; i++) {
        float a = x[i * step], b = x[i * step + other];
        x[i * step] = a * cosine[i] - b * sine[i];
        x[i * step + other] = b * cosine[i] + a * sine[i];
    }
}

#elif SAI_PART == 11
/* ---- lib/kernels/quantize.h ---- */
/* Keys and values become integers of 8 or 4 bits with a scale per group; keys and queries are rotated first.
 *
 * Keys have channels that are far larger than the rest, and a scale that serves them leaves the others
 * without digits. A Hadamard rotation of key and query (Ashkboos et al., "QuaRot", arXiv 2404.00456)
 * spreads a channel over its block, after which a group of 32 looks normal whatever the model is, and
 * changes no product. It needs no later token, unlike scales per channel (Liu et al., "KIVI",
 * arXiv 2402.02750), so a key is coded once, when it is appended, and chunking changes nothing. Values have no
 * such channels and are coded as they are.
 *
 * The bits are the same on every instruction set, those without fused multiply-add as well: v_fma stands only
 * where the product is exact.
 */
/* -------------------------------- rotation -------------------------------- */
/* The stages of blocks of n <= 16: lanes i and i + half become their sum and their difference. */
V_INLINE v16 k_hadamard_lanes(v16 x, const int n) {
    static const float signs[4][16] = {{1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1},
                                       {1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1},
                                       {1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1},
                                       {1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1}};
    if (n > 1) x = v_fma(x, v_load(signs[0]), v_swap1(x));
    if (n > 2) x = v_fma(x, v_load(signs[1]), v_swap2(x));
    if (n > 4) x = v_fma(x, v_load(signs[2]), v_swap4(x));
    if (n > 8) x = v_fma(x, v_load(signs[3]), v_swap8(x));
    return x;
}
/* A block of N vectors, a power of two, neighbours first. */
V_INLINE void k_hadamard_vectors(const int N, float *x, float factor) {
    v16 y[16], by = v_set(factor);
    V_UNROLL
    for (int i = 0; i < N; i++) y[i] = k_hadamard_lanes(v_load(x + 16 * i), 16);
    V_UNROLL
    for (int stage = 0; stage < 4; stage++) {
        V_UNROLL
        for (int i = 0; i < N; i++) {
            int other = i | 1 << stage;
            if (other == i || other >= N) continue;
            v16 a = y[i], b = y[other];
            y[i] = v_add(a, b);
            y[other] = v_sub(a, b);
        }
    }
    V_UNROLL
    for (int i = 0; i < N; i++) v_save(x + 16 * i, v_mul(y[i], by));
}
static void k_hadamard_few(float *x, int n, float factor) {
    float lane[16] = {0};
    memcpy(lane, x, (size_t)n * sizeof *x);
    v_save(lane, v_mul(k_hadamard_lanes(v_load(lane), n), v_set(factor)));
    memcpy(x, lane, (size_t)n * sizeof *x);
}
/* Blocks of the largest power of two that fits, 256 at most: 80 dims are rotated as 64 and 16. */
static void k_hadamard(float *x, int dims, int is_query) {
    for (int log; dims > 0; x += 1 << log, dims -= 1 << log) {
        for (log = 0; log < 8 && 2 << log <= dims;) log++;
        float factor = 1.0f / (float)(1 << (log + is_query) / 2);
        switch (log) {
        case 8:
            k_hadamard_vectors(16, x, factor);
            break;
        case 7:
            k_hadamard_vectors(8, x, factor);
            break;
        case 6:
            k_hadamard_vectors(4, x, factor);
            break;
        case 5:
            k_hadamard_vectors(2, x, factor);
            break;
        case 4:
            k_hadamard_vectors(1, x, factor);
            break;
        default:
            k_hadamard_few(x, 1 << log, factor);
            break;
        }
    }
}
/* ---------------------------------- codes --------------------------------- */
/* The reciprocal of a scale, of any sign: a 64th of it, so that the least number above 0 has one too. */
V_INLINE v16 k_inverse(uint16_t scale) {
    float x = sai_bf16_to_f32(scale);
    return v_set(x == 0 ? 0.0f : 0x1p-6f / x);
}
/* A number so large that the unit of a sum with it is a 64th: a code in 64ths is rounded to nearest even, and stands
 * in the low bits of the sum, more by `offset`. */
V_INLINE v16 k_magic(int offset) { return v_set(0x1.8p17f + (float)offset * 0x1p-6f); }
/* x / 127 in bfloat16, away from zero, so that no code passes 127. */
V_INLINE uint16_t k_group_i8(v16 a, v16 b, v16 magic, uint8_t *codes) {
    float most = v_greatest(v_max(v_abs(a), v_abs(b)));
    uint16_t scale = (uint16_t)((sai_bits(most / 127.0f) + 0xffffu) >> 16);
    v16 inverse = k_inverse(scale);
    v_save_bytes(codes, v_add(v_mul(a, inverse), magic));
    v_save_bytes(codes + 16, v_add(v_mul(b, inverse), magic));
    return scale;
}
/* Codes -8 .. 7 in 64ths. */
V_INLINE v16 k_code_i4(v16 x, v16 inverse) {
    return v_min(v_set(7 * 0x1p-6f), v_max(v_mul(x, inverse), v_set(-8 * 0x1p-6f)));
}
/* The scale that fits the codes of a scale best: <codes, x> / <codes, codes>. The denominator is exact. */
V_INLINE uint16_t k_fit_i4(v16 a, v16 b, uint16_t scale) {
    v16 inverse = k_inverse(scale), magic = k_magic(0), unit = v_set(64.0f);
    v16 c = v_mul(v_sub(v_add(k_code_i4(a, inverse), magic), magic), unit);
    v16 d = v_mul(v_sub(v_add(k_code_i4(b, inverse), magic), magic), unit);
    float square = v_sum(v_fma(c, c, v_mul(d, d)));
    return square > 0 ? sai_f32_to_bf16(v_sum(v_add(v_mul(c, a), v_mul(d, b))) / square) : scale;
}
/* The number of largest magnitude, of two the positive one, becomes -8, so all 16 codes are used; then the scale is
 * fitted to the codes, twice: on normal numbers that takes 3 % off the error. G groups are processed side by side,
 * since each step of one depends on the step before. */
V_INLINE void k_groups_i4(const int G, const v16 *x, v16 magic, uint8_t *codes, uint16_t *scales) {
    uint16_t scale[4];
    V_UNROLL
    for (int g = 0; g < G; g++) {
        float most = v_greatest(v_max(v_abs(x[2 * g]), v_abs(x[2 * g + 1])));
        /* As a bit: a branch would be mispredicted every other time. */
        uint32_t positive = v_greatest(v_max(x[2 * g], x[2 * g + 1])) == most;
        scale[g] = sai_f32_to_bf16(sai_float(sai_bits(most * 0.125f) ^ positive << 31));
    }
    V_UNROLL
    for (int g = 0; g < G; g++) scale[g] = k_fit_i4(x[2 * g], x[2 * g + 1], scale[g]);
    V_UNROLL
    for (int g = 0; g < G; g++) {
        v16 inverse = k_inverse(scale[g]);
        v_save_bytes(codes + 32 * g, v_add(k_code_i4(x[2 * g], inverse), magic));
        v_save_bytes(codes + 32 * g + 16, v_add(k_code_i4(x[2 * g + 1], inverse), magic));
        scales[g] = k_fit_i4(x[2 * g], x[2 * g + 1], scale[g]);
    }
}
/* NaN becomes the scale of each group with a number that is not finite. */
static void k_spoil(const float *x, int dims, uint16_t *scales) {
    for (int d = 0; d < dims; d++)
        if (!(fabsf(x[d]) <= 0x1.fffffep127f)) scales[d / SAI_GROUP] = 0x7fc0u;
}
/* G groups of 32 numbers; `rest` becomes NaN with them. */
V_INLINE void k_groups(const int bits, const int G, const float *x, v16 magic, uint8_t *codes, uint16_t *scales,
                       v16 *rest) {
    v16 y[8], zero = v_set(0.0f);
    V_UNROLL
    for (int i = 0; i < 2 * G; i++) {
        y[i] = v_load(x + 16 * i);
        *rest = v_fma(y[i], zero, *rest);
    }
    if (bits == 4) k_groups_i4(G, y, magic, codes, scales);
    V_UNROLL
    for (int g = 0; g < G; g++)
        if (bits == 8) scales[g] = k_group_i8(y[2 * g], y[2 * g + 1], magic, codes + 32 * g);
}
V_INLINE void k_quantize(const int bits, const float *x, int dims, int offset, uint8_t *codes, uint16_t *scales) {
    v16 rest = v_set(0.0f), magic = k_magic(offset);
    int d = 0;
    for (; d + 128 <= dims; d += 128) k_groups(bits, 4, x + d, magic, codes + d, scales + d / 32, &rest);
    for (; d + 64 <= dims; d += 64) k_groups(bits, 2, x + d, magic, codes + d, scales + d / 32, &rest);
    for (; d < dims; d += SAI_GROUP) {
        float few[SAI_GROUP] = {0};
        const float *from = x + d;
        if (dims - d < SAI_GROUP) from = (const float *)memcpy(few, from, (size_t)(dims - d) * sizeof *x);
        k_groups(bits, 1, from, magic, codes + d, scales + d / 32, &rest);
    }
    if (!(v_sum(rest) == 0)) k_spoil(x, dims, scales);
}
static void k_quantize_i8(const float *x, int dims, int offset, uint8_t *codes, uint16_t *scales) {
    k_quantize(8, x, dims, offset, codes, scales);
}
static void k_quantize_i4(const float *x, int dims, int offset, uint8_t *codes, uint16_t *scales) {
    k_quantize(4, x, dims, offset, codes, scales);
}

#elif SAI_PART == 12
/* ---- lib/kernels/integer_codes.h ---- */
/* Queries and weights as integers of 16 bits, packed for sums of products with stored integers.
 *
 * Included by body.h once. A number is rounded to an integer in the low bits of a float so large that its units are
 * whole; sums of up to 256 codes stay below 2^24 and so are exact as floats, in any order. v_pack says how 16
 * codes lie.
 */
#define K_MAGIC 0x1.8p23f
/* Least of what the greatest weight of a group counts as: its inverse and its step stay normal numbers. */
#define K_LEAST 0x1p-110f
/* See kernel.h. */
static void k_pack_query(const float *x, int dims, int offset, int32_t *packed) {
    int packs = sai_packs(dims), groups = sai_groups(dims);
    int32_t *sums = packed + SAI_PACK * packs;
    v16 zero = v_set(0.0f), most = zero, magic = v_set(K_MAGIC);
    for (int i = 0; i < packs; i++) most = v_larger(v_range(0, dims - 16 * i, v_load(x + 16 * i), zero), most);
    float scale = v_greatest(most) / (float)SAI_QUERY_MOST;
    int finite = v_sum(v_mul(most, zero)) == 0;
    v16 by = v_set(scale > 0 ? scale : 1.0f), limit = v_set(SAI_QUERY_MOST), sum = zero;
    for (int i = 0; i < packs; i++) {
        v16 y = v_div(v_range(0, dims - 16 * i, v_load(x + 16 * i), zero), by);
        y = v_add(v_max(v_sub(zero, limit), v_min(limit, y)), magic);
        v_pack(y, packed + SAI_PACK * i);
        sum = i % 2 ? v_add(sum, v_sub(y, magic)) : v_sub(y, magic);
        sums[i / 2] = finite ? -offset * (int32_t)v_sum(sum) : 0;
    }
    if (!finite) scale = NAN;
    memcpy(sums + groups, &scale, sizeof scale);
}
/* Groups whose weights are computed side by side: each has chains over the tiles. */
#define K_SIDE 4
/* Weights of tile t, times the scales of G groups, into x; 0 outside the visible range, even where the scale is NaN.
 * `most` becomes the largest magnitudes. */
V_INLINE void k_scaled(const int G, const sai_int_values *v, int r, int t, size_t scales_at, int edge, float *x,
                       v16 *most) {
    const uint8_t *scales = (const uint8_t *)v->tiles[t] + scales_at;
    v16 p = v_load(v->p + r * SAI_CHUNK + 16 * t);
    V_UNROLL
    for (int b = 0; b < G; b++) {
        v16 y = v_mul(p, v_load_bf16((const uint16_t *)(const void *)(scales + 32 * b)));
        if (edge) y = v_range(v->lo[r] - 16 * t, v->hi[r] - 16 * t, y, v_set(0.0f));
        v_save(x + b * SAI_CHUNK + 16 * t, y);
        most[b] = v_larger(y, most[b]);
    }
}
/* Row r's weights for G groups from g on: codes of the tiles it sees, what the values' offset adds to their sums, and
 * the factor of these sums. The first row prefetches the values, from `at` on, while this computes. */
V_INLINE const char *k_weigh_groups(const int G, const sai_int_values *v, int r, int g, int offset, size_t scales_at,
                                    sai_weights w, const char *at) {
    float x[K_SIDE * SAI_CHUNK];
    int from = v->lo[r] / 16, last = (v->hi[r] - 1) / 16, groups = (v->n_blocks + 1) / 2, line = r == 0 ? 64 : 0;
    int32_t *codes = w.codes + SAI_PACK * (size_t)(from * groups + g);
    v16 magic = v_set(K_MAGIC), most[K_SIDE], sum[K_SIDE], factor[K_SIDE];
    V_UNROLL
    for (int b = 0; b < G; b++) most[b] = sum[b] = v_set(0.0f);
    k_scaled(G, v, r, from, scales_at, 1, x, most);
    for (int t = from + 1; t < last; t++) {
        k_scaled(G, v, r, t, scales_at, 0, x, most);
        V_UNROLL
        for (int b = 0; b < G; b++) SAI_PREFETCH_FAR(at += line);
    }
    if (from < last) k_scaled(G, v, r, last, scales_at, 1, x, most);
    V_UNROLL
    for (int b = 0; b < G; b++) {
        int finite = v_sum(v_mul(most[b], v_set(0.0f))) == 0;
        float top = v_greatest(most[b]);
        top = top > K_LEAST ? top : K_LEAST;
        factor[b] = v_set((float)SAI_QUERY_MOST / top);
        w.step[g + b] = finite ? top / (float)SAI_QUERY_MOST : NAN;
    }
    for (int t = from; t <= last; t++, codes += SAI_PACK * groups) {
        V_UNROLL
        for (int b = 0; b < G; b++) {
            v16 y = v_fma(v_load(x + b * SAI_CHUNK + 16 * t), factor[b], magic);
            v_pack(y, codes + SAI_PACK * b);
            sum[b] = v_add(sum[b], v_sub(y, magic));
            SAI_PREFETCH_FAR(at += line);
        }
    }
    /* A step that is NaN stays so, whatever the sum is. */
    V_UNROLL
    for (int b = 0; b < G; b++) w.start[g + b] = w.step[g + b] == w.step[g + b] ? -offset * (int32_t)v_sum(sum[b]) : 0;
    return at;
}
/* All weights of row r; the codes are 0 in tiles that other rows see and this one does not. */
static void k_pack_weights(const sai_int_values *v, int r, int offset, size_t scales_at, const char *prefetch) {
    int groups = (v->n_blocks + 1) / 2, sees = v->lo[r] < v->hi[r];
    int from = sees ? v->lo[r] / 16 : v->end, end = sees ? (v->hi[r] + 15) / 16 : v->end;
    sai_weights w = sai_weights_at(v->scratch, r, groups);
    size_t tile = (size_t)groups * SAI_PACK * sizeof *w.codes;
    for (int t = v->first; t < v->end; t++)
        if (t < from || t >= end) memset(w.codes + SAI_PACK * (size_t)(t * groups), 0, tile);
    if (!sees) {
        memset(w.start, 0, (size_t)groups * sizeof *w.start);
        memset(w.step, 0, (size_t)groups * sizeof *w.step);
        return;
    }
    int g = 0;
    for (; g + K_SIDE <= groups; g += K_SIDE)
        prefetch = k_weigh_groups(K_SIDE, v, r, g, offset, scales_at + 32 * (size_t)g, w, prefetch);
    for (; g < groups; g++) prefetch = k_weigh_groups(1, v, r, g, offset, scales_at + 32 * (size_t)g, w, prefetch);
}
#undef K_SIDE
#undef K_MAGIC
#undef K_LEAST

#elif SAI_PART == 13
/* ---- lib/kernels/integers.h ---- */
/* Scores and value sums of keys stored as integers: sums of products that are exact, then one scale per group.
 *
 * Included by body.h once per stored integer dtype. K_DTYPE names it, K_UNIT is how many dims
 * 64 bytes of a K tile hold (4, or 8 as nibbles), K_ROW how many bytes 32 dims of V take, K_OFFSET what codes are
 * stored with. See integer_tiles.h for how tiles, queries and weights lie. Integers have no rounding, so any
 * instruction set may add them as it likes; what follows them is one chain over the groups, or over the chunks.
 */
/* How many bytes before its use a line is prefetched. A single row reads keys front to back, tile by tile, as it does
 * values: in decode beyond the cache four tiles side by side took 2 % longer with int8 and 4 % with int4. */
#define K_PREFETCH_BYTES 4096
/* Tiles of keys, or groups of values, in flight at most. */
#define K_MOST 8
/* Tiles of values that all rows and groups pass over before the next, where they do not fit the registers. */
#define K_STRIP 4
#define K_INT_GROUP K_NAME(int_group)
#define K_INT_TILES K_NAME(int_tiles)
#define K_INT_KEY_ROWS K_NAME(int_key_rows)
#define K_INT_KEYS K_NAME(int_keys)
#define K_SCORE K_NAME(score)
#define K_INT_SUMS K_NAME(int_sums)
#define K_INT_FOLD K_NAME(int_fold)
#define K_INT_VALUES K_NAME(int_values)
#define K_INT_VALUE_ROWS K_NAME(int_value_rows)
#define K_INT_STRIP K_NAME(int_strip)
#define K_VALUE K_NAME(value)
/* Products of dims [32 g, 32 g + 4 quads) of R queries and T tiles, added to sum. */
V_INLINE void K_INT_GROUP(const int R, const int T, const int32_t *q, size_t q_stride, const uint8_t *k, size_t k_tile,
                          int quads, v16i *sum) {
    for (int i = 0; i < quads; i += K_UNIT / 4) {
        const uint8_t *at = k + (size_t)i / (K_UNIT / 4) * 64;
        V_UNROLL
        for (int part = 0; part < K_UNIT / 4; part++) {
            v64b key[K_MOST];
            V_UNROLL
            for (int t = 0; t < T; t++) key[t] = K_BYTES(at + (size_t)t * k_tile, part);
            if (part == 0) {
                V_UNROLL
                for (int t = 0; t < T; t++) SAI_PREFETCH(at + (T == 1 ? K_PREFETCH_BYTES : (size_t)(t + 4) * k_tile));
            }
            V_UNROLL
            for (int r = 0; r < R; r++) {
                V_UNROLL
                for (int t = 0; t < T; t++)
                    sum[r * T + t] = v_dot(sum[r * T + t], key[t], q + (size_t)r * q_stride + 2 * (size_t)(i + part));
            }
        }
    }
}
V_INLINE void K_INT_TILES(const int R, const int T, const int32_t *q, size_t q_stride, const uint8_t *k, size_t k_tile,
                          int dk, float *s, size_t s_stride) {
    int groups = sai_groups(dk), quads = sai_query_quads(dk);
    const int32_t *starts = q + SAI_PACK * sai_packs(dk);
    const uint8_t *scales = k + sai_int_key_codes(dk, K_UNIT);
    v16 score[V_ROWS * K_MOST];
    V_UNROLL
    for (int i = 0; i < R * T; i++) score[i] = v_set(0.0f);
    for (int g = 0; g < groups; g++) {
        v16i sum[V_ROWS * K_MOST];
        int left = quads - 8 * g;
        V_UNROLL
        for (int r = 0; r < R; r++) {
            V_UNROLL
            for (int t = 0; t < T; t++) sum[r * T + t] = v_int(starts[(size_t)r * q_stride + (size_t)g]);
        }
        K_INT_GROUP(R, T, q + 2 * SAI_PACK * g, q_stride, k + (size_t)(32 / K_UNIT) * 64 * (size_t)g, k_tile,
                    left < 8 ? left : 8, sum);
        V_UNROLL
        for (int t = 0; t < T; t++) {
            v16 scale = v_load_bf16((const uint16_t *)(scales + (size_t)t * k_tile) + 16 * g);
            V_UNROLL
            for (int r = 0; r < R; r++) score[r * T + t] = v_fma(v_from_int(sum[r * T + t]), scale, score[r * T + t]);
        }
    }
    V_UNROLL
    for (int r = 0; r < R; r++) {
        float step;
        memcpy(&step, starts + (size_t)r * q_stride + (size_t)groups, sizeof step);
        V_UNROLL
        for (int t = 0; t < T; t++) v_save(s + (size_t)r * s_stride + 16 * t, v_mul(score[r * T + t], v_set(step)));
    }
}
V_INLINE void K_INT_KEY_ROWS(const int R, const int32_t *q, size_t q_stride, const uint8_t *k, int n_tiles, int dk,
                             float *s, size_t s_stride) {
    size_t k_tile = sai_int_key_tile(dk, K_UNIT);
    int t = 0;
    for (; t + V_INT_TILES(R) <= n_tiles; t += V_INT_TILES(R))
        K_INT_TILES(R, V_INT_TILES(R), q, q_stride, k + (size_t)t * k_tile, k_tile, dk, s + 16 * t, s_stride);
    for (; t < n_tiles; t++) K_INT_TILES(R, 1, q, q_stride, k + (size_t)t * k_tile, k_tile, dk, s + 16 * t, s_stride);
}
static void K_INT_KEYS(int rows, const int32_t *q, size_t q_stride, const uint8_t *k, int n_tiles, int dk, float *s,
                       size_t s_stride) {
#define K_CASE(R)                                                                                                      \
    case R:                                                                                                            \
        K_INT_KEY_ROWS(R, q, q_stride, k, n_tiles, dk, s, s_stride);                                                   \
        break;
    switch (rows) {
        V_INT_CASES(K_CASE)
    default:
        break;
    }
#undef K_CASE
}
/* More rows than the registers hold are split into parts, and each part processes a few tiles before the next. */
static void K_SCORE(int rows, const float *q, size_t q_stride, const void *k, int n_tiles, int dk,
                    const sai_following *next, float *s, size_t s_stride) {
    (void)next;
    int parts = (rows + V_INT_ROWS - 1) / V_INT_ROWS, part = (rows + parts - 1) / parts;
    int strip = parts == 1 ? n_tiles : K_STRIP;
    for (int t = 0; t < n_tiles; t += strip)
        for (int r = 0; r < rows; r += part)
            K_INT_KEYS(rows - r < part ? rows - r : part, (const int32_t *)(const void *)q + (size_t)r * q_stride,
                       q_stride, (const uint8_t *)k + (size_t)t * sai_int_key_tile(dk, K_UNIT),
                       n_tiles - t < strip ? n_tiles - t : strip, dk, s + (size_t)r * s_stride + 16 * t, s_stride);
}
/* Products of the keys of tiles [t, end) with the values of G groups from g on, for R rows from r on. */
V_INLINE void K_INT_SUMS(const int R, const int G, const sai_int_values *v, int r, int t, int end, int g, v16i *sum) {
    int groups = (v->n_blocks + 1) / 2;
    size_t quad = 4 * K_ROW * (size_t)groups, row = sai_weight_words(SAI_GROUP * groups);
    size_t codes = sai_int_value_codes(16 * v->n_blocks, K_ROW), tile = sai_int_value_tile(16 * v->n_blocks, K_ROW);
    /* Where several parts process a strip one after the other, the next strip is prefetched. */
    size_t prefetch = R > 1 || G < groups ? K_STRIP * tile : K_PREFETCH_BYTES;
    const int32_t *packs = sai_weights_at(v->scratch, r, groups).codes + SAI_PACK * (size_t)(t * groups + g);
    for (; t < end; t++, packs += SAI_PACK * groups) {
        const uint8_t *at = (const uint8_t *)v->tiles[t] + 4 * K_ROW * g;
        for (size_t i = codes; i < tile && r + g == 0; i += 64) SAI_PREFETCH(at + SAI_CHUNK_TILES * tile + i);
        SAI_ROLLED
        for (int i = 0; i < 8; i += 2, at += quad) {
            V_UNROLL
            for (int b = 0; b < G; b++) {
                const uint8_t *unit = at + b * 4 * K_ROW;
                v64b first = K_VALUES(unit, 0), rest = K_VALUES(unit, 1);
                SAI_PREFETCH(unit + prefetch);
                if (K_ROW == 32) SAI_PREFETCH(unit + 64 + prefetch);
                V_UNROLL
                for (int n = 0; n < R; n++) {
                    const int32_t *pack = packs + (size_t)n * row + SAI_PACK * b + i;
                    v16i *to = sum + 2 * (G * n + b);
                    to[0] = v_dot(to[0], first, pack);
                    to[1] = v_dot(to[1], rest, pack);
                }
            }
        }
    }
}
/* A row's sums of G groups from g on into acc: dims beyond the last block are left out. */
V_INLINE void K_INT_FOLD(const int G, const sai_int_values *v, int r, int g, const v16i *sum) {
    sai_weights w = sai_weights_at(v->scratch, r, (v->n_blocks + 1) / 2);
    float *acc = v->acc + (size_t)r * v->acc_stride + SAI_GROUP * g;
    v16 keep = v_set(v->keep[r]);
    V_UNROLL
    for (int b = 0; b < 2 * G; b++) {
        if (2 * g + b == v->n_blocks) break;
        v16 chain = v_mul(v_from_int(sum[b]), v_set(w.step[g + b / 2]));
        v_save(acc + 16 * b, v_add(v_fma(v_load(acc + 16 * b), keep, chain), v_set(0.0f)));
    }
}
/* The same, begun with the first tile of the chunk and folded into acc with the last; in memory between. */
V_INLINE void K_INT_VALUES(const int R, const int G, const sai_int_values *v, int r, int t, int end, int g) {
    v16i sum[V_INT_ROWS * 2 * K_MOST];
    V_UNROLL
    for (int n = 0; n < R; n++) {
        sai_weights w = sai_weights_at(v->scratch, r + n, (v->n_blocks + 1) / 2);
        V_UNROLL
        for (int b = 0; b < 2 * G; b++)
            sum[2 * G * n + b] =
                t == v->first ? v_int(w.start[g + b / 2]) : v_load_int(w.sums + SAI_GROUP * g + 16 * b);
    }
    K_INT_SUMS(R, G, v, r, t, end, g, sum);
    V_UNROLL
    for (int n = 0; n < R; n++) {
        int32_t *sums = sai_weights_at(v->scratch, r + n, (v->n_blocks + 1) / 2).sums + SAI_GROUP * g;
        if (end == v->end) {
            K_INT_FOLD(G, v, r + n, g, sum + 2 * G * n);
            continue;
        }
        V_UNROLL
        for (int b = 0; b < 2 * G; b++) v_save_int(sums + 16 * b, sum[2 * G * n + b]);
    }
}
V_INLINE void K_INT_VALUE_ROWS(const int R, const sai_int_values *v, int r, int t, int end) {
    int groups = (v->n_blocks + 1) / 2, g = 0;
    for (; g + V_INT_GROUPS(R) <= groups; g += V_INT_GROUPS(R)) K_INT_VALUES(R, V_INT_GROUPS(R), v, r, t, end, g);
    for (; V_INT_GROUPS(R) > 2 && g + 2 <= groups; g += 2) K_INT_VALUES(R, 2, v, r, t, end, g);
    for (; g < groups; g++) K_INT_VALUES(R, 1, v, r, t, end, g);
}
static void K_INT_STRIP(int rows, const sai_int_values *v, int r, int t, int end) {
#define K_CASE(R)                                                                                                      \
    case R:                                                                                                            \
        K_INT_VALUE_ROWS(R, v, r, t, end);                                                                             \
        break;
    switch (rows) {
        V_INT_CASES(K_CASE)
    default:
        break;
    }
#undef K_CASE
}
static void K_VALUE(int rows, const sai_int_values *v) {
    int parts = (rows + V_INT_ROWS - 1) / V_INT_ROWS, part = (rows + parts - 1) / parts;
    int fit = parts == 1 && (v->n_blocks + 1) / 2 <= V_INT_GROUPS(rows), strip = fit ? SAI_CHUNK_TILES : K_STRIP;
    size_t codes = sai_int_value_codes(16 * v->n_blocks, K_ROW);
    const char *prefetch = (const char *)v->tiles[v->first] + K_PREFETCH_BYTES;
    for (int r = 0; r < rows; r++) k_pack_weights(v, r, K_OFFSET, codes, prefetch);
    for (int t = v->first; t < v->end; t += strip)
        for (int r = 0; r < rows; r += part)
            K_INT_STRIP(rows - r < part ? rows - r : part, v, r, t, t + strip < v->end ? t + strip : v->end);
}
#undef K_PREFETCH_BYTES
#undef K_MOST
#undef K_STRIP
#undef K_INT_GROUP
#undef K_INT_TILES
#undef K_INT_KEY_ROWS
#undef K_INT_KEYS
#undef K_SCORE
#undef K_INT_SUMS
#undef K_INT_FOLD
#undef K_INT_VALUES
#undef K_INT_VALUE_ROWS
#undef K_INT_STRIP
#undef K_VALUE

#elif SAI_PART == 14
/* ---- lib/kernels/parameters_end.h ---- */
/* Undoes the parameters of a vector layer and of a pass over the kernels, so that the next one may set its own.
 *
 */
#undef V_INT_ROWS
#undef V_INT_GROUPS
#undef V_INT_CASES
#undef V_INT_TILES
#undef V_TILES
#undef V_BLOCKS
#undef V_ROWS
#undef V_MANY
#undef V_MOST_TILES
#undef V_CASES
#undef V_UNROLL
#undef V_INLINE
#undef V_HAVE_VNNI
#undef V_HAVE_DOT
#undef V_FMA_LANE
#undef V_FMA_PART
#undef V_FMA_QUARTER
#undef V_PART_LANES
#undef SAI_SUFFIX
#undef SAI_BASE
#undef SAI_ISA

#elif SAI_PART == 15
/* ---- lib/kernels/vec_neon_integers.h ---- */
/* The integer part of the NEON layer, with the dot products of bytes (V_HAVE_DOT) and without.
 *
 * A pack's code has 16 bits. Without dot products, bytes are paired to 16 bits, even ones and odd ones. With
 * them, a code c = 256 h + l is two signed bytes, and keys are made signed: what their offset adds is then 0.
 */
#define V_INT_TILES(R) ((R) == 1 ? 2 : 1)
#define V_INT_GROUPS(R) 1
#ifdef V_HAVE_DOT
#define V_INT_ROWS 1
#define V_INT_CASES(CASE) CASE(1)
#else
#define V_INT_ROWS 2
#define V_INT_CASES(CASE) CASE(1) CASE(2)
#endif
/* The larger of the magnitude of x and z >= 0, as their bits say: NaN is the largest. */
static inline float32x4_t v_larger_quarter(float32x4_t x, float32x4_t z) {
    return vreinterpretq_f32_s32(vmaxq_s32(vreinterpretq_s32_f32(vabsq_f32(x)), vreinterpretq_s32_f32(z)));
}
static inline v16 v_larger(v16 x, v16 z) {
    return v_make(v_larger_quarter(x.a, z.a), v_larger_quarter(x.b, z.b), v_larger_quarter(x.c, z.c),
                  v_larger_quarter(x.d, z.d));
}
#define V_OF_4(op, x)                                                                                                  \
    y.a = op(x.a);                                                                                                     \
    y.b = op(x.b);                                                                                                     \
    y.c = op(x.c);                                                                                                     \
    y.d = op(x.d)
/* 4 keys each, 4 bytes per key. */
typedef struct v64u {
    uint8x16_t a, b, c, d;
} v64u;
typedef struct v16s {
    int32x4_t a, b, c, d;
} v16s;
static inline v64u v_load_64(const uint8_t *p) {
    v64u y;
    y.a = vld1q_u8(p);
    y.b = vld1q_u8(p + 16);
    y.c = vld1q_u8(p + 32);
    y.d = vld1q_u8(p + 48);
    return y;
}
static inline uint8x16_t v_low_nibbles(uint8x16_t x) { return vandq_u8(x, vdupq_n_u8(15)); }
static inline uint8x16_t v_high_nibbles(uint8x16_t x) { return vshrq_n_u8(x, 4); }
static inline v64u v_load_nibbles(const uint8_t *p, int high) {
    v64u x = v_load_64(p), y;
    if (high) {
        V_OF_4(v_high_nibbles, x);
    } else {
        V_OF_4(v_low_nibbles, x);
    }
    return y;
}
#ifdef V_HAVE_DOT
typedef struct v16i {
    v16s high, low;
} v16i;
typedef struct v64b {
    int8x16_t a, b, c, d;
} v64b;
static inline v16i v_int(int32_t offset) {
    v16i y;
    (void)offset;
    y.low.a = y.low.b = y.low.c = y.low.d = vdupq_n_s32(0);
    y.high = y.low;
    return y;
}
static inline v16i v_load_int(const int32_t *p) {
    v16i y = v_int(0);
    y.low.a = vld1q_s32(p);
    y.low.b = vld1q_s32(p + 4);
    y.low.c = vld1q_s32(p + 8);
    y.low.d = vld1q_s32(p + 12);
    return y;
}
static inline int32x4_t v_join(int32x4_t high, int32x4_t low) { return vaddq_s32(vshlq_n_s32(high, 8), low); }
static inline void v_save_int(int32_t *p, v16i x) {
    vst1q_s32(p, v_join(x.high.a, x.low.a));
    vst1q_s32(p + 4, v_join(x.high.b, x.low.b));
    vst1q_s32(p + 8, v_join(x.high.c, x.low.c));
    vst1q_s32(p + 12, v_join(x.high.d, x.low.d));
}
static inline v16 v_from_int(v16i x) {
    return v_make(vcvtq_f32_s32(v_join(x.high.a, x.low.a)), vcvtq_f32_s32(v_join(x.high.b, x.low.b)),
                  vcvtq_f32_s32(v_join(x.high.c, x.low.c)), vcvtq_f32_s32(v_join(x.high.d, x.low.d)));
}
static inline int8x16_t v_less_128(uint8x16_t x) { return vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(0x80))); }
static inline int8x16_t v_less_8(uint8x16_t x) { return vreinterpretq_s8_u8(vsubq_u8(x, vdupq_n_u8(8))); }
static inline v64b v_bytes(const uint8_t *p) {
    v64u x = v_load_64(p);
    v64b y;
    V_OF_4(v_less_128, x);
    return y;
}
static inline v64b v_nibbles(const uint8_t *p, int high) {
    v64u x = v_load_nibbles(p, high);
    v64b y;
    V_OF_4(v_less_8, x);
    return y;
}
static inline v16s v_dot_bytes(v16s sum, v64b k, int8x16_t word) {
    sum.a = vdotq_s32(sum.a, k.a, word);
    sum.b = vdotq_s32(sum.b, k.b, word);
    sum.c = vdotq_s32(sum.c, k.c, word);
    sum.d = vdotq_s32(sum.d, k.d, word);
    return sum;
}
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    sum.high = v_dot_bytes(sum.high, k, vreinterpretq_s8_s32(vld1q_dup_s32(quad)));
    sum.low = v_dot_bytes(sum.low, k, vreinterpretq_s8_s32(vld1q_dup_s32(quad + 1)));
    return sum;
}
/* A word of bytes h, one of bytes l; l is signed, so h is rounded. */
static inline void v_pack(v16 x, int32_t *pack) {
    int16x8_t first = vuzp1q_s16(vreinterpretq_s16_f32(x.a), vreinterpretq_s16_f32(x.b));
    int16x8_t rest = vuzp1q_s16(vreinterpretq_s16_f32(x.c), vreinterpretq_s16_f32(x.d));
    int32x4x2_t words;
    words.val[0] = vreinterpretq_s32_s8(vcombine_s8(vrshrn_n_s16(first, 8), vrshrn_n_s16(rest, 8)));
    words.val[1] = vreinterpretq_s32_s8(vcombine_s8(vmovn_s16(first), vmovn_s16(rest)));
    vst2q_s32(pack, words);
}
#else
typedef v16s v16i;
typedef struct v64b {
    v64u bytes;
} v64b;
static inline v16i v_int(int32_t x) {
    v16i y;
    y.a = y.b = y.c = y.d = vdupq_n_s32(x);
    return y;
}
static inline v16i v_load_int(const int32_t *p) {
    v16i y;
    y.a = vld1q_s32(p);
    y.b = vld1q_s32(p + 4);
    y.c = vld1q_s32(p + 8);
    y.d = vld1q_s32(p + 12);
    return y;
}
static inline void v_save_int(int32_t *p, v16i x) {
    vst1q_s32(p, x.a);
    vst1q_s32(p + 4, x.b);
    vst1q_s32(p + 8, x.c);
    vst1q_s32(p + 12, x.d);
}
static inline v16 v_from_int(v16i x) {
    return v_make(vcvtq_f32_s32(x.a), vcvtq_f32_s32(x.b), vcvtq_f32_s32(x.c), vcvtq_f32_s32(x.d));
}
static inline v64b v_bytes(const uint8_t *p) {
    v64b y;
    y.bytes = v_load_64(p);
    return y;
}
static inline v64b v_nibbles(const uint8_t *p, int high) {
    v64b y;
    y.bytes = v_load_nibbles(p, high);
    return y;
}
static inline int32x4_t v_dot_quarter(int32x4_t sum, uint8x16_t k, int16x8_t even, int16x8_t odd) {
    uint16x8_t pairs = vreinterpretq_u16_u8(k);
    int16x8_t k_even = vreinterpretq_s16_u16(vandq_u16(pairs, vdupq_n_u16(0xff)));
    int16x8_t k_odd = vreinterpretq_s16_u16(vshrq_n_u16(pairs, 8));
    int32x4_t first = vmull_s16(vget_low_s16(k_even), vget_low_s16(even)), rest = vmull_high_s16(k_even, even);
    first = vmlal_s16(first, vget_low_s16(k_odd), vget_low_s16(odd));
    rest = vmlal_high_s16(rest, k_odd, odd);
    return vaddq_s32(sum, vpaddq_s32(first, rest));
}
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    int16x8_t even = vreinterpretq_s16_s32(vld1q_dup_s32(quad));
    int16x8_t odd = vreinterpretq_s16_s32(vld1q_dup_s32(quad + 1));
    sum.a = v_dot_quarter(sum.a, k.bytes.a, even, odd);
    sum.b = v_dot_quarter(sum.b, k.bytes.b, even, odd);
    sum.c = v_dot_quarter(sum.c, k.bytes.c, even, odd);
    sum.d = v_dot_quarter(sum.d, k.bytes.d, even, odd);
    return sum;
}
/* Of four codes, 0 and 2 in one word, 1 and 3 in the next. */
static inline int32x2_t v_pack_quarter(float32x4_t x) {
    int32x4_t code = vreinterpretq_s32_f32(x);
    return vsli_n_s32(vget_low_s32(code), vget_high_s32(code), 16);
}
static inline void v_pack(v16 x, int32_t *pack) {
    vst1q_s32(pack, vcombine_s32(v_pack_quarter(x.a), v_pack_quarter(x.b)));
    vst1q_s32(pack + 4, vcombine_s32(v_pack_quarter(x.c), v_pack_quarter(x.d)));
}
#endif
#undef V_OF_4

#elif SAI_PART == 16
/* ---- lib/kernels/vec_wasm_integers.h ---- */
/* The integer part of the WebAssembly layer: bytes paired to 16 bits, even ones and odd ones, for the products of pairs.
 *
 */
#define V_INT_TILES(R) ((R) == 1 ? 2 : 1)
#define V_INT_GROUPS(R) 1
#define V_INT_ROWS 2
#define V_INT_CASES(CASE) CASE(1) CASE(2)
/* The larger of the magnitude of x and z >= 0, as their bits say: NaN is the largest. */
static inline v128_t v_larger_quarter(v128_t x, v128_t z) { return wasm_i32x4_max(wasm_f32x4_abs(x), z); }
static inline v16 v_larger(v16 x, v16 z) {
    return v_make(v_larger_quarter(x.a, z.a), v_larger_quarter(x.b, z.b), v_larger_quarter(x.c, z.c),
                  v_larger_quarter(x.d, z.d));
}
typedef v16 v16i;
/* 4 keys each, 4 bytes per key. */
typedef struct v64b {
    v128_t a, b, c, d;
} v64b;
static inline v16i v_int(int32_t x) {
    v128_t all = wasm_i32x4_splat(x);
    return v_make(all, all, all, all);
}
static inline v16i v_load_int(const int32_t *p) {
    return v_make(wasm_v128_load(p), wasm_v128_load(p + 4), wasm_v128_load(p + 8), wasm_v128_load(p + 12));
}
static inline void v_save_int(int32_t *p, v16i x) {
    wasm_v128_store(p, x.a);
    wasm_v128_store(p + 4, x.b);
    wasm_v128_store(p + 8, x.c);
    wasm_v128_store(p + 12, x.d);
}
static inline v16 v_from_int(v16i x) {
    return v_make(wasm_f32x4_convert_i32x4(x.a), wasm_f32x4_convert_i32x4(x.b), wasm_f32x4_convert_i32x4(x.c),
                  wasm_f32x4_convert_i32x4(x.d));
}
static inline v64b v_bytes(const uint8_t *p) {
    v64b y;
    y.a = wasm_v128_load(p);
    y.b = wasm_v128_load(p + 16);
    y.c = wasm_v128_load(p + 32);
    y.d = wasm_v128_load(p + 48);
    return y;
}
static inline v128_t v_half_bytes(v128_t x, int high) {
    return high ? wasm_u8x16_shr(x, 4) : wasm_v128_and(x, wasm_i8x16_splat(15));
}
static inline v64b v_nibbles(const uint8_t *p, int high) {
    v64b x = v_bytes(p), y;
    y.a = v_half_bytes(x.a, high);
    y.b = v_half_bytes(x.b, high);
    y.c = v_half_bytes(x.c, high);
    y.d = v_half_bytes(x.d, high);
    return y;
}
static inline v128_t v_dot_quarter(v128_t sum, v128_t k, v128_t even, v128_t odd) {
    v128_t products = wasm_i32x4_dot_i16x8(wasm_v128_and(k, wasm_i16x8_splat(0xff)), even);
    return wasm_i32x4_add(wasm_i32x4_add(sum, products), wasm_i32x4_dot_i16x8(wasm_u16x8_shr(k, 8), odd));
}
/* sum[lane] += the four products of a lane's bytes with a quad of codes. */
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    v128_t even = wasm_v128_load32_splat(quad), odd = wasm_v128_load32_splat(quad + 1);
    sum.a = v_dot_quarter(sum.a, k.a, even, odd);
    sum.b = v_dot_quarter(sum.b, k.b, even, odd);
    sum.c = v_dot_quarter(sum.c, k.c, even, odd);
    sum.d = v_dot_quarter(sum.d, k.d, even, odd);
    return sum;
}
/* Of four codes, 0 and 2 in one word, 1 and 3 in the next. */
static inline v128_t v_pack_quads(v128_t x, v128_t z) {
    v128_t first = wasm_i32x4_shuffle(x, z, 0, 1, 4, 5), rest = wasm_i32x4_shuffle(x, z, 2, 3, 6, 7);
    return wasm_v128_or(wasm_v128_and(first, wasm_i32x4_splat(0xffff)), wasm_i32x4_shl(rest, 16));
}
static inline void v_pack(v16 x, int32_t *pack) {
    wasm_v128_store(pack, v_pack_quads(x.a, x.b));
    wasm_v128_store(pack + 4, v_pack_quads(x.c, x.d));
}

#elif SAI_PART == 17
/* ---- lib/kernels/products.h ---- */
/* Scores and value sums for one stored dtype: the two loops where all the time goes.
 *
 * Included by body.h once per dtype: K_T is the stored element, K_LOAD widens 16 of them,
 * K_DTYPE names them. R, T and B are constants wherever these are inlined, so that the
 * accumulators live in registers.
 */
#ifndef V_PREFETCH_KEYS
/* How many keys of V are read front to back before their next dims are, and how many keys before its use a line is
 * prefetched. 8, 24 and 32 were all slower, 32 by 13 % in decode with four rows on AVX2. */
#define V_PREFETCH_KEYS 16
#endif
/* Prefetches a line between the loads where it stands. GCC would move all prefetches of the loop together, and then
 * the loop takes 5 % longer. */
#define K_PREFETCH(p)                                                                                                  \
    do {                                                                                                               \
        SAI_KEEP_ORDER();                                                                                              \
        SAI_PREFETCH(p);                                                                                               \
        SAI_KEEP_ORDER();                                                                                              \
    } while (0)
#define K_BEGINS_LINE(i) ((i) * (int)sizeof(K_T) % 4 == 0)
#define K_ENDS_LINE(i) (((i) + 1) * (int)sizeof(K_T) % 4 == 0)
#define K_SCORE_TILES K_NAME(score_tiles)
#define K_SCORE_DIMS K_NAME(score_dims)
#define K_SCORE_GROUPS K_NAME(score_groups)
#define K_SCORE_ROWS K_NAME(score_rows)
#define K_VALUE_BLOCKS K_NAME(value_blocks)
#define K_VALUE_ROWS K_NAME(value_rows)
#define K_SCORE K_NAME(score)
#define K_VALUE K_NAME(value)
/* Few rows are memory-bound, so they prefetch. V_MANY rows are not: most of them find their keys in the cache.
 *
 * R rows times T tiles over n dims: lanes are keys, one chain over the dims each. With `add` the
 * chains are added to what stands in s. */
V_INLINE void K_SCORE_TILES(const int R, const int T, const float *q, size_t q_stride, const K_T *k, size_t k_tile,
                            const K_T *const *prefetch, size_t at, int n, int add, float *s, size_t s_stride) {
    v16 sum[V_ROWS * V_MOST_TILES];
    V_UNROLL
    for (int i = 0; i < R * T; i++) sum[i] = v_set(0.0f);
    for (int d = 0; d < n; d++) {
        v16 key[V_MOST_TILES];
        V_UNROLL
        for (int t = 0; t < T; t++) {
            key[t] = K_LOAD(k + (size_t)t * k_tile + at + 16 * d);
            if (R != V_MANY && K_ENDS_LINE(d)) K_PREFETCH(prefetch[t] + at + 16 * d);
        }
        V_UNROLL
        for (int r = 0; r < R; r++) {
            v16 x = v_set(q[(size_t)r * q_stride + (size_t)d]);
            V_UNROLL
            for (int t = 0; t < T; t++) sum[r * T + t] = v_fma(x, key[t], sum[r * T + t]);
        }
    }
    V_UNROLL
    for (int r = 0; r < R; r++) {
        V_UNROLL
        for (int t = 0; t < T; t++) {
            float *to = s + (size_t)r * s_stride + 16 * t;
            v_save(to, add ? v_add(v_load(to), sum[r * T + t]) : sum[r * T + t]);
        }
    }
}
/* All dims of T tiles, a chain per SAI_CHAIN dims: rounding errors grow with the length of a chain. */
V_INLINE void K_SCORE_DIMS(const int R, const int T, const float *q, size_t q_stride, const K_T *k,
                           const K_T *const *prefetch, int dk, float *s, size_t s_stride) {
    for (int d = 0; d < dk; d += SAI_CHAIN)
        K_SCORE_TILES(R, T, q + d, q_stride, k, 16 * (size_t)dk, prefetch, 16 * (size_t)d,
                      dk - d < SAI_CHAIN ? dk - d : SAI_CHAIN, d > 0, s, s_stride);
}
/* Groups of T tiles, as many as there are from tile t on, each prefetching the T tiles that follow it. */
V_INLINE int K_SCORE_GROUPS(const int R, const int T, const float *q, size_t q_stride, const K_T *k, int t, int n_tiles,
                            int dk, const sai_following *next, float *s, size_t s_stride) {
    size_t tile = (size_t)dk * 16;
    int64_t here = n_tiles + next->n;
    for (; t + T <= n_tiles; t += T) {
        const K_T *prefetch[V_MOST_TILES];
        V_UNROLL
        for (int i = 0; i < T; i++) {
            int64_t tiles = t + T + i;
            prefetch[i] =
                tiles < here ? k + (size_t)tiles * tile : (const K_T *)next->at + (size_t)(tiles - here) * tile;
        }
        K_SCORE_DIMS(R, T, q, q_stride, k + (size_t)t * tile, prefetch, dk, s + 16 * t, s_stride);
    }
    return t;
}
V_INLINE void K_SCORE_ROWS(const int R, const float *q, size_t q_stride, const K_T *k, int n_tiles, int dk,
                           const sai_following *next, float *s, size_t s_stride) {
    int t = K_SCORE_GROUPS(R, V_TILES(R), q, q_stride, k, 0, n_tiles, dk, next, s, s_stride);
    if (V_TILES(R) > 4) t = K_SCORE_GROUPS(R, 4, q, q_stride, k, t, n_tiles, dk, next, s, s_stride);
    if (V_TILES(R) > 2) t = K_SCORE_GROUPS(R, 2, q, q_stride, k, t, n_tiles, dk, next, s, s_stride);
    K_SCORE_GROUPS(R, 1, q, q_stride, k, t, n_tiles, dk, next, s, s_stride);
}
static void K_SCORE(int rows, const float *q, size_t q_stride, const void *k, int n_tiles, int dk,
                    const sai_following *next, float *s, size_t s_stride) {
#define K_CASE(R)                                                                                                      \
    case R:                                                                                                            \
        K_SCORE_ROWS(R, q, q_stride, (const K_T *)k, n_tiles, dk, next, s, s_stride);                                  \
        break;
    switch (rows) {
        V_CASES(K_CASE)
    default:
        break;
    }
#undef K_CASE
}
/* R rows times B blocks of 16 dims: lanes are dims, one chain over keys each. */
V_INLINE void K_VALUE_BLOCKS(const int R, const int B, const float *p, size_t p_stride, const K_T *v, size_t v_stride,
                             int n_keys, int here, const K_T *next, const float *keep, float *acc, size_t acc_stride) {
    v16 sum[V_ROWS * V_MOST_TILES];
    V_UNROLL
    for (int r = 0; r < R; r++) {
        V_UNROLL
        for (int b = 0; b < B; b++) sum[r * B + b] = keep ? v_set(0.0f) : v_load(acc + (size_t)r * acc_stride + 16 * b);
    }
    const K_T *prefetch =
        here > V_PREFETCH_KEYS ? v + V_PREFETCH_KEYS * v_stride : next + (size_t)(V_PREFETCH_KEYS - here) * v_stride;
    for (int u = 0; u < n_keys; u++) {
        v16 value[V_MOST_TILES];
        if (R != V_MANY && u + V_PREFETCH_KEYS == here) prefetch = next;
        V_UNROLL
        for (int b = 0; b < B; b++) {
            value[b] = K_LOAD(v + (size_t)u * v_stride + 16 * b);
            if (R != V_MANY && K_BEGINS_LINE(b)) K_PREFETCH(prefetch + 16 * b);
        }
        prefetch += v_stride;
        V_UNROLL
        for (int r = 0; r < R; r++) {
            v16 x = v_set(p[(size_t)r * p_stride + (size_t)u]);
            V_UNROLL
            for (int b = 0; b < B; b++) sum[r * B + b] = v_fma(x, value[b], sum[r * B + b]);
        }
    }
    V_UNROLL
    for (int r = 0; r < R; r++) {
        V_UNROLL
        for (int b = 0; b < B; b++) {
            float *to = acc + (size_t)r * acc_stride + 16 * b;
            v_save(to, keep ? v_add(v_fma(v_load(to), v_set(keep[r]), sum[r * B + b]), v_set(0.0f)) : sum[r * B + b]);
        }
    }
}
/* All blocks of some keys. Where they do not fit the registers, a few keys at a time, so that V is
 * read front to back. */
V_INLINE void K_VALUE_ROWS(const int R, const float *p, size_t p_stride, const K_T *v, size_t v_stride, int n_keys,
                           int n_blocks, const sai_following *next, const float *keep, float *acc, size_t acc_stride) {
    int most = n_blocks > V_BLOCKS(R) ? V_PREFETCH_KEYS : n_keys,
        here = n_keys + (next->n < V_PREFETCH_KEYS ? (int)next->n : V_PREFETCH_KEYS);
    for (int u = 0, n; u < n_keys; u += n, v += (size_t)n * v_stride, p += n) {
        n = n_keys - u < most ? n_keys - u : most;
        int b = 0;
        for (; b + V_BLOCKS(R) <= n_blocks; b += V_BLOCKS(R))
            K_VALUE_BLOCKS(R, V_BLOCKS(R), p, p_stride, v + 16 * b, v_stride, n, here - u,
                           (const K_T *)next->at + 16 * b, keep, acc + 16 * b, acc_stride);
        for (; V_BLOCKS(R) > 4 && b + 4 <= n_blocks; b += 4)
            K_VALUE_BLOCKS(R, 4, p, p_stride, v + 16 * b, v_stride, n, here - u, (const K_T *)next->at + 16 * b, keep,
                           acc + 16 * b, acc_stride);
        for (; V_BLOCKS(R) > 2 && b + 2 <= n_blocks; b += 2)
            K_VALUE_BLOCKS(R, 2, p, p_stride, v + 16 * b, v_stride, n, here - u, (const K_T *)next->at + 16 * b, keep,
                           acc + 16 * b, acc_stride);
        for (; b < n_blocks; b++)
            K_VALUE_BLOCKS(R, 1, p, p_stride, v + 16 * b, v_stride, n, here - u, (const K_T *)next->at + 16 * b, keep,
                           acc + 16 * b, acc_stride);
    }
}
static void K_VALUE(int rows, const float *p, size_t p_stride, const void *v, size_t v_stride, int n_keys, int n_blocks,
                    const sai_following *next, const float *keep, float *acc, size_t acc_stride) {
#define K_CASE(R)                                                                                                      \
    case R:                                                                                                            \
        K_VALUE_ROWS(R, p, p_stride, (const K_T *)v, v_stride, n_keys, n_blocks, next, keep, acc, acc_stride);         \
        break;
    switch (rows) {
        V_CASES(K_CASE)
    default:
        break;
    }
#undef K_CASE
}
#undef SAI_PART
#define SAI_PART 18 /* lib/kernels/many.h */
#include SA_THIS_FILE
#undef SAI_PART
#define SAI_PART 17
#undef K_PREFETCH
#undef K_BEGINS_LINE
#undef K_ENDS_LINE
#undef K_SCORE_TILES
#undef K_SCORE_DIMS
#undef K_SCORE_GROUPS
#undef K_SCORE_ROWS
#undef K_VALUE_BLOCKS
#undef K_VALUE_ROWS
#undef K_SCORE
#undef K_VALUE

#elif SAI_PART == 18
/* ---- lib/kernels/many.h ---- */
/* Scores and value sums where rows are many: V_MANY of them.
 *
 * Included by products.h, with its parameters. Such rows are compute-bound: the chunk they process lies in
 * the cache already. So they prefetch the next chunk, one line per K_STEPS steps of a loop. What is stored in another
 * dtype than f32 is also written to `wide` as f32, for the rows that come after: that is more than the first-level
 * cache holds, but the writes take little time while these rows multiply.
 */
#define K_STEPS 4
#if V_TILES(V_MANY) > 4 || V_BLOCKS(V_MANY) > 4
#error "the remainders of more than 4 tiles or blocks are not covered"
#endif
#define K_MANY_LOAD K_NAME(many_load)
#define K_MANY_DIM K_NAME(many_dim)
#define K_MANY_TILES K_NAME(many_tiles)
#define K_MANY_DIMS K_NAME(many_dims)
#define K_MANY_KEY K_NAME(many_key)
#define K_MANY_BLOCKS K_NAME(many_blocks)
#define K_SCORE_MANY K_NAME(score_many)
#define K_VALUE_MANY K_NAME(value_many)
V_INLINE v16 K_MANY_LOAD(const K_T *from, float *wide) {
    v16 x = K_LOAD(from);
    if (sizeof(K_T) < sizeof(float)) v_save(wide, x);
    return x;
}
/* One dim of T tiles, for V_MANY rows. */
V_INLINE void K_MANY_DIM(const int T, const float *q, size_t q_stride, const K_T *k, float *wide, size_t k_tile,
                         v16 *sum) {
    v16 key[V_MOST_TILES];
    V_UNROLL
    for (int t = 0; t < T; t++) key[t] = K_MANY_LOAD(k + (size_t)t * k_tile, wide + (size_t)t * k_tile);
    V_UNROLL
    for (int r = 0; r < V_MANY; r++) {
        v16 x = v_set(q[(size_t)r * q_stride]);
        V_UNROLL
        for (int t = 0; t < T; t++) sum[r * T + t] = v_fma(x, key[t], sum[r * T + t]);
    }
}
V_INLINE void K_MANY_TILES(const int T, const float *q, size_t q_stride, const K_T *k, float *wide, size_t k_tile,
                           int n, int add, float *s, size_t s_stride, sai_prefetch *prefetch) {
    v16 sum[V_MANY * V_MOST_TILES];
    const char *at = prefetch->at, *end = prefetch->end;
    int d = 0;
    V_UNROLL
    for (int i = 0; i < V_MANY * T; i++) sum[i] = v_set(0.0f);
    for (; d + K_STEPS <= n; d += K_STEPS) {
        at = k_prefetch(at, end);
        SAI_UNROLL_STEPS
        for (int i = 0; i < K_STEPS; i++)
            K_MANY_DIM(T, q + d + i, q_stride, k + 16 * (d + i), wide + 16 * (d + i), k_tile, sum);
    }
    for (; d < n; d++) K_MANY_DIM(T, q + d, q_stride, k + 16 * d, wide + 16 * d, k_tile, sum);
    prefetch->at = at;
    V_UNROLL
    for (int r = 0; r < V_MANY; r++) {
        V_UNROLL
        for (int t = 0; t < T; t++) {
            float *to = s + (size_t)r * s_stride + 16 * t;
            v_save(to, add ? v_add(v_load(to), sum[r * T + t]) : sum[r * T + t]);
        }
    }
}
V_INLINE void K_MANY_DIMS(const int T, const float *q, size_t q_stride, const K_T *k, float *wide, int dk, float *s,
                          size_t s_stride, sai_prefetch *prefetch) {
    for (int d = 0; d < dk; d += SAI_CHAIN)
        K_MANY_TILES(T, q + d, q_stride, k + 16 * d, wide + 16 * d, 16 * (size_t)dk,
                     dk - d < SAI_CHAIN ? dk - d : SAI_CHAIN, d > 0, s, s_stride, prefetch);
}
static void K_SCORE_MANY(const float *q, size_t q_stride, const void *from, float *wide, int n_tiles, int dk, float *s,
                         size_t s_stride, sai_prefetch *prefetch) {
    const K_T *k = (const K_T *)from;
    for (int t = 0, n; t < n_tiles;
         t += n, k += 16 * (size_t)n * (size_t)dk, wide += 16 * (size_t)n * (size_t)dk, s += 16 * n) {
        n = k_many_width(n_tiles - t);
        if (n == V_TILES(V_MANY))
            K_MANY_DIMS(V_TILES(V_MANY), q, q_stride, k, wide, dk, s, s_stride, prefetch);
        else if (n == 3)
            K_MANY_DIMS(3 < V_TILES(V_MANY) ? 3 : 1, q, q_stride, k, wide, dk, s, s_stride, prefetch);
        else if (n == 2)
            K_MANY_DIMS(2 < V_TILES(V_MANY) ? 2 : 1, q, q_stride, k, wide, dk, s, s_stride, prefetch);
        else
            K_MANY_DIMS(1, q, q_stride, k, wide, dk, s, s_stride, prefetch);
    }
}
/* One key's values in B blocks, for V_MANY rows. */
V_INLINE void K_MANY_KEY(const int B, const float *p, size_t p_stride, const K_T *v, float *wide, v16 *sum) {
    v16 value[V_MOST_TILES];
    V_UNROLL
    for (int b = 0; b < B; b++) value[b] = K_MANY_LOAD(v + 16 * b, wide + 16 * b);
    V_UNROLL
    for (int r = 0; r < V_MANY; r++) {
        v16 x = v_set(p[(size_t)r * p_stride]);
        V_UNROLL
        for (int b = 0; b < B; b++) sum[r * B + b] = v_fma(x, value[b], sum[r * B + b]);
    }
}
V_INLINE void K_MANY_BLOCKS(const int B, const float *p, size_t p_stride, const K_T *v, float *wide, size_t v_stride,
                            int n_keys, const float *keep, float *acc, size_t acc_stride, sai_prefetch *prefetch) {
    v16 sum[V_MANY * V_MOST_TILES];
    const char *at = prefetch->at, *end = prefetch->end;
    int u = 0;
    V_UNROLL
    for (int i = 0; i < V_MANY * B; i++) sum[i] = v_set(0.0f);
    for (; u + K_STEPS <= n_keys; u += K_STEPS) {
        at = k_prefetch(at, end);
        SAI_UNROLL_STEPS
        for (int i = 0; i < K_STEPS; i++)
            K_MANY_KEY(B, p + u + i, p_stride, v + (size_t)(u + i) * v_stride, wide + (size_t)(u + i) * v_stride, sum);
    }
    for (; u < n_keys; u++) K_MANY_KEY(B, p + u, p_stride, v + (size_t)u * v_stride, wide + (size_t)u * v_stride, sum);
    prefetch->at = at;
    V_UNROLL
    for (int r = 0; r < V_MANY; r++) {
        v16 weight = v_set(keep[r]);
        V_UNROLL
        for (int b = 0; b < B; b++) {
            float *to = acc + (size_t)r * acc_stride + 16 * b;
            v_save(to, v_add(v_fma(v_load(to), weight, sum[r * B + b]), v_set(0.0f)));
        }
    }
}
static void K_VALUE_MANY(const float *p, size_t p_stride, const void *from, float *wide, size_t v_stride, int n_keys,
                         int n_blocks, const float *keep, float *acc, size_t acc_stride, sai_prefetch *prefetch) {
    const K_T *v = (const K_T *)from;
    for (int b = 0, n; b < n_blocks; b += n, v += 16 * n, wide += 16 * n, acc += 16 * n) {
        n = k_many_width(n_blocks - b);
        if (n == V_BLOCKS(V_MANY))
            K_MANY_BLOCKS(V_BLOCKS(V_MANY), p, p_stride, v, wide, v_stride, n_keys, keep, acc, acc_stride, prefetch);
        else if (n == 3)
            K_MANY_BLOCKS(3 < V_BLOCKS(V_MANY) ? 3 : 1, p, p_stride, v, wide, v_stride, n_keys, keep, acc, acc_stride,
                          prefetch);
        else if (n == 2)
            K_MANY_BLOCKS(2 < V_BLOCKS(V_MANY) ? 2 : 1, p, p_stride, v, wide, v_stride, n_keys, keep, acc, acc_stride,
                          prefetch);
        else
            K_MANY_BLOCKS(1, p, p_stride, v, wide, v_stride, n_keys, keep, acc, acc_stride, prefetch);
    }
}
#undef K_STEPS
#undef K_MANY_LOAD
#undef K_MANY_DIM
#undef K_MANY_TILES
#undef K_MANY_DIMS
#undef K_MANY_KEY
#undef K_MANY_BLOCKS
#undef K_SCORE_MANY
#undef K_VALUE_MANY

#endif
