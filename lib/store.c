/* Writes keys and values of each dtype into tiles.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "store.h"

#include <string.h>

#include "integers.h"
#include "kernels/integer_tiles.h"

enum { STORE_MOST_DIMS = 1024 };

/* Dims of 64 bytes of a K tile, and bytes of a group of V. */
static int store_unit(int32_t dtype) { return dtype == SA_I8 ? 4 : 8; }
static int store_row(int32_t dtype) { return dtype == SA_I8 ? 32 : 16; }

size_t sai_key_tile(int32_t dtype, int32_t dk) {
    if (sai_is_integer(dtype)) return sai_int_key_tile(dk, store_unit(dtype));
    return 16 * (size_t)dk * (dtype == SA_F32 ? 4 : 2);
}

size_t sai_value_tile(int32_t dtype, int32_t dv_pad) {
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

void sai_store_key(const sai_kernels *kernels, int32_t dtype, char *tile, int lane, int32_t dk, float *key) {
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

void sai_store_value(const sai_kernels *kernels, int32_t dtype, char *tile, int lane, int32_t dv, const float *value) {
    int32_t dv_pad = (dv + 15) / 16 * 16;
    if (sai_is_integer(dtype))
        store_value_integers(kernels, dtype, tile, (size_t)lane, dv, dv_pad, value);
    else
        kernels->store[dtype](value, dv, tile + sai_value_in_tile(dtype, dv_pad, lane));
}

size_t sai_value_in_tile(int32_t dtype, int32_t dv_pad, int lane) {
    return sai_is_integer(dtype) ? 0 : (size_t)lane * (size_t)dv_pad * (dtype == SA_F32 ? 4 : 2);
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

sai_tile_form sai_key_form(int32_t dtype, int32_t dk) {
    sai_tile_form form = {dtype, dk, 0, sai_key_tile(dtype, dk)};
    return form;
}

sai_tile_form sai_value_form(int32_t dtype, int32_t dv_pad) {
    sai_tile_form form = {dtype, dv_pad, 1, sai_value_tile(dtype, dv_pad)};
    return form;
}

void sai_tile_keep(const sai_tile_form *form, char *tile, uint32_t lanes) { sai_tile_copy(form, tile, NULL, ~lanes); }

void sai_tile_copy(const sai_tile_form *form, char *tile, const char *from, uint32_t lanes) {
    for (size_t lane = 0; lane < 16; lane++) {
        if (!(lanes >> lane & 1)) continue;
        store_move(store_numbers(form, lane), tile, from);
        store_move(store_scales(form, lane), tile, from);
    }
}

void sai_tile_swap(const sai_tile_form *form, char *tile) {
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

void sai_store_copy(const sai_layer *l, const sai_run *from, uint64_t a, const sai_run *to, uint64_t b) {
    sai_tile_form key = sai_key_form(from->k_dtype, l->dk), value = sai_value_form(from->v_dtype, l->dv_pad);
    store_copy(&key, sai_run_key(from, a), a % 16, (char *)(uintptr_t)sai_run_key(to, b), b % 16);
    store_copy(&value, sai_run_value(from, a), a % 16, (char *)(uintptr_t)sai_run_value(to, b), b % 16);
}
