/* Writes keys and values of each dtype into tiles.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_STORE_H
#define SAI_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel.h"
#include "model.h"

/* Bytes of a tile of 16 keys or values of a stored dtype. */
size_t sai_key_tile(int32_t dtype, int32_t dk);
size_t sai_value_tile(int32_t dtype, int32_t dv_pad);

/* Bytes from a tile's start to its value number `lane`: 0 for integers, whose values lie interleaved. */
size_t sai_value_in_tile(int32_t dtype, int32_t dv_pad, int lane);

/* Writes a key (dk) or a value (dv) of one kv head to number `lane` of a tile. A key stored as integers is changed. */
void sai_store_key(const sai_kernels *kernels, int32_t dtype, char *tile, int lane, int32_t dk, float *key);
void sai_store_value(const sai_kernels *kernels, int32_t dtype, char *tile, int lane, int32_t dv, const float *value);

/* How a tile lies in memory, for those who move tokens without knowing what they mean. */
typedef struct sai_tile_form {
    int32_t dtype, dims, is_value;
    size_t size;
} sai_tile_form;
sai_tile_form sai_key_form(int32_t dtype, int32_t dk);
sai_tile_form sai_value_form(int32_t dtype, int32_t dv_pad);

/* Clears the tokens of a tile that are not in `lanes` (bit i: token i of 16); copies those that are. */
void sai_tile_keep(const sai_tile_form *form, char *tile, uint32_t lanes);
void sai_tile_copy(const sai_tile_form *form, char *tile, const char *from, uint32_t lanes);

/* Turns the order of bytes in every number round. Codes of integers are bytes, and stay. */
void sai_tile_swap(const sai_tile_form *form, char *tile);

/* Copies the key and the value of a position to another one, of tiles of the same kv head and the same dtypes, bit by
 * bit. */
void sai_store_copy(const sai_layer *layer, const sai_run *from, uint64_t from_position, const sai_run *to,
                    uint64_t to_position);

#endif
