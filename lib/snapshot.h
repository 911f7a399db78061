/* The form of a snapshot: what docs/snapshot.md says, in numbers.
 *
 * SPDX-License-Identifier: MIT
 *
 *     header | per layer, per lane: meaning, spans, tiles of each store, rows of the host
 *
 * All are sections but the header; all are whole lines of 128 bytes; all numbers are little-endian.
 */
#ifndef SAI_SNAPSHOT_H
#define SAI_SNAPSHOT_H

#include "bytes.h"
#include "error.h"
#include "sequence.h"
#include "store.h"

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
uint64_t sai_meaning_size(const sai_layer *l);
void sai_meaning_write(const sa_pool *pool, const sai_layer *l, unsigned char *section);
sai_error sai_meaning_check(const sa_pool *pool, const sai_layer *l, const unsigned char *section, uint64_t size);

/* ------------------------------ saved_rows.c ------------------------------ */

/* The section of a lane's rows of the host: its bytes; writes it, all but what every section says; whether a
 * sequence can take it; and takes it. */
uint64_t sai_saved_rows_size(const sai_state *s);
void sai_saved_rows_write(const sai_state *s, unsigned char *section);
sai_error sai_saved_rows_check(const sai_state *s, const unsigned char *section, uint64_t size);
void sai_saved_rows_load(const sai_state *s, const unsigned char *section);

/* -------------------------------- sound.c --------------------------------- */

/* Whether a list that came from outside is such as calls can leave, whatever the rules that the layer had. */
int sai_spans_are_sound(const sai_spans *s, uint64_t n_sink);

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
