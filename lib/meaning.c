/* What the numbers of a lane of a layer mean, as a snapshot says it: who loads keys must read them as they were
 * written.
 *
 * SPDX-License-Identifier: MIT
 *
 * Counts and schemes must be equal. Frequencies, slopes and factors come from the system's pow and log, whose last
 * bits differ from one to another: they must be equal but for that.
 */
#include "exact.h"

#include <math.h>

#include "snapshot.h"

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

uint64_t sai_meaning_size(const sai_layer *l) { return sai_round_line(meaning_tables(l)); }

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

void sai_meaning_write(const sa_pool *pool, const sai_layer *l, unsigned char *section) {
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

sai_error sai_meaning_check(const sa_pool *pool, const sai_layer *l, const unsigned char *section, uint64_t size) {
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
