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

/* ---------------------------------- copies -------------------------------- */

/* n pieces of `width` bytes (1, 2 or 4), `stride` bytes apart. */
static void store_copy_pieces(char *to, const char *from, size_t n, size_t stride, int width) {
    for (size_t i = 0; i < n && width == 1; i++) to[i * stride] = from[i * stride];
    for (size_t i = 0; i < n && width == 2; i++) memcpy(to + i * stride, from + i * stride, 2);
    for (size_t i = 0; i < n && width == 4; i++) memcpy(to + i * stride, from + i * stride, 4);
}

static void store_copy_key(int32_t dtype, int32_t dk, const char *from, size_t a, char *to, size_t b) {
    if (!sai_is_integer(dtype)) {
        size_t size = dtype == SA_F32 ? 4 : 2;
        store_copy_pieces(to + size * b, from + size * a, (size_t)dk, 16 * size, (int)size);
        return;
    }
    size_t codes = sai_int_key_codes(dk, store_unit(dtype));
    store_copy_pieces(to + 4 * b, from + 4 * a, codes / 64, 64, 4);
    store_copy_pieces(to + codes + 2 * b, from + codes + 2 * a, (size_t)sai_groups(dk), 32, 2);
}

static void store_copy_value(int32_t dtype, int32_t dv_pad, const char *from, size_t a, char *to, size_t b) {
    if (!sai_is_integer(dtype)) {
        size_t size = (size_t)dv_pad * (dtype == SA_F32 ? 4 : 2);
        memcpy(to + b * size, from + a * size, size);
        return;
    }
    size_t codes = sai_int_value_codes(dv_pad, store_row(dtype)), quad = codes / 4;
    store_copy_pieces(to + b / 4 * quad + b % 4, from + a / 4 * quad + a % 4, quad / 4, 4, 1);
    store_copy_pieces(to + codes + 2 * b, from + codes + 2 * a, (size_t)sai_groups(dv_pad), 32, 2);
}

void sai_store_copy(const sai_layer *l, const sai_run *from, uint64_t a, const sai_run *to, uint64_t b) {
    store_copy_key(from->k_dtype, l->dk, sai_run_key(from, a), a % 16, (char *)(uintptr_t)sai_run_key(to, b), b % 16);
    store_copy_value(from->v_dtype, l->dv_pad, sai_run_value(from, a), a % 16, (char *)(uintptr_t)sai_run_value(to, b),
                     b % 16);
}
